package surface

import (
	"slices"

	"google.golang.org/protobuf/proto"

	"samsara.internal/gateway/cmd/protogen/internal/model"
	"samsara.internal/gateway/cmd/protogen/internal/words"
	apiv1 "samsara.internal/gateway/gen/api/v1"
)

// slot is what a field is for: a wire name, and the location in the request if it is one of a request. One
// field of a message fills a slot at a time; the others filled it before its type changed.
type slot struct {
	wire string
	in   apiv1.Location
}

func (p property) slot() slot { return slot{p.Wire, p.Options.GetIn()} }

func (f *field) slot() slot { return slot{f.wire(), f.options.GetIn()} }

// same reports whether two fields are the same to a client.
func (f *field) same(other *field) bool {
	return f.name == other.name && f.jsonName == other.jsonName && f.number == other.number &&
		f.kind == other.kind && f.label == other.label && f.message == other.message
}

// match returns the field that can hold the property, preferably one that is not retired. A field with
// another location in the request is returned if the document has nothing else for it.
func (m *message) match(p property, def definition) *field {
	var retired, moved *field
	for _, f := range m.fields {
		switch {
		case f.wire() != p.Wire || !f.fits(p):
		case f.slot() == p.slot() && !f.options.GetRetired():
			return f
		case f.slot() == p.slot():
			retired = f
		case !def.has(f.slot()):
			moved = f
		}
	}
	if retired != nil {
		return retired
	}
	return moved
}

func (s definition) has(taken slot) bool {
	return slices.ContainsFunc(s.fields, func(p property) bool { return p.slot() == taken })
}

// update updates the message's fields from what the document says. If several schemas share the message
// and disagree, those that the message stands for count first.
func (m *message) update(definitions []definition) {
	slices.SortStableFunc(definitions, func(a, b definition) int { return m.rank(a) - m.rank(b) })
	current := map[slot]*field{}
	for _, def := range definitions {
		for _, p := range def.fields {
			if f := m.match(p, def); f != nil && current[p.slot()] == nil {
				current[p.slot()] = f
			}
		}
	}
	m.statements = map[*field][]statement{}
	for _, def := range definitions {
		for _, p := range def.fields {
			if current[p.slot()] == nil {
				current[p.slot()] = m.newField(p)
			}
			if f := current[p.slot()]; f.fits(p) {
				m.statements[f] = append(m.statements[f], statement{from: def, Property: p.Property})
			}
		}
	}
	for _, f := range m.fields {
		if statements := m.statements[f]; statements != nil {
			common := model.CommonProperty(properties(statements))
			common.Options.Required = common.Options.GetRequired() && len(statements) == len(definitions)
			common.Options.Answered = !common.Options.GetRequired() && answered(statements, definitions)
			f.set(common)
			continue
		}
		f.deprecated, f.gone, f.options.Required, f.options.Answered = true, true, false, false
		// A retired field stays retired: the field that replaced it exists, in the document or not.
		f.options.Retired = f.options.GetRetired() || f.options.GetRoot() || current[f.slot()] != nil
	}
}

// rank sorts the schemas that the message stands for before those that only a reference led to.
func (m *message) rank(s definition) int {
	if len(m.schemas) == 0 || slices.Contains(m.schemas, s.key) {
		return 0
	}
	return 1
}

// newField adds a field for the property. If the name is taken, or is that of every update mask, the
// property's location is put before it. If the wire name has changed its type, a version is put after it.
func (m *message) newField(p property) *field {
	base := words.Identifier(words.Snake(p.Wire), "field_")
	name := base
	sameSlot := slices.ContainsFunc(m.fields, func(f *field) bool { return f.slot() == p.slot() })
	forMask := name == "update_mask" && p.Shape.Kind != model.KindMask
	if (m.hasName(name) || forMask) && !sameSlot {
		name = locationPrefix(p.Options.GetIn()) + base
	}
	name = words.Unique(name, "_v", m.hasName)
	f := &field{
		name:     name,
		jsonName: p.Wire,
		number:   m.next(),
		kind:     p.Shape.Kind.Proto(),
		label:    p.Shape.Label,
		message:  p.message,
	}
	if name != base || m.hasJSONName(p.Wire) {
		f.jsonName = words.JSONName(name)
	}
	f.set(p.Property)
	m.fields = append(m.fields, f)
	return f
}

func (m *message) hasName(name string) bool {
	return slices.Contains(m.reserved.names, name) ||
		slices.ContainsFunc(m.fields, func(f *field) bool { return f.name == name || words.JSONName(f.name) == words.JSONName(name) })
}

func (m *message) hasJSONName(name string) bool {
	return slices.ContainsFunc(m.fields, func(f *field) bool { return f.jsonName == name })
}

func locationPrefix(in apiv1.Location) string {
	switch in {
	case apiv1.Location_LOCATION_PATH:
		return "path_"
	case apiv1.Location_LOCATION_QUERY:
		return "query_"
	case apiv1.Location_LOCATION_BODY:
		return "body_"
	case apiv1.Location_LOCATION_UPDATE_MASK, apiv1.Location_LOCATION_UNSPECIFIED:
	}
	return ""
}

// set sets what the document says of the property in the field.
func (f *field) set(p model.Property) {
	f.options, f.notes, f.deprecated = proto.CloneOf(p.Options), p.Notes, p.Deprecated
	switch f.label {
	case p.Shape.Label:
	case model.List: // The document used to say that the text holds a list.
		f.options.ArrayStyle = apiv1.ArrayStyle_ARRAY_STYLE_COMMA
		f.options.Minimum, f.options.Maximum = nil, nil
	default: // The document did not use to say that the text holds a list.
		f.options.ArrayStyle, f.options.Ordered = apiv1.ArrayStyle_ARRAY_STYLE_UNSPECIFIED, false
	}
	if f.jsonName != p.Wire {
		f.options.Name = p.Wire
	}
}
