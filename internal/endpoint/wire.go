package endpoint

import (
	"math"
	"unicode/utf8"

	"google.golang.org/protobuf/encoding/protowire"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/reflect/protoreflect"

	apiv1 "samsara.internal/gateway/gen/api/v1"
)

// BindWire is [Endpoint.Bind] of the request message that wire holds, with the same outcome. The error is one
// of protobuf if wire is no such message. wire stays the caller's, and nothing keeps a part of it.
//
// It builds the message only if something is wrong with it, if it has an update mask, or if it is not as
// serializers write it: see [transcode.Encoder.AppendWire].
func (e *Endpoint) BindWire(wire []byte) (Request, error) {
	if bound, ok := e.bindQuickly(wire); ok {
		return bound, nil
	}
	m := e.Input.New()
	if err := proto.Unmarshal(wire, m.Interface()); err != nil {
		return Request{}, err
	}
	return e.Bind(m)
}

// bindQuickly binds without a message. It returns false if that takes one.
func (e *Endpoint) bindQuickly(wire []byte) (Request, bool) {
	from := parameters{fields: e.byNumber}
	if !from.read(wire) {
		return Request{}, false
	}
	b := binding{line: make([]byte, 0, 256)}
	b.path(e.path, &from)
	path := len(b.line)
	b.query(e.query, &from)
	if len(b.violations) > 0 {
		return Request{}, false
	}
	var body []byte
	if from.body || e.Operation.GetBody() == apiv1.Body_BODY_REQUIRED {
		var ok bool
		// JSON is about twice the size of the wire form.
		if body, ok = e.body.AppendWire(make([]byte, 0, 64+2*len(wire)), wire); !ok {
			return Request{}, false
		}
	}
	line := string(b.line)
	return Request{Path: line[:path], Query: line[path:], Body: body}, true
}

// source is where the values of parameters come from. One of a list is not asked for by Get.
type source interface {
	Has(fd protoreflect.FieldDescriptor) bool
	Get(fd protoreflect.FieldDescriptor) protoreflect.Value
	list(fd protoreflect.FieldDescriptor) values
}

// values are the values of a list.
type values interface {
	Len() int
	Get(i int) protoreflect.Value
}

// built is the source that a message is.
type built struct{ protoreflect.Message }

func (m built) list(fd protoreflect.FieldDescriptor) values { return m.Get(fd).List() }

// maxWireValues is how many values of lists are taken without a message, in which each takes less memory.
const maxWireValues = 4096

// parameters are the values of a request's path and query, read from its wire form.
type parameters struct {
	fields map[protowire.Number]protoreflect.FieldDescriptor
	set    []wireParameter
	room   [6]wireParameter
	// body is whether a field of the body is there.
	body bool
	// values counts those of lists.
	values int
}

// wireParameter is a field with its value, or its values if it is a list.
type wireParameter struct {
	field protoreflect.FieldDescriptor
	value protoreflect.Value
	many  []protoreflect.Value
}

// Len implements values.
func (p *wireParameter) Len() int { return len(p.many) }

// Get implements values.
func (p *wireParameter) Get(i int) protoreflect.Value { return p.many[i] }

func (p *parameters) find(fd protoreflect.FieldDescriptor) *wireParameter {
	for i := range p.set {
		if p.set[i].field == fd {
			return &p.set[i]
		}
	}
	return nil
}

// Has implements source.
func (p *parameters) Has(fd protoreflect.FieldDescriptor) bool { return p.find(fd) != nil }

// Get implements source, of a field that is there.
func (p *parameters) Get(fd protoreflect.FieldDescriptor) protoreflect.Value { return p.find(fd).value }

func (p *parameters) list(fd protoreflect.FieldDescriptor) values { return p.find(fd) }

// read reads the parameters. It returns false if the message has to be built. Bodies are skipped.
func (p *parameters) read(wire []byte) bool {
	p.set = p.room[:0]
	for len(wire) > 0 {
		number, typ, n := protowire.ConsumeTag(wire)
		if n < 0 || number > protowire.MaxValidNumber || typ == protowire.StartGroupType || typ == protowire.EndGroupType {
			return false
		}
		size := protowire.ConsumeFieldValue(number, typ, wire[n:])
		if size < 0 {
			return false
		}
		value := wire[n : n+size]
		wire = wire[n+size:]
		fd, known := p.fields[number]
		switch {
		case !known:
		case fd == nil:
			p.body = true
		case !p.add(fd, typ, value):
			return false
		}
	}
	return true
}

// add adds what comes after a tag of fd. Of a single field the last value counts.
func (p *parameters) add(fd protoreflect.FieldDescriptor, typ protowire.Type, wire []byte) bool {
	want := wireType(fd.Kind())
	switch {
	case fd.Message() != nil: // the update mask
		return false
	case fd.ContainingOneof() != nil && !fd.ContainingOneof().IsSynthetic():
		return false
	}
	is := p.find(fd)
	if is == nil {
		p.set = append(p.set, wireParameter{field: fd})
		is = &p.set[len(p.set)-1]
	}
	if !fd.IsList() {
		v, n := readValue(fd.Kind(), wire)
		is.value = v
		return typ == want && n == len(wire) && (fd.HasPresence() || !isZero(v))
	}
	if packed := typ == protowire.BytesType && want != typ; packed {
		values, n := protowire.ConsumeBytes(wire)
		if n < 0 || len(values) == 0 {
			return false
		}
		wire = values
	} else if typ != want {
		return false
	}
	if is.many == nil {
		is.many = make([]protoreflect.Value, 0, 4)
	}
	for len(wire) > 0 {
		v, n := readValue(fd.Kind(), wire)
		if p.values++; n < 0 || p.values > maxWireValues {
			return false
		}
		is.many, wire = append(is.many, v), wire[n:]
	}
	return true
}

// isZero reports whether v is what a field without presence has if it is unset.
func isZero(v protoreflect.Value) bool {
	switch v := v.Interface().(type) {
	case string:
		return v == ""
	case bool:
		return !v
	case float64:
		return math.Float64bits(v) == 0
	case float32:
		return math.Float32bits(v) == 0
	case int32:
		return v == 0
	case int64:
		return v == 0
	case uint32:
		return v == 0
	case uint64:
		return v == 0
	default:
		return false
	}
}

// wireType returns how values of a kind that path and query can hold are on the wire.
func wireType(kind protoreflect.Kind) protowire.Type {
	switch kind {
	case protoreflect.StringKind:
		return protowire.BytesType
	case protoreflect.DoubleKind, protoreflect.Fixed64Kind, protoreflect.Sfixed64Kind:
		return protowire.Fixed64Type
	case protoreflect.FloatKind, protoreflect.Fixed32Kind, protoreflect.Sfixed32Kind:
		return protowire.Fixed32Type
	default:
		return protowire.VarintType
	}
}

// readValue reads a value of a kind that path and query can hold, and returns its size, negative if it is
// malformed.
func readValue(kind protoreflect.Kind, wire []byte) (protoreflect.Value, int) {
	switch wireType(kind) {
	case protowire.BytesType:
		text, n := protowire.ConsumeBytes(wire)
		if !utf8.Valid(text) {
			return protoreflect.Value{}, -1
		}
		return protoreflect.ValueOfString(string(text)), n
	case protowire.Fixed64Type:
		v, n := protowire.ConsumeFixed64(wire)
		switch kind {
		case protoreflect.DoubleKind:
			return protoreflect.ValueOfFloat64(math.Float64frombits(v)), n
		case protoreflect.Fixed64Kind:
			return protoreflect.ValueOfUint64(v), n
		default:
			return protoreflect.ValueOfInt64(int64(v)), n
		}
	case protowire.Fixed32Type:
		v, n := protowire.ConsumeFixed32(wire)
		switch kind {
		case protoreflect.FloatKind:
			return protoreflect.ValueOfFloat32(math.Float32frombits(v)), n
		case protoreflect.Fixed32Kind:
			return protoreflect.ValueOfUint32(v), n
		default:
			return protoreflect.ValueOfInt32(int32(v)), n
		}
	default:
		v, n := protowire.ConsumeVarint(wire)
		return varint(kind, v), n
	}
}

// varint cuts numbers of 32 bits to their size, as protobuf does.
func varint(kind protoreflect.Kind, v uint64) protoreflect.Value {
	switch kind {
	case protoreflect.BoolKind:
		return protoreflect.ValueOfBool(protowire.DecodeBool(v))
	case protoreflect.Uint64Kind:
		return protoreflect.ValueOfUint64(v)
	case protoreflect.Uint32Kind:
		return protoreflect.ValueOfUint32(uint32(v))
	case protoreflect.Sint64Kind:
		return protoreflect.ValueOfInt64(protowire.DecodeZigZag(v))
	case protoreflect.Sint32Kind:
		return protoreflect.ValueOfInt32(int32(protowire.DecodeZigZag(v & math.MaxUint32)))
	case protoreflect.Int32Kind:
		return protoreflect.ValueOfInt32(int32(v))
	default:
		return protoreflect.ValueOfInt64(int64(v))
	}
}
