package surface

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strconv"
	"strings"

	"samsara.internal/gateway/cmd/protogen/internal/model"
	apiv1 "samsara.internal/gateway/gen/api/v1"
)

// The files beside the proto files.
const (
	factsFile     = "SURFACE.json"
	changelogFile = "CHANGELOG.md"
)

// firstVersion is the version of the first surface.
const firstVersion = "1.0.0"

// Facts say what a surface is and what it was made from. They are kept in the tree alone: what a run does
// not say stays as it was.
type Facts struct {
	// SurfaceVersion is the semantic version of the promise to clients. A run that adds or deprecates
	// raises the second number, and one that only changes comments or options raises the third. Only a
	// person raises the first.
	SurfaceVersion string `json:"surface_version"`
	SamsaraVersion string `json:"samsara_version"` // of the document, as X-Samsara-Version has it
	SDKRelease     string `json:"sdk_release"`     // of Samsara's SDK; empty if nobody said
	DocumentSHA256 string `json:"document_sha256"` // of the document before it is corrected, in hexadecimal
	Counts
}

// Counts say how much a surface has, without what does not belong to Samsara's API.
type Counts struct {
	Areas      int        `json:"areas"`
	Services   int        `json:"services"`
	Methods    Methods    `json:"methods"`
	Messages   int        `json:"messages"`
	Fields     int        `json:"fields"`
	Deprecated Deprecated `json:"deprecated"`
}

// Methods says how many methods there are of each shape.
type Methods struct {
	Unary  int `json:"unary"`
	Stream int `json:"stream"`
	Follow int `json:"follow"`
}

// Deprecated says how much of a surface is deprecated.
type Deprecated struct {
	Methods  int `json:"methods"`
	Messages int `json:"messages"`
	Fields   int `json:"fields"`
}

// readFacts returns the facts of the tree below root, nil if it has none.
func readFacts(root string) (*Facts, error) {
	file := filepath.Join(root, factsFile)
	raw, err := os.ReadFile(file) //nolint:gosec // the caller names the tree
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil //nolint:nilnil // a tree without the file has no surface yet, which is no error
	}
	if err != nil {
		return nil, err
	}
	facts := &Facts{}
	decoder := json.NewDecoder(bytes.NewReader(raw))
	decoder.DisallowUnknownFields()
	if err := decoder.Decode(facts); err != nil {
		return nil, fmt.Errorf("%s: %w", file, err)
	}
	if _, err := parseVersion(facts.SurfaceVersion); err != nil {
		return nil, fmt.Errorf("%s: surface_version: %w", file, err)
	}
	return facts, nil
}

// counts returns how much a tree has.
func (t *tree) counts() Counts {
	var c Counts
	areas := map[string]bool{}
	one := func(deprecated bool, all, old *int) {
		*all++
		if deprecated {
			*old++
		}
	}
	for _, p := range t.packages {
		if len(p.methods) > 0 {
			areas[p.Area] = true
			c.Services++
		}
		for _, m := range p.methods {
			one(m.deprecated, &c.Methods.Unary, &c.Deprecated.Methods)
			for _, t := range m.twins {
				count := &c.Methods.Stream
				if t.stream.GetShape() == apiv1.StreamShape_STREAM_SHAPE_FOLLOW {
					count = &c.Methods.Follow
				}
				one(t.deprecated, count, &c.Deprecated.Methods)
			}
		}
		for _, m := range p.messages {
			one(m.deprecated, &c.Messages, &c.Deprecated.Messages)
			for _, f := range m.fields {
				one(f.deprecated, &c.Fields, &c.Deprecated.Fields)
			}
		}
	}
	c.Areas = len(areas)
	return c
}

// files returns the files that the tree shall have, by path: the proto files, the facts, and the changelog
// if the version is a new one.
func (r *regeneration) files(m model.Model, root, sdkRelease string) (map[string][]byte, error) {
	files := map[string][]byte{}
	for _, p := range r.after.sorted() {
		files[p.File()] = p.print()
	}
	before, err := readFacts(root)
	if err != nil {
		return nil, err
	}
	if before != nil && before.Messages > 0 && r.anew {
		return nil, fmt.Errorf("%s: it describes a surface that no longer exists: to start again with %s, remove it and %s", filepath.Join(root, factsFile), firstVersion, changelogFile)
	}
	facts := Facts{SurfaceVersion: firstVersion, SamsaraVersion: m.Version, SDKRelease: sdkRelease, DocumentSHA256: m.SHA256, Counts: r.after.counts()}
	if before != nil {
		facts.SurfaceVersion = r.report.version(before.SurfaceVersion)
		if sdkRelease == "" {
			facts.SDKRelease = before.SDKRelease
		}
	}
	if before == nil || facts.SurfaceVersion != before.SurfaceVersion {
		if files[changelogFile], err = r.report.changelog(facts, before == nil, root); err != nil {
			return nil, err
		}
	}
	raw, err := json.MarshalIndent(facts, "", "  ")
	files[factsFile] = append(raw, '\n')
	return files, err
}

// version returns the version of the surface after the changes, the same if there are none.
func (r *Report) version(before string) string {
	v, err := parseVersion(before)
	switch {
	case err != nil || r.Files == 0:
		return before
	case r.grows():
		v[1], v[2] = v[1]+1, 0
	default:
		v[2]++
	}
	return fmt.Sprintf("%d.%d.%d", v[0], v[1], v[2])
}

// grows reports whether anything is added or deprecated, and not only described in another way. A field
// that moves to another location in the request adds a field. An operation that moves to another path
// changes only an option.
func (r *Report) grows() bool {
	for _, c := range r.Changes {
		if kind := c.kind(); kind != kindChanged && kind != kindMoved {
			return true
		}
	}
	return false
}

// parseVersion reads a semantic version without suffix.
func parseVersion(text string) ([3]int, error) {
	var v [3]int
	parts := strings.Split(text, ".")
	if len(parts) != len(v) {
		return v, fmt.Errorf("%q, want three numbers such as %s", text, firstVersion)
	}
	for i, part := range parts {
		n, err := strconv.ParseUint(part, 10, 31)
		if err != nil || strconv.FormatUint(n, 10) != part {
			return v, fmt.Errorf("%q, want three numbers such as %s", text, firstVersion)
		}
		v[i] = int(n)
	}
	return v, nil
}
