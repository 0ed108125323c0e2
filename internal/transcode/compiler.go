package transcode

import (
	"errors"
	"fmt"
	"maps"
	"strings"

	"google.golang.org/protobuf/encoding/protowire"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/reflect/protoreflect"

	gatewayv1 "samsara.internal/gateway/gen/samsara/gateway/v1"
)

// ErrDescriptor means that a message is declared in a way that has no translation.
var ErrDescriptor = errors.New("message cannot be translated")

// A Compiler compiles decoders and encoders, each message once. The zero value is ready for
// use. Its messages must be of one registry, so that a full name means one message. It is not
// safe for concurrent use; what it returns is.
type Compiler struct {
	messages map[protoreflect.FullName]*message
}

// Decoder returns the decoder for md. It fails with ErrDescriptor, naming the field, where md
// or a message in it has a field of a type that the gateway's surface does not use (what it
// uses is in the table of the package comment), a map not keyed by strings, a oneof, two
// fields of one wire name, or a root field that is a second one, a map, a Struct or a single
// message.
func (c *Compiler) Decoder(md protoreflect.MessageDescriptor) (*Decoder, error) {
	// What is compiled on the way is kept only when all of it is sound.
	b := builder{known: c.messages, built: map[protoreflect.FullName]*message{}}
	m, err := b.message(md)
	if err != nil {
		return nil, err
	}
	if c.messages == nil {
		c.messages = b.built
	} else {
		maps.Copy(c.messages, b.built)
	}
	return &Decoder{message: m}, nil
}

// builder compiles one message and those in it.
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

	taken := map[string]bool{}
	fields := make([]*field, 0, md.Fields().Len())
	for i := range md.Fields().Len() {
		fd := md.Fields().Get(i)
		options, err := fieldOptions(fd)
		if err != nil {
			return nil, err
		}
		if options.GetRetired() {
			continue
		}
		f, err := b.field(m, fd)
		if err != nil {
			return nil, err
		}
		if taken[f.name] {
			return nil, refuse(fd, "shares its wire name %q with another field", f.name)
		}
		taken[f.name] = true
		f.index = len(fields)
		fields = append(fields, f)
		if options.GetRoot() {
			if m.root != nil {
				return nil, refuse(fd, "is a second root field")
			}
			if !f.canBeRoot() {
				return nil, refuse(fd, "is a root field, but its JSON is an object")
			}
			m.root = f
		}
	}
	m.index(fields)
	return m, nil
}

// field compiles what fd is as a field of m.
func (b *builder) field(m *message, fd protoreflect.FieldDescriptor) (*field, error) {
	f := &field{owner: m, name: WireName(fd)}
	f.member = []byte(f.name)
	switch {
	case fd.ContainingOneof() != nil && !fd.HasOptionalKeyword():
		return nil, refuse(fd, "is in a oneof")
	case fd.IsMap():
		if kind := fd.MapKey().Kind(); kind != protoreflect.StringKind {
			return nil, refuse(fd, "is a map keyed by %s, not by string", kind)
		}
		f.arity = keyed
		f.tag = protowire.EncodeTag(fd.Number(), protowire.BytesType)
		f.element = &field{owner: m, member: f.member}
		return f, b.typed(f.element, fd.MapValue())
	case fd.IsList():
		f.arity = repeated
		f.element = &field{owner: m, member: f.member}
		if err := b.typed(f.element, fd); err != nil {
			return nil, err
		}
		if fd.IsPacked() {
			f.arity = packed
			f.tag = protowire.EncodeTag(fd.Number(), protowire.BytesType)
			f.element.tag = 0
		}
		return f, nil
	default:
		return f, b.typed(f, fd)
	}
}

// typed completes f, a single value, with the type and the tag that fd gives it.
func (b *builder) typed(f *field, fd protoreflect.FieldDescriptor) error {
	wire := protowire.BytesType
	switch kind := fd.Kind(); kind { //nolint:exhaustive // the others are refused
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
	f.tag = protowire.EncodeTag(fd.Number(), wire)
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
	case name.Parent() == "google.protobuf":
		// These have JSON forms of their own, which Samsara does not use.
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

// fieldOptions returns what the annotation of fd says, nil where it has none.
func fieldOptions(fd protoreflect.FieldDescriptor) (*gatewayv1.Field, error) {
	if !proto.HasExtension(fd.Options(), gatewayv1.E_Field) {
		return nil, nil
	}
	options, ok := proto.GetExtension(fd.Options(), gatewayv1.E_Field).(*gatewayv1.Field)
	if !ok {
		return nil, refuse(fd, "has an annotation of another type than samsara.gateway.v1.Field")
	}
	return options, nil
}

func refuse(fd protoreflect.FieldDescriptor, format string, args ...any) error {
	return fmt.Errorf("%w: %s %s", ErrDescriptor, fd.FullName(), fmt.Sprintf(format, args...))
}
