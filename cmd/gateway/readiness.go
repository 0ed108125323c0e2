package main

import (
	"crypto/x509"
	"errors"
	"fmt"
	"maps"
	"slices"
	"sync"

	"samsara.internal/gateway/upstream"
)

// readiness is whether calls are taken, and why not. It is safe for concurrent use.
type readiness struct {
	// roots is why no certificate of a host can be verified; nil: some can. crypto/x509 reads the system's authorities
	// once, so that what is put there later needs a restart.
	roots error

	mu      sync.Mutex
	serving bool
	orgs    *tenants
	// set tells gRPC's health service.
	set func(serving bool)
}

func newReadiness() *readiness { return &readiness{roots: checkRoots()} }

// checkRoots returns why the system has no authorities.
func checkRoots() error {
	pool, err := x509.SystemCertPool()
	if err == nil && pool.Equal(x509.NewCertPool()) {
		err = errors.New("there are no certificates in the places where the system keeps them, nor in SSL_CERT_FILE and SSL_CERT_DIR")
	}
	return err
}

// begin says that the gateway serves calls for organizations. It tells set whether they are taken, now and at each change,
// and returns why not.
func (r *readiness) begin(orgs *tenants, set func(serving bool)) []string {
	r.mu.Lock()
	r.serving, r.orgs, r.set = true, orgs, set
	r.mu.Unlock()
	return r.tell()
}

// end says that the gateway stops.
func (r *readiness) end() {
	r.mu.Lock()
	r.serving = false
	r.mu.Unlock()
	r.tell()
}

// tell tells gRPC's health service whether calls are taken, and returns why not.
func (r *readiness) tell() []string {
	r.mu.Lock()
	defer r.mu.Unlock()
	reasons := r.reasonsLocked()
	if r.set != nil {
		r.set(len(reasons) == 0)
	}
	return reasons
}

// unready returns why no calls are taken; none: they are.
func (r *readiness) unready() []string {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.reasonsLocked()
}

func (r *readiness) reasonsLocked() (reasons []string) {
	if !r.serving {
		reasons = append(reasons, "the gateway starts, or stops")
	}
	if r.roots != nil && r.orgs != nil && r.orgs.allSecured() {
		reasons = append(reasons, unverified("", r.roots))
	}
	return reasons
}

// impaired returns a line for each thing that keeps calls for an organization from being answered, though others are.
func (r *readiness) impaired() (lines []string) {
	r.mu.Lock()
	orgs := r.orgs
	r.mu.Unlock()
	if orgs == nil {
		return nil
	}
	now, some := orgs.now.Load(), r.roots != nil && !orgs.allSecured()
	for _, name := range slices.Sorted(maps.Keys(now.of)) {
		found, of := now.of[name], ""
		if orgs.cfg.OrganizationsFile != "" {
			of = " of " + name
		}
		if some && found.secured {
			lines = append(lines, unverified(of, r.roots))
		}
		lines = append(lines, found.impaired(of)...)
	}
	return lines
}

// unverified returns the line that says that hosts cannot be verified.
func unverified(of string, err error) string {
	return fmt.Sprintf("ca-bundle%s: no certificate of a host can be verified, so all calls to Samsara fail: %v", of, err)
}

// allSecured reports whether every organization is called by https.
func (t *tenants) allSecured() bool {
	for _, found := range t.now.Load().of {
		if !found.secured {
			return false
		}
	}
	return true
}

// impaired returns what keeps calls from being answered.
func (t *tenant) impaired(of string) (lines []string) {
	if t.client.TokenRefused() {
		lines = append(lines, "api-token"+of+": Samsara has refused it with 401, and no request has succeeded with it since")
	}
	switch t.client.Circuit() {
	case upstream.CircuitOpen:
		lines = append(lines, "upstream"+of+": its circuit is open: Samsara cannot be reached, and no requests are made")
	case upstream.CircuitHalfOpen:
		lines = append(lines, "upstream"+of+": its circuit is half open: a few requests try whether Samsara can be reached")
	case upstream.CircuitClosed:
	}
	return lines
}
