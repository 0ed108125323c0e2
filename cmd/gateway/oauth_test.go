package main

import (
	"encoding/base64"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/credentials/insecure"
)

// issuer is an upstream that gives tokens by OAuth 2.0, with refresh tokens that are good for one use.
type issuer struct {
	url, secretFile, refreshFile string

	mu sync.Mutex
	// n is how many pairs were given. held stops before a pair is given, and lost after. wrong counts access tokens that
	// were never given, or are older than the last one. unwritten counts those that came before the file had their refresh token.
	n, refreshes, wrong, unwritten int
	held                           chan struct{}
	lost                           bool
	revoked                        bool
	reached                        chan struct{}
}

func (i *issuer) secret(what string, n int) string { return fmt.Sprintf("%s-token-number-%d", what, n) }

func startIssuer(t *testing.T) *issuer {
	t.Helper()
	i := &issuer{secretFile: tokenFile(t, "the-secret-of-the-client"), reached: make(chan struct{}, 1000)}
	i.refreshFile = tokenFile(t, i.secret("refresh", 0))
	i.url = "http://" + serveHTTP(t, i)
	return i
}

func (i *issuer) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	w.Header().Set("Content-Type", "application/json")
	if r.URL.Path != "/oauth2/token" {
		i.mu.Lock()
		defer i.mu.Unlock()
		if text, err := os.ReadFile(i.refreshFile); err != nil || strings.TrimSpace(string(text)) != i.secret("refresh", i.n) {
			i.unwritten++
		}
		if r.Header.Get("Authorization") != "Bearer "+i.secret("access", i.n) || i.revoked {
			i.wrong++
			w.WriteHeader(http.StatusUnauthorized)
			_, _ = io.WriteString(w, `{"message":"no"}`)
			return
		}
		_, _ = io.WriteString(w, `{"data":{"id":"1","name":"one"}}`)
		return
	}
	_ = r.ParseForm()
	i.mu.Lock()
	held := i.held
	i.refreshes++
	i.mu.Unlock()
	i.reached <- struct{}{}
	if held != nil {
		<-held
	}
	i.mu.Lock()
	defer i.mu.Unlock()
	if id, secret, ok := r.BasicAuth(); !ok || id != "client" || secret != "the-secret-of-the-client" || r.Form.Get("refresh_token") != i.secret("refresh", i.n) {
		w.WriteHeader(http.StatusBadRequest)
		given := r.Form.Get("refresh_token")
		_, _ = fmt.Fprintf(w, `{"error":"invalid_grant","error_description":"%s %s %s %s"}`,
			given, url.QueryEscape(given), base64.StdEncoding.EncodeToString([]byte(given)), secret)
		return
	}
	i.n++
	if i.lost {
		resetConn(w)
		return
	}
	_, _ = fmt.Fprintf(w, `{"access_token":"%s","refresh_token":"%s","expires_in":3600}`, i.secret("access", i.n), i.secret("refresh", i.n))
}

// entry returns the organization's entry in a file of organizations.
func (i *issuer) entry() string {
	return fmt.Sprintf("  - {name: north, base-url: %s, default: true, oauth: {client-id: client, client-secret-file: %s, refresh-token-file: %s}}\n",
		i.url, i.secretFile, i.refreshFile)
}

// call gets a tag.
func (i *issuer) call(t *testing.T, conn *grpc.ClientConn) verdict {
	t.Helper()
	_, _, err := nameAt(t, conn, "north", "1")
	return verdictOf(err)
}

func (i *issuer) with(change func()) {
	i.mu.Lock()
	defer i.mu.Unlock()
	change()
}

// TestOAuth_callsAtOnce makes calls while there is no access token yet, and kills the gateway when it uses one.
func TestOAuth_callsAtOnce(t *testing.T) {
	t.Parallel()
	i := startIssuer(t)
	held := make(chan struct{})
	i.held = held
	p, at, _ := startOrganizations(t, i.entry(), "--quota=false")
	conn := connect(t, at.GRPC, insecure.NewCredentials())
	var calls sync.WaitGroup
	for range 50 {
		calls.Go(func() {
			if got := i.call(t, conn); got.code != codes.OK {
				t.Error(got)
			}
		})
	}
	close(held)
	calls.Wait()
	_ = p.cmd.Process.Kill()
	<-p.exited
	i.with(func() { i.held = nil })
	// The next process goes on from the file.
	_, at, _ = startOrganizations(t, i.entry(), "--quota=false")
	if got := i.call(t, connect(t, at.GRPC, insecure.NewCredentials())); got.code != codes.OK {
		t.Error(got)
	}
	i.with(func() {
		if i.n != 2 || i.refreshes != 2 || i.wrong != 0 || i.unwritten != 0 {
			t.Errorf("%d pairs by %d requests, %d calls with a wrong token, %d before it was in the file; want 2 pairs by 2",
				i.n, i.refreshes, i.wrong, i.unwritten)
		}
	})
}

// TestOAuth_killed kills the gateway before the refresh token is used, and after that, before the answer is there. The
// first can be survived, the second cannot.
func TestOAuth_killed(t *testing.T) {
	t.Parallel()
	for name, used := range map[string]bool{"before": false, "after": true} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			i := startIssuer(t)
			held := make(chan struct{})
			defer close(held)
			i.held = held
			p, _, _ := startOrganizations(t, i.entry())
			<-i.reached
			_ = p.cmd.Process.Kill()
			<-p.exited
			i.with(func() {
				i.held = nil
				if used {
					i.n++
				}
			})
			if text, err := os.ReadFile(i.refreshFile); err != nil || string(text) != i.secret("refresh", 0) {
				t.Errorf("the file has %q, %v", text, err)
			}
			p, at, _ := startOrganizations(t, i.entry())
			conn := connect(t, at.GRPC, insecure.NewCredentials())
			got := i.call(t, conn)
			if !used {
				if got.code != codes.OK {
					t.Error(got)
				}
				return
			}
			if got.code != codes.Unavailable || got.reason != "GATEWAY_CREDENTIALS" ||
				got.text != "the gateway has no access token for the organization: the refresh token was refused: put another one into its file" {
				t.Errorf("got %v", got)
			}
			if _, text := get(t, "http://"+at.Admin+"/readyz", ""); !strings.Contains(text, "file oauth:north: ") || !strings.Contains(text, "put another one into its file") {
				t.Errorf("/readyz says %q", text)
			}
			// A new authorization.
			replace(t, i.refreshFile, i.secret("refresh", 1))
			eventually(t, "the new refresh token is used", func() bool { return i.call(t, conn).code == codes.OK })
			p.await(t, "an OAuth grant is good again")
			p.stop(t)
			_, text, _ := p.log()
			for _, secret := range []string{"token-number", "secret-of-the-client", base64.StdEncoding.EncodeToString([]byte(i.secret("refresh", 0)))[:20]} {
				if strings.Contains(text, secret) {
					t.Errorf("the log has %q:\n%s", secret, text)
				}
			}
		})
	}
}

// TestOAuth_changes has a grant that two gateways want, and one whose organization changes.
func TestOAuth_changes(t *testing.T) {
	t.Parallel()
	i := startIssuer(t)
	_, at, file := startOrganizations(t, i.entry())
	conn := connect(t, at.GRPC, insecure.NewCredentials())
	if got := i.call(t, conn); got.code != codes.OK {
		t.Fatal(got)
	}
	second := filepath.Join(t.TempDir(), "organizations.yaml")
	replace(t, second, "organizations:\n"+i.entry())
	other := start(t, "--organizations-file="+second, "--log-format=json", "--listen=127.0.0.1:0", "--admin-listen=")
	<-other.exited
	if _, text, _ := other.log(); !strings.Contains(text, "is in use by another gateway") {
		t.Errorf("a second gateway with the same grant says\n%s", text)
	}
	// Made anew for another limit, with the same grant.
	replace(t, file, "organizations:\n"+strings.Replace(i.entry(), "default: true", "default: true, token-limit: 7/s", 1))
	eventually(t, "the file is taken up", func() bool {
		return metric(t, at.Admin, "samsara_gateway_file_looks_total", `file="organizations"`, `result="changed"`) > 0
	})
	if got := i.call(t, conn); got.code != codes.OK {
		t.Error(got)
	}
	i.with(func() {
		if i.refreshes != 1 {
			t.Errorf("%d refreshes, want 1", i.refreshes)
		}
		i.revoked = true
	})
	// Each call is refused, and none asks for another token so soon.
	for range 5 {
		if got := i.call(t, conn); got.code != codes.Unauthenticated || got.reason != "UNAUTHORIZED" {
			t.Error(got)
		}
	}
	i.with(func() {
		if i.refreshes != 1 {
			t.Errorf("%d refreshes after calls were refused, want 1", i.refreshes)
		}
	})
}
