package upstream

import (
	"context"
	"net/http"
	"time"

	"github.com/cenkalti/backoff/v5"
)

// MaxUnboundedWait is the longest wait between attempts for a caller without a deadline.
const MaxUnboundedWait = time.Minute

// minRemaining is how much of the caller's deadline must be left after a wait for another
// attempt to be worth it.
const minRemaining = 100 * time.Millisecond

// RetryPolicy says how attempts are repeated. Zero fields take the defaults.
//
// The n-th wait is random between nothing and BaseDelay·2ⁿ⁻¹, at most MaxDelay (full jitter).
// Where the upstream names a wait above 0 by Retry-After on 429 or 503, the wait is exactly
// that instead. A wait that would leave less than 100 ms of the caller's deadline is not started,
// nor is one above MaxUnboundedWait where there is no deadline.
type RetryPolicy struct {
	// MaxAttempts includes the first; 1 never repeats. Default 4.
	MaxAttempts int
	// BaseDelay bounds the first wait. Default 250 ms.
	BaseDelay time.Duration
	// MaxDelay bounds every random wait. Default 10 s, or BaseDelay where that is more.
	MaxDelay time.Duration
	// Budget keeps repeated attempts from multiplying the load of an upstream that is down
	// for all callers: within 10 s there are at most as many, and one more for every ten calls.
	// Default 10.
	Budget int
}

func (p RetryPolicy) backoff() *backoff.ExponentialBackOff {
	// The library spreads an interval by ±RandomizationFactor: half the interval ±100 % is
	// full jitter.
	return &backoff.ExponentialBackOff{
		InitialInterval:     p.BaseDelay / 2,
		RandomizationFactor: 1,
		Multiplier:          2,
		MaxInterval:         p.MaxDelay / 2,
	}
}

// again reports whether an attempt that failed is followed by another, and after what wait.
// A wait that is not started is noted in the failure.
func (c *Client) again(ctx context.Context, call *call, failure *Error, waits *backoff.ExponentialBackOff) (time.Duration, bool) {
	repeatable := call.op.isRepeatable(call.Method) || call.RetryAlways || failure.unprocessed()
	if !failure.transient() || !repeatable || failure.Attempts >= c.cfg.Retry.MaxAttempts || c.breaker.current() == CircuitOpen {
		return 0, false
	}
	wait := waits.NextBackOff()
	if failure.RetryAfter > 0 {
		wait = failure.RetryAfter
	}
	if !affordable(ctx, wait) {
		failure.RetryAfter, failure.RetryAfterKnown, failure.hurried = wait, true, true
		return 0, false
	}
	return wait, c.budget.takeRetry()
}

// renewed reports whether an attempt is repeated at once: if it was refused for its token and there
// is another one now. That happens once a call.
func (c *Client) renewed(ctx context.Context, call *call, failure *Error) bool {
	if failure.HTTPStatus != http.StatusUnauthorized || call.renewed {
		return false
	}
	if deadline, ok := ctx.Deadline(); ok {
		var cancel context.CancelFunc
		ctx, cancel = context.WithDeadline(ctx, deadline.Add(-minRemaining))
		defer cancel()
	}
	call.renewed = c.cfg.Token.replaced(ctx, call.token)
	return call.renewed
}

func affordable(ctx context.Context, wait time.Duration) bool {
	deadline, ok := ctx.Deadline()
	if !ok {
		return wait <= MaxUnboundedWait
	}
	return time.Until(deadline)-wait >= minRemaining
}
