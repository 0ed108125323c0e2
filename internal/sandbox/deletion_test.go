package sandbox_test

import (
	"fmt"
	"maps"
	"net/http"
	"slices"
	"strings"
	"testing"

	"google.golang.org/protobuf/reflect/protoreflect"

	"samsara.internal/gateway/internal/sandbox"
)

// Deleting a record removes it from all answers, except from required members. Assignments of a deleted
// record are deleted, too.
func TestDeletion_leavesNoReferenceInAnyAnswer(t *testing.T) {
	t.Parallel()
	tests := map[string]struct {
		line  string   // that deletes the first record
		nouns []string // what the members that refer to it end in
	}{
		"user":      {"DELETE /users/" + knownID, []string{"user"}},
		"asset":     {"DELETE /assets?id=" + knownID, []string{"asset", "trailer", "equipment"}},
		"trailer":   {"DELETE /fleet/trailers/" + knownID, []string{"trailer"}},
		"route":     {"DELETE /fleet/routes/" + knownID, []string{"route"}},
		"tag":       {"DELETE /tags/" + knownID, []string{"tag"}},
		"address":   {"DELETE /addresses/" + knownID, []string{"address"}},
		"place":     {"DELETE /places?placeId=" + knownID, []string{"place"}},
		"contact":   {"DELETE /contacts/" + knownID, []string{"contact"}},
		"attribute": {"DELETE /attributes/" + knownID + "?entityType=driver", []string{"attribute"}},
		"document":  {"DELETE /fleet/documents/" + knownID, []string{"document"}},
		"part":      {"DELETE /maintenance/parts?id=" + knownID, []string{"part"}},
		"workOrder": {"DELETE /maintenance/work-orders?id=" + knownID, []string{"workorder"}},
		"warranty":  {"DELETE /maintenance/warranties?id=" + knownID, []string{"warranty"}},
		"account":   {"DELETE /ridership/accounts?id=" + knownID, []string{"account"}},
		"passenger": {"DELETE /ridership/passengers?id=" + knownID, []string{"passenger"}},
	}
	for kind, tt := range tests {
		t.Run(kind, func(t *testing.T) {
			t.Parallel()
			a := serve(t, func(c *sandbox.Config) { c.PageSize = 12 })
			if got := a.call(t, tt.line, ""); got.status > 299 {
				t.Fatalf("%s = %d %s", tt.line, got.status, got.text)
			}
			kept, answers := map[string]bool{}, 0
			for _, e := range endpoints(t) {
				if e.Operation.GetMethod().String() != "HTTP_METHOD_"+http.MethodGet || deprecated(e.Method) {
					continue
				}
				line := requestFor(e, false).line
				got := a.call(t, line, "")
				if got.status != http.StatusOK {
					continue // it asks for what has been deleted
				}
				answers++
				r := remains{nouns: tt.nouns, found: map[string]bool{}}
				r.walk(e.Method.Output(), decode(t, got.text), "")
				for path, must := range r.found {
					if must && !strings.Contains(strings.ToLower(e.Operation.GetPath()), "assignments") {
						kept[e.Operation.GetPath()+" "+path] = true
					} else {
						t.Errorf("after %s, %s still has it in %s", tt.line, line, path)
					}
				}
			}
			t.Logf("kept, because it must be there: %v", slices.Sorted(maps.Keys(kept)))
			if answers < 150 {
				t.Errorf("%d answers, want at least 150", answers)
			}
		})
	}
}

// remains returns the paths at which an answer refers to the first record of a kind.
type remains struct {
	nouns []string
	found map[string]bool // by path, whether the member must be there
}

func (r *remains) walk(md protoreflect.MessageDescriptor, v any, path string) {
	object, _ := v.(map[string]any)
	fields := fieldsOf(md)
	for name, below := range object {
		fd := fields[name]
		if fd == nil {
			continue
		}
		needed := (rule(fd).GetRequired() || rule(fd).GetAnswered()) && !fd.IsList()
		at := strings.TrimPrefix(path+"."+name, ".")
		values, isList := below.([]any)
		if !isList {
			values = []any{below}
		}
		for _, value := range values {
			inner, isObject := value.(map[string]any)
			switch {
			case isObject && fd.Message() != nil && !fd.IsMap() && !strings.HasPrefix(string(fd.Message().FullName()), "google.protobuf."):
				if fmt.Sprint(inner["id"]) == knownID && (r.is(name) || slices.Contains(r.nouns, fmt.Sprint(inner["type"]))) {
					r.found[at] = needed
				}
				r.walk(fd.Message(), inner, at)
			case !isObject && fmt.Sprint(value) == knownID && r.isID(name):
				r.found[at] = needed
			}
		}
	}
}

func (r *remains) is(name string) bool {
	lower := strings.ToLower(name)
	return slices.ContainsFunc(r.nouns, func(noun string) bool {
		return strings.HasSuffix(lower, noun) || strings.HasSuffix(lower, noun+"s") || strings.HasSuffix(lower, noun+"es")
	})
}

func (r *remains) isID(name string) bool {
	lower := strings.ToLower(strings.TrimSuffix(name, "s"))
	return slices.ContainsFunc(r.nouns, func(noun string) bool { return strings.HasSuffix(lower, noun+"id") })
}
