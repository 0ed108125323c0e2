package service

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"runtime"
	"strconv"
	"strings"
	"time"

	"github.com/grpc-ecosystem/go-grpc-middleware/v2/interceptors/recovery"
	"google.golang.org/genproto/googleapis/rpc/errdetails"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/protoadapt"
	"google.golang.org/protobuf/types/known/anypb"
	"google.golang.org/protobuf/types/known/durationpb"

	apiv1 "samsara.internal/gateway/gen/api/v1"
	"samsara.internal/gateway/internal/endpoint"
	"samsara.internal/gateway/internal/lease"
	"samsara.internal/gateway/upstream"
)

// methodGet is the only HTTP method that is no write.
const methodGet = "GET"

// maxViolationBytes bounds the violations of one error, each of them at most 512 bytes. They go out twice, as
// text (up to three bytes for each) and as details (four for three). Clients accept 8 KiB of metadata by
// default.
const maxViolationBytes = 1 << 10

// maxStackBytes bounds the stack of a panic in the log.
const maxStackBytes = 16 << 10

// internalMessage is all that a caller learns of a fault of the gateway.
const internalMessage = "internal error"

// newError returns a status of the gateway, with an ErrorInfo that has facts, and with further details.
func newError(reason apiv1.Reason, message string, facts upstream.Facts, details ...protoadapt.MessageV1) error {
	s := status.New(upstream.Code(reason), message)
	detailed, err := s.WithDetails(append([]protoadapt.MessageV1{upstream.Info(reason, facts)}, details...)...)
	if err != nil {
		// A detail holds text that is not UTF-8. The code matters more than the detail.
		return s.Err()
	}
	return detailed.Err()
}

// noRoom returns the error of a request for which there was no room in time, or whose call ended before.
func noRoom(err error) error {
	if !errors.Is(err, lease.ErrNoRoom) {
		return err
	}
	return newError(apiv1.Reason_REASON_GATEWAY_MEMORY, "the request: "+err.Error(), nil)
}

// invalidArgument returns the error of an invalid request to an operation. Violations beyond
// maxViolationBytes are only counted.
func invalidArgument(method, template string, violations []endpoint.Violation) error {
	var (
		message strings.Builder
		bad     errdetails.BadRequest
	)
	for i, v := range violations {
		field, description := clip(v.Field, 256), clip(v.Description, 256)
		if i > 0 && message.Len()+len(field)+len(description) > maxViolationBytes {
			fmt.Fprintf(&message, "; and %d more", len(violations)-i)
			break
		}
		if i > 0 {
			message.WriteString("; ")
		}
		message.WriteString(field + ": " + description)
		bad.FieldViolations = append(bad.FieldViolations, &errdetails.BadRequest_FieldViolation{
			Field: field, Description: description,
		})
	}
	facts := upstream.Facts{
		apiv1.ErrorInfoKey_ERROR_INFO_KEY_METHOD: method,
		apiv1.ErrorInfoKey_ERROR_INFO_KEY_PATH:   template,
	}
	if method != methodGet {
		facts[apiv1.ErrorInfoKey_ERROR_INFO_KEY_PROCESSED] = "no"
	}
	return newError(apiv1.Reason_REASON_REQUEST_INVALID_ARGUMENT, message.String(), facts, &bad)
}

// refusal returns the error of a request that could not be bound to the operation of e.
func refusal(e *endpoint.Endpoint, err error) error {
	var refused *endpoint.ArgumentError
	if errors.As(err, &refused) {
		return invalidArgument(e.HTTPMethod, e.Operation.GetPath(), refused.Violations)
	}
	return err
}

// drainDelay is when a client that a stopping server has turned away may call again: as soon as it can have
// found another server.
const drainDelay = time.Second

// draining returns the error of a stream that ends because the server stops.
func draining() error {
	return newError(apiv1.Reason_REASON_GATEWAY_DRAINING, "the server is stopping: go on at another one, from the last cursor",
		nil, &errdetails.RetryInfo{RetryDelay: durationpb.New(drainDelay)})
}

// clip returns s, or its first n bytes and an ellipsis, as valid UTF-8.
func clip(s string, n int) string {
	if len(s) > n {
		s = s[:n] + "..."
	}
	return strings.ToValidUTF8(s, "")
}

// quote returns a value as violations show it.
func quote(s string) string { return strconv.Quote(clip(s, 64)) }

// presenter turns every error into the one that the caller sees.
type presenter struct{ logger *slog.Logger }

// present returns the status that err carries, the code of a context's error, or an Internal that says
// nothing. Such an error is a fault of the gateway, and is logged whole instead.
func (p presenter) present(ctx context.Context, err error) error {
	var carrier interface{ GRPCStatus() *status.Status }
	switch {
	case err == nil:
		return nil
	case errors.As(err, &carrier):
		s := carrier.GRPCStatus()
		if s.Code() == codes.Canceled && len(s.Details()) == 0 { // grpc's own, for a stream that ended
			return over(ctx, context.Canceled)
		}
		// Not err itself: grpc would put the text of an error that wraps the status into the message.
		return s.Err()
	case errors.Is(err, context.Canceled), errors.Is(err, context.DeadlineExceeded):
		return over(ctx, err)
	default:
		p.logger.ErrorContext(ctx, "call failed by a fault of the gateway", methodAttr(ctx), slog.Any("error", err))
		return newError(apiv1.Reason_REASON_GATEWAY_INTERNAL, internalMessage, nil)
	}
}

// ofWrite adds whether the write was processed to its status, unless the status says so. If it does not, the
// write was not sent to Samsara, except that a fault of the gateway leaves that unknown.
func ofWrite(err error) error {
	processed := upstream.KeyText(apiv1.ErrorInfoKey_ERROR_INFO_KEY_PROCESSED)
	return withInfo(status.Convert(err), func(info *errdetails.ErrorInfo) {
		switch {
		case info.Metadata[processed] != "":
		case info.Reason == upstream.ReasonText(apiv1.Reason_REASON_GATEWAY_INTERNAL):
			info.Metadata[processed] = "unknown"
		default:
			info.Metadata[processed] = "no"
		}
	}).Err()
}

// reasonOf returns the reason in the ErrorInfo of an error, empty if it has none.
func reasonOf(err error) string {
	if err == nil {
		return ""
	}
	return infoOf(status.Convert(err)).GetReason()
}

// withInfo returns a status whose ErrorInfo is changed by change. Its metadata is not nil then. A status
// without ErrorInfo, such as grpc's own, remains as it is.
func withInfo(s *status.Status, change func(info *errdetails.ErrorInfo)) *status.Status {
	p := s.Proto()
	for i, detail := range p.GetDetails() {
		info := new(errdetails.ErrorInfo)
		if !detail.MessageIs(info) || detail.UnmarshalTo(info) != nil {
			continue
		}
		if info.Metadata == nil {
			info.Metadata = make(map[string]string, 1)
		}
		change(info)
		if changed, err := anypb.New(info); err == nil { // It fails only for text that is not UTF-8.
			p.Details[i] = changed
		}
	}
	return status.FromProto(p)
}

// over returns the error of a call whose context, or one derived from it, ended with err.
func over(ctx context.Context, err error) error {
	if errors.Is(err, context.DeadlineExceeded) || upstream.Expired(ctx) {
		return newError(apiv1.Reason_REASON_REQUEST_DEADLINE_EXCEEDED, "deadline exceeded", nil)
	}
	return newError(apiv1.Reason_REASON_REQUEST_CANCELLED, "call cancelled", nil)
}

// panicked logs a panic with its stack, and returns the error for the caller, which says nothing of it.
func (p presenter) panicked(ctx context.Context, cause any) error {
	stack := make([]byte, maxStackBytes)
	stack = stack[:runtime.Stack(stack, false)]
	p.logger.ErrorContext(ctx, "call panicked", methodAttr(ctx), slog.Any("panic", cause), slog.String("stack", string(stack)))
	return newError(apiv1.Reason_REASON_GATEWAY_INTERNAL, internalMessage, nil)
}

func (p presenter) recovered() recovery.Option {
	return recovery.WithRecoveryHandlerContext(p.panicked)
}

func methodAttr(ctx context.Context) slog.Attr {
	method, _ := grpc.Method(ctx)
	return slog.String("method", method)
}
