package telemetry_test

import (
	"context"
	"fmt"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strings"
	"time"

	"google.golang.org/grpc"

	"samsara.internal/gateway/internal/telemetry"
	"samsara.internal/gateway/upstream"
)

// What /metrics shows after one call that made one attempt.
func ExampleMetrics() {
	metrics, err := telemetry.New(telemetry.Build{Version: "v1.0.0"})
	if err != nil {
		fmt.Println(err)
		return
	}
	info := &grpc.UnaryServerInfo{FullMethod: "/samsara_gateway.tags.v1.TagsService/ListTags"}
	_, err = metrics.UnaryInterceptor()(context.Background(), nil, info, func(ctx context.Context, _ any) (any, error) {
		metrics.Of("default").ObserveAttempt(ctx, upstream.Attempt{Method: http.MethodGet, Template: "/tags", Status: http.StatusOK, Duration: time.Second})
		return nil, nil
	})
	if err != nil {
		fmt.Println(err)
		return
	}
	scrape := httptest.NewRecorder()
	metrics.Handler(slog.New(slog.DiscardHandler)).ServeHTTP(scrape, httptest.NewRequest(http.MethodGet, "/metrics", nil))
	for line := range strings.Lines(scrape.Body.String()) {
		if strings.HasPrefix(line, "grpc_server_handled_total") || strings.HasPrefix(line, "samsara_gateway_upstream_attempts_total") {
			fmt.Print(line)
		}
	}
	// Output:
	// grpc_server_handled_total{grpc_code="OK",grpc_method="ListTags",grpc_service="samsara_gateway.tags.v1.TagsService",grpc_type="unary"} 1
	// samsara_gateway_upstream_attempts_total{class="2xx",method="GET",organization="default",template="/tags"} 1
}
