package upstream_test

import (
	"bytes"
	"context"
	"net/http"
	"strconv"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"google.golang.org/grpc/codes"

	"samsara.internal/gateway/upstream"
)

// circuit is a client that does not retry, with a server behind it whose mood can be set.
type circuit struct {
	t      *testing.T
	server fickle
	fake   *fake
	client *client
	log    bytes.Buffer
}

func newCircuit(t *testing.T, edits ...func(*upstream.Config)) *circuit {
	t.Helper()
	c := &circuit{t: t}
	c.fake = newServer(t, c.server.ServeHTTP)
	c.client = c.fake.client(append(edits, once, func(cfg *upstream.Config) { cfg.Logger = upstream.TextLog(&c.log) })...)
	return c
}

// calls makes calls in which the upstream answers alike.
func (c *circuit) calls(n, status int) {
	c.t.Helper()
	c.server.mood.Store(int64(status))
	for range n {
		if resp, err := c.client.Do(c.t.Context(), get("/x")); err == nil {
			resp.Release()
		}
	}
}

func (c *circuit) want(want upstream.Circuit) {
	c.t.Helper()
	if got := c.client.CircuitOf("/things/{id}", ""); got != want {
		c.t.Errorf("the circuit is in state %d, want %d", got, want)
	}
}

// wantRefusal makes a call that must be refused without an attempt.
func (c *circuit) wantRefusal(retryAfter time.Duration) {
	c.t.Helper()
	before := len(c.fake.requests())
	resp, err := c.client.Do(c.t.Context(), get("/x"))
	failed := failure(c.t, resp, err)
	wantVerdict(c.t, failed, codes.Unavailable, "UPSTREAM_CIRCUIT_OPEN", 0)
	if !failed.RetryAfterKnown || failed.RetryAfter != retryAfter || failed.OthersAfter() != 0 {
		c.t.Errorf("RetryAfter = %v, %t, and %v for others, want %v and 0", failed.RetryAfter, failed.RetryAfterKnown, failed.OthersAfter(), retryAfter)
	}
	if after := len(c.fake.requests()); after != before {
		c.t.Errorf("%d requests were made", after-before)
	}
}

func TestCircuit_opensOnSustainedFailure(t *testing.T) {
	t.Parallel()
	for _, test := range []struct {
		name string
		run  func(c *circuit)
		want upstream.Circuit
	}{
		{"20 failures", func(c *circuit) { c.calls(20, 503) }, upstream.CircuitOpen},
		{"19 failures", func(c *circuit) { c.calls(19, 503) }, upstream.CircuitClosed},
		{"60 % failures", func(c *circuit) { c.calls(1, 503); c.calls(1, 503); c.calls(40, 200); c.calls(58, 503) }, upstream.CircuitOpen},
		{"less than 60 % failures", func(c *circuit) { c.calls(1, 503); c.calls(40, 200); c.calls(58, 503) }, upstream.CircuitClosed},
		{"20 failures, some long ago", func(c *circuit) {
			c.calls(10, 503)
			<-time.After(11 * time.Second)
			c.calls(10, 503)
		}, upstream.CircuitClosed},
		{"20 failures within ten seconds", func(c *circuit) {
			c.calls(10, 503)
			<-time.After(8 * time.Second)
			c.calls(10, 503)
		}, upstream.CircuitOpen},
		{"100 refusals", func(c *circuit) { c.calls(100, 400) }, upstream.CircuitClosed},
		{"100 requests for patience", func(c *circuit) { c.calls(100, 429) }, upstream.CircuitClosed},
		{"20 request timeouts of the upstream", func(c *circuit) { c.calls(20, 408) }, upstream.CircuitOpen},
		{"100 verdicts 500", func(c *circuit) { c.calls(100, 500) }, upstream.CircuitClosed},
		{"100 verdicts 501", func(c *circuit) { c.calls(100, 501) }, upstream.CircuitClosed},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				c := newCircuit(t)
				test.run(c)
				c.want(test.want)
			})
		})
	}
}

func TestCircuit_opensOnBrokenConnections(t *testing.T) {
	t.Parallel()
	for _, test := range []struct {
		name string
		step http.HandlerFunc
		// deadline is the caller's.
		deadline time.Duration
		want     upstream.Circuit
	}{
		{name: "a reset", step: raw(""), deadline: time.Hour, want: upstream.CircuitOpen},
		{name: "a cut body", step: raw("HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\n{"), deadline: time.Hour, want: upstream.CircuitOpen},
		{name: "no answer", step: stall(""), deadline: time.Hour, want: upstream.CircuitOpen},
		{name: "no answer until the caller's deadline", step: stall(""), deadline: time.Second, want: upstream.CircuitClosed},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				client := newServer(t, test.step).client(once)
				var all sync.WaitGroup
				for n := range 30 {
					all.Go(func() {
						ctx, cancel := context.WithTimeout(t.Context(), test.deadline)
						defer cancel()
						if _, err := client.Do(ctx, get("/x/"+strconv.Itoa(n))); err == nil {
							t.Error("Do succeeded")
						}
					})
				}
				all.Wait()
				if got := client.CircuitOf("/things/{id}", ""); got != test.want {
					t.Errorf("the circuit is in state %d, want %d", got, test.want)
				}
			})
		})
	}
}

func TestOpenCircuit_failsFastProbesAndCloses(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		c := newCircuit(t)
		c.calls(20, 503)
		c.wantRefusal(5 * time.Second)
		<-time.After(2 * time.Second)
		c.wantRefusal(3 * time.Second)

		<-time.After(3 * time.Second)
		c.calls(1, 503) // a probe
		c.want(upstream.CircuitOpen)
		c.wantRefusal(5 * time.Second)

		<-time.After(5 * time.Second)
		c.calls(2, 200)
		c.want(upstream.CircuitHalfOpen)
		c.calls(1, 429)
		c.want(upstream.CircuitClosed)
		c.calls(19, 503)
		c.want(upstream.CircuitClosed)

		const want = `level=WARN msg="upstream circuit opened" operation=/things/{id} caller="" tenant="" probe_after=5s
level=INFO msg="upstream circuit closed" operation=/things/{id} caller="" tenant=""
`
		if got := c.log.String(); got != want {
			t.Errorf("logged\n%swant\n%s", got, want)
		}
	})
}

// TestProbe_hangs has probes of which three hang: they neither keep the circuit from
// being probed, nor from closing once they have succeeded.
func TestProbe_hangs(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		c := newCircuit(t)
		c.calls(20, 503)
		<-time.After(6 * time.Second)

		release := make(chan struct{})
		c.fake.every = func(w http.ResponseWriter, r *http.Request) {
			if strings.HasPrefix(r.URL.Path, "/slow") {
				<-release
			}
			answer(200, `{}`)(w, r)
		}
		ended := make(chan error)
		for _, path := range []string{"/slow/1", "/slow/2", "/slow/3"} {
			go func() {
				_, err := c.client.Do(t.Context(), get(path))
				ended <- err
			}()
		}
		synctest.Wait()
		before := len(c.fake.requests())
		c.wantRefusal(5 * time.Second)
		<-time.After(5 * time.Second)
		c.calls(2, 200)
		c.want(upstream.CircuitHalfOpen)
		if got := len(c.fake.requests()) - before; got != 2 {
			t.Errorf("%d more probes were made, want 2", got)
		}
		close(release)
		for range 3 {
			if err := <-ended; err != nil {
				t.Error(err)
			}
		}
		c.want(upstream.CircuitClosed)
	})
}

// TestProbe_refusalTellsWhenNextMakesRoom has probes that begin one after another and hang, and one
// that succeeds: that one makes no room for another.
func TestProbe_refusalTellsWhenNextMakesRoom(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		c := newCircuit(t)
		c.calls(20, 503)
		<-time.After(6 * time.Second)
		c.calls(1, 200)
		c.fake.every = stall("")
		first := goDo(t, c.client, 15*time.Second, get("/1"))
		<-time.After(3 * time.Second)
		second := goDo(t, c.client, 4*time.Second, get("/2"))
		c.wantRefusal(2 * time.Second)
		<-time.After(2 * time.Second)
		third := goDo(t, c.client, 10*time.Second, get("/3"))
		c.wantRefusal(3 * time.Second)
		<-second
		<-goDo(t, c.client, time.Second, get("/4")) // instead of the second
		<-first
		<-third
		c.want(upstream.CircuitHalfOpen)
	})
}

func TestProbe_fewOfManyAtOnce(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		c := newCircuit(t)
		c.calls(20, 503)
		<-time.After(6 * time.Second)
		c.fake.every = slowly(answer(200, `{}`))
		before := len(c.fake.requests())
		var all sync.WaitGroup
		for n := range 200 {
			all.Go(func() {
				if resp, err := c.client.Do(t.Context(), get("/"+strconv.Itoa(n))); err == nil {
					resp.Release()
				} else {
					wantVerdict(t, failure(t, resp, err), codes.Unavailable, "UPSTREAM_CIRCUIT_OPEN", 0)
				}
			})
		}
		all.Wait()
		if got := len(c.fake.requests()) - before; got != 3 {
			t.Errorf("%d probes were made, want 3", got)
		}
		c.want(upstream.CircuitClosed)
	})
}

func TestProbe_endedByItsCaller(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		c := newCircuit(t)
		c.calls(20, 503)
		<-time.After(6 * time.Second)
		c.fake.every = stall("")
		for range 5 {
			ctx, cancel := context.WithTimeout(t.Context(), time.Second)
			resp, err := c.client.Do(ctx, get("/x"))
			cancel()
			wantVerdict(t, failure(t, resp, err), codes.DeadlineExceeded, "REQUEST_DEADLINE_EXCEEDED", 1)
		}
		c.want(upstream.CircuitHalfOpen)
	})
}

func TestRetry_circuitOpen(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		f := newServer(t, answer(503, "", "Retry-After", "3"))
		client := f.client(func(cfg *upstream.Config) { cfg.Breaker.MinAttempts = 5 })
		ended := make(chan *upstream.Error)
		call := func(path string) {
			resp, err := client.Do(t.Context(), get(path))
			ended <- failure(t, resp, err)
		}
		for _, path := range []string{"/1", "/2", "/3", "/4"} {
			go call(path)
		}
		<-time.After(time.Second)
		go call("/5")
		wantVerdict(t, <-ended, codes.Unavailable, "SERVICE_UNAVAILABLE", 1) // it opened the circuit
		for range 4 {
			failed := <-ended
			wantNotRepeated(t, failed, codes.Unavailable, "SERVICE_UNAVAILABLE", 1, "circuit")
			if want := 3 * time.Second; failed.RetryAfter != want {
				t.Errorf("RetryAfter = %v, want %v", failed.RetryAfter, want)
			}
		}
		if got := len(f.requests()); got != 5 {
			t.Errorf("%d requests were made, want 5", got)
		}
	})
}

func TestObserver_panicIsNoVerdict(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		var panics bool
		c := newCircuit(t, func(cfg *upstream.Config) {
			cfg.Observer = observerFunc(func() {
				if panics {
					panic("observer")
				}
			})
		})
		c.calls(20, 503)
		<-time.After(6 * time.Second)
		panics = true
		for range 5 {
			func() {
				defer func() {
					if recover() == nil {
						t.Error("the probe was not made")
					}
				}()
				c.calls(1, 200)
			}()
		}
		c.want(upstream.CircuitHalfOpen)
	})
}
