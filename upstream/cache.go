package upstream

import (
	"bytes"
	"context"
	"slices"
	"strings"
	"time"

	"github.com/maypok86/otter/v2"

	"samsara.internal/gateway/internal/tracing"
	"samsara.internal/gateway/internal/transcode"
)

const (
	// entryBytes is about what an entry of the cache takes beside its texts and its message.
	entryBytes = 544
	// findingBytes is at most what an entry takes for each finding of drift.
	findingBytes = 128
)

// cache answers reads with responses that it keeps until they are too old or there is no room for them.
// It is safe for concurrent use.
type cache struct {
	next     *share
	tokens   Tokens
	observer ReadObserver
	tracer   *tracing.Tracer
	limit    int64
	entries  *otter.Cache[readKey, *entry] // nil: it keeps none
}

// entry is a response in the cache. It has no lease.
type entry struct {
	resp Response
	// asked is when the upstream was asked for the response, and left how much longer it is kept.
	asked time.Time
	left  time.Duration
	size  int64
}

// open makes room for limit bytes; 0: the cache keeps nothing. The cache must be closed after that.
func (c *cache) open(limit int64) error {
	if limit == 0 {
		return nil
	}
	entries, err := otter.New(&otter.Options[readKey, *entry]{
		MaximumWeight: uint64(limit),
		Weigher:       func(_ readKey, e *entry) uint32 { return uint32(e.size) },
		ExpiryCalculator: otter.ExpiryWritingFunc(func(e otter.Entry[readKey, *entry]) time.Duration {
			return e.Value.left
		}),
		// What is too much is removed before a call returns, not soon after.
		Executor: func(task func()) { task() },
	})
	c.limit, c.entries = limit, entries
	return err
}

func (c *cache) close() {
	if c.entries != nil {
		c.entries.StopAllGoroutines()
	}
}

func (c *cache) bytes() int64 {
	if c.entries == nil {
		return 0
	}
	return int64(c.entries.WeightedSize())
}

// do answers a request from the cache if it can, and otherwise asks the next layer.
func (c *cache) do(ctx context.Context, req *request) (*Response, *Error) {
	if !req.isRead() {
		return c.next.do(ctx, req)
	}
	key := readKey{c.tokens.Key(), req.Path, req.Query, req.From.Tenant, req.op.decoder, req.op.noBody}
	if req.op.cacheTTL == 0 {
		return c.next.read(ctx, req, key)
	}
	span := c.tracer.Start(ctx, "cache read")
	resp := c.get(key, req.op.cacheTTL)
	span.EndCached(resp != nil)
	if resp != nil {
		// The entry cannot be collected until the response is written, so its bytes count for the holder.
		var err error
		if resp.Lease, err = req.memory.Take(ctx, int64(len(resp.Message))); err != nil {
			return nil, req.failed(interrupted(ctx, "", err, true))
		}
		observeRead(ctx, c.observer, req, SourceCache, resp)
		return resp, nil
	}
	resp, failure := c.next.read(ctx, req, key)
	if failure == nil && !resp.Shared && !resp.isEmpty() {
		key.tokens = resp.key // The token may have changed meanwhile.
		c.put(key, resp, req.op.cacheTTL)
	}
	return resp, failure
}

// get returns a response that is younger than ttl, or nil.
func (c *cache) get(key readKey, ttl time.Duration) *Response {
	kept, ok := c.entries.GetIfPresent(key)
	if !ok {
		return nil
	}
	age := time.Since(kept.asked)
	if age >= ttl {
		return nil
	}
	resp := kept.resp
	resp.Age = age
	return &resp
}

// isEmpty reports whether a response has no declared member. The cache does not keep it, because a later
// response may have some.
func (r *Response) isEmpty() bool {
	return slices.ContainsFunc(r.Drift.Findings(), func(f transcode.Finding) bool { return f.Kind == transcode.NoBody })
}

// put keeps a copy of a response, unless the response is larger than the whole cache, too old already,
// or older than the one that is kept.
func (c *cache) put(key readKey, resp *Response, ttl time.Duration) {
	asked := resp.asked
	message := len(resp.Message) + len(resp.Message)/8 // The allocator rounds up.
	texts := len(key.path) + len(key.query) + len(resp.RequestID)
	size := int64(entryBytes + texts + message + len(resp.Drift.Findings())*findingBytes)
	left := ttl - time.Since(asked)
	if size > c.limit || left <= 0 {
		return
	}
	fresh := &entry{resp: *resp, asked: asked, left: left, size: size}
	fresh.resp.Message, fresh.resp.Lease = bytes.Clone(resp.Message), nil
	fresh.resp.RequestID = strings.Clone(resp.RequestID) // It may be a piece of a long header.
	fresh.resp.Cached, fresh.resp.Attempts = true, 0
	c.entries.Compute(key, func(kept *entry, found bool) (*entry, otter.ComputeOp) {
		if found && kept.asked.After(asked) {
			return nil, otter.CancelOp
		}
		return fresh, otter.WriteOp
	})
}
