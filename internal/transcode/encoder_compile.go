package transcode

import (
	"cmp"
	"errors"
	"slices"

	"google.golang.org/protobuf/reflect/protoreflect"
)

// Encoder returns an encoder that writes the given fields of md, retired ones excepted, as a
// JSON object, or as the value of the one among them that is a root field. Fields of nested
// messages are written all.
//
// The error joins an ErrDescriptor for everything that has no JSON form here: enums and groups,
// messages of google.protobuf other than Value, Struct and ListValue, map keys other than
// strings, two fields of one wire name, more than one root field in a message.
func (*Compiler) Encoder(md protoreflect.MessageDescriptor, fields []protoreflect.FieldDescriptor) (*Encoder, error) {
	b := encoderBuilder{objects: map[protoreflect.FullName]*objectWriter{}}
	top := &objectWriter{}
	b.fill(top, md, fields)
	if len(b.problems) > 0 {
		return nil, errors.Join(b.problems...)
	}
	markDemands(b.all)
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
	fields := make([]protoreflect.FieldDescriptor, md.Fields().Len())
	for i := range fields {
		fields[i] = md.Fields().Get(i)
	}
	b.fill(o, md, fields)
	return o
}

// fill makes o write the given fields of md.
func (b *encoderBuilder) fill(o *objectWriter, md protoreflect.MessageDescriptor, fields []protoreflect.FieldDescriptor) {
	b.all = append(b.all, o)
	o.root = -1
	fields = slices.Clone(fields)
	slices.SortFunc(fields, func(a, b protoreflect.FieldDescriptor) int { return cmp.Compare(a.Number(), b.Number()) })
	for _, fd := range fields {
		options := FieldOptions(fd)
		if options.GetRetired() {
			continue
		}
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
		if slices.ContainsFunc(o.members, func(other memberWriter) bool { return other.key == f.key }) {
			b.problem(fd, "shares its wire name %q with another field", WireName(fd))
		}
		if options.GetRoot() {
			if o.root >= 0 {
				b.problem(fd, "is a second root field of %s", md.FullName())
			}
			o.root = len(o.members)
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
}

func (b *encoderBuilder) value(fd protoreflect.FieldDescriptor) valueWriter {
	w := valueWriter{kind: fd.Kind()}
	switch fd.Kind() {
	case protoreflect.EnumKind, protoreflect.GroupKind:
		b.problem(fd, "is of type %s, which has no JSON form here", fd.Kind())
	case protoreflect.MessageKind:
		switch md := fd.Message(); {
		case isNative(md):
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

// markDemands marks the objects in or below which a required field may be missing. Messages
// recur, so it goes round until nothing changes.
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
