package service

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"unicode/utf8"

	"google.golang.org/genproto/googleapis/rpc/errdetails"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/encoding"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/timestamppb"

	apiv1 "samsara.internal/gateway/gen/api/v1"
	"samsara.internal/gateway/internal/endpoint"
	"samsara.internal/gateway/internal/feed"
	"samsara.internal/gateway/internal/identity"
	"samsara.internal/gateway/internal/lease"
	"samsara.internal/gateway/internal/transcode"
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

// tells reports whether the page is worth sending though it has no records: it has something else, or may
// have lost them.
func (p *page) tells() bool { return p.Speaks || p.mayHaveLost() }

// mayHaveLost reports whether the page may have lost records to drift.
func (p *page) mayHaveLost() bool {
	return slices.ContainsFunc(p.resp.Drift.Findings(), func(f transcode.Finding) bool {
		return f.Kind != transcode.Unknown && f.Kind != transcode.Coerced
	})
}

// cursorIsChanged reports whether the page's cursor is another one than was sent, which had something
// that is no text.
func (p *page) cursorIsChanged() bool {
	d := &p.resp.Drift
	return strings.ContainsRune(p.Cursor, utf8.RuneError) &&
		(d.Dropped() > 0 || slices.ContainsFunc(d.Findings(), func(f transcode.Finding) bool { return f.Kind == transcode.InvalidText }))
}

// source asks for the pages of one walk. It is immutable and safe for concurrent use.
type source struct {
	*handler
	stream    *endpoint.Stream
	walk      *endpoint.Walk
	operation *upstream.Operation
	// call is that of every page, except path and query.
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

// fetch asks for the page at cursor in the name of as, within the deadline of ctx or else the default
// one. The lease of its memory, which is by's, is the caller's. The page says how the walk goes on:
// what it says is in order, apart from what differs between lists and feeds.
func (s *source) fetch(ctx context.Context, cursor string, as identity.Identity, by *lease.Holder) (*page, *lease.Lease, error) {
	if _, ok := ctx.Deadline(); !ok {
		var cancel context.CancelFunc
		ctx, cancel = context.WithTimeout(ctx, s.defaultDeadline)
		defer cancel()
	}
	call, bound := s.call, s.walk.Request(cursor)
	call.Path, call.Query, call.From, call.Memory = bound.Path, bound.Query, as, by
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
	if findings := resp.Drift.Findings(); s.drift != nil && len(findings) > 0 && resp.IsNew() {
		s.drift(s.stream.FullMethod, findings)
	}
	p := &page{Page: s.walk.Page(cursor, resp.Message), asked: cursor, resp: resp, wire: resp.Message}
	switch {
	case !p.Valid:
		return nil, nil, s.invalid(p, "does not say whether another page follows")
	case s.stream.Pages.Numbered() && p.Items == 0 && p.mayHaveLost():
		return nil, nil, s.invalid(p, "has lost what it may have had, so that nobody knows whether it is the last one")
	case p.More && p.Cursor == "":
		return nil, nil, s.invalid(p, "says that another page follows, and names no cursor")
	case len(p.Cursor) <= endpoint.MaxCursorBytes && !p.cursorIsChanged():
	case !p.More && !s.stream.Follow:
		p.Cursor = "" // Nothing follows it.
	case len(p.Cursor) > endpoint.MaxCursorBytes:
		return nil, nil, s.invalid(p, fmt.Sprintf("names a cursor of %d bytes, at most %d are followed", len(p.Cursor), endpoint.MaxCursorBytes))
	default:
		return nil, nil, s.invalid(p, "names a cursor that is no valid text, and cannot be sent back as it came")
	}
	kept = true
	if resp.Lease == nil { // An empty message takes no memory.
		resp.Lease = by.Add(0)
	}
	return p, resp.Lease, nil
}

// Page implements feed.Source.
func (s *source) Page(ctx context.Context, cursor string, as identity.Identity, by *lease.Holder) (*feed.Page, error) {
	p, held, err := s.fetch(ctx, cursor, as, by)
	if err != nil {
		return nil, err
	}
	if !p.More && p.Cursor == "" && p.Items > 0 {
		held.Release()
		return nil, s.invalid(p, "has records, and names no cursor for what comes after them")
	}
	return &feed.Page{Cursor: p.Cursor, More: p.More, Items: p.Items, Tells: p.tells(), Bytes: len(p.wire), Lease: held, Content: p}, nil
}

// Outlast implements feed.Source. A feed outlasts what may go better when it is asked again. What is
// too large remains so.
func (s *source) Outlast(err error) (feed.Failure, bool) {
	var failed *upstream.Error
	if !errors.As(err, &failed) {
		return feed.Failure{}, false
	}
	code, reason := failed.Code, failed.ReasonText()
	switch {
	case code == codes.Unavailable:
	case code == codes.ResourceExhausted && failed.Reason != apiv1.Reason_REASON_UPSTREAM_BODY_TOO_LARGE:
	case code == codes.DeadlineExceeded:
		// The deadline is no caller's but the one of asking for a page.
		code, reason = codes.Unavailable, upstream.ReasonText(apiv1.Reason_REASON_UPSTREAM_TIMEOUT)
	default:
		return feed.Failure{}, false
	}
	s.observer.FailureOutlasted(code.String())
	return feed.Failure{
		Code: int32(code), Reason: reason, Message: failed.Message, Own: failed.IsOwn(),
		RetryAfter: failed.RetryAfter, OthersAfter: failed.OthersAfter(),
	}, true
}

// invalid is the error of a page that does not say how to go on. Such a page is not sent, so
// that a client can ask for it again.
func (s *source) invalid(p *page, what string) error {
	return s.operation.Unfit(s.call, p.resp, apiv1.Reason_REASON_UPSTREAM_PAGINATION_INVALID, "the page "+what, nil)
}

// failure tells a rejected cursor apart. Samsara has no code for it and changes its texts: it is
// a 400 to a request that had a cursor, so other parameters may be to blame where that is the
// first request.
func (s *source) failure(cursor string, err error) error {
	var failed *upstream.Error
	if cursor != "" && errors.As(err, &failed) && failed.IsBadRequest() {
		return &cursorError{failed: failed, field: s.walk.CursorField}
	}
	return err
}

// streaming returns the method that reads the pages of an operation, as read does it.
func (h *handler) streaming(s *endpoint.Stream, read func(*client) error) grpc.StreamDesc {
	return grpc.StreamDesc{
		StreamName:    s.FullMethod[strings.LastIndexByte(s.FullMethod, '/')+1:],
		ServerStreams: true,
		Handler: func(_ any, ss grpc.ServerStream) error {
			src, err := h.source(ss.Context(), s, ss.RecvMsg)
			if err != nil {
				return err
			}
			h.observer.OpenStreams(s.Follow, 1)
			defer h.observer.OpenStreams(s.Follow, -1)
			c := &client{ServerStream: ss, source: src, cursor: src.walk.Start}
			c.compressed = compresses(grpc.ServerTransportStreamFromContext(ss.Context()))
			return c.end(read(c))
		},
	}
}

// client is the receiving end of a stream. It belongs to the call's goroutine.
type client struct {
	grpc.ServerStream
	*source
	// cursor is where to go on after what has been sent.
	cursor string
	// unfit is whether that must not stand in metadata.
	unfit bool
	// begun is whether a message has been sent, compressed whether all of them are compressed.
	begun, compressed bool
	// attempts and requestID are for the log.
	attempts  int
	requestID string
	drifted   driftSum
}

// sendPage sends a page with the first so many of its records, and passes its memory on, also if it
// fails.
func (c *client) sendPage(p *page, items int64, held *lease.Lease) error {
	wire, cursor, drift := p.wire, p.Cursor, &p.resp.Drift
	if items < p.Items {
		first := drift.First(items)
		wire, cursor, drift = c.walk.Cut(p.wire, items), p.asked, &first
		held.Release()
		held = c.call.Memory.Add(int64(cap(wire)))
	}
	if !c.begun {
		// This fails only if the caller is gone.
		_ = c.SetHeader(callMetadata(p.resp.Attempts, p.resp.RequestID))
	}
	c.drifted.add(drift)
	c.attempts, c.requestID = c.attempts+p.resp.Attempts, p.resp.RequestID
	m := newMessage(cursor)
	m.setPage(wire, held)
	if err := c.send(m, cursor); err != nil {
		return err
	}
	c.unfit = p.resp.HoldsToken(cursor)
	logPage(c.Context(), items)
	c.observer.PageSent(c.stream.Follow, items)
	return nil
}

// sendKeepAlive sends how the feed is doing.
func (c *client) sendKeepAlive(s *feed.State) error {
	k := new(apiv1.KeepAlive)
	if !s.Answered.IsZero() {
		k.LastAnswerTime = timestamppb.New(s.Answered)
	}
	if !s.Due.IsZero() {
		k.NextRequestTime = timestamppb.New(s.Due)
	}
	if f := s.Failure; f != nil {
		k.Failure = &apiv1.Failure{Code: f.Code, Reason: f.Reason, Message: f.Message, Count: s.Failures}
	}
	wire, err := proto.Marshal(k)
	if err != nil {
		return fmt.Errorf("keep-alive: %w", err)
	}
	m := newMessage(s.Cursor)
	m.setKeepAlive(wire)
	return c.send(m, s.Cursor)
}

// send sends a message, after which a client goes on from cursor.
func (c *client) send(m *message, cursor string) error {
	defer m.drop()
	if c.compressed && !c.begun && !mayCompress(c.call.Memory, len(m.body)) {
		// All messages of a stream go out as its first one does.
		c.compressed = false
		if err := grpc.SetSendCompressor(c.Context(), encoding.Identity); err != nil {
			return err
		}
	}
	m.compressed = c.compressed
	if err := c.SendMsg(m); err != nil {
		return err
	}
	c.begun, c.cursor = true, cursor
	return nil
}

// end tells the client and the log how the stream ended, and returns why it did.
func (c *client) end(err error) error {
	if err != nil && c.stopping.Err() != nil {
		err = draining()
	}
	trailer := metadata.MD{}
	if len(c.drifted.findings) > 0 {
		trailer.Set(driftKey, driftText(c.drifted.findings, c.drifted.dropped))
	}
	var failed *upstream.Error
	if errors.As(err, &failed) {
		c.attempts, c.requestID = c.attempts+failed.Attempts, failed.RequestID
		trailer = metadata.Join(trailer, callMetadata(failed.Attempts, failed.RequestID))
	}
	logAttempts(c.Context(), c.attempts, c.requestID)
	if err = c.present(c.Context(), err); err != nil {
		err = c.nameCursor(status.Convert(err), trailer).Err()
	}
	c.SetTrailer(trailer)
	return err
}

// nameCursor puts the cursor into the trailer of a stream that fails, or its length into the status if
// the trailer does not carry it. The status that it returns fits into the trailer.
func (c *client) nameCursor(s *status.Status, trailer metadata.MD) *status.Status {
	switch {
	case c.cursor == "":
	case c.unfit || !isCarried(c.cursor):
		s = withInfo(s, func(info *errdetails.ErrorInfo) {
			info.Metadata[upstream.KeyText(apiv1.ErrorInfoKey_ERROR_INFO_KEY_CURSOR_OMITTED)] = strconv.Itoa(len(c.cursor))
		})
	default:
		trailer.Set(cursorKey, c.cursor)
	}
	return fit(s, trailer)
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
	facts := e.failed.Facts()
	facts[apiv1.ErrorInfoKey_ERROR_INFO_KEY_CURSOR_FIELD] = e.field
	return status.Convert(newError(apiv1.Reason_REASON_UPSTREAM_CURSOR_REJECTED, e.failed.Message, facts,
		&errdetails.RequestInfo{RequestId: e.failed.RequestID}))
}
