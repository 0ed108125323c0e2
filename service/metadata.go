package service

import (
	"context"
	"fmt"
	"slices"
	"strconv"
	"strings"

	"google.golang.org/grpc/metadata"

	"samsara.internal/gateway/internal/endpoint"
	"samsara.internal/gateway/internal/transcode"
	"samsara.internal/gateway/upstream"
)

// Metadata of requests.
const (
	// retryKey with the value "always" lets a request of unknown outcome be repeated, whatever
	// its method.
	retryKey = "samsara-retry"
	// callerKey names the caller for the sharing of the quota, where no certificate does.
	callerKey = "samsara-caller"
	// priorityKey is "batch" for calls that give way to others, and "interactive".
	priorityKey = "samsara-priority"
	// cacheKey with the value "no-store" keeps a call from the cache. In responses it says that
	// the answer is from there.
	cacheKey = "samsara-cache"
	// sandboxFaultKey asks the sandbox for a fault. It is read only with Config.SandboxFaults.
	sandboxFaultKey = "samsara-sandbox-fault"
)

// Metadata of responses. See the package comment for when each is sent.
const (
	requestIDKey = "samsara-request-id"
	attemptsKey  = "samsara-attempts"
	driftKey     = "samsara-drift"
	cursorKey    = "samsara-cursor"
)

// sandboxFaultHeader is what sandboxFaultKey becomes on the way to the sandbox.
const sandboxFaultHeader = "Samsara-Sandbox-Fault"

// The bounds of the trailer samsara-drift.
const (
	maxDriftEntries = 16
	maxDriftBytes   = 1 << 10
)

// applyMetadata sets what the connection and the caller's metadata say of a call. The error names
// all that is wrong.
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

// callMetadata says how many attempts a call took, and what Samsara calls the last of them.
func callMetadata(attempts int, requestID string) metadata.MD {
	md := metadata.Pairs(attemptsKey, strconv.Itoa(attempts))
	if requestID != "" {
		md.Set(requestIDKey, escape(requestID))
	}
	return md
}

// maxCursorBytes bounds the trailer samsara-cursor: clients accept 8 KiB of metadata by default.
const maxCursorBytes = 2 << 10

// cursorMetadata says where to go on, unless that is no text that metadata carries unchanged.
func cursorMetadata(cursor string) metadata.MD {
	notPrintable := func(r rune) bool { return r <= ' ' || r > '~' }
	if cursor == "" || len(cursor) > maxCursorBytes || strings.ContainsFunc(cursor, notPrintable) {
		return nil
	}
	return metadata.Pairs(cursorKey, cursor)
}

// driftSum adds up what the pages of a stream differed in. It holds no more different findings
// than one response does.
type driftSum struct {
	findings []transcode.Finding
	dropped  int
}

func (s *driftSum) add(d *transcode.Drift) {
	s.dropped += d.Dropped()
	for _, f := range d.Findings() {
		i := slices.IndexFunc(s.findings, func(known transcode.Finding) bool {
			return known.Kind == f.Kind && known.Message == f.Message && known.Member == f.Member
		})
		switch {
		case i >= 0:
			s.findings[i].Count += f.Count
		case len(s.findings) < transcode.MaxFindings:
			s.findings = append(s.findings, f)
		default:
			s.dropped += f.Count
		}
	}
}

// driftText writes findings, and how often there were more, in the grammar of the package
// comment. It is at most maxDriftBytes long and has at most maxDriftEntries entries, the one
// that counts the rest included.
func driftText(findings []transcode.Finding, more int) string {
	// rest is room for ", *=more;n=" and a count.
	const rest = 32
	var b strings.Builder
	for i, f := range findings {
		entry := escape(f.Message) + "." + escape(f.Member) + "=" + f.Kind.String() + count(f.Count)
		last := i == len(findings)-1 && more == 0
		if (i == maxDriftEntries-1 && !last) || b.Len()+len(entry) > maxDriftBytes-rest {
			for _, f := range findings[i:] {
				more += f.Count
			}
			break
		}
		if i > 0 {
			b.WriteString(", ")
		}
		b.WriteString(entry)
	}
	if more > 0 {
		if b.Len() > 0 {
			b.WriteString(", ")
		}
		b.WriteString("*=more" + count(more))
	}
	return b.String()
}

func count(n int) string {
	if n == 1 {
		return ""
	}
	return ";n=" + strconv.Itoa(n)
}

// escape percent-encodes every byte of s but ASCII letters, digits, hyphens and underscores, so
// that upstream text is fit for metadata and has no meaning there.
func escape(s string) string {
	const hex = "0123456789ABCDEF"
	var b strings.Builder
	b.Grow(len(s))
	for i := range len(s) {
		c := s[i]
		switch {
		case 'a' <= c && c <= 'z', 'A' <= c && c <= 'Z', '0' <= c && c <= '9', c == '-', c == '_':
			b.WriteByte(c)
		default:
			b.Write([]byte{'%', hex[c>>4], hex[c&15]})
		}
	}
	return b.String()
}
