package model

import (
	"cmp"
	"reflect"
	"slices"

	"samsara.internal/gateway/cmd/protogen/internal/document"
)

// members returns the schemas that a value has to match besides this one: those of an allOf, or the only
// one of a oneOf or an anyOf apart from null. It returns none for an object with several members, or with
// properties of its own: such an object has the properties of all its members.
func (s schema) members() []*document.Schema {
	choices := s.choices()
	switch {
	case len(s.Properties) > 0, len(s.AllOf) > 1 && s.isObject():
		return nil
	case len(s.AllOf) == 0 && len(choices) == 1:
		return choices
	}
	return s.AllOf
}

// conjoined returns the schema of the values that match this one and all its members. In OpenAPI 3.1,
// {$ref: Code, type: [string, "null"]} is read as a copy of Code with an allOf of what is beside the $ref,
// and has what both say. For an object only its member counts, so the result is that member.
func (s schema) conjoined() schema {
	seen := map[*document.Schema]bool{}
	for {
		members := slices.DeleteFunc(slices.Clone(s.members()), func(m *document.Schema) bool { return seen[m] })
		if len(members) == 0 {
			return s
		}
		if len(members) == 1 {
			s.key = cmp.Or(members[0].Name, s.key)
		}
		both := new(*s.Schema)
		both.AllOf, both.OneOf, both.AnyOf = nil, nil, nil
		for _, member := range members {
			seen[member] = true
			s.nullable, s.Deprecated = s.nullable || isNullable(member), s.Deprecated || member.Deprecated
			both = conjunction(both, member)
		}
		s.Schema = both
	}
}

// conjunction returns the schema of the values that match both. Descriptions are those of a, which is
// nearer to the use; the location, the name, the extensions and the properties are those of b. It returns
// b if b is an object or if a says nothing.
func conjunction(a, b *document.Schema) *document.Schema {
	if hasProperties(b, maxAliases) || reflect.DeepEqual(*a, document.Schema{Location: a.Location, Name: a.Name, Nullable: a.Nullable, Deprecated: a.Deprecated, Extensions: a.Extensions}) {
		return b
	}
	both := *b
	both.Types = common(a.Types, b.Types)
	both.Enum = common(a.Enum, b.Enum)
	both.Nullable, both.Deprecated = a.Nullable || b.Nullable, a.Deprecated || b.Deprecated
	both.Format, both.Description = cmp.Or(a.Format, b.Format), cmp.Or(a.Description, b.Description)
	if a.Default != nil {
		both.Default = a.Default
	}
	both.Minimum, both.Maximum = tighter(a.Minimum, b.Minimum, 1), tighter(a.Maximum, b.Maximum, -1)
	both.MinLength, both.MaxLength = max(a.MinLength, b.MinLength), tighter(a.MaxLength, b.MaxLength, -1)
	both.MinItems, both.MaxItems = max(a.MinItems, b.MinItems), tighter(a.MaxItems, b.MaxItems, -1)
	both.Items, both.Values = cmp.Or(b.Items, a.Items), cmp.Or(b.Values, a.Values)
	both.AllOf = slices.Concat(a.AllOf, b.AllOf)
	both.OneOf, both.AnyOf = slices.Concat(a.OneOf, b.OneOf), slices.Concat(a.AnyOf, b.AnyOf)
	return &both
}

// common returns the values of a that are also in b. An empty list allows all values. If the lists have no
// value in common, which would allow nothing, it returns those of a.
func common[T any](a, b []T) []T {
	if len(a) == 0 {
		return b
	}
	var both []T
	for _, v := range a {
		if slices.ContainsFunc(b, func(other T) bool { return reflect.DeepEqual(v, other) }) {
			both = append(both, v)
		}
	}
	if len(both) == 0 {
		return a
	}
	return both
}

// tighter returns the greater of two lower bounds, or with the sign -1 the lesser of two upper bounds. nil
// is no bound.
func tighter[T cmp.Ordered](a, b *T, sign int) *T {
	if a == nil || b != nil && sign*cmp.Compare(*a, *b) < 0 {
		return b
	}
	return a
}
