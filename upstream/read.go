package upstream

import (
	"context"
	"net/http"
	"sync"

	"samsara.internal/gateway/internal/transcode"
)

// isRead reports whether the answer to a request may be that to another.
func (r *Request) isRead() bool {
	return r.Method == http.MethodGet && r.Repeatable && len(r.Header) == 0 && len(r.Body) == 0 && !r.NoStore
}

// readKey says which reads have the same answer. The token is that at the read's beginning, in the
// form of the header that holds it, of which there is one for each token in use. Where it changes
// while reads are shared, they go on with the new one, as each of them would by itself.
type readKey struct {
	authorized  *authorized
	path, query string
	decoder     *transcode.Decoder
	noBody      bool
	// batch keeps what is not from waiting as long.
	batch bool
}

// read is exchange for a call whose answer may be another's.
func (c *Client) read(ctx context.Context, call *call) (*Response, *Error) {
	authorized, err := c.authorize()
	if err != nil {
		return c.exchange(ctx, call) // which says so
	}
	key := readKey{authorized, call.Path, call.Query, call.Decoder, call.NoBody, call.Batch}
	cacheable := c.cache != nil && call.CacheTTL > 0 && call.Decoder != nil
	observe := func(from Source) {
		if c.cfg.ReadObserver != nil {
			c.cfg.ReadObserver.ObserveRead(ctx, Read{Template: call.Template, Source: from, Cacheable: cacheable})
		}
	}
	if cacheable {
		if resp := c.cache.get(key, call.CacheTTL); resp != nil {
			observe(SourceCache)
			return resp, nil
		}
	}
	for {
		ahead := c.flights.join(key, &call.flight)
		if ahead == nil {
			observe(SourceUpstream)
			return c.lead(ctx, call, key, cacheable)
		}
		if !c.flights.await(ctx, ahead) {
			return nil, call.failed(ended(ctx))
		}
		if resp, failure := ahead.share(ctx); resp != nil || failure != nil {
			observe(SourceShared)
			return resp, failure
		}
	}
}

// lead answers a call and all that follow it.
func (c *Client) lead(ctx context.Context, call *call, key readKey, cacheable bool) (resp *Response, failure *Error) {
	defer func() { c.flights.land(key, &call.flight, resp, failure) }() // also where it panics
	resp, failure = c.exchange(ctx, call)
	if failure == nil && cacheable {
		key.authorized = call.authorized // The token may have changed meanwhile.
		c.cache.put(key, resp, call.asked, call.CacheTTL)
	}
	return resp, failure
}

// flights are the reads under way. Each has a leader, which asks the upstream on its own
// goroutine, and followers, which wait for what it gets. The zero value has none; it is safe for
// concurrent use.
type flights struct {
	mu      sync.Mutex
	leading map[readKey]*flight
	writes  int
}

// flight is a read under way.
type flight struct {
	// writes is how many requests other than GETs had ended when it began: later reads must see
	// what those did.
	writes int
	// followers and landed are guarded by flights.mu. The first follower makes landed.
	followers int
	landed    chan struct{}
	// resp and failure, of which one is set, are there for the followers once it has landed. Both
	// are nil where it panicked.
	resp    *Response
	failure *Error
}

// wrote says that a request other than a GET has ended.
func (s *flights) wrote() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.writes++
}

// join returns the flight to follow, or nil where mine is the one that others follow from now
// on. Then it must land.
func (s *flights) join(key readKey, mine *flight) *flight {
	s.mu.Lock()
	defer s.mu.Unlock()
	if ahead, ok := s.leading[key]; ok && ahead.writes == s.writes {
		if ahead.landed == nil {
			ahead.landed = make(chan struct{})
		}
		ahead.followers++
		return ahead
	}
	if s.leading == nil {
		s.leading = make(map[readKey]*flight)
	}
	mine.writes = s.writes
	s.leading[key] = mine
	return nil
}

// await waits for a flight that was joined, and reports false where ctx ends first.
func (s *flights) await(ctx context.Context, ahead *flight) bool {
	select {
	case <-ahead.landed:
		return true
	case <-ctx.Done():
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	select {
	case <-ahead.landed: // meanwhile, with a share of the memory for this follower
		return true
	default:
		ahead.followers--
		return false
	}
}

// land ends a flight and gives each follower a share of what came of it.
func (s *flights) land(key readKey, f *flight, resp *Response, failure *Error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.leading[key] == f {
		delete(s.leading, key)
	}
	if f.landed == nil {
		return
	}
	defer close(f.landed)
	switch {
	case failure != nil:
		f.failure = new(*failure)
	case resp != nil:
		resp.memory.share(f.followers)
		f.resp = new(*resp)
	}
}

// share returns what came of a flight for a follower, or nothing where that is the leader's own
// affair and the follower must ask again: the leader's context ended, or a further attempt would
// have been too late for it but is not for the follower.
func (f *flight) share(ctx context.Context) (*Response, *Error) {
	switch {
	case f.resp != nil:
		return new(*f.resp), nil
	case f.failure == nil || f.failure.endedByCaller() || f.failure.hurried && affordable(ctx, f.failure.RetryAfter):
		return nil, nil
	default:
		return nil, new(*f.failure)
	}
}
