package telemetry_test

import (
	"context"
	"fmt"
	"log/slog"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

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

func newMetrics(t *testing.T) *telemetry.Metrics {
	t.Helper()
	m, err := telemetry.New(telemetry.Build{Version: "v1", GoVersion: "go1", Revision: "abc", APIDocument: "2025-10-23"})
	if err != nil {
		t.Fatal(err)
	}
	return m
}

func TestAttemptsAreCountedByStatusClassAndTimedByTemplate(t *testing.T) {
	t.Parallel()
	m := newMetrics(t)
	for _, status := range []int{200, 204, 404, 503, 0, 999} {
		m.ObserveAttempt(context.Background(), upstream.Attempt{
			Method: "GET", Template: "/fleet/vehicles/{id}", Status: status, Duration: 250 * time.Millisecond,
		})
	}
	want := []string{
		`samsara_gateway_upstream_attempts_total{class="2xx",method="GET",template="/fleet/vehicles/{id}"} 2`,
		`samsara_gateway_upstream_attempts_total{class="4xx",method="GET",template="/fleet/vehicles/{id}"} 1`,
		`samsara_gateway_upstream_attempts_total{class="5xx",method="GET",template="/fleet/vehicles/{id}"} 1`,
		`samsara_gateway_upstream_attempts_total{class="none",method="GET",template="/fleet/vehicles/{id}"} 2`,
	}
	if diff := cmp.Diff(want, scrape(t, m, "samsara_gateway_upstream_attempts_total")); diff != "" {
		t.Errorf("attempts (-want +got):\n%s", diff)
	}
	want = []string{`samsara_gateway_upstream_attempt_duration_seconds_sum{method="GET",template="/fleet/vehicles/{id}"} 1.5`}
	if diff := cmp.Diff(want, scrape(t, m, "samsara_gateway_upstream_attempt_duration_seconds_sum")); diff != "" {
		t.Errorf("durations (-want +got):\n%s", diff)
	}
}

func TestDriftIsCountedByFieldAndKind(t *testing.T) {
	t.Parallel()
	m := newMetrics(t)
	kinds := map[transcode.Kind]string{
		transcode.Unknown: "unknown", transcode.Coerced: "coerced", transcode.Mismatch: "mismatch",
		transcode.Duplicate: "duplicate", transcode.InvalidText: "invalid_text", transcode.TooDeep: "too_deep",
	}
	for kind := range kinds {
		m.Drift("/s/M", []transcode.Finding{{Message: "Vehicle", Member: "year", Kind: kind, Count: 3}})
	}
	got := scrape(t, m, "samsara_gateway_response_drift_total")
	if len(got) != len(kinds) {
		t.Errorf("got %d series, want one a kind:\n%s", len(got), strings.Join(got, "\n"))
	}
	for _, name := range kinds {
		want := fmt.Sprintf(`samsara_gateway_response_drift_total{field="Vehicle.year",grpc_method="/s/M",kind="%s"} 3`, name)
		if !strings.Contains(strings.Join(got, "\n"), want) {
			t.Errorf("missing %s", want)
		}
	}
}

func TestDriftSeriesAreBounded(t *testing.T) {
	t.Parallel()
	m := newMetrics(t)
	const more = 7
	for i := range telemetry.MaxDriftSeries + more {
		m.Drift("/s/M", []transcode.Finding{{Message: "V", Member: fmt.Sprint(i), Kind: transcode.Unknown, Count: 1}})
	}
	m.Drift("/s/M", []transcode.Finding{{Message: "V", Member: "0", Kind: transcode.Unknown, Count: 1}})
	got := scrape(t, m, "samsara_gateway_response_drift_total")
	if len(got) != telemetry.MaxDriftSeries+1 {
		t.Errorf("got %d series, want %d", len(got), telemetry.MaxDriftSeries+1)
	}
	for _, want := range []string{
		fmt.Sprintf(`samsara_gateway_response_drift_total{field="other",grpc_method="other",kind="unknown"} %d`, more),
		`samsara_gateway_response_drift_total{field="V.0",grpc_method="/s/M",kind="unknown"} 2`,
	} {
		if !strings.Contains(strings.Join(got, "\n"), want) {
			t.Errorf("missing %s", want)
		}
	}
}

func TestTheBuildIsNamed(t *testing.T) {
	t.Parallel()
	want := []string{`samsara_gateway_build_info{api_document="2025-10-23",goversion="go1",revision="abc",version="v1"} 1`}
	if diff := cmp.Diff(want, scrape(t, newMetrics(t), "samsara_gateway_build_info")); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}
