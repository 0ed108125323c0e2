package sandbox

import (
	"iter"
	"net/url"
	"slices"
	"strings"
)

// router finds operations by path. It is not http.ServeMux, because that redirects paths that are not
// clean. Samsara answers 404 to them.
type router struct {
	literal map[string]*router
	name    *router // any one segment
	byVerb  map[string]*operation
}

// add adds an operation. If another one has its verb and path, add returns that one and changes nothing.
func (t *router) add(op *operation) *operation {
	for _, segment := range op.segments {
		if segment.name != "" {
			if t.name == nil {
				t.name = &router{}
			}
			t = t.name
			continue
		}
		if t.literal == nil {
			t.literal = map[string]*router{}
		}
		if t.literal[segment.literal] == nil {
			t.literal[segment.literal] = &router{}
		}
		t = t.literal[segment.literal]
	}
	if other := t.byVerb[op.verb]; other != nil {
		return other
	}
	if t.byVerb == nil {
		t.byVerb = map[string]*operation{}
	}
	t.byVerb[op.verb] = op
	return nil
}

// find returns the operation for a verb and an escaped path, with the unescaped values of its
// names. If there is none, it returns the verbs that the path takes, none if the path is unknown.
// Literal segments win over names.
func (t *router) find(verb, escapedPath string) (op *operation, values, verbs []string) {
	path, ok := strings.CutPrefix(escapedPath, "/")
	if !ok {
		return nil, nil, nil
	}
	segments := strings.Split(path, "/")
	for i, s := range segments {
		unescaped, err := url.PathUnescape(s)
		if err != nil || s == "" {
			return nil, nil, nil
		}
		segments[i] = unescaped
	}
	for n, names := range t.walk(segments, nil) {
		if op := n.byVerb[verb]; op != nil {
			return op, names, nil
		}
		for other := range n.byVerb {
			verbs = append(verbs, other)
		}
	}
	slices.Sort(verbs)
	return nil, nil, slices.Compact(verbs)
}

// walk yields every node that the segments lead to, the most literal one first, with the values of the
// names in its path.
func (t *router) walk(segments, names []string) iter.Seq2[*router, []string] {
	return func(yield func(*router, []string) bool) {
		if len(segments) == 0 {
			if len(t.byVerb) > 0 {
				yield(t, names)
			}
			return
		}
		if next := t.literal[segments[0]]; next != nil {
			for n, found := range next.walk(segments[1:], names) {
				if !yield(n, found) {
					return
				}
			}
		}
		if t.name != nil {
			for n, found := range t.name.walk(segments[1:], append(slices.Clip(names), segments[0])) {
				if !yield(n, found) {
					return
				}
			}
		}
	}
}
