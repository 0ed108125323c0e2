package main

import (
	"fmt"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

// lists reports whether a list has a record with an id.
func (s *samsara) lists(t *testing.T, line, id string) bool {
	t.Helper()
	return slices.Contains(idsOf(t, s.ask(t, line, ""), "data"), id)
}

// The type of an asset decides which lists have it, whichever method set the type.
func TestSandbox_assetsAreOneThing(t *testing.T) {
	t.Parallel()
	s := startSamsara(t, "--page-size=100")
	views := map[string]string{"trailer": "GET /fleet/trailers", "equipment": "GET /fleet/equipment", "asset": "GET /assets"}
	check := func(when, id string, want ...string) {
		t.Helper()
		for noun, line := range views {
			is := slices.Contains(want, noun)
			if got := s.lists(t, line, id); got != is {
				t.Errorf("%s: %s has the asset: %t, want %t", when, line, got, is)
			}
			if noun == "asset" {
				continue
			}
			if status, text := s.send(t, line+"/"+id, ""); status != map[bool]int{true: http.StatusOK, false: http.StatusNotFound}[is] {
				t.Errorf("%s: %s/%s = %d %.200s, want it there: %t", when, line, id, status, text, is)
			}
		}
	}
	trailer := s.create(t, "POST /assets", `{"name":"Box","type":"trailer"}`)
	check("an asset made a trailer", trailer, "trailer", "asset")
	check("an asset made equipment", s.create(t, "POST /assets", `{"name":"Crane","type":"equipment"}`), "equipment", "asset")
	check("an asset without a type", s.create(t, "POST /assets", `{"name":"Barrel"}`), "asset")
	box := s.create(t, "POST /fleet/trailers", `{"name":"Long Box"}`)
	check("a trailer", box, "trailer", "asset")
	if got := member(t, s.ask(t, "GET /assets?ids="+box, ""), "data.0.type"); got != "trailer" {
		t.Errorf("a trailer has as an asset the type %v", got)
	}
	for _, id := range []string{trailer, box, secondSeeded} {
		s.ask(t, "PATCH /assets?id="+id, `{"type":"equipment"}`)
		check("a trailer become equipment", id, "equipment", "asset")
	}
	s.ask(t, "PATCH /assets?id="+trailer, `{"type":"trailer","name":"Short Box"}`)
	check("equipment become a trailer", trailer, "trailer", "asset")
	s.ask(t, "PATCH /fleet/trailers/"+trailer, `{"notes":"dented"}`)
	if got := told(t, s.ask(t, "GET /fleet/trailers/"+trailer, ""), "data.name"); got != "Short Box" {
		t.Errorf("the trailer is called %s", got)
	}
	if status, text := s.send(t, "DELETE /fleet/trailers/"+trailer, ""); status != http.StatusNoContent {
		t.Fatalf("DELETE = %d %s", status, text)
	}
	check("a deleted trailer", trailer)
}

// A created DVIR can be read, resolves defects, and can be resolved.
func TestSandbox_dvirIsResolved(t *testing.T) {
	t.Parallel()
	s := startSamsara(t, "--page-size=100")
	dvir := s.create(t, "POST /fleet/dvirs", `{"authorId":"`+secondSeeded+`","safetyStatus":"unsafe","type":"mechanic","vehicleId":"`+thirdSeeded+`",`+
		`"mechanicNotes":"worn","odometerMeters":77,"resolvedDefectIds":["`+firstSeeded+`","`+secondSeeded+`"]}`)
	want := []string{"id=" + dvir, "safetyStatus=unsafe", "type=mechanic", "vehicle.id=" + thirdSeeded, "mechanicNotes=worn", "odometerMeters=77"}
	expect(t, "the DVIR", s.ask(t, "GET /dvirs/"+dvir, ""), want...)
	for _, defect := range []string{firstSeeded, secondSeeded} {
		expect(t, "a defect that the DVIR resolves", s.ask(t, "GET /defects/"+defect, ""), "isResolved=true")
	}
	for _, id := range []string{dvir, firstSeeded} {
		expect(t, "the resolution", s.ask(t, "PATCH /fleet/dvirs/"+id, `{"authorId":"`+secondSeeded+`","isResolved":true}`), "data.safetyStatus=resolved")
		expect(t, "the DVIR that is resolved", s.ask(t, "GET /dvirs/"+id, ""), "safetyStatus=resolved")
	}
	expect(t, "the patch of a defect", s.ask(t, "PATCH /fleet/defects/"+thirdSeeded, `{"isResolved":true}`), "data.isResolved=true")
	expect(t, "the defect", s.ask(t, "GET /defects/"+thirdSeeded, ""), "isResolved=true")
}

// A driver's clock has the duty status that a client sets.
func TestSandbox_dutyStatus(t *testing.T) {
	t.Parallel()
	s := startSamsara(t, "--page-size=100")
	clock := func() string {
		t.Helper()
		return told(t, s.ask(t, "GET /fleet/hos/clocks?driverIds="+secondSeeded, ""), "data.0.currentDutyStatus.hosStatusType")
	}
	if got := clock(); got != "driving" {
		t.Errorf("at the beginning the driver is %s", got)
	}
	for status, want := range map[string]string{"OFF_DUTY": "offDuty", "ON_DUTY": "onDuty"} {
		if status, text := s.send(t, "POST /v1/fleet/drivers/"+secondSeeded+"/hos/duty_status", `{"duty_status":"`+status+`"}`); status != http.StatusOK {
			t.Fatalf("duty_status = %d %s", status, text)
		}
		if got := clock(); got != want {
			t.Errorf("after %s the driver is %s, want %s", status, got, want)
		}
	}
	expect(t, "another clock", s.ask(t, "GET /fleet/hos/clocks?driverIds="+firstSeeded, ""), "data.0.currentDutyStatus.hosStatusType=driving")
}

// A counter goes on from the value that a client sets.
func TestSandbox_countersAreSet(t *testing.T) {
	t.Parallel()
	s := startSamsara(t, "--page-size=100")
	for _, tt := range []struct {
		patch, body, stats, member string
		want                       float64
	}{
		{"PATCH /fleet/vehicles/" + secondSeeded, `{"odometerMeters":5000}`, "GET /fleet/vehicles/stats?vehicleIds=" + secondSeeded, "gpsOdometerMeters", 5000},
		{"PATCH /fleet/trailers/" + secondSeeded, `{"odometerMeters":5000}`, "GET /fleet/trailers/stats?trailerIds=" + secondSeeded, "gpsOdometerMeters", 5000},
		{"PATCH /beta/fleet/equipment/" + thirdSeeded, `{"odometerMeters":5000}`, "GET /fleet/equipment/stats?equipmentIds=" + thirdSeeded, "gpsOdometerMeters", 5000},
		{"PATCH /fleet/vehicles/" + thirdSeeded, `{"engineHours":2}`, "GET /fleet/vehicles/stats?vehicleIds=" + thirdSeeded, "obdEngineSeconds", 7200},
		{"PATCH /beta/fleet/equipment/" + secondSeeded, `{"engineHours":2}`, "GET /fleet/equipment/stats?equipmentIds=" + secondSeeded, "obdEngineSeconds", 7200},
	} {
		counter := func() float64 {
			t.Helper()
			got, _ := member(t, s.ask(t, tt.stats+"&types="+tt.member, ""), "data.0."+tt.member+".value").(float64)
			return got
		}
		before := counter()
		s.ask(t, tt.patch, tt.body)
		// The counter goes on while this test waits, and its value is that of the last report.
		if got := counter(); before < 100*tt.want || got < tt.want-400 || got > tt.want+40*patience.Seconds() {
			t.Errorf("%s %s: %s went from %.0f to %.0f, want about %.0f", tt.patch, tt.body, tt.member, before, got, tt.want)
		}
	}
}

// A relay is open after a client opens it, and the others do not change.
func TestSandbox_relayIsOpened(t *testing.T) {
	t.Parallel()
	s := startSamsara(t, "--page-size=100")
	stream := "GET /fleet/vehicles/immobilizer/stream?vehicleIds=" + secondSeeded + "&startTime=" + time.Now().Add(-10*time.Second).UTC().Format(time.RFC3339)
	relays := func() map[string]string {
		t.Helper()
		list, _ := member(t, s.ask(t, stream, ""), "data.0.relayStates").([]any)
		out := map[string]string{}
		for _, relay := range list {
			out[told(t, relay, "id")] = told(t, relay, "isOpen")
		}
		return out
	}
	for _, isOpen := range []string{"true", "false", "true"} {
		want := relays()
		want["relay2"] = isOpen
		if status, text := s.send(t, "PATCH /beta/fleet/vehicles/"+secondSeeded+"/immobilizer", `{"relayStates":[{"id":"relay2","isOpen":`+isOpen+`}]}`); status > 299 {
			t.Fatalf("immobilizer = %d %s", status, text)
		}
		if diff := cmp.Diff(want, relays()); diff != "" {
			t.Errorf("relays (-want +got):\n%s", diff)
		}
	}
}

// A reading that a client sends is the latest one, and is in the history.
func TestSandbox_readingsAreKept(t *testing.T) {
	t.Parallel()
	s := startSamsara(t, "--page-size=100")
	asset := s.create(t, "POST /assets", `{"name":"Tank","type":"equipment","externalIds":{"crm":"t-1"}}`)
	now := time.Now().UTC().Truncate(time.Second)
	at := func(ago time.Duration) string { return now.Add(-ago).Format(time.RFC3339) }
	send := func(body string) {
		t.Helper()
		if status, text := s.send(t, "POST /readings", `{"data":[`+body+`]}`); status > 299 {
			t.Fatalf("POST /readings %s = %d %s", body, status, text)
		}
	}
	reading := func(whose, id, at string, value int) string {
		return `{"entityType":"asset",` + whose + `,"readingId":"` + id + `","happenedAtTime":"` + at + `","value":` + strconv.Itoa(value) + `}`
	}
	own := `"entityId":"` + asset + `"`
	send(reading(own, "engineRpm", at(3*time.Minute), 900) + "," + reading(own, "fuelLevel", at(3*time.Minute), 70))
	send(reading(`"externalId":"crm:t-1"`, "engineRpm", at(time.Minute), 1100))
	values := func(line string) string {
		t.Helper()
		list, _ := member(t, s.ask(t, line, ""), "data").([]any)
		var out []string
		for _, r := range list {
			out = append(out, fmt.Sprint(told(t, r, "entityId") == asset, " ", told(t, r, "value")))
		}
		return strings.Join(out, ", ")
	}
	for line, want := range map[string]string{
		"GET /readings/latest?entityType=asset&readingIds=engineRpm&entityIds=" + asset:                                                                   "true 1100",
		"GET /readings/latest?entityType=asset&readingIds=fuelLevel&entityIds=" + asset:                                                                   "true 70",
		"GET /readings/latest?entityType=asset&readingIds=engineRpm,fuelLevel&entityIds=" + asset:                                                         "true 70, true 1100",
		"GET /readings/latest?entityType=asset&readingIds=engineRpm&entityIds=" + asset + "&asOfTime=" + at(2*time.Minute):                                "true 900",
		"GET /readings/history?entityType=asset&readingId=engineRpm&entityIds=" + asset + "&startTime=" + at(time.Hour):                                   "true 900, true 1100",
		"GET /readings/history?entityType=asset&readingId=engineRpm&entityIds=" + asset + "&startTime=" + at(2*time.Minute):                               "true 1100",
		"GET /readings/history?entityType=asset&readingId=engineRpm&entityIds=" + asset + "&startTime=" + at(time.Hour) + "&endTime=" + at(2*time.Minute): "true 900",
		"GET /readings/history?entityType=asset&readingId=coolant&entityIds=" + asset + "&startTime=" + at(time.Hour):                                     "",
	} {
		if got := values(line); got != want {
			t.Errorf("%s = %q, want %q", line, got, want)
		}
	}
	// Seeded assets have readings of all kinds, until a client sends others.
	latest := "GET /readings/latest?entityType=asset&readingIds=engineRpm&entityIds=" + secondSeeded
	expect(t, "a seeded reading", s.ask(t, latest, ""), "data.0.entityId="+secondSeeded, "data.0.readingId=engineRpm", "data.0.value=*", "data.1=-")
	send(reading(`"entityId":"`+secondSeeded+`"`, "engineRpm", at(0), 777))
	expect(t, "one that was sent", s.ask(t, latest, ""), "data.0.entityId="+secondSeeded, "data.0.readingId=engineRpm", "data.0.value=777", "data.1=-")
}

// A stop of a route that is sent with its id keeps the members that are not sent. The other stops are
// replaced.
func TestSandbox_stopsOfARoute(t *testing.T) {
	t.Parallel()
	s := startSamsara(t, "--page-size=100")
	route := s.create(t, "POST /fleet/routes", `{"name":"R","stops":[{"name":"a","notes":"gate 1","addressId":"`+thirdSeeded+`","externalIds":{"crm":"s-1"}},`+
		`{"name":"b","notes":"gate 2","singleUseLocation":{"latitude":1.5,"longitude":2.5}}]}`)
	stops := func() any {
		t.Helper()
		return member(t, s.ask(t, "GET /fleet/routes/"+route, ""), "data.stops")
	}
	first, second := told(t, stops(), "0.id"), told(t, stops(), "1.id")
	s.ask(t, "PATCH /fleet/routes/"+route, `{"stops":[{"id":"`+second+`","name":"B"},{"name":"c","addressId":"`+firstSeeded+`"}]}`)
	got := stops()
	expect(t, "the stops", got, "0.id="+second, "0.name=B", "0.notes=gate 2", "0.singleUseLocation.latitude=1.5", "0.address=-", "1.name=c", "1.notes=-", "2=-")
	third := told(t, got, "1.id")
	if third == first || third == second || third == "-" {
		t.Errorf("a stop that is added has the id %s, after %s and %s", third, first, second)
	}
	if status, text := s.send(t, "PATCH /fleet/routes/"+route, `{"stops":[{"id":"`+first+`"}]}`); status != http.StatusBadRequest || !strings.Contains(text, "stops[0].id: there is no route stop") {
		t.Errorf("PATCH of a stop that is gone = %d %s, want 400", status, text)
	}
	s.ask(t, "PATCH /fleet/routes/"+route, `{"stops":[{"id":"`+second+`","addressId":"`+secondSeeded+`"},{"id":"`+third+`"}]}`)
	expect(t, "the stops", stops(), "0.id="+second, "0.name=B", "0.address.id="+secondSeeded, "0.singleUseLocation=-", "1.id="+third, "1.name=c", "1.address.id="+firstSeeded)
	document := `{"documentTypeId":"` + firstSeeded + `","driverId":"` + firstSeeded + `","routeStopId":"%s"}`
	s.ask(t, "POST /fleet/documents", fmt.Sprintf(document, second))
	if status, text := s.send(t, "POST /fleet/documents", fmt.Sprintf(document, first)); status != http.StatusBadRequest || !strings.Contains(text, "routeStopId: there is no route stop") {
		t.Errorf("a document of a stop that is gone = %d %s, want 400", status, text)
	}
	// The same holds for a seeded route.
	name := told(t, s.ask(t, "GET /fleet/routes/"+secondSeeded, ""), "data.stops.0.name")
	id := told(t, s.ask(t, "GET /fleet/routes/"+secondSeeded, ""), "data.stops.0.id")
	s.ask(t, "PATCH /fleet/routes/"+secondSeeded, `{"stops":[{"id":"`+id+`","notes":"gate 3"}]}`)
	expect(t, "the seeded stop", s.ask(t, "GET /fleet/routes/"+secondSeeded, ""), "data.stops.0.id="+id, "data.stops.0.name="+name, "data.stops.0.notes=gate 3", "data.stops.1=-")
}

// The geofence of a place has the shape that was sent.
func TestSandbox_geofenceOfAPlace(t *testing.T) {
	t.Parallel()
	s := startSamsara(t, "--page-size=100")
	const (
		circle  = `{"circle":{"latitude":1.5,"longitude":2.5,"radiusMeters":30}}`
		polygon = `{"polygon":{"vertices":[{"latitude":1,"longitude":1},{"latitude":1,"longitude":2},{"latitude":2,"longitude":1}]}}`
	)
	isCircle := []string{"type=circle", "circle.radiusMeters=30", "circle.latitude=1.5", "polygon=-"}
	isPolygon := []string{"type=polygon", "polygon.vertices.2.latitude=2", "circle=-"}
	geofence := func(id string) any {
		t.Helper()
		return member(t, s.ask(t, "GET /places?placeIds="+id, ""), "data.0.geofence")
	}
	round := s.create(t, "POST /places", `{"name":"Yard","address":"1 Road","geofence":`+circle+`}`)
	expect(t, "a circle", geofence(round), isCircle...)
	square := s.create(t, "POST /places", `{"name":"Lot","address":"1 Road","geofence":`+polygon+`}`)
	expect(t, "a polygon", geofence(square), isPolygon...)
	for _, id := range []string{square, round, firstSeeded, secondSeeded} {
		s.ask(t, "PATCH /places?placeId="+id, `{"geofence":`+circle+`}`)
		expect(t, "become a circle", geofence(id), isCircle...)
		s.ask(t, "PATCH /places?placeId="+id, `{"geofence":`+polygon+`}`)
		expect(t, "become a polygon", geofence(id), isPolygon...)
	}
	list, _ := member(t, s.ask(t, "GET /places?limit=100", ""), "data").([]any)
	for _, place := range list {
		kind := told(t, place, "geofence.type")
		if hasCircle, hasPolygon := told(t, place, "geofence.circle") != "-", told(t, place, "geofence.polygon") != "-"; hasCircle != (kind == "circle") || hasPolygon != (kind == "polygon") {
			t.Errorf("place %s is a %s, with a circle: %t, with a polygon: %t", told(t, place, "id"), kind, hasCircle, hasPolygon)
		}
	}
}

// The document says only in prose how many types of statistics one request may ask for.
func TestSandbox_tooManyTypes(t *testing.T) {
	t.Parallel()
	s := startSamsara(t, "--page-size=100")
	for line, want := range map[string]string{
		"GET /fleet/vehicles/stats?types=gps,engineStates,fuelPercents":                                               "",
		"GET /fleet/vehicles/stats?types=gps,engineStates,fuelPercents,obdOdometerMeters":                             "types: count of values must be at most 3, is 4",
		"GET /fleet/vehicles/stats?types=gps,auxInput3,auxInput4,auxInput10,engineStates":                             "",
		"GET /fleet/vehicles/stats?types=gps,auxInput1,auxInput2,auxInput10":                                          "types: count of values must be at most 3, is 4",
		"GET /fleet/vehicles/stats/feed?types=gps,engineStates,fuelPercents,obdOdometerMeters":                        "types: count of values must be at most 3, is 4",
		"GET /fleet/vehicles/stats/feed?types=gps&decorations=engineStates,fuelPercents,obdOdometerMeters":            "decorations: count of values must be at most 2, is 3",
		"GET /fleet/trailers/stats?types=gps,gpsOdometerMeters,reeferAlarms,reeferDoorStateZone1":                     "types: count of values must be at most 3, is 4",
		"GET /fleet/equipment/stats?types=gps,engineRpm,fuelPercents,obdEngineStates":                                 "",
		"GET /fleet/equipment/stats?types=gps,engineRpm,fuelPercents,obdEngineStates,gpsOdometerMeters":               "types: count of values must be at most 4, is 5",
		"GET /fleet/equipment/stats/feed?types=gps,engineRpm,fuelPercents,obdEngineStates,engineTotalIdleTimeMinutes": "types: count of values must be at most 4, is 5",
	} {
		status, text := s.send(t, line, "")
		if want == "" && status != http.StatusOK || want != "" && (status != http.StatusBadRequest || !strings.Contains(text, want)) {
			t.Errorf("%s = %d %.200s, want %q", line, status, text, want)
		}
	}
}
