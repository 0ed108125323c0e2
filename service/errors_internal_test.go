package service

import (
	"testing"

	"google.golang.org/genproto/googleapis/rpc/errdetails"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
)

func TestErrorWhoseDetailsCannotBeSentKeepsCodeAndMessage(t *testing.T) {
	t.Parallel()
	got := status.Convert(newError(codes.Aborted, "message", &errdetails.ErrorInfo{Reason: "\xff"}))
	if got.Code() != codes.Aborted || got.Message() != "message" || len(got.Details()) != 0 {
		t.Errorf("error is %v with details %v, want Aborted and message without details", got, got.Details())
	}
}
