package feed

import (
	"context"
	"errors"
	"math/rand/v2"
	"slices"
	"sync"
	"time"

	"samsara.internal/gateway/internal/lease"
)

// nearby is within what time requests count as one after another.
const nearby = time.Second

// ErrClosed means that the hub was closed.
var ErrClosed = errors.New("the feeds are closed")

// Config configures a Hub. Everything must be set.
type Config struct {
	// Memory is that of the pages which are kept for followers that are behind.
	Memory *lease.Pool
	// Readers is told of one reader more or less.
	Readers func(delta int)
	// Panicked is told that a reader panicked, and returns what its followers end with.
	Panicked func(ctx context.Context, cause any) error
}

// Hub shares the reading of feeds between those that follow them. It is safe for concurrent use.
//
// A reader is one chain of requests upstream, each from where the last answer ended. These hold
// whenever mu is not locked:
//
//   - Readers of one key ask for the same except for the cursor. What follows a cursor is thus the
//     same for each of them, and a follower may go from one to another if the cursor of both is the
//     same. It goes only there: what it is given is always what follows what it has.
//   - A reader that has not ended is in its list and has a follower. One that has ended still has
//     what it keeps for the followers that are left. Its goroutine, and the request that is under
//     way, end with it.
//   - A follower has a reader, unless it has joined none yet or fell behind what that keeps. Every
//     page from its next one on is kept.
//   - A reader asks only while one of its followers has fewer than heldPages pages that it was given
//     or that are kept for it: the fastest sets the pace, and with a single one never more than
//     heldPages exist, as for lists. A reader keeps at most maxKeptPages pages, and maxKeptBytes or
//     one page.
//   - Each request goes in the name, and through the source, of a follower that is there when it is
//     made: of an interactive one before any that is batch, then of the one that has followed longest;
//     while requests fail, of each name in turn. Nothing of a follower that has left is used for the
//     next.
//
// mu is not held while a source is asked. The mutex of a lease.Pool may be taken while it is.
type Hub struct {
	cfg     Config
	running sync.WaitGroup

	mu sync.Mutex
	// readers are those that have not ended, the oldest of a key first.
	readers map[Key][]*reader
	// followed is how many followers there have been.
	followed uint64
	closed   bool
}

// New returns a hub without readers. It must be closed.
func New(cfg Config) *Hub { return &Hub{cfg: cfg, readers: make(map[Key][]*reader)} }

// Close ends all readers, waits until their goroutines have ended, and lets followers end with
// ErrClosed. They still have to leave.
func (h *Hub) Close() {
	h.mu.Lock()
	h.closed = true
	for _, readers := range h.readers {
		for _, r := range slices.Clone(readers) {
			h.endLocked(r, ErrClosed)
		}
	}
	h.mu.Unlock()
	h.running.Wait()
}

// joinLocked gives a follower a reader that is, or keeps the page that begins, where the follower
// is, and a new one if there is none.
func (h *Hub) joinLocked(p *place) {
	r, next := h.atLocked(p.Key, p.cursor, nil)
	if r == nil {
		r = h.startLocked(p.Key, p.cursor)
	}
	r.enterLocked(p, next)
}

// atLocked returns a reader other than not of a cursor, and the number of the page that begins there.
func (h *Hub) atLocked(key Key, cursor string, not *reader) (*reader, int64) {
	for _, r := range h.readers[key] {
		if r == not {
			continue
		}
		if r.cursor == cursor {
			return r, r.kept.nextLocked()
		}
		if number, ok := r.kept.beginningLocked(cursor); ok {
			return r, number
		}
	}
	return nil, 0
}

// startLocked begins a reader at a cursor. It outlives the follower that wants it, if there are others.
func (h *Hub) startLocked(key Key, cursor string) *reader {
	ctx, cancel := context.WithCancel(context.Background())
	r := &reader{
		key: key, cursor: cursor, memory: h.cfg.Memory.Holder(nil), cancel: cancel,
		done: make(chan struct{}), wake: make(chan struct{}, 1),
		followers: make(map[*place]struct{}), changed: make(chan struct{}),
	}
	h.readers[key] = append(h.readers[key], r)
	h.running.Go(func() { h.run(ctx, r) })
	return r
}

// withdrawLocked takes a follower from its reader.
func (h *Hub) withdrawLocked(p *place) {
	r := p.reader
	r.dropLocked(p)
	h.trimLocked(r)
}

// trimLocked trims a reader, and ends it if it has no follower.
func (h *Hub) trimLocked(r *reader) {
	r.trimLocked()
	if len(r.followers) == 0 {
		h.endLocked(r, nil)
	}
}

// endLocked lets a reader ask no more. Its followers still get what it keeps, then err, or another
// reader if that is nil.
func (h *Hub) endLocked(r *reader, err error) {
	if r.ended {
		return
	}
	r.ended, r.err = true, err
	r.cancel()
	others := slices.DeleteFunc(h.readers[r.key], func(other *reader) bool { return other == r })
	if h.readers[r.key] = others; len(others) == 0 {
		delete(h.readers, r.key)
	}
	r.trimLocked()
	r.announceLocked()
}

// run asks for one page after another until r has ended.
func (h *Hub) run(ctx context.Context, r *reader) {
	defer close(r.done)
	defer r.cancel()
	h.cfg.Readers(1)
	defer h.cfg.Readers(-1)
	defer func() {
		if cause := recover(); cause != nil {
			err := h.cfg.Panicked(ctx, cause)
			h.mu.Lock()
			defer h.mu.Unlock()
			h.endLocked(r, err)
		}
	}()
	for {
		next, ok := h.await(ctx, r)
		if !ok {
			return
		}
		p, err := next.source.Page(ctx, next.cursor, next.as, r.memory)
		h.answer(ctx, r, next, p, err)
	}
}

// await waits until r is to ask, and reports false if it never is.
func (h *Hub) await(ctx context.Context, r *reader) (poll, bool) {
	for ctx.Err() == nil {
		next, wait := h.look(r)
		if wait == 0 {
			return next, true
		}
		if !pause(ctx, wait, r.wake) {
			break
		}
	}
	return poll{}, false
}

// look returns what r is to ask now, else how long it waits before it looks again; less than 0: until
// it is woken. What it waits for is that its request is due, and a follower that has room for a page.
// One that is caught up ends if another can take its followers.
func (h *Hub) look(r *reader) (poll, time.Duration) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if r.caughtUp {
		h.mergeLocked(r)
	}
	h.trimLocked(r)
	now := time.Now()
	wait := r.due.Sub(now)
	switch {
	case r.ended:
		return poll{}, -1
	case wait > 0:
		if lingers := r.answered.Add(lingering).Sub(now); lingers > 0 {
			wait = min(wait, lingers)
		}
		return poll{}, wait
	case r.wantedLocked():
		r.asking = true
		return r.pollLocked(), 0
	default:
		return poll{}, -1
	}
}

// pause waits until it is woken or, if wait is above 0, has waited as long; it reports false if ctx
// ends.
func pause(ctx context.Context, wait time.Duration, wake <-chan struct{}) bool {
	var over <-chan time.Time
	if wait > 0 {
		timer := time.NewTimer(wait)
		defer timer.Stop()
		over = timer.C
	}
	select {
	case <-ctx.Done():
		return false
	case <-wake:
	case <-over:
	}
	return true
}

// answer takes in what came of a request: a page, or a failure that r outlasts, or an error.
func (h *Hub) answer(ctx context.Context, r *reader, asked poll, p *Page, err error) {
	var (
		failed   Failure
		outlasts bool
	)
	if err != nil && ctx.Err() == nil {
		failed, outlasts = asked.source.Outlast(err)
	}
	h.mu.Lock()
	defer h.mu.Unlock()
	r.asking = false
	switch {
	case r.ended:
		if err == nil {
			p.Lease.Release()
		}
		return
	case outlasts:
		r.outlastLocked(failed, asked.as)
	case err != nil:
		h.endLocked(r, err)
	default:
		r.takeLocked(p)
		h.trimLocked(r)
		r.due = time.Time{}
		if r.caughtUp {
			r.due = h.nextPollLocked(r)
		}
	}
	r.announceLocked()
}

// mergeLocked moves the followers that are where r is to another reader that is there too, or has
// been and keeps what came then. Those that are behind follow when they have what r keeps.
func (h *Hub) mergeLocked(r *reader) {
	other, next := h.atLocked(r.key, r.cursor, r)
	if r.ended || other == nil {
		return
	}
	for p := range r.followers {
		if p.next == r.kept.nextLocked() {
			p.passLocked()
			delete(r.followers, p)
			other.enterLocked(p, next)
		}
	}
	if next == other.kept.nextLocked() && r.failure == nil && other.due.Before(r.due) {
		// It would ask what r has asked a moment ago.
		other.due = r.due
	}
	h.endLocked(r, nil)
}

// nextPollLocked returns when a reader that is caught up asks next: not before its poll interval is
// over, and then when the oldest reader of its key does. Readers that ask one after another hear of
// the same, so that their cursors come to be the same.
func (h *Hub) nextPollLocked(r *reader) time.Time {
	lead := h.leadLocked(r)
	if lead == nil {
		r.jitter = rand.Float64() / 10 //nolint:gosec // G404: spreads load, hides nothing
		return r.answered.Add(r.intervalLocked())
	}
	// Jitter of its own would part it from the lead again.
	r.jitter = 0
	soonest, due := r.answered.Add(r.intervalLocked()), lead.due
	if due.Before(soonest.Add(-nearby)) {
		due = due.Add(lead.intervalLocked())
	}
	if due.After(soonest) && due.Before(soonest.Add(r.intervalLocked())) {
		return due
	}
	return soonest
}

// leadLocked returns the oldest reader before r whose next request is known.
func (h *Hub) leadLocked(r *reader) *reader {
	for _, lead := range h.readers[r.key] {
		switch {
		case lead == r:
			return nil
		case lead.caughtUp && !lead.asking && lead.failure == nil:
			return lead
		}
	}
	return nil
}
