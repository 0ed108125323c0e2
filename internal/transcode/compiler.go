package transcode

import (
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"

	"google.golang.org/protobuf/encoding/protowire"
	"google.golang.org/protobuf/reflect/protoreflect"
)

// ErrDescriptor means that a message is declared in a way that has no translation.
var ErrDescriptor = errors.New("message cannot be translated")

// A Compiler compiles decoders and encoders, each message once. The zero value is ready for
// use. Its messages must be of one registry, so that a full name means one message. It is not
// safe for concurrent use; what it returns is.
type Compiler struct {
	messages map[protoreflect.FullName]*message
}

// Decoder returns the decoder for md. It fails with ErrDescriptor, naming the field, if md or a message in it
// has a field of a type that the gateway's surface does not use (what it uses is in the table of the package
// comment), a map not keyed by strings, a oneof, two fields of one wire name or two root fields if neither is
// retired, a further wire name that is another field's too, or a root field that is a map, a Struct or a
// single message.
func (c *Compiler) Decoder(md protoreflect.MessageDescriptor) (*Decoder, error) {
	if isWellKnown(md) {
		return nil, refuse(md, "has a JSON form of its own")
	}
	// What is compiled on the way is kept only if all of it compiles.
	b := builder{known: c.messages, built: map[protoreflect.FullName]*message{}}
	d, err := b.decoder(md)
	if err != nil {
		return nil, err
	}
	if c.messages == nil {
		c.messages = b.built
	} else {
		maps.Copy(c.messages, b.built)
	}
	return d, nil
}

// builder compiles one message and the messages in it.
type builder struct {
	known map[protoreflect.FullName]*message
	built map[protoreflect.FullName]*message
}

func (b *builder) message(md protoreflect.MessageDescriptor) (*message, error) {
	name := md.FullName()
	if m := b.known[name]; m != nil {
		return m, nil
	}
	if m := b.built[name]; m != nil {
		return m, nil
	}
	m := &message{name: strings.TrimPrefix(string(name), string(md.ParentFile().Package())+".")}
	b.built[name] = m // before its fields, which may hold m again

	return m, b.fill(m, fieldsOf(md))
}

// fill compiles the given fields into m.
func (b *builder) fill(m *message, fds []protoreflect.FieldDescriptor) error {
	var fields, others []*field
	var roots []root
	taken := map[string]bool{}
	for _, line := range Lines(fds) {
		compiled, err := b.line(m, line)
		if err != nil {
			return err
		}
		for i, fd := range line {
			if !FieldOptions(fd).GetRoot() {
				continue
			}
			if !compiled[i].canBeRoot() {
				return refuse(fd, "is a root field, but its JSON is an object")
			}
			roots = append(roots, root{fd, compiled[i]})
		}
		f := newLine(compiled)
		f.index = len(fields)
		fields = append(fields, f)
		for _, name := range otherNames(line) {
			other, err := b.otherwise(m, line, name)
			if err != nil {
				return err
			}
			other.index = f.index
			others = append(others, other)
		}
	}
	for _, f := range slices.Concat(fields, others) {
		if taken[f.name] {
			return refuse(fds[0].Parent(), "has two members of the wire name %q", f.name)
		}
		taken[f.name] = true
	}
	if len(roots) > 0 {
		slices.SortFunc(roots, func(a, b root) int { return newestFirst(a.descriptor, b.descriptor) })
		compiled := make([]*field, len(roots))
		for i, r := range roots {
			if i > 0 && !FieldOptions(r.descriptor).GetRetired() {
				return refuse(r.descriptor, "is a second root field")
			}
			compiled[i] = r.field
		}
		m.root = newLine(compiled)
	}
	m.index(fields, others)
	return nil
}

// line compiles the fields of one member.
func (b *builder) line(m *message, line []protoreflect.FieldDescriptor) ([]*field, error) {
	compiled := make([]*field, len(line))
	for i, fd := range line {
		f, err := b.field(m, fd)
		if err != nil {
			return nil, err
		}
		if i > 0 && !FieldOptions(fd).GetRetired() {
			return nil, refuse(fd, "shares its wire name %q with another field", f.name)
		}
		compiled[i] = f
	}
	return compiled, nil
}

// otherwise compiles the fields of one member once more, for reading it under another name.
func (b *builder) otherwise(m *message, line []protoreflect.FieldDescriptor, name string) (*field, error) {
	compiled, err := b.line(m, line)
	if err != nil {
		return nil, err
	}
	f := newLine(compiled)
	f.name = name
	var ok bool
	if f.key, ok = newKey(name); !ok {
		return nil, refuse(line[0], "has the wire name %q, which is not valid UTF-8", name)
	}
	return f, nil
}

// root is a root field.
type root struct {
	descriptor protoreflect.FieldDescriptor
	field      *field
}

// field compiles fd as a field of m.
func (b *builder) field(m *message, fd protoreflect.FieldDescriptor) (*field, error) {
	f := &field{owner: m, name: WireName(fd)}
	f.member = []byte(f.name)
	var ok bool
	if f.key, ok = newKey(f.name); !ok {
		return nil, refuse(fd, "has the wire name %q, which is not valid UTF-8", f.name)
	}
	switch {
	case fd.ContainingOneof() != nil && !fd.HasOptionalKeyword():
		return nil, refuse(fd, "is in a oneof")
	case fd.IsMap():
		if kind := fd.MapKey().Kind(); kind != protoreflect.StringKind {
			return nil, refuse(fd, "is a map keyed by %s, not by string", kind)
		}
		f.arity = keyed
		f.tag = newTag(fd.Number(), protowire.BytesType)
		f.element = &field{owner: m, member: f.member, entry: true, mapped: true}
		return f, b.typed(f.element, fd.MapValue())
	case fd.IsList():
		f.arity = repeated
		f.element = &field{owner: m, member: f.member, entry: true}
		if err := b.typed(f.element, fd); err != nil {
			return nil, err
		}
		if fd.IsPacked() {
			f.arity = packed
			f.tag = newTag(fd.Number(), protowire.BytesType)
			f.element.tag = tag{}
		}
		return f, nil
	default:
		err := b.typed(f, fd)
		f.takesNull = f.op == opValue
		return f, err
	}
}

// typed completes f, a single value, with the type and the tag that fd gives it.
func (b *builder) typed(f *field, fd protoreflect.FieldDescriptor) error {
	wire := protowire.BytesType
	switch kind := fd.Kind(); kind {
	case protoreflect.StringKind:
		f.op = opString
	case protoreflect.Int64Kind:
		f.op, wire = opInt64, protowire.VarintType
	case protoreflect.BoolKind:
		f.op, wire = opBool, protowire.VarintType
	case protoreflect.DoubleKind:
		f.op, wire = opDouble, protowire.Fixed64Type
	case protoreflect.MessageKind:
		if err := b.submessage(f, fd); err != nil {
			return err
		}
	default:
		return refuse(fd, "is of type %s", kind)
	}
	f.tag = newTag(fd.Number(), wire)
	return nil
}

func (b *builder) submessage(f *field, fd protoreflect.FieldDescriptor) error {
	switch name := fd.Message().FullName(); {
	case name == "google.protobuf.Value":
		f.op = opValue
	case name == "google.protobuf.Struct":
		f.op = opStruct
	case name == "google.protobuf.ListValue":
		f.op = opListValue
	case isWellKnown(fd.Message()):
		return refuse(fd, "is of type %s", name)
	default:
		m, err := b.message(fd.Message())
		if err != nil {
			return err
		}
		f.op, f.message = opMessage, m
	}
	return nil
}

// isWellKnown reports whether md has a JSON form of its own; Samsara uses few of them.
func isWellKnown(md protoreflect.MessageDescriptor) bool {
	return md.FullName().Parent() == "google.protobuf"
}

func refuse(d protoreflect.Descriptor, format string, args ...any) error {
	return fmt.Errorf("%w: %s %s", ErrDescriptor, d.FullName(), fmt.Sprintf(format, args...))
}
