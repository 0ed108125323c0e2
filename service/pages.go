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
	// head is the message's head, and unfit whether the cursor must not be in metadata. They are the same for
	// everybody who is sent the page.
	head  messageHead
	unfit bool
}

// tells reports whether the page is worth sending even without records: it has something else, or may have
// lost its records.
func (p *page) tells() bool { return p.Speaks || p.mayHaveLost() }

// mayHaveLost reports whether the page may have lost records to drift.
func (p *page) mayHaveLost() bool {
	return slices.ContainsFunc(p.resp.Drift.Findings(), func(f transcode.Finding) bool {
		return f.Kind != transcode.Unknown && f.Kind != transcode.Coerced
	})
}

// cursorIsChanged reports whether the page's cursor is another one than Samsara sent, because that had
// something that is no text.
func (p *page) cursorIsChanged() bool {
	d := &p.resp.Drift
	return strings.ContainsRune(p.Cursor, utf8.RuneError) &&
		(d.Dropped() > 0 || slices.ContainsFunc(d.Findings(), func(f transcode.Finding) bool { return f.Kind == transcode.InvalidText }))
}

// walker asks for the pages of one walk. It is immutable and safe for concurrent use.
type walker struct {
	*handler
	stream *endpoint.Stream
	walk   *endpoint.Walk
	// organization is whose pages these are. A stream keeps it.
	organization *Organization
	operation    *upstream.Operation
	// request is the request for every page, except for path and query.
	request upstream.Request
}

// walker reads the request of a stream, and returns what asks for its pages.
func (h *handler) walker(ctx context.Context, stream *endpoint.Stream, receive func(any) error) (*walker, error) {
	from, err := callerOf(ctx)
	if err != nil {
		return nil, err
	}
	org, err := organizationOf(ctx)
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
	w := &walker{handler: h, stream: stream, walk: walk, organization: org, operation: org.operations.of[e].pages}
	w.request.From.Batch = true // unless its caller says otherwise
	return w, h.applyMetadata(ctx, from, org, w.operation, &w.request)
}

// fetch asks for the page at cursor in the name of as, within the deadline of ctx or else the default one. by
// holds the page's memory, and the caller owns the lease of it. What the page says of how the walk goes on
// has been checked, except for what differs between lists and feeds.
func (w *walker) fetch(ctx context.Context, cursor string, as identity.Identity, by *lease.Holder) (*page, *lease.Lease, error) {
	if _, ok := ctx.Deadline(); !ok {
		var cancel context.CancelFunc
		ctx, cancel = context.WithTimeout(ctx, w.defaultDeadline)
		defer cancel()
	}
	req, bound := w.request, w.walk.Request(cursor)
	req.Path, req.Query, req.From, req.Memory = bound.Path, bound.Query, as, by
	resp, err := w.organization.upstream.Do(ctx, w.operation, req)
	if err != nil {
		return nil, nil, w.failure(cursor, err)
	}
	kept := false
	defer func() {
		if !kept {
			resp.Release()
		}
	}()
	if findings := resp.Drift.Findings(); w.organization.drift != nil && len(findings) > 0 && resp.IsNew() {
		w.organization.drift(w.stream.FullMethod, findings)
	}
	p := &page{Page: w.walk.Page(cursor, resp.Message), asked: cursor, resp: resp, wire: resp.Message}
	switch {
	case !p.Valid:
		return nil, nil, w.invalid(p, "does not say whether another page follows")
	case w.stream.Pages.Numbered() && p.Items == 0 && p.mayHaveLost():
		return nil, nil, w.invalid(p, "may have lost its records, so that it does not show whether it is the last one")
	case p.More && p.Cursor == "":
		return nil, nil, w.invalid(p, "says that another page follows, and names no cursor")
	case len(p.Cursor) <= endpoint.MaxCursorBytes && !p.cursorIsChanged():
	case !p.More && !w.stream.Follow:
		p.Cursor = "" // Nothing follows it.
	case len(p.Cursor) > endpoint.MaxCursorBytes:
		return nil, nil, w.invalid(p, fmt.Sprintf("names a cursor of %d bytes, at most %d are followed", len(p.Cursor), endpoint.MaxCursorBytes))
	default:
		return nil, nil, w.invalid(p, "names a cursor that is no valid text, and cannot be sent back as it came")
	}
	p.head, p.unfit = pageHead(p.Cursor, p.wire), resp.HoldsToken(p.Cursor)
	kept = true
	if resp.Lease == nil { // An empty message takes no memory.
		resp.Lease = by.Add(0)
	}
	return p, resp.Lease, nil
}

// Page implements feed.Pages.
func (w *walker) Page(ctx context.Context, cursor string, as identity.Identity, by *lease.Holder) (*feed.Page, error) {
	ctx, span := w.tracer.StartPage(ctx, w.stream.FullMethod)
	defer span.End()
	p, held, err := w.fetch(ctx, cursor, as, by)
	if err != nil {
		return nil, err
	}
	if !p.More && p.Cursor == "" && p.Items > 0 {
		held.Release()
		return nil, w.invalid(p, "has records, and names no cursor for what comes after them")
	}
	return &feed.Page{Cursor: p.Cursor, More: p.More, Items: p.Items, Tells: p.tells(), Bytes: len(p.wire), Lease: held, Content: p}, nil
}

// Outlast implements feed.Pages. A feed outlasts a failure that may be over when it is asked again. A
// response that is too large remains so.
func (w *walker) Outlast(err error) (feed.Failure, bool) {
	var failed *upstream.Error
	if !errors.As(err, &failed) {
		return feed.Failure{}, false
	}
	code, reason := failed.Code, failed.ReasonText()
	switch {
	case code == codes.Unavailable:
	case code == codes.ResourceExhausted && failed.Reason != apiv1.Reason_REASON_UPSTREAM_BODY_TOO_LARGE:
	case code == codes.DeadlineExceeded:
		// The deadline is that of the request for a page, not the caller's.
		code, reason = codes.Unavailable, upstream.ReasonText(apiv1.Reason_REASON_UPSTREAM_TIMEOUT)
	default:
		return feed.Failure{}, false
	}
	w.observer.FailureOutlasted(code.String())
	return feed.Failure{
		Code: int32(code), Reason: reason, Message: failed.Message, Own: failed.IsOwn(),
		RetryAfter: failed.RetryAfter, OthersAfter: failed.OthersAfter(),
	}, true
}

// invalid returns the error of a page that does not say how to go on. Such a page is not sent, so that a
// client can ask for it again.
func (w *walker) invalid(p *page, what string) error {
	return w.operation.Unfit(w.request, p.resp, apiv1.Reason_REASON_UPSTREAM_PAGINATION_INVALID, "the page "+what, nil)
}

// failure returns a *cursorError for a rejected cursor, and err otherwise. Samsara has no code for it and
// changes its texts. So every 400 to a request with a cursor counts, and other parameters may be to blame if
// that is the first request.
func (w *walker) failure(cursor string, err error) error {
	var failed *upstream.Error
	if cursor != "" && errors.As(err, &failed) && failed.IsBadRequest() {
		return &cursorError{failed: failed, field: w.walk.CursorField}
	}
	return err
}

// streaming returns the method that sends the pages of an operation, by read.
func (h *handler) streaming(s *endpoint.Stream, read func(*client) error) grpc.StreamDesc {
	return grpc.StreamDesc{
		StreamName:    s.FullMethod[strings.LastIndexByte(s.FullMethod, '/')+1:],
		ServerStreams: true,
		Handler: func(_ any, ss grpc.ServerStream) error {
			w, err := h.walker(ss.Context(), s, ss.RecvMsg)
			if err != nil {
				return err
			}
			h.observer.OpenStreams(s.Follow, 1)
			defer h.observer.OpenStreams(s.Follow, -1)
			line := lineOf(ss.Context())
			c := &client{ServerStream: ss, walker: w, openStream: line.stream, line: line, cursor: w.walk.Start}
			c.compressed = compresses(grpc.ServerTransportStreamFromContext(ss.Context()))
			return c.end(read(c))
		},
	}
}

// client is the receiving end of a stream. It belongs to the call's goroutine.
type client struct {
	grpc.ServerStream
	*walker
	*openStream
	line *logLine
	// cursor is where to go on after what has been sent.
	cursor string
	// unfit is whether cursor must not be in metadata.
	unfit bool
	// begun is whether a message has been sent, and compressed whether all messages are compressed.
	begun, compressed bool
	// attempts and requestID are for the log.
	attempts  int
	requestID string
	drifted   driftSum
	// message is the one that is sent.
	message message
}

// sendPage sends a page with only its first records, as many as items. It passes the page's memory on, even
// if it fails.
func (c *client) sendPage(p *page, items int64, held *lease.Lease) error {
	if items < p.Items {
		p, held = c.cut(p, items, held)
	}
	if !c.begun {
		// This fails only if the caller is gone.
		_ = c.SetHeader(c.organization.metadata(p.resp.Attempts, p.resp.RequestID))
	}
	c.drifted.add(&p.resp.Drift)
	c.attempts, c.requestID = c.attempts+p.resp.Attempts, p.resp.RequestID
	c.message = message{head: p.head, body: &p.wire, lease: held}
	bytes := int64(len(p.wire))
	if err := c.send(p.Cursor); err != nil {
		return err
	}
	c.unfit = p.unfit
	c.line.sentPage(items, bytes)
	c.observer.PageSent(c.stream.Follow, items)
	return nil
}

// cut returns a page with only its first records, which are to be asked for again with the rest, and its memory.
func (c *client) cut(p *page, items int64, held *lease.Lease) (*page, *lease.Lease) {
	resp := *p.resp
	resp.Drift = p.resp.Drift.First(items)
	first := &page{Page: p.Page, resp: &resp, wire: c.walk.Cut(p.wire, items), unfit: resp.HoldsToken(p.asked)}
	first.Cursor = p.asked
	first.head = pageHead(first.Cursor, first.wire)
	held.Release()
	return first, c.request.Memory.Add(int64(cap(first.wire)))
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
	c.message = message{head: keepAliveHead(s.Cursor, wire)}
	return c.send(s.Cursor)
}

// send sends the message. A client that has got it goes on from cursor.
func (c *client) send(cursor string) error {
	m := &c.message
	defer m.drop()
	if c.compressed && !c.begun && !mayCompress(c.request.Memory, m.bodyBytes()) {
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
	if err != nil && c.ending.Err() != nil {
		err = c.why()
	}
	trailer := metadata.MD{}
	if len(c.drifted.findings) > 0 {
		trailer.Set(driftKey, driftText(c.drifted.findings, c.drifted.dropped))
	}
	var failed *upstream.Error
	if errors.As(err, &failed) {
		c.attempts, c.requestID = c.attempts+failed.Attempts, failed.RequestID
		c.line.httpStatus = failed.HTTPStatus
		trailer = metadata.Join(trailer, c.organization.metadata(failed.Attempts, failed.RequestID))
	}
	c.line.attempts, c.line.upstreamID = c.attempts, c.requestID
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

// cursorError says that the upstream refused a cursor.
type cursorError struct {
	failed *upstream.Error
	// field is the field in which the caller gave the cursor, or would have.
	field string
}

func (e *cursorError) Error() string { return e.field + ": " + e.failed.Error() }

func (e *cursorError) Unwrap() error { return e.failed }

// GRPCStatus keeps the upstream's text and its request id.
func (e *cursorError) GRPCStatus() *status.Status {
	facts := e.failed.Facts()
	facts[apiv1.ErrorInfoKey_ERROR_INFO_KEY_CURSOR_FIELD] = e.field
	return status.Convert(newError(apiv1.Reason_REASON_UPSTREAM_CURSOR_REJECTED, e.failed.Message, facts,
		&errdetails.RequestInfo{RequestId: e.failed.RequestID}))
}
