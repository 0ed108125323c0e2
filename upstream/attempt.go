package upstream

import (
	"context"
	"errors"
	"log/slog"
	"net/http"
	"time"

	"samsara.internal/gateway/internal/http1"
)

// errAttemptTimeout tells the end of an attempt from the end of its caller's context.
var errAttemptTimeout = errors.New("attempt timed out")

// attempt makes attempts: an exchange over HTTP each, redirects included, and the translation of what
// comes back.
type attempt struct {
	tokens    *authorizer
	transport transport
	bodies    bodies
	// timeout bounds one, from connecting to the last byte of the body, and maxBytes its body.
	timeout  time.Duration
	maxBytes int64
	// counted is the name of a header that carries the attempt's number; empty: not sent.
	counted  string
	observer Observer
	log      *slog.Logger
}

// exchanged is what came of an exchange: a 2XX response, and its body if that matters. Until it has
// been passed on, the body must be dropped.
type exchanged struct {
	*authorized
	status int
	header http.Header
	body   body
}

// do makes the n-th attempt of a call. It returns neither response nor error if the gate lets a
// request not through.
func (a *attempt) do(ctx context.Context, req *request, n int, through gate) (*Response, *Error) {
	got := exchanged{authorized: a.tokens.authorize()}
	defer got.body.drop()
	began := time.Now()
	failure, held := a.exchange(ctx, req, n, through, &got)
	if held {
		return nil, nil
	}
	seen := Attempt{Method: req.Method, Template: req.op.template, Status: got.status, Duration: time.Since(began)}
	if failure != nil {
		seen.Status, seen.Reason = failure.HTTPStatus, failure.Reason
	}
	if a.observer != nil {
		a.observer.ObserveAttempt(ctx, seen)
	}
	var resp *Response
	if failure == nil {
		resp, failure = translate(req.op, &got)
	}
	if failure == nil {
		resp.Attempts, resp.authorized, resp.asked = n, got.authorized, began
		return resp, nil
	}
	failure.authorized = got.authorized
	a.log.LogAttrs(ctx, slog.LevelDebug, "upstream attempt failed",
		slog.String("method", req.Method), slog.String("path", req.op.template), slog.Int("attempt", n),
		slog.Int("status", failure.HTTPStatus), slog.String("reason", failure.Reason), slog.String("message", failure.Message),
		slog.String("request_id", failure.RequestID), slog.Duration("duration", seen.Duration))
	return nil, failure
}

// exchange sends the request, and fills in what comes back. It reports whether the gate held a
// request back.
func (a *attempt) exchange(ctx context.Context, req *request, n int, through gate, into *exchanged) (failure *Error, held bool) {
	// Most callers have less time than that.
	if deadline, ok := ctx.Deadline(); !ok || time.Until(deadline) > a.timeout {
		var cancel context.CancelFunc
		ctx, cancel = context.WithTimeoutCause(ctx, a.timeout, errAttemptTimeout)
		defer cancel()
	}
	resp, err := send(a.transport, through, req.httpRequest(ctx, req.header(into.authorized, a.counted, n)))
	if err != nil {
		if errors.Is(err, errHeldBack) {
			return nil, true
		}
		var notSent *http1.NotSentError
		return interrupted(ctx, into.token, err, !errors.As(err, &notSent)), false
	}
	if resp.StatusCode/100 != 2 {
		defer discard(resp)
		return refused(ctx, &a.bodies, into.token, req.memory, resp), false
	}
	into.status, into.header = resp.StatusCode, resp.Header
	if req.op.decoder != nil && req.op.noBody {
		discard(resp)
		return nil, false
	}
	if err = a.bodies.readWhole(ctx, &into.body, req.memory, resp, a.maxBytes); err != nil {
		defer discard(resp)
		failure = interrupted(ctx, into.token, err, true)
		failure.HTTPStatus, failure.RequestID = into.status, requestID(into.token, into.header)
		return failure, false
	}
	_ = resp.Body.Close() // It has been read to its end.
	return nil, false
}
