package telemetry_test

import (
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"samsara.internal/gateway/internal/feed"
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
	limit, used, unconnected, waiting int64
	closed                            uint64
}

func (p *pool) Limit() int64       { return p.limit }
func (p *pool) Used() int64        { return p.used }
func (p *pool) Unconnected() int64 { return p.unconnected }
func (p *pool) Waiting() int64     { return p.waiting }
func (p *pool) Closed() uint64     { return p.closed }

func TestWatchMemory_readAtEachScrape(t *testing.T) {
	t.Parallel()
	m := newMetrics(t)
	var answers, requests pool
	if err := m.WatchMemory(&answers, &requests); err != nil {
		t.Fatal(err)
	}
	answers, requests = pool{4 << 20, 3 << 20, 1 << 20, 2, 4}, pool{8 << 20, 5 << 20, 0, 0, 1}
	want := []string{
		`samsara_gateway_connections_closed_total 5`,
		`samsara_gateway_memory_bytes{holder="clients"} 2.097152e+06`,
		`samsara_gateway_memory_bytes{holder="requests"} 5.24288e+06`,
		`samsara_gateway_memory_bytes{holder="shared"} 1.048576e+06`,
		`samsara_gateway_memory_limit_bytes{pool="answers"} 4.194304e+06`,
		`samsara_gateway_memory_limit_bytes{pool="requests"} 8.388608e+06`,
		`samsara_gateway_memory_waiting{pool="answers"} 2`,
		`samsara_gateway_memory_waiting{pool="requests"} 0`,
	}
	got := append(scrape(t, m, "samsara_gateway_connections_"), scrape(t, m, "samsara_gateway_memory_")...)
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
	if err := m.WatchMemory(&answers, &requests); err == nil {
		t.Error("the same was watched twice")
	}
}

func TestWatchFeeds_furthestBehindFirst(t *testing.T) {
	t.Parallel()
	m := newMetrics(t)
	var lags []feed.Lag
	if err := m.WatchFeeds(func() []feed.Lag { return lags }); err != nil {
		t.Fatal(err)
	}
	for i := range 150 {
		lags = append(lags, feed.Lag{
			Tenant: "north", Operation: "/a.v1.FeedService/Follow" + strconv.Itoa(i), Readers: 1, Followers: 2, Behind: time.Duration(i) * time.Second,
		})
	}
	got := scrape(t, m, "samsara_gateway_feed_lag_seconds")
	if len(got) != 100 || !slices.Contains(got, `samsara_gateway_feed_lag_seconds{operation="FeedService/Follow149",organization="north"} 149`) {
		t.Errorf("%d feeds, want 100, and among them the one that is furthest behind:\n%s", len(got), strings.Join(got, "\n"))
	}
	if diff := cmp.Diff([]string{"samsara_gateway_feed_followers 300"}, scrape(t, m, "samsara_gateway_feed_followers")); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
	if m.WatchFeeds(nil) == nil {
		t.Error("the same was watched twice")
	}
}
