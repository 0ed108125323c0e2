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

// list sends every page of a list.
func (h *handler) list(c *client) error {
	ctx, cancel := context.WithCancel(c.Context())
	defer cancel()
	defer context.AfterFunc(c.ending, cancel)()
	c.request.ID = lineOf(ctx).id // Nobody shares what a list asks for.
	a := &ahead{walker: c.walker, slots: make(chan struct{}, heldPages), out: make(chan fetchedPage)}
	go a.run(ctx)
	var err error
	for p := range a.out {
		if err == nil {
			// A stream that has to end does not send what was fetched meanwhile.
			err = context.Cause(c.ending)
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

// fetchedPage is a page, and how many of its records are wanted: the first ones.
type fetchedPage struct {
	*page
	items int64
	// lease is the page's memory. The page's slot is free again when the lease is over.
	lease *lease.Lease
	// passed is whether the page is passed over: only its drift is told.
	passed bool
}

// ahead reads a list while its pages are being sent. A page takes a slot before it is asked for and until
// nothing uses it. So never more pages exist than there are slots, however slowly the client reads.
type ahead struct {
	*walker
	slots chan struct{}
	out   chan fetchedPage
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

// read puts the pages out, in order. Empty pages are passed over, unless they tell something or are the last
// that the client wants: without such a page the client could not go on behind it.
func (a *ahead) read(ctx context.Context) error {
	pages, items := a.walk.MaxPages, a.walk.MaxItems
	cursor, seen := a.walk.Start, a.walk.Start
	for n := 1; ; n++ {
		select {
		case a.slots <- struct{}{}:
		case <-ctx.Done():
			return context.Cause(ctx)
		}
		p, held, err := a.fetch(ctx, cursor, a.request.From, a.request.Memory)
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
		wanted := fetchedPage{page: p, items: min(p.Items, items), lease: held}
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

// put puts a page out. It returns false if ctx ends first.
func (a *ahead) put(ctx context.Context, p fetchedPage) bool {
	select {
	case a.out <- p:
		return true
	case <-ctx.Done():
		p.lease.Release()
		return false
	}
}
