package upstream

import (
	"context"
	"net/http"
	"time"

	apiv1 "samsara.internal/gateway/gen/api/v1"
)

// Preview is how a call would be made, as far as that is known before.
type Preview struct {
	// Request is that of the first attempt, with the token in it. Its header must not be modified.
	Request *http.Request
	// Repeatable is whether an attempt of unknown outcome would be repeated.
	Repeatable bool
	// Shared is whether calls that ask the same at the same time get one answer.
	Shared bool
	// CacheTTL is how old an answer from the cache may be; 0: none is from there.
	CacheTTL time.Duration
	// Retry, Breaker and AttemptTimeout are those of the client.
	Retry          RetryPolicy
	Breaker        BreakerPolicy
	AttemptTimeout time.Duration
}

// Preview returns how Do would make a call of one of the client's operations. It asks nobody for
// anything. The error is that of Do for a call that cannot be sent.
func (c *Client) Preview(ctx context.Context, op *Operation, call Call) (Preview, error) {
	req := request{Call: call, op: op}
	if failure := c.aim(&req); failure != nil {
		return Preview{}, failure
	}
	sent := req.httpRequest(ctx, req.header(c.retry.header.authorize(), c.attempt.counted, 1))
	p := Preview{
		Request: sent, Repeatable: req.isRepeatable(), Shared: req.isRead(),
		Retry: c.retry.policy, Breaker: c.cfg.Breaker, AttemptTimeout: c.attempt.timeout,
	}
	if p.Shared {
		p.CacheTTL = op.cacheTTL
	}
	return p, nil
}

// Repeats reports whether a further attempt may follow one that ended with an HTTP status, or, if that is
// 0, one that found no connection.
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
