package telemetry_test

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

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

func newMetrics(t *testing.T) *telemetry.Metrics {
	t.Helper()
	m, err := telemetry.New(telemetry.Build{Version: "v1", GoVersion: "go1", Revision: "abc", APIDocument: "2025-10-23"})
	if err != nil {
		t.Fatal(err)
	}
	return m
}

func TestAttempts_byStatusClassAndTemplate(t *testing.T) {
	t.Parallel()
	m := newMetrics(t)
	for _, status := range []int{200, 204, 404, 503, 0, 999} {
		m.Of("default").ObserveAttempt(context.Background(), upstream.Attempt{
			Method: "GET", Template: "/fleet/vehicles/{id}", Status: status, Duration: 250 * time.Millisecond,
		})
	}
	want := []string{
		`samsara_gateway_upstream_attempts_total{class="2xx",method="GET",organization="default",template="/fleet/vehicles/{id}"} 2`,
		`samsara_gateway_upstream_attempts_total{class="4xx",method="GET",organization="default",template="/fleet/vehicles/{id}"} 1`,
		`samsara_gateway_upstream_attempts_total{class="5xx",method="GET",organization="default",template="/fleet/vehicles/{id}"} 1`,
		`samsara_gateway_upstream_attempts_total{class="none",method="GET",organization="default",template="/fleet/vehicles/{id}"} 2`,
	}
	if diff := cmp.Diff(want, scrape(t, m, "samsara_gateway_upstream_attempts_total")); diff != "" {
		t.Errorf("attempts (-want +got):\n%s", diff)
	}
	want = []string{`samsara_gateway_upstream_attempt_duration_seconds_sum{method="GET",organization="default",template="/fleet/vehicles/{id}"} 1.5`}
	if diff := cmp.Diff(want, scrape(t, m, "samsara_gateway_upstream_attempt_duration_seconds_sum")); diff != "" {
		t.Errorf("durations (-want +got):\n%s", diff)
	}
}

func TestDrift_byFieldAndKind(t *testing.T) {
	t.Parallel()
	m := newMetrics(t)
	kinds := map[transcode.Kind]string{
		transcode.Unknown: "unknown", transcode.Coerced: "coerced", transcode.Mismatch: "mismatch",
		transcode.Duplicate: "duplicate", transcode.InvalidText: "invalid_text", transcode.TooDeep: "too_deep",
		transcode.NullEntry: "null_entry", transcode.Wrapped: "wrapped", transcode.NoBody: "no_body",
	}
	for kind := range kinds {
		m.Of("default").Drift("/s/M", []transcode.Finding{{Message: "Vehicle", Member: "year", Kind: kind, Count: 3}})
	}
	got := scrape(t, m, "samsara_gateway_response_drift_total")
	if len(got) != len(kinds) {
		t.Errorf("got %d series, want one a kind:\n%s", len(got), strings.Join(got, "\n"))
	}
	for _, name := range kinds {
		want := fmt.Sprintf(`samsara_gateway_response_drift_total{field="Vehicle.year",grpc_method="/s/M",kind="%s",organization="default"} 3`, name)
		if !strings.Contains(strings.Join(got, "\n"), want) {
			t.Errorf("missing %s", want)
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
		`samsara_gateway_response_drift_total{field="V.*",grpc_method="/s/M",kind="invalid_text",organization="default"} 50`,
		`samsara_gateway_response_drift_total{field="V.*",grpc_method="/s/M",kind="unknown",organization="default"} 100`,
	}
	if diff := cmp.Diff(want, scrape(t, m, "samsara_gateway_response_drift_total")); diff != "" {
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
	got := scrape(t, m, "samsara_gateway_response_drift_total")
	if len(got) != telemetry.MaxDriftSeries+1 {
		t.Errorf("got %d series, want %d", len(got), telemetry.MaxDriftSeries+1)
	}
	for _, want := range []string{
		fmt.Sprintf(`samsara_gateway_response_drift_total{field="other",grpc_method="other",kind="unknown",organization="default"} %d`, more),
		`samsara_gateway_response_drift_total{field="V.0",grpc_method="/s/M",kind="unknown",organization="default"} 2`,
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

func TestCalls_byMethodKindAndCode(t *testing.T) {
	t.Parallel()
	m := newMetrics(t)
	unary := &grpc.UnaryServerInfo{FullMethod: "/samsara_gateway.vehicles.v1.VehiclesService/GetVehicle"}
	for _, want := range []error{nil, nil, status.Error(codes.NotFound, "no")} {
		resp, err := m.UnaryInterceptor()(t.Context(), nil, unary, func(context.Context, any) (any, error) { return "resp", want })
		if resp != "resp" || !errors.Is(err, want) {
			t.Errorf("interceptor returned %v, %v, want what the handler did", resp, err)
		}
	}
	for _, info := range []grpc.StreamServerInfo{
		{FullMethod: "/s/Follow", IsServerStream: true},
		{FullMethod: "/s/Collect", IsClientStream: true},
		{FullMethod: "/s/Chat", IsServerStream: true, IsClientStream: true},
	} {
		err := m.StreamInterceptor()(nil, nil, &info, func(any, grpc.ServerStream) error { return status.Error(codes.Canceled, "gone") })
		if status.Code(err) != codes.Canceled {
			t.Errorf("interceptor returned %v, want what the handler did", err)
		}
	}
	for prefix, want := range map[string][]string{
		"grpc_server_started_total": {
			`grpc_server_started_total{grpc_method="Chat",grpc_service="s",grpc_type="bidi_stream"} 1`,
			`grpc_server_started_total{grpc_method="Collect",grpc_service="s",grpc_type="client_stream"} 1`,
			`grpc_server_started_total{grpc_method="Follow",grpc_service="s",grpc_type="server_stream"} 1`,
			`grpc_server_started_total{grpc_method="GetVehicle",grpc_service="samsara_gateway.vehicles.v1.VehiclesService",grpc_type="unary"} 3`,
		},
		"grpc_server_handled_total": {
			`grpc_server_handled_total{grpc_code="Canceled",grpc_method="Chat",grpc_service="s",grpc_type="bidi_stream"} 1`,
			`grpc_server_handled_total{grpc_code="Canceled",grpc_method="Collect",grpc_service="s",grpc_type="client_stream"} 1`,
			`grpc_server_handled_total{grpc_code="Canceled",grpc_method="Follow",grpc_service="s",grpc_type="server_stream"} 1`,
			`grpc_server_handled_total{grpc_code="NotFound",grpc_method="GetVehicle",grpc_service="samsara_gateway.vehicles.v1.VehiclesService",grpc_type="unary"} 1`,
			`grpc_server_handled_total{grpc_code="OK",grpc_method="GetVehicle",grpc_service="samsara_gateway.vehicles.v1.VehiclesService",grpc_type="unary"} 2`,
		},
		"grpc_server_handling_seconds_count": {
			`grpc_server_handling_seconds_count{grpc_method="Chat",grpc_service="s",grpc_type="bidi_stream"} 1`,
			`grpc_server_handling_seconds_count{grpc_method="Collect",grpc_service="s",grpc_type="client_stream"} 1`,
			`grpc_server_handling_seconds_count{grpc_method="Follow",grpc_service="s",grpc_type="server_stream"} 1`,
			`grpc_server_handling_seconds_count{grpc_method="GetVehicle",grpc_service="samsara_gateway.vehicles.v1.VehiclesService",grpc_type="unary"} 3`,
		},
	} {
		if diff := cmp.Diff(want, scrape(t, m, prefix)); diff != "" {
			t.Errorf("%s (-want +got):\n%s", prefix, diff)
		}
	}
}

func TestCounting_allocatesNothing(t *testing.T) { //nolint:paralleltest // AllocsPerRun counts those of the whole process
	m := newMetrics(t)
	findings := []transcode.Finding{{Message: "Vehicle", Member: "colour", Kind: transcode.Unknown, Foreign: true, Count: 1}}
	allocs := testing.AllocsPerRun(100, func() {
		m.Of("default").ObserveAttempt(context.Background(), upstream.Attempt{Method: "GET", Template: "/a", Status: 200, Duration: time.Second})
		m.Of("default").ObserveRead(context.Background(), upstream.Read{Template: "/a", Source: upstream.SourceCache, Cacheable: true})
		m.Of("default").Drift("/s/M", findings)
		m.Of("default").Admitted(quota.Admission{Operation: "s/M", Budget: quota.TokenBudget, Waited: time.Second})
	})
	if allocs != 0 {
		t.Errorf("%v allocations, want 0", allocs)
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
		"samsara_gateway_feed_failures_outlasted_total": {`samsara_gateway_feed_failures_outlasted_total{grpc_code="Unavailable"} 1`},
	} {
		if diff := cmp.Diff(want, scrape(t, m, prefix)); diff != "" {
			t.Errorf("%s (-want +got):\n%s", prefix, diff)
		}
	}
}

func TestReads_byTemplateAndSource(t *testing.T) {
	t.Parallel()
	m := newMetrics(t)
	for _, from := range []upstream.AnswerSource{upstream.SourceCache, upstream.SourceUpstream, upstream.SourceShared, upstream.SourceCache} {
		m.Of("default").ObserveRead(t.Context(), upstream.Read{Template: "/fleet/vehicles", Source: from})
	}
	want := []string{
		`samsara_gateway_reads_total{organization="default",source="cache",template="/fleet/vehicles"} 2`,
		`samsara_gateway_reads_total{organization="default",source="shared",template="/fleet/vehicles"} 1`,
		`samsara_gateway_reads_total{organization="default",source="upstream",template="/fleet/vehicles"} 1`,
	}
	if diff := cmp.Diff(want, scrape(t, m, "samsara_gateway_reads_total")); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}

func TestForget_seriesOfOneOrganization(t *testing.T) {
	t.Parallel()
	m := newMetrics(t)
	count := func(name string) {
		of := m.Of(name)
		of.ObserveAttempt(t.Context(), upstream.Attempt{Method: "GET", Template: "/a", Status: 200, Duration: time.Second})
		of.ObserveRead(t.Context(), upstream.Read{Template: "/a", Source: upstream.SourceCache})
		of.Drift("/s/M", []transcode.Finding{{Message: "V", Member: "year", Kind: transcode.Unknown, Count: 1}})
		of.Admitted(quota.Admission{Operation: "s/M", Budget: quota.TokenBudget, Waited: time.Second})
		of.Refused("s/M", identity.Identity{}, quota.ErrClosed)
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
	want := `samsara_gateway_reads_total{organization="south",source="cache",template="/a"} 1`
	if got := strings.Join(scrape(t, m, "samsara_gateway_reads_total"), "\n"); !strings.Contains(got, want) {
		t.Errorf("after it came again:\n%s\nwant %s", got, want)
	}
}
