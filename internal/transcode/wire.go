package transcode

import "encoding/binary"

// append appends a tag, length or other number in varint form.
func (r *run) append(v uint64) { r.out = binary.AppendUvarint(r.out, v) }

// tag appends a tag; 0 is that of a value without one.
func (r *run) tag(tag uint64) {
	if tag != 0 {
		r.append(tag)
	}
}

// begin leaves room for the length of a value that is not known yet. It returns where the value
// starts.
func (r *run) begin() (start int) {
	r.out = append(r.out, 0)
	return len(r.out)
}

// finish fills in the length of the value from start to the end of the output.
func (r *run) finish(start int) {
	n := len(r.out) - start
	if n < 0x80 {
		r.out[start-1] = byte(n)
		return
	}
	// One byte was left; the value moves to make room for the others.
	var length [binary.MaxVarintLen64]byte
	more := binary.PutUvarint(length[:], uint64(n)) - 1
	r.out = append(r.out, length[:more]...)
	copy(r.out[start+more:], r.out[start:start+n])
	copy(r.out[start-1:], length[:more+1])
}
