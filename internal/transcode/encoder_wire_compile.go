package transcode

import (
	"slices"

	"google.golang.org/protobuf/encoding/protowire"
	"google.golang.org/protobuf/reflect/protoreflect"
)

// wireObject is what a writer knows of its message in wire form.
type wireObject struct {
	// slow is whether the message is always built.
	slow bool
	// near has the index of each member by its number, and -1 for no member; far those of greater numbers.
	near []int16
	far  map[protowire.Number]int
	// always are the members that are written even if empty.
	always []int
	// required is how many required members have no line, and lines the groups of those that have one.
	required int
	lines    uint64
}

// maxNear bounds what wireObject.near takes. Hardly a field has a greater number.
const maxNear = 512

// maxGroups is how many lines and oneofs of a message have a bit.
const maxGroups = 64

// index returns the index of the member of a number, -1 if there is none.
func (w *wireObject) index(number protowire.Number) int {
	if uint(number) < uint(len(w.near)) {
		return int(w.near[number])
	}
	if i, ok := w.far[number]; ok {
		return i
	}
	return -1
}

// compileWire fills in what is read from the wire, once the lines of the members are known.
func (o *objectWriter) compileWire() {
	groups := map[any]uint64{}
	join := func(f *memberWriter, of any) uint64 {
		if groups[of] == 0 {
			groups[of] = 1 << (len(groups) % maxGroups)
		}
		f.groups |= groups[of]
		return groups[of]
	}
	w := &o.wire
	w.far = map[protowire.Number]int{}
	for i := range o.members {
		f := &o.members[i]
		f.root = slices.Contains(o.roots, i)
		f.implicit = f.shape == singular && !f.field.HasPresence()
		f.text = f.shape == singular && f.value.kind == protoreflect.StringKind && !f.implicit
		f.next = "," + f.key
		if oneof := f.field.ContainingOneof(); oneof != nil && !oneof.IsSynthetic() {
			join(f, oneof.FullName())
		}
		switch {
		case f.line != nil:
			line := join(f, f.line[0])
			if f.required && f.shape == singular {
				w.lines |= line
			}
			w.slow = w.slow || f.required && f.shape != singular
		case f.required && f.shape == singular:
			w.required++
		case f.required:
			w.always = append(w.always, i)
		}
		w.put(f.field.Number(), i)
	}
	w.slow = w.slow || len(groups) > maxGroups
}

func (w *wireObject) put(number protoreflect.FieldNumber, i int) {
	if number >= maxNear {
		w.far[number] = i
		return
	}
	for int(number) >= len(w.near) {
		w.near = append(w.near, -1)
	}
	w.near[number] = int16(i)
}

// met is what has been met of an object.
type met struct {
	required int
	groups   uint64
}

// add adds a member. It returns false if another one of its line or oneof has been met.
func (m *met) add(f *memberWriter) bool {
	if m.groups&f.groups != 0 {
		return false
	}
	m.groups |= f.groups
	if f.required && f.shape == singular && f.line == nil {
		m.required++
	}
	return true
}

// all reports whether every required member has been met.
func (m *met) all(w *wireObject) bool {
	return m.required == w.required && m.groups&w.lines == w.lines
}
