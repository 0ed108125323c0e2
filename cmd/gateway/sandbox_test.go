package main

import (
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// samsara is an HTTP client of a sandbox that runs alone.
type samsara struct {
	*process
	url string
}

func startSamsara(t *testing.T, args ...string) *samsara {
	t.Helper()
	p := start(t, append([]string{"sandbox", "--token=open", "--log-format=json", "--listen=127.0.0.1:0"}, args...)...)
	return &samsara{process: p, url: p.await(t, "serving").Sandbox}
}

// create sends a request that creates a record, and returns the id of the record, which must have one.
func (s *samsara) create(t *testing.T, line, body string) string {
	t.Helper()
	id, _ := member(t, s.ask(t, line, body), "data.id").(string)
	if id == "" {
		t.Fatalf("%s %s has no id", line, body)
	}
	return id
}

// ask sends a request such as "GET /tags" and returns the answer, which must be JSON with a status below
// 300. A body is sent as JSON.
func (s *samsara) ask(t *testing.T, line, body string) map[string]any {
	t.Helper()
	status, text := s.send(t, line, body)
	var got map[string]any
	if err := json.Unmarshal([]byte(text), &got); err != nil || status > 299 {
		t.Fatalf("%s %s = %d %s, want a JSON object (%v)", line, body, status, text, err)
	}
	return got
}

func (s *samsara) send(t *testing.T, line, body string) (status int, text string) {
	t.Helper()
	verb, path, _ := strings.Cut(line, " ")
	r, err := http.NewRequestWithContext(t.Context(), verb, s.url+path, strings.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	r.Header.Set("Authorization", "Bearer open")
	if body != "" {
		r.Header.Set("Content-Type", "application/json")
	}
	client := &http.Client{Transport: &http.Transport{DisableKeepAlives: true}, Timeout: patience}
	res, err := client.Do(r)
	if err != nil {
		t.Fatal(err)
	}
	data, err := io.ReadAll(res.Body)
	if closeErr := res.Body.Close(); err != nil || closeErr != nil {
		t.Fatal(err, closeErr)
	}
	return res.StatusCode, string(data)
}

// member returns the value at a path of member names and indexes joined by dots.
func member(t *testing.T, v any, path string) any {
	t.Helper()
	for step := range strings.SplitSeq(path, ".") {
		switch in := v.(type) {
		case map[string]any:
			v = in[step]
		case []any:
			i := 0
			if _, err := fmt.Sscan(step, &i); err != nil || i >= len(in) {
				t.Fatalf("%s: no element %s in %v", path, step, in)
			}
			v = in[i]
		default:
			return nil
		}
	}
	return v
}

const (
	firstSeeded  = "281474976710657"
	secondSeeded = "281474976710658"
)

// assigned stands for any value that the server assigns.
const assigned = "*"

func TestSandbox_createdRecordHasWhatWasSent(t *testing.T) {
	t.Parallel()
	s := startSamsara(t)
	tests := map[string]struct{ line, body, at, want string }{
		"tag without anything": {
			"POST /tags", `{"name":"Blue"}`, "data",
			`{"id":"*","name":"Blue"}`,
		},
		"tag with members and a parent": {
			"POST /tags", `{"name":"Blue","parentTagId":"` + firstSeeded + `","vehicles":["` + secondSeeded + `"],"externalIds":{"erp":"7"}}`, "data",
			`{"id":"*","name":"Blue","parentTagId":"` + firstSeeded + `","parentTag":{"id":"` + firstSeeded + `","name":"South"},` +
				`"vehicles":[{"id":"` + secondSeeded + `","name":"Truck 102"}],"externalIds":{"erp":"7"}}`,
		},
		"address": {
			"POST /addresses", `{"name":"Depot","formattedAddress":"1 Road","geofence":{"circle":{"radiusMeters":25}},"tagIds":["` + secondSeeded + `"]}`, "data",
			`{"id":"*","name":"Depot","formattedAddress":"1 Road","geofence":{"circle":{"radiusMeters":25}},"createdAtTime":"*",` +
				`"tags":[{"id":"` + secondSeeded + `","name":"East","parentTagId":"` + firstSeeded + `"}]}`,
		},
		"driver": {
			"POST /fleet/drivers", `{"name":"Ada","username":"ada","password":"p1234567"}`, "data",
			`{"id":"*","name":"Ada","username":"ada","createdAtTime":"*","updatedAtTime":"*","driverActivationStatus":"active","isDeactivated":false}`,
		},
		"trailer": {"POST /fleet/trailers", `{"name":"Box"}`, "data", `{"id":"*","name":"Box"}`},
		"asset": {
			"POST /assets", `{"name":"Crane"}`, "data",
			`{"id":"*","name":"Crane","createdAtTime":"*","updatedAtTime":"*"}`,
		},
		"function": {
			"POST /functions", `{"name":"sweep","config":{"handler":"main"}}`, "data",
			`{"name":"sweep","config":{"handler":"main","isScheduleEnabled":false,"params":{},"secrets":{}},"codePackage":"*","effects":{},` +
				`"createdAtTime":"*","updatedAtTime":"*","lastUpdateTimestampMs":"*","uploadPutUrl":"*"}`,
		},
		"contact": {"POST /contacts", `{"firstName":"Ada"}`, "data", `{"id":"*","firstName":"Ada","lastName":"","email":"","phone":""}`},
		"webhook": {
			"POST /webhooks", `{"name":"Hook","url":"https://hook.example"}`, "",
			`{"id":"*","name":"Hook","url":"https://hook.example","secretKey":"*","version":"*"}`,
		},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			got := any(s.ask(t, tt.line, tt.body))
			if tt.at != "" {
				got = member(t, got, tt.at)
			}
			var want map[string]any
			if err := json.Unmarshal([]byte(tt.want), &want); err != nil {
				t.Fatal(err)
			}
			record, _ := got.(map[string]any)
			for name, v := range want {
				if v == assigned && record[name] != nil && record[name] != "" {
					want[name] = record[name]
				}
			}
			if diff := cmp.Diff(want, record); diff != "" {
				t.Errorf("%s %s (-want +got):\n%s", tt.line, tt.body, diff)
			}
		})
	}
}

// The enums of a list and of a single answer differ in some members. Each answer has its own values.
func TestSandbox_listAndGetAnswerTheirOwnEnums(t *testing.T) {
	t.Parallel()
	s := startSamsara(t)
	listed, _ := member(t, s.ask(t, "GET /fleet/vehicles?limit=512", ""), "data").([]any)
	if len(listed) != 12 {
		t.Fatalf("%d vehicles, want 12", len(listed))
	}
	declared := map[string][2][]string{
		"sensorConfiguration.areas": {{"back", "front", "middle"}, {"Position_Front", "Position_Middle", "Position_Back"}},
		"sensorConfiguration.doors": {{"back", "left", "right"}, {"Position_Left", "Position_Right"}},
	}
	// modes are the values of an enum that has one more value in a single answer.
	modes := map[bool]int{}
	for _, vehicle := range listed {
		id, _ := member(t, vehicle, "id").(string)
		single := member(t, s.ask(t, "GET /fleet/vehicles/"+id, ""), "data")
		for path, values := range declared {
			for i, answer := range []any{vehicle, single} {
				parts, _ := member(t, answer, path).([]any)
				for _, part := range parts {
					if position, _ := member(t, part, "position").(string); !slices.Contains(values[i], position) {
						t.Errorf("vehicle %s, %s: %s has the position %q, want one of %v", id, []string{"list", "get"}[i], path, position, values[i])
					}
				}
				if len(parts) == 0 {
					t.Errorf("vehicle %s has no %s", id, path)
				}
			}
		}
		inList, alone := member(t, vehicle, "vehicleRegulationMode"), member(t, single, "vehicleRegulationMode")
		if inList == "mixed" || alone != "mixed" && inList != alone {
			t.Errorf("vehicle %s has the regulation mode %v in the list and %v alone", id, inList, alone)
		}
		modes[alone == "mixed"]++
	}
	if modes[true] == 0 || modes[false] == 0 {
		t.Errorf("%d vehicles with the mode mixed and %d without, want some of both", modes[true], modes[false])
	}

	s.ask(t, "PATCH /fleet/vehicles/"+firstSeeded, `{"vehicleRegulationMode":"mixed"}`)
	if got := member(t, s.ask(t, "GET /fleet/vehicles/"+firstSeeded, ""), "data.vehicleRegulationMode"); got != "mixed" {
		t.Errorf("a vehicle set to mixed = %v", got)
	}
	if got := member(t, s.ask(t, "GET /fleet/vehicles?limit=1", ""), "data.0.vehicleRegulationMode"); got != nil {
		t.Errorf("a vehicle set to mixed is %v in the list, which does not declare that, want none", got)
	}
}

// The ancestors of a tag end at a tag without a parent, and agree with the parent in the tag's own record.
func TestSandbox_tagsAreATree(t *testing.T) {
	t.Parallel()
	s := startSamsara(t)
	parents := map[string]string{}
	tags, _ := member(t, s.ask(t, "GET /tags?limit=512", ""), "data").([]any)
	for _, tag := range tags {
		id, _ := member(t, tag, "id").(string)
		parent, _ := member(t, tag, "parentTagId").(string)
		if shown, _ := member(t, tag, "parentTag.id").(string); shown != parent {
			t.Errorf("tag %s: parentTagId %q, parentTag.id %q, want the same", id, parent, shown)
		}
		parents[id] = parent
	}
	roots := 0
	for id := range parents {
		if parents[id] == "" {
			roots++
		}
		seen := []string{id}
		for at := parents[id]; at != ""; at = parents[at] {
			if slices.Contains(seen, at) {
				t.Fatalf("tag %s has the ancestors %v, and %s again", id, seen[1:], at)
			}
			seen = append(seen, at)
		}
	}
	if len(parents) != 12 || roots != 1 {
		t.Errorf("%d tags, %d without a parent, want 12 and 1", len(parents), roots)
	}
	short, _ := member(t, s.ask(t, "GET /addresses/"+firstSeeded, ""), "data.tags").([]any)
	for _, tag := range short {
		id, _ := member(t, tag, "id").(string)
		if parent, _ := member(t, tag, "parentTagId").(string); parent != parents[id] {
			t.Errorf("address: tag %s has the parent %q, elsewhere %q", id, parent, parents[id])
		}
	}

	id, _ := member(t, s.ask(t, "POST /tags", `{"name":"Blue","parentTagId":"`+firstSeeded+`"}`), "data.id").(string)
	s.ask(t, "PATCH /tags/"+id, `{"parentTagId":null}`)
	if data, _ := member(t, s.ask(t, "GET /tags/"+id, ""), "data").(map[string]any); data["parentTag"] != nil || data["parentTagId"] != nil {
		t.Errorf("a tag whose parent was taken away = %v, want none", data)
	}
}

// The SDKs of Samsara repeat the key for every array, however it is declared.
func TestSandbox_repeatedKeys(t *testing.T) {
	t.Parallel()
	s := startSamsara(t)
	for _, path := range []string{
		"/fleet/vehicles/stats?types=gps,engineStates", "/fleet/vehicles/locations?vehicleIds=" + firstSeeded + "," + secondSeeded,
		"/fleet/drivers?tagIds=" + firstSeeded + "," + secondSeeded,
	} {
		joined := s.ask(t, "GET "+path, "")
		path, values, _ := strings.Cut(path, "=")
		name := path[strings.Index(path, "?")+1:]
		repeated := s.ask(t, "GET "+path+"="+strings.ReplaceAll(values, ",", "&"+name+"="), "")
		s.ask(t, "GET "+path+"="+strings.ReplaceAll(values, ",", "&"+name+"="), "")
		ids := func(v any) (out []any) {
			list, _ := member(t, v, "data").([]any)
			for _, record := range list {
				out = append(out, member(t, record, "id"))
			}
			return out
		}
		if diff := cmp.Diff(ids(joined), ids(repeated)); diff != "" || len(ids(joined)) == 0 {
			t.Errorf("%s, joined and repeated (-joined +repeated):\n%s", path, diff)
		}
	}
	if status, text := s.send(t, "GET /fleet/vehicles?limit=1&limit=2", ""); status != http.StatusBadRequest {
		t.Errorf("a number given twice = %d %s, want 400", status, text)
	}
	s.stop(t)
	lines, text, _ := s.log()
	said := 0
	for _, line := range lines {
		if strings.HasPrefix(line.Message, "repeated keys") {
			said++
		}
	}
	if said != 3 {
		t.Errorf("%d lines about repeated keys, want one for each of 3 parameters:\n%s", said, text)
	}
}

// The members of one record agree: a vehicle that moves has its engine on.
func TestSandbox_recordsAgreeWithThemselves(t *testing.T) {
	t.Parallel()
	s := startSamsara(t)
	records := func(line string) []any {
		t.Helper()
		list, _ := member(t, s.ask(t, line, ""), "data").([]any)
		if len(list) == 0 {
			t.Fatalf("%s answers no records", line)
		}
		return list
	}
	for _, r := range records("GET /fleet/vehicles/stats?types=gps,engineStates,engineRpm") {
		speed, _ := member(t, r, "gps.speedMilesPerHour").(float64)
		rpm, _ := member(t, r, "engineRpm.value").(float64)
		if engine := member(t, r, "engineState.value"); speed > 0 != (engine == "On") || rpm < 500 {
			t.Errorf("vehicle %v: speed %v, engine %v at %v rpm", member(t, r, "id"), speed, engine, rpm)
		}
	}
	for _, r := range records("GET /fleet/vehicles/stats/feed?types=gps,engineStates") {
		if engine := member(t, r, "engineStates.0.value"); engine != "On" {
			t.Errorf("vehicle %v in the feed: engine %v", member(t, r, "id"), engine)
		}
	}
	for _, r := range records("GET /fleet/equipment/stats?types=gatewayEngineStates,obdEngineStates") {
		for _, name := range []string{"gatewayEngineState.value", "obdEngineState.value"} {
			if engine := member(t, r, name); engine != "On" {
				t.Errorf("equipment %v: %s %v", member(t, r, "id"), name, engine)
			}
		}
	}
	for _, r := range records("GET /fleet/drivers?limit=512") {
		if member(t, r, "driverActivationStatus") != "active" || member(t, r, "isDeactivated") != false {
			t.Errorf("driver %v: status %v, deactivated %v", member(t, r, "id"), member(t, r, "driverActivationStatus"), member(t, r, "isDeactivated"))
		}
	}
	s.ask(t, "PATCH /fleet/drivers/"+firstSeeded, `{"driverActivationStatus":"deactivated"}`)
	if got := member(t, s.ask(t, "GET /fleet/drivers/"+firstSeeded, ""), "data.isDeactivated"); got != true {
		t.Errorf("a driver who was deactivated: isDeactivated = %v", got)
	}
	for _, r := range records("GET /fleet/asset-sharing/agreements") {
		status := member(t, r, "status")
		for _, happened := range []string{"accepted", "rejected", "canceled"} {
			if at := member(t, r, happened+"AtTime"); (at != nil) != (status == happened) {
				t.Errorf("agreement %v is %v and has %sAtTime %v", member(t, r, "id"), status, happened, at)
			}
		}
	}
}
