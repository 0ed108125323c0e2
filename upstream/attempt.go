package upstream

import (
	"context"
	"errors"
	"net/http"
	"time"

	"samsara.internal/gateway/internal/http1"
)

// errAttemptTimeout tells the end of an attempt from the end of its caller's context.
var errAttemptTimeout = errors.New("attempt timed out")

// reply is a 2XX response without its body.
type reply struct {
	status int
	header http.Header
}

// attempt is one exchange over HTTP. Where the response is 2XX, call.body becomes its body.
func (c *Client) attempt(ctx context.Context, call *call) (reply, *Error) {
	// Most callers have less time than that.
	if deadline, ok := ctx.Deadline(); !ok || time.Until(deadline) > c.cfg.AttemptTimeout {
		var cancel context.CancelFunc
		ctx, cancel = context.WithTimeoutCause(ctx, c.cfg.AttemptTimeout, errAttemptTimeout)
		defer cancel()
	}
	resp, err := c.send(call, c.httpRequest(ctx, call))
	if err != nil {
		var refusal *Error
		if errors.As(err, &refusal) {
			return reply{}, refusal
		}
		var notSent *http1.NotSentError
		unsent := errors.As(err, &notSent)
		failure := interrupted(ctx, call, err, !unsent)
		failure.unsent = unsent
		return reply{}, failure
	}
	defer drain(resp)
	if resp.StatusCode/100 != 2 {
		return reply{}, c.refused(ctx, call, resp)
	}
	got := reply{resp.StatusCode, resp.Header}
	if call.op.decoder != nil && call.op.noBody {
		return got, nil
	}
	if err = c.bodies.readWhole(ctx, &call.body, call.memory, resp, c.cfg.MaxResponseBytes); err != nil {
		failure := interrupted(ctx, call, err, true)
		failure.HTTPStatus, failure.RequestID = got.status, requestID(call, got.header)
		return reply{}, failure
	}
	return got, nil
}
