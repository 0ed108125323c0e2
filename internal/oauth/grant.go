package oauth

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"sync"
	"time"

	"samsara.internal/gateway/internal/reload"
)

const (
	// maxTokenBytes bounds every token, the client's secret, and the files that they are in.
	maxTokenBytes = 8 << 10
	// usualLife is how long an access token is taken to be good if the upstream does not say.
	usualLife = time.Hour
	// refusedAgain is how old an access token must be for a call that was refused with it to ask for another one. A
	// grant that has lost its permissions would otherwise be refreshed by each call.
	refusedAgain = 30 * time.Second
	// The wait after a refresh that failed doubles from leastWait to mostWait.
	leastWait = time.Second
	mostWait  = time.Minute
)

// ErrRefused means that the upstream does not take the refresh token that is in the file.
var ErrRefused = errors.New("the refresh token was refused: put another one into its file")

// Config says whose grant it is.
type Config struct {
	// Name is the name of the grant in State and in the log.
	Name string
	// TokenURL is where tokens are to be had, ClientID who asks, and SecretFile has the client's secret, which is read
	// for each refresh.
	TokenURL, ClientID, SecretFile string
	// RefreshFile has the refresh token. The grant writes it.
	RefreshFile string
	// Client makes the requests. It must have a timeout.
	Client *http.Client
	Logger *slog.Logger
}

// Grant is a grant whose access token is kept fresh.
type Grant struct {
	cfg    Config
	path   string // of the file, without links
	unlock func() error
	cancel context.CancelFunc
	done   chan struct{}
	// wake begins a refresh.
	wake chan struct{}

	mu sync.Mutex
	// access is the access token in use, empty if there is none. It came at obtained, and is good until expires.
	access            string
	obtained, expires time.Time
	// stored is the refresh token that was last read or written. refused is one that the upstream does not take.
	stored, refused string
	// unwritten is what the upstream has given, and the file does not have yet.
	unwritten *pair
	// generation counts the refresh tokens that somebody else has put into the file.
	generation int
	// refreshes is whether a refresh runs or is about to. ended is closed, and replaced, when it has ended, and next is when
	// the next one begins.
	refreshes bool
	ended     chan struct{}
	next      time.Time
	wait      time.Duration
	state     reload.State
}

// pair is what the upstream gives.
type pair struct {
	access, refresh   string
	obtained, expires time.Time
}

// Check returns what is wrong with a configuration: files that cannot be read, or a folder that cannot be written to. It
// asks nobody.
func Check(cfg Config) error {
	if _, err := readSecret(cfg.SecretFile); err != nil {
		return err
	}
	if _, err := readSecret(cfg.RefreshFile); err != nil {
		return err
	}
	return checkFolder(cfg.RefreshFile)
}

// Open returns a grant, which begins to refresh its access token. The error says what is wrong with its files, or that
// another process has the grant.
func Open(cfg Config) (*Grant, error) {
	if err := Check(cfg); err != nil {
		return nil, err
	}
	path, err := withoutLinks(cfg.RefreshFile)
	if err != nil {
		return nil, err
	}
	unlock, err := lock(path)
	if err != nil {
		return nil, err
	}
	g := &Grant{
		cfg: cfg, path: path, unlock: unlock, done: make(chan struct{}), wake: make(chan struct{}, 1),
		refreshes: true, ended: make(chan struct{}), state: reload.State{Name: cfg.Name, Good: time.Now()},
	}
	var ctx context.Context
	ctx, g.cancel = context.WithCancel(context.Background())
	go g.run(ctx)
	return g, nil
}

// Close ends the refresh that runs, waits for it, and gives the file free. It must be called once. The access token stays
// as it is.
func (g *Grant) Close() {
	g.cancel()
	<-g.done
	if err := g.unlock(); err != nil {
		g.cfg.Logger.Warn("the lock of an OAuth grant cannot be released", "grant", g.cfg.Name, "error", err)
	}
}

// Key says for which grant the access token is: it changes when somebody puts another refresh token into the file, and
// not with each refresh.
func (g *Grant) Key() string {
	g.mu.Lock()
	defer g.mu.Unlock()
	return g.keyLocked()
}

func (g *Grant) keyLocked() string { return "oauth " + g.cfg.Name + " " + strconv.Itoa(g.generation) }

// Get returns the access token in use, and its Key. If there is none that is good it waits for the refresh that runs, until
// ctx ends. The error says why there is none; wait is how long it takes until the next refresh.
func (g *Grant) Get(ctx context.Context) (token, key string, wait time.Duration, err error) {
	for {
		g.mu.Lock()
		now := time.Now()
		if g.access != "" && now.Before(g.expires) {
			defer g.mu.Unlock()
			return g.access, g.keyLocked(), 0, nil
		}
		refreshes, ended := g.refreshes, g.ended
		wait, err = max(g.next.Sub(now), 0), g.state.Err
		g.mu.Unlock()
		switch {
		case refreshes:
		case err == nil:
			g.refreshNow() // The token has expired before it was due: the machine slept.
		default:
			return "", "", wait, err
		}
		select {
		case <-ended:
		case <-g.done:
			return "", "", 0, errClosed
		case <-ctx.Done():
			return "", "", 0, ctx.Err()
		}
	}
}

// errClosed means that the access token has expired after Close.
var errClosed = errors.New("the gateway stops")

// Replaced reports whether the access token in use is another one than the one that the upstream has refused. If it is
// not, and is older than half a minute, Replaced has it refreshed, and waits for that until ctx ends.
func (g *Grant) Replaced(ctx context.Context, refused string) bool {
	g.mu.Lock()
	if g.access != refused {
		defer g.mu.Unlock()
		return g.access != ""
	}
	refreshes, ended := g.refreshes, g.ended
	young := time.Since(g.obtained) < refusedAgain || g.state.Err != nil
	g.mu.Unlock()
	switch {
	case refreshes:
	case young:
		return false
	default:
		g.refreshNow()
	}
	select {
	case <-ended:
	case <-g.done:
	case <-ctx.Done():
	}
	g.mu.Lock()
	defer g.mu.Unlock()
	return g.access != "" && g.access != refused
}

// State returns how the refreshes went, in the form of a file's state: Changed counts those that brought an access token,
// Failed the others.
func (g *Grant) State() reload.State {
	g.mu.Lock()
	defer g.mu.Unlock()
	return g.state
}

// CheckTokenURL returns why a URL cannot be where tokens are to be had.
func CheckTokenURL(text string) error {
	u, err := url.Parse(text)
	switch {
	case err != nil || u.Host == "" || u.User != nil || u.RawQuery != "" || u.Fragment != "" || u.Opaque != "":
		return errors.New("not a URL of a scheme, a host and a path")
	case u.Scheme != "https" && (u.Scheme != "http" || !isLoopback(u.Hostname())):
		return errors.New("not https, which only a loopback address may do without")
	default:
		return nil
	}
}

func isLoopback(host string) bool {
	return host == "localhost" || strings.HasPrefix(host, "127.") || host == "::1"
}

// spread returns a time a tenth more or less.
func spread(d time.Duration) time.Duration {
	return time.Duration(float64(d) * (0.9 + rand.Float64()/5)) //nolint:gosec // it spreads load and keeps nothing secret
}

// checkToken returns why a text cannot be a token. The error does not show it.
func checkToken(what, token string) error {
	if token == "" {
		return fmt.Errorf("%s: must not be empty", what)
	}
	if len(token) > maxTokenBytes {
		return fmt.Errorf("%s: has %d bytes, must have at most %d", what, len(token), maxTokenBytes)
	}
	if strings.ContainsFunc(token, func(r rune) bool { return r <= ' ' || r > '~' }) {
		return fmt.Errorf("%s: must be printable ASCII without spaces", what)
	}
	return nil
}
