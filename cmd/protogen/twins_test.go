package main

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"samsara.internal/gateway/cmd/protogen/internal/surface"
)

// getPages is the path of an operation with a query parameter, that answers a member and a pagination.
func getPages(id, query, member string) string {
	return `"/` + id + `":{"get":{"operationId":"` + id + `","tags":["Things"],` +
		`"parameters":[{"name":"` + query + `","in":"query","schema":{"type":"string"}}],` +
		`"responses":{"200":{"description":"ok","content":{"application/json":{"schema":` +
		`{"type":"object","properties":{` + member + `,"pagination":` +
		`{"type":"object","properties":{"endCursor":{"type":"string"},"hasNextPage":{"type":"boolean"}}}}}}}}}}}`
}

// The name of a twin that all others have taken is numbered.
func TestTwin_noNameFree(t *testing.T) {
	t.Parallel()
	spec, root := filepath.Join(t.TempDir(), "openapi.json"), newTree(t)
	const records = `"data":{"type":"array","items":{"type":"string"}}`
	at := func(path, id, query string) string {
		return strings.Replace(getPages(id, query, records), `"/`+id+`"`, `"`+path+`"`, 1)
	}
	paths := strings.Join([]string{at("/things/feed", "listThings", "after"), at("/a", "followThings", "id"), at("/b", "followListThings", "id")}, ",")
	writeFile(t, spec, `{"openapi":"3.0.1","info":{"title":"t","version":"1"},"paths":{`+paths+`}}`)
	if _, err := generateAll(t.Context(), spec, root); err != nil {
		t.Fatal(err)
	}
	made := readFiles(t, root)["samsara_gateway/things/v1/things.proto"]
	for _, want := range []string{"rpc StreamThings(", "rpc FollowThings(", "rpc FollowListThings(", "rpc FollowListThingsV2("} {
		if !strings.Contains(made, want) {
			t.Errorf("no %q in:\n%s", want, made)
		}
	}
}

// A message can come to stand for two schemas, each with a list of its own: an operation's records are
// in the list of the schema that the document gives it.
func TestTwin_recordsInAMessageOfTwoSchemas(t *testing.T) {
	t.Parallel()
	of := func(box string) string { return `"box":{"$ref":"#/components/schemas/` + box + `"}` }
	list := func(name string) string {
		return `{"type":"object","properties":{"` + name + `":{"type":"array","items":{"type":"string"}}}}`
	}
	spec, root := filepath.Join(t.TempDir(), "openapi.json"), newTree(t)
	for _, boxOfDogs := range []string{"Cats", "Dogs"} {
		writeFile(t, spec, `{"openapi":"3.0.1","info":{"title":"t","version":"1"},"paths":{`+getPages("listCats", "after", of("Cats"))+`,`+getPages("listDogs", "after", of(boxOfDogs))+`},`+
			`"components":{"schemas":{"Cats":`+list("cats")+`,"Dogs":`+list("dogs")+`}}}`)
		if _, err := generateAll(t.Context(), spec, root); err != nil {
			t.Fatal(err)
		}
	}
	made := readFiles(t, root)["samsara_gateway/things/v1/things.proto"]
	for _, want := range []string{`items: "box.cats"`, `items: "box.dogs"`} {
		if !strings.Contains(made, want) {
			t.Errorf("no %q in:\n%s", want, made)
		}
	}
	if strings.Contains(made, "Not served any more") {
		t.Errorf("a stream is not served in:\n%s", made)
	}
}

func TestTwin_nameOfAMessage(t *testing.T) {
	t.Parallel()
	root := newTree(t)
	writeFile(t, filepath.Join(root, "samsara_gateway/things/v1/things.proto"), `syntax = "proto3"; package samsara_gateway.things.v1; message StreamThingsResponse {}`)
	if _, err := generateAll(t.Context(), "testdata/evolution-1.json", root); err != nil {
		t.Fatal(err)
	}
	made := readFiles(t, root)["samsara_gateway/things/v1/things.proto"]
	if want := "rpc StreamListThings("; !strings.Contains(made, want) {
		t.Errorf("no %q in:\n%s", want, made)
	}
}

func TestTwin_foreign(t *testing.T) {
	t.Parallel()
	const twin = "  rpc StreamThings(StreamThingsRequest) returns (stream StreamThingsResponse) {\n"
	for name, change := range map[string][2]string{
		"of no method":               {`method: "ListThings"`, `method: "ListNothing"`},
		"of no shape":                {"STREAM_SHAPE_PAGES", "STREAM_SHAPE_UNSPECIFIED"},
		"with messages of the other": {"samsara_gateway.api.v1.StreamOptions", "samsara_gateway.api.v1.FollowOptions"},
		"with one more field":        {"optional string cursor = 2;", "optional string cursor = 2;\n  optional string more = 3;"},
		"with a field renumbered":    {"optional string cursor = 2;", "optional string cursor = 3;"},
		"with a stream of requests":  {"(StreamThingsRequest)", "(stream StreamThingsRequest)"},
		"there already":              {twin, strings.Replace(twin, "Things(", "ThingsAgain(", 1) + "    option (samsara_gateway.api.v1.stream) = {\n      method: \"ListThings\"\n      shape: STREAM_SHAPE_PAGES\n    };\n  }\n" + twin},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			root := newTree(t)
			if _, err := generateAll(t.Context(), "testdata/evolution-1.json", root); err != nil {
				t.Fatal(err)
			}
			file := filepath.Join(root, "samsara_gateway/things/v1/things.proto")
			have, err := os.ReadFile(file)
			if err != nil {
				t.Fatal(err)
			}
			changed := strings.Replace(string(have), change[0], change[1], 1)
			if changed == string(have) {
				t.Fatalf("no %q in:\n%s", change[0], have)
			}
			writeFile(t, file, changed)
			if _, err := generateAll(t.Context(), "testdata/evolution-1.json", root); !errors.Is(err, surface.ErrForeign) || !strings.Contains(err.Error(), ".StreamThings") {
				t.Errorf("generate over a changed twin: %v, want %v of StreamThings", err, surface.ErrForeign)
			}
		})
	}
}

func TestTwin_endRequired(t *testing.T) {
	t.Parallel()
	root := newTree(t)
	for _, spec := range []string{"testdata/evolution-1.json", "testdata/evolution-2.json"} {
		if _, err := generateAll(t.Context(), spec, root); err != nil {
			t.Fatal(err)
		}
		made := readFiles(t, root)["samsara_gateway/probes/v1/probes.proto"]
		if have, want := strings.Contains(made, "end_required: true"), spec == "testdata/evolution-1.json"; have != want {
			t.Errorf("after %s an end is required: %t, want %t", spec, have, want)
		}
	}
}
