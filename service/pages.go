package service

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"sync/atomic"

	"google.golang.org/genproto/googleapis/rpc/errdetails"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/mem"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/encoding/protowire"
	"google.golang.org/protobuf/proto"

	gatewayv1 "samsara.internal/gateway/gen/samsara/gateway/v1"
	"samsara.internal/gateway/internal/endpoint"
	"samsara.internal/gateway/internal/identity"
	"samsara.internal/gateway/upstream"
)

// page is a page in wire form. It has as many owners as were made with share, and the first; the
// last one who releases it gives its memory back.
type page struct {
	endpoint.Page
	// asked is the cursor that it was asked for with.
	asked string
	resp  *upstream.Response
	// wire is the response's message.
	wire   []byte
	owners atomic.Int32
}

func (p *page) share() *page {
	p.owners.Add(1)
	return p
}

func (p *page) release() {
	if p.owners.Add(-1) == 0 {
		p.resp.Release()
	}
}

// source asks for the pages of one walk. It is immutable and safe for concurrent use.
type source struct {
	*handler
	stream *endpoint.Stream
	walk   *endpoint.Walk
	// request is that of every page but for path and query.
	request upstream.Request
}

// source reads the request of a stream.
func (h *handler) source(ctx context.Context, stream *endpoint.Stream, receive func(any) error) (*source, error) {
	in := stream.Input.New()
	if err := receive(in.Interface()); err != nil {
		return nil, err
	}
	e := stream.Pages
	walk, err := stream.Bind(in)
	if err != nil {
		return nil, refusal(e, err)
	}
	s := &source{handler: h, stream: stream, walk: walk, request: upstream.Request{
		Method:     e.HTTPMethod,
		Template:   e.Operation.GetPath(),
		Repeatable: e.Operation.GetRepeatable(),
		Decoder:    e.Response,
		Quota:      h.quota.of[e],
		From:       identity.Identity{Batch: true}, // unless its caller says otherwise
	}}
	return s, h.applyMetadata(ctx, &s.request)
}

// page asks for the page at cursor, within the deadline of ctx or else the default one. The page
// is the caller's, and says how the walk goes on: what it says is in order but for what differs
// between lists and feeds.
func (s *source) page(ctx context.Context, cursor string) (*page, error) {
	if _, ok := ctx.Deadline(); !ok {
		var cancel context.CancelFunc
		ctx, cancel = context.WithTimeout(ctx, s.defaultDeadline)
		defer cancel()
	}
	req, bound := s.request, s.walk.Request(cursor)
	req.Path, req.Query = bound.Path, bound.Query
	resp, err := s.upstream.Do(ctx, &req)
	if err != nil {
		return nil, s.failure(cursor, err)
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
	p.owners.Store(1)
	switch {
	case !p.Valid:
		return nil, s.invalid(p, "does not say whether another page follows")
	case p.More && p.Cursor == "":
		return nil, s.invalid(p, "says that another page follows, and names no cursor")
	case len(p.Cursor) > endpoint.MaxCursorBytes:
		return nil, s.invalid(p, fmt.Sprintf("names a cursor of %d bytes, at most %d are followed", len(p.Cursor), endpoint.MaxCursorBytes))
	}
	kept = true
	return p, nil
}

// invalid is the error of a page that does not say how to go on. Such a page is not sent, so
// that a client can ask for it again.
func (s *source) invalid(p *page, what string) error {
	return &upstream.Error{
		Code:       codes.Internal,
		Reason:     reasonPaginationInvalid,
		Domain:     upstream.DomainGateway,
		Message:    "the page " + what,
		HTTPStatus: p.resp.Status,
		Method:     s.request.Method,
		Template:   s.request.Template,
		Attempts:   p.resp.Attempts,
		RequestID:  p.resp.RequestID,
	}
}

// statusBadRequest is the HTTP status of a refused request.
const statusBadRequest = 400

// failure tells a rejected cursor apart. Samsara has no code for it and changes its texts: it is
// a 400 to a request that had a cursor, so other parameters may be to blame where that is the
// first request.
func (s *source) failure(cursor string, err error) error {
	var failed *upstream.Error
	if cursor != "" && errors.As(err, &failed) && failed.HTTPStatus == statusBadRequest {
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
	// free is called once, when body is not used any more; nil: nothing is to do.
	free func()
	sent bool
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

// setPage wraps the message around a page's wire form, of which free is told.
func (m *message) setPage(wire []byte, free func()) {
	m.head = protowire.AppendTag(m.head, endpoint.PageNumber, protowire.BytesType)
	m.head = protowire.AppendVarint(m.head, uint64(len(wire)))
	m.body, m.free = wire, free
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

// buffers hands the message to grpc.
func (m *message) buffers() mem.BufferSlice {
	m.sent = true
	if len(m.body) == 0 {
		m.Put(nil)
		return mem.BufferSlice{mem.SliceBuffer(slices.Concat(m.head, m.tail))}
	}
	return mem.BufferSlice{mem.SliceBuffer(m.head), lend(&m.body, m), mem.SliceBuffer(m.tail)}
}

// drop frees a message that grpc has never seen.
func (m *message) drop() {
	if !m.sent {
		m.Put(nil)
	}
}

// Get and Put make a message the mem.BufferPool of its own page.
func (*message) Get(length int) *[]byte { return fresh(length) }

// Put implements mem.BufferPool.
func (m *message) Put(*[]byte) {
	if m.free != nil {
		m.free()
	}
}
