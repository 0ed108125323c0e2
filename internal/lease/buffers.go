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
	// sizesPerDoubling is how many sizes of buffers there are from one size to twice as much. It
	// keeps a buffer from being more than an eighth too large.
	sizesPerDoubling = 8
)

// buffers are byte slices that are used again, by size class. They are safe for concurrent use.
type buffers [1 + sizesPerDoubling*10]sync.Pool

// buffer is an empty byte slice, in the form that a sync.Pool takes.
type buffer struct{ room []byte }

// sizeClass returns the smallest size class whose buffers have room for n bytes, and their capacity.
func sizeClass(n int) (int, int) {
	if n <= leastBufferBytes {
		return 0, leastBufferBytes
	}
	// The step is the last power of two before n, divided.
	doublings := bits.Len(uint(n-1)) - bits.Len(uint(leastBufferBytes))
	step := leastBufferBytes << doublings / sizesPerDoubling
	steps := (n + step - 1) / step
	return sizesPerDoubling*doublings + steps - sizesPerDoubling, steps * step
}

// Capacity returns how many bytes a buffer for n bytes has.
func Capacity(n int) int {
	_, capacity := sizeClass(n)
	return capacity
}

func (b *buffers) get(n int) *buffer {
	class, capacity := sizeClass(n)
	if capacity <= maxPooledBytes {
		if kept, ok := b[class].Get().(*buffer); ok {
			return kept
		}
	}
	return &buffer{make([]byte, 0, capacity)}
}

func (b *buffers) put(unused *buffer) {
	if class, capacity := sizeClass(cap(unused.room)); capacity <= maxPooledBytes {
		b[class].Put(unused)
	}
}
