package upstream_test

import (
	"bytes"
	"compress/gzip"
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"google.golang.org/grpc/codes"

	"samsara.internal/gateway/upstream"
)

func zipped(text string) string {
	var out bytes.Buffer
	w := gzip.NewWriter(&out)
	_, _ = w.Write([]byte(text))
	_ = w.Close()
	return out.String()
}

func TestError_reasonOfEachFault(t *testing.T) {
	t.Parallel()
	const (
		ok      = "HTTP/1.1 200 OK\r\nRequest-Id: r-1\r\n"
		chunked = ok + "Transfer-Encoding: chunked\r\n\r\n"
		limit   = 1000
	)
	large := strings.Repeat("x", limit+1)
	bomb := zipped(strings.Repeat("x", 1<<20))
	gzipOf := func(body string) http.HandlerFunc {
		return raw(fmt.Sprintf("%sContent-Encoding: gzip\r\nContent-Length: %d\r\n\r\n%s", ok, len(body), body))
	}
	tests := []struct {
		name   string
		step   http.HandlerFunc
		code   codes.Code
		reason string
		status int
	}{
		{"reset before the header", raw(""), codes.Unavailable, "UPSTREAM_RESET", 0},
		{"reset within the status line", raw("HTTP/1.1 200"), codes.Unavailable, "UPSTREAM_TRUNCATED", 0},
		{"reset within the header", raw("HTTP/1.1 200 OK\r\nX-A"), codes.Unavailable, "UPSTREAM_RESET", 200},
		{"reset after the header", raw(ok + "Content-Length: 9\r\n\r\n"), codes.Unavailable, "UPSTREAM_TRUNCATED", 200},
		{"cut body of known length", raw(ok + "Content-Length: 9\r\n\r\n{\"a\":"), codes.Unavailable, "UPSTREAM_TRUNCATED", 200},
		{"cut chunk", raw(chunked + "9\r\n{\"a\":"), codes.Unavailable, "UPSTREAM_TRUNCATED", 200},
		{"missing last chunk", raw(chunked + "2\r\n{}\r\n"), codes.Unavailable, "UPSTREAM_TRUNCATED", 200},
		{"malformed chunk", raw(chunked + "zz\r\n{}\r\n"), codes.Unavailable, "UPSTREAM_RESET", 200},
		{"not HTTP", raw("SSH-2.0-x\r\n\r\n"), codes.Unavailable, "UPSTREAM_RESET", 0},
		{"endless header", raw("HTTP/1.1 200 OK\r\nX-A: " + strings.Repeat("a", 1<<20)), codes.Unavailable, "UPSTREAM_RESET", 200},
		{"stall before the header", stall(""), codes.Unavailable, "UPSTREAM_TIMEOUT", 0},
		{"stall within the status line", stall("HTTP/1.1 200"), codes.Unavailable, "UPSTREAM_TIMEOUT", 0},
		{"stall within the header", stall("HTTP/1.1 200 OK\r\n"), codes.Unavailable, "UPSTREAM_TIMEOUT", 200},
		{"stall in the body", stall(ok + "Content-Length: 9\r\n\r\n{"), codes.Unavailable, "UPSTREAM_TIMEOUT", 200},
		{"stall in a chunk", stall(chunked + "9\r\n{"), codes.Unavailable, "UPSTREAM_TIMEOUT", 200},
		{"too large by its length", stall(ok + "Content-Length: 9999999999\r\n\r\n{"), codes.ResourceExhausted, "UPSTREAM_BODY_TOO_LARGE", 200},
		{"too large by one byte", raw(ok + "Content-Length: 1001\r\n\r\n" + large), codes.ResourceExhausted, "UPSTREAM_BODY_TOO_LARGE", 200},
		{"too large in chunks", raw(chunked + "3e9\r\n" + large + "\r\n0\r\n\r\n"), codes.ResourceExhausted, "UPSTREAM_BODY_TOO_LARGE", 200},
		{"too large when unzipped", gzipOf(bomb), codes.ResourceExhausted, "UPSTREAM_BODY_TOO_LARGE", 200},
		{"gzip that is none", gzipOf("{}"), codes.Internal, "UPSTREAM_BODY_INVALID", 200},
		{"gzip that ends early", gzipOf(zipped("{}")[:20]), codes.Internal, "UPSTREAM_BODY_INVALID", 200},
		{"gzip of a wrong sum", gzipOf(strings.Replace(zipped("{}"), "\x02\x00\x00\x00", "\x03\x00\x00\x00", 1)), codes.Internal, "UPSTREAM_BODY_INVALID", 200},
		{"gzip on a connection that breaks", raw(ok + "Content-Encoding: gzip\r\nContent-Length: 999\r\n\r\n" + zipped("{}")[:20]), codes.Unavailable, "UPSTREAM_TRUNCATED", 200},
		{"two encodings", answer(200, zipped("{}"), "Content-Encoding", "br, gzip", "Request-Id", "r-1"), codes.Internal, "UPSTREAM_BODY_INVALID", 200},
		{"unknown encoding", answer(200, "{}", "Content-Encoding", "br", "Request-Id", "r-1"), codes.Internal, "UPSTREAM_BODY_INVALID", 200},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				f := newFake(t, tt.step)
				client := f.client(once, func(cfg *upstream.Config) {
					cfg.AttemptTimeout, cfg.MaxResponseBytes = 10*time.Second, limit
				})
				start := time.Now()
				resp, err := client.Do(t.Context(), get("/x"))
				failed := failure(t, resp, err)
				wantVerdict(t, failed, tt.code, tt.reason, 1)
				if failed.HTTPStatus != tt.status || failed.Domain != upstream.DomainGateway {
					t.Errorf("status %d of %s, want %d of the gateway", failed.HTTPStatus, failed.Domain, tt.status)
				}
				whole := tt.status != 0 && !strings.Contains(tt.name, "within the header") && tt.name != "endless header"
				if wantID := map[bool]string{true: "r-1"}[whole]; failed.RequestID != wantID {
					t.Errorf("RequestID = %q, want %q", failed.RequestID, wantID)
				}
				got := time.Since(start)
				if got > 10*time.Second {
					t.Errorf("Do took %v, want at most the attempt's 10s", got)
				}
				if strings.HasPrefix(tt.name, "too large") && got > 0 {
					t.Errorf("Do took %v, want nothing: the verdict is clear", got)
				}
			})
		})
	}
}

func TestError_contextEnded(t *testing.T) {
	t.Parallel()
	const header = "HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\n{"
	deadline := func(ctx context.Context) (context.Context, context.CancelFunc) {
		return context.WithTimeout(ctx, time.Second)
	}
	cancelled := func(ctx context.Context) (context.Context, context.CancelFunc) {
		ctx, cancel := context.WithCancel(ctx)
		time.AfterFunc(time.Second, cancel)
		return ctx, cancel
	}
	tests := []struct {
		name    string
		end     func(context.Context) (context.Context, context.CancelFunc)
		step    http.HandlerFunc
		code    codes.Code
		reason  string
		wrapped error
	}{
		{"deadline before the header", deadline, stall(""), codes.DeadlineExceeded, "REQUEST_DEADLINE_EXCEEDED", context.DeadlineExceeded},
		{"deadline in the body", deadline, stall(header), codes.DeadlineExceeded, "REQUEST_DEADLINE_EXCEEDED", context.DeadlineExceeded},
		{"cancellation before the header", cancelled, stall(""), codes.Canceled, "REQUEST_CANCELLED", context.Canceled},
		{"cancellation in the body", cancelled, stall(header), codes.Canceled, "REQUEST_CANCELLED", context.Canceled},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				ctx, cancel := tt.end(t.Context())
				defer cancel()
				start := time.Now()
				resp, err := newFake(t, tt.step).client().Do(ctx, get("/x"))
				wantVerdict(t, failure(t, resp, err), tt.code, tt.reason, 1)
				if !errors.Is(err, tt.wrapped) {
					t.Errorf("%v does not wrap %v", err, tt.wrapped)
				}
				if got := time.Since(start); got != time.Second {
					t.Errorf("Do took %v, want 1s", got)
				}
			})
		})
	}
}

func TestDo_contextOver(t *testing.T) {
	t.Parallel()
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	resp, err := newFake(t).client().Do(ctx, get("/x"))
	wantVerdict(t, failure(t, resp, err), codes.Canceled, "REQUEST_CANCELLED", 0)
}

func TestError_bodyCut(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		f := newFake(t, raw("HTTP/1.1 404 Not Found\r\nContent-Length: 99\r\n\r\nno such thi"))
		resp, err := f.client().Do(t.Context(), get("/x"))
		failed := failure(t, resp, err)
		wantVerdict(t, failed, codes.NotFound, "NOT_FOUND", 1)
		if failed.Message != "no such thi" {
			t.Errorf("Message = %q", failed.Message)
		}
	})
}

func TestErrorBody_compressed(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		f := newFake(t, answer(404, zipped(`{"message":"none"}`), "Content-Encoding", "gzip"))
		resp, err := f.client().Do(t.Context(), get("/x"))
		if failed := failure(t, resp, err); failed.Message != "none" {
			t.Errorf("Message = %q, want none", failed.Message)
		}
	})
}

func TestError_tcpReset(t *testing.T) {
	t.Parallel()
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		conn, _, err := http.NewResponseController(w).Hijack()
		if err != nil {
			return
		}
		if tcp, ok := conn.(*net.TCPConn); ok {
			_ = tcp.SetLinger(0)
		}
		_ = conn.Close()
	}))
	t.Cleanup(server.Close)
	client := newClient(t, upstream.Config{
		BaseURL: mustURL(t, server.URL), Token: upstream.StaticToken(testToken), Retry: upstream.RetryPolicy{MaxAttempts: 1},
	})
	resp, err := client.Do(t.Context(), post(`{}`))
	wantVerdict(t, failure(t, resp, err), codes.Unavailable, "UPSTREAM_RESET", 1)
}

func TestError_dialRefused(t *testing.T) {
	t.Parallel()
	server := httptest.NewServer(http.NotFoundHandler())
	server.Close()
	client := newClient(t, upstream.Config{
		BaseURL: mustURL(t, server.URL), Token: upstream.StaticToken(testToken), Retry: upstream.RetryPolicy{MaxAttempts: 1},
	})
	resp, err := client.Do(t.Context(), get("/x"))
	wantVerdict(t, failure(t, resp, err), codes.Unavailable, "UPSTREAM_UNREACHABLE", 1)
}
