package tracing_test

import (
	"context"
	"fmt"

	sdktrace "go.opentelemetry.io/otel/sdk/trace"

	"samsara.internal/gateway/internal/tracing"
)

// A call goes on with its caller's trace. Without a tracer there is no trace.
func Example() {
	from := tracing.Context{Parent: "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"}
	for _, tracer := range []*tracing.Tracer{nil, tracing.New(sdktrace.NewTracerProvider())} {
		_, call := tracer.StartCall(context.Background(), "/samsara_gateway.tags.v1.TagsService/GetTag", from)
		fmt.Printf("%q %t\n", call.TraceID(), call.IsSampled())
		call.End()
	}
	// Output:
	// "" false
	// "0af7651916cd43dd8448eb211c80319c" true
}
