package sandbox_test

import (
	"encoding/json"
	"fmt"
	"strings"
	"testing"

	"google.golang.org/protobuf/reflect/protoreflect"
)

// Every bound that an annotation sets in a body is enforced, at any depth: the least and the greatest value,
// length and count, the allowed values and the formats of times.
func TestRequests_boundsOfBodies(t *testing.T) {
	t.Parallel()
	a := serve(t, nil)
	tried := map[string]int{}
	for _, e := range endpoints(t) {
		x := requestFor(e, true)
		if x.body == "" || deprecated(e.Method) {
			continue
		}
		fields := e.Method.Input()
		for _, wrong := range violations(fields, decode(t, x.body), "", 0) {
			tried[wrong.bound]++
			body, err := json.Marshal(wrong.body)
			if err != nil {
				t.Fatal(err)
			}
			if got := a.call(t, x.line, string(body)); got.status != 400 || !strings.Contains(got.text, wrong.path) {
				t.Errorf("%s with %s below or above %s = %d %.300s, want 400 that names it", x.line, wrong.path, wrong.bound, got.status, got.text)
			}
		}
	}
	t.Logf("tried: %v", tried)
	for _, bound := range []string{"minimum", "maximum", "shortest", "longest", "fewest", "most", "values", "format"} {
		if tried[bound] == 0 {
			t.Errorf("no bound of the kind %s was tried, want some", bound)
		}
	}
}

// violation is a body in which one member breaks one bound.
type violation struct {
	path, bound string
	body        any
}

// violations returns bodies like v, of a message, each of which breaks one bound.
func violations(md protoreflect.MessageDescriptor, v any, path string, depth int) []violation {
	values, ok := v.(map[string]any)
	if !ok || depth > 6 {
		return nil
	}
	with := func(name string, value any) map[string]any {
		out := map[string]any{}
		for k, v := range values {
			out[k] = v
		}
		out[name] = value
		return out
	}
	var out []violation
	for name, fd := range fieldsOf(md) {
		was, ok := values[name]
		if !ok || fd.IsMap() || rule(fd).GetRoot() {
			continue
		}
		for bound, value := range breaking(fd, was) {
			out = append(out, violation{path: path + name, bound: bound, body: with(name, value)})
		}
		below, at := was, path+name
		if list, ok := was.([]any); ok && len(list) > 0 {
			below, at = list[0], at+"[0]"
		}
		if fd.Message() == nil {
			continue
		}
		for _, inner := range violations(fd.Message(), below, at+".", depth+1) {
			if _, isList := was.([]any); isList {
				inner.body = []any{inner.body}
			}
			inner.body = with(name, inner.body)
			out = append(out, inner)
		}
	}
	return out
}

// breaking returns values that break the bounds of a field, by bound.
func breaking(fd protoreflect.FieldDescriptor, was any) map[string]any {
	const longest = 1 << 14
	f, out := rule(fd), map[string]any{}
	one := func(v any) any {
		if fd.IsList() {
			return []any{v}
		}
		return v
	}
	if len(f.GetValues()) > 0 && fd.Kind() == protoreflect.StringKind {
		out["values"] = one("none of the values")
	}
	if f.GetFormat() == "date-time" || f.GetFormat() == "date" {
		out["format"] = one("yesterday")
	}
	least, most := f.GetMinimum(), f.GetMaximum()
	switch list, isList := was.([]any); {
	case isList:
		if f.Minimum != nil && least > 0 {
			out["fewest"] = list[:int(least)-1]
		}
		if f.Maximum != nil && most < longest {
			more := list
			for len(more) <= int(most) {
				more = append(more, list[0])
			}
			out["most"] = more
		}
	case fd.Kind() == protoreflect.StringKind:
		if f.Minimum != nil && least > 0 {
			out["shortest"] = strings.Repeat("x", int(least)-1)
		}
		if f.Maximum != nil && most < longest {
			out["longest"] = strings.Repeat("x", int(most)+1)
		}
	case fd.Message() == nil && fd.Kind() != protoreflect.BoolKind:
		if f.Minimum != nil {
			out["minimum"] = json.Number(fmt.Sprint(int64(least) - 1))
		}
		if f.Maximum != nil {
			out["maximum"] = json.Number(fmt.Sprint(int64(most) + 1))
		}
	}
	return out
}
