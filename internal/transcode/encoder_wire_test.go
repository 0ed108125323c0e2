package transcode_test

import (
	"math/rand/v2"
	"strings"
	"testing"

	"google.golang.org/protobuf/encoding/protowire"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/reflect/protoreflect"
	"google.golang.org/protobuf/types/dynamicpb"

	"samsara.internal/gateway/internal/testproto"
	"samsara.internal/gateway/internal/transcode"
)

// wireSource has what encoderSource has not: packed and unpacked lists, fields without presence, oneofs, lines
// and numbers out of the order of declaration.
const wireSource = `
syntax = "proto3";
package samsara_gateway.test.v1;
import "google/protobuf/struct.proto";
import "samsara_gateway/api/v1/annotations.proto";

message Wire {
  repeated int64 packed = 700;
  repeated int32 loose = 2 [packed = false];
  repeated double doubles = 3;
  repeated fixed32 fixed = 4;
  repeated bool bools = 5 [(samsara_gateway.api.v1.field) = {required: true}];
  string text = 6;
  int32 count = 7;
  double ratio = 8;
  bool active = 9;
  bytes data = 10;
  float small = 11;
  sint32 zigzag = 12;
  oneof kind {
    string name = 13;
    int64 number = 14;
    Wire inner = 15;
  }
  optional string newer = 16 [json_name = "line"];
  optional int64 older = 17 [(samsara_gateway.api.v1.field) = {name: "line", retired: true}];
  map<string, Wire> by_name = 18;
  map<string, int32> counts = 19 [(samsara_gateway.api.v1.field) = {required: true}];
  map<string, google.protobuf.Value> values = 20;
  Chain chain = 21;
  repeated Wire more = 22 [(samsara_gateway.api.v1.field) = {required: true}];
  repeated bytes blobs = 23;
  repeated sint64 zigzags = 24;
  Kept kept = 25;
  map<string, bool> flags = 26;
  google.protobuf.Value value = 27;
}
message Chain { Chain next = 1 [(samsara_gateway.api.v1.field) = {root: true}]; string last = 2; }
message Kept {
  optional string value = 1 [(samsara_gateway.api.v1.field) = {root: true, retired: true}];
  repeated string list = 2 [(samsara_gateway.api.v1.field) = {root: true, required: true}];
  optional string id = 3;
}
`

// wireTarget is a message with its encoder.
type wireTarget struct {
	md      protoreflect.MessageDescriptor
	encoder *transcode.Encoder
}

func wireTargets(tb testing.TB) (targets []wireTarget) {
	tb.Helper()
	for _, of := range [][2]string{{wireSource, "Wire"}, {encoderSource, "Request"}, {encoderSource, "Stop"}, {encoderSource, "Scalars"}} {
		md := testproto.Message(tb, of[0], of[1])
		targets = append(targets, wireTarget{md, newEncoder(tb, md)})
	}
	return targets
}

// check compares the way from the wire with the way over a message, and reports whether it was taken.
func (w wireTarget) check(tb testing.TB, wire []byte) bool {
	tb.Helper()
	const before = "before"
	got, ok := w.encoder.AppendWire([]byte(before), wire)
	if !ok {
		if string(got) != before {
			tb.Fatalf("%x: refused, and the destination is %q", wire, got)
		}
		return false
	}
	m := dynamicpb.NewMessage(w.md)
	if !readable(wire, m) {
		tb.Fatalf("%x: %s is written of what is no message", wire, got)
	}
	want, err := w.encoder.Append([]byte(before), m, nil)
	if err != nil {
		tb.Fatalf("%x: %s is written although it is refused: %v", wire, got, err)
	}
	if string(got) != string(want) {
		tb.Fatalf("%x:\ngot  %s\nwant %s", wire, got, want)
	}
	if missing := w.encoder.Missing(m, 1); len(missing) > 0 {
		tb.Fatalf("%x: %s is written although %s is missing", wire, got, missing)
	}
	return true
}

func TestAppendWire_taken(t *testing.T) {
	t.Parallel()
	wire := wireTarget{md: testproto.Message(t, wireSource, "Wire")}
	wire.encoder = newEncoder(t, wire.md)
	request := wireTarget{md: testproto.Message(t, encoderSource, "Request")}
	request.encoder = newEncoder(t, request.md)
	texts := map[string]string{
		"empty":            ``,
		"scalars":          `text: "a" count: -1 ratio: -0.0 active: true data: "\377" small: 0.1 zigzag: -2147483648`,
		"lists":            `packed: [0, -1] loose: [1, 2] doubles: [0, 1] fixed: 7 bools: [false, true] blobs: "" zigzags: [-1, 0]`,
		"oneof":            `number: 0`,
		"line":             `older: 7`,
		"maps":             `by_name {key: "b" value {}} by_name {key: "a" value {text: "x"}} counts {key: "" value: 0} flags {key: "k" value: false}`,
		"root in a root":   `chain {next {next {last: "x"}}}`,
		"root, unset":      `chain {next {}} kept {}`,
		"root, retired":    `kept {value: "v"}`,
		"object of a root": `kept {id: "i"}`,
		"any JSON":         `values {key: "v" value {null_value: NULL_VALUE}} value {struct_value {fields {key: "b" value {list_value {}}} fields {key: "a" value {number_value: 1}}}}`,
	}
	for name, text := range texts {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			data, err := proto.MarshalOptions{Deterministic: true}.Marshal(parseText(t, wire.md, text).Interface())
			if err != nil {
				t.Fatal(err)
			}
			if !wire.check(t, data) {
				t.Errorf("%s is refused", text)
			}
			for end := range data {
				wire.check(t, data[:end])
			}
		})
	}
	t.Run("unknown fields", func(t *testing.T) {
		t.Parallel()
		data := protowire.AppendVarint(protowire.AppendTag(nil, 900, protowire.VarintType), 7)
		data = protowire.AppendString(protowire.AppendTag(data, 2, protowire.BytesType), "é\"")
		data = protowire.AppendString(protowire.AppendTag(data, 1000, protowire.BytesType), "\xff")
		if !request.check(t, data) {
			t.Error("is refused")
		}
	})
}

func TestAppendWire_random(t *testing.T) {
	t.Parallel()
	targets := wireTargets(t)
	taken := 0
	const rounds = 4000
	for seed := range uint64(rounds) {
		r := rand.New(rand.NewPCG(seed, 0))
		target := targets[seed%uint64(len(targets))]
		if target.check(t, randomWire(t, r, target.md)) {
			taken++
		}
	}
	if taken < rounds/5 {
		t.Errorf("%d of %d are taken", taken, rounds)
	}
}

func randomWire(tb testing.TB, r *rand.Rand, md protoreflect.MessageDescriptor) []byte {
	tb.Helper()
	m := dynamicpb.NewMessage(md)
	testproto.Fill(r, m, r.IntN(5))
	wire, err := proto.MarshalOptions{Deterministic: true}.Marshal(m)
	if err != nil {
		tb.Fatal(err)
	}
	return testproto.Mutate(r, wire)
}

// FuzzAppendWire compares the way from the wire with the way over a message: what it writes is the same. Each
// input is read as it is, and as the seed of a message.
func FuzzAppendWire(f *testing.F) {
	targets := wireTargets(f)
	for seed := range uint64(64) {
		target := targets[seed%uint64(len(targets))]
		f.Add(randomWire(f, rand.New(rand.NewPCG(seed, 1)), target.md), seed)
	}
	for _, text := range []string{
		`circle {` + strings.Repeat("inner {", 99) + strings.Repeat("}", 99) + `}`,
		`list {` + strings.Repeat("values {list_value {", 99) + strings.Repeat("}}", 99) + `}`,
		`struct {` + strings.Repeat(`fields {key: "k" value {struct_value {`, 99) + strings.Repeat("}}}", 99) + `}`,
		`mixed {id: "i" value: "v"}`, `ratio: nan`, `value {}`, `values {number_value: inf}`, `rows {} rows {cells: 1}`,
	} {
		wire, err := proto.MarshalOptions{Deterministic: true}.Marshal(parseText(f, targets[1].md, text).Interface())
		if err != nil {
			f.Fatal(err)
		}
		f.Add(wire, uint64(1))
	}
	f.Fuzz(func(t *testing.T, wire []byte, seed uint64) {
		target := targets[seed%uint64(len(targets))]
		target.check(t, wire)
		target.check(t, randomWire(t, rand.New(rand.NewPCG(seed, 2)), target.md))
	})
}
