package main

import (
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

	"github.com/bufbuild/protocompile"
	"github.com/bufbuild/protocompile/linker"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/reflect/protodesc"
	"google.golang.org/protobuf/reflect/protoreflect"
	"google.golang.org/protobuf/reflect/protoregistry"
	"google.golang.org/protobuf/types/descriptorpb"

	"samsara.internal/gateway/cmd/protogen/internal/model"
	"samsara.internal/gateway/internal/endpoint"
)

// However a document changes, release after release, it is taken: what was there keeps its name,
// number and type, and what cannot be expressed is an operation that can be left out by name.
func TestGenerate_mutatedDocuments(t *testing.T) {
	t.Parallel()
	for _, name := range []string{"quirks", "evolution-2", "copies-2"} {
		for seed := range uint64(2) {
			t.Run(fmt.Sprintf("%s %d", name, seed), func(t *testing.T) {
				t.Parallel()
				chance := rand.New(rand.NewPCG(seed, 1))
				root := filepath.Join(newModule(t), "proto")
				document := readJSON(t, filepath.Join("testdata", name+".json"))
				var edits []string
				for range 4 {
					generateWithout(t, writeJSON(t, document, chance), root, edits)
					before := surfaceOf(t, root)
					edits = nil
					for range 8 {
						edits = append(edits, mutate(document, chance))
					}
					generateWithout(t, writeJSON(t, document, chance), root, edits)
					after := surfaceOf(t, root)
					for name, was := range before {
						if is := after[name]; is != was {
							t.Errorf("%s was %q, is %q after %q", name, was, is, edits)
						}
					}
				}
			})
		}
	}
}

// Each release after the first edits the one before; the gateway can serve the surface after each.
func TestGenerate_releases(t *testing.T) {
	t.Parallel()
	raw, err := os.ReadFile("testdata/drift/base.yaml")
	if err != nil {
		t.Fatal(err)
	}
	const records = `data: {type: array, items: {$ref: "#/components/schemas/Thing"}}`
	for _, test := range []struct {
		name     string
		releases [][2]string
	}{
		{"a field is retyped, then removed", [][2]string{{"sizeMs: {type: integer, description: How long.}", "sizeMs: {type: string}"}, {"        sizeMs: {type: string}\n", ""}}},
		{"a field is removed, then back with another type, then removed", [][2]string{
			{"        sizeMs: {type: integer, description: How long.}\n", ""}, {"        owner:", "        sizeMs: {type: string}\n        owner:"}, {"        sizeMs: {type: string}\n", ""},
		}},
		{"a response is a map", [][2]string{{`"200": {description: It is made.}`, `"200": {description: It is made., content: {application/json: {schema: {type: object, additionalProperties: {type: integer}}}}}`}}},
		{"an array is of itself", [][2]string{{"    Owner:\n", "    Nested: {type: array, items: {$ref: \"#/components/schemas/Nested\"}}\n    Owner:\n"}, {"name: {type: string}\n        owner", "name: {$ref: \"#/components/schemas/Nested\"}\n        owner"}}},
		{"the cursor is a number", [][2]string{{"name: after, in: query, schema: {type: string}", "name: after, in: query, schema: {type: integer}"}}},
		{"the records are an object", [][2]string{{records, "data: {type: object, properties: {count: {type: integer}}}"}}},
		{"the records are numbers", [][2]string{{records, "data: {type: array, items: {type: integer}}"}}},
		{"the records are gone, then back", [][2]string{{records, "count: {type: integer}"}, {"count: {type: integer}", records}}},
		{"what says whether there are more pages is text", [][2]string{{"hasNextPage: {type: boolean}", "hasNextPage: {type: string}"}}},
		{"what says where the pages go on is gone", [][2]string{{"                  pagination: {$ref: \"#/components/schemas/Pagination\"}\n", ""}}},
		{"what says where the pages go on is text", [][2]string{{"pagination: {$ref: \"#/components/schemas/Pagination\"}", "pagination: {type: string}"}}},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			document, root := string(raw), filepath.Join(newModule(t), "proto")
			for i, edit := range append([][2]string{{"", ""}}, test.releases...) {
				if !strings.Contains(document, edit[0]) {
					t.Fatalf("no %q in release %d", edit[0], i)
				}
				document = strings.Replace(document, edit[0], edit[1], 1)
				spec := filepath.Join(t.TempDir(), "openapi.yaml")
				writeFile(t, spec, document)
				before := map[string]string{}
				if i > 0 {
					before = surfaceOf(t, root)
				}
				if _, err := generateAll(t.Context(), spec, root); err != nil {
					t.Fatalf("release %d: %v", i, err)
				}
				after := surfaceOf(t, root)
				for name, was := range before {
					if is := after[name]; is != was {
						t.Errorf("%s was %q, is %q in release %d", name, was, is, i)
					}
				}
				if written, err := generateAll(t.Context(), spec, root); err != nil || written > 0 {
					t.Errorf("a second run for release %d wrote %d files, %v", i, written, err)
				}
			}
		})
	}
}

// generateWithout brings the tree up to a document, without the operations that cannot be expressed,
// and checks that a second run changes nothing.
func generateWithout(t *testing.T, spec, root string, edits []string) {
	t.Helper()
	list := map[string]bool{}
	for {
		var text strings.Builder
		for _, name := range slices.Sorted(maps.Keys(list)) {
			fmt.Fprintf(&text, "- operation: %q\n  reason: The test cannot do without.\n", name)
		}
		writeFile(t, filepath.Join(root, leftOutFile), text.String())
		_, err := generateAll(t.Context(), spec, root)
		if err == nil {
			break
		}
		count := len(list)
		for _, match := range regexp.MustCompile(`: \S+ \(([A-Z]+ /\S*)\): `).FindAllStringSubmatch(err.Error(), -1) {
			list[match[1]] = true
		}
		if !errors.Is(err, model.ErrUnsupported) || len(list) == count {
			t.Fatalf("%v after %q", err, edits)
		}
	}
	if written, err := generateAll(t.Context(), spec, root); err != nil || written > 0 {
		t.Errorf("a second run wrote %d files, %v after %q", written, err, edits)
	}
}

// mutate changes a document at a random location, and returns what it changed.
func mutate(document map[string]any, chance *rand.Rand) string {
	pick := func(all []string) string { return all[chance.IntN(len(all))] }
	schemas := schemasOf(document)
	// Each schema that has properties, by chance the parameters' too.
	var objects, parameters []map[string]any
	for _, name := range slices.Sorted(maps.Keys(schemas)) {
		walk(schemas[name], func(object map[string]any) {
			if properties, ok := object["properties"].(map[string]any); ok && len(properties) > 0 {
				objects = append(objects, properties)
			}
		})
	}
	walk(document["paths"], func(object map[string]any) {
		if object["in"] == "query" {
			parameters = append(parameters, object)
		}
	})
	paths := objectAt(document, "paths")
	path := pick(slices.Sorted(maps.Keys(paths)))
	item := objectAt(paths, path)
	var verbs []string
	for _, verb := range slices.Sorted(maps.Keys(item)) {
		if verb != "parameters" {
			verbs = append(verbs, verb)
		}
	}
	verb := pick(verbs)
	operation := objectAt(item, verb)
	properties := objects[chance.IntN(len(objects))]
	property := pick(slices.Sorted(maps.Keys(properties)))
	types := []any{
		map[string]any{"type": "string"},
		map[string]any{"type": "integer"},
		map[string]any{"type": "number"},
		map[string]any{"type": "boolean"},
		map[string]any{"type": "object"},
		map[string]any{"type": "array", "items": map[string]any{"type": "string"}},
		map[string]any{"type": "array", "items": map[string]any{"type": "array", "items": map[string]any{"type": "integer"}}},
		map[string]any{"type": "object", "properties": map[string]any{"value": map[string]any{"type": "string"}}},
		map[string]any{"type": "object", "additionalProperties": map[string]any{"type": "number"}},
		map[string]any{"$ref": "#/components/schemas/" + pick(slices.Sorted(maps.Keys(schemas)))},
	}
	kind := types[chance.IntN(len(types))]
	switch n := chance.IntN(10); {
	case n == 0 && len(paths) > 2:
		delete(paths, path)
		return "without " + path
	case n == 1:
		operation["tags"] = []any{pick([]string{"Things", "Goods", "Beta APIs", "Preview APIs", "Legacy"})}
		return fmt.Sprintf("%s %s in %v", verb, path, operation["tags"])
	case n == 2:
		operation["responses"] = map[string]any{"200": map[string]any{"description": "x", "content": map[string]any{"application/json": map[string]any{"schema": kind}}}}
		return fmt.Sprintf("%s %s answers %v", verb, path, kind)
	case n == 3 && len(parameters) > 0:
		p := parameters[chance.IntN(len(parameters))]
		p["schema"] = kind
		return fmt.Sprintf("parameter %v is %v", p["name"], kind)
	case n == 4 && verb != "get":
		operation["requestBody"] = map[string]any{"content": map[string]any{"application/json": map[string]any{"schema": kind}}}
		return fmt.Sprintf("%s %s takes %v", verb, path, kind)
	case n <= 6 && len(properties) > 1:
		delete(properties, property)
		return "without " + property
	case n == 7:
		added := pick([]string{"added", "data", "pagination", "updateMask", "externalIds", "id", "name"})
		properties[added] = kind
		return fmt.Sprintf("%s added as %v", added, kind)
	}
	properties[property] = kind
	return fmt.Sprintf("%s is %v", property, kind)
}

// surfaceOf describes each method and field of a tree by its full name. It checks that the gateway
// could serve all of it.
func surfaceOf(t *testing.T, root string) map[string]string {
	t.Helper()
	var files []string
	for file := range readFiles(t, root) {
		if strings.HasSuffix(file, ".proto") {
			files = append(files, file)
		}
	}
	compiler := protocompile.Compiler{Resolver: protocompile.WithStandardImports(&protocompile.SourceResolver{ImportPaths: []string{root}})}
	compiled, err := compiler.Compile(t.Context(), files...)
	if err != nil {
		t.Fatal(err)
	}
	mustLoad(t, compiled)
	all := map[string]string{}
	for _, file := range compiled {
		for i := range file.Services().Len() {
			methods := file.Services().Get(i).Methods()
			for i := range methods.Len() {
				m := methods.Get(i)
				all[string(m.FullName())] = fmt.Sprintf("%s to %s, %t", m.Input().FullName(), m.Output().FullName(), m.IsStreamingServer())
			}
		}
		for i := range file.Messages().Len() {
			m := file.Messages().Get(i)
			all[string(m.FullName())] = "a message"
			for i := range m.Fields().Len() {
				f := m.Fields().Get(i)
				all[string(f.FullName())] = fmt.Sprintf("%d %s %s %s %t", f.Number(), f.JSONName(), f.Cardinality(), typeName(f), f.HasOptionalKeyword())
			}
		}
	}
	return all
}

func typeName(f protoreflect.FieldDescriptor) string {
	switch {
	case f.IsMap():
		return "map of " + typeName(f.MapValue())
	case f.Message() != nil:
		return string(f.Message().FullName())
	}
	return f.Kind().String()
}

// mustLoad checks that the gateway can bind every method of the files.
func mustLoad(t *testing.T, compiled linker.Files) {
	t.Helper()
	set := &descriptorpb.FileDescriptorSet{}
	seen := map[string]bool{}
	var add func(file protoreflect.FileDescriptor)
	add = func(file protoreflect.FileDescriptor) {
		if seen[file.Path()] {
			return
		}
		seen[file.Path()] = true
		for i := range file.Imports().Len() {
			add(file.Imports().Get(i).FileDescriptor)
		}
		set.File = append(set.File, protodesc.ToFileDescriptorProto(file))
	}
	for _, file := range compiled {
		add(file)
	}
	// From bytes, so that extensions are of their generated types.
	raw, err := proto.Marshal(set)
	if err := errors.Join(err, proto.Unmarshal(raw, set)); err != nil {
		t.Fatal(err)
	}
	files, err := protodesc.NewFiles(set)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := endpoint.Load(files, new(protoregistry.Types)); err != nil {
		t.Errorf("the gateway would not start: %v", err)
	}
}
