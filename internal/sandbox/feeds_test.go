package sandbox_test

import (
	"encoding/json"
	"fmt"
	"math"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"samsara.internal/gateway/internal/sandbox"
)

const locations = "/assets/location-and-speed/stream?limit=500&includeSpeed=true"

// page is a page of records, as its reader sees it.
type page struct {
	records []any
	isNull  bool
	cursor  string
	more    bool
}

func (a *api) page(t testing.TB, target, after string, headers ...string) page {
	t.Helper()
	if after != "" {
		target += map[bool]string{true: "&", false: "?"}[strings.Contains(target, "?")] + "after=" + url.QueryEscape(after)
	}
	body := a.get(t, "GET "+target, "", headers...)
	records, _ := at(body, "data").([]any)
	return page{
		records: records,
		isNull:  at(body, "data") == nil,
		cursor:  fmt.Sprint(at(body, "pagination.endCursor")),
		more:    at(body, "pagination.hasNextPage") == true,
	}
}

// read reads pages until there is no next one; it returns their records and the last cursor.
func (a *api) read(t testing.TB, target, after string) ([]any, string) {
	t.Helper()
	var records []any
	for range 10_000 {
		p := a.page(t, target, after)
		records = append(records, p.records...)
		if !p.more {
			return records, p.cursor
		}
		if p.cursor == "" || p.cursor == after {
			t.Fatalf("%s: after %q comes a page whose cursor is %q", target, after, p.cursor)
		}
		after = p.cursor
	}
	t.Fatalf("%s: does not end", target)
	return nil, ""
}

func float(t testing.TB, v any, path string) float64 {
	t.Helper()
	n, ok := at(v, path).(json.Number)
	if !ok {
		t.Fatalf("%s of %v is no number", path, v)
	}
	f, err := n.Float64()
	if err != nil {
		t.Fatal(err)
	}
	return f
}

// report identifies a report of an asset: its number from 1, and its time.
type report struct {
	asset int
	time  string
}

func reportOf(t testing.TB, record any, id, time string) report {
	t.Helper()
	n, err := strconv.Atoi(fmt.Sprint(at(record, id)))
	if err != nil {
		t.Fatal(err)
	}
	return report{n - firstID + 1, fmt.Sprint(at(record, time))}
}

// reports returns what assets report at every tick from one time to another, both included, in
// order.
func reports(assets int, from, to time.Time) []report {
	var out []report
	for at := from.Truncate(sandbox.Tick); !at.After(to); at = at.Add(sandbox.Tick) {
		for n := 1; n <= assets && !at.Before(from); n++ {
			out = append(out, report{n, at.Format("2006-01-02T15:04:05.000Z")})
		}
	}
	return out
}

func TestFeeds_assetMovesAsReported(t *testing.T) {
	t.Parallel()
	a := serve(t, nil)
	const metresPerDegree = math.Pi / 180 * 6_371_000
	for _, id := range ids(1, 3) {
		records, _ := a.read(t, locations+"&startTime=2026-03-02T11:30:00Z&ids="+id, "")
		for i := range len(records) - 1 {
			here, next := records[i], records[i+1]
			north := (float(t, next, "location.latitude") - float(t, here, "location.latitude")) * metresPerDegree
			east := (float(t, next, "location.longitude") - float(t, here, "location.longitude")) * metresPerDegree * math.Cos(37.8*math.Pi/180)
			speed := float(t, here, "speed.gpsSpeedMetersPerSecond")
			if went, want := math.Hypot(north, east), speed*sandbox.Tick.Seconds(); math.Abs(went-want) > 2 {
				t.Fatalf("%s at %v: went %.1f m in a tick, want about %.1f", id, at(here, "happenedAtTime"), went, want)
			}
			course := math.Atan2(east, north) * 180 / math.Pi
			off := math.Mod(course-float(t, here, "location.headingDegrees")+540, 360) - 180
			if math.Abs(off) > 3 {
				t.Fatalf("%s at %v: went %.1f degrees off its heading", id, at(here, "happenedAtTime"), off)
			}
		}
	}
}

func TestFeeds_countersGrowWithDistance(t *testing.T) {
	t.Parallel()
	a := serve(t, nil)
	const target = "/fleet/vehicles/stats/feed?types=gps,obdOdometerMeters,obdEngineSeconds&vehicleIds=" + knownID
	_, cursor := a.read(t, target, "")
	a.clock.advance(10 * time.Minute)
	records, _ := a.read(t, target, cursor)
	if len(records) != 120 {
		t.Fatalf("%d reports in 10 minutes, want 120", len(records))
	}
	for i := range len(records) - 1 {
		here, next := records[i], records[i+1]
		if grown := float(t, next, "obdEngineSeconds.1.value") - float(t, here, "obdEngineSeconds.1.value"); grown != sandbox.Tick.Seconds() {
			t.Fatalf("engine seconds grow by %v in a tick", grown)
		}
		want := float(t, here, "gps.1.speedMilesPerHour") * 1609.344 / 3600 * sandbox.Tick.Seconds()
		if grown := float(t, next, "obdOdometerMeters.1.value") - float(t, here, "obdOdometerMeters.1.value"); math.Abs(grown-want) > 2 {
			t.Fatalf("the odometer grows by %v m in a tick, want about %.1f", grown, want)
		}
	}
}

func TestFeeds_reportSameAsInList(t *testing.T) {
	t.Parallel()
	a := serve(t, nil)
	listed := a.get(t, "GET /fleet/vehicles/locations?vehicleIds="+knownID, "")
	fed := a.get(t, "GET /fleet/vehicles/locations/feed?vehicleIds="+knownID, "")
	if diff := cmp.Diff(at(listed, "data.0.location"), at(fed, "data.0.locations.1")); diff != "" {
		t.Errorf("location (-list +feed):\n%s", diff)
	}
}

func TestFeeds_timeOfEachReport(t *testing.T) {
	t.Parallel()
	a := serve(t, nil)
	feeds := 0
	for _, e := range endpoints(t) {
		if !e.Operation.GetFeed() {
			continue
		}
		feeds++
		x := requestFor(e, false)
		p := a.page(t, strings.TrimPrefix(x.line, "GET "), "")
		if len(p.records) == 0 || p.cursor == "" {
			t.Errorf("%s = %d records, cursor %q", x.line, len(p.records), p.cursor)
		}
		want := "2026-03-02T12:00:00.000Z" // the last known values
		if strings.Contains(x.line, "startTime=") {
			want = "2026-03-02T11:00:00.000Z"
		}
		text, err := json.Marshal(p.records[0])
		if err != nil || !strings.Contains(string(text), want) {
			t.Errorf("%s: the first record is %s, want one of %s", x.line, text, want)
		}
	}
	if feeds != 27 {
		t.Errorf("%d feeds, want 27", feeds)
	}
}

func TestFeeds_historyAcrossRestarts(t *testing.T) {
	t.Parallel()
	fleet := func(c *sandbox.Config) { c.Fleet = 100 }
	const target = locations + "&startTime=2026-03-02T11:58:03Z"
	var got []report
	after, more := "", true
	for more {
		a := serve(t, fleet) // a new one for each page
		p := a.page(t, target, after)
		for _, r := range p.records {
			got = append(got, reportOf(t, r, "asset.id", "happenedAtTime"))
		}
		after, more = p.cursor, p.more
	}
	if diff := cmp.Diff(reports(100, start.Add(-2*time.Minute+3*time.Second), start), got, cmp.AllowUnexported(report{})); diff != "" {
		t.Errorf("reports (-want +got):\n%.2000s", diff)
	}
	other := serve(t, func(c *sandbox.Config) { c.Fleet, c.Seed = 100, 2 })
	if got := other.call(t, "GET "+target+"&after="+after, ""); got.status != http.StatusBadRequest {
		t.Errorf("a cursor of another seed = %d %s, want 400", got.status, got.text)
	}
}

func TestFeeds_streamGoesBackADay(t *testing.T) {
	t.Parallel()
	a := serve(t, nil)
	for query, want := range map[string]string{
		"&startTime=2026-02-01T00:00:00Z":                              "2026-03-01T12:00:05.000Z",
		"&startTime=2025-01-01T00:00:00Z&endTime=2025-02-01T00:00:00Z": "2025-01-31T00:00:05.000Z",
	} {
		if got := a.page(t, locations+query, ""); fmt.Sprint(at(got.records[0], "happenedAtTime")) != want {
			t.Errorf("%s begins at %v, want %s", query, at(got.records[0], "happenedAtTime"), want)
		}
	}
}

func TestFeeds_oneCursorOfAPosition(t *testing.T) {
	t.Parallel()
	a := serve(t, nil)
	const target = "/fleet/vehicles/stats/feed?types=gps"
	_, early := a.read(t, target, "")
	a.clock.advance(4 * time.Second)
	_, late := a.read(t, target, "")
	if early != late {
		t.Errorf("within a tick the cursor goes from %s to %s", early, late)
	}
	if p := a.page(t, target, early); len(p.records) != 0 || p.more || p.cursor != early {
		t.Errorf("caught up: %d records, more %t, cursor %s, want none and %s", len(p.records), p.more, p.cursor, early)
	}
	a.clock.advance(time.Second)
	_, fromEarly := a.read(t, target, early)
	_, anew := a.read(t, target, "")
	if fromEarly == early || fromEarly != anew {
		t.Errorf("a tick later the cursor is %s for who goes on and %s for who begins, want one and not %s", fromEarly, anew, early)
	}
}

func TestFeeds_endedStreamStays(t *testing.T) {
	t.Parallel()
	a := serve(t, nil)
	const target = locations + "&startTime=2026-01-02T11:00:00Z&endTime=2026-01-02T11:01:00Z"
	records, cursor := a.read(t, target, "")
	if want := 12 * 13; len(records) != want {
		t.Errorf("%d records, want %d", len(records), want)
	}
	a.clock.advance(20 * 24 * time.Hour)
	if p := a.page(t, target, cursor); len(p.records) != 0 || p.more || p.cursor != cursor {
		t.Errorf("later: %d records, more %t, cursor %s, want none and %s", len(p.records), p.more, p.cursor, cursor)
	}
}

func TestFeeds_cursorExpires(t *testing.T) {
	t.Parallel()
	a := serve(t, nil)
	_, cursor := a.read(t, "/fleet/vehicles/locations/feed?vehicleIds="+knownID, "")
	line := "GET /fleet/vehicles/locations/feed?vehicleIds=" + knownID + "&after=" + cursor
	a.clock.advance(sandbox.CursorLifetime)
	a.get(t, line, "")
	a.clock.advance(time.Second)
	if got := a.call(t, line, ""); got.status != 400 || !strings.Contains(got.text, "invalid or expired pagination cursor") {
		t.Errorf("after 30 days = %d %s, want 400", got.status, got.text)
	}
}

func TestFeeds_endlessStreams(t *testing.T) {
	t.Parallel()
	a := serve(t, nil)
	for _, target := range []string{
		"/qualification-records/stream?entityType=worker&startTime=2026-03-02T12:00:00Z",
		"/training-assignments/stream?startTime=2026-03-02T12:00:00Z",
	} {
		var p page
		got := 0
		for range 12 {
			p = a.page(t, target, p.cursor)
			got += len(p.records)
			if !p.more {
				t.Fatalf("%s says that there is no next page", target)
			}
		}
		if again := a.page(t, target, p.cursor); got != 12 || len(again.records) != 0 || !again.more || again.cursor != p.cursor {
			t.Errorf("%s: %d records, then %d, more %t, cursor %s, want 12, none, true and %s",
				target, got, len(again.records), again.more, again.cursor, p.cursor)
		}
		if records, _ := a.read(t, target+"&endTime=2026-03-02T13:00:00Z", ""); len(records) != 12 {
			t.Errorf("%s with an end = %d records, want 12", target, len(records))
		}
	}
}

func TestFeeds_startTimeRequiredOnEachPage(t *testing.T) {
	t.Parallel()
	a := serve(t, nil)
	p := a.page(t, "/safety-events/stream?startTime=2026-03-02T11:59:00Z", "")
	if got := a.call(t, "GET /safety-events/stream?after="+p.cursor, ""); got.status != 400 || !strings.Contains(got.text, "startTime: is required") {
		t.Errorf("without startTime = %d %s, want 400", got.status, got.text)
	}
}

func TestFeeds_ofNoRecords(t *testing.T) {
	t.Parallel()
	a := serve(t, nil)
	p := a.page(t, locations+"&ids=1&startTime=2026-03-02T11:00:00Z", "")
	a.clock.advance(time.Hour)
	again := a.page(t, locations+"&ids=1&startTime=2026-03-02T11:00:00Z", p.cursor)
	if len(p.records)+len(again.records) != 0 || p.more || again.more || again.cursor != p.cursor {
		t.Errorf("pages %+v and %+v, want both empty and one cursor", p, again)
	}
}

func TestFilters_flagNamedLikeIDs(t *testing.T) {
	t.Parallel()
	a := serve(t, nil)
	if p := a.page(t, locations+"&includeExternalIds=true", ""); len(p.records) != 12 {
		t.Errorf("%d records, want 12", len(p.records))
	}
}

func TestFleet_large(t *testing.T) {
	t.Parallel()
	a := serve(t, func(c *sandbox.Config) { c.Fleet, c.PageSize = sandbox.MaxFleet, 700 })
	last := ids(sandbox.MaxFleet, sandbox.MaxFleet)[0]
	if got := at(a.get(t, "GET /fleet/vehicles/"+last, ""), "data.id"); got != last {
		t.Errorf("the last vehicle is %v, want %s", got, last)
	}
	tests := map[string]struct {
		line string
		want []string
	}{
		"records by an external id":       {"GET /fleet/vehicles/locations?vehicleIds=erpId:vehicle-99999", ids(99_999, 99_999)},
		"records by a VIN":                {"GET /fleet/vehicles/locations?vehicleIds=samsara.vin:1SBX8EAT0PJ050000", ids(50_000, 50_000)},
		"records by a serial number":      {"GET /fleet/vehicles/locations?vehicleIds=samsara.serial:GSBX-012-345", ids(12_345, 12_345)},
		"the records that have a tag":     {"GET /fleet/vehicles?tagIds=" + ids(70_000, 70_000)[0], ids(69_999, 70_000)},
		"the records that have the first": {"GET /fleet/vehicles?tagIds=" + knownID, []string{knownID, last}},
		"as many as the configured page":  {"GET /fleet/vehicles/locations", ids(1, 700)},
		"as many as the limit says":       {"GET /fleet/vehicles?limit=3", ids(1, 3)},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			if diff := cmp.Diff(tt.want, column(a.get(t, tt.line, ""), "data", "id")); diff != "" {
				t.Errorf("%s (-want +got):\n%.2000s", tt.line, diff)
			}
		})
	}
}

func TestPaging_listWithoutPagesBounded(t *testing.T) {
	t.Parallel()
	a := serve(t, func(c *sandbox.Config) { c.Fleet = 2000 })
	if got := column(a.get(t, "GET /v1/fleet/assets", ""), "assets", "id"); len(got) != sandbox.MaxPageSize {
		t.Errorf("%d assets, want %d", len(got), sandbox.MaxPageSize)
	}
	if got := column(a.get(t, "GET /beta/aemp/Fleet/20", ""), "Fleet.Equipment", "EquipmentHeader.EquipmentID"); len(got) != 100 {
		t.Errorf("the last machines are %d, want 100", len(got))
	}
	if got := a.call(t, "GET /beta/aemp/Fleet/21", ""); got.status != 404 {
		t.Errorf("a page behind them = %d, want 404", got.status)
	}
}

func TestFleet_createdRecordsComeLast(t *testing.T) {
	t.Parallel()
	a := serve(t, func(c *sandbox.Config) { c.Fleet = 2000 })
	made := fmt.Sprint(at(a.get(t, "POST /contacts", `{"firstName":"Zoe"}`), "data.id"))
	if want := ids(2001, 2001)[0]; made != want {
		t.Errorf("the record made is %s, want %s", made, want)
	}
	if got := a.call(t, "DELETE /contacts/"+ids(2000, 2000)[0], ""); got.status != 204 {
		t.Fatalf("DELETE = %d %s", got.status, got.text)
	}
	records, _ := a.read(t, "/contacts?limit=512", "")
	if len(records) != 2000 || at(records[1999], "id") != made {
		t.Errorf("%d records, the last one %v, want 2000 and %s", len(records), at(records[len(records)-1], "id"), made)
	}
}

// A page must cost only what its records cost, or a long history could not be read. The test measures
// allocations, because these do not depend on a clock.
func TestPaging_costOfAPage(t *testing.T) { //nolint:paralleltest // AllocsPerRun counts the whole process
	all := endpoints(t)
	allocations := func(fleet int, query string) float64 {
		s, err := sandbox.New(sandbox.Config{Endpoints: all, Token: token, Seed: 1, Now: (&clock{}).now, Fleet: fleet})
		if err != nil {
			t.Fatal(err)
		}
		r := httptest.NewRequestWithContext(t.Context(), http.MethodGet, locations+query, nil)
		r.Header.Set("Authorization", "Bearer "+token)
		return testing.AllocsPerRun(5, func() {
			w := httptest.NewRecorder()
			if s.ServeHTTP(w, r); w.Code != http.StatusOK {
				t.Errorf("%s = %d %s", query, w.Code, w.Body)
			}
		})
	}
	want := allocations(1000, "&startTime=2026-03-02T12:00:00Z")
	for name, got := range map[string]float64{
		"in a large fleet":   allocations(sandbox.MaxFleet, "&startTime=2026-03-02T12:00:00Z"),
		"far back":           allocations(1000, "&startTime=2026-03-01T12:00:00Z"),
		"in a filtered page": allocations(sandbox.MaxFleet, "&startTime=2026-03-01T12:00:00Z&ids="+knownID),
	} {
		if got > want*1.2 {
			t.Errorf("a page %s takes %v allocations, want about %v", name, got, want)
		}
	}
}
