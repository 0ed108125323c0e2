package config

import "testing"

func TestSize(t *testing.T) {
	t.Parallel()
	const mib = 1 << 20
	for _, test := range []struct {
		name                               string
		limit, inFlight, response          int64
		wantInFlightBytes, wantResponseMiB int64
	}{
		{name: "no limit", limit: NoMemoryLimit, wantInFlightBytes: 256 * mib, wantResponseMiB: 64},
		{name: "96 MiB, of which 0.8", limit: 80530636, wantInFlightBytes: 26843136, wantResponseMiB: 8},
		{name: "3 GiB", limit: 3072 * mib, wantInFlightBytes: 1024 * mib, wantResponseMiB: 64},
		{name: "next to nothing", limit: 1000, wantInFlightBytes: mib},
		{name: "half given", limit: 96 * mib, inFlight: 18 * mib, wantInFlightBytes: 18 * mib, wantResponseMiB: 6},
		{name: "the other half given", limit: 96 * mib, response: 10 * mib, wantInFlightBytes: 32 * mib, wantResponseMiB: 10},
	} {
		c := Config{MaxInFlightBytes: test.inFlight, MaxResponseBytes: test.response}
		c.size(test.limit)
		if c.MaxInFlightBytes != test.wantInFlightBytes || c.MaxResponseBytes/mib != test.wantResponseMiB {
			t.Errorf("%s: %d bytes in flight and %d MiB a response, want %d and %d", test.name,
				c.MaxInFlightBytes, c.MaxResponseBytes/mib, test.wantInFlightBytes, test.wantResponseMiB)
		}
	}
}
