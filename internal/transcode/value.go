package transcode

import "google.golang.org/protobuf/encoding/protowire"

// The tags within google.protobuf.Value, Struct and ListValue, and within the entry of a map.
// They are all below 128, and so one byte on the wire.
const (
	nullTag   = 1<<3 | byte(protowire.VarintType)
	numberTag = 2<<3 | byte(protowire.Fixed64Type)
	stringTag = 3<<3 | byte(protowire.BytesType)
	boolTag   = 4<<3 | byte(protowire.VarintType)
	structTag = 5<<3 | byte(protowire.BytesType)
	listTag   = 6<<3 | byte(protowire.BytesType)

	entryTag   = 1<<3 | byte(protowire.BytesType)
	elementTag = 1<<3 | byte(protowire.BytesType)

	keyTag   = 1<<3 | byte(protowire.BytesType)
	valueTag = 2<<3 | byte(protowire.BytesType)
)

// free appends the value at i to f, a Value, or a Struct or ListValue that it suits.
func (r *run) free(i int, f *field) int {
	mark, depth := len(r.out), r.depth
	seen, drift := r.seen, r.drift
	// Only its end shows whether it is kept, and the drift of a dropped value is another.
	r.seen, r.drift = 0, nil
	end := r.freeValue(i, f)
	r.drift = drift
	if end == overDeep {
		r.out, r.depth, r.seen = r.out[:mark], depth, seen
		return r.drop(i, f.owner, f.member, TooDeep)
	}
	if r.seen != 0 && drift != nil {
		r.out, r.depth = r.out[:mark], depth
		end = r.freeValue(i, f)
	}
	r.seen |= seen
	return end
}

func (r *run) freeValue(i int, f *field) int {
	room := min(MaxValueDepth, (MaxDepth-r.depth)/valueLevels)
	start := r.begin(f.tag)
	switch f.op {
	case opStruct:
		i = r.structure(i, f, room)
	case opListValue:
		i = r.listValue(i, f, room)
	default:
		i = r.any(i, f, room)
	}
	if i >= 0 {
		r.finish(start)
	}
	return i
}

// any appends the content of a Value, in which objects and arrays nest room deep at most.
func (r *run) any(i int, f *field, room int) int {
	switch c := r.peek(i); c {
	case '{':
		start := r.begin(oneByte(structTag))
		if i = r.structure(i, f, room); i >= 0 {
			r.finish(start)
		}
		return i
	case '[':
		start := r.begin(oneByte(listTag))
		if i = r.listValue(i, f, room); i >= 0 {
			r.finish(start)
		}
		return i
	case '"':
		return r.text(i+1, oneByte(stringTag), f)
	case 't':
		r.out = append(r.out, boolTag, 1)
		return r.literal(i, "true")
	case 'f':
		r.out = append(r.out, boolTag, 0)
		return r.literal(i, "false")
	case 'n':
		r.out = append(r.out, nullTag, 0)
		return r.literal(i, "null")
	default:
		return r.anyNumber(i, f)
	}
}

// anyNumber appends a number as the content of a Value: as a double if that loses only the remote digits of a
// fraction, else as text.
func (r *run) anyNumber(i int, f *field) int {
	if c := r.peek(i); c != '-' && !isDigit(c) {
		return r.fail(i, "no value")
	}
	n, end := r.number(i)
	if end < 0 {
		return end
	}
	literal := r.src[i:end]
	if v, ok := n.float64(literal); ok && !n.inexact(literal, v) {
		r.out = append(r.out, numberTag)
		r.double(v)
		return end
	}
	r.out = append(r.out, stringTag)
	r.append(uint64(len(literal)))
	r.out = append(r.out, literal...)
	r.record(f, Coerced)
	return end
}

// structure appends the object at i as the content of a Struct.
func (r *run) structure(i int, f *field, room int) int {
	if room == 0 {
		return overDeep
	}
	i, more := r.open(i, '}')
	for more {
		entry := r.begin(oneByte(entryTag))
		if i = r.key(i, f); i < 0 {
			return i
		}
		value := r.begin(oneByte(valueTag))
		if i = r.any(i, f, room-1); i < 0 {
			return i
		}
		r.finish(value)
		r.finish(entry)
		i, more = r.more(i, '}')
	}
	return i
}

// listValue appends the array at i as the content of a ListValue.
func (r *run) listValue(i int, f *field, room int) int {
	if room == 0 {
		return overDeep
	}
	i, more := r.open(i, ']')
	for more {
		start := r.begin(oneByte(elementTag))
		if i = r.any(i, f, room-1); i < 0 {
			return i
		}
		r.finish(start)
		i, more = r.more(i, ']')
	}
	return i
}
