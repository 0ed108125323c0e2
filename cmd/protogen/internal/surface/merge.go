package surface

import (
	"slices"

	"google.golang.org/protobuf/proto"

	"samsara.internal/gateway/cmd/protogen/internal/model"
	apiv1 "samsara.internal/gateway/gen/api/v1"
)

// merge updates the tree from the document. What the tree has keeps its name, number and type; what the
// document adds is added; what it lacks stays, deprecated. It returns what is wrong with new operations,
// which it does not add.
//
// What the tree has never makes it fail. A field that the document no longer has stays, deprecated. A
// field that has another type stays, retired, beside a new one with the next version in its name. A method
// whose pages can no longer be streamed stays, and so do its twins, deprecated. A method belongs to its
// operationId, whatever becomes of the operation's path, tag and stage.
func merge(t *tree, operations []model.Operation) []error {
	operations = slices.Clone(operations)
	for i, o := range operations {
		if known := t.method(o.Annotation.GetId()); known != nil {
			operations[i].Package = known.pkg().Package
		}
	}
	m := merger{tree: t, forms: newForms(t, operations), definitions: map[*message][]definition{}}
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
			known = t.at(o.Package).newMethod()
			added = append(added, known)
		}
		known.bind(o)
		bindings = append(bindings, binding{known, o})
	}
	nameMethods(added)
	addTwins(bindings)
	for _, b := range bindings {
		m.reach(b.method.response, newDefinition(b.operation.Response), false)
	}
	for _, b := range bindings {
		m.reach(b.method.request, newDefinition(b.operation.Request), true)
	}
	m.nameMessages()
	for _, message := range m.reached {
		message.update(m.definitions[message])
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

// merger holds the state of a merge.
type merger struct {
	tree        *tree
	forms       *forms
	definitions map[*message][]definition // what the document says of each message
	reached     []*message                // the keys of definitions, in the order in which they were reached
	unnamed     []unnamed
}

// newMethod adds a method without a name, with an empty request and response.
func (p *pkg) newMethod() *method {
	added := &method{request: p.add(), response: p.add()}
	p.methods = append(p.methods, added)
	return added
}

// bind sets what the document says of the operation in the method. If the operation no longer pages but
// has twins, it keeps its pagination, so that the twins still work: without a next page they end, or wait.
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

// deprecate marks the method and its twins as missing from the document.
func (m *method) deprecate() {
	m.deprecated, m.gone = true, true
	for _, t := range m.twins {
		t.deprecated = true
	}
}

// reach adds def to what the document says of the message, and does so for the messages below it.
func (m *merger) reach(to *message, def definition, input bool) {
	if slices.ContainsFunc(m.definitions[to], func(s definition) bool { return s.key == def.key }) {
		return
	}
	if m.definitions[to] == nil {
		m.reached = append(m.reached, to)
	}
	def.fields, def.answers = slices.Clone(def.fields), !input
	m.definitions[to] = append(m.definitions[to], def)
	for i, p := range def.fields {
		if p.Shape.Kind.Proto() != model.KindMessage {
			continue
		}
		if f := to.match(p, def); f != nil {
			p.message = f.message
		} else if p.message = m.promised(to, p); p.message == nil {
			p.message = m.messageFor(to.pkg, p.Shape, input)
		}
		def.fields[i] = p
		below := m.forms.definitions[p.Shape.Key()]
		if p.message.pkg.schema(below.key) == nil && m.forms.alike(p.message, below.key) {
			p.message.join(below.key)
		}
		m.reach(p.message, below, input)
	}
}

// promised returns the message that an earlier definition gave to the same property.
func (m *merger) promised(to *message, p property) *message {
	for _, def := range m.definitions[to] {
		for _, other := range def.fields {
			if other.slot() == p.slot() && other.message != nil && other.Shape.Label == p.Shape.Label {
				return other.message
			}
		}
	}
	return nil
}

// messageFor returns the message that stands for a schema in a package: one of the package's own if there
// is one, a shared one if there is one or should be, and otherwise a new one of the package. A message
// that was made for another schema is returned if that schema is the same thing.
func (m *merger) messageFor(p *pkg, s model.Shape, input bool) *message {
	key := s.Key()
	homes := []*pkg{p}
	if types := m.tree.packages[model.TypesPackage()]; types != nil {
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
		p = m.tree.at(model.TypesPackage())
	}
	added := p.add(key)
	m.unnamed = append(m.unnamed, unnamed{message: added, input: input, element: s.Label != model.Single})
	return added
}

// deprecateUnused deprecates the messages that only deprecated methods lead to.
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
