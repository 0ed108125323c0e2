package main

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"math/rand/v2"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"samsara.internal/gateway/cmd/protogen/internal/model"
	"samsara.internal/gateway/cmd/protogen/internal/surface"
	"samsara.internal/gateway/internal/testenv"
)

// Each edit of a document is one change, or a few, of one severity.
func TestDrift_edits(t *testing.T) {
	t.Parallel()
	base, err := os.ReadFile("testdata/drift/base.yaml")
	if err != nil {
		t.Fatal(err)
	}
	const things = "samsara_gateway.things.v1.ThingsService."
	const state = "{name: {type: string}, since: {type: string}}"
	const box = "{data: {type: object, properties: {color: {type: string}, size: {type: integer}}}}"
	const noList = `things.yaml:5:5: #/paths/~1things/get: listThings (GET /things): pages with 0 lists of records [], want 1: not supported`
	for _, test := range []struct {
		name      string
		old, edit string
		want      []string // severity, what, where and detail of each change
	}{
		{"nothing", "title: What changes", "title: Nothing changes", nil},
		{"a text that reaches no comment", "description: When.", "description: When it was made.", nil},
		{"a text that reaches a comment", "description: How long.", "description: How long since the epoch.", []string{"cosmetic|texts changed|samsara_gateway.things.v1|2 lines added, 2 removed"}},
		{"known values", "[cat, dog]", "[cat, bird]", []string{
			`cosmetic|known values changed|samsara_gateway.things.v1.CreateThingRequest.kind|+"bird" -"dog"`,
			`cosmetic|known values changed|samsara_gateway.things.v1.Thing.kind|+"bird" -"dog"`,
		}},
		{"a format", "description: When.", "format: date-time", []string{
			"cosmetic|field changed|samsara_gateway.things.v1.CreateThingRequest.made_at|format , now date-time",
			"cosmetic|field changed|samsara_gateway.things.v1.Thing.made_at|format , now date-time",
		}},
		{"a bound", "maximum: 100", "maximum: 512", []string{"cosmetic|field changed|samsara_gateway.things.v1.ListThingsRequest.size|maximum 100, now 512"}},
		{"a bound that is gone", "maximum: 100", "minimum: 0", []string{
			"structural|field retyped|samsara_gateway.things.v1.ListThingsRequest.size|optional int32, now optional int64 in size_v2",
		}},
		{"a bound that was not there", "name: most, in: query, schema: {type: integer", "name: most, in: query, schema: {type: integer, maximum: 9", []string{
			"cosmetic|field changed|samsara_gateway.things.v1.ListThingsRequest.most|maximum none, now 9",
		}},
		{"a text that is said to be a list", "A word.", "Comma-separated words.", []string{"cosmetic|texts changed|samsara_gateway.things.v1|1 lines added, 0 removed"}},
		{"a list that is no longer said to be one", "A comma-separated list.", "A list.", nil},
		{"a new field", "        sizeMs:", "        color: {type: string}\n        sizeMs:", []string{
			"additive|field added|samsara_gateway.things.v1.CreateThingRequest.color|optional string",
			"additive|field added|samsara_gateway.things.v1.Thing.color|optional string",
		}},
		{
			"a new operation", "  /things/{id}:\n    delete:", "  /things/{id}:\n    get:\n      operationId: getThing\n      tags: [Things]\n" +
				"      parameters:\n        - {name: id, in: path, required: true, schema: {type: string}}\n      responses:\n        \"200\": {description: One.}\n    delete:",
			[]string{"additive|operation added|" + things + "GetThing|GET /things/{id}"},
		},
		{
			"a new operation that is not supported", "  /things/{id}:", "  /uploads:\n    post:\n      operationId: uploadThing\n      tags: [Things]\n" +
				"      requestBody: {content: {multipart/form-data: {schema: {type: object}}}}\n      responses:\n        \"200\": {description: It is up.}\n  /things/{id}:",
			[]string{"structural|operation not supported|uploadThing (POST /uploads)|things.yaml:39:7: #/paths/~1uploads/post/requestBody: uploadThing (POST /uploads): content of the type multipart/form-data, want application/json: not supported"},
		},
		{"a rate limit", "5 requests/sec", "100 requests/min", []string{"structural|rate limit changed|" + things + "ListThings|5 per second, now 100 per minute"}},
		{"an array style", "explode: false", "explode: true", []string{"structural|field changed|samsara_gateway.things.v1.ListThingsRequest.kinds|array style ARRAY_STYLE_COMMA, now ARRAY_STYLE_REPEAT"}},
		{"a status", `"204": {description: It is gone.}`, `"200": {description: It is gone.}`, []string{"structural|operation changed|" + things + "DeleteThing|success status 204, now 200"}},
		{"a deprecated field", "name: {type: string}\n        owner", "name: {type: string, deprecated: true}\n        owner", []string{
			"structural|field deprecated|samsara_gateway.things.v1.CreateThingRequest.name|",
			"structural|field deprecated|samsara_gateway.things.v1.Thing.name|",
		}},
		{"a deprecated operation", "operationId: createThing", "operationId: createThing\n      deprecated: true", []string{"structural|operation deprecated|" + things + "CreateThing|POST /things"}},
		{"another tag", "operationId: createThing\n      tags: [Things]", "operationId: createThing\n      tags: [Goods]", nil},
		{"another stage", "operationId: createThing\n      tags: [Things]", "operationId: createThing\n      tags: [Beta APIs]", []string{
			"cosmetic|stage changed|" + things + "CreateThing|STAGE_STABLE, now STAGE_BETA",
		}},
		{"another operationId", "operationId: createThing", "operationId: makeThing", []string{
			"structural|operation deprecated|" + things + "CreateThing|POST /things goes on working, and is now " + things + "MakeThing",
			"additive|operation added|" + things + "MakeThing|POST /things",
		}},
		{"another path", "  /things/{id}:", "  /goods/{id}:", []string{
			"structural|operation moved|" + things + "DeleteThing|DELETE /things/{id}, now DELETE /goods/{id}",
		}},
		{"text is a list", "name: {type: string}\n        owner", "name: {type: array, items: {type: string}}\n        owner", []string{
			"structural|field retyped|samsara_gateway.things.v1.CreateThingRequest.name|optional string, now repeated string in name_v2",
			"structural|field retyped|samsara_gateway.things.v1.Thing.name|optional string, now repeated string in name_v2",
		}},
		{"text is an object", "name: {type: string}\n        owner", "name: {type: object, properties: {full: {type: string}}}\n        owner", []string{
			"structural|field retyped|samsara_gateway.things.v1.CreateThingRequest.name|optional string, now ThingName in name_v2",
			"structural|field retyped|samsara_gateway.things.v1.Thing.name|optional string, now ThingName in name_v2",
		}},
		{"a parameter of another type that is required", "name: size, in: query, schema: {type: integer, maximum: 100}", "name: size, in: query, required: true, schema: {type: string}", []string{
			"breaking|field required|samsara_gateway.things.v1.ListThingsRequest.size_v2|",
			"structural|field retyped|samsara_gateway.things.v1.ListThingsRequest.size|optional int32, now optional string in size_v2",
		}},
		{"a body of another type", "schema: {type: array, items: {type: string}}}}}\n      responses:\n        \"204\": {description: They", "schema: {type: object, properties: {tags: {type: array, items: {type: string}}}}}}}\n      responses:\n        \"204\": {description: They", []string{
			"structural|field retyped|samsara_gateway.things.v1.ReplaceTagsRequest.body|repeated string, now an object",
			"additive|field added|samsara_gateway.things.v1.ReplaceTagsRequest.tags|repeated string",
		}},
		{"an answer that is wrapped", state, "{data: {type: object, properties: " + state + "}}", []string{
			"structural|answer wrapped|" + things + "GetState|read in both forms: name, since",
		}},
		{"an answer that is wrapped, and has other members", state, "{data: {type: object, properties: {name: {type: array, items: {type: string}}, until: {type: string}}}}", []string{
			"breaking|field removed|samsara_gateway.things.v1.GetStateResponse.since|optional string",
			"structural|answer wrapped|" + things + "GetState|read in both forms: name",
			"structural|field retyped|samsara_gateway.things.v1.GetStateResponse.name|optional string, now repeated string in data.name",
		}},
		{"an answer that is wrapped, beside another member", state, "{data: {type: object, properties: " + state + "}, more: {type: string}}", []string{
			"breaking|field removed|samsara_gateway.things.v1.GetStateResponse.name|optional string",
			"breaking|field removed|samsara_gateway.things.v1.GetStateResponse.since|optional string",
			"additive|field added|samsara_gateway.things.v1.GetStateResponse.data|ThingsIdStateData",
			"additive|field added|samsara_gateway.things.v1.GetStateResponse.more|optional string",
		}},
		{"an answer with other members in data", state, "{data: {type: object, properties: {until: {type: string}}}}", []string{
			"breaking|field removed|samsara_gateway.things.v1.GetStateResponse.name|optional string",
			"breaking|field removed|samsara_gateway.things.v1.GetStateResponse.since|optional string",
			"additive|field added|samsara_gateway.things.v1.GetStateResponse.data|ThingsIdStateData",
		}},
		{"an answer that is bare", box, "{color: {type: string}, size: {type: string}, weight: {type: number}}", []string{
			"structural|answer bare|" + things + "GetBox|read in both forms: data.color, data.size",
			"structural|field retyped|samsara_gateway.things.v1.GetBoxResponse.data.size|optional int64, now optional string in size",
			"additive|field added|samsara_gateway.things.v1.GetBoxResponse.weight|optional double",
		}},
		{"an answer that is bare, and lacks a member", box, "{color: {type: string}}", []string{
			"breaking|field removed|samsara_gateway.things.v1.GetBoxResponse.data.size|optional int64",
			"structural|answer bare|" + things + "GetBox|read in both forms: data.color",
		}},
		{"an answer with a new member data that is deprecated", state, strings.TrimSuffix(state, "}") + ", data: {type: object, deprecated: true, properties: " + state + "}}", []string{
			"additive|field added|samsara_gateway.things.v1.GetStateResponse.data|ThingsIdStateData",
		}},
		{"an answer whose other members are deprecated", state, strings.ReplaceAll(state, "string}", "string, deprecated: true}")[:len(state)+2*len(", deprecated: true")-1] + ", data: {type: object, properties: " + state + "}}", []string{
			"structural|field deprecated|samsara_gateway.things.v1.GetStateResponse.name|",
			"structural|field deprecated|samsara_gateway.things.v1.GetStateResponse.since|",
			"additive|field added|samsara_gateway.things.v1.GetStateResponse.data|ThingsIdStateData",
		}},
		{"a field that is gone", "        madeAt: {type: string, description: When.}\n", "", []string{
			"breaking|field removed|samsara_gateway.things.v1.CreateThingRequest.made_at|optional string",
			"breaking|field removed|samsara_gateway.things.v1.Thing.made_at|optional string",
		}},
		{"a parameter that is required", "name: kinds, in: query", "name: kinds, in: query, required: true", []string{"breaking|field required|samsara_gateway.things.v1.ListThingsRequest.kinds|"}},
		{"a new parameter that is required", "        - {name: kinds", "        - {name: color, in: query, required: true, schema: {type: string}}\n        - {name: kinds", []string{
			"breaking|required field added|samsara_gateway.things.v1.ListThingsRequest.color|optional string",
		}},
		{"an operation that is gone", "    delete:\n", "    options:\n", []string{
			"breaking|operation removed|" + things + "DeleteThing|calls DELETE /things/{id} still",
			"structural|operation not supported|deleteThing (OPTIONS /things/{id})|things.yaml:36:5: #/paths/~1things~1{id}/options: deleteThing (OPTIONS /things/{id}): method OPTIONS: not supported",
		}},
		{"pages whose records are gone", "data: {type: array, items: {$ref: \"#/components/schemas/Thing\"}}", "data: {type: string}", []string{
			"structural|field retyped|samsara_gateway.things.v1.ListThingsResponse.data|repeated Thing, now optional string in data_v2",
			"structural|stream deprecated|" + things + "StreamThings|ListThings no longer pages",
		}},
		{
			"a new operation whose pages have no records", "    post:\n      operationId: createThing", "    put:\n      operationId: listThings2\n      tags: [Things]\n" +
				"      parameters: [{name: after, in: query, schema: {type: string}}]\n      responses: {\"200\": {description: None.}}\n    post:\n      operationId: createThing",
			[]string{"structural|operation not supported|listThings2 (PUT /things)|" + strings.NewReplacer("5:5", "26:5", "/get", "/put", "listThings (GET", "listThings2 (PUT").Replace(noList)},
		},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			dir := t.TempDir()
			root, spec := newTree(t), filepath.Join(dir, "things.yaml")
			if _, err := generateAll(t.Context(), "testdata/drift/base.yaml", root); err != nil {
				t.Fatal(err)
			}
			edited := strings.Replace(string(base), test.old, test.edit, 1)
			if edited == string(base) {
				t.Fatalf("no %q in the document", test.old)
			}
			writeFile(t, spec, edited)
			before := readFiles(t, root)
			report := runDrift(t, spec, root)
			var have []string
			for _, c := range report.Changes {
				have = append(have, strings.Join([]string{c.Severity.String(), c.What, c.Where, strings.ReplaceAll(c.Detail, dir+"/", "")}, "|"))
			}
			if diff := cmp.Diff(test.want, have); diff != "" {
				t.Errorf("changes (-want +have):\n%s", diff)
			}
			if diff := cmp.Diff(before, readFiles(t, root)); diff != "" {
				t.Errorf("drift changed the tree:\n%s", diff)
			}
		})
	}
}

// runDrift runs the command, and checks that what it prints and what it exits with agree.
func runDrift(t *testing.T, spec, root string) surface.Report {
	t.Helper()
	var stdout, stderr bytes.Buffer
	err := run(t.Context(), []string{"drift", "--json", "--spec", spec, "--out", root}, &stdout, &stderr)
	if stderr.Len() > 0 {
		t.Fatalf("drift: %v, stderr %q", err, &stderr)
	}
	var printed struct {
		Severity     string
		Files        int
		LinesAdded   int `json:"lines_added"`
		LinesRemoved int `json:"lines_removed"`
		Changes      []struct{ Severity, What, Where, Detail string }
	}
	if err := json.Unmarshal(stdout.Bytes(), &printed); err != nil {
		t.Fatalf("%v in %q", err, &stdout)
	}
	report := surface.Report{Files: printed.Files, LinesAdded: printed.LinesAdded, LinesRemoved: printed.LinesRemoved}
	severity := func(word string) surface.Severity {
		for c := surface.None; c <= surface.Breaking; c++ {
			if c.String() == word {
				return c
			}
		}
		t.Fatalf("severity %q", word)
		return surface.None
	}
	report.Severity = severity(printed.Severity)
	for _, c := range printed.Changes {
		report.Changes = append(report.Changes, surface.Change{Severity: severity(c.Severity), What: c.What, Where: c.Where, Detail: c.Detail})
	}
	if want := map[surface.Severity]int{surface.Cosmetic: 10, surface.Additive: 11, surface.Structural: 12, surface.Breaking: 13}[report.Severity]; exitCode(err) != want {
		t.Errorf("a %s drift exits with %d, want %d", report.Severity, exitCode(err), want)
	}
	return report
}

func TestDrift_asText(t *testing.T) {
	t.Parallel()
	root := newTree(t)
	if _, err := generateAll(t.Context(), "testdata/evolution-1.json", root); err != nil {
		t.Fatal(err)
	}
	var stdout, stderr bytes.Buffer
	err := run(t.Context(), []string{"drift", "--spec", "testdata/evolution-2.json", "--out", root}, &stdout, &stderr)
	if exitCode(err) != 13 || stderr.Len() > 0 {
		t.Errorf("drift: %v, exit code %d, want 13; stderr %q", err, exitCode(err), &stderr)
	}
	const golden = "testdata/drift/evolution.txt"
	if *rewrite {
		writeFile(t, golden, stdout.String())
	}
	want, err := os.ReadFile(golden)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(string(want), stdout.String()); diff != "" {
		t.Errorf("run with -update if this is meant (-golden +made):\n%s", diff)
	}
}

func TestDrift_failed(t *testing.T) {
	t.Parallel()
	var stdout, stderr bytes.Buffer
	err := run(t.Context(), []string{"drift", "--spec", "testdata/refused/dangling-ref.yaml", "--out", newTree(t)}, &stdout, &stderr)
	if exitCode(err) != 1 || !strings.Contains(stderr.String(), "leads to nothing") || stdout.Len() > 0 {
		t.Errorf("drift: %v, stdout %q, stderr %q", err, &stdout, &stderr)
	}
}

// samsaraTree is Samsara's document as plain JSON, and a module with the committed tree. It is nil if
// the environment names no document.
func samsaraTree(t *testing.T) (map[string]any, string) {
	t.Helper()
	spec := os.Getenv("SAMSARA_OPENAPI") // set by the makefile
	if spec == "" {
		return nil, ""
	}
	module := newModule(t)
	copyTree(t, "../..", module)
	return readJSON(t, spec), module
}

func readJSON(t *testing.T, file string) map[string]any {
	t.Helper()
	raw, err := os.ReadFile(file)
	var document map[string]any
	if err := errors.Join(err, json.Unmarshal(raw, &document)); err != nil {
		t.Fatal(err)
	}
	return document
}

// writeJSON writes a document, with the members of each object in a random order.
func writeJSON(t *testing.T, document any, chance *rand.Rand) string {
	t.Helper()
	var out bytes.Buffer
	var write func(v any)
	write = func(v any) {
		switch v := v.(type) {
		case map[string]any:
			names := slices.Sorted(maps.Keys(v))
			chance.Shuffle(len(names), func(i, j int) { names[i], names[j] = names[j], names[i] })
			for i, name := range names {
				out.WriteString([]string{"{", ","}[min(i, 1)])
				write(name)
				out.WriteByte(':')
				write(v[name])
			}
			if len(names) == 0 {
				out.WriteByte('{')
			}
			out.WriteByte('}')
		case []any:
			out.WriteByte('[')
			for i, entry := range v {
				if i > 0 {
					out.WriteByte(',')
				}
				write(entry)
			}
			out.WriteByte(']')
		default:
			raw, err := json.Marshal(v)
			if err != nil {
				t.Fatal(err)
			}
			out.Write(raw)
		}
	}
	write(document)
	file := filepath.Join(t.TempDir(), "openapi.json")
	writeFile(t, file, out.String())
	return file
}

// All that changed in eleven months is sorted in a minute; it takes seconds.
func TestTime_driftSamsaraOlderToNewer(t *testing.T) {
	t.Parallel()
	testenv.Alone(t)
	current, old := os.Getenv("SAMSARA_OPENAPI"), os.Getenv("SAMSARA_OPENAPI_OLD") // set by the makefile
	if current == "" || old == "" {
		return
	}
	module := newModule(t)
	runProtogen(t, old, module)
	have := map[string]int{}
	start := time.Now()
	for _, c := range runDrift(t, current, filepath.Join(module, "proto")).Changes {
		have[c.Severity.String()+" "+c.What]++
	}
	took := time.Since(start)
	t.Log(took, have)
	if took > time.Minute {
		t.Errorf("drift took %s, want a minute at most", took)
	}
	for what, want := range map[string]int{"breaking operation removed": 4, "structural operation moved": 9, "breaking field removed": 6, "structural answer wrapped": 2, "structural field retyped": 0, "additive operation added": 174} {
		if have[what] != want {
			t.Errorf("%s: %d, want %d", what, have[what], want)
		}
	}
}

// What the document's maker numbers and hashes anew, and the order of members, are no change; nor is
// the version of OpenAPI.
func TestDrift_samsaraRenumberedAndShuffled(t *testing.T) {
	t.Parallel()
	for _, version := range []string{"3.0.1", "3.1.0"} {
		t.Run(version, func(t *testing.T) {
			t.Parallel()
			document, module := samsaraTree(t)
			if document == nil {
				return
			}
			renumber(document)
			document["openapi"] = version
			if version == "3.1.0" {
				nullByType(document)
			}
			spec := writeJSON(t, document, rand.New(rand.NewPCG(1, 2)))
			root := filepath.Join(module, "proto")
			m, err := load(t.Context(), spec, root)
			if err != nil {
				t.Fatal(err)
			}
			if report := driftOf(t, m, root); report.Severity != surface.None || report.Files > 0 {
				t.Errorf("%s drift in %d files, %d lines added, %d removed: %v", report.Severity, report.Files, report.LinesAdded, report.LinesRemoved, report.Changes)
			}
		})
	}
}

// renumber gives each schema whose name is a number the next one's name, and each that is told apart
// by a hash another hash.
func renumber(document map[string]any) {
	schemas := schemasOf(document)
	renamed := map[string]string{}
	var numbered []string
	for _, name := range slices.Sorted(maps.Keys(schemas)) {
		if strings.HasPrefix(name, "inline_object") {
			numbered = append(numbered, name)
		}
		renamed[name] = regexp.MustCompile(`(PublicVariant)([0-9A-Fa-f]{6})([0-9A-Fa-f]{6})`).ReplaceAllString(name, "$1$3$2")
	}
	for i, name := range numbered {
		renamed[name] = numbered[(i+1)%len(numbered)]
	}
	moved := map[string]any{}
	for name, schema := range schemas {
		moved[renamed[name]] = schema
	}
	objectAt(document, "components")["schemas"] = moved
	walk(document, func(object map[string]any) {
		if ref, ok := object["$ref"].(string); ok {
			if name, ok := strings.CutPrefix(ref, "#/components/schemas/"); ok {
				object["$ref"] = "#/components/schemas/" + renamed[name]
			}
		}
	})
}

// nullByType says of what may be null as OpenAPI 3.1 does, and of each property of text that it may be.
func nullByType(document map[string]any) {
	for _, schema := range schemasOf(document) {
		walk(schema, func(object map[string]any) {
			if object["nullable"] == true {
				delete(object, "nullable")
				object["type"] = []any{object["type"], "null"}
			}
			for name := range objectAt(object, "properties") {
				if property := objectAt(object, "properties", name); property["type"] == "string" {
					delete(property, "nullable")
					property["type"] = []any{"string", "null"}
				}
			}
		})
	}
}

func schemasOf(document map[string]any) map[string]any {
	return objectAt(document, "components", "schemas")
}

// objectAt returns the object at a path of a document, nil if there is none.
func objectAt(object map[string]any, path ...string) map[string]any {
	for _, name := range path {
		object, _ = object[name].(map[string]any)
	}
	return object
}

// walk visits the objects below a value, members in the order of their names.
func walk(v any, visit func(map[string]any)) {
	switch v := v.(type) {
	case map[string]any:
		visit(v)
		for _, name := range slices.Sorted(maps.Keys(v)) {
			walk(v[name], visit)
		}
	case []any:
		for _, entry := range v {
			walk(entry, visit)
		}
	}
}

// A release like those of 2026: 7 retypings, 4 removals, 78 additions and an operation that cannot
// be expressed. The tree takes it all but the last, which has to be left out by name.
func TestDrift_samsaraRelease(t *testing.T) {
	t.Parallel()
	document, module := samsaraTree(t)
	if document == nil {
		return
	}
	chance := rand.New(rand.NewPCG(3, 4))
	want := release(t, document, filepath.Join(module, "proto"), chance)
	root := filepath.Join(module, "proto")
	m, err := load(t.Context(), writeJSON(t, document, chance), root)
	if err != nil {
		t.Fatal(err)
	}
	report := driftOf(t, m, root)
	have := map[string][]string{}
	for _, c := range report.Changes {
		have[c.What] = append(have[c.What], c.Where)
		if c.What == "field retyped" && c.Severity != surface.Structural {
			t.Errorf("%s retyped is %s, want structural", c.Where, c.Severity)
		}
	}
	for what := range have {
		slices.Sort(have[what])
	}
	counts := map[string]int{}
	for what := range want {
		counts[what] = len(want[what])
		slices.Sort(want[what])
	}
	t.Log(report.Severity, counts)
	if diff := cmp.Diff(map[string]int{"field retyped": 7, "field removed": 3, "operation removed": 1, "field added": 44, "operation added": 34, "operation not supported": 1}, counts); diff != "" {
		t.Errorf("the release (-want +made):\n%s", diff)
	}
	if diff := cmp.Diff(want, have); diff != "" || report.Severity != surface.Breaking {
		t.Errorf("a %s drift (-want +have):\n%s", report.Severity, diff)
	}
	before := newModule(t)
	copyTree(t, module, before)
	for run, wantWritten := range []bool{true, false} {
		if written, err := surface.Update(t.Context(), m, root, all()); err != nil || written > 0 != wantWritten {
			t.Errorf("run %d wrote %d files, %v", run+1, written, err)
		}
	}
	buf(t, module, "lint")
	buf(t, module, "format", "--diff", "--exit-code")
	buf(t, module, "breaking", "--against", before)
}

func driftOf(t *testing.T, m model.Model, root string) surface.Report {
	t.Helper()
	report, err := surface.Drift(t.Context(), m, root)
	if err != nil {
		t.Fatal(err)
	}
	return report
}

// release edits a document, and returns where its changes are, by what they are.
func release(t *testing.T, document map[string]any, root string, chance *rand.Rand) map[string][]string {
	t.Helper()
	want := map[string][]string{}
	add := func(what, where string) { want[what] = append(want[what], where) }
	messages := messagesOf(t, root)
	schemas := schemasOf(document)
	var fields []string // a schema with a message of its own, and a property of text, each schema once
	for _, name := range slices.Sorted(maps.Keys(messages)) {
		properties := objectAt(schemas, name, "properties")
		for _, property := range slices.Sorted(maps.Keys(properties)) {
			text, _ := properties[property].(map[string]any)
			if text["type"] == "string" && regexp.MustCompile(`^[a-z]+$`).MatchString(property) {
				fields = append(fields, name+" "+property)
				break
			}
		}
	}
	chance.Shuffle(len(fields), func(i, j int) { fields[i], fields[j] = fields[j], fields[i] })
	for i := range 7 + 3 + 44 {
		name, property, _ := strings.Cut(fields[i], " ")
		properties := objectAt(schemas, name, "properties")
		switch {
		case i < 6:
			properties[property] = map[string]any{"type": "object", "properties": map[string]any{"value": map[string]any{"type": "string"}}}
			add("field retyped", messages[name]+"."+property)
		case i < 7:
			properties[property] = map[string]any{"type": "array", "items": map[string]any{"type": "string"}}
			add("field retyped", messages[name]+"."+property)
		case i < 7+3:
			delete(properties, property)
			add("field removed", messages[name]+"."+property)
		default:
			properties["released"] = map[string]any{"type": "integer"}
			add("field added", messages[name]+".released")
		}
	}
	paths := objectAt(document, "paths")
	response := map[string]any{"200": map[string]any{"description": "Yes."}}
	for i := range 34 {
		paths[fmt.Sprintf("/released/%d", i)] = map[string]any{"get": map[string]any{
			"operationId": fmt.Sprintf("getReleased%d", i), "tags": []any{"Released"}, "responses": response,
		}}
		add("operation added", fmt.Sprintf("samsara_gateway.released.v1.ReleasedService.GetReleased%d", i))
	}
	delete(objectAt(paths, "/contacts/{id}"), "delete")
	add("operation removed", "samsara_gateway.contacts.v1.ContactsService.DeleteContact")
	paths["/released/upload"] = map[string]any{"post": map[string]any{
		"operationId": "releasedUpload", "tags": []any{"Released"}, "responses": response,
		"requestBody": map[string]any{"content": map[string]any{"multipart/form-data": map[string]any{"schema": map[string]any{"type": "object"}}}},
	}}
	add("operation not supported", "releasedUpload (POST /released/upload)")
	return want
}

// messagesOf returns the full names of the messages that stand for one schema alone, by its name.
func messagesOf(t *testing.T, root string) map[string]string {
	t.Helper()
	found := map[string][]string{}
	for file, text := range readFiles(t, root) {
		if !strings.HasSuffix(file, ".proto") {
			continue
		}
		pkg := strings.ReplaceAll(strings.TrimSuffix(filepath.ToSlash(filepath.Dir(file)), "/"), "/", ".")
		for _, body := range regexp.MustCompile(`(?m)^message (\w+) \{\n((?s:.*?))^\}`).FindAllStringSubmatch(text, -1) {
			names := regexp.MustCompile(`option \(samsara_gateway.api.v1.schema\) = "([^"]+)"`).FindAllStringSubmatch(body[2], -1)
			for _, name := range names {
				found[name[1]] = append(found[name[1]], pkg+"."+body[1])
			}
			if len(names) > 1 || strings.Contains(body[2], "option deprecated") {
				for _, name := range names {
					found[name[1]] = append(found[name[1]], "another")
				}
			}
		}
	}
	messages := map[string]string{}
	for schema, names := range found {
		if len(names) == 1 {
			messages[schema] = names[0]
		}
	}
	return messages
}
