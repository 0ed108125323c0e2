package tracing_test

import (
	"context"
	"net/url"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	sdktrace "go.opentelemetry.io/otel/sdk/trace"
	"go.opentelemetry.io/otel/sdk/trace/tracetest"
	"go.opentelemetry.io/otel/trace"
	"google.golang.org/genproto/googleapis/rpc/code"

	"samsara.internal/gateway/internal/tracing"
)

const (
	traceID = "0af7651916cd43dd8448eb211c80319c"
	sampled = "00-" + traceID + "-b7ad6b7169203331-01"
	not     = "00-" + traceID + "-b7ad6b7169203331-00"
	method  = "/samsara_gateway.tags.v1.TagsService/GetTag"
)

// newTracer returns a tracer that samples what its caller samples, and what becomes of its spans.
func newTracer(t *testing.T) (*tracing.Tracer, *tracetest.SpanRecorder) {
	t.Helper()
	spans := tracetest.NewSpanRecorder()
	provider := sdktrace.NewTracerProvider(sdktrace.WithSpanProcessor(spans), sdktrace.WithSampler(sdktrace.ParentBased(sdktrace.NeverSample())))
	return tracing.New(provider), spans
}

// call makes all spans that there are for a call, and returns where the attempt was.
func call(ctx context.Context, tracer *tracing.Tracer, from tracing.Context, to *url.URL) (at tracing.Context, traceID string) {
	ctx, whole := tracer.StartCall(ctx, method, from)
	tracer.Start(ctx, "cache read").EndCached(false)
	tracer.StartShared(ctx, tracer.Of(ctx)).End()
	tracer.Start(ctx, "quota").EndRefused("")
	inside, attempt := tracer.StartAttempt(ctx, tracing.Attempt{Method: "GET", Template: "/tags/{id}", URL: to, Number: 2})
	at = tracer.Of(inside).Context()
	attempt.BodyRead()
	attempt.EndAttempt(503, "UPSTREAM_UNAVAILABLE", "req-1")
	whole.EndCall(tracing.Call{Code: code.Code_UNAVAILABLE, Reason: "UPSTREAM_UNAVAILABLE", Caller: "billing", Organization: "default", RequestID: "mine", UpstreamID: "req-1", Attempts: 2})
	return at, whole.TraceID()
}

func TestTracer_sampledCall(t *testing.T) {
	t.Parallel()
	tracer, recorder := newTracer(t)
	at, id := call(t.Context(), tracer, tracing.Context{Parent: sampled, State: "a=1,b=2"}, &url.URL{Scheme: "https", Host: "api.samsara.com:8443", Path: "/tags/secret"})
	if id != traceID {
		t.Errorf("the call is of trace %s, want %s", id, traceID)
	}
	got := make(map[string]map[string]string)
	ids := make(map[string]string)
	for _, span := range recorder.Ended() {
		facts := map[string]string{
			"kind": span.SpanKind().String(), "parent": ids[span.Parent().SpanID().String()], "status": span.Status().Code.String(),
		}
		for _, a := range span.Attributes() {
			facts[string(a.Key)] = a.Value.String()
		}
		got[span.Name()] = facts
		if span.Name() == "GET /tags/{id}" && at.Parent != "00-"+traceID+"-"+span.SpanContext().SpanID().String()+"-01" {
			t.Errorf("the attempt is told to be %s, and is of %s", at.Parent, span.SpanContext().SpanID())
		}
		if span.SpanKind() == trace.SpanKindServer && span.Parent().SpanID().String() != "b7ad6b7169203331" {
			t.Errorf("the parent of the call is %s", span.Parent().SpanID())
		}
	}
	want := map[string]map[string]string{
		"cache read":  {"kind": "internal", "status": "Unset", "samsara_gateway.cache.hit": "false"},
		"shared read": {"kind": "internal", "status": "Unset"},
		"quota":       {"kind": "internal", "status": "Unset"},
		"GET /tags/{id}": {
			"kind": "client", "status": "Error", "http.request.method": "GET", "url.template": "/tags/{id}", "server.address": "api.samsara.com",
			"server.port": "8443", "http.request.resend_count": "1", "http.response.status_code": "503", "error.type": "UPSTREAM_UNAVAILABLE",
			"samsara.request_id": "req-1",
		},
		method[1:]: {
			"kind": "server", "status": "Error", "rpc.system.name": "grpc", "rpc.method": method[1:], "rpc.response.status_code": "UNAVAILABLE",
			"error.type": "UNAVAILABLE", "samsara_gateway.reason": "UPSTREAM_UNAVAILABLE", "samsara_gateway.caller": "billing",
			"samsara_gateway.organization": "default", "samsara_gateway.request_id": "mine", "samsara.request_id": "req-1", "samsara_gateway.attempts": "2",
		},
	}
	for _, facts := range got {
		delete(facts, "parent")
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
	if at.State != "a=1,b=2" {
		t.Errorf("tracestate is %q", at.State)
	}
}

// TestTracer_unsampledCall also has what a caller may do to a trace.
func TestTracer_unsampledCall(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct{ parent, state, wantParent, wantState string }{
		"not sampled":         {parent: not, state: "a=1", wantParent: traceID, wantState: "a=1"},
		"state too long":      {parent: not, state: "a=" + strings.Repeat("b", 250) + ",c=" + strings.Repeat("d", 250) + ",e=" + strings.Repeat("f", 250), wantParent: traceID},
		"state that is none":  {parent: not, state: "\x01", wantParent: traceID},
		"parent that is none": {parent: "00-0-0-01", state: "a=1"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			tracer, recorder := newTracer(t)
			at, id := call(t.Context(), tracer, tracing.Context{Parent: c.parent, State: c.state}, &url.URL{Host: "api.samsara.com"})
			if len(recorder.Started()) > 0 {
				t.Errorf("there are %d spans", len(recorder.Started()))
			}
			if !strings.Contains(at.Parent, id) || !strings.HasSuffix(at.Parent, "-00") || at.State != c.wantState {
				t.Errorf("the attempt is told to be at %v, in trace %s", at, id)
			}
			if c.wantParent != "" && id != c.wantParent {
				t.Errorf("the call is of trace %s, want %s", id, c.wantParent)
			}
		})
	}
}

func TestTracer_offIsFree(t *testing.T) {
	t.Parallel()
	var tracer *tracing.Tracer
	ctx, from, to := t.Context(), tracing.Context{Parent: sampled}, &url.URL{Host: "api.samsara.com"}
	if at, id := call(ctx, tracer, from, to); at != (tracing.Context{}) || id != "" {
		t.Errorf("got %v and %q", at, id)
	}
}

// TestTracer_offAllocates is not parallel, because it counts what the process allocates.
func TestTracer_offAllocates(t *testing.T) { //nolint:paralleltest // see above
	var tracer *tracing.Tracer
	ctx, from, to := t.Context(), tracing.Context{Parent: sampled}, &url.URL{Host: "api.samsara.com"}
	if n := testing.AllocsPerRun(100, func() { call(ctx, tracer, from, to) }); n != 0 {
		t.Errorf("a call without a tracer costs %v allocations", n)
	}
}

func BenchmarkCall(b *testing.B) {
	newSDK := func(s sdktrace.Sampler) *tracing.Tracer {
		return tracing.New(sdktrace.NewTracerProvider(sdktrace.WithBatcher(tracetest.NewNoopExporter()), sdktrace.WithSampler(s)))
	}
	for _, c := range []struct {
		name   string
		tracer *tracing.Tracer
	}{
		{"off", nil},
		{"unsampled", newSDK(sdktrace.NeverSample())},
		{"one in 100", newSDK(sdktrace.TraceIDRatioBased(0.01))},
		{"sampled", newSDK(sdktrace.AlwaysSample())},
	} {
		b.Run(c.name, func(b *testing.B) {
			ctx, to := context.Background(), &url.URL{Scheme: "https", Host: "api.samsara.com"}
			b.ReportAllocs()
			for b.Loop() {
				call(ctx, c.tracer, tracing.Context{}, to)
			}
		})
	}
}
