package transcode_test

import (
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
	package samsara.test.v1;
	import "google/protobuf/struct.proto";
	import "samsara/gateway/v1/annotations.proto";
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
		optional string former = 25 [(samsara.gateway.v1.field) = {retired: true}];
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
		repeated Numbers rows = 1 [(samsara.gateway.v1.field) = {root: true}];
		optional string note = 2;
	}
	message Numbers {
		repeated int64 values = 1 [(samsara.gateway.v1.field) = {root: true}];
	}
	message Verdict {
		optional string text = 1 [(samsara.gateway.v1.field) = {root: true}];
	}
	message Count {
		optional int64 value = 1 [(samsara.gateway.v1.field) = {root: true}];
	}
	message Anything {
		google.protobuf.Value value = 1 [(samsara.gateway.v1.field) = {root: true}];
	}
	message Sequence {
		google.protobuf.ListValue value = 1 [(samsara.gateway.v1.field) = {root: true}];
	}
	message Assets {
		repeated Vehicle assets = 1 [(samsara.gateway.v1.field) = {root: true}];
		optional string note = 2;
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

// found is a finding with the message left out where it is Vehicle.
func found(kind transcode.Kind, member string) transcode.Finding {
	return transcode.Finding{Message: "Vehicle", Member: member, Kind: kind, Count: 1}
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
			wire, err := d.Append([]byte("kept"), []byte(rule.json), &drift)
			if err != nil {
				t.Fatalf("Append: %v", err)
			}
			if !strings.HasPrefix(string(wire), "kept") {
				t.Fatalf("what was before the message is now %q", wire[:4])
			}
			got := dynamicpb.NewMessage(md)
			if err := proto.Unmarshal(wire[4:], got); err != nil {
				t.Fatalf("wire form does not parse: %v", err)
			}
			if diff := cmp.Diff(want, got, protocmp.Transform()); diff != "" {
				t.Errorf("message (-want +got):\n%s", diff)
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

func TestValuesOfTheDeclaredTypeAreKept(t *testing.T) {
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
}

func TestTextIsUnescaped(t *testing.T) {
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

func TestNumbersAreExact(t *testing.T) {
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
