// Package otlp exports spans by OTLP, as the standard OTEL_* variables say. Without one that asks for it, nothing is
// exported and there is no tracer.
//
// OTEL_TRACES_EXPORTER and OTEL_EXPORTER_OTLP_PROTOCOL are read here, because only the exporter that they name is made.
// All other variables are read by OpenTelemetry. Where OpenTelemetry would report a sampler that it does not know and go
// on with another one, Check returns an error.
package otlp
