package transcode_test

import (
	"errors"
	"fmt"
	"strconv"
	"strings"
	"testing"

	"google.golang.org/protobuf/reflect/protoreflect"
	"google.golang.org/protobuf/types/known/structpb"

	"samsara.internal/gateway/internal/testproto"
	"samsara.internal/gateway/internal/transcode"
)

func TestCompiler_refused(t *testing.T) {
	t.Parallel()
	for _, test := range []struct{ name, body, field string }{
		{"a 32-bit integer", `int32 a = 1;`, "Outer.a"},
		{"an unsigned integer", `repeated uint64 a = 1;`, "Outer.a"},
		{"a float", `float a = 1;`, "Outer.a"},
		{"bytes", `bytes a = 1;`, "Outer.a"},
		{"an enum", `enum E { E_UNSPECIFIED = 0; } E a = 1;`, "Outer.a"},
		{"a map to another type", `map<string, bytes> a = 1;`, "Outer.AEntry.value"},
		{"a map not keyed by strings", `map<int64, string> a = 1;`, "Outer.a"},
		{"a well-known type", `google.protobuf.Timestamp a = 1;`, "Outer.a"},
		{"a oneof", `oneof o { string a = 1; }`, "Outer.a"},
		{"two fields of one wire name", `string b = 1; string a = 2 [(samsara_gateway.api.v1.field) = {name: "b"}];`, "Outer.a"},
		{"two root fields", `repeated string b = 1 [(samsara_gateway.api.v1.field) = {root: true}]; string a = 2 [(samsara_gateway.api.v1.field) = {root: true}];`, "Outer.a"},
		{"a message as root", `Fine a = 1 [(samsara_gateway.api.v1.field) = {root: true}];`, "Outer.a"},
		{"a Struct as root", `google.protobuf.Struct a = 1 [(samsara_gateway.api.v1.field) = {root: true}];`, "Outer.a"},
		{"a map as root", `map<string, string> a = 1 [(samsara_gateway.api.v1.field) = {root: true}];`, "Outer.a"},
		{"a nested message", `message Inner { int32 a = 1; } repeated Inner inners = 1;`, "Outer.Inner.a"},
		{"a message in a map", `message Inner { int32 a = 1; } map<string, Inner> inners = 1;`, "Outer.Inner.a"},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			file := testproto.Compile(t, `
				syntax = "proto3";
				package samsara_gateway.test.v1;
				import "google/protobuf/struct.proto";
				import "google/protobuf/timestamp.proto";
				import "samsara_gateway/api/v1/annotations.proto";
				message Fine { string a = 1; }
				message Outer { Fine fine = 99; google.protobuf.Value value = 98; `+test.body+` }`)
			var compiler transcode.Compiler
			outer := file.Messages().ByName("Outer")
			for range 2 { // a failed message does not count as compiled
				_, err := compiler.Decoder(outer)
				if !errors.Is(err, transcode.ErrDescriptor) {
					t.Fatalf("error = %v, want ErrDescriptor", err)
				}
				if !strings.Contains(err.Error(), " samsara_gateway.test.v1."+test.field+" ") {
					t.Errorf("error %q does not name the field %s", err, test.field)
				}
			}
			if _, err := compiler.Decoder(file.Messages().ByName("Fine")); err != nil {
				t.Errorf("a sound message after that: %v", err)
			}
		})
	}
}

func TestCompiler_wellKnownType(t *testing.T) {
	t.Parallel()
	var compiler transcode.Compiler
	if _, err := compiler.Decoder((&structpb.Struct{}).ProtoReflect().Descriptor()); !errors.Is(err, transcode.ErrDescriptor) {
		t.Errorf("error = %v, want ErrDescriptor", err)
	}
}

func TestDecoder_manyFields(t *testing.T) {
	t.Parallel()
	const fields = 700
	var source, document strings.Builder
	source.WriteString(`syntax = "proto3"; package samsara_gateway.test.v1; message Wide {`)
	document.WriteString(`{"z":0`)
	for i := range fields {
		// They differ only in bytes that the hash does not look at, so that most of them collide.
		name := fmt.Sprintf("commonStart%03dcommonEnd", i)
		source.WriteString(" optional int64 " + name + " = " + strconv.Itoa(i+1) + ";")
		document.WriteString(`,"` + name + `":` + strconv.Itoa(i) + `,"` + name + `":-1`)
	}
	source.WriteString("}")
	document.WriteString("}")

	md := testproto.Message(t, source.String(), "Wide")
	var drift transcode.Drift
	got := decoded(t, decoder(t, md), md, document.String(), &drift)
	for i := range fields {
		fd := md.Fields().ByNumber(protoreflect.FieldNumber(i + 1))
		if !got.Has(fd) || got.Get(fd).Int() != int64(i) {
			t.Errorf("%s = %v, want %d", fd.Name(), got.Get(fd), i)
		}
	}
	if drift.Findings()[0].Kind != transcode.Unknown || drift.Findings()[1].Kind != transcode.Duplicate {
		t.Errorf("findings = %v, want one unknown member and then duplicates", drift.Findings())
	}
	if got, want := drift.Dropped(), fields+1-transcode.MaxFindings; got != want {
		t.Errorf("findings dropped = %d, want %d", got, want)
	}
}
