package transcode

import (
	"bytes"
	"errors"
	"fmt"
	"slices"
	"unicode/utf8"
)

// MaxDepth is how deep arrays and objects may nest that are read into a message or written from one. The
// message then has no more than the 100 levels that C++ and Java parse: one for each array or object, one
// more for a Value, one for a message whose root field it is, and one that a stream or an answer that was not
// wrapped puts around it.
const MaxDepth = 97

// MaxValueDepth is how deep arrays and objects may nest inside a google.protobuf.Value. Each of them takes
// valueLevels levels of messages: for an object they are Value, Struct and entry. The bound is lower if more
// than 7 arrays and objects are around the Value.
const (
	MaxValueDepth = 30
	valueLevels   = 3
)

// SyntaxError says why a document is not JSON.
type SyntaxError struct {
	// Offset is the byte at which it stops being JSON.
	Offset int
	// Reason is what was found there. It holds none of the document's text.
	Reason string
}

func (e *SyntaxError) Error() string {
	return fmt.Sprintf("not JSON at byte %d: %s", e.Offset, e.Reason)
}

// ErrRoot means that a document is JSON, but its outermost value is of another type than the message: for
// example a string or a number, though an object is declared.
var ErrRoot = errors.New("outermost JSON value has another type than the message")

// Decoder turns JSON into the wire form of one message. It is safe for concurrent use.
type Decoder struct {
	message *message
	// envelope is the member that holds what the answer is about, and data its newest field that is a
	// single message; nil if there is none. See wrap.go.
	envelope, data *field
	// blank is a message with an empty data.
	blank []byte
	// bare is the message without data if the answer was wrapped at one time and bare at another, else nil.
	// bareIsOld is whether the bare form is the older one.
	bare      *message
	bareIsOld bool
}

// Append appends the wire form of the JSON document src to dst, and records in drift, which may be nil, what
// differs from the descriptor. The package comment says how each value is read.
//
// The error is a *SyntaxError or wraps ErrRoot. With an error dst is returned as it came, but the bytes
// between its length and its capacity may have been overwritten, and drift holds what was met until then. src
// is not kept.
//
// Append allocates for a finding that is new to drift, for numbers of more than 32 characters, and when dst
// has to grow: when less than 144 bytes are spare before a value, or less than an eighth of a value that is
// skipped and nests more than 64 levels.
func (d *Decoder) Append(dst, src []byte, drift *Drift) ([]byte, error) {
	r := run{src: src, out: dst, drift: drift}
	i := r.start()
	c := r.peek(i)
	root, misfit := d.message.root, false
	switch {
	case c == '{':
		i = r.answer(i, d)
	case root != nil && (c == 'n' || root.takes(c)):
		i = r.field(i, root)
	case c == '[' && d.envelope != nil && r.suits(i, d.envelope):
		r.wrapped(d.message)
		i = r.field(i, d.envelope)
	default:
		misfit = c != 'n'
		i = r.skip(i)
	}
	if i = r.end(i); i < 0 {
		return dst, r.err
	}
	if misfit {
		return dst, fmt.Errorf("%s: %w", d.message.name, ErrRoot)
	}
	return r.out, nil
}

// SetRecords sets the path of a page's records: the wire names that lead to their list. It must be called at
// start-up, before anything is read. A path that leads to no list has no effect.
func (d *Decoder) SetRecords(path ...string) {
	m := d.message
	for i, name := range path {
		f := m.lookup([]byte(name))
		switch below := f.single(); {
		case f == nil:
			return
		case i < len(path)-1 && below == nil:
			return
		case i < len(path)-1:
			m = below.message
		default:
			for _, of := range append(slices.Clone(f.line), f) {
				if of.arity == repeated {
					of.arity = recorded
				}
			}
		}
	}
}

// Valid returns nil if src is one JSON document, and otherwise the *SyntaxError with which Append would
// refuse it. It also refuses invalid UTF-8, which Append would replace. It allows lone surrogates.
func Valid(src []byte) error {
	r := run{src: src}
	if r.end(r.skip(r.start())) < 0 {
		return r.err
	}
	if !utf8.Valid(src) {
		offset := 0
		for c, size := utf8.DecodeRune(src); c != utf8.RuneError || size != 1; c, size = utf8.DecodeRune(src[offset:]) {
			offset += size
		}
		return &SyntaxError{Offset: offset, Reason: "invalid UTF-8"}
	}
	return nil
}

// run is the state of one reading. Its methods take the position to read from and return the one after what
// they read. The position is negative if they failed: failed, with err set, or overDeep.
type run struct {
	src   []byte
	out   []byte
	depth int
	drift *Drift
	// replaced is set when text that is not valid is met.
	replaced bool
	// seen are the kinds of drift that were met, one bit each, and lines is how many lines of fields are
	// being read within one another. exact is whether a double refuses a whole number that it does not hold
	// exactly. See line.go.
	seen  kinds
	lines int
	exact bool
	// lessons is how often this reading changed which field is expected after another one.
	lessons int
	err     error
}

// maxLessons bounds r.lessons. All readings share what is expected, and documents whose order changes must
// not make processors wait for each other's writes.
const maxLessons = 16

const (
	failed   = -1
	overDeep = -2
)

// fail ends the reading at i.
func (r *run) fail(i int, reason string) int {
	if i >= len(r.src) {
		i, reason = len(r.src), "unexpected end"
	}
	r.err = &SyntaxError{Offset: i, Reason: reason}
	return failed
}

// start returns where the document's value begins.
func (r *run) start() int {
	if bytes.HasPrefix(r.src, []byte("\ufeff")) {
		return r.space(len("\ufeff"))
	}
	return r.space(0)
}

// end makes sure that nothing follows the document's value, which ends at i.
func (r *run) end(i int) int {
	if i < 0 {
		return i
	}
	if i = r.space(i); i < len(r.src) {
		return r.fail(i, "text after the outermost value")
	}
	return i
}

// peek returns the byte at i; 0, which begins nothing in JSON, after the last.
func (r *run) peek(i int) byte {
	if i < len(r.src) {
		return r.src[i]
	}
	return 0
}

// space skips white space.
func (r *run) space(i int) int {
	for i < len(r.src) && r.src[i] <= ' ' {
		switch r.src[i] {
		case ' ', '\n', '\r', '\t':
			i++
		default:
			return i
		}
	}
	return i
}

// open goes into the object or array at i, which ends with the byte given. It returns where the
// first member or element begins, and whether there is one.
func (r *run) open(i int, end byte) (next int, more bool) {
	r.depth++
	if i = r.space(i + 1); r.peek(i) == end {
		r.depth--
		return i + 1, false
	}
	return i, true
}

// more goes on from a member or element that ends at i to the next one, like open. It returns a negative i as
// it is.
func (r *run) more(i int, end byte) (next int, more bool) {
	if i < 0 {
		return i, false
	}
	i = r.space(i)
	switch r.peek(i) {
	case ',':
		return r.space(i + 1), true
	case end:
		r.depth--
		return i + 1, false
	default:
		return r.fail(i, "neither a comma nor the end of the object or array"), false
	}
}

// name reads a member's name and the colon. See token for how long the name may be used.
func (r *run) name(i int) (name []byte, next int) {
	if i = r.quote(i); i < 0 {
		return nil, i
	}
	name, i = r.token(i)
	return name, r.colon(i)
}

func (r *run) quote(i int) int {
	if r.peek(i) != '"' {
		return r.fail(i, "no member name")
	}
	return i + 1
}

func (r *run) colon(i int) int {
	if i < 0 {
		return i
	}
	if i = r.space(i); r.peek(i) != ':' {
		return r.fail(i, "no colon after a member name")
	}
	return r.space(i + 1)
}

// literal reads the literal want: true, false or null.
func (r *run) literal(i int, want string) int {
	if len(r.src)-i < len(want) || string(r.src[i:i+len(want)]) != want {
		return r.fail(i, "no value")
	}
	return i + len(want)
}

func (r *run) number(i int) (number, int) {
	n, end, ok := scanNumber(r.src, i)
	if !ok {
		return n, r.fail(end, "malformed number")
	}
	return n, end
}

func (r *run) record(f *field, kind Kind) { r.note(f.owner, f.member, kind, false) }

func (r *run) note(m *message, member []byte, kind Kind, foreign bool) {
	r.seen |= 1 << kind
	r.drift.count(m.name, member, kind, foreign)
}
