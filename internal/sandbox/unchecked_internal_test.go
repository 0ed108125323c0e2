package sandbox

import (
	"maps"
	"net/http"
	"slices"
	"testing"

	"google.golang.org/protobuf/reflect/protoregistry"

	"samsara.internal/gateway/internal/endpoint"
)

// One file lists the ids in requests whose kind of record the sandbox does not know. So a change does not
// make it accept unknown ids unnoticed.
func TestReferences_unchecked(t *testing.T) {
	t.Parallel()
	endpoints, err := endpoint.Load(protoregistry.GlobalFiles, protoregistry.GlobalTypes)
	if err != nil {
		t.Fatal(err)
	}
	s, err := New(Config{Endpoints: endpoints, Token: "token"})
	if err != nil {
		t.Fatal(err)
	}
	var unchecked []string
	checked := 0
	for _, op := range s.routes.operations() {
		if op.verb == http.MethodGet {
			continue
		}
		typed := func(of *schema) map[string]any { // with a kind beside each id
			out := map[string]any{}
			for _, m := range of.members {
				if len(m.values) > 0 {
					out[m.name] = m.values[0]
				}
			}
			return out
		}
		q := &request{op: op}
		if op.body != nil {
			q.body = typed(op.body)
		}
		look := func(m *member, path string, beside map[string]any) {
			switch {
			case m.term.is("externalids"): // its own
			case m.kind == object && op.target.collection.numbered[m.name]: // see strange
			case len(s.refersTo(q, m, beside)) > 0:
				checked++
			case m.kind == object:
				unchecked = append(unchecked, op.verb+" "+op.GetPath()+" "+path+".id")
			default:
				unchecked = append(unchecked, op.verb+" "+op.GetPath()+" "+path)
			}
		}
		for _, name := range slices.Sorted(maps.Keys(op.query)) {
			if m := op.query[name]; m.refers && name != op.target.param {
				look(m, name, nil)
			}
		}
		var walk func(of *schema, path string, depth int)
		walk = func(of *schema, path string, depth int) {
			for _, m := range of.members {
				switch {
				case path == "" && m.name == op.target.param:
				case m.isRecord() && depth > 0:
					if m.isReference() && m != op.holds && m.schema.named[m.noun+"Id"] == nil {
						look(m, path+m.name, typed(m.schema))
					}
					walk(m.schema, path+m.name+".", depth-1)
				case m.refers && m.kind != object:
					look(m, path+m.name, typed(of))
				}
			}
		}
		if op.body != nil {
			walk(op.body, "", maxRequiredDepth)
		}
	}
	CompareGolden(t, "unchecked-references.txt", "references that are not checked", unchecked)
	t.Logf("%d references are checked, %d are not", checked, len(unchecked))
	if checked < 200 {
		t.Errorf("%d references are checked, want at least 200", checked)
	}
}
