// Package surface keeps the proto files of the gateway's API: it reads the tree of earlier runs,
// brings it up to what a document says, and writes it.
//
// What the tree already says is for ever: every package, message, field, name, number and type
// stays, so a client of any earlier tree keeps working; what the document adds is added, what it
// lacks stays as deprecated. It refuses files in the tree that it would not have written.
package surface

import (
	"context"
	"errors"
	"fmt"

	"samsara.internal/gateway/cmd/protogen/internal/model"
)

// Update brings the tree below root up to a document's operations, which it leaves as they are,
// and returns how many files it changed. What it refuses, it refuses before it changes any.
func Update(ctx context.Context, operations []model.Operation, root string) (int, error) {
	t, err := readTree(ctx, root)
	if err != nil {
		return 0, fmt.Errorf("reading the tree below %s: %w", root, err)
	}
	if err := errors.Join(merge(t, operations)...); err != nil {
		return 0, err
	}
	return write(t, root)
}
