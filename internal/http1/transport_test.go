package http1_test

import (
	"bufio"
	"bytes"
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"math/rand/v2"
	"net"
	"net/http"
	"net/http/httptest"
	"net/url"
	"os"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"go.uber.org/goleak"

	"samsara.internal/gateway/internal/http1"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// peer is a server on an in-memory network. The n-th connection is served by the n-th script;
// a connection without a script, and a script without a connection, fail the test.
type peer struct {
	t       *testing.T
	scripts []func(*wire)
	mu      sync.Mutex
	dials   int
	serving sync.WaitGroup
}

// wire is the server's end of a connection.
type wire struct {
	net.Conn
	t  *testing.T
	in *bufio.Reader
}

func newPeer(t *testing.T, scripts ...func(*wire)) *peer {
	t.Helper()
	p := &peer{t: t, scripts: scripts}
	t.Cleanup(func() {
		p.serving.Wait()
		if p.dials != len(p.scripts) {
			t.Errorf("there were %d connections, want %d", p.dials, len(p.scripts))
		}
	})
	return p
}

func (p *peer) dial(context.Context, string, string) (net.Conn, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.dials++
	if p.dials > len(p.scripts) {
		return nil, errors.New("connection without a script")
	}
	client, server := net.Pipe()
	script := p.scripts[p.dials-1]
	p.serving.Go(func() {
		defer func() { _ = server.Close() }()
		script(&wire{server, p.t, bufio.NewReader(server)})
	})
	return client, nil
}

// expect reads a request and returns its body.
func (w *wire) expect(method string) string {
	req, err := http.ReadRequest(w.in)
	if err != nil || req.Method != method {
		w.t.Errorf("server read %+v, %v, want a %s", req, err, method)
		return ""
	}
	body, err := io.ReadAll(req.Body)
	if err != nil {
		w.t.Errorf("server read body: %v", err)
	}
	return string(body)
}

func (w *wire) send(text string) { _, _ = io.WriteString(w, text) }

// untilClosed waits for the client to hang up.
func (w *wire) untilClosed() { _, _ = io.Copy(io.Discard, w.in) }

const (
	okHead  = "HTTP/1.1 200 OK\r\n"
	okReply = okHead + "Content-Length: 2\r\n\r\nok"
)

// answers returns a script that answers so many GETs and then waits for the client to go.
func answers(n int) func(*wire) {
	return func(w *wire) {
		for range n {
			w.expect(http.MethodGet)
			w.send(okReply)
		}
		w.untilClosed()
	}
}

func server() *url.URL { return &url.URL{Scheme: "http", Host: "api.test"} }

func config(dial func(context.Context, string, string) (net.Conn, error)) http1.Config {
	return http1.Config{
		Server: server(), DialContext: dial, HandshakeTimeout: 10 * time.Second,
		MaxIdleConns: 8, IdleConnTimeout: time.Minute, MaxResponseHeaderBytes: 8 << 10,
	}
}

func newTransport(t *testing.T, cfg http1.Config) *http1.Transport {
	t.Helper()
	transport := http1.New(cfg)
	t.Cleanup(transport.CloseIdleConnections)
	return transport
}

func request(ctx context.Context, method, body string) *http.Request {
	target := server()
	target.Path = "/x"
	req := (&http.Request{Method: method, URL: target, Header: http.Header{}}).WithContext(ctx)
	if body != "" {
		req.ContentLength = int64(len(body))
		req.GetBody = func() (io.ReadCloser, error) { return io.NopCloser(strings.NewReader(body)), nil }
		req.Body, _ = req.GetBody()
	}
	return req
}

// exchange returns the status and the body of a request's response.
func exchange(t *testing.T, transport http.RoundTripper, req *http.Request) (int, string, error) {
	t.Helper()
	resp, err := transport.RoundTrip(req)
	if err != nil {
		return 0, "", err
	}
	body, err := io.ReadAll(resp.Body)
	return resp.StatusCode, string(body), errors.Join(err, resp.Body.Close())
}

func wantOK(t *testing.T, transport http.RoundTripper, req *http.Request) {
	t.Helper()
	if status, body, err := exchange(t, transport, req); status != 200 || body != "ok" || err != nil {
		t.Errorf("got %d %q, %v, want 200 ok", status, body, err)
	}
}

func TestRequest_asServersReadIt(t *testing.T) {
	t.Parallel()
	tests := []struct {
		method, body string
		want         string
	}{
		{"GET", "", "GET /a%2Fb?q=%20 HTTP/1.1\r\nHost: api.test\r\nX-A: 1\r\n\r\n"},
		{"DELETE", "", "DELETE /a%2Fb?q=%20 HTTP/1.1\r\nHost: api.test\r\nX-A: 1\r\n\r\n"},
		{"POST", "", "POST /a%2Fb?q=%20 HTTP/1.1\r\nHost: api.test\r\nX-A: 1\r\nContent-Length: 0\r\n\r\n"},
		{"PATCH", "{}", "PATCH /a%2Fb?q=%20 HTTP/1.1\r\nHost: api.test\r\nX-A: 1\r\nContent-Length: 2\r\n\r\n{}"},
	}
	for _, test := range tests {
		t.Run(test.method, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				var got []byte
				p := newPeer(t, func(w *wire) {
					got = make([]byte, len(test.want))
					_, _ = io.ReadFull(w.in, got)
					w.send(okReply)
					w.untilClosed()
				})
				transport := newTransport(t, config(p.dial))
				req := request(t.Context(), test.method, test.body)
				req.URL.Path, req.URL.RawPath, req.URL.RawQuery = "/a/b", "/a%2Fb", "q=%20"
				req.Header = http.Header{"X-A": {"1"}, "Content-Length": {"77"}, "Transfer-Encoding": {"chunked"}}
				wantOK(t, transport, req)
				if string(got) != test.want {
					t.Errorf("server read %q, want %q", got, test.want)
				}
			})
		})
	}
}

// gate holds a request up for a time, once, or says why it may not pass. It counts how often it was
// asked.
type gate struct {
	holds time.Duration
	err   error
	asked int
}

func (g *gate) Pass(ctx context.Context) error {
	g.asked++
	holds := g.holds
	g.holds = 0
	select {
	case <-time.After(holds):
		return g.err
	case <-ctx.Done():
		return ctx.Err()
	}
}

func TestGate_requestWaits(t *testing.T) {
	t.Parallel()
	const opening = 2 * time.Second
	for name, test := range map[string]struct {
		holds, hangsUp time.Duration // 0: the server does not hang up
		asked          int
	}{
		"after a moment": {holds: 100 * time.Millisecond, asked: 1},
		"after a while":  {holds: 3 * time.Second, asked: 1},
		"on another connection if the server has not waited": {holds: 3 * time.Second, hangsUp: time.Second, asked: 2},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				var written time.Time
				takes := func(w *wire) {
					w.expect(http.MethodPost)
					written = time.Now()
					w.send(okReply)
					w.untilClosed()
				}
				scripts := []func(*wire){takes}
				want := opening + test.holds
				if test.hangsUp > 0 {
					scripts = []func(*wire){func(*wire) { <-time.After(test.hangsUp) }, takes}
					want += opening
				}
				p := newPeer(t, scripts...)
				cfg := config(func(ctx context.Context, network, address string) (net.Conn, error) {
					<-time.After(opening)
					return p.dial(ctx, network, address)
				})
				begun, g := time.Now(), &gate{holds: test.holds}
				resp, err := newTransport(t, cfg).RoundTripThrough(g, request(t.Context(), http.MethodPost, "{}"))
				if err != nil {
					t.Fatal(err)
				}
				if err := resp.Body.Close(); err != nil {
					t.Error(err)
				}
				if got := written.Sub(begun); got != want || g.asked != test.asked {
					t.Errorf("the request was written after %v, by leave of %d, want %v and %d", got, g.asked, want, test.asked)
				}
			})
		})
	}
}

func TestGate_refusalKeepsTheConnection(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		p := newPeer(t, answers(1))
		transport := newTransport(t, config(p.dial))
		refusal := errors.New("not now")
		for _, g := range []*gate{{err: refusal}, {err: refusal}} {
			resp, err := transport.RoundTripThrough(g, request(t.Context(), http.MethodPost, "{}")) //nolint:bodyclose // there is none
			var notSent *http1.NotSentError
			if !errors.As(err, &notSent) || !errors.Is(err, refusal) || resp != nil {
				t.Errorf("got %v, %v, want a request not sent: %v", resp, err, refusal)
			}
		}
		wantOK(t, transport, request(t.Context(), http.MethodGet, ""))
	})
}

func TestRequest_malformed(t *testing.T) {
	t.Parallel()
	tests := map[string]struct {
		edit func(*http.Request)
		want string
	}{
		"another host":         {func(r *http.Request) { r.URL.Host = "evil.test" }, "server must be http://api.test, is http://evil.test"},
		"another scheme":       {func(r *http.Request) { r.URL.Scheme = "https" }, "server must be http://api.test, is https://api.test"},
		"a method of two":      {func(r *http.Request) { r.Method = "GET /" }, `method must be a token, is "GET /"`},
		"a line break":         {func(r *http.Request) { r.URL.RawQuery = "a\r\nb" }, `URI must be escaped, is "/x?a\r\nb"`},
		"a header of two":      {func(r *http.Request) { r.Header["A\r\nB"] = []string{"1"} }, `header must have valid names, has "A\r\nB"`},
		"a value of two":       {func(r *http.Request) { r.Header["Authorization"] = []string{"secret\r\nB: 1"} }, "header must have valid values, that of Authorization is not"},
		"a body of any length": {func(r *http.Request) { r.Body, r.ContentLength = http.NoBody, -1 }, "length of a body must be positive, is -1"},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				transport := newTransport(t, config(newPeer(t).dial))
				req := request(t.Context(), http.MethodGet, "")
				test.edit(req)
				_, _, err := exchange(t, transport, req)
				var notSent *http1.NotSentError
				if !errors.As(err, &notSent) || err.Error() != test.want {
					t.Errorf("got %v, want a NotSentError: %s", err, test.want)
				}
			})
		})
	}
}

func TestConnection_reused(t *testing.T) {
	t.Parallel()
	for name, reply := range map[string]string{
		"after a body of known length":   okReply,
		"after chunks":                   okHead + "Transfer-Encoding: chunked\r\n\r\n2\r\nok\r\n0\r\n\r\n",
		"after chunks with trailers":     okHead + "Transfer-Encoding: chunked\r\nTrailer: X\r\n\r\n2\r\nok\r\n0\r\nX: 1\r\n\r\n",
		"after informational responses":  "HTTP/1.1 103 Early Hints\r\nLink: <a>\r\n\r\nHTTP/1.1 102 Processing\r\n\r\n" + okReply,
		"after HTTP/1.0 that says so":    "HTTP/1.0 200 OK\r\nConnection: keep-alive\r\nContent-Length: 2\r\n\r\nok",
		"after a header in many packets": okReply,
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				p := newPeer(t, func(w *wire) {
					for range 3 {
						w.expect(http.MethodGet)
						if strings.Contains(name, "packets") {
							for i := range reply {
								w.send(reply[i : i+1])
							}
							continue
						}
						w.send(reply)
					}
					w.untilClosed()
				})
				transport := newTransport(t, config(p.dial))
				for range 3 {
					wantOK(t, transport, request(t.Context(), http.MethodGet, ""))
				}
			})
		})
	}
}

func TestConnection_notReused(t *testing.T) {
	t.Parallel()
	for name, reply := range map[string]string{
		"after Connection: close":   okHead + "Connection: close\r\nContent-Length: 2\r\n\r\nok",
		"after HTTP/1.0":            "HTTP/1.0 200 OK\r\nContent-Length: 2\r\n\r\nok",
		"with more than was asked":  okReply + "HTTP/1.1 200 OK\r\n",
		"that was to be switched":   "HTTP/1.1 101 Switching Protocols\r\nUpgrade: x\r\nConnection: Upgrade\r\n\r\n",
		"if its body was left":      okHead + "Content-Length: 3\r\n\r\nok",
		"after a body without size": okHead + "\r\nok",
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				p := newPeer(t, func(w *wire) {
					w.expect(http.MethodGet)
					w.send(reply)
					if !strings.Contains(name, "without size") {
						w.untilClosed()
					}
				}, answers(1))
				transport := newTransport(t, config(p.dial))
				resp, err := transport.RoundTrip(request(t.Context(), http.MethodGet, ""))
				if err != nil {
					t.Fatal(err)
				}
				if !strings.Contains(name, "left") {
					_, _ = io.ReadAll(resp.Body)
				}
				if err := resp.Body.Close(); err != nil {
					t.Error(err)
				}
				if _, err := resp.Body.Read(make([]byte, 1)); err == nil {
					t.Error("a closed body could be read")
				}
				wantOK(t, transport, request(t.Context(), http.MethodGet, ""))
			})
		})
	}
}

func TestRequest_withoutEffectsSurvivesAClosedConnection(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		once := func(w *wire) { w.expect(http.MethodGet); w.send(okReply) }
		gone := func(w *wire) { w.expect(http.MethodGet); w.send(okReply); w.expect(http.MethodGet) }
		p := newPeer(t, once, gone, answers(1))
		transport := newTransport(t, config(p.dial))
		for range 3 {
			wantOK(t, transport, request(t.Context(), http.MethodGet, ""))
			synctest.Wait()
		}
	})
}

func TestRequest_withEffectsNotSentTwice(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		p := newPeer(t, func(w *wire) {
			w.expect(http.MethodPost)
			w.send(okReply)
			if got := w.expect(http.MethodPost); got != "second" {
				w.t.Errorf("server read %q, want second", got)
			}
		})
		transport := newTransport(t, config(p.dial))
		wantOK(t, transport, request(t.Context(), http.MethodPost, "first"))
		_, _, err := exchange(t, transport, request(t.Context(), http.MethodPost, "second"))
		var notSent *http1.NotSentError
		if err == nil || errors.As(err, &notSent) || !errors.Is(err, io.EOF) {
			t.Errorf("got %v, want an EOF that is no NotSentError", err)
		}
	})
}

func TestConnection_firstUseNotRepeated(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		p := newPeer(t, func(w *wire) { w.expect(http.MethodGet) })
		_, _, err := exchange(t, newTransport(t, config(p.dial)), request(t.Context(), http.MethodGet, ""))
		if !errors.Is(err, io.EOF) {
			t.Errorf("got %v, want EOF", err)
		}
	})
}

func TestPool_bounded(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		const calls = 5
		var hungUp []time.Duration
		start := time.Now()
		var mu sync.Mutex
		script := func(w *wire) {
			w.expect(http.MethodGet)
			w.send(okReply)
			w.untilClosed()
			mu.Lock()
			defer mu.Unlock()
			hungUp = append(hungUp, time.Since(start))
		}
		p := newPeer(t, script, script, script, script, script)
		cfg := config(p.dial)
		cfg.MaxIdleConns = 3
		transport := newTransport(t, cfg)
		var bodies []io.ReadCloser
		for range calls {
			resp, err := transport.RoundTrip(request(t.Context(), http.MethodGet, "")) //nolint:bodyclose // reading it to its end does
			if err != nil {
				t.Fatal(err)
			}
			bodies = append(bodies, resp.Body)
		}
		for i, body := range bodies {
			if i > 0 {
				time.Sleep(10 * time.Second) //nolint:forbidigo // virtual time
			}
			_, _ = io.ReadAll(body)
		}
		p.serving.Wait()
		want := "[30s 40s 1m0s 1m10s 1m20s]"
		if got := fmt.Sprint(hungUp); got != want {
			t.Errorf("connections were closed after %s, want %s", got, want)
		}
	})
}

func TestTransport_closedKeepsNothing(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		p := newPeer(t, answers(1), answers(1))
		transport := newTransport(t, config(p.dial))
		resp, err := transport.RoundTrip(request(t.Context(), http.MethodGet, "")) //nolint:bodyclose // reading it to its end does
		if err != nil {
			t.Fatal(err)
		}
		wantOK(t, transport, request(t.Context(), http.MethodGet, ""))
		transport.CloseIdleConnections()
		_, _ = io.ReadAll(resp.Body)
		p.serving.Wait() // both are closed
	})
}

func TestExchange_contextEnds(t *testing.T) {
	t.Parallel()
	errGone := errors.New("gone")
	large := strings.Repeat("x", 1<<20)
	for name, test := range map[string]struct {
		body   string
		script func(*wire)
	}{
		"while the request is written": {large, func(w *wire) { _, _ = http.ReadRequest(w.in); w.untilClosedAfter() }},
		"before the header":            {"", func(w *wire) { w.expect(http.MethodPost); w.untilClosed() }},
		"within the header":            {"", func(w *wire) { w.expect(http.MethodPost); w.send("HTTP/1.1 2"); w.untilClosed() }},
		"within the body": {"", func(w *wire) {
			w.expect(http.MethodPost)
			w.send(okHead + "Content-Length: 3\r\n\r\nok")
			w.untilClosed()
		}},
		"within a chunk": {"", func(w *wire) {
			w.expect(http.MethodPost)
			w.send(okHead + "Transfer-Encoding: chunked\r\n\r\n3\r\nok")
			w.untilClosed()
		}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				p := newPeer(t, test.script)
				transport := newTransport(t, config(p.dial))
				ctx, cancel := context.WithTimeoutCause(t.Context(), time.Second, errGone)
				defer cancel()
				start := time.Now()
				_, _, err := exchange(t, transport, request(ctx, http.MethodPost, test.body))
				if !errors.Is(err, errGone) || time.Since(start) != time.Second {
					t.Errorf("got %v after %v, want %v after 1s", err, time.Since(start), errGone)
				}
				p.serving.Wait() // the connection is closed
			})
		})
	}
}

// untilClosedAfter stops reading, and waits for the client to hang up.
func (w *wire) untilClosedAfter() {
	time.Sleep(time.Minute) //nolint:forbidigo // virtual time
	w.untilClosed()
}

// TestBody_endsInTime has bodies that are bounded: one that stalls, and one whose connection is used again
// when the bound has long passed.
func TestBody_endsInTime(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		p := newPeer(t, func(w *wire) {
			w.expect(http.MethodGet)
			w.send(okReply)
			w.expect(http.MethodGet)
			<-time.After(3 * time.Second)
			w.send(okHead + "Content-Length: 9\r\n\r\no")
			w.untilClosed()
		})
		transport := newTransport(t, config(p.dial))
		bounded := func() (string, error) {
			resp, err := transport.RoundTrip(request(t.Context(), http.MethodGet, ""))
			if err != nil {
				t.Fatal(err)
			}
			body, ok := resp.Body.(interface{ EndIn(d time.Duration) })
			if !ok {
				t.Fatalf("a %T has no end", resp.Body)
			}
			body.EndIn(time.Second)
			got, err := io.ReadAll(resp.Body)
			_ = resp.Body.Close()
			return string(got), err
		}
		if got, err := bounded(); got != "ok" || err != nil {
			t.Errorf("read %q, %v, want ok", got, err)
		}
		began := time.Now()
		if got, err := bounded(); got != "o" || !errors.Is(err, os.ErrDeadlineExceeded) {
			t.Errorf("read %q, %v, want o and the end of its time", got, err)
		}
		if took := time.Since(began); took != 4*time.Second {
			t.Errorf("it took %v, want 4s", took)
		}
	})
}

// TestBody_endsWithItsContext has a context end before its body is bounded.
func TestBody_endsWithItsContext(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		p := newPeer(t, func(w *wire) {
			w.expect(http.MethodGet)
			w.send(okHead + "Content-Length: 9\r\n\r\no")
			w.untilClosed()
		})
		ctx, cancel := context.WithCancel(t.Context())
		resp, err := newTransport(t, config(p.dial)).RoundTrip(request(ctx, http.MethodGet, ""))
		if err != nil {
			t.Fatal(err)
		}
		cancel()
		synctest.Wait()
		began := time.Now()
		if body, ok := resp.Body.(interface{ EndIn(d time.Duration) }); ok {
			body.EndIn(time.Hour)
		}
		_, err = io.ReadAll(resp.Body)
		_ = resp.Body.Close()
		if !errors.Is(err, context.Canceled) || time.Since(began) != 0 {
			t.Errorf("read %v after %v, want the end of the context at once", err, time.Since(began))
		}
	})
}

func TestResponse_beforeTheRequestIsSent(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		p := newPeer(t, func(w *wire) {
			if _, err := http.ReadRequest(w.in); err != nil {
				w.t.Error(err)
			}
			w.send("HTTP/1.1 413 Too Large\r\nContent-Length: 2\r\n\r\nno")
			time.Sleep(time.Second) //nolint:forbidigo // virtual time
		}, answers(1))
		transport := newTransport(t, config(p.dial))
		status, body, err := exchange(t, transport, request(t.Context(), http.MethodPost, strings.Repeat("x", 1<<20)))
		if status != 413 || body != "no" || err != nil {
			t.Errorf("got %d %q, %v, want 413 no", status, body, err)
		}
		wantOK(t, transport, request(t.Context(), http.MethodGet, ""))
	})
}

func TestConnection_halfARequest(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		const sent = 20 << 10
		p := newPeer(t, func(w *wire) {
			if _, err := http.ReadRequest(w.in); err != nil {
				w.t.Error(err)
			}
			_, _ = io.CopyN(io.Discard, w.in, sent)
			time.Sleep(time.Millisecond) //nolint:forbidigo // virtual time, in which the client finds that there is no more
			w.send("HTTP/1.1 400 Bad Request\r\nContent-Length: 2\r\n\r\nno")
			w.untilClosed()
		}, func(w *wire) {
			w.expect(http.MethodPost)
			w.send(okReply)
			w.untilClosed()
		})
		transport := newTransport(t, config(p.dial))
		req := request(t.Context(), http.MethodPost, strings.Repeat("x", sent))
		req.ContentLength = 2 * sent
		if status, body, err := exchange(t, transport, req); status != 400 || body != "no" || err != nil {
			t.Errorf("got %d %q, %v, want 400 no", status, body, err)
		}
		wantOK(t, transport, request(t.Context(), http.MethodPost, "{}"))
	})
}

func TestResponse_bounds(t *testing.T) {
	t.Parallel()
	for name, test := range map[string]struct{ reply, want string }{
		"a long header":              {okHead + "X: " + strings.Repeat("a", 9<<10), "response header exceeds its limit of 8192 bytes"},
		"many informational answers": {strings.Repeat("HTTP/1.1 103 x\r\n\r\n", 600) + okReply, "response header exceeds its limit of 8192 bytes"},
		"HTTP/2.0":                   {"HTTP/2.0 200 OK\r\n\r\n", `status line must be of HTTP/1, is of "HTTP/2.0"`},
		"no HTTP":                    {"SSH-2.0-x\r\n\r\n", `malformed HTTP response "SSH-2.0-x"`},
		"an end within the header":   {okHead + "X: a\r\n", "unexpected EOF"},
		"an end before the header":   {"", "no response: EOF"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				p := newPeer(t, func(w *wire) { w.expect(http.MethodGet); w.send(test.reply) })
				_, _, err := exchange(t, newTransport(t, config(p.dial)), request(t.Context(), http.MethodGet, ""))
				if err == nil || err.Error() != test.want {
					t.Errorf("got %v, want %s", err, test.want)
				}
			})
		})
	}
}

// TestBrokenError_status has responses that end, or cannot be read, within their header.
func TestBrokenError_status(t *testing.T) {
	t.Parallel()
	for name, test := range map[string]struct {
		reply string
		want  int // 0: it is no BrokenError
	}{
		"nothing":                        {"", 0},
		"no whole status":                {"HTTP/1.1 20", 0},
		"a status that may go on":        {"HTTP/1.1 200", 0},
		"a status with its space":        {"HTTP/1.1 200 ", 200},
		"a status without words":         {"HTTP/1.1 200\r", 200},
		"a status line":                  {"HTTP/1.1 204 No Content\r\n", 204},
		"a status line of an error":      {"HTTP/1.0 503 No\r\nX: ", 503},
		"a line that is no field":        {okHead + "X\r\n\r\n", 200},
		"a header above its limit":       {okHead + "X: " + strings.Repeat("a", 9<<10), 200},
		"an informational response":      {"HTTP/1.1 103 x\r\n", 0},
		"one before a status line":       {"HTTP/1.1 103 x\r\nX: a\r\n\r\nHTTP/1.1 404 x\r\n", 404},
		"one before nothing":             {"HTTP/1.1 103 x\r\n\r\n", 0},
		"a status of four digits":        {"HTTP/1.1 2000 OK\r\n", 0},
		"a status of another version":    {"HTTP/2.0 200 OK\r\n\r\n", 0},
		"a response to the one before":   {okReply + "HTTP/1.1 404 x\r\n", -1},
		"a status after 4 KiB of fields": {"HTTP/1.1 103 x\r\nX: " + strings.Repeat("a", 4<<10-30) + "\r\n\r\nHTTP/1.1 200 OK\r\nX", 200},
	} {
		for _, piece := range []int{len(test.reply), 1} {
			t.Run(fmt.Sprintf("%s, %d bytes at once", name, piece), func(t *testing.T) {
				t.Parallel()
				synctest.Test(t, func(t *testing.T) {
					p := newPeer(t, func(w *wire) {
						w.expect(http.MethodPost)
						for sent := range slices.Chunk([]byte(test.reply), max(piece, 1)) {
							w.send(string(sent))
						}
					})
					_, _, err := exchange(t, newTransport(t, config(p.dial)), request(t.Context(), http.MethodPost, "{}"))
					got := 0
					var broken *http1.BrokenError
					if errors.As(err, &broken) {
						got = broken.Status
					}
					if err == nil {
						got = -1
					}
					if got != test.want {
						t.Errorf("got status %d of %v, want %d", got, err, test.want)
					}
				})
			})
		}
	}
}

func TestResponse_headerLimitNotOfTheBody(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		long := strings.Repeat("x", 1<<20)
		p := newPeer(t, func(w *wire) {
			for range 2 {
				w.expect(http.MethodGet)
				w.send(okHead + "Content-Length: " + strconv.Itoa(len(long)) + "\r\n\r\n" + long)
			}
			w.untilClosed()
		})
		transport := newTransport(t, config(p.dial))
		for range 2 {
			if status, body, err := exchange(t, transport, request(t.Context(), http.MethodGet, "")); status != 200 || body != long || err != nil {
				t.Errorf("got %d, %d bytes, %v", status, len(body), err)
			}
		}
	})
}

// The tests below need sockets.

// start starts a real server and returns a configuration for it.
func start(t testing.TB, secure bool, handler http.HandlerFunc, onState func(net.Conn, http.ConnState)) (*httptest.Server, http1.Config) {
	t.Helper()
	s := httptest.NewUnstartedServer(handler)
	s.Config.ErrorLog = slog.NewLogLogger(slog.DiscardHandler, slog.LevelError)
	s.Config.ConnState = onState
	cfg := config((&net.Dialer{}).DialContext)
	if secure {
		s.StartTLS()
		cfg.TLS = &tls.Config{RootCAs: x509.NewCertPool()}
		cfg.TLS.RootCAs.AddCert(s.Certificate())
	} else {
		s.Start()
	}
	t.Cleanup(s.Close)
	target, err := url.Parse(s.URL)
	if err != nil {
		t.Fatal(err)
	}
	cfg.Server = target
	return s, cfg
}

func to(cfg http1.Config, req *http.Request) *http.Request {
	req.URL.Scheme, req.URL.Host = cfg.Server.Scheme, cfg.Server.Host
	return req
}

func echo(w http.ResponseWriter, r *http.Request) {
	w.Header().Set("X-Id", r.Header.Get("X-Id"))
	body, err := io.ReadAll(r.Body) // net/http's server reads no more once it has answered
	if err == nil {
		_, _ = w.Write(body)
	}
}

func TestConnection_everyKindAndBody(t *testing.T) {
	t.Parallel()
	for _, secure := range []bool{false, true} {
		for _, size := range []int{1, 15 << 10, 16 << 10, 17 << 10, 1 << 20, 10 << 20} {
			t.Run(fmt.Sprintf("TLS %v, %d bytes", secure, size), func(t *testing.T) {
				t.Parallel()
				_, cfg := start(t, secure, echo, nil)
				transport := newTransport(t, cfg)
				body := strings.Repeat("abcdefg\n", size/8+1)[:size]
				for range 2 {
					status, got, err := exchange(t, transport, to(cfg, request(t.Context(), http.MethodPost, body)))
					if status != 200 || got != body || err != nil {
						t.Errorf("got %d, %d bytes, %v, want 200 and the %d bytes sent", status, len(got), err, size)
					}
				}
			})
		}
	}
}

func TestTransport_untrustedServer(t *testing.T) {
	t.Parallel()
	_, cfg := start(t, true, func(http.ResponseWriter, *http.Request) { t.Error("there was a request") }, nil)
	cfg.TLS.RootCAs = x509.NewCertPool()
	_, _, err := exchange(t, newTransport(t, cfg), to(cfg, request(t.Context(), http.MethodPost, "{}")))
	var notSent *http1.NotSentError
	var unknown x509.UnknownAuthorityError
	if !errors.As(err, &notSent) || !errors.As(err, &unknown) {
		t.Errorf("got %v, want a NotSentError for an unknown authority", err)
	}
}

func TestRequest_withEffectsAvoidsAClosedConnection(t *testing.T) {
	t.Parallel()
	for _, secure := range []bool{false, true} {
		t.Run(fmt.Sprintf("TLS %v", secure), func(t *testing.T) {
			t.Parallel()
			var mu sync.Mutex
			posts := 0
			idle := make(chan net.Conn, 1)
			closed := make(chan net.Conn, 4)
			s, cfg := start(t, secure, func(w http.ResponseWriter, r *http.Request) {
				mu.Lock()
				posts++
				mu.Unlock()
				echo(w, r)
			}, func(c net.Conn, state http.ConnState) {
				switch state {
				case http.StateIdle:
					select {
					case idle <- c:
					default:
					}
				case http.StateClosed:
					closed <- c
				default:
				}
			})
			transport := newTransport(t, cfg)
			post := func() {
				t.Helper()
				if _, body, err := exchange(t, transport, to(cfg, request(t.Context(), http.MethodPost, "{}"))); body != "{}" || err != nil {
					t.Errorf("got %q, %v, want {}", body, err)
				}
			}
			post()
			<-idle
			s.CloseClientConnections()
			<-closed
			post()
			if posts != 2 {
				t.Errorf("the server saw %d requests, want 2", posts)
			}
		})
	}
}

func TestExchange_cancelledAtAnyTime(t *testing.T) {
	t.Parallel()
	for _, secure := range []bool{false, true} {
		t.Run(fmt.Sprintf("TLS %v", secure), func(t *testing.T) {
			t.Parallel()
			_, cfg := start(t, secure, echo, nil)
			transport := newTransport(t, cfg)
			var done sync.WaitGroup
			for worker := range 8 {
				done.Go(func() {
					random := rand.New(rand.NewPCG(1, uint64(worker)))
					for call := range 50 {
						id := fmt.Sprintf("%d-%d", worker, call)
						ctx, cancel := context.WithTimeout(t.Context(), time.Duration(random.IntN(1000))*time.Microsecond)
						if call%4 == 0 {
							cancel()
							ctx, cancel = context.WithCancel(t.Context())
						}
						body := strings.Repeat(id, 1+random.IntN(10_000))
						req := to(cfg, request(ctx, http.MethodPost, body))
						req.Header.Set("X-Id", id)
						resp, err := transport.RoundTrip(req)
						if err == nil {
							var got []byte
							got, err = io.ReadAll(resp.Body)
							if resp.Header.Get("X-Id") != id || err == nil && !bytes.Equal(got, []byte(body)) {
								t.Errorf("request %s got the response to %s, %d of %d bytes", id, resp.Header.Get("X-Id"), len(got), len(body))
							}
							_ = resp.Body.Close()
						}
						if err != nil && ctx.Err() == nil {
							t.Errorf("request %s: %v", id, err)
						}
						cancel()
					}
				})
			}
			done.Wait()
		})
	}
}
