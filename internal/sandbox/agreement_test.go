package sandbox_test

import (
	"encoding/json"
	"fmt"
	"maps"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"

	"github.com/google/go-cmp/cmp"
	"google.golang.org/protobuf/reflect/protoreflect"

	"samsara.internal/gateway/internal/endpoint"
	"samsara.internal/gateway/internal/sandbox"
)

// A list and a single answer agree on a record. One may have more members than the other, and spell a value
// in another way.
func TestRecords_listAndSingleAgree(t *testing.T) {
	t.Parallel()
	a := serve(t, nil)
	lists := map[string]*endpoint.Endpoint{}
	all := endpoints(t)
	for _, e := range all {
		if e.Operation.GetMethod().String() == "HTTP_METHOD_"+http.MethodGet && !deprecated(e.Method) {
			lists[e.Operation.GetPath()] = e
		}
	}
	compared := 0
	for path, e := range lists {
		base, name, ok := strings.Cut(path, "/{")
		list := lists[base]
		if !ok || strings.Contains(name, "/") || list == nil {
			continue
		}
		request := requestFor(list, false).line
		if strings.Contains(request, "endTime=") {
			continue // tells of another time
		}
		alone, listed := a.get(t, requestFor(e, false).line, ""), a.get(t, request, "")
		one, oneFields := recordIn(e.Method.Output(), alone)
		first, firstFields := recordIn(list.Method.Output(), listed)
		if one["id"] == nil || fmt.Sprint(one["id"]) != fmt.Sprint(first["id"]) {
			continue
		}
		compared++
		for _, name := range slices.Sorted(maps.Keys(one)) {
			if _, ok := first[name]; ok {
				for _, difference := range differences(oneFields[name], firstFields[name], one[name], first[name], name) {
					t.Errorf("%s and %s: %s", path, base, difference)
				}
			}
		}
	}
	if compared < 10 {
		t.Errorf("%d kinds of record compared, want at least 10", compared)
	}
}

// differences returns the paths at which two values of the same thing differ.
func differences(of, than protoreflect.FieldDescriptor, one, other any, path string) []string {
	if of == nil || than == nil {
		return nil
	}
	switch one := one.(type) {
	case map[string]any:
		other, ok := other.(map[string]any)
		if !ok || of.Message() == nil || than.Message() == nil || of.IsMap() {
			break
		}
		var out []string
		for _, name := range slices.Sorted(maps.Keys(one)) {
			if _, both := other[name]; both {
				out = append(out, differences(fieldOf(of, name), fieldOf(than, name), one[name], other[name], path+"."+name)...)
			}
		}
		return out
	case []any:
		other, ok := other.([]any)
		if !ok || len(other) != len(one) {
			break
		}
		var out []string
		for i := range one {
			out = append(out, differences(of, than, one[i], other[i], fmt.Sprintf("%s[%d]", path, i))...)
		}
		return out
	default:
		if plain(wireName(of), one) == plain(wireName(than), other) {
			return nil
		}
	}
	a, _ := json.Marshal(one)
	b, _ := json.Marshal(other)
	if string(a) == string(b) {
		return nil
	}
	return []string{fmt.Sprintf("%s is %.100s and %.100s", path, a, b)}
}

// plain returns a value without the name of its member as a prefix, which only some answers have, as in
// Position_Back.
func plain(name string, v any) string {
	return strings.TrimPrefix(strings.ToLower(fmt.Sprint(v)), strings.ToLower(name)+"_")
}

func fieldOf(fd protoreflect.FieldDescriptor, name string) protoreflect.FieldDescriptor {
	fields := fd.Message().Fields()
	for i := range fields.Len() {
		if wireName(fields.Get(i)) == name {
			return fields.Get(i)
		}
	}
	return nil
}

// A record has one name in all members of all answers, even after a client has changed it.
func TestRecords_nameInAllAnswers(t *testing.T) {
	t.Parallel()
	a := serve(t, func(c *sandbox.Config) { c.PageSize = 12 })
	kinds := map[string]string{
		"vehicle": "/fleet/vehicles/", "driver": "/fleet/drivers/", "tag": "/tags/", "address": "/addresses/", "trailer": "/fleet/trailers/",
	}
	for kind, path := range kinds {
		a.get(t, "PATCH "+path+secondID, `{"name":"The second `+kind+`"}`)
	}
	kinds["asset"], kinds["equipment"] = "/assets", "/fleet/equipment"
	told := map[string]map[string][]string{} // members that tell it, by kind and id, by name
	eachObject(t, a, func(e *endpoint.Endpoint, line, member string, object map[string]any) {
		id, name := object["id"], object["name"]
		if id == nil || name == nil {
			return
		}
		for kind := range kinds {
			member := strings.ToLower(member)
			if !strings.HasSuffix(member, kind) && !strings.HasSuffix(member, kind+"s") && !strings.HasSuffix(member, kind+"es") {
				continue
			}
			if kind == "trailer" || kind == "equipment" {
				kind = "asset"
			}
			key := fmt.Sprintf("%s %v", kind, id)
			if told[key] == nil {
				told[key] = map[string][]string{}
			}
			told[key][fmt.Sprint(name)] = append(told[key][fmt.Sprint(name)], line+" "+member)
		}
	})
	for key, names := range told {
		if len(names) > 1 {
			t.Errorf("%s is called %v", key, names)
		}
	}
	for kind := range kinds {
		want := map[bool]string{true: "trailer", false: kind}[kind == "asset" || kind == "equipment" || kind == "trailer"]
		if key := map[bool]string{true: "asset", false: kind}[want == "trailer"] + " " + secondID; len(told[key]["The second "+want]) == 0 {
			t.Errorf("%s is not called what its client called it: %v", key, told[key])
		}
	}
}

// After concurrent changes by clients a tag and its members still agree.
func TestRecords_changedAtOnce(t *testing.T) {
	t.Parallel()
	a := serve(t, nil)
	var clients sync.WaitGroup
	for i := range 4 {
		clients.Go(func() {
			for j := range 20 {
				id := strconv.Itoa(firstID + (i+j)%3)
				a.get(t, "PATCH /fleet/vehicles/"+id, `{"tagIds":["`+id+`"]}`)
				a.get(t, "PATCH /tags/"+id, `{"vehicles":["`+strconv.Itoa(firstID+j%5)+`","`+knownID+`"]}`)
				a.get(t, "GET /fleet/vehicles?tagIds="+id, "")
				a.get(t, "GET /tags", "")
			}
		})
	}
	clients.Wait()
	var told, tells []string
	vehicles, tags := a.get(t, "GET /fleet/vehicles?limit=100", ""), a.get(t, "GET /tags?limit=100", "")
	for i, vehicle := range column(vehicles, "data", "id") {
		for _, tag := range column(vehicles, fmt.Sprintf("data.%d.tags", i), "id") {
			told = append(told, tag+" "+vehicle)
		}
	}
	for i, tag := range column(tags, "data", "id") {
		for _, vehicle := range column(tags, fmt.Sprintf("data.%d.vehicles", i), "id") {
			tells = append(tells, tag+" "+vehicle)
		}
	}
	slices.Sort(told)
	slices.Sort(tells)
	if diff := cmp.Diff(told, tells); diff != "" || len(told) == 0 {
		t.Errorf("tags and vehicles (-told by vehicles +told by tags):\n%s", diff)
	}
}

// All answers that show a record agree: on a vehicle in a list of vehicles, alone, in a report and as the
// vehicle of a driver; and on a device, which its serial number identifies.
func TestRecords_sameInAllAnswers(t *testing.T) {
	t.Parallel()
	a := serve(t, func(c *sandbox.Config) { c.PageSize = 12 })
	told := map[string]map[string][]string{} // answers that tell it, by the record and its member, by value
	tell := func(record, member, value, where string) {
		if told[record+" "+member] == nil {
			told[record+" "+member] = map[string][]string{}
		}
		told[record+" "+member][value] = append(told[record+" "+member][value], where)
	}
	eachObject(t, a, func(e *endpoint.Endpoint, line, member string, object map[string]any) {
		record := ""
		if kind := kindCalled(member); object["id"] != nil && kind != "" {
			record = fmt.Sprintf("%s %v", kind, object["id"])
		}
		if object["serial"] != nil && object["model"] != nil && object["vin"] == nil && object["type"] == nil && kindCalled(member) == "" {
			record = fmt.Sprintf("device %v", object["serial"])
		}
		if record == "" || e.Operation.GetFeed() {
			return
		}
		for name, value := range object {
			switch value.(type) {
			case []any, map[string]any:
			default:
				if !strings.HasSuffix(name, "Connected") {
					tell(record, name, plain(name, value), line)
				}
			}
		}
	})
	compared := 0
	for record, values := range told {
		where := 0
		for _, lines := range values {
			where += len(lines)
		}
		if where > 1 {
			compared++
		}
		if len(values) > 1 {
			t.Errorf("%s is %v", record, values)
		}
	}
	if compared < 100 {
		t.Errorf("%d members are told more than once, want at least 100", compared)
	}
}

// eachObject calls visit for each object in the answer to each read of the API that is not deprecated, with the
// request line and the name of the member that holds the object. For the records of a list or a page that
// name is the path without the id.
func eachObject(t *testing.T, a *api, visit func(e *endpoint.Endpoint, line, member string, object map[string]any)) {
	t.Helper()
	for _, e := range endpoints(t) {
		if e.Operation.GetMethod().String() != "HTTP_METHOD_"+http.MethodGet || deprecated(e.Method) {
			continue
		}
		line := requestFor(e, false).line
		var walk func(v any, member string)
		walk = func(v any, member string) {
			switch v := v.(type) {
			case []any:
				for _, element := range v {
					walk(element, member)
				}
			case map[string]any:
				visit(e, line, member, v)
				for name, below := range v {
					if name == "data" {
						name = strings.TrimSuffix(strings.Split(e.Operation.GetPath(), "/{")[0], "/")
					}
					walk(below, name)
				}
			}
		}
		walk(a.get(t, line, ""), "")
	}
}

// kindCalled returns the kind of record that a member or a path is named after, empty if the test does not
// compare it.
func kindCalled(name string) string {
	lower := strings.ToLower(name)
	for kind, names := range map[string][]string{
		"vehicle": {"vehicle", "/fleet/vehicles"}, "driver": {"driver", "/fleet/drivers"}, "tag": {"tag", "tags", "/tags"},
		"address": {"address", "/addresses"}, "user": {"user", "/users"}, "role": {"role", "/user-roles"},
		"contact": {"contact", "contacts", "/contacts"}, "route": {"route", "/fleet/routes"}, "documentType": {"documenttype", "/fleet/document-types"},
	} {
		if slices.Contains(names, lower) {
			return kind
		}
	}
	return ""
}
