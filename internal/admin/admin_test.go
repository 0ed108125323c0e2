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
		Unready: func() []string {
			if ready.Load() {
				return nil
			}
			return []string{"ca-bundle: there are no authorities", "it stops"}
		},
	})
	for _, step := range []struct {
		name         string
		ready        bool
		method, path string
		status       int
		body         string
	}{
		{"the process lives before it is ready", false, "GET", "/livez", 200, "ok\n"},
		{"it is not ready, and says why", false, "GET", "/readyz", 503, "not ready\nca-bundle: there are no authorities\nit stops\n"},
		{"it is ready when it says so", true, "GET", "/readyz", 200, "ready\n"},
		{"metrics are served", true, "GET", "/metrics", 200, "m 1\n"},
		{"HEAD has no body", true, "HEAD", "/healthz", 200, ""},
		{"other methods are refused", true, "POST", "/healthz", 405, "Method Not Allowed\n"},
		{"a quota that does not exist is not found", true, "GET", "/quota", 404, "404 page not found\n"},
		{"profiles are not served unless that is wanted", true, "GET", "/debug/pprof/", 404, "404 page not found\n"},
		{"other paths are not found", true, "GET", "/", 404, "404 page not found\n"},
	} {
		ready.Store(step.ready)
		status, body := do(t, step.method, url+step.path)
		if status != step.status || body != step.body {
			t.Errorf("%s: got %d %q, want %d %q", step.name, status, body, step.status, step.body)
		}
	}
}

// What is wrong is said whether or not calls are taken.
func TestReadyz_impaired(t *testing.T) {
	t.Parallel()
	var stopping atomic.Bool
	url := serve(t, admin.Config{
		Metrics: http.NotFoundHandler(),
		Unready: func() []string {
			if stopping.Load() {
				return []string{"it stops"}
			}
			return nil
		},
		Impaired: func() []string { return []string{"api-token: Samsara has refused it"} },
	})
	if status, body := do(t, "GET", url+"/readyz"); status != 200 || body != "ready\napi-token: Samsara has refused it\n" {
		t.Errorf("got %d %q", status, body)
	}
	stopping.Store(true)
	if status, body := do(t, "GET", url+"/readyz"); status != 503 || body != "not ready\nit stops\napi-token: Samsara has refused it\n" {
		t.Errorf("got %d %q", status, body)
	}
}

func TestProfiles_served(t *testing.T) {
	t.Parallel()
	url := serve(t, admin.Config{Metrics: http.NotFoundHandler(), Profiles: true}) + "/debug/pprof/"
	for path, want := range map[string]int{
		"": 200, "goroutine?debug=1": 200, "heap": 200, "profile?seconds=1": 200, "trace?seconds=1": 200, "nothing": 404,
		"cmdline": 404, "symbol": 404, "profile?seconds=0": 400, "profile?seconds=61": 400, "heap?seconds=1e9": 400,
	} {
		if status, body := do(t, "GET", url+path); status != want || body == "" {
			t.Errorf("%s: got %d with %d bytes, want %d", path, status, len(body), want)
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
