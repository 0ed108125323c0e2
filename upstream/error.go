package upstream

import (
	"errors"
	"fmt"
	"net/http"
	"strconv"
	"time"

	"google.golang.org/genproto/googleapis/rpc/errdetails"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/protoadapt"
	"google.golang.org/protobuf/types/known/durationpb"

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

	// NotRepeated is why the call was not repeated: attempts (there have been as many as may be),
	// deadline (the wait is too long for it), quota, circuit, retry_budget (each refused it),
	// not_repeatable (it may have been processed), token, certificate (neither has changed) or memory
	// (there is none). It is empty if another attempt would end alike for sure.
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
	// refusedOwn is whether there is no further attempt only because of what its caller has done or waits
	// for.
	refusedOwn bool
	// othersAfter is what RetryAfter would be without that refusal.
	othersAfter time.Duration
	// early is whether there was no attempt, for reasons of the call's own.
	early bool
}

func (e *Error) Error() string {
	return fmt.Sprintf("%s %s: %s (attempts: %d): %s", e.Method, e.Template, e.Reason, e.Attempts, e.Message)
}

// Unwrap returns the cause.
func (e *Error) Unwrap() error { return e.Err }

// OthersAfter returns how much of RetryAfter holds for other callers too: all, except what only this one's
// own circuit, retry budget or place in the quota's queue asks for.
func (e *Error) OthersAfter() time.Duration {
	if e.refusedOwn {
		return e.othersAfter
	}
	return e.RetryAfter
}

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
