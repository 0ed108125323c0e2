package transcode

import (
	"bytes"
	"iter"
)

// Absent records in drift that there was no document. A caller that accepts that takes it as the empty
// message.
func (d *Decoder) Absent(drift *Drift) { drift.count(d.message.name, []byte("*"), NoBody, false) }

// IsEmpty reports whether a message that Append has appended is empty, or has nothing but the empty `data`
// that wraps an answer.
func (d *Decoder) IsEmpty(message []byte) bool {
	return len(message) == 0 || bytes.Equal(message, d.blank)
}

// Foreign reports whether the document src, which Append has read, is an object with members and nothing in
// it is known to the message: see the package comment. A list is known by its type alone, because one foreign
// record must not cost the others. So a list of foreign records is drift and no more.
func (d *Decoder) Foreign(src []byte) bool {
	r := run{src: src}
	i := r.start()
	return r.peek(i) == '{' && r.peek(r.space(i+1)) != '}' && !r.knows(i, d.message)
}

// Names yields the member names of the document src, which must be JSON; none if it is not an object. The
// values may nest as deep as they like.
func Names(src []byte) iter.Seq[string] {
	return func(yield func(string) bool) {
		r := run{src: src}
		i := r.start()
		if r.peek(i) != '{' {
			return
		}
		i, more := r.open(i, '}')
		for more {
			var name []byte
			if name, i = r.name(i); i < 0 || !yield(string(name)) {
				return
			}
			i, more = r.more(r.skip(i), '}')
		}
	}
}
