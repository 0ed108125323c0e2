package main

import (
	"bytes"
	"context"
	"errors"
	"flag"
	"io/fs"
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/google/go-cmp/cmp"

	"samsara.internal/gateway/cmd/protogen/internal/model"
	"samsara.internal/gateway/cmd/protogen/internal/surface"
	"samsara.internal/gateway/internal/testenv"
)

var rewrite = flag.Bool("update", false, "rewrite the golden trees")

// testDocument is one OpenAPI document a tree is made from; before, if any, is the document the tree
// was made from first. The committed tree is made already.
type testDocument struct {
	name, before, spec string
	committed          bool
}

// documents are the hand-written documents, and Samsara's if the environment names them.
func documents() []testDocument {
	all := []testDocument{
		{name: "quirks", spec: "testdata/quirks.json"},
		{name: "evolution", before: "testdata/evolution-1.json", spec: "testdata/evolution-2.json"},
		{name: "evolution back", before: "testdata/evolution-2.json", spec: "testdata/evolution-1.json"},
		{name: "copies", before: "testdata/copies-1.json", spec: "testdata/copies-2.json"},
		{name: "copies back", before: "testdata/copies-2.json", spec: "testdata/copies-1.json"},
		{name: "everything gone", before: "testdata/quirks.json", spec: "testdata/evolution-1.json"},
	}
	current, old := os.Getenv("SAMSARA_OPENAPI"), os.Getenv("SAMSARA_OPENAPI_OLD") // set by the makefile
	if current != "" {
		all = append(all, testDocument{name: "samsara", spec: current, committed: true})
	}
	if current != "" && old != "" {
		all = append(all, testDocument{name: "samsara old to new", before: old, spec: current})
	}
	return all
}

// Every tree is clean, loses nothing of its document, breaks no client of the tree before it,
// and is its own fixed point.
func TestTree_everyDocument(t *testing.T) {
	t.Parallel()
	testenv.Tool(t, "buf")
	for _, d := range documents() {
		t.Run(d.name, func(t *testing.T) {
			t.Parallel()
			module := newModule(t)
			before := newModule(t)
			if d.before != "" {
				runProtogen(t, d.before, module)
				copyTree(t, module, before)
			}
			if d.committed {
				copyTree(t, "../..", module)
			} else {
				runProtogen(t, d.spec, module)
			}
			if written := runProtogen(t, d.spec, module); written != 0 {
				t.Errorf("a run over its own output wrote %d files; if the tree is the committed one, run make proto", written)
			}
			buf(t, module, "lint")
			buf(t, module, "format", "--diff", "--exit-code")
			if d.before != "" {
				buf(t, module, "breaking", "--against", before)
			}
			checkDocument(t, d.spec, module, d.before != "")
		})
	}
}

func TestTree_golden(t *testing.T) {
	t.Parallel()
	for name, specs := range map[string][]string{
		"features-3.1": {"testdata/features-3.1.yaml"},
		"quirks":       {"testdata/quirks.json"},
		"evolution":    {"testdata/evolution-1.json", "testdata/evolution-2.json"},
		"copies":       {"testdata/copies-1.json"},
		"copies-later": {"testdata/copies-1.json", "testdata/copies-2.json"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			root := newTree(t)
			for _, spec := range specs {
				if _, err := generateAll(t.Context(), spec, root); err != nil {
					t.Fatal(err)
				}
			}
			if err := os.Remove(filepath.Join(root, correctionsFile)); err != nil {
				t.Fatal(err)
			}
			golden := filepath.Join("testdata", name)
			if *rewrite {
				if err := errors.Join(os.RemoveAll(golden), os.CopyFS(golden, os.DirFS(root))); err != nil {
					t.Fatal(err)
				}
			}
			if diff := cmp.Diff(readFiles(t, golden), readFiles(t, root)); diff != "" {
				t.Errorf("run with -update if this is meant (-golden +made):\n%s", diff)
			}
		})
	}
}

func TestRun_saysWhatIsWrong(t *testing.T) {
	t.Parallel()
	const header = `{"openapi":"3.0.1","info":{"title":"t","version":"1"},"paths":{"/things":{"get":`
	operation := func(members string) string {
		return header + `{"operationId":"listThings","tags":["Things"],"responses":{"200":{"description":"ok"}}` + members + `}}}}`
	}
	tests := []struct {
		name, spec, tree, want string
		is                     error
	}{
		{name: "no document", want: "want --spec FILE"},
		{name: "a tree that does not compile", spec: operation(""), tree: `syntax = "proto3"; package samsara_gateway.things.v1; message A { B b = 1; }`, want: "unknown type B"},
		{name: "a tree with an enum", spec: operation(""), tree: `syntax = "proto3"; package samsara_gateway.things.v1; enum E { A = 0; }`, want: "package samsara_gateway.things.v1", is: surface.ErrForeign},
		{name: "a tree with a field without presence", spec: operation(""), tree: `syntax = "proto3"; package samsara_gateway.things.v1; message A { string b = 1; }`, want: "field samsara_gateway.things.v1.A.b", is: surface.ErrForeign},
		{name: "a tree with a field of another type", spec: operation(""), tree: `syntax = "proto3"; package samsara_gateway.things.v1; message A { optional bytes b = 1; }`, want: "field samsara_gateway.things.v1.A.b", is: surface.ErrForeign},
		{name: "a tree with a method without annotation", spec: operation(""), tree: `syntax = "proto3"; package samsara_gateway.things.v1; message A {} service S { rpc M(A) returns (A); }`, want: "method samsara_gateway.things.v1.S.M", is: surface.ErrForeign},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			root := newTree(t)
			args := []string{"--out", root}
			if test.spec != "" {
				spec := filepath.Join(t.TempDir(), "openapi.json")
				writeFile(t, spec, test.spec)
				args = append(args, "--spec", spec)
			}
			if test.tree != "" {
				writeFile(t, filepath.Join(root, "samsara_gateway/things/v1/things.proto"), test.tree)
			}
			before := readFiles(t, root)
			var stdout, stderr bytes.Buffer
			err := run(t.Context(), args, &stdout, &stderr)
			if err == nil || !strings.Contains(stderr.String(), test.want) || test.is != nil && !errors.Is(err, test.is) {
				t.Errorf("run: %v, stderr %q; want %q and %v", err, &stderr, test.want, test.is)
			}
			if diff := cmp.Diff(before, readFiles(t, root)); diff != "" {
				t.Errorf("a run that failed changed the tree:\n%s", diff)
			}
		})
	}
}

// Each document, beside a list of what is left out if it has one, is refused for one cause.
func TestRun_refused(t *testing.T) {
	t.Parallel()
	specs, err := filepath.Glob("testdata/refused/*")
	if err != nil {
		t.Fatal(err)
	}
	for _, spec := range specs {
		name := strings.TrimSuffix(strings.TrimSuffix(spec, ".json"), ".yaml")
		if name == spec || strings.HasSuffix(name, ".leftout") {
			continue
		}
		t.Run(filepath.Base(name), func(t *testing.T) {
			t.Parallel()
			root := newTree(t)
			if list, err := os.ReadFile(name + ".leftout.yaml"); err == nil {
				writeFile(t, filepath.Join(root, "leftout.yaml"), string(list))
			}
			before := readFiles(t, root)
			_, err := generateAll(t.Context(), spec, root)
			if err == nil {
				t.Fatal("generate succeeded")
			}
			have := strings.ReplaceAll(err.Error(), root, "proto") + "\n"
			if *rewrite {
				writeFile(t, name+".txt", have)
			}
			want, err := os.ReadFile(name + ".txt")
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(string(want), have); diff != "" {
				t.Errorf("run with -update if this is meant (-golden +made):\n%s", diff)
			}
			if diff := cmp.Diff(before, readFiles(t, root)); diff != "" {
				t.Errorf("a run that failed changed the tree:\n%s", diff)
			}
		})
	}
}

func TestUpdate_keepsWhatIsReserved(t *testing.T) {
	t.Parallel()
	root := newTree(t)
	file := filepath.Join(root, "samsara_gateway/things/v1/things.proto")
	if _, err := generateAll(t.Context(), "testdata/evolution-1.json", root); err != nil {
		t.Fatal(err)
	}
	const schema = `option (samsara_gateway.api.v1.schema) = "Thing";`
	have := readFiles(t, root)["samsara_gateway/things/v1/things.proto"]
	writeFile(t, file, strings.Replace(have, schema, schema+"\n  reserved 20 to 30, 40;\n  reserved \"added\";", 1))
	if _, err := generateAll(t.Context(), "testdata/evolution-2.json", root); err != nil {
		t.Fatal(err)
	}
	made := readFiles(t, root)["samsara_gateway/things/v1/things.proto"]
	for _, want := range []string{"  reserved 20 to 30, 40;\n  reserved \"added\";\n", "optional string added_v2 = 41 ["} {
		if !strings.Contains(made, want) {
			t.Errorf("no %q in:\n%s", want, made)
		}
	}
}

func TestRun_saysWhatItWrote(t *testing.T) {
	t.Parallel()
	root := newTree(t)
	for _, want := range []string{"6 files written below " + root + "\n", "0 files written below " + root + "\n"} {
		var stdout, stderr bytes.Buffer
		err := run(t.Context(), []string{"--spec", "testdata/copies-1.json", "--out", root}, &stdout, &stderr)
		if err != nil || stdout.String() != want || stderr.Len() > 0 {
			t.Errorf("run: %v, stdout %q, stderr %q; want %q", err, &stdout, &stderr, want)
		}
	}
}

func TestLeftOut_listed(t *testing.T) {
	t.Parallel()
	root := newTree(t)
	const list = "# Ours.\n- operation: listThings\n  reason: X-Kind is a header\n- operation: POST /uploads\n  reason: its body is multipart\n"
	writeFile(t, filepath.Join(root, "leftout.yaml"), list)
	if _, err := generateAll(t.Context(), "testdata/refused/two-causes.yaml", root); err != nil {
		t.Fatal(err)
	}
	want := []string{"CHANGELOG.md", "SURFACE.json", correctionsFile, leftOutFile}
	if diff := cmp.Diff(want, slices.Sorted(maps.Keys(readFiles(t, root)))); diff != "" {
		t.Errorf("the files of the tree (-want +have):\n%s", diff)
	}
}

func TestRun_help(t *testing.T) {
	t.Parallel()
	var stdout, stderr bytes.Buffer
	if err := run(t.Context(), []string{"--help"}, &stdout, &stderr); err != nil || !strings.Contains(stderr.String(), "--spec") {
		t.Errorf("run --help: %v, %q", err, &stderr)
	}
}

// all accepts every change.
func all() surface.Options {
	return surface.Options{Accept: []string{surface.Retyped, surface.Wrapped}}
}

// generateAll is generate that accepts every change.
func generateAll(ctx context.Context, spec, root string) (int, error) {
	return generate(ctx, spec, root, all())
}

// nothing corrects nothing.
const nothing = "overlay: 1.0.0\ninfo: {title: Nothing, version: '1'}\nactions: []\n"

// newTree returns the root of an empty tree, with a list of corrections that is empty.
func newTree(t *testing.T) string {
	t.Helper()
	root := t.TempDir()
	writeFile(t, filepath.Join(root, correctionsFile), nothing)
	return root
}

// newModule returns a buf module that holds nothing but the gateway's own protos.
func newModule(t *testing.T) string {
	t.Helper()
	module := t.TempDir()
	config, err := os.ReadFile("../../buf.yaml")
	if err != nil {
		t.Fatal(err)
	}
	writeFile(t, filepath.Join(module, "buf.yaml"), string(config))
	writeFile(t, filepath.Join(module, "proto", correctionsFile), nothing)
	if err := os.CopyFS(filepath.Join(module, "proto/samsara_gateway/api"), os.DirFS("../../proto/samsara_gateway/api")); err != nil {
		t.Fatal(err)
	}
	return module
}

// copyTree replaces the protos of one module by those of another.
func copyTree(t *testing.T, from, to string) {
	t.Helper()
	proto := filepath.Join(to, "proto")
	if err := errors.Join(os.RemoveAll(proto), os.CopyFS(proto, os.DirFS(filepath.Join(from, "proto")))); err != nil {
		t.Fatal(err)
	}
}

// loading holds a function a document, by path, that loads its operations once. Samsara's take
// long, and nothing changes them.
var loading = struct {
	sync.Mutex
	documents map[string]func() (model.Model, error)
}{documents: map[string]func() (model.Model, error){}}

func loadOnce(spec string) (model.Model, error) {
	loading.Lock()
	once := loading.documents[spec]
	if once == nil {
		once = sync.OnceValues(func() (model.Model, error) {
			root := "testdata" // Which leaves out and corrects nothing.
			if spec == os.Getenv("SAMSARA_OPENAPI") {
				root = "../../proto"
			}
			m, err := load(context.Background(), spec, root)
			return m, errors.Join(err, errors.Join(m.Unsupported...))
		})
		loading.documents[spec] = once
	}
	loading.Unlock()
	return once()
}

// runProtogen brings a module up to a document and returns how many files that changed.
func runProtogen(t *testing.T, spec, module string) int {
	t.Helper()
	m, err := loadOnce(spec)
	if err != nil {
		t.Fatalf("loading %s: %v", spec, err)
	}
	written, err := surface.Update(t.Context(), m, filepath.Join(module, "proto"), all())
	if err != nil {
		t.Fatalf("bringing the tree up to %s: %v", spec, err)
	}
	return written
}

func buf(t *testing.T, module string, args ...string) {
	t.Helper()
	command := exec.CommandContext(t.Context(), testenv.Tool(t, "buf"), args...)
	command.Dir = module
	if out, err := command.CombinedOutput(); err != nil {
		t.Errorf("buf %s: %v\n%.4000s", strings.Join(args, " "), err, out)
	}
}

func writeFile(t *testing.T, file, content string) {
	t.Helper()
	if err := errors.Join(os.MkdirAll(filepath.Dir(file), 0o755), os.WriteFile(file, []byte(content), 0o644)); err != nil {
		t.Fatal(err)
	}
}

// readFiles returns the files below root by their slashed path.
func readFiles(t *testing.T, root string) map[string]string {
	t.Helper()
	files := map[string]string{}
	err := fs.WalkDir(os.DirFS(root), ".", func(file string, entry fs.DirEntry, err error) error {
		if err != nil || entry.IsDir() {
			return err
		}
		content, err := os.ReadFile(filepath.Join(root, file))
		files[filepath.ToSlash(file)] = string(content)
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return files
}
