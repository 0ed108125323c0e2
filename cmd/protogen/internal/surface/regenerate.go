package surface

import (
	"cmp"
	"context"
	"fmt"
	"slices"

	"samsara.internal/gateway/cmd/protogen/internal/model"
)

// regeneration is the result of updating a tree from a document in memory.
type regeneration struct {
	after    *tree
	anew     bool // there was no tree before
	report   Report
	problems []error // with new operations, which are not added
}

// regenerate updates the tree below root in memory, and compares it with what it was.
func regenerate(ctx context.Context, m model.Model, root string) (regeneration, error) {
	trees, err := readTrees(ctx, root)
	if err != nil {
		return regeneration{}, fmt.Errorf("reading the tree below %s: %w", root, err)
	}
	before, after := trees[0], trees[1]
	r := regeneration{after: after, anew: len(before.packages) == 0, problems: merge(after, m.Operations)}
	c := comparison{changes: []Change{}}
	c.compare(before, after)
	r.report.Changes = c.changes
	if err := r.report.count(r.after, root); err != nil {
		return regeneration{}, err
	}
	r.report.sort()
	return r, nil
}

// sort puts the most severe changes first, and sets the severity of the report to theirs.
func (r *Report) sort() {
	slices.SortFunc(r.Changes, func(a, b Change) int {
		return cmp.Or(cmp.Compare(b.Severity, a.Severity), cmp.Compare(a.What, b.What), cmp.Compare(a.Where, b.Where))
	})
	if len(r.Changes) > 0 {
		r.Severity = r.Changes[0].Severity
	}
}
