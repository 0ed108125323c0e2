package main

import (
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/proto"

	driversv1 "samsara.internal/gateway/gen/drivers/v1"
	tagsv1 "samsara.internal/gateway/gen/tags/v1"
	vehiclesv1 "samsara.internal/gateway/gen/vehicles/v1"
	"samsara.internal/gateway/internal/testenv"
)

// oneBad is an upstream at which everything works except one vehicle, and ids that fail once.
type oneBad struct {
	status atomic.Int64 // of the bad vehicle
	asked  atomic.Int64 // requests for the bad vehicle
	failed sync.Map     // ids that have failed once
}

func (u *oneBad) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	id := r.URL.Path[strings.LastIndex(r.URL.Path, "/")+1:]
	switch {
	case id == "bad":
		u.asked.Add(1)
		said{status: int(u.status.Load())}.say(w, r)
	case strings.HasPrefix(id, "once-") && u.fails(id):
		said{status: http.StatusServiceUnavailable}.say(w, r)
	default:
		_, _ = io.WriteString(w, `{"data":{"id":"1"}}`)
	}
}

func (u *oneBad) fails(id string) bool {
	_, before := u.failed.LoadOrStore(id, true)
	return !before
}

// poller is a caller that asks for the bad vehicle 50 times a second with four workers.
type poller struct {
	calls, refused atomic.Int64
	end            context.CancelFunc
	running        sync.WaitGroup
}

func startPoller(t *testing.T, conn *grpc.ClientConn) *poller {
	t.Helper()
	const workers, every = 4, 80 * time.Millisecond
	p := &poller{}
	var ctx context.Context
	ctx, p.end = context.WithCancel(t.Context())
	repeat(ctx, &p.running, workers, every, func(int) {
		err := getOne(context.WithoutCancel(ctx), conn, "poller", "bad")
		p.calls.Add(1)
		if v := verdictOf(err); v.reason == "UPSTREAM_CIRCUIT_OPEN" {
			p.refused.Add(1)
		}
	})
	t.Cleanup(p.stop)
	return p
}

func (p *poller) stop() {
	p.end()
	p.running.Wait()
}

// getOne gets a vehicle in the name of a caller. It shares its answer with no other call.
func getOne(ctx context.Context, conn *grpc.ClientConn, caller, id string, opts ...grpc.CallOption) error {
	ctx, cancel := context.WithTimeout(metadata.AppendToOutgoingContext(as(ctx, caller), "samsara-cache", "no-store"), patience)
	defer cancel()
	_, err := vehiclesv1.NewVehiclesServiceClient(conn).GetVehicle(ctx, &vehiclesv1.GetVehicleRequest{Id: &id}, opts...)
	return err
}

// TestCircuit_oneCallerFailsAlone has one caller get a vehicle that always fails: first with 500, which is
// about the request alone, then with 503.
func TestCircuit_oneCallerFailsAlone(t *testing.T) {
	t.Parallel()
	const callers, calls, retried = 20, 25, 5
	up := &oneBad{}
	up.status.Store(http.StatusInternalServerError)
	conn, _ := connectBefore(t, up, "--quota=false", "--retry-base-delay=1ms")
	began := time.Now()
	bad := startPoller(t, conn)

	// others makes calls of other callers, to the same method and to others, and calls of the poller to
	// another method.
	others := func(phase string) {
		var refused, failed atomic.Int64
		var firstErr atomic.Value
		made := func(err error) {
			if err == nil {
				return
			}
			failed.Add(1)
			firstErr.CompareAndSwap(nil, err.Error())
			if verdictOf(err).reason == "UPSTREAM_CIRCUIT_OPEN" {
				refused.Add(1)
			}
		}
		var all sync.WaitGroup
		for n := range callers {
			all.Go(func() {
				name := fmt.Sprintf("caller %d", n)
				for range calls {
					ctx := as(waiting(t), name)
					made(getOne(ctx, conn, name, fmt.Sprint("good-", n)))
					_, err := driversv1.NewDriversServiceClient(conn).GetDriver(ctx, &driversv1.GetDriverRequest{Id: proto.String("good")})
					made(err)
					_, err = tagsv1.NewTagsServiceClient(conn).CreateTag(ctx, &tagsv1.CreateTagRequest{Name: proto.String("good")})
					made(err)
				}
				_, err := driversv1.NewDriversServiceClient(conn).GetDriver(as(waiting(t), "poller"), &driversv1.GetDriverRequest{Id: proto.String("good")})
				made(err)
			})
		}
		all.Wait()
		t.Logf("%s: of %d calls of others %d were refused, %d failed; %d calls of the poller, %d of them refused, %d upstream requests",
			phase, callers*(3*calls+1), refused.Load(), failed.Load(), bad.calls.Load(), bad.refused.Load(), up.asked.Load())
		if failed.Load() > 0 {
			t.Errorf("%s: of %d calls of others %d were refused by the circuit and %d failed in all, the first with %v; want none",
				phase, callers*(3*calls+1), refused.Load(), failed.Load(), firstErr.Load())
		}
		// The other callers have retry budgets of their own.
		for n := range retried {
			var header metadata.MD
			err := getOne(t.Context(), conn, fmt.Sprintf("caller %d", n), fmt.Sprintf("once-%s-%d", phase, n), grpc.Header(&header))
			if attempts := strings.Join(header.Get("samsara-attempts"), " "); err != nil || attempts != "2" {
				t.Errorf("%s: a vehicle that fails once: got %v in %s attempts, want success in 2", phase, verdictOf(err), attempts)
			}
		}
	}

	eventually(t, "the poller has asked often", func() bool { return up.asked.Load() >= 60 || bad.refused.Load() >= 60 })
	others("500")
	if n := bad.refused.Load(); n > 0 {
		t.Errorf("%d calls of the poller were refused, want none while the answer is 500", n)
	}
	checkRetries(t, up.asked.Load(), bad.calls.Load(), time.Since(began))

	up.status.Store(http.StatusServiceUnavailable)
	before := bad.refused.Load()
	eventually(t, "the poller is refused", func() bool { return bad.refused.Load() > before })
	others("503")
	bad.stop()
	checkRetries(t, up.asked.Load(), bad.calls.Load(), time.Since(began))
}

// checkRetries checks that there were no more retries than docs/errors.md allows: ten in ten seconds, and
// one more for every ten calls. Each period of ten seconds that has begun allows as many.
func checkRetries(t *testing.T, asked, calls int64, lasted time.Duration) {
	t.Helper()
	windows := 1 + int64(lasted/(10*time.Second))
	if most := calls + 4 + windows*10 + calls/10; asked > most { // 4 calls may be under way
		t.Errorf("%d calls made %d requests in %v, want at most %d", calls, asked, lasted.Round(time.Millisecond), most)
	}
}

// TestCircuit_oneCallerWithManyNames has a caller fill the table of circuits with a new name for each of
// its calls, and open the circuit that the rest of the operation shares.
func TestCircuit_oneCallerWithManyNames(t *testing.T) {
	t.Parallel()
	const names, workers = 1100, 50
	up := &oneBad{}
	up.status.Store(http.StatusServiceUnavailable)
	conn, _ := connectBefore(t, up, "--quota=false", "--retry-max-attempts=1")
	var next, refused atomic.Int64
	var running sync.WaitGroup
	for range workers {
		running.Go(func() {
			for n := next.Add(1); n <= names; n = next.Add(1) {
				if v := verdictOf(getOne(t.Context(), conn, fmt.Sprintf("name %d", n), "bad")); v.reason == "UPSTREAM_CIRCUIT_OPEN" {
					refused.Add(1)
				}
			}
		})
	}
	running.Wait()
	if refused.Load() == 0 {
		t.Fatal("the table is not full: every name has a circuit of its own")
	}
	tags := tagsv1.NewTagsServiceClient(conn)
	for name, call := range map[string]tagCall{"GetTag": readTag, "CreateTag": createTag, "DeleteTag": deleteTag} {
		if err := call(as(t.Context(), "another"), tags, "good"); err != nil {
			t.Errorf("%s of another caller: %v", name, err)
		}
	}
}

// TestTime_circuitUpstreamGone stops the upstream, and starts it again.
func TestTime_circuitUpstreamGone(t *testing.T) {
	t.Parallel()
	testenv.Alone(t)
	const callers, every = 20, 100 * time.Millisecond
	port := testenv.Port(t)
	serve := func() *http.Server {
		listener, err := net.Listen("tcp", net.JoinHostPort("127.0.0.1", port))
		if err != nil {
			t.Fatal(err)
		}
		server := &http.Server{Handler: &oneBad{}, ReadHeaderTimeout: patience}
		served := make(chan struct{})
		go func() {
			defer close(served)
			_ = server.Serve(listener)
		}()
		t.Cleanup(func() {
			_ = server.Close()
			<-served
		})
		return server
	}
	server := serve()
	at := startAgainst(t, "127.0.0.1:"+port, "--quota=false")
	conn := connect(t, at.GRPC, insecure.NewCredentials())
	var refused, succeeded, failed atomic.Int64
	var running sync.WaitGroup
	ctx, cancel := context.WithCancel(t.Context())
	defer running.Wait()
	defer cancel()
	repeat(ctx, &running, callers, every, func(n int) {
		switch v := verdictOf(getOne(context.WithoutCancel(ctx), conn, fmt.Sprintf("caller %d", n), "good")); {
		case v.code == codes.OK:
			succeeded.Add(1)
		case v.reason == "UPSTREAM_CIRCUIT_OPEN" && v.code == codes.Unavailable && v.waitKnown:
			refused.Add(1)
		case v.reason == "UPSTREAM_UNREACHABLE" || v.reason == "UPSTREAM_RESET" || v.reason == "UPSTREAM_TRUNCATED":
			failed.Add(1)
		default:
			t.Errorf("got %v", v)
		}
	})
	eventually(t, "calls succeed", func() bool { return succeeded.Load() > callers })
	if err := server.Close(); err != nil {
		t.Fatal(err)
	}
	took := within(t, 2*time.Second, "calls are refused", func() bool { return refused.Load() > 0 })
	t.Logf("the first call was refused after %v, when %d had failed", took.Round(time.Millisecond), failed.Load())
	// The whole host is gone, for every caller and every operation.
	eventually(t, "a caller that has not failed is refused", func() bool {
		_, err := tagsv1.NewTagsServiceClient(conn).GetTag(as(waiting(t), "somebody else"), &tagsv1.GetTagRequest{Id: proto.String("1")})
		return verdictOf(err).reason == "UPSTREAM_CIRCUIT_OPEN"
	})
	serve()
	began, before := time.Now(), succeeded.Load()
	eventually(t, "calls succeed again", func() bool { return succeeded.Load() >= before+callers })
	t.Logf("calls succeeded again after %v; %d were refused, %d failed", time.Since(began).Round(time.Millisecond), refused.Load(), failed.Load())
}

// TestCircuit_failuresOfManyCallers has 30 callers whose calls fail a few times each, all with an answer of
// Samsara. The host answers, so no call is refused.
func TestCircuit_failuresOfManyCallers(t *testing.T) {
	t.Parallel()
	const callers, calls = 30, 4
	up := &oneBad{}
	up.status.Store(http.StatusBadGateway)
	conn, _ := connectBefore(t, up, "--quota=false", "--retry-max-attempts=1")
	var refused atomic.Int64
	var all sync.WaitGroup
	for n := range callers {
		all.Go(func() {
			for range calls {
				if v := verdictOf(getOne(t.Context(), conn, fmt.Sprintf("caller %d", n), "bad")); v.reason != "BAD_GATEWAY" {
					refused.Add(1)
				}
			}
		})
	}
	all.Wait()
	if n := refused.Load(); n > 0 {
		t.Errorf("%d of %d calls were refused, want all answered", n, callers*calls)
	}
	if err := getOne(t.Context(), conn, "somebody else", "good"); status.Code(err) != codes.OK {
		t.Errorf("a call that should succeed: %v", verdictOf(err))
	}
}
