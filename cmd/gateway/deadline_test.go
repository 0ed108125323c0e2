package main

import (
	"context"
	"net/http"
	"sync"
	"testing"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/status"

	locationandspeedv1 "samsara.internal/gateway/gen/location_and_speed/v1"
	"samsara.internal/gateway/internal/testenv"
)

// startSlow runs a gateway before an upstream that never answers in time.
func startSlow(t *testing.T, args ...string) (*process, logLine) {
	t.Helper()
	upstream := serveHTTP(t, http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) { <-r.Context().Done() }))
	return startBefore(t, against(t, upstream), append([]string{"--quota=false"}, args...)...)
}

// handled returns how many calls of a method ended with a code.
func handled(t *testing.T, admin, method string, code codes.Code) int {
	t.Helper()
	return int(metric(t, admin, "samsara_gateway_calls_total", `/`+method+`"`, `code="`+code.String()+`"`))
}

// TestTime_deadlineExpiredNotCancelled has deadlines of clients expire. A grpc client then resets the
// stream, and the gateway sees the reset shortly before its own timer fires.
func TestTime_deadlineExpiredNotCancelled(t *testing.T) {
	t.Parallel()
	testenv.Alone(t)
	for _, test := range []struct {
		name, method string
		call         func(ctx context.Context, conn *grpc.ClientConn, n int) error
		args         []string
	}{
		{name: "unary", method: "GetContact", call: func(ctx context.Context, conn *grpc.ClientConn, n int) error { return getContact(conn)(ctx, n) }},
		{name: "a shared read", method: "ListVehicles", call: func(ctx context.Context, conn *grpc.ClientConn, n int) error { return listVehicles(conn)(ctx, n) }},
		{name: "pages", method: "StreamVehicles", call: func(ctx context.Context, conn *grpc.ClientConn, n int) error {
			return streamAllVehicles(conn)(ctx, n)
		}},
		{name: "a feed", method: "FollowLocationAndSpeed", call: func(ctx context.Context, conn *grpc.ClientConn, _ int) error {
			stream, err := locationandspeedv1.NewLocationAndSpeedServiceClient(conn).FollowLocationAndSpeed(ctx, &locationandspeedv1.FollowLocationAndSpeedRequest{})
			if err == nil {
				_, err = stream.Recv()
			}
			return err
		}},
		{
			name: "the queue of the quota", method: "GetContact", args: []string{"--quota", "--quota-token-limit=100/s", "--quota-max-wait=5m"},
			call: func(ctx context.Context, conn *grpc.ClientConn, n int) error { return getContact(conn)(ctx, n) },
		},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			p, at := startSlow(t, test.args...)
			conn := connect(t, at.GRPC, insecure.NewCredentials())
			const clients, calls = 20, 360
			var all sync.WaitGroup
			for c := range clients {
				all.Go(func() {
					for n := c; n < calls; n += clients {
						ctx, cancel := context.WithTimeout(t.Context(), 100*time.Millisecond)
						if err := test.call(ctx, conn, n); status.Code(err) != codes.DeadlineExceeded && status.Code(err) != codes.ResourceExhausted {
							t.Errorf("got %v, want DeadlineExceeded", err)
						}
						cancel()
					}
				})
			}
			all.Wait()
			eventually(t, "all calls have ended", func() bool {
				return metric(t, at.Admin, "samsara_gateway_running_calls") == 0
			})
			canceled, expired := handled(t, at.Admin, test.method, codes.Canceled), handled(t, at.Admin, test.method, codes.DeadlineExceeded)
			t.Logf("%d calls were counted as cancelled, %d as expired", canceled, expired)
			// A busy machine may delay the headers of a call for longer than its reset.
			if canceled > calls/10 {
				t.Errorf("%d of %d calls were counted as cancelled", canceled, calls)
			}
			lines, _, _ := p.log()
			if n := count(lines, "call finished", codes.Canceled); n > canceled {
				t.Errorf("%d calls were logged as cancelled, %d counted", n, canceled)
			}
		})
	}
}

// TestDeadline_cancelledBefore has a client cancel long before its deadline.
func TestDeadline_cancelledBefore(t *testing.T) {
	t.Parallel()
	_, at := startSlow(t)
	conn := connect(t, at.GRPC, insecure.NewCredentials())
	const calls = 20
	for n := range calls {
		ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
		var call sync.WaitGroup
		call.Go(func() { _ = getContact(conn)(ctx, n) })
		eventually(t, "the call runs", func() bool {
			return metric(t, at.Admin, "samsara_gateway_calls_total", `/GetContact"`)+metric(t, at.Admin, "samsara_gateway_running_calls") == float64(n+1)
		})
		cancel()
		call.Wait()
	}
	eventually(t, "all calls are counted as cancelled", func() bool { return handled(t, at.Admin, "GetContact", codes.Canceled) == calls })
}
