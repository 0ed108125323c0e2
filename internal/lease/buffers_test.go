package lease

import "testing"

func TestCapacity_hardlyLargerThanWanted(t *testing.T) {
	t.Parallel()
	last, lastCapacity := 0, leastBufferBytes
	for n := 1; n <= 2*maxPooledBytes; n += 1 + n/50 {
		at, capacity := class(n)
		if capacity < n || (capacity > leastBufferBytes && capacity-n > n/classSteps) {
			t.Errorf("a buffer for %d bytes has %d", n, capacity)
		}
		if (at == last) != (capacity == lastCapacity) || at < last {
			t.Errorf("class %d has %d bytes, class %d has %d", last, lastCapacity, at, capacity)
		}
		if again, same := class(capacity); again != at || same != capacity || Capacity(n) != capacity {
			t.Errorf("class %d has %d bytes, for which class %d is the one", at, capacity, again)
		}
		last, lastCapacity = at, capacity
	}
	if largest, _ := class(maxPooledBytes); largest != len(buffers{})-1 {
		t.Errorf("the largest class is %d, there are pools for %d", largest, len(buffers{}))
	}
}
