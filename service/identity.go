package service

import (
	"cmp"
	"context"
	"fmt"

	"google.golang.org/grpc/metadata"

	"samsara.internal/gateway/internal/endpoint"
	"samsara.internal/gateway/upstream"
)

// Metadata of requests.
const (
	// retryKey with the value "always" lets a request of unknown outcome be repeated, whatever
	// its method.
	retryKey = "samsara-retry"
	// callerKey has the name under which the caller shares the quota, if no certificate has one.
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

// identify sets who calls and who holds the answer. For the sharing of the quota, the caller is named by its
// verified client certificate, else by what it says, which is in call already, else by the address that it
// calls from.
func (c *connection) identify(call *upstream.Call) {
	call.From.Caller = cmp.Or(c.certified, call.From.Caller, c.address)
	call.Memory = c.answers
}

// applyMetadata sets what the connection and the caller's metadata say of a call. The error names everything
// that is wrong.
func (h *handler) applyMetadata(ctx context.Context, from *connection, op *upstream.Operation, call *upstream.Call) error {
	var violations []endpoint.Violation
	refuse := func(key, value, rule string) {
		violations = append(violations, endpoint.Violation{Field: key, Description: "is " + quote(value) + ", must be " + rule})
	}
	for _, value := range metadata.ValueFromIncomingContext(ctx, retryKey) {
		if call.RetryAlways = value == "always"; !call.RetryAlways {
			refuse(retryKey, value, "\"always\" or absent")
		}
	}
	for _, value := range metadata.ValueFromIncomingContext(ctx, cacheKey) {
		if call.NoStore = value == "no-store"; !call.NoStore {
			refuse(cacheKey, value, "\"no-store\" or absent")
		}
	}
	for _, value := range metadata.ValueFromIncomingContext(ctx, priorityKey) {
		if call.From.Batch = value == "batch"; !call.From.Batch && value != "interactive" {
			refuse(priorityKey, value, "\"batch\" or \"interactive\"")
		}
	}
	for _, value := range metadata.ValueFromIncomingContext(ctx, callerKey) {
		if call.From.Caller = value; value == "" || len(value) > maxCallerBytes {
			refuse(callerKey, value, fmt.Sprintf("of 1 to %d bytes", maxCallerBytes))
		}
	}
	if len(violations) > 0 {
		method, template := op.Name(*call)
		return invalidArgument(method, template, violations)
	}
	from.identify(call)
	if h.sandboxFaults {
		for _, value := range metadata.ValueFromIncomingContext(ctx, sandboxFaultKey) {
			call.Header = append(call.Header, upstream.Header{Name: sandboxFaultHeader, Value: value})
		}
	}
	return nil
}
