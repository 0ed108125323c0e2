package main

import (
	"testing"

	"samsara.internal/gateway/internal/config"
)

func TestRequestRoom_ofAMemoryLimit(t *testing.T) {
	t.Parallel()
	const mib = 1 << 20
	for _, test := range []struct{ each, limit, want int64 }{
		{4 * mib, config.NoMemoryLimit, 64 * mib},
		{4 * mib, 2048 * mib, 64 * mib},
		{4 * mib, 400 * mib, 50 * mib},
		{4 * mib, 77 * mib, 16 * mib},
		{32 * mib, 77 * mib, 128 * mib},
		{32 * mib, config.NoMemoryLimit, 128 * mib},
	} {
		if got := requestRoom(test.each, test.limit); got != test.want {
			t.Errorf("a message of %d MiB and a limit of %d MiB: got room for %d MiB, want %d", test.each/mib, test.limit/mib, got/mib, test.want/mib)
		}
	}
}
