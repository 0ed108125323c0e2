package fleet

import (
	"strconv"
	"time"

	"samsara.internal/gateway/bench/internal/surface"
)

// The operations that are measured.
const (
	// Stats answers a Body.
	Stats surface.Operation = "GET /fleet/vehicles/stats"
	// Feed answers a FeedPage.
	Feed surface.Operation = "GET /fleet/vehicles/stats/feed"
	// UpdateRoute is sent a Route.
	UpdateRoute surface.Operation = "PATCH /fleet/routes/{id}"
)

// types are the statistics that are asked for.
func types() array {
	return array{
		text("ambientAirTemperatureMilliC"), text("auxInput1"), text("ecuSpeedMph"), text("engineRpm"), text("engineStates"),
		text("faultCodes"), text("fuelPercents"), text("gps"), text("obdOdometerMeters"),
	}
}

// Request returns a request of Stats that is answered with b. The answer does not depend on
// worker, which only makes requests differ: a gateway that finds two alike under way may ask its
// upstream once for both.
func Request(b Body, worker int) []byte {
	return appendJSON(nil, object{{"after", text(b.Cursor())}, {"types", types()}, {"time", textf("%d", worker)}}, Declared)
}

// Route returns a request of UpdateRoute whose JSON is at least size bytes long, and at most one
// stop, about 700 bytes, longer.
func Route(size int) []byte {
	source := newSource()
	var stops array
	for written := 0; len(stops) == 0 || written < size; {
		stop := source.stop(len(stops))
		stops = append(stops, stop)
		written += len(appendJSON(nil, stop, Declared))
	}
	return appendJSON(nil, object{{"name", text("Bid 123")}, {"stops", stops}}, Declared)
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

// Tick numbers the pages of the feed, one every TickLength since 1970. A page can be had from
// its time on; its number is the cursor of the next one.
type Tick int64

// TickLength is how far apart the pages of the feed are.
const TickLength = 500 * time.Millisecond

// TickAt returns the page of a time.
func TickAt(t time.Time) Tick { return Tick(t.UnixNano() / int64(TickLength)) }

// ParseTick returns the page before the one that a cursor asks for.
func ParseTick(cursor string) (Tick, error) {
	n, err := strconv.ParseInt(cursor, 10, 64)
	return Tick(n), err
}

// Time returns from when on the page can be had.
func (t Tick) Time() time.Time { return time.Unix(0, int64(t)*int64(TickLength)) }

// Cursor returns the name that ParseTick reads.
func (t Tick) Cursor() string { return strconv.FormatInt(int64(t), 10) }

// FeedRequest returns a request of the method that follows Feed, for the pages after one.
func FeedRequest(after Tick) []byte {
	return appendJSON(nil, object{
		{"request", object{{"types", types()}}},
		{"options", object{{"fromCursor", text(after.Cursor())}}},
	}, Declared)
}

// FeedPage returns an answer of Feed with one record, as long as any other.
func FeedPage(t Tick) []byte {
	source := newSource()
	reading := func(value raw) array { return array{source.reading(value)} }
	return appendJSON(nil, object{
		{"data", array{object{
			{"engineStates", reading(text("Idle"))},
			{"fuelPercents", reading(source.below(100))},
			{"gps", array{source.gps(), source.gps(), source.gps()}},
			{"id", text("281474976710656")},
			{"name", text("Truck 100")},
			{"obdOdometerMeters", reading(source.below(1e9))},
		}}},
		{"pagination", object{{"endCursor", text(t.Cursor())}, {"hasNextPage", raw("true")}}},
	}, Declared)
}
