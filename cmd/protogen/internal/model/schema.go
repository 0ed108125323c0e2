package model

import (
	"cmp"
	"maps"
	"slices"
	"strings"

	"samsara.internal/gateway/cmd/protogen/internal/document"
)

// schema is a schema of the document with its key: its component's name, or, for an inline schema, its
// owner's key and the path from there (".property", "[]" for the elements of an array, "{}" for the values
// of a map).
type schema struct {
	key      string
	nullable bool
	inURL    bool // no entry of an array is null there
	// Deprecated is whether the schema or the reference to it is deprecated.
	Deprecated bool
	*document.Schema
}

// maxAliases bounds a chain of schemas that only name another one.
const maxAliases = 16

// resolve returns a schema with its key. inline is the key of a schema without a name of its own. A schema
// that is another one, or that one or null, becomes the other one, as narrow as both: see conjoined.
func resolve(s *document.Schema, inline string) schema {
	return schema{key: cmp.Or(s.Name, inline), nullable: isNullable(s), Deprecated: s.Deprecated, Schema: s}.conjoined()
}

// isNullable reports whether a schema also allows null.
func isNullable(s *document.Schema) bool {
	return s.Nullable || slices.ContainsFunc(slices.Concat(s.OneOf, s.AnyOf), func(m *document.Schema) bool { return m.Is("null") })
}

// choices returns the members of a oneOf or an anyOf, except null.
func (s schema) choices() []*document.Schema {
	var all []*document.Schema
	for _, member := range slices.Concat(s.OneOf, s.AnyOf) {
		if !member.Is("null") {
			all = append(all, member)
		}
	}
	return all
}

// shape returns the shape of a property with a name.
func (s schema) shape(name string) Shape {
	switch values := s.Values; {
	case s.isArray():
		kind, of := s.items().entry()
		return Shape{List, kind, of}
	case s.isObject():
		return Shape{Single, KindMessage, s}
	case values != nil && !isEmpty(values):
		kind, of := resolve(values, s.key+"{}").element()
		return Shape{Mapping, kind, of}
	}
	kind, of := s.element()
	if kind == KindAny && strings.HasSuffix(strings.ToLower(name), "externalids") {
		return Shape{Mapping, KindString, schema{}}
	}
	return Shape{Single, kind, of}
}

// entry returns the kind of an entry of a list, with the schema behind it for messages. A scalar that may
// be null needs a message: a list of scalars cannot hold null, and the index of an entry may mean
// something.
func (s schema) entry() (Kind, schema) {
	kind, of := s.element()
	if s.nullable && kind.Scalar() {
		return KindNullable, s
	}
	return kind, of
}

// element returns the kind of one value of the schema, with the schema behind it for messages.
func (s schema) element() (Kind, schema) { return s.elementTo(maxAliases) }

// elementTo is element to the given depth of arrays: an array may contain itself.
func (s schema) elementTo(depth int) (Kind, schema) {
	switch {
	case s.isArray():
		if depth == 0 {
			return KindWrapper, s
		}
		if inner, _ := s.items().elementTo(depth - 1); inner == KindAny {
			return KindList, schema{}
		}
		return KindWrapper, s
	case s.isObject():
		return KindMessage, s
	}
	return s.scalar(maxAliases), schema{}
}

// scalar returns the kind that holds all values of a schema without properties or elements: the widest of
// the kinds that the schema allows. KindAny holds what no narrower kind does.
func (s schema) scalar(depth int) Kind {
	var kinds []Kind
	for _, name := range s.Types {
		kinds = append(kinds, scalarKind(name, s.Format))
	}
	if len(s.Types) == 0 && depth > 0 {
		for _, member := range s.choices() {
			below := resolve(member, "")
			if below.isArray() || below.isObject() {
				return KindAny
			}
			kinds = append(kinds, below.scalar(depth-1))
		}
	}
	return widest(kinds)
}

func scalarKind(name, format string) Kind {
	switch {
	case name == "string":
		return KindString
	case name == "boolean":
		return KindBoolean
	case name == "integer" && !strings.HasPrefix(format, "float") && format != "double",
		name == "number" && strings.HasPrefix(format, "int"):
		return KindInteger
	case name == "integer", name == "number":
		return KindNumber
	}
	return KindAny
}

// widest returns the kind that holds the values of all kinds. If text is declared, the gateway reads a
// number or a boolean as its text, so text is wider than both.
func widest(kinds []Kind) Kind {
	has := func(k Kind) bool { return slices.Contains(kinds, k) }
	switch {
	case len(kinds) == 0 || has(KindAny):
		return KindAny
	case has(KindString):
		return KindString
	case has(KindBoolean) && (has(KindInteger) || has(KindNumber)):
		return KindAny
	case has(KindBoolean):
		return KindBoolean
	case has(KindNumber):
		return KindNumber
	}
	return KindInteger
}

func (s schema) isArray() bool { return s.Is("array") && s.Items != nil }

func (s schema) items() schema {
	items := resolve(s.Items, s.key+"[]")
	items.nullable = items.nullable && !s.inURL
	return items
}

// isObject reports whether the schema has properties, so that a message can stand for it.
func (s schema) isObject() bool { return hasProperties(s.Schema, maxAliases) }

// hasProperties reports whether a schema, or a member of its allOf to the given depth, has properties.
func hasProperties(s *document.Schema, depth int) bool {
	return len(s.Properties) > 0 || depth > 0 && slices.ContainsFunc(s.AllOf, func(m *document.Schema) bool {
		return hasProperties(m, depth-1)
	})
}

// isEmpty reports whether a schema allows everything.
func isEmpty(s *document.Schema) bool {
	return s.Name == "" && len(s.Types)+len(s.Properties)+len(s.AllOf)+len(s.OneOf)+len(s.AnyOf) == 0
}

// properties returns the properties of an object by name, including those of the members of its allOf.
// Free-form members add none.
func (s schema) properties() []Property {
	found := map[string]Property{}
	required := map[string]bool{}
	s.collect(found, required, map[*document.Schema]bool{})
	all := make([]Property, 0, len(found))
	for _, name := range slices.Sorted(maps.Keys(found)) {
		p := found[name]
		p.Options.Required = required[name]
		all = append(all, p)
	}
	return all
}

func (s schema) collect(found map[string]Property, required map[string]bool, seen map[*document.Schema]bool) {
	if seen[s.Schema] {
		return
	}
	seen[s.Schema] = true
	for _, member := range s.AllOf {
		resolve(member, s.key).collect(found, required, seen)
	}
	for name, property := range s.Properties {
		p := newProperty(name, resolve(property, s.key+"."+name))
		if other, ok := property.Extensions["x-other-name"].(string); ok {
			p.Options.OtherNames = []string{other}
		}
		found[name] = p
	}
	for _, name := range s.Required {
		required[name] = true
	}
}
