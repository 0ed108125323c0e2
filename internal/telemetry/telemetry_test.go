package telemetry_test

import (
	"fmt"
	"log/slog"
	"net/http/httptest"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"samsara.internal/gateway/internal/identity"
	"samsara.internal/gateway/internal/quota"
	"samsara.internal/gateway/internal/telemetry"
	"samsara.internal/gateway/internal/transcode"
	"samsara.internal/gateway/upstream"
)

// scrape returns the lines of the metrics whose names begin with prefix.
func scrape(t *testing.T, m *telemetry.Metrics, prefix string) []string {
	t.Helper()
	w := httptest.NewRecorder()
	m.Handler(slog.New(slog.DiscardHandler)).ServeHTTP(w, httptest.NewRequest("GET", "/metrics", nil))
	if w.Code != 200 {
		t.Fatalf("status %d: %s", w.Code, w.Body)
	}
	var lines []string
	for line := range strings.Lines(w.Body.String()) {
		if strings.HasPrefix(line, prefix) {
			lines = append(lines, strings.TrimSpace(line))
		}
	}
	return lines
}

// counted returns the lines of scrape that are not of 0.
func counted(t *testing.T, m *telemetry.Metrics, prefix string) []string {
	t.Helper()
	return slices.DeleteFunc(scrape(t, m, prefix), func(line string) bool { return strings.HasSuffix(line, " 0") })
}

func newMetrics(t testing.TB) *telemetry.Metrics {
	t.Helper()
	m, err := telemetry.New(telemetry.Options{Build: telemetry.Build{Version: "v1", GoVersion: "go1", Revision: "abc", APIDocument: "2025-10-23"}})
	if err != nil {
		t.Fatal(err)
	}
	return m
}

func TestDrift_byFieldAndKind(t *testing.T) {
	t.Parallel()
	m := newMetrics(t)
	kinds := map[transcode.Kind]string{
		transcode.Unknown: "unknown", transcode.Coerced: "coerced", transcode.Mismatch: "mismatch",
		transcode.Duplicate: "duplicate", transcode.InvalidText: "invalid_text", transcode.TooDeep: "too_deep",
		transcode.NullEntry: "null_entry", transcode.Wrapped: "wrapped", transcode.NoBody: "no_body",
	}
	of := m.Of("default")
	for kind := range kinds {
		of.Drift("/s/M", []transcode.Finding{{Message: "Vehicle", Member: "year", Kind: kind, Count: 3}})
	}
	got := scrape(t, m, "samsara_gateway_response_drift_")
	if len(got) != 2*len(kinds) {
		t.Errorf("got %d series, want two a kind:\n%s", len(got), strings.Join(got, "\n"))
	}
	for _, name := range kinds {
		for _, want := range []string{
			fmt.Sprintf(`samsara_gateway_response_drift_total{kind="%s",organization="default"} 3`, name),
			fmt.Sprintf(`samsara_gateway_response_drift_fields_total{field="Vehicle.year",kind="%s",operation="s/M",organization="default"} 3`, name),
		} {
			if !slices.Contains(got, want) {
				t.Errorf("missing %s", want)
			}
		}
	}
}

func TestDrift_namesOfTheUpstreamAreNoLabels(t *testing.T) {
	t.Parallel()
	m := newMetrics(t)
	for i := range 50 {
		m.Of("default").Drift("/s/M", []transcode.Finding{
			{Message: "V", Member: fmt.Sprint(i), Kind: transcode.Unknown, Foreign: true, Count: 2},
			{Message: "V", Member: fmt.Sprint(i), Kind: transcode.InvalidText, Foreign: true, Count: 1},
		})
	}
	want := []string{
		`samsara_gateway_response_drift_fields_total{field="V.*",kind="invalid_text",operation="s/M",organization="default"} 50`,
		`samsara_gateway_response_drift_fields_total{field="V.*",kind="unknown",operation="s/M",organization="default"} 100`,
	}
	if diff := cmp.Diff(want, scrape(t, m, "samsara_gateway_response_drift_fields_total")); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}

func TestDrift_seriesAreBounded(t *testing.T) {
	t.Parallel()
	m := newMetrics(t)
	const more = 7
	for i := range telemetry.MaxDriftSeries + more {
		m.Of("default").Drift("/s/M", []transcode.Finding{{Message: "V", Member: fmt.Sprint(i), Kind: transcode.Unknown, Count: 1}})
	}
	m.Of("default").Drift("/s/M", []transcode.Finding{{Message: "V", Member: "0", Kind: transcode.Unknown, Count: 1}})
	got := scrape(t, m, "samsara_gateway_response_drift_fields_total")
	if len(got) != telemetry.MaxDriftSeries+1 {
		t.Errorf("got %d series, want %d", len(got), telemetry.MaxDriftSeries+1)
	}
	for _, want := range []string{
		fmt.Sprintf(`samsara_gateway_response_drift_fields_total{field="other",kind="unknown",operation="other",organization="default"} %d`, more),
		`samsara_gateway_response_drift_fields_total{field="V.0",kind="unknown",operation="s/M",organization="default"} 2`,
	} {
		if !strings.Contains(strings.Join(got, "\n"), want) {
			t.Errorf("missing %s", want)
		}
	}
}

func TestBuild_named(t *testing.T) {
	t.Parallel()
	want := []string{`samsara_gateway_build_info{api_document="2025-10-23",goversion="go1",revision="abc",version="v1"} 1`}
	if diff := cmp.Diff(want, scrape(t, newMetrics(t), "samsara_gateway_build_info")); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}

func TestStreams_byShape(t *testing.T) {
	t.Parallel()
	m := newMetrics(t)
	for _, delta := range []int{1, 1, -1} {
		m.OpenStreams(true, delta)
		m.FeedReaders(delta)
	}
	m.OpenStreams(false, 1)
	m.PageSent(true, 512)
	m.PageSent(false, 7)
	m.PageSent(false, 0)
	m.FailureOutlasted("Unavailable")
	for prefix, want := range map[string][]string{
		"samsara_gateway_open_streams": {
			`samsara_gateway_open_streams{shape="follow"} 1`,
			`samsara_gateway_open_streams{shape="pages"} 1`,
		},
		"samsara_gateway_stream_pages_total": {
			`samsara_gateway_stream_pages_total{shape="follow"} 1`,
			`samsara_gateway_stream_pages_total{shape="pages"} 2`,
		},
		"samsara_gateway_stream_items_total": {
			`samsara_gateway_stream_items_total{shape="follow"} 512`,
			`samsara_gateway_stream_items_total{shape="pages"} 7`,
		},
		"samsara_gateway_feed_readers":                  {`samsara_gateway_feed_readers 1`},
		"samsara_gateway_feed_failures_outlasted_total": {`samsara_gateway_feed_failures_outlasted_total{code="Unavailable"} 1`},
	} {
		if diff := cmp.Diff(want, scrape(t, m, prefix)); diff != "" {
			t.Errorf("%s (-want +got):\n%s", prefix, diff)
		}
	}
}

func TestForget_seriesOfOneOrganization(t *testing.T) {
	t.Parallel()
	m := newMetrics(t)
	count := func(name string) {
		of := m.Of(name)
		of.ObserveAttempt(t.Context(), upstream.Attempt{Operation: "s/M", Status: 200, Duration: time.Second})
		of.ObserveRead(t.Context(), upstream.Read{Source: upstream.SourceCache})
		of.Drift("/s/M", []transcode.Finding{{Message: "V", Member: "year", Kind: transcode.Unknown, Count: 1}})
		of.Admitted(quota.Admission{Operation: "s/M", Budget: quota.TokenBudget, Waited: time.Second})
		of.Refused("s/M", identity.Identity{}, quota.ErrClosed)
		m.CallEnded(telemetry.Call{Method: "/s/M", Organization: name, Code: "NotFound"})
	}
	having := func(name string) int {
		return strings.Count(strings.Join(scrape(t, m, "samsara_gateway_"), "\n"), `organization="`+name+`"`)
	}
	count("north")
	count("south")
	all := having("south")
	if all == 0 || having("north") != all {
		t.Fatalf("north has %d series, south %d, want the same", having("north"), all)
	}
	m.Forget("south")
	if having("south") != 0 || having("north") != all {
		t.Errorf("south has %d series, north %d, want 0 and %d", having("south"), having("north"), all)
	}
	count("south")
	want := `samsara_gateway_reads_total{organization="south",source="cache"} 1`
	if got := strings.Join(scrape(t, m, "samsara_gateway_reads_total"), "\n"); !strings.Contains(got, want) {
		t.Errorf("after it came again:\n%s\nwant %s", got, want)
	}
}
