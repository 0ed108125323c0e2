package main

import (
	"cmp"
	"path"
	"slices"
	"strings"

	gatewayv1 "samsara.internal/gateway/gen/samsara/gateway/v1"
)

// tree is the API surface: what readTree finds, merge extends and write prints.
type tree struct {
	packages map[place]*pkg
}

// place names a package: samsara.<area>.<version>.
type place struct{ area, version string }

// typesPlace holds the schemas that several packages share. It imports no other area, so there
// are no import cycles.
func typesPlace() place { return place{"types", "v1"} }

func (p place) String() string { return "samsara." + p.area + "." + p.version }

// file is the path of the package's only file below the root of the tree.
func (p place) file() string {
	return path.Join("samsara", p.area, p.version, p.area+".proto")
}

func (p place) service() string { return upperCamel(words(p.area)) + "Service" }

func (p place) stage() gatewayv1.Stage {
	switch {
	case p.area == "legacy":
		return gatewayv1.Stage_STAGE_LEGACY
	case p.version == "v1beta1":
		return gatewayv1.Stage_STAGE_BETA
	case p.version == "v1alpha1":
		return gatewayv1.Stage_STAGE_PREVIEW
	default:
		return gatewayv1.Stage_STAGE_STABLE
	}
}

// pkg is one package and its file.
type pkg struct {
	place
	methods  []*method
	messages []*message
}

// at returns the package at p, new if there is none.
func (t *tree) at(p place) *pkg {
	if t.packages[p] == nil {
		t.packages[p] = &pkg{place: p}
	}
	return t.packages[p]
}

// sorted returns the packages by name.
func (t *tree) sorted() []*pkg {
	all := make([]*pkg, 0, len(t.packages))
	for _, p := range t.packages {
		all = append(all, p)
	}
	slices.SortFunc(all, func(a, b *pkg) int { return cmp.Compare(a.String(), b.String()) })
	return all
}

// schema returns the package's message for the schema of that name, nil if there is none.
func (p *pkg) schema(key string) *message {
	for _, m := range p.messages {
		if slices.Contains(m.schemas, key) {
			return m
		}
	}
	return nil
}

// add appends an empty message for schemas.
func (p *pkg) add(schemas ...string) *message {
	m := &message{pkg: p, schemas: schemas}
	p.messages = append(p.messages, m)
	return m
}

// addNamed appends an empty message for a request or a response.
func (p *pkg) addNamed(name string) *message {
	m := p.add()
	m.name = name
	return m
}

// join makes the message stand for one more schema.
func (m *message) join(schema string) {
	m.schemas = append(m.schemas, schema)
	slices.Sort(m.schemas)
}

// names returns the names of the package's messages, and those that a message must not have
// because of what the Go plugins derive from the service's name.
func (p *pkg) names() map[string]bool {
	service := p.service()
	taken := map[string]bool{
		service: true, service + "Client": true, service + "Server": true,
		"Unsafe" + service + "Server": true, "Unimplemented" + service + "Server": true,
	}
	for _, m := range p.messages {
		taken[m.name] = true
	}
	return taken
}

// method is one operation at one place.
type method struct {
	name              string
	operation         *gatewayv1.Operation
	request, response *message
	deprecated        bool
	feed              feedFacts
	twins             []*twin // by shape
}

func (m *method) place() place { return m.request.pkg.place }

// message is one message. It stands for schemas, sorted; requests and responses have none.
type message struct {
	pkg        *pkg
	name       string
	schemas    []string
	fields     []*field
	reserved   reserved
	deprecated bool
	statements map[*field][]statement // once updated
}

// reserved holds what somebody reserved by hand; protogen reserves nothing itself.
type reserved struct {
	ranges [][2]int32 // first and last number
	names  []string
}

// next is the least number above all that are or were in use.
func (m *message) next() int32 {
	var last int32
	for _, f := range m.fields {
		last = max(last, f.number)
	}
	for _, r := range m.reserved.ranges {
		last = max(last, r[1])
	}
	return last + 1
}

// field is one field of a message. options is never nil.
type field struct {
	name       string
	jsonName   string
	number     int32
	kind       kind
	label      label
	message    *message // for kindMessage
	options    *gatewayv1.Field
	deprecated bool
	notes      notes
	text       string // the whole comment, where the field is not the document's
}

// notes are facts of a field that only the document's prose holds. They reach the comment and
// nothing else.
type notes struct {
	commaSeparated   bool
	unixMilliseconds bool
}

// wire is the field's name in JSON, path or query.
func (f *field) wire() string {
	if name := f.options.GetName(); name != "" {
		return name
	}
	return f.jsonName
}

// fits says whether the field can hold the property as it is.
func (f *field) fits(p property) bool {
	return f.kind == p.shape.kind.proto() && f.label == p.shape.label
}

// kind is the type of a field's value, or of its elements.
type kind int

const (
	kindAny           kind = iota // google.protobuf.Value
	kindList                      // google.protobuf.ListValue
	kindMask                      // google.protobuf.FieldMask
	kindStreamOptions             // samsara.gateway.v1.StreamOptions
	kindFollowOptions             // samsara.gateway.v1.FollowOptions
	kindKeepAlive                 // samsara.gateway.v1.KeepAlive
	kindMessage                   // a message of the tree
	kindWrapper                   // a message of the tree that stands for an array inside a list or map
	kindString
	kindInteger
	kindNumber
	kindBoolean
)

// proto is the kind as a proto file shows it.
func (k kind) proto() kind {
	if k == kindWrapper {
		return kindMessage
	}
	return k
}

// name is the kind's type in a proto file; empty for messages of the tree.
func (k kind) name() string {
	switch k {
	case kindAny:
		return "google.protobuf.Value"
	case kindList:
		return "google.protobuf.ListValue"
	case kindMask:
		return "google.protobuf.FieldMask"
	case kindStreamOptions:
		return "samsara.gateway.v1.StreamOptions"
	case kindFollowOptions:
		return "samsara.gateway.v1.FollowOptions"
	case kindKeepAlive:
		return "samsara.gateway.v1.KeepAlive"
	case kindString:
		return "string"
	case kindInteger:
		return "int64"
	case kindNumber:
		return "double"
	case kindBoolean:
		return "bool"
	case kindMessage, kindWrapper:
	}
	return ""
}

// scalar says whether the kind takes the keyword optional.
func (k kind) scalar() bool { return !strings.Contains(k.name(), ".") && k.name() != "" }

// label is how many values a field has.
type label int

const (
	single label = iota
	list
	mapping // keys are strings
)
