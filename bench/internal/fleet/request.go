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

// Request returns a request of Stats that is answered with b. The answer does not depend on worker, which
// only makes requests differ: a gateway may ask its upstream once for two equal requests under way.
func Request(b Body, worker int) []byte {
	return appendJSON(nil, object{{"after", text(b.Cursor())}, {"types", types()}, {"time", textf("%d", worker)}}, Declared)
}

// Route returns a request of UpdateRoute whose JSON is at least size bytes long, and at most one
// stop, about 700 bytes, longer.
func Route(size int) []byte {
	values := newGenerator()
	var stops array
	for written := 0; len(stops) == 0 || written < size; {
		stop := values.stop(len(stops))
		stops = append(stops, stop)
		written += len(appendJSON(nil, stop, Declared))
	}
	return appendJSON(nil, object{{"name", text("Bid 123")}, {"stops", stops}}, Declared)
}

// stop returns the i-th stop of a route.
func (g generator) stop(i int) object {
	return object{
		{"appointmentWindows", array{object{{"endTime", g.time()}, {"startTime", g.time()}}}},
		{"externalIds", object{{"erp", textf("S-%06d", g.IntN(1e6))}, {"dock", textf("%d", i%40)}}},
		{"forms", array{object{{"formTemplateId", textf("%08x", g.Uint32())}, {"isRequired", g.boolean()}}}},
		{"name", textf("Łódź depot %d", i)},
		{"notes", textf(`Ring the \"night\" bell\nthen dock %d`, i)},
		{"ontimeWindowAfterArrivalMs", g.below(259_200_000)},
		{"ontimeWindowBeforeArrivalMs", g.below(259_200_000)},
		{"scheduledArrivalTime", g.time()},
		{"scheduledDepartureTime", g.time()},
		{"sequenceNumber", number(int64(i))},
		{"singleUseLocation", object{
			{"address", textf("%d Main Street, San Francisco, CA 94103", g.IntN(9000))},
			{"latitude", g.decimal(25, 45, 7)},
			{"longitude", g.decimal(-120, -80, 7)},
			{"radiusMeters", g.decimal(10, 500, 1)},
		}},
	}
}

// Tick is the number of a page of the feed. There is one every TickLength since 1970. A page is available
// from its time on; its number is the cursor of the next one.
type Tick int64

// TickLength is the time between two pages of the feed.
const TickLength = 500 * time.Millisecond

// TickAt returns the number of the page at a time.
func TickAt(t time.Time) Tick { return Tick(t.UnixNano() / int64(TickLength)) }

// ParseTick returns the number of the page before the one that a cursor asks for.
func ParseTick(cursor string) (Tick, error) {
	n, err := strconv.ParseInt(cursor, 10, 64)
	return Tick(n), err
}

// Time returns the time from which the page is available.
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

// FeedPage returns an answer of Feed with one record. All pages have the same length.
func FeedPage(t Tick) []byte {
	values := newGenerator()
	reading := func(value raw) array { return array{values.reading(value)} }
	return appendJSON(nil, object{
		{"data", array{object{
			{"engineStates", reading(text("Idle"))},
			{"fuelPercents", reading(values.below(100))},
			{"gps", array{values.gps(), values.gps(), values.gps()}},
			{"id", text("281474976710656")},
			{"name", text("Truck 100")},
			{"obdOdometerMeters", reading(values.below(1e9))},
		}}},
		{"pagination", object{{"endCursor", text(t.Cursor())}, {"hasNextPage", raw("true")}}},
	}, Declared)
}
