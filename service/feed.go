package service

import (
	"context"
	"errors"
	"math/rand/v2"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/cenkalti/backoff/v5"
	"google.golang.org/grpc/codes"
	"google.golang.org/protobuf/types/known/timestamppb"

	gatewayv1 "samsara.internal/gateway/gen/samsara/gateway/v1"
	"samsara.internal/gateway/internal/endpoint"
	"samsara.internal/gateway/internal/lease"
	"samsara.internal/gateway/upstream"
)

const (
	// maxKeptPages and maxKeptBytes bound what a reader keeps for followers that are behind. The
	// last page is kept however large it is.
	maxKeptPages = 16
	maxKeptBytes = 8 << 20
	// lingering is how long the last page is kept when every follower has it: for those that
	// begin where the others did, a moment later.
	lingering = endpoint.MinPollInterval
	// nearby is within what time requests count as one after another.
	nearby = time.Second
)

// feeds shares the reading of feeds between the streams that follow them. Its zero value is of
// use; it is safe for concurrent use.
//
// A follower is one stream, a reader one chain of requests upstream, each from where the last
// answer ended. These hold whenever mu is not locked:
//
//   - Readers of one key ask for the same but for the cursor. What follows a cursor is thus the
//     same for each of them, and a follower may go from one to another where the cursor of both
//     is the same. It goes only there: what it is given is always what follows what it has.
//   - A reader that has not ended is in its list and has a follower. One that has ended still
//     has what it keeps for the followers that are left. Its goroutine, and the request that is
//     under way, end with it.
//   - A follower has a reader, unless it has joined none yet or fell behind what that keeps.
//     Every page from its next one on is kept.
//   - A reader asks only while one of its followers has fewer than heldPages pages that it was
//     given or that are kept for it: the fastest sets the pace, and with a single one never more
//     than heldPages exist, as for lists.
type feeds struct {
	mu sync.Mutex
	// readers are those that have not ended, the oldest of a key first.
	readers map[feedKey][]*feedReader
}

// feedKey is all of a request that is the same for every page.
type feedKey struct {
	method, path, query string
	retryAlways         bool
	header              string
}

func newFeedKey(s *source) feedKey {
	var header strings.Builder
	for _, h := range s.call.Header {
		header.WriteString(h.Name + ":" + h.Value + "\n")
	}
	return feedKey{s.stream.FullMethod, s.walk.Path, s.walk.Query, s.call.RetryAlways, header.String()}
}

// feedReader reads a feed for its followers. All but source, key, memory, cancel, done and wake is
// guarded by feeds.mu; cursor changes in the reader's own goroutine only.
type feedReader struct {
	*source
	key feedKey
	// memory holds what it keeps. What its followers are given their connections hold.
	memory *lease.Holder
	cancel context.CancelFunc
	// done is closed when the reader's goroutine ends.
	done chan struct{}
	// wake makes the reader look again whether it may ask.
	wake chan struct{}

	followers map[*follower]struct{}
	// changed is closed, and replaced, when followers have something to look at.
	changed chan struct{}
	// kept are pages with records, the n-th of which has the number first+n.
	kept      []*keptPage
	keptBytes int
	first     int64
	// cursor is what is asked with next.
	cursor string
	// answers counts pages, empty ones included.
	answers int64
	// caughtUp is whether the last answer had nothing that leads on.
	caughtUp bool
	// asking is whether a request is under way; due is when the next one is, answered when the
	// last one succeeded.
	asking        bool
	answered, due time.Time
	// jitter is the share of the poll interval that is added to it.
	jitter float64
	// failure is what the reader outlasts at the moment, waits is how long it does.
	failure *gatewayv1.Failure
	waits   *backoff.ExponentialBackOff
	// ended is whether nothing is asked any more. err says why, unless it is for want of
	// followers.
	ended bool
	err   error
}

// keptPage is a page with its memory, the number of answers up to it, and of followers that have yet
// to get it.
type keptPage struct {
	*page
	lease   *lease.Lease
	answers int64
	waiting int
}

// follower is the place of one stream in a feed. It belongs to feeds, guarded by its mu.
type follower struct {
	source *source
	key    feedKey
	reader *feedReader
	// next is the number of the page it is given next, cursor where that begins.
	next   int64
	cursor string
	// held is how many pages it was given that are not free yet.
	held int
	// pages is how many pages it has got over, and skipped how many of the reader's it has not.
	pages, skipped int64
}

// news is what there is for a follower: a page that it now owns, or that it has ended, or how
// its feed is doing.
type news struct {
	page  *page
	lease *lease.Lease // of the page
	err   error

	// cursor is where the follower is, pages how many pages it has got over.
	cursor string
	pages  int64
	// changed is closed when there may be other news.
	changed   <-chan struct{}
	keepAlive *gatewayv1.KeepAlive
}

// follow begins a follower at the start of its source. It must be left.
func (f *feeds) follow(s *source) *follower {
	return &follower{source: s, key: newFeedKey(s), cursor: s.walk.Start}
}

// leave ends a follower, and its reader where that has no other.
func (f *feeds) leave(fo *follower) {
	f.mu.Lock()
	r := fo.reader
	if r != nil {
		f.withdraw(fo)
	}
	alone := r != nil && r.ended
	f.mu.Unlock()
	if alone {
		// A stream is not over before what it started is.
		<-r.done
	}
}

// withdraw takes a follower from its reader.
func (f *feeds) withdraw(fo *follower) {
	r := fo.reader
	r.expect(fo, -1)
	fo.reader = nil
	delete(r.followers, fo)
	if len(r.followers) == 0 {
		f.end(r, nil)
	}
	f.trim(r)
	r.nudge()
}

// end lets a reader ask no more. Its followers still get what it keeps, then err, or another
// reader where that is nil.
func (f *feeds) end(r *feedReader, err error) {
	if r.ended {
		return
	}
	r.ended, r.err = true, err
	r.cancel()
	others := slices.DeleteFunc(f.readers[r.key], func(other *feedReader) bool { return other == r })
	if f.readers[r.key] = others; len(others) == 0 {
		delete(f.readers, r.key)
	}
	f.trim(r)
	r.announce()
}

// take returns what there is for a follower now.
func (f *feeds) take(fo *follower) news {
	f.mu.Lock()
	defer f.mu.Unlock()
	if r := fo.reader; r != nil && r.ended && r.err == nil && fo.next == r.next() {
		f.withdraw(fo)
	}
	if fo.reader == nil {
		f.join(fo)
	}
	r := fo.reader
	if fo.next < r.next() {
		p := r.kept[fo.next-r.first]
		fo.next, fo.cursor, fo.pages = fo.next+1, p.Cursor, p.answers-fo.skipped
		fo.held++
		p.waiting--
		given := p.lease.Share(fo.source.call.Memory)
		f.trim(r)
		r.nudge()
		return news{page: p.page, lease: given, cursor: fo.cursor, pages: fo.pages}
	}
	fo.cursor, fo.pages = r.cursor, r.answers-fo.skipped
	return news{err: r.err, cursor: fo.cursor, pages: fo.pages, changed: r.changed, keepAlive: r.state()}
}

// freed tells that nothing uses a page any more that a follower was given.
func (f *feeds) freed(fo *follower) {
	f.mu.Lock()
	defer f.mu.Unlock()
	fo.held--
	if fo.reader != nil {
		fo.reader.nudge()
	}
}

// join gives a follower a reader that is, or keeps the page that begins, where the follower is,
// and a new one where there is none.
func (f *feeds) join(fo *follower) {
	r, next := f.at(fo.key, fo.cursor, nil)
	if r == nil {
		r = f.start(fo)
	}
	f.enter(fo, r, next)
}

// at returns a reader other than not of a cursor, and the number of the page that begins there.
func (f *feeds) at(key feedKey, cursor string, not *feedReader) (*feedReader, int64) {
	for _, r := range f.readers[key] {
		if r == not {
			continue
		}
		if r.cursor == cursor {
			return r, r.next()
		}
		if i := slices.IndexFunc(r.kept, func(p *keptPage) bool { return p.asked == cursor }); i >= 0 {
			return r, r.first + int64(i)
		}
	}
	return nil, 0
}

// enter makes fo a follower of r from the page with the number next on.
func (f *feeds) enter(fo *follower, r *feedReader, next int64) {
	before := r.answers
	if next < r.next() {
		before = r.kept[next-r.first].answers - 1
	}
	fo.reader, fo.next, fo.skipped = r, next, before-fo.pages
	r.followers[fo] = struct{}{}
	r.expect(fo, 1)
	if sooner := r.answered.Add(r.spread(fo.source.walk.PollInterval)); r.caughtUp && r.failure == nil && sooner.Before(r.due) {
		r.due = sooner
	}
	r.nudge()
}

// start begins a reader where a follower is.
func (f *feeds) start(fo *follower) *feedReader {
	s := fo.source
	ctx, cancel := context.WithCancel(s.stopping)
	r := &feedReader{
		source: s, key: fo.key, cursor: fo.cursor, memory: s.answers.Holder(nil), cancel: cancel,
		done: make(chan struct{}), wake: make(chan struct{}, 1),
		followers: make(map[*follower]struct{}), changed: make(chan struct{}),
	}
	if f.readers == nil {
		f.readers = make(map[feedKey][]*feedReader)
	}
	f.readers[r.key] = append(f.readers[r.key], r)
	go f.run(ctx, r)
	return r
}

// run asks for one page after another until r has ended.
func (f *feeds) run(ctx context.Context, r *feedReader) {
	defer close(r.done)
	defer r.cancel()
	r.observer.FeedReaders(1)
	defer r.observer.FeedReaders(-1)
	defer func() {
		if cause := recover(); cause != nil {
			err := r.panicked(ctx, cause)
			f.mu.Lock()
			defer f.mu.Unlock()
			f.end(r, err)
		}
	}()
	for f.await(ctx, r) {
		p, held, err := r.page(ctx, r.cursor, r.memory)
		if ctx.Err() != nil {
			held.Release()
			return
		}
		failed := outlasted(err)
		if failed != nil {
			r.observer.FailureOutlasted(failed.Code.String())
		}
		f.answer(r, p, held, failed, err)
	}
}

// await waits until r is to ask, and reports false where it never is.
func (f *feeds) await(ctx context.Context, r *feedReader) bool {
	for ctx.Err() == nil {
		wait := f.look(r)
		if wait == 0 {
			return true
		}
		if !pause(ctx, wait, r.wake) {
			return false
		}
	}
	return false
}

// look returns 0 where r is to ask now, else how long it waits before it looks again; less than
// 0: until it is woken. What it waits for is that its request is due, and a follower that has
// room for a page. One that is caught up ends where another can take its followers.
func (f *feeds) look(r *feedReader) time.Duration {
	f.mu.Lock()
	defer f.mu.Unlock()
	if r.caughtUp {
		f.merge(r)
	}
	f.trim(r)
	now := time.Now()
	wait := r.due.Sub(now)
	switch {
	case r.ended:
		return -1
	case wait > 0:
		if lingers := r.answered.Add(lingering).Sub(now); lingers > 0 {
			return min(wait, lingers)
		}
		return wait
	case r.wanted():
		r.asking = true
		return 0
	default:
		return -1
	}
}

// pause waits until it is woken or, where wait is above 0, has waited as long; it reports false
// where ctx ends.
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
func (f *feeds) answer(r *feedReader, p *page, held *lease.Lease, failed *upstream.Error, err error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	r.asking = false
	switch {
	case failed != nil:
		r.outlast(failed)
	case err != nil:
		f.end(r, err)
	case !p.More && p.Cursor == "" && p.Items > 0:
		held.Release()
		f.end(r, r.invalid(p, "has records, and names no cursor for what comes after them"))
	default:
		r.take(p, held)
		f.trim(r)
		r.due = time.Time{}
		if r.caughtUp {
			r.due = f.nextPoll(r)
		}
	}
	r.announce()
}

// take makes a page and its memory the reader's.
func (r *feedReader) take(p *page, held *lease.Lease) {
	r.failure, r.waits = nil, nil
	r.answered = time.Now()
	r.answers++
	// An empty page without cursor, such as the last one of a list has, leaves things as they are.
	moved := p.Cursor != "" && p.Cursor != r.cursor
	r.caughtUp = !p.More || !moved || p.Items == 0
	if moved {
		r.cursor = p.Cursor
	}
	if p.Items == 0 {
		held.Release()
		return
	}
	r.kept = append(r.kept, &keptPage{page: p, lease: held, answers: r.answers, waiting: len(r.followers)})
	r.keptBytes += len(p.wire)
}

// outlasted returns the failure that err is where asking again may go better, else nil. What is
// too large remains so.
func outlasted(err error) *upstream.Error {
	var failed *upstream.Error
	if !errors.As(err, &failed) {
		return nil
	}
	switch failed.Code {
	case codes.Unavailable:
		return failed
	case codes.ResourceExhausted:
		if failed.Reason != upstream.ReasonBodyTooLarge {
			return failed
		}
	case codes.DeadlineExceeded:
		// The deadline is no caller's but the one of asking for a page.
		late := *failed
		late.Code, late.Reason = codes.Unavailable, upstream.ReasonTimeout
		return &late
	default:
	}
	return nil
}

// outlast waits before r asks again, not less than the upstream wants.
func (r *feedReader) outlast(failed *upstream.Error) {
	if r.waits == nil {
		// Half the interval ±100 % is full jitter, from 1 s to 60 s: see upstream.RetryPolicy.
		r.waits = &backoff.ExponentialBackOff{
			InitialInterval: time.Second / 2, RandomizationFactor: 1, Multiplier: 2, MaxInterval: 30 * time.Second,
		}
	}
	r.failure = &gatewayv1.Failure{
		Code: int32(failed.Code), Reason: failed.Reason, Message: failed.Message, Count: r.failure.GetCount() + 1,
	}
	r.due = time.Now().Add(max(r.waits.NextBackOff(), failed.RetryAfter))
}

// nextPoll returns when a reader that is caught up asks next: not before its poll interval is
// over, and then when the oldest reader of its key does. Readers that ask one after another hear
// of the same, so that their cursors come to be the same.
func (f *feeds) nextPoll(r *feedReader) time.Time {
	lead := f.lead(r)
	if lead == nil {
		r.jitter = rand.Float64() / 10 //nolint:gosec // G404: spreads load, hides nothing
		return r.answered.Add(r.interval())
	}
	// Jitter of its own would part it from the lead again.
	r.jitter = 0
	soonest, due := r.answered.Add(r.interval()), lead.due
	if due.Before(soonest.Add(-nearby)) {
		due = due.Add(lead.interval())
	}
	if due.After(soonest) && due.Before(soonest.Add(r.interval())) {
		return due
	}
	return soonest
}

// lead returns the oldest reader before r whose next request is known.
func (f *feeds) lead(r *feedReader) *feedReader {
	for _, lead := range f.readers[r.key] {
		switch {
		case lead == r:
			return nil
		case lead.caughtUp && !lead.asking && lead.failure == nil:
			return lead
		}
	}
	return nil
}

// interval is how long the most eager follower wants to wait, and a bit more.
func (r *feedReader) interval() time.Duration {
	var least time.Duration
	for fo := range r.followers {
		if poll := fo.source.walk.PollInterval; least == 0 || poll < least {
			least = poll
		}
	}
	return r.spread(least)
}

func (r *feedReader) spread(d time.Duration) time.Duration {
	return d + time.Duration(float64(d)*r.jitter)
}

// merge moves the followers that are where r is to another reader that is there too, or has been
// and keeps what came then. Those that are behind follow when they have what r keeps.
func (f *feeds) merge(r *feedReader) {
	other, next := f.at(r.key, r.cursor, r)
	if r.ended || other == nil {
		return
	}
	for fo := range r.followers {
		if fo.next == r.next() {
			fo.cursor, fo.pages = r.cursor, r.answers-fo.skipped
			delete(r.followers, fo)
			f.enter(fo, other, next)
		}
	}
	if next == other.next() && r.failure == nil && other.due.Before(r.due) {
		// It would ask what r has asked a moment ago.
		other.due = r.due
	}
	f.end(r, nil)
}

// wanted reports whether a follower has room for a page.
func (r *feedReader) wanted() bool {
	for fo := range r.followers {
		if int64(fo.held)+r.next()-fo.next < heldPages {
			return true
		}
	}
	return false
}

// expect counts a follower in or out for the pages that it has yet to get.
func (r *feedReader) expect(fo *follower, n int) {
	for _, p := range r.kept[max(fo.next, r.first)-r.first:] {
		p.waiting += n
	}
}

// trim gives up the oldest pages: those that every follower has, the last of all only once it
// has lingered, and those that are too many, together with the followers that wait for them.
func (f *feeds) trim(r *feedReader) {
	lingers := !r.ended && time.Since(r.answered) < lingering
	behind := false
	for len(r.kept) > 0 {
		oldest, last := r.kept[0], len(r.kept) == 1
		had := oldest.waiting == 0 && (!last || !lingers)
		over := !last && (len(r.kept) > maxKeptPages || r.keptBytes > maxKeptBytes)
		if !had && !over {
			break
		}
		behind = behind || oldest.waiting > 0
		r.keptBytes -= len(oldest.wire)
		r.kept[0] = nil
		r.kept = r.kept[1:]
		r.first++
		oldest.lease.Release()
	}
	if !behind {
		return
	}
	for fo := range r.followers {
		if fo.next < r.first {
			f.withdraw(fo)
		}
	}
}

// next is the number of the page that is kept next.
func (r *feedReader) next() int64 { return r.first + int64(len(r.kept)) }

// announce lets followers look.
func (r *feedReader) announce() {
	close(r.changed)
	r.changed = make(chan struct{})
}

// nudge lets the reader look.
func (r *feedReader) nudge() {
	select {
	case r.wake <- struct{}{}:
	default:
	}
}

// state says how the feed is doing.
func (r *feedReader) state() *gatewayv1.KeepAlive {
	k := &gatewayv1.KeepAlive{Failure: r.failure}
	if !r.answered.IsZero() {
		k.LastAnswerTime = timestamppb.New(r.answered)
	}
	if !r.asking && r.due.After(time.Now()) {
		k.NextRequestTime = timestamppb.New(r.due)
	}
	return k
}
