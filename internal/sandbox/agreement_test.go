package sandbox_test

import (
	"encoding/json"
	"fmt"
	"maps"
	"net/http"
	"slices"
	"strings"
	"testing"

	"google.golang.org/protobuf/reflect/protoreflect"

	"samsara.internal/gateway/internal/endpoint"
)

// What a list tells of a record is what is told of it alone, and what other records that show it in
// short tell of it, too. They may only tell more or less of it, or another value of an enumeration that
// the one declares and the other does not. Positions are such ones; that is tested by itself.
func TestRecords_agreeWhereverTheyAreShown(t *testing.T) {
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

// differences returns where two values differ that tell of the same thing.
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
			if _, both := other[name]; both && name != "position" {
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
		values, others := rule(of).GetValues(), rule(than).GetValues()
		if fmt.Sprint(one) == fmt.Sprint(other) || !slices.Contains(others, fmt.Sprint(one)) && len(others) > 0 || !slices.Contains(values, fmt.Sprint(other)) && len(values) > 0 {
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

func fieldOf(fd protoreflect.FieldDescriptor, name string) protoreflect.FieldDescriptor {
	fields := fd.Message().Fields()
	for i := range fields.Len() {
		if wireName(fields.Get(i)) == name {
			return fields.Get(i)
		}
	}
	return nil
}
