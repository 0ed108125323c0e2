package http1

import (
	"sync"
	"time"
)

// pool keeps idle connections. The one that was used last is used first, so that the ones that are not
// needed grow old. It is safe for concurrent use.
type pool struct {
	limit   int
	timeout time.Duration

	mu     sync.Mutex
	conns  []*conn // the longest idle first
	closed bool    // connections are closed instead of kept
	timer  *time.Timer
}

// get returns an idle connection, which may just have become too old, or nil.
func (p *pool) get() *conn {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.closed = false
	last := len(p.conns) - 1
	if last < 0 {
		return nil
	}
	c := p.conns[last]
	p.conns[last] = nil
	p.conns = p.conns[:last]
	return c
}

// put keeps a connection, or closes it if the pool is full or closed.
func (p *pool) put(c *conn) {
	c.idleSince = time.Now()
	if !p.keep(c) {
		c.hangUp()
	}
}

func (p *pool) keep(c *conn) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.closed || len(p.conns) >= p.limit {
		return false
	}
	p.conns = append(p.conns, c)
	if p.timer == nil {
		p.timer = time.AfterFunc(p.timeout, p.sweep)
	}
	return true
}

// sweep closes the connections that have been idle for too long.
func (p *pool) sweep() {
	for _, c := range p.expired() {
		c.hangUp()
	}
}

func (p *pool) expired() []*conn {
	p.mu.Lock()
	defer p.mu.Unlock()
	n := 0
	for n < len(p.conns) && time.Since(p.conns[n].idleSince) >= p.timeout {
		n++
	}
	old := p.conns[:n:n]
	p.conns = append([]*conn(nil), p.conns[n:]...)
	p.timer = nil
	if len(p.conns) > 0 {
		p.timer = time.AfterFunc(p.timeout-time.Since(p.conns[0].idleSince), p.sweep)
	}
	return old
}

func (p *pool) closeAll() {
	p.mu.Lock()
	conns := p.conns
	p.conns, p.closed = nil, true
	if p.timer != nil {
		p.timer.Stop()
		p.timer = nil
	}
	p.mu.Unlock()
	for _, c := range conns {
		c.hangUp()
	}
}
