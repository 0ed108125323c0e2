package upstream_test

import (
	"context"
	"testing"
	"testing/synctest"
	"time"

	sdktrace "go.opentelemetry.io/otel/sdk/trace"
	"go.opentelemetry.io/otel/sdk/trace/tracetest"

	"samsara.internal/gateway/internal/tracing"
	"samsara.internal/gateway/upstream"
)

// TestShare_spanNamesTheLeader has two calls of which one waits for what the other asks.
func TestShare_spanNamesTheLeader(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		recorder := tracetest.NewSpanRecorder()
		tracer := tracing.New(sdktrace.NewTracerProvider(sdktrace.WithSpanProcessor(recorder), sdktrace.WithSampler(sdktrace.AlwaysSample())))
		f := newFake(t, slowly(answer(200, letters(100))))
		client := f.client(func(cfg *upstream.Config) { cfg.Tracer = tracer })
		ended := make(chan outcome, 2)
		var calls []tracing.Span
		for range 2 {
			ctx, call := tracer.StartCall(context.WithoutCancel(t.Context()), "/a.B/C", tracing.Context{})
			calls = append(calls, call)
			go func() {
				resp, err := client.Do(ctx, get("/x"))
				ended <- outcome{resp, err, 0}
			}()
			synctest.Wait()
		}
		for range 2 {
			got := <-ended
			wantBody(t, got, letters(100))
			got.resp.Release()
		}
		wantRequests(t, f, 1)
		found := false
		for _, span := range recorder.Ended() {
			if span.Name() != "shared read" {
				continue
			}
			found = true
			if id := span.SpanContext().TraceID().String(); id != calls[1].TraceID() {
				t.Errorf("the wait is of trace %s, want that of the call that waits, %s", id, calls[1].TraceID())
			}
			if links := span.Links(); len(links) != 1 || links[0].SpanContext.TraceID().String() != calls[0].TraceID() {
				t.Errorf("the wait has the links %v, want the call that asks", links)
			}
			if took := span.EndTime().Sub(span.StartTime()); took != time.Second {
				t.Errorf("the wait took %v", took)
			}
		}
		if !found {
			t.Error("the wait has no span")
		}
	})
}
