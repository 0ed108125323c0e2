package service

import (
	"context"
	"errors"

	"samsara.internal/gateway/internal/lease"
	"samsara.internal/gateway/upstream"
)

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
		switch {
		case err != nil:
			p.lease.Release()
		case p.passed:
			c.drifted.add(&p.resp.Drift)
			p.lease.Release()
		default:
			if err = c.sendPage(p.page, p.items, p.lease); err != nil {
				cancel()
			}
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
	// lease is the page's memory. Its slot is free again when that is over.
	lease *lease.Lease
	// passed is whether the page is passed over: no more than its drift is told.
	passed bool
}

// ahead reads a list while its pages are being sent. A page takes a slot before it is asked for
// and until nothing uses it, so that never more of them exist than there are slots, however slowly
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

// read puts the pages out that are to be sent. Empty ones are passed over, unless they tell something, or
// the client wants no more pages: without one it could not go on behind them.
func (a *ahead) read(ctx context.Context) error {
	pages, items := a.walk.MaxPages, a.walk.MaxItems
	cursor, seen := a.walk.Start, a.walk.Start
	for n := 1; ; n++ {
		select {
		case a.slots <- struct{}{}:
		case <-ctx.Done():
			return context.Cause(ctx)
		}
		p, held, err := a.fetch(ctx, cursor, a.call.From, a.call.Memory)
		var failed *upstream.Error
		if errors.As(err, &failed) && a.walk.PastEnd(cursor, failed.HTTPStatus) {
			return nil
		}
		if err != nil {
			return err
		}
		held.Then(func() { <-a.slots })
		next := p.Cursor
		if p.More && (next == cursor || next == seen) {
			held.Release()
			return a.invalid(p, "says that another page follows, and names a cursor that was used before")
		}
		// Each cursor at a power of two is compared with all until the next: no cycle escapes.
		if n&(n-1) == 0 {
			seen = next
		}
		wanted := part{page: p, items: min(p.Items, items), lease: held}
		pages, items = pages-1, items-wanted.items
		done := pages == 0 || items == 0
		last := done || !p.More
		if p.Items == 0 && (!done || !p.More) && !p.tells() {
			wanted.passed = true
		}
		if !a.put(ctx, wanted) {
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
		p.lease.Release()
		return false
	}
}
