package surface

import (
	"bytes"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
)

// preamble begins a changelog.
const preamble = `# Changelog of the API surface

Written by cmd/protogen: a section for each version of the surface, the newest first. A second number that
is greater adds or deprecates, a third one changes comments and options alone. What is deprecated goes on
working, and so does what is moved, retyped or wrapped. What make drift calls cosmetic is counted.
`

// The kinds of changes in the changelog, besides Retyped and Wrapped.
const (
	kindAdded      = "added"
	kindDeprecated = "deprecated"
	kindMoved      = "moved"
	kindRemoved    = "removed"
	kindChanged    = "changed"
)

// kind returns the section of the changelog that has a change.
func (c Change) kind() string {
	switch c.What {
	case "operation added", "operation back", "stream added", "field added", "required field added", "field back", "package added":
		return kindAdded
	case "operation deprecated", "operation removed", "stream deprecated", "stream not served", "field deprecated", "field removed":
		return kindDeprecated
	case "operation moved":
		return kindMoved
	case "stream removed":
		return kindRemoved
	case "field retyped":
		return Retyped
	case "answer wrapped", "answer bare":
		return Wrapped
	}
	return kindChanged
}

// changelog returns the changelog of the tree below root with a section for a new version. What it has
// already stays as it is.
func (r *Report) changelog(facts Facts, first bool, root string) ([]byte, error) {
	file := filepath.Join(root, changelogFile)
	have, err := os.ReadFile(file) //nolint:gosec // the caller names the tree
	if errors.Is(err, fs.ErrNotExist) {
		have, err = []byte(preamble), nil
	}
	if err != nil {
		return nil, err
	}
	heading := "\n## " + facts.SurfaceVersion + "\n"
	if bytes.Contains(have, []byte(heading)) {
		return nil, fmt.Errorf("%s: version %s is there already, but %s is of another or gone", file, facts.SurfaceVersion, factsFile)
	}
	section := &strings.Builder{}
	section.WriteString(heading + "\n" + facts.origin() + "\n")
	if first {
		section.WriteString("\n" + facts.first() + "\n")
	} else {
		r.sections(section)
	}
	at := bytes.Index(have, []byte("\n## "))
	if at < 0 {
		at = len(have)
	}
	return slices.Concat(have[:at], []byte(section.String()), have[at:]), nil
}

// origin returns a sentence that says what a surface was made from.
func (f Facts) origin() string {
	text := "From Samsara's document of version " + f.SamsaraVersion
	if f.SDKRelease != "" {
		text += ", of their SDK " + f.SDKRelease
	}
	return text + ", SHA-256 `" + f.DocumentSHA256 + "`."
}

// first returns a sentence that says what a first surface has.
func (f Facts) first() string {
	return fmt.Sprintf("The first surface. Areas: %d; services: %d; methods: %d unary, %d stream, %d follow; messages: %d; fields: %d.",
		f.Areas, f.Services, f.Methods.Unary, f.Methods.Stream, f.Methods.Follow, f.Messages, f.Fields)
}

// sections writes the changes by kind. It only counts the cosmetic ones.
func (r *Report) sections(out *strings.Builder) {
	counts := map[string]int{}
	byKind := map[string][]Change{}
	for _, c := range r.Changes {
		if c.Severity == Cosmetic {
			counts[c.What]++
			continue
		}
		byKind[c.kind()] = append(byKind[c.kind()], c)
	}
	for _, kind := range []string{kindAdded, kindDeprecated, kindMoved, Retyped, Wrapped, kindRemoved, kindChanged} {
		if len(byKind[kind]) == 0 && (kind != kindChanged || len(counts) == 0) {
			continue
		}
		fmt.Fprintf(out, "\n### %s\n\n", strings.ToUpper(kind[:1])+kind[1:])
		slices.SortFunc(byKind[kind], func(a, b Change) int { return strings.Compare(a.Where+" "+a.What, b.Where+" "+b.What) })
		for _, c := range byKind[kind] {
			fmt.Fprintf(out, "- %s `%s`", c.What, c.Where)
			if c.Detail != "" {
				fmt.Fprintf(out, ": %s", c.Detail)
			}
			out.WriteString("\n")
		}
		if kind == kindChanged {
			for _, what := range slices.Sorted(maps.Keys(counts)) {
				fmt.Fprintf(out, "- %s: %d\n", what, counts[what])
			}
		}
	}
}
