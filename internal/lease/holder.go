package lease

import (
	"context"
	"fmt"
	"time"
)

// notice is how much of a deadline is left when a wait was in vain: time to say so.
const notice = 100 * time.Millisecond

// Holder is one who holds memory of a pool. It is safe for concurrent use.
type Holder struct {
	pool *Pool
	conn Conn

	// All below is guarded by pool.mu.

	// held is the bytes that it keeps from being free. Bytes of which it has several leases count
	// once.
	held int64
	// growing is how many of them are of leases that grow.
	growing int64
	// handed are its leases that grpc has. rooms is how often it has room.
	handed *Lease
	rooms  int
	// claims are what it waits for, in the order of coming.
	claims []*claim
	// at is its place among the active holders, if it is one.
	at int
	// progress is the number of the sweep before which it began to have something handed, or last
	// gave something back.
	progress int64
	// proven is whether it has ever left room that it took.
	proven bool
	// copied is how many bytes grpc has copied since its client last let something be given back.
	copied int64
	// doomed is whether its connection was closed by the pool.
	doomed bool
}

// maxCopiedBytes bounds what grpc may hold of copies for one holder.
const maxCopiedBytes = 256 << 10

// Holder returns a holder that holds nothing, with the connection that it is for; nil: it has none
// that could break, and it must hand nothing to grpc.
func (p *Pool) Holder(c Conn) *Holder { return &Holder{pool: p, conn: c} }

// Take waits for n bytes, by the rules of the package. The lease must be released or handed. The
// error is ErrNoRoom if n is more than all there are, or if ctx has only 100 ms left, which
// suffices to say so. It is ctx's error if ctx ends before.
func (h *Holder) Take(ctx context.Context, n int64) (*Lease, error) {
	if err := h.take(ctx, n, false); err != nil {
		return nil, err
	}
	return h.lease(n), nil
}

// Add returns a lease of n bytes that are there already or must not wait. It counts them above the
// limit too.
func (h *Holder) Add(n int64) *Lease {
	h.pool.mu.Lock()
	h.addLocked(n, false)
	h.pool.mu.Unlock()
	return h.lease(n)
}

// Room waits, as Take does, until grpc may hold n bytes for it, which Leave gives back.
func (h *Holder) Room(ctx context.Context, n int64) error { return h.take(ctx, n, true) }

// Leave gives back what Room took.
func (h *Holder) Leave(n int64) {
	p := h.pool
	p.mu.Lock()
	defer p.mu.Unlock()
	h.rooms--
	h.proven = true
	p.progressLocked(h)
	h.giveLocked(n)
}

// Copy reports whether grpc may make a copy of n bytes, and keep it without ever telling when it is
// written: of at most 256 KiB since the client last let something be given back. What must not be
// copied has to be handed instead, which tells.
func (h *Holder) Copy(n int64) bool {
	h.pool.mu.Lock()
	defer h.pool.mu.Unlock()
	if h.copied+n > maxCopiedBytes {
		return false
	}
	h.copied += n
	return true
}

func (h *Holder) take(ctx context.Context, n int64, room bool) error {
	p := h.pool
	if n > p.most() && (n > smallBytes && !room || n > p.limit) {
		return p.errNeverFits(n)
	}
	p.mu.Lock()
	inTurn := len(h.claims) == 0 && (!p.short || n <= smallBytes)
	if inTurn && p.fitsLocked(h, n, room) {
		h.addLocked(n, room)
		p.mu.Unlock()
		return nil
	}
	c := &claim{holder: h, bytes: n, room: room, ready: make(chan struct{})}
	if h.claims = append(h.claims, c); len(h.claims) == 1 {
		p.enqueueLocked(h)
		p.short = p.short || h.held == 0
	}
	if n <= smallBytes {
		p.small++
	}
	p.mu.Unlock()
	return h.await(ctx, c)
}

// grow waits for n bytes more for a lease of the holder, which may come to count most of them.
func (h *Holder) grow(ctx context.Context, l *Lease, n, most int64) error {
	p := h.pool
	p.mu.Lock()
	l.most = most
	if l.counted+n > max(p.most(), min(smallBytes, p.limit)) {
		p.mu.Unlock()
		return p.errNeverFits(l.counted + n)
	}
	c := &claim{holder: h, bytes: n, lease: l, ready: make(chan struct{})}
	if !l.grows {
		l.grows = true
		h.growing += l.counted
	}
	if p.growsLocked(l, n) {
		p.grantLocked(c)
		p.mu.Unlock()
		return nil
	}
	p.growers = append(p.growers, c)
	p.short = p.short || p.finisher == l
	p.mu.Unlock()
	return h.await(ctx, c)
}

func (h *Holder) await(ctx context.Context, c *claim) error {
	var over <-chan time.Time
	if deadline, ok := ctx.Deadline(); ok {
		timer := time.NewTimer(time.Until(deadline) - notice)
		defer timer.Stop()
		over = timer.C
	}
	select {
	case <-c.ready:
		return nil
	case <-over:
	case <-ctx.Done():
	}
	p := h.pool
	p.mu.Lock()
	defer p.mu.Unlock()
	select {
	case <-c.ready: // meanwhile
		return nil
	default:
	}
	p.withdrawLocked(c)
	p.admitLocked()
	if err := ctx.Err(); err != nil {
		return err
	}
	return fmt.Errorf("%w: it takes %d bytes, %d of %d were taken until its deadline, %d of them by its own connection",
		ErrNoRoom, c.bytes, p.used, p.limit, h.held)
}

// addLocked makes n bytes the holder's.
func (h *Holder) addLocked(n int64, room bool) {
	h.held += n
	h.pool.used += n
	if room {
		h.pool.activateLocked(h)
		h.rooms++
	}
}

// giveLocked takes n bytes from the holder.
func (h *Holder) giveLocked(n int64) {
	h.held -= n
	h.pool.used -= n
	h.pool.admitLocked()
}

// settledLocked returns how many bytes it holds that wait for no others.
func (h *Holder) settledLocked() int64 { return h.held - h.growing }

// activeLocked reports whether it has something that its client can make it wait for.
func (h *Holder) activeLocked() bool { return h.handed != nil || h.rooms > 0 }
