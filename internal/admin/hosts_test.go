package admin_test

import (
	"bufio"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"testing"

	"samsara.internal/gateway/internal/admin"
)

// TestServer_hosts sends requests by different names.
func TestServer_hosts(t *testing.T) {
	t.Parallel()
	url := serve(t, admin.Config{Metrics: http.NotFoundHandler(), Hosts: []string{"gateway.acme.test"}})
	address := strings.TrimPrefix(url, "http://")
	ask := func(request string) (status int, body string) {
		t.Helper()
		conn, err := net.Dial("tcp", address)
		if err != nil {
			t.Fatal(err)
		}
		defer func() { _ = conn.Close() }()
		if _, err := io.WriteString(conn, request); err != nil {
			t.Fatal(err)
		}
		resp, err := http.ReadResponse(bufio.NewReader(conn), nil)
		if err != nil {
			t.Fatal(err)
		}
		defer func() { _ = resp.Body.Close() }()
		text, err := io.ReadAll(resp.Body)
		if err != nil {
			t.Fatal(err)
		}
		return resp.StatusCode, string(text)
	}
	for host, want := range map[string]int{
		address: 200, "127.0.0.1": 200, "10.1.2.3:80": 200, "[::1]:9464": 200, "[fe80::1]": 200, "localhost": 200, "LOCALHOST:1": 200,
		"gateway.acme.test": 200, "Gateway.Acme.Test:9464": 200, "": 200,
		"evil.test": 421, "127.0.0.1.evil.test": 421, "localhost.evil.test:9464": 421, "xgateway.acme.test": 421, "gateway.acme.test.evil.test": 421,
	} {
		got, body := ask(fmt.Sprintf("GET /healthz HTTP/1.1\r\nHost: %s\r\nConnection: close\r\n\r\n", host))
		if got != want || want == 421 && !strings.Contains(body, "must be an IP address, localhost or one of --admin-hosts") {
			t.Errorf("Host %q: got %d %q, want %d", host, got, body, want)
		}
	}
	// The name in an absolute target is the one that counts.
	if got, _ := ask("GET http://evil.test/healthz HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n"); got != 421 {
		t.Errorf("an absolute target: got %d, want 421", got)
	}
	if got, _ := ask("GET /healthz HTTP/1.0\r\n\r\n"); got != 200 {
		t.Errorf("HTTP/1.0 without a Host: got %d, want 200", got)
	}
	for _, method := range []string{"POST", "PUT", "DELETE", "OPTIONS"} {
		for _, path := range []string{"/healthz", "/readyz", "/metrics", "/channelz"} {
			if got, _ := do(t, method, url+path); got != http.StatusMethodNotAllowed {
				t.Errorf("%s %s: got %d, want 405", method, path, got)
			}
		}
	}
	if got, body := do(t, http.MethodHead, url+"/healthz"); got != 200 || body != "" {
		t.Errorf("HEAD: got %d %q", got, body)
	}
}

func TestServer_channelz(t *testing.T) {
	t.Parallel()
	url := serve(t, admin.Config{Metrics: http.NotFoundHandler()})
	status, body := do(t, http.MethodGet, url+"/channelz")
	var answer struct {
		Servers []struct {
			Connections []struct{ Remote string }
		}
	}
	if err := json.Unmarshal([]byte(body), &answer); err != nil || status != 200 || answer.Servers == nil {
		t.Errorf("got %d, %v\n%s", status, err, body)
	}
	for query, want := range map[string]int{"?start=0": 200, "?start=7": 200, "?start=-1": 400, "?start=x": 400} {
		if status, _ := do(t, http.MethodGet, url+"/channelz"+query); status != want {
			t.Errorf("%s: got %d, want %d", query, status, want)
		}
	}
}
