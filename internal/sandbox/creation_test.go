package sandbox_test

import (
	"encoding/json"
	"fmt"
	"maps"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"google.golang.org/protobuf/reflect/protoreflect"

	apiv1 "samsara.internal/gateway/gen/api/v1"
	"samsara.internal/gateway/internal/endpoint"
)

// notCreations are the POST operations that make no record that can be read. All others must answer what
// they were sent, and list it afterwards.
func notCreations() map[string]string {
	const (
		read    = "reads, with its filter in the body"
		action  = "is done to a record that there is"
		nothing = "answers nothing that is its own"
		ticket  = "answers what is needed to go on, once"
		unread  = "answers a record that no operation reads"
	)
	return map[string]string{
		"V1getMachines": read, "V1getMachinesHistory": read, "V1getSensors": read, "V1getSensorsCargo": read,
		"V1getSensorsDoor": read, "V1getSensorsHistory": read, "V1getSensorsHumidity": read, "V1getSensorsTemperature": read,

		"acceptAssetSharingAgreement": action, "rejectAssetSharingAgreement": action, "cancelAssetSharingAgreement": action,
		"cancelSharedAssetsBatch": action, "markAssetMissing": action, "recoverAsset": action, "postDriverRemoteSignout": action,
		"postFleetInstallerPhotoUploadComplete": action, "deployFunction": action,
		"archiveQualificationRecord": action, "unarchiveQualificationRecord": action, "unassignAssetAssignment": action,
		"setCurrentDutyStatus": action,

		"postDriverWorkflowAssignment": nothing, "postInvoiceScan": nothing, "resolvePreventiveMaintenance": nothing,
		"postReadings": nothing, "createStockMovement": nothing, "createDriverVehicleAssignment": nothing,

		"authToken": ticket, "createDriverAuthToken": ticket, "resolveAssignmentByDetails": ticket,
		"postTachographFileUpload": ticket, "postFuelPurchase": ticket,

		"pairGateways": unread, "createWatchpoint": unread,
		"replaceWarrantyAssetAssignments": unread,
	}
}

// Every creation answers what it was sent and what the server assigns, and nothing else. So does every
// operation that reads the record afterwards.
func TestCreation_answersWhatWasSentInEveryCollection(t *testing.T) {
	t.Parallel()
	for name, full := range map[string]bool{"all that may be sent": true, "what must be sent": false} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			testCreations(t, full)
		})
	}
}

func testCreations(t *testing.T, full bool) {
	t.Helper()
	a := serve(t, nil)
	all, not, checked, readBack := endpoints(t), notCreations(), 0, 0
	for _, e := range all {
		if e.Operation.GetMethod() != apiv1.HttpMethod_HTTP_METHOD_POST || deprecated(e.Method) {
			continue
		}
		id := e.Operation.GetId()
		kind, isNot := not[id]
		delete(not, id)
		x, said := creationOf(e, full)
		got := a.call(t, x.line, x.body)
		if got.status > 299 {
			t.Errorf("%s: %s %s = %d %s", id, x.line, x.body, got.status, got.text)
			continue
		}
		if strings.HasPrefix(kind, "reads") || strings.HasPrefix(kind, "is done") || got.text == "" {
			continue
		}
		answer := decode(t, got.text)
		if err := matches(e.Method.Output(), answer, id); err != nil {
			t.Errorf("%s: %v", id, err)
		}
		record, of := recordIn(e.Method.Output(), answer)
		checked++
		for _, problem := range said.problems(record, of) {
			t.Errorf("%s: answered %s\n\tsent %s %s\n\tgot %.1500s", id, problem, x.line, x.body, got.text)
		}
		if isNot {
			continue
		}
		found := 0
		for _, reader := range readersOf(all, e) {
			if reader.Operation.GetId() == "listRidershipPassengers" && !full {
				continue // selects those with a tag
			}
			line := said.readLine(reader, record)
			shown, shownOf := said.find(t, a, reader, line, record)
			if shown == nil {
				t.Errorf("%s: %s does not have the record\n\tsent %s %s\n\tgot %.1500s", id, line, x.line, x.body, got.text)
				continue
			}
			found++
			for _, problem := range said.problems(shown, shownOf) {
				t.Errorf("%s: %s has %s\n\tsent %s %s\n\thas %v", id, line, problem, x.line, x.body, shown)
			}
			for name, v := range record {
				was, is := fmt.Sprint(v), fmt.Sprint(shown[name])
				if _, isObject := v.(map[string]any); shown[name] != nil && !isObject && was != is && rule(of[name]).GetFormat() == rule(shownOf[name]).GetFormat() {
					t.Errorf("%s: %s has %s = %s, the answer had %s", id, line, name, is, was)
				}
			}
		}
		if found == 0 {
			t.Errorf("%s: nothing reads what it makes", id)
			continue
		}
		readBack++
	}
	if diff := cmp.Diff(map[string]string{}, not); diff != "" {
		t.Errorf("declared to be no creations, and not there (-want +got):\n%s", diff)
	}
	t.Logf("%d creations checked, %d of them read back", checked, readBack)
	if checked < 55 || readBack < 40 {
		t.Errorf("%d creations checked and %d read back, want at least 55 and 40", checked, readBack)
	}
}

// Every update answers what it was sent, too.
func TestUpdate_answersWhatWasSentInEveryCollection(t *testing.T) {
	t.Parallel()
	a, checked := serve(t, nil), 0
	for _, e := range endpoints(t) {
		if m := e.Operation.GetMethod(); m != apiv1.HttpMethod_HTTP_METHOD_PATCH && m != apiv1.HttpMethod_HTTP_METHOD_PUT || deprecated(e.Method) {
			continue
		}
		x, said := said(requestFor(e, true), false)
		got := a.call(t, x.line, x.body)
		if got.status > 299 {
			t.Errorf("%s: %s %s = %d %s", e.Operation.GetId(), x.line, x.body, got.status, got.text)
			continue
		}
		if got.text == "" {
			continue
		}
		record, of := recordIn(e.Method.Output(), decode(t, got.text))
		for _, problem := range said.lacks(record, of) {
			t.Errorf("%s: answered %s\n\tsent %s %s\n\tgot %.1500s", e.Operation.GetId(), problem, x.line, x.body, got.text)
		}
		checked++
	}
	if t.Logf("%d updates checked", checked); checked < 35 {
		t.Errorf("%d updates checked, want at least 35", checked)
	}
}

func deprecated(md protoreflect.MethodDescriptor) bool {
	o, ok := md.Options().(interface{ GetDeprecated() bool })
	return ok && o.GetDeprecated()
}

// sent is the values of a request, by names: texts of numbers, strings and bools.
type sent struct {
	leaves map[string][]string
	names  map[string]bool // of all members
	record map[string]any  // of which the answer is to be
}

// creationOf returns a request of an operation that creates a record, and its values. Each id in it is of
// another seeded record.
func creationOf(e *endpoint.Endpoint, full bool) (exchange, *sent) {
	x, n := requestFor(e, full), 1
	differ := func(text string) string {
		for strings.Contains(text, knownID) {
			n = n%11 + 1
			text = strings.Replace(text, knownID, strconv.Itoa(firstID+n), 1)
		}
		return text
	}
	path, query, _ := strings.Cut(x.line, "?")
	if query = differ(query); query != "" {
		path += "?" + query
	}
	return said(exchange{line: path, body: differ(x.body)}, true)
}

// said returns the values of a request, and the request, without the ids of its records if these must be
// new.
func said(x exchange, isNew bool) (exchange, *sent) {
	path, query, _ := strings.Cut(x.line, "?")
	s := &sent{leaves: map[string][]string{}, names: map[string]bool{}}
	if strings.Contains(path, "/"+knownID) {
		s.note("name", knownID)
	}
	if values, err := url.ParseQuery(query); err == nil {
		for name, v := range values {
			s.note(name, v[0])
		}
	}
	if x.body == "" {
		return x, s
	}
	d := json.NewDecoder(strings.NewReader(x.body))
	d.UseNumber()
	var body map[string]any
	if err := d.Decode(&body); err != nil {
		panic(err)
	}
	s.record = body
	for name, v := range body {
		list, isList := v.([]any)
		if isList {
			v = list[0]
		}
		inner, ok := v.(map[string]any)
		if isHolder := name == "job" || isList && len(body) <= 2; !ok || !isHolder {
			continue
		}
		s.record = inner
		if isNew && isList && len(inner) > 1 {
			delete(inner, "id") // else it is the record with that id
		}
	}
	s.note("", body)
	data, err := json.Marshal(body)
	if err != nil {
		panic(err)
	}
	x.body = string(data)
	return x, s
}

func (s *sent) note(name string, v any) {
	switch v := v.(type) {
	case map[string]any:
		for name, v := range v {
			s.names[name] = true
			s.note(name, v)
		}
	case []any:
		for _, v := range v {
			s.note(name, v)
		}
	case string:
		for value := range strings.SplitSeq(v, ",") {
			s.leaves[name] = append(s.leaves[name], value)
		}
		s.leaves[name] = append(s.leaves[name], v)
	default:
		s.leaves[name] = append(s.leaves[name], fmt.Sprint(v))
	}
}

// says reports whether a value was sent under the name of a member, or under a name that includes its path:
// serial in device as deviceSerial, id in tags as tagIds or tags.
func (s *sent) says(parent, name, value string) bool {
	for sentName, values := range s.leaves {
		lower, plain := strings.ToLower(sentName), strings.ToLower(strings.TrimSuffix(sentName, "s"))
		leads := sentName == name || strings.HasSuffix(plain, strings.ToLower(name)) || strings.ToLower(name) == lower ||
			parent != "" && name == "id" && strings.EqualFold(sentName, parent)
		if leads && slices.Contains(values, value) {
			return true
		}
	}
	return false
}

// problems returns the members of a record that were not sent and that the server does not assign, and the
// members that it lacks.
func (s *sent) problems(record map[string]any, of map[string]protoreflect.FieldDescriptor) []string {
	out := s.lacks(record, of)
	for _, name := range slices.Sorted(maps.Keys(record)) {
		if of[name] != nil {
			out = append(out, s.check("", of[name], name, record[name])...)
		}
	}
	return out
}

// lacks returns the values that were sent and that a record declares, but does not have.
func (s *sent) lacks(record map[string]any, of map[string]protoreflect.FieldDescriptor) []string {
	var out []string
	for _, name := range slices.Sorted(maps.Keys(s.record)) {
		v, fd := s.record[name], of[name]
		if fd == nil || fd.Message() != nil || fd.IsMap() {
			continue
		}
		if values := rule(fd).GetValues(); len(values) > 0 && !slices.Contains(values, fmt.Sprint(v)) {
			continue // the answer does not declare it
		}
		if is := fmt.Sprint(record[name]); is != fmt.Sprint(v) && !strings.Contains(is, fmt.Sprint(v)) {
			out = append(out, fmt.Sprintf("%s = %s, sent was %v", name, is, v))
		}
	}
	return out
}

func (s *sent) check(parent string, fd protoreflect.FieldDescriptor, name string, v any) []string {
	required := rule(fd).GetRequired() || rule(fd).GetAnswered()
	switch v := v.(type) {
	case []any:
		var out []string
		for _, element := range v {
			out = append(out, s.check(parent, fd, name, element)...)
		}
		return out
	case map[string]any:
		md := fd.Message()
		if fd.IsMap() || md == nil || strings.HasPrefix(string(md.FullName()), "google.protobuf.") {
			for key, value := range v {
				if _, isObject := value.(map[string]any); !isObject && !s.says("", key, fmt.Sprint(value)) && !isFree(v) {
					return []string{fmt.Sprintf("%s.%s = %v, which was not sent", name, key, value)}
				}
			}
			return nil
		}
		for _, id := range []string{"id", "entityId"} {
			if told, ok := v[id]; ok && s.says(name, id, fmt.Sprint(told)) && (v["entryType"] == nil || v["entryType"] == "tracked") {
				return nil // what is told of another record
			}
		}
		if !required && !s.names[name] && !s.any(name, v) {
			return []string{fmt.Sprintf("%s = %v, of which nothing was sent", name, v)}
		}
		fields := fieldsOf(md)
		var out []string
		for _, below := range slices.Sorted(maps.Keys(v)) {
			if fields[below] != nil {
				out = append(out, s.check(name, fields[below], below, v[below])...)
			}
		}
		return out
	}
	text := fmt.Sprint(v)
	if s.says(parent, name, text) || isServers(parent, name, text, required) {
		return nil
	}
	return []string{fmt.Sprintf("%s.%s = %s, which was not sent", parent, name, text)}
}

// any reports whether a member of an object was sent.
func (s *sent) any(parent string, values map[string]any) bool {
	if len(values) == 0 {
		return true // was sent so
	}
	for name, v := range values {
		list, isList := v.([]any)
		object, isObject := v.(map[string]any)
		switch {
		case isList && len(list) > 0:
			if first, ok := list[0].(map[string]any); ok && s.any(name, first) {
				return true
			}
			if s.says(parent, name, fmt.Sprint(list[0])) {
				return true
			}
		case isObject && s.any(name, object):
			return true
		case !isObject && s.says(parent, name, fmt.Sprint(v)):
			return true
		}
	}
	return false
}

// isFree reports whether an object is the sample's value for members of any JSON.
func isFree(v map[string]any) bool { return v["free"] == "form" }

// isServers reports whether the server assigns a member that was not sent: an id, a time at which the record
// was made, the status of a new record, a link to it, a secret, its author and, for a required member, an
// empty value or what assigned lists.
func isServers(parent, name, text string, required bool) bool {
	lower := strings.ToLower(name)
	isAny := func(in string, words ...string) bool {
		return slices.ContainsFunc(words, func(word string) bool { return strings.Contains(in, word) })
	}
	number, err := strconv.ParseFloat(text, 64)
	isNow := err == nil && time.UnixMilli(int64(number)).Sub(start).Abs() <= 25*time.Hour
	if at, err := time.Parse(time.RFC3339, text); err == nil {
		isNow = at.Sub(start).Abs() <= 25*time.Hour
	}
	made := isAny(lower, "created", "updated", "modified")
	switch isAuthor := isAny(strings.ToLower(parent), "createdby", "updatedby", "submittedby"); {
	case isAuthor && name == "id", isAny(lower, "createdby", "updatedby", "submittedby"):
		return text == knownID
	case isAuthor && name == "type":
		return text == "user"
	case name == "id" || name == "uuid" || name == "requestId" || name == "version":
		return true
	case isNow && made, required && text == "":
		return true
	case strings.HasSuffix(lower, "status") && !isNow:
		return isAny(strings.ToLower(text), "pending", "open", "active", "requested", "scheduled", "notstarted", "draft", "awaiting", "required", "processing", "started")
	case lower == "isdeactivated", isAny(lower, "url", "link", "secret", "token"):
		return true
	case !required:
		return false
	case text == "0" || text == "false" || text == "0001-01-01T00:00:00.000Z":
		return true
	case strings.HasSuffix(name, "Id"): // such as jobId
		if id, err := strconv.Atoi(text); err == nil && id >= firstID+999 {
			return true
		}
	}
	return assigned(parent, name, text, isNow)
}

// assigned reports whether a value is the documented one for a required member that was not sent, or follows
// from values that were sent.
func assigned(parent, name, text string, isNow bool) bool {
	if at, err := time.Parse(time.RFC3339, text); err == nil {
		switch name {
		case "requestedAtTime", "submittedAtTime", "startedAtTime", "monitoringStartTime": // it was then
			return isNow
		case "expiresAtTime": // of what the client may use for a day
			return at.Equal(start.Add(24 * time.Hour))
		case "startTime", "activeTime": // "Defaults to now if not provided"
			return at.Equal(start)
		case "shiftStartTime": // "defaults to 9:00 AM on the next business day in the hub's timezone"
			return at.Equal(time.Date(2026, time.March, 3, 17, 0, 0, 0, time.UTC))
		}
		return false
	}
	value, ok := map[string]string{
		".providerOrganizationId": knownID,               // the organization that makes the agreement
		".hubTimezone":            "America/Los_Angeles", // of the hub that was named
		".isActive":               "true",
		"asset.entryType":         "tracked", // it has an id
		"issueSource.type":        "ad-hoc",  // it came from no form
		"learner.type":            "driver",  // the only value
		".state":                  "required",
		".model":                  "AG15", // of a gateway that there is not
		"gateway.model":           "AG15",
		"device.type":             "vehicle",
		"geofence.type":           "circle", // of an empty one
		"media.input":             "dashcamDriverFacing",
		"stops.state":             "scheduled",
		".driverId":               "281474976710660", // who the answer finds by his name
	}[parent+"."+name]
	return ok && value == text || isNow && slices.Contains([]string{"lastUpdateTimestampMs", "sentAtMs", "expirationTime"}, name)
}

func fieldsOf(md protoreflect.MessageDescriptor) map[string]protoreflect.FieldDescriptor {
	fields := map[string]protoreflect.FieldDescriptor{}
	for i := range md.Fields().Len() {
		fd := md.Fields().Get(i)
		fields[wireName(fd)] = fd
	}
	return fields
}

// recordIn returns the record that a response holds, with the fields of its members: in data or the
// first element of a list of data, or the response itself.
func recordIn(md protoreflect.MessageDescriptor, v any) (map[string]any, map[string]protoreflect.FieldDescriptor) {
	fields := fieldsOf(md)
	object, _ := v.(map[string]any)
	for _, name := range []string{"data", "responses"} {
		data, ok := object[name]
		if !ok || fields[name] == nil || fields[name].Message() == nil {
			continue
		}
		if list, ok := data.([]any); ok && len(list) > 0 {
			data = list[0]
		}
		return recordIn(fields[name].Message(), data)
	}
	return object, fields
}

// readersOf returns the operations that read what a creation makes: those of its path, and of its path with
// an id at the end.
func readersOf(all []*endpoint.Endpoint, creation *endpoint.Endpoint) []*endpoint.Endpoint {
	var out []*endpoint.Endpoint
	base := strings.TrimSuffix(creation.Operation.GetPath(), "/batch")
	for _, e := range all {
		path := e.Operation.GetPath()
		if e.Operation.GetMethod() != apiv1.HttpMethod_HTTP_METHOD_GET || deprecated(e.Method) {
			continue
		}
		rest, below := strings.CutPrefix(path, base+"/{")
		if path == base || path == base+"s" || path == base+"/history" || path == base+"/stream" && !hasList(all, base) || below && strings.HasSuffix(rest, "}") && !strings.Contains(rest, "/") {
			out = append(out, e)
		}
	}
	return out
}

func hasList(all []*endpoint.Endpoint, path string) bool {
	return slices.ContainsFunc(all, func(e *endpoint.Endpoint) bool {
		return e.Operation.GetPath() == path && e.Operation.GetMethod() == apiv1.HttpMethod_HTTP_METHOD_GET
	})
}

// keyOf returns the key of a record under one of the names that requests have for it.
func keyOf(record map[string]any, param string) string {
	for _, name := range []string{param, "id", "pdfId", "jobId", "name", "serial"} {
		if v, ok := record[name]; ok {
			return fmt.Sprint(v)
		}
	}
	return ""
}

// readLine returns the request line of a reader for a record: by its id, and by the values that were sent.
func (s *sent) readLine(e *endpoint.Endpoint, record map[string]any) string {
	path, query := e.Operation.GetPath(), url.Values{}
	parent := path[strings.LastIndex(path, "/{")+1:]
	for i := range e.Method.Input().Fields().Len() {
		fd := e.Method.Input().Fields().Get(i)
		name := wireName(fd)
		switch rule(fd).GetIn() {
		case apiv1.Location_LOCATION_PATH:
			if parent == "{"+name+"}" {
				path = strings.TrimSuffix(path, parent) + url.PathEscape(keyOf(record, name))
				continue
			}
			path = strings.ReplaceAll(path, "{"+name+"}", knownID)
		case apiv1.Location_LOCATION_QUERY:
			one := strings.TrimSuffix(name, "s")
			switch {
			case name == "limit":
				if rule(fd).Maximum != nil {
					query.Set(name, strconv.Itoa(int(rule(fd).GetMaximum())))
				}
			case !rule(fd).GetRequired():
			case name == "startTime" || name == "endTime":
				query.Set(name, start.Add(map[string]time.Duration{"startTime": -time.Minute, "endTime": time.Minute}[name]).Format(time.RFC3339))
			case len(s.leaves[one]) > 0 && one != "id":
				query.Set(name, s.leaves[one][0])
			case len(s.leaves[name]) > 0 && one != "id":
				query.Set(name, s.leaves[name][0])
			case len(s.leaves[name+"s"]) > 0:
				query.Set(name, s.leaves[name+"s"][0])
			case record[name] != nil:
				query.Set(name, fmt.Sprint(record[name]))
			case one == "id" || fd.IsList():
				query.Set(name, keyOf(record, one))
			default:
				query.Set(name, fmt.Sprint(sampleOne(fd, false, 0)))
			}
		default:
		}
	}
	if len(query) == 0 {
		return "GET " + path
	}
	return "GET " + path + "?" + query.Encode()
}

// find asks a reader for a record, page after page. If several match, it returns the last.
func (s *sent) find(t *testing.T, a *api, e *endpoint.Endpoint, line string, record map[string]any) (map[string]any, map[string]protoreflect.FieldDescriptor) {
	t.Helper()
	const maxPages = 50
	var (
		found   map[string]any
		foundOf map[string]protoreflect.FieldDescriptor
	)
	for page, next := 0, line; page < maxPages; page++ {
		got := a.call(t, next, "")
		if got.status != 200 {
			t.Errorf("%s = %d %s", next, got.status, got.text)
			return nil, nil
		}
		answer := decode(t, got.text)
		_, of := recordIn(e.Method.Output(), answer)
		elements := []any{at(answer, "data")}
		if list, ok := at(answer, "data").([]any); ok {
			elements = list
		}
		if at(answer, "data") == nil {
			elements = []any{answer}
		}
		for _, element := range elements {
			shown, _ := element.(map[string]any)
			if shown != nil && s.isOf(shown, record) {
				found, foundOf = shown, of
			}
		}
		cursor, _ := at(answer, "pagination.endCursor").(string)
		if at(answer, "pagination.hasNextPage") != true || cursor == "" {
			break
		}
		join := "?"
		if strings.Contains(line, "?") {
			join = "&"
		}
		next = line + join + "after=" + url.QueryEscape(cursor)
	}
	return found, foundOf
}

// isOf reports whether a reader shows the record: by its id or, without one, by the values that were sent.
func (s *sent) isOf(shown, record map[string]any) bool {
	for _, name := range []string{"uuid", "pdfId", "jobId", "correlationId", "id"} {
		if record[name] != nil && shown[name] != nil {
			return fmt.Sprint(record[name]) == fmt.Sprint(shown[name])
		}
	}
	same := 0
	for name, v := range record {
		if is, ok := shown[name]; ok && s.says("", name, fmt.Sprint(v)) {
			if fmt.Sprint(is) != fmt.Sprint(v) {
				return false
			}
			same++
		}
	}
	return same > 0 || len(record) == 0 || s.any("", shown)
}
