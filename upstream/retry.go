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

// minRemaining is how much of the caller's deadline must be left after a wait, so that another attempt
// is worth it.
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

// retry makes attempts until one succeeds or no other may be made. It alone counts them, and it alone
// adds a refusal to a verdict or turns it into an error.
type retry struct {
	next   *admit
	policy RetryPolicy
	tokens Tokens
	header *authorizer
	// observer is told what becomes of failures; nil: nobody is.
	observer RetryObserver
}

// history is what became of the attempts of a request so far.
type history struct {
	attempts int
	// verdict is the error that the last attempt ended with; nil if there was none.
	verdict *Error
	// earlier is the error of the attempt before that had the greatest effect, the last one of several;
	// nil if there was none.
	earlier *Error
	// done is the effect of all attempts together.
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
		with, failure := r.header.authorize(ctx)
		if failure != nil {
			return nil, h.end(req, failure)
		}
		resp, failure, refused := r.next.do(ctx, req, h.attempts+1, with)
		if resp != nil {
			r.header.took(with)
			return resp, nil
		}
		if failure != nil || refused.begun {
			h.attempts++
		}
		if failure != nil {
			h.add(failure)
			if failure.Reason == apiv1.Reason_REASON_UNAUTHORIZED {
				r.header.wasRefused(with)
			}
			rest, refused = r.again(ctx, req, &h, with.token)
			r.observe(ctx, failure, refused)
			if refused == nil {
				continue
			}
		}
		return nil, h.end(req, refused.conclude(h.verdict))
	}
}

// observe tells the observer what follows a failure, if there was something to repeat and the caller still waits.
func (r *retry) observe(ctx context.Context, failure *Error, refused *refusal) {
	seen := Retry{Status: failure.HTTPStatus}
	if refused != nil {
		seen.Refused = refused.reason
		if refused.reason == "" || refused.reason == notWanted {
			return
		}
	}
	if r.observer != nil {
		r.observer.ObserveRetry(ctx, seen)
	}
}

// add notes the error that an attempt ended with.
func (h *history) add(failure *Error) {
	if before := h.verdict; before != nil && (h.earlier == nil || before.effect() >= h.earlier.effect()) {
		h.earlier = before
	}
	h.verdict, h.done = failure, max(h.done, failure.effect())
}

// end completes the error of the request.
func (h *history) end(req *request, failure *Error) *Error {
	if h.earlier != nil && req.Method != http.MethodGet && failure.HTTPStatus/100 == 4 && !failure.transient() {
		failure.EarlierStatus, failure.EarlierStatusKnown = h.earlier.HTTPStatus, true
	}
	return req.failedAfter(failure, h.attempts, h.done)
}

// again returns how long to rest before a further attempt, or why there is none. The token is the one of
// the last attempt.
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

// wait returns how long to rest before a further attempt. It refuses the attempt if the rest is too long
// or if the quota would let the attempt through too late after it.
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
	if limits := req.op.quota; limits != nil {
		next, paused, err := limits.NextAdmission(req.From, rest)
		switch {
		case err != nil:
			return 0, quotaRefusal(ctx, err)
		case failure.HTTPStatus == http.StatusTooManyRequests:
			rest, due = paused, next // The pause comes from the 429.
		case next > due:
			due, reason = next, notQuota
		}
		own = due > max(rest, paused) // Beyond the pauses, the caller waits for its position in the queue.
	}
	if !affordable(ctx, due) {
		return 0, &refusal{reason: reason, wait: due, known: true, own: own}
	}
	return rest, nil
}

// renewed reports whether the token in use is another one than the refused one.
func (r *retry) renewed(ctx context.Context, refused string) bool {
	if deadline, ok := ctx.Deadline(); ok {
		var cancel context.CancelFunc
		ctx, cancel = context.WithDeadline(ctx, deadline.Add(-minRemaining))
		defer cancel()
	}
	return r.tokens.Replaced(ctx, refused)
}

func affordable(ctx context.Context, wait time.Duration) bool {
	deadline, ok := ctx.Deadline()
	if !ok {
		return wait <= MaxUnboundedWait
	}
	return time.Until(deadline)-wait >= minRemaining
}
