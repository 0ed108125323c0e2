package main

import "testing"

func TestMemoryLimitFollowsTheHeapThatIsNeeded(t *testing.T) {
	t.Parallel()
	const mib = 1 << 20
	for _, test := range []struct{ live, want int64 }{
		{0, 80 * mib},
		{56 * mib, 80 * mib},
		{56*mib + 1, 88 * mib},
		{300 * mib, 328 * mib},
	} {
		if got := memoryLimit(uint64(test.live)); got != test.want {
			t.Errorf("with %d MiB live the limit is %d MiB, want %d MiB", test.live/mib, got/mib, test.want/mib)
		}
	}
}
