package upstream

import (
	"context"
	"net/http"
	"time"

	"github.com/cenkalti/backoff/v5"

	apiv1 "samsara.internal/gateway/gen/api/v1"
)

// MaxUnboundedWait is the longest wait between attempts for a caller without a deadline.
const MaxUnboundedWait = time.Minute

// minRemaining is how much of the caller's deadline must be left after a wait for another
// attempt to be worth it.
const minRemaining = 100 * time.Millisecond

func newBackoff(p RetryPolicy) *backoff.ExponentialBackOff {
	// The library spreads an interval by ±RandomizationFactor: half the interval ±100 % is
	// full jitter.
	return &backoff.ExponentialBackOff{
		InitialInterval:     p.BaseDelay / 2,
		RandomizationFactor: 1,
		Multiplier:          2,
		MaxInterval:         p.MaxDelay / 2,
	}
}

// retry makes attempts until one succeeds or there is no other. It alone counts them, and turns a
// refusal into part of a verdict or into an error.
type retry struct {
	next   *admit
	policy RetryPolicy
	token  *Token
	header *authorizer
}

// history is what became of the attempts of a call so far.
type history struct {
	attempts int
	// verdict is what the last one ended with; nil if there was none.
	verdict *Error
	// earlier is the error of the one before that did most, of several the last one; nil if there was none.
	earlier *Error
	// done is what they have done all together.
	done  effect
	waits *backoff.ExponentialBackOff
	// renewed is whether an attempt was repeated because there was another token.
	renewed bool
}

func (r *retry) do(ctx context.Context, req *request) (*Response, *Error) {
	var h history
	var rest time.Duration
	for {
		r.next.rest(ctx, req, rest)
		with := r.header.authorize()
		resp, failure, refused := r.next.do(ctx, req, h.attempts+1, with)
		if resp != nil {
			return resp, nil
		}
		if failure != nil || refused.begun {
			h.attempts++
		}
		if failure != nil {
			h.add(failure)
			if rest, refused = r.again(ctx, req, &h, with.token); refused == nil {
				continue
			}
		}
		return nil, h.end(req, refused.conclude(h.verdict))
	}
}

// add notes what an attempt ended with.
func (h *history) add(failure *Error) {
	if before := h.verdict; before != nil && (h.earlier == nil || before.effect() >= h.earlier.effect()) {
		h.earlier = before
	}
	h.verdict, h.done = failure, max(h.done, failure.effect())
}

// end completes the error of the call.
func (h *history) end(req *request, failure *Error) *Error {
	if h.earlier != nil && req.Method != http.MethodGet && failure.HTTPStatus/100 == 4 && !failure.transient() {
		failure.EarlierStatus, failure.EarlierStatusKnown = h.earlier.HTTPStatus, true
	}
	return req.failedAfter(failure, h.attempts, h.done)
}

// again returns how long to rest before a further attempt, or why there is none. The token is that of
// the last one.
func (r *retry) again(ctx context.Context, req *request, h *history, token string) (time.Duration, *refusal) {
	failure := h.verdict
	if failure.Reason == apiv1.Reason_REASON_UNAUTHORIZED {
		if h.renewed = !h.renewed && r.renewed(ctx, token); h.renewed {
			return 0, nil
		}
		return 0, &refusal{reason: notToken}
	}
	switch {
	case failure.Reason == apiv1.Reason_REASON_GATEWAY_MEMORY:
		return 0, &refusal{reason: notMemory}
	case !failure.transient():
		return 0, &refusal{} // There is nothing to repeat.
	case failure.lasting:
		return 0, &refusal{reason: notCertificate}
	case !req.isRepeatable() && !failure.unprocessed():
		return 0, &refusal{reason: notRepeatable}
	case h.attempts >= r.policy.MaxAttempts:
		return 0, &refusal{reason: notAttempts}
	}
	if refused := r.next.refusal(req); refused != nil {
		return 0, refused
	}
	rest, refused := r.wait(ctx, req, h)
	if refused == nil {
		refused = r.next.takeRetry(req)
	}
	return rest, refused
}

// wait returns how long to rest before a further attempt, unless that is too long, or the quota lets it
// through too late after that.
func (r *retry) wait(ctx context.Context, req *request, h *history) (time.Duration, *refusal) {
	if h.waits == nil {
		h.waits = newBackoff(r.policy)
	}
	failure := h.verdict
	rest := h.waits.NextBackOff()
	if failure.RetryAfter > 0 {
		rest = failure.RetryAfter
	}
	due, reason, own := rest, notDeadline, false
	if budget := req.op.quota; budget != nil {
		next, paused, err := budget.NextAdmission(req.From, rest)
		switch {
		case err != nil:
			return 0, quotaRefusal(ctx, err)
		case failure.HTTPStatus == http.StatusTooManyRequests:
			rest, due = paused, next // The 429 was made into that.
		case next > due:
			due, reason = next, notQuota
		}
		own = due > max(rest, paused) // What is beyond the pauses is for the caller's place.
	}
	if !affordable(ctx, due) {
		return 0, &refusal{reason: reason, wait: due, known: true, own: own}
	}
	return rest, nil
}

// renewed reports whether there is another token than the one that an attempt was refused for.
func (r *retry) renewed(ctx context.Context, refused string) bool {
	if deadline, ok := ctx.Deadline(); ok {
		var cancel context.CancelFunc
		ctx, cancel = context.WithDeadline(ctx, deadline.Add(-minRemaining))
		defer cancel()
	}
	return r.token.replaced(ctx, refused)
}

func affordable(ctx context.Context, wait time.Duration) bool {
	deadline, ok := ctx.Deadline()
	if !ok {
		return wait <= MaxUnboundedWait
	}
	return time.Until(deadline)-wait >= minRemaining
}
