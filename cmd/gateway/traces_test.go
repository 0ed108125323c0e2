package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/google/go-cmp/cmp"
	collectorv1 "go.opentelemetry.io/proto/otlp/collector/trace/v1"
	commonv1 "go.opentelemetry.io/proto/otlp/common/v1"
	tracev1 "go.opentelemetry.io/proto/otlp/trace/v1"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/proto"

	locationandspeedv1 "samsara.internal/gateway/gen/location_and_speed/v1"
	tagsv1 "samsara.internal/gateway/gen/tags/v1"
	"samsara.internal/gateway/internal/testenv"
)

const (
	callersTrace = "0af7651916cd43dd8448eb211c80319c"
	callersSpan  = "b7ad6b7169203331"
)

// collector receives spans by OTLP.
type collector struct {
	collectorv1.UnimplementedTraceServiceServer
	mu  sync.Mutex
	got []*tracev1.ResourceSpans
}

// Export implements collectorv1.TraceServiceServer.
func (c *collector) Export(_ context.Context, in *collectorv1.ExportTraceServiceRequest) (*collectorv1.ExportTraceServiceResponse, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.got = append(c.got, in.GetResourceSpans()...)
	return new(collectorv1.ExportTraceServiceResponse), nil
}

// ServeHTTP implements http.Handler.
func (c *collector) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	body, err := io.ReadAll(r.Body)
	in := new(collectorv1.ExportTraceServiceRequest)
	if err != nil || r.URL.Path != "/v1/traces" || proto.Unmarshal(body, in) != nil {
		w.WriteHeader(http.StatusBadRequest)
		return
	}
	_, _ = c.Export(r.Context(), in)
}

// spans returns what came, the first to begin first, and all of it as text.
func (c *collector) spans() (spans []*tracev1.Span, text string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	for _, of := range c.got {
		text += of.String()
		for _, scope := range of.GetScopeSpans() {
			spans = append(spans, scope.GetSpans()...)
		}
	}
	slices.SortStableFunc(spans, func(a, b *tracev1.Span) int {
		return int(int64(a.GetStartTimeUnixNano()) - int64(b.GetStartTimeUnixNano()))
	})
	return spans, text
}

// startCollector returns a collector, and the environment of a gateway that exports to it by a protocol.
func startCollector(t *testing.T, protocol string, env ...string) (*collector, []string) {
	t.Helper()
	testenv.Processes(t)
	c := new(collector)
	var at string
	if protocol == "grpc" {
		l, err := (&net.ListenConfig{}).Listen(t.Context(), "tcp", "127.0.0.1:0")
		if err != nil {
			t.Fatal(err)
		}
		server := grpc.NewServer()
		collectorv1.RegisterTraceServiceServer(server, c)
		done := make(chan error, 1)
		go func() { done <- server.Serve(l) }()
		t.Cleanup(func() {
			server.Stop()
			if err := <-done; err != nil && !errors.Is(err, grpc.ErrServerStopped) {
				t.Error(err)
			}
		})
		at = "http://" + l.Addr().String()
	} else {
		server := httptest.NewServer(c)
		t.Cleanup(server.Close)
		at = server.URL
	}
	return c, append(env, "OTEL_EXPORTER_OTLP_ENDPOINT="+at, "OTEL_EXPORTER_OTLP_PROTOCOL="+protocol)
}

func attribute(attributes []*commonv1.KeyValue, key string) string {
	for _, a := range attributes {
		if a.GetKey() == key {
			if text, ok := a.GetValue().GetValue().(*commonv1.AnyValue_StringValue); ok {
				return text.StringValue
			}
			return fmt.Sprint(a.GetValue().GetIntValue())
		}
	}
	return ""
}

// failingUpstream fails all requests, and keeps a header field of each.
type failingUpstream struct {
	mu   sync.Mutex
	seen []string
}

func (u *failingUpstream) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	u.mu.Lock()
	u.seen = append(u.seen, r.Header.Get("Traceparent")+" "+r.Header.Get("Tracestate"))
	u.mu.Unlock()
	said{status: http.StatusServiceUnavailable}.say(w, r)
}

// told returns what each request said of its trace.
func (u *failingUpstream) told() []string {
	u.mu.Lock()
	defer u.mu.Unlock()
	return slices.Clone(u.seen)
}

// TestTraces_oneTrace makes a call with three attempts that fail, and follows its trace from the caller to the upstream.
func TestTraces_oneTrace(t *testing.T) {
	t.Parallel()
	for _, protocol := range []string{"grpc", "http/protobuf"} {
		t.Run(protocol, func(t *testing.T) {
			t.Parallel()
			got, env := startCollector(t, protocol)
			up := new(failingUpstream)
			gateway := startIn(t, env, append(against(t, serveHTTP(t, up)), "--retry-max-attempts=3", "--retry-base-delay=1ms")...)
			conn := connect(t, gateway.await(t, "serving").GRPC, insecure.NewCredentials())
			ctx := metadata.AppendToOutgoingContext(waiting(t), "traceparent", "00-"+callersTrace+"-"+callersSpan+"-01", "tracestate", "vendor=1")
			var trailer metadata.MD
			id := "personal-4711"
			_, err := tagsv1.NewTagsServiceClient(conn).GetTag(ctx, &tagsv1.GetTagRequest{Id: &id}, grpc.Trailer(&trailer))
			if status.Code(err) != codes.Unavailable {
				t.Fatal(err)
			}
			gateway.stop(t) // It exports what it has.

			spans, text := got.spans()
			var call *tracev1.Span
			var names, sent []string
			for _, span := range spans {
				if fmt.Sprintf("%x", span.GetTraceId()) != callersTrace {
					t.Errorf("%s is of trace %x", span.GetName(), span.GetTraceId())
				}
				names = append(names, span.GetName())
				if span.GetKind() == tracev1.Span_SPAN_KIND_SERVER {
					call = span
					continue
				}
				if parent := span.GetParentSpanId(); call == nil || string(parent) != string(call.GetSpanId()) {
					t.Errorf("the parent of %s is %x, not the call", span.GetName(), parent)
				}
				if span.GetKind() == tracev1.Span_SPAN_KIND_CLIENT {
					sent = append(sent, fmt.Sprintf("00-%s-%x-01 vendor=1", callersTrace, span.GetSpanId()))
					if again, want := attribute(span.GetAttributes(), "http.request.resend_count"), []string{"", "1", "2"}[len(sent)-1]; again != want {
						t.Errorf("attempt %d says %q, want %q", len(sent), again, want)
					}
					if said := attribute(span.GetAttributes(), "http.response.status_code"); said != "503" {
						t.Errorf("attempt %d has status %q", len(sent), said)
					}
				}
			}
			want := []string{
				"samsara_gateway.tags.v1.TagsService/GetTag",
				"quota", "GET /tags/{id}", "rest", "quota", "GET /tags/{id}", "rest", "quota", "GET /tags/{id}",
			}
			if diff := cmp.Diff(want, names); diff != "" || call == nil {
				t.Fatalf("the spans are (-want +got)\n%s", diff)
			}
			if diff := cmp.Diff(sent, up.told()); diff != "" {
				t.Errorf("the attempts (-) and what the upstream was told (+) differ:\n%s", diff)
			}
			if parent := fmt.Sprintf("%x", call.GetParentSpanId()); parent != callersSpan {
				t.Errorf("the parent of the call is %s", parent)
			}
			told := fmt.Sprintf("00-%s-%x-01", callersTrace, call.GetSpanId())
			if v := trailer.Get("traceresponse"); len(v) != 1 || v[0] != told {
				t.Errorf("the caller was told %q, want %s", v, told)
			}
			_, logged, _ := gateway.log()
			for _, part := range []string{`"trace_id":"` + callersTrace + `"`, `"x_request_id":"` + attribute(call.GetAttributes(), "samsara_gateway.request_id") + `"`} {
				if !strings.Contains(logged, part) {
					t.Errorf("the log does not say %s:\n%s", part, logged)
				}
			}
			for _, secret := range []string{upstreamToken, id} {
				if strings.Contains(text, secret) {
					t.Errorf("a span has %q", secret)
				}
			}
			if !strings.Contains(text, `"samsara-gateway"`) {
				t.Error("the service has no name")
			}
		})
	}
}

// TestTraces_cacheAndFeed has what leads to no attempt, and the trace of a feed, which is nobody's.
func TestTraces_cacheAndFeed(t *testing.T) {
	t.Parallel()
	got, env := startCollector(t, "grpc", "OTEL_TRACES_SAMPLER=always_on", "OTEL_SERVICE_NAME=fleet")
	gateway := startIn(t, env, "--sandbox", "--log-format=json", "--listen=127.0.0.1:0", "--admin-listen=127.0.0.1:0", "--cache=samsara_gateway.tags.*=1m")
	conn := connect(t, gateway.await(t, "serving").GRPC, insecure.NewCredentials())
	for range 2 {
		if _, err := tagsv1.NewTagsServiceClient(conn).ListTags(waiting(t), &tagsv1.ListTagsRequest{}); err != nil {
			t.Fatal(err)
		}
	}
	ctx, cancel := context.WithCancel(waiting(t))
	defer cancel()
	feed, err := locationandspeedv1.NewLocationAndSpeedServiceClient(conn).FollowLocationAndSpeed(ctx, &locationandspeedv1.FollowLocationAndSpeedRequest{})
	if err == nil {
		_, err = feed.Recv()
	}
	if err != nil {
		t.Fatal(err)
	}
	cancel()
	gateway.stop(t)

	spans, text := got.spans()
	traces := make(map[string][]string)
	for _, span := range spans {
		name := span.GetName()
		if name == "cache read" {
			name += fmt.Sprint(" ", strings.Contains(fmt.Sprint(span.GetAttributes()), "bool_value:true"))
		}
		trace := string(span.GetTraceId())
		traces[trace] = append(traces[trace], name)
	}
	seen := make(map[string]bool)
	for _, names := range traces {
		seen[strings.Join(names, ", ")] = true
	}
	for _, want := range []string{
		"samsara_gateway.tags.v1.TagsService/ListTags, cache read false, quota, GET /tags",
		"samsara_gateway.tags.v1.TagsService/ListTags, cache read true",
		"feed page samsara_gateway.location_and_speed.v1.LocationAndSpeedService/FollowLocationAndSpeed, quota, GET /assets/location-and-speed/stream",
	} {
		if !seen[want] {
			t.Errorf("there is no trace with %s, only %v", want, seen)
		}
	}
	if !strings.Contains(text, `"fleet"`) {
		t.Error("the name of the service is not that of the environment")
	}
}

// TestTraces_off has what asks for no traces.
func TestTraces_off(t *testing.T) {
	t.Parallel()
	for name, env := range map[string][]string{
		"nothing said": nil,
		"none":         {"OTEL_TRACES_EXPORTER=none"},
		"disabled":     {"OTEL_SDK_DISABLED=true"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			got := new(collector)
			server := httptest.NewServer(got)
			t.Cleanup(server.Close)
			if env != nil {
				env = append(env, "OTEL_EXPORTER_OTLP_ENDPOINT="+server.URL)
			}
			up := new(failingUpstream)
			gateway := startIn(t, env, append(against(t, serveHTTP(t, up)), "--retry-max-attempts=1")...)
			conn := connect(t, gateway.await(t, "serving").GRPC, insecure.NewCredentials())
			ctx := metadata.AppendToOutgoingContext(waiting(t), "traceparent", "00-"+callersTrace+"-"+callersSpan+"-01")
			_ = readTag(ctx, tagsv1.NewTagsServiceClient(conn), "1")
			gateway.stop(t)
			if spans, _ := got.spans(); len(spans) > 0 || !slices.Equal(up.told(), []string{" "}) {
				t.Errorf("there are spans %v, and the upstream was told %q", spans, up.told())
			}
		})
	}
}

// TestTraces_collectorAway stops within its bounds, and says what is wrong.
func TestTraces_collectorAway(t *testing.T) {
	t.Parallel()
	l, err := (&net.ListenConfig{}).Listen(t.Context(), "tcp", "127.0.0.1:0") // It accepts and never answers.
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = l.Close() })
	for _, protocol := range []string{"grpc", "http/protobuf"} {
		t.Run(protocol, func(t *testing.T) {
			t.Parallel()
			gateway := startIn(t, []string{"OTEL_EXPORTER_OTLP_ENDPOINT=http://" + l.Addr().String(), "OTEL_EXPORTER_OTLP_PROTOCOL=" + protocol},
				"--sandbox", "--log-format=json", "--listen=127.0.0.1:0", "--admin-listen=127.0.0.1:0")
			conn := connect(t, gateway.await(t, "serving").GRPC, insecure.NewCredentials())
			if _, err := tagsv1.NewTagsServiceClient(conn).ListTags(waiting(t), &tagsv1.ListTagsRequest{}); err != nil {
				t.Fatal(err)
			}
			gateway.stop(t)
			gateway.await(t, "traces: not exported")
		})
	}
}
