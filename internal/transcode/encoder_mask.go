package transcode

import (
	"cmp"
	"errors"
	"fmt"
	"slices"
	"strings"

	"samsara.internal/gateway/internal/similar"
)

// MaxMaskPaths is how many paths a Mask may be made of.
const MaxMaskPaths = 1000

// Mask is a compiled update mask: which fields to write, set or not. Only the Encoder that made it may use
// it. It is immutable; nil stands for no mask.
type Mask struct {
	entries []maskEntry // in the order of members
}

// maskEntry names a member by its index in the object: the whole of it, or some of its members if sub is set.
type maskEntry struct {
	member int
	sub    *Mask
}

// Mask compiles paths: names of fields joined by dots, leading through singular messages only. A field is
// named by its proto name, or by its JSON name if that is no field's proto name. If one path lies within
// another, the shorter one counts. Without paths the mask is nil, with which Append writes what is set.
//
// The error joins a *FieldError for each path that does not name a field of the body. The first ten of them
// name the field of the most similar name, if one is similar. For more than MaxMaskPaths paths the error is
// one *FieldError.
func (e *Encoder) Mask(paths []string) (*Mask, error) {
	if len(paths) == 0 {
		return nil, nil
	}
	if len(paths) > MaxMaskPaths {
		return nil, &FieldError{Path: paths[MaxMaskPaths], Reason: fmt.Sprintf("is one more than the %d paths that a mask may have", MaxMaskPaths)}
	}
	mask := &Mask{}
	var problems []error
	for _, path := range paths {
		members, reason := e.top.resolve(path, len(problems) < maxSimilar)
		if reason != "" {
			problems = append(problems, &FieldError{Path: path, Reason: reason})
			continue
		}
		mask.add(members)
	}
	if len(problems) > 0 {
		return nil, errors.Join(problems...)
	}
	return mask, nil
}

// maxSimilar is for how many wrong paths of a mask a similar name is looked for. That takes far longer than
// finding out that they are wrong.
const maxSimilar = 10

// resolve returns the index of each member that path leads through, or what is wrong with path. If suggest is
// true, that names a similar field.
func (o *objectWriter) resolve(path string, suggest bool) (members []int, reason string) {
	parent := ""
	for name := range strings.SplitSeq(path, ".") {
		if o == nil {
			return nil, fmt.Sprintf("leads through %q, which is a list, a map or a single value: name it whole", parent)
		}
		i := slices.IndexFunc(o.members, func(f memberWriter) bool { return f.name == name })
		if i < 0 {
			i = slices.IndexFunc(o.members, func(f memberWriter) bool { return f.field.JSONName() == name })
		}
		switch {
		case path == "":
			return nil, "must not be empty"
		case name == "*":
			return nil, "must name fields: there is no wildcard"
		case i < 0:
			reason = fmt.Sprintf("does not name a field of the body: there is no %.64q", name)
			if suggest {
				for _, other := range similar.Names(name, o.memberNames, 1) {
					reason += fmt.Sprintf(", but %q", other)
				}
			}
			return nil, reason
		case len(members) == MaxDepth:
			return nil, fmt.Sprintf("must not have more than %d names", MaxDepth)
		}
		members = append(members, i)
		o, parent = o.members[i].object(), name
	}
	return members, ""
}

// memberNames yields the proto names of the members.
func (o *objectWriter) memberNames(yield func(string) bool) {
	for i := range o.members {
		if !yield(o.members[i].name) {
			return
		}
	}
}

// object returns the writer of a member that is always a JSON object, else nil.
func (f *memberWriter) object() *objectWriter {
	if f.shape != singular || f.value.object == nil || f.value.object.whole {
		return nil
	}
	return f.value.object
}

// add names the member that a path of members leads to.
func (m *Mask) add(members []int) {
	for i, member := range members {
		at, named := m.search(member)
		if !named {
			m.entries = slices.Insert(m.entries, at, maskEntry{member: member, sub: &Mask{}})
		}
		entry := &m.entries[at]
		if i == len(members)-1 {
			entry.sub = nil
		}
		if entry.sub == nil {
			return
		}
		m = entry.sub
	}
}

// find returns the mask below a member, and whether the mask names that member at all.
func (m *Mask) find(member int) (sub *Mask, named bool) {
	if m == nil {
		return nil, false
	}
	at, named := m.search(member)
	if !named {
		return nil, false
	}
	return m.entries[at].sub, true
}

func (m *Mask) search(member int) (at int, named bool) {
	return slices.BinarySearchFunc(m.entries, member, func(e maskEntry, member int) int {
		return cmp.Compare(e.member, member)
	})
}
