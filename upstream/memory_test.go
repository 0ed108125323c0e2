package upstream_test

import (
	"context"
	"fmt"
	"net/http"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"google.golang.org/grpc/codes"

	"samsara.internal/gateway/internal/lease"
	"samsara.internal/gateway/upstream"
)

// letters is a JSON body of n bytes.
func letters(n int) string { return `"` + strings.Repeat("x", n-2) + `"` }

func wantInFlight(t *testing.T, client *client, want int64) {
	t.Helper()
	if got := client.InFlightBytes(); got != want {
		t.Errorf("%d bytes are in flight, want %d", got, want)
	}
}

func TestResponse_inFlightUntilReleased(t *testing.T) {
	t.Parallel()
	_, decoder := thing(t)
	decoded := get("/x")
	decoded.Decoder = decoder
	for _, test := range []struct {
		name string
		req  *request
		body string
		want int64
	}{
		{name: "as it is, with room for what is made of it", req: get("/x"), body: letters(60 << 10), want: 96 << 10},
		{name: "decoded", req: decoded, body: `{"name":` + letters(60<<10) + `}`, want: 61443},
		{name: "decoded to little", req: decoded, body: `{"name":"n"}`, want: 4 << 10},
		{name: "nothing", req: get("/x"), body: "", want: 0},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				client := newServer(t, answer(200, test.body)).client()
				for range 3 {
					resp, err := client.Do(t.Context(), test.req)
					if err != nil {
						t.Fatal(err)
					}
					if got := client.InFlightBytes(); got < test.want || got > 2*test.want {
						t.Errorf("%d bytes are in flight, want %d or little more", got, test.want)
					}
					resp.Release()
					resp.Release()
					if resp.Message != nil || resp.Body != nil {
						t.Error("a released response still has its bytes")
					}
					wantInFlight(t, client, 0)
				}
			})
		})
	}
}

func TestError_holdsNoMemory(t *testing.T) {
	t.Parallel()
	_, decoder := thing(t)
	for name, step := range map[string]http.HandlerFunc{
		"an error":                       answer(404, `{"message":"no"}`),
		"an error without end":           answer(400, strings.Repeat("x", 1<<20)),
		"a body that is cut":             raw("HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\n{"),
		"a body that stalls":             stall("HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\n{"),
		"a body that is too large":       answer(200, letters(200_000)),
		"a body that says so":            answer(200, letters(200_000), "Content-Length", "200000"),
		"a body that is not JSON":        answer(200, "<html>"),
		"a body of another type":         answer(200, `"x"`),
		"an error object":                answer(200, `{"message":"no"}`),
		"a body that is not gzip":        answer(200, "{}", "Content-Encoding", "gzip"),
		"a body that unzips to too much": answer(200, zipped(letters(200_000)), "Content-Encoding", "gzip"),
		"no body":                        answer(200, ""),
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				client := newServer(t, step).client(once, func(cfg *upstream.Config) { cfg.MaxResponseBytes = 100_000 })
				req := get("/x")
				req.Decoder = decoder
				resp, err := client.Do(t.Context(), req)
				_ = failure(t, resp, err)
				wantInFlight(t, client, 0)
			})
		})
	}
}

// observerFunc is an Observer.
type observerFunc func()

func (f observerFunc) ObserveAttempt(context.Context, upstream.Attempt) { f() }

func TestDo_panicHoldsNoMemory(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		client := newServer(t, answer(200, letters(10_000))).client(func(cfg *upstream.Config) {
			cfg.Observer = observerFunc(func() { panic("observer") })
		})
		defer func() {
			if recover() == nil {
				t.Error("the panic did not come through")
			}
			wantInFlight(t, client, 0)
		}()
		_, _ = client.Do(t.Context(), get("/x"))
	})
}

func TestResponse_waitsForRoom(t *testing.T) {
	t.Parallel()
	const limit = 176 << 10
	for name, body := range map[string]http.HandlerFunc{
		"a body of known length": answer(200, letters(60<<10), "Content-Length", fmt.Sprint(60<<10)),
		"a body in chunks":       answer(200, letters(60<<10)),
	} {
		for _, test := range []struct {
			name     string
			deadline time.Duration
			want     codes.Code
			took     time.Duration
		}{
			{name: "and gets it", deadline: time.Minute, want: codes.OK, took: 10 * time.Second},
			{name: "until its deadline", deadline: 5 * time.Second, want: codes.ResourceExhausted, took: 4900 * time.Millisecond},
		} {
			t.Run(name+" "+test.name, func(t *testing.T) {
				t.Parallel()
				synctest.Test(t, func(t *testing.T) {
					client := newServer(t, body).client(func(cfg *upstream.Config) { cfg.Memory = lease.NewPool(limit) })
					first, err := client.Do(t.Context(), get("/x"))
					if err != nil {
						t.Fatal(err)
					}
					defer time.AfterFunc(10*time.Second, first.Release).Stop()
					began := time.Now()
					ctx, cancel := context.WithTimeout(t.Context(), test.deadline)
					defer cancel()
					second, err := client.Do(ctx, get("/x"))
					if took := time.Since(began); took != test.took {
						t.Errorf("it took %v, want %v", took, test.took)
					}
					if test.want == codes.OK {
						if err != nil || len(second.Body) != 60<<10 {
							t.Fatalf("Do = %v, %v, want a body", second, err)
						}
						second.Release()
					} else {
						wantVerdict(t, failure(t, second, err), test.want, "GATEWAY_MEMORY", 1)
						first.Release()
					}
					wantInFlight(t, client, 0)
				})
			})
		}
	}
}

// TestMemory_staysWithinLimit has many calls of many connections at once, of which none may fail:
// what they hold does not depend on the network.
func TestMemory_staysWithinLimit(t *testing.T) {
	t.Parallel()
	const size, limit = 60 << 10, 400 << 10
	synctest.Test(t, func(t *testing.T) {
		pool := lease.NewPool(limit)
		client := newServer(t, answer(200, letters(size), "Content-Length", fmt.Sprint(size))).client(func(cfg *upstream.Config) { cfg.Memory = pool })
		var all sync.WaitGroup
		var most atomic.Int64
		for n := range 50 {
			all.Go(func() {
				req := get("/x/" + strconv.Itoa(n))
				req.Memory = pool.Holder(nil)
				resp, err := client.Do(t.Context(), req)
				if err != nil {
					t.Error(err)
					return
				}
				for now := client.InFlightBytes(); ; {
					if before := most.Load(); before >= now || most.CompareAndSwap(before, now) {
						break
					}
				}
				time.AfterFunc(time.Second, resp.Release)
			})
		}
		all.Wait()
		synctest.Wait()
		if got := most.Load(); got > limit || got < limit/2 {
			t.Errorf("at most %d bytes were in flight, want close to %d", got, limit)
		}
	})
}

// TestTransport_connectionsReusedAtAnyConcurrency counts the connections of ten rounds of calls at
// once: no more may be made than there are calls.
func TestTransport_connectionsReusedAtAnyConcurrency(t *testing.T) {
	t.Parallel()
	for _, concurrency := range []int{1, 50, 500} {
		t.Run(fmt.Sprint(concurrency), func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				f := newServer(t, answer(200, `{}`))
				client := f.client()
				for range 10 {
					var all sync.WaitGroup
					for range concurrency {
						all.Go(func() {
							req := get("/x")
							req.NoStore = true
							resp, err := client.Do(t.Context(), req)
							if err != nil {
								t.Error(err)
								return
							}
							resp.Release()
						})
					}
					all.Wait()
					synctest.Wait() // net/http keeps the connection a moment after the body's end
				}
				if got := f.connections(); got > concurrency {
					t.Errorf("10 rounds of %d calls took %d connections, want at most %d", concurrency, got, concurrency)
				}
			})
		})
	}
}
