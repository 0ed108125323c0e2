package lease

import "context"

// Lease is bytes that a holder holds. Its owner releases it once, or hands it to grpc. Except for
// Share, Get and Put it is not safe for concurrent use.
//
// A Lease implements mem.BufferPool of google.golang.org/grpc for the pieces of its own bytes.
type Lease struct {
	holder *Holder
	// buffers are the buffers of the lease until it is shared.
	buffers [2]*buffer
	// then is called when the lease is over.
	then func()

	// The mutex of the pool guards all fields below once the lease grows, is shared or is handed.

	state state
	// counted is how many bytes the lease counts. most is how many it may come to count while it grows.
	counted, most int64
	// grows is true while the lease has begun to grow and may go on.
	grows bool
	// common is what all leases of the same bytes share; nil: there is no other.
	common *common
	// pieces is how many pieces grpc has yet to put. previous and next link the handed leases of the
	// holder.
	pieces         int
	previous, next *Lease
}

type state int

const (
	owned  state = iota // by code that will release or hand it
	handed              // to grpc
	over
)

// common is what leases of the same bytes share. The mutex of the pool guards it.
type common struct {
	owners int
	// of counts the leases of each holder.
	of      map[*Holder]int
	buffers [2]*buffer
	// swept is true if grpc may go on using the bytes for ever.
	swept bool
}

// lease returns a lease of n bytes that are counted already.
func (h *Holder) lease(n int64) *Lease {
	l, ok := h.pool.leases.Get().(*Lease)
	if !ok {
		l = new(Lease)
	}
	l.holder, l.counted, l.state = h, n, owned
	return l
}

// Buffer returns an empty buffer with room for n bytes, which may be used until the lease is over. A
// lease has at most two buffers at a time. Buffer counts nothing.
func (l *Lease) Buffer(n int) []byte {
	b := l.holder.pool.buffers.get(n)
	if l.buffers[0] == nil {
		l.buffers[0] = b
	} else {
		l.buffers[1] = b
	}
	return b.room
}

// Grow returns a buffer with room for n bytes, which replaces the only buffer of the lease and has its
// content. It first waits until the lease counts counted bytes in all, with the errors of Take. The
// lease may come to count as many as most, until Keep or Count. If Grow fails, everything stays as it
// was.
func (l *Lease) Grow(ctx context.Context, buffer []byte, n int, counted, most int64) ([]byte, error) {
	if more := counted - l.counted; more > 0 {
		if err := l.holder.grow(ctx, l, more, max(most, counted)); err != nil {
			return buffer, err
		}
	}
	larger := append(l.Buffer(n), buffer...)
	l.drop(larger)
	return larger, nil
}

// Keep makes kept all that the lease uses and counts from now on. kept must be a buffer of the lease, or
// the slice that replaced one that was too small.
func (l *Lease) Keep(kept []byte) {
	l.drop(kept)
	l.Count(int64(cap(kept)))
}

// Count makes the lease count n bytes. If they are more than before, they are there already or must not
// wait: they count even above the limit.
func (l *Lease) Count(n int64) {
	p := l.holder.pool
	p.mu.Lock()
	defer p.mu.Unlock()
	p.grownLocked(l)
	less := l.counted - n
	l.counted = n
	l.holder.giveLocked(less)
}

// drop gives back the buffers that kept is not in, to be used again.
func (l *Lease) drop(kept []byte) {
	first := l.buffers[0]
	if first != nil && !same(first.room, kept) {
		l.holder.pool.buffers.put(first)
		first = nil
	}
	if second := l.buffers[1]; second != nil {
		if same(second.room, kept) {
			first = second
		} else {
			l.holder.pool.buffers.put(second)
		}
	}
	l.buffers = [2]*buffer{first, nil}
}

// same reports whether two slices begin at the same byte.
func same(a, b []byte) bool { return cap(a) > 0 && cap(b) > 0 && &a[:1][0] == &b[:1][0] }

// Then makes the lease call f once when it is over: released, put by grpc, or swept. f may use the
// pool. Only the owner may call Then, at most once.
func (l *Lease) Then(f func()) { l.then = f }

// Share returns another lease of the same bytes, which nobody may write to any more. It never waits,
// because the bytes are there: they count once for the pool, and once for each holder. Sharing nil
// returns nil.
func (l *Lease) Share(to *Holder) *Lease {
	if l == nil {
		return nil
	}
	p := l.holder.pool
	other := to.lease(l.counted)
	p.mu.Lock()
	defer p.mu.Unlock()
	c := l.common
	if c == nil {
		c = &common{owners: 1, of: map[*Holder]int{l.holder: 1}, buffers: l.buffers}
		l.common, l.buffers = c, [2]*buffer{}
	}
	other.common = c
	c.owners++
	if c.of[to]++; c.of[to] == 1 {
		to.holdLocked(l.counted)
	}
	return other
}

// Release ends a lease that was not handed. To release a lease again, or nil, does nothing.
func (l *Lease) Release() {
	if l == nil {
		return
	}
	p := l.holder.pool
	p.mu.Lock()
	if l.state != owned {
		p.mu.Unlock()
		return
	}
	ended := l.endLocked(false)
	p.mu.Unlock()
	p.recycle(ended)
}

// Hand gives the lease to grpc, which calls Put once for each piece. The holder must have a
// connection: grpc may forget to call Put if that breaks.
func (l *Lease) Hand(pieces int) {
	h := l.holder
	p := h.pool
	p.mu.Lock()
	defer p.mu.Unlock()
	p.activateLocked(h)
	p.grownLocked(l)
	l.state, l.pieces = handed, pieces
	if l.next = h.handed; l.next != nil {
		l.next.previous = l
	}
	h.handed = l
}

// Get implements mem.BufferPool. Its buffer does not belong to the lease.
func (*Lease) Get(n int) *[]byte {
	b := make([]byte, n)
	return &b
}

// Put implements mem.BufferPool. grpc calls it when it no longer uses a piece.
func (l *Lease) Put(*[]byte) {
	p := l.holder.pool
	p.mu.Lock()
	if l.state != handed {
		p.mu.Unlock() // The lease was swept.
		return
	}
	if l.pieces--; l.pieces > 0 {
		p.progressLocked(l.holder)
		p.mu.Unlock()
		return
	}
	ended := l.endLocked(false)
	p.mu.Unlock()
	p.recycle(ended)
}

// ending is what remains to be done for a lease that is over, without the mutex.
type ending struct {
	then func()
	// lease and buffers may be used again, except those that are nil.
	lease   *Lease
	buffers [2]*buffer
}

// endLocked ends a lease. If it is swept, grpc may still use the bytes, and may still put them.
func (l *Lease) endLocked(swept bool) ending {
	h := l.holder
	p := h.pool
	ended := ending{then: l.then, lease: l, buffers: l.buffers}
	p.grownLocked(l)
	if l.state == handed {
		h.unlinkLocked(l)
		p.progressLocked(h)
	}
	l.state = over
	last, holders := true, true
	if c := l.common; c != nil {
		c.owners--
		c.swept = c.swept || swept
		if c.of[h]--; c.of[h] == 0 {
			delete(c.of, h)
		} else {
			holders = false
		}
		last, swept, ended.buffers = c.owners == 0, c.swept, c.buffers
	}
	if holders {
		h.holdLocked(-l.counted)
	}
	if last {
		p.used -= l.counted
	}
	if holders || last {
		p.admitLocked()
	}
	if !last || swept {
		ended.buffers = [2]*buffer{}
	}
	if swept {
		ended.lease = nil
	}
	return ended
}

// unlinkLocked takes a lease from those that are handed.
func (h *Holder) unlinkLocked(l *Lease) {
	if l.previous == nil {
		h.handed = l.next
	} else {
		l.previous.next = l.next
	}
	if l.next != nil {
		l.next.previous = l.previous
	}
	l.previous, l.next = nil, nil
}

// recycle does what remains to be done for a lease that is over.
func (p *Pool) recycle(ended ending) {
	for _, b := range ended.buffers {
		if b != nil {
			p.buffers.put(b)
		}
	}
	if l := ended.lease; l != nil {
		// The lease stays over, and its holder stays the same, until it is taken again.
		l.then, l.common, l.buffers = nil, nil, [2]*buffer{}
		p.leases.Put(l)
	}
	if ended.then != nil {
		ended.then()
	}
}
