package main

import (
	"fmt"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"
)

// An attribute and its drivers and vehicles agree on their values, whichever side a client changes.
func TestSandbox_attributesAreOneFact(t *testing.T) {
	t.Parallel()
	s := startSamsara(t, "--page-size=100")
	check := func(when string) (facts []string) {
		t.Helper()
		for entityType, line := range map[string]string{"driver": "GET /fleet/drivers?limit=512", "asset": "GET /fleet/vehicles?limit=512"} {
			var byEntities, byAttributes []string
			entities, _ := member(t, s.ask(t, line, ""), "data").([]any)
			for _, entity := range entities {
				attributes, _ := member(t, entity, "attributes").([]any)
				for _, a := range attributes {
					byEntities = append(byEntities, fmt.Sprint(
						told(t, entity, "id"), " ", told(t, entity, "name"), " ", told(t, a, "id"), " ", told(t, a, "name"), " ",
						told(t, a, "stringValues"), told(t, a, "numberValues"), told(t, a, "dateValues")))
				}
			}
			all, _ := member(t, s.ask(t, "GET /attributes?limit=512&entityType="+entityType, ""), "data").([]any)
			for _, a := range all {
				alone := s.ask(t, "GET /attributes/"+told(t, a, "id")+"?entityType="+entityType, "")
				if is := told(t, alone, "data.entityType"); is != entityType || told(t, a, "entityType") != entityType {
					t.Errorf("%s: an attribute of the type %s is %s alone and %s in the list", when, entityType, is, told(t, a, "entityType"))
				}
				has, _ := member(t, alone, "data.entities").([]any)
				for _, e := range has {
					byAttributes = append(byAttributes, fmt.Sprint(
						told(t, e, "entityId"), " ", told(t, e, "name"), " ", told(t, a, "id"), " ", told(t, a, "name"), " ",
						told(t, e, "stringValues"), told(t, e, "numberValues"), told(t, e, "dateValues")))
				}
			}
			slices.Sort(byEntities)
			slices.Sort(byAttributes)
			if !slices.Equal(byEntities, byAttributes) || len(byEntities) == 0 {
				t.Errorf("%s: attributes of each %s\ntold by them     %q\ntold by attributes %q", when, entityType, byEntities, byAttributes)
			}
			facts = append(facts, byEntities...)
		}
		return facts
	}
	has := func(facts []string, want string) bool {
		return slices.ContainsFunc(facts, func(f string) bool { return strings.Contains(f, want) })
	}
	check("at the beginning")
	created := told(t, s.ask(t, "POST /attributes", `{"name":"Shift","entityType":"driver","attributeType":"multi-select","stringValues":["day","night"],`+
		`"entities":[{"entityId":"`+secondSeeded+`","stringValues":["night"]}]}`), "data.id")
	if facts := check("after the creation of an attribute"); !has(facts, created+" Shift [night]") {
		t.Errorf("the attribute that was created is not in %q", facts)
	}
	s.ask(t, "PATCH /fleet/drivers/"+thirdSeeded, `{"attributes":[{"id":"`+created+`","stringValues":["day"]}]}`)
	if facts := check("after a change of a driver"); !has(facts, created+" Shift [day]") || !has(facts, created+" Shift [night]") {
		t.Errorf("the attributes are %q, want both values", facts)
	}
	got := s.ask(t, "GET /attributes/"+created+"?entityType=driver", "")
	expect(t, "values", got, "data.values.0.stringValue=day", "data.entities.0.values.0.stringValue=night", "data.entities.0.values.0.id="+told(t, got, "data.values.1.id"))
	if ids := idsOf(t, s.ask(t, "GET /fleet/drivers?attributeValueIds="+told(t, got, "data.values.0.id"), ""), "data"); !slices.Equal(ids, []string{thirdSeeded}) {
		t.Errorf("the drivers of a value are %v, want the third", ids)
	}
	s.ask(t, "PATCH /attributes/"+created, `{"entityType":"driver","name":"Turn","entities":[{"entityId":"`+firstSeeded+`","stringValues":["day","night"]}]}`)
	if facts := check("after a change of an attribute"); !has(facts, created+" Turn [day night]") || has(facts, "Shift") {
		t.Errorf("the attributes are %q, want one of the first driver", facts)
	}
	s.ask(t, "PATCH /fleet/vehicles/"+secondSeeded, `{"attributes":[]}`)
	check("after a vehicle lost its attributes")
	if status, text := s.send(t, "GET /attributes/"+created+"?entityType=asset", ""); status != http.StatusNotFound {
		t.Errorf("an attribute of drivers, asked for as one of assets = %d %s, want 404", status, text)
	}
	if status, text := s.send(t, "DELETE /attributes/"+created+"?entityType=driver", ""); status != http.StatusNoContent {
		t.Fatalf("DELETE = %d %s", status, text)
	}
	if facts := check("after the deletion of an attribute"); has(facts, "Turn") {
		t.Errorf("a deleted attribute is in %q", facts)
	}
}

// A reference to a deleted record is removed, whatever its name, and so is an assignment of the record.
func TestSandbox_deletionInEveryKind(t *testing.T) {
	t.Parallel()
	s := startSamsara(t, "--page-size=100")
	user := s.create(t, "POST /users", `{"name":"Ada","email":"ada@fleet.example","authType":"default","roles":[{"roleId":"`+firstSeeded+`"}]}`)
	asset := s.create(t, "POST /assets", `{"name":"Crane"}`)
	trailer := s.create(t, "POST /fleet/trailers", `{"name":"Box"}`)
	issue := s.create(t, "POST /issues", `{"title":"Leak","asset":{"id":"`+asset+`"},"assignedTo":{"id":"`+user+`","type":"user"}}`)
	assignment := s.create(t, "POST /driver-trailer-assignments", `{"driverId":"`+secondSeeded+`","trailerId":"`+trailer+`"}`)
	assigned := func(driver string) []string {
		t.Helper()
		return idsOf(t, s.ask(t, "GET /driver-trailer-assignments?driverIds="+driver, ""), "data")
	}
	expect(t, "issue", s.ask(t, "GET /issues?ids="+issue, ""), "data.0.assignedTo.id="+user, "data.0.asset.id="+asset)
	if !slices.Contains(assigned(secondSeeded), assignment) {
		t.Errorf("the assignments of the driver are %v, want %s among them", assigned(secondSeeded), assignment)
	}
	for _, line := range []string{
		"DELETE /users/" + user, "DELETE /users/" + firstSeeded, "DELETE /assets?id=" + asset, "DELETE /fleet/trailers/" + trailer,
		"DELETE /fleet/trailers/" + firstSeeded, "DELETE /fleet/routes/" + firstSeeded,
	} {
		if status, text := s.send(t, line, ""); status != http.StatusNoContent {
			t.Fatalf("%s = %d %s", line, status, text)
		}
	}
	expect(t, "issue", s.ask(t, "GET /issues?ids="+issue, ""), "data.0.assignedTo=-", "data.0.asset=-", "data.0.title=Leak")
	expect(t, "document", s.ask(t, "GET /fleet/documents/"+firstSeeded, ""), "data.route=-", "data.id="+firstSeeded)
	order := s.ask(t, "GET /maintenance/work-orders?ids="+firstSeeded, "")
	expect(t, "work order", order, "data.0.assetId="+firstSeeded, "data.0.assignedUserId=-", "data.0.createdByUserId=-")
	if got := assigned(secondSeeded); slices.Contains(got, assignment) {
		t.Errorf("the assignment of a deleted trailer is among %v", got)
	}
	if got := assigned(firstSeeded); slices.Contains(got, firstSeeded) {
		t.Errorf("the assignment of a deleted trailer that the fleet began with is among %v", got)
	}
}

// A member that a client does not send has the default in the documentation, or is absent. Everything that a
// client does is attributed to the user of its token.
func TestSandbox_nothingIsInvented(t *testing.T) {
	t.Parallel()
	s := startSamsara(t)
	before := time.Now()
	plan := s.ask(t, "POST /hub/plan", `{"hubId":"`+secondSeeded+`","name":"Monday"}`)
	begins, err := time.Parse(time.RFC3339, told(t, plan, "data.shiftStartTime"))
	zone, zoneErr := time.LoadLocation(told(t, s.ask(t, "GET /hubs", ""), "data.0.timeZone"))
	if err != nil || zoneErr != nil {
		t.Fatal(err, zoneErr)
	}
	if begins = begins.In(zone); begins.Hour() != 9 || begins.Minute() != 0 || begins.Weekday() == time.Saturday || begins.Weekday() == time.Sunday ||
		begins.Before(before) || begins.Sub(before) > 4*24*time.Hour {
		t.Errorf("the shift of a plan begins at %v, want 9:00 on the next business day", begins)
	}
	form := s.ask(t, "POST /form-submissions", `{"formTemplate":{"id":"`+firstSeeded+`"},"status":"notStarted"}`)
	expect(t, "form", form, "data.status=notStarted", "data.submittedAtTime=0001-01-01T00:00:00.000Z", "data.submittedBy.id="+firstSeeded, "data.submittedBy.type=user")

	job := s.ask(t, "POST /beta/industrial/jobs", `{"job":{"id":"J-9","name":"Dig","startDate":"2026-12-01T00:00:00Z"}}`)
	expect(t, "job", job, "data.startDate=2026-12-01T00:00:00Z", "data.endDate=0001-01-01T00:00:00.000Z")

	organization := told(t, s.ask(t, "GET /me", ""), "data.id")
	for range 3 {
		agreement := s.ask(t, "POST /fleet/asset-sharing/agreements", `{"operator":"provider","providerDataPackages":["location"],"recipientDataPackages":[],`+
			`"recipientOrganizationId":"5","recipientOrganizationName":"Other"}`)
		expect(t, "agreement", agreement, "data.providerOrganizationId="+organization, "data.createdByUserId="+firstSeeded)
		issue := s.ask(t, "POST /issues", `{"title":"Leak","asset":{"id":"`+thirdSeeded+`"}}`)
		expect(t, "issue", issue, "data.asset.entryType=tracked", "data.submittedBy.id="+firstSeeded, "data.submittedBy.type=user")
		record := s.ask(t, "POST /qualification-records", `{"issueDate":"2026-01-01T00:00:00Z","owner":{"id":"`+secondSeeded+`","entityType":"worker"},`+
			`"qualificationType":{"id":"`+thirdSeeded+`"}}`)
		expect(t, "qualification", record, "data.createdBy.id="+firstSeeded, "data.updatedBy.id="+firstSeeded, "data.createdBy.type=user", "data.updatedBy.type=user")
	}
	for _, id := range []string{firstSeeded, secondSeeded, thirdSeeded} {
		expect(t, "seeded issue", s.ask(t, "GET /issues?ids="+id, ""), "data.0.asset.entryType=tracked")
	}
}

// All views of a record agree.
func TestSandbox_viewsAgree(t *testing.T) {
	t.Parallel()
	s := startSamsara(t, "--page-size=100")
	same := func(what string, a, b string) {
		t.Helper()
		if a != b || a == "-" || a == "" {
			t.Errorf("%s: %q and %q, want the same", what, a, b)
		}
	}
	vehicles := s.ask(t, "GET /fleet/vehicles?limit=512", "")
	for i, id := range []string{firstSeeded, secondSeeded, thirdSeeded} {
		at := func(path string) string { return told(t, vehicles, fmt.Sprintf("data.%d.%s", i, path)) }
		alone := s.ask(t, "GET /fleet/vehicles/"+id, "")
		same("weight", at("vehicleWeightInKilograms"), told(t, alone, "data.grossVehicleWeight.weight"))
		same("unit of the weight", "kg", told(t, alone, "data.grossVehicleWeight.unit"))
		same("type", at("vehicleType"), told(t, alone, "data.vehicleType"))
		same("harsh acceleration", at("harshAccelerationSettingType"), told(t, alone, "data.harshAccelerationSettingType"))
		same("gateway", at("gateway.model"), told(t, alone, "data.gateway.model"))
		for _, line := range []string{"GET /gateways", "GET /devices?limit=100"} {
			same(line, at("gateway.model"), told(t, s.ask(t, line, ""), fmt.Sprintf("data.%d.model", i)))
		}
		same("gateway of the equipment", at("gateway.model"), told(t, s.ask(t, "GET /fleet/equipment/"+id, ""), "data.installedGateway.model"))
		user := s.ask(t, "GET /users/"+id, "")
		same("role", told(t, user, "data.roles.0.role.name"), told(t, s.ask(t, "GET /user-roles", ""), fmt.Sprintf("data.%d.name", i)))
	}
	s.ask(t, "PATCH /fleet/vehicles/"+secondSeeded, `{"grossVehicleWeight":{"unit":"lb","weight":22046}}`)
	heavy := s.ask(t, "GET /fleet/vehicles?limit=2", "")
	expect(t, "vehicle of 22046 lb", heavy, "data.1.vehicleWeightInPounds=22046", "data.1.vehicleWeightInKilograms=10000", "data.1.vehicleWeight=22046")

	carrier := func(when string) {
		t.Helper()
		me, settings := s.ask(t, "GET /me", ""), s.ask(t, "GET /fleet/settings/compliance", "")
		same(when+": carrier's name", told(t, me, "data.carrierSettings.carrierName"), told(t, settings, "data.carrierName"))
		same(when+": DOT number", told(t, me, "data.carrierSettings.dotNumber"), told(t, settings, "data.dotNumber"))
		same(when+": office", told(t, me, "data.carrierSettings.mainOfficeAddress"), told(t, settings, "data.mainOfficeFormattedAddress"))
	}
	carrier("at the beginning")
	s.ask(t, "PATCH /fleet/settings/compliance", `{"carrierName":"Acme","dotNumber":98231,"mainOfficeFormattedAddress":"1 Road"}`)
	carrier("after a change")
	expect(t, "me", s.ask(t, "GET /me", ""), "data.carrierSettings.carrierName=Acme", "data.carrierSettings.dotNumber=98231")

	s.ask(t, "POST /fleet/driver-vehicle-assignments", `{"driverId":"`+secondSeeded+`","vehicleId":"`+firstSeeded+`","startTime":"2026-12-01T00:00:00Z","isPassenger":true}`)
	ofVehicle := s.ask(t, "GET /fleet/vehicles/driver-assignments?vehicleIds="+firstSeeded, "")
	expect(t, "assignments of the vehicle", ofVehicle, "data.0.driverAssignments.0.driver.id="+firstSeeded, "data.0.driverAssignments.1.driver.id="+secondSeeded,
		"data.0.driverAssignments.1.isPassenger=true", "data.0.driverAssignments.1.startTime=2026-12-01T00:00:00Z", "data.0.driverAssignments.2=-")
	ofDriver := s.ask(t, "GET /fleet/drivers/vehicle-assignments?driverIds="+secondSeeded, "")
	expect(t, "assignments of the driver", ofDriver, "data.0.vehicleAssignments.0.vehicle.id="+secondSeeded, "data.0.vehicleAssignments.1.vehicle.id="+firstSeeded,
		"data.0.vehicleAssignments.2=-")
}

// A list of the records that belong to one record has these. For a record that does not exist there is no
// list.
func TestSandbox_listsOfOneRecord(t *testing.T) {
	t.Parallel()
	s := startSamsara(t, "--page-size=100")
	const window = "startTime=2026-01-01T00:00:00Z&endTime=2026-12-31T00:00:00Z"
	made := s.create(t, "POST /fleet/documents", `{"documentTypeId":"`+secondSeeded+`","driverId":"`+firstSeeded+`"}`)
	documents, _ := member(t, s.ask(t, "GET /fleet/documents?"+window+"&documentTypeId="+secondSeeded, ""), "data").([]any)
	var ids []string
	for _, document := range documents {
		ids = append(ids, told(t, document, "id"))
		expect(t, "document", document, "documentType.id="+secondSeeded)
	}
	if !slices.Equal(ids, []string{secondSeeded, made}) {
		t.Errorf("documents of the second type are %v, want %s and %s", ids, secondSeeded, made)
	}
	orders, _ := member(t, s.ask(t, "GET /preview/fleet/orders/stream?"+window+"&routeId="+thirdSeeded, ""), "data").([]any)
	for _, order := range orders {
		expect(t, "order", order, "tasks.0.routeId="+thirdSeeded)
	}
	if len(orders) == 0 {
		t.Error("no order of the third route")
	}
	plan := s.create(t, "POST /hub/plan", `{"hubId":"`+secondSeeded+`","name":"Monday"}`)
	expect(t, "orders of a plan that has none", s.ask(t, "GET /hub/plan/orders?planId="+plan, ""), "data=[]")
	plans, _ := member(t, s.ask(t, "GET /hub/plans?hubId="+thirdSeeded, ""), "data").([]any)
	if len(plans) != 1 || told(t, plans[0], "id") != thirdSeeded {
		t.Errorf("plans of the third hub are %v, want the third alone", plans)
	}
	for _, line := range []string{
		"GET /fleet/documents?" + window + "&documentTypeId=" + unknownID, "GET /preview/fleet/orders/stream?" + window + "&routeId=" + unknownID,
		"GET /hub/plans?hubId=" + unknownID,
	} {
		if status, text := s.send(t, line, ""); status != http.StatusNotFound || !strings.Contains(text, unknownID) {
			t.Errorf("%s = %d %s, want 404 that names the id", line, status, text)
		}
	}
}

// The seeded records of a fleet agree with each other.
func TestSandbox_seedsHangTogether(t *testing.T) {
	t.Parallel()
	s := startSamsara(t, "--page-size=100")
	addresses, _ := member(t, s.ask(t, "GET /addresses?limit=512", ""), "data").([]any)
	areas := map[string]int{}
	for _, address := range addresses {
		circle, polygon := member(t, address, "geofence.circle") != nil, member(t, address, "geofence.polygon") != nil
		if circle == polygon {
			t.Errorf("address %s is a circle: %t, and a polygon: %t", told(t, address, "id"), circle, polygon)
		}
		north, east := number(t, address, "latitude"), number(t, address, "longitude")
		if circle {
			areas["circle"]++
			if number(t, address, "geofence.circle.latitude") != north || number(t, address, "geofence.circle.longitude") != east || number(t, address, "geofence.circle.radiusMeters") <= 0 {
				t.Errorf("the circle of %s is %v", told(t, address, "id"), member(t, address, "geofence.circle"))
			}
			continue
		}
		areas["polygon"]++
		var low, high [2]float64
		vertices, _ := member(t, address, "geofence.polygon.vertices").([]any)
		for i, v := range vertices {
			at := [2]float64{number(t, v, "latitude"), number(t, v, "longitude")}
			if i == 0 {
				low, high = at, at
			}
			for j := range at {
				low[j], high[j] = min(low[j], at[j]), max(high[j], at[j])
			}
		}
		if len(vertices) < 3 || low[0] >= north || high[0] <= north || low[1] >= east || high[1] <= east {
			t.Errorf("the polygon of %s, %v, does not contain %v, %v", told(t, address, "id"), vertices, north, east)
		}
	}
	if areas["circle"] == 0 || areas["polygon"] == 0 {
		t.Errorf("areas of the addresses are %v, want some of both kinds", areas)
	}
	states, _ := member(t, s.ask(t, "GET /fleet/vehicles/immobilizer/stream?startTime=2026-01-01T00:00:00Z&vehicleIds="+firstSeeded, ""), "data").([]any)
	for _, state := range states {
		if one, other := told(t, state, "relayStates.0.id"), told(t, state, "relayStates.1.id"); one == other {
			t.Fatalf("the relays of a vehicle are %s and %s", one, other)
		}
	}
	submissions, _ := member(t, s.ask(t, "GET /form-submissions?ids="+firstSeeded+"&ids="+secondSeeded+"&ids="+thirdSeeded, ""), "data").([]any)
	for _, form := range submissions {
		status := told(t, form, "status")
		begun := status != "notStarted" && status != "inProgress"
		if submitted := told(t, form, "submittedAtTime"); strings.HasPrefix(submitted, "0001-") == begun {
			t.Errorf("a form that is %s was submitted at %s", status, submitted)
		}
	}
	inspections := 0
	for i := range 12 {
		id := strconv.Itoa(281474976710657 + i)
		dvir, open := s.ask(t, "GET /dvirs/"+id, ""), false
		defects, _ := member(t, dvir, "defectIds").([]any)
		for _, of := range defects {
			defect := s.ask(t, "GET /defects/"+fmt.Sprint(of), "")
			resolved := member(t, defect, "isResolved") == true
			if open = open || !resolved; (told(t, defect, "resolvedAtTime") != "-") != resolved {
				t.Errorf("defect %s is resolved: %t, at %s", of, resolved, told(t, defect, "resolvedAtTime"))
			}
		}
		if status := told(t, dvir, "safetyStatus"); (status == "unsafe") != open {
			t.Errorf("DVIR %s is %s, with an open defect: %t", id, status, open)
		}
		inspections += len(defects)
	}
	if len(states) == 0 || len(submissions) == 0 || inspections == 0 {
		t.Errorf("%d states, %d forms and %d defects", len(states), len(submissions), inspections)
	}
}

// number returns the number at a path.
func number(t *testing.T, v any, path string) float64 {
	t.Helper()
	n, ok := member(t, v, path).(float64)
	if !ok {
		t.Errorf("%s = %v, want a number", path, member(t, v, path))
	}
	return n
}
