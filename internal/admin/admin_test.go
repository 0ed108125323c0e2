package admin_test

import (
	"context"
	"io"
	"log/slog"
	"net"
	"net/http"
	"strings"
	"sync/atomic"
	"testing"

	"go.uber.org/goleak"

	"samsara.internal/gateway/internal/admin"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// serve starts a server and returns its URL. The server stops when the test ends.
func serve(t *testing.T, cfg admin.Config) string {
	t.Helper()
	cfg.Logger = slog.New(slog.DiscardHandler)
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	s := admin.New(cfg)
	served := make(chan error, 1)
	go func() { served <- s.Serve(l) }()
	t.Cleanup(func() {
		if err := s.Shutdown(context.WithoutCancel(t.Context())); err != nil {
			t.Errorf("Shutdown: %v", err)
		}
		if err := <-served; err != nil {
			t.Errorf("Serve: %v", err)
		}
	})
	return "http://" + l.Addr().String()
}

func do(t *testing.T, method, url string) (int, string) {
	t.Helper()
	req, err := http.NewRequestWithContext(t.Context(), method, url, nil)
	if err != nil {
		t.Fatal(err)
	}
	client := &http.Client{Transport: &http.Transport{DisableKeepAlives: true}}
	res, err := client.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	body, err := io.ReadAll(res.Body)
	if err != nil {
		t.Fatal(err)
	}
	if err := res.Body.Close(); err != nil {
		t.Fatal(err)
	}
	return res.StatusCode, string(body)
}

func TestServer_probesAndMetrics(t *testing.T) {
	t.Parallel()
	var ready atomic.Bool
	url := serve(t, admin.Config{
		Metrics: http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
			if _, err := io.WriteString(w, "m 1\n"); err != nil {
				t.Error(err)
			}
		}),
		Ready: ready.Load,
	})
	for _, step := range []struct {
		name         string
		ready        bool
		method, path string
		status       int
		body         string
	}{
		{"the process is healthy before it is ready", false, "GET", "/healthz", 200, "ok\n"},
		{"it is not ready at first", false, "GET", "/readyz", 503, "not ready\n"},
		{"it is ready when it says so", true, "GET", "/readyz", 200, "ready\n"},
		{"metrics are served", true, "GET", "/metrics", 200, "m 1\n"},
		{"HEAD has no body", true, "HEAD", "/healthz", 200, ""},
		{"other methods are refused", true, "POST", "/healthz", 405, "Method Not Allowed\n"},
		{"a quota that does not exist is not found", true, "GET", "/quota", 404, "404 page not found\n"},
		{"other paths are not found", true, "GET", "/debug/pprof/", 404, "404 page not found\n"},
	} {
		ready.Store(step.ready)
		status, body := do(t, step.method, url+step.path)
		if status != step.status || body != step.body {
			t.Errorf("%s: got %d %q, want %d %q", step.name, status, body, step.status, step.body)
		}
	}
}

func TestShutdown_closesConnectionsWhenItsTimeIsUp(t *testing.T) {
	t.Parallel()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	entered := make(chan struct{})
	s := admin.New(admin.Config{
		Metrics: http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
			close(entered)
			<-r.Context().Done()
		}),
		Ready:  func() bool { return true },
		Logger: slog.New(slog.DiscardHandler),
	})
	served := make(chan error, 1)
	go func() { served <- s.Serve(l) }()
	conn, err := (&net.Dialer{}).DialContext(t.Context(), "tcp", l.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	if _, err := io.WriteString(conn, "GET /metrics HTTP/1.1\r\nHost: localhost\r\n\r\n"); err != nil {
		t.Fatal(err)
	}
	<-entered
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if err := s.Shutdown(ctx); err == nil || !strings.Contains(err.Error(), "canceled") {
		t.Errorf("Shutdown: got %v, want the context's error", err)
	}
	if err := <-served; err != nil {
		t.Errorf("Serve: %v", err)
	}
	if _, err := conn.Read(make([]byte, 1)); err == nil {
		t.Error("the connection is still open")
	}
	if err := conn.Close(); err != nil {
		t.Error(err)
	}
}
