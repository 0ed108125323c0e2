package surface

import (
	"slices"
	"strings"

	"samsara.internal/gateway/cmd/protogen/internal/model"
	apiv1 "samsara.internal/gateway/gen/api/v1"
)

// statement is what a definition says of a field.
type statement struct {
	from definition
	model.Property
}

func properties(statements []statement) []model.Property {
	out := make([]model.Property, 0, len(statements))
	for _, s := range statements {
		out = append(out, s.Property)
	}
	return out
}

// answered reports whether all definitions of responses have the field, and at least one requires it.
func answered(statements []statement, definitions []definition) bool {
	all, have, require := 0, 0, 0
	for _, def := range definitions {
		if def.answers {
			all++
		}
	}
	for _, s := range statements {
		if s.from.answers {
			have++
		}
		if s.from.answers && s.Options.GetRequired() {
			require++
		}
	}
	return require > 0 && have == all
}

// vary sets the variants of fields: a field has the values of all schemas that its message stands for, and
// the variants say which schema allows which.
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

// differs reports whether a field's statements allow different values, for itself or for fields below it.
func (f *field) differs(statements []statement, varying map[*message]bool) bool {
	return slices.ContainsFunc(statements, func(s statement) bool {
		return f.narrower(s) || s.holds(f, varying) != statements[0].holds(f, varying)
	})
}

// narrower reports whether a statement has values, but not all values of the field.
func (f *field) narrower(s statement) bool {
	n := len(s.Options.GetValues())
	return n > 0 && n < len(f.options.GetValues())
}

// holds returns the schema of a field's value by a statement; empty if that makes no difference.
func (s statement) holds(f *field, varying map[*message]bool) string {
	if f.message == nil || !varying[f.message] {
		return ""
	}
	return s.Shape.Key()
}

func (f *field) variants(statements []statement, varying map[*message]bool) []*apiv1.Variant {
	var out []*apiv1.Variant
	for _, s := range statements {
		v := &apiv1.Variant{Schema: s.from.key, Holds: s.holds(f, varying)}
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
