package fleet

import (
	"fmt"

	"google.golang.org/protobuf/encoding/protojson"

	routesv1 "samsara.internal/gateway/gen/samsara/routes/v1"
	vehiclestatsv1 "samsara.internal/gateway/gen/samsara/vehicle_stats/v1"
)

// Request returns the request that is answered with b.
func Request(b Body) *vehiclestatsv1.GetVehicleStatsRequest {
	cursor := b.Cursor()
	return &vehiclestatsv1.GetVehicleStatsRequest{
		After: &cursor,
		Types: []string{"ambientAirTemperatureMilliC", "auxInput1", "ecuSpeedMph", "engineRpm", "engineStates", "faultCodes", "fuelPercents", "gps", "obdOdometerMeters"},
	}
}

// Answer returns the message that b stands for, as protojson reads it.
func Answer(b Body) (*vehiclestatsv1.GetVehicleStatsResponse, error) {
	var m vehiclestatsv1.GetVehicleStatsResponse
	if err := (protojson.UnmarshalOptions{DiscardUnknown: true}).Unmarshal(b.JSON(), &m); err != nil {
		return nil, fmt.Errorf("answer %s: %w", b.Cursor(), err)
	}
	return &m, nil
}

// Route returns a change of a route whose JSON is at least size bytes long, and at most one
// stop, about 700 bytes, longer.
func Route(size int) (*routesv1.PatchRouteRequest, error) {
	source := newSource()
	var stops array
	for written := 0; len(stops) == 0 || written < size; {
		stop := source.stop(len(stops))
		stops = append(stops, stop)
		written += len(appendJSON(nil, stop, Declared))
	}
	var m routesv1.PatchRouteRequest
	if err := protojson.Unmarshal(appendJSON(nil, object{{"name", text("Bid 123")}, {"stops", stops}}, Declared), &m); err != nil {
		return nil, fmt.Errorf("route of %d bytes: %w", size, err)
	}
	return &m, nil
}

// stop returns the i-th stop of a route.
func (s source) stop(i int) object {
	return object{
		{"appointmentWindows", array{object{{"endTime", s.time()}, {"startTime", s.time()}}}},
		{"externalIds", object{{"erp", textf("S-%06d", s.IntN(1e6))}, {"dock", textf("%d", i%40)}}},
		{"forms", array{object{{"formTemplateId", textf("%08x", s.Uint32())}, {"isRequired", s.boolean()}}}},
		{"name", textf("Łódź depot %d", i)},
		{"notes", textf(`Ring the \"night\" bell\nthen dock %d`, i)},
		{"ontimeWindowAfterArrivalMs", s.below(259_200_000)},
		{"ontimeWindowBeforeArrivalMs", s.below(259_200_000)},
		{"scheduledArrivalTime", s.time()},
		{"scheduledDepartureTime", s.time()},
		{"sequenceNumber", number(int64(i))},
		{"singleUseLocation", object{
			{"address", textf("%d Main Street, San Francisco, CA 94103", s.IntN(9000))},
			{"latitude", s.decimal(25, 45, 7)},
			{"longitude", s.decimal(-120, -80, 7)},
			{"radiusMeters", s.decimal(10, 500, 1)},
		}},
	}
}
