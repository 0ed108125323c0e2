package upstream

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strconv"
	"time"

	"google.golang.org/grpc/codes"

	"samsara.internal/gateway/internal/lease"
)

// The domains of an Error: who gave the verdict.
const (
	// DomainSamsara marks a verdict that the upstream gave by a 4XX or 5XX status.
	DomainSamsara = "samsara.com"
	// DomainGateway marks a verdict of the gateway's own.
	DomainGateway = "gateway.samsara.internal"
)

// The reasons of errors in DomainGateway.
const (
	// ReasonUnreachable means that no connection was made: name, dial, TLS or proxy failed.
	ReasonUnreachable = "UPSTREAM_UNREACHABLE"
	// ReasonReset means that the connection broke, or did not speak HTTP.
	ReasonReset = "UPSTREAM_RESET"
	// ReasonTruncated means that a response ended before its announced end.
	ReasonTruncated = "UPSTREAM_TRUNCATED"
	// ReasonTimeout means that an attempt took longer than Config.AttemptTimeout.
	ReasonTimeout = "UPSTREAM_TIMEOUT"
	// ReasonCircuitOpen means that no attempt was made because too many had failed.
	ReasonCircuitOpen = "UPSTREAM_CIRCUIT_OPEN"
	// ReasonBodyInvalid means that a 2XX body is missing, or is not the JSON it should be.
	ReasonBodyInvalid = "UPSTREAM_BODY_INVALID"
	// ReasonBodyTooLarge means that a 2XX body is larger than Config.MaxResponseBytes.
	ReasonBodyTooLarge = "UPSTREAM_BODY_TOO_LARGE"
	// ReasonMemoryInFlight means that there was no room for a 2XX body within the caller's
	// deadline: other responses hold Config.MaxInFlightBytes.
	ReasonMemoryInFlight = "MEMORY_IN_FLIGHT"
	// ReasonGatewayQuota means that an attempt would have waited too long for the quota, or that
	// too many wait already. The upstream's own 429 is RATE_LIMITED.
	ReasonGatewayQuota = "GATEWAY_QUOTA"
	// ReasonErrorInBody means that a 2XX body is an error object and nothing else.
	ReasonErrorInBody = "UPSTREAM_ERROR_IN_BODY"
	// ReasonUnexpectedStatus means a status that is neither 2XX, 4XX nor 5XX, such as a
	// redirect that is not followed.
	ReasonUnexpectedStatus = "UPSTREAM_UNEXPECTED_STATUS"
	// ReasonDeadlineExceeded means that the caller's deadline passed.
	ReasonDeadlineExceeded = "DEADLINE_EXCEEDED"
	// ReasonCancelled means that the caller cancelled.
	ReasonCancelled = "CANCELLED"
	// ReasonRequestInvalid means that a Call breaks the rules stated at its fields.
	ReasonRequestInvalid = "REQUEST_INVALID"
)

// verdict maps an HTTP status other than 2XX onto a code, a reason and a domain. It is total.
func verdict(status int) (code codes.Code, reason, domain string) {
	switch status {
	case http.StatusBadRequest:
		return codes.InvalidArgument, "BAD_REQUEST", DomainSamsara
	case http.StatusUnauthorized:
		return codes.Unauthenticated, "UNAUTHORIZED", DomainSamsara
	case http.StatusForbidden:
		return codes.PermissionDenied, "FORBIDDEN", DomainSamsara
	case http.StatusNotFound:
		return codes.NotFound, "NOT_FOUND", DomainSamsara
	case http.StatusMethodNotAllowed:
		return codes.Unimplemented, "METHOD_NOT_ALLOWED", DomainSamsara
	case http.StatusRequestTimeout:
		return codes.Unavailable, "REQUEST_TIMEOUT", DomainSamsara
	case http.StatusConflict:
		return codes.Aborted, "CONFLICT", DomainSamsara
	case http.StatusGone:
		return codes.NotFound, "GONE", DomainSamsara
	case http.StatusPreconditionFailed:
		return codes.FailedPrecondition, "PRECONDITION_FAILED", DomainSamsara
	case http.StatusRequestEntityTooLarge:
		return codes.InvalidArgument, "PAYLOAD_TOO_LARGE", DomainSamsara
	case http.StatusUnprocessableEntity:
		return codes.InvalidArgument, "UNPROCESSABLE", DomainSamsara
	case http.StatusTooManyRequests:
		return codes.ResourceExhausted, "RATE_LIMITED", DomainSamsara
	case http.StatusInternalServerError:
		return codes.Unavailable, "INTERNAL_SERVER_ERROR", DomainSamsara
	case http.StatusNotImplemented:
		return codes.Unavailable, "NOT_IMPLEMENTED", DomainSamsara
	case http.StatusBadGateway:
		return codes.Unavailable, "BAD_GATEWAY", DomainSamsara
	case http.StatusServiceUnavailable:
		return codes.Unavailable, "SERVICE_UNAVAILABLE", DomainSamsara
	case http.StatusGatewayTimeout:
		return codes.Unavailable, "GATEWAY_TIMEOUT", DomainSamsara
	}
	switch status / 100 {
	case 4:
		return codes.InvalidArgument, "HTTP_" + strconv.Itoa(status), DomainSamsara
	case 5:
		return codes.Unavailable, "HTTP_" + strconv.Itoa(status), DomainSamsara
	default:
		return codes.Internal, ReasonUnexpectedStatus, DomainGateway
	}
}

// faultCode maps a reason of the gateway's own onto a code.
func faultCode(reason string) codes.Code {
	switch reason {
	case ReasonUnreachable, ReasonReset, ReasonTruncated, ReasonTimeout, ReasonCircuitOpen:
		return codes.Unavailable
	case ReasonBodyTooLarge, ReasonMemoryInFlight, ReasonGatewayQuota:
		return codes.ResourceExhausted
	case ReasonDeadlineExceeded:
		return codes.DeadlineExceeded
	case ReasonCancelled:
		return codes.Canceled
	default:
		return codes.Internal
	}
}

// transient reports whether another attempt could end differently: the upstream was
// unavailable, or asked for patience.
func (e *Error) transient() bool {
	switch {
	case e.HTTPStatus == http.StatusTooManyRequests:
		return true
	case e.Reason == ReasonCircuitOpen: // no attempt was made
		return false
	default:
		return e.Code == codes.Unavailable
	}
}

// ownAffair reports whether the error is about the call alone, not about what it asks: how long
// its caller waits, and its place among others who wait.
func (e *Error) ownAffair() bool {
	if e.early {
		return true
	}
	switch e.Reason {
	case ReasonCancelled, ReasonDeadlineExceeded, ReasonMemoryInFlight, ReasonGatewayQuota:
		return true
	default:
		return false
	}
}

// unprocessed reports whether the upstream certainly did not act on the attempt: there was no
// connection to send it on, or it was turned away by 429 or 503.
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

// effect is what attempts have done at the upstream. The greater one holds for several.
type effect int

const (
	// effectNone is that of what was not sent, or refused before it was processed.
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

// processed returns the Error's Processed.
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

// Why there is no whole response of use. errAttemptTimeout tells the end of an attempt from the end of its
// caller's context.
var (
	errEncoding       = errors.New("Content-Encoding")
	errTooLarge       = errors.New("body exceeds its limit")
	errAttemptTimeout = errors.New("attempt timed out")
)

// fault returns an error of the gateway's own. The detail is for people and may be empty.
func fault(reason, detail string, cause error) *Error {
	message := explain(reason)
	if detail != "" {
		message += ": " + detail
	}
	return &Error{
		Code:    faultCode(reason),
		Reason:  reason,
		Domain:  DomainGateway,
		Message: bounded(oneLine(message), MaxMessageBytes),
		Err:     cause,
	}
}

// explain says in words what a reason of the gateway's own means.
func explain(reason string) string {
	switch reason {
	case ReasonUnreachable:
		return "no connection to the upstream"
	case ReasonReset:
		return "the connection to the upstream broke"
	case ReasonTruncated:
		return "the upstream's response ended early"
	case ReasonTimeout:
		return "the upstream did not answer in time"
	case ReasonCircuitOpen:
		return "the upstream fails too often to be asked now"
	case ReasonBodyInvalid:
		return "the upstream's response body is not what the operation returns"
	case ReasonBodyTooLarge:
		return "the upstream's response body is too large"
	case ReasonMemoryInFlight:
		return "the gateway has no memory left for the upstream's response"
	case ReasonGatewayQuota:
		return "the gateway's quota for the upstream is used up"
	case ReasonErrorInBody:
		return "the upstream answered success with an error for a body"
	case ReasonDeadlineExceeded:
		return "the caller's deadline passed"
	case ReasonCancelled:
		return "the caller cancelled"
	case ReasonRequestInvalid:
		return "the request cannot be sent"
	default:
		return "unexpected response"
	}
}

// statusError makes the error of a response that is not 2XX, of what there is of its body.
func statusError(token string, resp *http.Response, body []byte) *Error {
	message, id := readErrorBody(body)
	failure := &Error{HTTPStatus: resp.StatusCode, RequestID: bounded(scrub(id, token), maxRequestIDBytes)}
	failure.Code, failure.Reason, failure.Domain = verdict(resp.StatusCode)
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

// requestID returns the upstream's name for a request from the response's header.
func requestID(token string, header http.Header) string {
	id := header.Get("Request-Id")
	if id == "" {
		id = header.Get("X-Request-Id")
	}
	if id == "" {
		return ""
	}
	return bounded(scrub(oneLine(id), token), maxRequestIDBytes)
}

// interrupted makes the error of an attempt that has no whole response.
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
		return fault(ReasonMemoryInFlight, err.Error(), err)
	}
	var untrusted *tls.CertificateVerificationError
	lasting := errors.As(err, &untrusted)
	text := scrub(err.Error(), token)
	if text != err.Error() {
		err = errors.New(text)
	}
	switch {
	case !connected:
		failure := fault(ReasonUnreachable, text, err)
		failure.lasting = lasting
		return failure
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

// deadlineSlack is how long before its deadline a call may end by cancellation and still have ended
// for its deadline. The deadline of a gRPC call is a time from when its headers came, so that the
// caller's own clock is ahead of it by as long as they were under way. At its deadline the caller
// resets the stream, as it does to cancel (PROTOCOL-HTTP2.md knows no other way), and that may
// arrive first.
const deadlineSlack = 20 * time.Millisecond

// Expired reports whether ctx, the context of a call, is done because its deadline passed, whoever
// noticed first. It is for use as soon as ctx is done.
func Expired(ctx context.Context) bool {
	err := ctx.Err()
	if errors.Is(err, context.Canceled) {
		deadline, ok := ctx.Deadline()
		return ok && time.Until(deadline) <= deadlineSlack
	}
	return err != nil
}
