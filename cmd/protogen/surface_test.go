package main

import (
	"bytes"
	"encoding/json"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"samsara.internal/gateway/cmd/protogen/internal/surface"
)

// Each release edits the one before. The changelog of all of them is a golden.
func TestSurface_releases(t *testing.T) {
	t.Parallel()
	raw, err := os.ReadFile("testdata/drift/base.yaml")
	if err != nil {
		t.Fatal(err)
	}
	const state = "schema: {type: object, properties: {name: {type: string}, since: {type: string}}}"
	const wrapped = "schema: {type: object, properties: {data: {type: object, properties: {name: {type: string}, since: {type: string}}}}}"
	const bare = "schema: {type: object, properties: {color: {type: string}, size: {type: integer}}}"
	const box = "schema: {type: object, properties: {data: {type: object, properties: {color: {type: string}, size: {type: integer}}}}}"
	document, root, spec := string(raw), newTree(t), filepath.Join(t.TempDir(), "things.yaml")
	changelog := ""
	for _, release := range []struct {
		name      string
		old, edit string
		args      []string
		refused   string // before it is accepted
		written   int
		version   string
		sdk       string
	}{
		{"the first", "", "", []string{"--sdk-release", "14.6.0"}, "", 3, "1.0.0", "14.6.0"},
		{"the same again", "", "", nil, "", 0, "1.0.0", "14.6.0"},
		{"what changes nothing", "title: What changes", "title: Nothing changes", nil, "", 1, "1.0.0", "14.6.0"},
		{"a text", "description: How long.", "description: How long since the epoch.", nil, "", 3, "1.0.1", "14.6.0"},
		{"known values", "[cat, dog]", "[cat, bird]", nil, "", 3, "1.0.2", "14.6.0"},
		{"a rate limit", "5 requests/sec", "100 requests/min", nil, "", 3, "1.0.3", "14.6.0"},
		{"a field", "        sizeMs:", "        color: {type: string}\n        sizeMs:", []string{"--sdk-release", "14.7.0"}, "", 3, "1.1.0", "14.7.0"},
		{"a parameter that is required", "name: kinds, in: query", "name: kinds, in: query, required: true", nil, "", 3, "1.1.1", "14.7.0"},
		{"a field that is gone", "        madeAt: {type: string, description: When.}\n", "", nil, "", 3, "1.2.0", "14.7.0"},
		{"another path", "  /things/{id}:", "  /goods/{id}:", nil, "", 3, "1.2.1", "14.7.0"},
		{"another type", "name: {type: string}\n        owner", "name: {type: array, items: {type: string}}\n        owner", []string{"--accept", "retyped"}, `2 changes to look at, nothing is written:
  field retyped: samsara_gateway.things.v1.CreateThingRequest.name: optional string, now repeated string in name_v2
  field retyped: samsara_gateway.things.v1.Thing.name: optional string, now repeated string in name_v2
accepted with ACCEPT=retyped, or --accept`, 3, "1.3.0", "14.7.0"},
		{"an answer that is wrapped", state, wrapped, []string{"--accept", "wrapped,retyped"}, `1 changes to look at, nothing is written:
  answer wrapped: samsara_gateway.things.v1.ThingsService.GetState: read in both forms: name, since
accepted with ACCEPT=wrapped, or --accept`, 3, "1.4.0", "14.7.0"},
		{"an answer that is bare, and another type", box, strings.Replace(bare, "size: {type: integer}", "size: {type: string}", 1), []string{"--accept", "wrapped", "--accept", "retyped"}, `2 changes to look at, nothing is written:
  answer bare: samsara_gateway.things.v1.ThingsService.GetBox: read in both forms: data.color, data.size
  field retyped: samsara_gateway.things.v1.GetBoxResponse.data.size: optional int64, now optional string in size
accepted with ACCEPT=retyped,wrapped, or --accept`, 3, "1.5.0", "14.7.0"},
		{"an answer that is bare again, and another type", wrapped, strings.Replace(state, "since: {type: string}", "since: {type: integer}", 1), []string{"--accept", "retyped,wrapped"}, `2 changes to look at, nothing is written:
  answer bare: samsara_gateway.things.v1.ThingsService.GetState: read in both forms: data.name, data.since
  field retyped: samsara_gateway.things.v1.GetStateResponse.data.since: optional string, now optional int64 in since_v2
accepted with ACCEPT=retyped,wrapped, or --accept`, 3, "1.6.0", "14.7.0"},
		{"another tag", "operationId: createThing\n      tags: [Things]", "operationId: createThing\n      tags: [Goods]", nil, "", 1, "1.6.0", "14.7.0"},
		{"another stage", "operationId: createThing\n      tags: [Goods]", "operationId: createThing\n      tags: [Beta APIs]", nil, "", 3, "1.6.1", "14.7.0"},
	} {
		if !strings.Contains(document, release.old) {
			t.Fatalf("%s: no %q in the document", release.name, release.old)
		}
		document = strings.Replace(document, release.old, release.edit, 1)
		writeFile(t, spec, document)
		before := readFiles(t, root)
		if release.refused != "" {
			for _, args := range [][]string{nil, {"--accept", map[bool]string{true: "retyped", false: "wrapped"}[strings.HasPrefix(release.name, "an answer")]}} {
				var stdout, stderr bytes.Buffer
				err := run(t.Context(), append([]string{"--spec", spec, "--out", root}, args...), &stdout, &stderr)
				if exitCode(err) != 3 || stdout.Len() > 0 {
					t.Errorf("%s %q: %v, exit code %d, want 3; stdout %q", release.name, args, err, exitCode(err), &stdout)
				}
				if diff := cmp.Diff("protogen: "+release.refused+"\n", stderr.String()); args == nil && diff != "" {
					t.Errorf("%s (-want +got):\n%s", release.name, diff)
				}
			}
			if diff := cmp.Diff(before, readFiles(t, root)); diff != "" {
				t.Errorf("%s: refused, and written:\n%s", release.name, diff)
			}
		}
		var stdout, stderr bytes.Buffer
		if err := run(t.Context(), append([]string{"--spec", spec, "--out", root}, release.args...), &stdout, &stderr); err != nil {
			t.Fatalf("%s: %v", release.name, err)
		}
		after := readFiles(t, root)
		written := 0
		for name, text := range after {
			if before[name] != text {
				written++
			}
		}
		if written != release.written {
			t.Errorf("%s: %d files written, want %d", release.name, written, release.written)
		}
		facts := factsOf(t, root)
		if facts.SurfaceVersion != release.version || facts.SDKRelease != release.sdk || facts.SamsaraVersion != "1" {
			t.Errorf("%s: %+v, want version %s and SDK %s", release.name, facts, release.version, release.sdk)
		}
		if changelog != "" && !strings.HasSuffix(after["CHANGELOG.md"], changelog) {
			t.Errorf("%s: earlier sections are not as they were", release.name)
		}
		// Somebody adds a word by hand.
		changelog = "\n## " + strings.Replace(strings.SplitN(after["CHANGELOG.md"], "\n## ", 2)[1], "From Samsara's document", "(Read.) From Samsara's document", 1)
		writeFile(t, filepath.Join(root, "CHANGELOG.md"), strings.SplitN(after["CHANGELOG.md"], "\n## ", 2)[0]+changelog)
		if _, err := generateAll(t.Context(), spec, root); err != nil {
			t.Errorf("%s again: %v", release.name, err)
		}
		again := readFiles(t, root)
		if diff := cmp.Diff(after["SURFACE.json"], again["SURFACE.json"]); diff != "" || !strings.HasSuffix(again["CHANGELOG.md"], changelog) {
			t.Errorf("%s: a second run is another:\n%s", release.name, diff)
		}
	}
	for _, name := range []string{"SURFACE.json", "CHANGELOG.md"} {
		golden, have := filepath.Join("testdata/surface", name), strings.ReplaceAll(readFiles(t, root)[name], "(Read.) ", "")
		if *rewrite {
			writeFile(t, golden, have)
		}
		want, err := os.ReadFile(golden)
		if err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(string(want), have); diff != "" {
			t.Errorf("%s: run with -update if this is meant (-golden +made):\n%s", name, diff)
		}
	}
}

func factsOf(t *testing.T, root string) surface.Facts {
	t.Helper()
	raw, err := os.ReadFile(filepath.Join(root, "SURFACE.json"))
	var facts surface.Facts
	if err := errors.Join(err, json.Unmarshal(raw, &facts)); err != nil {
		t.Fatal(err)
	}
	return facts
}

func TestSurface_refused(t *testing.T) {
	t.Parallel()
	for name, test := range map[string]struct {
		file, text string
		args       []string
		want       string
	}{
		"facts that are no JSON":           {file: "SURFACE.json", text: "{", want: "SURFACE.json: unexpected EOF"},
		"facts of another kind":            {file: "SURFACE.json", text: `{"surface_version": "1.0.0", "mood": 1}`, want: `SURFACE.json: json: unknown field "mood"`},
		"no version":                       {file: "SURFACE.json", text: `{}`, want: `SURFACE.json: surface_version: "", want three numbers such as 1.0.0`},
		"a version with a suffix":          {file: "SURFACE.json", text: `{"surface_version": "1.0.0-rc1"}`, want: `SURFACE.json: surface_version: "1.0.0-rc1", want three numbers such as 1.0.0`},
		"a version that is there already":  {file: "CHANGELOG.md", text: "# Ours\n\n## 1.0.0\n\nThe first.\n", want: "CHANGELOG.md: version 1.0.0 is there already, but SURFACE.json is of another or gone"},
		"something else that is to accept": {args: []string{"--accept", "removed"}, want: `--accept: "removed", want retyped, wrapped or both`},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			root := newTree(t)
			if test.file != "" {
				writeFile(t, filepath.Join(root, test.file), test.text)
			}
			before := readFiles(t, root)
			var stdout, stderr bytes.Buffer
			err := run(t.Context(), append([]string{"--spec", "testdata/drift/base.yaml", "--out", root}, test.args...), &stdout, &stderr)
			if exitCode(err) != 1 || !strings.Contains(stderr.String(), test.want) {
				t.Errorf("run: %v, stderr %q, want %s", err, &stderr, test.want)
			}
			if diff := cmp.Diff(before, readFiles(t, root)); diff != "" {
				t.Errorf("a run that failed changed the tree:\n%s", diff)
			}
		})
	}
}

// A surface that begins anew is no later version of the one that was there.
func TestSurface_anew(t *testing.T) {
	t.Parallel()
	root := newTree(t)
	if _, err := generateAll(t.Context(), "testdata/evolution-1.json", root); err != nil {
		t.Fatal(err)
	}
	if err := os.RemoveAll(filepath.Join(root, "samsara_gateway")); err != nil {
		t.Fatal(err)
	}
	before := readFiles(t, root)
	const want = "SURFACE.json: it describes a surface that no longer exists: to start again with 1.0.0, remove it and CHANGELOG.md"
	if _, err := generateAll(t.Context(), "testdata/evolution-1.json", root); err == nil || !strings.HasSuffix(err.Error(), want) {
		t.Errorf("generate: %v, want %s", err, want)
	}
	if diff := cmp.Diff(before, readFiles(t, root)); diff != "" {
		t.Errorf("a run that failed changed the tree:\n%s", diff)
	}
	for _, name := range []string{"SURFACE.json", "CHANGELOG.md"} {
		if err := os.Remove(filepath.Join(root, name)); err != nil {
			t.Fatal(err)
		}
	}
	if _, err := generateAll(t.Context(), "testdata/evolution-1.json", root); err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(before["CHANGELOG.md"], readFiles(t, root)["CHANGELOG.md"]); diff != "" {
		t.Errorf("the changelog of the surface anew (-want +have):\n%s", diff)
	}
}

// A hand may raise the first number, and write what it likes into the changelog.
func TestSurface_majorByHand(t *testing.T) {
	t.Parallel()
	root := newTree(t)
	if _, err := generateAll(t.Context(), "testdata/evolution-1.json", root); err != nil {
		t.Fatal(err)
	}
	file := filepath.Join(root, "SURFACE.json")
	raw, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	writeFile(t, file, strings.Replace(string(raw), `"1.0.0"`, `"2.0.0"`, 1))
	if written, err := generateAll(t.Context(), "testdata/evolution-1.json", root); err != nil || written > 0 {
		t.Errorf("a second run wrote %d files, %v", written, err)
	}
	if _, err := generateAll(t.Context(), "testdata/evolution-2.json", root); err != nil {
		t.Fatal(err)
	}
	if version := factsOf(t, root).SurfaceVersion; version != "2.1.0" {
		t.Errorf("version %s, want 2.1.0", version)
	}
}

// Eleven months of Samsara's document in one step: it stops for the two answers that are wrapped, and is
// one section of the changelog.
func TestSurface_samsaraOlderToNewer(t *testing.T) {
	t.Parallel()
	current, old := os.Getenv("SAMSARA_OPENAPI"), os.Getenv("SAMSARA_OPENAPI_OLD") // set by the makefile
	if current == "" || old == "" {
		return
	}
	module := newModule(t)
	root := filepath.Join(module, "proto")
	runProtogen(t, old, module)
	first := readFiles(t, root)["CHANGELOG.md"]
	m, err := loadOnce(current)
	if err != nil {
		t.Fatal(err)
	}
	_, err = surface.Update(t.Context(), m, root, surface.Options{Accept: []string{surface.Retyped}})
	var unaccepted *surface.UnacceptedError
	if !errors.As(err, &unaccepted) {
		t.Fatalf("Update: %v, want the answers that are wrapped", err)
	}
	var have []string
	for _, c := range unaccepted.Changes {
		have = append(have, c.What+" "+c.Where)
	}
	want := []string{"answer wrapped samsara_gateway.assets.v1.AssetsService.CreateAsset", "answer wrapped samsara_gateway.assets.v1.AssetsService.UpdateAsset"}
	if diff := cmp.Diff(want, have); diff != "" {
		t.Errorf("unaccepted (-want +have):\n%s", diff)
	}
	runProtogen(t, current, module)
	facts, changelog := factsOf(t, root), readFiles(t, root)["CHANGELOG.md"]
	if facts.SurfaceVersion != "1.1.0" || facts.SamsaraVersion != "2025-10-23" {
		t.Errorf("%+v, want version 1.1.0 of 2025-10-23", facts)
	}
	_, section, _ := strings.Cut(changelog, "\n## 1.1.0\n")
	section, rest, _ := strings.Cut(section, "\n## ")
	if !strings.HasSuffix(first, "\n## "+rest) {
		t.Errorf("the first section is not as it was:\n%s", rest)
	}
	counts := map[string]int{}
	for _, part := range strings.Split(section, "\n### ")[1:] {
		name, lines, _ := strings.Cut(part, "\n")
		counts[name] = strings.Count(lines, "\n- ")
	}
	if diff := cmp.Diff(map[string]int{"Added": 351, "Deprecated": 14, "Moved": 9, "Retyped": 1, "Wrapped": 2, "Changed": 57}, counts); diff != "" {
		t.Errorf("changes by section (-want +have):\n%s", diff)
	}
	if written := runProtogen(t, current, module); written > 0 {
		t.Errorf("a second run wrote %d files", written)
	}
}
