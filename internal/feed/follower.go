package feed

import (
	"context"
	"io"
	"time"
)

// Follower is one who follows a feed. It is not safe for concurrent use.
type Follower struct {
	hub     *Hub
	place   place
	freed   func()
	silence *time.Timer
}

// News is what there is for a follower.
type News struct {
	// Page is one with records, if KeepAlive is nil. The follower's holder holds it by a lease of its
	// own, which must be released or handed on. A third page may be there only once one of two is free.
	Page Page
	// KeepAlive says how the feed is doing, if there is no page.
	KeepAlive *State
}

// Follow begins to follow a feed. The follower must leave.
func (h *Hub) Follow(req Request) *Follower {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.followed++
	f := &Follower{hub: h, place: place{Request: req, number: h.followed, cursor: req.Cursor}}
	if req.Alone {
		f.place.Key.alone = f.place.number
	}
	f.freed = f.free
	return f
}

// Next waits for a page, and returns how the feed is doing if none has come for as long as silence.
// What it returns follows what it has returned before, without a gap, each record once.
//
// The error is io.EOF once the follower has had MaxPages, empty ones included, ErrClosed once the hub
// is closed, that of ctx if it ends, and otherwise one of Source.Page that the feed does not outlast.
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

// look returns what there is now, how the feed is doing only if it has been silent. If there is nothing
// there may be something once changed is closed.
func (f *Follower) look(silent bool) (news News, changed <-chan struct{}, err error) {
	h, p := f.hub, &f.place
	h.mu.Lock()
	defer h.mu.Unlock()
	switch {
	case h.closed:
		return News{}, nil, ErrClosed
	case p.pages >= p.MaxPages:
		return News{}, nil, io.EOF
	}
	if r := p.reader; r != nil && r.ended && r.err == nil && p.next == r.kept.nextLocked() {
		h.withdrawLocked(p)
	}
	if p.reader == nil {
		h.joinLocked(p)
	}
	r := p.reader
	if p.next < r.kept.nextLocked() {
		page := f.takeLocked(r.kept.atLocked(p.next))
		h.trimLocked(r)
		r.nudge()
		return News{Page: page}, nil, nil
	}
	p.passLocked()
	switch {
	case r.err != nil:
		return News{}, nil, r.err
	case p.pages >= p.MaxPages:
		return News{}, nil, io.EOF
	case silent:
		return News{KeepAlive: r.stateLocked(p.As)}, nil, nil
	default:
		return News{}, r.changed, nil
	}
}

// takeLocked gives the follower a page that is kept for it.
func (f *Follower) takeLocked(k *kept) Page {
	p := &f.place
	p.next, p.cursor, p.pages = p.next+1, k.Cursor, k.answers-p.skipped
	p.held++
	k.waiting--
	page := *k.Page
	page.Lease = k.Lease.Share(p.Memory)
	page.Lease.Then(f.freed)
	return page
}

// free tells that nothing uses a page any more that the follower was given.
func (f *Follower) free() {
	f.hub.mu.Lock()
	defer f.hub.mu.Unlock()
	f.place.held--
	if r := f.place.reader; r != nil {
		r.nudge()
	}
}

// Leave ends following. It waits for the reader if that has no other follower: there are never more
// readers than followers. Pages that the follower was given stay its own.
func (f *Follower) Leave() {
	if f.silence != nil {
		f.silence.Stop()
	}
	h := f.hub
	h.mu.Lock()
	r := f.place.reader
	if r != nil {
		h.withdrawLocked(&f.place)
	}
	last := r != nil && r.ended
	h.mu.Unlock()
	if last {
		<-r.done
	}
}
