package upstream

import (
	"context"
	"sync"
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
	// for all callers. It is the number of tokens that the client starts with and holds at
	// most; a transient failure takes one, any other answer gives back a tenth, and nothing
	// is repeated while half or less are left (gRPC proposal A6). Default 100.
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
	repeatable := call.Repeatable || call.RetryAlways || failure.unprocessed()
	if !failure.transient() || !repeatable || failure.Attempts >= c.cfg.Retry.MaxAttempts || !c.budget.allows() {
		return 0, false
	}
	wait := waits.NextBackOff()
	if failure.RetryAfter > 0 {
		wait = failure.RetryAfter
	}
	if !affordable(ctx, wait) {
		failure.RetryAfter, failure.RetryAfterKnown = wait, true
		return 0, false
	}
	return wait, true
}

func affordable(ctx context.Context, wait time.Duration) bool {
	deadline, ok := ctx.Deadline()
	if !ok {
		return wait <= MaxUnboundedWait
	}
	return time.Until(deadline)-wait >= minRemaining
}

// sleep waits, and reports false where ctx ends first.
func sleep(ctx context.Context, wait time.Duration) bool {
	timer := time.NewTimer(wait)
	defer timer.Stop()
	select {
	case <-ctx.Done():
		return false
	case <-timer.C:
		return true
	}
}

// budgetUnit is one token of a budget; an answer gives back one part of it.
const budgetUnit = 10

// budget is a retry budget. It is safe for concurrent use.
type budget struct {
	mu          sync.Mutex
	parts, full int
}

func newBudget(tokens int) *budget {
	return &budget{parts: tokens * budgetUnit, full: tokens * budgetUnit}
}

func (b *budget) allows() bool {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.parts > b.full/2
}

// record takes the outcome of an attempt into account, nil for a success. A failure that says
// nothing of the upstream, such as the caller's cancellation, changes nothing.
func (b *budget) record(failure *Error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	switch {
	case failure == nil:
		b.parts = min(b.parts+1, b.full)
	case failure.transient():
		b.parts = max(b.parts-budgetUnit, 0)
	case failure.HTTPStatus != 0:
		b.parts = min(b.parts+1, b.full)
	}
}
