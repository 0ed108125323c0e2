package config

import "testing"

func TestSize_followsMemoryLimit(t *testing.T) {
	t.Parallel()
	const mib = 1 << 20
	for _, test := range []struct {
		name                               string
		limit, inFlight, response          int64
		wantInFlightBytes, wantResponseMiB int64
		calls, wantCalls                   int
		idle, wantIdle                     int
	}{
		{name: "no limit", limit: NoMemoryLimit, wantInFlightBytes: 256 * mib, wantResponseMiB: 64, wantCalls: 50_000, wantIdle: 10_000},
		{name: "96 MiB, of which 0.8", limit: 80530636, wantInFlightBytes: 26843136, wantResponseMiB: 8, wantCalls: 307, wantIdle: 307},
		{name: "3 GiB", limit: 3072 * mib, wantInFlightBytes: 1024 * mib, wantResponseMiB: 64, wantCalls: 12288, wantIdle: 10_000},
		{name: "next to nothing", limit: 1000, wantInFlightBytes: mib, wantCalls: 200, wantIdle: 200},
		{name: "half given", limit: 96 * mib, inFlight: 18 * mib, wantInFlightBytes: 18 * mib, wantResponseMiB: 6, calls: 7, wantCalls: 7, wantIdle: 7},
		{name: "the other half given", limit: 96 * mib, response: 10 * mib, wantInFlightBytes: 32 * mib, wantResponseMiB: 10, wantCalls: 384, idle: 5, wantIdle: 5},
	} {
		c := Config{MaxInFlightBytes: test.inFlight, MaxResponseBytes: test.response, MaxConcurrentCalls: test.calls, UpstreamMaxIdleConns: test.idle}
		c.size(test.limit)
		if c.MaxInFlightBytes != test.wantInFlightBytes || c.MaxResponseBytes/mib != test.wantResponseMiB {
			t.Errorf("%s: %d bytes in flight and %d MiB a response, want %d and %d", test.name,
				c.MaxInFlightBytes, c.MaxResponseBytes/mib, test.wantInFlightBytes, test.wantResponseMiB)
		}
		if c.MaxConcurrentCalls != test.wantCalls {
			t.Errorf("%s: %d calls, want %d", test.name, c.MaxConcurrentCalls, test.wantCalls)
		}
		if c.UpstreamMaxIdleConns != test.wantIdle {
			t.Errorf("%s: %d idle connections, want %d", test.name, c.UpstreamMaxIdleConns, test.wantIdle)
		}
	}
}
