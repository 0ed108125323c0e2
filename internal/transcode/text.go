package transcode

import (
	"encoding/binary"
	"math/bits"
	"unicode/utf16"
	"unicode/utf8"
)

// Bytes repeated in each byte of a word.
const (
	ones  = 0x0101010101010101
	highs = 0x80 * ones
)

// scanText returns where the run of plain characters that starts at i ends: at a quote, a
// backslash, a control character or the end of src. ascii reports whether all of them are ASCII.
func scanText(src []byte, i int) (end int, ascii bool) {
	var high uint64
	for ; i+8 <= len(src); i += 8 {
		// The well-known test for a zero byte, of three words at once: in the lowest byte that
		// it marks, it does not err.
		word := binary.LittleEndian.Uint64(src[i:])
		quote, backslash := word^'"'*ones, word^'\\'*ones
		marks := ((quote-ones)&^quote | (backslash-ones)&^backslash | (word-' '*ones)&^word) & highs
		if marks != 0 {
			before := marks&-marks - 1
			return i + bits.TrailingZeros64(marks)/8, (high|word&before)&highs == 0
		}
		high |= word
	}
	for ; i < len(src); i++ {
		if c := src[i]; c == '"' || c == '\\' || c < ' ' {
			break
		}
		high |= uint64(src[i])
	}
	return i, high&highs == 0
}

// shortText is how long a text may be that is copied as it is scanned. Its length is one byte.
const shortText = 128

// copyPlain copies the plain ASCII characters that src begins with to dst, and returns how many
// they are. It looks no further than shortText, nor at the last seven bytes of src, and may
// write more than it counts.
func copyPlain(dst *[shortText + 8]byte, src []byte) int {
	n := 0
	for ; n < shortText && n+8 <= len(src); n += 8 {
		word := binary.LittleEndian.Uint64(src[n : n+8])
		binary.LittleEndian.PutUint64(dst[n:n+8], word)
		// As in scanText, and shorter because it may mark what is not ASCII as well.
		marks := ((word ^ '"'*ones - ones) | (word ^ '\\'*ones - ones) | (word - ' '*ones) | word) & highs
		if marks != 0 {
			return n + bits.TrailingZeros64(marks)/8
		}
	}
	return n
}

// text appends the string that begins after the quote before i, preceded by a tag and its length. If it is
// not valid UTF-8, that is recorded for f.
func (r *run) text(i int, t tag, f *field) int {
	// To scan and to copy at once saves a tenth of the time of decoding: texts are mostly short.
	room, size := r.room(), t.size&maxTagBytes
	binary.LittleEndian.PutUint64(room[:], t.bytes)
	n := copyPlain((*[shortText + 8]byte)(room[size+1:]), r.src[i:])
	if n == shortText || r.peek(i+n) != '"' {
		return r.longText(i, t, f)
	}
	room[size] = byte(n)
	r.out = r.out[:len(r.out)+size+1+n]
	return i + n + 1
}

// longText is text for a string of any length and content.
func (r *run) longText(i int, t tag, f *field) int {
	end, ascii := scanText(r.src, i)
	if r.peek(end) == '"' && (ascii || utf8.Valid(r.src[i:end])) {
		r.tag(t)
		r.append(uint64(end - i))
		r.out = append(r.out, r.src[i:end]...)
		return end + 1
	}
	start := r.begin(t)
	r.replaced = false
	if i = r.unquote(i, true); i >= 0 {
		r.finish(start)
		if r.replaced {
			r.record(f, InvalidText)
		}
	}
	return i
}

// token returns the string that begins after the quote before i, and where it ends. The text is valid UTF-8.
// It may lie in the spare room of the output, and may be used until the next append to that.
func (r *run) token(i int) (text []byte, next int) {
	end, ascii := scanText(r.src, i)
	if r.peek(end) == '"' && (ascii || utf8.Valid(r.src[i:end])) {
		return r.src[i:end], end + 1
	}
	start := len(r.out)
	next = r.unquote(i, true)
	text, r.out = r.out[start:], r.out[:start]
	return text, next
}

// unquote reads the string that begins after the quote before i, and appends its text if keep is true. It
// sets r.replaced if some of the text had to be replaced.
func (r *run) unquote(i int, keep bool) int {
	for {
		end, ascii := scanText(r.src, i)
		plain := r.src[i:end]
		valid := ascii || utf8.Valid(plain)
		r.replaced = r.replaced || !valid
		switch {
		case !keep:
		case valid:
			r.out = append(r.out, plain...)
		default:
			r.replace(plain)
		}
		switch r.peek(end) {
		case '"':
			return end + 1
		case '\\':
			var c rune
			if c, i = r.escape(end); i < 0 {
				return i
			}
			if keep {
				r.out = utf8.AppendRune(r.out, c)
			}
		default:
			return r.fail(end, "control character in a string")
		}
	}
}

// replace appends text without escape sequences, of which some may be invalid.
func (r *run) replace(text []byte) {
	for _, c := range string(text) {
		r.out = utf8.AppendRune(r.out, c)
	}
}

// escape reads the escape sequence at i, or the two that make a surrogate pair. A surrogate
// that is not in a pair is replaced.
func (r *run) escape(i int) (c rune, next int) {
	switch e := r.peek(i + 1); e {
	case '"', '\\', '/':
		return rune(e), i + 2
	case 'b':
		return '\b', i + 2
	case 'f':
		return '\f', i + 2
	case 'n':
		return '\n', i + 2
	case 'r':
		return '\r', i + 2
	case 't':
		return '\t', i + 2
	case 'u':
		c, ok := hex4(r.src, i+2)
		if !ok {
			return 0, r.fail(i, "malformed escape sequence")
		}
		if !utf16.IsSurrogate(c) {
			return c, i + 6
		}
		if r.peek(i+6) == '\\' && r.peek(i+7) == 'u' {
			if low, ok := hex4(r.src, i+8); ok {
				if pair := utf16.DecodeRune(c, low); pair != utf8.RuneError {
					return pair, i + 12
				}
			}
		}
		r.replaced = true
		return utf8.RuneError, i + 6
	default:
		return 0, r.fail(i, "malformed escape sequence")
	}
}

// hex4 reads the four hexadecimal digits at i.
func hex4(src []byte, i int) (c rune, ok bool) {
	if len(src) < i+4 {
		return 0, false
	}
	for _, digit := range src[i : i+4] {
		switch {
		case isDigit(digit):
			digit -= '0'
		case 'a' <= digit|0x20 && digit|0x20 <= 'f':
			digit = digit | 0x20 - 'a' + 10
		default:
			return 0, false
		}
		c = c<<4 | rune(digit)
	}
	return c, true
}
