package transcode

import (
	"cmp"
	"errors"
	"slices"

	"google.golang.org/protobuf/reflect/protoreflect"
)

// Encoder returns an encoder that writes the given fields of md as a JSON object, or as the value of the one
// among them that is a root field. All fields of nested messages are written.
//
// The error joins an ErrDescriptor for everything that has no JSON form here: enums and groups, messages of
// google.protobuf other than Value, Struct and ListValue, map keys other than strings, two fields of one wire
// name or two root fields of a message if neither is retired.
func (*Compiler) Encoder(md protoreflect.MessageDescriptor, fields []protoreflect.FieldDescriptor) (*Encoder, error) {
	b := encoderBuilder{objects: map[protoreflect.FullName]*objectWriter{}}
	top := &objectWriter{}
	b.fill(top, md, fields)
	if len(b.problems) > 0 {
		return nil, errors.Join(b.problems...)
	}
	markDemands(b.all)
	for _, o := range b.all {
		o.compileWire()
	}
	return &Encoder{top: top}, nil
}

// encoderBuilder makes the writers of one encoder.
type encoderBuilder struct {
	// objects are the writers of nested messages, each made once because messages recur.
	objects  map[protoreflect.FullName]*objectWriter
	all      []*objectWriter
	problems []error
}

func (b *encoderBuilder) problem(fd protoreflect.FieldDescriptor, format string, args ...any) {
	b.problems = append(b.problems, refuse(fd, format, args...))
}

// nested returns the writer of a message with all its fields.
func (b *encoderBuilder) nested(md protoreflect.MessageDescriptor) *objectWriter {
	if o, ok := b.objects[md.FullName()]; ok {
		return o
	}
	o := &objectWriter{}
	b.objects[md.FullName()] = o
	b.fill(o, md, fieldsOf(md))
	return o
}

// fill makes o write the given fields of md.
func (b *encoderBuilder) fill(o *objectWriter, md protoreflect.MessageDescriptor, fields []protoreflect.FieldDescriptor) {
	b.all = append(b.all, o)
	fields = slices.Clone(fields)
	slices.SortFunc(fields, func(a, b protoreflect.FieldDescriptor) int { return cmp.Compare(a.Number(), b.Number()) })
	for _, fd := range fields {
		options := FieldOptions(fd)
		if fd.ContainingMessage() != md {
			b.problem(fd, "is not a field of %s", md.FullName())
			continue
		}
		key, ok := appendJSONString(nil, WireName(fd))
		if !ok {
			b.problem(fd, "has the wire name %q, which is not valid UTF-8", WireName(fd))
		}
		f := memberWriter{
			field:    fd,
			name:     string(fd.Name()),
			key:      string(key) + ":",
			required: options.GetRequired(),
		}
		switch {
		case fd.IsMap():
			f.shape = dictionary
			f.value = b.value(fd.MapValue())
			if fd.MapKey().Kind() != protoreflect.StringKind {
				b.problem(fd, "has keys of type %s, must be string", fd.MapKey().Kind())
			}
		case fd.IsList():
			f.shape = list
			f.value = b.value(fd)
		default:
			f.value = b.value(fd)
		}
		o.members = append(o.members, f)
	}
	b.lines(o)
}

// lines finds the fields of o that are one member, and the root fields of o.
func (b *encoderBuilder) lines(o *objectWriter) {
	var fields []protoreflect.FieldDescriptor
	at := map[protoreflect.FieldDescriptor]int{}
	for i, f := range o.members {
		fields = append(fields, f.field)
		at[f.field] = i
		if FieldOptions(f.field).GetRoot() {
			o.roots = append(o.roots, i)
		}
	}
	for _, line := range Lines(fields) {
		var indices []int
		for i, fd := range line {
			if i > 0 && !FieldOptions(fd).GetRetired() {
				b.problem(fd, "shares its wire name %q with another field", WireName(fd))
			}
			indices = append(indices, at[fd])
		}
		if len(indices) > 1 {
			for _, i := range indices {
				o.members[i].line = indices
			}
		}
	}
	slices.SortFunc(o.roots, func(a, b int) int { return newestFirst(o.members[a].field, o.members[b].field) })
	for i, root := range o.roots {
		retired := FieldOptions(o.members[root].field).GetRetired()
		if i == 0 {
			o.whole = !retired
		} else if !retired {
			b.problem(o.members[root].field, "is a second root field")
		}
	}
}

func (b *encoderBuilder) value(fd protoreflect.FieldDescriptor) valueWriter {
	w := valueWriter{kind: fd.Kind()}
	switch fd.Kind() {
	case protoreflect.EnumKind, protoreflect.GroupKind:
		b.problem(fd, "is of type %s, which has no JSON form here", fd.Kind())
	case protoreflect.MessageKind:
		switch md := fd.Message(); {
		case isNative(md):
			w.native = nativeOf(md)
		case md.FullName().Parent() == "google.protobuf":
			b.problem(fd, "is of type %s, which has no JSON form here", md.FullName())
		default:
			w.object = b.nested(md)
		}
	default: // Scalars.
	}
	return w
}

// isNative reports whether a message stands for any JSON value, object or array.
func isNative(md protoreflect.MessageDescriptor) bool {
	switch md.FullName() {
	case "google.protobuf.Value", "google.protobuf.Struct", "google.protobuf.ListValue":
		return true
	}
	return false
}

func nativeOf(md protoreflect.MessageDescriptor) native {
	switch md.Name() {
	case "Struct":
		return nativeStruct
	case "ListValue":
		return nativeList
	default:
		return nativeValue
	}
}

// markDemands marks the objects in or below which a required field may be missing. Messages recur, so it
// repeats until nothing changes.
func markDemands(objects []*objectWriter) {
	for changed := true; changed; {
		changed = false
		for _, o := range objects {
			if !o.demands && slices.ContainsFunc(o.members, memberWriter.demands) {
				o.demands, changed = true, true
			}
		}
	}
}

func (f memberWriter) demands() bool {
	return f.required && f.shape == singular || f.value.object != nil && f.value.object.demands
}
