package transcode

import (
	"bytes"

	"google.golang.org/protobuf/encoding/protowire"
)

// AppendWire appends what [Encoder.Append] would append, without a mask, of the message that wire holds. It
// builds no message, which takes a sixth of the time. Fields that are not the encoder's are skipped, in
// whatever order they are.
//
// It reports false for all that it does not take, and dst is then returned as it came: for what Append
// refuses, for a required field that [Encoder.Missing] would find, for bytes that are no message, and for
// bytes that are one although serializers do not write it so. In the latter fields are not in the order of
// their numbers, a field is in more than one run, several fields of a line or oneof are there, a value
// without presence is zero, or an entry of a map does not have its key and then its value. The caller builds the
// message then: that way alone knows what is wrong.
func (e *Encoder) AppendWire(dst, wire []byte) ([]byte, bool) {
	out, ok := e.top.appendWire(dst, wire, 0)
	if !ok {
		return dst, false
	}
	return out, true
}

// nextMember skips what is no member. It returns the first member with its tag at the start of rest, and -1 at
// the end.
func (o *objectWriter) nextMember(wire []byte) (i int, t wireTag, rest []byte, ok bool) {
	for len(wire) > 0 {
		if t, ok = readTag(wire); !ok {
			return -1, t, wire, false
		}
		if i := o.wire.index(t.number); i >= 0 {
			return i, t, wire, true
		}
		if wire, ok = t.skip(wire); !ok {
			return -1, t, wire, false
		}
	}
	return -1, t, wire, true
}

// appendWire writes the message that wire holds. depth is at least how many arrays and objects are open
// around it.
func (o *objectWriter) appendWire(dst, wire []byte, depth int) ([]byte, bool) {
	if o.wire.slow || depth >= MaxDepth {
		return dst, false
	}
	if len(o.roots) > 0 {
		if dst, is, ok := o.appendWireRoot(dst, wire, depth); is {
			return dst, ok
		}
	}
	dst = append(dst, '{')
	start, last := len(dst), -1
	found := met{}
	always := o.wire.always
	for {
		i, t, rest, ok := o.nextMember(wire)
		if !ok {
			return dst, false
		}
		if i < 0 {
			break
		}
		f := &o.members[i]
		if i <= last || !found.add(f) || f.root {
			return dst, false
		}
		last = i
		for len(always) > 0 && always[0] <= i {
			if always[0] < i {
				dst = o.appendEmpty(dst, always[0], len(dst) > start)
			}
			always = always[1:]
		}
		key := f.next
		if len(dst) == start {
			key = f.key
		}
		if dst, wire, ok = f.appendWire(append(dst, key...), rest, t, depth+1); !ok {
			return dst, false
		}
	}
	for _, i := range always {
		dst = o.appendEmpty(dst, i, len(dst) > start)
	}
	return append(dst, '}'), found.all(&o.wire)
}

// appendWireRoot writes a message that is the value of its root field. is is false if it is an object.
func (o *objectWriter) appendWireRoot(dst, wire []byte, depth int) (out []byte, is, ok bool) {
	found := met{}
	i, t, wire, ok := o.nextMember(wire)
	switch {
	case !ok:
		return dst, true, false
	case i < 0:
		return append(dst, o.members[o.roots[0]].shape.empty()...), o.whole, found.all(&o.wire)
	case !o.members[i].root:
		return dst, false, true
	}
	found.add(&o.members[i])
	if dst, wire, ok = o.members[i].appendWire(dst, wire, t, depth+1); !ok {
		return dst, true, false
	}
	i, _, _, ok = o.nextMember(wire)
	return dst, true, ok && i < 0 && found.all(&o.wire)
}

// appendEmpty writes the i-th member, a list or map, as empty.
func (o *objectWriter) appendEmpty(dst []byte, i int, comma bool) []byte {
	if comma {
		dst = append(dst, ',')
	}
	f := &o.members[i]
	return append(append(dst, f.key...), f.shape.empty()...)
}

// empty returns the JSON of a field that is unset.
func (s shape) empty() string {
	switch s {
	case list:
		return "[]"
	case dictionary:
		return "{}"
	case singular:
		return "null"
	default:
		return "null"
	}
}

// appendWire writes the values of a field, the first of which has the tag t at the start of wire. rest is what
// follows the run of them.
func (f *memberWriter) appendWire(dst, wire []byte, t wireTag, depth int) (out, rest []byte, ok bool) {
	if f.text && t.wire == protowire.BytesType {
		value, rest, ok := readBytes(wire[t.size:])
		if !ok {
			return dst, wire, false
		}
		dst, ok = appendJSONBytes(dst, value)
		return dst, rest, ok
	}
	switch f.shape {
	case list:
		return f.value.appendWireList(dst, wire, t, depth)
	case dictionary:
		return f.value.appendWireMap(dst, wire, t, depth)
	case singular:
	}
	start := len(dst)
	dst, rest, ok = f.value.appendWire(dst, wire[t.size:], t.wire, depth)
	if f.implicit && isZeroJSON(dst[start:]) {
		return dst, rest, false
	}
	return dst, rest, ok
}

// isZeroJSON reports whether text is that of a scalar that counts as unset if its field has no presence.
func isZeroJSON(text []byte) bool {
	switch string(text) {
	case "0", "false", `""`:
		return true
	}
	return false
}

func (w *valueWriter) appendWireList(dst, wire []byte, t wireTag, depth int) (out, rest []byte, ok bool) {
	if depth >= MaxDepth {
		return dst, wire, false
	}
	dst = append(dst, '[')
	if scalar := wireTypes[w.kind]; scalar != protowire.BytesType && t.wire == protowire.BytesType {
		values, n := protowire.ConsumeBytes(wire[t.size:])
		if n < 0 || len(values) == 0 {
			return dst, wire, false
		}
		for ; ; dst = append(dst, ',') {
			if dst, values, ok = w.appendWire(dst, values, scalar, depth+1); !ok {
				return dst, wire, false
			}
			if len(values) == 0 {
				return append(dst, ']'), wire[t.size+n:], true
			}
		}
	}
	for tag := wire[:t.size]; ; dst = append(dst, ',') {
		if dst, wire, ok = w.appendWire(dst, wire[t.size:], t.wire, depth+1); !ok {
			return dst, wire, false
		}
		if !bytes.HasPrefix(wire, tag) {
			return append(dst, ']'), wire, true
		}
	}
}
