package transcode

import "slices"

// kinds is a set of kinds of drift, one bit each.
type kinds uint16

// How badly a value fits a field, if it is not of its very type.
const (
	converted = 1 // nothing is lost
	lossy     = 2 // some of it is left out
)

// misfit returns how badly a value fits a field, by the drift that was met in reading it.
func (k kinds) misfit() int {
	switch {
	case k&(1<<Mismatch|1<<TooDeep|1<<NullEntry) != 0:
		return lossy
	case k&(1<<Coerced) != 0:
		return converted
	default:
		return 0
	}
}

// maxLines is how many lines of fields may read their values more than once within one another.
// Deeper ones read them as the newest type that may fit, so that a document takes time in
// proportion to its length whatever it holds.
const maxLines = 3

// newLine returns the field that reads the member of fields, which are sorted newest first.
func newLine(fields []*field) *field {
	newest := fields[0]
	if len(fields) == 1 {
		return newest
	}
	f := &field{owner: newest.owner, name: newest.name, member: newest.member, key: newest.key, arity: lined, line: fields}
	for _, of := range fields {
		f.takesNull = f.takesNull || of.takesNull
	}
	return f
}

// mayFit reports whether a value that begins with c may be of the type of f, converted or not.
func (f *field) mayFit(c byte) bool {
	number := c == '-' || isDigit(c)
	boolean := c == 't' || c == 'f'
	switch f.arity {
	case repeated, packed, recorded:
		return c == '['
	case keyed:
		return c == '{'
	case lined:
		return slices.ContainsFunc(f.line, func(f *field) bool { return f.mayFit(c) })
	case once:
	}
	switch f.op {
	case opString:
		return c == '"' || number || boolean
	case opInt64, opDouble:
		return c == '"' || number
	case opBool:
		return c == '"' || boolean
	case opMessage:
		return c == '{' || f.message.root != nil && f.message.root.takes(c)
	case opStruct:
		return c == '{'
	case opListValue:
		return c == '['
	case opValue:
		return true
	default:
		return false
	}
}

// line appends what the value at i gives to each field of the line of f. The newest whose type
// fits takes it, and so do older ones that lose nothing of it. What is recorded is how the value
// differs from the type that it fits best, the newest of equals.
func (r *run) line(i int, f *field) int {
	c := r.peek(i)
	var newest *field
	others := false
	for _, of := range f.line {
		switch {
		case !of.mayFit(c):
		case newest == nil:
			newest = of
		default:
			others = true
		}
	}
	switch {
	case newest == nil && c == 'n':
		return r.literal(i, "null")
	case newest == nil:
		return r.mismatch(i, f)
	case !others || r.lines == maxLines:
		return r.field(i, newest)
	}

	r.lines++
	outer, drift, exact := r.seen, r.drift, r.exact
	r.drift = nil
	var best *field
	var met kinds // by best
	end := i
	for _, of := range f.line {
		if !of.mayFit(c) {
			continue
		}
		mark := len(r.out)
		r.seen, r.exact = 0, exact || of != newest
		if end = r.field(i, of); end < 0 {
			return end
		}
		if of != newest && (r.seen.misfit() == lossy || r.isBlank(of, mark, i, end)) {
			r.out = r.out[:mark]
			continue
		}
		if best == nil || r.seen.misfit() < met.misfit() {
			best, met = of, r.seen
		}
	}
	r.seen, r.drift, r.exact = 0, drift, exact
	if met != 0 && drift != nil {
		mark := len(r.out)
		end = r.field(i, best)
		r.out = r.out[:mark]
	}
	r.seen = outer | met
	r.lines--
	return end
}

// isBlank reports whether f, which is written from mark on, is an empty message though the value from i to
// end is not empty.
func (r *run) isBlank(f *field, mark, i, end int) bool {
	return f.arity == once && f.op == opMessage && len(r.out) == mark+f.tag.size+1 && r.space(i+1) < end-1
}
