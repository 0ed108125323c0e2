package main

import (
	"math"
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

func TestConnectionsWithin_theDescriptors(t *testing.T) {
	t.Parallel()
	for _, test := range []struct {
		configured  int
		descriptors uint64
		want        int
	}{
		{10_000, math.MaxUint64, 10_000}, // RLIM_INFINITY
		{10_000, 20_000, 10_000},
		{10_000, 1024, 512},
		{100, 1024, 100},
		{10, 1, 1},
	} {
		if got := connectionsWithin(test.configured, test.descriptors); got != test.want {
			t.Errorf("%d with %d descriptors: got %d, want %d", test.configured, test.descriptors, got, test.want)
		}
	}
	if got, err := maxDescriptors(); err != nil || got < 3 {
		t.Errorf("the process may open %d files, %v", got, err)
	}
}
