package upstream

import (
	"errors"
	"fmt"
	"strconv"
	"strings"
	"time"

	"google.golang.org/genproto/googleapis/rpc/errdetails"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/protoadapt"
	"google.golang.org/protobuf/types/known/durationpb"

	apiv1 "samsara.internal/gateway/gen/api/v1"
	"samsara.internal/gateway/internal/quota"
)

// MaxMessageBytes bounds Error.Message. The message is sent twice, percent-encoded as grpc-message and
// in the details, and then stays below the 8 KiB of headers that gRPC clients in Java and C++ accept.
const MaxMessageBytes = 1 << 10

// maxRequestIDBytes bounds Error.RequestID and Response.RequestID.
const maxRequestIDBytes = 128

// Error is why a request has no response. It never holds the API token, nor the request's query or body.
// A gRPC client sees all of it except Err.
type Error struct {
	Code codes.Code
	// Reason is the reason as errors.proto has it. Code and Domain follow from it.
	Reason apiv1.Reason
	// Domain is DomainSamsara or DomainGateway.
	Domain string
	// Message is the upstream's text or the gateway's, for people. It is one line of valid
	// UTF-8, at most MaxMessageBytes long and never empty.
	Message string
	// HTTPStatus is the status of the response that the error is about; 0 if there is none. The response
	// may have broken off right after its status.
	HTTPStatus int
	// Method and Template are the request's method and the operation's path template.
	Method, Template string
	// Attempts is how many HTTP attempts were made.
	Attempts int
	// RequestID is the upstream's name for the request that the error is about; empty if the upstream
	// gave none.
	RequestID string
	// RetryAfter is how long to wait before calling again. It is set if RetryAfterKnown.
	RetryAfter      time.Duration
	RetryAfterKnown bool
	// Err is the cause; nil if the upstream's status is all there is to know.
	Err error

	// NotRepeated is why the request was not repeated: attempts (there have been as many as may be made),
	// deadline (the wait is too long for it), quota, circuit, retry_budget (each refused it),
	// not_repeatable (it may have been processed), token, certificate (neither has changed) or memory
	// (there is none). It is empty if another attempt would certainly end in the same way.
	NotRepeated string
	// EarlierStatus is the HTTP status of an attempt before the one that the error is about, 0 if that
	// attempt had no response. The attempt is the one that most likely had an effect, or the last of
	// several that are equally likely to have had one. EarlierStatus is set if EarlierStatusKnown: for a
	// write that was repeated and then refused by a 4XX that is not worth a further attempt.
	EarlierStatus      int
	EarlierStatusKnown bool
	// Processed says whether the upstream acted on a request other than a GET: "yes", "no" or "unknown".
	// It is empty for a GET.
	Processed string

	// unsent is whether nothing of the attempt's last HTTP request was sent.
	unsent bool
	// lasting is whether further attempts would end in the same way, although the upstream is unavailable.
	lasting bool
	// hurried is whether there is no further attempt only because the caller does not wait for
	// RetryAfter.
	hurried bool
	// refusedOwn is whether there is no further attempt only because of what the caller has done or waits
	// for.
	refusedOwn bool
	// othersAfter is what RetryAfter would be without that refusal.
	othersAfter time.Duration
	// early is whether there was no attempt, for reasons that concern this request alone.
	early bool
}

func (e *Error) Error() string {
	return fmt.Sprintf("%s %s: %s (attempts: %d): %s", e.Method, e.Template, e.ReasonText(), e.Attempts, e.Message)
}

// ReasonText returns the Reason as an ErrorInfo has it.
func (e *Error) ReasonText() string {
	switch e.Reason {
	case apiv1.Reason_REASON_HTTP_4XX, apiv1.Reason_REASON_HTTP_5XX:
		return "HTTP_" + strconv.Itoa(e.HTTPStatus)
	default:
		return ReasonText(e.Reason)
	}
}

// Unwrap returns the cause.
func (e *Error) Unwrap() error { return e.Err }

// OthersAfter returns how much of RetryAfter holds for other callers too: all of it, except what only
// this caller's own circuit, retry budget or position in the quota's queue asks for.
func (e *Error) OthersAfter() time.Duration {
	if e.refusedOwn {
		return e.othersAfter
	}
	return e.RetryAfter
}

// IsOwn reports whether the error says nothing about the upstream, only about what the caller has done or
// waits for: no attempt was made because of this caller's own circuit or position in the quota's queue.
func (e *Error) IsOwn() bool { return e.early && e.refusedOwn }

// IsBadRequest reports whether the upstream refused the request for what it asks.
func (e *Error) IsBadRequest() bool { return e.Reason == apiv1.Reason_REASON_BAD_REQUEST }

// Facts returns the metadata of the error's ErrorInfo.
func (e *Error) Facts() Facts {
	facts := Facts{
		apiv1.ErrorInfoKey_ERROR_INFO_KEY_METHOD:   e.Method,
		apiv1.ErrorInfoKey_ERROR_INFO_KEY_PATH:     e.Template,
		apiv1.ErrorInfoKey_ERROR_INFO_KEY_ATTEMPTS: strconv.Itoa(e.Attempts),
	}
	if e.HTTPStatus != 0 {
		facts[apiv1.ErrorInfoKey_ERROR_INFO_KEY_HTTP_STATUS] = strconv.Itoa(e.HTTPStatus)
	}
	if e.EarlierStatusKnown {
		facts[apiv1.ErrorInfoKey_ERROR_INFO_KEY_EARLIER_STATUS] = strconv.Itoa(e.EarlierStatus)
	}
	if e.NotRepeated != "" {
		facts[apiv1.ErrorInfoKey_ERROR_INFO_KEY_NOT_REPEATED] = e.NotRepeated
	}
	if e.Processed != "" {
		facts[apiv1.ErrorInfoKey_ERROR_INFO_KEY_PROCESSED] = e.Processed
	}
	return facts
}

// GRPCStatus returns the error as gRPC clients see it: Code and Message with google.rpc.ErrorInfo, with
// RequestInfo if the upstream named the request, with RetryInfo if a wait is known, and with QuotaFailure
// if the gateway's own quota is used up.
func (e *Error) GRPCStatus() *status.Status {
	details := []protoadapt.MessageV1{
		&errdetails.ErrorInfo{Reason: e.ReasonText(), Domain: e.Domain, Metadata: e.Facts().texts()},
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

// quotaFailure returns the budget that the error is about, nil if it is about none.
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

// ReasonText returns a reason as an ErrorInfo has it. For a reason that stands for several statuses it
// returns the pattern, such as HTTP_4XX.
func ReasonText(reason apiv1.Reason) string {
	return strings.TrimPrefix(reason.String(), "REASON_")
}

// Facts are the metadata of an ErrorInfo.
type Facts map[apiv1.ErrorInfoKey]string

// texts returns the facts by the text of their keys.
func (f Facts) texts() map[string]string {
	texts := make(map[string]string, len(f))
	for k, fact := range f {
		texts[KeyText(k)] = fact
	}
	return texts
}

// KeyText returns the text of a key, as errors.proto has it.
func KeyText(key apiv1.ErrorInfoKey) string {
	text, _ := proto.GetExtension(key.Descriptor().Values().ByNumber(key.Number()).Options(), apiv1.E_Key).(string)
	return text
}

// Info returns the ErrorInfo of a reason of the gateway's own.
func Info(reason apiv1.Reason, facts Facts) *errdetails.ErrorInfo {
	return &errdetails.ErrorInfo{Reason: ReasonText(reason), Domain: DomainGateway, Metadata: facts.texts()}
}
