package transcode

import (
	"encoding/binary"

	"google.golang.org/protobuf/reflect/protoreflect"
	"google.golang.org/protobuf/types/descriptorpb"
)

// Envelope is the name of the member in which Samsara wraps what an answer is about, if it does.
const Envelope = "data"

// decoder compiles md, and also what reads answers that are wrapped though md is not, or the reverse.
//
// When an answer changes its form, cmd/protogen keeps the fields of the former one, deprecated, beside those
// of the present one. That is how a message with both forms is recognized: either `data` is deprecated and
// all other fields are not, or the reverse. The newest field of each line counts.
func (b *builder) decoder(md protoreflect.MessageDescriptor) (*Decoder, error) {
	m, err := b.message(md)
	if err != nil {
		return nil, err
	}
	envelope := m.lookup([]byte(Envelope))
	d := &Decoder{message: m, envelope: envelope, data: envelope.single()}
	if d.data == nil {
		return d, nil
	}
	d.blank = append(binary.LittleEndian.AppendUint64(nil, d.data.tag.bytes)[:d.data.tag.size], 0)
	var data protoreflect.FieldDescriptor
	var others, newest []protoreflect.FieldDescriptor
	shared := false
	for _, line := range Lines(fieldsOf(md)) {
		if name := WireName(line[0]); name == Envelope {
			data = line[0]
		} else {
			others, newest = append(others, line...), append(newest, line[0])
			shared = shared || d.data.message.lookup([]byte(name)) != nil
		}
	}
	for _, fd := range newest {
		if isDeprecated(fd) == isDeprecated(data) {
			return d, nil
		}
	}
	if shared {
		d.bareIsOld = !isDeprecated(data)
		d.bare = &message{name: m.name}
		err = b.fill(d.bare, others)
	}
	return d, err
}

func isDeprecated(fd protoreflect.FieldDescriptor) bool {
	options, ok := fd.Options().(*descriptorpb.FieldOptions)
	return ok && options.GetDeprecated()
}

// single returns the newest field of f that is a single message, nil if there is none. f may be nil or a
// line.
func (f *field) single() *field {
	switch {
	case f == nil:
		return nil
	case f.arity == lined:
		for _, of := range f.line {
			if of.single() != nil {
				return of
			}
		}
		return nil
	case f.arity == once && f.op == opMessage:
		return f
	default:
		return nil
	}
}

// answer appends what the outermost object, at i, gives to the message, wrapped or bare.
func (r *run) answer(i int, d *Decoder) int {
	m := d.message
	switch {
	case d.bare != nil:
		return r.both(i, d)
	case r.knows(i, m):
		return r.object(i, m)
	}
	if data := r.envelope(i); data > 0 && r.knows(data, m) {
		r.wrapped(m)
		return r.unwrap(i, data, m)
	}
	if d.data != nil && r.knows(i, d.data.message) {
		r.wrapped(m)
		return r.wrap(i, d.data)
	}
	return r.object(i, m)
}

// both appends what the outermost object gives to a message that has the fields of both forms. Drift is
// recorded for the form that the object has.
func (r *run) both(i int, d *Decoder) int {
	drift := r.drift
	data := r.envelope(i)
	wrapped := data > 0 && r.peek(data) == '{' && (r.knows(data, d.bare) || r.knows(data, d.data.message))
	bare := r.knows(i, d.bare) || r.knows(i, d.data.message)
	switch {
	case wrapped && !bare:
		if !d.bareIsOld {
			r.wrapped(d.message)
		}
		end := r.object(i, d.message)
		if end >= 0 {
			r.drift = nil
			r.unwrap(i, data, d.bare)
		}
		r.drift = drift
		return end
	case bare && !wrapped:
		if d.bareIsOld {
			r.wrapped(d.message)
			r.drift = nil
		}
		end := r.object(i, d.bare)
		r.drift = drift
		if end >= 0 {
			if !d.bareIsOld {
				r.drift = nil
			}
			r.wrap(i, d.data)
		}
		r.drift = drift
		return end
	default:
		return r.object(i, d.message)
	}
}

func (r *run) wrapped(m *message) { r.note(m, []byte("*"), Wrapped, false) }

// wrap appends the object at i as the value of f.
func (r *run) wrap(i int, f *field) int {
	start := r.begin(f.tag)
	if i = r.object(i, f.message); i >= 0 {
		r.finish(start)
	}
	return i
}

// unwrap appends what the value at data gives to m. The value is within the object at i.
func (r *run) unwrap(i, data int, m *message) int {
	r.depth++
	if r.peek(data) == '{' {
		data = r.object(data, m)
	} else {
		data = r.field(data, m.root)
	}
	r.depth--
	if data < 0 {
		return data
	}
	return r.skip(i)
}

// envelope returns where the value of the first member `data` of the object at i is, 0 if there is none. Like
// knows and suits, it leaves it to the reading proper to fail on what is not JSON.
func (r *run) envelope(i int) (data int) {
	depth := r.depth
	i, more := r.open(i, '}')
	for more && data == 0 {
		var name []byte
		if name, i = r.name(i); i < 0 {
			break
		}
		if string(name) == Envelope {
			data = i
		}
		i, more = r.more(r.skip(i), '}')
	}
	r.depth = depth
	return data
}

// knows reports whether something of the value at i is known to m: a member of an object that is not null, or
// what the root field of m takes. Something of a member `data` must itself be known if it is an object.
func (r *run) knows(i int, m *message) (known bool) {
	if r.peek(i) != '{' {
		return m.root != nil && r.suits(i, m.root)
	}
	depth := r.depth
	i, more := r.open(i, '}')
	for more {
		// Mostly the expected member comes first, and that is all there is to see.
		f := m.start.next.Load()
		if f.key.leads(r.src, i) {
			i = r.space(i + len(f.key.text))
		} else {
			var name []byte
			if name, i = r.name(i); i < 0 {
				break
			}
			f = m.lookup(name)
		}
		c := r.peek(i)
		if known = f != nil && c != 'n' && (f.name != Envelope || c == '[' && f.mayFit(c) || r.suits(i, f)); known {
			break
		}
		i, more = r.more(r.skip(i), '}')
	}
	r.depth = depth
	return known
}

// suits reports whether f takes the value at i. Something of a message must be known, and one element of a
// list unless it is empty.
func (r *run) suits(i int, f *field) (known bool) {
	c := r.peek(i)
	switch {
	case f.arity == lined:
		r.lines++
		for _, of := range f.line {
			if known = r.suits(i, of); known || r.lines > maxLines && of.mayFit(c) {
				break
			}
		}
		r.lines--
		return known
	case c == 'n' || r.depth >= MaxDepth || !f.mayFit(c):
		return false
	case f.arity == once && f.op == opMessage:
		return r.knows(i, f.message)
	case f.arity == once || f.arity == keyed:
		return true
	}
	depth := r.depth
	i, more := r.open(i, ']')
	for known = !more; more && !known; {
		if known = r.suits(i, f.element); !known {
			i, more = r.more(r.skip(i), ']')
		}
	}
	r.depth = depth
	return known
}
