package transcode

import (
	"encoding/base64"
	"fmt"
	"slices"
	"strconv"
	"strings"

	"google.golang.org/protobuf/reflect/protoreflect"
)

// Encoder writes fields of a message as JSON, the way the REST API reads it. It is immutable
// and safe for concurrent use.
//
// Members are in the order of field numbers, keys of maps in byte order, so that equal
// messages give equal bytes. Integers of every size are JSON numbers, never strings; doubles
// have the shortest form that reads back the same; bytes are base64 with padding;
// google.protobuf.Value, Struct and ListValue are the JSON that they stand for.
//
// The fields of a line are one member (see [Lines]), and the newest that is set is written. Several may be
// set if they say the same, as an integer and its text do: a Decoder sets them so.
//
// What is unset is left out, and so are empty lists and maps, except those annotated as required: proto3
// cannot tell an unset list from an empty one, and `[]` or `{}` is the faithful reading of a required one. A
// message with a root field is written as that field's value, as null if it is unset. If other fields are set
// instead, the message is written as an object of these. A message whose root fields are all retired is an
// object unless one of them is set.
type Encoder struct {
	top *objectWriter
}

// FieldError says which field cannot be written as JSON, and why.
type FieldError struct {
	// Path is the field's path in proto names, such as "geofence.circle.radius_meters",
	// "stops[2].name" or `params["limit"]`. In an error of [Encoder.Mask] it is the mask's path
	// as it was given.
	Path   string
	Reason string
}

func (e *FieldError) Error() string { return e.Path + ": " + e.Reason }

// within puts segment before the path.
func (e *FieldError) within(segment string) *FieldError {
	if e.Path != "" && e.Path[0] != '[' {
		segment += "."
	}
	e.Path = segment + e.Path
	return e
}

// Reasons of a FieldError that occur more than once.
const (
	reasonText   = "must be valid UTF-8"
	reasonFinite = "must be a finite number"
)

// Append appends the JSON of m, which must be of the encoder's message, to dst. With a mask exactly the
// fields that it names are written: an unset one as null, an empty list as `[]`, an empty map as `{}`. Of the
// fields of a line, only the named ones count. If none of them is set, the newest of them is the unset one.
//
// The error is a *FieldError: for text that is not UTF-8, for NaN and the infinities, for a
// google.protobuf.Value that holds nothing, for a root field set together with others, for two
// fields of a line that differ, and for JSON nested deeper than MaxDepth. dst is then returned as
// it came.
func (e *Encoder) Append(dst []byte, m protoreflect.Message, mask *Mask) ([]byte, error) {
	out, err := e.top.append(dst, m, mask, 0)
	if err != nil {
		return dst, err
	}
	return out, nil
}

// objectWriter writes a message as a JSON object, or as the value of its root field.
type objectWriter struct {
	members []memberWriter
	// roots are the indices of the root fields, the newest first, and whole is whether that one is not
	// retired: then the message is its value even if it is unset.
	roots []int
	whole bool
	// demands is whether a required field may be missing from the object or below it.
	demands bool
	wire    wireObject
}

// memberWriter writes one field.
type memberWriter struct {
	field protoreflect.FieldDescriptor
	name  string
	// key is the member's name as JSON, with the colon.
	key      string
	shape    shape
	required bool
	value    valueWriter
	// line are the indices of the fields that are the same member, this one among them and the newest first;
	// nil if there is no other one.
	line []int

	// What follows is for the wire. next is the key after a comma; text is whether the field is a single text
	// with presence, which most are. root is whether it is a root field, implicit whether zero counts as unset,
	// and groups has a bit for its line and one for its oneof.
	next                 string
	text, root, implicit bool
	groups               uint64
}

// shape is how a field holds its values.
type shape uint8

const (
	singular shape = iota
	list
	dictionary
)

// valueWriter writes one value of a field: an element of a list, a value of a map.
type valueWriter struct {
	kind protoreflect.Kind
	// object writes messages; nil for messages that stand for any JSON, of which native says which.
	object *objectWriter
	native native
}

// append writes m as an object. depth is how many arrays and objects are open around it.
func (o *objectWriter) append(dst []byte, m protoreflect.Message, mask *Mask, depth int) ([]byte, *FieldError) {
	if len(o.roots) > 0 {
		root := o.newest(o.roots, m, mask)
		switch own, others := o.names(m, mask); {
		case own && others:
			return dst, (&FieldError{Reason: "is the whole value, so that no other field can be sent with it"}).within(o.members[root].name)
		case !others && (own || o.whole):
			return o.appendNewest(dst, o.roots, root, m, mask, depth)
		}
	}
	if depth >= MaxDepth {
		return dst, tooDeep()
	}
	dst = append(dst, '{')
	first := true
	for i := range o.members {
		f := &o.members[i]
		always := mask == nil && f.required && f.shape != singular
		if !always && !o.named(i, m, mask) {
			continue
		}
		if f.line != nil && o.newest(f.line, m, mask) != i {
			continue
		}
		if !first {
			dst = append(dst, ',')
		}
		first = false
		var err *FieldError
		if dst, err = o.appendNewest(append(dst, f.key...), f.line, i, m, mask, depth+1); err != nil {
			return dst, err
		}
	}
	return append(dst, '}'), nil
}

// names reports whether a root field is written, and whether any other field is.
func (o *objectWriter) names(m protoreflect.Message, mask *Mask) (root, others bool) {
	for i := range o.members {
		switch {
		case !o.named(i, m, mask):
		case slices.Contains(o.roots, i):
			root = true
		default:
			others = true
		}
	}
	return root, others
}

// named reports whether the i-th member is written: if the mask names it or, without a mask, if it is set.
func (o *objectWriter) named(i int, m protoreflect.Message, mask *Mask) bool {
	if mask == nil {
		return m.Has(o.members[i].field)
	}
	_, named := mask.find(i)
	return named
}

// appendMember writes the value of the i-th member.
func (o *objectWriter) appendMember(dst []byte, i int, m protoreflect.Message, mask *Mask, depth int) ([]byte, *FieldError) {
	f := &o.members[i]
	sub, _ := mask.find(i)
	var err *FieldError
	switch v := m.Get(f.field); {
	case f.shape == list:
		dst, err = f.value.appendList(dst, v.List(), depth)
	case f.shape == dictionary:
		dst, err = f.value.appendMap(dst, v.Map(), depth)
	case sub == nil && !m.Has(f.field):
		dst = append(dst, "null"...)
	default:
		dst, err = f.value.append(dst, v, sub, depth)
	}
	if err != nil {
		return dst, err.within(f.name)
	}
	return dst, nil
}

func (w *valueWriter) appendList(dst []byte, values protoreflect.List, depth int) ([]byte, *FieldError) {
	if depth >= MaxDepth {
		return dst, tooDeep()
	}
	dst = append(dst, '[')
	for i := range values.Len() {
		if i > 0 {
			dst = append(dst, ',')
		}
		var err *FieldError
		if dst, err = w.append(dst, values.Get(i), nil, depth+1); err != nil {
			return dst, err.within(indexSegment(i))
		}
	}
	return append(dst, ']'), nil
}

func (w *valueWriter) appendMap(dst []byte, values protoreflect.Map, depth int) ([]byte, *FieldError) {
	if depth >= MaxDepth {
		return dst, tooDeep()
	}
	dst = append(dst, '{')
	for i, e := range sortedEntries(values) {
		if i > 0 {
			dst = append(dst, ',')
		}
		var ok bool
		if dst, ok = appendJSONString(dst, e.key); !ok {
			return dst, (&FieldError{Reason: reasonText}).within(keySegment(e.key))
		}
		dst = append(dst, ':')
		var err *FieldError
		if dst, err = w.append(dst, e.value, nil, depth+1); err != nil {
			return dst, err.within(keySegment(e.key))
		}
	}
	return append(dst, '}'), nil
}

func (w *valueWriter) append(dst []byte, v protoreflect.Value, mask *Mask, depth int) ([]byte, *FieldError) {
	ok, reason := true, ""
	switch w.kind {
	case protoreflect.MessageKind:
		if w.object == nil {
			return appendNative(dst, v.Message(), depth)
		}
		return w.object.append(dst, v.Message(), mask, depth)
	case protoreflect.StringKind:
		dst, ok = appendJSONString(dst, v.String())
		reason = reasonText
	case protoreflect.BoolKind:
		dst = strconv.AppendBool(dst, v.Bool())
	case protoreflect.DoubleKind:
		dst, ok = appendJSONFloat(dst, v.Float(), 64)
		reason = reasonFinite
	case protoreflect.FloatKind:
		dst, ok = appendJSONFloat(dst, v.Float(), 32)
		reason = reasonFinite
	case protoreflect.Uint32Kind, protoreflect.Uint64Kind, protoreflect.Fixed32Kind, protoreflect.Fixed64Kind:
		dst = strconv.AppendUint(dst, v.Uint(), 10)
	case protoreflect.BytesKind:
		dst = append(dst, '"')
		dst = base64.StdEncoding.AppendEncode(dst, v.Bytes())
		dst = append(dst, '"')
	default: // The remaining kinds that compile are signed integers.
		dst = strconv.AppendInt(dst, v.Int(), 10)
	}
	if !ok {
		return dst, &FieldError{Reason: reason}
	}
	return dst, nil
}

// appendNative writes a google.protobuf.Value, Struct or ListValue as the JSON it stands for.
func appendNative(dst []byte, m protoreflect.Message, depth int) ([]byte, *FieldError) {
	inner := valueWriter{kind: protoreflect.MessageKind}
	md := m.Descriptor()
	switch md.Name() {
	case "Struct":
		return inner.appendMap(dst, m.Get(md.Fields().ByName("fields")).Map(), depth)
	case "ListValue":
		return inner.appendList(dst, m.Get(md.Fields().ByName("values")).List(), depth)
	}
	set := m.WhichOneof(md.Oneofs().ByName("kind"))
	switch {
	case set == nil:
		return dst, &FieldError{Reason: "must hold a value: null is null_value"}
	case set.Kind() == protoreflect.EnumKind:
		return append(dst, "null"...), nil
	}
	one := valueWriter{kind: set.Kind()}
	return one.append(dst, m.Get(set), nil, depth)
}

// entry is a key of a map with its value.
type entry struct {
	key   string
	value protoreflect.Value
}

// sortedEntries returns the entries of a map, whose keys are strings, in byte order of the keys. It returns
// the values too, because looking each up afterwards costs two allocations a key.
func sortedEntries(values protoreflect.Map) []entry {
	entries := make([]entry, 0, values.Len())
	values.Range(func(key protoreflect.MapKey, value protoreflect.Value) bool {
		entries = append(entries, entry{key.String(), value})
		return true
	})
	slices.SortFunc(entries, func(a, b entry) int { return strings.Compare(a.key, b.key) })
	return entries
}

func tooDeep() *FieldError {
	return &FieldError{Reason: fmt.Sprintf("must not nest deeper than %d levels of JSON", MaxDepth)}
}

// indexSegment returns the segment of a path that leads to an element of a list.
func indexSegment(i int) string { return "[" + strconv.Itoa(i) + "]" }

// keySegment returns the segment of a path that leads to a value of a map. Keys come from the caller, so they
// are quoted and cut short.
func keySegment(key string) string { return fmt.Sprintf("[%.64q]", key) }
