package transcode

import (
	"encoding/binary"
	"unicode/utf8"
)

// skip reads any value, checks it, and leaves it out. It may nest as deep as it likes.
func (r *run) skip(i int) int {
	switch c := r.peek(i); c {
	case '{', '[':
		mark := len(r.out)
		i = r.skipNested(i)
		r.out = r.out[:mark]
		return i
	case '"':
		return r.unquote(i+1, false)
	case 't':
		return r.literal(i, "true")
	case 'f':
		return r.literal(i, "false")
	case 'n':
		return r.literal(i, "null")
	default:
		if c != '-' && !isDigit(c) {
			return r.fail(i, "no value")
		}
		_, i = r.number(i)
		return i
	}
}

// skipNested is skip for the array or object at i. It keeps what is open at the end of the output.
func (r *run) skipNested(i int) int {
	// The innermost 64 arrays and objects that are open, one bit each, the innermost lowest: 1 is an object.
	// The ones around them are at the end of the output, 64 in eight bytes.
	var open uint64
	const word = 64
	for levels := 0; ; {
		// A value begins at i.
		switch c := r.peek(i); c {
		case '{', '[':
			if levels > 0 && levels%word == 0 {
				r.out = binary.LittleEndian.AppendUint64(r.out, open)
			}
			levels++
			open <<= 1
			i = r.space(i + 1)
			if c == '{' {
				open |= 1
			}
			if r.peek(i) == closing(open) {
				break
			}
			if c == '{' {
				i = r.skipName(i)
			}
			if i < 0 {
				return i
			}
			continue
		case '"':
			i = r.unquote(i+1, false)
		default:
			i = r.skip(i)
		}
		if i < 0 {
			return i
		}
		// Another value follows, or one or more arrays and objects end.
		for i = r.space(i); r.peek(i) != ','; i = r.space(i) {
			if r.peek(i) != closing(open) {
				return r.fail(i, "neither a comma nor the end of the object or array")
			}
			i++
			levels--
			if levels == 0 {
				return i
			}
			if open >>= 1; levels%word == 0 {
				end := len(r.out) - word/8
				open, r.out = binary.LittleEndian.Uint64(r.out[end:]), r.out[:end]
			}
		}
		if i = r.space(i + 1); open&1 != 0 {
			if i = r.skipName(i); i < 0 {
				return i
			}
		}
	}
}

// closing returns the byte that ends the innermost array or object that is open.
func closing(open uint64) byte {
	const ends = "]}"
	return ends[open&1]
}

// skipName reads a member's name and the colon, and leaves them out.
func (r *run) skipName(i int) int {
	if i = r.quote(i); i < 0 {
		return i
	}
	return r.colon(r.unquote(i, false))
}

// drop skips a value that the message cannot hold, and records it under member of m.
func (r *run) drop(i int, m *message, member []byte, kind Kind) int {
	if i = r.skip(i); i >= 0 {
		r.note(m, member, kind, kind == Unknown)
	}
	return i
}

// unknown drops the value of a member that m does not have. The name may lie in the spare room of the output,
// which skip overwrites.
func (r *run) unknown(i int, m *message, name []byte) int {
	mark := len(r.out)
	r.out = append(r.out, name...)
	i = r.drop(i, m, r.out[mark:], Unknown)
	r.out = r.out[:mark]
	return i
}

// tooDeep drops the object at i, for which a message was begun at start. The message stays, empty, if it is
// an entry that keeps its position in a list. Otherwise it is removed.
func (r *run) tooDeep(i int, f *field, start int) int {
	if f.entry && f.message.root != nil && f.message.root.isSingle() {
		r.finish(start)
	} else {
		r.out = r.out[:start-f.tag.size-1]
	}
	return r.drop(i, f.owner, f.member, TooDeep)
}

// document appends the array or object at i to f, a string, as its JSON without white space.
func (r *run) document(i int, f *field) int {
	r.replaced = false
	end := r.skip(i)
	if end < 0 {
		return end
	}
	r.record(f, Coerced)
	if r.replaced {
		r.record(f, InvalidText)
	}
	start := r.begin(f.tag)
	for i < end {
		switch c := r.src[i]; c {
		case ' ', '\n', '\r', '\t':
			i++
		case '"':
			i = r.copyString(i)
		default:
			r.out = append(r.out, c)
			i++
		}
	}
	r.finish(start)
	return end
}

// copyString appends the string at i, which is JSON, and replaces only what is not valid.
func (r *run) copyString(i int) int {
	r.out = append(r.out, '"')
	i++
	for {
		end, _ := scanText(r.src, i)
		r.replace(r.src[i:end])
		if r.src[end] == '"' {
			r.out = append(r.out, '"')
			return end + 1
		}
		r.replaced = false
		if _, i = r.escape(end); r.replaced {
			r.out = utf8.AppendRune(r.out, utf8.RuneError)
		} else {
			r.out = append(r.out, r.src[end:i]...)
		}
	}
}
