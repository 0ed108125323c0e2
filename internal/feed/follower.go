package feed

import (
	"context"
	"io"
	"time"
)

// Follower follows a feed for one stream. It is not safe for concurrent use.
type Follower struct {
	hub          *Hub
	subscription subscription
	freed        func()
	// done is of the context whose end rouses it, and unwatch undoes that.
	done    <-chan struct{}
	unwatch func() bool
	silence silence
	// waits is whether there is nothing for it until it is roused.
	waits bool
}

// News is what Follower.Next returns: a page, or how the feed is doing.
type News struct {
	// Page is the next page, if KeepAlive is nil. The follower's holder holds it by a lease of its own, which
	// must be released or handed on. There may be a third page only when one of two is free.
	Page Page
	// KeepAlive says how the feed is doing, if there is no page.
	KeepAlive *State
}

// Follow returns a follower of a feed. It must be ended by Leave.
func (h *Hub) Follow(req Request) *Follower {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.followed++
	f := &Follower{hub: h, subscription: subscription{
		Request: req, number: h.followed, cursor: req.Cursor, wake: make(chan struct{}, 1),
	}}
	if req.Alone {
		f.subscription.Key.alone = f.subscription.number
	}
	f.freed, f.silence.rouse = f.free, f.rouse
	return f
}

// Next waits for a page and returns it, or how the feed is doing if no page has come for as long as silence.
// Each page follows the one before without a gap, and each record comes once.
//
// The error is io.EOF once the follower has had MaxPages, empty ones included, ErrClosed once the hub is
// closed, the error of ctx if that ends, and otherwise an error of Pages.Page that the feed does not outlast.
func (f *Follower) Next(ctx context.Context, silence time.Duration) (News, error) {
	f.watch(ctx)
	f.silence.begin(time.Now().Add(silence))
	for {
		if !f.waits {
			news, found, err := f.look() //nolint:contextcheck // a reader outlives the follower that begins it
			if found {
				return news, err
			}
		}
		if err := ctx.Err(); err != nil {
			return News{}, err
		}
		<-f.subscription.wake
		f.waits = false
	}
}

// watch makes the end of ctx rouse the follower. It does so once for each context, because most followers
// have one, and wait for many pages.
func (f *Follower) watch(ctx context.Context) {
	if ctx.Done() == f.done {
		return
	}
	f.forsake()
	f.done, f.unwatch = ctx.Done(), context.AfterFunc(ctx, f.rouse)
}

// forsake ends watch.
func (f *Follower) forsake() {
	if f.unwatch != nil {
		f.unwatch()
	}
}

// rouse makes the follower look again.
func (f *Follower) rouse() { signal(f.subscription.wake) }

// look returns what Next returns, if there is something now.
func (f *Follower) look() (news News, found bool, err error) {
	h, s := f.hub, &f.subscription
	h.mu.Lock()
	defer h.mu.Unlock()
	if r := s.reader; r != nil && r.ended && r.err == nil && s.next == r.kept.nextLocked() {
		s.passLocked()
		h.withdrawLocked(s)
	}
	switch {
	case h.closed:
		return News{}, true, ErrClosed
	case s.passed >= s.MaxPages:
		return News{}, true, io.EOF
	}
	if s.reader == nil {
		h.joinLocked(s)
	}
	r := s.reader
	if s.next < r.kept.nextLocked() {
		page := f.takeLocked(r.kept.atLocked(s.next))
		f.waits = r.waitsLocked(s) // It need not look again to learn that.
		return News{Page: page}, true, nil
	}
	f.waits = r.waitsLocked(s)
	switch {
	case r.err != nil:
		return News{}, true, r.err
	case s.passed >= s.MaxPages:
		return News{}, true, io.EOF
	case f.silence.isOver():
		return News{KeepAlive: r.stateLocked(s.As)}, true, nil
	default:
		return News{}, false, nil
	}
}

// takeLocked returns a page that is kept for the follower, with a lease of its own.
func (f *Follower) takeLocked(k *kept) Page {
	s := &f.subscription
	s.next, s.cursor, s.passed = s.next+1, k.Cursor, k.answers-s.skipped
	s.held++
	page := *k.Page
	page.Lease = k.Lease.Share(s.Memory)
	page.Lease.Then(f.freed)
	if k.waiting--; k.waiting == 0 {
		f.hub.trimLocked(s.reader)
	}
	return page
}

// free is called when nothing uses a page of the follower any more.
func (f *Follower) free() {
	f.hub.mu.Lock()
	defer f.hub.mu.Unlock()
	if r := f.subscription.reader; r != nil {
		r.freeLocked(&f.subscription)
	} else {
		f.subscription.held--
	}
}

// Leave ends following. It waits for the reader's end if that has no other follower: there are never more
// readers than followers. Pages that the follower was given stay its own.
func (f *Follower) Leave() {
	f.forsake()
	f.silence.end()
	h := f.hub
	h.mu.Lock()
	r := f.subscription.reader
	if r != nil {
		h.withdrawLocked(&f.subscription)
	}
	last := r != nil && r.ended
	h.mu.Unlock()
	if last {
		<-r.done
	}
}
