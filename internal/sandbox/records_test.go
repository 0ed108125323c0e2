package sandbox_test

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// lifecycle is how clients make, find, change and remove records of one resource.
type lifecycle struct {
	create, body string // request line and body
	id           string // where the reply has the id
	read         string // request line with ID for the id; empty if there is none
	list         string // request line, empty if there is none
	listID       string // list and member that hold the ids in it, joined by a space
	update       string // request line with ID
	change       string // body of the update, with ID
	changed      string // where the update's reply has what was changed
	want         string // what it has there
	remove       string // request line with ID
	removeBody   string
}

func TestRecords_lifecycle(t *testing.T) {
	t.Parallel()
	tests := map[string]lifecycle{
		"addresses, by id in the path": {
			create: "POST /addresses", body: `{"name":"Depot","formattedAddress":"1 Road","geofence":{"circle":{"radiusMeters":25}}}`,
			id: "data.id", read: "GET /addresses/ID", list: "GET /addresses?limit=512", listID: "data id",
			update: "PATCH /addresses/ID", change: `{"name":"Yard"}`, changed: "data.name", want: "Yard", remove: "DELETE /addresses/ID",
		},
		"tags": {
			create: "POST /tags", body: `{"name":"Blue"}`, id: "data.id", read: "GET /tags/ID", list: "GET /tags?limit=512", listID: "data id",
			update: "PUT /tags/ID", change: `{"name":"Green"}`, changed: "data.name", want: "Green", remove: "DELETE /tags/ID",
		},
		"webhooks, without an envelope": {
			create: "POST /webhooks", body: `{"name":"Hook","url":"https://hook.example"}`, id: "id", read: "GET /webhooks/ID",
			list: "GET /webhooks?limit=512", listID: "data id", update: "PATCH /webhooks/ID", change: `{"url":"https://other.example"}`,
			changed: "url", want: "https://other.example", remove: "DELETE /webhooks/ID",
		},
		"trailers": {
			create: "POST /fleet/trailers", body: `{"name":"Box"}`, id: "data.id", read: "GET /fleet/trailers/ID",
			list: "GET /fleet/trailers?limit=512", listID: "data id", update: "PATCH /fleet/trailers/ID", change: `{"notes":"dented"}`,
			changed: "data.notes", want: "dented", remove: "DELETE /fleet/trailers/ID",
		},
		"assets, by id in the query": {
			create: "POST /assets", body: `{"name":"Crane"}`, id: "data.id", list: "GET /assets?ids=ID", listID: "data id",
			update: "PATCH /assets?id=ID", change: `{"name":"Lift"}`, changed: "data.name", want: "Lift", remove: "DELETE /assets?id=ID",
		},
		"alert configurations, by id in the body": {
			create: "POST /alerts/configurations",
			body: `{"name":"Alert","isEnabled":true,"scope":{"all":true},"actions":[{"actionTypeId":1}],` +
				`"triggers":[{"triggerTypeId":1000,"triggerParams":{}}]}`,
			id: "data.id", list: "GET /alerts/configurations?ids=ID", listID: "data id",
			update: "PATCH /alerts/configurations", change: `{"id":"ID","name":"Alarm"}`, changed: "data.name", want: "Alarm",
			remove: "DELETE /alerts/configurations?id=ID",
		},
		"places, by a parameter of their own": {
			create: "POST /places", body: `{"name":"Yard","address":"1 Road","geofence":{}}`, id: "data.id", list: "GET /places?placeIds=ID", listID: "data id",
			update: "PATCH /places?placeId=ID", change: `{"name":"Lot"}`, changed: "data.name", want: "Lot", remove: "DELETE /places?placeId=ID",
		},
		"functions, by a name that clients choose": {
			create: "POST /functions", body: `{"name":"sweep","description":"d","config":{"handler":"main"}}`, id: "data.name",
			read: "GET /functions/ID", update: "PATCH /functions/ID", change: `{"description":"sweeps","lastUpdateTimestampMs":1}`, changed: "data.name", want: "sweep",
			remove: "DELETE /functions/ID",
		},
		"ridership accounts, replaced by id in the query": {
			create: "POST /ridership/accounts", body: `{"name":"School"}`, id: "data.id", read: "GET /ridership/accounts/ID",
			list: "GET /ridership/accounts?limit=100", listID: "data id", update: "PUT /ridership/accounts?id=ID", change: `{"name":"College"}`,
			changed: "data.name", want: "College", remove: "DELETE /ridership/accounts?id=ID",
		},
		"hub locations, of which single ones are in the singular": {
			create: "POST /hub/locations", body: `{"data":[{"hubId":"` + knownID + `","name":"a","address":"b","customerLocationId":"c","isDepot":true}]}`,
			id: "data.0.id", list: "GET /hub/locations?hubId=" + knownID + "&limit=100", listID: "data id",
			update: "PATCH /hub/location/ID", change: `{"data":{"name":"z"}}`, changed: "data.name", want: "z",
		},
		"qualification records, removed by id in the body": {
			create: "POST /qualification-records",
			body:   `{"issueDate":"2026-01-01T00:00:00Z","owner":{"id":"` + knownID + `","entityType":"worker"},"qualificationType":{"id":"` + knownID + `"}}`,
			id:     "data.id", list: "GET /qualification-records?ids=ID", listID: "data id",
			update: "PATCH /qualification-records", change: `{"id":"ID","issueDate":"2026-02-01T00:00:00Z"}`, changed: "data.issueDate",
			want: "2026-02-01T00:00:00Z", remove: "DELETE /qualification-records", removeBody: `{"id":"ID"}`,
		},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			a := serve(t, nil)
			id := fmt.Sprint(at(a.get(t, tt.create, tt.body), tt.id))
			with := func(s string) string { return strings.ReplaceAll(s, "ID", id) }
			listed := func() bool {
				list, member, _ := strings.Cut(tt.listID, " ")
				return slices.Contains(column(a.get(t, with(tt.list), ""), list, member), id)
			}
			if tt.read != "" {
				if got := fmt.Sprint(at(a.get(t, with(tt.read), ""), tt.id)); got != id {
					t.Errorf("%s has the id %s, want %s", with(tt.read), got, id)
				}
			}
			if tt.list != "" && !listed() {
				t.Errorf("%s lacks %s", with(tt.list), id)
			}
			if got := fmt.Sprint(at(a.get(t, with(tt.update), with(tt.change)), tt.changed)); got != with(tt.want) {
				t.Errorf("%s: %s = %s, want %s", tt.update, tt.changed, got, with(tt.want))
			}
			if tt.remove == "" {
				return
			}
			if got := a.call(t, with(tt.remove), with(tt.removeBody)); got.status > 299 {
				t.Fatalf("%s = %d %s, want success", with(tt.remove), got.status, got.text)
			}
			for _, gone := range []exchange{{tt.read, ""}, {tt.update, tt.change}, {tt.remove, tt.removeBody}} {
				if gone.line == "" {
					continue
				}
				if got := a.call(t, with(gone.line), with(gone.body)); got.status != 404 {
					t.Errorf("%s after deletion = %d %s, want 404", with(gone.line), got.status, got.text)
				}
			}
			if tt.list != "" && listed() {
				t.Errorf("%s still has %s", with(tt.list), id)
			}
		})
	}
}

func TestRecords_seededOneChanged(t *testing.T) {
	t.Parallel()
	a := serve(t, nil)
	a.get(t, "PATCH /fleet/vehicles/"+knownID, `{"name":"Old Betsy","externalIds":{"crm":"b-1"}}`)
	for line, path := range map[string]string{
		"GET /fleet/vehicles?limit=1":              "data.0.name",
		"GET /fleet/vehicles/" + knownID:           "data.name",
		"GET /fleet/vehicles/crm:b-1":              "data.name",
		"GET /fleet/vehicles/stats?types=gps":      "data.0.name",
		"GET /fleet/vehicles/stats/feed?types=gps": "data.0.name",
		"GET /fleet/vehicles/locations":            "data.0.name",
		"GET /fleet/vehicles?limit=1&vehicleIds=":  "",
		"GET /fleet/vehicles/erpId:vehicle-1":      "data.name",
		"GET /fleet/vehicles/281474976710658":      "data.name",
	} {
		got := a.call(t, line, "")
		switch {
		case path == "":
			if got.status < 400 {
				t.Errorf("%s = %d, want an error", line, got.status)
			}
		case strings.HasSuffix(line, "58"):
			if name := at(decode(t, got.text), path); name != "Truck 102" {
				t.Errorf("%s: %s = %v, want another vehicle's name unchanged", line, path, name)
			}
		default:
			if name := at(decode(t, got.text), path); name != "Old Betsy" {
				t.Errorf("%s: %s = %v, want Old Betsy", line, path, name)
			}
		}
	}
}

func TestUpdate_patchAndReplacement(t *testing.T) {
	t.Parallel()
	a := serve(t, nil)
	id := fmt.Sprint(at(a.get(t, "POST /addresses",
		`{"name":"Depot","notes":"n","formattedAddress":"1 Road","geofence":{"circle":{"radiusMeters":25,"latitude":1.5,"longitude":2.5}}}`), "data.id"))

	got := a.get(t, "PATCH /addresses/"+id, `{"notes":null,"geofence":{"circle":{"radiusMeters":50}}}`)
	want := map[string]any{"name": "Depot", "notes": nil, "radius": "50", "latitude": "1.5"}
	have := map[string]any{
		"name": at(got, "data.name"), "notes": at(got, "data.notes"),
		"radius": fmt.Sprint(at(got, "data.geofence.circle.radiusMeters")), "latitude": fmt.Sprint(at(got, "data.geofence.circle.latitude")),
	}
	if diff := cmp.Diff(want, have); diff != "" {
		t.Errorf("PATCH merges (-want +got):\n%s", diff)
	}

	tag := fmt.Sprint(at(a.get(t, "POST /tags", `{"name":"Blue","vehicles":["`+knownID+`"],"parentTagId":"`+knownID+`"}`), "data.id"))
	got = a.get(t, "PUT /tags/"+tag, `{"name":"Green"}`)
	if at(got, "data.name") != "Green" || at(got, "data.parentTagId") != nil || at(got, "data.vehicles") != nil {
		t.Errorf("PUT = %v, want only the name", got)
	}
}

func TestCreation_references(t *testing.T) {
	t.Parallel()
	a := serve(t, nil)
	got := a.get(t, "POST /fleet/trailers", `{"name":"Box","tagIds":["281474976710660","281474976710662"]}`)
	if diff := cmp.Diff([]string{"281474976710660", "281474976710662"}, column(got, "data.tags", "id")); diff != "" {
		t.Errorf("tags (-want +got):\n%s", diff)
	}
	id := fmt.Sprint(at(got, "data.id"))
	if got := column(a.get(t, "GET /fleet/trailers?tagIds=281474976710662&limit=512", ""), "data", "id"); !slices.Contains(got, id) {
		t.Errorf("trailers with the tag are %v, want %s among them", got, id)
	}
	if got := column(a.get(t, "GET /fleet/trailers?tagIds=281474976710664&limit=512", ""), "data", "id"); slices.Contains(got, id) {
		t.Errorf("trailers with another tag are %v, want %s not among them", got, id)
	}
}

func TestRecords_settings(t *testing.T) {
	t.Parallel()
	a := serve(t, nil)
	a.get(t, "PATCH /fleet/settings/compliance", `{"carrierName":"Acme"}`)
	if got := at(a.get(t, "GET /fleet/settings/compliance", ""), "data.carrierName"); got != "Acme" {
		t.Errorf("carrierName = %v, want Acme", got)
	}
}

func TestActions_recordUnchanged(t *testing.T) {
	t.Parallel()
	a := serve(t, nil)
	before := a.call(t, "GET /fleet/vehicles/"+knownID, "").text
	for _, line := range []string{"DELETE /preview/fleet/vehicles/ID/lock", "PUT /preview/fleet/vehicles/ID/lock"} {
		if got := a.call(t, strings.ReplaceAll(line, "ID", knownID), ""); got.status > 299 {
			t.Errorf("%s = %d %s, want success", line, got.status, got.text)
		}
		if got := a.call(t, strings.ReplaceAll(line, "ID", "1"), ""); got.status != 404 {
			t.Errorf("%s of an unknown vehicle = %d, want 404", line, got.status)
		}
	}
	if after := a.call(t, "GET /fleet/vehicles/"+knownID, "").text; after != before {
		t.Errorf("the vehicle is %s, want %s", after, before)
	}
}

func TestCreation_severalInOneRequest(t *testing.T) {
	t.Parallel()
	a := serve(t, nil)
	const location = `{"hubId":"` + knownID + `","name":"N","address":"b","customerLocationId":"c","isDepot":true}`
	got := a.get(t, "POST /hub/locations", `{"data":[`+strings.Replace(location, "N", "one", 1)+`,`+strings.Replace(location, "N", "two", 1)+`]}`)
	if diff := cmp.Diff([]string{"one", "two"}, column(got, "data", "name")); diff != "" {
		t.Errorf("created (-want +got):\n%s", diff)
	}
	listed := column(a.get(t, "GET /hub/locations?limit=100&hubId="+knownID, ""), "data", "name")
	if diff := cmp.Diff([]string{"one", "two"}, listed[len(listed)-2:]); diff != "" {
		t.Errorf("listed (-want +got):\n%s", diff)
	}
}

func TestUpdate_recordInsideBody(t *testing.T) {
	t.Parallel()
	a := serve(t, nil)
	got := a.get(t, "PATCH /beta/industrial/jobs?id="+knownID, `{"job":{"name":"Dig"},"keepHistory":true}`)
	if at(got, "data.name") != "Dig" || at(got, "data.id") != knownID {
		t.Errorf("job = %v, want the name Dig and the id %s", got, knownID)
	}
}

func TestRecords_idsOfOtherCollections(t *testing.T) {
	t.Parallel()
	a := serve(t, nil)
	run := fmt.Sprint(at(a.get(t, "POST /reports/runs", `{"reportConfig":{"id":"`+knownID+`"}}`), "data.id"))
	a.get(t, "GET /reports/runs/data?id="+run, "")
	correlation := fmt.Sprint(at(a.get(t, "POST /functions/function-3/runs", `{"paramsOverride":{}}`), "data.correlationId"))
	a.get(t, "GET /functions/function-3/runs/"+correlation, "")
	if got := a.call(t, "GET /reports/runs/data?id=77", ""); got.status != 404 {
		t.Errorf("data of an unknown run = %d, want 404", got.status)
	}
}

func TestCreation_limitOfCollection(t *testing.T) {
	t.Parallel()
	a := serve(t, nil)
	const (
		limit, batch = 10_000, 100
		location     = `{"hubId":"` + knownID + `","name":"N","address":"b","customerLocationId":"c","isDepot":true}`
	)
	body := `{"data":[` + strings.Repeat(location+",", batch-1) + location + `]}`
	for i := range limit / batch {
		if got := a.call(t, "POST /hub/locations", body); got.status != 200 {
			t.Fatalf("batch %d = %d %s", i, got.status, got.text)
		}
	}
	got := a.call(t, "POST /hub/locations", `{"data":[`+location+`]}`)
	if got.status != 400 || !strings.Contains(got.text, "Configuration limit exceeded") {
		t.Errorf("location %d = %d %s, want 400", limit, got.status, got.text)
	}
	if got := column(a.get(t, "GET /hub/locations?limit=100&hubId="+knownID, ""), "data", "id"); len(got) != 100 {
		t.Errorf("a page has %d, want 100", len(got))
	}
}
