package upstream

import (
	"context"
	"errors"
	"log/slog"
	"net/http"
	"time"

	"samsara.internal/gateway/internal/http1"
	"samsara.internal/gateway/internal/lease"
	"samsara.internal/gateway/internal/tracing"
)

// attempt makes attempts: each is an HTTP exchange, redirects included, and the translation of the
// response.
type attempt struct {
	transport transport
	bodies    bodies
	// timeout bounds an attempt, from connecting to the last byte of the body, and maxBytes its body.
	timeout  time.Duration
	maxBytes int64
	// counted is the name of a header with the attempt's number; empty: not sent.
	counted  string
	observer Observer
	tracer   *tracing.Tracer
	log      *slog.Logger
}

// do makes the n-th attempt of a request. It returns neither response nor error if the gate refuses an
// HTTP request.
func (a *attempt) do(ctx context.Context, req *request, n int, with *authorized, through gate) (*Response, *Error) {
	got := received{token: with.token, key: with.key}
	var b body
	defer b.drop() // if it does not become the response's
	began := time.Now()
	ctx, span := a.tracer.StartAttempt(ctx, tracing.Attempt{Method: req.Method, Template: req.op.template, URL: req.url, Number: n})
	failure, held := a.exchange(ctx, req, req.header(with, a.counted, n, a.tracer.Of(ctx).Context()), through, &got, &b)
	if held {
		span.EndRefused(errHeldBack.Error())
		return nil, nil
	}
	seen := Attempt{Method: req.Method, Template: req.op.template, Operation: req.op.name, Status: got.status, Duration: time.Since(began)}
	if failure != nil {
		seen.Status, seen.Reason = failure.HTTPStatus, failure.ReasonText()
	}
	var resp *Response
	if failure == nil {
		got.body, got.lease = b.bytes, b.lease
		span.BodyRead()
		whole := time.Now()
		resp, failure = translate(req.op, &got)
		seen.Translation = time.Since(whole)
	}
	if req.Spent != nil {
		req.Spent.Upstream += seen.Duration
		req.Spent.Translation += seen.Translation
	}
	if a.observer != nil {
		a.observer.ObserveAttempt(ctx, seen)
	}
	if failure == nil {
		if resp.Lease != nil {
			_ = b.pass()
		}
		span.EndAttempt(seen.Status, "", resp.RequestID)
		resp.Attempts, resp.asked = n, began
		return resp, nil
	}
	span.EndAttempt(failure.HTTPStatus, failure.ReasonText(), failure.RequestID)
	a.log.LogAttrs(ctx, slog.LevelDebug, "upstream attempt failed",
		slog.String("method", req.Method), slog.String("path", req.op.template), slog.Int("attempt", n),
		slog.Int("status", failure.HTTPStatus), slog.String("reason", failure.ReasonText()), slog.String("message", failure.Message),
		slog.String("request_id", failure.RequestID), slog.Duration("duration", seen.Duration))
	return nil, failure
}

// exchange sends the request and stores what comes back in into and b. It reports whether the gate
// refused an HTTP request.
func (a *attempt) exchange(ctx context.Context, req *request, header http.Header, through gate, into *received, b *body) (failure *Error, held bool) {
	// Most callers have less time than the timeout.
	if deadline, ok := ctx.Deadline(); !ok || time.Until(deadline) > a.timeout {
		var cancel context.CancelFunc
		ctx, cancel = context.WithTimeoutCause(ctx, a.timeout, errAttemptTimeout)
		defer cancel()
	}
	resp, err := send(a.transport, through, req.httpRequest(ctx, header))
	if err != nil {
		if errors.Is(err, errHeldBack) {
			return nil, true
		}
		var notSent *http1.NotSentError
		failure = interrupted(ctx, into.token, err, !errors.As(err, &notSent))
		var broken *http1.BrokenError
		if errors.As(err, &broken) {
			failure.HTTPStatus = broken.Status
		}
		return failure, false
	}
	if resp.StatusCode/100 != 2 {
		defer discard(resp)
		return a.refused(ctx, into.token, req.memory, resp), false
	}
	into.status, into.header = resp.StatusCode, resp.Header
	if req.op.decoder != nil && req.op.noBody {
		discard(resp)
		return nil, false
	}
	if err = a.bodies.readWhole(ctx, b, req.memory, resp, a.maxBytes); err != nil {
		defer discard(resp)
		failure = interrupted(ctx, into.token, err, true)
		failure.HTTPStatus, failure.RequestID = into.status, requestID(into.token, into.header)
		return failure, false
	}
	_ = resp.Body.Close() // It has been read to its end.
	return nil, false
}

// refused returns the error of a response that is not 2XX. The status is the verdict, so the body may be
// cut short or unreadable, and is not waited for long.
func (a *attempt) refused(ctx context.Context, token string, by *lease.Holder, resp *http.Response) *Error {
	b := newErrorBody(by)
	defer b.drop()
	defer hurry(resp)()
	_ = a.bodies.read(ctx, &b, resp, maxErrorBodyBytes)
	return statusError(token, resp, b.bytes)
}
