package upstream

import (
	"context"
	"errors"
	"fmt"
	"io"
	"math/bits"
	"sync"
	"sync/atomic"
)

const (
	// leastBufferBytes is the smallest buffer.
	leastBufferBytes = 4 << 10
	// maxPooledBytes is the largest buffer that is used again.
	maxPooledBytes = 4 << 20
	// classSteps is how many sizes of buffers there are until a buffer is twice as large. They
	// keep a buffer from being more than an eighth too large.
	classSteps = 8
)

var errTooLarge = errors.New("body exceeds its limit")

// memory lends buffers, which are used again, and keeps account of them. It is safe for
// concurrent use.
type memory struct {
	ledger ledger
	// pools hold buffers by class.
	pools [1 + classSteps*10]sync.Pool
}

// class returns the smallest class whose buffers have room for n bytes, and their capacity.
func class(n int) (int, int) {
	if n <= leastBufferBytes {
		return 0, leastBufferBytes
	}
	// The step is the last power of two before n, divided.
	doublings := bits.Len(uint(n-1)) - bits.Len(uint(leastBufferBytes))
	step := leastBufferBytes << doublings / classSteps
	steps := (n + step - 1) / step
	return classSteps*doublings + steps - classSteps, steps * step
}

// buffer is memory on loan. It has one owner at a time, who releases it once, until it is shared.
// Then nobody writes to it any more, and each of its owners releases it once.
type buffer struct {
	bytes []byte

	from *memory
	// reserved is what the ledger counts: the capacity, and what a translation may take.
	reserved int64
	// others is how many owners there are beside one.
	others atomic.Int32
}

// lend waits, as ledger.take does, for an empty buffer with room for n bytes and for what is
// made of them.
func (m *memory) lend(ctx context.Context, n int) (*buffer, error) {
	_, capacity := class(n)
	reserved := withTranslation(capacity)
	if err := m.ledger.take(ctx, reserved); err != nil {
		return nil, err
	}
	return m.get(n, reserved), nil
}

// lendNow returns an empty buffer with room for n bytes, above the limit too.
func (m *memory) lendNow(n int) *buffer {
	_, capacity := class(n)
	m.ledger.add(int64(capacity))
	return m.get(n, int64(capacity))
}

// withTranslation is how much is reserved for a body and its message, which is about half as
// long.
func withTranslation(capacity int) int64 { return int64(capacity) + int64(capacity)/2 }

func (m *memory) get(n int, reserved int64) *buffer {
	class, capacity := class(n)
	if capacity <= maxPooledBytes {
		if b, ok := m.pools[class].Get().(*buffer); ok {
			b.reserved = reserved
			return b
		}
	}
	return &buffer{bytes: make([]byte, 0, capacity), from: m, reserved: reserved}
}

// share adds n owners.
func (b *buffer) share(n int) {
	if b != nil {
		b.others.Add(int32(n))
	}
}

// release ends the loan, once all owners have released it. Neither the buffer nor its bytes may
// be used any more. A nil buffer is nobody's.
func (b *buffer) release() {
	if b == nil || b.others.Add(-1) >= 0 {
		return
	}
	b.others.Store(0)
	b.from.ledger.give(b.reserved)
	b.reserved = 0
	b.recycle()
}

// recycle keeps the buffer for another loan, unless it grew by append to a size between two
// classes: it would hold more than is counted for it.
func (b *buffer) recycle() {
	at, capacity := class(cap(b.bytes))
	if capacity != cap(b.bytes) || capacity > maxPooledBytes {
		return
	}
	b.bytes = b.bytes[:0]
	b.from.pools[at].Put(b)
}

// translation lends an empty buffer for what is made of b, out of what b has reserved.
func (b *buffer) translation() *buffer {
	n := len(b.bytes) / 2
	_, capacity := class(n)
	spare := min(b.reserved-int64(cap(b.bytes)), int64(capacity))
	b.reserved -= spare
	if lacking := int64(capacity) - spare; lacking > 0 {
		b.from.ledger.add(lacking)
	}
	return b.from.get(n, int64(capacity))
}

// set makes bytes the buffer's, which may have outgrown those that it had: what they hold more
// is counted, above the limit too.
func (b *buffer) set(bytes []byte) {
	if more := int64(cap(bytes) - cap(b.bytes)); more > 0 {
		b.from.ledger.add(more)
		b.reserved += more
	}
	b.bytes = bytes
}

// read appends what there is to read, at most limit bytes: where there is more the error is
// errTooLarge. In any case the buffer holds what could be read.
func (b *buffer) read(ctx context.Context, from io.Reader, limit int64) error {
	for {
		if len(b.bytes) == cap(b.bytes) {
			if err := b.grow(ctx, limit); err != nil {
				return err
			}
		}
		room := min(int64(cap(b.bytes)), limit+1)
		n, err := from.Read(b.bytes[len(b.bytes):room])
		b.bytes = b.bytes[:len(b.bytes)+n]
		switch {
		case int64(len(b.bytes)) > limit:
			b.bytes = b.bytes[:limit]
			return fmt.Errorf("%w of %d bytes", errTooLarge, limit)
		case errors.Is(err, io.EOF):
			return nil
		case err != nil:
			return err
		}
	}
}

// grow doubles the room, as far as a body of limit bytes needs it. While the bytes are copied
// they are there twice.
func (b *buffer) grow(ctx context.Context, limit int64) error {
	n := int(min(2*int64(cap(b.bytes)), limit+bodySlack))
	_, capacity := class(n)
	reserved, copied := withTranslation(capacity), int64(cap(b.bytes))
	if err := b.from.ledger.grow(ctx, b.reserved, reserved+copied-b.reserved); err != nil {
		return err
	}
	larger := b.from.get(n, reserved)
	larger.bytes = append(larger.bytes, b.bytes...)
	b.bytes, larger.bytes = larger.bytes, b.bytes
	b.reserved, larger.reserved = reserved, copied
	larger.release()
	return nil
}
