package upstream_test

import (
	"bufio"
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"net/url"
	"sync"
	"testing"
	"time"

	"go.uber.org/goleak"
	"google.golang.org/grpc/codes"

	apiv1 "samsara.internal/gateway/gen/api/v1"
	"samsara.internal/gateway/internal/endpoint"
	"samsara.internal/gateway/internal/quota"
	"samsara.internal/gateway/internal/transcode"
	"samsara.internal/gateway/upstream"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

const (
	testToken = "samsara_api_SECRET/+=x"
	testHost  = "api.samsara.test"
)

// fake is an upstream on an in-memory network, so that it can live in a synctest bubble. The
// n-th request is answered by the n-th step, and a request without a step fails the test, as
// does a step without a request.
type fake struct {
	t     testing.TB
	conns chan net.Conn
	done  chan struct{}

	mu    sync.Mutex
	steps []http.HandlerFunc
	every http.HandlerFunc
	seen  []seen
	dials int
	tls   *tls.Config // of what is accepted from now on; nil: cleartext
}

// seen is a request as it arrived.
type seen struct {
	At     time.Time
	Method string
	URI    string
	Host   string
	Header http.Header
	Body   string
}

func newFake(tb testing.TB, steps ...http.HandlerFunc) *fake {
	tb.Helper()
	f := &fake{t: tb, conns: make(chan net.Conn), done: make(chan struct{}), steps: steps}
	server := &http.Server{Handler: f}
	var serving sync.WaitGroup
	serving.Go(func() { _ = server.Serve(f) })
	tb.Cleanup(func() {
		_ = server.Close()
		serving.Wait()
		if missing := len(f.steps) - len(f.requests()); f.every == nil && missing > 0 {
			tb.Errorf("%d scripted requests never came", missing)
		}
	})
	return f
}

// newServer answers every request alike.
func newServer(tb testing.TB, every http.HandlerFunc) *fake {
	tb.Helper()
	f := newFake(tb)
	f.every = every
	return f
}

func (f *fake) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	body, err := io.ReadAll(r.Body)
	if err != nil {
		f.t.Errorf("request body: %v", err)
	}
	f.mu.Lock()
	n := len(f.seen)
	f.seen = append(f.seen, seen{time.Now(), r.Method, r.RequestURI, r.Host, r.Header.Clone(), string(body)})
	f.mu.Unlock()
	switch {
	case f.every != nil:
		f.every(w, r)
	case n < len(f.steps):
		f.steps[n](w, r)
	default:
		f.t.Errorf("request %d was not scripted: %s %s", n+1, r.Method, r.RequestURI)
	}
}

func (f *fake) requests() []seen {
	f.mu.Lock()
	defer f.mu.Unlock()
	return append([]seen(nil), f.seen...)
}

// gaps returns the times between the requests.
func (f *fake) gaps() []time.Duration {
	var gaps []time.Duration
	requests := f.requests()
	for i := 1; i < len(requests); i++ {
		gaps = append(gaps, requests[i].At.Sub(requests[i-1].At))
	}
	return gaps
}

func (f *fake) connections() int {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.dials
}

func (f *fake) dial(ctx context.Context, _, _ string) (net.Conn, error) {
	f.mu.Lock()
	f.dials++
	f.mu.Unlock()
	client, server := net.Pipe()
	select {
	case f.conns <- server:
		return client, nil
	case <-ctx.Done():
		return nil, ctx.Err()
	case <-f.done:
		return nil, net.ErrClosed
	}
}

// Accept, Close and Addr make the fake the listener of its own server.
func (f *fake) Accept() (net.Conn, error) {
	select {
	case conn := <-f.conns:
		f.mu.Lock()
		defer f.mu.Unlock()
		if f.tls != nil {
			return tls.Server(conn, f.tls), nil
		}
		return conn, nil
	case <-f.done:
		return nil, net.ErrClosed
	}
}

func (f *fake) Close() error {
	close(f.done)
	return nil
}

func (f *fake) Addr() net.Addr { return &net.TCPAddr{} }

// overTLS has the fake accept TLS with these protocols, and returns what has a client trust it and
// want HTTP/2. The server is one whose certificate is good at any time.
func (f *fake) overTLS(server *httptest.Server, protocols ...string) func(*upstream.Config) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.tls = &tls.Config{Certificates: server.TLS.Certificates, NextProtos: protocols}
	return func(cfg *upstream.Config) {
		cfg.BaseURL = &url.URL{Scheme: "https", Host: "example.com"}
		cfg.Transport.HTTP2, cfg.Transport.RootCAs = true, x509.NewCertPool()
		cfg.Transport.RootCAs.AddCert(server.Certificate())
	}
}

// certified returns a server for overTLS, which must not be made within a bubble.
func certified(tb testing.TB) *httptest.Server {
	tb.Helper()
	server := httptest.NewTLSServer(nil)
	server.Close()
	return server
}

// client returns a client of the fake, its configuration changed by the edits.
func (f *fake) client(edits ...func(*upstream.Config)) *client {
	f.t.Helper()
	cfg := upstream.Config{
		BaseURL:   &url.URL{Scheme: "http", Host: testHost},
		Token:     upstream.StaticToken(testToken),
		Transport: upstream.TransportConfig{DialContext: f.dial},
	}
	for _, edit := range edits {
		edit(&cfg)
	}
	return newClient(f.t, cfg)
}

func newClient(tb testing.TB, cfg upstream.Config) *client {
	tb.Helper()
	c := &client{operations: make(map[kind]*upstream.Operation)}
	cfg.CacheTTL = func(string) time.Duration { return c.ttl }
	made, err := upstream.New(cfg)
	if err != nil {
		tb.Fatal(err)
	}
	tb.Cleanup(made.Close)
	c.Client = made
	return c
}

// client is a client with the operations that tests make up.
type client struct {
	*upstream.Client

	mu         sync.Mutex
	operations map[kind]*upstream.Operation
	// ttl is that of the operation which is being made.
	ttl time.Duration
}

// kind is what the requests of an operation have in common.
type kind struct {
	Method, Template string
	Repeatable       bool
	// Decoder translates a 2XX body; nil: passthrough.
	Decoder  *transcode.Decoder
	NoBody   bool
	CacheTTL time.Duration
	// Quota is the operation's own budget.
	Quota *quota.Operation
}

// request is a request of an operation of its own.
type request struct {
	kind
	upstream.Request
}

// Do makes a request of its operation.
func (c *client) Do(ctx context.Context, req *request) (*upstream.Response, error) {
	op, err := c.operation(req.kind)
	if err != nil {
		return nil, err
	}
	sent := req.Request
	sent.Method = req.kind.Method
	return c.Client.Do(ctx, op, sent)
}

func (c *client) operation(k kind) (*upstream.Operation, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	op := c.operations[k]
	if op != nil {
		return op, nil
	}
	c.ttl = k.CacheTTL
	op, err := c.Operation(upstream.OperationSpec{Endpoint: &endpoint.Endpoint{
		FullMethod:  "/" + k.Template,
		HTTPMethod:  k.Method,
		Operation:   &apiv1.Operation{Path: k.Template, Repeatable: k.Repeatable},
		HasResponse: !k.NoBody,
		Response:    k.Decoder,
	}})
	if err != nil {
		return nil, err
	}
	op = op.AdmittedBy(k.Quota)
	c.operations[k] = op
	return op, nil
}

func once(cfg *upstream.Config) { cfg.Retry.MaxAttempts = 1 }

// stubborn never stops repeating attempts because others failed.
func stubborn(cfg *upstream.Config) {
	cfg.Retry.Budget = 1 << 20
	cfg.Breaker.FailureRatio = 2
}

func get(path string) *request {
	return &request{
		kind:    kind{Method: http.MethodGet, Template: "/things/{id}", Repeatable: true},
		Request: upstream.Request{Path: path},
	}
}

func post(body string) *request {
	return &request{
		kind:    kind{Method: http.MethodPost, Template: "/things"},
		Request: upstream.Request{Path: "/things", Body: []byte(body)},
	}
}

// answer is a step that sends a status, a body and headers given as name, value, name, value.
func answer(status int, body string, header ...string) http.HandlerFunc {
	return func(w http.ResponseWriter, _ *http.Request) {
		for i := 0; i+1 < len(header); i += 2 {
			w.Header().Set(header[i], header[i+1])
		}
		w.WriteHeader(status)
		_, _ = io.WriteString(w, body)
	}
}

// raw is a step that sends these bytes and closes the connection.
func raw(response string) http.HandlerFunc {
	return func(w http.ResponseWriter, _ *http.Request) {
		conn, _, err := http.NewResponseController(w).Hijack()
		if err != nil {
			return
		}
		writer := bufio.NewWriter(conn)
		_, _ = writer.WriteString(response)
		_ = writer.Flush()
		_ = conn.Close()
	}
}

// stall is a step that sends these bytes and then nothing until the client is gone.
func stall(response string) http.HandlerFunc {
	return func(w http.ResponseWriter, _ *http.Request) {
		conn, _, err := http.NewResponseController(w).Hijack()
		if err != nil {
			return
		}
		_, _ = io.WriteString(conn, response)
		_, _ = io.Copy(io.Discard, conn)
		_ = conn.Close()
	}
}

// failure returns the *Error of a request that must have failed.
func failure(tb testing.TB, resp *upstream.Response, err error) *upstream.Error {
	tb.Helper()
	var failed *upstream.Error
	if !errors.As(err, &failed) {
		tb.Fatalf("Do = %v, %v, want an *Error", resp, err)
	}
	return failed
}

func wantVerdict(tb testing.TB, got *upstream.Error, code codes.Code, reason string, attempts int) {
	tb.Helper()
	if got.Code != code || got.ReasonText() != reason || got.Attempts != attempts {
		tb.Errorf("got %v %s after %d attempts, want %v %s after %d (%v)", got.Code, got.ReasonText(), got.Attempts, code, reason, attempts, got)
	}
}

// wantNotRepeated is wantVerdict for a request that was not repeated for a reason.
func wantNotRepeated(tb testing.TB, got *upstream.Error, code codes.Code, reason string, attempts int, why string) {
	tb.Helper()
	wantVerdict(tb, got, code, reason, attempts)
	if got.NotRepeated != why {
		tb.Errorf("NotRepeated is %q, want %q (%v)", got.NotRepeated, why, got)
	}
}
