package authn

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/url"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"samsara.internal/gateway/internal/reload"
)

const (
	// fetchInterval is the time between two fetches that nobody asks for, and retryInterval after one that failed.
	fetchInterval = 5 * time.Minute
	retryInterval = 10 * time.Second
	// askInterval is the least time between two fetches that tokens with unknown keys ask for.
	askInterval = 5 * time.Second
	// fetchTimeout bounds a fetch.
	fetchTimeout = 10 * time.Second
	// maxWait bounds how long a token waits for a fetch.
	maxWait = 50 * time.Millisecond
)

// KeyURL is the keys that an issuer publishes. It is safe for concurrent use.
type KeyURL struct {
	url    string
	client *http.Client
	// bearer returns the token that the issuer wants; nil: it wants none.
	bearer func() (string, error)
	// wake makes Run fetch now.
	wake chan struct{}

	set     atomic.Pointer[KeySet]
	version atomic.Uint64

	mu sync.Mutex
	// asked is when a fetch was last asked for. fetched is closed and replaced when a fetch has ended.
	asked   time.Time
	fetched chan struct{}
	state   reload.State
}

// KeyURLConfig says where keys are.
type KeyURLConfig struct {
	// URL is https, or http on this machine.
	URL *url.URL
	// Authorities are those to trust; nil: the system's.
	Authorities *x509.CertPool
	// TokenFile holds the token that the issuer wants, such as a service account's; empty: none. It is read for each
	// fetch.
	TokenFile string
}

// NewKeyURL returns keys that are had while Run runs. It does not wait for them.
func NewKeyURL(cfg KeyURLConfig) *KeyURL {
	transport := &http.Transport{
		Proxy:           http.ProxyFromEnvironment,
		TLSClientConfig: &tls.Config{MinVersion: tls.VersionTLS12, RootCAs: cfg.Authorities},
		// A fetch comes seldom, and is to find out whether the name has another address by now.
		DisableKeepAlives: true,
	}
	k := &KeyURL{
		url: cfg.URL.String(), wake: make(chan struct{}, 1), fetched: make(chan struct{}),
		client: &http.Client{Transport: transport, Timeout: fetchTimeout, CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }},
		state:  reload.State{Name: "jwt-keys"},
	}
	if cfg.TokenFile != "" {
		k.bearer = func() (string, error) {
			text, err := reload.ReadFile(cfg.TokenFile, maxTokenBytes)
			return strings.TrimSpace(string(text)), err
		}
	}
	return k
}

// Get implements Keys.
func (k *KeyURL) Get() *KeySet { return k.set.Load() }

// Version implements Keys.
func (k *KeyURL) Version() uint64 { return k.version.Load() }

// State returns what came of fetching.
func (k *KeyURL) State() reload.State {
	k.mu.Lock()
	defer k.mu.Unlock()
	return k.state
}

// Again implements Keys. It asks for a fetch, once in 5 seconds at most, and waits for one that it has asked for, or
// that others have, for 50 ms at most.
func (k *KeyURL) Again(ctx context.Context) *KeySet {
	k.mu.Lock()
	fetched, recent := k.fetched, time.Since(k.asked) < askInterval
	if !recent {
		k.asked = time.Now()
		k.Poke()
	}
	wait := !recent || time.Since(k.asked) < maxWait
	k.mu.Unlock()
	if !wait {
		return k.Get()
	}
	timer := time.NewTimer(maxWait)
	defer timer.Stop()
	select {
	case <-fetched:
	case <-timer.C:
	case <-ctx.Done():
	}
	return k.Get()
}

// Poke makes Run fetch now. It does not wait for that.
func (k *KeyURL) Poke() {
	select {
	case k.wake <- struct{}{}:
	default: // It will fetch already.
	}
}

// Run fetches the keys, at once, every 5 minutes and when a token asks for that, until ctx ends.
func (k *KeyURL) Run(ctx context.Context, log *slog.Logger) {
	defer k.client.CloseIdleConnections()
	for {
		next := fetchInterval
		if !k.look(ctx, log) {
			next = retryInterval
		}
		timer := time.NewTimer(next)
		select {
		case <-ctx.Done():
			timer.Stop()
			return
		case <-timer.C:
		case <-k.wake:
			timer.Stop()
		}
	}
}

// look fetches the keys, takes up a change, and notes and logs what came of it.
func (k *KeyURL) look(ctx context.Context, log *slog.Logger) (ok bool) {
	set, err := k.fetch(ctx)
	if ctx.Err() != nil {
		return false
	}
	changed := err == nil && !set.equal(k.set.Load())
	if changed {
		k.set.Store(set)
		k.version.Add(1)
	}
	k.mu.Lock()
	defer k.mu.Unlock()
	failed := k.state.FailedInARow > 0
	k.state.Err = err
	switch {
	case err != nil:
		k.state.Failed++
		if k.state.FailedInARow++; !failed {
			log.WarnContext(ctx, "keys of tokens: cannot be fetched, the last good ones are in use", "url", k.url, "error", err)
		}
	case changed:
		k.state.Changed++
		log.InfoContext(ctx, "keys of tokens: fetched", "url", k.url, "keys", len(set.keys))
	default:
		k.state.Unchanged++
	}
	if err == nil {
		k.state.FailedInARow, k.state.Good = 0, time.Now()
	}
	close(k.fetched)
	k.fetched = make(chan struct{})
	return err == nil
}

// fetch returns the keys that the issuer has now. Errors show nothing of what it sent.
func (k *KeyURL) fetch(ctx context.Context) (*KeySet, error) {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, k.url, nil)
	if err != nil {
		return nil, err
	}
	req.Header.Set("Accept", "application/jwk-set+json, application/json")
	if k.bearer != nil {
		token, err := k.bearer()
		if err != nil {
			return nil, fmt.Errorf("token for the issuer: %w", err)
		}
		req.Header.Set("Authorization", "Bearer "+token)
	}
	resp, err := k.client.Do(req)
	if err != nil {
		return nil, err
	}
	defer resp.Body.Close() //nolint:errcheck // what matters was read
	if resp.StatusCode != http.StatusOK {
		return nil, fmt.Errorf("the issuer answered with status %d, must be 200", resp.StatusCode)
	}
	text, err := io.ReadAll(io.LimitReader(resp.Body, maxKeySetBytes+1))
	if err != nil {
		return nil, err
	}
	if len(text) > maxKeySetBytes {
		return nil, fmt.Errorf("the issuer's keys have more than %d bytes", maxKeySetBytes)
	}
	set, err := ParseKeySet(text)
	if err != nil {
		return nil, fmt.Errorf("the issuer's keys: %w", err)
	}
	return set, nil
}

// CheckKeyURL returns what is wrong with the URL of keys.
func CheckKeyURL(u *url.URL) error {
	if u.Host == "" || u.User != nil || u.Fragment != "" || u.Scheme != "https" && u.Scheme != "http" {
		return errors.New("must be https, or http on this machine, with a host and without a password")
	}
	if host := u.Hostname(); u.Scheme == "http" && host != "localhost" && host != "127.0.0.1" && host != "::1" {
		return errors.New("must be https beyond this machine: whoever can change the keys can be anybody")
	}
	return nil
}
