package transcode

import (
	"bytes"
	"encoding/json"
	"fmt"

	"google.golang.org/protobuf/reflect/protoreflect"
)

// newest returns which field of a line, or of the root fields, is to be written: of those that the
// mask names, without a mask of all, the first that is set, and if none is the first. It fails if
// two are set that differ.
func (o *objectWriter) newest(line []int, m protoreflect.Message, mask *Mask) (int, *FieldError) {
	first, newest := -1, -1
	for _, i := range line {
		_, named := mask.find(i)
		switch {
		case mask != nil && !named:
		case !m.Has(o.members[i].field):
			if first < 0 {
				first = i
			}
		case newest < 0:
			newest = i
		case !o.equal(newest, i, m):
			reason := fmt.Sprintf("must not differ from %s, which is the same member: set one of them", o.members[i].name)
			return newest, (&FieldError{Reason: reason}).within(o.members[newest].name)
		}
	}
	if newest < 0 {
		newest = first
	}
	return newest, nil
}

// has reports whether m has a field of a line.
func (o *objectWriter) has(line []int, m protoreflect.Message) bool {
	for _, i := range line {
		if m.Has(o.members[i].field) {
			return true
		}
	}
	return false
}

// equal reports whether two fields say the same: whether their JSON does, a number or a bool being
// the same as its text.
func (o *objectWriter) equal(i, j int, m protoreflect.Message) bool {
	var values [2]any
	for k, member := range [...]int{i, j} {
		text, err := o.appendMember(nil, member, m, nil, 0)
		if err != nil {
			return false
		}
		decoder := json.NewDecoder(bytes.NewReader(text))
		decoder.UseNumber()
		if decoder.Decode(&values[k]) != nil {
			return false
		}
	}
	return sameJSON(values[0], values[1])
}

// sameScalar compares the texts of two scalars, and those of numbers by what they are.
func sameScalar(a, b string) bool {
	if a == b {
		return true
	}
	m, ok := parseNumber(a)
	n, alsoOK := parseNumber(b)
	if !ok || !alsoOK {
		return false
	}
	if v, ok := m.int64([]byte(a)); ok {
		w, ok := n.int64([]byte(b))
		return ok && v == w
	}
	v, ok := m.float64([]byte(a))
	w, alsoOK := n.float64([]byte(b))
	return ok && alsoOK && v == w
}

func parseNumber(text string) (number, bool) {
	n, end, ok := scanNumber([]byte(text), 0)
	return n, ok && end == len(text)
}

func sameJSON(a, b any) bool {
	switch a := a.(type) {
	case map[string]any:
		b, ok := b.(map[string]any)
		if !ok || len(a) != len(b) {
			return false
		}
		for name, value := range a {
			other, ok := b[name]
			if !ok || !sameJSON(value, other) {
				return false
			}
		}
		return true
	case []any:
		b, ok := b.([]any)
		if !ok || len(a) != len(b) {
			return false
		}
		for i := range a {
			if !sameJSON(a[i], b[i]) {
				return false
			}
		}
		return true
	case nil:
		return b == nil
	default:
		switch b.(type) {
		case map[string]any, []any, nil:
			return false
		}
		return sameScalar(fmt.Sprint(a), fmt.Sprint(b))
	}
}
