package lease

import (
	"errors"
	"fmt"
	"slices"
	"sync"
	"time"
)

const (
	// smallBytes is the largest take that may overtake one that lacks free memory. A holder may take
	// from the memory that is reserved for small holders if it then has no more than this in all.
	smallBytes = 64 << 10
	// reserved is what the limit is divided by to get that memory: it is a sixteenth.
	reserved = 16
	// sweepInterval is how often closed connections are looked for.
	sweepInterval = 250 * time.Millisecond
	// stalledSweeps is how many sweeps a holder may go without giving a piece back: 5 s.
	stalledSweeps = 20
)

// Stalled is how long a connection may give nothing back while others need the memory that it holds.
const Stalled = stalledSweeps * sweepInterval

// ErrNoRoom means that there can be no room for the bytes, or was none in time.
var ErrNoRoom = errors.New("no room among the bytes in flight")

// Conn is the connection of a holder. It must be the socket itself: a TLS connection sends an alert
// before it closes, and waits up to 5 s for that.
type Conn interface {
	// Closed reports whether this process has closed the connection. It does not wait.
	Closed() bool
	// Close closes the connection at once.
	Close() error
}

// Pool is memory that holders share. It is safe for concurrent use.
type Pool struct {
	limit   int64
	pressed func(c Conn, held int64)
	buffers buffers
	leases  sync.Pool

	mu sync.Mutex
	// used is how many bytes all leases and rooms have. Bytes with several owners count once.
	used int64
	// unconnected is how many bytes holders without a connection have.
	unconnected int64
	// active are the holders that have leases handed, or room: their clients can delay the return
	// of those bytes.
	active []*Holder
	// queue are the holders with claims. One that was served goes to the end.
	queue []*Holder
	// growers are the claims of leases that grow and keep what they have. finisher is the one of
	// these leases that needs only free memory, until it has grown.
	growers  []*claim
	finisher *Lease
	// short is true while a claim lacks free memory and must not be overtaken by large ones. small
	// is how many claims there are that may overtake it.
	short bool
	small int
	// sweeping is true while a sweep is due. sweeps is how many there have been.
	sweeping bool
	sweeps   int64
	// returned is how often something was given back. closed is how many connections were closed
	// because others waited.
	returned, closed uint64
}

// NewPool returns a pool of limit bytes, which no lease may exceed.
func NewPool(limit int64) *Pool { return &Pool{limit: limit} }

// OnPressure makes the pool call told for each connection that it closes because others wait, with the
// bytes that the connection holds. OnPressure must be called before the pool is used.
func (p *Pool) OnPressure(told func(c Conn, held int64)) { p.pressed = told }

// Limit returns how many bytes there are.
func (p *Pool) Limit() int64 { return p.limit }

// Used returns how many bytes are held. Bytes that did not wait may bring it above the limit.
func (p *Pool) Used() int64 {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.used
}

// Unconnected returns how many of the used bytes are held by holders that have no connection.
func (p *Pool) Unconnected() int64 {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.unconnected
}

// Closed returns how many connections were closed because others waited.
func (p *Pool) Closed() uint64 {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.closed
}

// Waiting returns how many claims wait for bytes.
func (p *Pool) Waiting() int64 {
	p.mu.Lock()
	defer p.mu.Unlock()
	waiting := len(p.growers)
	for _, h := range p.queue {
		waiting += len(h.claims)
	}
	return int64(waiting)
}

// Returned returns how often a client has let something be given back. While it stays the same, no
// client makes progress.
func (p *Pool) Returned() uint64 {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.returned
}

// Abandon closes the connection of every holder that waits for its client. It is for shutdown, once no
// client makes progress any more.
func (p *Pool) Abandon() {
	p.mu.Lock()
	var waiting []*Holder
	for _, h := range p.active {
		if h.conn != nil && !h.doomed {
			h.doomed = true
			waiting = append(waiting, h)
		}
	}
	p.mu.Unlock()
	for _, h := range waiting {
		_ = h.conn.Close() // It may be closed already.
	}
}

// most returns the most that a holder of more than 64 KiB may have, if nobody else holds anything.
func (p *Pool) most() int64 { return p.limit - p.limit/reserved }

// freeLocked returns how much may still be taken. It is below 0 while more than the limit is held.
func (p *Pool) freeLocked() int64 { return p.limit - p.used }

// freeForLocked returns how much of the free memory h may take n bytes from. Room may take all of it,
// because every holder takes as much room as the others.
func (p *Pool) freeForLocked(h *Holder, n int64, room bool) int64 {
	if room || h.held+n <= smallBytes {
		return p.freeLocked()
	}
	return p.most() - p.used
}

// fitsLocked reports whether h may have n more bytes. Room comes back as soon as a request is read, so
// one holder needs little of it.
func (p *Pool) fitsLocked(h *Holder, n int64, room bool) bool {
	free, factor := p.freeForLocked(h, n, room), int64(2)
	if room {
		factor = 3
	}
	if h.held == 0 {
		return n <= free
	}
	return factor*(h.held+n) <= free-n
}

// growsLocked reports whether a lease that keeps what it has may have n more bytes. The lease may become
// the finisher, or stop being it.
func (p *Pool) growsLocked(l *Lease, n int64) bool {
	free, settled := p.freeForLocked(l.holder, n, false), l.holder.settledLocked()
	finishes := settled == 0 || 2*(settled+l.counted+n) <= free-n
	if p.finisher == l && !finishes {
		p.finisher = nil
	}
	// A lease whose holder may wait for its own client gives way to one whose holder does not.
	if f := p.finisher; f == nil && finishes || f != nil && settled == 0 && f.holder.settledLocked() > 0 {
		p.finisher = l
	}
	if p.finisher == l {
		return n <= free
	}
	kept := int64(0)
	if f := p.finisher; f != nil {
		kept = max(0, f.most-f.counted)
	}
	return p.fitsLocked(l.holder, n, false) && n <= free-kept
}

// grownLocked notes that a lease needs no more.
func (p *Pool) grownLocked(l *Lease) {
	if l.grows {
		l.grows = false
		l.holder.growing -= l.counted
	}
	if p.finisher == l {
		p.finisher = nil
	}
}

// claim is bytes that a holder waits for. ready is closed once the holder has them.
type claim struct {
	holder *Holder
	bytes  int64
	// lease is the lease that grows; nil: the claim is for no such lease.
	lease *Lease
	// room is true if grpc will hold the bytes.
	room  bool
	ready chan struct{}
}

// admitLocked grants the claims that there is room for now.
func (p *Pool) admitLocked() {
	p.short = false
	for i := 0; i < len(p.growers); {
		c := p.growers[i]
		if p.growsLocked(c.lease, c.bytes) {
			p.growers = append(p.growers[:i], p.growers[i+1:]...)
			p.grantLocked(c)
			continue
		}
		p.short = p.short || p.finisher == c.lease
		i++
	}
	for i := 0; i < len(p.queue) && (!p.short || p.small > 0); {
		h := p.queue[i]
		c := h.claims[0]
		switch {
		case p.short && c.bytes > smallBytes:
			i++
		case p.fitsLocked(h, c.bytes, c.room):
			p.removeLocked(i, 0)
			if len(h.claims) > 0 {
				p.queue = append(p.queue, h)
			}
			p.grantLocked(c)
		default:
			// A holder that holds something waits for itself.
			p.short = p.short || h.held == 0
			i++
		}
	}
}

// enqueueLocked queues a holder that did not wait before. If it waits for room, a holder that has left
// room before goes ahead of those that never have: a client that only half-sends requests, and comes
// back whenever its connection is closed, is not served again and again before one that sends them.
func (p *Pool) enqueueLocked(h *Holder) {
	at := len(p.queue)
	if h.claims[0].room && h.proven {
		// Behind the new holders there may be some that were served and want more.
		if first := slices.IndexFunc(p.queue, func(other *Holder) bool { return !other.proven }); first >= 0 {
			at = first
		}
	}
	p.queue = slices.Insert(p.queue, at, h)
}

// removeLocked takes out the n-th claim of the i-th holder in the queue, and the holder as well if the
// claim is its first or only one.
func (p *Pool) removeLocked(i, n int) {
	h := p.queue[i]
	if h.claims[n].bytes <= smallBytes {
		p.small--
	}
	h.claims = append(h.claims[:n], h.claims[n+1:]...)
	if n == 0 || len(h.claims) == 0 {
		p.queue = append(p.queue[:i], p.queue[i+1:]...)
	}
}

func (p *Pool) grantLocked(c *claim) {
	c.holder.addLocked(c.bytes, c.room)
	if c.lease != nil {
		c.lease.counted += c.bytes
		c.holder.growing += c.bytes
	}
	close(c.ready)
}

// withdrawLocked takes back a claim that was not granted.
func (p *Pool) withdrawLocked(c *claim) {
	if c.lease != nil {
		p.growers = slices.DeleteFunc(p.growers, func(other *claim) bool { return other == c })
		p.grownLocked(c.lease)
		return
	}
	for i, h := range p.queue {
		if h != c.holder {
			continue
		}
		for n := range h.claims {
			if h.claims[n] == c {
				p.removeLocked(i, n)
				if n == 0 && len(h.claims) > 0 {
					p.queue = append(p.queue, h)
				}
				return
			}
		}
	}
}

// activateLocked notes that h is about to have something that its client can delay the return of.
func (p *Pool) activateLocked(h *Holder) {
	if h.activeLocked() {
		return
	}
	h.at, h.progress = len(p.active), p.sweeps
	p.active = append(p.active, h)
	if !p.sweeping {
		p.sweeping = true
		time.AfterFunc(sweepInterval, p.sweep)
	}
}

// progressLocked notes that h's client has let something be given back.
func (p *Pool) progressLocked(h *Holder) {
	h.progress, h.copied = p.sweeps, 0
	p.returned++
	if h.activeLocked() {
		return
	}
	last := p.active[len(p.active)-1]
	p.active[h.at], last.at = last, h.at
	p.active[len(p.active)-1] = nil
	p.active = p.active[:len(p.active)-1]
}

// sweep closes the connections that have to go, and takes what closed connections had handed.
func (p *Pool) sweep() {
	p.mu.Lock()
	p.sweeps++
	victims := p.victimsLocked()
	held := make([]int64, len(victims))
	for i, h := range victims {
		held[i] = h.held
	}
	p.closed += uint64(len(victims))
	p.mu.Unlock()
	for i, h := range victims {
		_ = h.conn.Close() // It may be closed already.
		if p.pressed != nil {
			p.pressed(h.conn, held[i])
		}
	}

	var ends []func()
	p.mu.Lock()
	for i := len(p.active) - 1; i >= 0; i-- {
		h := p.active[i]
		if h.conn == nil || !h.doomed && !h.conn.Closed() {
			continue
		}
		for l := h.handed; l != nil; l = h.handed {
			if over := l.endLocked(true); over.then != nil {
				ends = append(ends, over.then)
			}
		}
	}
	p.admitLocked()
	if p.sweeping = len(p.active) > 0; p.sweeping {
		time.AfterFunc(sweepInterval, p.sweep)
	}
	p.mu.Unlock()
	for _, end := range ends {
		end()
	}
}

// victimsLocked returns the holders that lose their connections, so that those that lack free memory
// fit.
func (p *Pool) victimsLocked() []*Holder {
	var victims []*Holder
	// coming is what comes back anyhow.
	coming, wanted := int64(0), int64(0)
	for _, h := range p.active {
		if h.doomed {
			coming += h.held
		}
	}
	makeRoom := func(c *claim, least int64) {
		wanted += c.bytes
		for wanted > p.freeForLocked(c.holder, c.bytes, c.room)+coming {
			victim := p.victimLocked(c.holder, least)
			if victim == nil {
				return
			}
			victim.doomed = true
			coming += victim.held
			victims = append(victims, victim)
		}
	}
	for _, c := range p.growers {
		if p.finisher == c.lease {
			makeRoom(c, 0)
		}
	}
	for _, h := range p.queue {
		// A holder that holds something, and that there is memory for, waits for itself.
		if c := h.claims[0]; h.held == 0 || c.bytes > p.freeForLocked(h, c.bytes, c.room) {
			makeRoom(c, h.held)
		}
	}
	return victims
}

// victimLocked returns the holder with the most bytes, at least as many as least, among those that have
// given nothing back for too long. It leaves out the holder that waits. It returns nil if there is none.
func (p *Pool) victimLocked(waits *Holder, least int64) *Holder {
	var most *Holder
	for _, h := range p.active {
		stalled := p.sweeps-h.progress > stalledSweeps
		if h == waits || h.conn == nil || h.doomed || !stalled || h.held < least {
			continue
		}
		if most == nil || h.held > most.held {
			most = h
		}
	}
	return most
}

// errNeverFits returns the error for n bytes that there is no room for even if nobody holds any.
func (p *Pool) errNeverFits(n int64) error {
	return fmt.Errorf("%w: it takes %d bytes, at most %d may be", ErrNoRoom, n, p.most())
}
