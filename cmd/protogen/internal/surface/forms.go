package surface

import (
	"fmt"
	"slices"
	"strings"

	"samsara.internal/gateway/cmd/protogen/internal/model"
)

// forms says which schemas are the same thing, so that one message can stand for all of them: those with
// the same plain name and the same structure, at all depths. The newer half of the document has a copy of
// each schema for every operation and direction.
type forms struct {
	names       names
	definitions map[string]definition // of each schema of the document
	schemas     map[string]string     // form of each schema of the document
	messages    map[*message]string   // form of each message of the tree
	members     map[string][]string   // of each form, sorted
	uses        map[string]int        // how many operations lead to a schema
	shared      map[string]bool       // forms with a schema that several packages lead to
}

// newForms returns the forms of all schemas of the document and all messages of the tree.
func newForms(t *tree, operations []model.Operation) *forms {
	f := &forms{
		names:       newNames(t, operations),
		definitions: map[string]definition{},
		schemas:     map[string]string{},
		messages:    map[*message]string{},
		members:     map[string][]string{},
		uses:        map[string]int{},
		shared:      map[string]bool{},
	}
	for _, p := range t.sorted() {
		for _, m := range p.messages {
			f.ofMessage(m)
		}
	}
	first := map[string]model.Package{}
	for _, o := range operations {
		reached := map[string]bool{}
		f.reach(newDefinition(o.Response), reached)
		f.reach(newDefinition(o.Request), reached)
		for key := range reached {
			f.uses[key]++
			if f.uses[key] == 1 {
				first[key] = o.Package
			}
			if first[key] != o.Package {
				f.shared[f.schemas[key]] = true
			}
		}
	}
	return f
}

// reach adds the schemas that def leads to.
func (f *forms) reach(def definition, reached map[string]bool) {
	for _, p := range def.fields {
		key := p.Shape.Key()
		if p.Shape.Kind.Proto() != model.KindMessage || reached[key] {
			continue
		}
		reached[key] = true
		f.ofSchema(p.Shape)
		f.reach(f.definitions[key], reached)
	}
}

// ofSchema returns the form of the schema behind a shape. A schema that leads to itself has its key in its
// form, so no other has the same form.
func (f *forms) ofSchema(s model.Shape) string {
	key := s.Key()
	if form, known := f.schemas[key]; known {
		return form
	}
	f.definitions[key], f.schemas[key] = newDefinition(s.Definition()), key
	var members []string
	for _, p := range f.definitions[key].fields {
		below := ""
		if p.Shape.Kind.Proto() == model.KindMessage {
			below = f.ofSchema(p.Shape)
		}
		members = append(members, member(p.Wire, p.Shape.Kind, p.Shape.Label, p.Options.GetRoot(), below))
	}
	f.schemas[key] = f.form(key, members)
	return f.schemas[key]
}

// ofMessage returns the form of a message of the tree; requests and responses have none.
func (f *forms) ofMessage(m *message) string {
	if form, known := f.messages[m]; known || len(m.schemas) == 0 {
		return form
	}
	f.messages[m] = m.schemas[0]
	var members []string
	for _, field := range m.fields {
		if field.options.GetRetired() {
			continue
		}
		below := ""
		if field.kind == model.KindMessage {
			below = f.ofMessage(field.message)
		}
		members = append(members, member(field.wire(), field.kind, field.label, field.options.GetRoot(), below))
	}
	f.messages[m] = f.form(m.schemas[0], members)
	return f.messages[m]
}

func (f *forms) form(key string, members []string) string {
	slices.Sort(members)
	form := f.names.plain(key) + "{" + strings.Join(members, ",") + "}"
	f.members[form] = members
	return form
}

// nested reports whether one of two messages has all the members of the other.
func (f *forms) nested(a, b *message) bool {
	of := func(m *message) []string {
		form, known := f.messages[m]
		if !known {
			form = f.schemas[m.schemas[0]]
		}
		return f.members[form]
	}
	within := func(some, all []string) bool {
		return !slices.ContainsFunc(some, func(member string) bool { return !slices.Contains(all, member) })
	}
	return within(of(a), of(b)) || within(of(b), of(a))
}

func member(wire string, k model.Kind, l model.Label, root bool, below string) string {
	return fmt.Sprintf("%q %d %d %t %s", wire, k.Proto(), l, root, below)
}

// alike reports whether the message stands for a schema of the document that is the same thing as the
// schema with a key.
func (f *forms) alike(m *message, key string) bool {
	return slices.ContainsFunc(m.schemas, func(other string) bool { return f.schemas[other] == f.schemas[key] })
}
