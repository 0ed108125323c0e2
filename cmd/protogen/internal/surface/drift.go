package surface

import (
	"bytes"
	"cmp"
	"context"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"samsara.internal/gateway/cmd/protogen/internal/model"
)

// Report is all that a document would change in the tree.
type Report struct {
	Class        Class    `json:"class"`         // the greatest of the changes
	Files        int      `json:"files"`         // that would be written
	LinesAdded   int      `json:"lines_added"`   // in these files
	LinesRemoved int      `json:"lines_removed"` // from these files
	Changes      []Change `json:"changes"`       // the greatest class first, then by where
}

// Drift returns what Update would change in the tree below root, and changes nothing. What would make
// a run refuse the document is a change that somebody has to look at, and stops nothing.
func Drift(ctx context.Context, m model.Model, root string) (Report, error) {
	r, err := regenerate(ctx, m, root)
	if err != nil {
		return Report{}, err
	}
	c := comparison{changes: r.report.Changes}
	for _, err := range m.Idle {
		c.add(Structural, "correction changes nothing", "the corrections", "%v", err)
	}
	for _, err := range m.Unused {
		c.add(Structural, "left out for nothing", "the list of what is left out", "%v", err)
	}
	for _, err := range slices.Concat(m.Unsupported, r.problems) {
		c.unsupported(err)
	}
	r.report.Changes = c.changes
	r.report.sort()
	return r.report, nil
}

// regeneration is what a document makes of a tree.
type regeneration struct {
	after    *tree
	report   Report
	problems []error // with operations that are new, and not added
}

// regenerate brings the tree below root up to a document in memory, and compares the two.
func regenerate(ctx context.Context, m model.Model, root string) (regeneration, error) {
	var trees [2]*tree
	for i := range trees {
		t, err := readTree(ctx, root)
		if err != nil {
			return regeneration{}, fmt.Errorf("reading the tree below %s: %w", root, err)
		}
		trees[i] = t
	}
	r := regeneration{after: trees[1], problems: merge(trees[1], m.Operations)}
	c := comparison{changes: []Change{}}
	c.compare(trees[0], r.after)
	r.report.Changes = c.changes
	if err := r.report.count(r.after, root); err != nil {
		return regeneration{}, err
	}
	r.report.sort()
	return r, nil
}

// sort puts the greatest changes first, and takes their class.
func (r *Report) sort() {
	slices.SortFunc(r.Changes, func(a, b Change) int {
		return cmp.Or(cmp.Compare(b.Class, a.Class), cmp.Compare(a.What, b.What), cmp.Compare(a.Where, b.Where))
	})
	if len(r.Changes) > 0 {
		r.Class = r.Changes[0].Class
	}
}

// count counts what would be written. A file in which nothing else has changed has other texts.
func (r *Report) count(after *tree, root string) error {
	for _, p := range after.sorted() {
		want := p.print()
		have, err := os.ReadFile(filepath.Join(root, filepath.FromSlash(p.File()))) //nolint:gosec // the caller names the tree
		if err != nil && !os.IsNotExist(err) {
			return err
		}
		if bytes.Equal(have, want) {
			continue
		}
		added, removed := lines(have, want)
		r.Files++
		r.LinesAdded += added
		r.LinesRemoved += removed
		if slices.ContainsFunc(r.Changes, func(c Change) bool { return strings.HasPrefix(c.Where, p.String()+".") }) {
			continue
		}
		class, what := Cosmetic, "texts changed"
		if have == nil {
			class, what = Additive, "package added"
		}
		r.Changes = append(r.Changes, Change{class, what, p.String(), fmt.Sprintf("%d lines added, %d removed", added, removed)})
	}
	return nil
}

// lines counts the lines that one text has more often than the other.
func lines(have, want []byte) (added, removed int) {
	counts := map[string]int{}
	for line := range bytes.Lines(want) {
		counts[string(line)]++
	}
	for line := range bytes.Lines(have) {
		counts[string(line)]--
	}
	for _, n := range counts {
		added += max(0, n)
		removed += max(0, -n)
	}
	return added, removed
}
