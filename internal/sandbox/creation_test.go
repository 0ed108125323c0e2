package sandbox_test

import (
	"fmt"
	"maps"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"google.golang.org/protobuf/reflect/protoreflect"

	apiv1 "samsara.internal/gateway/gen/api/v1"
)

// What is created has what was sent and what the response requires. These members besides are what
// the server assigns, in any collection.
func TestCreation_inventsNothingInAnyCollection(t *testing.T) {
	t.Parallel()
	a := serve(t, nil)
	assigned, created := map[string]bool{}, 0
	for _, e := range endpoints(t) {
		if e.Operation.GetMethod() != apiv1.HttpMethod_HTTP_METHOD_POST || deprecated(e.Method) {
			continue
		}
		x := requestFor(e, false)
		got := a.call(t, x.line, x.body)
		if got.status > 299 || got.text == "" {
			continue
		}
		record, of := recordIn(e.Method.Output(), decode(t, got.text))
		if n, err := fmt.Sscan(fmt.Sprint(record["id"]), new(int)); n != 1 || err != nil || fmt.Sprint(record["id"]) <= createdFrom {
			continue // an action, or a record with a name
		}
		created++
		for _, name := range slices.Sorted(maps.Keys(record)) {
			fd := of[name]
			switch {
			case fd == nil || rule(fd).GetRequired() || rule(fd).GetAnswered() || sent(x, name) || sent(x, name+"Id"):
			case fd.Message() != nil || fd.IsList():
				t.Errorf("%s %s: %s = %v was not sent", x.line, x.body, name, record[name])
			default:
				assigned[name] = true
			}
		}
		if err := matches(e.Method.Output(), decode(t, got.text), e.Operation.GetId()); err != nil {
			t.Errorf("%s: %v", x.line, err)
		}
	}
	want := []string{"createdAtTime", "createdByUserId", "driverActivationStatus", "id", "isDeactivated", "partStatus", "updatedAtTime"}
	if diff := cmp.Diff(want, slices.Sorted(maps.Keys(assigned))); diff != "" {
		t.Errorf("assigned (-want +got):\n%s", diff)
	}
	if created < 30 {
		t.Errorf("%d records created, want at least 30", created)
	}
}

// createdFrom is an id that lies between the seeded ones and those of created records.
const createdFrom = "281474976711000"

// sent reports whether a request has a parameter or member of a name.
func sent(x exchange, name string) bool {
	return strings.Contains(x.body, `"`+name+`"`) || strings.Contains(x.line, name+"=")
}

func deprecated(md protoreflect.MethodDescriptor) bool {
	o, ok := md.Options().(interface{ GetDeprecated() bool })
	return ok && o.GetDeprecated()
}

// recordIn returns the record that a response holds, with the fields of its members: in data or its
// first element, or the response itself.
func recordIn(md protoreflect.MessageDescriptor, v any) (map[string]any, map[string]protoreflect.FieldDescriptor) {
	fields := map[string]protoreflect.FieldDescriptor{}
	for i := range md.Fields().Len() {
		fd := md.Fields().Get(i)
		fields[wireName(fd)] = fd
	}
	object, _ := v.(map[string]any)
	data, ok := object["data"]
	if !ok || fields["data"].Message() == nil {
		return object, fields
	}
	if list, ok := data.([]any); ok && len(list) > 0 {
		data = list[0]
	}
	return recordIn(fields["data"].Message(), data)
}
