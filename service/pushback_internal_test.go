package service

import (
	"testing"
	"time"

	"google.golang.org/genproto/googleapis/rpc/errdetails"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/protoadapt"
	"google.golang.org/protobuf/types/known/durationpb"
)

// TestPushback_whatMayBeRepeated has what a client's retry policy is told of errors. A negative wait is none.
func TestPushback_whatMayBeRepeated(t *testing.T) {
	t.Parallel()
	for _, test := range []struct {
		name     string
		code     codes.Code
		reason   string // empty: no ErrorInfo
		metadata map[string]string
		wait     time.Duration
		want     string
	}{
		{"nothing was asked", codes.Unavailable, "UPSTREAM_CIRCUIT_OPEN", map[string]string{"attempts": "0"}, 4999999 * time.Nanosecond, "5"},
		{"nothing was asked, and no wait is known", codes.ResourceExhausted, "GATEWAY_MEMORY", nil, -1, ""},
		{"a write that was not sent", codes.ResourceExhausted, "GATEWAY_TOO_MANY_CALLS", map[string]string{"processed": "no"}, 1500 * time.Millisecond, "1500"},
		{"a write that may have been sent", codes.ResourceExhausted, "GATEWAY_MEMORY", map[string]string{"processed": "unknown"}, -1, "-1"},
		{"others have been told to wait", codes.ResourceExhausted, "RATE_LIMITED", map[string]string{"attempts": "0"}, time.Minute, "60000"},
		{"a wait that is too long", codes.ResourceExhausted, "RATE_LIMITED", map[string]string{"attempts": "0"}, time.Minute + 1, "-1"},
		{"the gateway has repeated it", codes.Unavailable, "BAD_GATEWAY", map[string]string{"attempts": "4"}, -1, "-1"},
		{"one attempt of a gateway that repeats none", codes.Unavailable, "SERVICE_UNAVAILABLE", map[string]string{"attempts": "1"}, time.Second, "-1"},
		{"a status that has no reason of its own", codes.Unavailable, "HTTP_520", map[string]string{"attempts": "4"}, -1, "-1"},
		{"it would end alike", codes.Internal, "GATEWAY_INTERNAL", nil, -1, "-1"},
		{"a code that no policy names", codes.InvalidArgument, "BAD_REQUEST", map[string]string{"attempts": "1"}, -1, ""},
		{"an error of grpc's own", codes.Unavailable, "", nil, -1, ""},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			var details []protoadapt.MessageV1
			if test.reason != "" {
				details = append(details, &errdetails.ErrorInfo{Reason: test.reason, Metadata: test.metadata})
			}
			if test.wait >= 0 {
				details = append(details, &errdetails.RetryInfo{RetryDelay: durationpb.New(test.wait)})
			}
			s := status.New(test.code, "no")
			if len(details) > 0 {
				var err error
				if s, err = s.WithDetails(details...); err != nil {
					t.Fatal(err)
				}
			}
			if got := pushback(s); got != test.want {
				t.Errorf("got %q, want %q", got, test.want)
			}
		})
	}
}
