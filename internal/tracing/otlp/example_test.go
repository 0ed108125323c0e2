package otlp_test

import (
	"fmt"

	"samsara.internal/gateway/internal/tracing/otlp"
)

// What the environment says of traces is checked before anything starts.
func ExampleCheck() {
	_, problems := otlp.Check([]string{
		"OTEL_EXPORTER_OTLP_ENDPOINT=https://collector:4317", "OTEL_EXPORTER_OTLP_PROTOCOL=grpc", "OTEL_TRACES_SAMPLER=often",
	})
	fmt.Println(problems[0])
	// Output:
	// OTEL_TRACES_SAMPLER: must be one of always_on, always_off, traceidratio, parentbased_always_on, parentbased_always_off, parentbased_traceidratio, is "often"
}
