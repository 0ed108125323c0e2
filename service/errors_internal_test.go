package service

import (
	"testing"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	apiv1 "samsara.internal/gateway/gen/api/v1"
	"samsara.internal/gateway/upstream"
)

func TestNewError_invalidDetails(t *testing.T) {
	t.Parallel()
	got := status.Convert(newError(apiv1.Reason_REASON_GATEWAY_DRAINING, "message", upstream.Facts{apiv1.ErrorInfoKey_ERROR_INFO_KEY_PATH: "\xff"}))
	if got.Code() != codes.Unavailable || got.Message() != "message" || len(got.Details()) != 0 {
		t.Errorf("error is %v with details %v, want Unavailable and message without details", got, got.Details())
	}
}
