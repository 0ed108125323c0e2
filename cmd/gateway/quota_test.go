package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"os"
	"slices"
	"strconv"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"
	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials/insecure"

	assetsv1 "samsara.internal/gateway/gen/assets/v1"
	reportsv1 "samsara.internal/gateway/gen/reports/v1"
	vehiclesv1 "samsara.internal/gateway/gen/vehicles/v1"
	"samsara.internal/gateway/internal/admin"
	"samsara.internal/gateway/internal/config"
	"samsara.internal/gateway/internal/quota"
	"samsara.internal/gateway/internal/testenv"
)

// serveHTTP serves a handler until the test ends, and returns its address.
func serveHTTP(t *testing.T, h http.Handler) string {
	t.Helper()
	s := httptest.NewServer(h)
	t.Cleanup(s.Close)
	return s.Listener.Addr().String()
}

// serveState serves states of the quota as a gateway does, until the test ends, and returns the address.
func serveState(t *testing.T, all map[string]quota.Snapshot) string {
	t.Helper()
	l, err := listen(t.Context(), "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	server := admin.New(admin.Config{
		Metrics: http.NotFoundHandler(),
		Quotas:  func() map[string]quota.Snapshot { return all },
		Logger:  slog.New(slog.DiscardHandler),
	})
	served := make(chan error, 1)
	go func() { served <- server.Serve(l) }()
	t.Cleanup(func() {
		if err := errors.Join(server.Shutdown(context.WithoutCancel(t.Context())), <-served); err != nil {
			t.Error(err)
		}
	})
	return l.Addr().String()
}

func TestQuotaCommand_table(t *testing.T) {
	t.Parallel()
	budgets := []quota.BudgetState{
		{Name: "token", Limit: quota.Limit{Requests: 150, Window: time.Second}, Effective: 150, Used: 20, Waiting: 7, Admitted: 900},
		{Name: "organization"},
		{
			Name: "operation:samsara_gateway.vehicles.v1.VehiclesService/ListVehicles", Limit: quota.Limit{Requests: 100, Window: time.Minute},
			Effective: 33.3333, Used: 33, Waiting: 7, Oldest: 2345678 * time.Microsecond, Admitted: 33, Throttled: 2,
		},
		{Name: "operation:samsara_gateway.tags.v1.TagsService/GetTag", Limit: quota.Limit{Requests: 10, Window: 30 * time.Second}, Effective: 8},
	}
	waiters := []quota.WaiterState{
		{Caller: "billing", Budget: "operation:samsara_gateway.vehicles.v1.VehiclesService/ListVehicles", Count: 6, Oldest: 2345678 * time.Microsecond},
		{Caller: "no\x1b[2Jise", Batch: true, Budget: "token", Count: 1, Oldest: 40 * time.Millisecond},
		{Caller: "feeds", Count: 2, Oldest: 30 * time.Millisecond},
	}
	const table = `BUDGET                                                              LIMIT    EFFECTIVE  USED  WAITING  OLDEST  429s  PAUSED
token                                                               150/s    150        20    7        -       0     -
organization                                                        none     -          0     0        -       0     -
operation:samsara_gateway.vehicles.v1.VehiclesService/ListVehicles  100/min  33.3       33    7        2.346s  2     -
operation:samsara_gateway.tags.v1.TagsService/GetTag                10/30s   8          0     0        -       0     -

CALLER     PRIORITY     WAITING  OLDEST  FOR
billing    interactive  6        2.346s  operation:samsara_gateway.vehicles.v1.VehiclesService/ListVehicles
no�[2Jise  batch        1        40ms    token
feeds      interactive  2        30ms    retry

`
	for name, test := range map[string]struct {
		store quota.StoreState
		want  string
	}{
		"without a store": {quota.StoreState{}, "The budgets are this gateway's own: there is no store.\n"},
		"while the store answers": {
			quota.StoreState{Configured: true, Up: true, Replicas: 3, Lost: 1},
			"The budgets are shared through the store; replicas: 3, times lost: 1.\n",
		},
		"while the store is away": {
			quota.StoreState{Configured: true, Replicas: 3, Lost: 2, Err: errors.New("quota: redis: refused")},
			"The store is away: a local share (1/3) of each budget is used; times lost: 2.\nquota: redis: refused\n",
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			at := serveState(t, map[string]quota.Snapshot{"default": {Waiting: 7, Budgets: budgets, Waiters: waiters, Store: test.store}})
			var out strings.Builder
			if err := run(t.Context(), []string{"quota", "--admin", at}, nil, nil, &out, nil); err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(table+test.want, out.String()); diff != "" {
				t.Errorf("(-want +got):\n%s", diff)
			}
		})
	}
}

func TestQuotaCommand_pause(t *testing.T) {
	t.Parallel()
	var out strings.Builder
	state := admin.Quota{Budgets: []admin.Budget{{Name: "token", PausedSeconds: 62.345}}}
	if err := writeQuota(&out, state); err != nil {
		t.Fatal(err)
	}
	if want := "1m2.345s\n"; !strings.Contains(out.String(), want) {
		t.Errorf("got %s, want %q in it", out.String(), want)
	}
}

func TestQuotaCommand_organizations(t *testing.T) {
	t.Parallel()
	of := func(used int) quota.Snapshot {
		return quota.Snapshot{Budgets: []quota.BudgetState{{Name: "token", Limit: quota.Limit{Requests: 9, Window: time.Second}, Used: used}}}
	}
	at := serveState(t, map[string]quota.Snapshot{"south": of(2), "north": of(1)})
	const (
		north = "BUDGET  LIMIT  EFFECTIVE  USED  WAITING  OLDEST  429s  PAUSED\ntoken   9/s    0          1     0        -       0     -\n\nThe budgets are this gateway's own: there is no store.\n"
		south = "BUDGET  LIMIT  EFFECTIVE  USED  WAITING  OLDEST  429s  PAUSED\ntoken   9/s    0          2     0        -       0     -\n\nThe budgets are this gateway's own: there is no store.\n"
	)
	for _, test := range []struct {
		args []string
		want string
	}{
		{nil, "ORGANIZATION north\n" + north + "\nORGANIZATION south\n" + south},
		{[]string{"--organization=south"}, south},
	} {
		var out strings.Builder
		if err := run(t.Context(), append([]string{"quota", "--admin", at}, test.args...), nil, nil, &out, nil); err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(test.want, out.String()); diff != "" {
			t.Errorf("%q (-want +got):\n%s", test.args, diff)
		}
	}
	err := run(t.Context(), []string{"quota", "--admin", at, "--organization=east"}, nil, nil, io.Discard, nil)
	if want := "the gateway at " + at + ` has no quota, or no organization "east": /quota answers 404 Not Found`; err == nil || err.Error() != want {
		t.Errorf("an organization that there is not: %v, want %s", err, want)
	}
}

func TestQuotaCommand_json(t *testing.T) {
	t.Parallel()
	const answer = `{"waiting": 1, "newer": true}`
	at := serveHTTP(t, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path != "/quota" {
			t.Errorf("%s was requested, want /quota", r.URL.Path)
		}
		fmt.Fprintln(w, answer)
	}))
	var out strings.Builder
	if err := run(t.Context(), []string{"quota", "--admin", at, "--format=json"}, nil, nil, &out, nil); err != nil {
		t.Fatal(err)
	}
	if want := answer + "\n"; out.String() != want {
		t.Errorf("got %q, want %q", out.String(), want)
	}
}

func TestQuotaCommand_unusableAnswer(t *testing.T) {
	t.Parallel()
	gone := httptest.NewServer(http.NotFoundHandler())
	gone.Close()
	for name, test := range map[string]struct {
		at   string
		want string
	}{
		"nobody listens":     {gone.Listener.Addr().String(), "no gateway answers at ADDRESS: "},
		"there is no quota":  {serveHTTP(t, http.NotFoundHandler()), "the gateway at ADDRESS has no quota: /quota answers 404 Not Found"},
		"another status":     {serveHTTP(t, answerWith(http.StatusServiceUnavailable, "")), "the gateway at ADDRESS does not return its quota: /quota answers 503 Service Unavailable"},
		"another kind":       {serveHTTP(t, answerWith(http.StatusOK, "<html>")), "the answer of ADDRESS is not the state of a quota: invalid character '<'"},
		"an answer too long": {serveHTTP(t, answerWith(http.StatusOK, strings.Repeat(" ", maxQuotaBytes+1))), "the answer of ADDRESS: http: request body too large"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			var out strings.Builder
			err := run(t.Context(), []string{"quota", "--admin", test.at}, nil, nil, &out, nil)
			want := strings.ReplaceAll(test.want, "ADDRESS", test.at)
			if err == nil || !strings.HasPrefix(err.Error(), want) || out.Len() > 0 {
				t.Errorf("got %v and %q, want the error %q", err, out.String(), want)
			}
			var usage *config.Error
			if errors.As(err, &usage) {
				t.Error("the error is one of the command line")
			}
		})
	}
}

func TestQuotaCommand_unusedBudgets(t *testing.T) {
	t.Parallel()
	full := quota.Snapshot{Budgets: []quota.BudgetState{
		{Name: "token"},
		{Name: "organization"},
		{Name: "operation:idle", Limit: quota.Limit{Requests: 5, Window: time.Second}, Effective: 5},
		{Name: "operation:admitted", Admitted: 1},
		{Name: "operation:waiting", Waiting: 1},
		{Name: "operation:throttled", Throttled: 1},
		{Name: "operation:paused", PausedUntil: time.Unix(1, 0)},
	}}
	var names []string
	for _, b := range inUse(func() quota.Snapshot { return full })().Budgets {
		names = append(names, b.Name)
	}
	want := []string{"token", "organization", "operation:admitted", "operation:waiting", "operation:throttled", "operation:paused"}
	if diff := cmp.Diff(want, names); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}

// silence is a gateway that never answers.
type silence struct{}

func (silence) RoundTrip(r *http.Request) (*http.Response, error) {
	<-r.Context().Done()
	return nil, r.Context().Err()
}

func TestQuotaCommand_noAnswer(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		began := time.Now()
		_, err := askQuota(t.Context(), silence{}, quotaWanted{scheme: "http://", address: "127.0.0.1:9464"})
		if waited := time.Since(began); !errors.Is(err, context.DeadlineExceeded) || waited != quotaPatience {
			t.Errorf("got %v after %v, want DeadlineExceeded after %v", err, waited, quotaPatience)
		}
	})
}

func TestQuotaCommand_runningGateway(t *testing.T) {
	t.Parallel()
	_, at := startSandboxed(t)
	conn := connect(t, at.GRPC, insecure.NewCredentials())
	if _, err := vehiclesv1.NewVehiclesServiceClient(conn).ListVehicles(t.Context(), &vehiclesv1.ListVehiclesRequest{}); err != nil {
		t.Fatal(err)
	}
	table, err := output(t, "gateway", "quota", "--admin", at.Admin)
	if err != nil {
		t.Fatal(err, table)
	}
	var budgets []string
	for line := range strings.Lines(table) {
		if fields := strings.Fields(line); len(fields) == 8 {
			budgets = append(budgets, fields[0]+" "+fields[1])
		}
	}
	want := []string{
		"BUDGET LIMIT", "token 150/s", "organization 200/s",
		"operation:samsara_gateway.vehicles.v1.VehiclesService/ListVehicles 25/s",
	}
	if diff := cmp.Diff(want, budgets); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
	for name, labels := range map[string][]string{
		"samsara_gateway_quota_admitted_total": {`budget="token"`},
		"samsara_gateway_reads_total":          {`source="upstream"`},
		"samsara_gateway_upstream_circuit":     {`state="closed"`},
	} {
		if got := metric(t, at.Admin, name, labels...); got != 1 {
			t.Errorf("%s is %v, want 1", name, got)
		}
	}
}

// createAsset may be called 100 times a minute.
func createAsset(conn *grpc.ClientConn) call {
	return func(ctx context.Context, _ int) error {
		_, err := assetsv1.NewAssetsServiceClient(conn).CreateAsset(ctx, &assetsv1.CreateAssetRequest{})
		return err
	}
}

// createReportRun may be called 50 times an hour.
func createReportRun(conn *grpc.ClientConn) call {
	return func(ctx context.Context, _ int) error {
		_, err := reportsv1.NewReportsServiceClient(conn).CreateReportRun(ctx, &reportsv1.CreateReportRunRequest{
			ReportConfig: &reportsv1.ReportConfigInput{},
		})
		return err
	}
}

// TestQuota_wholeLimitAtOnce calls operations with long windows at once: as often as their limit allows,
// and once more. It does so at one gateway, and at two on one Redis.
func TestQuota_wholeLimitAtOnce(t *testing.T) {
	t.Parallel()
	for name, test := range map[string]struct {
		call            func(*grpc.ClientConn) call
		calls, admitted int
	}{
		"CreateReportRun, 50 an hour":             {createReportRun, 5, 5},
		"CreateAsset, 100 a minute":               {createAsset, 20, 20},
		"CreateAsset, 100 a minute, and one more": {createAsset, 101, 100},
	} {
		for gateways, with := range map[int]string{1: "in one process", 2: "by Redis"} {
			t.Run(name+" "+with, func(t *testing.T) {
				t.Parallel()
				box, flags := startSandbox(t, "--rate-limits")
				if gateways > 1 {
					flags = append(flags, patientRedis, "--quota-redis="+startRedis(t).url(), fmt.Sprintf("--quota-replicas=%d", gateways))
				}
				var conns []*grpc.ClientConn
				for range gateways {
					_, at := startBefore(t, flags)
					conns = append(conns, ready(t, at.GRPC, 1)...)
				}
				c := newCallers(t)
				for n := range test.calls {
					c.begin("service", test.call(conns[n%len(conns)]), n)
				}
				c.Wait()
				if c.succeeded != test.admitted || c.refused != test.calls-test.admitted {
					t.Errorf("of %d calls at once %d succeeded and %d were refused, by %v; want %d and %d",
						test.calls, c.succeeded, c.refused, c.refusals, test.admitted, test.calls-test.admitted)
				}
				checkNoneThrottled(t, arrived(t, box))
			})
		}
	}
}

// TestQuota_callsWaitForRetryAfter asks for the state while calls wait for the end of a Retry-After: the
// calls that were answered with it, and later ones.
func TestQuota_callsWaitForRetryAfter(t *testing.T) {
	t.Parallel()
	const operation = "operation:samsara_gateway.contacts.v1.ContactsService/GetContact"
	for name, test := range map[string]struct {
		status          int
		answered, after int
	}{
		"429, which pauses the operation": {http.StatusTooManyRequests, 8, 8},
		"503, which pauses nobody":        {http.StatusServiceUnavailable, 8, 0},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			// All requests are sent before the first is answered and pauses the others.
			_, flags := startSandbox(t, fmt.Sprintf("--fault=status=%d; retry-after=8; latency=2s; first=%d; match=/contacts/*", test.status, test.answered))
			gateway, at := startBefore(t, flags, "--log-level=debug")
			conn := ready(t, at.GRPC, 1)[0]
			c := newCallers(t)
			for n := range test.answered {
				c.begin("report", getContact(conn), n)
			}
			eventually(t, "the calls are answered", func() bool {
				lines, _, _ := gateway.log()
				return len(arrivals(lines).with(func(l logLine) bool { return l.Message == "upstream attempt failed" })) == test.answered
			})
			if test.after > 0 {
				awaitPause(t, at.Admin, operation)
			}
			for n := range test.after {
				c.begin("report", getContact(conn), test.answered+n)
			}
			want, got := test.answered+test.after, state{}
			eventually(t, "the calls that wait are shown", func() bool {
				got = stateOf(t, at.Admin)
				return got.waiting(operation) == want
			})
			if got.waiting("token") != want || got.waiting("report interactive") != want {
				t.Errorf("want %d calls that wait for the token, and as many of the caller:\n%s", want, got)
			}
			c.Wait()
			if got := stateOf(t, at.Admin); c.succeeded != want || got.waiting(operation) != 0 {
				t.Errorf("%d calls succeeded, want %d and no call that waits:\n%s", c.succeeded, want, got)
			}
		})
	}
}

// state has the lines that gateway quota prints for a running gateway.
type state []string

func stateOf(t *testing.T, admin string) state {
	t.Helper()
	table, err := output(t, "gateway", "quota", "--admin", admin)
	if err != nil {
		t.Fatal(err, table)
	}
	return strings.Split(table, "\n")
}

func (s state) String() string { return strings.Join(s, "\n") }

// waiting returns the sum of the column WAITING in the rows that begin with some words.
func (s state) waiting(words string) int {
	column, sum := 0, 0
	for _, line := range s {
		fields := strings.Fields(line)
		if at := slices.Index(fields, "WAITING"); at >= 0 {
			column = at
		} else if strings.HasPrefix(strings.Join(fields, " "), words+" ") {
			n, err := strconv.Atoi(fields[column])
			if err != nil {
				return -1
			}
			sum += n
		}
	}
	return sum
}

func TestQuota_effectiveLimit(t *testing.T) {
	t.Parallel()
	_, at := startSandboxed(t, "--quota-margin=100")
	conn := ready(t, at.GRPC, 1)[0]
	if err := listVehicles(conn)(t.Context(), 0); err != nil {
		t.Fatal(err)
	}
	table, err := output(t, "gateway", "quota", "--admin", at.Admin)
	if err != nil {
		t.Fatal(err, table)
	}
	var rows []string
	for line := range strings.Lines(table) {
		if fields := strings.Fields(line); len(fields) == 8 {
			rows = append(rows, strings.Join(fields[:3], " "))
		}
	}
	want := []string{
		"BUDGET LIMIT EFFECTIVE", "token 150/s 75", "organization 200/s 100",
		"operation:samsara_gateway.vehicles.v1.VehiclesService/ListVehicles 25/s 12.5",
	}
	if diff := cmp.Diff(want, rows); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}

// TestTime_quotaUpgradeOnOneRedis replaces two gateways of an older build on one Redis by two of this
// build, one after the other, under constant load. The older build has the earlier names of the surface,
// also in the budgets of operations. Each build has its own budgets for these.
func TestTime_quotaUpgradeOnOneRedis(t *testing.T) {
	t.Parallel()
	testenv.Alone(t)
	peer := os.Getenv("SAMSARA_TEST_PEER")
	if peer == "" {
		t.Skip("needs SAMSARA_TEST_PEER: the gateway to replace, built from the last commit with version 1 of the format in Redis, d0e5661")
	}
	// Version 1 admits 5 requests at once, and one every 200 ms.
	const slow, window, phase = 20, 4 * time.Second, 5 * time.Second
	box, flags := startSandbox(t)
	// The margin allows for stops of the machine, as in the other tests.
	flag, _ := margin(t)
	flags = append(flags, flag, patientRedis, "--quota-redis="+startRedis(t).url(), "--quota-replicas=2",
		fmt.Sprintf("--quota-limits=samsara*.trailers.v1.TrailersService/UpdateTrailer=%d/%v", slow, window))
	c := newCallers(t)
	// run starts a gateway under load. rest ends the load, and end stops the gateway.
	run := func(path string) (conn *grpc.ClientConn, rest, end func()) {
		p := startCommand(t, nil, append([]string{path}, flags...)...)
		address := p.await(t, "serving").GRPC
		conn = ready(t, address, 1)[0]
		if path == peer {
			conn = connect(t, address, insecure.NewCredentials(), grpc.WithUnaryInterceptor(byEarlierName))
		}
		load, stop := newCallers(t), make(chan struct{})
		load.keep(stop, "writer", 4, renameTrailer(conn))
		load.keep(stop, "lister", 4, listVehicles(conn))
		load.keep(stop, "reader", 8, getContact(conn))
		return conn, func() {
			close(stop)
			load.Wait()
			c.succeeded, c.refused = c.succeeded+load.succeeded, c.refused+load.refused
		}, func() { p.stop(t) }
	}
	this := testenv.Tool(t, "gateway")
	_, restFirst, endFirst := run(peer)
	_, restSecond, endSecond := run(peer)
	letPass(t, phase)
	third, restThird, endThird := run(this)
	letPass(t, phase)
	restFirst()
	endFirst()
	letPass(t, phase)
	fourth, restFourth, endFourth := run(this)
	letPass(t, phase)
	restSecond()
	endSecond()
	letPass(t, 3*phase)
	restThird()
	restFourth()
	letPass(t, 2*window)
	// Version 1 would need 3 s for these.
	begun := time.Now()
	for n := range slow {
		c.begin("at once", renameTrailer([]*grpc.ClientConn{third, fourth}[n%2]), n)
	}
	c.Wait()
	if took := time.Since(begun); took > 2*time.Second {
		t.Errorf("after the upgrade %d writes at once took %v, want at most 2s", slow, took)
	}
	endThird()
	endFourth()
	if c.refused > 0 {
		t.Errorf("%d calls of %d were refused by the quota, want none", c.refused, c.refused+c.succeeded)
	}
	all := arrived(t, box)
	writes := all.with(func(l logLine) bool { return strings.HasPrefix(l.Path, "/fleet/trailers/") })
	lists := all.with(func(l logLine) bool { return l.Path == "/fleet/vehicles" })
	const builds = 2
	if got := writes.mostIn(window); got > builds*slow {
		t.Errorf("%d writes in %v, want at most %d by each build", got, window, slow)
	}
	if got := lists.most(); got > builds*listVehiclesLimit {
		t.Errorf("%d lists in a second, want at most %d by each build", got, listVehiclesLimit)
	}
	if got := all.most(); got > tokenLimit {
		t.Errorf("%d requests in a second, want at most %d", got, tokenLimit)
	}
	lasted := all[len(all)-1].Time.Sub(all[0].Time)
	t.Logf("%d calls in %v; at most %d writes in %v of %d, %d lists and %d requests in a second",
		c.succeeded, lasted.Round(time.Millisecond), writes.mostIn(window), window, len(writes), lists.most(), all.most())
}

// byEarlierName calls a method by the name that it had before the packages of the surface were renamed.
func byEarlierName(ctx context.Context, method string, req, reply any, conn *grpc.ClientConn, invoke grpc.UnaryInvoker, opts ...grpc.CallOption) error {
	return invoke(ctx, strings.Replace(method, "/samsara_gateway.", "/samsara.", 1), req, reply, conn, opts...)
}

func TestQuotaCommand_noQuota(t *testing.T) {
	t.Parallel()
	_, at := startSandboxed(t, "--quota=false")
	out, err := output(t, "gateway", "quota", "--admin", at.Admin)
	want := "gateway: the gateway at " + at.Admin + " has no quota: /quota answers 404 Not Found\n"
	if err == nil || out != want {
		t.Errorf("got %q, %v, want %q and a failure", out, err, want)
	}
}

func TestQuota_redisUnreachable(t *testing.T) {
	t.Parallel()
	const password = "a-secret-of-redis"
	p, at := startSandboxed(t, "--quota-redis=redis://:"+password+"@127.0.0.1:1", "--quota-replicas=3")
	if line := p.await(t, "the store of the quota is away: a local share is used"); line.Level != "WARN" {
		t.Errorf("the line has level %s, want WARN", line.Level)
	}
	conn := connect(t, at.GRPC, insecure.NewCredentials())
	if _, err := vehiclesv1.NewVehiclesServiceClient(conn).ListVehicles(t.Context(), &vehiclesv1.ListVehiclesRequest{}); err != nil {
		t.Error(err)
	}
	out, err := output(t, "gateway", "quota", "--admin", at.Admin)
	if want := "The store is away: a local share (1/3) of each budget is used; times lost: 0.\nquota: redis: "; err != nil || !strings.Contains(out, want) {
		t.Errorf("got %q, %v, want %q in it", out, err, want)
	}
	_, text, _ := p.log()
	if strings.Contains(text+out, password) {
		t.Errorf("the password is in:\n%s\n%s", text, out)
	}
}
