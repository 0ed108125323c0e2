package explain

import (
	"net/http"
	"strings"

	"samsara.internal/gateway/internal/catalog"
	"samsara.internal/gateway/upstream"
)

// repeat says who may repeat a call that ended with a reason.
type repeat int

const (
	repeatNo repeat = iota
	repeatByGateway
	repeatByCaller
)

// knownReason is what holds for every error of a reason.
type knownReason struct {
	name, domain, code string
	repeat             repeat
	// status is the HTTP status that it is about, 0 if it is about none or several.
	status int
}

// knownReasons returns all that there are.
func knownReasons() []knownReason {
	const samsara, gateway = upstream.DomainSamsara, upstream.DomainGateway
	return []knownReason{
		{upstream.ReasonUnreachable, gateway, "UNAVAILABLE", repeatByGateway, 0},
		{upstream.ReasonReset, gateway, "UNAVAILABLE", repeatByGateway, 0},
		{upstream.ReasonTruncated, gateway, "UNAVAILABLE", repeatByGateway, 0},
		{upstream.ReasonTimeout, gateway, "UNAVAILABLE", repeatByGateway, 0},
		{upstream.ReasonCircuitOpen, gateway, "UNAVAILABLE", repeatByCaller, 0},
		{upstream.ReasonBodyInvalid, gateway, "INTERNAL", repeatNo, 0},
		{upstream.ReasonBodyTooLarge, gateway, "RESOURCE_EXHAUSTED", repeatNo, 0},
		{upstream.ReasonErrorInBody, gateway, "INTERNAL", repeatNo, 0},
		{upstream.ReasonUnexpectedStatus, gateway, "INTERNAL", repeatNo, 0},
		{upstream.ReasonMemoryInFlight, gateway, "RESOURCE_EXHAUSTED", repeatByCaller, 0},
		{upstream.ReasonGatewayQuota, gateway, "RESOURCE_EXHAUSTED", repeatByCaller, 0},
		{upstream.ReasonDeadlineExceeded, gateway, "DEADLINE_EXCEEDED", repeatNo, 0},
		{upstream.ReasonCancelled, gateway, "CANCELLED", repeatNo, 0},
		{upstream.ReasonRequestInvalid, gateway, "INTERNAL", repeatNo, 0},
		// Those of package service.
		{"INVALID_ARGUMENT", gateway, "INVALID_ARGUMENT", repeatNo, 0},
		{"INTERNAL", gateway, "INTERNAL", repeatNo, 0},
		{"PANIC", gateway, "INTERNAL", repeatNo, 0},
		{"CURSOR_REJECTED", gateway, "INVALID_ARGUMENT", repeatNo, 0},
		{"PAGINATION_INVALID", gateway, "INTERNAL", repeatNo, 0},
		{"DRAINING", gateway, "UNAVAILABLE", repeatByCaller, 0},
		{"METHOD_UNKNOWN", gateway, "UNIMPLEMENTED", repeatNo, 0},
		{"TOO_MANY_CALLS", gateway, "RESOURCE_EXHAUSTED", repeatByCaller, 0},
		// Samsara's.
		{"BAD_REQUEST", samsara, "INVALID_ARGUMENT", repeatNo, http.StatusBadRequest},
		{"UNAUTHORIZED", samsara, "UNAUTHENTICATED", repeatNo, http.StatusUnauthorized},
		{"FORBIDDEN", samsara, "PERMISSION_DENIED", repeatNo, http.StatusForbidden},
		{"NOT_FOUND", samsara, "NOT_FOUND", repeatNo, http.StatusNotFound},
		{"METHOD_NOT_ALLOWED", samsara, "UNIMPLEMENTED", repeatNo, http.StatusMethodNotAllowed},
		{"REQUEST_TIMEOUT", samsara, "UNAVAILABLE", repeatByGateway, http.StatusRequestTimeout},
		{"CONFLICT", samsara, "ABORTED", repeatNo, http.StatusConflict},
		{"GONE", samsara, "NOT_FOUND", repeatNo, http.StatusGone},
		{"PRECONDITION_FAILED", samsara, "FAILED_PRECONDITION", repeatNo, http.StatusPreconditionFailed},
		{"PAYLOAD_TOO_LARGE", samsara, "INVALID_ARGUMENT", repeatNo, http.StatusRequestEntityTooLarge},
		{"UNPROCESSABLE", samsara, "INVALID_ARGUMENT", repeatNo, http.StatusUnprocessableEntity},
		{"RATE_LIMITED", samsara, "RESOURCE_EXHAUSTED", repeatByGateway, http.StatusTooManyRequests},
		{"HTTP_4XX", samsara, "INVALID_ARGUMENT", repeatNo, 0},
		{"INTERNAL_SERVER_ERROR", samsara, "UNAVAILABLE", repeatByGateway, http.StatusInternalServerError},
		{"NOT_IMPLEMENTED", samsara, "UNAVAILABLE", repeatByGateway, http.StatusNotImplemented},
		{"BAD_GATEWAY", samsara, "UNAVAILABLE", repeatByGateway, http.StatusBadGateway},
		{"SERVICE_UNAVAILABLE", samsara, "UNAVAILABLE", repeatByGateway, http.StatusServiceUnavailable},
		{"GATEWAY_TIMEOUT", samsara, "UNAVAILABLE", repeatByGateway, http.StatusGatewayTimeout},
		{"HTTP_5XX", samsara, "UNAVAILABLE", repeatByGateway, 0},
	}
}

// reasons returns those that a call can end with.
func reasons(m catalog.Method, p upstream.Preview, quota bool) []Reason {
	noBody := !m.HasResponse || m.Operation.GetSuccessStatus() == http.StatusNoContent
	var all []Reason
	for _, k := range knownReasons() {
		ends := func(suffix string) bool { return strings.HasSuffix(k.name, suffix) }
		switch {
		case ends("METHOD_UNKNOWN"),
			m.Stream == nil && (ends("CURSOR_REJECTED") || ends("PAGINATION_INVALID") || ends("DRAINING")),
			!quota && ends("GATEWAY_QUOTA"),
			noBody && strings.Contains(k.name, "_BODY"):
			continue
		}
		all = append(all, Reason{
			Code: k.code, Reason: k.name, Domain: k.domain, Repeated: repeated(k, p),
			// As package service has it: these are its own, or remain so.
			Outlasted: m.Stream != nil && m.Stream.Follow && (k.code == "UNAVAILABLE" || k.code == "RESOURCE_EXHAUSTED") &&
				!ends("DRAINING") && !ends("TOO_MANY_CALLS") && !ends("BODY_TOO_LARGE"),
		})
	}
	return all
}

// repeated reports whether the gateway repeats a call before it ends with a reason.
func repeated(k knownReason, p upstream.Preview) bool {
	switch {
	case k.repeat != repeatByGateway:
		return false
	case k.status != 0:
		return p.Repeats(k.status)
	case strings.HasSuffix(k.name, "UNREACHABLE"):
		return p.Repeats(0)
	default:
		return p.Repeatable && p.Retry.MaxAttempts > 1
	}
}
