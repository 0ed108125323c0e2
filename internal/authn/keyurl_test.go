package authn_test

import (
	"bytes"
	"context"
	"errors"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"go.uber.org/goleak"

	apiv1 "samsara.internal/gateway/gen/api/v1"
	"samsara.internal/gateway/internal/authn"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// publisher is an issuer that answers a fetch, after a time.
type publisher struct {
	answer  atomic.Pointer[[]byte] // nil: it is down
	takes   atomic.Int64
	fetches atomic.Int64
}

func (p *publisher) publish(set []byte) { p.answer.Store(&set) }

// RoundTrip implements http.RoundTripper.
func (p *publisher) RoundTrip(r *http.Request) (*http.Response, error) {
	p.fetches.Add(1)
	timer := time.NewTimer(time.Duration(p.takes.Load()))
	defer timer.Stop()
	select {
	case <-timer.C:
	case <-r.Context().Done():
		return nil, r.Context().Err()
	}
	answer := p.answer.Load()
	if answer == nil {
		return nil, errors.New("connection refused")
	}
	return &http.Response{StatusCode: http.StatusOK, Body: io.NopCloser(bytes.NewReader(*answer))}, nil
}

// follow runs keys of a publisher in a bubble until the end of the test.
func follow(t *testing.T, p *publisher) *authn.KeyURL {
	t.Helper()
	k := authn.NewKeyURL(authn.KeyURLConfig{URL: &url.URL{Scheme: "https", Host: "issuer.test", Path: "/keys"}})
	k.By(p)
	ctx, stop := context.WithCancel(t.Context())
	var running sync.WaitGroup
	running.Go(func() { k.Run(ctx, slog.New(slog.DiscardHandler)) })
	t.Cleanup(func() {
		stop()
		running.Wait()
	})
	synctest.Wait()
	return k
}

func TestKeyURL_issuerDownAtTheStart(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		s, p := newSigner(t, "k"), &publisher{}
		k := follow(t, p)
		a := authn.New(authn.Config{JWT: &authn.JWT{Issuer: issuer, Audiences: []string{audience}, Keys: k}})
		call := func() error {
			_, err := a.Authenticate(t.Context(), authn.NewPeer(nil), []string{"Bearer " + s.sign(t, claims(nil))})
			return err
		}
		want(t, call(), apiv1.Reason_REASON_GATEWAY_KEYS, "could not be had so far")
		if st := k.State(); st.Err == nil || st.Failed == 0 || !st.Good.IsZero() {
			t.Errorf("the state is %+v, want a failure", st)
		}
		p.publish(setJSON(t, s))
		time.Sleep(5 * time.Second) //nolint:forbidigo // virtual
		if err := call(); err != nil {
			t.Errorf("5 s after the issuer is back: %v", err)
		}
		if st := k.State(); st.Err != nil || st.Changed != 1 || !st.Good.Equal(time.Now()) {
			t.Errorf("the state is %+v, want a success now", st)
		}
		p.answer.Store(nil)
		time.Sleep(time.Hour) //nolint:forbidigo // virtual
		if err := call(); err != nil {
			t.Errorf("with the issuer down for an hour: %v", err)
		}
	})
}

func TestKeyURL_keyRotated(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		first, second, p := newSigner(t, "first"), newSigner(t, "second"), &publisher{}
		p.publish(setJSON(t, first))
		k := follow(t, p)
		a := authn.New(authn.Config{JWT: &authn.JWT{Issuer: issuer, Audiences: []string{audience}, Keys: k}})
		call := func(s signer) error {
			_, err := a.Authenticate(t.Context(), authn.NewPeer(nil), []string{"Bearer " + s.sign(t, claims(nil))})
			return err
		}
		if err := call(first); err != nil {
			t.Fatal(err)
		}
		p.publish(setJSON(t, second))
		if err := call(second); err != nil {
			t.Errorf("a new key is not fetched at once: %v", err)
		}
		want(t, call(first), proofInvalid, "does not have")
	})
}

// TestKeyURL_strangersCauseFewFetches has tokens with keys that nobody has, at an issuer that is slow.
func TestKeyURL_strangersCauseFewFetches(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		p := &publisher{}
		p.publish(setJSON(t, newSigner(t, "k")))
		k := follow(t, p)
		p.takes.Store(int64(3 * time.Second))
		a := authn.New(authn.Config{JWT: &authn.JWT{Issuer: issuer, Audiences: []string{audience}, Keys: k}})
		before, begun, longest := p.fetches.Load(), time.Now(), time.Duration(0)
		for time.Since(begun) < 20*time.Second {
			at := time.Now()
			_, err := a.Authenticate(t.Context(), authn.NewPeer(nil), []string{"Bearer " + newSigner(t, "stranger").sign(t, claims(nil))})
			want(t, err, proofInvalid, "does not have")
			longest = max(longest, time.Since(at))
			time.Sleep(100 * time.Millisecond) //nolint:forbidigo // virtual
		}
		if fetches := p.fetches.Load() - before; fetches != 4 {
			t.Errorf("%d fetches in 20 s, want 4", fetches)
		}
		if longest != 50*time.Millisecond {
			t.Errorf("a call waited for %v, want 50 ms at most", longest)
		}
	})
}

func TestKeyURL_realIssuer(t *testing.T) {
	t.Parallel()
	good := setJSON(t, newSigner(t, "k"))
	for name, test := range map[string]struct {
		answer http.HandlerFunc
		err    string
	}{
		"keys": {func(w http.ResponseWriter, r *http.Request) {
			if r.Header.Get("Authorization") != "Bearer of the gateway" {
				w.WriteHeader(http.StatusUnauthorized)
			}
			_, _ = w.Write(good)
		}, ""},
		"a redirect": {func(w http.ResponseWriter, r *http.Request) {
			http.Redirect(w, r, "http://evil.test/", http.StatusFound)
		}, "status 302, must be 200"},
		"an error": {func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusForbidden) }, "status 403, must be 200"},
		"too much": {func(w http.ResponseWriter, _ *http.Request) { _, _ = io.WriteString(w, strings.Repeat(" ", 1<<20+1)) }, "more than 1048576 bytes"},
		"no keys":  {func(w http.ResponseWriter, _ *http.Request) { _, _ = io.WriteString(w, "<html>secret") }, "must be a JSON Web Key Set"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			server := httptest.NewServer(test.answer)
			t.Cleanup(server.Close)
			at, err := url.Parse(server.URL)
			if err != nil {
				t.Fatal(err)
			}
			file := filepath.Join(t.TempDir(), "token")
			if err := os.WriteFile(file, []byte("of the gateway\n"), 0o600); err != nil {
				t.Fatal(err)
			}
			k := authn.NewKeyURL(authn.KeyURLConfig{URL: at, TokenFile: file})
			ctx, stop := context.WithCancel(t.Context())
			var running sync.WaitGroup
			running.Go(func() { k.Run(ctx, slog.New(slog.DiscardHandler)) })
			defer running.Wait()
			defer stop()
			for ctx.Err() == nil && k.State().Changed+k.State().Failed == 0 {
				k.Again(t.Context())
			}
			st := k.State()
			if failed := st.Err != nil; failed != (test.err != "") || failed && !strings.Contains(st.Err.Error(), test.err) || strings.Contains(errText(st.Err), "secret") {
				t.Errorf("got %v, want %q", st.Err, test.err)
			}
			if (k.Get() != nil) != (test.err == "") {
				t.Error("keys are there with an error, or not without one")
			}
		})
	}
}

func errText(err error) string {
	if err == nil {
		return ""
	}
	return err.Error()
}

func TestCheckKeyURL_placesThatAreNotSafe(t *testing.T) {
	t.Parallel()
	for text, ok := range map[string]bool{
		"https://issuer.test/keys": true, "http://127.0.0.1:8080/keys": true, "http://localhost/keys": true, "http://[::1]/keys": true,
		"http://issuer.test/keys": false, "http://127.0.0.1.evil.test/keys": false, "ftp://issuer.test/": false, "/keys": false, "https://u:p@issuer.test/": false,
	} {
		u, err := url.Parse(text)
		if err != nil {
			t.Fatal(err)
		}
		if err := authn.CheckKeyURL(u); (err == nil) != ok {
			t.Errorf("%s: got %v, want ok: %t", text, err, ok)
		}
	}
}
