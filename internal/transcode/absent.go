package transcode

// Absent records in drift that there was no document, which is the empty message to whom that will do.
func (d *Decoder) Absent(drift *Drift) { drift.record(d.message.name, []byte("*"), NoBody, false) }

// Foreign reports whether the document src, which Append has read, is an object that has members, of which
// the message has none.
func (d *Decoder) Foreign(src []byte) bool {
	r := run{src: src}
	i := r.start()
	if r.peek(i) != '{' || r.peek(r.space(i+1)) == '}' {
		return false
	}
	known, _ := r.scan(i, d.message)
	return !known
}
