package main

import (
	"encoding/json"
	"fmt"
	"net/http"
	"strconv"
	"strings"
	"testing"
)

// told returns the value at a path as text, "-" if there is none.
func told(t *testing.T, v any, path string) string {
	t.Helper()
	for step := range strings.SplitSeq(path, ".") {
		switch in := v.(type) {
		case map[string]any:
			v = in[step]
		case []any:
			i, err := strconv.Atoi(step)
			if err != nil || i >= len(in) {
				return "-"
			}
			v = in[i]
		default:
			return "-"
		}
	}
	switch v := v.(type) {
	case nil:
		return "-"
	case float64:
		return strconv.FormatFloat(v, 'f', -1, 64)
	}
	return fmt.Sprint(v)
}

// expect compares the values at paths of an answer, each "path=value": assigned is any value, "-" none.
func expect(t *testing.T, line string, answer any, want ...string) {
	t.Helper()
	for _, w := range want {
		path, value, _ := strings.Cut(w, "=")
		if got := told(t, answer, path); got != value && (value != assigned || got == "-" || got == "") {
			t.Errorf("%s: %s = %s, want %s", line, path, got, value)
		}
	}
}

func TestSandbox_creationAnswersWhatWasSent(t *testing.T) {
	t.Parallel()
	s := startSamsara(t)
	const third = "281474976710659"
	tests := map[string]struct {
		line, body string
		want       []string
	}{
		"plan": {
			"POST /hub/plan", `{"hubId":"` + secondSeeded + `","name":"Monday"}`,
			[]string{"data.id=*", "data.name=Monday", "data.hubId=" + secondSeeded, "data.createdAt=*"},
		},
		"asset assignment": {
			"POST /fleet/assets/assignments", `{"assetId":"` + third + `","assigneeId":"` + secondSeeded + `","assigneeType":"driver"}`,
			[]string{"data.asset.id=" + third, "data.assignee.id=" + secondSeeded, "data.assignee.assigneeType=driver", "data.endTime=-", "data.expectedEndTime=-"},
		},
		"workflow assignment": {
			"POST /fleet/drivers/workflow-assignments", `{"workflowId":"wf-1","driverIdsToPublish":["` + secondSeeded + `"]}`,
			[]string{"data.workflowId=wf-1"},
		},
		"message to several drivers": {
			"POST /v1/fleet/messages", `{"driverIds":[` + secondSeeded + `,` + third + `],"text":"hi"}`,
			[]string{"data.0.driverId=" + secondSeeded, "data.1.driverId=" + third, "data.0.text=hi", "data.1.text=hi", "data.2=-"},
		},
		"training of several drivers": {
			"POST /training-assignments?courseId=" + third + "&dueAtTime=2026-12-24T00:00:00Z&learnerIds=" + firstSeeded + "," + secondSeeded, "",
			[]string{
				"data.0.learner.id=" + firstSeeded, "data.1.learner.id=" + secondSeeded, "data.2=-", "data.0.course.id=" + third,
				"data.1.dueAtTime=2026-12-24T00:00:00Z", "data.0.isExistingAssignment=false",
			},
		},
		"user with a role": {
			"POST /users", `{"name":"Ada","email":"ada@fleet.example","authType":"default","roles":[{"roleId":"` + third + `","tagId":"` + secondSeeded + `"}]}`,
			[]string{"data.email=ada@fleet.example", "data.roles.0.role.id=" + third, "data.roles.0.tag.id=" + secondSeeded, "data.roles.0.expireAt=-", "data.roles.1=-"},
		},
		"several orders": {
			"POST /preview/fleet/orders/batch", `{"data":[{"samsaraCustomerOrderName":"A"},{"samsaraCustomerOrderName":"B"}]}`,
			[]string{
				"requestId=*", "responses.0.status=200", "responses.0.data.id=*", "responses.0.data.samsaraCustomerOrderName=A",
				"responses.1.data.samsaraCustomerOrderName=B", "responses.2=-", "responses.0.message=-", "responses.0.data.tasks=[]",
			},
		},
		"pair of a device and a gateway": {
			"POST /gateways/pair", `{"pairs":[{"deviceSerial":"AAAA-BBB-CCC","gatewaySerial":"DDDD-EEE-FFF"}]}`,
			[]string{"data.0.device.serial=AAAA-BBB-CCC", "data.0.gateway.serial=DDDD-EEE-FFF", "data.0.displacedGateway=-", "data.1=-"},
		},
		"shared asset": {
			"POST /fleet/asset-sharing/agreements/assets/batch?dsaId=" + firstSeeded, `{"data":[{"serial":"AAAA-BBB-CCC","startTime":"2026-12-24T00:00:00Z"}]}`,
			[]string{"data.0.id=*", "data.0.serial=AAAA-BBB-CCC", "data.0.startTime=2026-12-24T00:00:00Z", "data.0.endTime=-", "data.1=-"},
		},
		"assets of a warranty": {
			"POST /maintenance/warranties/assets/replace?warrantyId=" + firstSeeded, `{"assets":[{"assetId":"` + secondSeeded + `","startEngineHours":7}]}`,
			[]string{
				"data.data.0.assetId=" + secondSeeded, "data.data.0.startEngineHours=7", "data.data.0.warrantyId=" + firstSeeded,
				"data.data.0.startOdometerMeters=-", "data.data.1=-",
			},
		},
		"invoice scan": {
			"POST /maintenance/invoice-scans", `{"workOrderId":"` + secondSeeded + `","file":{"base64Content":"eA==","contentType":"application/pdf"}}`,
			[]string{"data.workOrderId=" + secondSeeded},
		},
		"IFTA job": {
			"POST /ifta-detail/csv", `{"startHour":"2026-11-01T00:00:00Z","endHour":"2026-11-02T00:00:00Z","vehicleIds":"` + firstSeeded + `,` + secondSeeded + `"}`,
			[]string{
				"data.jobId=*", "data.jobStatus=Requested", "data.args.startHour=2026-11-01T00:00:00Z", "data.args.vehicleIds.0=" + firstSeeded,
				"data.args.vehicleIds.1=" + secondSeeded, "data.completedAtTime=-", "data.files=-",
			},
		},
		"qualification record": {
			"POST /qualification-records",
			`{"issueDate":"2026-01-01T00:00:00Z","owner":{"id":"` + secondSeeded + `","entityType":"worker"},"qualificationType":{"id":"` + third + `"}}`,
			[]string{"data.recordStatus=active", "data.owner.id=" + secondSeeded, "data.owner.entityType=worker", "data.issueDate=2026-01-01T00:00:00Z", "data.fields=[]"},
		},
		"issue": {
			"POST /issues", `{"title":"Leak","asset":{"id":"` + third + `"}}`,
			[]string{"data.status=open", "data.title=Leak", "data.asset.id=" + third, "data.dueDate=-", "data.assignedTo=-", "data.mediaList=-"},
		},
		"industrial job with an id of the client's": {
			"POST /beta/industrial/jobs",
			`{"job":{"id":"J-7","name":"Dig","startDate":"2026-12-01T00:00:00Z","endDate":"2026-12-02T00:00:00Z",` +
				`"address":{"name":"Site","address":"1 Road","latitude":1.5,"longitude":2.5}}}`,
			[]string{"data.id=J-7", "data.uuid=*", "id=J-7", "uuid=*", "data.address.name=Site", "data.fleetDevices=-", "data.customerName=", "data.notes="},
		},
		"industrial asset": {
			"POST /industrial/assets", `{"name":"Pump","tagIds":["` + secondSeeded + `"]}`,
			[]string{"data.name=Pump", "data.tags.0.id=" + secondSeeded, "data.tags.1=-", "data.isRunning=false", "data.parentAsset=-", "data.dataOutputs=-"},
		},
		"watchpoint": {
			"POST /ground-intelligence/watchpoints", `{"location":{"latitude":1.5,"longitude":2.5},"mode":"daily","observationType":"guardrail"}`,
			[]string{"data.id=*", "data.location.latitude=1.5", "data.mode=daily", "data.observationType=guardrail", "data.status=active", "data.observationCount=0"},
		},
		"route": {
			"POST /fleet/routes",
			`{"name":"R","driverId":"` + secondSeeded + `","stops":[{"name":"a","addressId":"` + third + `"},{"name":"b","singleUseLocation":{"latitude":1.5,"longitude":2.5}}]}`,
			[]string{
				"data.driver.id=" + secondSeeded, "data.vehicle=-", "data.stops.0.id=*", "data.stops.0.name=a", "data.stops.0.address.id=" + third,
				"data.stops.0.state=scheduled", "data.stops.1.singleUseLocation.latitude=1.5", "data.stops.1.address=-", "data.stops.2=-",
			},
		},
		"driver-vehicle assignment": {
			"POST /fleet/driver-vehicle-assignments", `{"driverId":"` + secondSeeded + `","vehicleId":"` + third + `","isPassenger":true}`,
			[]string{"data.vehicle=-", "data.driver=-"},
		},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			expect(t, tt.line, s.ask(t, tt.line, tt.body), tt.want...)
		})
	}
}

// A created record can be read afterwards, by the id in the answer.
func TestSandbox_creationIsReadBack(t *testing.T) {
	t.Parallel()
	s := startSamsara(t)
	last := func(line string) any {
		t.Helper()
		records, _ := member(t, s.ask(t, line, ""), "data").([]any)
		if len(records) == 0 {
			t.Fatalf("%s answers no records", line)
		}
		return records[len(records)-1]
	}
	s.ask(t, "POST /hub/plan", `{"hubId":"`+secondSeeded+`","name":"Monday"}`)
	expect(t, "plans", last("GET /hub/plans?limit=100&hubId="+secondSeeded), "name=Monday", "hubId="+secondSeeded)

	job := told(t, s.ask(t, "POST /ifta-detail/csv", `{"startHour":"2026-11-01T00:00:00Z","endHour":"2026-11-02T00:00:00Z"}`), "data.jobId")
	expect(t, "IFTA job", s.ask(t, "GET /ifta-detail/csv/"+job, ""), "data.jobId="+job, "data.args.startHour=2026-11-01T00:00:00Z", "data.args.vehicleIds=[]")

	route := s.ask(t, "POST /fleet/routes", `{"name":"R","stops":[{"name":"a"},{"name":"b"}]}`)
	again := s.ask(t, "GET /fleet/routes/"+told(t, route, "data.id"), "")
	first, second := told(t, route, "data.stops.0.id"), told(t, route, "data.stops.1.id")
	if expect(t, "route", again, "data.stops.0.id="+first, "data.stops.1.id="+second, "data.stops.1.name=b"); first == second || first == told(t, route, "data.id") {
		t.Errorf("a route %s has the stops %s and %s, want ids of their own", told(t, route, "data.id"), first, second)
	}

	made := s.ask(t, "POST /beta/industrial/jobs", `{"job":{"id":"J-8","name":"Dig","startDate":"2026-12-01T00:00:00Z","endDate":"2026-12-02T00:00:00Z",`+
		`"address":{"name":"Site","address":"1 Road","latitude":1.5,"longitude":2.5}}}`)
	for _, id := range []string{"jobId:J-8", told(t, made, "data.uuid")} {
		expect(t, "job "+id, s.ask(t, "GET /beta/industrial/jobs?id="+id, ""), "data.0.name=Dig", "data.0.id=J-8", "data.1=-")
	}

	s.ask(t, "POST /fleet/driver-vehicle-assignments", `{"driverId":"`+secondSeeded+`","vehicleId":"`+firstSeeded+`","isPassenger":true}`)
	expect(t, "assignments", last("GET /fleet/driver-vehicle-assignments?filterBy=drivers&driverIds="+secondSeeded),
		"driver.id="+secondSeeded, "vehicle.id="+firstSeeded, "isPassenger=true", "endTime=-", "assignmentType=-", "metadata=-", "startTime=*")
	s.ask(t, "PATCH /fleet/driver-vehicle-assignments",
		`{"driverId":"`+secondSeeded+`","vehicleId":"`+firstSeeded+`","startTime":"2026-12-01T00:00:00Z","isPassenger":false}`)
	expect(t, "changed assignment", last("GET /fleet/driver-vehicle-assignments?filterBy=drivers&driverIds="+secondSeeded),
		"vehicle.id="+firstSeeded, "isPassenger=false", "startTime=2026-12-01T00:00:00Z")
	if status, text := s.send(t, "DELETE /fleet/driver-vehicle-assignments", `{"vehicleId":"`+firstSeeded+`"}`); status > 299 {
		t.Errorf("deleting an assignment = %d %s", status, text)
	}
	expect(t, "assignments without it", last("GET /fleet/driver-vehicle-assignments?filterBy=drivers&driverIds="+secondSeeded), "vehicle.id="+secondSeeded)

	// Records without an id are identified by what they belong to.
	const stock = "/maintenance/parts/inventory-location?partSamsaraId=281474976710659&placeId=" + secondSeeded
	made = s.ask(t, "POST "+stock, `{"aisle":"A","bin":"1"}`)
	expect(t, "stock", s.ask(t, "PATCH "+stock, `{"bin":"2"}`), "data.id="+told(t, made, "data.id"), "data.aisle=A", "data.bin=2", "data.row=-")
	expect(t, "stocks", last("GET /maintenance/parts/inventory-location?limit=100"), "aisle=A", "bin=2", "place.id="+secondSeeded)
	if status, text := s.send(t, "PATCH "+strings.Replace(stock, "659", "660", 1), `{"bin":"2"}`); status != http.StatusNotFound {
		t.Errorf("PATCH of a stock that there is not = %d %s, want 404", status, text)
	}

	order := told(t, s.ask(t, "POST /preview/fleet/orders/batch", `{"data":[{"samsaraCustomerOrderName":"A"}]}`), "responses.0.data.id")
	expect(t, "changed order", s.ask(t, "POST /preview/fleet/orders/batch", `{"data":[{"id":"`+order+`","samsaraCustomerOrderName":"B"}]}`), "responses.0.data.id="+order)
	expect(t, "orders", s.ask(t, "GET /preview/fleet/orders?orderIds="+order, ""), "data.0.samsaraCustomerOrderName=B", "data.1=-")
}

// An action needs a record that exists, and changes the record.
func TestSandbox_actionsShowInTheirRecord(t *testing.T) {
	t.Parallel()
	s := startSamsara(t)
	if status, text := s.send(t, "POST /fleet/drivers/remote-sign-out", `{"driverId":"7"}`); status != http.StatusNotFound || !strings.Contains(text, "driverId") {
		t.Errorf("signing out a driver that there is not = %d %s, want 404 that names driverId", status, text)
	}
	driver := s.create(t, "POST /fleet/drivers", `{"name":"Zoe Zimmer","username":"zoe","password":"p1234567"}`)
	expect(t, "sign-out", s.ask(t, "POST /fleet/drivers/remote-sign-out", `{"driverId":"`+driver+`"}`), "driverName=Zoe Zimmer")

	agreement := told(t, s.ask(t, "POST /fleet/asset-sharing/agreements", `{"operator":"provider","providerDataPackages":["location"],"recipientDataPackages":[],`+
		`"recipientOrganizationId":"5","recipientOrganizationName":"Other"}`), "data.id")
	for action, status := range map[string]string{"accept": "accepted", "reject": "rejected", "cancel": "canceled"} {
		expect(t, action, s.ask(t, "POST /fleet/asset-sharing/agreements/"+action+"?id="+agreement, ""), "data.status="+status, "data.recipientOrganizationId=5")
		expect(t, action, s.ask(t, "GET /fleet/asset-sharing/agreements?ids="+agreement, ""), "data.0.status="+status)
	}
	record := told(t, s.ask(t, "POST /qualification-records", `{"issueDate":"2026-01-01T00:00:00Z","owner":{"id":"`+secondSeeded+`","entityType":"worker"},`+
		`"qualificationType":{"id":"`+firstSeeded+`"}}`), "data.id")
	for _, step := range [][2]string{{"archive", "archived"}, {"unarchive", "active"}} {
		if status, text := s.send(t, "POST /qualification-records/"+step[0], `{"id":"`+record+`"}`); status > 299 {
			t.Fatalf("%s = %d %s", step[0], status, text)
		}
		expect(t, step[0], s.ask(t, "GET /qualification-records?ids="+record, ""), "data.0.recordStatus="+step[1])
	}
}

// A patch cannot remove a member that creating a record requires. It removes every other member that it sets to
// null.
func TestSandbox_patchOfARequiredMemberWithNull(t *testing.T) {
	t.Parallel()
	s := startSamsara(t)
	address := s.create(t, "POST /addresses", `{"name":"Depot","notes":"n","formattedAddress":"1 Road","geofence":{"circle":{"radiusMeters":25}}}`)
	driver := s.create(t, "POST /fleet/drivers", `{"name":"Ada","username":"ada","password":"p1234567","notes":"n"}`)
	tag := s.create(t, "POST /tags", `{"name":"Blue"}`)
	location := told(t, s.ask(t, "POST /hub/locations",
		`{"data":[{"hubId":"`+firstSeeded+`","name":"a","address":"b","customerLocationId":"c","isDepot":true}]}`), "data.0.id")
	for _, refused := range [][3]string{
		{"PATCH /addresses/" + address, `{"name":null}`, "name"},
		{"PATCH /addresses/" + address, `{"notes":"m","geofence":null}`, "geofence"},
		{"PATCH /fleet/drivers/" + driver, `{"name":null}`, "name"},
		{"PATCH /fleet/drivers/" + driver, `{"username":null}`, "username"},
		{"PATCH /hub/location/" + location, `{"data":{"customerLocationId":null}}`, "data.customerLocationId"},
		{"PATCH /webhooks/" + firstSeeded, `{"url":null}`, "url"},
		{"PUT /tags/" + tag, `{"name":null}`, "name"},
	} {
		if status, text := s.send(t, refused[0], refused[1]); status != http.StatusBadRequest || !strings.Contains(text, refused[2]+": must not be null") {
			t.Errorf("%s %s = %d %s, want 400 that names %s", refused[0], refused[1], status, text, refused[2])
		}
	}
	expect(t, "address", s.ask(t, "GET /addresses/"+address, ""), "data.name=Depot", "data.notes=n", "data.geofence.circle.radiusMeters=25")
	expect(t, "patched address", s.ask(t, "PATCH /addresses/"+address, `{"notes":null}`), "data.name=Depot", "data.notes=-")
	expect(t, "patched driver", s.ask(t, "PATCH /fleet/drivers/"+driver, `{"notes":null}`), "data.name=Ada", "data.notes=-")
	expect(t, "replaced tag", s.ask(t, "PUT /tags/"+tag, `{}`), "data.name=Blue")
}

// A value that only one record may have, by the documentation, is refused for a second record: a key that clients
// choose, or a member that must be unique.
func TestSandbox_whatMustBeUnique(t *testing.T) {
	t.Parallel()
	s := startSamsara(t)
	refuses := func(line, body string, want int, name string) {
		t.Helper()
		if status, text := s.send(t, line, body); status != want || !strings.Contains(text, name) {
			t.Errorf("%s %s = %d %s, want %d that names %s", line, body, status, text, want, name)
		}
	}
	function := `{"name":"sweep","description":"D","config":{"handler":"main"}}`
	s.ask(t, "POST /functions", strings.Replace(function, "D", "first", 1))
	refuses("POST /functions", strings.Replace(function, "D", "second", 1), 400, "name")
	expect(t, "function", s.ask(t, "GET /functions/sweep", ""), "data.description=first")
	refuses("POST /functions", `{"name":"function-3","config":{"handler":"main"}}`, 400, "function-3")

	s.ask(t, "POST /functions-storage/files", `{"name":"a.csv"}`)
	refuses("POST /functions-storage/files", `{"name":"a.csv"}`, 400, "a.csv")

	const driver = `{"name":"Ada","username":"ada","password":"p1234567","licenseNumber":"L1","licenseState":"CA"}`
	ada := s.create(t, "POST /fleet/drivers", driver)
	refuses("POST /fleet/drivers", strings.Replace(driver, "L1", "L2", 1), 400, "username")
	refuses("POST /fleet/drivers", strings.Replace(driver, `"ada"`, `"bob"`, 1), 400, "licenseNumber, licenseState")
	refuses("POST /fleet/drivers", `{"name":"Ada","username":"driver3","password":"p1234567"}`, 400, "username")
	bob := s.create(t, "POST /fleet/drivers", `{"name":"Bob","username":"bob","password":"p1234567","licenseNumber":"L1","licenseState":"NV"}`)
	refuses("PATCH /fleet/drivers/"+bob, `{"username":"ada"}`, 400, "username")
	refuses("PATCH /fleet/drivers/"+bob, `{"licenseState":"CA"}`, 400, "licenseNumber, licenseState")
	s.ask(t, "PATCH /fleet/drivers/"+ada, `{"username":"ada","licenseState":"CA"}`)

	trailer := s.create(t, "POST /fleet/trailers", `{"name":"Box","externalIds":{"erp":"7"}}`)
	refuses("POST /fleet/trailers", `{"name":"Box","externalIds":{"erp":"7"}}`, 400, "externalIds.erp")
	refuses("PATCH /fleet/vehicles/"+firstSeeded, `{"externalIds":{"erp":"7"}}`, 400, "externalIds.erp")
	s.ask(t, "PATCH /fleet/trailers/"+trailer, `{"name":"Case","externalIds":{"erp":"7"}}`)
	s.ask(t, "POST /fleet/trailers", `{"name":"Box","externalIds":{"crm":"7"}}`)

	refuses("POST /preview/fleet/orders/batch", `{"data":[{"externalIds":{"erp":"8"}},{"externalIds":{"erp":"8"}}]}`, 400, "externalIds.erp")

	s.ask(t, "POST /gateways", `{"serial":"AAAA-BBB-CCC"}`)
	refuses("POST /gateways", `{"serial":"AAAA-BBB-CCC"}`, 404, "serial")

	s.ask(t, "POST /drivers/qr-codes", `{"driverId":`+ada+`}`)
	refuses("POST /drivers/qr-codes", `{"driverId":`+ada+`}`, 400, "driverId")
	if status, text := s.send(t, "DELETE /drivers/qr-codes", `{"driverId":`+ada+`}`); status > 299 {
		t.Errorf("deleting a QR code = %d %s", status, text)
	}
	s.ask(t, "POST /drivers/qr-codes", `{"driverId":`+ada+`}`)

	orders := func(name string, update bool) string {
		body, err := json.Marshal(map[string]any{
			"enableUpdateExistingOrders": update,
			"data":                       []any{map[string]any{"hubId": firstSeeded, "planId": firstSeeded, "customerOrderId": name, "priority": len(name)}},
		})
		if err != nil {
			t.Fatal(err)
		}
		return string(body)
	}
	order := told(t, s.ask(t, "POST /hub/plan/orders", orders("o-1", false)), "data.0.id")
	refuses("POST /hub/plan/orders", orders("o-1", false), 400, "customerOrderId")
	expect(t, "updated order", s.ask(t, "POST /hub/plan/orders", orders("o-1", true)), "data.0.id="+order)
}
