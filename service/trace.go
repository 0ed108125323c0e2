package service

import (
	"context"
	"strings"

	"google.golang.org/genproto/googleapis/rpc/code"
	"google.golang.org/grpc/metadata"

	"samsara.internal/gateway/internal/tracing"
)

// Metadata of W3C's Trace Context.
const (
	// parentKey and stateKey have where in a trace the caller of a call is.
	parentKey = "traceparent"
	stateKey  = "tracestate"
	// traceKey has where a call was that failed, in the form of parentKey.
	traceKey = "traceresponse"
)

// trace begins the span of a call. Calls of grpc's own services have none, because probes come all the time.
func (l *logLine) trace(ctx context.Context) context.Context {
	if l.edge.tracer == nil || isGRPCs(l.method) {
		return ctx
	}
	var from tracing.Context
	if given := metadata.ValueFromIncomingContext(ctx, parentKey); len(given) == 1 {
		from = tracing.Context{Parent: given[0], State: strings.Join(metadata.ValueFromIncomingContext(ctx, stateKey), ",")}
	}
	ctx, l.span = l.edge.tracer.StartCall(ctx, l.method, from)
	l.traceID = l.span.TraceID()
	return ctx
}

// endSpan ends the span of a call that has ended.
func (l *logLine) endSpan(f *Finished) {
	if !f.Sampled {
		return
	}
	l.span.EndCall(tracing.Call{
		Code: code.Code(f.Code), Reason: f.Reason, Caller: f.Caller, Organization: f.Organization,
		RequestID: f.ID, UpstreamID: f.UpstreamID, Attempts: int64(f.Attempts), Pages: f.Pages, Items: f.Items,
	})
}
