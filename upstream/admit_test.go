package upstream_test

import (
	"context"
	"net"
	"net/http"
	"strconv"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"
	"google.golang.org/genproto/googleapis/rpc/errdetails"
	"google.golang.org/grpc/codes"
	"google.golang.org/protobuf/testing/protocmp"

	"samsara.internal/gateway/internal/identity"
	"samsara.internal/gateway/internal/quota"
	"samsara.internal/gateway/upstream"
)

// newQuota returns the quota of an operation, without a margin.
func newQuota(t *testing.T, limit quota.Limit) *quota.Operation {
	t.Helper()
	cfg := quota.Defaults()
	cfg.Margin = 0
	limiter, err := quota.New(cfg)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := limiter.Close(); err != nil {
			t.Errorf("close: %v", err)
		}
	})
	operation, err := limiter.Operation("things", limit)
	if err != nil {
		t.Fatal(err)
	}
	return operation
}

// within returns get(path) with a quota.
func within(budget *quota.Operation, path string) *request {
	req := get(path)
	req.Quota, req.From.Caller = budget, "test"
	return req
}

func TestQuota_attemptWaits(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		f := newServer(t, answer(200, `{}`))
		client, budget := f.client(), newQuota(t, quota.Limit{Requests: 1, Window: time.Second})
		for range 4 {
			if resp, err := client.Do(t.Context(), within(budget, "/x")); err != nil {
				t.Fatal(err)
			} else {
				resp.Release()
			}
		}
		if diff := cmp.Diff([]time.Duration{time.Second, time.Second, time.Second}, f.gaps()); diff != "" {
			t.Errorf("gaps (-want +got):\n%s", diff)
		}
	})
}

func TestQuota_waitTooLong(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		f := newFake(t, answer(200, `{}`))
		client, budget := f.client(), newQuota(t, quota.Limit{Requests: 1, Window: time.Minute})
		if _, err := client.Do(t.Context(), within(budget, "/x")); err != nil {
			t.Fatal(err)
		}
		start := time.Now()
		resp, err := client.Do(t.Context(), within(budget, "/x"))
		failed := failure(t, resp, err)
		wantVerdict(t, failed, codes.ResourceExhausted, "GATEWAY_QUOTA", 0)
		if failed.RetryAfter != time.Minute || time.Since(start) != 0 {
			t.Errorf("refused after %v with a wait of %v, want at once with 1m", time.Since(start), failed.RetryAfter)
		}
		var got *errdetails.QuotaFailure
		for _, detail := range failed.GRPCStatus().Details() {
			if d, ok := detail.(*errdetails.QuotaFailure); ok {
				got = d
			}
		}
		want := &errdetails.QuotaFailure{Violations: []*errdetails.QuotaFailure_Violation{{Subject: "operation:things", Description: "limit: 1 in 1m0s"}}}
		if diff := cmp.Diff(want, got, protocmp.Transform()); diff != "" {
			t.Errorf("QuotaFailure (-want +got):\n%s", diff)
		}
	})
}

// openingIn makes connections to a fake, each of which takes so long to open.
func openingIn(f *fake, opening time.Duration) func(*upstream.Config) {
	return func(cfg *upstream.Config) {
		cfg.Transport.DialContext = func(ctx context.Context, network, address string) (net.Conn, error) {
			select {
			case <-time.After(opening):
				return f.dial(ctx, network, address)
			case <-ctx.Done():
				return nil, ctx.Err()
			}
		}
	}
}

func TestQuota_countsFromTheWrite(t *testing.T) {
	t.Parallel()
	server := certified(t)
	for name, test := range map[string]struct {
		opening   time.Duration
		protocols []string // of an upstream over TLS
	}{
		"on connections that take part of a window to open": {opening: 400 * time.Millisecond},
		"on connections that take longer than a window":     {opening: 1700 * time.Millisecond},
		"on connections of HTTP/2":                          {opening: 400 * time.Millisecond, protocols: []string{"h2"}},
		"on connections of HTTP/2 that take longer":         {opening: 1700 * time.Millisecond, protocols: []string{"h2"}},
		"on connections that do not become HTTP/2":          {opening: 400 * time.Millisecond, protocols: []string{"http/1.1"}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				const limit = 10
				f := newServer(t, answer(200, `{}`))
				transport := func(*upstream.Config) {}
				if test.protocols != nil {
					transport = f.overTLS(server, test.protocols...)
				}
				client, budget := f.client(openingIn(f, test.opening), transport), newQuota(t, quota.Limit{Requests: limit, Window: time.Second})
				var calls sync.WaitGroup
				for n := range 3 * limit {
					calls.Go(func() {
						if resp, err := client.Do(t.Context(), within(budget, "/"+strconv.Itoa(n))); err != nil {
							t.Error(err)
						} else {
							resp.Release()
						}
					})
				}
				calls.Wait()
				requests := f.requests()
				for i := limit; i < len(requests); i++ {
					if got := requests[i].At.Sub(requests[i-limit].At); got < time.Second {
						t.Errorf("requests %d to %d came within %v, want a second", i-limit, i, got)
					}
				}
				if len(requests) != 3*limit {
					t.Errorf("there were %d requests, want %d", len(requests), 3*limit)
				}
			})
		})
	}
}

func TestQuota_lostPositionCannotWait(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		f := newServer(t, answer(200, `{}`))
		client, budget := f.client(openingIn(f, 1500*time.Millisecond)), newQuota(t, quota.Limit{Requests: 1, Window: time.Second})
		ctx, cancel := context.WithTimeout(t.Context(), 1800*time.Millisecond)
		defer cancel()
		var calls sync.WaitGroup
		calls.Go(func() {
			resp, err := client.Do(ctx, within(budget, "/late"))
			wantVerdict(t, failure(t, resp, err), codes.ResourceExhausted, "GATEWAY_QUOTA", 1)
		})
		synctest.Wait()
		if _, err := budget.Admit(t.Context(), identity.Identity{}); err != nil {
			t.Error(err)
		}
		calls.Wait()
		if got := len(f.requests()); got != 0 {
			t.Errorf("there were %d requests, want none", got)
		}
	})
}

func TestQuota_retries(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		f := newFake(t, answer(503, ""), answer(503, ""), answer(200, `{}`))
		budget := newQuota(t, quota.Limit{Requests: 1, Window: 3 * time.Second})
		if _, err := f.client().Do(t.Context(), within(budget, "/x")); err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff([]time.Duration{3 * time.Second, 3 * time.Second}, f.gaps()); diff != "" {
			t.Errorf("gaps (-want +got):\n%s", diff)
		}
	})
}

func TestQuota_pausedBy429(t *testing.T) {
	t.Parallel()
	for name, test := range map[string]struct {
		header []string
		want   time.Duration
	}{
		"as long as it says":          {[]string{"Retry-After", "2.40235"}, 2402350 * time.Microsecond},
		"a second if it says nothing": {nil, time.Second},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				f := newFake(t, answer(429, "", test.header...), answer(200, `{}`))
				client, budget := f.client(once), newQuota(t, quota.Limit{Requests: 100, Window: time.Second})
				resp, err := client.Do(t.Context(), within(budget, "/x"))
				wantVerdict(t, failure(t, resp, err), codes.ResourceExhausted, "RATE_LIMITED", 1)
				if _, err := client.Do(t.Context(), within(budget, "/another")); err != nil {
					t.Fatal(err)
				}
				if diff := cmp.Diff([]time.Duration{test.want}, f.gaps()); diff != "" {
					t.Errorf("gaps (-want +got):\n%s", diff)
				}
			})
		})
	}
}

func TestQuota_circuitOpen(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		c := newCircuit(t)
		c.calls(30, 503)
		c.want(upstream.CircuitOpen)
		budget := newQuota(t, quota.Limit{Requests: 1, Window: time.Hour})
		resp, err := c.client.Do(t.Context(), by("", budget, "/x"))
		wantVerdict(t, failure(t, resp, err), codes.Unavailable, "UPSTREAM_CIRCUIT_OPEN", 0)
		if _, err := budget.Admit(t.Context(), identity.Identity{}); err != nil {
			t.Errorf("the budget is used up: %v", err)
		}
	})
}

// TestQuota_circuitProbed has three probes that hang.
func TestQuota_circuitProbed(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		c := newCircuit(t)
		c.calls(20, 503)
		<-time.After(6 * time.Second)
		c.fake.every = stall("")
		var probes []<-chan outcome
		for n := range 3 {
			probes = append(probes, goDo(t, c.client, time.Second, get("/"+strconv.Itoa(n))))
		}
		c.want(upstream.CircuitHalfOpen)
		budget := newQuota(t, quota.Limit{Requests: 1, Window: time.Hour})
		resp, err := c.client.Do(t.Context(), by("", budget, "/x"))
		wantVerdict(t, failure(t, resp, err), codes.Unavailable, "UPSTREAM_CIRCUIT_OPEN", 0)
		if _, err := budget.Admit(t.Context(), identity.Identity{}); err != nil {
			t.Errorf("the budget is used up: %v", err)
		}
		for _, ended := range probes {
			<-ended
		}
	})
}

// TestProbe_refusedByTheQuota has probes that lose their position in the queue while they connect.
func TestProbe_refusedByTheQuota(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		f := newServer(t, raw(""))
		client := f.client(once, openingIn(f, 1500*time.Millisecond), func(cfg *upstream.Config) { cfg.Breaker.MinAttempts = 1 })
		<-goDo(t, client, time.Minute, get("/x"))
		<-time.After(6 * time.Second)
		budget := newQuota(t, quota.Limit{Requests: 1, Window: time.Second})
		for range 3 {
			probe := goDo(t, client, 1800*time.Millisecond, within(budget, "/x"))
			if _, err := budget.Admit(t.Context(), identity.Identity{}); err != nil {
				t.Fatal(err)
			}
			got := <-probe
			wantVerdict(t, failure(t, got.resp, got.err), codes.ResourceExhausted, "GATEWAY_QUOTA", 1)
			<-time.After(time.Second)
		}
		if got := client.CircuitOf("/things/{id}", ""); got != upstream.CircuitHalfOpen {
			t.Errorf("the circuit is in state %d, want half open", got)
		}
	})
}

func TestShare_followerWithMoreTime(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		slow := func(w http.ResponseWriter, r *http.Request) {
			time.Sleep(500 * time.Millisecond) //nolint:forbidigo // virtual time
			answer(503, "")(w, r)
		}
		f := newFake(t, slow, answer(200, `{}`))
		client, budget := f.client(), newQuota(t, quota.Limit{Requests: 1, Window: 3 * time.Second})
		var calls sync.WaitGroup
		calls.Go(func() {
			hurried, cancel := context.WithTimeout(t.Context(), 2*time.Second)
			defer cancel()
			resp, err := client.Do(hurried, within(budget, "/x"))
			failed := failure(t, resp, err)
			wantNotRepeated(t, failed, codes.Unavailable, "SERVICE_UNAVAILABLE", 1, "quota")
			if want := 2500 * time.Millisecond; failed.RetryAfter != want {
				t.Errorf("RetryAfter = %v, want %v", failed.RetryAfter, want)
			}
		})
		synctest.Wait() // its first attempt is under way
		calls.Go(func() {
			if resp, err := client.Do(t.Context(), within(budget, "/x")); err != nil || resp.Status != http.StatusOK {
				t.Errorf("Do = %+v, %v, want success", resp, err)
			}
		})
		calls.Wait()
		if diff := cmp.Diff([]time.Duration{3 * time.Second}, f.gaps()); diff != "" {
			t.Errorf("gaps (-want +got):\n%s", diff)
		}
	})
}

// by returns get(path) with a quota, for a caller.
func by(caller string, budget *quota.Operation, path string) *request {
	req := within(budget, path)
	req.From.Caller = caller
	return req
}

// batch returns req with a priority that gives way to others.
func batch(req *request) *request {
	req.From.Batch = true
	return req
}

// TestShare_notInAnothersQueue has many reads that wait for the quota. Another caller, or the
// same one with more priority, asks for one of them and is served when it is its turn.
func TestShare_notInAnothersQueue(t *testing.T) {
	t.Parallel()
	for name, greedy := range map[string]func(budget *quota.Operation, path string) *request{
		"of another caller": func(budget *quota.Operation, path string) *request { return by("greedy", budget, path) },
		"of its own batch":  func(budget *quota.Operation, path string) *request { return batch(by("modest", budget, path)) },
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				f := newServer(t, answer(200, `{}`))
				client, budget := f.client(), newQuota(t, quota.Limit{Requests: 1, Window: time.Second})
				var queue []<-chan outcome
				for n := range 8 {
					queue = append(queue, goDo(t, client, time.Minute, greedy(budget, "/"+strconv.Itoa(n))))
				}
				for _, ended := range []<-chan outcome{
					goDo(t, client, time.Minute, by("modest", budget, "/7")),
					goDo(t, client, time.Minute, by("modest", budget, "/7")),
				} {
					if got := <-ended; got.err != nil || got.took > 2*time.Second {
						t.Errorf("Do = %+v, %v after %v, want success within 2s", got.resp, got.err, got.took)
					}
				}
				for _, ended := range queue {
					if got := <-ended; got.err != nil {
						t.Error(got.err)
					}
				}
				wantRequests(t, f, 9)
			})
		})
	}
}

func TestShare_withEverybodyOnceSent(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		f := newServer(t, slowly(answer(200, `{}`)))
		client, budget := f.client(), newQuota(t, quota.Limit{Requests: 1, Window: time.Hour})
		for _, ended := range []<-chan outcome{
			goDo(t, client, time.Minute, by("one", budget, "/x")),
			goDo(t, client, time.Minute, by("two", budget, "/x")),
			goDo(t, client, time.Minute, batch(by("two", budget, "/x"))),
		} {
			if got := <-ended; got.err != nil || got.took != time.Second {
				t.Errorf("Do = %+v, %v after %v, want success after 1s", got.resp, got.err, got.took)
			}
		}
		wantRequests(t, f, 1)
	})
}

// TestShare_quotaRefusal has a first call that the quota gives up after the longest wait,
// and a second that has just begun.
func TestShare_quotaRefusal(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		f := newServer(t, answer(200, `{}`))
		client, budget := f.client(), newQuota(t, quota.Limit{Requests: 1, Window: 9 * time.Second})
		if got := <-goDo(t, client, time.Minute, within(budget, "/")); got.err != nil {
			t.Fatal(got.err)
		}
		first := goDo(t, client, time.Minute, within(budget, "/x"))
		<-time.After(5 * time.Second)
		second := goDo(t, client, time.Minute, within(budget, "/x"))
		budget.Pause(t.Context(), time.Now().Add(8*time.Second))
		got := <-first
		wantVerdict(t, failure(t, got.resp, got.err), codes.ResourceExhausted, "RATE_LIMITED", 0)
		if got := <-second; got.err != nil || got.took != 8*time.Second {
			t.Errorf("Do = %+v, %v after %v, want success after 8s", got.resp, got.err, got.took)
		}
	})
}
