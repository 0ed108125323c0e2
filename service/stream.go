package service

import (
	"errors"
	"strings"

	"google.golang.org/grpc"
	"google.golang.org/grpc/encoding"
	"google.golang.org/grpc/metadata"

	"samsara.internal/gateway/internal/endpoint"
	"samsara.internal/gateway/internal/lease"
	"samsara.internal/gateway/upstream"
)

// StreamObserver is told what streams of pages do, concurrently.
type StreamObserver interface {
	// OpenStreams tells of one stream more or less, which follows a feed or does not.
	OpenStreams(follow bool, delta int)
	// PageSent tells of a page that was sent and the records in it.
	PageSent(follow bool, items int64)
	// FeedReaders tells of one reader of a feed more or less.
	FeedReaders(delta int)
	// FailureOutlasted tells of a failure that did not end the streams that follow a feed, by
	// the name of its gRPC code.
	FailureOutlasted(code string)
}

// unobserved is a StreamObserver for nobody.
type unobserved struct{}

func (unobserved) OpenStreams(bool, int)   {}
func (unobserved) PageSent(bool, int64)    {}
func (unobserved) FeedReaders(int)         {}
func (unobserved) FailureOutlasted(string) {}

// streaming returns the method that reads the pages of an operation.
func (h *handler) streaming(s *endpoint.Stream) grpc.StreamDesc {
	read := h.list
	if s.Follow {
		read = h.follow
	}
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

// sendPage sends a page with the first so many of its records, and passes its memory on, also where
// it fails.
func (c *client) sendPage(p *page, items int64, held *lease.Lease) error {
	wire, cursor := p.wire, p.Cursor
	if items < p.Items {
		wire, cursor = c.walk.Cut(p.wire, items), p.asked
		held.Release()
		held = c.call.Memory.Add(int64(cap(wire)))
	}
	if !c.begun {
		// This fails only where the caller is gone.
		_ = c.SetHeader(callMetadata(p.resp.Attempts, p.resp.RequestID))
	}
	c.drifted.add(&p.resp.Drift)
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
	if len(c.drifted.findings) > 0 {
		c.SetTrailer(metadata.Pairs(driftKey, driftText(c.drifted.findings, c.drifted.dropped)))
	}
	var failed *upstream.Error
	if errors.As(err, &failed) {
		c.attempts, c.requestID = c.attempts+failed.Attempts, failed.RequestID
		c.SetTrailer(callMetadata(failed.Attempts, failed.RequestID))
	}
	logAttempts(c.Context(), c.attempts, c.requestID)
	if err != nil && !c.unfit {
		c.SetTrailer(cursorMetadata(c.cursor))
	}
	return err
}
