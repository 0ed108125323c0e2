package service

import (
	"context"
	"time"

	"google.golang.org/grpc/codes"

	"samsara.internal/gateway/upstream"
)

// Finished is what is known of a call that has ended.
type Finished struct {
	Method, Caller, Organization                         string // full method or unknownName; the policy's name of who calls; "" if not known
	Code                                                 codes.Code
	Reason                                               string
	HTTPStatus, Attempts                                 int
	RequestID, OwnRequestID, TraceID                     string
	Start                                                time.Time
	Duration, Deadline, QuotaWait, Upstream, Translation time.Duration
	RequestBytes, ResponseBytes, Pages, Items            int64
	Source                                               upstream.AnswerSource
	Stream, Refused                                      bool
}

// finished tells of a call that has ended with err.
func (l *logLine) finished(ctx context.Context, code codes.Code, duration time.Duration) {
	if l.told == nil {
		return
	}
	f := Finished{
		Method: l.method, Caller: l.policyName(), Organization: l.access.organization, Code: code,
		Start: l.start, Duration: duration, Stream: l.stream != nil, Refused: l.refused,
	}
	l.told(ctx, &f)
}

// policyName returns what the policy calls the caller, empty if it is not known.
func (l *logLine) policyName() string {
	if c := l.access.caller; c != nil && c.grant != nil {
		return c.grant.Name()
	}
	return ""
}
