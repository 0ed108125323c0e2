package telemetry_test

import (
	"strconv"
	"testing"

	"github.com/google/go-cmp/cmp"

	"samsara.internal/gateway/internal/telemetry"
	"samsara.internal/gateway/upstream"
)

// fakeUpstream is in the state that its fields say.
type fakeUpstream struct {
	cached  int64
	circuit upstream.Circuit
	open    int
}

func (f *fakeUpstream) CachedBytes() int64        { return f.cached }
func (f *fakeUpstream) Circuit() upstream.Circuit { return f.circuit }
func (f *fakeUpstream) OpenCircuits() int         { return f.open }

func TestWatchUpstreams_readAtEachScrape(t *testing.T) {
	t.Parallel()
	m := newMetrics(t)
	var client fakeUpstream
	all := func() map[string]telemetry.Upstream { return map[string]telemetry.Upstream{"default": &client} }
	if err := m.WatchUpstreams(all); err != nil {
		t.Fatal(err)
	}
	for _, step := range []struct {
		state          fakeUpstream
		cache, circuit []string
	}{
		{
			fakeUpstream{1 << 20, upstream.CircuitOpen, 2},
			[]string{`samsara_gateway_cached_bytes{organization="default"} 1.048576e+06`},
			[]string{
				`samsara_gateway_upstream_circuit{organization="default",state="closed"} 0`,
				`samsara_gateway_upstream_circuit{organization="default",state="half_open"} 0`,
				`samsara_gateway_upstream_circuit{organization="default",state="open"} 1`,
			},
		},
		{
			fakeUpstream{0, upstream.CircuitHalfOpen, 1025},
			[]string{`samsara_gateway_cached_bytes{organization="default"} 0`},
			[]string{
				`samsara_gateway_upstream_circuit{organization="default",state="closed"} 0`,
				`samsara_gateway_upstream_circuit{organization="default",state="half_open"} 1`,
				`samsara_gateway_upstream_circuit{organization="default",state="open"} 0`,
			},
		},
		{
			fakeUpstream{0, upstream.CircuitClosed, 0},
			[]string{`samsara_gateway_cached_bytes{organization="default"} 0`},
			[]string{
				`samsara_gateway_upstream_circuit{organization="default",state="closed"} 1`,
				`samsara_gateway_upstream_circuit{organization="default",state="half_open"} 0`,
				`samsara_gateway_upstream_circuit{organization="default",state="open"} 0`,
			},
		},
	} {
		client = step.state
		if diff := cmp.Diff(step.cache, scrape(t, m, "samsara_gateway_cached_bytes")); diff != "" {
			t.Errorf("cache (-want +got):\n%s", diff)
		}
		if diff := cmp.Diff(step.circuit, scrape(t, m, "samsara_gateway_upstream_circuit")); diff != "" {
			t.Errorf("circuit (-want +got):\n%s", diff)
		}
		open := []string{`samsara_gateway_upstream_open_circuits{organization="default"} ` + strconv.Itoa(step.state.open)}
		if diff := cmp.Diff(open, scrape(t, m, "samsara_gateway_upstream_open_circuits")); diff != "" {
			t.Errorf("open circuits (-want +got):\n%s", diff)
		}
	}
	if err := m.WatchUpstreams(all); err == nil {
		t.Error("the same was watched twice")
	}
}

// pool is a Memory.
type pool struct {
	used   int64
	closed uint64
}

func (p *pool) Used() int64    { return p.used }
func (p *pool) Closed() uint64 { return p.closed }

func TestWatchMemory_readAtEachScrape(t *testing.T) {
	t.Parallel()
	m := newMetrics(t)
	var answers, requests pool
	if err := m.WatchMemory(&answers, &requests); err != nil {
		t.Fatal(err)
	}
	answers, requests = pool{3 << 20, 4}, pool{8 << 20, 1}
	for name, want := range map[string]string{
		"samsara_gateway_in_flight_bytes":          "samsara_gateway_in_flight_bytes 3.145728e+06",
		"samsara_gateway_request_room_bytes":       "samsara_gateway_request_room_bytes 8.388608e+06",
		"samsara_gateway_connections_closed_total": "samsara_gateway_connections_closed_total 5",
	} {
		if diff := cmp.Diff([]string{want}, scrape(t, m, name)); diff != "" {
			t.Errorf("(-want +got):\n%s", diff)
		}
	}
	if err := m.WatchMemory(&answers, &requests); err == nil {
		t.Error("the same was watched twice")
	}
}
