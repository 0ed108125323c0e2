package main

import (
	"go/ast"
	"go/doc"
	"go/parser"
	"go/token"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// parseFolder returns the Go files of a folder by name, either the tests or the others.
func parseFolder(t *testing.T, folder string, tests bool) map[string]*ast.File {
	t.Helper()
	paths, err := filepath.Glob(filepath.Join(root, folder, "*.go"))
	if err != nil {
		t.Fatal(err)
	}
	files := make(map[string]*ast.File)
	for _, path := range paths {
		if strings.HasSuffix(path, "_test.go") != tests {
			continue
		}
		file, err := parser.ParseFile(token.NewFileSet(), path, nil, parser.ParseComments)
		if err != nil {
			t.Fatal(err)
		}
		files[filepath.Base(path)] = file
	}
	return files
}

// TestDocs_packageComments checks that each package has one package comment, in its doc.go.
func TestDocs_packageComments(t *testing.T) {
	t.Parallel()
	for folder := range packageFolders(t) {
		var commented []string
		for name, file := range parseFolder(t, folder, false) {
			if file.Doc != nil {
				commented = append(commented, name)
			}
		}
		slices.Sort(commented)
		if diff := cmp.Diff([]string{"doc.go"}, commented); diff != "" {
			t.Errorf("files of %s with a package comment (-want +got):\n%s", folder, diff)
		}
	}
}

// TestDocs_fileOrder checks that the comment of a package of more than four files gives an order in which
// to read them, and that each such order has all files.
func TestDocs_fileOrder(t *testing.T) {
	t.Parallel()
	ordered := regexp.MustCompile(`(?i)in the order in which they are to be read: ([a-z0-9_, ]+)\.`)
	for folder := range packageFolders(t) {
		var there []string
		var comment string
		for name, file := range parseFolder(t, folder, false) {
			if name == "doc.go" {
				comment = strings.Join(strings.Fields(file.Doc.Text()), " ")
				continue
			}
			there = append(there, strings.TrimSuffix(name, ".go"))
		}
		order := ordered.FindStringSubmatch(comment)
		if order == nil {
			if len(there) > 4 {
				t.Errorf("%s/doc.go does not say in which order its %d files are to be read", folder, len(there))
			}
			continue
		}
		named := strings.Split(order[1], ", ")
		slices.Sort(named)
		slices.Sort(there)
		if diff := cmp.Diff(there, named); diff != "" {
			t.Errorf("files of %s (-there +in doc.go):\n%s", folder, diff)
		}
	}
}

// TestDocs_examples checks that each package that others import has an example whose output is compared.
func TestDocs_examples(t *testing.T) {
	t.Parallel()
	for folder := range packageFolders(t) {
		if strings.HasPrefix(folder, "cmd/") || folder == "internal/testenv" || folder == "internal/testproto" {
			continue
		}
		var files []*ast.File
		for _, file := range parseFolder(t, folder, true) {
			files = append(files, file)
		}
		if !slices.ContainsFunc(doc.Examples(files...), func(e *doc.Example) bool { return e.Output != "" }) {
			t.Errorf("%s has no example with an output", folder)
		}
	}
}
