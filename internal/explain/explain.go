package explain

import (
	"context"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"

	"samsara.internal/gateway/internal/catalog"
	"samsara.internal/gateway/internal/config"
	"samsara.internal/gateway/internal/endpoint"
	"samsara.internal/gateway/internal/http1"
	"samsara.internal/gateway/internal/quota"
	"samsara.internal/gateway/upstream"
)

// Token stands for the token.
const Token = "<token>"

// Explainer explains calls to a gateway. It is safe for concurrent use.
type Explainer struct {
	Methods *catalog.Catalog
	// Client is a client such as the gateway's, with Token for a token.
	Client *upstream.Client
	// Quota is the client's; nil: the client keeps none.
	Quota *quota.Limiter
	// Config is that of the gateway.
	Config *config.Explain
	// Corrections are the corrections that the surface was made with.
	Corrections Corrections
}

// RefusedError lists what is wrong with a request, as the BadRequest of the gateway's error does.
type RefusedError struct {
	Method     string
	Violations []endpoint.Violation
}

func (e *RefusedError) Error() string {
	var b strings.Builder
	fmt.Fprintf(&b, "%s: INVALID_ARGUMENT: the gateway refuses the request", e.Method)
	for _, v := range e.Violations {
		fmt.Fprintf(&b, "\n  %s: %s", v.Field, v.Description)
	}
	return b.String()
}

// The method whose request says itself what is sent, and what to explain instead of it.
const (
	passthrough       = "samsara_gateway.api.v1.PassthroughService/Call"
	passthroughAdvice = passthrough + " is not explained: its request says itself what is sent; " +
		"explain the operation by its HTTP method and path, such as 'GET /tags/1'"
)

// Explain explains a call of the method that a name stands for, see [catalog.Catalog.Resolve], with a request
// in protobuf's JSON form; none is an empty one. The request need not have the values that are in a path by
// which the method is named.
//
// The error is one of Resolve's, a *RefusedError, or says why the text is no request. With the latter two there is
// a plan nonetheless, without what depends on the request.
func (x *Explainer) Explain(ctx context.Context, name string, request []byte) (*Plan, error) {
	m, err := x.Methods.Resolve(name)
	var unknown *catalog.UnknownError
	if errors.As(err, &unknown) && isPassthrough(name) {
		return nil, errors.New(passthroughAdvice)
	}
	if err != nil {
		return nil, err
	}
	// As package service resolves it.
	op, err := x.Client.Operation(upstream.OperationSpec{Endpoint: m.Endpoint, Pages: m.Stream != nil})
	if err != nil {
		return nil, err
	}
	p, err := x.plan(ctx, m, op)
	if err != nil {
		return nil, err
	}
	bound, walk, refusal := bind(m, request)
	var refused *endpoint.ArgumentError
	switch {
	case errors.As(refusal, &refused):
		for _, v := range refused.Violations {
			p.Refused = append(p.Refused, Refusal(v))
		}
		return p, &RefusedError{m.FullName(), refused.Violations}
	case refusal != nil:
		p.Refused = []Refusal{{Description: refusal.Error()}}
		return p, fmt.Errorf("%s: %w", m.FullName(), refusal)
	}
	preview, err := x.Client.Preview(ctx, op, upstream.Request{Path: bound.Path, Query: bound.Query, Body: bound.Body})
	if err == nil {
		p.Request, err = newRequest(preview)
	}
	if err == nil && walk != nil {
		p.Walk, err = x.walk(ctx, m, op, walk)
	}
	if err != nil {
		return nil, err
	}
	return p, nil
}

func isPassthrough(name string) bool {
	dotted := "." + strings.ReplaceAll(strings.TrimPrefix(name, "/"), "/", ".")
	return strings.HasSuffix("."+strings.ReplaceAll(passthrough, "/", "."), dotted)
}

// plan explains what does not depend on the request.
func (x *Explainer) plan(ctx context.Context, m catalog.Method, op *upstream.Operation) (*Plan, error) {
	req := upstream.Request{Path: "/"} // Any will do.
	preview, err := x.Client.Preview(ctx, op, req)
	if err != nil {
		return nil, err
	}
	req.RetryAlways = true
	always, err := x.Client.Preview(ctx, op, req)
	if err != nil {
		return nil, err
	}
	p := &Plan{
		Method: m.FullName(), OperationID: m.Operation.GetId(), HTTPMethod: m.HTTPMethod, Path: m.Operation.GetPath(),
		Stage: catalog.Stage(m.Operation.GetStage()), Deprecated: m.Deprecated(), Scope: m.Operation.GetScope(),
		Corrections: x.Corrections.of(m),
		Times:       x.times(m.Stream != nil),
		Retries:     x.retries(preview, always),
		Reads:       x.reads(m, preview),
		Streams:     streams(m.Endpoint),
		Page:        page(m.Endpoint),
		Reasons:     reasons(m, preview, x.Quota != nil),
	}
	if x.Quota != nil {
		p.Quota = x.quota(m)
	}
	return p, nil
}

// bind returns the HTTP request of a call. If the call reads pages, that is the first one of walk.
func bind(m catalog.Method, text []byte) (bound endpoint.Request, walk *endpoint.Walk, err error) {
	in := m.Input
	if m.Stream != nil {
		in = m.Stream.Input
	}
	message := in.New()
	if err = read(message, text); err == nil && m.Path != "" {
		err = m.Fill(message, m.Path)
	}
	switch {
	case err != nil:
	case m.Stream == nil:
		bound, err = m.Bind(message)
	default:
		if walk, err = m.Stream.Bind(message); err == nil {
			bound = walk.Request(walk.Start)
		}
	}
	return bound, walk, err
}

// newRequest writes down the request of a first attempt.
func newRequest(p upstream.Preview) (*Request, error) {
	r := &Request{Method: p.Request.Method, URL: p.Request.URL.String()}
	for name, values := range p.Request.Header {
		for _, value := range values {
			r.Headers = append(r.Headers, Header{name, value})
		}
	}
	if length, said := http1.ContentLength(p.Request); said {
		r.Headers = append(r.Headers, Header{"Content-Length", fmt.Sprint(length)})
	}
	slices.SortStableFunc(r.Headers, func(a, b Header) int { return strings.Compare(a.Name, b.Name) })
	if p.Request.Body == nil {
		return r, nil
	}
	body, err := io.ReadAll(p.Request.Body)
	r.Body = string(body)
	return r, err
}

func (x *Explainer) setting(name string) string {
	return fmt.Sprintf("--%s (%s)", name, x.Config.Origin(name))
}

// quota says what every attempt takes from. The numbers are the limiter's.
func (x *Explainer) quota(m catalog.Method) *Quota {
	name := strings.TrimPrefix(m.FullMethod, "/")
	q := &Quota{
		MaxWaitSeconds: x.Config.QuotaMaxWait.Seconds(), MaxWaitFrom: x.setting("quota-max-wait"),
		Batch: m.Stream != nil, BatchPercent: x.Config.QuotaBatchPercent,
		Shared: x.Config.QuotaRedis.Reveal() != "",
	}
	for _, b := range x.Quota.Snapshot().Budgets {
		budget := Budget{Name: b.Name, Limit: config.FormatLimit(b.Limit), Effective: b.Effective}
		override, overridden := x.Config.QuotaLimit(name)
		switch {
		case b.Name == quota.TokenBudget:
			budget.From = x.setting("quota-token-limit")
		case b.Name == quota.OrganizationBudget:
			budget.From = x.setting("quota-organization-limit")
		case b.Name != quota.OperationPrefix+name:
			continue // It has been explained before.
		case overridden:
			budget.From = fmt.Sprintf("--quota-limits %s=%s (%s)", override.Operations, config.FormatLimit(override.Limit), x.Config.Origin("quota-limits"))
		case m.Operation.GetRateLimit() == nil:
			budget.From = "Samsara's API document, which states none"
		default:
			budget.From = "Samsara's API document"
			if action := x.Corrections.limit(m); action > 0 {
				budget.From += fmt.Sprintf(", corrected by action %d", action)
			}
		}
		q.Budgets = append(q.Budgets, budget)
	}
	return q
}

func (x *Explainer) times(isStream bool) []Time {
	deadline := "a call that comes without a deadline"
	if isStream {
		deadline = "each page of a call that comes without a deadline"
	}
	return []Time{
		{deadline, x.Config.DefaultDeadline.Seconds(), x.setting("default-deadline")},
		{"one attempt, from connecting to the last byte", x.Config.UpstreamTimeout.Seconds(), x.setting("upstream-timeout")},
	}
}

func (x *Explainer) retries(p, always upstream.Preview) Retries {
	r := Retries{
		MaxAttempts: p.Retry.MaxAttempts, MaxAttemptsFrom: x.setting("retry-max-attempts"),
		BaseDelaySeconds: p.Retry.BaseDelay.Seconds(), BaseDelayFrom: x.setting("retry-base-delay"),
		MaxDelaySeconds: p.Retry.MaxDelay.Seconds(), MaxDelayFrom: x.setting("retry-max-delay"),
		Repeatable: p.Repeatable,
		Statuses:   statuses(p), StatusesAlways: statuses(always),
		Budget: p.Retry.Budget, CircuitAttempts: p.Breaker.MinAttempts,
		CircuitPercent: p.Breaker.FailureRatio * 100, CircuitOpenSeconds: p.Breaker.OpenFor.Seconds(),
	}
	return r
}

// statuses returns the HTTP statuses after which a request is repeated, such as 408, 429, 500-599.
func statuses(p upstream.Preview) []string {
	found := []string{} // [] in JSON, if there are none
	for from := 100; from < 600; from++ {
		to := from
		for to < 600 && p.Repeats(to) {
			to++
		}
		switch to - from {
		case 0:
			continue
		case 1:
			found = append(found, fmt.Sprint(from))
		default:
			found = append(found, fmt.Sprintf("%d-%d", from, to-1))
		}
		from = to
	}
	return found
}

func (x *Explainer) reads(m catalog.Method, p upstream.Preview) Reads {
	r := Reads{Shared: p.Shared, CacheSeconds: p.CacheTTL.Seconds()}
	rule, ok := x.Config.CacheRule(m.FullMethod)
	switch {
	case !p.Shared || m.Stream != nil:
	case ok:
		r.CacheFrom = fmt.Sprintf("--cache %s (%s)", rule, x.Config.Origin("cache"))
	case len(x.Config.Cache) > 0:
		r.CacheFrom = "no pattern of " + x.setting("cache") + " matches"
	default:
		r.CacheFrom = x.setting("cache")
	}
	return r
}
