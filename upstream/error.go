package upstream

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strconv"
	"strings"
	"time"

	"google.golang.org/genproto/googleapis/rpc/errdetails"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/protoadapt"
	"google.golang.org/protobuf/types/known/durationpb"

	"samsara.internal/gateway/internal/lease"
	"samsara.internal/gateway/internal/quota"
)

// MaxMessageBytes bounds Error.Message. Percent-encoded as grpc-message and once more in the
// details it stays below the 8 KiB of headers that gRPC clients in Java and C++ accept.
const MaxMessageBytes = 1 << 10

// maxRequestIDBytes bounds Error.RequestID and Response.RequestID.
const maxRequestIDBytes = 128

// Error is why a call has no response. It never holds the API token, nor the request's query
// or body. What is lost on its way to a gRPC client is Err.
type Error struct {
	Code codes.Code
	// Reason is upper snake case: one of the Reason constants where Domain is DomainGateway,
	// else a name for HTTPStatus.
	Reason string
	// Domain is DomainSamsara or DomainGateway.
	Domain string
	// Message is the upstream's text or the gateway's, for people. It is one line of valid
	// UTF-8, at most MaxMessageBytes long and never empty.
	Message string
	// HTTPStatus is the status of the response that the error is about, 0 where there is none.
	HTTPStatus int
	// Method and Template are those of the call and its operation.
	Method, Template string
	// Attempts is how many HTTP attempts were made.
	Attempts int
	// RequestID is the upstream's name for the request that the error is about, empty where it
	// gave none.
	RequestID string
	// RetryAfter is how long to wait before calling again, where RetryAfterKnown.
	RetryAfter      time.Duration
	RetryAfterKnown bool
	// Err is the cause, nil where the upstream's status is all there is to know.
	Err error

	// NotRepeated is why the call was not repeated, although another attempt might end differently, in
	// lower snake case; empty if it would not. See the package comment.
	NotRepeated string
	// Processed is "yes", "no" or "unknown": whether the upstream acted on a call other than a GET;
	// empty for a GET.
	Processed string

	// unsent is whether nothing of the attempt's last request was sent.
	unsent bool
	// lasting is whether further attempts would end alike, although the upstream is unavailable.
	lasting bool
	// hurried is whether there is no further attempt only because the caller does not wait for
	// RetryAfter.
	hurried bool
	// early is whether there was no attempt, for reasons of the call's own.
	early bool
	// authorized is what the attempt was sent with.
	authorized *authorized
}

func (e *Error) Error() string {
	return fmt.Sprintf("%s %s: %s (attempts: %d): %s", e.Method, e.Template, e.Reason, e.Attempts, e.Message)
}

// Unwrap returns the cause.
func (e *Error) Unwrap() error { return e.Err }

// IsBadRequest reports whether the upstream refused the request for what it asks.
func (e *Error) IsBadRequest() bool { return e.HTTPStatus == http.StatusBadRequest }

// GRPCStatus returns the error as gRPC clients see it: Code and Message with google.rpc.ErrorInfo,
// with RequestInfo where the upstream named the request, with RetryInfo where a wait is known, and
// with QuotaFailure where the gateway's own quota is used up.
func (e *Error) GRPCStatus() *status.Status {
	metadata := map[string]string{
		"method":   e.Method,
		"path":     e.Template,
		"attempts": strconv.Itoa(e.Attempts),
	}
	if e.HTTPStatus != 0 {
		metadata["http_status"] = strconv.Itoa(e.HTTPStatus)
	}
	if e.NotRepeated != "" {
		metadata["not_repeated"] = e.NotRepeated
	}
	if e.Processed != "" {
		metadata["processed"] = e.Processed
	}
	details := []protoadapt.MessageV1{
		&errdetails.ErrorInfo{Reason: e.Reason, Domain: e.Domain, Metadata: metadata},
	}
	if e.RequestID != "" {
		details = append(details, &errdetails.RequestInfo{RequestId: e.RequestID})
	}
	if e.RetryAfterKnown {
		details = append(details, &errdetails.RetryInfo{RetryDelay: durationpb.New(e.RetryAfter)})
	}
	if exceeded := e.quotaFailure(); exceeded != nil {
		details = append(details, exceeded)
	}
	st := status.New(e.Code, e.Message)
	detailed, err := st.WithDetails(details...)
	if err != nil { // a field that is not UTF-8, or a code that has no details
		return st
	}
	return detailed
}

// refused makes the error of a response that is not 2XX. Its status is the verdict, so its
// body may be cut short or unreadable, and is not waited for long.
func refused(ctx context.Context, from *bodies, token string, by *lease.Holder, resp *http.Response) *Error {
	body := newErrorBody(by)
	defer body.drop()
	defer hurry(resp)()
	_ = from.read(ctx, &body, resp, maxErrorBodyBytes)
	message, id := readErrorBody(body.bytes)
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

// quotaFailure names the budget that an error is about, or is nil.
func (e *Error) quotaFailure() *errdetails.QuotaFailure {
	var refused *quota.RefusedError
	if !errors.As(e.Err, &refused) {
		return nil
	}
	return &errdetails.QuotaFailure{Violations: []*errdetails.QuotaFailure_Violation{{
		Subject:     refused.Budget,
		Description: "limit: " + refused.Limit.String(),
	}}}
}

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

// Why there is no further attempt, as NotRepeated has it.
const (
	notCertificate = "certificate"
	notCircuit     = "circuit"
	notDeadline    = "deadline"
	notAttempts    = "attempts"
	notMemory      = "memory"
	notQuota       = "quota"
	notRepeatable  = "not_repeatable"
	notRetryBudget = "retry_budget"
	notToken       = "token"
	// notWanted is for who has gone.
	notWanted = "cancelled"
)

// refusal is why there is no (further) attempt. It is no verdict: what the upstream or the network said
// before stays what the caller is told. Only retry makes anything of it.
type refusal struct {
	// reason is empty if there is nothing to repeat.
	reason string
	// wait is how long to wait before calling again, if known.
	wait  time.Duration
	known bool
	// err is the cause.
	err error
	// begun is whether the attempt had begun, though nothing was sent.
	begun bool
}

// conclude is what the caller is told: the verdict that there is, why it was not repeated, and when to
// call again; without a verdict the refusal itself.
func (r *refusal) conclude(said *Error) *Error {
	var paused *quota.RefusedError
	switch {
	case r.reason == notWanted:
		return fault(ReasonCancelled, "", r.err)
	case said != nil:
		said.NotRepeated = r.reason
		said.hurried = r.reason == notDeadline || r.reason == notQuota
		said.RetryAfter = max(said.RetryAfter, r.wait)
		said.RetryAfterKnown = said.RetryAfterKnown || r.known
		return said
	case r.reason == notDeadline:
		said = fault(ReasonDeadlineExceeded, "", r.err)
	case r.reason == notCircuit:
		said = fault(ReasonCircuitOpen, "", nil)
	case errors.As(r.err, &paused) && paused.Paused:
		said = &Error{HTTPStatus: http.StatusTooManyRequests, Message: bounded(oneLine(
			"the upstream answered 429 to others: "+strings.TrimPrefix(r.err.Error(), "quota: ")), MaxMessageBytes), Err: r.err}
		said.Code, said.Reason, said.Domain = verdict(http.StatusTooManyRequests)
	default:
		said = fault(ReasonGatewayQuota, strings.TrimPrefix(r.err.Error(), "quota: "), r.err)
	}
	said.RetryAfter, said.RetryAfterKnown, said.early = r.wait, r.known, true
	return said
}

// circuitRefusal is that of a circuit which lets nothing through for so long.
func circuitRefusal(wait time.Duration) *refusal {
	return &refusal{reason: notCircuit, wait: wait, known: true}
}

// overRefusal is that of a context which is done.
func overRefusal(ctx context.Context) *refusal {
	if Expired(ctx) {
		return &refusal{reason: notDeadline, err: context.DeadlineExceeded}
	}
	return &refusal{reason: notWanted, err: ctx.Err()}
}

// quotaRefusal is that of a quota which does not admit an attempt.
func quotaRefusal(ctx context.Context, err error) *refusal {
	if ctx.Err() != nil {
		return overRefusal(ctx)
	}
	r := &refusal{reason: notQuota, err: err}
	var refused *quota.RefusedError
	if errors.As(err, &refused) {
		r.wait, r.known = refused.Wait, true
	}
	return r
}
