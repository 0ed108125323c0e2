//go:build !race

package transcode_test

import (
	"testing"

	vehiclestatsv1 "samsara.internal/gateway/gen/vehicle_stats/v1"
	"samsara.internal/gateway/internal/transcode"
)

// The race detector itself allocates.
func TestDecoder_noAllocation(t *testing.T) { //nolint:paralleltest // AllocsPerRun counts for the whole process
	d := decoder(t, (&vehiclestatsv1.ListVehicleStatsFeedResponse{}).ProtoReflect().Descriptor())
	document := statsFeed(50_000)
	var drift transcode.Drift
	var wire []byte
	allocs := testing.AllocsPerRun(20, func() {
		drift.Reset()
		var err error
		if wire, err = d.Append(wire[:0], document, &drift); err != nil {
			t.Fatal(err)
		}
	})
	if allocs != 0 {
		t.Errorf("allocations = %v, want 0", allocs)
	}
	if len(drift.Findings()) == 0 {
		t.Errorf("no findings, though the document has members that are unknown")
	}
}
