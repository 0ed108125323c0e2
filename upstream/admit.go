package upstream

import (
	"cmp"
	"context"
	"log/slog"
	"net/http"
	"time"

	"samsara.internal/gateway/internal/identity"
	"samsara.internal/gateway/internal/quota"
	"samsara.internal/gateway/internal/tracing"
)

// unnamedPause is how long a quota pauses after a 429 without Retry-After.
const unnamedPause = time.Second

// admit makes the attempts that the circuits and the quota admit, and tells the circuits and the quota
// how each ended. It makes the wait after a 429, as a pause of the quota.
type admit struct {
	next *attempt
	// host and retries are the circuit and the retry budget of the host. records has those of operations,
	// callers and tenants.
	host    *circuit
	retries *retryBudget
	records *records
	tracer  *tracing.Tracer
}

func newAdmit(cfg *Config, next *attempt) admit {
	return admit{
		next: next, host: newCircuit(cfg.Breaker, cfg.Logger.With(slog.String("of", "host"))),
		retries: newHostRetryBudget(cfg.Retry.Budget), records: newRecords(cfg), tracer: cfg.Tracer,
	}
}

// rest waits before a further attempt, or until ctx ends. The quota shows who waits.
func (a *admit) rest(ctx context.Context, req *request, d time.Duration) {
	if d > 0 {
		span := a.tracer.Start(ctx, "rest")
		defer span.End()
		req.op.quota.Rest(ctx, req.From, d)
	}
}

// do makes the n-th attempt of a request, if it is admitted. One of the results is not nil: the response,
// the error of the attempt, or why it was not made.
func (a *admit) do(ctx context.Context, req *request, n int, with *authorized) (*Response, *Error, *refusal) {
	if over := overRefusal(ctx); over != nil {
		return nil, nil, over
	}
	if refused := a.refusal(req); refused != nil { // without waiting first
		return nil, nil, refused
	}
	var through *quotaGate
	if req.op.quota != nil {
		through = &quotaGate{quota: req.op.quota, from: req.From}
		asked, span := time.Now(), a.tracer.Start(ctx, "quota")
		refused := through.take(ctx)
		if req.Spent != nil {
			req.Spent.Quota += time.Since(asked)
		}
		if refused != nil {
			span.EndRefused(refused.reason)
			return nil, nil, refused
		}
		span.End()
	}
	if req.sent != nil {
		req.sent.Store(true)
	}
	p, refused := a.allow(req)
	if refused != nil {
		return nil, nil, refused
	}
	if n == 1 {
		a.countRequest(req)
	}
	return a.pass(ctx, req, n, with, p, through)
}

// pass makes an attempt that has been let through.
func (a *admit) pass(ctx context.Context, req *request, n int, with *authorized, p pass, through *quotaGate) (*Response, *Error, *refusal) {
	onHost, onScope := outcomeNone, outcomeNone
	defer func() { a.end(req, p, onHost, onScope) }() // even if an Observer panics
	var g gate
	if through != nil {
		g = through
	}
	resp, failure := a.next.do(ctx, req, n, with, g)
	if resp == nil && failure == nil {
		through.refused.begun = true
		return nil, nil, through.refused
	}
	onHost, onScope = failure.hostOutcome(), failure.scopeOutcome()
	if failure != nil && failure.HTTPStatus == http.StatusTooManyRequests && through != nil {
		// The upstream has just said that the limit is used up, so all callers wait.
		req.op.quota.Pause(ctx, time.Now().Add(cmp.Or(failure.RetryAfter, unnamedPause)))
	}
	return resp, failure, nil
}

// pass is what the circuits give an attempt that they let through.
type pass struct {
	host, scope circuitPass
	began       time.Time
}

// refusal returns why allow would let no attempt through now; nil if it would.
func (a *admit) refusal(req *request) *refusal {
	if wait, refused := a.host.refusal(); refused {
		return failuresRefusal(notCircuit, wait, false)
	}
	if wait, refused := a.records.of(scopeOf(req)).refusal(); refused {
		return failuresRefusal(notCircuit, wait, true)
	}
	return nil
}

func (a *admit) allow(req *request) (pass, *refusal) {
	p := pass{began: time.Now()}
	var wait time.Duration
	var ok bool
	if p.scope, wait, ok = a.records.of(scopeOf(req)).allow(); !ok {
		return pass{}, failuresRefusal(notCircuit, wait, true)
	}
	if p.host, wait, ok = a.host.allow(); !ok {
		a.records.end(scopeOf(req), p.scope, p.began, outcomeNone)
		return pass{}, failuresRefusal(notCircuit, wait, false)
	}
	return p, nil
}

// end tells the circuits what an attempt that they let through says of the host and of its scope.
func (a *admit) end(req *request, p pass, onHost, onScope outcome) {
	a.host.end(p.host, p.began, onHost)
	a.records.end(scopeOf(req), p.scope, p.began, onScope)
}

// countRequest counts a request, not its retries.
func (a *admit) countRequest(req *request) {
	a.retries.countRequest()
	a.records.of(scopeOf(req)).countRequest()
}

// takeRetry takes a retry from the retry budget of the request's scope and then from the host's, or
// returns why there is none. If only the host refuses it, it is lost to the scope, which harms nobody. In
// the other order, a scope that has used up its own retry budget would use up the host's.
func (a *admit) takeRetry(req *request) *refusal {
	if wait, ok := a.records.failing(scopeOf(req)).retries.take(); !ok {
		return failuresRefusal(notRetryBudget, wait, true)
	}
	if wait, ok := a.retries.take(); !ok {
		return failuresRefusal(notRetryBudget, wait, false)
	}
	return nil
}

// scopeOf returns the scope whose circuit and retry budget a request has.
func scopeOf(req *request) scope { return scope{req.op.name, req.From.Caller, req.From.Tenant} }

// quotaGate lets the HTTP requests of an attempt through as the quota admits them.
type quotaGate struct {
	quota  *quota.Operation
	from   identity.Identity
	permit quota.Permit
	// refused is why the last HTTP request must not be sent.
	refused *refusal
}

// take waits until the quota admits one more HTTP request, or returns why it does not.
func (g *quotaGate) take(ctx context.Context) *refusal {
	permit, err := g.quota.Admit(ctx, g.from)
	g.permit, g.refused = permit, quotaRefusal(ctx, err)
	return g.refused
}

// Another implements gate.
func (g *quotaGate) Another(ctx context.Context) error {
	if g.take(ctx) != nil {
		return errHeldBack
	}
	return nil
}

// Pass implements http1.Gate: an HTTP request counts from when it is written.
func (g *quotaGate) Pass(ctx context.Context) error {
	if g.refused = quotaRefusal(ctx, g.permit.Renew(ctx)); g.refused != nil {
		return errHeldBack
	}
	return nil
}

// Late implements gate.
func (g *quotaGate) Late() { g.permit.Count() }
