package service

import (
	"time"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"samsara.internal/gateway/upstream"
)

// Finished is what is known of a call that has ended. Texts and numbers that are not known are empty or 0.
type Finished struct {
	// Method is the full method, or /unknown/unknown. Caller is what the policy calls who calls.
	Method, Caller, Organization string
	Code                         codes.Code
	// Reason is that of the ErrorInfo.
	Reason string
	// HTTPStatus is the status of the last attempt, and Attempts how many there were.
	HTTPStatus, Attempts int
	// UpstreamID is Samsara's name of the last attempt, ID the call's own, by x-request-id, and TraceID that of the trace
	// that it belongs to.
	UpstreamID, ID, TraceID string
	Start                   time.Time
	// Deadline is how much time the call had when it came.
	Duration, Deadline time.Duration
	// Spent is where a unary call took its time. FirstPage is when a stream of pages sent its first message.
	Spent     upstream.Spent
	FirstPage time.Duration
	// ResponseBytes are those of the messages of operations, before compression.
	ResponseBytes, Pages, Items int64
	// Source is where the answer to a unary call came from.
	Source          upstream.AnswerSource
	Stream, Refused bool
	// Sampled is whether there are spans of the call, in the trace of TraceID.
	Sampled bool
}

// finished returns what is known of the call, which ended with err.
func (l *logLine) finished(err error) Finished {
	f := Finished{
		Method: l.method, Caller: l.policyName(), Organization: l.access.organization, Code: status.Code(err), Reason: reasonOf(err),
		HTTPStatus: l.httpStatus, Attempts: l.attempts, UpstreamID: l.upstreamID, ID: l.id, TraceID: l.traceID,
		Start: l.start, Duration: time.Since(l.start), Spent: l.spent, ResponseBytes: l.responseBytes, Pages: l.pages, Items: l.items,
		Source: l.source, Stream: l.stream != nil, Refused: l.refused, Sampled: l.span.IsSampled(),
	}
	if !l.deadline.IsZero() {
		f.Deadline = l.deadline.Sub(l.start)
	}
	if !l.firstPage.IsZero() {
		f.FirstPage = l.firstPage.Sub(l.start)
	}
	return f
}

// policyName returns what the policy calls the caller, empty if it is not known.
func (l *logLine) policyName() string {
	if c := l.access.caller; c != nil && c.grant != nil {
		return c.grant.Name()
	}
	return ""
}
