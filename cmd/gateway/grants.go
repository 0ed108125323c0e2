package main

import (
	"log/slog"
	"net/http"
	"slices"
	"strings"
	"sync"
	"time"

	"samsara.internal/gateway/internal/oauth"
	"samsara.internal/gateway/internal/organization"
	"samsara.internal/gateway/internal/reload"
)

const (
	// grantFileName begins the name of a grant in logs and metrics, where it stands among the files.
	grantFileName = "oauth"
	// tokenTimeout bounds a request for tokens.
	tokenTimeout = 30 * time.Second
)

// grants are the OAuth grants that organizations use. An organization that is made anew keeps its grant if nothing of the
// grant has changed. It is safe for concurrent use.
type grants struct {
	log *slog.Logger

	mu   sync.Mutex
	used map[grantKey]*grant
}

// grantKey says which organizations have the same grant.
type grantKey struct {
	name string
	organization.OAuth
}

// grant is one that organizations use.
type grant struct {
	*oauth.Grant
	key  grantKey
	uses int // guarded by grants.mu
}

// open returns the grant of an organization, for close to be called when the organization does not use it any more.
func (g *grants) open(o organization.Organization) (*grant, error) {
	key := grantKey{o.Name, o.OAuth}
	g.mu.Lock()
	defer g.mu.Unlock()
	if known := g.used[key]; known != nil {
		known.uses++
		return known, nil
	}
	opened, err := oauth.Open(grantConfig(o, g.log))
	if err != nil {
		return nil, err
	}
	made := &grant{opened, key, 1}
	if g.used == nil {
		g.used = make(map[grantKey]*grant)
	}
	g.used[key] = made
	return made, nil
}

// close gives a grant back.
func (g *grants) close(used *grant) {
	g.mu.Lock()
	used.uses--
	last := used.uses == 0
	if last {
		delete(g.used, used.key)
	}
	g.mu.Unlock()
	if last {
		used.Close()
	}
}

// states returns how the grants do, by name.
func (g *grants) states() []reload.State {
	g.mu.Lock()
	defer g.mu.Unlock()
	var all []reload.State
	for _, used := range g.used {
		all = append(all, used.State())
	}
	slices.SortFunc(all, func(a, b reload.State) int { return strings.Compare(a.Name, b.Name) })
	return all
}

// grantConfig returns the configuration of an organization's grant.
func grantConfig(o organization.Organization, log *slog.Logger) oauth.Config {
	return oauth.Config{
		Name: grantFileName + ":" + o.Name, TokenURL: o.OAuth.TokenURL, ClientID: o.OAuth.ClientID,
		SecretFile: o.OAuth.SecretFile, RefreshFile: o.OAuth.RefreshFile, Logger: log,
		Client: &http.Client{
			Timeout: tokenTimeout,
			// A redirect would take the client's secret somewhere else.
			CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
		},
	}
}
