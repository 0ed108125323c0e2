package surface

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"

	"samsara.internal/gateway/cmd/protogen/internal/model"
)

// Options are what a run of Update is told beside the document.
type Options struct {
	// SDKRelease is the release of Samsara's SDK that the document is of; empty for that of the run before.
	SDKRelease string
	// Accept are the kinds of changes that somebody has looked at: of Retyped and Wrapped those that
	// are to be written.
	Accept []string
}

// The kinds of changes that are written only if Options say so: a deployed client goes on working, but
// reads less than it did if values do not fit, so somebody should know.
const (
	Retyped = "retyped"
	Wrapped = "wrapped"
)

// UnacceptedError is in the error for a document with changes that somebody has to look at first.
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

// Update brings the tree below root up to a document's operations, which it leaves as they are,
// and returns how many files it changed. What it refuses, it refuses before it changes any.
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
