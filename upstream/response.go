package upstream

import (
	"context"
	"errors"
	"fmt"
	"io"
	"maps"
	"net/http"
	"slices"
	"time"

	"samsara.internal/gateway/internal/lease"
	"samsara.internal/gateway/internal/transcode"
)

// translate makes the Response of a reply and the call's body, of which it keeps nothing but
// what the Response holds.
func translate(call *call, from reply) (*Response, *Error) {
	resp := &Response{Status: from.status, RequestID: requestID(call, from.header), Attempts: call.attempts, token: call.token}
	if call.op.decoder == nil {
		resp.Header = headerList(call, from.header)
		if len(call.body.bytes) > 0 {
			resp.Body = call.body.bytes
			resp.Lease = call.body.pass()
		}
		return resp, nil
	}
	if failure := decode(call, resp); failure != nil {
		failure.HTTPStatus, failure.RequestID = resp.Status, resp.RequestID
		return nil, failure
	}
	return resp, nil
}

// decode sets resp.Message and resp.Drift. Statuses that promise no content are taken as they
// are: 7 operations declare a body with 204, so it is read where there is one.
func decode(call *call, resp *Response) (failure *Error) {
	promisesNone := resp.Status == http.StatusNoContent || resp.Status == http.StatusResetContent
	if call.op.noBody || promisesNone && len(call.body.bytes) == 0 {
		resp.Message = []byte{}
		return nil
	}
	body := call.body.bytes
	if len(body) == 0 {
		return fault(ReasonBodyInvalid, "it is empty", nil)
	}
	message, err := call.op.decoder.Append(call.body.lease.Buffer(len(body)/2), body, &resp.Drift)
	switch {
	case err != nil && promisesNone:
		resp.Message, resp.Drift = []byte{}, transcode.Drift{}
		return nil
	case err != nil:
		return fault(ReasonBodyInvalid, err.Error(), err)
	case len(message) == 0 && len(resp.Drift.Findings()) > 0 && isErrorObject(body):
		text, id := readErrorBody(body)
		if id != "" {
			resp.RequestID = bounded(scrub(id, call.token), maxRequestIDBytes)
		}
		return fault(ReasonErrorInBody, scrub(text, call.token), nil)
	}
	resp.Drift.Rename(func(member string) string { return scrubMember(member, call.token) })
	call.body.lease.Keep(message)
	resp.Message = message
	resp.Lease = call.body.pass()
	return nil
}

// refused makes the error of a response that is not 2XX. Its status is the verdict, so its
// body may be cut short or unreadable.
func (c *Client) refused(ctx context.Context, call *call, resp *http.Response) *Error {
	body := newErrorBody(call.memory)
	defer body.drop()
	_ = c.bodies.read(ctx, &body, resp, maxErrorBodyBytes)
	message, id := readErrorBody(body.bytes)
	failure := &Error{HTTPStatus: resp.StatusCode, RequestID: bounded(scrub(id, call.token), maxRequestIDBytes)}
	failure.Code, failure.Reason, failure.Domain = verdict(resp.StatusCode)
	answered := oneLine(fmt.Sprintf("the upstream answered %d %s", resp.StatusCode, http.StatusText(resp.StatusCode)))
	switch {
	case message == "":
		message = answered
	case failure.Domain == DomainGateway:
		message = answered + ": " + message
	}
	failure.Message = bounded(scrub(message, call.token), MaxMessageBytes)
	if id == "" {
		failure.RequestID = requestID(call, resp.Header)
	}
	switch resp.StatusCode {
	case http.StatusTooManyRequests, http.StatusServiceUnavailable:
		failure.RetryAfter, failure.RetryAfterKnown = parseRetryAfter(resp.Header.Get("Retry-After"), time.Now())
	}
	return failure
}

// interrupted makes the error of an attempt that has no whole response.
func interrupted(ctx context.Context, call *call, err error, connected bool) *Error {
	if ctx.Err() != nil {
		return ended(ctx)
	}
	if errors.Is(err, lease.ErrNoRoom) {
		return fault(ReasonMemoryInFlight, err.Error(), err)
	}
	text := scrub(err.Error(), call.token)
	if text != err.Error() {
		err = errors.New(text)
	}
	switch {
	case !connected:
		return fault(ReasonUnreachable, text, err)
	case errors.Is(err, errTooLarge):
		return fault(ReasonBodyTooLarge, text, err)
	case errors.Is(err, errEncoding):
		return fault(ReasonBodyInvalid, text, err)
	case errors.Is(err, io.ErrUnexpectedEOF):
		return fault(ReasonTruncated, text, err)
	default:
		return fault(ReasonReset, text, err)
	}
}

// ended makes the error of a context that is done.
func ended(ctx context.Context) *Error {
	switch {
	case errors.Is(context.Cause(ctx), errAttemptTimeout):
		return fault(ReasonTimeout, "", errAttemptTimeout)
	case Expired(ctx):
		return fault(ReasonDeadlineExceeded, "", context.DeadlineExceeded)
	default:
		return fault(ReasonCancelled, "", ctx.Err())
	}
}

// requestID returns the upstream's name for a request from the response's header.
func requestID(call *call, header http.Header) string {
	id := header.Get("Request-Id")
	if id == "" {
		id = header.Get("X-Request-Id")
	}
	if id == "" {
		return ""
	}
	return bounded(scrub(oneLine(id), call.token), maxRequestIDBytes)
}

func headerList(call *call, header http.Header) []Header {
	var list []Header
	for _, name := range slices.Sorted(maps.Keys(header)) {
		for _, value := range header[name] {
			list = append(list, Header{Name: scrub(name, call.token), Value: scrub(value, call.token)})
		}
	}
	return list
}
