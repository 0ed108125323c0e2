package upstream

import (
	"context"
	"net/http"
	"time"

	apiv1 "samsara.internal/gateway/gen/api/v1"
	"samsara.internal/gateway/internal/tracing"
)

// Preview is how a request would be made, as far as that is known in advance.
type Preview struct {
	// Request is the HTTP request of the first attempt, with the token in it. Its header must not be
	// modified.
	Request *http.Request
	// Repeatable is whether an attempt of unknown outcome would be repeated.
	Repeatable bool
	// Shared is whether requests that ask the same at the same time get one answer.
	Shared bool
	// CacheTTL is how old an answer from the cache may be; 0: the cache is not used.
	CacheTTL time.Duration
	// Retry, Breaker and AttemptTimeout are those of the client.
	Retry          RetryPolicy
	Breaker        BreakerPolicy
	AttemptTimeout time.Duration
}

// Preview returns how Do would make a request of one of the client's operations. It sends nothing. The
// error is that of Do for a request that cannot be sent.
func (c *Client) Preview(ctx context.Context, op *Operation, req Request) (Preview, error) {
	r := request{Request: req, op: op}
	if failure := c.aim(&r); failure != nil {
		return Preview{}, failure
	}
	with, failure := c.retry.header.authorize(ctx)
	if failure != nil {
		return Preview{}, failure
	}
	sent := r.httpRequest(ctx, r.header(with, c.attempt.counted, 1, tracing.Context{}))
	p := Preview{
		Request: sent, Repeatable: r.isRepeatable(), Shared: r.isRead(),
		Retry: c.retry.policy, Breaker: c.cfg.Breaker, AttemptTimeout: c.attempt.timeout,
	}
	if p.Shared {
		p.CacheTTL = op.cacheTTL
	}
	return p, nil
}

// Repeats reports whether a further attempt may follow one that ended with an HTTP status. The status 0
// stands for an attempt that found no connection.
func (p Preview) Repeats(status int) bool {
	failure := &Error{HTTPStatus: status, unsent: status == 0}
	if status == 0 {
		failure.Reason = apiv1.Reason_REASON_UPSTREAM_UNREACHABLE
		failure.Code = Code(failure.Reason)
	} else {
		failure.judge()
	}
	return p.Retry.MaxAttempts > 1 && failure.transient() && (p.Repeatable || failure.unprocessed())
}
