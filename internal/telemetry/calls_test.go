package telemetry_test

import (
	"context"
	"fmt"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"samsara.internal/gateway/internal/quota"
	"samsara.internal/gateway/internal/telemetry"
	"samsara.internal/gateway/internal/transcode"
	"samsara.internal/gateway/upstream"
)

const getVehicle = "/samsara_gateway.vehicles.v1.VehiclesService/GetVehicle"

func TestCalls_byOperationAndCode(t *testing.T) {
	t.Parallel()
	m := newMetrics(t)
	for _, code := range []string{"OK", "OK", "NotFound"} {
		m.CallEnded(telemetry.Call{Method: getVehicle, Code: code, Duration: 250 * time.Millisecond})
	}
	m.CallEnded(telemetry.Call{Method: "/unknown/unknown", Code: "Unimplemented"})
	m.CallEnded(telemetry.Call{Method: "/grpc.health.v1.Health/Check", Code: "OK"})
	m.CallEnded(telemetry.Call{Method: "/samsara_gateway.api.v1.PassthroughService/Call", Code: "OK"})
	want := []string{
		`samsara_gateway_call_duration_seconds_sum{operation="Health/Check"} 0`,
		`samsara_gateway_call_duration_seconds_sum{operation="PassthroughService/Call"} 0`,
		`samsara_gateway_call_duration_seconds_sum{operation="VehiclesService/GetVehicle"} 0.75`,
		`samsara_gateway_call_duration_seconds_sum{operation="unknown"} 0`,
		`samsara_gateway_calls_total{code="NotFound",operation="VehiclesService/GetVehicle"} 1`,
		`samsara_gateway_calls_total{code="OK",operation="Health/Check"} 1`,
		`samsara_gateway_calls_total{code="OK",operation="PassthroughService/Call"} 1`,
		`samsara_gateway_calls_total{code="OK",operation="VehiclesService/GetVehicle"} 2`,
		`samsara_gateway_calls_total{code="Unimplemented",operation="unknown"} 1`,
	}
	got := append(scrape(t, m, "samsara_gateway_call_duration_seconds_sum"), scrape(t, m, "samsara_gateway_calls_total")...)
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}

func TestCallers_namesOfThePolicyThenOther(t *testing.T) {
	t.Parallel()
	m := newMetrics(t)
	m.Of("north")
	m.Callers([]string{"dispatch", "token:report"})
	for _, caller := range []string{"dispatch", "token:report", "stranger", "stranger two", ""} {
		m.CallEnded(telemetry.Call{Method: getVehicle, Caller: caller, Organization: "north", Code: "OK", Duration: time.Second})
	}
	for _, organization := range []string{"", "no such one"} {
		m.CallEnded(telemetry.Call{Method: getVehicle, Caller: "dispatch", Organization: organization, Code: "Unavailable"})
	}
	want := []string{
		`samsara_gateway_caller_calls_total{caller="dispatch",code="OK",organization="north"} 1`,
		`samsara_gateway_caller_calls_total{caller="dispatch",code="Unavailable",organization="none"} 2`,
		`samsara_gateway_caller_calls_total{caller="other",code="OK",organization="north"} 2`,
		`samsara_gateway_caller_calls_total{caller="token:report",code="OK",organization="north"} 1`,
		`samsara_gateway_caller_calls_total{caller="unknown",code="OK",organization="north"} 1`,
	}
	if diff := cmp.Diff(want, counted(t, m, "samsara_gateway_caller_calls_total")); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
	m.Callers([]string{"token:report"})
	if got := strings.Join(scrape(t, m, "samsara_gateway_caller_"), "\n"); strings.Contains(got, "dispatch") {
		t.Errorf("a caller that the policy does not name any more is still there:\n%s", got)
	}
}

func TestCallers_seriesAreBounded(t *testing.T) {
	t.Parallel()
	m := newMetrics(t)
	var names []string
	for i := range 2 * telemetry.MaxCallers {
		names = append(names, fmt.Sprintf("caller-%02d", i))
	}
	for organization := range 30 {
		m.Of(fmt.Sprint("o", organization))
	}
	m.Callers(names)
	for _, name := range names {
		for organization := range 30 {
			m.CallEnded(telemetry.Call{Method: getVehicle, Caller: name, Organization: fmt.Sprint("o", organization), Code: "OK"})
		}
	}
	got := scrape(t, m, "samsara_gateway_caller_calls_total")
	if most := 1000 + 30; len(got) > most {
		t.Errorf("%d series, want %d at most", len(got), most)
	}
	if has := strings.Contains(strings.Join(got, "\n"), names[telemetry.MaxCallers]); has {
		t.Errorf("%s has a series of its own, although it is not among the first %d", names[telemetry.MaxCallers], telemetry.MaxCallers)
	}
}

func TestAttempts_byStatusClassAndOperation(t *testing.T) {
	t.Parallel()
	m := newMetrics(t)
	of := m.Of("default")
	for _, status := range []int{200, 204, 404, 503, 0, 999, 401, 429, 429} {
		of.ObserveAttempt(context.Background(), upstream.Attempt{
			Operation: getVehicle[1:], Status: status, Duration: 250 * time.Millisecond,
		})
	}
	of.ObserveAttempt(context.Background(), upstream.Attempt{
		Operation: upstream.PassthroughOperation, Status: 200, Translation: 125 * time.Millisecond,
	})
	of.ObserveRetry(context.Background(), upstream.Retry{Status: 503})
	of.ObserveRetry(context.Background(), upstream.Retry{Status: 429, Refused: "deadline"})
	for prefix, want := range map[string][]string{
		"samsara_gateway_upstream_attempts_total": {
			`samsara_gateway_upstream_attempts_total{class="2xx",organization="default"} 3`,
			`samsara_gateway_upstream_attempts_total{class="401",organization="default"} 1`,
			`samsara_gateway_upstream_attempts_total{class="429",organization="default"} 2`,
			`samsara_gateway_upstream_attempts_total{class="4xx",organization="default"} 1`,
			`samsara_gateway_upstream_attempts_total{class="5xx",organization="default"} 1`,
			`samsara_gateway_upstream_attempts_total{class="none",organization="default"} 2`,
		},
		"samsara_gateway_upstream_attempt_duration_seconds_sum": {
			`samsara_gateway_upstream_attempt_duration_seconds_sum{organization="default"} 2.25`,
		},
		"samsara_gateway_translation_duration_seconds_": {
			`samsara_gateway_translation_duration_seconds_bucket{organization="default",le="+Inf"} 1`,
			`samsara_gateway_translation_duration_seconds_sum{organization="default"} 0.125`,
			`samsara_gateway_translation_duration_seconds_count{organization="default"} 1`,
		},
		"samsara_gateway_operation_upstream_": {
			`samsara_gateway_operation_upstream_attempts_total{operation="PassthroughService/Call"} 1`,
			`samsara_gateway_operation_upstream_attempts_total{operation="VehiclesService/GetVehicle"} 9`,
			`samsara_gateway_operation_upstream_seconds_total{operation="VehiclesService/GetVehicle"} 2.25`,
		},
		"samsara_gateway_upstream_retries_": {
			`samsara_gateway_upstream_retries_refused_total{organization="default",reason="deadline"} 1`,
			`samsara_gateway_upstream_retries_total{class="5xx",organization="default"} 1`,
		},
	} {
		if diff := cmp.Diff(want, counted(t, m, prefix)); diff != "" {
			t.Errorf("%s (-want +got):\n%s", prefix, diff)
		}
	}
}

func TestReads_bySource(t *testing.T) {
	t.Parallel()
	m := newMetrics(t)
	of := m.Of("default")
	for _, from := range []upstream.AnswerSource{upstream.SourceCache, upstream.SourceUpstream, upstream.SourceShared, upstream.SourceCache} {
		of.ObserveRead(t.Context(), upstream.Read{Source: from})
	}
	want := []string{
		`samsara_gateway_reads_total{organization="default",source="cache"} 2`,
		`samsara_gateway_reads_total{organization="default",source="shared"} 1`,
		`samsara_gateway_reads_total{organization="default",source="upstream"} 1`,
	}
	if diff := cmp.Diff(want, scrape(t, m, "samsara_gateway_reads_total")); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}

// TestOf_countersAreThereFromTheStart looks at the counters of an organization for which nothing has happened yet.
func TestOf_countersAreThereFromTheStart(t *testing.T) {
	t.Parallel()
	m := newMetrics(t)
	m.Of("north")
	got := scrape(t, m, "samsara_gateway_")
	for _, want := range []string{
		`samsara_gateway_upstream_attempts_total{class="401",organization="north"} 0`,
		`samsara_gateway_upstream_attempts_total{class="429",organization="north"} 0`,
		`samsara_gateway_upstream_retries_refused_total{organization="north",reason="retry_budget"} 0`,
		`samsara_gateway_quota_refusals_total{kind="operation",organization="north",priority="batch",reason="queue"} 0`,
		`samsara_gateway_response_drift_total{kind="mismatch",organization="north"} 0`,
		`samsara_gateway_caller_calls_total{caller="unknown",code="OK",organization="north"} 0`,
	} {
		if !slices.Contains(got, want) {
			t.Errorf("missing %s", want)
		}
	}
}

// TestBuckets_classicBesideNative compares a histogram without and with classic buckets as text.
func TestBuckets_classicBesideNative(t *testing.T) {
	t.Parallel()
	for _, test := range []struct {
		buckets []float64
		want    []string
	}{
		{nil, []string{`_bucket{organization="north",le="+Inf"} 1`}},
		{[]float64{0.1, 1}, []string{
			`_bucket{organization="north",le="0.1"} 0`, `_bucket{organization="north",le="1"} 1`, `_bucket{organization="north",le="+Inf"} 1`,
		}},
	} {
		m, err := telemetry.New(telemetry.Options{Buckets: test.buckets})
		if err != nil {
			t.Fatal(err)
		}
		m.Of("north").ObserveAttempt(t.Context(), upstream.Attempt{Duration: 500 * time.Millisecond})
		const name = "samsara_gateway_upstream_attempt_duration_seconds"
		var got []string
		for _, line := range scrape(t, m, name+"_bucket") {
			got = append(got, strings.TrimPrefix(line, name))
		}
		if diff := cmp.Diff(test.want, got); diff != "" {
			t.Errorf("buckets %v (-want +got):\n%s", test.buckets, diff)
		}
	}
}

func TestCounting_allocatesNothing(t *testing.T) { //nolint:paralleltest // AllocsPerRun counts those of the whole process
	m := newMetrics(t)
	of := m.Of("default")
	findings := []transcode.Finding{{Message: "Vehicle", Member: "colour", Kind: transcode.Unknown, Foreign: true, Count: 1}}
	allocs := testing.AllocsPerRun(100, func() {
		m.CallEnded(telemetry.Call{Method: getVehicle, Caller: "a", Organization: "default", Code: "OK", Duration: time.Second})
		of.ObserveAttempt(context.Background(), upstream.Attempt{Operation: "s/M", Status: 200, Duration: time.Second})
		of.ObserveRead(context.Background(), upstream.Read{Source: upstream.SourceCache, Cacheable: true})
		of.ObserveRetry(context.Background(), upstream.Retry{Status: 503})
		of.Drift("/s/M", findings)
		of.Admitted(quota.Admission{Operation: "s/M", Budget: quota.TokenBudget, Waited: time.Second})
	})
	if allocs != 0 {
		t.Errorf("%v allocations, want 0", allocs)
	}
}

// TestCalls_exemplars scrapes as Prometheus does that takes native histograms: exemplars are in no other format.
func TestCalls_exemplars(t *testing.T) {
	t.Parallel()
	m := newMetrics(t)
	const sampled = "0af7651916cd43dd8448eb211c80319c"
	m.CallEnded(telemetry.Call{Method: getVehicle, Code: "OK", Duration: time.Second})
	m.CallEnded(telemetry.Call{Method: getVehicle, Code: "OK", Duration: time.Second, TraceID: sampled})
	r := httptest.NewRequestWithContext(t.Context(), http.MethodGet, "/metrics", nil)
	r.Header.Set("Accept", "application/vnd.google.protobuf;proto=io.prometheus.client.MetricFamily;encoding=delimited")
	w := httptest.NewRecorder()
	m.Handler(slog.New(slog.DiscardHandler)).ServeHTTP(w, r)
	if n := strings.Count(w.Body.String(), sampled); n == 0 {
		t.Error("the trace of the call is not there")
	}
}
