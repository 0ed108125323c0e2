package main

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/url"
	"slices"
	"sync"
	"sync/atomic"

	"samsara.internal/gateway/internal/config"
	"samsara.internal/gateway/internal/endpoint"
	"samsara.internal/gateway/internal/http1"
	"samsara.internal/gateway/internal/oauth"
	"samsara.internal/gateway/internal/organization"
	"samsara.internal/gateway/internal/quota"
	"samsara.internal/gateway/internal/reload"
	"samsara.internal/gateway/internal/telemetry"
	"samsara.internal/gateway/internal/tracing"
	"samsara.internal/gateway/service"
	"samsara.internal/gateway/upstream"
)

// organizationsFileName is the name of the file of organizations in logs and metrics.
const organizationsFileName = "organizations"

// tenant is what serves one organization: nothing of it serves another one.
type tenant struct {
	*service.Organization
	spec    organization.Organization
	at      string // its base URL
	secured bool   // whether that is https
	// token is nil if grant has what the organization proves itself by.
	token   *upstream.Token
	grant   *grant
	client  *upstream.Client
	limiter *quota.Limiter // nil if the quota is off
	stops   []func()
}

// close stops what no call uses any more, in the opposite order of its start.
func (t *tenant) close() {
	for _, stop := range slices.Backward(t.stops) {
		stop()
	}
}

// file returns the file of the token for a reload.Poller to poll, nil if there is none.
func (t *tenant) file() reload.Watched {
	if t.token == nil {
		return nil
	}
	return t.token.File()
}

// tenants are the organizations that the gateway works for. It is safe for concurrent use.
type tenants struct {
	cfg       config.Config
	endpoints []*endpoint.Endpoint
	memory    memory
	metrics   *telemetry.Metrics
	tracer    *tracing.Tracer
	poller    *reload.Poller
	log       *slog.Logger
	grants    *grants
	// noted is told the names of the organizations when they change.
	noted func(names []string)

	now atomic.Pointer[roster]
	// changing is held while now changes. closed is whether it will not any more.
	changing sync.Mutex
	closed   bool
	// closing is closed when the gateway stops. ending are the organizations that end by themselves before.
	closing chan struct{}
	ending  sync.WaitGroup
}

// roster is the tenants at a time. It is immutable.
type roster struct {
	of       map[string]*tenant
	standard string
	names    []string
}

// newTenants returns none yet. It takes the fields up to noted.
func newTenants(t *tenants) *tenants {
	t.closing = make(chan struct{})
	t.now.Store(&roster{})
	return t
}

// Get implements service.Organizations.
func (t *tenants) Get(name string) *service.Organization {
	if found := t.now.Load().of[name]; found != nil {
		return found.Organization
	}
	return nil
}

// Default implements service.Organizations.
func (t *tenants) Default() string { return t.now.Load().standard }

// Names implements service.Organizations.
func (t *tenants) Names() []string { return t.now.Load().names }

// quotas returns the state of the quota of each, without the budgets that nobody has used.
func (t *tenants) quotas() map[string]quota.Snapshot {
	all := make(map[string]quota.Snapshot)
	for name, found := range t.now.Load().of {
		if found.limiter != nil {
			all[name] = inUse(found.limiter.Snapshot)()
		}
	}
	return all
}

// upstreams returns the client of each.
func (t *tenants) upstreams() map[string]telemetry.Upstream {
	all := make(map[string]telemetry.Upstream)
	for name, found := range t.now.Load().of {
		all[name] = found.client
	}
	return all
}

// start makes the organizations that the configuration says, and follows their file if there is one. target is for
// the one that there is without a file.
func (t *tenants) start(ctx context.Context, target upstreamTarget) error {
	if t.cfg.OrganizationsFile == "" {
		only, err := t.serve(t.cfg, target, organization.Organization{Name: onlyOrganization}) //nolint:contextcheck // the limiter has a context of its own, which Close ends
		if err == nil {
			t.now.Store(&roster{map[string]*tenant{onlyOrganization: only}, onlyOrganization, []string{onlyOrganization}})
		}
		return err
	}
	file, err := reload.New(reload.File[*organization.File]{
		Name: organizationsFileName, Paths: []string{t.cfg.OrganizationsFile}, MaxBytes: organization.MaxBytes,
		Parse: func(contents [][]byte) (*organization.File, error) {
			f, err := organization.Parse(contents[0], organizationDefaults(&t.cfg))
			if err == nil {
				err = t.become(ctx, f)
			}
			return f, err
		},
	})
	if err == nil {
		t.poller.Add(file) //nolint:contextcheck // the poller has a context of its own
	}
	return err
}

// organizationDefaults returns what the settings say of organizations that do not say it themselves.
func organizationDefaults(cfg *config.Config) organization.Defaults {
	return organization.Defaults{
		BaseURL: cfg.UpstreamURL.String(), TokenLimit: cfg.QuotaTokenLimit, OrganizationLimit: cfg.QuotaOrganizationLimit,
	}
}

// tokenName returns the name of the file of an organization's token in logs and metrics.
func tokenName(name string) string { return tokenFileName + ":" + name }

// become makes the tenants those of a file, or changes nothing and returns an error. An organization of which only
// the path of the token has changed keeps everything else.
func (t *tenants) become(ctx context.Context, f *organization.File) error {
	t.changing.Lock()
	defer t.changing.Unlock()
	if t.closed {
		return errors.New("the gateway stops")
	}
	before := t.now.Load()
	next := &roster{of: make(map[string]*tenant, len(f.Organizations)), standard: f.Default, names: f.Names()}
	var (
		made   []*tenant
		errs   []error
		commit []func()
	)
	for i, spec := range f.Organizations {
		old := before.of[spec.Name]
		switch {
		case old != nil && old.spec == spec:
			next.of[spec.Name] = old
		case old != nil && !t.cfg.Sandbox && isAlike(old.spec, spec):
			token, err := upstream.FileToken(tokenName(spec.Name), spec.TokenFile)
			errs = append(errs, ofOrganization(spec, err))
			same := *old
			same.spec = spec
			next.of[spec.Name] = &same
			commit = append(commit, func() { //nolint:contextcheck // the poller has a context of its own
				t.poller.Remove(old.token.Follow(token))
				t.poller.Add(token.File())
			})
		default:
			fresh, err := t.open(ctx, spec, i)
			errs = append(errs, ofOrganization(spec, err))
			if err == nil {
				made = append(made, fresh)
				next.of[spec.Name] = fresh
			}
		}
	}
	if err := errors.Join(errs...); err != nil {
		for _, fresh := range made {
			fresh.close()
		}
		return err
	}
	t.now.Store(next)
	for name, old := range before.of {
		if kept := next.of[name]; kept == nil || kept.Organization != old.Organization {
			t.retire(old)
		}
	}
	for _, change := range commit {
		change()
	}
	for _, fresh := range made {
		if file := fresh.file(); file != nil {
			t.poller.Add(file) //nolint:contextcheck // the poller has a context of its own
		}
		t.log.InfoContext(ctx, "organization is served", "organization", fresh.spec.Name, "base_url", fresh.at)
	}
	t.noted(next.names)
	return nil
}

// isAlike reports whether two organizations differ in the path of the token alone, and have one.
func isAlike(a, b organization.Organization) bool {
	if a.TokenFile == "" || b.TokenFile == "" {
		return false
	}
	a.TokenFile = b.TokenFile
	return a == b
}

func ofOrganization(spec organization.Organization, err error) error {
	if err != nil {
		return fmt.Errorf("organization %q: %w", spec.Name, err)
	}
	return nil
}

// retire ends a tenant, and closes it when no call uses it any more.
func (t *tenants) retire(old *tenant) {
	t.log.Info("organization is not served any more as it was", "organization", old.spec.Name)
	if file := old.file(); file != nil {
		t.poller.Remove(file)
	}
	old.End()
	t.ending.Go(func() {
		select {
		case <-old.Done():
		case <-t.closing:
		}
		old.close()
		if t.now.Load().of[old.spec.Name] == nil {
			t.metrics.Forget(old.spec.Name)
		}
	})
}

// close stops all tenants. Calls that still run fail.
func (t *tenants) close() {
	t.changing.Lock()
	t.closed = true
	t.changing.Unlock()
	close(t.closing)
	t.ending.Wait()
	for _, found := range t.now.Load().of {
		found.End()
		found.close()
	}
}

// open returns a new tenant of a file, whose place in the file is index. In sandbox mode it has a sandbox of its own.
func (t *tenants) open(ctx context.Context, spec organization.Organization, index int) (*tenant, error) {
	own := t.cfg
	own.UpstreamURL, own.QuotaOrganization = spec.URL(), spec.Name
	own.QuotaTokenLimit, own.QuotaOrganizationLimit = spec.TokenLimit, spec.OrganizationLimit
	if !own.Sandbox && spec.TokenFile == "" {
		grant, err := t.grants.open(spec) //nolint:contextcheck // the grant has a context of its own, which Close ends
		if err != nil {
			return nil, err
		}
		made, err := t.serve(own, upstreamTarget{url: own.UpstreamURL, token: grant}, spec) //nolint:contextcheck // the limiter has a context of its own, which Close ends
		if err != nil {
			t.grants.close(grant)
			return nil, err
		}
		made.grant, made.stops = grant, append([]func(){func() { t.grants.close(grant) }}, made.stops...)
		return made, nil
	}
	if !own.Sandbox {
		token, err := upstream.FileToken(tokenName(spec.Name), spec.TokenFile)
		if err != nil {
			return nil, err
		}
		return t.serve(own, upstreamTarget{url: own.UpstreamURL, token: token}, spec) //nolint:contextcheck // the limiter has a context of its own, which Close ends
	}
	own.SandboxSeed += uint64(index)
	box, target, err := embedSandbox(ctx, own, t.endpoints, t.log.With("organization", spec.Name))
	if err != nil {
		return nil, err
	}
	var serving sync.WaitGroup
	serving.Go(func() {
		if err := box.serve(box.listener); err != nil {
			t.log.ErrorContext(ctx, "sandbox ended", "organization", spec.Name, "error", err)
		}
	})
	stop := func() {
		bounded, cancel := context.WithTimeout(context.WithoutCancel(ctx), sandboxGrace)
		defer cancel()
		_ = box.stop(bounded) // Nobody waits for its answers.
		serving.Wait()
	}
	made, err := t.serve(own, target, spec) //nolint:contextcheck // the limiter has a context of its own, which Close ends
	if err != nil {
		stop()
		return nil, err
	}
	made.stops = append([]func(){stop}, made.stops...)
	return made, nil
}

// serve returns a tenant of its own configuration before target.
func (t *tenants) serve(own config.Config, target upstreamTarget, spec organization.Organization) (*tenant, error) {
	made, log, observer := &tenant{spec: spec, at: target.url.String(), secured: target.url.Scheme == "https"}, t.log, t.metrics.Of(spec.Name)
	made.token, _ = target.token.(*upstream.Token)
	told := own.OrganizationsFile != ""
	if told {
		log = log.With("organization", spec.Name)
	}
	var err error
	if made.limiter, err = newLimiter(own, observer, log); err != nil {
		return nil, err
	}
	if made.limiter != nil {
		made.stops = append(made.stops, func() { _ = made.limiter.Close() }) // Nobody waits for it any more.
	}
	if made.client, err = newClient(own, target, t.memory, made.limiter, observer, t.tracer, log); err != nil {
		made.close()
		return nil, err
	}
	made.stops = append(made.stops, made.client.Close)
	made.Organization, err = service.NewOrganization(service.OrganizationConfig{
		Name: spec.Name, Upstream: made.client, Endpoints: t.endpoints, Drift: observer.Drift, Told: told,
	})
	if err != nil {
		made.close()
		return nil, err
	}
	return made, nil
}

// openOrganizations reads the file of organizations and tries all that it names.
func (f *files) openOrganizations(cfg *config.Config) (problems []config.Problem) {
	note := func(err error) {
		if err != nil {
			problems = append(problems, config.Problem{Setting: "organizations-file", Err: err})
		}
	}
	content, err := reload.ReadFile(cfg.OrganizationsFile, organization.MaxBytes)
	if err != nil {
		note(err)
		return problems
	}
	file, err := organization.Parse(content, organizationDefaults(cfg))
	var bad *organization.Error
	if errors.As(err, &bad) {
		for _, problem := range bad.Problems {
			note(errors.New(problem))
		}
		return problems
	}
	names := file.Names()
	f.organizations.Store(&names)
	for _, o := range file.Organizations {
		if cfg.Sandbox {
			break // No token is read, and nobody is called.
		}
		if o.TokenFile == "" {
			note(ofOrganization(o, oauth.Check(grantConfig(o, nil))))
		} else {
			_, err := upstream.FileToken(tokenName(o.Name), o.TokenFile)
			note(ofOrganization(o, err))
		}
		note(ofOrganization(o, checkProxyTo(o.URL())))
	}
	return problems
}

// checkProxyTo returns what is wrong with the proxy that the environment names for an upstream.
func checkProxyTo(u *url.URL) error {
	_, err := http1.ProxyFromEnvironment(u)
	return err
}
