package transcode

import (
	"bytes"
	"encoding/binary"
	"math"
	"strconv"
)

// object appends the fields that the object at i gives to m.
func (r *run) object(i int, m *message) int {
	// Which fields were met, one bit each. The array is large enough for every message of the
	// API, so that nothing is allocated.
	var array [4]uint64
	met := array[:]
	if m.fields > 64*len(array) {
		met = make([]uint64, (m.fields+63)/64)
	}
	last := &m.start
	i, more := r.open(i, '}')
	for more {
		// The expected member is recognized by its quoted name; mostly that is all.
		f := last.next.Load()
		if f.key.leads(r.src, i) {
			i = r.space(i + len(f.key.text))
		} else if f, i = r.find(i, m, last); f == nil {
			i, more = r.more(i, '}')
			continue
		}
		last = f
		word, bit := &met[f.index/64], uint64(1)<<(f.index%64)
		if *word&bit != 0 {
			i = r.drop(i, m, f.member, Duplicate)
		} else {
			*word |= bit
			// As field does, but with one call: most values would take two or three.
			switch c := r.peek(i); {
			case f.arity != once || c == 'n':
				i = r.field(i, f)
			case c == '"' && f.op == opString:
				i = r.text(i+1, f.tag, f)
			default:
				i = r.value(i, f)
			}
		}
		// As more does for compact JSON, but inlined, which saves 4 % of the time of decoding.
		if i > 0 && i+1 < len(r.src) {
			switch r.src[i] {
			case ',':
				if r.src[i+1] > ' ' {
					i++
					continue
				}
			case '}':
				r.depth--
				return i + 1
			}
		}
		i, more = r.more(i, '}')
	}
	return i
}

// find reads the name of the member at i, which is not the one expected after last, and learns to expect it.
// It drops a member that is no field, and returns nil for it.
func (r *run) find(i int, m *message, last *field) (f *field, next int) {
	// Mostly the expected member is absent, and only from this object: there is nothing to learn.
	if f = last.next.Load().next.Load(); f.key.leads(r.src, i) {
		return f, r.space(i + len(f.key.text))
	}
	name, i := r.name(i)
	if i < 0 {
		return nil, i
	}
	if f = m.lookup(name); f == nil {
		return nil, r.unknown(i, m, name)
	}
	if r.lessons < maxLessons {
		r.lessons++
		last.next.Store(f)
	}
	return f, i
}

// field appends what the value at i gives to f.
func (r *run) field(i int, f *field) int {
	switch c := r.peek(i); {
	case c == 'n' && !f.takesNull:
		return r.literal(i, "null")
	case f.arity == once:
		return r.value(i, f)
	case f.arity == keyed && c == '{':
		return r.entries(i, f)
	case f.arity == repeated && c == '[':
		return r.elements(i, f)
	case f.arity == packed && c == '[':
		mark := len(r.out)
		start := r.begin(f.tag)
		if i = r.elements(i, f); len(r.out) == start {
			r.out = r.out[:mark]
		} else if i >= 0 {
			r.finish(start)
		}
		return i
	case f.arity == lined:
		return r.line(i, f)
	case f.arity == recorded && c == '[':
		return r.records(i, f)
	default:
		return r.mismatch(i, f)
	}
}

// elements appends the elements of the array at i.
func (r *run) elements(i int, f *field) int {
	if r.depth == MaxDepth {
		return r.drop(i, f.owner, f.member, TooDeep)
	}
	i, more := r.open(i, ']')
	for more {
		i, more = r.more(r.value(i, f.element), ']')
	}
	return i
}

// records appends the elements of the list of a page's records. The drift knows each by its number in the
// message.
func (r *run) records(i int, f *field) int {
	if r.depth == MaxDepth {
		return r.drop(i, f.owner, f.member, TooDeep)
	}
	i, more := r.open(i, ']')
	for number := 1; more; {
		r.drift.at(number)
		mark := len(r.out)
		i, more = r.more(r.value(i, f.element), ']')
		if len(r.out) > mark {
			number++
		}
	}
	r.drift.at(0)
	return i
}

// entries appends the members of the object at i as entries of a map.
func (r *run) entries(i int, f *field) int {
	if r.depth == MaxDepth {
		return r.drop(i, f.owner, f.member, TooDeep)
	}
	i, more := r.open(i, '}')
	for more {
		mark := len(r.out)
		start := r.begin(f.tag)
		if i = r.key(i, f); i < 0 {
			return i
		}
		value := len(r.out)
		if i = r.value(i, f.element); len(r.out) == value {
			r.out = r.out[:mark]
		} else if i >= 0 {
			r.finish(start)
		}
		i, more = r.more(i, '}')
	}
	return i
}

// key appends the member's name at i as the key of an entry, and reads on to the value.
func (r *run) key(i int, f *field) int {
	if i = r.quote(i); i < 0 {
		return i
	}
	return r.colon(r.text(i, oneByte(keyTag), f))
}

// value appends one value, with its tag, or nothing if the value at i is dropped.
func (r *run) value(i int, f *field) int {
	c := r.peek(i)
	switch f.op {
	case opString:
		if c == '"' {
			return r.text(i+1, f.tag, f)
		}
	case opInt64, opDouble:
		if c == '-' || isDigit(c) {
			if end := r.shortNumber(i, f); end >= 0 {
				return end
			}
			n, end := r.number(i)
			if end < 0 || r.numeric(n, r.src[i:end], f) {
				return end
			}
		}
	case opBool:
		switch c {
		case 't':
			r.bool(f, true)
			return r.literal(i, "true")
		case 'f':
			r.bool(f, false)
			return r.literal(i, "false")
		}
	case opMessage:
		// An entry whose message has a single value as its root is kept whatever the value is, because its
		// position in the list may mean something.
		m := f.message
		if object := c == '{'; object || m.root != nil && (m.root.takes(c) || f.entry && m.root.isSingle()) {
			start := r.begin(f.tag)
			switch {
			case object && r.depth < MaxDepth:
				i = r.object(i, m)
			case object:
				return r.tooDeep(i, f, start)
			default:
				i = r.field(i, m.root)
			}
			if i >= 0 {
				r.finish(start)
			}
			return i
		}
	case opValue, opStruct, opListValue:
		if f.op == opValue || f.op == opStruct && c == '{' || f.op == opListValue && c == '[' {
			return r.free(i, f)
		}
	}
	return r.coerce(i, f)
}

// coerce appends a value of another JSON type than that of f if nothing is lost by it, and otherwise drops
// it.
func (r *run) coerce(i int, f *field) int {
	var end int
	switch c := r.peek(i); {
	case f.op == opString && (c == '-' || isDigit(c) || c == 't' || c == 'f'):
		if end = r.skip(i); end >= 0 {
			r.tag(f.tag)
			r.append(uint64(end - i))
			r.out = append(r.out, r.src[i:end]...)
		}
	case (f.op == opInt64 || f.op == opDouble || f.op == opBool) && c == '"':
		var text []byte
		if text, end = r.token(i + 1); end >= 0 && !r.parse(text, f) {
			return r.mismatch(i, f)
		}
	case f.op == opString && f.mapped && (c == '{' || c == '['):
		return r.document(i, f)
	default:
		return r.mismatch(i, f)
	}
	if end >= 0 {
		r.record(f, Coerced)
	}
	return end
}

// mismatch drops the value at i. If it is null, it is an entry: elsewhere null is no mismatch.
func (r *run) mismatch(i int, f *field) int {
	kind := Mismatch
	if r.peek(i) == 'n' {
		kind = NullEntry
	}
	return r.drop(i, f.owner, f.member, kind)
}

// parse appends the number or bool that text is, and reports whether it is one.
func (r *run) parse(text []byte, f *field) bool {
	if f.op == opBool {
		yes := string(text) == "true"
		if !yes && string(text) != "false" {
			return false
		}
		r.bool(f, yes)
		return true
	}
	n, end, ok := scanNumber(text, 0)
	if !ok || end != len(text) {
		return false
	}
	if f.op == opInt64 {
		// An identifier such as 007 must not lose its zeros.
		v, ok := n.int64(text)
		var buffer [20]byte
		if !ok || !bytes.Equal(strconv.AppendInt(buffer[:0], v, 10), text) {
			return false
		}
	}
	return r.numeric(n, text, f)
}

// numeric appends n if it is of the type of f, and reports whether it is.
func (r *run) numeric(n number, literal []byte, f *field) bool {
	if f.op == opInt64 {
		v, ok := n.int64(literal)
		if ok {
			r.tag(f.tag)
			r.append(uint64(v))
		}
		return ok
	}
	v, ok := n.float64(literal)
	if !ok || r.exact && n.inexact(literal, v) {
		return false
	}
	r.tag(f.tag)
	r.double(v)
	return true
}

func (r *run) double(v float64) {
	r.out = binary.LittleEndian.AppendUint64(r.out, math.Float64bits(v))
}

func (r *run) bool(f *field, v bool) {
	r.tag(f.tag)
	if v {
		r.out = append(r.out, 1)
	} else {
		r.out = append(r.out, 0)
	}
}
