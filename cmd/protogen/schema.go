package main

import (
	"maps"
	"path"
	"slices"
	"strings"

	"github.com/getkin/kin-openapi/openapi3"

	gatewayv1 "samsara.internal/gateway/gen/samsara/gateway/v1"
)

// schema is a schema of the document with the key it is known by: its component's name, or,
// for an inline one, its owner's key and the way from there (".property", "[]" for the elements
// of an array, "{}" for the values of a map).
type schema struct {
	key string
	*openapi3.Schema
}

// maxAliases bounds a chain of schemas that only name another one.
const maxAliases = 16

// resolve follows a reference; inline is the key of a schema that has no name of its own. An
// allOf of one member is that member.
func resolve(ref *openapi3.SchemaRef, inline string) schema {
	s := schema{inline, ref.Value}
	if ref.Ref != "" {
		s.key = path.Base(ref.Ref)
	}
	for range maxAliases {
		if len(s.AllOf) != 1 || len(s.Properties) > 0 {
			break
		}
		member := s.AllOf[0]
		if member.Ref != "" {
			s.key = path.Base(member.Ref)
		}
		s.Schema = member.Value
	}
	return s
}

// shape is how a schema appears as a field: of is the schema behind a message of the tree.
type shape struct {
	label label
	kind  kind
	of    schema
}

// shape of a property of that name.
func (s schema) shape(name string) shape {
	switch values := s.AdditionalProperties.Schema; {
	case s.isArray():
		kind, of := s.items().element()
		return shape{list, kind, of}
	case s.isObject():
		return shape{single, kindMessage, s}
	case values != nil && !isEmpty(values):
		kind, of := resolve(values, s.key+"{}").element()
		return shape{mapping, kind, of}
	}
	kind, of := s.element()
	if kind == kindAny && strings.HasSuffix(strings.ToLower(name), "externalids") {
		return shape{mapping, kindString, schema{}}
	}
	return shape{single, kind, of}
}

// element is the kind of one value of the schema, with the schema behind it for messages.
func (s schema) element() (kind, schema) {
	switch {
	case s.isArray():
		if inner, _ := s.items().element(); inner == kindAny {
			return kindList, schema{}
		}
		return kindWrapper, s
	case s.isObject():
		return kindMessage, s
	case s.Type.Is(openapi3.TypeString):
		return kindString, schema{}
	case s.Type.Is(openapi3.TypeBoolean):
		return kindBoolean, schema{}
	case s.Type.Is(openapi3.TypeInteger) && !strings.HasPrefix(s.Format, "float") && s.Format != "double",
		s.Type.Is(openapi3.TypeNumber) && strings.HasPrefix(s.Format, "int"):
		return kindInteger, schema{}
	case s.Type.Is(openapi3.TypeInteger), s.Type.Is(openapi3.TypeNumber):
		return kindNumber, schema{}
	default:
		return kindAny, schema{}
	}
}

func (s schema) isArray() bool { return s.Type.Is(openapi3.TypeArray) && s.Items != nil }

func (s schema) items() schema { return resolve(s.Items, s.key+"[]") }

// isObject says whether the schema has properties, so that a message can stand for it.
func (s schema) isObject() bool { return hasProperties(s.Schema, maxAliases) }

// hasProperties looks into allOf members to the given depth.
func hasProperties(s *openapi3.Schema, depth int) bool {
	return len(s.Properties) > 0 || depth > 0 && slices.ContainsFunc(s.AllOf, func(m *openapi3.SchemaRef) bool {
		return hasProperties(m.Value, depth-1)
	})
}

// isEmpty says whether a schema allows everything.
func isEmpty(ref *openapi3.SchemaRef) bool {
	v := ref.Value
	return ref.Ref == "" && v.Type.IsEmpty() && len(v.Properties) == 0 && len(v.AllOf) == 0
}

// properties returns the properties of an object by name, those of allOf members included.
// Members that are free-form add none.
func (s schema) properties() []property {
	found := map[string]property{}
	required := map[string]bool{}
	s.collect(found, required, map[*openapi3.Schema]bool{})
	all := make([]property, 0, len(found))
	for _, name := range slices.Sorted(maps.Keys(found)) {
		p := found[name]
		p.options.Required = required[name]
		all = append(all, p)
	}
	return all
}

func (s schema) collect(found map[string]property, required map[string]bool, seen map[*openapi3.Schema]bool) {
	if seen[s.Schema] {
		return
	}
	seen[s.Schema] = true
	for _, member := range s.AllOf {
		resolve(member, s.key).collect(found, required, seen)
	}
	for name, ref := range s.Properties {
		found[name] = newProperty(name, resolve(ref, s.key+"."+name))
	}
	for _, name := range s.Required {
		required[name] = true
	}
}

// property is a parameter, a member of a body, or a member of an object, on its way to a field.
// options lacks only the name.
type property struct {
	wire       string
	shape      shape
	message    *message // once reached, for messages of the tree
	options    *gatewayv1.Field
	notes      notes
	deprecated bool
}

// source is what the document says of the message behind a shape.
func (s shape) source() source {
	if s.kind == kindWrapper {
		return source{key: s.of.key, fields: []property{rootProperty("values", s.of)}}
	}
	return source{key: s.of.key, fields: s.of.properties()}
}
