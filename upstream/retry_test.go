package upstream_test

import (
	"cmp"
	"context"
	"errors"
	"net"
	"net/http"
	"strconv"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"google.golang.org/grpc/codes"

	"samsara.internal/gateway/upstream"
)

func TestRetry_onlyWhatIsSafe(t *testing.T) {
	t.Parallel()
	const truncated = "HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\n{"
	repeatablePost, alwaysPost := post(`{}`), post(`{}`)
	repeatablePost.Repeatable, alwaysPost.RetryAlways = true, true
	tests := []struct {
		name     string
		req      *request
		step     http.HandlerFunc
		code     codes.Code
		reason   string
		attempts int
	}{
		{"a GET on 500", get("/x"), answer(500, ""), codes.Unavailable, "INTERNAL_SERVER_ERROR", 4},
		{"a GET on 501", get("/x"), answer(501, ""), codes.Unavailable, "NOT_IMPLEMENTED", 4},
		{"a GET on 408", get("/x"), answer(408, "", "Connection", "close"), codes.Unavailable, "REQUEST_TIMEOUT", 4},
		{"a GET on 429", get("/x"), answer(429, ""), codes.ResourceExhausted, "RATE_LIMITED", 4},
		{"a GET on a reset", get("/x"), raw(""), codes.Unavailable, "UPSTREAM_RESET", 4},
		{"a GET on a cut body", get("/x"), raw(truncated), codes.Unavailable, "UPSTREAM_TRUNCATED", 4},
		{"a GET on a stall", get("/x"), stall(""), codes.Unavailable, "UPSTREAM_TIMEOUT", 4},
		{"a GET not on 400", get("/x"), answer(400, ""), codes.InvalidArgument, "BAD_REQUEST", 1},
		{"a GET not on 409", get("/x"), answer(409, ""), codes.Aborted, "CONFLICT", 1},
		{"a GET not on 300", get("/x"), answer(300, ""), codes.Internal, "UPSTREAM_UNEXPECTED_STATUS", 1},
		{"a POST on 429", post(`{}`), answer(429, ""), codes.ResourceExhausted, "RATE_LIMITED", 4},
		{"a POST on 503", post(`{}`), answer(503, ""), codes.Unavailable, "SERVICE_UNAVAILABLE", 4},
		{"a POST not on 500", post(`{}`), answer(500, ""), codes.Unavailable, "INTERNAL_SERVER_ERROR", 1},
		{"a POST not on 502", post(`{}`), answer(502, ""), codes.Unavailable, "BAD_GATEWAY", 1},
		{"a POST not on 504", post(`{}`), answer(504, ""), codes.Unavailable, "GATEWAY_TIMEOUT", 1},
		{"a POST not on a reset", post(`{}`), raw(""), codes.Unavailable, "UPSTREAM_RESET", 1},
		{"a POST not on a cut body", post(`{}`), raw(truncated), codes.Unavailable, "UPSTREAM_TRUNCATED", 1},
		{"a POST not on a stall", post(`{}`), stall(""), codes.Unavailable, "UPSTREAM_TIMEOUT", 1},
		{"a POST that only reads on 500", repeatablePost, answer(500, ""), codes.Unavailable, "INTERNAL_SERVER_ERROR", 4},
		{"a POST on a reset if the caller says so", alwaysPost, raw(""), codes.Unavailable, "UPSTREAM_RESET", 4},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				f := newServer(t, tt.step)
				resp, err := f.client().Do(t.Context(), tt.req)
				wantVerdict(t, failure(t, resp, err), tt.code, tt.reason, tt.attempts)
				requests := f.requests()
				if len(requests) != tt.attempts {
					t.Errorf("%d requests arrived, want %d", len(requests), tt.attempts)
				}
				for i, r := range requests {
					if r.Body != string(tt.req.Body) {
						t.Errorf("attempt %d has body %q, want %q", i+1, r.Body, tt.req.Body)
					}
				}
			})
		})
	}
}

func TestRetry_postNeverSent(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		f := newFake(t, answer(200, `{}`))
		refused := 0
		client := f.client(func(cfg *upstream.Config) {
			cfg.Transport.DialContext = func(ctx context.Context, network, address string) (net.Conn, error) {
				if refused < 2 {
					refused++
					return nil, &net.OpError{Op: "dial", Net: network, Err: errors.New("connection refused")}
				}
				return f.dial(ctx, network, address)
			}
		})
		resp, err := client.Do(t.Context(), post(`{"a":1}`))
		if err != nil || resp.Attempts != 3 {
			t.Errorf("Do = %+v, %v, want success at the third attempt", resp, err)
		}
	})
}

func TestRetry_upstreamUnreachable(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		client := newFake(t).client(func(cfg *upstream.Config) {
			cfg.Transport.DialContext = func(context.Context, string, string) (net.Conn, error) {
				return nil, errors.New("connection refused")
			}
		})
		resp, err := client.Do(t.Context(), post(`{}`))
		failed := failure(t, resp, err)
		wantVerdict(t, failed, codes.Unavailable, "UPSTREAM_UNREACHABLE", 4)
		if failed.Message != "no connection to the upstream: connection refused" {
			t.Errorf("Message = %q", failed.Message)
		}
	})
}

func TestRetry_postTimedOutConnecting(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		client := newFake(t).client(func(cfg *upstream.Config) {
			cfg.AttemptTimeout = time.Second
			cfg.Transport.DialContext = func(ctx context.Context, _, _ string) (net.Conn, error) {
				<-ctx.Done()
				return nil, ctx.Err()
			}
		})
		resp, err := client.Do(t.Context(), post(`{}`))
		wantVerdict(t, failure(t, resp, err), codes.Unavailable, "UPSTREAM_TIMEOUT", 4)
	})
}

func TestBackoff_fullJitter(t *testing.T) {
	t.Parallel()
	const calls = 200
	bounds := []time.Duration{100 * time.Millisecond, 200 * time.Millisecond, 300 * time.Millisecond, 300 * time.Millisecond}
	synctest.Test(t, func(t *testing.T) {
		f := newServer(t, answer(503, ""))
		client := f.client(func(cfg *upstream.Config) {
			cfg.Retry = upstream.RetryPolicy{MaxAttempts: 1 + len(bounds), BaseDelay: 100 * time.Millisecond, MaxDelay: 300 * time.Millisecond}
		}, stubborn)
		for range calls {
			if _, err := client.Do(t.Context(), get("/x")); err == nil {
				t.Error("Do succeeded")
			}
		}
		gaps := f.gaps()
		for i, bound := range bounds {
			var sum, least, most time.Duration
			least = bound
			for call := range calls {
				gap := gaps[call*(len(bounds)+1)+i]
				sum, least, most = sum+gap, min(least, gap), max(most, gap)
			}
			if most > bound || most < bound*9/10 || least > bound/10 {
				t.Errorf("wait %d lies between %v and %v, want spread over 0 to %v", i+1, least, most, bound)
			}
			if mean := sum / calls; mean < bound*4/10 || mean > bound*6/10 {
				t.Errorf("wait %d has mean %v, want about half of %v", i+1, mean, bound)
			}
		}
	})
}

func TestRetryAfter_exact(t *testing.T) {
	t.Parallel()
	tests := []struct {
		name   string
		status int
		value  func() string
		want   time.Duration
	}{
		{"decimal seconds on 429", 429, func() string { return "0.40235" }, 402350 * time.Microsecond},
		{"decimal seconds on 503", 503, func() string { return "1.7" }, 1700 * time.Millisecond},
		{"more than MaxDelay", 429, func() string { return "30" }, 30 * time.Second},
		{"less than a nanosecond", 429, func() string { return "1.0000000001" }, time.Second + 1},
		{"a date", 429, func() string { return time.Now().Add(7 * time.Second).UTC().Format(http.TimeFormat) }, 7 * time.Second},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				f := newFake(t, func(w http.ResponseWriter, r *http.Request) {
					answer(tt.status, "", "Retry-After", tt.value())(w, r)
				}, answer(200, `{}`))
				resp, err := f.client().Do(t.Context(), post(`{}`))
				if err != nil || resp.Attempts != 2 {
					t.Fatalf("Do = %+v, %v, want success at the second attempt", resp, err)
				}
				if got := f.gaps()[0]; got != tt.want {
					t.Errorf("waited %v, want %v", got, tt.want)
				}
			})
		})
	}
}

func TestRetryAfter_saysNothing(t *testing.T) {
	t.Parallel()
	for name, step := range map[string]http.HandlerFunc{
		"garbage":         answer(429, "", "Retry-After", "soon"),
		"negative":        answer(429, "", "Retry-After", "-5"),
		"zero":            answer(429, "", "Retry-After", "0"),
		"a date gone by":  answer(429, "", "Retry-After", "Fri, 31 Dec 1999 23:59:59 GMT"),
		"on a status 500": answer(500, "", "Retry-After", "30"),
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				f := newFake(t, step, answer(200, `{}`))
				if _, err := f.client().Do(t.Context(), get("/x")); err != nil {
					t.Fatal(err)
				}
				if got := f.gaps()[0]; got > 250*time.Millisecond {
					t.Errorf("waited %v, want the usual backoff", got)
				}
			})
		})
	}
}

func TestBackoff_waitTooLong(t *testing.T) {
	t.Parallel()
	tests := []struct {
		name       string
		retryAfter string
		deadline   time.Duration
		attempts   int
		elapsed    time.Duration
	}{
		{"it outlives the deadline", "10", 5 * time.Second, 1, 0},
		{"it leaves less than 100 ms", "4.901", 5 * time.Second, 1, 0},
		{"it leaves 100 ms", "4.9", 5 * time.Second, 2, 4900 * time.Millisecond},
		{"there is no deadline and it is long", "60.1", 0, 1, 0},
		{"there is no deadline and it is not", "60", 0, 4, 3 * time.Minute},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				ctx := t.Context()
				if tt.deadline > 0 {
					var cancel context.CancelFunc
					ctx, cancel = context.WithTimeout(ctx, tt.deadline)
					defer cancel()
				}
				start := time.Now()
				f := newServer(t, answer(429, "", "Retry-After", tt.retryAfter))
				resp, err := f.client().Do(ctx, get("/x"))
				failed := failure(t, resp, err)
				wantVerdict(t, failed, codes.ResourceExhausted, "RATE_LIMITED", tt.attempts)
				if got := time.Since(start); got != tt.elapsed {
					t.Errorf("Do took %v, want %v", got, tt.elapsed)
				}
				want, _ := time.ParseDuration(tt.retryAfter + "s")
				if !failed.RetryAfterKnown || failed.RetryAfter != want {
					t.Errorf("RetryAfter = %v, %v, want %v", failed.RetryAfter, failed.RetryAfterKnown, want)
				}
			})
		})
	}
}

func TestBackoff_beyondTheDeadline(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		ctx, cancel := context.WithTimeout(t.Context(), 90*time.Millisecond)
		defer cancel()
		resp, err := newFake(t, answer(500, "")).client().Do(ctx, get("/x"))
		failed := failure(t, resp, err)
		wantVerdict(t, failed, codes.Unavailable, "INTERNAL_SERVER_ERROR", 1)
		if !failed.RetryAfterKnown {
			t.Error("the wait is not known")
		}
	})
}

func TestBackoff_contextEnds(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		ctx, cancel := context.WithCancel(t.Context())
		time.AfterFunc(3*time.Second, cancel)
		start := time.Now()
		resp, err := newFake(t, answer(429, "", "Retry-After", "30")).client().Do(ctx, get("/x"))
		wantVerdict(t, failure(t, resp, err), codes.Canceled, "REQUEST_CANCELLED", 1)
		if !errors.Is(err, context.Canceled) {
			t.Errorf("%v is not context.Canceled", err)
		}
		if got := time.Since(start); got != 3*time.Second {
			t.Errorf("Do took %v, want 3s", got)
		}
	})
}

// fickle answers as mood says, 200 at first.
type fickle struct{ mood atomic.Int64 }

func (f *fickle) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	answer(cmp.Or(int(f.mood.Load()), 200), `{}`)(w, r)
}

func TestRetry_budgetOfFloorAndTenth(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		var server fickle
		client := newServer(t, server.ServeHTTP).client(stubborn, func(cfg *upstream.Config) {
			cfg.Retry = upstream.RetryPolicy{Budget: 4, BaseDelay: time.Nanosecond, MaxDelay: time.Nanosecond}
		})
		// retries returns how often calls were repeated.
		retries := func(calls int) int {
			sum := 0
			for range calls {
				resp, err := client.Do(t.Context(), get("/x"))
				if err == nil {
					sum += resp.Attempts - 1
				} else {
					sum += failure(t, resp, err).Attempts - 1
				}
			}
			return sum
		}
		for _, step := range []struct {
			name                string
			status, calls, want int
			after               time.Duration
		}{
			{name: "few calls have the floor", status: 503, calls: 5, want: 4},
			{name: "which is used up", status: 503, calls: 4, want: 0},
			{name: "ten calls in the window allow one more", status: 503, calls: 1, want: 1},
			{name: "successes count as calls", status: 200, calls: 100, want: 0},
			{name: "and so allow retries", status: 503, calls: 20, want: 12},
			{name: "the window has not passed", status: 503, calls: 1, want: 0, after: 9 * time.Second},
			{name: "it has, and its calls are forgotten as well", status: 503, calls: 8, want: 4, after: 2 * time.Second},
		} {
			<-time.After(step.after)
			server.mood.Store(int64(step.status))
			if got := retries(step.calls); got != step.want {
				t.Errorf("%s: %d retries, want %d", step.name, got, step.want)
			}
		}
	})
}

// TestRetry_budgetInEveryTenSeconds has two bursts of failures less than ten seconds apart.
func TestRetry_budgetInEveryTenSeconds(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		f := newServer(t, answer(503, ""))
		client := f.client(stubborn, func(cfg *upstream.Config) {
			cfg.Retry = upstream.RetryPolicy{Budget: 4, BaseDelay: time.Nanosecond, MaxDelay: time.Nanosecond}
		})
		for _, after := range []time.Duration{900 * time.Millisecond, 9200 * time.Millisecond} {
			<-time.After(after)
			for range 4 {
				if _, err := client.Do(t.Context(), get("/x")); err == nil {
					t.Error("Do succeeded")
				}
			}
		}
		if got := len(f.requests()) - 8; got != 4 {
			t.Errorf("%d retries in 9.2s, want 4", got)
		}
	})
}

func TestRetry_budgetOfConcurrentRequests(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		const calls = 200
		f := newServer(t, answer(503, ""))
		client := f.client(func(cfg *upstream.Config) { cfg.Breaker.FailureRatio = 2 })
		var running sync.WaitGroup
		for n := range calls {
			running.Go(func() {
				if _, err := client.Do(t.Context(), get("/x/"+strconv.Itoa(n))); err == nil {
					t.Error("Do succeeded")
				}
			})
		}
		running.Wait()
		// How many of the calls come after the first failure, and so count, is for the scheduler.
		if got, least, most := len(f.requests()), calls+10, calls+calls/10+10; got < least || got > most {
			t.Errorf("%d calls made %d requests, want %d to %d", calls, got, least, most)
		}
	})
}

func TestAttemptHeader_counts(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		f := newFake(t, answer(503, ""), answer(503, ""), answer(200, ""))
		client := f.client(func(cfg *upstream.Config) { cfg.AttemptHeader = "X-Attempt" })
		if _, err := client.Do(t.Context(), get("/x")); err != nil {
			t.Fatal(err)
		}
		for i, r := range f.requests() {
			if got, want := r.Header.Get("X-Attempt"), strconv.Itoa(i+1); got != want {
				t.Errorf("attempt %d says %q", i+1, got)
			}
		}
	})
}
