package telemetry_test

import (
	"testing"

	"github.com/google/go-cmp/cmp"

	"samsara.internal/gateway/upstream"
)

// fakeUpstream is in the state that its fields say.
type fakeUpstream struct {
	inFlight, cached int64
	circuit          upstream.Circuit
}

func (f *fakeUpstream) InFlightBytes() int64      { return f.inFlight }
func (f *fakeUpstream) CachedBytes() int64        { return f.cached }
func (f *fakeUpstream) Circuit() upstream.Circuit { return f.circuit }

func TestTheStateOfTheUpstreamIsReadAtEachScrape(t *testing.T) {
	t.Parallel()
	m := newMetrics(t)
	var client fakeUpstream
	if err := m.WatchUpstream(&client); err != nil {
		t.Fatal(err)
	}
	for _, step := range []struct {
		state           fakeUpstream
		memory, circuit []string
	}{
		{
			fakeUpstream{3 << 20, 1 << 20, upstream.CircuitOpen},
			[]string{"samsara_gateway_cached_bytes 1.048576e+06", "samsara_gateway_in_flight_bytes 3.145728e+06"},
			[]string{
				`samsara_gateway_upstream_circuit{state="closed"} 0`,
				`samsara_gateway_upstream_circuit{state="half_open"} 0`,
				`samsara_gateway_upstream_circuit{state="open"} 1`,
			},
		},
		{
			fakeUpstream{0, 0, upstream.CircuitHalfOpen},
			[]string{"samsara_gateway_cached_bytes 0", "samsara_gateway_in_flight_bytes 0"},
			[]string{
				`samsara_gateway_upstream_circuit{state="closed"} 0`,
				`samsara_gateway_upstream_circuit{state="half_open"} 1`,
				`samsara_gateway_upstream_circuit{state="open"} 0`,
			},
		},
		{
			fakeUpstream{0, 0, upstream.CircuitClosed},
			[]string{"samsara_gateway_cached_bytes 0", "samsara_gateway_in_flight_bytes 0"},
			[]string{
				`samsara_gateway_upstream_circuit{state="closed"} 1`,
				`samsara_gateway_upstream_circuit{state="half_open"} 0`,
				`samsara_gateway_upstream_circuit{state="open"} 0`,
			},
		},
	} {
		client = step.state
		memory := append(scrape(t, m, "samsara_gateway_cached_bytes"), scrape(t, m, "samsara_gateway_in_flight_bytes")...)
		if diff := cmp.Diff(step.memory, memory); diff != "" {
			t.Errorf("memory (-want +got):\n%s", diff)
		}
		if diff := cmp.Diff(step.circuit, scrape(t, m, "samsara_gateway_upstream_circuit")); diff != "" {
			t.Errorf("circuit (-want +got):\n%s", diff)
		}
	}
	if err := m.WatchUpstream(&client); err == nil {
		t.Error("the same was watched twice")
	}
}
