package surface

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"

	"samsara.internal/gateway/cmd/protogen/internal/model"
)

// Options are the options of Update besides the document.
type Options struct {
	// SDKRelease is the release of Samsara's SDK that has the document; empty: the one of the last run.
	SDKRelease string
	// Accept has the kinds of changes that somebody has looked at, and that Update may write: Retyped,
	// Wrapped, both or none.
	Accept []string
}

// The kinds of changes that are written only if Options accept them. A deployed client goes on working,
// but if values do not fit it reads less than before, so somebody should know.
const (
	Retyped = "retyped"
	Wrapped = "wrapped"
)

// UnacceptedError is the error for a document with changes that somebody has to look at first.
type UnacceptedError struct {
	Changes []Change
}

func (e *UnacceptedError) Error() string {
	var text strings.Builder
	fmt.Fprintf(&text, "%d changes to look at, nothing is written:", len(e.Changes))
	var kinds []string
	for _, c := range e.Changes {
		fmt.Fprintf(&text, "\n  %s: %s: %s", c.What, c.Where, c.Detail)
		if kind := c.kind(); !slices.Contains(kinds, kind) {
			kinds = append(kinds, kind)
		}
	}
	slices.Sort(kinds)
	fmt.Fprintf(&text, "\naccepted with ACCEPT=%s, or --accept", strings.Join(kinds, ","))
	return text.String()
}

// Update updates the tree below root from what a document says and returns how many files it changed. It
// does not modify m. If it refuses the document, it changes no file.
func Update(ctx context.Context, m model.Model, root string, options Options) (int, error) {
	r, err := regenerate(ctx, m, root)
	if err := errors.Join(append(r.problems, err)...); err != nil {
		return 0, err
	}
	var unaccepted []Change
	for _, c := range r.report.Changes {
		if kind := c.kind(); (kind == Retyped || kind == Wrapped) && !slices.Contains(options.Accept, kind) {
			unaccepted = append(unaccepted, c)
		}
	}
	if len(unaccepted) > 0 {
		return 0, &UnacceptedError{unaccepted}
	}
	files, err := r.files(m, root, options.SDKRelease)
	if err != nil {
		return 0, err
	}
	return write(files, root)
}
