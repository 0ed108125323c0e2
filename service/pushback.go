package service

import (
	"strconv"
	"time"

	"google.golang.org/genproto/googleapis/rpc/errdetails"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/proto"

	apiv1 "samsara.internal/gateway/gen/api/v1"
	"samsara.internal/gateway/upstream"
)

const (
	// noRepeat tells a client's retry policy not to repeat a call.
	noRepeat = "-1"
	// maxPushback is the longest wait that a client's retry policy is told. The policy would wait for any
	// time, whatever its own maximum, and the caller would not know.
	maxPushback = time.Minute
)

// pushback returns what the retry policy of a client is told of a call that failed with s, by gRFC A6: how
// long to wait before it repeats the call, in milliseconds, or noRepeat. A repeat multiplies attempts if the
// gateway has made some, and acts twice if Samsara has acted. So the policy may repeat a call only if it may
// end better later, no attempt was made, and a write was not processed.
//
// The text is empty, which leaves all to the policy, if it may repeat the call and no wait is known, if no
// policy names the code (clients that throttle retries count every noRepeat as a failure), and for grpc's own
// errors.
func pushback(s *status.Status) string {
	switch s.Code() {
	case codes.Unavailable, codes.ResourceExhausted, codes.Aborted, codes.Internal, codes.DeadlineExceeded:
	default:
		return ""
	}
	var info *errdetails.ErrorInfo
	wait, known := time.Duration(0), false
	for _, detail := range s.Details() {
		switch detail := detail.(type) {
		case *errdetails.ErrorInfo:
			info = detail
		case *errdetails.RetryInfo:
			wait, known = detail.GetRetryDelay().AsDuration(), true
		}
	}
	switch {
	case info == nil:
		return ""
	case !mayClientRepeat(info), wait > maxPushback:
		return noRepeat
	case known:
		return strconv.FormatInt((wait + time.Millisecond - 1).Milliseconds(), 10)
	default:
		return ""
	}
}

// mayClientRepeat reports whether a client may repeat a call that failed with info, although the caller would
// not know.
func mayClientRepeat(info *errdetails.ErrorInfo) bool {
	reason := apiv1.Reason(apiv1.Reason_value["REASON_"+info.GetReason()]) // Reasons that are only an HTTP status have had an attempt.
	verdict, _ := proto.GetExtension(reason.Descriptor().Values().ByNumber(reason.Number()).Options(), apiv1.E_Verdict).(*apiv1.Verdict)
	fact := func(key apiv1.ErrorInfoKey) string { return info.GetMetadata()[upstream.KeyText(key)] }
	attempts, processed := fact(apiv1.ErrorInfoKey_ERROR_INFO_KEY_ATTEMPTS), fact(apiv1.ErrorInfoKey_ERROR_INFO_KEY_PROCESSED)
	mayEndBetter := verdict.GetRepeat() == apiv1.Repeat_REPEAT_BY_GATEWAY || verdict.GetRepeat() == apiv1.Repeat_REPEAT_BY_CALLER
	return mayEndBetter && (attempts == "" || attempts == "0") && (processed == "" || processed == "no")
}

// trailer returns what a failed call tells its caller beside the status: the call's own name, the
// pushback, and where in a trace it was.
func (l *logLine) trailer(err error) metadata.MD {
	md := metadata.MD{}
	if l.id != "" {
		md.Set(callIDKey, l.id)
	}
	if text := pushback(status.Convert(err)); text != "" {
		md.Set(pushbackKey, text)
	}
	if at := l.span.Context(); at.Parent != "" {
		md.Set(traceKey, at.Parent)
	}
	return md
}
