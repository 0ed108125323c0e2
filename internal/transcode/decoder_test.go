package transcode_test

import (
	"bytes"
	"errors"
	"fmt"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
	"google.golang.org/protobuf/encoding/prototext"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/reflect/protoreflect"
	"google.golang.org/protobuf/testing/protocmp"
	"google.golang.org/protobuf/types/dynamicpb"

	"samsara.internal/gateway/internal/testproto"
	"samsara.internal/gateway/internal/transcode"
)

// fleet has every type of field that the surface uses.
const fleet = `
	syntax = "proto3";
	package samsara_gateway.test.v1;
	import "google/protobuf/struct.proto";
	import "samsara_gateway/api/v1/annotations.proto";
	message Vehicle {
		optional string id = 1;
		optional int64 odometer_meters = 2;
		optional double speed = 3;
		optional bool active = 4;
		optional Gps gps = 5;
		repeated string tags = 6;
		repeated int64 counts = 7;
		repeated double axles = 8;
		repeated bool flags = 9;
		repeated Gps path = 10;
		map<string, string> external_ids = 11;
		map<string, Gps> places = 12;
		map<string, int64> totals = 13;
		map<string, double> ratios = 14;
		map<string, bool> switches = 15;
		google.protobuf.Value extra = 16;
		repeated google.protobuf.Value extras = 17;
		map<string, google.protobuf.Value> attributes = 18;
		google.protobuf.Struct settings = 19;
		google.protobuf.ListValue row = 20;
		repeated google.protobuf.ListValue rows = 21;
		string plain = 22;
		int64 bare = 23;
		repeated int64 loose = 24 [packed = false];
		optional string former = 25 [(samsara_gateway.api.v1.field) = {retired: true}];
		optional string equipment_id = 26 [json_name = "EquipmentID"];
		optional Vehicle towed = 27;
		optional Matrix matrix = 28;
		repeated Matrix matrices = 29;
		optional Verdict verdict = 30;
		repeated Verdict verdicts = 31;
		optional string far = 100000;
		message Gps {
			optional double latitude = 1;
			optional double longitude = 2;
			optional string address = 3;
		}
	}
	message Matrix {
		repeated Numbers rows = 1 [(samsara_gateway.api.v1.field) = {root: true}];
		optional string note = 2;
	}
	message Numbers {
		repeated int64 values = 1 [(samsara_gateway.api.v1.field) = {root: true}];
	}
	message Verdict {
		optional string text = 1 [(samsara_gateway.api.v1.field) = {root: true}];
	}
	message Count {
		optional int64 value = 1 [(samsara_gateway.api.v1.field) = {root: true}];
	}
	message Anything {
		google.protobuf.Value value = 1 [(samsara_gateway.api.v1.field) = {root: true}];
	}
	message Sequence {
		google.protobuf.ListValue value = 1 [(samsara_gateway.api.v1.field) = {root: true}];
	}
	message Assets {
		repeated Vehicle assets = 1 [(samsara_gateway.api.v1.field) = {root: true}];
		optional string note = 2;
	}
	message Renamed {
		optional string first = 1 [(samsara_gateway.api.v1.field) = {name: "Is First?"}];
		optional string second = 2 [(samsara_gateway.api.v1.field) = {name: "first"}];
	}
	message Empty {}`

func decoder(t testing.TB, md protoreflect.MessageDescriptor) *transcode.Decoder {
	t.Helper()
	var compiler transcode.Compiler
	d, err := compiler.Decoder(md)
	if err != nil {
		t.Fatalf("compile %s: %v", md.FullName(), err)
	}
	return d
}

// found is a finding, without the message if that is Vehicle.
func found(kind transcode.Kind, member string) transcode.Finding {
	return transcode.Finding{Message: "Vehicle", Member: member, Kind: kind, Foreign: kind == transcode.Unknown, Count: 1}
}

func times(count int, f transcode.Finding) transcode.Finding {
	f.Count = count
	return f
}

func in(message string, f transcode.Finding) transcode.Finding {
	f.Message = message
	return f
}

// rule says what message a document becomes, in text form, and what is found on the way.
type rule struct {
	name string
	json string
	want string
	find []transcode.Finding
}

// decoded returns what d makes of a document.
func decoded(t testing.TB, d *transcode.Decoder, md protoreflect.MessageDescriptor, json string, drift *transcode.Drift) *dynamicpb.Message {
	t.Helper()
	wire, err := d.Append([]byte("kept"), []byte(json), drift)
	if err != nil {
		t.Fatalf("Append: %v", err)
	}
	rest, kept := bytes.CutPrefix(wire, []byte("kept"))
	if !kept {
		t.Fatalf("what was before the message is now %q", wire[:4])
	}
	m := dynamicpb.NewMessage(md)
	if err := proto.Unmarshal(rest, m); err != nil {
		t.Fatalf("wire form does not parse: %v", err)
	}
	return m
}

func check(t *testing.T, message string, rules []rule) {
	t.Helper()
	md := testproto.Message(t, fleet, message)
	d := decoder(t, md)
	for _, rule := range rules {
		t.Run(rule.name, func(t *testing.T) {
			t.Parallel()
			want := dynamicpb.NewMessage(md)
			if err := prototext.Unmarshal([]byte(rule.want), want); err != nil {
				t.Fatalf("wanted message: %v", err)
			}
			var drift transcode.Drift
			got := decoded(t, d, md, rule.json, &drift)
			if !bytes.Equal(canonical(t, want), canonical(t, got)) {
				t.Errorf("message (-want +got):\n%s", cmp.Diff(want, got, protocmp.Transform()))
			}
			if diff := cmp.Diff(rule.find, drift.Findings(), cmpopts.EquateEmpty()); diff != "" {
				t.Errorf("findings (-want +got):\n%s", diff)
			}
			if drift.Dropped() != 0 {
				t.Errorf("findings dropped = %d, want 0", drift.Dropped())
			}
		})
	}
}

// canonical returns the same for equal messages, and tells 0 from -0, which proto.Equal does not. It does not
// take time exponential in the depth, as cmp.Diff does.
func canonical(t testing.TB, m proto.Message) []byte {
	t.Helper()
	wire, err := proto.MarshalOptions{Deterministic: true}.Marshal(m)
	if err != nil {
		t.Fatalf("marshal: %v", err)
	}
	return wire
}

func TestDecoder_declaredType(t *testing.T) {
	t.Parallel()
	long := strings.Repeat("street ", 100)
	check(t, "Vehicle", []rule{
		{name: "an empty object is the empty message", json: `{}`},
		{name: "null is the empty message", json: ` null `},
		{name: "a byte order mark and white space surround", json: "\ufeff \t\r\n{ \"id\" : \"a\" , \"active\" : true } \n", want: `id: "a" active: true`},
		{name: "scalars", json: `{"id":"a","odometerMeters":5,"speed":2.5,"active":true}`, want: `id: "a" odometer_meters: 5 speed: 2.5 active: true`},
		{name: "zero values have presence", json: `{"id":"","odometerMeters":0,"speed":0,"active":false,"plain":"","bare":0}`, want: `id: "" odometer_meters: 0 speed: 0 active: false`},
		{name: "false is kept", json: `{"active":false}`, want: `active: false`},
		{name: "empty messages have presence", json: `{"gps":{}}`, want: `gps: {}`},
		{name: "nested messages", json: `{"gps":{"latitude":-1.25},"towed":{"towed":{"id":"z"}}}`, want: `gps: {latitude: -1.25} towed: {towed: {id: "z"}}`},
		{name: "messages of more than 127 bytes", json: `{"gps":{"address":"` + long + `"},"towed":{"gps":{"address":"` + long + long + `"},"id":"t"}}`, want: `gps: {address: "` + long + `"} towed: {gps: {address: "` + long + long + `"} id: "t"}`},
		{name: "lists", json: `{"tags":["a","","b"],"counts":[1,-1,0],"axles":[0.5,1e3],"flags":[true,false],"path":[{},{"latitude":1}],"loose":[3,4]}`, want: `tags: "a" tags: "" tags: "b" counts: [1,-1,0] axles: [0.5,1000] flags: [true,false] path: {} path: {latitude: 1} loose: 3 loose: 4`},
		{name: "packed lists of more than 127 bytes", json: `{"axles":[` + strings.Repeat("1,", 40) + `2]}`, want: strings.Repeat(`axles: 1 `, 40) + `axles: 2`},
		{name: "empty lists and maps", json: `{"tags":[],"counts":[ ],"externalIds":{ },"rows":[]}`},
		{name: "maps", json: `{"externalIds":{"a":"b","":""},"places":{"home":{"latitude":1},"none":{}},"totals":{"x":0,"y":-3},"ratios":{"r":0.5},"switches":{"s":false}}`, want: `external_ids: {key: "a" value: "b"} external_ids: {key: "" value: ""} places: {key: "home" value: {latitude: 1}} places: {key: "none" value: {}} totals: {key: "x" value: 0} totals: {key: "y" value: -3} ratios: {key: "r" value: 0.5} switches: {key: "s" value: false}`},
		{name: "the last of two equal map keys wins", json: `{"externalIds":{"a":"b","a":"c"}}`, want: `external_ids: {key: "a" value: "c"}`},
		{name: "a map entry of more than 127 bytes", json: `{"externalIds":{"a":"` + long + `"}}`, want: `external_ids: {key: "a" value: "` + long + `"}`},
		{name: "the json_name of a field", json: `{"EquipmentID":"E1"}`, want: `equipment_id: "E1"`},
		{name: "a member name with escapes", json: `{"\u0069d":"a","EQ":1,"Equ\u0069pmentID":"b"}`, want: `id: "a" equipment_id: "b"`, find: []transcode.Finding{found(transcode.Unknown, "EQ")}},
		{name: "a field number of several bytes", json: `{"far":"x"}`, want: `far: "x"`},
		{name: "null is unset, without drift", json: `{"id":null,"odometerMeters":null,"speed":null,"active":null,"gps":null,"tags":null,"counts":null,"externalIds":null,"settings":null,"row":null,"extras":null,"attributes":null,"matrix":null,"plain":null}`},
	})
	check(t, "Renamed", []rule{
		{name: "the annotation's name of a field", json: `{"first":"b","Is First?":"a"}`, want: `first: "a" second: "b"`},
	})
}

func TestDecoder_escapedText(t *testing.T) {
	t.Parallel()
	check(t, "Vehicle", []rule{
		{name: "every short escape", json: `{"id":"\"\\\/\b\f\n\r\t"}`, want: `id: "\"\\/\b\f\n\r\t"`},
		{name: "code points", json: `{"id":"\u0041\u00e9\u20AC\ud83d\ude00"}`, want: `id: "Aé€😀"`},
		{name: "a null character", json: `{"id":"a\u0000b"}`, want: `id: "a\000b"`},
		{name: "text beyond ASCII as it stands", json: `{"id":"Straße 東京 😀"}`, want: `id: "Straße 東京 😀"`},
		{name: "a delete character as it stands", json: "{\"id\":\"\x7f\"}", want: `id: "\x7f"`},
		{name: "an escape after a long run", json: `{"id":"0123456789abcdefghij\n0123456789"}`, want: `id: "0123456789abcdefghij\n0123456789"`},
		{name: "escaped text of more than 127 bytes", json: `{"id":"\n` + strings.Repeat("x", 200) + `"}`, want: `id: "\n` + strings.Repeat("x", 200) + `"`},
		{name: "a declared replacement character is no drift", json: `{"id":"\ufffd�"}`, want: `id: "��"`},
		{name: "escapes in map keys", json: `{"externalIds":{"\u0061\n":"b"}}`, want: `external_ids: {key: "a\n" value: "b"}`},
		{name: "each invalid byte is replaced", json: "{\"id\":\"a\xff\xfeb\"}", want: `id: "a��b"`, find: []transcode.Finding{found(transcode.InvalidText, "id")}},
		{name: "a truncated sequence is replaced", json: "{\"id\":\"\xe6\x9d\"}", want: `id: "��"`, find: []transcode.Finding{found(transcode.InvalidText, "id")}},
		{name: "an encoded surrogate is replaced", json: "{\"id\":\"\xed\xa0\x80\"}", want: `id: "���"`, find: []transcode.Finding{found(transcode.InvalidText, "id")}},
		{name: "a lone high surrogate is replaced", json: `{"id":"\ud800x"}`, want: `id: "�x"`, find: []transcode.Finding{found(transcode.InvalidText, "id")}},
		{name: "a lone low surrogate is replaced", json: `{"id":"\udc00"}`, want: `id: "�"`, find: []transcode.Finding{found(transcode.InvalidText, "id")}},
		{name: "a high surrogate before another character is replaced alone", json: `{"id":"\ud800\u0041\ud800\ud83d\ude00"}`, want: `id: "�A�😀"`, find: []transcode.Finding{found(transcode.InvalidText, "id")}},
		{name: "map keys and values", json: "{\"externalIds\":{\"a\xff\":\"\\udfff\"}}", want: `external_ids: {key: "a�" value: "�"}`, find: []transcode.Finding{times(2, found(transcode.InvalidText, "externalIds"))}},
		{name: "keys and text inside a Value", json: "{\"extra\":{\"\xff\":[\"\\ud800\"]}}", want: `extra: {struct_value: {fields: {key: "�" value: {list_value: {values: {string_value: "�"}}}}}}`, find: []transcode.Finding{times(2, found(transcode.InvalidText, "extra"))}},
	})
}

func TestDecoder_exactNumbers(t *testing.T) {
	t.Parallel()
	mismatch := []transcode.Finding{found(transcode.Mismatch, "odometerMeters")}
	var rules []rule
	for _, test := range []struct {
		json string
		want string
		find []transcode.Finding
	}{
		{json: `-0`, want: `0`},
		{json: `0.0`, want: `0`},
		{json: `0e999999999999999999999`, want: `0`},
		{json: `1e3`, want: `1000`},
		{json: `1E+3`, want: `1000`},
		{json: `1.0`, want: `1`},
		{json: `-1.50e1`, want: `-15`},
		{json: `1200e-2`, want: `12`},
		{json: `9223372036854775807`, want: `9223372036854775807`},
		{json: `-9223372036854775808`, want: `-9223372036854775808`},
		{json: `9.223372036854775807e18`, want: `9223372036854775807`},
		{json: `922337203685477580700000e-5`, want: `9223372036854775807`},
		{json: `1.00000000000000000000000000000000000000000000000000000000000000000000000000000`, want: `1`},
		{json: `0.000000000000000000000000000001e30`, want: `1`},
		{json: `0.` + strings.Repeat("0", 100) + `7e101`, want: `7`},
		{json: `7` + strings.Repeat("0", 100) + `e-100`, want: `7`},
		{json: `9223372036854775808`, find: mismatch},
		{json: `-9223372036854775809`, find: mismatch},
		{json: `18446744073709551616`, find: mismatch},
		{json: `100000000000000000000`, find: mismatch},
		{json: `1e19`, find: mismatch},
		{json: `1e400`, find: mismatch},
		{json: `1e99999999999999999999`, find: mismatch},
		{json: `1e-99999999999999999999`, find: mismatch},
		{json: `1.5`, find: mismatch},
		{json: `-0.1`, find: mismatch},
		{json: `1e-1`, find: mismatch},
		{json: `1.00000000000000000000000000000001`, find: mismatch},
	} {
		rule := rule{name: "int64 from " + test.json, json: `{"odometerMeters":` + test.json + `}`, find: test.find}
		if test.want != "" {
			rule.want = `odometer_meters: ` + test.want
		}
		rules = append(rules, rule)
	}
	check(t, "Vehicle", rules)
}

func TestDecoder_nearestDouble(t *testing.T) {
	t.Parallel()
	check(t, "Vehicle", []rule{
		{name: "a whole number", json: `{"speed":5}`, want: `speed: 5`},
		{name: "a whole number beyond doubles", json: `{"speed":9007199254740993}`, want: `speed: 9007199254740992`},
		{name: "a negative zero", json: `{"speed":-0.0}`, want: `speed: -0.0`},
		{name: "a power that is exact", json: `{"speed":1e22}`, want: `speed: 1e22`},
		{name: "a power that is not exact", json: `{"speed":1e23}`, want: `speed: 1e23`},
		{name: "many digits", json: `{"speed":37.774929000000000000000000000001}`, want: `speed: 37.774929`},
		{name: "a halfway case", json: `{"speed":2.2250738585072011e-308}`, want: `speed: 2.2250738585072011e-308`},
		{name: "the largest", json: `{"speed":1.7976931348623157e308}`, want: `speed: 1.7976931348623157e308`},
		{name: "the least above 0", json: `{"speed":5e-324}`, want: `speed: 5e-324`},
		{name: "less than that is 0", json: `{"speed":1e-400}`, want: `speed: 0`},
		{name: "more than the largest has no double", json: `{"speed":1e400}`, find: []transcode.Finding{found(transcode.Mismatch, "speed")}},
		{name: "less than the least has no double", json: `{"speed":-1.8e308}`, find: []transcode.Finding{found(transcode.Mismatch, "speed")}},
	})
}

func TestDecoder_coerced(t *testing.T) {
	t.Parallel()
	coerced := func(members ...string) (findings []transcode.Finding) {
		for _, member := range members {
			findings = append(findings, found(transcode.Coerced, member))
		}
		return findings
	}
	check(t, "Vehicle", []rule{
		{name: "a number for text, as written", json: `{"id":-1.50E+2}`, want: `id: "-1.50E+2"`, find: coerced("id")},
		{name: "a long number for text", json: `{"id":281474976710655281474976710655}`, want: `id: "281474976710655281474976710655"`, find: coerced("id")},
		{name: "true for text", json: `{"id":true}`, want: `id: "true"`, find: coerced("id")},
		{name: "false for text", json: `{"id":false}`, want: `id: "false"`, find: coerced("id")},
		{name: "digits for a whole number", json: `{"odometerMeters":"-42"}`, want: `odometer_meters: -42`, find: coerced("odometerMeters")},
		{name: "the largest digits for a whole number", json: `{"odometerMeters":"9223372036854775807"}`, want: `odometer_meters: 9223372036854775807`, find: coerced("odometerMeters")},
		{name: "digits in escapes", json: `{"odometerMeters":"\u0034\u0032","id":"x"}`, want: `odometer_meters: 42 id: "x"`, find: coerced("odometerMeters")},
		{name: "text of a number for a double", json: `{"speed":"-2.5e1"}`, want: `speed: -25`, find: coerced("speed")},
		{name: "text of bools", json: `{"active":"true","flags":["false"]}`, want: `active: true flags: false`, find: coerced("active", "flags")},
		{name: "elements of lists", json: `{"tags":[1,"a",true],"counts":["1",2,"3"],"axles":["0.5"],"loose":["7"]}`, want: `tags: "1" tags: "a" tags: "true" counts: [1,2,3] axles: 0.5 loose: 7`, find: []transcode.Finding{times(2, found(transcode.Coerced, "tags")), times(2, found(transcode.Coerced, "counts")), found(transcode.Coerced, "axles"), found(transcode.Coerced, "loose")}},
		{name: "values of maps", json: `{"externalIds":{"a":1},"totals":{"b":"2"}}`, want: `external_ids: {key: "a" value: "1"} totals: {key: "b" value: 2}`, find: coerced("externalIds", "totals")},
		{name: "in a nested message", json: `{"gps":{"latitude":"1.5"}}`, want: `gps: {latitude: 1.5}`, find: []transcode.Finding{in("Vehicle.Gps", found(transcode.Coerced, "latitude"))}},
	})
}

func TestDecoder_mismatch(t *testing.T) {
	t.Parallel()
	var rules []rule
	for member, values := range map[string][]string{
		"id":             {`{}`, `[]`, `{"a":[1,{"b":null}]}`, `["x"]`},
		"odometerMeters": {`""`, `"x"`, `"1.0"`, `"1e3"`, `"007"`, `"+1"`, `" 1"`, `"-0"`, `"9223372036854775808"`, `true`, `false`, `{}`, `[]`, `[1]`},
		"speed":          {`""`, `"NaN"`, `"Infinity"`, `"1e400"`, `"0x1p4"`, `".5"`, `"1_0"`, `"1 "`, `true`, `{}`, `[]`},
		"active":         {`0`, `1`, `""`, `"True"`, `"yes"`, `"1"`, `{}`, `[]`},
		"gps":            {`""`, `"text"`, `0`, `-1.5`, `true`, `[]`, `[{}]`},
		"tags":           {`"a"`, `0`, `true`, `{}`, `{"a":"b"}`},
		"counts":         {`1`, `"1"`, `{}`},
		"path":           {`{}`, `{"latitude":1}`},
		"externalIds":    {`[]`, `"a"`, `1`, `false`, `[["a","b"]]`},
		"settings":       {`[]`, `""`, `1`, `true`},
		"row":            {`{}`, `""`, `1`, `true`},
		"rows":           {`{}`, `""`, `1`, `true`},
		"extras":         {`{}`, `""`, `1`, `true`},
		"matrix":         {`1`, `"a"`, `true`},
		"verdict":        {`[]`, `["a"]`},
	} {
		for _, value := range values {
			rules = append(rules, rule{
				name: member + " from " + value,
				json: `{"plain":"before","` + member + `": ` + value + ` ,"bare":1}`,
				want: `plain: "before" bare: 1`,
				find: []transcode.Finding{found(transcode.Mismatch, member)},
			})
		}
	}
	check(t, "Vehicle", append(rules, []rule{
		{name: "an element of a list is dropped alone", json: `{"tags":["a",null,{},["b"],"c"],"counts":[1,1.5,null,2],"path":[{"latitude":1},null,7,{}]}`, want: `tags: "a" tags: "c" counts: [1,2] path: {latitude: 1} path: {}`, find: []transcode.Finding{found(transcode.NullEntry, "tags"), times(2, found(transcode.Mismatch, "tags")), found(transcode.Mismatch, "counts"), found(transcode.NullEntry, "counts"), found(transcode.NullEntry, "path"), found(transcode.Mismatch, "path")}},
		{name: "a list of which nothing is left is empty", json: `{"counts":[null,"x"],"tags":[null]}`, find: []transcode.Finding{found(transcode.NullEntry, "counts"), found(transcode.Mismatch, "counts"), found(transcode.NullEntry, "tags")}},
		{name: "a value of a map is dropped with its key", json: `{"externalIds":{"a":null,"b":"c"},"places":{"x":5,"y":{}},"totals":{"n":0.5}}`, want: `external_ids: {key: "b" value: "c"} places: {key: "y" value: {}}`, find: []transcode.Finding{found(transcode.NullEntry, "externalIds"), found(transcode.Mismatch, "places"), found(transcode.Mismatch, "totals")}},
		{name: "null in a list of Structs or ListValues is dropped", json: `{"rows":[[1],null,"x",[]]}`, want: `rows: {values: {number_value: 1}} rows: {}`, find: []transcode.Finding{found(transcode.NullEntry, "rows"), found(transcode.Mismatch, "rows")}},
		{name: "invalid text in it is not counted beside", json: "{\"gps\":\"\xff\"}", find: []transcode.Finding{found(transcode.Mismatch, "gps")}},
	}...))
}

func TestDecoder_unknownMember(t *testing.T) {
	t.Parallel()
	unknown := func(members ...string) (findings []transcode.Finding) {
		for _, member := range members {
			findings = append(findings, found(transcode.Unknown, member))
		}
		return findings
	}
	check(t, "Vehicle", []rule{
		{name: "values of every type", json: `{"a":1,"b":"x\n\u00e9","c":{"d":[{},[],null,true,false,-1.5e-3]},"e":null,"id":"x","f":[]}`, want: `id: "x"`, find: unknown("a", "b", "c", "e", "f")},
		{name: "a proto name", json: `{"odometer_meters":1,"Id":"x"}`, find: unknown("odometer_meters", "Id")},
		{name: "names with text beyond ASCII and escapes", json: `{"é\n":1,"\u00e9\u000a":2,"":3}`, find: []transcode.Finding{times(2, found(transcode.Unknown, "é\n")), found(transcode.Unknown, "")}},
		{name: "invalid text in a name", json: "{\"a\xffb\":1,\"\\ud800\":2}", find: unknown("a�b", "�")},
		{name: "invalid text in a value", json: "{\"a\":[\"\xff\",\"\xff\"],\"b\":\"\\ud800\",\"c\":\"x\"}", find: []transcode.Finding{found(transcode.Unknown, "a"), found(transcode.Unknown, "b"), found(transcode.Unknown, "c")}},
		{name: "a long name is cut", json: `{"` + strings.Repeat("x", 65) + `":1}`, find: unknown(strings.Repeat("x", 64))},
		{name: "a long name is cut between characters", json: `{"` + strings.Repeat("x", 62) + `東京":1}`, find: unknown(strings.Repeat("x", 62))},
		{name: "in a nested message", json: `{"towed":{"path":[{"z":1},{"z":2}]}}`, want: `towed: {path: {} path: {}}`, find: []transcode.Finding{in("Vehicle.Gps", times(2, found(transcode.Unknown, "z")))}},
	})
	check(t, "Empty", []rule{
		{name: "in a message without fields", json: `{"a":1}`, find: []transcode.Finding{in("Empty", found(transcode.Unknown, "a"))}},
	})
}

func TestDecoder_duplicateMember(t *testing.T) {
	t.Parallel()
	duplicate := func(member string) []transcode.Finding {
		return []transcode.Finding{found(transcode.Duplicate, member)}
	}
	check(t, "Vehicle", []rule{
		{name: "text", json: `{"id":"a","id":"b"}`, want: `id: "a"`, find: duplicate("id")},
		{name: "a field without presence", json: `{"bare":5,"bare":0}`, want: `bare: 5`, find: duplicate("bare")},
		{name: "a message is not merged", json: `{"gps":{"latitude":1},"gps":{"longitude":2}}`, want: `gps: {latitude: 1}`, find: duplicate("gps")},
		{name: "a list is not continued", json: `{"tags":["a"],"tags":["b"]}`, want: `tags: "a"`, find: duplicate("tags")},
		{name: "a map is not continued", json: `{"externalIds":{"a":"b"},"externalIds":{"c":"d"}}`, want: `external_ids: {key: "a" value: "b"}`, find: duplicate("externalIds")},
		{name: "null counts", json: `{"id":null,"id":"b"}`, find: duplicate("id")},
		{name: "what was dropped counts", json: `{"id":{},"id":"b"}`, find: []transcode.Finding{found(transcode.Mismatch, "id"), found(transcode.Duplicate, "id")}},
		{name: "a name in escapes is the same", json: `{"id":"a","\u0069d":"b"}`, want: `id: "a"`, find: duplicate("id")},
		{name: "three are two duplicates", json: `{"id":"a","id":"b","id":"c"}`, want: `id: "a"`, find: []transcode.Finding{times(2, found(transcode.Duplicate, "id"))}},
		{name: "elements of a list do not share", json: `{"path":[{"latitude":1},{"latitude":2}]}`, want: `path: {latitude: 1} path: {latitude: 2}`},
	})
}

func TestDecoder_freeForm(t *testing.T) {
	t.Parallel()
	coerced := []transcode.Finding{found(transcode.Coerced, "extra")}
	check(t, "Vehicle", []rule{
		{name: "text", json: `{"extra":"a"}`, want: `extra: {string_value: "a"}`},
		{name: "null", json: `{"extra":null,"extras":[null],"attributes":{"a":null}}`, want: `extra: {null_value: NULL_VALUE} extras: {null_value: NULL_VALUE} attributes: {key: "a" value: {null_value: NULL_VALUE}}`},
		{name: "bools", json: `{"extras":[true,false]}`, want: `extras: {bool_value: true} extras: {bool_value: false}`},
		{name: "an object", json: `{"extra":{"a":{"b":[1,"c",{}]},"a2":[]}}`, want: `extra: {struct_value: {fields: {key: "a" value: {struct_value: {fields: {key: "b" value: {list_value: {values: {number_value: 1} values: {string_value: "c"} values: {struct_value: {}}}}}}}} fields: {key: "a2" value: {list_value: {}}}}}`},
		{name: "a Struct", json: `{"settings":{"a":1,"a":2,"b":null}}`, want: `settings: {fields: {key: "a" value: {number_value: 2}} fields: {key: "b" value: {null_value: NULL_VALUE}}}`},
		{name: "an empty Struct and ListValue", json: `{"settings":{},"row":[]}`, want: `settings: {} row: {}`},
		{name: "ListValues", json: `{"row":[1,[2]],"rows":[["a",null],[]]}`, want: `row: {values: {number_value: 1} values: {list_value: {values: {number_value: 2}}}} rows: {values: {string_value: "a"} values: {null_value: NULL_VALUE}} rows: {}`},
		{name: "long values", json: `{"extra":{"a":["` + strings.Repeat("x", 300) + `"]}}`, want: `extra: {struct_value: {fields: {key: "a" value: {list_value: {values: {string_value: "` + strings.Repeat("x", 300) + `"}}}}}}`},
		{name: "fractions", json: `{"extras":[0.1,-1.5e-7,0.3000000000000000444089209850062616,1e-400]}`, want: `extras: {number_value: 0.1} extras: {number_value: -1.5e-7} extras: {number_value: 0.30000000000000004} extras: {number_value: 0}`},
		{name: "whole numbers that a double holds", json: `{"extras":[0,-0,9007199254740992,9007199254740993.5,9007199254740994,1e22,1208925819614629174706176,1208925819614629174706176.000,-12089258196146291747061760e-1]}`, want: `extras: {number_value: 0} extras: {number_value: -0.0} extras: {number_value: 9007199254740992} extras: {number_value: 9007199254740994} extras: {number_value: 9007199254740994} extras: {number_value: 1e22} extras: {number_value: 1208925819614629174706176} extras: {number_value: 1208925819614629174706176} extras: {number_value: -1208925819614629174706176}`},
		{name: "a whole number that no double holds", json: `{"extra":9007199254740993}`, want: `extra: {string_value: "9007199254740993"}`, find: coerced},
		{name: "such a number with a point", json: `{"extra":-9007199254740993.0}`, want: `extra: {string_value: "-9007199254740993.0"}`, find: coerced},
		{name: "such a number with an exponent", json: `{"extra":1e23}`, want: `extra: {string_value: "1e23"}`, find: coerced},
		{name: "such a number of many digits", json: `{"extra":1208925819614629174706177}`, want: `extra: {string_value: "1208925819614629174706177"}`, find: coerced},
		{name: "a number beyond doubles", json: `{"extra":1e400}`, want: `extra: {string_value: "1e400"}`, find: coerced},
		{name: "such a number within", json: `{"extra":{"a":[9007199254740993,1e999]}}`, want: `extra: {struct_value: {fields: {key: "a" value: {list_value: {values: {string_value: "9007199254740993"} values: {string_value: "1e999"}}}}}}`, find: []transcode.Finding{times(2, found(transcode.Coerced, "extra"))}},
	})
}

func nested(open, inner, closing string, depth int) string {
	return strings.Repeat(open, depth) + inner + strings.Repeat(closing, depth)
}

func TestDecoder_nestingOfFreeForm(t *testing.T) {
	t.Parallel()
	deepest := nested(`{list_value: {values: `, `{number_value: 7}`, `}}`, transcode.MaxValueDepth)
	at := nested("[", "7", "]", transcode.MaxValueDepth)
	over := nested("[", "7", "]", transcode.MaxValueDepth+1)
	tooDeep := func(member string) []transcode.Finding {
		return []transcode.Finding{found(transcode.TooDeep, member)}
	}
	check(t, "Vehicle", []rule{
		{name: "a Value at the bound", json: `{"extra":` + at + `}`, want: `extra: ` + deepest},
		{name: "a Value beyond it is unset", json: `{"id":"a","extra":` + over + `,"plain":"b"}`, want: `id: "a" plain: "b"`, find: tooDeep("extra")},
		{name: "objects count as well", json: `{"id":"a","extra":` + nested(`{"k":`, "1", "}", transcode.MaxValueDepth+1) + `,"plain":"b"}`, want: `id: "a" plain: "b"`, find: tooDeep("extra")},
		{name: "an element beyond it is dropped alone", json: `{"extras":[1,` + over + `,2]}`, want: `extras: {number_value: 1} extras: {number_value: 2}`, find: tooDeep("extras")},
		{name: "a map value beyond it is dropped with its key", json: `{"attributes":{"a":1,"b":` + over + `}}`, want: `attributes: {key: "a" value: {number_value: 1}}`, find: tooDeep("attributes")},
		{name: "a Struct", json: `{"settings":{"a":` + at + `}}`, find: tooDeep("settings")},
		{name: "a ListValue at the bound", json: `{"row":` + at + `}`, want: `row: {values: ` + nested(`{list_value: {values: `, `{number_value: 7}`, `}}`, transcode.MaxValueDepth-1) + `}`},
		{name: "what it holds is not recorded", json: `{"extra":[9007199254740993,"\ud800",` + at + `]}`, find: tooDeep("extra")},
		{name: "a ListValue beyond it", json: `{"row":` + over + `,"rows":[[1],` + over + `]}`, want: `rows: {values: {number_value: 1}}`, find: []transcode.Finding{found(transcode.TooDeep, "row"), found(transcode.TooDeep, "rows")}},
	})
}

func TestDecoder_rootField(t *testing.T) {
	t.Parallel()
	check(t, "Assets", []rule{
		{name: "an array is the list", json: ` [{"id":"a"},{}] `, want: `assets: {id: "a"} assets: {}`},
		{name: "an object is read by its members", json: `{"assets":[{"id":"a"}],"note":"n"}`, want: `assets: {id: "a"} note: "n"`},
		{name: "null is the empty message", json: `null`},
		{name: "drift is recorded under the root field", json: `[null,{"x":1},3]`, want: `assets: {}`, find: []transcode.Finding{in("Assets", found(transcode.NullEntry, "assets")), found(transcode.Unknown, "x"), in("Assets", found(transcode.Mismatch, "assets"))}},
	})
	check(t, "Verdict", []rule{
		{name: "a string is the text", json: `"gone"`, want: `text: "gone"`},
		{name: "an empty string is kept", json: `""`, want: `text: ""`},
		{name: "a number is coerced", json: `7`, want: `text: "7"`, find: []transcode.Finding{in("Verdict", found(transcode.Coerced, "text"))}},
		{name: "an object is read by its member", json: `{"text":"a"}`, want: `text: "a"`},
		{name: "null leaves the text unset", json: `null`},
	})
	check(t, "Count", []rule{
		{name: "a number is the count", json: `12`, want: `value: 12`},
		{name: "a scalar that is no count is dropped", json: `"many"`, find: []transcode.Finding{in("Count", found(transcode.Mismatch, "value"))}},
	})
	check(t, "Anything", []rule{
		{name: "an array is the value", json: `[1]`, want: `value: {list_value: {values: {number_value: 1}}}`},
		{name: "a string is the value", json: `"a"`, want: `value: {string_value: "a"}`},
		{name: "null is the null value", json: `null`, want: `value: {null_value: NULL_VALUE}`},
		{name: "an object is read by its member", json: `{"value":{"a":1}}`, want: `value: {struct_value: {fields: {key: "a" value: {number_value: 1}}}}`},
	})
	check(t, "Sequence", []rule{
		{name: "an array is the list value", json: `["a"]`, want: `value: {values: {string_value: "a"}}`},
	})
	check(t, "Vehicle", []rule{
		{name: "arrays of arrays", json: `{"matrix":[[1,2],[],[3]]}`, want: `matrix: {rows: {values: [1,2]} rows: {} rows: {values: 3}}`},
		{name: "lists of arrays of arrays", json: `{"matrices":[[[1]],[],{"rows":[[2],{"values":[3]}],"note":"n"}]}`, want: `matrices: {rows: {values: 1}} matrices: {} matrices: {rows: {values: 2} rows: {values: 3} note: "n"}`},
		{name: "null in an array of arrays", json: `{"matrices":[null,[null,[null,5]]]}`, want: `matrices: {rows: {values: 5}}`, find: []transcode.Finding{found(transcode.NullEntry, "matrices"), in("Matrix", found(transcode.NullEntry, "rows")), in("Numbers", found(transcode.NullEntry, "values"))}},
		{name: "single values in a list keep their positions", json: `{"verdicts":[null,"a",[1],null,{},{"text":null}]}`, want: `verdicts: {} verdicts: {text: "a"} verdicts: {} verdicts: {} verdicts: {} verdicts: {}`, find: []transcode.Finding{in("Verdict", found(transcode.Mismatch, "text"))}},
		{name: "text of a nested message", json: `{"verdict":"ok","verdicts":["a",{"text":"b"},1]}`, want: `verdict: {text: "ok"} verdicts: {text: "a"} verdicts: {text: "b"} verdicts: {text: "1"}`, find: []transcode.Finding{in("Verdict", found(transcode.Coerced, "text"))}},
	})
}

func TestDecoder_otherOutermostType(t *testing.T) {
	t.Parallel()
	for _, test := range []struct{ message, json string }{
		{"Vehicle", `[]`},
		{"Vehicle", `[{"id":"a"}]`},
		{"Vehicle", `"secret"`},
		{"Vehicle", `1`},
		{"Vehicle", `true`},
		{"Assets", `"secret"`},
		{"Assets", `1`},
		{"Verdict", `["secret"]`},
		{"Count", `[1]`},
		{"Sequence", `1`},
	} {
		t.Run(test.message+" from "+test.json, func(t *testing.T) {
			t.Parallel()
			var drift transcode.Drift
			dst := []byte("kept")
			got, err := decoder(t, testproto.Message(t, fleet, test.message)).Append(dst, []byte(test.json), &drift)
			if !errors.Is(err, transcode.ErrRoot) {
				t.Errorf("error = %v, want ErrRoot", err)
			}
			if err != nil && strings.Contains(err.Error(), "secret") {
				t.Errorf("error %q holds text of the document", err)
			}
			if string(got) != "kept" {
				t.Errorf("dst = %q, want it as it came", got)
			}
			if len(drift.Findings()) != 0 {
				t.Errorf("findings = %v, want none", drift.Findings())
			}
		})
	}
}

// malformed are documents that are not JSON, with where they stop being it.
func malformed() map[string]int {
	return map[string]int{
		``: 0, ` `: 1, "\ufeff": 3, "\ufeff\ufeff{}": 3, "\x00": 0, "\v{}": 0, "{}\x00": 2,
		`{`: 1, `}`: 0, `[`: 1, `]`: 0, `{]`: 1, `[}`: 1, `{}}`: 2, `{} {}`: 3, `{},`: 2, `[] x`: 3,
		`{"id"`: 5, `{"id" "a"}`: 6, `{"id":}`: 6, `{"id":,}`: 6, `{"id":"a"`: 9, `{"id":"a",}`: 10, `{"id":"a" "b"}`: 10, `{,}`: 1, `{id:1}`: 1, `{'id':1}`: 1, `{1:1}`: 1, `{null:1}`: 1, `{"id":"a";}`: 9,
		`{"tags":["a",]}`: 13, `{"tags":[,]}`: 9, `{"tags":["a" "b"]}`: 13, `{"tags":["a"}`: 12, `{"externalIds":{"a"}}`: 19, `{"externalIds":{"a":"b",}}`: 24, `{"externalIds":{1:"b"}}`: 16, `{"externalIds":{"a":}}`: 20,
		`{"x":[1,]}`: 8, `{"x":{"a":1,}}`: 12, `{"x":{"a" 1}}`: 10, `{"x":{1}}`: 6, `{"x":tru}`: 5, `{"x":nul`: 8 - 3, `{"x":NaN}`: 5, `{"x":Infinity}`: 5, `{"x":/**/1}`: 5, `{"x":1//}`: 6,
		`{"active":tru}`: 10, `{"active":truee}`: 14, `{"active":fals}`: 10, `{"id":nul}`: 6, `{"id":nulll}`: 10, `{"id":undefined}`: 6,
		`{"speed":01}`: 10, `{"speed":-}`: 10, `{"speed":+1}`: 9, `{"speed":1.}`: 11, `{"speed":.5}`: 9, `{"speed":1e}`: 11, `{"speed":1e+}`: 12, `{"speed":1.e3}`: 11, `{"speed":-01}`: 11, `{"speed":0x1}`: 10, `{"speed":1-}`: 10, `{"speed":NaN}`: 9, `{"speed":--1}`: 10, `{"speed":1.5.5}`: 12,
		`{"odometerMeters":00}`: 19, `{"odometerMeters":1.}`: 20, `{"id":01}`: 7, `{"id":-}`: 7, `{"id":1.}`: 8, `{"x":01}`: 6, `{"x":-}`: 6, `{"x":1.}`: 7, `{"extra":01}`: 10, `{"extra":-}`: 10, `{"extra":x}`: 9,
		`{"id":"a`: 8, `{"id":"a\`: 7 + 1, `{"id":"\x"}`: 7, `{"id":"\u12"}`: 7, `{"id":"\u12G4"}`: 7, `{"id":"\ud800\u12"}`: 13, `{"id":"\U0041"}`: 7, "{\"id\":\"a\nb\"}": 8, "{\"id\":\"\x00\"}": 7, "{\"id\":\"\x1f0123456789\"}": 7,
		"{\"x\":\"a\tb\"}": 7, `{"x":"\x"}`: 6, `{"x":"\u12"}`: 6, "{\"a\nb\":1}": 3, `{"a\x":1}`: 3, `{"x":{"a\x":1}}`: 8,
		"{\"externalIds\":{\"a\x01\":1}}": 18, `{"extra":{"a\q":1}}`: 12, `{"extra":[1,]}`: 12, `{"extra":{"a":1,}}`: 16, `{"extra":{"a"}}`: 13, `{"extra":{a:1}}`: 10,
		`{"gps":x}`: 7, `{"tags":x}`: 8, `{"externalIds":x}`: 15, `{"counts":[1,x]}`: 13, `{"verdict":x}`: 11, `{"matrix":[[1,x]]}`: 14,
		"{\"id\":\"a\"}\ufeff": 10, "\xff": 0, "{\"id\":\xff}": 6,
	}
}

func TestDecoder_syntaxError(t *testing.T) {
	t.Parallel()
	d := decoder(t, testproto.Message(t, fleet, "Vehicle"))
	for document, offset := range malformed() {
		t.Run(document, func(t *testing.T) {
			t.Parallel()
			got, err := d.Append([]byte("kept"), []byte(document), nil)
			var syntax *transcode.SyntaxError
			if !errors.As(err, &syntax) {
				t.Fatalf("Append error = %v, want a SyntaxError", err)
			}
			if syntax.Offset != offset {
				t.Errorf("Append offset = %d (%s), want %d", syntax.Offset, syntax.Reason, offset)
			}
			if string(got) != "kept" {
				t.Errorf("dst = %q, want it as it came", got)
			}
			if err := transcode.Valid([]byte(document)); !errors.As(err, &syntax) || syntax.Offset != offset {
				t.Errorf("Valid = %v, want a SyntaxError at %d", err, offset)
			}
		})
	}
}

// maxLevels is how many messages C++ and Java parse within one another, below the outermost.
const maxLevels = 100

// levelsOf returns how many messages are within one another in m, below itself.
func levelsOf(m protoreflect.Message) int {
	deepest := 0
	m.Range(func(fd protoreflect.FieldDescriptor, v protoreflect.Value) bool {
		switch {
		case fd.IsMap():
			v.Map().Range(func(_ protoreflect.MapKey, v protoreflect.Value) bool {
				deepest = max(deepest, 1)
				if fd.MapValue().Message() != nil {
					deepest = max(deepest, 2+levelsOf(v.Message()))
				}
				return true
			})
		case fd.Message() == nil:
		case fd.IsList():
			for i := range v.List().Len() {
				deepest = max(deepest, 1+levelsOf(v.List().Get(i).Message()))
			}
		default:
			deepest = max(deepest, 1+levelsOf(v.Message()))
		}
		return true
	})
	return deepest
}

func TestDecoder_nesting(t *testing.T) {
	t.Parallel()
	md := testproto.Message(t, fleet, "Vehicle")
	d := decoder(t, md)
	tooDeep := func(member string) []transcode.Finding {
		return []transcode.Finding{found(transcode.TooDeep, member)}
	}
	for name, test := range map[string]struct {
		// at writes a document whose arrays and objects nest as deep as given, at least 9.
		at func(depth int) string
		// beyond is the drift beyond MaxDepth.
		beyond []transcode.Finding
		// levels is how many messages there are within one another at MaxDepth.
		levels int
	}{
		"messages": {
			at:     func(depth int) string { return nested(`{"towed":`, "null", "}", depth) },
			beyond: tooDeep("towed"), levels: transcode.MaxDepth - 1,
		},
		"a list in messages": {
			at:     func(depth int) string { return nested(`{"towed":`, `{"tags":["a"]}`, "}", depth-2) },
			beyond: tooDeep("tags"), levels: transcode.MaxDepth - 2,
		},
		"a packed list in messages": {
			at:     func(depth int) string { return nested(`{"towed":`, `{"counts":[1]}`, "}", depth-2) },
			beyond: tooDeep("counts"), levels: transcode.MaxDepth - 2,
		},
		"a map in messages": {
			at:     func(depth int) string { return nested(`{"towed":`, `{"externalIds":{"a":"b"}}`, "}", depth-2) },
			beyond: tooDeep("externalIds"), levels: transcode.MaxDepth - 1,
		},
		"messages in a list": {
			at:     func(depth int) string { return nested(`{"towed":`, `{"path":[{}]}`, "}", depth-3) },
			beyond: tooDeep("path"), levels: transcode.MaxDepth - 2,
		},
		"messages in a map": {
			at:     func(depth int) string { return nested(`{"towed":`, `{"places":{"a":{}}}`, "}", depth-3) },
			beyond: tooDeep("places"), levels: transcode.MaxDepth - 1,
		},
		"lists that are messages": {
			at:     func(depth int) string { return nested(`{"towed":`, `{"matrices":[[[1]]]}`, "}", depth-4) },
			beyond: []transcode.Finding{in("Numbers", found(transcode.TooDeep, "values"))}, levels: transcode.MaxDepth - 2,
		},
		"an entry that keeps its position": {
			at:     func(depth int) string { return nested(`{"towed":`, `{"verdicts":[{}]}`, "}", depth-3) },
			beyond: tooDeep("verdicts"), levels: transcode.MaxDepth - 2,
		},
		"a map of strings": {
			at: func(depth int) string {
				return nested(`{"towed":`, `{"externalIds":{"a":`+nested("[", "1", "]", 10_000)+`}}`, "}", depth-2)
			},
			beyond: tooDeep("externalIds"), levels: transcode.MaxDepth - 1,
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			got := decoded(t, d, md, test.at(transcode.MaxDepth), nil)
			if levels := levelsOf(got); levels != test.levels {
				t.Errorf("at the bound there are %d levels of messages, want %d", levels, test.levels)
			}
			var drift transcode.Drift
			got = decoded(t, d, md, test.at(transcode.MaxDepth+1), &drift)
			if levels := levelsOf(got); levels > transcode.MaxDepth {
				t.Errorf("beyond the bound there are %d levels of messages", levels)
			}
			if diff := cmp.Diff(test.beyond, drift.Findings()); diff != "" {
				t.Errorf("findings (-want +got):\n%s", diff)
			}
		})
	}
}

// A Value deep in a message has less room, so that a message parses wherever it is.
func TestDecoder_nestingOfValuesInMessages(t *testing.T) {
	t.Parallel()
	md := testproto.Message(t, fleet, "Vehicle")
	d := decoder(t, md)
	for around := 1; around <= transcode.MaxDepth; around++ {
		room := min(transcode.MaxValueDepth, (transcode.MaxDepth-around)/3)
		for depth := range transcode.MaxValueDepth + 2 {
			document := nested(`{"towed":`, `{"extra":`+nested(`{"a":`, "1", "}", depth)+`,"attributes":{"b":1}}`, "}", around-1)
			var drift transcode.Drift
			got := decoded(t, d, md, document, &drift)
			if levels := levelsOf(got); levels > transcode.MaxDepth {
				t.Fatalf("%d levels of messages", levels)
			}
			var want []transcode.Finding
			if depth > room {
				want = append(want, found(transcode.TooDeep, "extra"))
			}
			if around == transcode.MaxDepth {
				want = append(want, found(transcode.TooDeep, "attributes"))
			}
			if diff := cmp.Diff(want, drift.Findings(), cmpopts.EquateEmpty()); diff != "" {
				t.Fatalf("%d levels in a Value within %d (-want +got):\n%s", depth, around, diff)
			}
		}
	}
}

// A skipped value takes neither stack nor time for its depth.
func TestDecoder_nestingOfWhatIsSkipped(t *testing.T) {
	t.Parallel()
	md := testproto.Message(t, fleet, "Vehicle")
	d := decoder(t, md)
	for _, depth := range []int{0, 1, 31, 32, 33, 62, 63, 64, 65, 66, 127, 128, 129, 191, 192, 193, 10_000} {
		for _, value := range []string{
			nested("[", "[]", "]", depth), nested("[1, ", `"x"`, ",null ]", depth), nested(` { "a" : `, "{}", ` , "\u0062":[]}`, depth),
			nested(`[{"a":`, "-1", "}]", depth), nested(`{"a":[0,{},`, "[]", "]}", depth),
		} {
			for member, finding := range map[string]transcode.Finding{
				"\\u0078": found(transcode.Unknown, "x"), "plain": found(transcode.Mismatch, "plain"), "id": found(transcode.Duplicate, "id"),
			} {
				if member == "plain" && depth == 0 && strings.Contains(`1 "x" -1`, value) {
					continue
				}
				var drift transcode.Drift
				document := `{"id":"a","` + member + `":` + value + `,"bare":7}`
				got := decoded(t, d, md, document, &drift)
				if got.Get(md.Fields().ByName("bare")).Int() != 7 {
					t.Fatalf("what follows %.40s is lost", value)
				}
				if diff := cmp.Diff([]transcode.Finding{finding}, drift.Findings()); diff != "" {
					t.Fatalf("findings of %.200s (-want +got):\n%s", document, diff)
				}
				if err := transcode.Valid([]byte(document)); err != nil {
					t.Fatalf("Valid = %v, want nil", err)
				}
			}
		}
	}
	for _, deep := range []string{nested("[", "", "]", 64), nested(`{"a":`, "1", "}", 65), nested("[", "", "]", 200_000)} {
		for _, fault := range []string{"]", "}", "", ",", "x"} {
			for _, cut := range []int{1, 2, 64, 65} {
				document := []byte(`{"x":` + deep[:len(deep)-cut] + fault)
				if document[5] == '[' && fault == "]" || document[5] == '{' && fault == "}" {
					document = document[:len(document)-1]
				}
				var syntax *transcode.SyntaxError
				if _, err := d.Append(nil, document, nil); !errors.As(err, &syntax) {
					t.Errorf("Append = %v, want a SyntaxError", err)
				}
				if err := transcode.Valid(document); !errors.As(err, &syntax) {
					t.Errorf("Valid = %v, want a SyntaxError", err)
				}
			}
		}
	}
}

func TestDecoder_mapOfStrings(t *testing.T) {
	t.Parallel()
	check(t, "Vehicle", []rule{
		{name: "an object is its JSON as sent", json: "{\"externalIds\":{\"a\": { \"b\" :\t[1.50, 1e3 ,\"\\u00e9 \\\" é\" ]\r\n} }}", want: `external_ids: {key: "a" value: "{\"b\":[1.50,1e3,\"\\u00e9 \\\" é\"]}"}`, find: []transcode.Finding{found(transcode.Coerced, "externalIds")}},
		{name: "an array is as well", json: `{"externalIds":{"a":[ ],"b":[{"x":1,"x":null}]}}`, want: `external_ids: {key: "a" value: "[]"} external_ids: {key: "b" value: "[{\"x\":1,\"x\":null}]"}`, find: []transcode.Finding{times(2, found(transcode.Coerced, "externalIds"))}},
		{name: "text that is not valid is replaced", json: "{\"externalIds\":{\"a\":[\"\xff\\ud800\\\\\\ud83d\\ude00\\ufffd\"]}}", want: `external_ids: {key: "a" value: "[\"��\\\\\\ud83d\\ude00\\ufffd\"]"}`, find: []transcode.Finding{found(transcode.Coerced, "externalIds"), found(transcode.InvalidText, "externalIds")}},
		{name: "scalars are their text, null is left out", json: `{"externalIds":{"a":1.0,"b":true,"c":null}}`, want: `external_ids: {key: "a" value: "1.0"} external_ids: {key: "b" value: "true"}`, find: []transcode.Finding{times(2, found(transcode.Coerced, "externalIds")), found(transcode.NullEntry, "externalIds")}},
		{name: "a list of strings has no such values", json: `{"tags":["a",{"b":1},[]]}`, want: `tags: "a"`, find: []transcode.Finding{times(2, found(transcode.Mismatch, "tags"))}},
	})
}

func TestDecoder_nestingOfSiblings(t *testing.T) {
	t.Parallel()
	d := decoder(t, testproto.Message(t, fleet, "Vehicle"))
	part := `"tags":[[],{}],"path":[{},{}],"externalIds":{"a":{}},"extra":{"a":[]},"rows":[[],[]],"x":[[],{}],"extras":[` + nested("[", "", "]", transcode.MaxValueDepth+1) + `]`
	document := `{` + part + strings.Repeat(`,`+part, 50) + `,"towed":` + nested(`{"towed":`, "null", "}", transcode.MaxDepth-1) + `}`
	if _, err := d.Append(nil, []byte(document), nil); err != nil {
		t.Errorf("Append = %v, want nil", err)
	}
}

func TestValid_invalidUTF8(t *testing.T) {
	t.Parallel()
	for document, offset := range map[string]int{
		"{\"id\":\"\xff\"}":        7,
		"{\"é\":\"é\xc3\"}":        9,
		"[\"�\",\"\xed\xa0\x80\"]": 8,
	} {
		var syntax *transcode.SyntaxError
		if err := transcode.Valid([]byte(document)); !errors.As(err, &syntax) || syntax.Offset != offset {
			t.Errorf("Valid(%q) = %v, want a SyntaxError at %d", document, err, offset)
		}
	}
	for _, document := range []string{`null`, ` "\ud800" `, `[1,{"a":"é�"}]`, "\ufeff0", `-0.1e-5`} {
		if err := transcode.Valid([]byte(document)); err != nil {
			t.Errorf("Valid(%q) = %v, want nil", document, err)
		}
	}
}

func TestDrift_bounded(t *testing.T) {
	t.Parallel()
	d := decoder(t, testproto.Message(t, fleet, "Vehicle"))
	var document strings.Builder
	for i := range transcode.MaxFindings + 3 {
		fmt.Fprintf(&document, `,"x%d":1,"x%d":1`, i, i)
	}
	var drift transcode.Drift
	if _, err := d.Append(nil, []byte(`{`+document.String()[1:]+`}`), &drift); err != nil {
		t.Fatalf("Append: %v", err)
	}
	findings := drift.Findings()
	if len(findings) != transcode.MaxFindings {
		t.Fatalf("findings = %d, want %d", len(findings), transcode.MaxFindings)
	}
	if want := times(2, found(transcode.Unknown, "x31")); findings[31] != want {
		t.Errorf("last finding = %v, want %v", findings[31], want)
	}
	if drift.Dropped() != 6 {
		t.Errorf("dropped = %d, want 6", drift.Dropped())
	}
	drift.Reset()
	if len(drift.Findings()) != 0 || drift.Dropped() != 0 {
		t.Errorf("after Reset: %v and %d dropped, want none", drift.Findings(), drift.Dropped())
	}
}

func TestKind_names(t *testing.T) {
	t.Parallel()
	seen := map[string]bool{}
	for kind := transcode.Unknown; kind <= transcode.NullEntry; kind++ {
		name := kind.String()
		if name == "none" || seen[name] {
			t.Errorf("kind %d is called %q, want a name of its own", kind, name)
		}
		seen[name] = true
	}
}
