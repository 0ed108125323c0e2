package transcode

import (
	"google.golang.org/protobuf/reflect/protoreflect"
	"google.golang.org/protobuf/types/descriptorpb"
)

// Envelope is the name of the member in which Samsara wraps what an answer is about, if it does.
const Envelope = "data"

// decoder compiles md and, beside it, what reads answers that are wrapped though md is not, or
// the reverse.
//
// When an answer changes its form, cmd/protogen keeps the fields of the former one, deprecated,
// beside those of the present one. That is how a message that has both is told: of `data` and all
// the others, the newest of each line, either side is deprecated and the other is not.
func (b *builder) decoder(md protoreflect.MessageDescriptor) (*Decoder, error) {
	m, err := b.message(md)
	if err != nil {
		return nil, err
	}
	d := &Decoder{message: m, data: m.lookup([]byte(Envelope)).single()}
	if d.data == nil {
		return d, nil
	}
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

// single returns the newest field of f, which may be nil or a line, that is a single message.
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
	if d.bare != nil {
		return r.both(i, d)
	}
	// Mostly the expected member comes first, and that is all there is to see.
	if m.start.next.Load().key.leads(r.src, r.space(i+1)) {
		return r.object(i, m)
	}
	known, data := r.scan(i, m)
	if known {
		return r.object(i, m)
	}
	if data > 0 && r.suits(data, m) {
		r.wrapped(m)
		return r.unwrap(i, data, m)
	}
	if d.data != nil && r.suits(i, d.data.message) {
		r.wrapped(m)
		return r.wrap(i, d.data)
	}
	return r.object(i, m)
}

// both appends what the outermost object gives to a message that has the fields of both forms.
// What differs is recorded of the form that the object has.
func (r *run) both(i int, d *Decoder) int {
	drift := r.drift
	_, data := r.scan(i, nil)
	known, _ := r.scan(i, d.bare)
	switch {
	case data > 0 && !known && r.peek(data) == '{':
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
	case data > 0 || !r.suits(i, d.data.message):
		return r.object(i, d.message)
	default:
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

// unwrap appends to m what the value at data gives to it, which is within the object at i.
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

// suits reports whether the value at i is one that m knows: an object with a member of m, or what
// its root field takes.
func (r *run) suits(i int, m *message) bool {
	if c := r.peek(i); c != '{' {
		return m.root != nil && m.root.takes(c)
	}
	known, _ := r.scan(i, m)
	return known
}

// scan looks for the first member of the object at i that m has, and on the way for the value of
// the member `data`, whose position is 0 if it is not met. Of what is not JSON it leaves it to
// others to tell.
func (r *run) scan(i int, m *message) (known bool, data int) {
	depth := r.depth
	i, more := r.open(i, '}')
	for more && !known {
		var name []byte
		if name, i = r.name(i); i < 0 {
			break
		}
		known = m != nil && m.lookup(name) != nil
		if data == 0 && string(name) == Envelope {
			data = i
		}
		i, more = r.more(r.skip(i), '}')
	}
	r.depth = depth
	return known, data
}
