package service

import (
	"cmp"
	"context"
	"fmt"
	"strings"

	"google.golang.org/grpc/metadata"

	"samsara.internal/gateway/internal/endpoint"
	"samsara.internal/gateway/upstream"
)

// Metadata of requests.
const (
	// retryKey with the value "always" lets a request of unknown outcome be repeated, whatever
	// its method.
	retryKey = "samsara-retry"
	// callerKey has the name under which a caller that has proved nothing shares the quota. For one that has, it
	// names a part of it, for the log.
	callerKey = "samsara-caller"
	// priorityKey is "batch" for calls that give way to others, else "interactive".
	priorityKey = "samsara-priority"
	// cacheKey with the value "no-store" keeps a call from the cache. In responses it says that the answer is
	// from the cache.
	cacheKey = "samsara-cache"
	// sandboxFaultKey asks the sandbox for a fault. It is read only with Config.SandboxFaults.
	sandboxFaultKey = "samsara-sandbox-fault"
)

// sandboxFaultHeader is what sandboxFaultKey becomes on the way to the sandbox.
const sandboxFaultHeader = "Samsara-Sandbox-Fault"

// maxCallerBytes bounds the name that a caller gives itself.
const maxCallerBytes = 64

// anonymousPrefix comes before the name of a caller that has proved nothing, where others have to: it cannot be
// taken for one of them.
const anonymousPrefix = "anonymous/"

// identify sets who calls, by which rules it shares the quota, and who holds the answer. The caller is named by
// what it has proved, else by what it says of itself, else by the address that it calls from. A part that a
// proved caller names shares the quota of the whole: with more parts it gets no larger share.
func (h *handler) identify(from *caller, call *logLine, says string, req *upstream.Request) {
	switch {
	case from.isProved():
		req.From.Caller = from.who.Principal.Name
	case h.gate.isOpen():
		req.From.Caller = cmp.Or(says, from.address)
	default:
		req.From.Caller = anonymousPrefix + cmp.Or(says, from.address)
	}
	call.caller = req.From.Caller
	if from.isProved() && says != "" {
		call.caller = says
	}
	if limits := call.access.decision.Limits; limits != nil {
		req.From.Weight = limits.Weight
		req.From.Batch = req.From.Batch || limits.Batch
	}
	req.Memory = from.answers
}

// isPartOf reports whether a name stands for an identity or for a part of it: billing/report is a part of
// billing.
func isPartOf(name, whole string) bool {
	rest, found := strings.CutPrefix(name, whole)
	return found && (rest == "" || len(rest) > 1 && rest[0] == '/')
}

// applyMetadata sets what the connection and the caller's metadata say of a call. The error names everything
// that is wrong.
func (h *handler) applyMetadata(ctx context.Context, from *caller, org *Organization, op *upstream.Operation, req *upstream.Request) error {
	var violations []endpoint.Violation
	refuse := func(key, value, rule string) {
		violations = append(violations, endpoint.Violation{Field: key, Description: "is " + quote(value) + ", must be " + rule})
	}
	for _, value := range metadata.ValueFromIncomingContext(ctx, retryKey) {
		if req.RetryAlways = value == "always"; !req.RetryAlways {
			refuse(retryKey, value, "\"always\" or absent")
		}
	}
	for _, value := range metadata.ValueFromIncomingContext(ctx, cacheKey) {
		if req.NoStore = value == "no-store"; !req.NoStore {
			refuse(cacheKey, value, "\"no-store\" or absent")
		}
	}
	for _, value := range metadata.ValueFromIncomingContext(ctx, priorityKey) {
		if req.From.Batch = value == "batch"; !req.From.Batch && value != "interactive" {
			refuse(priorityKey, value, "\"batch\" or \"interactive\"")
		}
	}
	call, says := lineOf(ctx), ""
	who := from.who.Principal.Name
	for _, value := range metadata.ValueFromIncomingContext(ctx, callerKey) {
		switch says = value; {
		case from.isProved() && !isPartOf(value, who):
			refuse(callerKey, value, quote(who)+" or a part of it, such as "+quote(who+"/report"))
		case value == "" || len(value) > max(maxCallerBytes, len(who)+maxCallerBytes):
			refuse(callerKey, value, fmt.Sprintf("of 1 to %d bytes", maxCallerBytes))
		}
	}
	if len(violations) > 0 {
		method, template := op.Name(*req)
		return invalidArgument(method, template, violations)
	}
	h.identify(from, call, says, req)
	req.From.Tenant = org.name
	if h.sandboxFaults {
		for _, value := range metadata.ValueFromIncomingContext(ctx, sandboxFaultKey) {
			req.Header = append(req.Header, upstream.Header{Name: sandboxFaultHeader, Value: value})
		}
	}
	return nil
}
