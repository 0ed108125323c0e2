package lease

import (
	"math/bits"
	"sync"
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

// buffers are byte slices that are used again, by class. They are safe for concurrent use.
type buffers [1 + classSteps*10]sync.Pool

// buffer is a byte slice with nothing in it, in the form in which a sync.Pool takes it.
type buffer struct{ room []byte }

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

// Capacity returns how many bytes a buffer for n bytes has.
func Capacity(n int) int {
	_, capacity := class(n)
	return capacity
}

func (b *buffers) get(n int) *buffer {
	at, capacity := class(n)
	if capacity <= maxPooledBytes {
		if kept, ok := b[at].Get().(*buffer); ok {
			return kept
		}
	}
	return &buffer{make([]byte, 0, capacity)}
}

func (b *buffers) put(unused *buffer) {
	if at, capacity := class(cap(unused.room)); capacity <= maxPooledBytes {
		b[at].Put(unused)
	}
}
