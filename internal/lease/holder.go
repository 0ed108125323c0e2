package lease

import (
	"context"
	"fmt"
	"time"
)

// notice is how long before its deadline a wait is given up: enough time to say so.
const notice = 100 * time.Millisecond

// Holder holds memory of a pool. It is safe for concurrent use.
type Holder struct {
	pool *Pool
	conn Conn

	// pool.mu guards all fields below.

	// held is how many bytes the holder keeps from being free. Bytes that it has several leases of
	// count once.
	held int64
	// growing is how many of them belong to leases that grow.
	growing int64
	// handed are the leases that grpc has. rooms is how often the holder has room.
	handed *Lease
	rooms  int
	// claims are what the holder waits for, in the order of arrival.
	claims []*claim
	// at is the holder's index among the active ones, if it is active.
	at int
	// progress is how many sweeps there had been when the holder became active, or last gave
	// something back.
	progress int64
	// proven is true once the holder has left room that it took.
	proven bool
	// copied is how many bytes grpc has copied since the client last let something be given back.
	copied int64
	// doomed is true once the pool has closed the holder's connection.
	doomed bool
}

// maxCopiedBytes bounds what grpc may hold of copies for one holder.
const maxCopiedBytes = 256 << 10

// Holder returns a holder that holds nothing, for a connection. If c is nil, the holder has no
// connection that could break, and must hand nothing to grpc.
func (p *Pool) Holder(c Conn) *Holder { return &Holder{pool: p, conn: c} }

// Take waits for n bytes, by the rules of the package. The lease must be released or handed. The
// error is ErrNoRoom if n is more than there can ever be, or if ctx has only 100 ms left, which
// suffices to say so. It is ctx's error if ctx ends before that.
func (h *Holder) Take(ctx context.Context, n int64) (*Lease, error) {
	if err := h.take(ctx, n, false); err != nil {
		return nil, err
	}
	return h.lease(n), nil
}

// Add returns a lease of n bytes that are there already or must not wait. It counts them even above
// the limit.
func (h *Holder) Add(n int64) *Lease {
	h.pool.mu.Lock()
	h.addLocked(n, false)
	h.pool.mu.Unlock()
	return h.lease(n)
}

// Room waits, as Take does, until grpc may hold n bytes for the holder. Leave gives them back.
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

// Copy reports whether grpc may copy n bytes, and keep the copy without ever telling when it is written.
// It allows at most 256 KiB since the client last let something be given back. Bytes that must not be
// copied have to be handed instead: then grpc tells.
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

// grow waits for n more bytes for a lease of the holder. The lease may come to count as many as most.
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

// addLocked gives the holder n bytes.
func (h *Holder) addLocked(n int64, room bool) {
	h.holdLocked(n)
	h.pool.used += n
	if room {
		h.pool.activateLocked(h)
		h.rooms++
	}
}

// holdLocked makes the holder hold n bytes more.
func (h *Holder) holdLocked(n int64) {
	h.held += n
	if h.conn == nil {
		h.pool.unconnected += n
	}
}

// giveLocked takes n bytes from the holder.
func (h *Holder) giveLocked(n int64) {
	h.holdLocked(-n)
	h.pool.used -= n
	h.pool.admitLocked()
}

// settledLocked returns how many bytes the holder has outside leases that grow.
func (h *Holder) settledLocked() int64 { return h.held - h.growing }

// activeLocked reports whether the holder has something that its client can delay the return of.
func (h *Holder) activeLocked() bool { return h.handed != nil || h.rooms > 0 }
