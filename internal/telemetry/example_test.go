package telemetry_test

import (
	"context"
	"fmt"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strings"
	"time"

	"samsara.internal/gateway/internal/telemetry"
	"samsara.internal/gateway/upstream"
)

// What /metrics shows after one call that made one attempt.
func ExampleMetrics() {
	metrics, err := telemetry.New(telemetry.Options{Build: telemetry.Build{Version: "v1.0.0"}})
	if err != nil {
		fmt.Println(err)
		return
	}
	of := metrics.Of("default")
	of.ObserveAttempt(context.Background(), upstream.Attempt{
		Operation: "samsara_gateway.tags.v1.TagsService/ListTags", Status: http.StatusOK, Duration: time.Second,
	})
	metrics.CallEnded(telemetry.Call{
		Method: "/samsara_gateway.tags.v1.TagsService/ListTags", Organization: "default", Code: "OK", Duration: time.Second,
	})
	scrape := httptest.NewRecorder()
	metrics.Handler(slog.New(slog.DiscardHandler)).ServeHTTP(scrape, httptest.NewRequest(http.MethodGet, "/metrics", nil))
	for line := range strings.Lines(scrape.Body.String()) {
		if strings.Contains(line, "ListTags") && !strings.Contains(line, "_duration_") {
			fmt.Print(line)
		}
	}
	// Output:
	// samsara_gateway_calls_total{code="OK",operation="TagsService/ListTags"} 1
	// samsara_gateway_operation_upstream_attempts_total{operation="TagsService/ListTags"} 1
	// samsara_gateway_operation_upstream_seconds_total{operation="TagsService/ListTags"} 1
}
