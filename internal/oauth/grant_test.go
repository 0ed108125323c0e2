package oauth_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"go.uber.org/goleak"

	"samsara.internal/gateway/internal/oauth"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// issuer is a token server whose refresh tokens are good for one use. It is the transport of a client, so that its time
// is the test's.
type issuer struct {
	t *testing.T

	mu sync.Mutex
	// good is the refresh token that is taken next, refresh-N.
	n        int
	requests int
	// answer, if it is set, answers instead: by a status and a body, or an error. exchanged is whether the refresh token is
	// used up nonetheless.
	answer    func() (int, string, error)
	exchanged bool
	// delay is how long it takes.
	delay time.Duration
	life  int
}

func (i *issuer) RoundTrip(r *http.Request) (*http.Response, error) {
	if id, secret, ok := r.BasicAuth(); !ok || id != "client" || secret != "s3cret" {
		i.t.Errorf("the client is %q, %q", id, secret)
	}
	if err := r.ParseForm(); err != nil || r.Form.Get("grant_type") != "refresh_token" || r.Form.Has("client_secret") {
		i.t.Errorf("the form is %v, %v", r.Form, err)
	}
	i.mu.Lock()
	delay := i.delay
	i.requests++
	i.mu.Unlock()
	select {
	case <-time.After(delay):
	case <-r.Context().Done():
		return nil, r.Context().Err()
	}
	i.mu.Lock()
	defer i.mu.Unlock()
	reply := func(status int, body string) (*http.Response, error) {
		return &http.Response{
			StatusCode: status, Header: http.Header{"Content-Type": {"application/json"}}, Body: io.NopCloser(strings.NewReader(body)), Request: r,
		}, nil
	}
	good := r.Form.Get("refresh_token") == fmt.Sprintf("refresh-%d", i.n)
	if i.answer != nil {
		if good && i.exchanged {
			i.n++
		}
		status, body, err := i.answer()
		if err != nil {
			return nil, err
		}
		return reply(status, body)
	}
	if !good {
		return reply(http.StatusBadRequest, `{"error":"invalid_grant","error_description":"echo of `+r.Form.Get("refresh_token")+`"}`)
	}
	i.n++
	return reply(http.StatusOK, fmt.Sprintf(`{"access_token":"access-%d","refresh_token":"refresh-%d","expires_in":%d,"token_type":"bearer"}`, i.n, i.n, i.life))
}

func (i *issuer) set(answer func() (int, string, error), exchanged bool) {
	i.mu.Lock()
	defer i.mu.Unlock()
	i.answer, i.exchanged = answer, exchanged
}

func (i *issuer) asked() int {
	i.mu.Lock()
	defer i.mu.Unlock()
	return i.requests
}

type bench struct {
	*issuer
	cfg oauth.Config
	log *bytes.Buffer
}

func newBench(t *testing.T) *bench {
	t.Helper()
	dir := t.TempDir()
	b := &bench{issuer: &issuer{t: t, life: 3600}, log: new(bytes.Buffer)}
	b.cfg = oauth.Config{
		Name: "oauth:north", TokenURL: "https://issuer.test/oauth2/token", ClientID: "client",
		SecretFile: filepath.Join(dir, "secret"), RefreshFile: filepath.Join(dir, "refresh"),
		Client: &http.Client{Transport: b.issuer}, Logger: slog.New(slog.NewTextHandler(b.log, nil)),
	}
	b.put(t, b.cfg.SecretFile, "s3cret\n")
	b.put(t, b.cfg.RefreshFile, "refresh-0\n")
	return b
}

func (b *bench) put(t *testing.T, path, text string) {
	t.Helper()
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
}

func (b *bench) file(t *testing.T) string {
	t.Helper()
	text, err := os.ReadFile(b.cfg.RefreshFile)
	if err != nil {
		t.Fatal(err)
	}
	return strings.TrimSpace(string(text))
}

func (b *bench) open(t *testing.T) *oauth.Grant {
	t.Helper()
	g, err := oauth.Open(b.cfg)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(g.Close)
	return g
}

// want compares the access token in use, or why there is none.
func want(t *testing.T, g *oauth.Grant, token, text string) {
	t.Helper()
	got, _, _, err := g.Get(t.Context())
	if got != token || err == nil != (text == "") || err != nil && !strings.Contains(err.Error(), text) {
		t.Errorf("got %q, %v, want %q, %q", got, err, token, text)
	}
}

// sleep lets virtual time pass.
func sleep(d time.Duration) {
	time.Sleep(d) //nolint:forbidigo // virtual
	synctest.Wait()
}

func TestGrant_oneRefreshForAll(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		b := newBench(t)
		b.delay = time.Second
		g := b.open(t)
		var calls sync.WaitGroup
		for range 50 {
			calls.Go(func() { want(t, g, "access-1", "") })
		}
		calls.Wait()
		if b.asked() != 1 || b.file(t) != "refresh-1" {
			t.Errorf("%d requests, and the file has %s, want 1 and refresh-1", b.asked(), b.file(t))
		}
		// Ahead of time, while nobody waits.
		sleep(53 * time.Minute)
		want(t, g, "access-2", "")
		if state := g.State(); state.Changed != 2 || state.Failed != 0 || state.Name != "oauth:north" {
			t.Errorf("the state is %+v", state)
		}
	})
}

// TestGrant_onDiskBeforeUse looks at the file whenever there is a new access token.
func TestGrant_onDiskBeforeUse(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		b := newBench(t)
		b.life = 10
		g := b.open(t)
		last := ""
		for range 100 {
			token, key, _, err := g.Get(t.Context())
			if err != nil || key != g.Key() {
				t.Fatal(err, key, g.Key())
			}
			if token != last && b.file(t) != strings.Replace(token, "access", "refresh", 1) {
				t.Fatalf("%s is in use, and the file has %s", token, b.file(t))
			}
			last = token
			time.Sleep(time.Second) //nolint:forbidigo // virtual
		}
		if last == "access-1" {
			t.Error("the token was never refreshed")
		}
		names, err := os.ReadDir(filepath.Dir(b.cfg.RefreshFile))
		if err != nil || len(names) != 3 { // and the secret and the lock
			t.Errorf("the folder has %v, %v", names, err)
		}
	})
}

func TestGrant_refused401(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		b := newBench(t)
		g := b.open(t)
		want(t, g, "access-1", "")
		if g.Replaced(t.Context(), "access-1") || b.asked() != 1 {
			t.Error("a young token is refreshed because it was refused")
		}
		sleep(time.Minute)
		var calls sync.WaitGroup
		for range 50 {
			calls.Go(func() {
				if !g.Replaced(t.Context(), "access-1") {
					t.Error("an old token is not refreshed although it was refused")
				}
			})
		}
		calls.Wait()
		if b.asked() != 2 {
			t.Errorf("%d requests, want 2", b.asked())
		}
		want(t, g, "access-2", "")
	})
}

func TestGrant_upstreamFails(t *testing.T) {
	t.Parallel()
	for name, test := range map[string]struct {
		answer func() (int, string, error)
		text   string
	}{
		"unreachable":    {func() (int, string, error) { return 0, "", errors.New("echo of refresh-1") }, "could not be reached"},
		"status":         {func() (int, string, error) { return 503, "echo of refresh-1", nil }, "answered with status 503"},
		"code":           {func() (int, string, error) { return 401, `{"error":"invalid_client"}`, nil }, "status 401 and the error invalid_client"},
		"code as secret": {func() (int, string, error) { return 400, `{"error":"refresh-1"}`, nil }, "status 400"},
		"no token":       {func() (int, string, error) { return 200, `{"refresh_token":"refresh-1"}`, nil }, "something else than a token"},
		"bad token":      {func() (int, string, error) { return 200, `{"access_token":"a b"}`, nil }, "must be printable ASCII"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				b := newBench(t)
				g := b.open(t)
				want(t, g, "access-1", "")
				b.set(test.answer, false)
				sleep(55 * time.Minute)
				want(t, g, "access-1", "") // It is good still.
				before := b.asked()
				if before > 20 || before < 3 {
					t.Errorf("%d requests while it fails, want a few", before)
				}
				sleep(10 * time.Minute)
				want(t, g, "", test.text)
				_, _, wait, err := g.Get(t.Context())
				if wait <= 0 || wait > 66*time.Second || strings.Contains(err.Error()+b.log.String(), "refresh-1") {
					t.Errorf("the wait is %v, and the error %v\n%s", wait, err, b.log)
				}
				if state := g.State(); state.Err == nil || state.FailedInARow < 2 || strings.Count(b.log.String(), "\n") != 1 {
					t.Errorf("the state is %+v, and the log\n%s", state, b.log)
				}
				b.set(nil, false)
				sleep(70 * time.Second)
				want(t, g, "access-2", "")
				if !strings.Contains(b.log.String(), "is good again") {
					t.Errorf("the log is\n%s", b.log)
				}
			})
		})
	}
}

// TestGrant_answerLost loses an answer after the refresh token was used up.
func TestGrant_answerLost(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		b := newBench(t)
		g := b.open(t)
		want(t, g, "access-1", "")
		key := g.Key()
		b.set(func() (int, string, error) { return 0, "", io.ErrUnexpectedEOF }, true)
		sleep(55 * time.Minute)
		b.set(nil, false)
		sleep(2 * time.Minute)
		want(t, g, "access-1", "")
		before := b.asked()
		sleep(10 * time.Minute)
		want(t, g, "", "put another one into its file")
		if b.asked() != before {
			t.Errorf("%d requests with a refresh token that was refused", b.asked()-before)
		}
		// Another one, of a new authorization.
		b.mu.Lock()
		b.n = 40
		b.mu.Unlock()
		b.put(t, b.cfg.RefreshFile, "refresh-40")
		sleep(2 * time.Second)
		want(t, g, "access-41", "")
		if g.Key() == key {
			t.Error("the key is that of the grant before")
		}
	})
}

// TestGrant_fileCannotBeWritten takes the folder's permissions away, as far as that is possible for the user.
func TestGrant_fileCannotBeWritten(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		b := newBench(t)
		g := b.open(t)
		want(t, g, "access-1", "")
		// A folder of the file's name cannot be replaced by a file. The file is read from where it is moved to.
		dir := filepath.Dir(b.cfg.RefreshFile)
		aside := dir + "-aside"
		b.set(func() (int, string, error) {
			if err := os.Rename(dir, aside); err != nil {
				t.Error(err)
			}
			b.n++ // by who holds the lock
			return 200, `{"access_token":"access-2","refresh_token":"refresh-2","expires_in":3600}`, nil
		}, false)
		sleep(55 * time.Minute)
		want(t, g, "access-1", "")
		if b.asked() != 2 {
			t.Errorf("%d requests, want 2", b.asked())
		}
		b.set(nil, false)
		if err := os.Rename(aside, dir); err != nil {
			t.Fatal(err)
		}
		if b.file(t) != "refresh-1" {
			t.Errorf("the file has %s, want refresh-1", b.file(t))
		}
		sleep(70 * time.Second)
		want(t, g, "access-2", "")
		if b.file(t) != "refresh-2" || b.asked() != 2 {
			t.Errorf("the file has %s after %d requests, want refresh-2 and 2", b.file(t), b.asked())
		}
	})
}

// TestGrant_fileReplacedMeanwhile has somebody put another refresh token into the file while one is exchanged.
func TestGrant_fileReplacedMeanwhile(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		b := newBench(t)
		g := b.open(t)
		want(t, g, "access-1", "")
		b.set(func() (int, string, error) {
			b.put(t, b.cfg.RefreshFile, "refresh-40")
			b.answer, b.n = nil, 40
			return 200, `{"access_token":"access-2","refresh_token":"refresh-2","expires_in":3600}`, nil
		}, false)
		sleep(55 * time.Minute)
		want(t, g, "access-41", "")
		if b.file(t) != "refresh-41" {
			t.Errorf("the file has %s", b.file(t))
		}
	})
}

func TestGrant_waitEnds(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		b := newBench(t)
		b.delay = time.Hour
		g := b.open(t)
		ctx, cancel := context.WithTimeout(t.Context(), 3*time.Second)
		defer cancel()
		begun := time.Now()
		if _, _, _, err := g.Get(ctx); !errors.Is(err, context.DeadlineExceeded) || time.Since(begun) != 3*time.Second {
			t.Errorf("got %v after %v", err, time.Since(begun))
		}
		if g.Replaced(ctx, "") {
			t.Error("there is a token")
		}
	})
}

func TestOpen_refused(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	held := b.open(t)
	if _, err := oauth.Open(b.cfg); err == nil || !strings.Contains(err.Error(), "is in use by another") {
		t.Errorf("twice: got %v", err)
	}
	link := filepath.Join(t.TempDir(), "link")
	if err := os.Symlink(b.cfg.RefreshFile, link); err != nil {
		t.Fatal(err)
	}
	twice := b.cfg
	twice.RefreshFile = link
	if _, err := oauth.Open(twice); err == nil || !strings.Contains(err.Error(), "is in use by another") {
		t.Errorf("by a link: got %v", err)
	}
	_ = held
	for name, change := range map[string]func(*oauth.Config){
		"no such file":   func(c *oauth.Config) { c.RefreshFile = "/nowhere/refresh" },
		"no such secret": func(c *oauth.Config) { c.SecretFile = "/nowhere/secret" },
		"must be printable ASCII": func(c *oauth.Config) {
			c.SecretFile = filepath.Join(t.TempDir(), "s")
			b.put(t, c.SecretFile, "a b")
		},
	} {
		cfg := b.cfg
		change(&cfg)
		if err := oauth.Check(cfg); err == nil {
			t.Errorf("%s: no error", name)
		}
	}
}

func TestCheckTokenURL_schemes(t *testing.T) {
	t.Parallel()
	for text, good := range map[string]bool{
		"https://api.samsara.com/oauth2/token": true, "http://127.0.0.1:80/t": true, "http://localhost/t": true,
		"http://api.samsara.com/oauth2/token": false, "https://user:pw@h/t": false, "https://h/t?x=1": false, "": false, "h/t": false,
	} {
		if err := oauth.CheckTokenURL(text); err == nil != good {
			t.Errorf("%q: got %v", text, err)
		}
	}
}
