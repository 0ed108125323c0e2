// Command arrows prints which files of a package name something of which others: types, functions,
// methods, fields, variables and constants, as go/types resolves them. Tests are left out.
//
//	arrows PACKAGE [FILE...]
//
// With the files in the order in which they are to be read, it says which arrows go back: a file
// names something of one that comes before it. Without, it takes an order with few of these; there
// are none in it exactly if there is no circle of files.
package main

import (
	"fmt"
	"go/ast"
	"go/token"
	"go/types"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"golang.org/x/tools/go/packages"
)

// arrow is from a file to another one that it uses a name of.
type arrow struct{ from, to string }

func main() {
	if len(os.Args) < 2 {
		fmt.Fprintln(os.Stderr, "usage: arrows PACKAGE [FILE...]")
		os.Exit(2)
	}
	if err := run(os.Args[1], os.Args[2:]); err != nil {
		fmt.Fprintln(os.Stderr, "arrows:", err)
		os.Exit(1)
	}
}

func run(pattern string, order []string) error {
	pkgs, err := packages.Load(&packages.Config{
		Mode: packages.NeedName | packages.NeedFiles | packages.NeedSyntax | packages.NeedTypes | packages.NeedTypesInfo | packages.NeedImports | packages.NeedDeps,
	}, pattern)
	if err != nil {
		return err
	}
	if packages.PrintErrors(pkgs) > 0 || len(pkgs) != 1 {
		return fmt.Errorf("%s: %d packages, want one without errors", pattern, len(pkgs))
	}
	names := arrowsOf(pkgs[0])
	files := make(map[string]bool)
	for a := range names {
		files[a.from], files[a.to] = true, true
	}
	if len(order) == 0 {
		order = bestOrder(names, files)
	}
	for f := range files {
		if !slices.Contains(order, f) {
			return fmt.Errorf("%s is not in the order", f)
		}
	}
	back := 0
	for i, from := range order {
		for j, to := range order {
			what := names[arrow{from, to}]
			if len(what) == 0 {
				continue
			}
			mark := ""
			if j < i {
				mark = "BACK "
				back++
			}
			fmt.Fprintf(os.Stdout, "%s%s -> %s: %s\n", mark, from, to, strings.Join(what, " "))
		}
	}
	fmt.Fprintf(os.Stdout, "%d arrows, %d of them back\n", len(names), back)
	return nil
}

// arrowsOf returns the names of each file that each other file uses, sorted.
func arrowsOf(pkg *packages.Package) map[arrow][]string {
	fileOf := func(at token.Pos) string { return filepath.Base(pkg.Fset.Position(at).Filename) }
	names := make(map[arrow][]string)
	for _, file := range pkg.Syntax {
		from := fileOf(file.Pos())
		ast.Inspect(file, func(n ast.Node) bool {
			id, ok := n.(*ast.Ident)
			if !ok {
				return true
			}
			used := pkg.TypesInfo.Uses[id]
			if used == nil || used.Pkg() != pkg.Types {
				return true
			}
			// An instance of a generic type or function is declared with the generic one.
			switch made := used.(type) {
			case *types.Var:
				used = made.Origin()
			case *types.Func:
				used = made.Origin()
			}
			if to := fileOf(used.Pos()); to != from {
				a := arrow{from, to}
				if at, found := slices.BinarySearch(names[a], used.Name()); !found {
					names[a] = slices.Insert(names[a], at, used.Name())
				}
			}
			return true
		})
	}
	return names
}

// bestOrder returns an order of files: again and again it takes the file that fewest of those left use.
func bestOrder(names map[arrow][]string, files map[string]bool) []string {
	left := make([]string, 0, len(files))
	for f := range files {
		left = append(left, f)
	}
	slices.Sort(left)
	var order []string
	for len(left) > 0 {
		best, fewest := 0, len(files)
		for i, f := range left {
			named := 0
			for _, g := range left {
				if len(names[arrow{g, f}]) > 0 {
					named++
				}
			}
			if named < fewest {
				best, fewest = i, named
			}
		}
		order = append(order, left[best])
		left = slices.Delete(left, best, best+1)
	}
	return order
}
