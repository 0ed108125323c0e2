package main

import (
	"fmt"
	"maps"
	"os"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"google.golang.org/protobuf/reflect/protoreflect"
	"google.golang.org/protobuf/reflect/protoregistry"
	"google.golang.org/protobuf/types/descriptorpb"
)

// TestDocs_areas compares the table of areas in docs/languages.md with the surface. -update writes it.
func TestDocs_areas(t *testing.T) {
	t.Parallel()
	const (
		path  = root + "/docs/languages.md"
		begin = "<!-- areas: make docs writes what follows -->\n"
		end   = "<!-- end of areas -->\n"
	)
	text, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	before, rest, begins := strings.Cut(string(text), begin)
	got, after, ends := strings.Cut(rest, end)
	if !begins || !ends {
		t.Fatalf("%s has no areas between the lines\n%s%s", path, begin, end)
	}
	want := areasTable()
	if *update && got != want {
		if err := os.WriteFile(path, []byte(before+begin+want+end+after), 0o600); err != nil {
			t.Fatal(err)
		}
		return
	}
	if diff := cmp.Diff(strings.Split(want, "\n"), strings.Split(got, "\n")); diff != "" {
		t.Errorf("%s (-surface +documentation):\n%s", path, diff)
	}
}

// areasTable returns a row for each area: its services, and its names that are not the area's own.
func areasTable() string {
	type area struct {
		goPackage string
		services  []string
	}
	areas := make(map[string]area)
	protoregistry.GlobalFiles.RangeFiles(func(file protoreflect.FileDescriptor) bool {
		name, ours := strings.CutPrefix(string(file.Package()), "samsara_gateway.")
		options, has := file.Options().(*descriptorpb.FileOptions)
		if !ours || !has {
			return true
		}
		name = strings.TrimSuffix(name, ".v1")
		a := areas[name]
		_, a.goPackage, _ = strings.Cut(options.GetGoPackage(), ";")
		for i := range file.Services().Len() {
			a.services = append(a.services, "`"+string(file.Services().Get(i).Name())+"`")
		}
		areas[name] = a
		return true
	})
	var b strings.Builder
	b.WriteString("\n| Area | Services | Go package | Maven artifact | Feature of the crate |\n| --- | --- | --- | --- | --- |\n")
	for _, name := range slices.Sorted(maps.Keys(areas)) {
		a := areas[name]
		slices.Sort(a.services)
		feature := "`" + name + "`"
		if name == "api" || name == "types" { // which every package has
			feature = ""
		}
		fmt.Fprintf(&b, "| `%s` | %s | `%s` | `samsara-gateway-%s` | %s |\n",
			name, strings.Join(a.services, ", "), a.goPackage, strings.ReplaceAll(name, "_", "-"), feature)
	}
	return b.String() + "\n"
}
