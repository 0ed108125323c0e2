package service

import (
	"context"
	"log/slog"
	"strings"
	"time"

	"google.golang.org/genproto/googleapis/rpc/errdetails"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	apiv1 "samsara.internal/gateway/gen/api/v1"
	"samsara.internal/gateway/internal/audit"
	"samsara.internal/gateway/upstream"
)

// record keeps a record of a call that ended with err, if it writes or was denied. writes is whether it does.
func (e *edge) record(ctx context.Context, line *logLine, writes bool, err error) {
	if e.audit == nil {
		return
	}
	s := status.Convert(err)
	info := infoOf(s)
	if !writes && !isDenied(info.GetReason()) {
		return
	}
	fact := func(key apiv1.ErrorInfoKey) string { return info.GetMetadata()[upstream.KeyText(key)] }
	r := recordOf(line, audit.Ended)
	r.Code, r.Reason, r.HTTPStatus = s.Code().String(), info.GetReason(), fact(apiv1.ErrorInfoKey_ERROR_INFO_KEY_HTTP_STATUS)
	r.Processed, r.RequestID = fact(apiv1.ErrorInfoKey_ERROR_INFO_KEY_PROCESSED), line.upstreamID
	r.Rule, r.Duration = fact(apiv1.ErrorInfoKey_ERROR_INFO_KEY_RULE), time.Since(line.start)
	if writes && s.Code() == codes.OK {
		r.Processed = "yes"
	}
	if err := e.audit.Write(r); err != nil { // The auditor counts it.
		e.logger.LogAttrs(ctx, slog.LevelError, "audit line not written", slog.String("method", r.Method), slog.Any("error", err))
	}
}

// recordOf returns what a record says of a call at every stage.
func recordOf(line *logLine, stage audit.Stage) audit.Record {
	r := audit.Record{
		Stage: stage, Organization: line.access.organization, Caller: line.caller,
		Method: strings.TrimPrefix(line.method, "/"), HTTPMethod: line.httpMethod, Path: line.path,
	}
	if line.access.caller != nil {
		r.Identity = describe(line.access.caller.who.Principal)
	}
	return r
}

// isDenied reports whether a call with this reason was refused because of its caller.
func isDenied(reason string) bool {
	switch reason {
	case upstream.ReasonText(apiv1.Reason_REASON_REQUEST_DENIED), upstream.ReasonText(apiv1.Reason_REASON_REQUEST_PROOF_MISSING),
		upstream.ReasonText(apiv1.Reason_REASON_REQUEST_PROOF_INVALID), upstream.ReasonText(apiv1.Reason_REASON_REQUEST_PROOF_EXPIRED):
		return true
	default:
		return false
	}
}

// infoOf returns the ErrorInfo of a status, nil if it has none.
func infoOf(s *status.Status) *errdetails.ErrorInfo {
	for _, detail := range s.Details() {
		if info, ok := detail.(*errdetails.ErrorInfo); ok {
			return info
		}
	}
	return nil
}

// recordBegun keeps a record of a write before Samsara is asked, if no write may be without one. The error says that it
// could not be kept.
func (h *handler) recordBegun(line *logLine) error {
	if h.required == nil {
		return nil
	}
	if err := h.required.Write(recordOf(line, audit.Begun)); err != nil { // The auditor counts it.
		return newError(apiv1.Reason_REASON_GATEWAY_AUDIT, "the audit log cannot be written, and nothing is written to Samsara meanwhile", nil)
	}
	return nil
}
