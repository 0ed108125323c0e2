// Package tracing makes the spans of OpenTelemetry for a call and for what becomes of it, by the semantic conventions
// for RPC and HTTP. It takes and gives the context of W3C: traceparent and tracestate.
//
// A nil Tracer makes no span and costs nothing. With one, a call that is not sampled costs a span that does not record,
// and nothing below the call does. Spans hold names, numbers and ids. They hold no path with its values, query, body,
// message of an error or token.
//
// What exports the spans is package otlp.
package tracing
