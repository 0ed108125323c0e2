package feed

import (
	"context"
	"time"

	"github.com/cenkalti/backoff/v5"

	"samsara.internal/gateway/internal/identity"
	"samsara.internal/gateway/internal/lease"
)

// Key is what followers have in common that share their reading. It is all of their requests that
// is the same for every page.
type Key struct {
	// Operation, Path, Query and Header say what is asked for. Header is what is forwarded.
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
	// Alone is whether nobody else may have asked for what the follower is given.
	Alone bool
	// As is in whose name it asks.
	As identity.Identity
	// Cursor is where it begins.
	Cursor string
	// PollInterval is how long it wants to wait after an answer with nothing new. It is above 0.
	PollInterval time.Duration
	// MaxPages is after how many pages it has enough, empty ones included. It is at least 1.
	MaxPages int64
	// Memory holds the pages that it is given.
	Memory *lease.Holder
	Source Source
}

// State is how a feed is doing.
type State struct {
	// Cursor is where the follower is.
	Cursor string
	// Answered is when the last page came, Due when the next one is asked for. They are zero if none
	// has come yet, or if it is being asked for or not known.
	Answered, Due time.Time
	// Failure is what the feed outlasts at the moment, Failures how often in a row it has failed; nil
	// and 0: it works, or has failed in another's name last for what holds for that alone.
	Failure  *Failure
	Failures int32
}

const (
	// heldPages is how many pages exist at one time of a feed with one follower: one on its way to
	// the client, and one that is being fetched or waits.
	heldPages = 2
	// lingering is how long the last page is kept when every follower has it: for those that begin
	// where the others did, a moment later.
	lingering = 5 * time.Second
)

// place is where a follower is. Hub.mu guards all but the request and number.
type place struct {
	Request
	// number grows with each follower of the hub.
	number uint64
	reader *reader
	// next is the number of the page that it is given next, cursor where that begins.
	next   int64
	cursor string
	// held is how many pages it was given that are not free yet.
	held int
	// pages is how many pages it has got over, and skipped how many of the reader's it has not.
	pages, skipped int64
	// tried is whether a request in its name has failed since the last round of names began.
	tried bool
}

// beforeLocked reports whether a request goes in the name of p rather than in that of other.
func (p *place) beforeLocked(other *place) bool {
	switch {
	case p.tried != other.tried:
		return other.tried
	case p.As.Batch != other.As.Batch:
		return other.As.Batch
	default:
		return p.number < other.number
	}
}

// passLocked takes note that it has got over all that its reader has read.
func (p *place) passLocked() {
	p.cursor, p.pages = p.reader.cursor, p.reader.answers-p.skipped
}

// reader reads a feed for its followers. Hub.mu guards all but key, memory, cancel, done and wake.
type reader struct {
	key Key
	// memory holds what it keeps. What its followers are given they hold themselves.
	memory *lease.Holder
	cancel context.CancelFunc
	// done is closed when the reader's goroutine ends.
	done chan struct{}
	// wake makes the reader look again whether it may ask.
	wake chan struct{}

	followers map[*place]struct{}
	// changed is closed, and replaced, when followers have something to look at.
	changed chan struct{}
	kept    shelf
	// cursor is what is asked with next.
	cursor string
	// answers counts pages, empty ones included.
	answers int64
	// caughtUp is whether the last answer had nothing that leads on.
	caughtUp bool
	// asking is whether a request is under way; due is when the next one is, answered when the last
	// one succeeded.
	asking        bool
	answered, due time.Time
	// othersDue is when the next request is due while it fails, if in a name that has not failed.
	othersDue time.Time
	// jitter is the share of the poll interval that is added to it.
	jitter float64
	// failure is what the reader outlasts at the moment, failedAs in whose name it failed, failures how
	// often it has failed, and waits how long it does.
	failure  *Failure
	failedAs identity.Identity
	failures int32
	waits    *backoff.ExponentialBackOff
	// ended is whether nothing is asked any more. err says why, unless it is for want of followers.
	ended bool
	err   error
}

// poll is a request for a page: where, and in whose name.
type poll struct {
	source Source
	cursor string
	as     identity.Identity
}

// pollLocked returns the next request. It goes in the name of a follower that is there: of one that
// is interactive rather than batch, then of the one that has followed longest. While requests fail
// each name has its turn, for it may be the share or the circuit of one that lets the others down.
func (r *reader) pollLocked() poll {
	var first *place
	for p := range r.followers {
		if first == nil || p.beforeLocked(first) {
			first = p
		}
	}
	if first.tried { // So have all been.
		r.untryLocked()
		return r.pollLocked()
	}
	return poll{first.Source, r.cursor, first.As}
}

// untryLocked begins a new round of names.
func (r *reader) untryLocked() {
	for p := range r.followers {
		p.tried = false
	}
}

// enterLocked makes p a follower from the page with the number next on.
func (r *reader) enterLocked(p *place, next int64) {
	before := r.answers
	if next < r.kept.nextLocked() {
		before = r.kept.atLocked(next).answers - 1
	}
	p.reader, p.next, p.skipped, p.tried = r, next, before-p.pages, r.failure != nil && r.triedLocked(p.As)
	r.followers[p] = struct{}{}
	r.kept.expectLocked(next, 1)
	if sooner := r.answered.Add(r.spreadLocked(p.PollInterval)); r.caughtUp && r.failure == nil && sooner.Before(r.due) {
		r.due = sooner
	}
	r.hastenLocked()
	r.nudge()
}

// triedLocked reports whether a request in a name has failed since the last round of names began.
func (r *reader) triedLocked(as identity.Identity) bool {
	for p := range r.followers {
		if p.As == as {
			return p.tried
		}
	}
	return false
}

// hastenLocked has a request that failed in one name, and is for another now, wait no longer than others
// have to.
func (r *reader) hastenLocked() {
	if r.failure == nil || !r.othersDue.Before(r.due) {
		return
	}
	for p := range r.followers {
		if !p.tried {
			r.due = r.othersDue
			return
		}
	}
}

// dropLocked takes a follower away.
func (r *reader) dropLocked(p *place) {
	r.kept.expectLocked(p.next, -1)
	delete(r.followers, p)
	p.reader = nil
	r.nudge()
}

// trimLocked gives up what need not be kept any more, and the followers that it can be kept for no
// longer.
func (r *reader) trimLocked() {
	lingers := !r.ended && time.Since(r.answered) < lingering
	for r.kept.discardLocked(lingers) {
		for p := range r.followers {
			if p.next < r.kept.first {
				r.dropLocked(p)
			}
		}
	}
}

// takeLocked makes a page the reader's.
func (r *reader) takeLocked(p *Page) {
	if r.failure != nil {
		r.untryLocked()
	}
	r.failure, r.failures, r.waits = nil, 0, nil
	r.answered = time.Now()
	r.answers++
	// An empty page without cursor, such as the last one of a list has, leaves things as they are.
	asked, moved := r.cursor, p.Cursor != "" && p.Cursor != r.cursor
	r.caughtUp = !p.More || !moved || p.Items == 0
	if moved {
		r.cursor = p.Cursor
	}
	if p.Items == 0 && (!p.Tells || !moved) {
		p.Lease.Release()
		return
	}
	r.kept.putLocked(&kept{Page: p, asked: asked, answers: r.answers, waiting: len(r.followers)})
}

// outlastLocked waits before the reader asks again, if possible in the name of another, and not less than
// that one has to.
func (r *reader) outlastLocked(failed Failure, as identity.Identity) {
	for p := range r.followers {
		p.tried = p.tried || p.As == as
	}
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

// intervalLocked is how long the most eager follower wants to wait, and a bit more.
func (r *reader) intervalLocked() time.Duration {
	var least time.Duration
	for p := range r.followers {
		if least == 0 || p.PollInterval < least {
			least = p.PollInterval
		}
	}
	return r.spreadLocked(least)
}

func (r *reader) spreadLocked(d time.Duration) time.Duration {
	return d + time.Duration(float64(d)*r.jitter)
}

// wantedLocked reports whether a follower has room for a page.
func (r *reader) wantedLocked() bool {
	for p := range r.followers {
		if int64(p.held)+r.kept.nextLocked()-p.next < heldPages {
			return true
		}
	}
	return false
}

// stateLocked says how the feed is doing for a follower that asks in a name, and has all that is kept.
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

// announceLocked lets followers look.
func (r *reader) announceLocked() {
	close(r.changed)
	r.changed = make(chan struct{})
}

// nudge lets the reader look.
func (r *reader) nudge() {
	select {
	case r.wake <- struct{}{}:
	default:
	}
}
