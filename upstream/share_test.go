package upstream_test

import (
	"context"
	"fmt"
	"net/http"
	"strconv"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
	"google.golang.org/grpc/codes"

	"samsara.internal/gateway/internal/quota"
	"samsara.internal/gateway/internal/reload"
	"samsara.internal/gateway/internal/transcode"
	"samsara.internal/gateway/upstream"
)

// slowly is a step that waits a second before another.
func slowly(step http.HandlerFunc) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		<-time.After(time.Second)
		step(w, r)
	}
}

// outcome is how a call ended that ran on a goroutine of its own.
type outcome struct {
	resp *upstream.Response
	err  error
	took time.Duration
}

// goDo begins a call that has a deadline, and returns once it waits.
func goDo(t *testing.T, client *client, deadline time.Duration, req *request) <-chan outcome {
	t.Helper()
	ended := make(chan outcome, 1)
	go func() {
		ctx, cancel := context.WithTimeout(t.Context(), deadline)
		defer cancel()
		began := time.Now()
		resp, err := client.Do(ctx, req)
		ended <- outcome{resp, err, time.Since(began)}
	}()
	synctest.Wait()
	return ended
}

func wantBody(t *testing.T, got outcome, body string) {
	t.Helper()
	if got.err != nil || string(got.resp.Body) != body {
		t.Fatalf("Do = %+v, %v, want body %q", got.resp, got.err, body)
	}
}

func wantRequests(t *testing.T, f *fake, want int) {
	t.Helper()
	if got := len(f.requests()); got != want {
		t.Errorf("%d requests were made, want %d", got, want)
	}
}

func TestShare_oneRequestAndItsMemory(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		f := newFake(t, slowly(answer(200, letters(10_000), "Request-Id", "r-1")))
		client := f.client()
		var all []<-chan outcome
		for range 20 {
			all = append(all, goDo(t, client, time.Minute, get("/x")))
		}
		var held int64
		for i, ended := range all {
			got := <-ended
			wantBody(t, got, letters(10_000))
			if got.resp.Shared != (i > 0) || got.resp.IsNew() != (i == 0) {
				t.Errorf("call %d: Shared is %t and IsNew %t, want the first to have asked for all", i, got.resp.Shared, got.resp.IsNew())
			}
			if got.took != time.Second || got.resp.Attempts != 1 || got.resp.RequestID != "r-1" || got.resp.Cached {
				t.Errorf("after %v got %+v", got.took, got.resp)
			}
			if i == 0 {
				held = client.InFlightBytes()
			}
			if now := client.InFlightBytes(); now != held || now < 10_000 || now > 30_000 {
				t.Errorf("with %d responses left %d bytes are in flight, want what one takes, as before: %d", len(all)-i, now, held)
			}
			got.resp.Release()
			got.resp.Release()
		}
		wantInFlight(t, client, 0)
	})
}

func TestShare_onlyReadsOfTheSame(t *testing.T) {
	t.Parallel()
	_, decoder := thing(t)
	_, otherDecoder := thing(t)
	edited := func(edit func(*request)) *request {
		req := get("/x")
		edit(req)
		return req
	}
	decoded := edited(func(r *request) { r.Decoder = decoder })
	for _, test := range []struct {
		name          string
		first, second *request
		want          int
	}{
		{"the same", get("/x"), get("/x"), 1},
		{"the same message", decoded, decoded, 1},
		{"other paths", get("/x"), get("/y"), 2},
		{"other queries", get("/x"), edited(func(r *request) { r.Query = "a=b" }), 2},
		{"other messages", decoded, edited(func(r *request) { r.Decoder = otherDecoder }), 2},
		{"a message and the body itself", decoded, get("/x"), 2},
		{"a message and none", decoded, edited(func(r *request) { r.Decoder, r.NoBody = decoder, true }), 2},
		{"headers", get("/x"), edited(func(r *request) { r.Header = []upstream.Header{{Name: "A", Value: "b"}} }), 2},
		{"a GET with a body", get("/x"), edited(func(r *request) { r.Body = []byte("{}") }), 2},
		{"a GET that does something", edited(func(r *request) { r.Repeatable = false }), edited(func(r *request) { r.Repeatable = false }), 2},
		{"a second that must be fresh", get("/x"), edited(func(r *request) { r.NoStore = true }), 2},
		{"a first that is not for others", edited(func(r *request) { r.NoStore = true }), get("/x"), 2},
		{"POSTs", post(`{}`), post(`{}`), 2},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				f := newServer(t, slowly(answer(200, `{"name":"n"}`)))
				client := f.client()
				first, second := goDo(t, client, time.Minute, test.first), goDo(t, client, time.Minute, test.second)
				for _, ended := range []<-chan outcome{first, second} {
					got := <-ended
					if got.err != nil {
						t.Fatal(got.err)
					}
					got.resp.Release()
				}
				wantRequests(t, f, test.want)
				wantInFlight(t, client, 0)
			})
		})
	}
}

func TestShare_notAcrossTokens(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		f := newServer(t, slowly(func(w http.ResponseWriter, r *http.Request) {
			answer(200, strconv.Quote(r.Header.Get("Authorization")))(w, r)
		}))
		token := followFile(t, "one")
		client := f.client(token.use)
		<-time.After(reload.Interval / 2)
		first := goDo(t, client, time.Minute, get("/x"))
		token.write("two")
		<-time.After(reload.Interval * 3 / 4)
		second := goDo(t, client, time.Minute, get("/x"))
		wantRequests(t, f, 2)
		wantBody(t, <-first, `"Bearer one"`)
		wantBody(t, <-second, `"Bearer two"`)
	})
}

func TestShare_notAcrossAWrite(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		var version atomic.Int64
		f := newServer(t, func(w http.ResponseWriter, r *http.Request) {
			if r.Method == http.MethodPost {
				version.Add(1)
				answer(204, "")(w, r)
				return
			}
			slowly(answer(200, strconv.FormatInt(version.Load(), 10)))(w, r)
		})
		client := f.client()
		before := goDo(t, client, time.Minute, get("/x"))
		write := <-goDo(t, client, time.Minute, post(`{}`))
		if write.err != nil {
			t.Fatal(write.err)
		}
		after, also := goDo(t, client, time.Minute, get("/x")), goDo(t, client, time.Minute, get("/x"))
		wantBody(t, <-before, "0")
		wantBody(t, <-after, "1")
		wantBody(t, <-also, "1")
		wantRequests(t, f, 3)
	})
}

func TestShare_failureIsACopy(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		f := newFake(t, slowly(answer(404, `{"message":"no","requestId":"r-1"}`)))
		client := f.client()
		first, second := goDo(t, client, time.Minute, get("/x")), goDo(t, client, time.Minute, get("/x"))
		got, want := <-first, <-second
		a, b := failure(t, got.resp, got.err), failure(t, want.resp, want.err)
		wantVerdict(t, a, codes.NotFound, "NOT_FOUND", 1)
		if a == b {
			t.Error("both have the same *Error")
		}
		if diff := cmp.Diff(a.GRPCStatus().String(), b.GRPCStatus().String()); diff != "" {
			t.Errorf("they differ:\n%s", diff)
		}
	})
}

func TestShare_endOfOneRequest(t *testing.T) {
	t.Parallel()
	for _, test := range []struct {
		name                     string
		leader, follower         time.Duration // until their deadlines
		wantLeader, wantFollower codes.Code
		followerTook             time.Duration
		requests                 int
	}{
		{
			name: "the first ends early", leader: 500 * time.Millisecond, follower: time.Minute,
			wantLeader: codes.DeadlineExceeded, followerTook: 1500 * time.Millisecond, requests: 2,
		},
		{
			name: "the second ends early", leader: time.Minute, follower: 500 * time.Millisecond,
			wantFollower: codes.DeadlineExceeded, followerTook: 500 * time.Millisecond, requests: 1,
		},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				f := newServer(t, slowly(answer(200, `{}`)))
				client := f.client()
				leader := goDo(t, client, test.leader, get("/x"))
				follower := goDo(t, client, test.follower, get("/x"))
				also := goDo(t, client, time.Minute, get("/x"))
				for _, call := range []struct {
					ended <-chan outcome
					want  codes.Code
				}{{leader, test.wantLeader}, {follower, test.wantFollower}, {also, codes.OK}} {
					got := <-call.ended
					switch {
					case call.want != codes.OK:
						if failed := failure(t, got.resp, got.err); failed.Code != call.want {
							t.Errorf("got %v, want %v", failed, call.want)
						}
					case got.err != nil:
						t.Error(got.err)
					default:
						got.resp.Release()
					}
					if call.ended == follower && got.took != test.followerTook {
						t.Errorf("the second took %v, want %v", got.took, test.followerTook)
					}
				}
				wantRequests(t, f, test.requests)
				wantInFlight(t, client, 0)
			})
		})
	}
}

// TestShare_waitTooLongForOne has a first call whose deadline is too close to wait for
// Retry-After. Who can wait does so; who cannot either does not ask the upstream once more.
func TestShare_waitTooLongForOne(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		limited := slowly(answer(429, "", "Retry-After", "10"))
		f := newFake(t, limited, limited, answer(200, `{}`))
		client := f.client()
		hasty, alsoHasty := goDo(t, client, 5*time.Second, get("/x")), goDo(t, client, 6*time.Second, get("/x"))
		patient := goDo(t, client, time.Minute, get("/x"))
		for _, ended := range []<-chan outcome{hasty, alsoHasty} {
			got := <-ended
			wantVerdict(t, failure(t, got.resp, got.err), codes.ResourceExhausted, "RATE_LIMITED", 1)
			if got.took != time.Second {
				t.Errorf("it took %v, want 1s", got.took)
			}
		}
		if got := <-patient; got.err != nil || got.resp.Attempts != 2 || got.took != 12*time.Second {
			t.Errorf("after %v Do = %+v, %v, want success at the second attempt", got.took, got.resp, got.err)
		}
	})
}

// TestShare_refusedRepeatIsTheLeadersOwn has a first call whose own failures do not let it be repeated.
// Another caller's, which waits for the same, is not refused for them.
func TestShare_refusedRepeatIsTheLeadersOwn(t *testing.T) {
	t.Parallel()
	for why, edit := range map[string]func(*upstream.Config){
		"retry_budget": func(cfg *upstream.Config) { cfg.Retry.Budget, cfg.Breaker.FailureRatio = 1, 2 },
		"circuit":      func(cfg *upstream.Config) { cfg.Breaker.MinAttempts = 3 },
	} {
		t.Run(why, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				failing := slowly(answer(503, "", "Retry-After", "1"))
				f := newFake(t, failing, failing, failing, slowly(answer(200, `{}`)))
				client := f.client(edit, func(cfg *upstream.Config) { cfg.Retry.MaxAttempts = 2 })
				by := func(caller string) *request {
					req := get("/x")
					req.From.Caller = caller
					return req
				}
				got := <-goDo(t, client, time.Minute, by("bad"))
				wantNotRepeated(t, failure(t, got.resp, got.err), codes.Unavailable, "SERVICE_UNAVAILABLE", 2, "attempts")
				bad, alsoBad := goDo(t, client, time.Minute, by("bad")), goDo(t, client, time.Minute, by("bad"))
				good := goDo(t, client, time.Minute, by("good"))
				for _, ended := range []<-chan outcome{bad, alsoBad} {
					got := <-ended
					failed := failure(t, got.resp, got.err)
					wantNotRepeated(t, failed, codes.Unavailable, "SERVICE_UNAVAILABLE", 1, why)
					if failed.RetryAfter < 5*time.Second || failed.OthersAfter() != time.Second {
						t.Errorf("RetryAfter is %v, and %v for others, want 5s at least and 1s", failed.RetryAfter, failed.OthersAfter())
					}
				}
				wantBody(t, <-good, `{}`)
			})
		})
	}
}

// TestShare_queueIsTheLeadersOwn has a first call that is not repeated because its caller has others that
// wait for the quota. Another caller, which waits for the same, has its own turn.
func TestShare_queueIsTheLeadersOwn(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		f := newFake(t, slowly(answer(503, "")), answer(200, "1"), answer(200, "2"), answer(200, "3"), answer(200, "4"))
		client, budget := f.client(), newQuota(t, quota.Limit{Requests: 1, Window: 2 * time.Second})
		bad := goDo(t, client, 7*time.Second, within(budget, "/x"))
		for n := range 3 {
			goDo(t, client, time.Minute, within(budget, "/"+strconv.Itoa(n)))
		}
		req := within(budget, "/x")
		req.From.Caller = "good"
		good := goDo(t, client, 7*time.Second, req)
		got := <-bad
		wantNotRepeated(t, failure(t, got.resp, got.err), codes.Unavailable, "SERVICE_UNAVAILABLE", 1, "quota")
		got = <-good
		wantBody(t, got, "2")
		if got.took != 4*time.Second {
			t.Errorf("it took %v, want 4s", got.took)
		}
		<-time.After(time.Minute)
	})
}

func TestShare_panicOfOneRequest(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		f := newFake(t, slowly(answer(200, `1`)), slowly(answer(200, `2`)))
		var attempts atomic.Int64
		client := f.client(func(cfg *upstream.Config) {
			cfg.Observer = observerFunc(func() {
				if attempts.Add(1) == 1 {
					panic("observer")
				}
			})
		})
		var panicked sync.WaitGroup
		panicked.Go(func() {
			defer func() {
				if recover() == nil {
					t.Error("the panic did not come through")
				}
			}()
			_, _ = client.Do(t.Context(), get("/x"))
		})
		synctest.Wait()
		second := goDo(t, client, time.Minute, get("/x"))
		panicked.Wait()
		got := <-second
		wantBody(t, got, "2")
		got.resp.Release()
		wantInFlight(t, client, 0)
	})
}

// readObserverFunc is a ReadObserver.
type readObserverFunc func(upstream.Read)

func (f readObserverFunc) ObserveRead(_ context.Context, r upstream.Read) { f(r) }

func TestShare_panicOfAReadObserver(t *testing.T) {
	t.Parallel()
	for name, source := range map[string]upstream.AnswerSource{
		"of one who asks the upstream": upstream.SourceUpstream,
		"of one who shares":            upstream.SourceShared,
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				var panicked atomic.Bool
				client := newServer(t, slowly(answer(200, letters(10_000)))).client(func(cfg *upstream.Config) {
					cfg.ReadObserver = readObserverFunc(func(r upstream.Read) {
						if r.Source == source && panicked.CompareAndSwap(false, true) {
							panic("observer")
						}
					})
				})
				var all sync.WaitGroup
				for range 2 {
					all.Go(func() {
						defer func() { _ = recover() }()
						if resp, err := client.Do(t.Context(), get("/x")); err == nil {
							resp.Release()
						}
					})
				}
				all.Wait()
				if !panicked.Load() {
					t.Fatal("the observer was not told")
				}
				got := <-goDo(t, client, time.Minute, get("/x"))
				wantBody(t, got, letters(10_000))
				got.resp.Release()
				wantInFlight(t, client, 0)
			})
		})
	}
}

// TestShare_hastyRequestsAndAPatientOne has an upstream that takes a second, and ever new calls that
// have half of one.
func TestShare_hastyRequestsAndAPatientOne(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		f := newServer(t, slowly(answer(200, `{}`)))
		client := f.client()
		ctx, stop := context.WithCancel(t.Context())
		var hasty sync.WaitGroup
		hasty.Go(func() {
			for ctx.Err() == nil {
				hasty.Go(func() {
					ctx, cancel := context.WithTimeout(ctx, 500*time.Millisecond)
					defer cancel()
					if resp, err := client.Do(ctx, get("/x")); err == nil {
						resp.Release()
					}
				})
				<-time.After(time.Millisecond)
			}
		})
		<-time.After(10 * time.Millisecond)
		got := <-goDo(t, client, time.Hour, get("/x"))
		stop()
		hasty.Wait()
		<-time.After(time.Second) // The upstream answers also who is gone.
		if got.err != nil || got.took > 2*time.Second {
			t.Errorf("Do = %+v, %v after %v, want success within 2s", got.resp, got.err, got.took)
		}
		got.resp.Release()
		wantInFlight(t, client, 0)
	})
}

// TestShare_leaderEnds has many who follow a call that is cancelled.
func TestShare_leaderEnds(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		f := newServer(t, slowly(answer(200, `{}`)))
		client := f.client()
		leader := goDo(t, client, 500*time.Millisecond, get("/x"))
		var all []<-chan outcome
		for n := range 100 {
			all = append(all, goDo(t, client, time.Minute+time.Duration(n)*time.Millisecond, get("/x")))
		}
		<-leader
		for _, ended := range all {
			if got := <-ended; got.err != nil || got.took != 1500*time.Millisecond {
				t.Errorf("Do = %+v, %v after %v, want success after 1.5s", got.resp, got.err, got.took)
			}
		}
		wantRequests(t, f, 2)
	})
}

// cached is a read that may come from the cache.
func cached(path string, decoder *transcode.Decoder) *request {
	req := get(path)
	req.Decoder, req.CacheTTL = decoder, 10*time.Second
	return req
}

func withCache(cfg *upstream.Config) { cfg.CacheBytes = 1 << 20 }

func TestCache_untilTooOld(t *testing.T) {
	t.Parallel()
	_, decoder := thing(t)
	synctest.Test(t, func(t *testing.T) {
		answered := 0
		f := newServer(t, func(w http.ResponseWriter, r *http.Request) {
			answered++
			answer(200, fmt.Sprintf(`{"size":%d,"colour":1}`, answered), "Request-Id", fmt.Sprintf("r-%d", answered))(w, r)
		})
		client := f.client(withCache)
		for _, step := range []struct {
			after    time.Duration
			answered int
			cached   bool
			age      time.Duration
		}{
			{answered: 1},
			{answered: 1, cached: true},
			{after: 3 * time.Second, answered: 1, cached: true, age: 3 * time.Second},
			{after: 7*time.Second - 1, answered: 1, cached: true, age: 10*time.Second - 1},
			{after: 1, answered: 2},
			{after: 5 * time.Second, answered: 2, cached: true, age: 5 * time.Second},
			{after: time.Hour, answered: 3},
		} {
			<-time.After(step.after)
			resp, err := client.Do(t.Context(), cached("/x", decoder))
			if err != nil {
				t.Fatal(err)
			}
			attempts := 1
			if step.cached {
				attempts = 0
				// The cache may forget it while it is being sent.
				wantInFlight(t, client, int64(len(resp.Message)))
			}
			if want := []byte{16, byte(step.answered)}; !cmp.Equal(resp.Message, want) {
				t.Errorf("Message = %v, want %v", resp.Message, want)
			}
			want := upstream.Response{
				Status: 200, RequestID: fmt.Sprintf("r-%d", step.answered), Attempts: attempts, Cached: step.cached, Age: step.age,
			}
			if diff := cmp.Diff(want, *resp, cmpopts.IgnoreFields(want, "Drift", "Message", "Lease"), cmpopts.IgnoreUnexported(want)); diff != "" {
				t.Errorf("response (-want +got):\n%s", diff)
			}
			if got := resp.Drift.Findings(); len(got) != 1 || got[0].Member != "colour" {
				t.Errorf("drift is %v, want colour", got)
			}
			resp.Release()
			resp.Release()
		}
	})
}

func TestCache_ageFromTheRequest(t *testing.T) {
	t.Parallel()
	_, decoder := thing(t)
	synctest.Test(t, func(t *testing.T) {
		client := newServer(t, slowly(answer(200, `{}`))).client(withCache)
		<-goDo(t, client, time.Minute, cached("/x", decoder))
		got := <-goDo(t, client, time.Minute, cached("/x", decoder))
		if got.err != nil || got.resp.Age != time.Second {
			t.Errorf("Do = %+v, %v, want an age of 1s", got.resp, got.err)
		}
		<-time.After(9 * time.Second)
		if got := <-goDo(t, client, time.Minute, cached("/x", decoder)); got.err != nil || got.resp.Cached {
			t.Errorf("Do = %+v, %v, want one that is not cached", got.resp, got.err)
		}
		brief := cached("/y", decoder)
		brief.CacheTTL = time.Second
		<-goDo(t, client, time.Minute, brief)
		if got := <-goDo(t, client, time.Minute, brief); got.err != nil || got.resp.Cached {
			t.Errorf("Do = %+v, %v, want one that is not cached", got.resp, got.err)
		}
	})
}

// TestCache_keepsTheNewest has a read that was asked for before a write and is answered
// after one that was asked for later.
func TestCache_keepsTheNewest(t *testing.T) {
	t.Parallel()
	_, decoder := thing(t)
	synctest.Test(t, func(t *testing.T) {
		f := newFake(t, slowly(answer(200, `{"size":1}`)), answer(204, ""), answer(200, `{"size":2}`))
		client := f.client(withCache)
		before := goDo(t, client, time.Minute, cached("/x", decoder))
		<-time.After(time.Millisecond)
		<-goDo(t, client, time.Minute, post(`{}`))
		after := <-goDo(t, client, time.Minute, cached("/x", decoder))
		for _, call := range []struct {
			got  outcome
			want byte
		}{{after, 2}, {<-before, 1}, {<-goDo(t, client, time.Minute, cached("/x", decoder)), 2}} {
			if call.got.err != nil {
				t.Fatal(call.got.err)
			}
			if want := []byte{16, call.want}; !cmp.Equal(call.got.resp.Message, want) {
				t.Errorf("Message = %v, want %v", call.got.resp.Message, want)
			}
		}
	})
}

func TestCache_onlyWhatMayBeKept(t *testing.T) {
	t.Parallel()
	_, decoder := thing(t)
	for _, test := range []struct {
		name   string
		status int
		edit   func(*request)
		want   int
	}{
		{"a read", 200, func(*request) {}, 1},
		{"an empty answer if nothing is declared", 204, func(r *request) { r.NoBody = true }, 1},
		{"not an empty answer if something is declared", 204, func(*request) {}, 2},
		{"no error", 404, func(*request) {}, 2},
		{"not without a time", 200, func(r *request) { r.CacheTTL = 0 }, 2},
		{"not if it must be fresh", 200, func(r *request) { r.NoStore = true }, 2},
		{"not without a decoder", 200, func(r *request) { r.Decoder = nil }, 2},
		{"not with headers", 200, func(r *request) { r.Header = []upstream.Header{{Name: "A", Value: "b"}} }, 2},
		{"no POST", 200, func(r *request) { r.kind.Method = http.MethodPost }, 2},
		{"no GET that does something", 200, func(r *request) { r.Repeatable = false }, 2},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				body := `{"name":"n"}`
				if test.status == 204 {
					body = ""
				}
				f := newServer(t, answer(test.status, body))
				client := f.client(withCache)
				for range 2 {
					req := cached("/x", decoder)
					test.edit(req)
					if resp, err := client.Do(t.Context(), req); err == nil {
						resp.Release()
					}
				}
				wantRequests(t, f, test.want)
			})
		})
	}
}

func TestCache_noStore(t *testing.T) {
	t.Parallel()
	_, decoder := thing(t)
	synctest.Test(t, func(t *testing.T) {
		f := newFake(t, answer(200, `{"size":1}`), answer(200, `{"size":2}`))
		client := f.client(withCache)
		for _, step := range []struct {
			noStore bool
			want    byte
		}{{false, 1}, {true, 2}, {false, 1}} {
			req := cached("/x", decoder)
			req.NoStore = step.noStore
			resp, err := client.Do(t.Context(), req)
			if err != nil {
				t.Fatal(err)
			}
			if want := []byte{16, step.want}; !cmp.Equal(resp.Message, want) {
				t.Errorf("Message = %v, want %v", resp.Message, want)
			}
			resp.Release()
		}
	})
}

func TestCache_notAcrossTokens(t *testing.T) {
	t.Parallel()
	_, decoder := thing(t)
	synctest.Test(t, func(t *testing.T) {
		f := newServer(t, answer(200, `{"name":"n"}`))
		token := followFile(t, "one")
		client := f.client(withCache, token.use)
		for i, step := range []struct {
			token  string
			cached bool
		}{{"one", false}, {"one", true}, {"two", false}, {"two", true}} {
			token.change(step.token)
			resp, err := client.Do(t.Context(), cached("/x", decoder))
			if err != nil || resp.Cached != step.cached {
				t.Errorf("call %d: Do = %+v, %v, want one that is cached: %t", i+1, resp, err, step.cached)
			}
		}
	})
}

func TestCache_sharedByPriorities(t *testing.T) {
	t.Parallel()
	_, decoder := thing(t)
	synctest.Test(t, func(t *testing.T) {
		f := newServer(t, answer(200, `{}`))
		client := f.client(withCache)
		for _, batch := range []bool{false, true} {
			req := cached("/x", decoder)
			req.From.Batch = batch
			<-goDo(t, client, time.Minute, req)
		}
		wantRequests(t, f, 1)
	})
}

func TestCache_staysWithinLimit(t *testing.T) {
	t.Parallel()
	_, decoder := thing(t)
	const limit = 100_000
	synctest.Test(t, func(t *testing.T) {
		f := newServer(t, func(w http.ResponseWriter, r *http.Request) {
			size := 1_000
			if r.URL.Path == "/large" {
				size = limit
			}
			answer(200, `{"name":`+letters(size)+`}`)(w, r)
		})
		client := f.client(func(cfg *upstream.Config) { cfg.CacheBytes = limit })
		for n := range 500 {
			resp, err := client.Do(t.Context(), cached("/"+strconv.Itoa(n), decoder))
			if err != nil {
				t.Fatal(err)
			}
			resp.Release()
			if got := client.CachedBytes(); got > limit {
				t.Fatalf("after %d responses %d bytes are cached, want at most %d", n+1, got, limit)
			}
		}
		full := client.CachedBytes()
		if full < limit/2 {
			t.Errorf("%d bytes are cached, want close to %d", full, limit)
		}
		for range 2 {
			resp, err := client.Do(t.Context(), cached("/large", decoder))
			if err != nil || resp.Cached {
				t.Fatalf("Do = %v, %v, want one that is not cached", resp, err)
			}
			resp.Release()
		}
		if got := client.CachedBytes(); got != full {
			t.Errorf("%d bytes are cached, want %d as before: what is too large takes no room from others", got, full)
		}
		<-time.After(time.Minute)
		if got := client.CachedBytes(); got != 0 {
			t.Errorf("a minute later %d bytes are cached, want 0", got)
		}
	})
}

// reads is a ReadObserver.
type reads struct {
	mu   sync.Mutex
	seen []upstream.Read
}

func (r *reads) ObserveRead(_ context.Context, read upstream.Read) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.seen = append(r.seen, read)
}

func TestReadObserver_everyRead(t *testing.T) {
	t.Parallel()
	_, decoder := thing(t)
	synctest.Test(t, func(t *testing.T) {
		f := newServer(t, slowly(answer(200, `{}`)))
		var seen reads
		client := f.client(withCache, func(cfg *upstream.Config) { cfg.ReadObserver = &seen })
		first, second := goDo(t, client, time.Minute, cached("/x", decoder)), goDo(t, client, time.Minute, cached("/x", decoder))
		<-first
		<-second
		<-goDo(t, client, time.Minute, cached("/x", decoder))
		<-goDo(t, client, time.Minute, get("/x"))
		<-goDo(t, client, time.Minute, post(`{}`))
		const template = "/things/{id}"
		want := []upstream.Read{
			{Template: template, Source: upstream.SourceUpstream, Cacheable: true},
			{Template: template, Source: upstream.SourceShared, Cacheable: true},
			{Template: template, Source: upstream.SourceCache, Cacheable: true},
			{Template: template, Source: upstream.SourceUpstream},
		}
		if diff := cmp.Diff(want, seen.seen); diff != "" {
			t.Errorf("reads (-want +got):\n%s", diff)
		}
	})
}

func TestShare_manyReadsAtOnce(t *testing.T) {
	t.Parallel()
	_, decoder := thing(t)
	synctest.Test(t, func(t *testing.T) {
		f := newServer(t, answer(200, `{"name":`+letters(5_000)+`}`))
		client, budget := f.client(withCache), newQuota(t, quota.Limit{Requests: 100, Window: time.Second})
		var all sync.WaitGroup
		for n := range 400 {
			all.Go(func() {
				ctx, cancel := context.WithTimeout(t.Context(), time.Duration(n%7)*time.Microsecond)
				defer cancel()
				if n%2 == 0 {
					ctx = t.Context()
				}
				req := cached("/"+strconv.Itoa(n%3), decoder)
				req.CacheTTL = time.Duration(n%2) * time.Millisecond
				if n%5 != 0 {
					req.Quota, req.From.Caller, req.From.Batch = budget, strconv.Itoa(n%5), n%11 == 0
				}
				if n%50 == 0 {
					req.kind.Method = http.MethodPost
				}
				resp, err := client.Do(ctx, req)
				if err != nil {
					if n%2 == 0 {
						t.Error(err)
					}
					return
				}
				resp.Release()
			})
		}
		all.Wait()
		wantInFlight(t, client, 0)
	})
}
