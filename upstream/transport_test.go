package upstream_test

import (
	"crypto/x509"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"
	"google.golang.org/grpc/codes"

	"samsara.internal/gateway/upstream"
)

func TestTransport_connectionReusedAfterAnyResponse(t *testing.T) {
	t.Parallel()
	tests := map[string]http.HandlerFunc{
		"an empty success":             answer(204, ""),
		"a success of known length":    answer(200, `{"a":1}`),
		"a success in chunks":          answer(200, strings.Repeat("x", 1<<16)),
		"a compressed success":         answer(200, zipped("{}"), "Content-Encoding", "gzip"),
		"a success in vain":            answer(200, "{}", "Content-Encoding", "br"),
		"a success that is too large":  answer(200, strings.Repeat("x", 150_000)),
		"an error":                     answer(404, `{"message":"no"}`),
		"an error longer than is read": answer(404, strings.Repeat("x", 200_000), "Content-Length", "200000"),
		"a redirect not followed":      answer(302, "elsewhere", "Location", "https://evil.test/"),
	}
	for name, step := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				f := newServer(t, step)
				client := f.client(func(cfg *upstream.Config) { cfg.MaxResponseBytes = 100_000 })
				for range 5 {
					_, _ = client.Do(t.Context(), get("/x"))
					synctest.Wait() // net/http keeps the connection a moment after the body's end
				}
				if got := f.connections(); got != 1 {
					t.Errorf("5 calls took %d connections, want 1", got)
				}
			})
		})
	}
}

func TestBody_endless(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		var sent int
		f := newFake(t, func(w http.ResponseWriter, _ *http.Request) {
			w.WriteHeader(404)
			for {
				n, err := io.WriteString(w, strings.Repeat("x", 1<<10))
				sent += n
				if err != nil {
					return
				}
			}
		})
		resp, err := f.client().Do(t.Context(), get("/x"))
		wantVerdict(t, failure(t, resp, err), codes.NotFound, "NOT_FOUND", 1)
		synctest.Wait()
		if sent > 400<<10 {
			t.Errorf("%d bytes were taken, want about 64 KiB read and 256 KiB drained", sent)
		}
	})
}

func TestBody_compressed(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		want := strings.Repeat(`{"a":[1,2,3]}`, 1000)
		f := newServer(t, answer(200, zipped(want), "Content-Encoding", "GZIP"))
		client := f.client(func(cfg *upstream.Config) { cfg.Transport.Gzip = true })
		for range 3 {
			resp, err := client.Do(t.Context(), get("/x"))
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(want, string(resp.Body)); diff != "" {
				t.Errorf("body (-want +got):\n%s", diff)
			}
		}
	})
}

func TestResponse_ownMemory(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		f := newFake(t, answer(200, `"first"`), answer(200, `"other"`))
		client := f.client()
		first, err := client.Do(t.Context(), get("/x"))
		if err != nil {
			t.Fatal(err)
		}
		if _, err := client.Do(t.Context(), get("/x")); err != nil {
			t.Fatal(err)
		}
		if got := string(first.Body); got != `"first"` {
			t.Errorf("first body has become %s", got)
		}
	})
}

func TestRedirect_onlyToTheSameHost(t *testing.T) {
	t.Parallel()
	to := func(status int, location string) http.HandlerFunc {
		return answer(status, "moved", "Location", location)
	}
	done := answer(200, `{}`)
	tests := []struct {
		name  string
		req   *request
		steps []http.HandlerFunc
		uris  []string
		ok    bool
	}{
		{"a path", get("/a"), []http.HandlerFunc{to(301, "/b%2Fc?d=e"), done}, []string{"/a", "/b%2Fc?d=e"}, true},
		{"a relative path", get("/a/b"), []http.HandlerFunc{to(302, "c"), done}, []string{"/a/b", "/a/c"}, true},
		{"the same host", get("/a"), []http.HandlerFunc{to(307, "http://API.samsara.test/b"), done}, []string{"/a", "/b"}, true},
		{"with other credentials", get("/a"), []http.HandlerFunc{to(308, "http://me:pw@api.samsara.test/b"), done}, []string{"/a", "/b"}, true},
		{"three times", get("/a"), []http.HandlerFunc{to(303, "/b"), to(301, "/c"), to(301, "/d"), done}, []string{"/a", "/b", "/c", "/d"}, true},
		{"not four times", get("/a"), []http.HandlerFunc{to(301, "/b"), to(301, "/c"), to(301, "/d"), to(301, "/e")}, []string{"/a", "/b", "/c", "/d"}, false},
		{"not another host", get("/a"), []http.HandlerFunc{to(301, "http://evil.test/b")}, []string{"/a"}, false},
		{"not another host without scheme", get("/a"), []http.HandlerFunc{to(301, "//evil.test/b")}, []string{"/a"}, false},
		{"not another port", get("/a"), []http.HandlerFunc{to(301, "http://api.samsara.test:81/b")}, []string{"/a"}, false},
		{"not another scheme", get("/a"), []http.HandlerFunc{to(301, "https://api.samsara.test/b")}, []string{"/a"}, false},
		{"not without a location", get("/a"), []http.HandlerFunc{answer(301, "moved")}, []string{"/a"}, false},
		{"not to a malformed location", get("/a"), []http.HandlerFunc{to(301, "http://[::1/%zz")}, []string{"/a"}, false},
		{"not on 300", get("/a"), []http.HandlerFunc{to(300, "/b")}, []string{"/a"}, false},
		{"not for a POST", post(`{}`), []http.HandlerFunc{to(307, "/b")}, []string{"/things"}, false},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				f := newFake(t, tt.steps...)
				resp, err := f.client().Do(t.Context(), tt.req)
				if !tt.ok {
					wantVerdict(t, failure(t, resp, err), codes.Internal, "UPSTREAM_UNEXPECTED_STATUS", 1)
				} else if err != nil || resp.Attempts != 1 {
					t.Errorf("Do = %+v, %v, want success at the first attempt", resp, err)
				}
				var uris []string
				for _, r := range f.requests() {
					uris = append(uris, r.URI)
					if got := r.Header.Get("Authorization"); got != "Bearer "+testToken || r.Host != testHost {
						t.Errorf("%s of %s came with %q", r.URI, r.Host, got)
					}
				}
				if diff := cmp.Diff(tt.uris, uris); diff != "" {
					t.Errorf("requests (-want +got):\n%s", diff)
				}
			})
		})
	}
}

// tlsServer starts an upstream over TLS that answers every request alike, and returns the
// configuration of a client that trusts it.
func tlsServer(tb testing.TB, http2 bool, every http.HandlerFunc) upstream.Config {
	tb.Helper()
	server := httptest.NewUnstartedServer(every)
	server.EnableHTTP2 = http2
	server.Config.ErrorLog = slog.NewLogLogger(slog.DiscardHandler, slog.LevelError)
	server.StartTLS()
	tb.Cleanup(server.Close)
	roots := x509.NewCertPool()
	roots.AddCert(server.Certificate())
	return upstream.Config{
		BaseURL: mustURL(tb, server.URL), Token: upstream.StaticToken(testToken), Retry: upstream.RetryPolicy{MaxAttempts: 1},
		Transport: upstream.TransportConfig{RootCAs: roots},
	}
}

func TestHTTP2_wantedAndOffered(t *testing.T) {
	t.Parallel()
	for _, test := range []struct {
		name            string
		wanted, offered bool
		want            string
	}{
		{name: "wanted and offered", wanted: true, offered: true, want: "HTTP/2.0"},
		{name: "wanted and not offered", wanted: true, want: "HTTP/1.1"},
		{name: "not wanted, as by default", offered: true, want: "HTTP/1.1"},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			cfg := tlsServer(t, test.offered, func(w http.ResponseWriter, r *http.Request) {
				body, err := io.ReadAll(r.Body)
				if err != nil {
					t.Error(err)
				}
				answer(200, r.Proto+string(body))(w, r)
			})
			cfg.Transport.HTTP2 = test.wanted
			client := newClient(t, cfg)
			for _, req := range []*request{post(`{"a":1}`), get("/x")} { // the first finds out
				resp, err := client.Do(t.Context(), req)
				if want := test.want + string(req.Body); err != nil || string(resp.Body) != want || resp.Attempts != 1 {
					t.Errorf("Do = %+v, %v, want %s at the first attempt", resp, err, want)
				}
			}
		})
	}
}

func TestHTTP2_offeredLater(t *testing.T) {
	t.Parallel()
	server := certified(t)
	synctest.Test(t, func(t *testing.T) {
		f := newServer(t, func(w http.ResponseWriter, r *http.Request) { answer(200, r.Proto)(w, r) })
		client := f.client(f.overTLS(server, "http/1.1"))
		for _, test := range []struct {
			after time.Duration
			want  string
			dials int
		}{
			{0, "HTTP/1.1", 2}, // one to find out
			{0, "HTTP/1.1", 2},
			{9 * time.Minute, "HTTP/1.1", 3}, // the other has been idle for too long
			{time.Minute, "HTTP/2.0", 4},
			{0, "HTTP/2.0", 4},
		} {
			time.Sleep(test.after) //nolint:forbidigo // within a bubble
			if test.after > 0 {
				f.overTLS(server, "h2", "http/1.1")
			}
			resp, err := client.Do(t.Context(), get("/x"))
			if err != nil || string(resp.Body) != test.want || f.connections() != test.dials {
				t.Errorf("after %v: Do = %+v, %v on connection %d, want %s on %d", test.after, resp, err, f.connections(), test.want, test.dials)
			}
			synctest.Wait()
		}
	})
}

func TestTransport_untrustedCertificate(t *testing.T) {
	t.Parallel()
	cfg := tlsServer(t, true, answer(200, `{}`))
	cfg.Transport.RootCAs = x509.NewCertPool()
	resp, err := newClient(t, cfg).Do(t.Context(), get("/x"))
	wantVerdict(t, failure(t, resp, err), codes.Unavailable, "UPSTREAM_UNREACHABLE", 1)
}
