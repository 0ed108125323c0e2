package main

import (
	"context"
	"crypto/tls"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/metadata"

	tagsv1 "samsara.internal/gateway/gen/tags/v1"
	"samsara.internal/gateway/internal/admin"
)

// quotaAt returns the state of a gateway's quota, which has one organization.
func quotaAt(t *testing.T, address string) admin.Quota {
	t.Helper()
	return quotasAt(t, address)[onlyOrganization]
}

// quotasAt returns the state of a gateway's quota by organization.
func quotasAt(t *testing.T, address string) map[string]admin.Quota {
	t.Helper()
	_, text := get(t, "http://"+address+"/quota", "")
	var state admin.Quotas
	if err := json.Unmarshal([]byte(text), &state); err != nil {
		t.Fatal(err)
	}
	return state.Organizations
}

// pauseOf returns how many seconds a budget is still paused.
func pauseOf(budgets []admin.Budget, name string) float64 {
	for _, b := range budgets {
		if b.Name == name {
			return b.PausedSeconds
		}
	}
	return 0
}

// budgetAt returns the state of one budget of a gateway.
func budgetAt(t *testing.T, address, name string) admin.Budget {
	t.Helper()
	for _, b := range quotaAt(t, address).Budgets {
		if b.Name == name {
			return b
		}
	}
	return admin.Budget{}
}

// awaitPause waits until a budget is paused, which is shortly after the 429 that pauses it is logged.
func awaitPause(t *testing.T, address, budget string) {
	t.Helper()
	eventually(t, budget+" is paused", func() bool { return budgetAt(t, address, budget).PausedSeconds > 0 })
}

// getTagBudget is the budget of GetTag.
const getTagBudget = "operation:samsara_gateway.tags.v1.TagsService/GetTag"

// TestQuota_redirectsCount makes three calls, each of which is redirected once.
func TestQuota_redirectsCount(t *testing.T) {
	t.Parallel()
	for limit, succeed := range map[int]int{1: 0, 2: 1, 3: 1, 6: 3} {
		t.Run(fmt.Sprintf("%d a minute", limit), func(t *testing.T) {
			t.Parallel()
			var requests atomic.Int64
			client, at := startTags(t, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				requests.Add(1)
				if nameIn(r) == "old" {
					http.Redirect(w, r, "/tags/new", http.StatusFound)
					return
				}
				said{status: http.StatusOK}.say(w, r)
			}), fmt.Sprintf("--quota-limits=samsara_gateway.tags.*=%d/min", limit), "--quota-max-wait=1s")
			succeeded := 0
			for range 3 {
				v := verdictOf(readTag(waiting(t), client, "old"))
				switch v.code {
				case codes.OK:
					succeeded++
				case codes.ResourceExhausted:
					if v.reason != "GATEWAY_QUOTA" || !v.waitKnown || v.wait < 30*time.Second {
						t.Errorf("got %v, want GATEWAY_QUOTA and a RetryInfo", v)
					}
				default:
					t.Errorf("got %v", v)
				}
			}
			if got := requests.Load(); got != int64(limit) || succeeded != succeed {
				t.Errorf("there were %d upstream requests, and %d of 3 calls succeeded; want %d and %d", got, succeeded, limit, succeed)
			}
			for _, name := range []string{getTagBudget, "organization"} {
				if b := budgetAt(t, at.Admin, name); b.Admitted != uint64(requests.Load()) {
					t.Errorf("%s admitted %d, and there were %d upstream requests", name, b.Admitted, requests.Load())
				}
			}
		})
	}
}

// openingUpstream is an upstream over TLS whose connections do not open until open is closed.
type openingUpstream struct {
	*httptest.Server
	open     chan struct{}
	protocol sync.Map // protocols that requests used

	mu    sync.Mutex
	times []time.Time // when requests came
}

// sent returns how many requests came, and the most in any period of length within.
func (u *openingUpstream) sent(within time.Duration) (requests, most int) {
	u.mu.Lock()
	defer u.mu.Unlock()
	for i, last := range u.times {
		n := 0
		for _, at := range u.times[:i+1] {
			if last.Sub(at) < within {
				n++
			}
		}
		most = max(most, n)
	}
	return len(u.times), most
}

// closedListener accepts connections whose first write blocks until wait returns.
type closedListener struct {
	net.Listener
	wait func()
}

// Accept implements net.Listener.
func (l closedListener) Accept() (net.Conn, error) {
	conn, err := l.Listener.Accept()
	if err != nil {
		return nil, err
	}
	return slowConn{conn, sync.OnceFunc(l.wait)}, nil
}

func startOpening(t *testing.T, certFile, keyFile string) *openingUpstream {
	t.Helper()
	cert, err := tls.LoadX509KeyPair(certFile, keyFile)
	if err != nil {
		t.Fatal(err)
	}
	u := &openingUpstream{open: make(chan struct{})}
	u.Server = httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		u.mu.Lock()
		u.times = append(u.times, time.Now())
		u.mu.Unlock()
		u.protocol.Store(r.Proto, true)
		_, _ = io.WriteString(w, `{"data":{"id":"1"}}`)
	}))
	u.Listener = closedListener{u.Listener, func() {
		select {
		case <-u.open:
		case <-t.Context().Done():
		}
	}}
	u.TLS = &tls.Config{Certificates: []tls.Certificate{cert}}
	u.EnableHTTP2 = true
	u.StartTLS()
	t.Cleanup(u.Close)
	return u
}

// TestQuota_lateRequestsCount opens connections so late that the admissions of the first two calls have
// passed to others, and these two calls have no time to wait for new ones. Every request that is sent must
// be counted, whether or not these two calls send theirs.
func TestQuota_lateRequestsCount(t *testing.T) {
	t.Parallel()
	const window = 4 * time.Second
	for name, by := range map[string]struct {
		flag, proxy, protocol string
		exact                 bool // no request is sent that was not admitted
	}{
		"HTTP/1.1":                 {protocol: "HTTP/1.1", exact: true},
		"HTTP/1.1 through a proxy": {protocol: "HTTP/1.1", proxy: "http", exact: true},
		"HTTP/2":                   {protocol: "HTTP/2.0", flag: "--upstream-http2"},
		"HTTP/2 through a proxy":   {protocol: "HTTP/2.0", flag: "--upstream-http2", proxy: "http"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			certFile, keyFile, _ := selfSigned(t)
			up := startOpening(t, certFile, keyFile)
			_, port, err := net.SplitHostPort(up.Listener.Addr().String())
			if err != nil {
				t.Fatal(err)
			}
			url, env := "https://localhost:"+port, []string{"SSL_CERT_FILE=" + certFile}
			if by.proxy != "" {
				url, env = "https://"+upstreamName, append(env, "HTTPS_PROXY="+startProxy(t, by.proxy, nil, "127.0.0.1:"+port, nil))
			}
			flags := append(flagsAt(url, tokenFile(t, "open")), fmt.Sprintf("--quota-limits=samsara_gateway.tags.*=2/%v", window), "--quota-max-wait=1m")
			if by.flag != "" {
				flags = append(flags, by.flag)
			}
			at := startIn(t, env, flags...).await(t, "serving")
			client := tagsv1.NewTagsServiceClient(connect(t, at.GRPC, insecure.NewCredentials()))
			admitted := func() uint64 { return budgetAt(t, at.Admin, getTagBudget).Admitted }

			var ended atomic.Int64
			var all sync.WaitGroup
			defer all.Wait()
			call := func(id string, lasting time.Duration) {
				ctx := withTimeout(t, lasting)
				all.Go(func() {
					_ = readTag(ctx, client, id)
					ended.Add(1)
				})
			}
			const hurried = 7 * time.Second // less than two windows
			call("1", hurried)
			call("2", hurried)
			eventually(t, "the first two are admitted", func() bool { return admitted() == 2 })
			call("3", patience)
			call("4", patience)
			eventually(t, "the others are admitted", func() bool { return admitted() == 4 })
			close(up.open)
			used := 0 // the most in one window
			eventually(t, "all calls have ended", func() bool {
				over := ended.Load() == 4
				used = max(used, budgetAt(t, at.Admin, getTagBudget).Used)
				return over
			})
			// A request that the network delays counts from when it was sent.
			total, sent := up.sent(window - time.Second)
			if total < 2 || by.exact && sent != 2 {
				t.Errorf("%d of %d requests were sent within a window, want 2", sent, total)
			}
			if used < sent {
				t.Errorf("%d requests were sent in a window, and %d are counted", sent, used)
			}
			t.Logf("%d requests were sent in a window, and %d are counted", sent, used)
			if _, ok := up.protocol.Load(by.protocol); !ok {
				t.Errorf("no request used %s", by.protocol)
			}
		})
	}
}

// TestUpstream_certificateNotTrusted has upstreams, and a proxy, whose certificate is not trusted and will
// not be at the next attempt either.
func TestUpstream_certificateNotTrusted(t *testing.T) {
	t.Parallel()
	for name, test := range map[string]struct {
		until   time.Duration // when the certificate expires, from now
		host    string        // in the URL of the upstream
		unknown bool          // The authority is not known.
	}{
		"for another name":        {until: time.Hour, host: "127.0.0.1"},
		"expired":                 {until: -time.Minute, host: "localhost"},
		"of an unknown authority": {until: time.Hour, host: "localhost", unknown: true},
	} {
		for route, by := range map[string]struct{ flag, proxy string }{
			"directly":                   {},
			"by HTTP/2":                  {flag: "--upstream-http2"},
			"of a proxy":                 {proxy: "https"},
			"of an upstream by a tunnel": {proxy: "http"},
		} {
			if by.proxy == "http" && test.host != "localhost" {
				continue // A tunnel always uses the name in the certificate.
			}
			t.Run(name+" "+route, func(t *testing.T) {
				t.Parallel()
				certFile, keyFile, _ := certified(t, time.Now().Add(test.until))
				cert, err := tls.LoadX509KeyPair(certFile, keyFile)
				if err != nil {
					t.Fatal(err)
				}
				var env []string
				if !test.unknown {
					env = []string{"SSL_CERT_FILE=" + certFile}
				}
				var handshakes atomic.Int64
				port := serveConns(t, func(conn net.Conn) {
					defer hangUp(conn)
					defer context.AfterFunc(t.Context(), func() { hangUp(conn) })()
					handshakes.Add(1)
					secure := tls.Server(conn, &tls.Config{Certificates: []tls.Certificate{cert}})
					if secure.HandshakeContext(t.Context()) == nil {
						_, _ = io.Copy(io.Discard, secure)
					}
				})
				url := "https://" + net.JoinHostPort(test.host, port)
				switch by.proxy {
				case "https":
					env, url = append(env, "HTTPS_PROXY="+url), "https://"+upstreamName
				case "http":
					env, url = append(env, "HTTPS_PROXY="+startProxy(t, "http", nil, "127.0.0.1:"+port, nil)), "https://"+upstreamName
				}
				flags := append(flagsBefore(t, url), "--retry-base-delay=1ms")
				if by.flag != "" {
					flags = append(flags, by.flag)
				}
				at := startIn(t, env, flags...).await(t, "serving")
				client := tagsv1.NewTagsServiceClient(connect(t, at.GRPC, insecure.NewCredentials()))
				for shape, call := range map[string]tagCall{"a read": readTag, "a write": createTag} {
					before := handshakes.Load()
					var trailer metadata.MD
					got := verdictOf(call(waiting(t), client, "1", grpc.Trailer(&trailer)))
					if got.code != codes.Unavailable || got.reason != "UPSTREAM_UNREACHABLE" || got.attempts != "1" || got.notRepeated != "certificate" {
						t.Errorf("%s: got %v\nwant Unavailable/UPSTREAM_UNREACHABLE, attempts 1, not_repeated certificate", shape, got)
					}
					if attempts := trailer.Get("samsara-attempts"); len(attempts) != 1 || attempts[0] != "1" {
						t.Errorf("%s: samsara-attempts is %q, want 1", shape, attempts)
					}
					if n := handshakes.Load() - before; n != 1 {
						t.Errorf("%s: there were %d handshakes, want 1", shape, n)
					}
					if shape == "a write" && got.processed != "no" {
						t.Errorf("processed is %q, want no", got.processed)
					}
				}
			})
		}
	}
}
