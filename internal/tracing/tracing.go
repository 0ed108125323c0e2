package tracing

import (
	"context"
	"net/url"
	"strconv"

	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/codes"
	"go.opentelemetry.io/otel/propagation"
	semconv "go.opentelemetry.io/otel/semconv/v1.43.0"
	"go.opentelemetry.io/otel/trace"
	"google.golang.org/genproto/googleapis/rpc/code"
)

// The attributes that no convention names.
const (
	callerKey       = attribute.Key("samsara_gateway.caller")
	organizationKey = attribute.Key("samsara_gateway.organization")
	reasonKey       = attribute.Key("samsara_gateway.reason")
	requestIDKey    = attribute.Key("samsara_gateway.request_id")
	attemptsKey     = attribute.Key("samsara_gateway.attempts")
	pagesKey        = attribute.Key("samsara_gateway.pages")
	itemsKey        = attribute.Key("samsara_gateway.items")
	hitKey          = attribute.Key("samsara_gateway.cache.hit")
	upstreamIDKey   = attribute.Key("samsara.request_id")
)

// Tracer makes spans. It is safe for concurrent use. A nil Tracer makes none.
type Tracer struct {
	tracer trace.Tracer
}

// New returns a tracer whose spans a provider gets.
func New(provider trace.TracerProvider) *Tracer {
	const name = "samsara.internal/gateway/internal/tracing"
	return &Tracer{tracer: provider.Tracer(name, trace.WithSchemaURL(semconv.SchemaURL))}
}

// Span is a span that has begun, and must end. The zero value is none. Its methods are not for concurrent use.
type Span struct{ span trace.Span }

// isRecorded reports whether what is said of a span is kept.
func (s Span) isRecorded() bool { return s.span != nil && s.span.IsRecording() }

// TraceID returns the id of the trace that the span belongs to, as 32 hex digits; empty if there is no span.
func (s Span) TraceID() string {
	if s.span == nil {
		return ""
	}
	return s.span.SpanContext().TraceID().String()
}

// IsSampled reports whether the span is exported.
func (s Span) IsSampled() bool { return s.span != nil && s.span.SpanContext().IsSampled() }

// End ends a span.
func (s Span) End() {
	if s.span != nil {
		s.span.End()
	}
}

// EndCached ends the span of a look into the cache.
func (s Span) EndCached(hit bool) {
	if s.isRecorded() {
		s.span.SetAttributes(hitKey.Bool(hit))
	}
	s.End()
}

// EndRefused ends the span of something that did not come about, with the reason; empty: it did.
func (s Span) EndRefused(reason string) {
	if s.isRecorded() && reason != "" {
		s.fail(reason)
	}
	s.End()
}

// fail notes why what the span is of has failed.
func (s Span) fail(reason string) {
	s.span.SetAttributes(semconv.ErrorTypeKey.String(reason))
	s.span.SetStatus(codes.Error, reason)
}

// StartCall begins the span of a gRPC call, whose caller is at a place in a trace. If that is no place, the call begins a
// trace. A state that is too long is dropped.
func (t *Tracer) StartCall(ctx context.Context, fullMethod string, from Context) (context.Context, Span) {
	if t == nil {
		return ctx, Span{}
	}
	if from.Parent != "" {
		carrier := from
		if len(carrier.State) > maxStateBytes {
			carrier.State = ""
		}
		ctx = propagation.TraceContext{}.Extract(ctx, &carrier)
	}
	ctx, span := t.tracer.Start(ctx, fullMethod[1:], trace.WithSpanKind(trace.SpanKindServer))
	if span.IsRecording() {
		span.SetAttributes(semconv.RPCSystemNameGRPC, semconv.RPCMethod(fullMethod[1:]))
	}
	return ctx, Span{span}
}

// Call is how a gRPC call ended. What is not known is empty or 0.
type Call struct {
	Code code.Code
	// Reason is that of the ErrorInfo.
	Reason, Caller, Organization string
	// RequestID is the call's own, and UpstreamID Samsara's of the last attempt.
	RequestID, UpstreamID  string
	Attempts, Pages, Items int64
}

// EndCall ends the span of a call.
func (s Span) EndCall(c Call) {
	if s.isRecorded() {
		s.span.SetAttributes(semconv.RPCResponseStatusCode(c.Code.String()))
		for _, text := range []attribute.KeyValue{
			callerKey.String(c.Caller), organizationKey.String(c.Organization), reasonKey.String(c.Reason),
			requestIDKey.String(c.RequestID), upstreamIDKey.String(c.UpstreamID),
		} {
			if text.Value.AsString() != "" {
				s.span.SetAttributes(text)
			}
		}
		for _, number := range []attribute.KeyValue{attemptsKey.Int64(c.Attempts), pagesKey.Int64(c.Pages), itemsKey.Int64(c.Items)} {
			if number.Value.AsInt64() != 0 {
				s.span.SetAttributes(number)
			}
		}
		switch c.Code {
		case code.Code_UNKNOWN, code.Code_DEADLINE_EXCEEDED, code.Code_UNIMPLEMENTED, code.Code_INTERNAL, code.Code_UNAVAILABLE, code.Code_DATA_LOSS:
			s.fail(c.Code.String()) // By the conventions the other codes are no failures of a server.
		default:
		}
	}
	s.End()
}

// StartPage begins the span of reading a page of a feed, which several calls may follow. It is the first of its trace.
func (t *Tracer) StartPage(ctx context.Context, fullMethod string) (context.Context, Span) {
	if t == nil {
		return ctx, Span{}
	}
	ctx, span := t.tracer.Start(ctx, "feed page "+fullMethod[1:], trace.WithNewRoot())
	return ctx, Span{span}
}

// Start begins the span of a part of a call, if that of the call is recorded.
func (t *Tracer) Start(ctx context.Context, name string) Span {
	if t == nil || !trace.SpanFromContext(ctx).IsRecording() {
		return Span{}
	}
	_, span := t.tracer.Start(ctx, name)
	return Span{span}
}

// Of returns the span that ctx is in.
func (t *Tracer) Of(ctx context.Context) Span {
	if t == nil {
		return Span{}
	}
	return Span{trace.SpanFromContext(ctx)}
}

// StartShared begins the span of waiting for what another call, with the span of, asks for too.
func (t *Tracer) StartShared(ctx context.Context, of Span) Span {
	s := t.Start(ctx, "shared read")
	if s.isRecorded() && of.span != nil {
		s.span.AddLink(trace.Link{SpanContext: of.span.SpanContext()})
	}
	return s
}

// Attempt is an HTTP attempt that begins.
type Attempt struct {
	Method, Template string
	// URL is of the request. Of it only host and port are told.
	URL *url.URL
	// Number is which attempt of its request it is, from 1.
	Number int
}

// StartAttempt begins the span of an HTTP attempt, if that of the call is recorded.
func (t *Tracer) StartAttempt(ctx context.Context, a Attempt) (context.Context, Span) {
	if t == nil || !trace.SpanFromContext(ctx).IsRecording() {
		return ctx, Span{}
	}
	facts := []attribute.KeyValue{
		semconv.HTTPRequestMethodKey.String(a.Method), semconv.URLTemplate(a.Template), semconv.ServerAddress(a.URL.Hostname()),
	}
	if port, err := strconv.Atoi(a.URL.Port()); err == nil {
		facts = append(facts, semconv.ServerPort(port))
	}
	if a.Number > 1 {
		facts = append(facts, semconv.HTTPRequestResendCount(a.Number-1))
	}
	ctx, span := t.tracer.Start(ctx, a.Method+" "+a.Template, trace.WithSpanKind(trace.SpanKindClient), trace.WithAttributes(facts...))
	return ctx, Span{span}
}

// BodyRead notes that the body of a response has been read to its end.
func (s Span) BodyRead() {
	if s.isRecorded() {
		s.span.AddEvent("body read")
	}
}

// EndAttempt ends the span of an attempt, with the HTTP status, 0 if there was no response, the reason of its error,
// empty if there was none, and Samsara's id of the request, if any.
func (s Span) EndAttempt(status int, reason, upstreamID string) {
	if s.isRecorded() {
		if status != 0 {
			s.span.SetAttributes(semconv.HTTPResponseStatusCode(status))
		}
		if upstreamID != "" {
			s.span.SetAttributes(upstreamIDKey.String(upstreamID))
		}
	}
	s.EndRefused(reason)
}

// Context is where in a trace something is, as the headers of W3C have it. The zero value is nowhere. It implements
// propagation.TextMapCarrier.
type Context struct{ Parent, State string }

// The names of these headers.
const (
	ParentKey = "traceparent"
	StateKey  = "tracestate"
)

// maxStateBytes bounds what others add to the context of a trace. W3C asks for as much.
const maxStateBytes = 512

// Context returns where in a trace a span is.
func (s Span) Context() Context {
	if s.span == nil || !s.span.SpanContext().IsValid() {
		return Context{}
	}
	at := s.span.SpanContext()
	flags := at.TraceFlags() & (trace.FlagsSampled | trace.FlagsRandom)
	return Context{"00-" + at.TraceID().String() + "-" + at.SpanID().String() + "-" + flags.String(), at.TraceState().String()}
}

// Get implements propagation.TextMapCarrier.
func (c *Context) Get(key string) string {
	if key == ParentKey {
		return c.Parent
	}
	return c.State
}

// Set implements propagation.TextMapCarrier.
func (c *Context) Set(key, value string) {
	if key == ParentKey {
		c.Parent = value
		return
	}
	c.State = value
}

// Keys implements propagation.TextMapCarrier.
func (*Context) Keys() []string { return []string{ParentKey, StateKey} }
