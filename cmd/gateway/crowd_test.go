package main

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"google.golang.org/genproto/googleapis/rpc/errdetails"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/credentials/insecure"
	healthv1 "google.golang.org/grpc/health/grpc_health_v1"
	reflectionv1 "google.golang.org/grpc/reflection/grpc_reflection_v1"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/proto"

	vehiclesv1 "samsara.internal/gateway/gen/vehicles/v1"
	"samsara.internal/gateway/internal/testenv"
)

// heldUpstream answers when let is closed, and counts the requests that wait for that.
type heldUpstream struct {
	waiting atomic.Int64
	let     chan struct{}
}

// startHeld runs a heldUpstream and returns it with the flags of a gateway before it.
func startHeld(t *testing.T) (*heldUpstream, []string) {
	t.Helper()
	u := &heldUpstream{let: make(chan struct{})}
	url := "http://" + serveHTTP(t, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		u.waiting.Add(1)
		defer u.waiting.Add(-1)
		select {
		case <-u.let:
		case <-r.Context().Done():
			return
		}
		w.Header().Set("Content-Type", "application/json")
		// The gateway may have gone.
		_, _ = io.WriteString(w, `{"data":[{"id":"1"}],"pagination":{"endCursor":"","hasNextPage":false}}`)
	}))
	return u, flagsBefore(t, url)
}

// TestConcurrentCalls_ofManyConnections has 50 clients make many more calls at a time than the gateway may
// run, while the upstream answers none.
func TestConcurrentCalls_ofManyConnections(t *testing.T) {
	t.Parallel()
	testenv.Processes(t)
	const limit, connections, each = 100, 50, 40
	upstream, flags := startHeld(t)
	_, at := startBefore(t, flags, fmt.Sprintf("--max-concurrent-calls=%d", limit))
	ctx, cancel := context.WithTimeout(t.Context(), 2*patience)
	defer cancel()

	// Each call asks for another page, because calls for one page share a request.
	list := func(n int) *vehiclesv1.ListVehiclesRequest {
		return &vehiclesv1.ListVehiclesRequest{After: proto.String(cursorOf(1, n))}
	}
	var refused, served atomic.Int64
	var all sync.WaitGroup
	ended := func(err error) {
		if err == nil {
			served.Add(1)
			return
		}
		refused.Add(1)
		reason, domain, wait := "", "", time.Duration(0)
		for _, detail := range status.Convert(err).Details() {
			switch detail := detail.(type) {
			case *errdetails.ErrorInfo:
				reason, domain = detail.GetReason(), detail.GetDomain()
			case *errdetails.RetryInfo:
				wait = detail.GetRetryDelay().AsDuration()
			}
		}
		if status.Code(err) != codes.ResourceExhausted || reason == "" || domain == "" || wait <= 0 {
			t.Errorf("got %v, reason %q of %q and a wait of %v, want ResourceExhausted and a reason, a domain and a wait", err, reason, domain, wait)
		}
	}
	for c := range connections {
		client := vehiclesv1.NewVehiclesServiceClient(connect(t, at.GRPC, insecure.NewCredentials()))
		for i := range each {
			all.Go(func() {
				if i%2 == 0 {
					_, err := client.ListVehicles(ctx, list(c*each+i))
					ended(err)
					return
				}
				stream, err := client.StreamVehicles(ctx, &vehiclesv1.StreamVehiclesRequest{Request: list(c*each + i)})
				if err == nil {
					_, err = stream.Recv()
				}
				ended(err)
			})
		}
	}
	eventually(t, "all calls beyond the limit are refused", func() bool { return refused.Load() == connections*each-limit })
	eventually(t, "the other calls are at the upstream", func() bool { return upstream.waiting.Load() == limit })
	eventually(t, "all refused calls are counted", func() bool { // They are counted after the answer was sent.
		return metric(t, at.Admin, "samsara_gateway_calls_total", `code="ResourceExhausted"`) == connections*each-limit
	})

	conn := connect(t, at.GRPC, insecure.NewCredentials())
	began := time.Now()
	health, err := healthv1.NewHealthClient(conn).Check(ctx, &healthv1.HealthCheckRequest{})
	if err != nil || health.GetStatus() != healthv1.HealthCheckResponse_SERVING {
		t.Errorf("health: got %v, %v, want SERVING", health.GetStatus(), err)
	}
	reflection, err := reflectionv1.NewServerReflectionClient(conn).ServerReflectionInfo(ctx)
	if err != nil {
		t.Fatal(err)
	}
	if err := reflection.Send(&reflectionv1.ServerReflectionRequest{MessageRequest: &reflectionv1.ServerReflectionRequest_ListServices{}}); err != nil {
		t.Error(err)
	}
	if services, err := reflection.Recv(); err != nil || len(services.GetListServicesResponse().GetService()) == 0 {
		t.Errorf("reflection: got %v, %v, want services", services, err)
	}
	t.Logf("health and reflection took %v", time.Since(began).Round(time.Millisecond))
	if code, body := get(t, "http://"+at.Admin+"/readyz", ""); code != http.StatusOK {
		t.Errorf("/readyz: got %d %q", code, body)
	}

	// When these calls have ended, another call can run.
	close(upstream.let)
	all.Wait()
	if served.Load() != limit {
		t.Errorf("%d calls were served, want %d", served.Load(), limit)
	}
	if _, err := vehiclesv1.NewVehiclesServiceClient(conn).ListVehicles(ctx, list(-1)); err != nil {
		t.Errorf("afterwards: %v", err)
	}
}

// TestTime_callsOfALostClient resets a connection that has as many calls as one connection may have: half
// of all that may run. Another client then gets a call served.
func TestTime_callsOfALostClient(t *testing.T) {
	t.Parallel()
	testenv.Alone(t)
	const limit = 100
	for _, half := range []bool{false, true} {
		name := "whole requests"
		if half {
			name = "requests whose last byte is held back"
		}
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			upstream, flags := startHeld(t)
			_, at := startBefore(t, flags, fmt.Sprintf("--max-concurrent-calls=%d", 2*limit))
			raw := rawCalls{
				Address: at.GRPC, Method: vehiclesv1.VehiclesService_ListVehicles_FullMethodName, Calls: limit,
				Request: encoded(t, &vehiclesv1.ListVehiclesRequest{}, false), Header: []string{"samsara-cache", "no-store"},
			}
			if half {
				raw.Request, raw.Withheld = encoded(t, &vehiclesv1.ListVehiclesRequest{After: proto.String(strings.Repeat("x", 1<<10))}, false), 1
			}
			c := raw.start(t)
			eventually(t, "all calls have begun", func() bool {
				return metric(t, at.Admin, "samsara_gateway_running_calls") == limit &&
					(half || upstream.waiting.Load() == limit)
			})
			c.reset()
			close(upstream.let)
			client := vehiclesv1.NewVehiclesServiceClient(connect(t, at.GRPC, insecure.NewCredentials()))
			took := within(t, time.Second, "a call is served", func() bool {
				_, err := client.ListVehicles(waiting(t), &vehiclesv1.ListVehiclesRequest{})
				return err == nil
			})
			t.Logf("a call was served after %v", took.Round(time.Millisecond))
		})
	}
}

// TestConcurrentCalls_oneConnectionLeavesRoom has one connection begin many more calls than may run, and
// not end their requests. Other connections are served.
func TestConcurrentCalls_oneConnectionLeavesRoom(t *testing.T) {
	t.Parallel()
	testenv.Processes(t)
	const limit = 40
	upstream, flags := startHeld(t)
	close(upstream.let)
	_, at := startBefore(t, flags, fmt.Sprintf("--max-concurrent-calls=%d", limit))
	rawCalls{
		Address: at.GRPC, Method: vehiclesv1.VehiclesService_ListVehicles_FullMethodName, Calls: 3 * limit, Withheld: 1,
		Request: encoded(t, &vehiclesv1.ListVehiclesRequest{After: proto.String(strings.Repeat("x", 1<<10))}, false),
	}.start(t)
	running := func() float64 { return metric(t, at.Admin, "samsara_gateway_running_calls") }
	eventually(t, "the connection has as many calls as it may have", func() bool { return running() == limit/2 })
	client := vehiclesv1.NewVehiclesServiceClient(connect(t, at.GRPC, insecure.NewCredentials()))
	for n := range limit {
		if _, err := client.ListVehicles(waiting(t), &vehiclesv1.ListVehiclesRequest{After: proto.String(cursorOf(1, n))}); err != nil {
			t.Fatalf("another client: %v", err)
		}
	}
	if got := running(); got != limit/2 {
		t.Errorf("%v calls run, want the %d of one connection", got, limit/2)
	}
}

// TestTime_5000CallsServed makes 5,000 calls at a time, whose deadlines are far.
func TestTime_5000CallsServed(t *testing.T) {
	t.Parallel()
	testenv.Alone(t)
	_, at := startBefore(t, startPages(t))
	outcomes := callAtOnce(t, at.GRPC, 10, 5000, 2<<10, 2*patience)
	if outcomes["OK"] != 5000 {
		t.Errorf("got %v, want 5000 OK", outcomes)
	}
}

// callAtOnce makes calls at a time on several connections, each for another answer of size bytes. It
// returns how many calls ended with which outcome: OK, or the text of the error.
func callAtOnce(t *testing.T, address string, connections, calls, size int, deadline time.Duration) map[string]int {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), deadline)
	defer cancel()
	var clients []vehiclesv1.VehiclesServiceClient
	for range connections {
		clients = append(clients, vehiclesv1.NewVehiclesServiceClient(connect(t, address, insecure.NewCredentials())))
	}
	var mu sync.Mutex
	outcomes := map[string]int{}
	var all sync.WaitGroup
	began := time.Now()
	for i := range calls {
		all.Go(func() {
			res, err := clients[i%connections].ListVehicles(ctx, &vehiclesv1.ListVehiclesRequest{After: proto.String(cursorOf(size, i))},
				grpc.MaxCallRecvMsgSize(64<<20))
			outcome := "OK"
			switch {
			case err != nil:
				outcome = err.Error()
			case proto.Size(res) < size*9/10:
				outcome = "an answer that is too short"
			}
			mu.Lock()
			defer mu.Unlock()
			outcomes[outcome]++
		})
	}
	all.Wait()
	t.Logf("%d calls at a time on %d connections for %d KiB each took %v", calls, connections, size>>10, time.Since(began).Round(time.Millisecond))
	return outcomes
}
