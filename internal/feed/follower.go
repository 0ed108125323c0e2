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
	silence      *time.Timer
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
	f := &Follower{hub: h, subscription: subscription{Request: req, number: h.followed, cursor: req.Cursor}}
	if req.Alone {
		f.subscription.Key.alone = f.subscription.number
	}
	f.freed = f.free
	return f
}

// Next waits for a page and returns it, or how the feed is doing if no page has come for as long as silence.
// Each page follows the one before without a gap, and each record comes once.
//
// The error is io.EOF once the follower has had MaxPages, empty ones included, ErrClosed once the hub is
// closed, the error of ctx if that ends, and otherwise an error of Pages.Page that the feed does not outlast.
func (f *Follower) Next(ctx context.Context, silence time.Duration) (News, error) {
	var over <-chan time.Time
	for silent := false; ; {
		news, changed, err := f.look(silent) //nolint:contextcheck // a reader outlives the follower that begins it
		if changed == nil {
			return news, err
		}
		if over == nil {
			over = f.after(silence)
		}
		select {
		case <-changed:
		case <-over:
			silent = true
		case <-ctx.Done():
			return News{}, ctx.Err()
		}
	}
}

// after returns a channel that says when d is over.
func (f *Follower) after(d time.Duration) <-chan time.Time {
	if f.silence == nil {
		f.silence = time.NewTimer(d)
	} else {
		f.silence.Reset(d)
	}
	return f.silence.C
}

// look returns what there is now, and how the feed is doing only if silent is true. If there is nothing,
// changed is closed once there may be something.
func (f *Follower) look(silent bool) (news News, changed <-chan struct{}, err error) {
	h, s := f.hub, &f.subscription
	h.mu.Lock()
	defer h.mu.Unlock()
	switch {
	case h.closed:
		return News{}, nil, ErrClosed
	case s.passed >= s.MaxPages:
		return News{}, nil, io.EOF
	}
	if r := s.reader; r != nil && r.ended && r.err == nil && s.next == r.kept.nextLocked() {
		h.withdrawLocked(s)
	}
	if s.reader == nil {
		h.joinLocked(s)
	}
	r := s.reader
	if s.next < r.kept.nextLocked() {
		page := f.takeLocked(r.kept.atLocked(s.next))
		h.trimLocked(r)
		r.nudge()
		return News{Page: page}, nil, nil
	}
	s.passLocked()
	switch {
	case r.err != nil:
		return News{}, nil, r.err
	case s.passed >= s.MaxPages:
		return News{}, nil, io.EOF
	case silent:
		return News{KeepAlive: r.stateLocked(s.As)}, nil, nil
	default:
		return News{}, r.changed, nil
	}
}

// takeLocked returns a page that is kept for the follower, with a lease of its own.
func (f *Follower) takeLocked(k *kept) Page {
	s := &f.subscription
	s.next, s.cursor, s.passed = s.next+1, k.Cursor, k.answers-s.skipped
	s.held++
	k.waiting--
	page := *k.Page
	page.Lease = k.Lease.Share(s.Memory)
	page.Lease.Then(f.freed)
	return page
}

// free is called when nothing uses a page of the follower any more.
func (f *Follower) free() {
	f.hub.mu.Lock()
	defer f.hub.mu.Unlock()
	f.subscription.held--
	if r := f.subscription.reader; r != nil {
		r.nudge()
	}
}

// Leave ends following. It waits for the reader's end if that has no other follower: there are never more
// readers than followers. Pages that the follower was given stay its own.
func (f *Follower) Leave() {
	if f.silence != nil {
		f.silence.Stop()
	}
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
