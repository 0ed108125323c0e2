package feed

import (
	"context"
	"math"
	"time"

	"github.com/cenkalti/backoff/v5"

	"samsara.internal/gateway/internal/identity"
	"samsara.internal/gateway/internal/lease"
)

// Key is what followers that share a reader have in common: everything in their requests that is the same for
// every page.
type Key struct {
	// Operation, Path, Query and Header say what is asked for. Header has the forwarded header fields.
	Operation, Path, Query, Header string
	// Tenant is whose token and budgets are used.
	Tenant string
	// RetryAlways is whether requests are repeated whatever they do.
	RetryAlways bool

	// alone is the number of a follower that shares with nobody, else 0.
	alone uint64
}

// Request says what a follower follows, and how.
type Request struct {
	Key Key
	// Alone is whether the follower is given only what was asked for by itself.
	Alone bool
	// As is the name that it asks in.
	As identity.Identity
	// Cursor is where it begins.
	Cursor string
	// PollInterval is how long it wants to wait after an answer with nothing new. It is above 0.
	PollInterval time.Duration
	// MaxPages is how many pages it wants, empty ones included. It is at least 1.
	MaxPages int64
	// Memory holds the pages that it is given.
	Memory *lease.Holder
	Pages  Pages
}

// State is how a feed is doing.
type State struct {
	// Cursor is where the follower is.
	Cursor string
	// Answered is when the last page came, zero if none has come yet. Due is when the next one is asked for,
	// zero if it is being asked for or if that is not known.
	Answered, Due time.Time
	// Failure is what the feed outlasts at the moment, Failures how often in a row it has failed. They are
	// nil and 0 if it works, or if its last failure concerns only another name.
	Failure  *Failure
	Failures int32
}

const (
	// heldPages is how many pages exist at one time of a feed with one follower: one on its way to
	// the client, and one that is being fetched or waits.
	heldPages = 2
	// lingering is how long the last page is kept when every follower has it. It is for followers that begin
	// at the same cursor a moment later.
	lingering = 5 * time.Second
)

// subscription is what a follower follows, and how far it is. Hub.mu guards everything except Request, number
// and wake.
type subscription struct {
	Request
	// number grows with each follower of the hub.
	number uint64
	// wake makes the follower look again. It has room for one.
	wake   chan struct{}
	reader *reader
	// next is the number of the page that it is given next, and cursor is where that page begins.
	next   int64
	cursor string
	// held is how many pages it was given that are still in use.
	held int
	// passed is how many pages it has got or passed over, empty ones included. skipped is by how many the
	// answers of its reader exceed that, below 0 if they are fewer.
	passed, skipped int64
	// round and waits are its place among those that wait: see reader.waiting.
	round uint64
	waits int
	// turn and pace are its places in ranks: among the followers of its name, and of its reader.
	turn, pace int
}

// loadLocked returns how many pages it has, given to it or kept for it.
func (s *subscription) loadLocked() int { return s.held + int(s.reader.kept.nextLocked()-s.next) }

// passLocked notes that the follower has got or passed over everything that its reader has read.
func (s *subscription) passLocked() {
	s.cursor, s.passed = s.reader.cursor, s.reader.answers-s.skipped
}

// signal leaves a signal in a channel that has room for one.
func signal(c chan<- struct{}) {
	select {
	case c <- struct{}{}:
	default:
	}
}

// reader reads a feed for its followers. Hub.mu guards everything except key, memory, cancel, done and wake.
type reader struct {
	key Key
	// memory holds the pages that it keeps. Its followers hold the pages that they are given.
	memory *lease.Holder
	cancel context.CancelFunc
	// done is closed when the reader's goroutine ends.
	done chan struct{}
	// wake makes the reader look again whether it may ask.
	wake chan struct{}

	followers map[*subscription]struct{}
	// names and paces are the followers in the order of their names, and of their poll intervals.
	names names
	paces rank[*subscription]
	// loads counts the followers that have room for a page, by how many pages they have.
	loads [heldPages]int
	// waiting are the followers that wait until there is something for them. round is what those that are in
	// it have noted: to empty it, nothing of a follower is touched. until is how many answers there are when
	// the first of them has had its MaxPages.
	waiting []*subscription
	round   uint64
	until   int64

	kept shelf
	// cursor is what the next page is asked for with.
	cursor string
	// answers counts pages, empty ones included.
	answers int64
	// caughtUp is whether the next request waits for the poll interval, because the last answer had no
	// records or no other cursor, or because no page follows it.
	caughtUp bool
	// asking is whether a request is under way. due is when the next one is made, answered when the last one
	// succeeded.
	asking        bool
	answered, due time.Time
	// current is when the reader last had everything that there was, or when it began.
	current time.Time
	// othersDue is when the next request is due after a failure, if it is made in a name that has not failed.
	othersDue time.Time
	// jitter is the share of the poll interval that is added to it.
	jitter float64
	// failure is what the reader outlasts at the moment, failedAs the name that failed, failures how often in
	// a row it has failed, and waits how long it waits after each.
	failure  *Failure
	failedAs identity.Identity
	failures int32
	waits    *backoff.ExponentialBackOff
	// ended is whether nothing is asked for any more. err is why, nil if it has no followers or was merged
	// with another reader.
	ended bool
	err   error
}

func newReader(key Key, cursor string) *reader {
	return &reader{
		key: key, cursor: cursor, current: time.Now(), done: make(chan struct{}), wake: make(chan struct{}, 1),
		followers: make(map[*subscription]struct{}), names: newNames(), round: 1, until: math.MaxInt64,
		paces: rank[*subscription]{
			before: func(one, other *subscription) bool { return one.PollInterval < other.PollInterval },
			place:  func(s *subscription) *int { return &s.pace },
		},
	}
}

// poll is a request for a page: through which Pages, at which cursor, in which name.
type poll struct {
	pages  Pages
	cursor string
	as     identity.Identity
}

// pollLocked returns the next request. It goes in the name of a follower that is there: of an interactive one
// before any batch one, then of the one that has followed longest. While requests fail each name has its
// turn, because they may fail by the quota or the circuit of one name.
func (r *reader) pollLocked() poll {
	first := r.names.firstLocked()
	return poll{first.Pages, r.cursor, first.As}
}

// enterLocked makes s a follower from the page with the number next on.
func (r *reader) enterLocked(s *subscription, next int64) {
	before := r.answers
	if next < r.kept.nextLocked() {
		before = r.kept.atLocked(next).answers - 1
	}
	s.reader, s.next, s.skipped, s.round = r, next, before-s.passed, 0
	r.followers[s] = struct{}{}
	r.names.addLocked(s)
	r.paces.add(s)
	r.loadLocked(s.loadLocked(), 1)
	r.kept.expectLocked(next, 1)
	if sooner := r.answered.Add(r.spreadLocked(s.PollInterval)); r.caughtUp && r.failure == nil && sooner.Before(r.due) {
		r.due = sooner
	}
	r.hastenLocked()
	r.nudge()
}

// loadLocked adds to the number of followers that have so many pages.
func (r *reader) loadLocked(pages, followers int) {
	if pages < heldPages {
		r.loads[pages] += followers
	}
}

// freeLocked notes that a follower has one page less, and makes the reader look again if it waits for that.
func (r *reader) freeLocked(s *subscription) {
	full := !r.wantedLocked()
	r.loadLocked(s.loadLocked(), -1)
	s.held--
	r.loadLocked(s.loadLocked(), 1)
	if full && r.wantedLocked() {
		r.nudge()
	}
}

// hastenLocked makes a request that failed in one name, and is made in another now, wait no longer than
// others have to.
func (r *reader) hastenLocked() {
	if r.failure != nil && r.othersDue.Before(r.due) && r.names.anyLocked() {
		r.due = r.othersDue
	}
}

// dropLocked takes a follower away.
func (r *reader) dropLocked(s *subscription) {
	r.kept.expectLocked(s.next, -1)
	r.loadLocked(s.loadLocked(), -1)
	r.names.removeLocked(s)
	r.paces.remove(s)
	if s.round == r.round {
		last := r.waiting[len(r.waiting)-1]
		r.waiting[s.waits], last.waits = last, s.waits
		r.waiting[len(r.waiting)-1] = nil
		r.waiting = r.waiting[:len(r.waiting)-1]
	}
	delete(r.followers, s)
	s.reader = nil
}

// waitsLocked reports whether there is nothing for a follower. Then it is roused once there is something.
func (r *reader) waitsLocked(s *subscription) bool {
	if s.next < r.kept.nextLocked() {
		return false
	}
	s.passLocked()
	if r.ended || s.passed >= s.MaxPages {
		return false
	}
	if s.round != r.round {
		s.round, s.waits = r.round, len(r.waiting)
		r.waiting = append(r.waiting, s)
		r.until = min(r.until-r.answers, s.MaxPages-s.passed) + r.answers
	}
	return true
}

// forgetLocked returns those that wait, who are to be roused. From now on those that wait are put into room.
func (r *reader) forgetLocked(room []*subscription) []*subscription {
	waiting := r.waiting
	r.waiting, r.round, r.until = room, r.round+1, math.MaxInt64
	return waiting
}

// trimLocked discards the pages that need not be kept any more, and drops the followers whose next page
// was discarded.
func (r *reader) trimLocked() {
	lingers := !r.ended && time.Since(r.answered) < lingering
	for r.kept.discardLocked(lingers) {
		for s := range r.followers {
			if s.next < r.kept.first {
				r.dropLocked(s)
			}
		}
	}
}

// takeLocked takes in a page. It reports whether the page is kept.
func (r *reader) takeLocked(p *Page) bool {
	if r.failure != nil {
		r.names.beginLocked()
	}
	r.failure, r.failures, r.waits = nil, 0, nil
	r.answered = time.Now()
	r.answers++
	// An empty page without cursor, as a list may end with, leaves the cursor as it is.
	asked, moved := r.cursor, p.Cursor != "" && p.Cursor != r.cursor
	r.caughtUp = !p.More || !moved || p.Items == 0
	if r.caughtUp {
		r.current = r.answered
	}
	if moved {
		r.cursor = p.Cursor
	}
	if p.Items == 0 && (!p.Tells || !moved) {
		p.Lease.Release()
		return false
	}
	r.kept.putLocked(&kept{Page: p, asked: asked, answers: r.answers, waiting: len(r.followers)})
	copy(r.loads[1:], r.loads[:]) // Each follower has one page more.
	r.loads[0] = 0
	return true
}

// outlastLocked sets when the reader asks again: in another name if possible, and not before that name may.
func (r *reader) outlastLocked(failed Failure, as identity.Identity) {
	r.names.tryLocked(as)
	if r.waits == nil {
		// Half the interval ±100 % is full jitter, from 1 s to 60 s: see upstream.RetryPolicy.
		r.waits = &backoff.ExponentialBackOff{
			InitialInterval: time.Second / 2, RandomizationFactor: 1, Multiplier: 2, MaxInterval: 30 * time.Second,
		}
	}
	r.failure, r.failedAs, r.failures = &failed, as, r.failures+1
	now, wait := time.Now(), r.waits.NextBackOff()
	r.due, r.othersDue = now.Add(max(wait, failed.RetryAfter)), now.Add(max(wait, failed.OthersAfter))
	r.hastenLocked()
}

// intervalLocked returns the shortest poll interval of all followers, with jitter.
func (r *reader) intervalLocked() time.Duration {
	if len(r.paces.items) == 0 {
		return 0
	}
	return r.spreadLocked(r.paces.items[0].PollInterval)
}

func (r *reader) spreadLocked(d time.Duration) time.Duration {
	return d + time.Duration(float64(d)*r.jitter)
}

// wantedLocked reports whether a follower has room for a page.
func (r *reader) wantedLocked() bool {
	for _, followers := range r.loads {
		if followers > 0 {
			return true
		}
	}
	return false
}

// stateLocked returns how the feed is doing, for a follower that asks in a name and has everything that is
// kept.
func (r *reader) stateLocked(as identity.Identity) *State {
	s := &State{Cursor: r.cursor, Answered: r.answered}
	if r.failure != nil && (!r.failure.Own || r.failedAs == as) {
		s.Failure, s.Failures = r.failure, r.failures
	}
	if !r.asking && r.due.After(time.Now()) {
		s.Due = r.due
	}
	return s
}

// nudge makes the reader look again.
func (r *reader) nudge() { signal(r.wake) }
