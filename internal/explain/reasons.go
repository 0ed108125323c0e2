package explain

import (
	"net/http"

	"google.golang.org/protobuf/proto"

	apiv1 "samsara.internal/gateway/gen/api/v1"
	"samsara.internal/gateway/internal/catalog"
	"samsara.internal/gateway/upstream"
)

// reasons returns the reasons that a call can end with, in the order of errors.proto.
func reasons(m catalog.Method, p upstream.Preview, quota bool) []Reason {
	noBody := !m.HasResponse || m.Operation.GetSuccessStatus() == http.StatusNoContent
	var all []Reason
	values := apiv1.Reason(0).Descriptor().Values()
	for i := range values.Len() {
		reason := apiv1.Reason(values.Get(i).Number())
		switch reason {
		case apiv1.Reason_REASON_UNSPECIFIED, apiv1.Reason_REASON_REQUEST_METHOD_UNKNOWN:
			continue
		case apiv1.Reason_REASON_UPSTREAM_CURSOR_REJECTED,
			apiv1.Reason_REASON_UPSTREAM_PAGINATION_INVALID,
			apiv1.Reason_REASON_GATEWAY_DRAINING:
			if m.Stream == nil {
				continue
			}
		case apiv1.Reason_REASON_GATEWAY_QUOTA:
			if !quota {
				continue
			}
		case apiv1.Reason_REASON_UPSTREAM_BODY_INVALID,
			apiv1.Reason_REASON_UPSTREAM_BODY_UNKNOWN,
			apiv1.Reason_REASON_UPSTREAM_BODY_TOO_LARGE,
			apiv1.Reason_REASON_UPSTREAM_ERROR_IN_BODY:
			if noBody {
				continue
			}
		default:
		}
		verdict, _ := proto.GetExtension(values.Get(i).Options(), apiv1.E_Verdict).(*apiv1.Verdict)
		all = append(all, Reason{
			Code: verdict.GetCode(), Reason: upstream.ReasonText(reason), Domain: verdict.GetDomain(),
			Repeated:  repeated(reason, verdict, p),
			Outlasted: m.Stream != nil && m.Stream.Follow && outlasted(reason, verdict),
		})
	}
	return all
}

// outlasted reports whether a stream that follows a feed goes on after a reason, by the rule of package
// service.
func outlasted(reason apiv1.Reason, verdict *apiv1.Verdict) bool {
	switch reason {
	case apiv1.Reason_REASON_GATEWAY_DRAINING,
		apiv1.Reason_REASON_GATEWAY_TOO_MANY_CALLS,
		apiv1.Reason_REASON_UPSTREAM_BODY_TOO_LARGE:
		return false
	default:
		return verdict.GetCode() == "UNAVAILABLE" || verdict.GetCode() == "RESOURCE_EXHAUSTED"
	}
}

// repeated reports whether the gateway repeats the request before the call ends with a reason.
func repeated(reason apiv1.Reason, verdict *apiv1.Verdict, p upstream.Preview) bool {
	switch {
	case verdict.GetRepeat() != apiv1.Repeat_REPEAT_BY_GATEWAY:
		return false
	case reason == apiv1.Reason_REASON_UPSTREAM_UNREACHABLE:
		return p.Repeats(0)
	case http.StatusText(int(reason)) != "": // Its number is the status.
		return p.Repeats(int(reason))
	default:
		return p.Repeatable && p.Retry.MaxAttempts > 1
	}
}
