package surface

import (
	"slices"
	"strings"

	"samsara.internal/gateway/cmd/protogen/internal/model"
	apiv1 "samsara.internal/gateway/gen/api/v1"
)

// statement is what one source says of a field.
type statement struct {
	source source
	model.Property
}

func properties(statements []statement) []model.Property {
	out := make([]model.Property, 0, len(statements))
	for _, s := range statements {
		out = append(out, s.Property)
	}
	return out
}

// answered reports whether all sources that are of responses have the field, and some require it.
func answered(statements []statement, sources []source) bool {
	all, have, require := 0, 0, 0
	for _, src := range sources {
		if src.answers {
			all++
		}
	}
	for _, s := range statements {
		if s.source.answers {
			have++
		}
		if s.source.answers && s.Options.GetRequired() {
			require++
		}
	}
	return require > 0 && have == all
}

// vary has fields tell where the schemas that their message stands for allow different values: a
// field has the values of all.
func vary(messages []*message) {
	varying := map[*message]bool{}
	for found := true; found; {
		found = false
		for _, m := range messages {
			if !varying[m] && slices.ContainsFunc(m.fields, func(f *field) bool { return f.differs(m.statements[f], varying) }) {
				varying[m], found = true, true
			}
		}
	}
	for _, m := range messages {
		for _, f := range m.fields {
			f.options.Schema, f.options.Variants = "", nil
			statements := m.statements[f]
			switch {
			case f.differs(statements, varying):
				f.options.Variants = f.variants(statements, varying)
			case len(statements) > 0:
				f.options.Schema = statements[0].holds(f, varying)
			}
		}
	}
}

// differs reports whether a field's statements allow different values, here or below.
func (f *field) differs(statements []statement, varying map[*message]bool) bool {
	return slices.ContainsFunc(statements, func(s statement) bool {
		return f.narrower(s) || s.holds(f, varying) != statements[0].holds(f, varying)
	})
}

// narrower reports whether a statement has values, but not all that the field has.
func (f *field) narrower(s statement) bool {
	n := len(s.Options.GetValues())
	return n > 0 && n < len(f.options.GetValues())
}

// holds returns the schema that a field holds by a statement, nothing if that makes no difference.
func (s statement) holds(f *field, varying map[*message]bool) string {
	if f.message == nil || !varying[f.message] {
		return ""
	}
	return s.Shape.Key()
}

func (f *field) variants(statements []statement, varying map[*message]bool) []*apiv1.Variant {
	var out []*apiv1.Variant
	for _, s := range statements {
		v := &apiv1.Variant{Schema: s.source.key, Holds: s.holds(f, varying)}
		if f.narrower(s) {
			v.Values = s.Options.GetValues()
		}
		if v.GetHolds() != "" || len(v.GetValues()) > 0 {
			out = append(out, v)
		}
	}
	slices.SortFunc(out, func(a, b *apiv1.Variant) int { return strings.Compare(a.GetSchema(), b.GetSchema()) })
	return out
}
