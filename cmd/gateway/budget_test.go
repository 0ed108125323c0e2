package main

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
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

	contactsv1 "samsara.internal/gateway/gen/contacts/v1"
	trailersv1 "samsara.internal/gateway/gen/trailers/v1"
	usersv1 "samsara.internal/gateway/gen/users/v1"
	vehiclesv1 "samsara.internal/gateway/gen/vehicles/v1"
	"samsara.internal/gateway/internal/sandbox"
	"samsara.internal/gateway/internal/testenv"
)

// The limits that these tests overload, in requests a second.
const tokenLimit, listVehiclesLimit = 150, 25

// overloadTime returns how long a test overloads the gateway: short seconds, unless the environment says
// otherwise.
func overloadTime(t *testing.T, short int) time.Duration {
	t.Helper()
	return time.Duration(setting(t, "SAMSARA_SOAK_QUOTA_SECONDS", short)) * time.Second
}

// margin returns the flag that leaves a fraction of every limit unused, and the fraction that may be used.
// A busy machine stops a process for longer than a network delays requests, so that requests come closer
// together: ten times the default margin allows for stops of 400 ms.
func margin(t *testing.T) (flag string, usable float64) {
	t.Helper()
	percent := setting(t, "SAMSARA_SOAK_QUOTA_MARGIN", 40)
	return fmt.Sprintf("--quota-margin=%d", percent), 100 / float64(100+percent)
}

// leastUse returns the fraction of what a budget allows that must be used under overload. It is high in a
// soak. It is low in a test of a few seconds, in which a busy machine may do other things.
func leastUse() float64 {
	if os.Getenv("SAMSARA_SOAK_QUOTA_SECONDS") != "" {
		return 0.95
	}
	return 0.5
}

// call makes a gRPC call. Calls with different n ask for different things.
type call func(ctx context.Context, n int) error

func idOf(n int) *string { return proto.String(strconv.Itoa(firstID + n%sandbox.DefaultFleet)) }

// getContact has no limit of its own.
func getContact(conn *grpc.ClientConn) call {
	return func(ctx context.Context, n int) error {
		_, err := contactsv1.NewContactsServiceClient(conn).GetContact(ctx, &contactsv1.GetContactRequest{Id: idOf(n)})
		return err
	}
}

// getUser has no limit of its own.
func getUser(conn *grpc.ClientConn) call {
	return func(ctx context.Context, n int) error {
		_, err := usersv1.NewUsersServiceClient(conn).GetUser(ctx, &usersv1.GetUserRequest{Id: idOf(n)})
		return err
	}
}

// listVehicles may be called listVehiclesLimit times a second.
func listVehicles(conn *grpc.ClientConn) call {
	return func(ctx context.Context, _ int) error {
		_, err := vehiclesv1.NewVehiclesServiceClient(conn).ListVehicles(ctx, &vehiclesv1.ListVehiclesRequest{})
		return err
	}
}

// streamAllVehicles makes three of the requests that listVehicles makes.
func streamAllVehicles(conn *grpc.ClientConn) call {
	return func(ctx context.Context, _ int) error {
		stream, err := vehiclesv1.NewVehiclesServiceClient(conn).StreamVehicles(ctx, &vehiclesv1.StreamVehiclesRequest{
			Request: &vehiclesv1.ListVehiclesRequest{Limit: proto.Int32(5)},
		})
		for err == nil {
			_, err = stream.Recv()
		}
		if errors.Is(err, io.EOF) {
			return nil
		}
		return err
	}
}

// listTrailers may be called 5 times a second.
func listTrailers(conn *grpc.ClientConn) call {
	return func(ctx context.Context, _ int) error {
		_, err := trailersv1.NewTrailersServiceClient(conn).ListTrailers(ctx, &trailersv1.ListTrailersRequest{})
		return err
	}
}

// renameTrailer may be called 100 times a minute.
func renameTrailer(conn *grpc.ClientConn) call {
	return func(ctx context.Context, n int) error {
		_, err := trailersv1.NewTrailersServiceClient(conn).UpdateTrailer(ctx, &trailersv1.UpdateTrailerRequest{
			Id: idOf(n), Name: proto.String(fmt.Sprintf("Trailer %d", n)),
		})
		return err
	}
}

// callers call gateways and count how the calls ended. Its fields may be read after Wait.
type callers struct {
	sync.WaitGroup
	t *testing.T

	mu sync.Mutex
	// took is how long each successful call took, by caller.
	took map[string][]time.Duration
	// succeeded and refused count calls. refusals counts refused calls by budget.
	succeeded, refused int
	refusals           map[string]int
}

func newCallers(t *testing.T) *callers {
	t.Helper()
	c := &callers{t: t, took: map[string][]time.Duration{}, refusals: map[string]int{}}
	t.Cleanup(c.Wait)
	return c
}

// call makes a call that shares no upstream request with another. The call must succeed, or be refused by
// the quota with a RetryInfo.
func (c *callers) call(name string, f call, n int) {
	ctx, cancel := context.WithTimeout(c.t.Context(), patience)
	defer cancel()
	begun := time.Now()
	err := f(metadata.AppendToOutgoingContext(ctx, "samsara-caller", name, "samsara-cache", "no-store"), n)
	took := time.Since(begun)
	var reason, budget string
	var wait time.Duration
	for _, detail := range status.Convert(err).Details() {
		switch detail := detail.(type) {
		case *errdetails.ErrorInfo:
			reason = detail.GetReason()
		case *errdetails.RetryInfo:
			wait = detail.GetRetryDelay().AsDuration()
		case *errdetails.QuotaFailure:
			for _, violation := range detail.GetViolations() {
				budget += violation.GetSubject()
			}
		}
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	switch {
	case err == nil:
		c.took[name] = append(c.took[name], took)
		c.succeeded++
	case status.Code(err) == codes.ResourceExhausted && reason == "GATEWAY_QUOTA" && budget != "" && wait > 0:
		c.refusals[budget]++
		c.refused++
	case c.t.Context().Err() != nil: // the test has failed already
	default:
		c.t.Errorf("%s: %v, reason %q, budget %q, wait %v", name, err, reason, budget, wait)
	}
}

// begin makes a call in the background.
func (c *callers) begin(name string, f call, n int) { c.Go(func() { c.call(name, f, n) }) }

// keep makes calls of a caller until stop is closed, inFlight at a time.
func (c *callers) keep(stop <-chan struct{}, name string, inFlight int, f call) {
	for i := range inFlight {
		c.Go(func() {
			for n := i; ; n++ {
				select {
				case <-stop:
					return
				case <-c.t.Context().Done():
					return
				default:
					c.call(name, f, n)
				}
			}
		})
	}
}

// percentile returns the time within which a fraction of the calls ended.
func percentile(took []time.Duration, fraction float64) time.Duration {
	if len(took) == 0 {
		return 0
	}
	sorted := slices.Sorted(slices.Values(took))
	return sorted[int(fraction*float64(len(sorted)-1))].Round(time.Millisecond)
}

// letPass waits until the time has passed, or the test has ended.
func letPass(t *testing.T, d time.Duration) {
	t.Helper()
	select {
	case <-time.After(d):
	case <-t.Context().Done():
	}
}

// ready returns count open connections to a gateway.
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

// arrivals are the requests that a sandbox logged. Time is when the sandbox began with one.
type arrivals []logLine

// arrived stops a sandbox and returns all requests that it received, in order.
func arrived(t *testing.T, box *process) arrivals {
	t.Helper()
	box.stop(t)
	lines, _, _ := box.log()
	all := arrivals(lines).with(func(l logLine) bool { return l.Message == "answered" })
	for i, l := range all {
		took, err := time.ParseDuration(l.Duration)
		if err != nil {
			t.Fatal(err)
		}
		all[i].Time = l.Time.Add(-took)
	}
	slices.SortFunc(all, func(a, b logLine) int { return a.Time.Compare(b.Time) })
	return all
}

// with returns the requests that satisfy holds.
func (a arrivals) with(holds func(logLine) bool) arrivals {
	return slices.DeleteFunc(slices.Clone(a), func(l logLine) bool { return !holds(l) })
}

// between returns the requests at or after from and before to.
func (a arrivals) between(from, to time.Time) arrivals {
	return a.with(func(l logLine) bool { return !l.Time.Before(from) && l.Time.Before(to) })
}

// share returns the number of requests as a fraction of what a limit a second allows in a time.
func (a arrivals) share(limit int, lasted time.Duration) float64 {
	return float64(len(a)) / (float64(limit) * lasted.Seconds())
}

// most returns the largest number of requests in any second.
func (a arrivals) most() int { return a.mostIn(time.Second) }

// mostIn returns the largest number of requests in any window of a length.
func (a arrivals) mostIn(window time.Duration) int {
	most, first := 0, 0
	for i, l := range a {
		for l.Time.Sub(a[first].Time) >= window {
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
	r := &redisServer{port: testenv.Port(t)}
	r.start(t)
	return r
}

func (r *redisServer) url() string { return "redis://127.0.0.1:" + r.port }

// start starts Redis and returns when it accepts connections. The end of the test kills it, if the test has
// not.
func (r *redisServer) start(t *testing.T) {
	t.Helper()
	r.cmd = exec.CommandContext(t.Context(), testenv.Tool(t, "redis-server"),
		"--port", r.port, "--bind", "127.0.0.1", "--save", "", "--appendonly", "no", "--dir", t.TempDir())
	out, err := r.cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := r.cmd.Start(); err != nil {
		t.Fatal(err)
	}
	up, ended := make(chan struct{}), make(chan struct{})
	cmd, text := r.cmd, ""
	go func() {
		defer close(ended)
		for lines := bufio.NewScanner(out); lines.Scan(); {
			if text += lines.Text() + "\n"; strings.Contains(lines.Text(), "Ready to accept connections") {
				close(up)
			}
		}
		_ = cmd.Wait() // It was killed.
	}()
	t.Cleanup(func() { <-ended })
	select {
	case <-up:
	case <-ended:
		t.Fatalf("redis-server ended at once:\n%s", text)
	case <-time.After(patience):
		t.Fatal("redis-server did not start")
	}
}

// kill kills Redis without a clean shutdown.
func (r *redisServer) kill(t *testing.T) {
	t.Helper()
	if err := r.cmd.Process.Kill(); err != nil {
		t.Fatal(err)
	}
}

// checkNoneThrottled checks that the sandbox, which counts requests as Samsara does, answered none with
// 429.
func checkNoneThrottled(t *testing.T, all arrivals) {
	t.Helper()
	if throttled := all.with(func(l logLine) bool { return l.Status == http.StatusTooManyRequests }); len(throttled) > 0 {
		t.Errorf("%d of %d requests were answered 429, at first %s", len(throttled), len(all), throttled[0].Path)
	}
}

// TestTime_quotaThreefoldLoad makes calls at three times the limit of the token, as services do: reads,
// lists, streams and writes. Many have a lower limit of their own, which the calls exceed too.
func TestTime_quotaThreefoldLoad(t *testing.T) {
	t.Parallel()
	testenv.Alone(t)
	const rate, services = 3 * tokenLimit, 25
	mix := []func(*grpc.ClientConn) call{
		getContact, getUser, listVehicles, getContact, getUser, renameTrailer,
		getContact, streamAllVehicles, getUser, getContact, listTrailers, getContact,
	}
	lasting := overloadTime(t, 8)
	flag, usable := margin(t)
	box, flags := startSandbox(t, "--rate-limits")
	_, at := startBefore(t, flags, flag, "--quota-max-wait=2s")
	conns := ready(t, at.GRPC, 4)
	c := newCallers(t)
	tick := time.NewTicker(5 * time.Millisecond)
	defer tick.Stop()
	begun := time.Now()
	for n := 0; time.Since(begun) < lasting; <-tick.C {
		for ; float64(n) < rate*time.Since(begun).Seconds(); n++ {
			c.begin(fmt.Sprintf("service %d", n%services), mix[n%len(mix)](conns[n%len(conns)]), n)
		}
	}
	ended := time.Now()
	c.Wait()

	all := arrived(t, box)
	checkNoneThrottled(t, all)
	used := all.between(begun, ended).share(tokenLimit, ended.Sub(begun))
	if used < leastUse()*usable {
		t.Errorf("%.3f of the token's limit was used, want at least %.3f", used, leastUse()*usable)
	}
	// The limit of renameTrailer, 100 a minute, may be used at once, so the short form does not reach it.
	if len(c.refusals) < 3 {
		t.Errorf("refused were %v, want calls by the budgets of the token and of two operations", c.refusals)
	}
	t.Logf("%d calls in %v, %d of them refused: %v", c.succeeded+c.refused, ended.Sub(begun).Round(time.Millisecond), c.refused, c.refusals)
	t.Logf("%d upstream requests, at most %d in a second; %.3f of the token's limit was used", len(all), all.most(), used)
}

// patientRedis lets gateways wait for Redis as long as a busy machine may need. Otherwise a gateway would
// sometimes use its local share, on top of what the others use.
const patientRedis = "--quota-redis-timeout=1s"

// TestTime_quotaThreeGatewaysOneRedis overloads three gateways, by the limit of the token and by that of an
// operation.
func TestTime_quotaThreeGatewaysOneRedis(t *testing.T) {
	t.Parallel()
	testenv.Alone(t)
	lasting := overloadTime(t, 4)
	flag, usable := margin(t)
	redis := startRedis(t)
	box, flags := startSandbox(t, "--rate-limits")
	var conns []*grpc.ClientConn
	for range 3 {
		_, at := startBefore(t, flags, flag, patientRedis, "--quota-redis="+redis.url(), "--quota-replicas=3")
		conns = append(conns, ready(t, at.GRPC, 1)...)
	}
	c, stop := newCallers(t), make(chan struct{})
	for i, conn := range conns {
		c.keep(stop, fmt.Sprintf("reader %d", i), 50, getContact(conn))
		c.keep(stop, fmt.Sprintf("lister %d", i), 20, listVehicles(conn))
	}
	letPass(t, 2500*time.Millisecond) // until the burst, and the next one, are over
	from := time.Now()
	letPass(t, lasting)
	to := time.Now()
	close(stop)
	c.Wait()

	all := arrived(t, box)
	checkNoneThrottled(t, all)
	if c.refused > 0 {
		t.Errorf("refused were %v, want no calls", c.refusals)
	}
	for _, budget := range []struct {
		name  string
		limit int
		arrivals
	}{
		{"the token", tokenLimit, all},
		{"ListVehicles", listVehiclesLimit, all.with(func(l logLine) bool { return l.Path == "/fleet/vehicles" })},
	} {
		used := budget.between(from, to).share(budget.limit, to.Sub(from))
		if used < leastUse()*usable {
			t.Errorf("%.3f of the limit of %s was used, want at least %.3f", used, budget.name, leastUse()*usable)
		}
		t.Logf("%s: at most %d requests in a second; %.3f of the limit of %d was used in %v",
			budget.name, budget.most(), used, budget.limit, to.Sub(from).Round(time.Millisecond))
	}
	for i := range conns {
		t.Logf("gateway %d had %d calls", i, len(c.took[fmt.Sprintf("reader %d", i)])+len(c.took[fmt.Sprintf("lister %d", i)]))
	}
}

// TestTime_quotaRedisKilledUnderLoad kills the Redis of three gateways and starts it again. Without Redis
// each gateway keeps to a third of the limit. In the second in which Redis is lost, that third may come on
// top of what was used before.
func TestTime_quotaRedisKilledUnderLoad(t *testing.T) {
	t.Parallel()
	testenv.Alone(t)
	phase := overloadTime(t, 2)
	flag, usable := margin(t)
	redis := startRedis(t)
	box, flags := startSandbox(t)
	c, stop := newCallers(t), make(chan struct{})
	var admins []string
	for i := range 3 {
		_, at := startBefore(t, flags, flag, patientRedis, "--quota-redis="+redis.url(), "--quota-replicas=3")
		c.keep(stop, fmt.Sprintf("reader %d", i), 60, getContact(ready(t, at.GRPC, 1)[0]))
		admins = append(admins, at.Admin)
	}
	sharing := func() int {
		n := 0
		for _, admin := range admins {
			n += int(metric(t, admin, "samsara_gateway_quota_store_up"))
		}
		return n
	}
	eventually(t, "all share by Redis", func() bool { return sharing() == 3 })
	letPass(t, phase)
	killed := time.Now()
	redis.kill(t)
	letPass(t, phase)
	eventually(t, "none shares by a Redis that is dead", func() bool { return sharing() == 0 })
	restarted := time.Now()
	redis.start(t)
	eventually(t, "all share by Redis again", func() bool { return sharing() == 3 })
	recovered := time.Since(restarted)
	letPass(t, phase)
	stopped := time.Now()
	close(stop)
	c.Wait()

	all := arrived(t, box)
	if c.refused > 0 {
		t.Errorf("refused were %v, want no calls", c.refusals)
	}
	settled := killed.Add(time.Second)
	for _, test := range []struct {
		when     string
		from, to time.Time
		most     int
	}{
		{"with Redis", time.Time{}, killed, tokenLimit},
		{"as it was lost", killed.Add(-time.Second), settled.Add(time.Second), 2 * tokenLimit},
		{"without it and with it again", settled, stopped, tokenLimit},
	} {
		if got := all.between(test.from, test.to).most(); got > test.most {
			t.Errorf("%s there were %d requests in a second, want at most %d", test.when, got, test.most)
		} else {
			t.Logf("%s: at most %d requests in a second", test.when, got)
		}
	}
	alone := all.between(settled, restarted).share(tokenLimit, restarted.Sub(settled))
	t.Logf("%d calls, none failed; all shared by Redis again %v after its restart; without it they used %.3f of the limit, of %.3f that may be",
		c.succeeded, recovered.Round(time.Millisecond), alone, usable)
}

// TestTime_quotaOneGreedyCaller has one caller keep 100 calls in flight, and then nine more callers keep
// one each.
func TestTime_quotaOneGreedyCaller(t *testing.T) {
	t.Parallel()
	testenv.Alone(t)
	const modest = 9
	lasting := overloadTime(t, 4)
	flag, usable := margin(t)
	_, flags := startSandbox(t)
	_, at := startBefore(t, flags, flag)
	conns := ready(t, at.GRPC, 2)
	c, stop := newCallers(t), make(chan struct{})
	c.keep(stop, "greedy", 100, getContact(conns[0]))
	letPass(t, 1500*time.Millisecond) // until the limit left unused before is used up
	names := make([]string, modest)
	begun := time.Now()
	for i := range names {
		names[i] = fmt.Sprintf("modest %d", i)
		c.keep(stop, names[i], 1, getContact(conns[1]))
	}
	letPass(t, lasting)
	share := tokenLimit * usable / (modest + 1) * time.Since(begun).Seconds()
	close(stop)
	c.Wait()

	var took []time.Duration
	for _, name := range names {
		// A caller with one call at a time has none waiting while a busy machine brings it the answer. How
		// exactly callers share is tested in virtual time, by package quota.
		if got := float64(len(c.took[name])); got < share/4 {
			t.Errorf("%s had %v calls, want at least a quarter of a share of %.0f", name, got, share)
		}
		took = append(took, c.took[name]...)
	}
	if modest, greedy := percentile(took, 0.5), percentile(c.took["greedy"], 0.5); 2*modest > greedy {
		t.Errorf("half of the calls of the nine took %v, and of the greedy one %v: want at most half as long", modest, greedy)
	}
	t.Logf("a share is %.0f calls; nine callers had %.0f on average, which took %v at p50 and %v at p99; calls of the greedy caller took %v and %v",
		share, float64(len(took))/modest, percentile(took, 0.5), percentile(took, 0.99), percentile(c.took["greedy"], 0.5), percentile(c.took["greedy"], 0.99))
}

// TestTime_quota2000CallsAtOnce makes 2000 calls at once, none of which may wait.
func TestTime_quota2000CallsAtOnce(t *testing.T) {
	t.Parallel()
	testenv.Alone(t)
	const calls, limit, window = 2000, 100, 2 * time.Second
	box, flags := startSandbox(t)
	_, at := startBefore(t, flags, "--quota-limits=samsara_gateway.contacts.v1.*=100/s", "--quota-margin=100", // The margin doubles the window.
		"--quota-token-limit=none", "--quota-organization-limit=none", "--quota-max-wait=1ms")
	conns := ready(t, at.GRPC, 4)
	c := newCallers(t)
	begun := time.Now()
	for n := range calls {
		c.begin("service", getContact(conns[n%len(conns)]), n)
	}
	c.Wait()
	took := time.Since(begun)

	// There is more than one window only if the machine is very busy.
	windows := 1 + int(took/window)
	got := len(arrived(t, box))
	if got < limit || got > windows*limit || c.succeeded != got || c.refused != calls-got {
		t.Errorf("%d upstream requests in %v, %d calls succeeded and %d were refused; want %d requests for each window of %v, and as many calls",
			got, took, c.succeeded, c.refused, limit, window)
	}
	t.Logf("%d of %d calls reached the upstream in %v", got, calls, took.Round(time.Millisecond))
}

// TestTime_quotaPausedByA429 has one caller be answered 429, while others call.
func TestTime_quotaPausedByA429(t *testing.T) {
	t.Parallel()
	testenv.Alone(t)
	// A busy machine may delay requests by this much.
	const said, busy = 1250 * time.Millisecond, time.Second
	box, flags := startSandbox(t, "--fault=status=429; retry-after=1.25; nth=1; match=/fleet/vehicles")
	_, at := startBefore(t, flags)
	conn := ready(t, at.GRPC, 1)[0]
	c := newCallers(t)
	c.begin("first", listVehicles(conn), 0)
	awaitPause(t, at.Admin, "operation:samsara_gateway.vehicles.v1.VehiclesService/ListVehicles")
	c.begin("second", listVehicles(conn), 0)
	c.begin("other", getContact(conn), 0)
	c.Wait()
	if c.succeeded != 3 {
		t.Fatalf("%d calls succeeded, want 3", c.succeeded)
	}

	limited := arrived(t, box).with(func(l logLine) bool { return l.Path == "/fleet/vehicles" })
	if len(limited) != 3 || limited[0].Status != http.StatusTooManyRequests {
		t.Fatalf("the upstream received %+v, want a request answered 429 and two more", limited)
	}
	paused := limited[1].Time.Sub(limited[0].Time)
	first, second, other := c.took["first"][0], c.took["second"][0], c.took["other"][0]
	if paused < said || paused > said+busy || second > said+busy || other >= said {
		t.Errorf("the pause was %v, the other caller's call took %v and that of another operation %v; want %v, little more than that, and no pause",
			paused, second, other, said)
	}
	t.Logf("the pause was %v; the calls took %v and %v, and that of another operation %v", paused, first, second, other)
}

// TestTime_quotaResumesAfterA429 has many callers wait for the end of the pause of an operation that states
// no limit. One caller of another operation does not wait.
func TestTime_quotaResumesAfterA429(t *testing.T) {
	t.Parallel()
	testenv.Alone(t)
	// A quarter of the rate of the token is due soon after the pause. The test allows the whole rate,
	// because a busy machine may delay the first request. Without pacing all waiters would come at once.
	const waiters, said, soon, most = 100, time.Second, 200 * time.Millisecond, tokenLimit / 5
	box, flags := startSandbox(t, "--rate-limits", "--fault="+
		"status=429; retry-after=1; nth=1; match=/contacts/*, latency=50ms; match=/users/*")
	flag, _ := margin(t)
	_, at := startBefore(t, flags, flag)
	conns := ready(t, at.GRPC, 2)
	c, others, stop := newCallers(t), newCallers(t), make(chan struct{})
	c.begin("first", getContact(conns[0]), 0)
	awaitPause(t, at.Admin, "operation:samsara_gateway.contacts.v1.ContactsService/GetContact")
	for n := range waiters {
		c.begin("waiter", getContact(conns[0]), n)
	}
	others.keep(stop, "other", 1, getUser(conns[1]))
	c.Wait()
	close(stop)
	others.Wait()

	all := arrived(t, box)
	contacts := all.with(func(l logLine) bool { return strings.HasPrefix(l.Path, "/contacts/") })
	if len(contacts) != 1+1+waiters || contacts[0].Status != http.StatusTooManyRequests {
		t.Fatalf("the upstream received %d requests, first %+v; want one answered 429 and %d more", len(contacts), contacts[0], 1+waiters)
	}
	limited, contacts := contacts[0].Time, contacts[1:]
	checkNoneThrottled(t, contacts)
	resumed, last := contacts[0].Time, contacts[len(contacts)-1].Time
	if paused := resumed.Sub(limited); paused < said {
		t.Errorf("the pause was %v, want %v", paused, said)
	}
	early := len(contacts.between(resumed, resumed.Add(soon)))
	if early > most {
		t.Errorf("%d requests in the first %v after the pause, want at most %d", early, soon, most)
	}
	if slowest := percentile(others.took["other"], 1); slowest == 0 || slowest >= said {
		t.Errorf("another operation was called %d times, in at most %v; want less than %v", others.succeeded, slowest, said)
	}
	t.Logf("%d requests in the first %v after the pause, %d in %v; another operation was called %d times, in at most %v",
		early, soon, len(contacts), last.Sub(resumed).Round(time.Millisecond), others.succeeded, percentile(others.took["other"], 1))
}

// TestTime_quotaCountsWrittenRequests makes a burst of calls on connections that open slowly. Later calls
// use connections that are open. They would come too soon if the burst was counted before its connections
// were open. The limit is low and the margin wide, because so many handshakes at once keep the machine
// busy.
func TestTime_quotaCountsWrittenRequests(t *testing.T) {
	t.Parallel()
	testenv.Alone(t)
	const limit, calls = 30, 60
	for _, test := range []struct {
		gateways int
		opening  time.Duration // also longer than the token's window
	}{
		{1, 500 * time.Millisecond},
		{1, 1500 * time.Millisecond},
		{3, 500 * time.Millisecond},
		{3, 1500 * time.Millisecond},
	} {
		t.Run(fmt.Sprintf("%d gateways whose connections take %v", test.gateways, test.opening), func(t *testing.T) {
			t.Parallel()
			box, flags := startSandbox(t)
			url, cert := slowToOpen(t, box.await(t, "serving").Sandbox, test.opening)
			flags = append(flags, "--quota-margin=40", "--upstream-url="+url, fmt.Sprintf("--quota-token-limit=%d/s", limit))
			if test.gateways > 1 {
				flags = append(flags, patientRedis, "--quota-redis="+startRedis(t).url(), fmt.Sprintf("--quota-replicas=%d", test.gateways))
			}
			var conns []*grpc.ClientConn
			for range test.gateways {
				gateway := startIn(t, []string{"SSL_CERT_FILE=" + cert}, flags...)
				conns = append(conns, ready(t, gateway.await(t, "serving").GRPC, 1)...)
			}
			c := newCallers(t)
			begun := time.Now()
			for n := range calls {
				c.begin("service", getContact(conns[n%len(conns)]), n)
			}
			c.Wait()
			took := time.Since(begun)

			all := arrived(t, box)
			if len(all) != calls || c.succeeded != calls || all.most() > limit {
				t.Errorf("%d upstream requests, at most %d in a second, %d calls succeeded; want %d, at most %d, and all calls",
					len(all), all.most(), c.succeeded, calls, limit)
			}
			t.Logf("%d calls in %v, %d upstream requests, at most %d in a second", calls, took.Round(time.Millisecond), len(all), all.most())
		})
	}
}
