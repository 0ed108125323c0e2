package upstream

import (
	"bytes"
	"strings"
	"time"

	"github.com/maypok86/otter/v2"
)

const (
	// entryBytes is what an entry of the cache takes beside its texts and its message, about.
	entryBytes = 512
	// findingBytes is what an entry takes for each finding of drift, at most.
	findingBytes = 128
)

// cache keeps responses until they are too old or there is no room for them. A nil cache keeps
// none. It is safe for concurrent use.
type cache struct {
	limit   int64
	entries *otter.Cache[readKey, *entry]
}

// entry is a response in the cache, which holds no memory on loan.
type entry struct {
	resp Response
	// asked is when the upstream was asked for it, and left how much longer it is kept.
	asked time.Time
	left  time.Duration
	size  int64
}

// newCache returns a cache of at most limit bytes, nil where that is 0. It must be closed.
func newCache(limit int64) (*cache, error) {
	if limit == 0 {
		return nil, nil
	}
	entries, err := otter.New(&otter.Options[readKey, *entry]{
		MaximumWeight: uint64(limit),
		Weigher:       func(_ readKey, e *entry) uint32 { return uint32(e.size) },
		ExpiryCalculator: otter.ExpiryWritingFunc(func(e otter.Entry[readKey, *entry]) time.Duration {
			return e.Value.left
		}),
		// What is too much goes before a call returns, not soon after.
		Executor: func(task func()) { task() },
	})
	if err != nil {
		return nil, err
	}
	return &cache{limit, entries}, nil
}

func (c *cache) close() {
	if c != nil {
		c.entries.StopAllGoroutines()
	}
}

func (c *cache) bytes() int64 {
	if c == nil {
		return 0
	}
	return int64(c.entries.WeightedSize())
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

// put keeps a copy of a response that the upstream was asked for then, unless it is larger than
// all that may be kept, too old already, or older than the one that is kept.
func (c *cache) put(key readKey, resp *Response, asked time.Time, ttl time.Duration) {
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
