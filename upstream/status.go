package upstream

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net/http"
	"time"

	"google.golang.org/grpc/codes"

	apiv1 "samsara.internal/gateway/gen/api/v1"
	"samsara.internal/gateway/internal/lease"
)

// The domains of an Error. They say who gave the verdict.
const (
	// DomainSamsara marks a verdict that the upstream gave by a 4XX or 5XX status.
	DomainSamsara = "samsara.com"
	// DomainGateway marks a verdict of the gateway's own.
	DomainGateway = "gateway.samsara.internal"
)

// verdict returns the reason and the domain of an HTTP status other than 2XX. It is total.
func verdict(status int) (reason apiv1.Reason, domain string) {
	switch status {
	case http.StatusBadRequest:
		return apiv1.Reason_REASON_BAD_REQUEST, DomainSamsara
	case http.StatusUnauthorized:
		return apiv1.Reason_REASON_UNAUTHORIZED, DomainSamsara
	case http.StatusForbidden:
		return apiv1.Reason_REASON_FORBIDDEN, DomainSamsara
	case http.StatusNotFound:
		return apiv1.Reason_REASON_NOT_FOUND, DomainSamsara
	case http.StatusMethodNotAllowed:
		return apiv1.Reason_REASON_METHOD_NOT_ALLOWED, DomainSamsara
	case http.StatusRequestTimeout:
		return apiv1.Reason_REASON_REQUEST_TIMEOUT, DomainSamsara
	case http.StatusConflict:
		return apiv1.Reason_REASON_CONFLICT, DomainSamsara
	case http.StatusGone:
		return apiv1.Reason_REASON_GONE, DomainSamsara
	case http.StatusPreconditionFailed:
		return apiv1.Reason_REASON_PRECONDITION_FAILED, DomainSamsara
	case http.StatusRequestEntityTooLarge:
		return apiv1.Reason_REASON_PAYLOAD_TOO_LARGE, DomainSamsara
	case http.StatusUnprocessableEntity:
		return apiv1.Reason_REASON_UNPROCESSABLE, DomainSamsara
	case http.StatusTooManyRequests:
		return apiv1.Reason_REASON_RATE_LIMITED, DomainSamsara
	case http.StatusInternalServerError:
		return apiv1.Reason_REASON_INTERNAL_SERVER_ERROR, DomainSamsara
	case http.StatusNotImplemented:
		return apiv1.Reason_REASON_NOT_IMPLEMENTED, DomainSamsara
	case http.StatusBadGateway:
		return apiv1.Reason_REASON_BAD_GATEWAY, DomainSamsara
	case http.StatusServiceUnavailable:
		return apiv1.Reason_REASON_SERVICE_UNAVAILABLE, DomainSamsara
	case http.StatusGatewayTimeout:
		return apiv1.Reason_REASON_GATEWAY_TIMEOUT, DomainSamsara
	}
	switch status / 100 {
	case 4:
		return apiv1.Reason_REASON_HTTP_4XX, DomainSamsara
	case 5:
		return apiv1.Reason_REASON_HTTP_5XX, DomainSamsara
	default:
		return apiv1.Reason_REASON_UPSTREAM_UNEXPECTED_STATUS, DomainGateway
	}
}

// Code returns the code of every error with a reason. A test compares it with errors.proto.
func Code(reason apiv1.Reason) codes.Code {
	switch reason {
	case apiv1.Reason_REASON_BAD_REQUEST,
		apiv1.Reason_REASON_PAYLOAD_TOO_LARGE,
		apiv1.Reason_REASON_UNPROCESSABLE,
		apiv1.Reason_REASON_HTTP_4XX,
		apiv1.Reason_REASON_UPSTREAM_CURSOR_REJECTED,
		apiv1.Reason_REASON_REQUEST_INVALID_ARGUMENT:
		return codes.InvalidArgument
	case apiv1.Reason_REASON_UNAUTHORIZED,
		apiv1.Reason_REASON_REQUEST_PROOF_MISSING,
		apiv1.Reason_REASON_REQUEST_PROOF_INVALID,
		apiv1.Reason_REASON_REQUEST_PROOF_EXPIRED:
		return codes.Unauthenticated
	case apiv1.Reason_REASON_FORBIDDEN,
		apiv1.Reason_REASON_REQUEST_DENIED:
		return codes.PermissionDenied
	case apiv1.Reason_REASON_NOT_FOUND,
		apiv1.Reason_REASON_GONE:
		return codes.NotFound
	case apiv1.Reason_REASON_METHOD_NOT_ALLOWED,
		apiv1.Reason_REASON_REQUEST_METHOD_UNKNOWN:
		return codes.Unimplemented
	case apiv1.Reason_REASON_CONFLICT:
		return codes.Aborted
	case apiv1.Reason_REASON_PRECONDITION_FAILED:
		return codes.FailedPrecondition
	case apiv1.Reason_REASON_RATE_LIMITED,
		apiv1.Reason_REASON_UPSTREAM_BODY_TOO_LARGE,
		apiv1.Reason_REASON_GATEWAY_TOO_MANY_CALLS,
		apiv1.Reason_REASON_GATEWAY_MEMORY,
		apiv1.Reason_REASON_GATEWAY_QUOTA,
		apiv1.Reason_REASON_REQUEST_RATE,
		apiv1.Reason_REASON_REQUEST_STREAMS:
		return codes.ResourceExhausted
	case apiv1.Reason_REASON_REQUEST_TIMEOUT,
		apiv1.Reason_REASON_INTERNAL_SERVER_ERROR,
		apiv1.Reason_REASON_NOT_IMPLEMENTED,
		apiv1.Reason_REASON_BAD_GATEWAY,
		apiv1.Reason_REASON_SERVICE_UNAVAILABLE,
		apiv1.Reason_REASON_GATEWAY_TIMEOUT,
		apiv1.Reason_REASON_HTTP_5XX,
		apiv1.Reason_REASON_UPSTREAM_UNREACHABLE,
		apiv1.Reason_REASON_UPSTREAM_RESET,
		apiv1.Reason_REASON_UPSTREAM_TRUNCATED,
		apiv1.Reason_REASON_UPSTREAM_TIMEOUT,
		apiv1.Reason_REASON_UPSTREAM_CIRCUIT_OPEN,
		apiv1.Reason_REASON_GATEWAY_CREDENTIALS,
		apiv1.Reason_REASON_GATEWAY_AUDIT,
		apiv1.Reason_REASON_GATEWAY_KEYS,
		apiv1.Reason_REASON_GATEWAY_DRAINING:
		return codes.Unavailable
	case apiv1.Reason_REASON_REQUEST_DEADLINE_EXCEEDED:
		return codes.DeadlineExceeded
	case apiv1.Reason_REASON_REQUEST_CANCELLED:
		return codes.Canceled
	default:
		return codes.Internal
	}
}

// transient reports whether another attempt could end differently: the upstream was
// unavailable, or asked for patience.
func (e *Error) transient() bool {
	switch e.Reason {
	case apiv1.Reason_REASON_RATE_LIMITED:
		return true
	case apiv1.Reason_REASON_UPSTREAM_CIRCUIT_OPEN: // no attempt was made
		return false
	default:
		return e.Code == codes.Unavailable
	}
}

// ownAffair reports whether the error is about this request alone, not about what it asks: about how long
// its caller waits, or about its position in a queue.
func (e *Error) ownAffair() bool {
	if e.early {
		return true
	}
	switch e.Reason {
	case apiv1.Reason_REASON_REQUEST_CANCELLED, apiv1.Reason_REASON_REQUEST_DEADLINE_EXCEEDED, apiv1.Reason_REASON_GATEWAY_MEMORY, apiv1.Reason_REASON_GATEWAY_QUOTA:
		return true
	default:
		return false
	}
}

// unprocessed reports whether the upstream certainly did not act on the attempt: there was no connection
// to send it on, or the upstream refused it with 429 or 503.
func (e *Error) unprocessed() bool {
	switch e.HTTPStatus {
	case 0:
		return e.unsent
	case http.StatusTooManyRequests, http.StatusServiceUnavailable:
		return true
	default:
		return false
	}
}

// effect is what attempts have done at the upstream. That of several attempts is the greatest.
type effect int

const (
	// effectNone is that of an attempt that was not sent, or was refused before it was processed.
	effectNone effect = iota
	effectUnknown
	effectDone
)

// effect returns what the attempt that the error is about has done.
func (e *Error) effect() effect {
	switch {
	case e.HTTPStatus/100 == 2:
		return effectDone
	case e.unprocessed(), e.HTTPStatus/100 == 4 && e.HTTPStatus != http.StatusRequestTimeout:
		return effectNone
	default:
		return effectUnknown
	}
}

// processed returns the value of Error.Processed.
func processed(method string, done effect) string {
	if method == http.MethodGet {
		return ""
	}
	switch done {
	case effectNone:
		return "no"
	case effectDone:
		return "yes"
	default:
		return "unknown"
	}
}

// The causes of a response that is missing, incomplete or of no use. errAttemptTimeout tells the end of an
// attempt from the end of its caller's context.
var (
	errEncoding       = errors.New("Content-Encoding")
	errTooLarge       = errors.New("body exceeds its limit")
	errAttemptTimeout = errors.New("attempt timed out")
)

// fault returns an error of the gateway itself. The detail is for people and may be empty.
func fault(reason apiv1.Reason, detail string, cause error) *Error {
	message := explain(reason)
	if detail != "" {
		message += ": " + detail
	}
	return &Error{
		Code:    Code(reason),
		Reason:  reason,
		Domain:  DomainGateway,
		Message: bounded(oneLine(message), MaxMessageBytes),
		Err:     cause,
	}
}

// explain returns in words what a reason of the gateway itself means.
func explain(reason apiv1.Reason) string {
	switch reason {
	case apiv1.Reason_REASON_UPSTREAM_UNREACHABLE:
		return "no connection to the upstream"
	case apiv1.Reason_REASON_UPSTREAM_RESET:
		return "the connection to the upstream broke"
	case apiv1.Reason_REASON_UPSTREAM_TRUNCATED:
		return "the upstream's response ended early"
	case apiv1.Reason_REASON_UPSTREAM_TIMEOUT:
		return "the upstream did not answer in time"
	case apiv1.Reason_REASON_UPSTREAM_CIRCUIT_OPEN:
		return "the upstream fails too often to be asked now"
	case apiv1.Reason_REASON_UPSTREAM_BODY_INVALID:
		return "the upstream's response body is not what the operation returns"
	case apiv1.Reason_REASON_UPSTREAM_BODY_UNKNOWN:
		return "the upstream's response body has nothing of what the operation returns"
	case apiv1.Reason_REASON_UPSTREAM_BODY_TOO_LARGE:
		return "the upstream's response body is too large"
	case apiv1.Reason_REASON_GATEWAY_MEMORY:
		return "the gateway has no memory left for the upstream's response"
	case apiv1.Reason_REASON_GATEWAY_QUOTA:
		return "the gateway's quota for the upstream is used up"
	case apiv1.Reason_REASON_UPSTREAM_ERROR_IN_BODY:
		return "the upstream answered success with an error in the body"
	case apiv1.Reason_REASON_REQUEST_DEADLINE_EXCEEDED:
		return "the caller's deadline passed"
	case apiv1.Reason_REASON_REQUEST_CANCELLED:
		return "the caller cancelled"
	case apiv1.Reason_REASON_GATEWAY_CREDENTIALS:
		return "the gateway has no access token for the organization"
	case apiv1.Reason_REASON_GATEWAY_INTERNAL:
		return "the request cannot be sent"
	default:
		return "unexpected response"
	}
}

// judge sets Reason, Domain and Code, which follow from the HTTP status.
func (e *Error) judge() {
	e.Reason, e.Domain = verdict(e.HTTPStatus)
	e.Code = Code(e.Reason)
}

// statusError returns the error of a response that is not 2XX. The body may be incomplete.
func statusError(token string, resp *http.Response, body []byte) *Error {
	message, id := readErrorBody(body)
	failure := &Error{HTTPStatus: resp.StatusCode, RequestID: bounded(scrub(id, token), maxRequestIDBytes)}
	failure.judge()
	answered := oneLine(fmt.Sprintf("the upstream answered %d %s", resp.StatusCode, http.StatusText(resp.StatusCode)))
	switch {
	case message == "":
		message = answered
	case failure.Domain == DomainGateway:
		message = answered + ": " + message
	}
	failure.Message = bounded(scrub(message, token), MaxMessageBytes)
	if id == "" {
		failure.RequestID = requestID(token, resp.Header)
	}
	switch resp.StatusCode {
	case http.StatusTooManyRequests, http.StatusServiceUnavailable:
		failure.RetryAfter, failure.RetryAfterKnown = parseRetryAfter(resp.Header.Get("Retry-After"), time.Now())
	}
	return failure
}

// requestID returns the upstream's name for a request, from the response's header; empty if it has none.
func requestID(token string, header http.Header) string {
	id := header.Get("Request-Id")
	if id == "" {
		id = header.Get(requestIDHeader)
	}
	if id == "" {
		return ""
	}
	return bounded(scrub(oneLine(id), token), maxRequestIDBytes)
}

// interrupted returns the error of an attempt without a complete response.
func interrupted(ctx context.Context, token string, err error, connected bool) *Error {
	failure := interruption(ctx, token, err, connected)
	failure.unsent = !connected
	return failure
}

func interruption(ctx context.Context, token string, err error, connected bool) *Error {
	if ctx.Err() != nil {
		return ended(ctx)
	}
	if errors.Is(err, lease.ErrNoRoom) {
		return fault(apiv1.Reason_REASON_GATEWAY_MEMORY, err.Error(), err)
	}
	var untrusted *tls.CertificateVerificationError
	lasting := errors.As(err, &untrusted)
	text := scrub(err.Error(), token)
	if text != err.Error() {
		err = errors.New(text)
	}
	switch {
	case !connected:
		failure := fault(apiv1.Reason_REASON_UPSTREAM_UNREACHABLE, text, err)
		failure.lasting = lasting
		return failure
	case errors.Is(err, errTooLarge):
		return fault(apiv1.Reason_REASON_UPSTREAM_BODY_TOO_LARGE, text, err)
	case errors.Is(err, errEncoding):
		return fault(apiv1.Reason_REASON_UPSTREAM_BODY_INVALID, text, err)
	case errors.Is(err, io.ErrUnexpectedEOF):
		return fault(apiv1.Reason_REASON_UPSTREAM_TRUNCATED, text, err)
	default:
		return fault(apiv1.Reason_REASON_UPSTREAM_RESET, text, err)
	}
}

// ended returns the error of a context that is done.
func ended(ctx context.Context) *Error {
	switch {
	case errors.Is(context.Cause(ctx), errAttemptTimeout):
		return fault(apiv1.Reason_REASON_UPSTREAM_TIMEOUT, "", errAttemptTimeout)
	case Expired(ctx):
		return fault(apiv1.Reason_REASON_REQUEST_DEADLINE_EXCEEDED, "", context.DeadlineExceeded)
	default:
		return fault(apiv1.Reason_REASON_REQUEST_CANCELLED, "", ctx.Err())
	}
}

// deadlineSlack is how long before its deadline a call may be cancelled and still count as ended by its
// deadline. The deadline of a gRPC call counts from when its headers arrive, so that the caller's own
// deadline is earlier by as long as they took. At its deadline the caller resets the stream, as it does
// to cancel (PROTOCOL-HTTP2.md has no other way), and the reset may arrive first.
const deadlineSlack = 20 * time.Millisecond

// Expired reports whether ctx, the context of a call, is done because its deadline passed, on either side
// of the connection. It must be called as soon as ctx is done.
func Expired(ctx context.Context) bool {
	err := ctx.Err()
	if errors.Is(err, context.Canceled) {
		deadline, ok := ctx.Deadline()
		return ok && time.Until(deadline) <= deadlineSlack
	}
	return err != nil
}
