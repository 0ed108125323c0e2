package service

import (
	"context"
	"errors"
	"fmt"
	"strconv"

	"google.golang.org/genproto/googleapis/rpc/errdetails"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/encoding/protowire"
	"google.golang.org/protobuf/proto"

	gatewayv1 "samsara.internal/gateway/gen/samsara/gateway/v1"
	"samsara.internal/gateway/internal/endpoint"
	"samsara.internal/gateway/internal/lease"
	"samsara.internal/gateway/upstream"
)

// page is a page in wire form. Whoever uses it has a lease of its memory.
type page struct {
	endpoint.Page
	// asked is the cursor that it was asked for with.
	asked string
	// resp is the response that it came with, and wire the message. The response is not released:
	// its memory has owners of its own.
	resp *upstream.Response
	wire []byte
}

// source asks for the pages of one walk. It is immutable and safe for concurrent use.
type source struct {
	*handler
	stream    *endpoint.Stream
	walk      *endpoint.Walk
	operation *upstream.Operation
	// call is that of every page but for path and query.
	call upstream.Call
}

// source reads the request of a stream.
func (h *handler) source(ctx context.Context, stream *endpoint.Stream, receive func(any) error) (*source, error) {
	from, err := connectionOf(ctx)
	if err != nil {
		return nil, err
	}
	in := stream.Input.New()
	if err := h.receive(ctx, from, receive, in.Interface()); err != nil {
		return nil, err
	}
	e := stream.Pages
	walk, err := stream.Bind(in)
	if err != nil {
		return nil, refusal(e, err)
	}
	s := &source{handler: h, stream: stream, walk: walk, operation: h.operations.of[e].pages}
	s.call.From.Batch = true // unless its caller says otherwise
	return s, h.applyMetadata(ctx, from, s.operation, &s.call)
}

// page asks for the page at cursor, within the deadline of ctx or else the default one. The lease of
// its memory, which is by's, is the caller's. The page says how the walk goes on: what it says is in
// order but for what differs between lists and feeds.
func (s *source) page(ctx context.Context, cursor string, by *lease.Holder) (*page, *lease.Lease, error) {
	if _, ok := ctx.Deadline(); !ok {
		var cancel context.CancelFunc
		ctx, cancel = context.WithTimeout(ctx, s.defaultDeadline)
		defer cancel()
	}
	call, bound := s.call, s.walk.Request(cursor)
	call.Path, call.Query, call.Memory = bound.Path, bound.Query, by
	resp, err := s.upstream.Do(ctx, s.operation, call)
	if err != nil {
		return nil, nil, s.failure(cursor, err)
	}
	kept := false
	defer func() {
		if !kept {
			resp.Release()
		}
	}()
	if findings := resp.Drift.Findings(); s.drift != nil && len(findings) > 0 {
		s.drift(s.stream.FullMethod, findings)
	}
	p := &page{Page: s.walk.Page(cursor, resp.Message), asked: cursor, resp: resp, wire: resp.Message}
	switch {
	case !p.Valid:
		return nil, nil, s.invalid(p, "does not say whether another page follows")
	case p.More && p.Cursor == "":
		return nil, nil, s.invalid(p, "says that another page follows, and names no cursor")
	case len(p.Cursor) > endpoint.MaxCursorBytes:
		return nil, nil, s.invalid(p, fmt.Sprintf("names a cursor of %d bytes, at most %d are followed", len(p.Cursor), endpoint.MaxCursorBytes))
	}
	kept = true
	if resp.Lease == nil { // An empty message takes no memory.
		resp.Lease = by.Add(0)
	}
	return p, resp.Lease, nil
}

// invalid is the error of a page that does not say how to go on. Such a page is not sent, so
// that a client can ask for it again.
func (s *source) invalid(p *page, what string) error {
	return s.operation.Unfit(s.call, p.resp, reasonPaginationInvalid, "the page "+what, nil)
}

// failure tells a rejected cursor apart. Samsara has no code for it and changes its texts: it is
// a 400 to a request that had a cursor, so other parameters may be to blame where that is the
// first request.
func (s *source) failure(cursor string, err error) error {
	var failed *upstream.Error
	if cursor != "" && errors.As(err, &failed) && failed.IsBadRequest() {
		return &cursorError{failed: failed, field: s.stream.CursorField}
	}
	return err
}

// cursorError is the upstream's refusal of a cursor.
type cursorError struct {
	failed *upstream.Error
	// field is where the caller gave the cursor, or would have.
	field string
}

func (e *cursorError) Error() string { return e.field + ": " + e.failed.Error() }

func (e *cursorError) Unwrap() error { return e.failed }

// GRPCStatus keeps the upstream's text and its name for the request.
func (e *cursorError) GRPCStatus() *status.Status {
	info := &errdetails.ErrorInfo{
		Reason: reasonCursorRejected,
		Metadata: map[string]string{
			"method": e.failed.Method, "path": e.failed.Template, "attempts": strconv.Itoa(e.failed.Attempts),
			"http_status": strconv.Itoa(e.failed.HTTPStatus), "cursor_field": e.field,
		},
	}
	return status.Convert(newError(codes.InvalidArgument, e.failed.Message, info, &errdetails.RequestInfo{RequestId: e.failed.RequestID}))
}

// message is a message of a stream in wire form: a page as it is, if there is one, between what
// is wrapped around it. It belongs to grpc once the codec has seen it.
type message struct {
	head, body, tail []byte
	// lease is the memory of body; nil: it has none.
	lease *lease.Lease
	// compressed is whether grpc makes a compressed copy of it.
	compressed bool
	sent       bool
}

// newMessage returns the message with a cursor, where it is not empty. The caller adds the rest.
func newMessage(cursor string) *message {
	m := new(message)
	if cursor != "" {
		m.tail = protowire.AppendTag(m.tail, endpoint.CursorNumber, protowire.BytesType)
		m.tail = protowire.AppendString(m.tail, cursor)
	}
	return m
}

// setPage wraps the message around a page's wire form, and takes over its memory.
func (m *message) setPage(wire []byte, held *lease.Lease) {
	m.head = protowire.AppendTag(m.head, endpoint.PageNumber, protowire.BytesType)
	m.head = protowire.AppendVarint(m.head, uint64(len(wire)))
	m.body, m.lease = wire, held
}

// setKeepAlive adds a keep-alive.
func (m *message) setKeepAlive(k *gatewayv1.KeepAlive) error {
	wire, err := proto.Marshal(k)
	if err != nil {
		return fmt.Errorf("keep-alive: %w", err)
	}
	m.tail = protowire.AppendTag(m.tail, endpoint.KeepAliveNumber, protowire.BytesType)
	m.tail = protowire.AppendBytes(m.tail, wire)
	return nil
}

// drop frees a message that grpc has never seen.
func (m *message) drop() {
	if !m.sent {
		m.lease.Release()
	}
}
