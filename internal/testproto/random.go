package testproto

import (
	"math"
	"math/rand/v2"

	"google.golang.org/protobuf/encoding/protowire"
	"google.golang.org/protobuf/reflect/protoreflect"
)

// Fill sets fields of m at random, with messages nested at most depth levels deep. About one in eight values
// is zero, and some texts need escapes. All of it is valid.
func Fill(r *rand.Rand, m protoreflect.Message, depth int) {
	fields := m.Descriptor().Fields()
	share := 1 + r.IntN(8) // of eight fields
	for i := range fields.Len() {
		fd := fields.Get(i)
		if r.IntN(8) >= share || fd.Message() != nil && !fd.IsMap() && depth == 0 {
			continue
		}
		switch {
		case fd.IsMap():
			if fd.MapValue().Message() != nil && depth == 0 {
				continue
			}
			for range r.IntN(4) {
				key := random(r, fd.MapKey(), protoreflect.Value{}, 0).MapKey()
				m.Mutable(fd).Map().Set(key, random(r, fd.MapValue(), m.Mutable(fd).Map().NewValue(), depth))
			}
		case fd.IsList():
			for range r.IntN(4) {
				m.Mutable(fd).List().Append(random(r, fd, m.Mutable(fd).List().NewElement(), depth))
			}
		default:
			m.Set(fd, random(r, fd, m.NewField(fd), depth))
		}
	}
}

// random returns a value of a field; of a message, zero filled at random.
func random(r *rand.Rand, fd protoreflect.FieldDescriptor, zero protoreflect.Value, depth int) protoreflect.Value {
	bits := r.Uint64() >> r.IntN(64)
	if r.IntN(8) == 0 {
		bits = 0
	}
	switch fd.Kind() {
	case protoreflect.MessageKind, protoreflect.GroupKind:
		Fill(r, zero.Message(), depth-1)
		return zero
	case protoreflect.EnumKind:
		return protoreflect.ValueOfEnum(protoreflect.EnumNumber(bits & 7))
	case protoreflect.BoolKind:
		return protoreflect.ValueOfBool(bits&1 == 1)
	case protoreflect.StringKind:
		texts := []string{"", "a", "id-7", "ünï", "with \"quotes\" and \\ and \n", "2026-11-22T08:00:00.123Z", "..", "1", "0"}
		return protoreflect.ValueOfString(texts[r.IntN(len(texts))])
	case protoreflect.BytesKind:
		return protoreflect.ValueOfBytes([]byte("bytes")[:r.IntN(6)])
	case protoreflect.DoubleKind:
		return protoreflect.ValueOfFloat64([]float64{0, math.Copysign(0, -1), 0.5, 37.7749, 1e300, 1e-9, float64(bits)}[r.IntN(7)])
	case protoreflect.FloatKind:
		return protoreflect.ValueOfFloat32(float32(bits) / 3)
	case protoreflect.Int32Kind, protoreflect.Sint32Kind, protoreflect.Sfixed32Kind:
		return protoreflect.ValueOfInt32(int32(bits))
	case protoreflect.Uint32Kind, protoreflect.Fixed32Kind:
		return protoreflect.ValueOfUint32(uint32(bits))
	case protoreflect.Uint64Kind, protoreflect.Fixed64Kind:
		return protoreflect.ValueOfUint64(bits)
	default:
		return protoreflect.ValueOfInt64(int64(bits))
	}
}

// Mutate returns a message in wire form that is wrong, or written as serializers do not write it: fields moved,
// repeated, dropped or unknown, text that is not UTF-8, bytes changed, bytes that are missing at the end. One
// time in four it returns wire as it is.
func Mutate(r *rand.Rand, wire []byte) []byte {
	fields := split(wire)
	switch at := func() int { return r.IntN(len(fields)) }; {
	case len(fields) == 0 || r.IntN(4) == 0:
		return wire
	case r.IntN(4) == 0: // Two change places.
		i, j := at(), at()
		fields[i], fields[j] = fields[j], fields[i]
	case r.IntN(4) == 0: // One comes again.
		fields = append(fields, fields[at()])
	case r.IntN(4) == 0: // One is unknown.
		fields[at()] = protowire.AppendVarint(protowire.AppendTag(nil, 50_000, protowire.VarintType), r.Uint64())
	case r.IntN(3) == 0: // One is changed inside, and keeps its length.
		i := at()
		number, typ, n := protowire.ConsumeTag(fields[i])
		if n < 0 {
			break
		}
		if value, m := protowire.ConsumeBytes(fields[i][n:]); typ == protowire.BytesType && m > 0 {
			fields[i] = protowire.AppendBytes(protowire.AppendTag(nil, number, typ), Mutate(r, value))
		}
	default:
		var out []byte
		for _, f := range fields {
			out = append(out, f...)
		}
		if r.IntN(2) == 0 {
			return out[:r.IntN(len(out))]
		}
		out[r.IntN(len(out))] = byte(r.Uint32())
		return out
	}
	var out []byte
	for _, f := range fields {
		out = append(out, f...)
	}
	return out
}

// split returns the fields of a message in wire form, as far as it is one.
func split(wire []byte) (fields [][]byte) {
	for len(wire) > 0 {
		_, _, n := protowire.ConsumeField(wire)
		if n < 0 {
			return append(fields, wire)
		}
		fields, wire = append(fields, wire[:n]), wire[n:]
	}
	return fields
}
