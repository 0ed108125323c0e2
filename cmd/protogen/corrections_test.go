package main

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"samsara.internal/gateway/cmd/protogen/internal/surface"
)

// correctable is a document with what the corrections are for.
const correctable = `
openapi: 3.0.1
info: {title: What is corrected, version: "1"}
paths:
  /things:
    get:
      operationId: getThings
      tags: [Things]
      description: "Rate limit: 5 requests/sec"
      responses:
        "200": {description: Things., content: {application/json: {schema: {$ref: "#/components/schemas/Things"}}}}
  /things/stream:
    get:
      operationId: listThings
      tags: [Things]
      parameters: [{name: after, in: query, schema: {type: string}}]
      responses:
        "200":
          description: Things.
          content:
            application/json:
              schema:
                type: object
                properties:
                  data: {type: array, items: {$ref: "#/components/schemas/Thing"}}
                  pagination: {type: object, properties: {endCursor: {type: string}, hasNextPage: {type: boolean}}}
components:
  schemas:
    Things: {type: array, items: {$ref: "#/components/schemas/Thing"}}
    Thing:
      type: object
      properties:
        counts: {type: array, items: {type: integer}}
`

// corrected generates a tree from the document as it is, and again with an action that corrects it.
func corrected(t *testing.T, action string) (root, spec string, err error) {
	t.Helper()
	root, spec = newTree(t), filepath.Join(t.TempDir(), "things.yaml")
	writeFile(t, spec, correctable)
	if _, err := generateAll(t.Context(), spec, root); err != nil {
		t.Fatal(err)
	}
	writeFile(t, filepath.Join(root, "corrections.yaml"),
		"overlay: 1.0.0\ninfo: {title: Test, version: '1'}\nactions:\n  - {description: Seen., "+action+"}\n")
	_, err = generateAll(t.Context(), spec, root)
	return root, spec, err
}

func TestCorrections_applied(t *testing.T) {
	t.Parallel()
	for name, test := range map[string]struct{ action, gone, there string }{
		"a rate limit": {
			`target: "$.paths['/things'].get", update: {x-rate-limit: 100 requests/min}`,
			"      rate_limit: {\n        requests: 5\n        window: {seconds: 1}\n      }",
			"      rate_limit: {\n        requests: 100\n        window: {seconds: 60}\n      }",
		},
		"a rate limit if none is stated": {
			`target: "$.paths['/things/stream'].get", update: {x-rate-limit: 1 request/hour}`,
			"", "        window: {seconds: 3600}\n",
		},
		"no feed": {
			`target: "$.paths['/things/stream'].get", update: {x-feed: false}`,
			"Follow", "rpc StreamThings(StreamThingsRequest) returns (stream StreamThingsResponse)",
		},
		"entries that may be null": {
			`target: $.components.schemas.Thing.properties.counts.items, update: {nullable: true}`,
			"  repeated int64 counts = 1;",
			"  // Member `counts`. An entry that is null is in its place, without a value.\n" +
				"  repeated ThingCount counts_v2 = 2 [(samsara_gateway.api.v1.field) = {name: \"counts\"}];",
		},
		"an array that may be wrapped": {
			`target: $.components.schemas.Things, update: {x-wrapped-in: records}`,
			"", "  repeated Thing records = 2 [(samsara_gateway.api.v1.field) = {root: true}];",
		},
		"another name": {
			`target: $.components.schemas.Thing.properties.counts, update: {x-other-name: Counts}`,
			"  repeated int64 counts = 1;",
			"  // An answer may have it as `Counts`.\n  repeated int64 counts = 1 [(samsara_gateway.api.v1.field) = {\n    other_names: [\"Counts\"]\n  }];",
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			root, _, err := corrected(t, test.action)
			if err != nil {
				t.Fatal(err)
			}
			file, err := os.ReadFile(filepath.Join(root, "samsara_gateway/things/v1/things.proto"))
			if err != nil {
				t.Fatal(err)
			}
			if text := string(file); test.gone != "" && strings.Contains(text, test.gone) || !strings.Contains(text, test.there) {
				t.Errorf("want\n%s\nand not\n%s\nin\n%s", test.there, test.gone, text)
			}
		})
	}
}

// What changes nothing any more fails a run. To drift it is something to look at.
func TestCorrections_idle(t *testing.T) {
	t.Parallel()
	for name, test := range map[string]struct{ action, want string }{
		"what is corrected is gone": {
			`target: $.components.schemas.Owner, update: {type: object}`,
			"overlay: action 1, target $.components.schemas.Owner: changes nothing: the document has nothing at the target",
		},
		"the document says so": {
			`target: $.components.schemas.Things, update: {type: array}`,
			"overlay: action 1, target $.components.schemas.Things: changes nothing: the document already says so",
		},
		"the description says so": {
			`target: "$.paths['/things'].get", update: {x-rate-limit: 5 requests/sec}`,
			`getThings (GET /things): x-rate-limit "5 requests/sec" is what the description says: the correction changes nothing`,
		},
		"the document wraps the array itself": {
			`target: "$.paths['/things/stream'].get.responses['200'].content['application/json'].schema", update: {x-wrapped-in: data}`,
			"listThings (GET /things/stream): x-wrapped-in for a body that is no array: the correction changes nothing",
		},
		"it looks like no feed": {
			`target: "$.paths['/things'].get", update: {x-feed: false}`,
			"getThings (GET /things): x-feed false for an operation that is no feed anyway: the correction changes nothing",
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			root, spec, err := corrected(t, test.action)
			if err == nil || !strings.Contains(err.Error(), test.want) {
				t.Errorf("generate: %v; want %s", err, test.want)
			}
			report, err := drift(t.Context(), spec, root)
			if err != nil {
				t.Fatal(err)
			}
			if report.Severity != surface.Structural || len(report.Changes) != 1 || !strings.Contains(report.Changes[0].Detail, test.want) {
				t.Errorf("drift: %s, %+v; want one structural change: %s", report.Severity, report.Changes, test.want)
			}
		})
	}
}

// A tree without a list of corrections is refused by the name of the file; an empty one corrects nothing.
func TestCorrections_missing(t *testing.T) {
	t.Parallel()
	root, spec := newTree(t), filepath.Join(t.TempDir(), "things.yaml")
	writeFile(t, spec, correctable)
	if _, err := generateAll(t.Context(), spec, root); err != nil {
		t.Fatal(err)
	}
	file := filepath.Join(root, correctionsFile)
	if err := os.Remove(file); err != nil {
		t.Fatal(err)
	}
	want := file + ": no such file; if there is nothing to correct it has \"actions: []\""
	if _, err := generateAll(t.Context(), spec, root); err == nil || err.Error() != want {
		t.Errorf("generate: %v, want %s", err, want)
	}
	if report, err := drift(t.Context(), spec, root); err == nil || err.Error() != want {
		t.Errorf("drift: %v, %v, want %s", report, err, want)
	}
}

// What one action does, no other may undo.
func TestCorrections_undone(t *testing.T) {
	t.Parallel()
	const first = `target: $.components.schemas.Thing.properties.counts.items, update: {nullable: true}`
	for name, test := range map[string]struct{ second, want string }{
		"altogether": {
			`target: $.components.schemas.Thing.properties.counts, update: {items: {nullable: false}}`,
			"corrections.yaml: overlay: action 1, target $.components.schemas.Thing.properties.counts.items: changes nothing: with action 2, target $.components.schemas.Thing.properties.counts, the result is the same without it",
		},
		"as the document has it": {
			`target: $.components.schemas.Thing.properties.counts.items.nullable, remove: true`,
			"corrections.yaml: overlay: action 2, target $.components.schemas.Thing.properties.counts.items.nullable: changes nothing: it undoes action 1, target $.components.schemas.Thing.properties.counts.items",
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			root, spec, err := corrected(t, first+"}\n  - {description: Seen., "+test.second)
			if err == nil || !strings.Contains(err.Error(), test.want) {
				t.Errorf("generate: %v, want %s", err, test.want)
			}
			report, err := drift(t.Context(), spec, root)
			if err != nil || len(report.Changes) == 0 || report.Changes[0].What != "correction changes nothing" {
				t.Errorf("drift: %v, %+v", err, report)
			}
		})
	}
}

// An extension is read in one kind of location, and fails in any other.
func TestCorrections_unread(t *testing.T) {
	t.Parallel()
	const operation, body = ": changes nothing: only an operation of the API may have it", ": changes nothing: only the schema of a successful response's body may have it"
	const member = ": changes nothing: only the schema of a member of a successful response's body may have it"
	for name, test := range map[string]struct{ action, want string }{
		"a rate limit of a path": {
			`target: "$.paths['/things']", update: {x-rate-limit: 1 request/sec}`,
			"target $.paths['/things']: x-rate-limit at #/paths/~1things" + operation,
		},
		"a rate limit of a response": {
			`target: "$.paths['/things'].get", update: {responses: {"200": {x-rate-limit: 1 request/sec}}}`,
			"target $.paths['/things'].get: x-rate-limit at #/paths/~1things/get/responses/200" + operation,
		},
		"a rate limit of a body": {
			`target: $.components.schemas.Things, update: {x-rate-limit: 1 request/sec}`,
			"target $.components.schemas.Things: x-rate-limit at #/components/schemas/Things" + operation,
		},
		"no feed of the document": {
			`target: $, update: {x-feed: false}`,
			"target $: x-feed at #" + operation,
		},
		"no feed of a parameter": {
			`target: "$.paths['/things/stream'].get.parameters[0]", update: {x-feed: false}`,
			"target $.paths['/things/stream'].get.parameters[0]: x-feed at #/paths/~1things~1stream/get/parameters/0" + operation,
		},
		"what a schema that is no body is wrapped in": {
			`target: $.components.schemas.Thing, update: {x-wrapped-in: records}`,
			"target $.components.schemas.Thing: x-wrapped-in at #/components/schemas/Thing" + body,
		},
		"what an operation is wrapped in": {
			`target: "$.paths['/things'].get", update: {x-wrapped-in: records}`,
			"target $.paths['/things'].get: x-wrapped-in at #/paths/~1things/get" + body,
		},
		"another name of a body": {
			`target: $.components.schemas.Things, update: {x-other-name: Records}`,
			"target $.components.schemas.Things: x-other-name at #/components/schemas/Things" + member,
		},
		"another name of a parameter": {
			`target: "$.paths['/things/stream'].get.parameters[0].schema", update: {x-other-name: After}`,
			"x-other-name at #/paths/~1things~1stream/get/parameters/0/schema" + member,
		},
		"what stands beside a reference": {
			`target: "$.paths['/things'].get.responses['200'].content['application/json'].schema", update: {x-wrapped-in: records}`,
			"x-wrapped-in at #/paths/~1things/get/responses/200/content/application~1json/schema" + body,
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			root, spec, err := corrected(t, test.action)
			if err == nil || !strings.Contains(err.Error(), "corrections.yaml: overlay: action 1, ") || !strings.Contains(err.Error(), test.want) {
				t.Errorf("generate: %v; want %s", err, test.want)
			}
			report, err := drift(t.Context(), spec, root)
			if err != nil || report.Severity != surface.Structural || len(report.Changes) != 1 || !strings.Contains(report.Changes[0].Detail, test.want) {
				t.Errorf("drift: %v, %s, %+v; want one structural change: %s", err, report.Severity, report.Changes, test.want)
			}
		})
	}
}

// Nothing reads a correction of an operation that is left out.
func TestCorrections_leftOut(t *testing.T) {
	t.Parallel()
	root, spec := newTree(t), filepath.Join(t.TempDir(), "things.yaml")
	writeFile(t, spec, strings.Replace(correctable, "[{name: after,", "[{name: X-Kind, in: header, schema: {type: string}}, {name: after,", 1))
	writeFile(t, filepath.Join(root, leftOutFile), "- operation: listThings\n  reason: X-Kind is a header\n")
	writeFile(t, filepath.Join(root, correctionsFile), strings.Replace(nothing, "[]", `[{description: d, target: "$.paths['/things/stream'].get", update: {x-feed: false}}]`, 1))
	const want = "x-feed at #/paths/~1things~1stream/get: changes nothing: only an operation of the API may have it"
	if _, err := generateAll(t.Context(), spec, root); err == nil || !strings.Contains(err.Error(), want) {
		t.Errorf("generate: %v, want %s", err, want)
	}
}

func TestCorrections_refused(t *testing.T) {
	t.Parallel()
	for action, want := range map[string]string{
		`target: "$.paths['/things'].get", update: {x-rate-limit: 5/s}`:                     `corrections.yaml: overlay: action 1, target $.paths['/things'].get: x-rate-limit: is "5/s", must match `,
		`target: "$.paths['/things'].get", update: {x-rate-limits: 5/s}`:                    `corrections.yaml: overlay: action 1, target $.paths['/things'].get: x-rate-limits: must be an extension `,
		`target: "$.paths['/things/stream'].get", update: {x-feed: true}`:                   `target $.paths['/things/stream'].get: x-feed: is "true", must match ^false$`,
		`target: $.components.schemas.Things, update: {x-wrapped-in: [a]}`:                  `target $.components.schemas.Things: x-wrapped-in: is "", must match `,
		`target: $.components.schemas.Thing.properties.counts, update: {x-other-name: [a]}`: `properties.counts: x-other-name: is "", must match `,
		`target: $.components.schemas.Things, update: {items: none}`:                        "corrections.yaml: overlay: ",
		`target: $.components.schemas.Things.items, update: {$ref: "#/nowhere"}`:            "things.yaml, corrected by ",
		`target: $.components.schemas.Thing, update: {properties: {a: {$ref: b}}`:           "corrections.yaml: overlay: ",
	} {
		t.Run(action, func(t *testing.T) {
			t.Parallel()
			root, spec, err := corrected(t, action)
			if err == nil || !strings.Contains(err.Error(), want) {
				t.Errorf("generate: %v; want %s", err, want)
			}
			// It is no change of the document.
			if report, err := drift(t.Context(), spec, root); err == nil || !strings.Contains(err.Error(), want) {
				t.Errorf("drift: %v, %v; want %s", report, err, want)
			}
		})
	}
}
