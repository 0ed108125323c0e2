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

// nearby is the time within which requests count as one right after another.
const nearby = time.Second

// ErrClosed means that the hub was closed.
var ErrClosed = errors.New("the feeds are closed")

// Config configures a Hub. All fields must be set.
type Config struct {
	// Memory is for the pages that are kept for followers that are behind.
	Memory *lease.Pool
	// Readers is called with 1 when a reader begins, and with -1 when it ends.
	Readers func(delta int)
	// Panicked is called when a reader panics, and returns the error that its followers end with.
	Panicked func(ctx context.Context, cause any) error
}

// Hub shares the reading of feeds between their followers. It is safe for concurrent use.
//
// A reader is one chain of requests upstream. Each begins where the last answer ended. These hold whenever mu
// is not locked:
//
//   - Readers of one key ask for the same except for the cursor. So what follows a cursor is the same for
//     each of them, and a follower may go from one to another if both are at the same cursor. It goes only
//     then: what it is given always follows what it has.
//   - A reader that has not ended is in its list and has a follower. One that has ended still has the pages
//     that it keeps for the followers that are left. Its goroutine, and the request that is under way, end
//     with it.
//   - A follower has a reader, unless it has joined none yet or fell behind the pages that its reader keeps.
//     Every page from its next one on is kept.
//   - A reader asks only while one of its followers has fewer than heldPages pages, given to it or kept for
//     it. So the fastest sets the pace, and with a single follower never more than heldPages exist, as for
//     lists. A reader keeps at most maxKeptPages pages, and maxKeptBytes or one page.
//   - A follower for which there is nothing is among those that wait for its reader, or has been roused since it
//     last looked. Counts and ranks of followers are right at all times, so that a page does not take a walk
//     for each of them.
//   - Each request goes in the name, and through the Pages, of a follower that is there when it is made: of
//     an interactive one before any batch one, then of the one that has followed longest. While requests
//     fail, each name has its turn. Nothing of a follower that has left is used for the next request.
//
// mu is not held while a page is asked for. The mutex of a lease.Pool may be taken while mu is held.
type Hub struct {
	cfg     Config
	running sync.WaitGroup

	mu sync.Mutex
	// readers are the readers that have not ended, the oldest of a key first.
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

// Lag is how far the readers of an operation are behind.
type Lag struct {
	// Tenant and Operation are those of the readers' keys.
	Tenant, Operation string
	// Readers is how many there are, and Followers how many follow them.
	Readers, Followers int
	// Behind is the longest time since one of them last had everything that there was, or began.
	Behind time.Duration
}

// Lags returns how far all readers are behind, by tenant and operation.
func (h *Hub) Lags() []Lag {
	h.mu.Lock()
	defer h.mu.Unlock()
	now := time.Now()
	of := make(map[Key]*Lag)
	for key, readers := range h.readers {
		key = Key{Tenant: key.Tenant, Operation: key.Operation}
		lag := of[key]
		if lag == nil {
			lag = &Lag{Tenant: key.Tenant, Operation: key.Operation}
			of[key] = lag
		}
		for _, r := range readers {
			lag.Readers++
			lag.Followers += len(r.followers)
			lag.Behind = max(lag.Behind, now.Sub(r.current))
		}
	}
	all := make([]Lag, 0, len(of))
	for _, lag := range of {
		all = append(all, *lag)
	}
	return all
}

// joinLocked gives a follower a reader that is at the follower's cursor, or keeps the page that begins there,
// or else a new one.
func (h *Hub) joinLocked(s *subscription) {
	r, next := h.atLocked(s.Key, s.cursor, nil)
	if r == nil {
		r = h.startLocked(s.Key, s.cursor)
	}
	r.enterLocked(s, next)
}

// atLocked returns a reader that is at a cursor, or keeps the page that begins there, and the number of that
// page. It returns nil if there is none other than not.
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

// startLocked starts a reader at a cursor. The reader outlives the follower that wants it, if there are
// others.
func (h *Hub) startLocked(key Key, cursor string) *reader {
	ctx, cancel := context.WithCancel(context.Background())
	r := newReader(key, cursor)
	r.memory, r.cancel = h.cfg.Memory.Holder(nil), cancel
	h.readers[key] = append(h.readers[key], r)
	h.running.Go(func() { h.run(ctx, r) })
	return r
}

// withdrawLocked takes a follower from its reader.
func (h *Hub) withdrawLocked(s *subscription) {
	r := s.reader
	r.dropLocked(s)
	h.trimLocked(r)
}

// trimLocked trims a reader, and ends it if it has no follower.
func (h *Hub) trimLocked(r *reader) {
	r.trimLocked()
	if len(r.followers) == 0 {
		h.endLocked(r, nil)
	}
}

// endLocked ends a reader: it asks for no more pages. Its followers still get the pages that it keeps, then
// err, or another reader if err is nil.
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
	rouse(r.forgetLocked(nil))
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
	var room []*subscription
	for {
		next, ok := h.await(ctx, r)
		if !ok {
			return
		}
		p, err := next.pages.Page(ctx, next.cursor, next.as, r.memory)
		room = rouse(h.answer(ctx, r, next, p, err, room))
	}
}

// await waits until r must ask, and returns its request. It returns false if r has ended.
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

// look returns the request that r must make now, or else how long r waits before it looks again; less than 0:
// until it is woken. r waits until a request is due and a follower has room for a page. A reader that is
// caught up ends if another can take its followers.
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

// pause waits until it is woken or, if wait is above 0, until that time has passed. It reports false if ctx
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

// answer takes in the outcome of a request: a page, a failure that r outlasts, or an error. It returns the
// followers that are to be roused when the lock is free, because they want it: all that wait, if there is
// something for one of them. From then on those that wait are put into room.
func (h *Hub) answer(ctx context.Context, r *reader, asked poll, p *Page, err error, room []*subscription) []*subscription {
	var (
		failed   Failure
		outlasts bool
	)
	if err != nil && ctx.Err() == nil {
		failed, outlasts = asked.pages.Outlast(err)
	}
	h.mu.Lock()
	defer h.mu.Unlock()
	r.asking = false
	switch {
	case r.ended:
		if err == nil {
			p.Lease.Release()
		}
	case outlasts:
		r.outlastLocked(failed, asked.as)
	case err != nil:
		h.endLocked(r, err)
	default:
		keeps := r.takeLocked(p)
		h.trimLocked(r)
		r.due = time.Time{}
		if r.caughtUp {
			r.due = h.nextPollLocked(r)
		}
		if keeps || r.answers >= r.until {
			return r.forgetLocked(room)
		}
	}
	return room
}

// rouse makes followers look again, and returns the slice without them.
func rouse(waiting []*subscription) []*subscription {
	for _, s := range waiting {
		signal(s.wake)
	}
	clear(waiting)
	return waiting[:0]
}

// mergeLocked ends r if another reader is at the same cursor, or has been there and keeps the pages since. It
// moves the followers that are at the cursor to that reader. The ones that are behind follow when they have
// what r keeps.
func (h *Hub) mergeLocked(r *reader) {
	other, next := h.atLocked(r.key, r.cursor, r)
	if r.ended || other == nil {
		return
	}
	for s := range r.followers {
		if s.next == r.kept.nextLocked() {
			s.passLocked()
			r.dropLocked(s)
			other.enterLocked(s, next)
			signal(s.wake)
		}
	}
	if next == other.kept.nextLocked() && r.failure == nil && other.due.Before(r.due) {
		// It would ask what r has asked a moment ago.
		other.due = r.due
	}
	h.endLocked(r, nil)
}

// nextPollLocked returns when a reader that is caught up asks next: not before its poll interval is over, and
// then when the oldest reader of its key does. Readers that ask right after one another get the same answers,
// so that their cursors become the same.
func (h *Hub) nextPollLocked(r *reader) time.Time {
	lead := h.leadLocked(r)
	if lead == nil {
		r.jitter = rand.Float64() / 10 //nolint:gosec // G404: spreads load, hides nothing
		return r.answered.Add(r.intervalLocked())
	}
	// Jitter of its own would separate it from the lead again.
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
