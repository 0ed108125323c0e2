package surface

import (
	"cmp"
	"regexp"
	"slices"
	"strings"

	"samsara.internal/gateway/cmd/protogen/internal/model"
	"samsara.internal/gateway/cmd/protogen/internal/words"
	apiv1 "samsara.internal/gateway/gen/api/v1"
)

// twin is a server-streaming method that reads the pages of a unary one of the same service.
type twin struct {
	name              string
	stream            *apiv1.Stream
	request, response *message
	deprecated        bool
	// unserved is whether the pages can no longer be read one after the other, because the document gave
	// another type to the cursor, the records, or the member that says whether there are more. Such a twin
	// stays without annotation, so the gateway does not serve it.
	unserved bool
}

// twin returns the method's twin of a shape, nil if there is none.
func (m *method) twin(shape apiv1.StreamShape) *twin {
	for _, t := range m.twins {
		if t.stream.GetShape() == shape {
			return t
		}
	}
	return nil
}

// claim is a twin that a method needs. It can have any of the names; the first is the best.
type claim struct {
	method *method
	shape  apiv1.StreamShape
	names  []string
}

// addTwins adds the twins that operations lack. The claim with the fewest names is settled first:
// StreamTrips is the twin of ListTrips, if there is one, and not of ListAllTrips.
func addTwins(bindings []binding) {
	var claims []claim
	for _, b := range bindings {
		for _, shape := range b.operation.Shapes() {
			if b.method.twin(shape) == nil {
				claims = append(claims, claim{b.method, shape, twinNames(shape, b.method.name)})
			}
		}
	}
	slices.SortStableFunc(claims, func(a, b claim) int { return cmp.Compare(len(a.names), len(b.names)) })
	for _, c := range claims {
		c.settle()
	}
}

// twinNames returns names for a twin, the best first: without the verb of the unary method, and for a
// follow without the Feed at its end; without the verb; with the whole name.
func twinNames(shape apiv1.StreamShape, unary string) []string {
	subject := regexp.MustCompile(`^(?:Get|List)([A-Z].*)$`).ReplaceAllString(unary, "$1")
	verb, plain := "Stream", subject
	if shape == apiv1.StreamShape_STREAM_SHAPE_FOLLOW {
		verb, plain = "Follow", strings.TrimSuffix(subject, "Feed")
	}
	return slices.Compact([]string{verb + plain, verb + subject, verb + unary})
}

// settle adds the twin under the first name that is free, and with a number if none is.
func (c claim) settle() {
	taken := c.method.request.pkg.takes
	for _, name := range c.names {
		if !taken(name) {
			c.method.addTwin(name, c.shape)
			return
		}
	}
	c.method.addTwin(words.Unique(c.names[len(c.names)-1], "V", taken), c.shape)
}

// takes reports whether a method has the name, or a message has the name of its request or response.
func (p *pkg) takes(name string) bool {
	names := p.names()
	return names[name+"Request"] || names[name+"Response"] || slices.ContainsFunc(p.methods, func(m *method) bool {
		return m.name == name || slices.ContainsFunc(m.twins, func(t *twin) bool { return t.name == name })
	})
}

func (m *method) addTwin(name string, shape apiv1.StreamShape) {
	p := m.request.pkg
	t := &twin{
		name:       name,
		stream:     &apiv1.Stream{Method: m.name, Shape: shape},
		request:    p.addNamed(name + "Request"),
		response:   p.addNamed(name + "Response"),
		deprecated: m.deprecated,
	}
	m.attach(t)
}

// dropTwin removes the twin of a shape, if there is one. It is for a twin that never was of use.
func (m *method) dropTwin(shape apiv1.StreamShape) {
	dropped := m.twin(shape)
	if dropped == nil {
		return
	}
	m.twins = slices.DeleteFunc(m.twins, func(t *twin) bool { return t == dropped })
	p := m.request.pkg
	p.messages = slices.DeleteFunc(p.messages, func(m *message) bool { return m == dropped.request || m == dropped.response })
}

// attach makes t a twin of the method and sets the fields of its messages. All twins of a shape have the
// same fields.
func (m *method) attach(t *twin) {
	own := func(number int32, name string, k model.Kind, text string) *field {
		return &field{name: name, jsonName: words.JSONName(name), number: number, kind: k, options: &apiv1.Field{}, text: text}
	}
	request := own(1, "request", model.KindMessage, "What "+m.name+" is asked, page after page.")
	request.message = m.request
	page := own(1, "page", model.KindMessage, "What "+m.name+" answers.")
	page.message = m.response
	cursor := own(2, "cursor", model.KindString, "Where to go on from after this message.")
	if t.stream.GetShape() == apiv1.StreamShape_STREAM_SHAPE_FOLLOW {
		page.text += " Unset in a keep-alive."
		t.request.fields = []*field{request, own(2, "options", model.KindFollowOptions, "How to follow.")}
		t.response.fields = []*field{page, cursor, own(3, "keep_alive", model.KindKeepAlive, "How it is going while there is no page.")}
	} else {
		t.request.fields = []*field{request, own(2, "options", model.KindStreamOptions, "Where to begin, and how much to read.")}
		t.response.fields = []*field{page, cursor}
	}
	m.twins = append(m.twins, t)
	slices.SortFunc(m.twins, func(a, b *twin) int { return cmp.Compare(a.stream.GetShape(), b.stream.GetShape()) })
}

// finish sets what the annotations say for streams: where a page's records are, and whether a request must
// set an end.
func (b binding) finish() {
	for _, t := range b.method.twins {
		paged := t.stream.GetShape() == apiv1.StreamShape_STREAM_SHAPE_PAGES
		t.stream.EndRequired = paged && b.operation.Feed.Contradictory()
	}
	if len(b.operation.Shapes()) > 0 {
		b.method.operation.Items = b.method.response.path(b.operation.Records)
	}
}

// checkTwins marks the twins that can no longer be served.
func (m *method) checkTwins() {
	streamable := m.streamable()
	for _, t := range m.twins {
		t.unserved = !streamable
		t.deprecated = t.deprecated || t.unserved
	}
}

// streamable reports whether the messages have what the gateway needs to read pages: a cursor that is
// text, a list of records and, except if pages have numbers, the members that say whether there is a next
// page and where it begins.
func (m *method) streamable() bool {
	paging := m.operation.GetPagination()
	cursor := m.request.current(model.CursorParameter(paging))
	if cursor == nil || !cursor.is(model.KindString) || !m.response.hasRecords(m.operation.GetItems()) {
		return false
	}
	if paging == apiv1.Pagination_PAGINATION_PAGE_NUMBER {
		return true
	}
	pagination := m.response.current("pagination")
	if pagination == nil || !pagination.is(model.KindMessage) {
		return false
	}
	end, more := pagination.message.current("endCursor"), pagination.message.current("hasNextPage")
	return end != nil && more != nil && end.is(model.KindString) && more.is(model.KindBoolean)
}

// current returns the field for a wire name outside of the body, nil if there is none or if it is retired.
func (m *message) current(wire string) *field {
	for _, f := range m.fields {
		if f.wire() == wire && f.options.GetIn() != apiv1.Location_LOCATION_BODY && !f.options.GetRetired() {
			return f
		}
	}
	return nil
}

// path returns the path of fields for a path of wire names; empty if there is none.
func (m *message) path(wires []string) string {
	var names []string
	for _, wire := range wires {
		if m == nil {
			return ""
		}
		f := m.current(wire)
		if f == nil {
			return ""
		}
		names, m = append(names, f.name), f.message
	}
	return strings.Join(names, ".")
}

// is reports whether the field holds a single value of the kind.
func (f *field) is(k model.Kind) bool { return f.label == model.Single && f.kind == k }

// hasRecords reports whether the path leads to a list that can hold a page's records.
func (m *message) hasRecords(path string) bool {
	for {
		name, rest, below := strings.Cut(path, ".")
		i := slices.IndexFunc(m.fields, func(f *field) bool { return f.name == name })
		switch {
		case i < 0:
			return false
		case !below:
			return m.fields[i].label == model.List && model.IsRecord(m.fields[i].kind)
		case !m.fields[i].is(model.KindMessage):
			return false
		}
		m, path = m.fields[i].message, rest
	}
}
