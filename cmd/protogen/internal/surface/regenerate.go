package surface

import (
	"cmp"
	"context"
	"fmt"
	"slices"

	"samsara.internal/gateway/cmd/protogen/internal/model"
)

// regeneration is what a document makes of a tree.
type regeneration struct {
	after    *tree
	anew     bool // nothing was there
	report   Report
	problems []error // with operations that are new, and not added
}

// regenerate brings the tree below root up to a document in memory, and compares the two.
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

// sort puts the greatest changes first, and takes their class.
func (r *Report) sort() {
	slices.SortFunc(r.Changes, func(a, b Change) int {
		return cmp.Or(cmp.Compare(b.Class, a.Class), cmp.Compare(a.What, b.What), cmp.Compare(a.Where, b.Where))
	})
	if len(r.Changes) > 0 {
		r.Class = r.Changes[0].Class
	}
}
