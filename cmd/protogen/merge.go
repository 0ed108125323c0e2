package main

import (
	"slices"
	"strings"

	"google.golang.org/protobuf/proto"

	gatewayv1 "samsara.internal/gateway/gen/samsara/gateway/v1"
)

// merge brings the tree up to the document. What the tree has keeps its name, number and type;
// what the document adds is added; what it lacks stays, deprecated.
func merge(t *tree, operations []operation) {
	m := merger{tree: t, shared: sharedSchemas(operations), sources: map[*message][]source{}}
	type binding struct {
		*method
		operation
	}
	var bindings []binding
	for _, p := range t.sorted() {
		for _, method := range p.methods {
			method.deprecated = true
		}
	}
	for _, o := range operations {
		for _, method := range m.methods(o) {
			bindings = append(bindings, binding{method, o})
		}
	}
	for _, b := range bindings {
		m.reach(b.method.response, b.operation.response, false)
	}
	for _, b := range bindings {
		m.reach(b.method.request, b.operation.request, true)
	}
	m.nameMessages()
	for _, message := range m.reached {
		update(message, m.sources[message])
	}
	deprecateUnused(t)
}

// merger holds what is found out on the way.
type merger struct {
	tree    *tree
	shared  map[string]bool
	sources map[*message][]source // what the document says of each message
	reached []*message            // the keys of sources, in the order they were reached
	unnamed []unnamed
}

// unnamed is a new message, with what counts for its name: whether it was first reached from a
// request, and as an element of a list or map.
type unnamed struct {
	*message
	input, element bool
}

// methods returns the methods that stand for the operation, with the annotation brought up to
// date: the one where it belongs, new if need be, and deprecated ones where it used to be.
func (m *merger) methods(o operation) []*method {
	var all []*method
	here := false
	for _, p := range m.tree.sorted() {
		for _, method := range p.methods {
			if compareOperations(method.operation, o.annotation) == 0 {
				method.operation = o.placed(p.place)
				method.deprecated = o.deprecated || p.place != o.place
				here = here || p.place == o.place
				all = append(all, method)
			}
		}
	}
	if here {
		return all
	}
	return append(all, m.tree.at(o.place).newMethod(o))
}

// newMethod adds a method with an empty request and response.
func (p *pkg) newMethod(o operation) *method {
	taken := p.names()
	name := unique(o.name, "V", func(name string) bool {
		return taken[name+"Request"] || taken[name+"Response"] ||
			slices.ContainsFunc(p.methods, func(m *method) bool { return m.name == name })
	})
	added := &method{name: name, operation: o.placed(p.place), deprecated: o.deprecated, request: p.add(""), response: p.add("")}
	added.request.name, added.response.name = name+"Request", name+"Response"
	p.methods = append(p.methods, added)
	return added
}

// reach records that the document says src of the message, and so on for the messages below it.
func (m *merger) reach(to *message, src source, input bool) {
	if slices.ContainsFunc(m.sources[to], func(s source) bool { return s.key == src.key }) {
		return
	}
	if m.sources[to] == nil {
		m.reached = append(m.reached, to)
	}
	src.fields = slices.Clone(src.fields)
	m.sources[to] = append(m.sources[to], src)
	for i, p := range src.fields {
		if p.shape.kind.proto() != kindMessage {
			continue
		}
		if f := to.match(p, src); f != nil {
			p.message = f.message
		} else {
			p.message = m.messageFor(to.pkg, p.shape, input)
		}
		src.fields[i] = p
		m.reach(p.message, p.shape.source(), input)
	}
}

// messageFor returns the message that stands for a schema in a package: the package's own if
// it has one, the shared one if there is one or should be, else a new one of its own.
func (m *merger) messageFor(p *pkg, s shape, input bool) *message {
	key := s.of.key
	if own := p.schema(key); own != nil {
		return own
	}
	types := m.tree.packages[typesPlace()]
	if types != nil {
		if common := types.schema(key); common != nil {
			return common
		}
	}
	if m.shared[key] {
		p = m.tree.at(typesPlace())
	}
	added := p.add(key)
	m.unnamed = append(m.unnamed, unnamed{added, input, s.label != single})
	return added
}

// nameMessages names the new messages. Where the forms of a request and of a response compete
// for a name, the response's gets it.
func (m *merger) nameMessages() {
	for _, p := range m.tree.sorted() {
		for _, input := range []bool{false, true} {
			var group []unnamed
			for _, added := range m.unnamed {
				if added.pkg == p && added.input == input {
					group = append(group, added)
				}
			}
			p.nameMessages(group)
		}
	}
}

// nameMessages gives each message the best name it can have. A name that several want goes to
// the schema with the shortest name of its own, to none of them where that does not decide;
// what is left is numbered.
func (p *pkg) nameMessages(group []unnamed) {
	slices.SortFunc(group, func(a, b unnamed) int { return strings.Compare(a.schema, b.schema) })
	taken := p.names()
	candidates := make([][]string, len(group))
	rounds := 0
	for i, m := range group {
		candidates[i] = m.candidates()
		rounds = max(rounds, len(candidates[i]))
	}
	for round := range rounds {
		wanted := map[string][]unnamed{}
		for i, m := range group {
			if m.name == "" && round < len(candidates[i]) {
				name := candidates[i][round]
				wanted[name] = append(wanted[name], m)
			}
		}
		for name, by := range wanted {
			slices.SortStableFunc(by, func(a, b unnamed) int { return len(words(a.schema)) - len(words(b.schema)) })
			if !taken[name] && (len(by) == 1 || len(words(by[0].schema)) < len(words(by[1].schema))) {
				by[0].name = name
				taken[name] = true
			}
		}
	}
	for i, m := range group {
		if m.name == "" {
			m.name = unique(candidates[i][0], "", func(name string) bool { return taken[name] })
			taken[m.name] = true
		}
	}
}

// candidates lists names, the best first. What a request sends gives way to what a response
// holds by an Input after its name.
func (u unnamed) candidates() []string {
	names := messageNames(u.schema, u.element)
	if !u.input {
		return names
	}
	var all []string
	for _, name := range names {
		all = append(all, name)
		if !strings.Contains(name, "Input") {
			all = append(all, name+"Input")
		}
	}
	return all
}

// match returns the field that can hold the property. A field at another place of the request
// will do if the document has nothing else for it.
func (m *message) match(p property, src source) *field {
	var moved *field
	for _, f := range m.fields {
		if f.wire() != p.wire || !f.fits(p) {
			continue
		}
		if f.options.GetIn() == p.options.GetIn() {
			return f
		}
		if !src.has(f.wire(), f.options.GetIn()) {
			moved = f
		}
	}
	return moved
}

func (s source) has(wire string, in gatewayv1.Location) bool {
	return slices.ContainsFunc(s.fields, func(p property) bool { return p.wire == wire && p.options.GetIn() == in })
}

// update brings the message's fields up to what the document says of it. Where several schemas
// share the message and disagree, the one the message was made for counts first.
func update(m *message, sources []source) {
	if own := slices.IndexFunc(sources, func(s source) bool { return s.key == m.schema }); own > 0 {
		sources[0], sources[own] = sources[own], sources[0]
	}
	current := map[*field]bool{}
	for _, src := range sources {
		for _, p := range src.fields {
			if f := m.match(p, src); f != nil && !current[f] {
				f.set(p)
				current[f] = true
			}
		}
	}
	for _, src := range sources {
		for _, p := range src.fields {
			if m.current(p, current) == nil {
				f := m.newField(p)
				f.set(p)
				current[f] = true
			}
		}
	}
	for _, f := range m.fields {
		if !current[f] {
			f.deprecated = true
			f.options.Retired = f.options.GetRoot() || slices.ContainsFunc(m.fields, func(other *field) bool {
				return current[other] && other.wire() == f.wire() && other.options.GetIn() == f.options.GetIn()
			})
		}
	}
}

// current returns the field that holds the property's wire name by now.
func (m *message) current(p property, current map[*field]bool) *field {
	for _, f := range m.fields {
		if current[f] && f.wire() == p.wire && f.options.GetIn() == p.options.GetIn() {
			return f
		}
	}
	return nil
}

// newField adds a field for the property. A name that is taken gets the place of the property
// before it, or, where the wire name changes its type, a version after it.
func (m *message) newField(p property) *field {
	base := identifier(snake(p.wire), "field_")
	name := base
	sameWire := slices.ContainsFunc(m.fields, func(f *field) bool {
		return f.wire() == p.wire && f.options.GetIn() == p.options.GetIn()
	})
	if prefix := locationPrefix(p.options.GetIn()); m.hasName(name) && !sameWire {
		name = prefix + base
	}
	name = unique(name, "_v", m.hasName)
	f := &field{name: name, jsonName: p.wire, number: m.next(), kind: p.shape.kind.proto(), label: p.shape.label, message: p.message}
	if name != base || m.hasJSONName(p.wire) {
		f.jsonName = derivedJSONName(name)
	}
	m.fields = append(m.fields, f)
	return f
}

func (m *message) hasName(name string) bool {
	return slices.Contains(m.reserved.names, name) ||
		slices.ContainsFunc(m.fields, func(f *field) bool { return f.name == name || derivedJSONName(f.name) == derivedJSONName(name) })
}

func (m *message) hasJSONName(name string) bool {
	return slices.ContainsFunc(m.fields, func(f *field) bool { return f.jsonName == name })
}

func locationPrefix(in gatewayv1.Location) string {
	switch in {
	case gatewayv1.Location_LOCATION_PATH:
		return "path_"
	case gatewayv1.Location_LOCATION_QUERY:
		return "query_"
	case gatewayv1.Location_LOCATION_BODY:
		return "body_"
	case gatewayv1.Location_LOCATION_UPDATE_MASK, gatewayv1.Location_LOCATION_UNSPECIFIED:
	}
	return ""
}

// set makes the field say what the document says of the property.
func (f *field) set(p property) {
	f.options, f.notes, f.deprecated = proto.CloneOf(p.options), p.notes, p.deprecated
	if f.jsonName != p.wire {
		f.options.Name = p.wire
	}
}

// deprecateUnused marks the messages that no method in good standing leads to.
func deprecateUnused(t *tree) {
	used := map[*message]bool{}
	for _, p := range t.packages {
		for _, method := range p.methods {
			if !method.deprecated {
				method.request.use(used)
				method.response.use(used)
			}
		}
	}
	for _, p := range t.packages {
		for _, m := range p.messages {
			m.deprecated = !used[m]
		}
	}
}

func (m *message) use(used map[*message]bool) {
	if used[m] {
		return
	}
	used[m] = true
	for _, f := range m.fields {
		if f.message != nil && !f.deprecated {
			f.message.use(used)
		}
	}
}

// sharedSchemas returns the schemas that operations of more than one package lead to.
func sharedSchemas(operations []operation) map[string]bool {
	places := map[string]map[place]bool{}
	var visit func(src source, from place)
	visit = func(src source, from place) {
		for _, p := range src.fields {
			key := p.shape.of.key
			if p.shape.kind.proto() != kindMessage || places[key][from] {
				continue
			}
			if places[key] == nil {
				places[key] = map[place]bool{}
			}
			places[key][from] = true
			visit(p.shape.source(), from)
		}
	}
	for _, o := range operations {
		visit(o.request, o.place)
		visit(o.response, o.place)
	}
	shared := map[string]bool{}
	for key, from := range places {
		shared[key] = len(from) > 1
	}
	return shared
}
