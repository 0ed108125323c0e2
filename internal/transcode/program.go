package transcode

import (
	"encoding/binary"
	"math/bits"
	"slices"
	"sync/atomic"
)

// message is the compiled form of a message. It does not change once its compiler returns it, except for the
// order in which it expects members.
type message struct {
	// name is without the package.
	name string
	// root is the field that a value other than an object is read as, nil if there is none.
	root *field
	// fields is how many there are.
	fields int
	// start is no member's. It comes before the first field and after the last one: at first, the fields form
	// a ring in which each expects the next.
	start field

	// The fields under their names' hashes, at most a quarter of the slots taken, so that a
	// search from the hash onwards soon ends at an empty one.
	slots []*field
	seed  uint64
	shift uint8
}

// field is the compiled form of a field, or of an element of a list or map.
type field struct {
	name string
	// index tells the members of a message apart. A member under another name has the same.
	index int
	arity arity
	op    op
	// takesNull is whether null is a value of the field.
	takesNull bool
	// tag precedes each value on the wire; for a packed list, the run of values, and for a
	// map, each entry.
	tag tag
	// element is what a list or map holds; entry is whether f is such an element, mapped whether of
	// a map.
	element       *field
	entry, mapped bool
	// message is what opMessage reads.
	message *message

	key key
	// next is the field that is expected to come after this one: the one that did in an earlier
	// object, at first the one declared next. It is no more than a guess, to be verified by the
	// key, but mostly right, because an upstream writes its members in one order. It saves a
	// quarter of the time of decoding.
	next atomic.Pointer[field]

	// owner and member say under which message and member to record drift.
	owner  *message
	member []byte

	// line has a field for each type that a retyped member had, the newest first.
	line []*field
}

// arity is how many values a field has, and how they are on the wire.
type arity uint8

const (
	once arity = iota
	repeated
	packed
	keyed
	// lined is a member that is read by a line of fields.
	lined
	// recorded is repeated, for the list of a page's records.
	recorded
)

// op is how to read one value.
type op uint8

const (
	opString op = iota
	opInt64
	opDouble
	opBool
	opMessage
	opValue
	opStruct
	opListValue
)

func (f *field) canBeRoot() bool {
	switch f.arity {
	case repeated, packed, recorded:
		return true
	case once:
		return f.op != opMessage && f.op != opStruct
	case keyed, lined:
		return false
	default:
		return false
	}
}

// isSingle reports whether f, a root field, is a single value, whatever type it has.
func (f *field) isSingle() bool {
	return f.arity == once || f.arity == lined && !slices.ContainsFunc(f.line, func(f *field) bool { return f.arity != once })
}

// takes reports whether f, a root field, reads the value that begins with c. Null is not its
// concern, since it means something to whatever holds the message.
func (f *field) takes(c byte) bool {
	if f.arity == lined {
		return slices.ContainsFunc(f.line, func(f *field) bool { return f.takes(c) })
	}
	switch c {
	case '{', 'n':
		return false
	case '[':
		return f.arity != once || f.op == opListValue || f.op == opValue
	default:
		return f.arity == once && f.op != opListValue
	}
}

// lookup returns the field called name, nil if there is none.
func (m *message) lookup(name []byte) *field {
	for slot := hash(name, m.seed) >> m.shift; ; slot++ {
		f := m.slots[slot&uint64(len(m.slots)-1)]
		if f == nil || f.name == string(name) {
			return f
		}
	}
}

// index fills the slots, under a seed by which no two names collide if one is found soon. others are members
// under further names, which no field expects at first.
func (m *message) index(fields, others []*field) {
	const seeds = 256
	m.fields = len(fields)
	m.start.key = noKey()
	last := &m.start
	for _, f := range fields {
		last.next.Store(f)
		last = f
	}
	last.next.Store(&m.start)
	for _, f := range others {
		f.next.Store(fields[f.index].next.Load())
	}
	fields = slices.Concat(fields, others)
	size := 4
	for size < 4*len(fields) {
		size *= 2
	}
	m.shift = uint8(64 - bits.TrailingZeros(uint(size)))
	for seed := range uint64(seeds) {
		m.seed = (2*seed + 1) * 0x9e3779b97f4a7c15
		m.slots = make([]*field, size)
		if m.fillSlots(fields, seed == seeds-1) {
			return
		}
	}
}

// fillSlots puts the fields into their slots. If a slot is taken already it returns false, or goes on to the
// next free one if the fields may be crowded.
func (m *message) fillSlots(fields []*field, crowded bool) bool {
	for _, f := range fields {
		slot := hash([]byte(f.name), m.seed) >> m.shift
		for m.slots[slot] != nil {
			if !crowded {
				return false
			}
			slot = (slot + 1) % uint64(len(m.slots))
		}
		m.slots[slot] = f
	}
	return true
}

// hash returns a hash of the length, the first eight bytes and the last eight. In between, wire names hardly
// differ. Its high bits are the good ones.
func hash(name []byte, seed uint64) uint64 {
	var head, tail uint64
	switch n := len(name); {
	case n >= 8:
		head, tail = binary.LittleEndian.Uint64(name), binary.LittleEndian.Uint64(name[n-8:])
	case n >= 4:
		head, tail = uint64(binary.LittleEndian.Uint32(name)), uint64(binary.LittleEndian.Uint32(name[n-4:]))
	case n > 0:
		head = uint64(name[0]) | uint64(name[n/2])<<8 | uint64(name[n-1])<<16
	}
	return (head ^ bits.RotateLeft64(tail, 23) ^ uint64(len(name))) * seed
}
