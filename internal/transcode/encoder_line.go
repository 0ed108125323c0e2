package transcode

import (
	"bytes"
	"encoding/json"
	"fmt"

	"google.golang.org/protobuf/reflect/protoreflect"
)

// newest returns the index of the field that is written, of a line or of the root fields: the first that is
// set, or the first of all if none is set. With a mask, only the fields that it names count.
func (o *objectWriter) newest(line []int, m protoreflect.Message, mask *Mask) int {
	first := -1
	for _, i := range line {
		_, named := mask.find(i)
		switch {
		case mask != nil && !named:
		case m.Has(o.members[i].field):
			return i
		case first < 0:
			first = i
		}
	}
	return first
}

// appendNewest writes the value of the newest field of a line, and fails if another field that counts
// differs. line is nil if the member has only one field. Each field is written once, so that lines within
// lines take no more time than their fields.
func (o *objectWriter) appendNewest(dst []byte, line []int, newest int, m protoreflect.Message, mask *Mask, depth int) ([]byte, *FieldError) {
	start := len(dst)
	dst, err := o.appendMember(dst, newest, m, mask, depth)
	if err != nil {
		return dst, err
	}
	for _, i := range line {
		if i == newest || !m.Has(o.members[i].field) || !o.named(i, m, mask) {
			continue
		}
		text := dst[start:]
		if sub, _ := mask.find(newest); sub != nil {
			if text, err = o.appendMember(nil, newest, m, nil, depth); err != nil {
				return dst, err
			}
		}
		older, err := o.appendMember(nil, i, m, nil, depth)
		if err != nil || !equalJSON(text, older) {
			reason := fmt.Sprintf("must not differ from %s, which is the same member: set one of them", o.members[i].name)
			return dst, (&FieldError{Reason: reason}).within(o.members[newest].name)
		}
	}
	return dst, nil
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

// equalJSON reports whether two values are the same. A number or a bool is the same as its text.
func equalJSON(a, b []byte) bool {
	var values [2]any
	for i, text := range [...][]byte{a, b} {
		decoder := json.NewDecoder(bytes.NewReader(text))
		decoder.UseNumber()
		if decoder.Decode(&values[i]) != nil {
			return false
		}
	}
	return sameJSON(values[0], values[1])
}

// sameScalar reports whether the texts of two scalars are the same. Numbers are compared by value.
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
