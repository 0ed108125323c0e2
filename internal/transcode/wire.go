package transcode

import (
	"encoding/binary"
	"slices"

	"google.golang.org/protobuf/encoding/protowire"
)

// tag is what precedes a value, as it is on the wire: size bytes, the first one lowest. An
// element of a packed list has the zero tag.
type tag struct {
	bytes uint64
	size  int
}

// maxTagBytes is more than any tag takes, and a power of two less one: by & it tells the
// compiler that a size is within bounds.
const maxTagBytes = 7

func newTag(number protowire.Number, wire protowire.Type) tag {
	var buffer [8]byte
	size := binary.PutUvarint(buffer[:], protowire.EncodeTag(number, wire))
	return tag{bytes: binary.LittleEndian.Uint64(buffer[:]), size: size}
}

// oneByte returns the tag that is b on the wire.
func oneByte(b byte) tag { return tag{bytes: uint64(b), size: 1} }

// roomBytes is the room for a tag and a short text.
const roomBytes = maxTagBytes + 1 + shortText + 8

// room returns the bytes after the end of the output, for values of bounded size. Written there as to an
// array, they need neither an append each nor its checks. That made decoding 8 % faster.
func (r *run) room() *[roomBytes]byte {
	if cap(r.out)-len(r.out) < roomBytes {
		r.grow()
	}
	return (*[roomBytes]byte)(r.out[len(r.out) : len(r.out)+roomBytes])
}

func (r *run) grow() { r.out = slices.Grow(r.out, roomBytes) }

// append appends a length or other number in varint form.
func (r *run) append(v uint64) { r.out = binary.AppendUvarint(r.out, v) }

// tag appends a tag.
func (r *run) tag(t tag) {
	binary.LittleEndian.PutUint64(r.room()[:], t.bytes)
	r.out = r.out[:len(r.out)+t.size]
}

// begin appends a tag, and leaves room for the length of a value that is not known yet. It
// returns where the value starts.
func (r *run) begin(t tag) (start int) {
	binary.LittleEndian.PutUint64(r.room()[:], t.bytes)
	start = len(r.out) + t.size + 1
	r.out = r.out[:start]
	return start
}

// finish fills in the length of the value from start to the end of the output.
func (r *run) finish(start int) {
	if n := len(r.out) - start; n < 0x80 {
		r.out[start-1] = byte(n)
	} else {
		r.widen(start)
	}
}

// widen is finish for a length that takes more than the one byte that was left for it: the
// value moves to make room for the others.
func (r *run) widen(start int) {
	n := len(r.out) - start
	var length [binary.MaxVarintLen64]byte
	more := binary.PutUvarint(length[:], uint64(n)) - 1
	r.out = append(r.out, length[:more]...)
	copy(r.out[start+more:], r.out[start:start+n])
	copy(r.out[start-1:], length[:more+1])
}
