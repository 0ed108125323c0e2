package telemetry_test

import (
	"context"
	"testing"
	"time"

	"samsara.internal/gateway/internal/telemetry"
	"samsara.internal/gateway/upstream"
)

// BenchmarkCall counts and times a call.
func BenchmarkCall(b *testing.B) {
	m := newMetrics(b)
	m.Of("default")
	b.ReportAllocs()
	for b.Loop() {
		m.CallEnded(telemetry.Call{Method: getVehicle, Organization: "default", Code: "OK", Duration: time.Millisecond})
	}
}

// BenchmarkAttempt counts and times an attempt.
func BenchmarkAttempt(b *testing.B) {
	of := newMetrics(b).Of("default")
	b.ReportAllocs()
	for b.Loop() {
		of.ObserveAttempt(context.Background(), upstream.Attempt{Method: "GET", Template: "/a", Operation: "s/M", Status: 200, Duration: time.Millisecond})
	}
}
