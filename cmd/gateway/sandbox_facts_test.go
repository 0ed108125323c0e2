package main

import (
	"encoding/json"
	"fmt"
	"math"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

// tagged has the kinds of records that have tags: the list of a tag that names them, and how to create one
// with the tags IDS. A tag does not name places.
var tagged = map[string]struct{ list, told, create, body, update string }{
	"vehicles":  {"GET /fleet/vehicles?limit=512", "vehicles", "", "", "PATCH /fleet/vehicles/ID"},
	"drivers":   {"GET /fleet/drivers?limit=512", "drivers", "POST /fleet/drivers", `{"name":"Ada","username":"ada","password":"p1234567","tagIds":IDS}`, "PATCH /fleet/drivers/ID"},
	"addresses": {"GET /addresses?limit=512", "addresses", "POST /addresses", `{"name":"Depot","formattedAddress":"1 Road","geofence":{"circle":{"radiusMeters":25}},"tagIds":IDS}`, "PATCH /addresses/ID"},
	"assets":    {"GET /assets?includeTags=true", "assets", "POST /assets", `{"name":"Crane","tagIds":IDS}`, "PATCH /assets?id=ID"},
}

const (
	unknownID   = "281474999999999"
	thirdSeeded = "281474976710659"
)

// A reference to a record that does not exist is refused. The error has the name of the member and the value.
func TestSandbox_unknownReference(t *testing.T) {
	t.Parallel()
	s := startSamsara(t, "--page-size=100")
	const noTag = `there is no tag \"` + unknownID + `\"`
	for _, tt := range []struct{ line, body, want string }{
		{"POST /addresses", `{"name":"Depot","formattedAddress":"1 Road","geofence":{"circle":{"radiusMeters":25}},"tagIds":["UNKNOWN"]}`, "tagIds[0]: " + noTag},
		{"POST /addresses", `{"name":"Depot","formattedAddress":"1 Road","geofence":{"circle":{"radiusMeters":25}},"contactIds":["` + firstSeeded + `","UNKNOWN"]}`, `contactIds[1]: there is no contact`},
		{"PATCH /addresses/" + firstSeeded, `{"tagIds":["UNKNOWN"]}`, "tagIds[0]: " + noTag},
		{"POST /fleet/drivers", `{"name":"Ada","username":"ada","password":"p1234567","tagIds":["UNKNOWN"]}`, "tagIds[0]: " + noTag},
		{"POST /fleet/drivers", `{"name":"Ada","username":"ada","password":"p1234567","peerGroupTagId":"UNKNOWN"}`, "peerGroupTagId: " + noTag},
		{"PATCH /fleet/drivers/" + firstSeeded, `{"staticAssignedVehicleId":"UNKNOWN"}`, "staticAssignedVehicleId: there is no vehicle"},
		{"PATCH /fleet/vehicles/" + firstSeeded, `{"tagIds":["` + firstSeeded + `","UNKNOWN"]}`, "tagIds[1]: " + noTag},
		{"POST /fleet/trailers", `{"name":"Box","tagIds":["UNKNOWN"]}`, "tagIds[0]: " + noTag},
		{"POST /assets", `{"name":"Crane","tagIds":["UNKNOWN"]}`, "tagIds[0]: " + noTag},
		{"POST /industrial/assets", `{"name":"Pump","tagIds":["UNKNOWN"]}`, "tagIds[0]: " + noTag},
		{"POST /industrial/assets", `{"name":"Pump","parentId":"UNKNOWN"}`, "parentId: there is no asset"},
		{"POST /places", `{"name":"Yard","address":"1 Road","geofence":{},"tags":[{"id":"UNKNOWN"}]}`, "tags[0].id: " + noTag},
		{"POST /tags", `{"name":"Blue","parentTagId":"UNKNOWN"}`, "parentTagId: " + noTag},
		{"POST /tags", `{"name":"Blue","vehicles":["UNKNOWN"]}`, "vehicles[0]: there is no vehicle"},
		{"PATCH /tags/" + firstSeeded, `{"drivers":["UNKNOWN"]}`, "drivers[0]: there is no driver"},
		{"PUT /tags/" + firstSeeded, `{"name":"Blue","addresses":["UNKNOWN"]}`, "addresses[0]: there is no address"},
		{"POST /fleet/routes", `{"name":"R","stops":[{"addressId":"UNKNOWN"},{"addressId":"` + firstSeeded + `"}]}`, "stops[0].addressId: there is no address"},
		{"POST /issues", `{"title":"T","asset":{"id":"UNKNOWN"}}`, "asset.id: there is no asset"},
		{"POST /v1/fleet/messages", `{"driverIds":[` + unknownID + `],"text":"Hi"}`, `driverIds[0]: there is no driver`},
		// The name of the member ends with the kind, or the kind ends with the name.
		{"POST /form-submissions", `{"formTemplate":{"id":"UNKNOWN"},"status":"notStarted"}`, "formTemplate.id: there is no form template"},
		{"POST /fleet/documents", `{"documentTypeId":"UNKNOWN","driverId":"` + firstSeeded + `"}`, "documentTypeId: there is no document type"},
		{"POST /users", `{"authType":"default","email":"a@fleet.example","name":"Ada","roles":[{"roleId":"UNKNOWN"}]}`, "roles[0].roleId: there is no user role"},
		{"PATCH /users/" + firstSeeded, `{"roles":[{"roleId":"UNKNOWN"}]}`, "roles[0].roleId: there is no user role"},
		{"POST /training-assignments?dueAtTime=2026-12-24T00:00:00Z&learnerIds=" + firstSeeded + "&courseId=UNKNOWN", "", "courseId: there is no training course"},
		{"POST /hub/plan", `{"hubId":"UNKNOWN","name":"Monday"}`, "hubId: there is no hub"},
		{"POST /places", `{"name":"Yard","address":"1 Road","geofence":{},"routing":[{"hubId":"` + firstSeeded + `","requiredSkills":[{"id":"UNKNOWN"}]}]}`, "routing[0].requiredSkills[0].id: there is no skill"},
		{"POST /live-shares", `{"name":"L","type":"assetsOnRoute","assetsOnRouteLinkConfig":{"recurringRouteId":"UNKNOWN"}}`, "assetsOnRouteLinkConfig.recurringRouteId: there is no route"},
		{"POST /maintenance/purchase-orders", `{"orderStatus":"Unknown","vendorId":"UNKNOWN"}`, "vendorId: there is no vendor"},
		{"POST /maintenance/warranty-claims", `{"assetId":"` + firstSeeded + `","warrantyVendorId":"UNKNOWN"}`, "warrantyVendorId: there is no vendor"},
		{"POST /maintenance/warranty-claims", `{"assetId":"` + firstSeeded + `","linkedWorkOrderIds":["UNKNOWN"]}`, "linkedWorkOrderIds[0]: there is no work order"},
		{"POST /maintenance/parts/stock-movements", `{"movementType":"Receive","quantity":1,"partSamsaraId":"UNKNOWN"}`, "partSamsaraId: there is no part"},
		{"POST /reports/runs", `{"reportConfig":{"id":"UNKNOWN"}}`, "reportConfig.id: there is no config"},
		{"POST /reports/runs", `{"reportConfig":{"datasetId":"UNKNOWN"}}`, "reportConfig.datasetId: there is no dataset"},
		{"POST /qualification-records", `{"issueDate":"2026-01-01T00:00:00Z","owner":{"id":"` + firstSeeded + `","entityType":"worker"},"qualificationType":{"id":"UNKNOWN"}}`, "qualificationType.id: there is no qualification type"},
		{"POST /fleet/dvirs", `{"authorId":"` + firstSeeded + `","safetyStatus":"safe","type":"mechanic","resolvedDefectIds":["UNKNOWN"]}`, "resolvedDefectIds[0]: there is no defect"},
		// The name of the member is a word for a person.
		{"POST /fleet/dvirs", `{"authorId":"UNKNOWN","safetyStatus":"safe","type":"mechanic"}`, "authorId: there is no user"},
		{"PATCH /fleet/dvirs/" + firstSeeded, `{"authorId":"UNKNOWN","isResolved":true}`, "authorId: there is no user"},
		{"PUT /coaching/driver-coach-assignments?driverId=" + firstSeeded + "&coachId=UNKNOWN", "", "coachId: there is no user"},
		{"POST /training-assignments?dueAtTime=2026-12-24T00:00:00Z&courseId=" + firstSeeded + "&learnerIds=driver-" + firstSeeded + ",driver-UNKNOWN", "", "learnerIds[1]: there is no driver"},
		// Another member decides the kind.
		{"POST /issues", `{"title":"T","asset":{"id":"` + firstSeeded + `"},"assignedTo":{"id":"UNKNOWN","type":"user"}}`, "assignedTo.id: there is no user"},
		{"POST /qualification-records", `{"issueDate":"2026-01-01T00:00:00Z","owner":{"id":"UNKNOWN","entityType":"worker"},"qualificationType":{"id":"` + firstSeeded + `"}}`, "owner.id: there is no user or driver"},
		{"POST /fleet/assets/assignments", `{"assetId":"` + firstSeeded + `","assigneeId":"UNKNOWN","assigneeType":"driver"}`, "assigneeId: there is no driver"},
		{"POST /fleet/assets/assignments", `{"assetId":"` + firstSeeded + `","assigneeId":"UNKNOWN","assigneeType":"geofence"}`, "assigneeId: there is no address or place"},
		{"POST /readings", `{"data":[{"entityType":"asset","entityId":"UNKNOWN","readingId":"engineRpm","happenedAtTime":"2026-01-01T00:00:00Z","value":1}]}`, "data[0].entityId: there is no asset"},
		{"POST /readings", `{"data":[{"entityType":"asset","externalId":"crm:none","readingId":"engineRpm","happenedAtTime":"2026-01-01T00:00:00Z","value":1}]}`, `data[0].externalId: there is no asset \"crm:none\"`},
		{"POST /fleet/asset-sharing/agreements/assets/batch?dsaId=UNKNOWN", `{"data":[{"serial":"AAAA-BBB-CCC","startTime":"2026-12-24T00:00:00Z"}]}`, "dsaId: there is no agreement"},
		{"PATCH /fleet/defects/" + firstSeeded, `{"isResolved":true,"resolvedBy":{"id":"UNKNOWN","type":"mechanic"}}`, "resolvedBy.id: there is no user"},
		// A record of another kind, or the record itself, holds what the reference names.
		{"POST /fleet/documents", `{"documentTypeId":"` + firstSeeded + `","driverId":"` + firstSeeded + `","routeStopId":"UNKNOWN"}`, "routeStopId: there is no route stop"},
		{"PATCH /fleet/routes/" + firstSeeded, `{"stops":[{"id":"` + firstSeeded + `"},{"id":"UNKNOWN"}]}`, "stops[1].id: there is no route stop"},
		// The reference is a name.
		{"POST /fleet/drivers", `{"name":"Ada","username":"ada","password":"p1234567","attributes":[{"name":"Shoes","stringValues":["red"]}]}`, `attributes[0].name: there is no attribute \"Shoes\"`},
	} {
		line, body := strings.ReplaceAll(tt.line, "UNKNOWN", unknownID), strings.ReplaceAll(tt.body, "UNKNOWN", unknownID)
		if status, text := s.send(t, line, body); status != http.StatusBadRequest || !strings.Contains(text, tt.want) {
			t.Errorf("%s %s = %d %.300s, want 400 %s", line, body, status, text, tt.want)
		}
	}
	// A request may name a record by an external id. The answer has the record's own id.
	trailer := s.ask(t, "POST /fleet/trailers", `{"name":"Box","tagIds":["erpId:tag-2"]}`)
	if got := member(t, trailer, "data.tags"); fmt.Sprint(got) != "[map[id:"+secondSeeded+" name:East parentTagId:"+firstSeeded+"]]" {
		t.Errorf("tags of a trailer that was given one by external id = %v", got)
	}
	place := s.ask(t, "POST /places", `{"name":"Yard","address":"1 Road","geofence":{},"tags":[{"id":"`+secondSeeded+`"}]}`)
	if got := member(t, place, "data.tags.0.name"); got != "East" {
		t.Errorf("name of a place's tag = %v, want East", got)
	}
}

func TestSandbox_parentOfATag(t *testing.T) {
	t.Parallel()
	s := startSamsara(t, "--page-size=100")
	parent := func(id string) any { return member(t, s.ask(t, "GET /tags/"+id, ""), "data.parentTagId") }
	for _, verb := range []string{"PATCH", "PUT"} {
		// The second tag is below the first, and the fourth below the second.
		for _, below := range []string{firstSeeded, secondSeeded, "281474976710660", "erpId:tag-4"} {
			body := `{"name":"South","parentTagId":"` + below + `"}`
			if status, text := s.send(t, verb+" /tags/"+firstSeeded, body); status != http.StatusBadRequest || !strings.Contains(text, "parentTagId: ") || !strings.Contains(text, "below it") {
				t.Errorf("%s of the first tag %s = %d %s, want 400", verb, body, status, text)
			}
		}
	}
	if got := parent(firstSeeded); got != nil {
		t.Errorf("the first tag has the parent %v, want none", got)
	}
	s.ask(t, "PATCH /tags/"+secondSeeded, `{"parentTagId":""}`)
	if got := member(t, s.ask(t, "GET /tags/"+secondSeeded, ""), "data.parentTag"); parent(secondSeeded) != nil || got != nil {
		t.Errorf("a tag whose parent was emptied has %v, %v, want none", parent(secondSeeded), got)
	}
	s.ask(t, "PATCH /tags/"+firstSeeded, `{"parentTagId":"`+secondSeeded+`"}`) // The second tag is no longer below the first.
	if got := parent(firstSeeded); got != secondSeeded {
		t.Errorf("the first tag has the parent %v, want %s", got, secondSeeded)
	}
	if got := member(t, s.ask(t, "POST /tags", `{"name":"Blue","parentTagId":""}`), "data.parentTagId"); got != nil {
		t.Errorf("a tag that was created with an empty parent has %v, want none", got)
	}
}

// A deleted record is removed from all others.
func TestSandbox_deletionOfWhatOthersReferTo(t *testing.T) {
	t.Parallel()
	s := startSamsara(t, "--page-size=100")
	remove := func(line string) {
		t.Helper()
		if status, text := s.send(t, line, ""); status != http.StatusNoContent {
			t.Fatalf("%s = %d %s", line, status, text)
		}
	}
	above := s.create(t, "POST /tags", `{"name":"Above"}`)
	below := s.create(t, "POST /tags", `{"name":"Below","parentTagId":"`+above+`"}`)
	contact := s.create(t, "POST /contacts", `{"firstName":"Ada"}`)
	address := s.create(t, "POST /addresses", `{"name":"Depot","formattedAddress":"1 Road","geofence":{"circle":{"radiusMeters":25}},"contactIds":["`+contact+`"],"tagIds":["`+above+`","`+below+`"]}`)
	trailer := s.create(t, "POST /fleet/trailers", `{"name":"Box","tagIds":["`+below+`"]}`)
	s.ask(t, "PATCH /tags/"+below, `{"addresses":["`+address+`","`+firstSeeded+`"]}`)

	remove("DELETE /tags/" + above)
	got := member(t, s.ask(t, "GET /tags/"+below, ""), "data")
	if member(t, got, "parentTagId") != nil || member(t, got, "parentTag") != nil {
		t.Errorf("a tag whose parent is deleted = %v, want none", got)
	}
	record := member(t, s.ask(t, "GET /addresses/"+address, ""), "data")
	if got := idsOf(t, record, "tags"); !slices.Equal(got, []string{below}) {
		t.Errorf("the address has the tags %v, want %s", got, below)
	}
	if got := idsOf(t, record, "contacts"); !slices.Equal(got, []string{contact}) {
		t.Errorf("the address has the contacts %v, want %s", got, contact)
	}
	remove("DELETE /contacts/" + contact)
	if got := idsOf(t, member(t, s.ask(t, "GET /addresses/"+address, ""), "data"), "contacts"); len(got) != 0 {
		t.Errorf("the address has the contacts %v, want none", got)
	}
	route := s.create(t, "POST /fleet/routes", `{"name":"R","stops":[{"addressId":"`+address+`"},{"addressId":"`+firstSeeded+`"}]}`)
	user := s.create(t, "POST /users", `{"name":"Ada","email":"ada@fleet.example","authType":"default","roles":[{"roleId":"`+firstSeeded+`"}]}`)
	order := s.create(t, "POST /maintenance/work-orders", `{"assetId":"`+firstSeeded+`","assignedUserId":"`+user+`"}`)
	remove("DELETE /users/" + user)
	remove("DELETE /addresses/" + address)
	remove("DELETE /fleet/trailers/" + trailer)
	stops := member(t, s.ask(t, "GET /fleet/routes/"+route, ""), "data.stops")
	if gone, there := member(t, stops, "0.address"), member(t, stops, "1.address.id"); gone != nil || there != firstSeeded {
		t.Errorf("the stops of the route are at %v and %v, want none and %s", gone, there, firstSeeded)
	}
	if got := member(t, s.ask(t, "GET /maintenance/work-orders?ids="+order, ""), "data.0.assignedUserId"); got != nil {
		t.Errorf("the work order is assigned to %v, who is deleted", got)
	}
	got = member(t, s.ask(t, "GET /tags/"+below, ""), "data")
	if addresses, assets := idsOf(t, got, "addresses"), idsOf(t, got, "assets"); !slices.Equal(addresses, []string{firstSeeded}) || len(assets) != 0 {
		t.Errorf("the tag has the addresses %v and the assets %v, want %s and none", addresses, assets, firstSeeded)
	}

	// The same holds for seeded records: the second and third tag are below the first.
	remove("DELETE /tags/" + firstSeeded)
	for _, child := range []string{secondSeeded, thirdSeeded} {
		if got := member(t, s.ask(t, "GET /tags/"+child, ""), "data.parentTagId"); got != nil {
			t.Errorf("tag %s has the parent %v, which is deleted", child, got)
		}
	}
	for _, line := range []string{"GET /fleet/vehicles?limit=512", "GET /fleet/drivers?limit=512", "GET /devices?limit=100&includeTags=true"} {
		if _, text := s.send(t, line, ""); strings.Contains(text, `"tags":[{"id":"`+firstSeeded+`"`) || strings.Contains(text, `"parentTagId":"`+firstSeeded+`"`) {
			t.Errorf("%s tells of a tag that is deleted", line)
		}
	}
}

// idsOf returns the ids in a list of records.
func idsOf(t *testing.T, v any, path string) []string {
	t.Helper()
	list, _ := member(t, v, path).([]any)
	ids := make([]string, 0, len(list))
	for _, record := range list {
		id, _ := member(t, record, "id").(string)
		ids = append(ids, id)
	}
	return ids
}

// A record and its tags agree on which tags the record has, and a filter selects by that.
func TestSandbox_membershipIsOneFact(t *testing.T) {
	t.Parallel()
	s := startSamsara(t, "--page-size=100")
	check := func(when string) {
		t.Helper()
		tags, _ := member(t, s.ask(t, "GET /tags?limit=512", ""), "data").([]any)
		for kind, of := range tagged {
			var fromTags, fromRecords []string
			names := map[string]any{}
			records, _ := member(t, s.ask(t, of.list, ""), "data").([]any)
			for _, record := range records {
				id, _ := member(t, record, "id").(string)
				names[id] = member(t, record, "name")
				for _, tag := range idsOf(t, record, "tags") {
					fromRecords = append(fromRecords, tag+" "+id)
				}
			}
			for _, tag := range tags {
				id, _ := member(t, tag, "id").(string)
				list, _ := member(t, tag, of.told).([]any)
				for _, record := range list {
					has, _ := member(t, record, "id").(string)
					fromTags = append(fromTags, id+" "+has)
					if name := member(t, record, "name"); name != names[has] {
						t.Errorf("%s: tag %s calls one of its %s %v, which is %v", when, id, kind, name, names[has])
					}
				}
			}
			slices.Sort(fromTags)
			slices.Sort(fromRecords)
			if diff := cmp.Diff(fromRecords, fromTags); diff != "" || len(fromTags) == 0 {
				t.Errorf("%s: %s and their tags (-told by %s +told by tags):\n%s", when, kind, kind, diff)
			}
			selected := idsOf(t, s.ask(t, of.list+"&tagIds="+secondSeeded, ""), "data")
			var want []string
			for _, pair := range fromRecords {
				if tag, id, _ := strings.Cut(pair, " "); tag == secondSeeded {
					want = append(want, id)
				}
			}
			if diff := cmp.Diff(want, selected); diff != "" {
				t.Errorf("%s: %s that the second tag selects (-want +got):\n%s", when, kind, diff)
			}
		}
	}
	check("at the beginning")
	members := `"vehicles":["` + thirdSeeded + `"],"drivers":["` + thirdSeeded + `"],"addresses":["` + thirdSeeded + `"],"assets":["` + thirdSeeded + `"]`
	created, _ := member(t, s.ask(t, "POST /tags", `{"name":"Blue",`+members+`}`), "data.id").(string)
	check("after the creation of a tag with members")
	var records []string
	for kind, of := range tagged {
		id := thirdSeeded
		if of.create != "" {
			id, _ = member(t, s.ask(t, of.create, strings.ReplaceAll(of.body, "IDS", `["`+secondSeeded+`","`+created+`"]`)), "data.id").(string)
			records = append(records, id)
			check("after the creation of one of the " + kind)
		}
		s.ask(t, strings.ReplaceAll(of.update, "ID", id), `{"tagIds":["`+firstSeeded+`","`+created+`"]}`)
		check("after a change of one of the " + kind)
	}
	if len(records) != 3 {
		t.Errorf("%d records created, want 3", len(records))
	}
	s.ask(t, "PATCH /tags/"+secondSeeded, `{`+members+`}`)
	check("after a change of a tag")
	s.ask(t, "PUT /tags/"+created, `{"name":"Blue"}`)
	check("after the replacement of a tag")
	if got := member(t, s.ask(t, "GET /tags/"+created, ""), "data.vehicles"); got != nil {
		t.Errorf("a tag that was replaced by one without vehicles has %v", got)
	}
	s.ask(t, "PATCH /fleet/vehicles/"+firstSeeded, `{"tagIds":[]}`)
	check("after a vehicle has lost its tags")
	for _, line := range []string{"DELETE /tags/" + secondSeeded, "DELETE /addresses/" + thirdSeeded, "DELETE /assets?id=" + thirdSeeded} {
		if status, text := s.send(t, line, ""); status != http.StatusNoContent {
			t.Fatalf("%s = %d %s", line, status, text)
		}
	}
	if status, _ := s.send(t, "GET /tags/"+secondSeeded, ""); status != http.StatusNotFound {
		t.Errorf("a deleted tag = %d, want 404", status)
	}
	s.ask(t, "PATCH /tags/"+created, strings.ReplaceAll(`{`+members+`}`, `,"addresses":["`+thirdSeeded+`"],"assets":["`+thirdSeeded+`"]`, ""))
	tags := s.ask(t, "GET /tags?limit=512", "")
	if text, err := json.Marshal(tags); err != nil || strings.Contains(string(text), `"id":"`+secondSeeded+`","name":"East"`) {
		t.Errorf("a tag that is deleted is told of: %s (%v)", text, err)
	}
}

// A driver and a vehicle agree on whether they are assigned to each other.
func TestSandbox_assignmentIsOneFact(t *testing.T) {
	t.Parallel()
	s := startSamsara(t, "--page-size=100")
	check := func(when string, want map[string]string) {
		t.Helper()
		for driver := range want {
			if got, _ := member(t, s.ask(t, "GET /fleet/drivers/"+driver, ""), "data.staticAssignedVehicle.id").(string); got != want[driver] {
				t.Errorf("%s: driver %s has the vehicle %q, want %q", when, driver, got, want[driver])
			}
		}
		for _, vehicle := range []string{firstSeeded, secondSeeded, thirdSeeded} {
			driver := ""
			for d, v := range want {
				if v == vehicle {
					driver = d
				}
			}
			if got, _ := member(t, s.ask(t, "GET /fleet/vehicles/"+vehicle, ""), "data.staticAssignedDriver.id").(string); got != driver {
				t.Errorf("%s: vehicle %s has the driver %q, want %q", when, vehicle, got, driver)
			}
		}
	}
	check("at the beginning", map[string]string{firstSeeded: firstSeeded, secondSeeded: secondSeeded, thirdSeeded: thirdSeeded})
	s.ask(t, "PATCH /fleet/drivers/"+firstSeeded, `{"staticAssignedVehicleId":"`+thirdSeeded+`"}`)
	check("after a driver took another's vehicle", map[string]string{firstSeeded: thirdSeeded, secondSeeded: secondSeeded, thirdSeeded: ""})
	s.ask(t, "PATCH /fleet/vehicles/"+secondSeeded, `{"staticAssignedDriverId":"`+thirdSeeded+`"}`)
	check("after a vehicle was given a driver", map[string]string{firstSeeded: thirdSeeded, secondSeeded: "", thirdSeeded: secondSeeded})
	s.ask(t, "PATCH /fleet/vehicles/"+thirdSeeded, `{"staticAssignedDriverId":""}`)
	check("after a vehicle lost its driver", map[string]string{firstSeeded: "", secondSeeded: "", thirdSeeded: secondSeeded})
}

// A record has the same name in every answer.
func TestSandbox_namesAreOneFact(t *testing.T) {
	t.Parallel()
	s := startSamsara(t, "--page-size=100")
	names := func(line, list, id, name string) map[string]string {
		t.Helper()
		records, _ := member(t, s.ask(t, line, ""), list).([]any)
		out := map[string]string{}
		for _, record := range records {
			key := fmt.Sprint(member(t, record, id))
			if n, ok := member(t, record, id).(float64); ok {
				key = strconv.FormatFloat(n, 'f', -1, 64)
			}
			out[key] = fmt.Sprint(member(t, record, name))
		}
		if len(out) == 0 {
			t.Errorf("%s has no %s", line, list)
		}
		return out
	}
	same := func(want map[string]string, line, list, id, name string) {
		t.Helper()
		for key, got := range names(line, list, id, name) {
			if got != want[key] {
				t.Errorf("%s calls %s %q, want %q", line, key, got, want[key])
			}
		}
	}
	s.ask(t, "PATCH /fleet/vehicles/"+secondSeeded, `{"name":"Old Betsy"}`)
	s.ask(t, "PATCH /fleet/drivers/"+secondSeeded, `{"name":"Zoe Zander"}`)
	s.ask(t, "PATCH /fleet/trailers/"+secondSeeded, `{"name":"Long Box"}`)
	s.ask(t, "PATCH /tags/"+secondSeeded, `{"name":"Far East"}`)
	vehicles := names("GET /fleet/vehicles?limit=512", "data", "id", "name")
	drivers := names("GET /fleet/drivers?limit=512", "data", "id", "name")
	assets := names("GET /assets?includeTags=true", "data", "id", "name")
	tags := names("GET /tags?limit=512", "data", "id", "name")
	same(vehicles, "GET /v1/fleet/locations", "vehicles", "id", "name")
	same(vehicles, "GET /fleet/vehicles/locations", "data", "id", "name")
	same(vehicles, "GET /fleet/drivers?limit=512", "data", "staticAssignedVehicle.id", "staticAssignedVehicle.name")
	same(vehicles, "GET /fleet/hos/clocks", "data", "currentVehicle.id", "currentVehicle.name")
	same(drivers, "GET /fleet/hos/clocks", "data", "driver.id", "driver.name")
	same(drivers, "GET /fleet/vehicles?limit=512", "data", "staticAssignedDriver.id", "staticAssignedDriver.name")
	same(assets, "GET /fleet/trailers", "data", "id", "name")
	same(assets, "GET /fleet/equipment", "data", "id", "name")
	same(assets, "GET /v1/fleet/assets", "assets", "id", "name")
	same(assets, "GET /v1/fleet/assets/locations?limit=12", "assets", "id", "name")
	same(tags, "GET /fleet/vehicles?limit=512", "data", "tags.0.id", "tags.0.name")
	same(tags, "GET /devices?includeTags=true", "data", "tags.0.id", "tags.0.name")
	if vehicles[secondSeeded] != "Old Betsy" || drivers[secondSeeded] != "Zoe Zander" || assets[secondSeeded] != "Long Box" || tags[secondSeeded] != "Far East" {
		t.Errorf("the second ones are called %q, %q, %q and %q", vehicles[secondSeeded], drivers[secondSeeded], assets[secondSeeded], tags[secondSeeded])
	}
}

// A driver who drives has time left to drive, and a weight is the same in both units.
func TestSandbox_numbersAgree(t *testing.T) {
	t.Parallel()
	s := startSamsara(t, "--page-size=100")
	number := func(v any, path string) float64 {
		t.Helper()
		n, ok := member(t, v, path).(float64)
		if !ok {
			t.Errorf("%s = %v, want a number", path, member(t, v, path))
		}
		return n
	}
	clocks, _ := member(t, s.ask(t, "GET /fleet/hos/clocks?limit=512", ""), "data").([]any)
	for _, clock := range clocks {
		left := []float64{
			0, number(clock, "clocks.break.timeUntilBreakDurationMs"), number(clock, "clocks.drive.driveRemainingDurationMs"),
			number(clock, "clocks.shift.shiftRemainingDurationMs"), number(clock, "clocks.cycle.cycleRemainingDurationMs"), 70 * 3600 * 1000,
		}
		status := member(t, clock, "currentDutyStatus.hosStatusType")
		over := number(clock, "violations.cycleViolationDurationMs") + number(clock, "violations.shiftDrivingViolationDurationMs")
		if !slices.IsSorted(left) || status != "driving" || over != 0 {
			t.Errorf("clock: %v with %v left until break, of drive, shift and cycle, and %v too much", status, left[1:5], over)
		}
	}
	vehicles, _ := member(t, s.ask(t, "GET /fleet/vehicles?limit=512", ""), "data").([]any)
	for _, vehicle := range vehicles {
		kilograms, pounds := number(vehicle, "vehicleWeightInKilograms"), number(vehicle, "vehicleWeightInPounds")
		if math.Abs(kilograms*2.20462-pounds) > 1 || number(vehicle, "vehicleWeight") != kilograms {
			t.Errorf("vehicle %v weighs %v kg and %v lb, and %v", member(t, vehicle, "id"), kilograms, pounds, member(t, vehicle, "vehicleWeight"))
		}
	}
	locations, _ := member(t, s.ask(t, "GET /v1/fleet/locations", ""), "vehicles").([]any)
	for _, location := range locations {
		if speed := number(location, "speed"); speed > 0 != (member(t, location, "onTrip") == true) {
			t.Errorf("vehicle %v drives at %v, on a trip: %v", member(t, location, "id"), speed, member(t, location, "onTrip"))
		}
	}
	if len(clocks) == 0 || len(vehicles) == 0 || len(locations) == 0 {
		t.Errorf("%d clocks, %d vehicles, %d locations", len(clocks), len(vehicles), len(locations))
	}
}

// A history has a row for each step, and each row has an entry for each requested series, in their order: see
// ../../../shared/cases/01.
func TestSandbox_sensorHistory(t *testing.T) {
	t.Parallel()
	s := startSamsara(t, "--page-size=100")
	const step = 3_600_000
	end := time.Now().Add(-time.Hour).UnixMilli()
	begin := end - 24*step
	ask := func(fill, series string) (times []int64, rows [][]any) {
		t.Helper()
		body := fmt.Sprintf(`{"startMs":%d,"endMs":%d,"stepMs":%d,%s"series":[%s]}`, begin, end, step, fill, series)
		results, _ := member(t, s.ask(t, "POST /v1/sensors/history", body), "results").([]any)
		for _, result := range results {
			at, _ := member(t, result, "timeMs").(float64)
			row, _ := member(t, result, "series").([]any)
			times, rows = append(times, int64(at)), append(rows, row)
		}
		return times, rows
	}
	series := func(id, field string) string { return `{"widgetId":` + id + `,"field":"` + field + `"}` }
	three := series(firstSeeded, "ambientTemperature") + "," + series(unknownID, "humidity") + "," + series(secondSeeded, "doorClosed")
	times, rows := ask("", three)
	var want []int64
	for at := begin; at <= end; at += step {
		want = append(want, at)
	}
	if diff := cmp.Diff(want, times); diff != "" {
		t.Errorf("times (-want +got):\n%s", diff)
	}
	_, filled := ask(`"fillMissing":"withPrevious",`, three)
	_, alone := ask("", series(secondSeeded, "doorClosed"))
	missing := 0
	for i, row := range rows {
		if len(row) != 3 || len(alone[i]) != 1 {
			t.Fatalf("row %d has %d entries of 3, and %d of 1", i, len(row), len(alone[i]))
		}
		if row[1] != nil || alone[i][0] != row[2] {
			t.Errorf("row %d = %v, want null of an unknown sensor and %v of the third series", i, row, alone[i][0])
		}
		for j, v := range row {
			switch {
			case v == nil && j != 1:
				if missing++; i > 0 && filled[i][j] != filled[i-1][j] {
					t.Errorf("row %d, series %d is filled with %v after %v", i, j, filled[i][j], filled[i-1][j])
				}
			case v != filled[i][j]:
				t.Errorf("row %d, series %d = %v, filled %v", i, j, v, filled[i][j])
			}
		}
	}
	if missing == 0 || missing == 2*len(rows) {
		t.Errorf("%d of %d readings are missing, want some", missing, 2*len(rows))
	}
	for body, want := range map[string]string{
		fmt.Sprintf(`{"startMs":%d,"endMs":%d,"stepMs":0,"series":[]}`, begin, end):           "stepMs: must be at least 1, is 0",
		fmt.Sprintf(`{"startMs":%d,"endMs":%d,"stepMs":1000,"series":[]}`, end, begin):        "endMs: must not be before startMs",
		`{"startMs":-9223372036854775808,"endMs":9223372036854775807,"stepMs":1,"series":[]}`: "stepMs: must divide the time into less than 10000 steps",
	} {
		if status, text := s.send(t, "POST /v1/sensors/history", body); status != http.StatusBadRequest || !strings.Contains(text, want) {
			t.Errorf("%s = %d %s, want 400 %s", body, status, text, want)
		}
	}
	// The present reading of a sensor is also in its history.
	got := s.ask(t, "POST /v1/sensors/temperature", `{"sensors":[`+secondSeeded+`]}`)
	sensors, _ := member(t, got, "sensors").([]any)
	if len(sensors) != 1 || fmt.Sprintf("%.0f", member(t, sensors[0], "id")) != secondSeeded {
		t.Fatalf("the temperature of one sensor = %v", got)
	}
	at, err := time.Parse(time.RFC3339, fmt.Sprint(member(t, sensors[0], "ambientTemperatureTime")))
	if err != nil {
		t.Fatal(err)
	}
	begin, end = at.UnixMilli(), at.UnixMilli()
	_, rows = ask("", series(secondSeeded, "ambientTemperature"))
	if reads := member(t, sensors[0], "ambientTemperature"); len(rows) != 1 || rows[0][0] != nil && rows[0][0] != reads {
		t.Errorf("the sensor reads %v and its history at this time tells %v", reads, rows)
	}
}

// Lists have the records that their parameters select.
func TestSandbox_listsSelect(t *testing.T) {
	t.Parallel()
	s := startSamsara(t, "--page-size=100")
	s.ask(t, "PATCH /fleet/drivers/"+secondSeeded, `{"driverActivationStatus":"deactivated"}`)
	drivers := func(query string) []string {
		return idsOf(t, s.ask(t, "GET /fleet/drivers?limit=512"+query, ""), "data")
	}
	if got := drivers("&driverActivationStatus=deactivated"); !slices.Equal(got, []string{secondSeeded}) {
		t.Errorf("deactivated drivers = %v, want the second", got)
	}
	for _, query := range []string{"", "&driverActivationStatus=active"} {
		if got := drivers(query); len(got) != 11 || slices.Contains(got, secondSeeded) {
			t.Errorf("drivers%s = %v, want 11 without the second", query, got)
		}
	}
	logs, _ := member(t, s.ask(t, "GET /fleet/hos/daily-logs?driverActivationStatus=deactivated", ""), "data").([]any)
	for _, log := range logs {
		if id := member(t, log, "driver.id"); id != secondSeeded {
			t.Errorf("daily logs of deactivated drivers have %v", id)
		}
	}
	if len(logs) != 1 {
		t.Errorf("%d daily logs of deactivated drivers, want 1", len(logs))
	}
	for _, tt := range []struct{ line, list, member, value string }{
		{"GET /assets?type=trailer", "data", "type", "trailer"},
		{"GET /defects/stream?startTime=2026-01-01T00:00:00Z&isResolved=true", "data", "isResolved", "true"},
		{"GET /beta/industrial/jobs?status=completed", "data", "status", "completed"},
		{"GET /issues/stream?startTime=2026-01-01T00:00:00Z&status=resolved", "data", "status", "resolved"},
		{"GET /devices?models=CM32&limit=100", "data", "model", "CM32"},
	} {
		records, _ := member(t, s.ask(t, tt.line, ""), tt.list).([]any)
		for _, r := range records {
			if got := fmt.Sprint(member(t, r, tt.member)); got != tt.value {
				t.Errorf("%s has a record with %s %s", tt.line, tt.member, got)
			}
		}
	}
	const idling = "GET /idling/events?startTime=2026-01-01T00:00:00Z&endTime=2026-01-02T00:00:00Z"
	all, _ := member(t, s.ask(t, idling, ""), "data").([]any)
	long, _ := member(t, s.ask(t, idling+"&minDurationMilliseconds=1000000", ""), "data").([]any)
	short, _ := member(t, s.ask(t, idling+"&maxDurationMilliseconds=999999", ""), "data").([]any)
	for _, r := range long {
		if ms, _ := member(t, r, "durationMilliseconds").(float64); ms < 1_000_000 {
			t.Errorf("an event of %v ms is among those of at least 1000000", ms)
		}
	}
	if len(long) == 0 || len(short) == 0 || len(long)+len(short) != len(all) {
		t.Errorf("%d long and %d short events of %d", len(long), len(short), len(all))
	}
	since := time.Now().Add(-time.Minute).UTC().Format(time.RFC3339)
	s.ask(t, "POST /addresses", `{"name":"New","formattedAddress":"1 Road","geofence":{"circle":{"radiusMeters":25}}}`)
	if got := idsOf(t, s.ask(t, "GET /addresses?createdAfterTime="+since, ""), "data"); len(got) != 1 {
		t.Errorf("addresses created since %s = %v, want one", since, got)
	}
	for query, want := range map[string]bool{"": false, "?includeTags=false": false, "?includeTags=true": true} {
		if got := member(t, s.ask(t, "GET /assets"+query, ""), "data.0.tags"); got != nil != want {
			t.Errorf("GET /assets%s has the tags %v, want some: %t", query, got, want)
		}
	}
	for query, want := range map[string]bool{"": false, "&includeExternalIds=true": true} {
		got := s.ask(t, "GET /assets/location-and-speed/stream?ids="+firstSeeded+query, "")
		if got := member(t, got, "data.0.asset.externalIds"); got != nil != want {
			t.Errorf("the stream of locations, %q, has the external ids %v, want some: %t", query, got, want)
		}
	}
	// The fourth tag is below the second, whose vehicles are the first and second.
	below := idsOf(t, s.ask(t, "GET /fleet/vehicles?limit=512&parentTagIds="+secondSeeded, ""), "data")
	own := idsOf(t, s.ask(t, "GET /fleet/vehicles?limit=512&tagIds="+secondSeeded, ""), "data")
	if !slices.Contains(below, "281474976710660") || slices.Contains(own, "281474976710660") || !slices.Contains(own, firstSeeded) || len(below) <= len(own) {
		t.Errorf("vehicles of the second tag are %v, and with those below it %v", own, below)
	}
}
