package sandbox_test

import (
	"fmt"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

// ids returns the ids of the seeded records from one to another, both included.
func ids(from, to int) []string {
	var out []string
	for i := from; i <= to; i++ {
		out = append(out, strconv.Itoa(firstID-1+i))
	}
	return out
}

func TestPaging_lastCursorEmpty(t *testing.T) {
	t.Parallel()
	a := serve(t, nil)
	var got [][]string
	after := ""
	for {
		page := a.get(t, "GET /fleet/vehicles?limit=5&after="+url.QueryEscape(after), "")
		got = append(got, column(page, "data", "id"))
		after = fmt.Sprint(at(page, "pagination.endCursor"))
		if at(page, "pagination.hasNextPage") == false {
			break
		}
	}
	if diff := cmp.Diff([][]string{ids(1, 5), ids(6, 10), ids(11, 12)}, got); diff != "" {
		t.Errorf("pages (-want +got):\n%s", diff)
	}
	if after != "" {
		t.Errorf("the last cursor is %q, want none", after)
	}
}

func TestPaging_bothWays(t *testing.T) {
	t.Parallel()
	a := serve(t, nil)
	const line = "GET /v1/fleet/assets/locations?limit=5"
	first := a.get(t, line, "")
	second := a.get(t, line+"&startingAfter="+fmt.Sprint(at(first, "pagination.endCursor")), "")
	third := a.get(t, line+"&startingAfter="+fmt.Sprint(at(second, "pagination.endCursor")), "")
	back := a.get(t, line+"&endingBefore="+fmt.Sprint(at(third, "pagination.startCursor")), "")
	got := [][]string{column(first, "assets", "id"), column(second, "assets", "id"), column(third, "assets", "id"), column(back, "assets", "id")}
	if diff := cmp.Diff([][]string{ids(1, 5), ids(6, 10), ids(11, 12), ids(6, 10)}, got); diff != "" {
		t.Errorf("pages (-want +got):\n%s", diff)
	}
	want := map[string]any{"hasNextPage": true, "hasPrevPage": false, "startCursor": ""}
	pagination, _ := at(first, "pagination").(map[string]any)
	delete(pagination, "endCursor")
	if diff := cmp.Diff(want, pagination); diff != "" {
		t.Errorf("first page (-want +got):\n%s", diff)
	}
}

func TestCursor_boundToParameters(t *testing.T) {
	t.Parallel()
	a := serve(t, nil)
	const line = "GET /fleet/vehicles?limit=5&tagIds=281474976710657,281474976710658,281474976710659,281474976710660,281474976710661,281474976710662"
	after := "&after=" + fmt.Sprint(at(a.get(t, line, ""), "pagination.endCursor"))
	swapped := strings.Replace(line, "281474976710657,281474976710658", "281474976710658,281474976710657", 1)
	tests := map[string]struct {
		line    string
		advance time.Duration
		want    string // part of the message; empty for success
	}{
		"the same parameters go on":          {line: line + after},
		"their order does not matter":        {line: "GET /fleet/vehicles?" + after[1:] + "&" + strings.TrimPrefix(line, "GET /fleet/vehicles?")},
		"another filter is refused":          {line: line + "1" + after, want: "Parameters differ from previous paginated request."},
		"another order of values is refused": {line: swapped + after, want: "Parameters differ from previous paginated request."},
		"another limit is refused":           {line: strings.Replace(line, "limit=5", "limit=6", 1) + after, want: "Parameters differ from previous paginated request."},
		"another operation is refused":       {line: "GET /fleet/trailers?limit=5" + after, want: "Parameters differ from previous paginated request."},
		"a made-up cursor is refused":        {line: line + "&after=abc", want: `\"abc\" is not a cursor`},
		"a changed cursor is refused":        {line: line + after + "A", want: "is not a cursor"},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			got := a.call(t, tt.line, "")
			if wantStatus := map[bool]int{true: 200, false: 400}[tt.want == ""]; got.status != wantStatus || !strings.Contains(got.text, tt.want) {
				t.Errorf("%s = %d %s, want %d %s", tt.line, got.status, got.text, wantStatus, tt.want)
			}
		})
	}
}

func TestCursor_expires(t *testing.T) {
	t.Parallel()
	a := serve(t, nil)
	line := "GET /fleet/vehicles?limit=5&after=" + fmt.Sprint(at(a.get(t, "GET /fleet/vehicles?limit=5", ""), "pagination.endCursor"))
	a.clock.advance(30 * 24 * time.Hour)
	a.get(t, line, "")
	a.clock.advance(time.Second)
	if got := a.call(t, line, ""); got.status != 400 || !strings.Contains(got.text, "older than 30 days") {
		t.Errorf("after 30 days = %d %s, want 400", got.status, got.text)
	}
}

func TestPaging_recordsDeletedBetweenPages(t *testing.T) {
	t.Parallel()
	a := serve(t, nil)
	first := a.get(t, "GET /contacts?limit=5", "")
	for _, id := range []string{ids(5, 5)[0], ids(6, 6)[0]} {
		if got := a.call(t, "DELETE /contacts/"+id, ""); got.status != 204 {
			t.Fatalf("DELETE = %d %s", got.status, got.text)
		}
	}
	second := a.get(t, "GET /contacts?limit=5&after="+fmt.Sprint(at(first, "pagination.endCursor")), "")
	if diff := cmp.Diff(ids(7, 11), column(second, "data", "id")); diff != "" {
		t.Errorf("second page (-want +got):\n%s", diff)
	}
}

func TestPaging_byNumber(t *testing.T) {
	t.Parallel()
	a := serve(t, nil)
	got := a.get(t, "GET /beta/aemp/Fleet/1", "")
	if list, ok := at(got, "Fleet.Equipment").([]any); !ok || len(list) != 12 {
		t.Errorf("page 1 has %d machines, want 12", len(list))
	}
	if diff := cmp.Diff([]any{map[string]any{"rel": "self", "href": "/beta/aemp/Fleet/1"}}, at(got, "Fleet.Links")); diff != "" {
		t.Errorf("links (-want +got):\n%s", diff)
	}
	for _, page := range []string{"0", "2", "x", "99999999999999999999"} {
		if got := a.call(t, "GET /beta/aemp/Fleet/"+page, ""); got.status != 404 {
			t.Errorf("page %s = %d, want 404", page, got.status)
		}
	}
}

func TestFilters_byID(t *testing.T) {
	t.Parallel()
	a := serve(t, nil)
	tests := map[string]struct {
		line string
		want []string
	}{
		"the records themselves":        {"GET /fleet/vehicles/locations?vehicleIds=281474976710660,281474976710658", []string{"281474976710658", "281474976710660"}},
		"the records by an external id": {"GET /fleet/vehicles/locations?vehicleIds=erpId:vehicle-5", []string{"281474976710661"}},
		"the records by plain ids":      {"GET /assets?ids=281474976710661", []string{"281474976710661"}},
		"nothing if none is known":      {"GET /fleet/vehicles/locations?vehicleIds=1", []string{}},
		"the records that refer to one": {"GET /fleet/vehicles?tagIds=281474976710658", []string{"281474976710657", "281474976710658"}},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			if diff := cmp.Diff(tt.want, column(a.get(t, tt.line, ""), "data", "id")); diff != "" {
				t.Errorf("%s (-want +got):\n%s", tt.line, diff)
			}
		})
	}
}

func TestStatistics_types(t *testing.T) {
	t.Parallel()
	a := serve(t, nil)
	got, _ := at(a.get(t, "GET /fleet/vehicles/stats?types=gps,engineStates", ""), "data.0").(map[string]any)
	var names []string
	for name := range got {
		names = append(names, name)
	}
	slices.Sort(names)
	if diff := cmp.Diff([]string{"engineState", "externalIds", "gps", "id", "name"}, names); diff != "" {
		t.Errorf("members (-want +got):\n%s", diff)
	}
}

// follow reads a feed until it has caught up. It returns the times of its reports by vehicle, and the cursor
// to go on from.
func follow(t *testing.T, a *api, line, after string) (map[string][]string, string) {
	t.Helper()
	got := map[string][]string{}
	for {
		page := a.get(t, line+"&after="+url.QueryEscape(after), "")
		list, _ := at(page, "data").([]any)
		for _, r := range list {
			id := fmt.Sprint(at(r, "id"))
			got[id] = append(got[id], fmt.Sprint(at(r, "gps.1.time")))
		}
		after = fmt.Sprint(at(page, "pagination.endCursor"))
		if after == "" {
			t.Fatalf("%s: a feed's page has no cursor", line)
		}
		if at(page, "pagination.hasNextPage") == false {
			return got, after
		}
	}
}

func TestFeeds_advanceWithTime(t *testing.T) {
	t.Parallel()
	a := serve(t, nil)
	const line = "GET /fleet/vehicles/stats/feed?types=gps"
	steps := []struct {
		advance time.Duration
		want    []string // times of every vehicle's reports
	}{
		{0, []string{"2026-03-02T12:00:00.000Z"}},
		{0, nil},
		{4999 * time.Millisecond, nil},
		{time.Millisecond, []string{"2026-03-02T12:00:05.000Z"}},
		{17 * time.Second, []string{"2026-03-02T12:00:10.000Z", "2026-03-02T12:00:15.000Z", "2026-03-02T12:00:20.000Z"}},
	}
	after := ""
	for i, step := range steps {
		a.clock.advance(step.advance)
		var got map[string][]string
		got, after = follow(t, a, line, after)
		want := map[string][]string{}
		for _, id := range ids(1, 12) {
			if step.want != nil {
				want[id] = step.want
			}
		}
		if diff := cmp.Diff(want, got); diff != "" {
			t.Fatalf("step %d (-want +got):\n%s", i, diff)
		}
	}
}

func TestStreams_startAndEndTime(t *testing.T) {
	t.Parallel()
	tests := map[string]struct {
		query   string
		reports int    // of each of the 12 assets
		last    string // time of the last report
	}{
		"between two times":                  {"&startTime=2026-03-02T11:00:00Z&endTime=2026-03-02T11:00:10Z", 3, "2026-03-02T11:00:10.000Z"},
		"from a time until now":              {"&startTime=2026-03-02T11:59:51Z", 2, "2026-03-02T12:00:00.000Z"},
		"as far back as is asked for":        {"&startTime=2026-03-02T11:30:00Z", 361, "2026-03-02T12:00:00.000Z"},
		"nothing from a time yet to come":    {"&startTime=2026-03-03T00:00:00Z", 0, ""},
		"nothing if the end is at the start": {"&startTime=2026-03-02T11:00:01Z&endTime=2026-03-02T11:00:02Z", 0, ""},
		"the latest without a start":         {"", 1, "2026-03-02T12:00:00.000Z"},
	}
	a := serve(t, nil)
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			line := "GET /assets/location-and-speed/stream?limit=500" + tt.query
			reports, last, after := 0, "", ""
			for {
				page := a.get(t, line+"&after="+after, "")
				times := column(page, "data", "happenedAtTime")
				reports += len(times)
				if len(times) > 0 {
					last = times[len(times)-1]
				}
				after = fmt.Sprint(at(page, "pagination.endCursor"))
				if at(page, "pagination.hasNextPage") == false {
					break
				}
			}
			if reports != tt.reports*12 || last != tt.last {
				t.Errorf("%d reports until %s, want %d until %s", reports, last, tt.reports*12, tt.last)
			}
			if after == "" {
				t.Error("the last page has no cursor")
			}
		})
	}
}

func TestStreams_startInTheFuture(t *testing.T) {
	t.Parallel()
	a := serve(t, nil)
	const line = "GET /assets/location-and-speed/stream?limit=500&startTime=2026-03-02T12:01:00Z"
	after := fmt.Sprint(at(a.get(t, line, ""), "pagination.endCursor"))
	a.clock.advance(59 * time.Second)
	if got := column(a.get(t, line+"&after="+after, ""), "data", "happenedAtTime"); len(got) != 0 {
		t.Errorf("before the start = %v, want nothing", got)
	}
	a.clock.advance(time.Second)
	if got := column(a.get(t, line+"&after="+after, ""), "data", "happenedAtTime"); len(got) != 12 || got[0] != "2026-03-02T12:01:00.000Z" {
		t.Errorf("at the start = %v, want 12 reports of that time", got)
	}
}
