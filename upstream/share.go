package upstream

import (
	"context"
	"net/http"
	"sync"
	"sync/atomic"

	"samsara.internal/gateway/internal/identity"
	"samsara.internal/gateway/internal/lease"
	"samsara.internal/gateway/internal/tracing"
	"samsara.internal/gateway/internal/transcode"
)

// readKey says which reads have the same answer. The token is the one in use when the read begins. If
// it changes while reads are shared, they go on with the new one, as each of them would by itself.
type readKey struct {
	tokens, path, query, tenant string

	decoder *transcode.Decoder
	noBody  bool
}

// share lets one read answer others that ask the same at the same time. A read under way is a flight:
// it has a leader, which asks the upstream on its own goroutine, and followers, which wait for what the
// leader gets. Followers share responses and verdicts, but not what refuses the leader: then they ask
// themselves. It is safe for concurrent use.
type share struct {
	next     *retry
	observer ReadObserver
	tracer   *tracing.Tracer

	mu sync.Mutex
	// leading has the flight that began last. It leads to those before it.
	leading map[readKey]*flight
	writes  int
}

// do makes a request whose answer is for nobody else.
func (s *share) do(ctx context.Context, req *request) (*Response, *Error) {
	if req.Method != http.MethodGet {
		defer s.wrote()
	}
	return s.next.do(ctx, req)
}

// read makes a request whose answer it may share with others.
func (s *share) read(ctx context.Context, req *request, key readKey) (*Response, *Error) {
	mine := &flight{from: req.From, in: s.tracer.Of(ctx)}
	req.sent = &mine.sent
	for {
		ahead := s.join(key, mine)
		if ahead == nil {
			return s.lead(ctx, req, key, mine)
		}
		span := s.tracer.StartShared(ctx, ahead.in)
		landed := s.await(ctx, ahead)
		span.End()
		if !landed {
			return nil, req.failed(ended(ctx))
		}
		if resp, failure := ahead.share(ctx, req); resp != nil || failure != nil {
			observeRead(ctx, s.observer, req, SourceShared, resp)
			return resp, failure
		}
		mine.letDown++
	}
}

// lead answers a request and all that follow it.
func (s *share) lead(ctx context.Context, req *request, key readKey, mine *flight) (resp *Response, failure *Error) {
	defer func() { s.land(key, mine, req.memory, resp, failure) }() // also if it panics
	observeRead(ctx, s.observer, req, SourceUpstream, nil)
	return s.next.do(ctx, req)
}

// observeRead tells the observer where the answer to a read comes from. If the observer panics, it
// releases the response, if there is one.
func observeRead(ctx context.Context, observer ReadObserver, req *request, from AnswerSource, resp *Response) {
	if observer == nil {
		return
	}
	told := false
	defer func() {
		if !told && resp != nil {
			resp.Release()
		}
	}()
	observer.ObserveRead(ctx, Read{Template: req.op.template, Source: from, Cacheable: req.op.cacheTTL > 0})
	told = true
}

// flight is a read under way.
type flight struct {
	// writes is how many requests other than GETs had ended when the flight began: later reads must see
	// what those did.
	writes int
	// from is the identity that it waits for the quota as, until it is sent.
	from identity.Identity
	sent atomic.Bool
	// in is the span of the leader's call.
	in tracing.Span
	// letDown is how often the leader followed another flight that gave it no answer. It follows only
	// flights that were let down at least as often. Otherwise readers that come later, and have less
	// time, could let it down for ever.
	letDown int
	// before is another flight for the same key that began before and did not suit.
	before *flight
	// followers and landed are guarded by share.mu. The first follower makes landed.
	followers int
	landed    chan struct{}
	// resp or failure is set for the followers once the flight has landed; neither is if it panicked.
	// takers is how many followers have not yet taken their share of resp.
	resp    *Response
	failure *Error
	takers  atomic.Int64
}

// suits reports whether mine may follow f. Nobody begins to wait in the queue of another identity.
func (f *flight) suits(mine *flight) bool {
	return (f.from == mine.from || f.sent.Load()) && f.letDown >= mine.letDown
}

// wrote notes that a request other than a GET has ended.
func (s *share) wrote() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.writes++
}

// join returns the flight to follow. If it returns nil, others follow mine from now on, and mine must
// land.
func (s *share) join(key readKey, mine *flight) *flight {
	s.mu.Lock()
	defer s.mu.Unlock()
	latest := s.leading[key]
	if latest != nil && latest.writes != s.writes {
		latest = nil
	}
	for ahead := latest; ahead != nil; ahead = ahead.before {
		if !ahead.suits(mine) {
			continue
		}
		if ahead.landed == nil {
			ahead.landed = make(chan struct{})
		}
		ahead.followers++
		return ahead
	}
	if s.leading == nil {
		s.leading = make(map[readKey]*flight)
	}
	mine.writes, mine.before = s.writes, latest
	s.leading[key] = mine
	return nil
}

// await waits until a flight that was joined has landed. It reports false if ctx ends first.
func (s *share) await(ctx context.Context, ahead *flight) bool {
	select {
	case <-ahead.landed:
		return true
	case <-ctx.Done():
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	select {
	case <-ahead.landed: // meanwhile: this follower must take its share
		return true
	default:
		ahead.followers--
		return false
	}
}

// land ends a flight. Each follower can then take its share of the result, and must.
func (s *share) land(key readKey, f *flight, leader *lease.Holder, resp *Response, failure *Error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.removeLocked(key, f)
	if f.landed == nil {
		return
	}
	defer close(f.landed)
	switch {
	case failure != nil:
		f.failure = new(*failure)
	case resp != nil:
		if f.followers == 0 {
			return
		}
		f.takers.Store(int64(f.followers))
		f.resp = new(*resp)
		f.resp.Lease = resp.Lease.Share(leader)
	}
}

// removeLocked removes a flight from leading, if it is still there: it is not if a write has ended since.
func (s *share) removeLocked(key readKey, f *flight) {
	latest := s.leading[key]
	switch {
	case latest != f:
		for ; latest != nil; latest = latest.before {
			if latest.before == f {
				latest.before = f.before
				return
			}
		}
	case f.before != nil:
		s.leading[key] = f.before
	default:
		delete(s.leading, key)
	}
}

// share returns a follower's share of a flight's result. It returns nothing if the result is about the
// leader alone and the follower must ask again: the leader's context ended; it was refused before there
// was a verdict; a further attempt was refused because of what only its caller has done or waits for; or
// a further attempt would have been too late for the leader but is not for the follower.
func (f *flight) share(ctx context.Context, by *request) (*Response, *Error) {
	switch {
	case f.resp != nil:
		mine := new(*f.resp)
		mine.Shared = true
		mine.Lease = f.resp.Lease.Share(by.memory)
		if f.takers.Add(-1) == 0 {
			f.resp.Lease.Release()
		}
		return mine, nil
	case f.failure == nil || f.failure.ownAffair():
		return nil, nil
	case f.failure.refusedOwn && f.from != by.From, f.failure.hurried && affordable(ctx, f.failure.RetryAfter):
		return nil, nil
	default:
		return nil, new(*f.failure)
	}
}
