package surface

import (
	"cmp"
	"slices"

	"samsara.internal/gateway/cmd/protogen/internal/model"
	apiv1 "samsara.internal/gateway/gen/api/v1"
)

// tree is the API surface: readTrees reads it, merge extends it and write prints it.
type tree struct {
	packages map[model.Package]*pkg
}

// pkg is one package and its file.
type pkg struct {
	model.Package
	methods  []*method
	messages []*message
}

// at returns the package of p. It adds one if there is none.
func (t *tree) at(p model.Package) *pkg {
	if t.packages[p] == nil {
		t.packages[p] = &pkg{Package: p}
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

// method returns the method of the operation with an id, nil if there is none.
func (t *tree) method(id string) *method {
	for _, p := range t.packages {
		for _, m := range p.methods {
			if m.operation.GetId() == id {
				return m
			}
		}
	}
	return nil
}

// schema returns the package's message for the schema with a key, nil if there is none.
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

// join makes the message stand for one more schema. A schema that differs only in its hash is not added:
// any release of the document may have new hashes.
func (m *message) join(schema string) {
	if slices.ContainsFunc(m.schemas, func(other string) bool { return withoutHash(other) == withoutHash(schema) }) {
		return
	}
	m.schemas = append(m.schemas, schema)
	slices.Sort(m.schemas)
}

// names returns the names of the package's messages, and the names that no message may have because the Go
// plugins derive them from the service's name.
func (p *pkg) names() map[string]bool {
	service := p.Service()
	taken := map[string]bool{
		service: true, service + "Client": true, service + "Server": true,
		"Unsafe" + service + "Server": true, "Unimplemented" + service + "Server": true,
	}
	for _, m := range p.messages {
		taken[m.name] = true
	}
	return taken
}

// method is the unary method of an operation.
type method struct {
	name              string
	operation         *apiv1.Operation
	request, response *message
	deprecated        bool
	gone              bool // the document no longer has it
	feed              model.FeedFacts
	mayBeTooLarge     bool    // the document declares 413
	twins             []*twin // by shape
}

// pkg returns the package that has the method.
func (m *method) pkg() *pkg { return m.request.pkg }

// message is one message. It stands for schemas, sorted; requests and responses have none.
type message struct {
	pkg        *pkg
	name       string
	schemas    []string
	fields     []*field
	reserved   reserved
	deprecated bool
	statements map[*field][]statement // once updated
	isRecord   bool                   // a method answers it, or a list of it, and has its name
	pageOf     string                 // what a page lists, if it is the response of a method that pages
}

// reserved holds what somebody reserved by hand. protogen itself reserves nothing.
type reserved struct {
	ranges [][2]int32 // first and last number
	names  []string
}

// next returns the least number above all that are or were in use.
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
	kind       model.Kind
	label      model.Label
	message    *message // for model.KindMessage
	options    *apiv1.Field
	deprecated bool
	gone       bool // the document no longer has it
	notes      model.Notes
	text       string // the whole comment, if the field is not the document's
}

// wire returns the field's name in JSON, path or query.
func (f *field) wire() string {
	if name := f.options.GetName(); name != "" {
		return name
	}
	return f.jsonName
}

// fits reports whether the field can hold the property. A field keeps its type if protogen now writes
// another type that holds no more: an integer of 64 bits, a text that holds a list joined by commas, and
// such a list if the document no longer says that the text is one.
func (f *field) fits(p property) bool {
	kind, label := p.Shape.Kind.Proto(), p.Shape.Label
	switch {
	case f.kind == kind && f.label == label:
		return true
	case kind == model.KindInt32:
		return f.kind == model.KindInteger && f.label == label
	case p.Notes.CommaSeparated && label == model.List:
		return f.is(model.KindString)
	case f.options.GetArrayStyle() == apiv1.ArrayStyle_ARRAY_STYLE_COMMA:
		return f.kind == model.KindString && kind == model.KindString && label == model.Single
	}
	return false
}

// property is what the document says of a field, with the message of the tree for its value once that is
// known.
type property struct {
	model.Property
	message *message
}

// definition is a model.Definition with the messages of the tree.
type definition struct {
	key     string
	fields  []property
	answers bool // it is of a response
}

func newDefinition(from model.Definition) definition {
	s := definition{key: from.Key}
	for _, p := range from.Fields {
		s.fields = append(s.fields, property{Property: p})
	}
	return s
}
