package transcode

import (
	"bytes"
	"encoding/base64"
	"math"
	"slices"
	"strconv"

	"google.golang.org/protobuf/encoding/protowire"
	"google.golang.org/protobuf/reflect/protoreflect"
)

// wireTag is a tag that was read from size bytes.
type wireTag struct {
	number protowire.Number
	wire   protowire.Type
	size   int
}

// readTag reads the tag at the start of wire.
func readTag(wire []byte) (wireTag, bool) {
	if c := wire[0]; c < 0x80 {
		return wireTag{protowire.Number(c >> 3), protowire.Type(c & 7), 1}, c >= 8
	}
	number, typ, n := protowire.ConsumeTag(wire)
	return wireTag{number, typ, n}, n > 0 && number <= protowire.MaxValidNumber
}

// skip returns what follows a field that starts with the tag t. Groups it leaves to protobuf.
func (t wireTag) skip(wire []byte) ([]byte, bool) {
	if t.wire == protowire.StartGroupType || t.wire == protowire.EndGroupType {
		return wire, false
	}
	n := protowire.ConsumeFieldValue(t.number, t.wire, wire[t.size:])
	if n < 0 {
		return wire, false
	}
	return wire[t.size+n:], true
}

// readBytes reads a length and as many bytes.
func readBytes(wire []byte) (value, rest []byte, ok bool) {
	if len(wire) > 0 && wire[0] < 0x80 {
		end := 1 + int(wire[0])
		if end > len(wire) {
			return nil, wire, false
		}
		return wire[1:end], wire[end:], true
	}
	value, n := protowire.ConsumeBytes(wire)
	if n < 0 {
		return nil, wire, false
	}
	return value, wire[n:], true
}

// wireTypes are how values of each kind are on the wire. Enums and groups are not written.
var wireTypes = [...]protowire.Type{ //nolint:gochecknoglobals // a table
	protoreflect.MessageKind: protowire.BytesType, protoreflect.StringKind: protowire.BytesType, protoreflect.BytesKind: protowire.BytesType,
	protoreflect.DoubleKind: protowire.Fixed64Type, protoreflect.Fixed64Kind: protowire.Fixed64Type, protoreflect.Sfixed64Kind: protowire.Fixed64Type,
	protoreflect.FloatKind: protowire.Fixed32Type, protoreflect.Fixed32Kind: protowire.Fixed32Type, protoreflect.Sfixed32Kind: protowire.Fixed32Type,
	protoreflect.Sint64Kind: protowire.VarintType, // and all the others: it is zero
}

// appendWire writes the value at the start of wire, which is of the given type.
func (w *valueWriter) appendWire(dst, wire []byte, typ protowire.Type, depth int) (out, rest []byte, ok bool) {
	if want := wireTypes[w.kind]; typ != want {
		return dst, wire, false
	}
	switch typ {
	case protowire.BytesType:
		value, rest, ok := readBytes(wire)
		if !ok {
			return dst, wire, false
		}
		dst, ok = w.appendWireBytes(dst, value, depth)
		return dst, rest, ok
	case protowire.Fixed64Type:
		v, n := protowire.ConsumeFixed64(wire)
		if n < 0 {
			return dst, wire, false
		}
		dst, ok = w.appendFixed64(dst, v)
		return dst, wire[n:], ok
	case protowire.Fixed32Type:
		v, n := protowire.ConsumeFixed32(wire)
		if n < 0 {
			return dst, wire, false
		}
		dst, ok = w.appendFixed32(dst, v)
		return dst, wire[n:], ok
	default:
		v, n := protowire.ConsumeVarint(wire)
		if n < 0 {
			return dst, wire, false
		}
		return w.appendVarint(dst, v), wire[n:], true
	}
}

func (w *valueWriter) appendWireBytes(dst, value []byte, depth int) ([]byte, bool) {
	switch {
	case w.kind == protoreflect.StringKind:
		return appendJSONBytes(dst, value)
	case w.kind == protoreflect.BytesKind:
		dst = base64.StdEncoding.AppendEncode(append(dst, '"'), value)
		return append(dst, '"'), true
	case w.object != nil:
		return w.object.appendWire(dst, value, depth)
	default:
		return w.native.appendWire(dst, value, depth)
	}
}

func (w *valueWriter) appendFixed64(dst []byte, v uint64) ([]byte, bool) {
	switch w.kind {
	case protoreflect.DoubleKind:
		return appendJSONFloat(dst, math.Float64frombits(v), 64)
	case protoreflect.Fixed64Kind:
		return strconv.AppendUint(dst, v, 10), true
	default:
		return strconv.AppendInt(dst, int64(v), 10), true
	}
}

func (w *valueWriter) appendFixed32(dst []byte, v uint32) ([]byte, bool) {
	switch w.kind {
	case protoreflect.FloatKind:
		return appendJSONFloat(dst, float64(math.Float32frombits(v)), 32)
	case protoreflect.Fixed32Kind:
		return strconv.AppendUint(dst, uint64(v), 10), true
	default:
		return strconv.AppendInt(dst, int64(int32(v)), 10), true
	}
}

// appendVarint cuts numbers of 32 bits to their size, as protobuf does.
func (w *valueWriter) appendVarint(dst []byte, v uint64) []byte {
	switch w.kind {
	case protoreflect.BoolKind:
		return strconv.AppendBool(dst, protowire.DecodeBool(v))
	case protoreflect.Uint64Kind:
		return strconv.AppendUint(dst, v, 10)
	case protoreflect.Uint32Kind:
		return strconv.AppendUint(dst, v&math.MaxUint32, 10)
	case protoreflect.Sint64Kind:
		return strconv.AppendInt(dst, protowire.DecodeZigZag(v), 10)
	case protoreflect.Sint32Kind:
		return strconv.AppendInt(dst, int64(int32(protowire.DecodeZigZag(v&math.MaxUint32))), 10)
	case protoreflect.Int32Kind:
		return strconv.AppendInt(dst, int64(int32(v)), 10)
	default:
		return strconv.AppendInt(dst, int64(v), 10)
	}
}

// wireEntry is an entry of a map in wire form.
type wireEntry struct {
	key, value []byte
	wire       protowire.Type
}

// readEntry reads an entry that has its key and then its value, and nothing else.
func readEntry(entry []byte) (e wireEntry, ok bool) {
	const keyTag, valueNumber = 1<<3 | byte(protowire.BytesType), 2
	if len(entry) == 0 || entry[0] != keyTag {
		return e, false
	}
	e.key, e.value, ok = readBytes(entry[1:])
	if !ok || len(e.value) == 0 || e.value[0]>>3 != valueNumber {
		return e, false
	}
	e.wire, e.value = protowire.Type(e.value[0]&7), e.value[1:]
	return e, true
}

func (w *valueWriter) appendWireMap(dst, wire []byte, t wireTag, depth int) (out, rest []byte, ok bool) {
	if depth >= MaxDepth || t.wire != protowire.BytesType {
		return dst, wire, false
	}
	var room [8]wireEntry
	entries := room[:0]
	for tag := wire[:t.size]; bytes.HasPrefix(wire, tag); {
		var entry []byte
		if entry, wire, ok = readBytes(wire[t.size:]); !ok {
			return dst, wire, false
		}
		e, ok := readEntry(entry)
		if !ok {
			return dst, wire, false
		}
		entries = append(entries, e)
	}
	slices.SortFunc(entries, func(a, b wireEntry) int { return bytes.Compare(a.key, b.key) })
	dst = append(dst, '{')
	for i, e := range entries {
		if i > 0 {
			if bytes.Equal(e.key, entries[i-1].key) {
				return dst, wire, false
			}
			dst = append(dst, ',')
		}
		if dst, ok = appendJSONBytes(dst, e.key); !ok {
			return dst, wire, false
		}
		var behind []byte
		if dst, behind, ok = w.appendWire(append(dst, ':'), e.value, e.wire, depth+1); !ok || len(behind) > 0 {
			return dst, wire, false
		}
	}
	return append(dst, '}'), wire, true
}

// native is which message of google.protobuf stands for any JSON value, object or array.
type native uint8

const (
	nativeValue native = iota
	nativeStruct
	nativeList
)

// appendWire writes a Value, Struct or ListValue.
func (n native) appendWire(dst, wire []byte, depth int) ([]byte, bool) {
	if n == nativeValue {
		return appendWireValue(dst, wire, depth)
	}
	const first = 1 // the number of Struct.fields and of ListValue.values
	if len(wire) == 0 {
		// It may be one too deep.
		if n == nativeStruct {
			return append(dst, "{}"...), depth < MaxDepth
		}
		return append(dst, "[]"...), depth < MaxDepth
	}
	t, ok := readTag(wire)
	if !ok || t.number != first || t.wire != protowire.BytesType {
		return dst, false
	}
	inner := valueWriter{kind: protoreflect.MessageKind}
	if n == nativeStruct {
		dst, wire, ok = inner.appendWireMap(dst, wire, t, depth)
	} else {
		dst, wire, ok = inner.appendWireList(dst, wire, t, depth)
	}
	return dst, ok && len(wire) == 0
}

// appendWireValue writes a Value that holds one field and nothing else.
func appendWireValue(dst, wire []byte, depth int) ([]byte, bool) {
	if len(wire) == 0 {
		return dst, false
	}
	t, ok := readTag(wire)
	if !ok {
		return dst, false
	}
	w := valueWriter{kind: protoreflect.MessageKind}
	switch t.number {
	case 1: // null_value, whatever its number is.
		_, n := protowire.ConsumeVarint(wire[t.size:])
		return append(dst, "null"...), t.wire == protowire.VarintType && t.size+n == len(wire)
	case 2:
		w.kind = protoreflect.DoubleKind
	case 3:
		w.kind = protoreflect.StringKind
	case 4:
		w.kind = protoreflect.BoolKind
	case 5:
		w.native = nativeStruct
	case 6:
		w.native = nativeList
	default:
		return dst, false
	}
	dst, rest, ok := w.appendWire(dst, wire[t.size:], t.wire, depth)
	return dst, ok && len(rest) == 0
}
