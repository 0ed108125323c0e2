package lease

import "context"

// Lease is bytes that a holder holds. Its owner releases it once, or hands it to grpc. It is not
// safe for concurrent use but for Share, Get and Put.
//
// A Lease implements mem.BufferPool of google.golang.org/grpc, for the pieces of its own bytes.
type Lease struct {
	holder *Holder
	// buffers are those of the lease, until it is shared.
	buffers [2]*buffer
	// then is called when the lease is over.
	then func()

	// All below is guarded by the mutex of the pool, as soon as the lease grows, is shared or handed.

	state state
	// counted is how many bytes it stands for, most how many that may become while it grows.
	counted, most int64
	// grows is whether it has begun to grow and may go on.
	grows bool
	// common is what it has in common with other leases of the same bytes, nil if there is none.
	common *common
	// pieces are those that grpc has yet to put. previous and next are the other handed leases of
	// the holder.
	pieces         int
	previous, next *Lease
}

type state int

const (
	owned  state = iota // by somebody who releases or hands it
	handed              // to grpc
	over
)

// common is what leases of the same bytes share, guarded by the mutex of the pool.
type common struct {
	owners int
	// of counts the leases of each holder.
	of      map[*Holder]int
	buffers [2]*buffer
	// swept is whether grpc may use the bytes for ever.
	swept bool
}

// lease returns a lease of n bytes that count already.
func (h *Holder) lease(n int64) *Lease {
	l, ok := h.pool.leases.Get().(*Lease)
	if !ok {
		l = new(Lease)
	}
	l.holder, l.counted, l.state = h, n, owned
	return l
}

// Buffer returns an empty buffer with room for n bytes, at most two at a time, which it lends until
// the lease is over. It does not count.
func (l *Lease) Buffer(n int) []byte {
	b := l.holder.pool.buffers.get(n)
	if l.buffers[0] == nil {
		l.buffers[0] = b
	} else {
		l.buffers[1] = b
	}
	return b.room
}

// Grow returns the only buffer of the lease, with what it has, when there is room for n bytes in
// it. It waits until the lease counts so many in all, with the errors of Take; it may come to count
// most of them, until Keep or Count. If it fails everything stays as it was.
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

// Keep says that kept is all that is still used, and all that counts from now on. It is a buffer of
// the lease, or what became of one that was too small.
func (l *Lease) Keep(kept []byte) {
	l.drop(kept)
	l.Count(int64(cap(kept)))
}

// Count makes the lease one of n bytes. More of them are there already or must not wait: they count
// above the limit too.
func (l *Lease) Count(n int64) {
	p := l.holder.pool
	p.mu.Lock()
	defer p.mu.Unlock()
	p.grownLocked(l)
	less := l.counted - n
	l.counted = n
	l.holder.giveLocked(less)
}

// drop has the buffers used again that kept is not in.
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

// Then has f called once when the lease is over: released, put by grpc, or swept. f may use the
// pool. Then must be called by the owner, once at most.
func (l *Lease) Then(f func()) { l.then = f }

// Share returns another lease of the same bytes, which nobody may write to any more. It never
// waits, for the bytes are there: they count once for the pool, and once for each holder. Sharing
// nil returns nil.
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
		to.held += l.counted
	}
	return other
}

// Release ends a lease that was not handed. Releasing it twice is releasing it once; nil is
// nobody's.
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

// Hand makes the lease grpc's, which calls Put once for each piece. Its holder must have a
// connection, for if that breaks grpc may forget to.
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

// Get implements mem.BufferPool. It has nothing to do with the lease.
func (*Lease) Get(n int) *[]byte {
	b := make([]byte, n)
	return &b
}

// Put implements mem.BufferPool: grpc does not use a piece any more.
func (l *Lease) Put(*[]byte) {
	p := l.holder.pool
	p.mu.Lock()
	if l.state != handed {
		p.mu.Unlock() // It was swept.
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

// ending is what is left to do for a lease that is over, without the mutex.
type ending struct {
	then func()
	// lease and buffers may be used again; nil: they may not.
	lease   *Lease
	buffers [2]*buffer
}

// endLocked ends a lease. If it is swept grpc may still use the bytes, and may put them.
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
		h.held -= l.counted
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

// recycle does what is left to do for a lease that is over.
func (p *Pool) recycle(ended ending) {
	for _, b := range ended.buffers {
		if b != nil {
			p.buffers.put(b)
		}
	}
	if l := ended.lease; l != nil {
		// It stays over, and its holder's, until it is taken again.
		l.then, l.common, l.buffers = nil, nil, [2]*buffer{}
		p.leases.Put(l)
	}
	if ended.then != nil {
		ended.then()
	}
}
