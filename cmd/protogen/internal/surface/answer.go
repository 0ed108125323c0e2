package surface

import (
	"slices"
	"strings"

	"samsara.internal/gateway/cmd/protogen/internal/model"
	"samsara.internal/gateway/internal/transcode"
)

// answer compares the forms of an answer before and after. An answer that was bare and is now wrapped, or
// the reverse, still works for the members that are in both.
func (c *comparison) answer(where string, before, after *message) {
	was, is := before.current(transcode.Envelope), after.current(transcode.Envelope)
	switch {
	case !after.bothForms(is):
		return
	case !is.deprecated && (was != nil && !was.deprecated || before.keeps(after)):
		return
	case is.deprecated && (was == nil || was.deprecated || !was.is(model.KindMessage) || !is.gone):
		return
	}
	what, from, to, fromPrefix, toPrefix := "answer wrapped", before, is.message, "", is.name+"."
	if is.deprecated {
		what, from, to, fromPrefix, toPrefix = "answer bare", was.message, after, is.name+".", ""
	}
	var in []string
	var below comparison
	told := []string{is.wire()}
	for _, f := range from.fields {
		if f.deprecated {
			continue
		}
		name, other := after.pkg.String()+"."+after.name+"."+fromPrefix+f.name, to.current(f.wire())
		switch {
		case other == nil:
			below.add(Breaking, "field removed", name, "%s", f.typeIn(from.pkg))
		case f.kind != other.kind || f.label != other.label:
			below.add(Structural, "field retyped", name, "%s, now %s in %s", f.typeIn(from.pkg), other.typeIn(to.pkg), toPrefix+other.name)
			fallthrough
		default:
			in = append(in, fromPrefix+f.name)
		}
		told = append(told, f.wire())
	}
	if len(in) == 0 {
		return
	}
	c.add(Structural, what, where, "read in both forms: %s", strings.Join(in, ", "))
	c.changes = append(c.changes, below.changes...)
	for _, f := range after.fields {
		c.told[f] = slices.Contains(told, f.wire())
	}
}

// bothForms reports whether the gateway reads an answer both wrapped in a member and bare: either that
// member is deprecated and all others that are not retired are not, or the reverse. See package transcode.
func (m *message) bothForms(wraps *field) bool {
	return wraps != nil && wraps.is(model.KindMessage) && !slices.ContainsFunc(m.fields, func(f *field) bool {
		return f.wire() != wraps.wire() && !f.options.GetRetired() && f.deprecated == wraps.deprecated
	})
}

// keeps reports whether the document still has a field that it had, deprecated or not.
func (m *message) keeps(after *message) bool {
	return slices.ContainsFunc(m.fields, func(f *field) bool { return !f.deprecated && !after.named(f.name).gone })
}

// named returns the field with a name, nil if there is none.
func (m *message) named(name string) *field {
	i := slices.IndexFunc(m.fields, func(f *field) bool { return f.name == name })
	if i < 0 {
		return nil
	}
	return m.fields[i]
}

// live reports whether the document has a field of the message.
func (m *message) live() bool {
	return slices.ContainsFunc(m.fields, func(f *field) bool { return !f.deprecated })
}
