package service

import (
	"context"
	"errors"
	"strings"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/metadata"

	"samsara.internal/gateway/internal/endpoint"
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
	// begun is whether a message has been sent.
	begun bool
	// attempts and requestID are for the log.
	attempts  int
	requestID string
	drifted   driftSum
}

// sendPage sends a page with the first so many of its records. It tells free when nothing uses
// the page any more, also where it fails.
func (c *client) sendPage(p *page, items int64, free func()) error {
	wire, cursor := p.wire, p.Cursor
	if items < p.Items {
		wire, cursor = c.walk.Cut(p.wire, items), p.asked
		free()
		free = nil
	}
	if !c.begun {
		// This fails only where the caller is gone.
		_ = c.SetHeader(callMetadata(p.resp.Attempts, p.resp.RequestID))
	}
	c.drifted.add(&p.resp.Drift)
	c.attempts, c.requestID = c.attempts+p.resp.Attempts, p.resp.RequestID
	m := newMessage(cursor)
	m.setPage(wire, free)
	if err := c.send(m, cursor); err != nil {
		return err
	}
	logPage(c.Context(), items)
	c.observer.PageSent(c.stream.Follow, items)
	return nil
}

// send sends a message, after which a client goes on from cursor.
func (c *client) send(m *message, cursor string) error {
	defer m.drop()
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
	if err != nil {
		c.SetTrailer(cursorMetadata(c.cursor))
	}
	return err
}

// heldPages is how many pages of a stream exist at one time: one on its way to the client, and
// one that is being fetched or waits.
const heldPages = 2

// list sends every page until the last.
func (h *handler) list(c *client) error {
	ctx, cancel := context.WithCancel(c.Context())
	defer cancel()
	defer context.AfterFunc(h.stopping, cancel)()
	a := &ahead{source: c.source, slots: make(chan struct{}, heldPages), out: make(chan part)}
	go a.run(ctx)
	var err error
	for p := range a.out {
		if err == nil {
			// What was fetched meanwhile is not sent by a server that stops.
			err = context.Cause(h.stopping)
		}
		if err != nil {
			p.free()
			continue
		}
		if err = c.sendPage(p.page, p.items, p.free); err != nil {
			cancel()
		}
	}
	if err == nil {
		err = a.err
	}
	return err
}

// part is a page of which the first so many records are wanted.
type part struct {
	*page
	items int64
	// free must be called once the page is not used any more.
	free func()
}

// ahead reads a list while its pages are being sent. A page takes a slot before it is asked for
// and until it is free, so that never more of them exist than there are slots, however slowly
// the client reads.
type ahead struct {
	*source
	slots chan struct{}
	out   chan part
	// err is why reading ended before the list did. It may be read when out is closed.
	err error
}

func (a *ahead) run(ctx context.Context) {
	defer close(a.out)
	defer func() {
		if cause := recover(); cause != nil {
			a.err = a.panicked(ctx, cause)
		}
	}()
	a.err = a.read(ctx)
}

// read puts the pages out that are to be sent. Empty ones are passed over, unless the client
// wants no more pages: without one it could not go on behind them.
func (a *ahead) read(ctx context.Context) error {
	pages, items := a.walk.MaxPages, a.walk.MaxItems
	cursor, seen := a.walk.Start, a.walk.Start
	for n := 1; ; n++ {
		select {
		case a.slots <- struct{}{}:
		case <-ctx.Done():
			return context.Cause(ctx)
		}
		p, err := a.page(ctx, cursor)
		var failed *upstream.Error
		if errors.As(err, &failed) && a.walk.PastEnd(cursor, failed.HTTPStatus) {
			return nil
		}
		if err != nil {
			return err
		}
		free := func() { p.release(); <-a.slots }
		next := p.Cursor
		if p.More && (next == cursor || next == seen) {
			free()
			return a.invalid(p, "says that another page follows, and names a cursor that was used before")
		}
		// Each cursor at a power of two is compared with all until the next: no cycle escapes.
		if n&(n-1) == 0 {
			seen = next
		}
		wanted := part{p, min(p.Items, items), free}
		pages, items = pages-1, items-wanted.items
		done := pages == 0 || items == 0
		last := done || !p.More
		if p.Items == 0 && (!done || !p.More) {
			free()
		} else if !a.put(ctx, wanted) {
			return context.Cause(ctx)
		}
		if last {
			return nil
		}
		cursor = next
	}
}

// put puts a page out, and reports false where ctx ends first.
func (a *ahead) put(ctx context.Context, p part) bool {
	select {
	case a.out <- p:
		return true
	case <-ctx.Done():
		p.free()
		return false
	}
}

// follow sends what a feed has, for ever.
func (h *handler) follow(c *client) error {
	fo := h.feeds.follow(c.source)
	defer h.feeds.leave(fo)
	items := c.walk.MaxItems
	silence := time.NewTimer(c.walk.KeepAliveInterval)
	defer silence.Stop()
	for silent := false; ; {
		if err := context.Cause(h.stopping); err != nil {
			return err
		}
		news := h.feeds.take(fo)
		switch {
		case news.err != nil:
			return news.err
		case news.page != nil:
			wanted := min(news.page.Items, items)
			items -= wanted
			err := c.sendPage(news.page, wanted, func() { news.page.release(); h.feeds.freed(fo) })
			if err != nil || items == 0 || news.pages >= c.walk.MaxPages {
				return err
			}
		case news.pages >= c.walk.MaxPages:
			return nil
		case silent:
			m := newMessage(news.cursor)
			if err := m.setKeepAlive(news.keepAlive); err != nil {
				return err
			}
			if err := c.send(m, news.cursor); err != nil {
				return err
			}
		default:
			select {
			case <-news.changed:
			case <-silence.C:
				silent = true
			case <-h.stopping.Done():
			case <-c.Context().Done():
				return c.Context().Err()
			}
			continue
		}
		silent = false
		silence.Reset(c.walk.KeepAliveInterval)
	}
}
