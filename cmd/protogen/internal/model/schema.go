package model

import (
	"cmp"
	"maps"
	"slices"
	"strings"

	"samsara.internal/gateway/cmd/protogen/internal/document"
)

// schema is a schema of the document with the key it is known by: its component's name, or,
// for an inline one, its owner's key and the way from there (".property", "[]" for the elements
// of an array, "{}" for the values of a map).
type schema struct {
	key      string
	nullable bool
	inURL    bool // no entry of an array is null there
	// Deprecated is whether the schema is, or what refers to it.
	Deprecated bool
	*document.Schema
}

// maxAliases bounds a chain of schemas that only name another one.
const maxAliases = 16

// resolve gives a schema its key; inline is that of a schema that has no name of its own. A schema
// that is another one, or null, is that other one, and as narrow as both: see conjoined.
func resolve(s *document.Schema, inline string) schema {
	return schema{key: cmp.Or(s.Name, inline), nullable: isNullable(s), Deprecated: s.Deprecated, Schema: s}.conjoined()
}

// isNullable says whether a schema allows null beside what else it allows.
func isNullable(s *document.Schema) bool {
	return s.Nullable || slices.ContainsFunc(slices.Concat(s.OneOf, s.AnyOf), func(m *document.Schema) bool { return m.Is("null") })
}

// choices are the members of a oneOf or an anyOf, except null.
func (s schema) choices() []*document.Schema {
	var all []*document.Schema
	for _, member := range slices.Concat(s.OneOf, s.AnyOf) {
		if !member.Is("null") {
			all = append(all, member)
		}
	}
	return all
}

// shape of a property of that name.
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

// entry is the kind of an entry of a list, with the schema behind it for messages. A scalar that may
// be null needs a message: a list of scalars has no place for null, and places may mean something.
func (s schema) entry() (Kind, schema) {
	kind, of := s.element()
	if s.nullable && kind.Scalar() {
		return KindNullable, s
	}
	return kind, of
}

// element is the kind of one value of the schema, with the schema behind it for messages.
func (s schema) element() (Kind, schema) { return s.elementTo(maxAliases) }

// elementTo looks into arrays to the given depth: one may be of itself.
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

// scalar is the kind that holds all values of a schema without properties or elements: the widest
// of those that it allows. Any value holds what no narrower kind does.
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

// widest is the kind that holds the values of all of them. The gateway reads a number or a bool
// where text is declared as its text, so text is wider than both.
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

// isObject says whether the schema has properties, so that a message can stand for it.
func (s schema) isObject() bool { return hasProperties(s.Schema, maxAliases) }

// hasProperties looks into allOf members to the given depth.
func hasProperties(s *document.Schema, depth int) bool {
	return len(s.Properties) > 0 || depth > 0 && slices.ContainsFunc(s.AllOf, func(m *document.Schema) bool {
		return hasProperties(m, depth-1)
	})
}

// isEmpty says whether a schema allows everything.
func isEmpty(s *document.Schema) bool {
	return s.Name == "" && len(s.Types)+len(s.Properties)+len(s.AllOf)+len(s.OneOf)+len(s.AnyOf) == 0
}

// properties returns the properties of an object by name, those of allOf members included.
// Members that are free-form add none.
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
