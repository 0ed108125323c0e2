package sandbox

import (
	"cmp"
	"maps"
	"slices"
	"strings"
)

// fact is a member that several answers have for the records of one kind, with different declared values:
// an answer may declare fewer, spell them in another way, or allow any text. All answers give one value for
// a record, or none.
type fact struct {
	choices []choice
}

// choice is one value that a fact may have.
type choice struct {
	term   term   // without the name of the member as a prefix: back for Position_Back
	weight uint64 // its hash
	text   string // in members that declare no values
}

// pick returns the value of a fact for a subject, as a member spells it; empty if the member does not
// declare it.
func (f *fact) pick(m *member, sub subject) string {
	best := slices.MaxFunc(f.choices, func(a, b choice) int {
		return cmp.Compare(mixNumber(sub.hash, a.weight), mixNumber(sub.hash, b.weight))
	})
	if m.term.is("position") { // no two elements of a list have the same
		best = f.choices[sub.element%len(f.choices)]
	}
	if len(m.values) == 0 {
		return best.text
	}
	for _, v := range m.values {
		if m.plain(v) == best.term {
			return v
		}
	}
	return ""
}

// has reports whether a fact may have a value.
func (f *fact) has(value string) bool {
	return slices.ContainsFunc(f.choices, func(c choice) bool { return c.text == value })
}

// plain returns a value of an enumeration without the name of the member as a prefix.
func (m *member) plain(value string) term {
	t := termOf(value)
	if rest, ok := strings.CutPrefix(string(t), string(m.term)); ok && rest != "" {
		return term(rest)
	}
	return t
}

// facts are the members of records and of the objects below, by kind of record and path.
type facts struct {
	answered map[string][]*member
	written  map[string][]*member // by clients
	kinds    kinds
}

// agree finds the members that tell one fact.
func agree(ops []*operation, k kinds) {
	all := facts{map[string][]*member{}, map[string][]*member{}, k}
	for _, op := range ops {
		noun := deviceOf(op.target.collection.noun)
		if op.envelope.record != nil {
			all.note(all.answered, noun, "", op.envelope.record, maxRequiredDepth)
		}
		if op.body != nil && op.holds == nil && op.effect != reads {
			all.note(all.written, noun, "", op.body, maxRequiredDepth)
		}
	}
	for _, key := range slices.Sorted(maps.Keys(all.answered)) {
		if f := factOf(all.answered[key], all.written[key]); f != nil {
			for _, m := range all.answered[key] {
				m.fact = cmp.Or(m.fact, f)
			}
		}
	}
}

// note notes the members of a schema that are single texts, and those of the objects below.
func (f facts) note(in map[string][]*member, noun, path string, s *schema, depth int) {
	for _, m := range s.members {
		at := path + "." + m.name
		switch {
		case m.kind == text && m.shape == single && !m.refers && !m.isTime:
			if key := noun + at; !slices.Contains(in[key], m) {
				in[key] = append(in[key], m)
			}
		case depth <= 0 || !m.isRecord():
		case m.isDevice() || m.isReference() && len(f.kinds[m.noun]) > 0:
			f.note(in, deviceOf(m.noun), "", m.schema, depth-1)
		case f.kinds.assigning(noun, m) != nil:
			f.note(in, f.kinds.assigning(noun, m).noun, "", m.schema, depth-1)
		default:
			f.note(in, noun, at, m.schema, depth-1)
		}
	}
}

// factOf returns the fact that members tell, nil if they declare the same values or if one must have a value
// that another cannot have. If no answer declares values, those that clients may write count.
func factOf(answered, written []*member) *fact {
	declaring := slices.DeleteFunc(slices.Clone(answered), func(m *member) bool { return len(m.values) == 0 })
	alike, must := len(declaring) == len(answered), false
	if len(declaring) == 0 {
		declaring = slices.DeleteFunc(slices.Clone(written), func(m *member) bool { return len(m.values) == 0 })
	}
	if len(declaring) == 0 {
		return nil
	}
	var order []term
	texts, counts := map[term]string{}, map[term]int{}
	for _, m := range declaring {
		alike, must = alike && slices.Equal(m.values, declaring[0].values), must || m.answered
		for _, v := range m.values {
			t := m.plain(v)
			if counts[t]++; counts[t] == 1 {
				order, texts[t] = append(order, t), v
			}
		}
	}
	if alike {
		return nil
	}
	if must {
		order = slices.DeleteFunc(order, func(t term) bool { return counts[t] < len(declaring) })
	}
	if len(order) == 0 {
		return nil
	}
	slices.Sort(order)
	f := &fact{}
	for _, t := range order {
		f.choices = append(f.choices, choice{t, mix(0, string(t)), texts[t]})
	}
	return f
}

// isDevice reports whether a member holds the device that is installed in an asset, with its serial and
// model.
func (m *member) isDevice() bool {
	return m.isRecord() && m.term.ends("gateway") && m.schema.named["serial"] != nil && m.schema.named["model"] != nil
}

// deviceOf returns gateway for the nouns of devices, and other nouns as they are: the device of an asset is
// its gateway.
func deviceOf(noun string) string {
	if noun == "device" || strings.HasSuffix(noun, "Gateway") {
		return "gateway"
	}
	return noun
}
