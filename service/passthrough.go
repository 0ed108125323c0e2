package service

import (
	"context"
	"fmt"
	"net/url"
	"slices"
	"strings"

	"google.golang.org/grpc"
	"google.golang.org/protobuf/encoding/protowire"
	"google.golang.org/protobuf/proto"

	apiv1 "samsara.internal/gateway/gen/api/v1"
	"samsara.internal/gateway/internal/endpoint"
	"samsara.internal/gateway/internal/transcode"
	"samsara.internal/gateway/upstream"
)

// The longest path and encoded query that a passthrough call may have.
const (
	maxPathBytes  = 8 << 10
	maxQueryBytes = 64 << 10
)

// passthrough returns PassthroughService.Call.
func (h *handler) passthrough() grpc.MethodDesc {
	return unary(apiv1.PassthroughService_Call_FullMethodName, func(ctx context.Context, decode func(any) error) (any, error) {
		from, err := callerOf(ctx)
		if err != nil {
			return nil, err
		}
		org, err := organizationOf(ctx)
		if err != nil {
			return nil, err
		}
		in := new(apiv1.CallRequest)
		if err := h.receive(ctx, from, decode, in); err != nil {
			return nil, err
		}
		h.answering.Add(1)
		defer h.answering.Add(-1)
		if in.GetMethod() == methodGet {
			lineOf(ctx).reads = true
		}
		return h.pass(ctx, from, org, in)
	})
}

func (h *handler) pass(ctx context.Context, from *caller, org *Organization, in *apiv1.CallRequest) (any, error) {
	query := encodeQuery(in.GetQuery())
	if violations := passthroughViolations(in, query); len(violations) > 0 {
		return nil, invalidArgument(clip(in.GetMethod(), 64), upstream.PassthroughOperation, violations)
	}
	if err := lineOf(ctx).access.reaches(in.GetMethod(), in.GetPath()); err != nil {
		return nil, err
	}
	op := org.operations.at(in.GetMethod(), in.GetPath())
	req := upstream.Request{Method: in.GetMethod(), Path: in.GetPath(), Query: query}
	if in.Body != nil {
		req.Body = []byte(in.GetBody())
	}
	resp, err := h.do(ctx, from, org, op, req)
	if err != nil {
		return nil, err
	}
	if err := encodePassed(from, resp); err != nil {
		resp.Release()
		return nil, err
	}
	return h.framed(ctx, from, org, apiv1.PassthroughService_Call_FullMethodName, resp), nil
}

// passedBodyNumber is the field number of CallResponse.body.
const passedBodyNumber = 3

// encodePassed makes the message of a response, which is a CallResponse in wire form, in the response's
// memory.
func encodePassed(from *caller, resp *upstream.Response) error {
	if resp.Lease == nil {
		resp.Lease = from.answers.Add(0)
	}
	rest := &apiv1.CallResponse{Status: proto.Int32(int32(resp.Status)), Headers: endToEnd(resp.Header)}
	size := proto.Size(rest) + protowire.SizeTag(passedBodyNumber) + protowire.SizeBytes(len(resp.Body))
	message, err := proto.MarshalOptions{}.MarshalAppend(resp.Lease.Buffer(size), rest)
	if err != nil {
		return fmt.Errorf("headers: %w", err)
	}
	if len(resp.Body) > 0 {
		message = protowire.AppendTag(message, passedBodyNumber, protowire.BytesType)
		message = protowire.AppendBytes(message, resp.Body)
	}
	resp.Lease.Keep(message)
	resp.Message, resp.Body = message, nil
	return nil
}

// passthroughViolations lists what is wrong with a request whose encoded query is query.
func passthroughViolations(in *apiv1.CallRequest, query string) []endpoint.Violation {
	var violations []endpoint.Violation
	refuse := func(field, description string) {
		violations = append(violations, endpoint.Violation{Field: field, Description: description})
	}
	switch in.GetMethod() {
	case "GET":
		if in.Body != nil {
			refuse("body", "is set, must not be with GET")
		}
	case "POST", "PUT", "PATCH", "DELETE":
		if in.Body != nil {
			if err := transcode.Valid([]byte(in.GetBody())); err != nil {
				refuse("body", "is "+err.Error())
			}
		}
	default:
		refuse("method", "is "+quote(in.GetMethod())+", must be GET, POST, PUT, PATCH or DELETE")
	}
	if fault := pathFault(in.GetPath()); fault != "" {
		refuse("path", fault)
	}
	for i, q := range in.GetQuery() {
		if q.GetName() == "" {
			refuse(fmt.Sprintf("query[%d].name", i), "is required")
		}
	}
	if len(query) > maxQueryBytes {
		refuse("query", fmt.Sprintf("is %d bytes long when encoded, must be at most %d", len(query), maxQueryBytes))
	}
	return violations
}

// pathFault returns what is wrong with a path, empty if nothing is. A path without fault names something
// below whatever it is appended to, also for a server that decodes it before it looks for segments.
func pathFault(path string) string {
	if len(path) > maxPathBytes {
		return fmt.Sprintf("is %d bytes long, must be at most %d", len(path), maxPathBytes)
	}
	segments, ok := strings.CutPrefix(path, "/")
	if !ok {
		return "is " + quote(path) + ", must begin with a slash"
	}
	for segment := range strings.SplitSeq(segments, "/") {
		if segment == "" {
			return "has an empty segment, must have none"
		}
		if strings.ContainsFunc(segment, func(r rune) bool { return !isPathChar(r) }) {
			return "has segment " + quote(segment) + ", must be escaped"
		}
		decoded, err := url.PathUnescape(segment)
		if err != nil {
			return "has segment " + quote(segment) + ", must have valid escapes"
		}
		for part := range strings.FieldsFuncSeq(decoded, func(r rune) bool { return r == '/' || r == '\\' }) {
			if part == "." || part == ".." {
				return "has segment " + quote(segment) + ", must have none that is or holds . or .."
			}
		}
	}
	return ""
}

// isPathChar reports whether RFC 3986 allows r in a path segment, as pchar or in an escape.
func isPathChar(r rune) bool {
	return 'a' <= r && r <= 'z' || 'A' <= r && r <= 'Z' || '0' <= r && r <= '9' || strings.ContainsRune("-._~!$&'()*+,;=:@%", r)
}

// encodeQuery encodes parameters in order, a space as %20.
func encodeQuery(parameters []*apiv1.QueryParameter) string {
	var b strings.Builder
	for i, p := range parameters {
		if i > 0 {
			b.WriteByte('&')
		}
		b.WriteString(escapeQuery(p.GetName()) + "=" + escapeQuery(p.GetValue()))
	}
	return b.String()
}

func escapeQuery(s string) string { return strings.ReplaceAll(url.QueryEscape(s), "+", "%20") }

// endToEnd returns the header fields that are for the caller. It leaves out cookies, the fields that say how
// the body was encoded, because it no longer is, and hop-by-hop fields: the ones of RFC 9110, section 7.6.1,
// and the ones that Connection names.
func endToEnd(fields []upstream.Header) []*apiv1.Header {
	var hop []string
	for _, f := range fields {
		if strings.EqualFold(f.Name, "Connection") {
			for name := range strings.SplitSeq(f.Value, ",") {
				hop = append(hop, strings.ToLower(strings.TrimSpace(name)))
			}
		}
	}
	var out []*apiv1.Header
	for _, f := range fields {
		name := strings.ToLower(f.Name)
		if isWithheld(name) || slices.Contains(hop, name) {
			continue
		}
		out = append(out, &apiv1.Header{
			Name:  proto.String(strings.ToValidUTF8(f.Name, "\uFFFD")),
			Value: proto.String(strings.ToValidUTF8(f.Value, "\uFFFD")),
		})
	}
	return out
}

// isWithheld reports whether the header field called name, in lower case, is never for the caller.
func isWithheld(name string) bool {
	switch name {
	case "set-cookie", "set-cookie2",
		"content-encoding", "content-length",
		"connection", "keep-alive", "proxy-authenticate", "proxy-authorization", "proxy-connection",
		"te", "trailer", "transfer-encoding", "upgrade":
		return true
	default:
		return false
	}
}
