package upstream_test

import (
	"net/http"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"google.golang.org/grpc/codes"

	"samsara.internal/gateway/internal/quota"
	"samsara.internal/gateway/upstream"
)

// TestVerdict_refusedRepeat has a first attempt that fails, and a second one that is refused. What the
// first one ended with is what the caller is told.
func TestVerdict_refusedRepeat(t *testing.T) {
	t.Parallel()
	type verdict struct {
		step       http.HandlerFunc
		code       codes.Code
		reason     string
		httpStatus int
	}
	for name, first := range map[string]verdict{
		"429":     {answer(429, `{"message":"said","requestId":"q-1"}`), codes.ResourceExhausted, "RATE_LIMITED", 429},
		"503":     {answer(503, `{"message":"said","requestId":"q-1"}`), codes.Unavailable, "SERVICE_UNAVAILABLE", 503},
		"500":     {answer(500, `{"message":"said","requestId":"q-1"}`), codes.Unavailable, "INTERNAL_SERVER_ERROR", 500},
		"a reset": {raw(""), codes.Unavailable, "UPSTREAM_RESET", 0},
	} {
		for why, test := range map[string]struct {
			edit     func(*upstream.Config)
			budget   quota.Limit
			deadline time.Duration
			wait     time.Duration // at least
		}{
			"quota": {budget: quota.Limit{Requests: 1, Window: time.Minute}, deadline: time.Hour, wait: 58 * time.Second},
			"deadline": {edit: func(cfg *upstream.Config) {
				cfg.Retry.BaseDelay = 1000 * time.Hour
				cfg.Retry.MaxDelay = 1000 * time.Hour
			}, deadline: time.Second},
			"retry_budget": {edit: func(cfg *upstream.Config) { cfg.Retry.Budget = 1 }, deadline: time.Hour},
			"attempts":     {edit: once, deadline: time.Hour},
		} {
			t.Run(name+" and "+why, func(t *testing.T) {
				t.Parallel()
				synctest.Test(t, func(t *testing.T) {
					f := newServer(t, first.step)
					client := f.client(func(cfg *upstream.Config) {
						if test.edit != nil {
							test.edit(cfg)
						}
					})
					attempts := 1
					if why == "retry_budget" {
						attempts = 2
					}
					req := get("/x")
					if test.budget != (quota.Limit{}) {
						req = within(newQuota(t, test.budget), "/x")
					}
					got := <-goDo(t, client, test.deadline, req)
					failed := failure(t, got.resp, got.err)
					wantNotRepeated(t, failed, first.code, first.reason, attempts, why)
					if first.httpStatus != failed.HTTPStatus || failed.HTTPStatus != 0 && (failed.RequestID != "q-1" || failed.Message != "said") {
						t.Errorf("got status %d, request id %q and text %q, want those of the first attempt", failed.HTTPStatus, failed.RequestID, failed.Message)
					}
					if why != "attempts" && (!failed.RetryAfterKnown || failed.RetryAfter <= test.wait) {
						t.Errorf("RetryAfter = %v, %t, want more than %v", failed.RetryAfter, failed.RetryAfterKnown, test.wait)
					}
				})
			})
		}
	}
}

// TestVerdict_refusedRepeatOf401 has another token there, and a quota that does not let the repeat through.
func TestVerdict_refusedRepeatOf401(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		file := followFile(t, "one")
		f := newServer(t, accepting("two"))
		client := f.client(file.use)
		file.write("two")
		req := within(newQuota(t, quota.Limit{Requests: 1, Window: time.Minute}), "/x")
		resp, err := client.Do(t.Context(), req)
		failed := failure(t, resp, err)
		wantNotRepeated(t, failed, codes.Unauthenticated, "UNAUTHORIZED", 1, "quota")
		if failed.HTTPStatus != 401 || failed.RetryAfter != time.Minute {
			t.Errorf("got status %d and RetryAfter %v, want 401 and 1m", failed.HTTPStatus, failed.RetryAfter)
		}
	})
}

// TestVerdict_noSleepInVain has less time left than the operation is paused for.
func TestVerdict_noSleepInVain(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		f := newServer(t, answer(429, ""))
		got := <-goDo(t, f.client(), 600*time.Millisecond, within(newQuota(t, quota.Limit{Requests: 100, Window: time.Second}), "/x"))
		failed := failure(t, got.resp, got.err)
		wantNotRepeated(t, failed, codes.ResourceExhausted, "RATE_LIMITED", 1, "deadline")
		if got.took != 0 || failed.RetryAfter < time.Second {
			t.Errorf("it took %v, RetryAfter is %v, want no time and 1s at least", got.took, failed.RetryAfter)
		}
	})
}

// TestVerdict_uselessBodyStalls has bodies that decide nothing and do not end.
func TestVerdict_uselessBodyStalls(t *testing.T) {
	t.Parallel()
	_, decoder := thing(t)
	nothing := func(r *request) *request {
		r.Decoder, r.NoBody = decoder, true
		return r
	}
	for name, test := range map[string]struct {
		req    *request
		steps  []http.HandlerFunc
		reason string
	}{
		"404":                     {get("/x"), []http.HandlerFunc{stall("HTTP/1.1 404 Gone\r\nContent-Length: 9\r\n\r\n{")}, "NOT_FOUND"},
		"404 in chunks":           {get("/x"), []http.HandlerFunc{stall("HTTP/1.1 404 Gone\r\nTransfer-Encoding: chunked\r\n\r\n1\r\n{\r\n")}, "NOT_FOUND"},
		"200 without content":     {nothing(get("/x")), []http.HandlerFunc{stall("HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\n{")}, ""},
		"a redirect":              {get("/x"), []http.HandlerFunc{stall("HTTP/1.1 302 Found\r\nLocation: /y\r\nContent-Length: 9\r\n\r\n{"), answer(200, `{}`)}, ""},
		"a body that is too long": {get("/x"), []http.HandlerFunc{stall("HTTP/1.1 200 OK\r\nContent-Length: 99\r\n\r\n{")}, "UPSTREAM_BODY_TOO_LARGE"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				f := newFake(t, test.steps...)
				client := f.client(once, func(cfg *upstream.Config) { cfg.MaxResponseBytes = 50 })
				got := <-goDo(t, client, time.Minute, test.req)
				if got.took != time.Second {
					t.Errorf("Do took %v, want 1s", got.took)
				}
				if test.reason == "" {
					if got.err != nil {
						t.Errorf("Do = %v, want success", got.err)
					}
					return
				}
				if failed := failure(t, got.resp, got.err); failed.ReasonText() != test.reason {
					t.Errorf("got %v, want %s", failed, test.reason)
				}
			})
		})
	}
}

func TestQuota_redirectTakesAPermit(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		to := func(w http.ResponseWriter, r *http.Request) {
			if strings.HasSuffix(r.URL.Path, "/old") {
				http.Redirect(w, r, "/new", http.StatusFound)
			}
		}
		f := newServer(t, to)
		client, budget := f.client(), newQuota(t, quota.Limit{Requests: 1, Window: 3 * time.Second})
		got := <-goDo(t, client, time.Minute, within(budget, "/old"))
		if got.err != nil || got.took != 3*time.Second || got.resp.Attempts != 1 {
			t.Errorf("Do = %+v, %v after %v, want 1 attempt after 3s", got.resp, got.err, got.took)
		}
		got = <-goDo(t, client, 4*time.Second, within(budget, "/old"))
		wantVerdict(t, failure(t, got.resp, got.err), codes.ResourceExhausted, "GATEWAY_QUOTA", 1)
	})
}

// TestQuota_lateOverHTTP2 has a request that lost its position in the queue while its connection opened, and is sent all
// the same: it counts.
func TestQuota_lateOverHTTP2(t *testing.T) {
	t.Parallel()
	server := certified(t)
	synctest.Test(t, func(t *testing.T) {
		f := newServer(t, answer(200, `{}`))
		client := f.client(openingIn(f, 1500*time.Millisecond), f.overTLS(server, "h2"))
		budget := newQuota(t, quota.Limit{Requests: 1, Window: time.Second})
		late := goDo(t, client, 1800*time.Millisecond, within(budget, "/late"))
		synctest.Wait()
		if _, err := budget.Admit(t.Context(), within(budget, "/x").From); err != nil {
			t.Error(err)
		}
		if got := <-late; got.err != nil {
			t.Error(got.err)
		}
		began := time.Now()
		if _, err := budget.Admit(t.Context(), within(budget, "/x").From); err != nil {
			t.Error(err)
		}
		if took := time.Since(began); took != time.Second {
			t.Errorf("the next was admitted after %v, want 1s", took)
		}
	})
}
