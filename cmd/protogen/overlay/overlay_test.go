package overlay_test

import (
	"errors"
	"os"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"go.yaml.in/yaml/v3"

	"samsara.internal/gateway/cmd/protogen/overlay"
)

const document = `{
  "openapi": "3.0.1",
  "paths": {
    "/things": {"get": {"operationId": "listThings", "parameters": [
      {"name": "ids", "in": "query", "explode": false},
      {"name": "after", "in": "query"}
    ]}},
    "/things/{id}": {"get": {"operationId": "getThing", "summary": "on", "tags": ["a", "b"]}}
  },
  "components": {"schemas": {"Thing": {"properties": {"Old": {"type": "string"}, "count": {"maximum": 1e2}}}}}
}`

// corrections is an overlay of the given actions, in YAML.
func corrections(actions ...string) []byte {
	var all strings.Builder
	all.WriteString("overlay: 1.0.0\ninfo: {title: Test, version: 1.0.0}\nactions:\n")
	for _, action := range actions {
		all.WriteString("  - " + action + "\n")
	}
	return []byte(all.String())
}

// parse is the value of a document in YAML or JSON.
func parse(t *testing.T, text []byte) any {
	t.Helper()
	var value any
	if err := yaml.Unmarshal(text, &value); err != nil {
		t.Fatal(err)
	}
	return value
}

func TestApply_actions(t *testing.T) {
	t.Parallel()
	const thing = `"Thing": {"properties": {"Old": {"type": "string"}, `
	for name, test := range map[string]struct {
		action   string
		old, new string // of the document
	}{
		"a member is added": {
			`{target: "$.paths['/things'].get", description: d, update: {x-rate-limit: 5 requests/sec}}`,
			`"operationId": "listThings"`, `"operationId": "listThings", "x-rate-limit": "5 requests/sec"`,
		},
		"a member is changed": {
			`{target: "$.paths['/things'].get.parameters[?@.name=='ids']", description: d, update: {explode: true}}`,
			`"explode": false`, `"explode": true`,
		},
		"a text that reads like a boolean stays a text": {
			`{target: "$.paths['/things/{id}'].get", description: d, update: {summary: "true"}}`,
			`"summary": "on"`, `"summary": "true"`,
		},
		"an entry is added if none has its name": {
			`{target: "$.paths['/things'][?!@.parameters[?@.name=='limit']].parameters", description: d, update: [{name: limit}]}`,
			`{"name": "after", "in": "query"}`, `{"name": "after", "in": "query"}, {"name": "limit"}`,
		},
		"a further entry is added": {
			`{target: "$.paths['/things/{id}'].get", description: d, update: {tags: [b, c]}}`,
			`"tags": ["a", "b"]`, `"tags": ["a", "b", "b", "c"]`,
		},
		"a member is removed": {
			`{target: $.components.schemas.Thing.properties.Old, description: d, remove: true}`,
			thing, `"Thing": {"properties": {`,
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			result, err := overlay.Apply([]byte(document), corrections(test.action))
			if err != nil || len(result.Idle) > 0 {
				t.Fatal(err, result.Idle)
			}
			if strings.Count(document, test.old) != 1 {
				t.Fatalf("%q is not once in the document", test.old)
			}
			want := strings.Replace(document, test.old, test.new, 1)
			if diff := cmp.Diff(parse(t, []byte(want)), parse(t, result.Document)); diff != "" {
				t.Errorf("-want +got:\n%s", diff)
			}
			result, err = overlay.Apply(result.Document, corrections(test.action))
			if isIdle := errors.Is(errors.Join(result.Idle...), overlay.ErrIdle); err != nil || !isIdle {
				t.Errorf("applied again: idle %v, %v", result.Idle, err)
			}
		})
	}
}

func TestApply_refused(t *testing.T) {
	t.Parallel()
	for name, test := range map[string]struct {
		overlay []byte
		want    string
		idle    bool
	}{
		"nothing is selected": {
			corrections(`{target: "$.paths['/gone'].get", description: d, update: {x: 1}}`),
			"overlay: action 1, target $.paths['/gone'].get: changes nothing: the document has nothing at the target", true,
		},
		"nothing is removed": {
			corrections(`{target: $.components.schemas.Thing.properties.New, description: d, remove: true}`),
			"overlay: action 1, target $.components.schemas.Thing.properties.New: changes nothing: the document has nothing at the target", true,
		},
		"the document says so": {
			corrections(
				`{target: "$.paths['/things'].get.parameters[?@.name=='ids']", description: d, update: {style: form}}`,
				`{target: "$.paths['/things'].get.parameters[?@.name=='ids']", description: d, update: {explode: false, in: query}}`,
			),
			"overlay: action 2, target $.paths['/things'].get.parameters[?@.name=='ids']: changes nothing: the document already says so", true,
		},
		"all entries are there": {
			corrections(`{target: "$.paths['/things/{id}'].get", description: d, update: {tags: [b]}}`),
			"overlay: action 1, target $.paths['/things/{id}'].get: changes nothing: the document already says so", true,
		},
		"the entry is there": {
			corrections(`{target: "$.paths['/things'].get.parameters", description: d, update: {name: after}}`),
			"overlay: action 1, target $.paths['/things'].get.parameters: changes nothing: the document already says so", true,
		},
		"an action builds upon another": {
			corrections(
				`{target: $.components.schemas.Thing.properties, description: d, update: {New: {type: string}}}`,
				`{target: $.components.schemas.Thing.properties.New, description: d, update: {type: object}}`,
			),
			"overlay: action 2, target $.components.schemas.Thing.properties.New: changes nothing: the document has nothing at the target", true,
		},
		"an action undoes another": {
			corrections(
				`{target: "$.paths['/things/{id}'].get", description: d, update: {summary: "off"}}`,
				`{target: "$.paths['/things'].get.parameters[?@.name=='ids']", description: d, update: {explode: true}}`,
				`{target: "$.paths['/things'].get.parameters[?@.name=='ids']", description: d, update: {explode: false}}`,
			),
			"overlay: action 3, target $.paths['/things'].get.parameters[?@.name=='ids']: changes nothing: it undoes action 2, target $.paths['/things'].get.parameters[?@.name=='ids']", true,
		},
		"an action removes what another adds": {
			corrections(
				`{target: $.components.schemas.Thing.properties, description: d, update: {New: {type: string}}}`,
				`{target: $.components.schemas.Thing.properties.New, description: d, remove: true}`,
			),
			"overlay: action 2, target $.components.schemas.Thing.properties.New: changes nothing: it undoes action 1, target $.components.schemas.Thing.properties", true,
		},
		"an action adds what another removes": {
			corrections(
				`{target: $.components.schemas.Thing.properties.Old, description: d, remove: true}`,
				`{target: $.components.schemas.Thing, description: d, update: {properties: {Old: {type: string}}}}`,
			),
			"overlay: action 2, target $.components.schemas.Thing: changes nothing: it undoes action 1, target $.components.schemas.Thing.properties.Old", true,
		},
		"an action undoes another, and does more": {
			corrections(
				`{target: "$.paths['/things'].get.parameters[?@.name=='ids']", description: d, update: {explode: true}}`,
				`{target: "$.paths['/things'].get.parameters[*]", description: d, update: {explode: false}}`,
			),
			"overlay: action 1, target $.paths['/things'].get.parameters[?@.name=='ids']: changes nothing: with action 2, target $.paths['/things'].get.parameters[*], the result is the same without it", true,
		},
		"an action overwrites another": {
			corrections(
				`{target: "$.paths['/things/{id}'].get", description: d, update: {summary: "off"}}`,
				`{target: $.paths, description: d, update: {"/things/{id}": {get: {summary: none}}}}`,
			),
			"overlay: action 1, target $.paths['/things/{id}'].get: changes nothing: with action 2, target $.paths, the result is the same without it", true,
		},
		"an action does what another does": {
			corrections(
				`{target: "$.paths['/things/{id}'].get", description: d, update: {summary: "off"}}`,
				`{target: "$.paths['/things/{id}'].get", description: d, update: {summary: "off"}}`,
			),
			"overlay: action 1, target $.paths['/things/{id}'].get: changes nothing: with action 2, target $.paths['/things/{id}'].get, the result is the same without it", true,
		},
		"an action removes what another changes": {
			corrections(
				`{target: "$.paths['/things'].get", description: d, update: {x-rate-limit: 5 requests/sec}}`,
				`{target: "$.paths['/things']", description: d, remove: true}`,
			),
			"overlay: action 1, target $.paths['/things'].get: changes nothing: with action 2, target $.paths['/things'], the result is the same without it", true,
		},
		"an action has no source": {
			corrections(`{target: $.components, update: {x: 1}}`),
			"overlay: action 1, target $.components: description: must say how the correction is known", false,
		},
		"an action does nothing": {
			corrections(`{target: $.components, description: d}`),
			"overlay: action 1, target $.components: must have either update or remove: true", false,
		},
		"an action does two things": {
			corrections(`{target: $.components, description: d, update: {x: 1}, remove: true}`),
			"overlay: action 1, target $.components: must have either update or remove: true", false,
		},
		"an extension is misspelt": {
			corrections(`{target: "$.paths['/things'].get", description: d, update: {x-rate-limits: 5 requests/sec}}`),
			"overlay: action 1, target $.paths['/things'].get: x-rate-limits: must be an extension that protogen reads", false,
		},
		"an extension is of another form": {
			corrections(`{target: $.paths, description: d, update: {/things: {get: {x-rate-limit: lots}}}}`),
			`overlay: action 1, target $.paths: x-rate-limit: is "lots", must match ^[1-9]`, false,
		},
		"a target is no JSONPath": {
			corrections(`{target: "$.[", description: d, remove: true}`),
			"overlay: action 1, target $.[: ", false,
		},
		"an object becomes text": {
			corrections(`{target: $.components.schemas.Thing, description: d, update: {properties: none}}`),
			"overlay: ", false,
		},
		"another version": {[]byte("overlay: 1.1.0\ninfo: {title: T, version: '1'}\nactions: [{target: $, description: d, update: {x: 1}}]"), `overlay: version "1.1.0", must be 1.0.0`, false},
		"no actions":      {[]byte("overlay: 1.0.0\ninfo: {title: T, version: '1'}\n"), "overlay: actions: must be a list; it may be empty", false},
		"actions of text": {[]byte("overlay: 1.0.0\ninfo: {title: T, version: '1'}\nactions: none\n"), "overlay: ", false},
		"no YAML":         {[]byte("overlay: ["), "overlay: ", false},
		"nothing":         {nil, "overlay: ", false},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			result, err := overlay.Apply([]byte(document), test.overlay)
			if test.idle {
				if err != nil || result.Document == nil || len(result.Idle) != 1 {
					t.Fatalf("%v, idle %v; applied:\n%s", err, result.Idle, result.Document)
				}
				err = result.Idle[0]
			} else if err == nil || result.Document != nil {
				t.Fatalf("%v, applied:\n%s", err, result.Document)
			}
			if !strings.HasPrefix(err.Error(), test.want) || errors.Is(err, overlay.ErrIdle) != test.idle {
				t.Errorf("%v\nwant %s, idle %t", err, test.want, test.idle)
			}
		})
	}
}

// An overlay may have nothing to correct.
func TestApply_noActions(t *testing.T) {
	t.Parallel()
	result, err := overlay.Apply([]byte(document), []byte("overlay: 1.0.0\ninfo: {title: T, version: '1'}\nactions: []\n"))
	if err != nil || len(result.Idle) > 0 || string(result.Document) != document {
		t.Errorf("%v, idle %v; applied:\n%s", err, result.Idle, result.Document)
	}
}

// Every committed correction changes Samsara's document, and nothing when it is applied again.
func TestApply_corrections(t *testing.T) {
	t.Parallel()
	spec := os.Getenv("SAMSARA_OPENAPI") // set by the makefile
	if spec == "" {
		t.Log("the document is Samsara's, and not in the repository: make test runs this if it is at hand")
		return
	}
	document, err := os.ReadFile(spec)
	if err != nil {
		t.Fatal(err)
	}
	committed, err := os.ReadFile("../../../proto/corrections.yaml")
	if err != nil {
		t.Fatal(err)
	}
	result, err := overlay.Apply(document, committed)
	if err != nil || len(result.Idle) > 0 {
		t.Fatal(err, result.Idle)
	}
	result, err = overlay.Apply(result.Document, committed)
	if want := strings.Count(string(committed), "\n  - target: "); err != nil || len(result.Idle) != want {
		t.Errorf("%d of %d actions change nothing any more, %v:\n%v", len(result.Idle), want, err, result.Idle)
	}
}
