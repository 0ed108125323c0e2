package lease

import "testing"

func TestCapacity_hardlyLargerThanWanted(t *testing.T) {
	t.Parallel()
	last, lastCapacity := 0, leastBufferBytes
	for n := 1; n <= 2*maxPooledBytes; n += 1 + n/50 {
		at, capacity := sizeClass(n)
		if capacity < n || (capacity > leastBufferBytes && capacity-n > n/sizesPerDoubling) {
			t.Errorf("a buffer for %d bytes has %d", n, capacity)
		}
		if (at == last) != (capacity == lastCapacity) || at < last {
			t.Errorf("size class %d has %d bytes, size class %d has %d", last, lastCapacity, at, capacity)
		}
		if again, same := sizeClass(capacity); again != at || same != capacity || Capacity(n) != capacity {
			t.Errorf("size class %d has %d bytes, which size class %d is for", at, capacity, again)
		}
		last, lastCapacity = at, capacity
	}
	if largest, _ := sizeClass(maxPooledBytes); largest != len(buffers{})-1 {
		t.Errorf("the largest size class is %d, there are pools for %d", largest, len(buffers{}))
	}
}
