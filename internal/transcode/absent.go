package transcode

import (
	"bytes"
	"iter"
)

// Absent records in drift that there was no document, which is the empty message to whom that will do.
func (d *Decoder) Absent(drift *Drift) { drift.count(d.message.name, []byte("*"), NoBody, false) }

// IsEmpty reports whether a message that Append has appended holds nothing, or no more than an empty `data`
// that wraps what the answer is about.
func (d *Decoder) IsEmpty(message []byte) bool {
	return len(message) == 0 || bytes.Equal(message, d.blank)
}

// Foreign reports whether the document src, which Append has read, is an object that has members, and
// nothing of it is known to the message: see the package comment. A list is known by its type, because
// one record that is foreign must not cost the others, and so what all of them have lost is drift too.
func (d *Decoder) Foreign(src []byte) bool {
	r := run{src: src}
	i := r.start()
	return r.peek(i) == '{' && r.peek(r.space(i+1)) != '}' && !r.knows(i, d.message)
}

// Names yields the names of the members of the object that the document src, which is JSON, is. Their
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
