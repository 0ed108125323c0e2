package main

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"math"
	"net"
	"os/exec"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"google.golang.org/genproto/googleapis/rpc/errdetails"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/credentials/insecure"
	healthv1 "google.golang.org/grpc/health/grpc_health_v1"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/proto"

	driversv1 "samsara.internal/gateway/gen/samsara/drivers/v1"
	trailersv1 "samsara.internal/gateway/gen/samsara/trailers/v1"
	vehiclesv1 "samsara.internal/gateway/gen/samsara/vehicles/v1"
	"samsara.internal/gateway/internal/sandbox"
)

// The limits that these tests overload, in requests a second.
const tokenLimit, listVehiclesLimit = 150, 25

// quotaMargin is the percentage of a limit that these tests leave to a machine that is busy with
// other tests, and usable the part that is left by it.
const (
	quotaMargin = 10
	usable      = 100. / (100 + quotaMargin)
)

// marginFlag sets the margin of a gateway to that of the tests.
func marginFlag() string { return fmt.Sprintf("--quota-margin=%d", quotaMargin) }

// call is one call by a client, with what it asks for differing by n.
type call func(ctx context.Context, conn *grpc.ClientConn, n int) error

func id(n int) *string {
	return proto.String(strconv.Itoa(firstID + n%sandbox.DefaultFleet))
}

// getVehicle has no limit of its own.
func getVehicle(ctx context.Context, conn *grpc.ClientConn, n int) error {
	_, err := vehiclesv1.NewVehiclesServiceClient(conn).GetVehicle(ctx, &vehiclesv1.GetVehicleRequest{Id: id(n)})
	return err
}

// getDriver has no limit of its own.
func getDriver(ctx context.Context, conn *grpc.ClientConn, n int) error {
	_, err := driversv1.NewDriversServiceClient(conn).GetDriver(ctx, &driversv1.GetDriverRequest{Id: id(n)})
	return err
}

// listVehicles may be called listVehiclesLimit times a second.
func listVehicles(ctx context.Context, conn *grpc.ClientConn, _ int) error {
	_, err := vehiclesv1.NewVehiclesServiceClient(conn).ListVehicles(ctx, &vehiclesv1.ListVehiclesRequest{})
	return err
}

// listTrailers may be called 5 times a second.
func listTrailers(ctx context.Context, conn *grpc.ClientConn, _ int) error {
	_, err := trailersv1.NewTrailersServiceClient(conn).ListTrailers(ctx, &trailersv1.ListTrailersRequest{})
	return err
}

// renameTrailer may be called 100 times a minute.
func renameTrailer(ctx context.Context, conn *grpc.ClientConn, n int) error {
	_, err := trailersv1.NewTrailersServiceClient(conn).UpdateTrailer(ctx, &trailersv1.UpdateTrailerRequest{
		Id: id(n), Name: proto.String(fmt.Sprintf("Trailer %d", n)),
	})
	return err
}

// streamAll reads three pages, with the limit of listVehicles.
func streamAll(ctx context.Context, conn *grpc.ClientConn, _ int) error {
	stream, err := vehiclesv1.NewVehiclesServiceClient(conn).StreamVehicles(ctx, &vehiclesv1.StreamVehiclesRequest{
		Request: &vehiclesv1.ListVehiclesRequest{Limit: proto.Int64(5)},
	})
	for err == nil {
		_, err = stream.Recv()
	}
	if errors.Is(err, io.EOF) {
		return nil
	}
	return err
}

// callers call a gateway, and count how their calls ended.
type callers struct {
	sync.WaitGroup
	mu sync.Mutex
	// took is how long the calls took that succeeded, by caller.
	took map[string][]time.Duration
	// refused counts the calls that the quota refused, by budget.
	refused map[string]int
}

func newCallers() *callers {
	return &callers{took: map[string][]time.Duration{}, refused: map[string]int{}}
}

// call makes a call that has an upstream request of its own. It must succeed, or be refused by
// the quota and told after what time to come again.
func (c *callers) call(t *testing.T, name string, call func(ctx context.Context) error) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	begun := time.Now()
	err := call(metadata.AppendToOutgoingContext(ctx, "samsara-caller", name, "samsara-cache", "no-store"))
	took := time.Since(begun)
	reason, budget, wait := explained(err)
	c.mu.Lock()
	defer c.mu.Unlock()
	switch {
	case err == nil:
		c.took[name] = append(c.took[name], took)
	case status.Code(err) == codes.ResourceExhausted && reason == "GATEWAY_QUOTA" && budget != "" && wait > 0:
		c.refused[budget]++
	default:
		t.Errorf("%s: %v, reason %q, budget %q, wait %v", name, err, reason, budget, wait)
	}
}

// explained returns what the details of an error say.
func explained(err error) (reason, budget string, wait time.Duration) {
	for _, detail := range status.Convert(err).Details() {
		switch detail := detail.(type) {
		case *errdetails.ErrorInfo:
			reason = detail.GetReason()
		case *errdetails.QuotaFailure:
			for _, violation := range detail.GetViolations() {
				budget = violation.GetSubject()
			}
		case *errdetails.RetryInfo:
			wait = detail.GetRetryDelay().AsDuration()
		}
	}
	return reason, budget, wait
}

// keep has so many calls of a caller in flight until stop ends.
func (c *callers) keep(t *testing.T, stop context.Context, name string, inFlight int, conn *grpc.ClientConn, f call) {
	t.Helper()
	for i := range inFlight {
		c.Go(func() {
			for n := i; stop.Err() == nil; n++ {
				c.call(t, name, func(ctx context.Context) error { return f(ctx, conn, n) })
			}
		})
	}
}

// succeeded returns how many calls did.
func (c *callers) succeeded() int {
	c.mu.Lock()
	defer c.mu.Unlock()
	n := 0
	for _, took := range c.took {
		n += len(took)
	}
	return n
}

// rejected returns how many calls the quota refused.
func (c *callers) rejected() int {
	c.mu.Lock()
	defer c.mu.Unlock()
	n := 0
	for _, count := range c.refused {
		n += count
	}
	return n
}

// percentile returns the time within which a part of calls ended.
func percentile(took []time.Duration, part float64) time.Duration {
	if len(took) == 0 {
		return 0
	}
	sorted := slices.Sorted(slices.Values(took))
	return sorted[int(part*float64(len(sorted)-1))].Round(time.Millisecond)
}

// lapse waits.
func lapse(t *testing.T, d time.Duration) {
	t.Helper()
	select {
	case <-time.After(d):
	case <-t.Context().Done():
	}
}

// ready returns so many connections to a gateway, all of them up.
func ready(t *testing.T, address string, count int) []*grpc.ClientConn {
	t.Helper()
	conns := make([]*grpc.ClientConn, count)
	for i := range conns {
		conns[i] = connect(t, address, insecure.NewCredentials())
		if _, err := healthv1.NewHealthClient(conns[i]).Check(waiting(t), &healthv1.HealthCheckRequest{}); err != nil {
			t.Fatal(err)
		}
	}
	return conns
}

// arrivals are requests as the sandbox logged them.
type arrivals []logLine

// arrived ends a sandbox and returns all requests that it had.
func arrived(t *testing.T, box *process) arrivals {
	t.Helper()
	box.stop(t)
	lines, _, _ := box.log()
	return slices.DeleteFunc(slices.Clone(lines), func(l logLine) bool { return l.Message != "answered" })
}

// with returns those that something holds for.
func (a arrivals) with(holds func(logLine) bool) arrivals {
	return slices.DeleteFunc(slices.Clone(a), func(l logLine) bool { return !holds(l) })
}

// between returns those from a time on and before another.
func (a arrivals) between(from, to time.Time) arrivals {
	return a.with(func(l logLine) bool { return !l.Time.Before(from) && l.Time.Before(to) })
}

// at returns those of a path.
func (a arrivals) at(path string) arrivals {
	return a.with(func(l logLine) bool { return l.Path == path })
}

// throttled returns those that were answered 429.
func (a arrivals) throttled() arrivals {
	return a.with(func(l logLine) bool { return l.Status == 429 })
}

// most returns the largest number in any second.
func (a arrivals) most() int {
	most, first := 0, 0
	for i, l := range a {
		for l.Time.Sub(a[first].Time) >= time.Second {
			first++
		}
		most = max(most, i-first+1)
	}
	return most
}

// redisServer is a Redis of the test's own.
type redisServer struct {
	port string
	cmd  *exec.Cmd
}

// startRedis runs Debian's redis-server, which keeps nothing on disk.
func startRedis(t *testing.T) *redisServer {
	t.Helper()
	free, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	_, port, err := net.SplitHostPort(free.Addr().String())
	if err = errors.Join(err, free.Close()); err != nil {
		t.Fatal(err)
	}
	r := &redisServer{port: port}
	r.start(t)
	return r
}

func (r *redisServer) url() string { return "redis://127.0.0.1:" + r.port }

// start returns when connections are taken. Where the test does not kill it, it is killed at the
// test's end.
func (r *redisServer) start(t *testing.T) {
	t.Helper()
	r.cmd = exec.CommandContext(t.Context(), "redis-server",
		"--port", r.port, "--bind", "127.0.0.1", "--save", "", "--appendonly", "no", "--dir", t.TempDir())
	out, err := r.cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := r.cmd.Start(); err != nil {
		t.Fatalf("%v: make deps-test installs it", err)
	}
	up, ended := make(chan struct{}), make(chan struct{})
	cmd := r.cmd
	go func() {
		defer close(ended)
		text := ""
		for lines := bufio.NewScanner(out); lines.Scan(); {
			if text += lines.Text() + "\n"; strings.Contains(lines.Text(), "Ready to accept connections") {
				close(up)
			}
		}
		_ = cmd.Wait() // It is killed.
	}()
	t.Cleanup(func() { <-ended })
	select {
	case <-up:
	case <-ended:
		t.Fatal("redis-server ended at once")
	case <-time.After(patience):
		t.Fatal("redis-server did not start")
	}
}

// kill ends it without a chance to say goodbye.
func (r *redisServer) kill(t *testing.T) {
	t.Helper()
	if err := r.cmd.Process.Kill(); err != nil {
		t.Fatal(err)
	}
}

// TestThreeTimesTheQuotaIsAskedForAndSamsaraNeverSaysSo replays what services ask for at three
// times the limit of the token: reads, lists, streams and writes, most of which have a lower limit
// of their own, of which they ask too much as well.
func TestThreeTimesTheQuotaIsAskedForAndSamsaraNeverSaysSo(t *testing.T) {
	t.Parallel()
	lasting := time.Duration(setting(t, "SAMSARA_SOAK_QUOTA_SECONDS", 8)) * time.Second
	box, flags := startSandbox(t, "--rate-limits")
	_, at := startBefore(t, flags, marginFlag(), "--quota-max-wait=2s")
	conns := ready(t, at.GRPC, 4)
	mix := []call{
		getVehicle, getDriver, listVehicles, getVehicle, getDriver, renameTrailer,
		getVehicle, streamAll, getDriver, getVehicle, listTrailers, getVehicle,
	}
	const rate, services = 3 * tokenLimit, 25
	c := newCallers()
	begun := time.Now()
	ticks := time.NewTicker(5 * time.Millisecond)
	defer ticks.Stop()
	for asked := 0; time.Since(begun) < lasting; <-ticks.C {
		for ; asked < int(rate*time.Since(begun).Seconds()); asked++ {
			n := asked
			c.Go(func() {
				c.call(t, fmt.Sprintf("service %d", n%services), func(ctx context.Context) error {
					return mix[n%len(mix)](ctx, conns[n%len(conns)], n)
				})
			})
		}
	}
	ended := time.Now()
	c.Wait()

	all := arrived(t, box)
	if n := len(all.throttled()); n != 0 {
		t.Errorf("the sandbox answered 429 to %d of %d requests, first to %+v", n, len(all), all.throttled()[0])
	}
	used := float64(len(all.between(begun, ended))) / (tokenLimit * ended.Sub(begun).Seconds())
	if used < 0.95*usable {
		t.Errorf("%.1f%% of the token's limit was used, want at least %.1f%%", 100*used, 95*usable)
	}
	if c.rejected() == 0 {
		t.Error("the quota refused no call")
	}
	t.Logf("in %v: %d calls succeeded, %d were refused: %v; %d upstream requests, %d answered 429, at most %d in a second; %.1f%% of the token's limit used",
		ended.Sub(begun).Round(time.Millisecond), c.succeeded(), c.rejected(), c.refused, len(all), len(all.throttled()), all.most(), 100*used)
}

// TestThreeGatewaysOnOneRedisShareTheQuota overloads three processes, by the limit of the token
// and that of an operation.
func TestThreeGatewaysOnOneRedisShareTheQuota(t *testing.T) {
	t.Parallel()
	lasting := time.Duration(setting(t, "SAMSARA_SOAK_REPLICAS_SECONDS", 5)) * time.Second
	redis := startRedis(t)
	box, flags := startSandbox(t, "--rate-limits")
	c := newCallers()
	stop, cancel := context.WithCancel(t.Context())
	defer cancel()
	for range 3 {
		_, at := startBefore(t, flags, marginFlag(), "--quota-redis="+redis.url(), "--quota-replicas=3")
		conn := ready(t, at.GRPC, 1)[0]
		c.keep(t, stop, "reader", 50, conn, getVehicle)
		c.keep(t, stop, "lister", 20, conn, listVehicles)
	}
	lapse(t, time.Second) // until all of them wait
	from := time.Now()
	lapse(t, lasting)
	to := time.Now()
	cancel()
	c.Wait()

	all := arrived(t, box)
	if n := len(all.throttled()); n != 0 {
		t.Errorf("the sandbox answered 429 to %d of %d requests, first to %+v", n, len(all), all.throttled()[0])
	}
	for _, budget := range []struct {
		name  string
		limit float64
		arrivals
	}{
		{"token", tokenLimit, all},
		{"ListVehicles", listVehiclesLimit, all.at("/fleet/vehicles")},
	} {
		n := len(budget.between(from, to))
		used := float64(n) / (budget.limit * to.Sub(from).Seconds())
		if used < 0.95*usable {
			t.Errorf("%s: %.1f%% of the limit was used, want at least %.1f%%", budget.name, 100*used, 95*usable)
		}
		t.Logf("%s: %d requests in %v, %.1f%% of the limit of %v a second; at most %d in any second",
			budget.name, n, to.Sub(from).Round(time.Millisecond), 100*used, budget.limit, budget.most())
	}
	if n := c.rejected(); n != 0 {
		t.Errorf("%d calls were refused: %v", n, c.refused)
	}
}

// TestRedisKilledAndStartedAgainUnderLoadFailsNoCall has three processes lose Redis and find it
// again. Without it each keeps to a third. In the second in which it is lost that may come on top
// of what was used before.
func TestRedisKilledAndStartedAgainUnderLoadFailsNoCall(t *testing.T) {
	t.Parallel()
	phase := time.Duration(setting(t, "SAMSARA_SOAK_REDIS_SECONDS", 2)) * time.Second
	redis := startRedis(t)
	box, flags := startSandbox(t)
	c := newCallers()
	stop, cancel := context.WithCancel(t.Context())
	defer cancel()
	for range 3 {
		_, at := startBefore(t, flags, marginFlag(), "--quota-redis="+redis.url(), "--quota-replicas=3")
		c.keep(t, stop, "reader", 60, ready(t, at.GRPC, 1)[0], getVehicle)
	}
	lapse(t, phase)
	killed := time.Now()
	redis.kill(t)
	lapse(t, phase)
	restarted := time.Now()
	redis.start(t)
	lapse(t, phase)
	cancel()
	c.Wait()

	all := arrived(t, box)
	if n := c.rejected(); n != 0 {
		t.Errorf("%d calls were refused: %v", n, c.refused)
	}
	settled := killed.Add(time.Second)
	before, lost, after := all.between(time.Time{}, killed), all.between(killed.Add(-time.Second), settled.Add(time.Second)), all.between(settled, restarted.Add(time.Hour))
	if before.most() > tokenLimit || lost.most() > 2*tokenLimit || after.most() > tokenLimit {
		t.Errorf("at most %d, %d and %d in a second", before.most(), lost.most(), after.most())
	}
	t.Logf("%d calls, none failed; at most %d in a second before Redis was killed, %d while it was lost, %d afterwards",
		c.succeeded(), before.most(), lost.most(), after.most())
}

// TestACallerThatAsksForMuchTakesNothingFromOthers has one caller with 100 calls in flight, and
// nine with one each.
func TestACallerThatAsksForMuchTakesNothingFromOthers(t *testing.T) {
	t.Parallel()
	lasting := time.Duration(setting(t, "SAMSARA_SOAK_FAIRNESS_SECONDS", 4)) * time.Second
	_, flags := startSandbox(t, "--rate-limits")
	_, at := startBefore(t, flags, marginFlag())
	conns := ready(t, at.GRPC, 2)
	c := newCallers()
	stop, cancel := context.WithCancel(t.Context())
	defer cancel()
	c.keep(t, stop, "greedy", 100, conns[0], getVehicle)
	lapse(t, 1500*time.Millisecond) // until it has used what nobody else asked for
	const modest = 9
	name := func(i int) string { return fmt.Sprintf("modest %d", i) }
	for i := range modest {
		c.keep(t, stop, name(i), 1, conns[1], getVehicle)
	}
	begun := time.Now()
	lapse(t, lasting)
	lasted := time.Since(begun)
	cancel()
	c.Wait()

	share := tokenLimit * usable / (modest + 1) * lasted.Seconds()
	var waits []time.Duration
	least := math.MaxInt
	for i := range modest {
		took := c.took[name(i)]
		if got, want := len(took), int(0.85*share); got < want {
			t.Errorf("%s had %d calls in %v, want at least %d", name(i), got, lasted, want)
		}
		least = min(least, len(took))
		waits = append(waits, took...)
	}
	greedy := c.took["greedy"]
	t.Logf("a share is %.0f calls; the least that a modest caller had is %d; they took %v at p50 and %v at p99; the greedy one had %d, %v at p50 and %v at p99",
		share, least, percentile(waits, 0.5), percentile(waits, 0.99), len(greedy), percentile(greedy, 0.5), percentile(greedy, 0.99))
}

// TestOf2000CallsAtOnceExactlyTheLimitGetsThrough lets nobody wait.
func TestOf2000CallsAtOnceExactlyTheLimitGetsThrough(t *testing.T) {
	t.Parallel()
	const calls, limit, window = 2000, 100, 2 * time.Second
	box, flags := startSandbox(t)
	// The margin makes the window of a second twice as long.
	_, at := startBefore(t, flags, "--quota-limits=samsara.vehicles.v1.*=100/s", "--quota-margin=100", "--quota-max-wait=1ms",
		"--quota-token-limit=none", "--quota-organization-limit=none")
	conns := ready(t, at.GRPC, 4)
	c := newCallers()
	begun := time.Now()
	for n := range calls {
		c.Go(func() {
			c.call(t, fmt.Sprintf("service %d", n%10), func(ctx context.Context) error { return getVehicle(ctx, conns[n%len(conns)], n) })
		})
	}
	c.Wait()
	took := time.Since(begun)
	// One window, where the machine is not very busy.
	windows := 1 + int(took/window)
	got := len(arrived(t, box))
	if got < limit || got > windows*limit {
		t.Errorf("%d of %d calls reached the upstream in %v, want %d in each window of %v", got, calls, took, limit, window)
	}
	if c.succeeded() != got || c.rejected() != calls-got {
		t.Errorf("%d calls succeeded and %d were refused, want %d and %d", c.succeeded(), c.rejected(), got, calls-got)
	}
	t.Logf("%d of %d calls reached the upstream in %v", got, calls, took.Round(time.Millisecond))
}

// TestA429HoldsUpOtherCallersAsLongAsItSays has one caller run into a limit, and another one
// call meanwhile.
func TestA429HoldsUpOtherCallersAsLongAsItSays(t *testing.T) {
	t.Parallel()
	const said, busy = 1250 * time.Millisecond, time.Second
	box, flags := startSandbox(t, "--fault=status=429; retry-after=1.25; nth=1; match=/fleet/vehicles")
	gateway, at := startBefore(t, flags, "--log-level=debug")
	conn := ready(t, at.GRPC, 1)[0]
	c := newCallers()
	in := func(name string, f call) {
		c.call(t, name, func(ctx context.Context) error { return f(ctx, conn, 0) })
	}
	c.Go(func() { in("first", listVehicles) })
	gateway.await(t, "upstream attempt failed")
	c.Go(func() { in("second", listVehicles) })
	in("third", getVehicle)
	c.Wait()

	all := arrived(t, box)
	limited := all.at("/fleet/vehicles")
	if len(limited) != 3 || limited[0].Status != 429 || c.succeeded() != 3 {
		t.Fatalf("%d calls succeeded by %+v, want 3 and a 429 before 2 requests", c.succeeded(), limited)
	}
	if paused := limited[1].Time.Sub(limited[0].Time); paused < said || paused > said+busy {
		t.Errorf("the operation paused for %v, want %v and little more", paused, said)
	}
	if second := c.took["second"][0]; second > said+busy {
		t.Errorf("the second caller waited for %v, want little more than %v", second, said)
	}
	if third := c.took["third"][0]; third > said {
		t.Errorf("another operation took %v, want no pause", third)
	}
	t.Logf("paused for %v; the first caller waited for %v, the second for %v, one of another operation for %v",
		limited[1].Time.Sub(limited[0].Time).Round(time.Millisecond), percentile(c.took["first"], 1), percentile(c.took["second"], 1), percentile(c.took["third"], 1))
}
