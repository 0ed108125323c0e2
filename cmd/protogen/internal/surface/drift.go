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
	var trees [2]*tree
	for i := range trees {
		t, err := readTree(ctx, root)
		if err != nil {
			return Report{}, fmt.Errorf("reading the tree below %s: %w", root, err)
		}
		trees[i] = t
	}
	before, after := trees[0], trees[1]
	c := comparison{changes: []Change{}}
	for _, err := range m.Idle {
		c.add(Structural, "correction changes nothing", "the corrections", "%v", err)
	}
	for _, err := range m.Unused {
		c.add(Structural, "left out for nothing", "the list of what is left out", "%v", err)
	}
	for _, err := range slices.Concat(m.Unsupported, merge(after, m.Operations)) {
		c.unsupported(err)
	}
	c.compare(before, after)
	report := Report{Changes: c.changes}
	if err := report.count(after, root); err != nil {
		return Report{}, err
	}
	slices.SortFunc(report.Changes, func(a, b Change) int {
		return cmp.Or(cmp.Compare(b.Class, a.Class), cmp.Compare(a.What, b.What), cmp.Compare(a.Where, b.Where))
	})
	if len(report.Changes) > 0 {
		report.Class = report.Changes[0].Class
	}
	return report, nil
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
