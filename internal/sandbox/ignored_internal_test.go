package sandbox

import (
	"maps"
	"net/http"
	"slices"
	"testing"

	"google.golang.org/protobuf/reflect/protoregistry"

	_ "samsara.internal/gateway/gen"
	"samsara.internal/gateway/internal/endpoint"
)

// One file lists the parameters of lists that no reply depends on. So a change does not make the sandbox
// ignore another one unnoticed.
func TestFilters_ignored(t *testing.T) {
	t.Parallel()
	endpoints, err := endpoint.Load(protoregistry.GlobalFiles, protoregistry.GlobalTypes)
	if err != nil {
		t.Fatal(err)
	}
	s, err := New(Config{Endpoints: endpoints, Token: "token"})
	if err != nil {
		t.Fatal(err)
	}
	var ignored, used []string
	for _, op := range s.routes.operations() {
		if op.verb != http.MethodGet || !op.envelope.isList {
			continue
		}
		for _, name := range slices.Sorted(maps.Keys(op.query)) {
			line := "GET " + op.GetPath() + " " + name
			switch m := op.query[name]; {
			case isCursor(name), name == "limit", name == "types", name == "endTime", name == "endMs", op.GetFeed() && name == "startTime":
			case s.filterBy(op, m) == byNothing:
				ignored = append(ignored, line)
			default:
				used = append(used, line)
			}
		}
	}
	CompareGolden(t, "ignored-parameters.txt", "parameters that are ignored", ignored)
	if len(used) < 200 {
		t.Errorf("%d parameters select records, want at least 200", len(used))
	}
}

// operations returns every operation of the router.
func (t *router) operations() []*operation {
	ops := slices.Collect(maps.Values(t.byVerb))
	for _, next := range t.literal {
		ops = append(ops, next.operations()...)
	}
	if t.name != nil {
		ops = append(ops, t.name.operations()...)
	}
	return ops
}
