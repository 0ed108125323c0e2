package surface

import (
	"slices"

	"google.golang.org/protobuf/proto"

	"samsara.internal/gateway/cmd/protogen/internal/model"
	"samsara.internal/gateway/cmd/protogen/internal/words"
	apiv1 "samsara.internal/gateway/gen/api/v1"
)

// slot is what a field is for: a wire name at a place of the request, or in no place. One field
// of a message fills a slot at a time; the others were there before its type changed.
type slot struct {
	wire string
	in   apiv1.Location
}

func (p property) slot() slot { return slot{p.Wire, p.Options.GetIn()} }

func (f *field) slot() slot { return slot{f.wire(), f.options.GetIn()} }

// same says whether two fields are one to a client.
func (f *field) same(other *field) bool {
	return f.name == other.name && f.jsonName == other.jsonName && f.number == other.number &&
		f.kind == other.kind && f.label == other.label && f.message == other.message
}

// match returns the field that can hold the property, one that is not retired if there is one. A
// field at another place of the request will do if the document has nothing else for it.
func (m *message) match(p property, src source) *field {
	var retired, moved *field
	for _, f := range m.fields {
		switch {
		case f.wire() != p.Wire || !f.fits(p):
		case f.slot() == p.slot() && !f.options.GetRetired():
			return f
		case f.slot() == p.slot():
			retired = f
		case !src.has(f.slot()):
			moved = f
		}
	}
	if retired != nil {
		return retired
	}
	return moved
}

func (s source) has(taken slot) bool {
	return slices.ContainsFunc(s.fields, func(p property) bool { return p.slot() == taken })
}

// update brings the message's fields up to what the document says of it. Where several schemas
// share the message and disagree, those that the message stands for count first.
func (m *message) update(sources []source) {
	slices.SortStableFunc(sources, func(a, b source) int { return m.rank(a) - m.rank(b) })
	current := map[slot]*field{}
	for _, src := range sources {
		for _, p := range src.fields {
			if f := m.match(p, src); f != nil && current[p.slot()] == nil {
				current[p.slot()] = f
			}
		}
	}
	m.statements = map[*field][]statement{}
	for _, src := range sources {
		for _, p := range src.fields {
			if current[p.slot()] == nil {
				current[p.slot()] = m.newField(p)
			}
			if f := current[p.slot()]; f.fits(p) {
				m.statements[f] = append(m.statements[f], statement{source: src, Property: p.Property})
			}
		}
	}
	for _, f := range m.fields {
		if statements := m.statements[f]; statements != nil {
			common := model.CommonProperty(properties(statements))
			common.Options.Required = common.Options.GetRequired() && len(statements) == len(sources)
			common.Options.Answered = !common.Options.GetRequired() && answered(statements, sources)
			f.set(common)
			continue
		}
		f.deprecated, f.gone, f.options.Required, f.options.Answered = true, true, false, false
		// What was retired stays so: the field that took its place is there, in the document or not.
		f.options.Retired = f.options.GetRetired() || f.options.GetRoot() || current[f.slot()] != nil
	}
}

// rank puts the schemas that the message stands for before those that only came by a reference.
func (m *message) rank(s source) int {
	if len(m.schemas) == 0 || slices.Contains(m.schemas, s.key) {
		return 0
	}
	return 1
}

// newField adds a field for the property. A name that is taken, or that every update mask has,
// gets the place of the property before it, or, if the wire name changes its type, a version
// after it.
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

// set makes the field say what the document says of the property.
func (f *field) set(p model.Property) {
	f.options, f.notes, f.deprecated = proto.CloneOf(p.Options), p.Notes, p.Deprecated
	switch f.label {
	case p.Shape.Label:
	case model.List: // It was one when the document said that the text holds several.
		f.options.ArrayStyle = apiv1.ArrayStyle_ARRAY_STYLE_COMMA
		f.options.Minimum, f.options.Maximum = nil, nil
	default: // It was a text before the document said so.
		f.options.ArrayStyle, f.options.Ordered = apiv1.ArrayStyle_ARRAY_STYLE_UNSPECIFIED, false
	}
	if f.jsonName != p.Wire {
		f.options.Name = p.Wire
	}
}
