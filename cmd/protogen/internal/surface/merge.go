package surface

import (
	"slices"

	"google.golang.org/protobuf/proto"

	"samsara.internal/gateway/cmd/protogen/internal/model"
	apiv1 "samsara.internal/gateway/gen/api/v1"
)

// merge brings the tree up to the document. What the tree has keeps its name, number and type;
// what the document adds is added; what it lacks stays, deprecated. It returns what is wrong with
// operations that are new, which it does not add.
//
// What the tree has never stops it. A field that the document no longer has stays, deprecated. One
// that has another type stays, retired, beside a new one with the next version in its name. A method
// whose pages can no longer be streamed stays, and so do its twins, deprecated. A method is that of
// its operationId, whatever becomes of the operation's path, tag and stage.
func merge(t *tree, operations []model.Operation) []error {
	operations = slices.Clone(operations)
	for i, o := range operations {
		if known := t.method(o.Annotation.GetId()); known != nil {
			operations[i].Place = known.place()
		}
	}
	m := merger{tree: t, forms: newForms(t, operations), sources: map[*message][]source{}}
	var bindings []binding
	for _, p := range t.sorted() {
		for _, method := range p.methods {
			method.deprecate()
		}
	}
	var problems []error
	var added []*method
	for _, o := range operations {
		known := t.method(o.Annotation.GetId())
		if known == nil && o.Unstreamable != nil {
			problems = append(problems, o.Unstreamable)
			continue
		}
		if known == nil {
			known = t.at(o.Place).newMethod()
			added = append(added, known)
		}
		known.bind(o)
		bindings = append(bindings, binding{known, o})
	}
	nameMethods(added)
	addTwins(bindings)
	for _, b := range bindings {
		m.reach(b.method.response, newSource(b.operation.Response), false)
	}
	for _, b := range bindings {
		m.reach(b.method.request, newSource(b.operation.Request), true)
	}
	m.nameMessages()
	for _, message := range m.reached {
		message.update(m.sources[message])
	}
	vary(m.reached)
	for _, b := range bindings {
		b.finish()
	}
	for _, p := range t.packages {
		for _, method := range p.methods {
			method.checkTwins()
		}
	}
	deprecateUnused(t)
	describe(t)
	return problems
}

// binding is a method with what the document says of its operation.
type binding struct {
	method    *method
	operation model.Operation
}

// merger holds what is found out on the way.
type merger struct {
	tree    *tree
	forms   *forms
	sources map[*message][]source // what the document says of each message
	reached []*message            // the keys of sources, in the order they were reached
	unnamed []unnamed
}

// newMethod adds a method without a name, with an empty request and response.
func (p *pkg) newMethod() *method {
	added := &method{request: p.add(), response: p.add()}
	p.methods = append(p.methods, added)
	return added
}

// bind makes the method say what the document says of its operation. If there are twins, an
// operation that no longer pages keeps saying how it did, so that they still work: without a
// next page they end, or wait.
func (m *method) bind(o model.Operation) {
	before := m.operation
	m.operation, m.feed, m.mayBeTooLarge = proto.CloneOf(o.Annotation), o.Feed, o.MayBeTooLarge
	m.deprecated, m.gone = o.Deprecated, false
	shapes := o.Shapes()
	switch {
	case len(shapes) > 0:
	case len(m.twins) == 0:
		m.operation.Pagination, m.operation.Feed = apiv1.Pagination_PAGINATION_UNSPECIFIED, false
	default:
		m.operation.Pagination, m.operation.Feed, m.operation.Items = before.GetPagination(), before.GetFeed(), before.GetItems()
	}
	if o.NoFeed {
		m.dropTwin(apiv1.StreamShape_STREAM_SHAPE_FOLLOW)
	}
	for _, t := range m.twins {
		t.deprecated = m.deprecated || !slices.Contains(shapes, t.stream.GetShape())
	}
}

// deprecate says that the document has nothing to say of the method and its twins.
func (m *method) deprecate() {
	m.deprecated, m.gone = true, true
	for _, t := range m.twins {
		t.deprecated = true
	}
}

// reach records that the document says src of the message, and so on for the messages below it.
func (m *merger) reach(to *message, src source, input bool) {
	if slices.ContainsFunc(m.sources[to], func(s source) bool { return s.key == src.key }) {
		return
	}
	if m.sources[to] == nil {
		m.reached = append(m.reached, to)
	}
	src.fields, src.answers = slices.Clone(src.fields), !input
	m.sources[to] = append(m.sources[to], src)
	for i, p := range src.fields {
		if p.Shape.Kind.Proto() != model.KindMessage {
			continue
		}
		if f := to.match(p, src); f != nil {
			p.message = f.message
		} else if p.message = m.promised(to, p); p.message == nil {
			p.message = m.messageFor(to.pkg, p.Shape, input)
		}
		src.fields[i] = p
		below := m.forms.sources[p.Shape.Key()]
		if p.message.pkg.schema(below.key) == nil && m.forms.alike(p.message, below.key) {
			p.message.join(below.key)
		}
		m.reach(p.message, below, input)
	}
}

// promised returns the message that an earlier source gave to the same property.
func (m *merger) promised(to *message, p property) *message {
	for _, src := range m.sources[to] {
		for _, other := range src.fields {
			if other.slot() == p.slot() && other.message != nil && other.Shape.Label == p.Shape.Label {
				return other.message
			}
		}
	}
	return nil
}

// messageFor returns the message that stands for a schema in a package: one of the package's
// own if there is one, a shared one if there is one or should be, else a new one of its own. A
// message that was made for another schema, but is the same thing, will do.
func (m *merger) messageFor(p *pkg, s model.Shape, input bool) *message {
	key := s.Key()
	homes := []*pkg{p}
	if types := m.tree.packages[model.TypesPlace()]; types != nil {
		homes = append(homes, types)
	}
	for _, home := range homes {
		if known := home.schema(key); known != nil {
			return known
		}
	}
	for _, home := range homes {
		for _, known := range home.messages {
			if m.forms.alike(known, key) || m.forms.messages[known] == m.forms.schemas[key] {
				known.join(key)
				return known
			}
		}
	}
	if m.forms.shared[m.forms.schemas[key]] {
		p = m.tree.at(model.TypesPlace())
	}
	added := p.add(key)
	m.unnamed = append(m.unnamed, unnamed{message: added, input: input, element: s.Label != model.Single})
	return added
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
			for _, twin := range method.twins {
				if !twin.deprecated {
					twin.request.use(used)
					twin.response.use(used)
				}
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
