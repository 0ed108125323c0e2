package transcode_test

import (
	"encoding/json"
	"errors"
	"fmt"
	"math"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"google.golang.org/protobuf/encoding/prototext"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/reflect/protoreflect"
	"google.golang.org/protobuf/types/dynamicpb"

	"samsara.internal/gateway/internal/testproto"
	"samsara.internal/gateway/internal/transcode"
)

const encoderSource = `
syntax = "proto3";
package samsara_gateway.test.v1;
import "google/protobuf/field_mask.proto";
import "google/protobuf/struct.proto";
import "samsara_gateway/api/v1/annotations.proto";

message Request {
  optional string name = 2;
  optional int64 count = 1;
  optional double ratio = 3;
  optional bool active = 4;
  optional string serial_number = 5 [json_name = "SerialNumber"];
  optional string odd = 6 [(samsara_gateway.api.v1.field) = {name: "odd-Name\"é"}];
  optional string old = 7 [(samsara_gateway.api.v1.field) = {name: "odd2", retired: true}];
  repeated string tags = 8;
  repeated int64 numbers = 9;
  map<string, string> external_ids = 10;
  Circle circle = 11;
  repeated Stop stops = 12;
  map<string, Stop> stops_by_name = 13;
  google.protobuf.Value value = 14;
  google.protobuf.Struct struct = 15;
  google.protobuf.ListValue list = 16;
  repeated google.protobuf.Value values = 17;
  repeated Row rows = 18;
  Row row = 19;
  Text text = 20;
  Mixed mixed = 21;
  repeated google.protobuf.ListValue table = 22;
  map<string, double> doubles = 23;
}
message Circle {
  optional double latitude = 1;
  optional double radius_meters = 2;
  Circle inner = 3;
}
message Stop {
  optional string name = 1 [(samsara_gateway.api.v1.field) = {required: true}];
  repeated string notes = 2 [(samsara_gateway.api.v1.field) = {required: true}];
  map<string, string> labels = 3 [(samsara_gateway.api.v1.field) = {required: true}];
  Place place = 4 [(samsara_gateway.api.v1.field) = {required: true}];
  repeated Stop sub_stops = 5;
}
message Place { optional string id = 1 [(samsara_gateway.api.v1.field) = {required: true}]; }
message Row { repeated double cells = 1 [(samsara_gateway.api.v1.field) = {root: true}]; }
message Text { optional string value = 1 [(samsara_gateway.api.v1.field) = {root: true}]; }
message Mixed {
  optional string value = 1 [(samsara_gateway.api.v1.field) = {root: true}];
  optional string id = 2;
}
message Scalars {
  optional int32 int32 = 1;
  optional sint32 sint32 = 2;
  optional sfixed32 sfixed32 = 3;
  optional int64 int64 = 4;
  optional sint64 sint64 = 5;
  optional sfixed64 sfixed64 = 6;
  optional uint32 uint32 = 7;
  optional fixed32 fixed32 = 8;
  optional uint64 uint64 = 9;
  optional fixed64 fixed64 = 10;
  optional float float = 11;
  optional bytes bytes = 12;
  int64 plain = 13;
}`

func newEncoder(tb testing.TB, md protoreflect.MessageDescriptor) *transcode.Encoder {
	tb.Helper()
	var compiler transcode.Compiler
	encoder, err := compiler.Encoder(md, fieldsOf(md))
	if err != nil {
		tb.Fatalf("compile encoder: %v", err)
	}
	return encoder
}

func fieldsOf(md protoreflect.MessageDescriptor) []protoreflect.FieldDescriptor {
	fields := make([]protoreflect.FieldDescriptor, md.Fields().Len())
	for i := range fields {
		fields[i] = md.Fields().Get(i)
	}
	return fields
}

func parseText(tb testing.TB, md protoreflect.MessageDescriptor, text string) protoreflect.Message {
	tb.Helper()
	m := dynamicpb.NewMessage(md)
	if err := prototext.Unmarshal([]byte(text), m); err != nil {
		tb.Fatalf("parse %q: %v", text, err)
	}
	return m
}

func TestEncoder_everyForm(t *testing.T) {
	t.Parallel()
	file := testproto.Compile(t, encoderSource)
	tests := map[string]struct {
		message string // "Request" if empty
		text    string
		mask    []string
		want    string
	}{
		"nothing set is an empty object": {want: `{}`},
		"members stand in the order of field numbers": {
			text: `name: "n" count: 1 ratio: 2 active: true`,
			want: `{"count":1,"name":"n","ratio":2,"active":true}`,
		},
		"zero values that are set are written": {
			text: `name: "" count: 0 ratio: 0 active: false circle {}`,
			want: `{"count":0,"name":"","ratio":0,"active":false,"circle":{}}`,
		},
		"the wire name is the annotation's, else the json_name": {
			text: `serial_number: "s" odd: "o"`,
			want: `{"SerialNumber":"s","odd-Name\"é":"o"}`,
		},
		"a retired field is written": {text: `old: "x"`, want: `{"odd2":"x"}`},
		"int64 is a number at both ends of its range": {
			text: `numbers: [-9223372036854775808, 9223372036854775807, 9007199254740993]`,
			want: `{"numbers":[-9223372036854775808,9223372036854775807,9007199254740993]}`,
		},
		"every scalar has its form": {
			message: "Scalars",
			text: `int32: -1 sint32: -2 sfixed32: -3 int64: -4 sint64: -5 sfixed64: -6 uint32: 4294967295 fixed32: 8
				uint64: 18446744073709551615 fixed64: 10 float: 0.1 bytes: "\xff\x00a" plain: 13`,
			want: `{"int32":-1,"sint32":-2,"sfixed32":-3,"int64":-4,"sint64":-5,"sfixed64":-6,"uint32":4294967295,"fixed32":8,` +
				`"uint64":18446744073709551615,"fixed64":10,"float":0.1,"bytes":"/wBh","plain":13}`,
		},
		"strings are escaped as little as JSON allows": {
			text: `name: "\"\\/\b\f\n\r\t\001\177<>&\xe2\x80\xa8\xc3\xa9\xf0\x9f\x9a\x9a"`,
			want: `{"name":"\"\\/\u0008\u000c\n\r\t\u0001` + "\x7f<>&\u2028é🚚" + `"}`,
		},
		"maps have their keys sorted": {
			text: `external_ids {key: "samsara.vin" value: "V"} external_ids {key: "a" value: ""} external_ids {key: "\"" value: "q"}`,
			want: `{"externalIds":{"\"":"q","a":"","samsara.vin":"V"}}`,
		},
		"an empty list or map is left out": {text: ``, want: `{}`},
		"an empty list or map that is required is written": {
			text: `stops {name: "s"}`,
			want: `{"stops":[{"name":"s","notes":[],"labels":{}}]}`,
		},
		"messages nest in lists and maps": {
			text: `stops {name: "a" notes: "n" labels {key: "k" value: "v"} place {id: "p"} sub_stops {}}
				stops_by_name {key: "z" value {name: "zz"}} stops_by_name {key: "b" value {}}`,
			want: `{"stops":[{"name":"a","notes":["n"],"labels":{"k":"v"},"place":{"id":"p"},"subStops":[{"notes":[],"labels":{}}]}],` +
				`"stopsByName":{"b":{"notes":[],"labels":{}},"z":{"name":"zz","notes":[],"labels":{}}}}`,
		},
		"free-form values are the JSON they stand for": {
			text: `value {struct_value {fields {key: "b" value {list_value {values {null_value: NULL_VALUE} values {bool_value: true}}}}
				fields {key: "a" value {number_value: 1.5}} fields {key: "s" value {string_value: "x"}}}}
				struct {fields {key: "k" value {struct_value {}}}} list {values {list_value {}}} values {number_value: 10} values {string_value: ""}`,
			want: `{"value":{"a":1.5,"b":[null,true],"s":"x"},"struct":{"k":{}},"list":[[]],"values":[10,""]}`,
		},
		"a null that is set is written":                  {text: `value {null_value: NULL_VALUE}`, want: `{"value":null}`},
		"an empty struct or list that is set is written": {text: `struct {} list {}`, want: `{"struct":{},"list":[]}`},
		"a wrapper is written as its root field": {
			text: `rows {cells: [1, 2.5]} rows {} row {cells: -0.0} text {value: "t"} table {values {number_value: 1}} table {}`,
			want: `{"rows":[[1,2.5],[]],"row":[-0],"text":"t","table":[[1],[]]}`,
		},
		"a wrapper whose root field is unset is null":  {text: `text {}`, want: `{"text":null}`},
		"a wrapper with other fields set is an object": {text: `mixed {id: "i"}`, want: `{"mixed":{"id":"i"}}`},
		"a message with a root field is its value":     {message: "Row", text: `cells: 7`, want: `[7]`},
		"an empty message with a root list is a list":  {message: "Row", want: `[]`},

		"a mask writes exactly the fields it names": {
			text: `name: "n" count: 1 ratio: 2`,
			mask: []string{"ratio", "count"},
			want: `{"count":1,"ratio":2}`,
		},
		"an unset field that a mask names is null": {
			mask: []string{"name", "count", "circle", "value", "struct", "list", "row", "text"},
			want: `{"count":null,"name":null,"circle":null,"value":null,"struct":null,"list":null,"row":null,"text":null}`,
		},
		"an empty list or map that a mask names is written": {
			mask: []string{"tags", "stops", "external_ids", "stops_by_name", "values"},
			want: `{"tags":[],"externalIds":{},"stops":[],"stopsByName":{},"values":[]}`,
		},
		"a mask names members of a message": {
			text: `circle {latitude: 1 radius_meters: 2 inner {latitude: 3 radius_meters: 4}}`,
			mask: []string{"circle.inner.latitude", "circle.radius_meters"},
			want: `{"circle":{"radiusMeters":2,"inner":{"latitude":3}}}`,
		},
		"a mask names members of an unset message": {
			mask: []string{"circle.inner.latitude", "circle.latitude"},
			want: `{"circle":{"latitude":null,"inner":{"latitude":null}}}`,
		},
		"a message named whole is written as without a mask": {
			text: `circle {latitude: 1 inner {}}`,
			mask: []string{"circle"},
			want: `{"circle":{"latitude":1,"inner":{}}}`,
		},
		"a longer path adds nothing to a shorter one": {
			text: `circle {latitude: 1 radius_meters: 2}`,
			mask: []string{"circle", "circle.latitude"},
			want: `{"circle":{"latitude":1,"radiusMeters":2}}`,
		},
		"a shorter path overrides a longer one": {
			text: `circle {latitude: 1 radius_meters: 2}`,
			mask: []string{"circle.latitude", "circle", "circle"},
			want: `{"circle":{"latitude":1,"radiusMeters":2}}`,
		},
		"a mask without paths is no mask": {text: `name: "n"`, mask: []string{}, want: `{"name":"n"}`},
		"a mask may name the root field":  {message: "Row", mask: []string{"cells"}, text: `cells: 1`, want: `[1]`},
		"a mask may name a field beside the root field": {
			message: "Mixed", mask: []string{"id"}, text: `value: "v"`, want: `{"id":null}`,
		},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			if test.message == "" {
				test.message = "Request"
			}
			md := file.Messages().ByName(protoreflect.Name(test.message))
			encoder := newEncoder(t, md)
			mask, err := encoder.Mask(test.mask)
			if err != nil {
				t.Fatalf("compile mask: %v", err)
			}
			got, err := encoder.Append([]byte("before "), parseText(t, md, test.text), mask)
			if err != nil {
				t.Fatalf("append: %v", err)
			}
			if diff := cmp.Diff("before "+test.want, string(got)); diff != "" {
				t.Errorf("JSON differs (-want +got):\n%s", diff)
			}
			if !json.Valid(got[len("before "):]) {
				t.Errorf("%s is not JSON", got)
			}
		})
	}
}

func TestEncoder_numbersLikeEncodingJSON(t *testing.T) {
	t.Parallel()
	md := testproto.Message(t, encoderSource, "Row")
	encoder := newEncoder(t, md)
	for _, f := range []float64{
		0, math.Copysign(0, -1), 1, -1, 0.1, 1.5, 1e-6, 9.99e-7, 1e-7, 1e-10, 1e20, 1e21, 1.5e21, 1e100, 123456789.125,
		math.MaxFloat64, math.SmallestNonzeroFloat64, -math.MaxFloat64, 1 << 53, 2.2250738585072014e-308, 281474976710656,
	} {
		m := dynamicpb.NewMessage(md)
		m.Mutable(md.Fields().ByName("cells")).List().Append(protoreflect.ValueOfFloat64(f))
		got, err := encoder.Append(nil, m, nil)
		if err != nil {
			t.Fatalf("append %v: %v", f, err)
		}
		want, err := json.Marshal([]float64{f})
		if err != nil {
			t.Fatal(err)
		}
		if string(got) != string(want) {
			t.Errorf("%v is written as %s, want %s", f, got, want)
		}
	}
	md = testproto.Message(t, encoderSource, "Scalars")
	encoder = newEncoder(t, md)
	for _, f := range []float32{0.1, 1e-6, 1e-7, 1e21, math.MaxFloat32, math.SmallestNonzeroFloat32} {
		m := dynamicpb.NewMessage(md)
		m.Set(md.Fields().ByName("float"), protoreflect.ValueOfFloat32(f))
		got, err := encoder.Append(nil, m, nil)
		if err != nil {
			t.Fatalf("append %v: %v", f, err)
		}
		want, err := json.Marshal(map[string]float32{"float": f})
		if err != nil {
			t.Fatal(err)
		}
		if string(got) != string(want) {
			t.Errorf("%v is written as %s, want %s", f, got, want)
		}
	}
}

func TestEncoder_refused(t *testing.T) {
	t.Parallel()
	md := testproto.Message(t, encoderSource, "Request")
	encoder := newEncoder(t, md)
	deep := func(open, inner, shut string, n int) string {
		return strings.Repeat(open, n) + inner + strings.Repeat(shut, n)
	}
	tests := map[string]struct {
		text string
		want transcode.FieldError
	}{
		"not a number":       {`ratio: nan`, transcode.FieldError{Path: "ratio", Reason: "must be a finite number"}},
		"an infinity":        {`circle {inner {radius_meters: inf}}`, transcode.FieldError{Path: "circle.inner.radius_meters", Reason: "must be a finite number"}},
		"one in a list":      {`rows {} rows {cells: 1 cells: -inf}`, transcode.FieldError{Path: "rows[1].cells[1]", Reason: "must be a finite number"}},
		"one in a map":       {`doubles {key: "a\"b" value: nan}`, transcode.FieldError{Path: `doubles["a\"b"]`, Reason: "must be a finite number"}},
		"one in a value":     {`value {struct_value {fields {key: "k" value {list_value {values {number_value: nan}}}}}}`, transcode.FieldError{Path: `value["k"][0]`, Reason: "must be a finite number"}},
		"an empty value":     {`value {}`, transcode.FieldError{Path: "value", Reason: "must hold a value: null is null_value"}},
		"an empty element":   {`values {bool_value: true} values {}`, transcode.FieldError{Path: "values[1]", Reason: "must hold a value: null is null_value"}},
		"a root with others": {`mixed {value: "v" id: "i"}`, transcode.FieldError{Path: "mixed.value", Reason: "is the whole value, so that no other field can be sent with it"}},
		"objects nested too deep": {
			deep("circle {", deep("inner {", "", "}", transcode.MaxDepth-1), "}", 1),
			transcode.FieldError{Path: "circle" + strings.Repeat(".inner", transcode.MaxDepth-1), Reason: "must not nest deeper than 97 levels of JSON"},
		},
		"values nested too deep": {
			"value {" + deep("list_value {values {", "bool_value: true", "}}", transcode.MaxDepth) + "}",
			transcode.FieldError{Path: "value" + strings.Repeat("[0]", transcode.MaxDepth-1), Reason: "must not nest deeper than 97 levels of JSON"},
		},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			got, err := encoder.Append([]byte("before"), parseText(t, md, test.text), nil)
			var refused *transcode.FieldError
			if !errors.As(err, &refused) {
				t.Fatalf("error is %v, want a *FieldError", err)
			}
			if diff := cmp.Diff(&test.want, refused); diff != "" {
				t.Errorf("error differs (-want +got):\n%s", diff)
			}
			if string(got) != "before" {
				t.Errorf("dst is %q, want it as it came", got)
			}
		})
	}
}

func TestEncoder_deepestNesting(t *testing.T) {
	t.Parallel()
	md := testproto.Message(t, encoderSource, "Request")
	text := "circle {" + strings.Repeat("inner {", transcode.MaxDepth-2) + strings.Repeat("}", transcode.MaxDepth-2) + "}"
	got, err := newEncoder(t, md).Append(nil, parseText(t, md, text), nil)
	if err != nil {
		t.Fatal(err)
	}
	if depth := strings.Count(string(got), "{"); depth != transcode.MaxDepth {
		t.Errorf("JSON nests %d levels, want %d", depth, transcode.MaxDepth)
	}
}

func TestEncoder_invalidUTF8(t *testing.T) {
	t.Parallel()
	md := testproto.Message(t, encoderSource, "Request")
	encoder := newEncoder(t, md)
	m := dynamicpb.NewMessage(md)
	m.Set(md.Fields().ByName("name"), protoreflect.ValueOfString("a\xff"))
	if _, err := encoder.Append(nil, m, nil); err == nil || err.Error() != "name: must be valid UTF-8" {
		t.Errorf("error for a value is %v", err)
	}
	m = dynamicpb.NewMessage(md)
	m.Mutable(md.Fields().ByName("external_ids")).Map().Set(protoreflect.ValueOfString("\xff").MapKey(), protoreflect.ValueOfString(""))
	if _, err := encoder.Append(nil, m, nil); err == nil || err.Error() != `external_ids["\xff"]: must be valid UTF-8` {
		t.Errorf("error for a key is %v", err)
	}
}

func TestEncoder_longMapKeyInError(t *testing.T) {
	t.Parallel()
	md := testproto.Message(t, encoderSource, "Request")
	text := fmt.Sprintf("doubles {key: %q value: nan}", strings.Repeat("k", 1000))
	_, err := newEncoder(t, md).Append(nil, parseText(t, md, text), nil)
	if want := `doubles["` + strings.Repeat("k", 64) + `"]: must be a finite number`; err == nil || err.Error() != want {
		t.Errorf("error is %v, want %s", err, want)
	}
}

func TestMask_refused(t *testing.T) {
	t.Parallel()
	md := testproto.Message(t, encoderSource, "Request")
	var compiler transcode.Compiler
	body := []protoreflect.FieldDescriptor{}
	for _, fd := range fieldsOf(md) {
		if fd.Name() != "count" {
			body = append(body, fd)
		}
	}
	encoder, err := compiler.Encoder(md, body)
	if err != nil {
		t.Fatal(err)
	}
	tests := map[string]struct{ path, want string }{
		"an empty path":               {"", "must not be empty"},
		"an unknown field":            {"nome", `does not name a field of the body: there is no "nome", but "name"`},
		"a name like no other":        {"title", `does not name a field of the body: there is no "title"`},
		"a wire name":                 {"odd-Name\"é", `does not name a field of the body: there is no "odd-Name\"é"`},
		"a JSON name with a slip":     {"circle.radiusMetres", `does not name a field of the body: there is no "radiusMetres", but "radius_meters"`},
		"a name in capitals":          {"ExternalIDs", `does not name a field of the body: there is no "ExternalIDs", but "external_ids"`},
		"a name too long to be meant": {strings.Repeat("x", 1<<16), `does not name a field of the body: there is no "` + strings.Repeat("x", 64) + `"`},
		"a field outside the body":    {"count", `does not name a field of the body: there is no "count"`},
		"an unknown nested field":     {"circle.area", `does not name a field of the body: there is no "area"`},
		"an empty name":               {"circle.", `does not name a field of the body: there is no ""`},
		"the wildcard":                {"*", "must name fields: there is no wildcard"},
		"a nested wildcard":           {"circle.*", "must name fields: there is no wildcard"},
		"a path through a list":       {"stops.name", `leads through "stops", which is a list, a map or a single value: name it whole`},
		"a path through a map":        {"external_ids.samsara.vin", `leads through "external_ids", which is a list, a map or a single value: name it whole`},
		"a path through a value":      {"value.a", `leads through "value", which is a list, a map or a single value: name it whole`},
		"a path through a struct":     {"struct.fields", `leads through "struct", which is a list, a map or a single value: name it whole`},
		"a path through a scalar":     {"name.first", `leads through "name", which is a list, a map or a single value: name it whole`},
		"a path through a wrapper":    {"row.cells", `leads through "row", which is a list, a map or a single value: name it whole`},
		"a path deeper than any JSON": {"circle" + strings.Repeat(".inner", transcode.MaxDepth), "must not have more than 97 names"},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			_, err := encoder.Mask([]string{"name", test.path})
			var refused *transcode.FieldError
			if !errors.As(err, &refused) {
				t.Fatalf("error is %v, want a *FieldError", err)
			}
			if diff := cmp.Diff(&transcode.FieldError{Path: test.path, Reason: test.want}, refused); diff != "" {
				t.Errorf("error differs (-want +got):\n%s", diff)
			}
		})
	}
	t.Run("every wrong path is named", func(t *testing.T) {
		t.Parallel()
		_, err := encoder.Mask([]string{"a", "name", "b"})
		want := "a: does not name a field of the body: there is no \"a\"\nb: does not name a field of the body: there is no \"b\""
		if err == nil || err.Error() != want {
			t.Errorf("error is %v, want %s", err, want)
		}
	})
	t.Run("more paths than allowed", func(t *testing.T) {
		t.Parallel()
		paths := strings.Split(strings.Repeat("name ", transcode.MaxMaskPaths)+"last", " ")
		_, err := encoder.Mask(paths)
		if want := "last: is one more than the 1000 paths that a mask may have"; err == nil || err.Error() != want {
			t.Errorf("error is %v, want %s", err, want)
		}
		if _, err := encoder.Mask(paths[:transcode.MaxMaskPaths]); err != nil {
			t.Errorf("as many as allowed: %v", err)
		}
	})
}

func TestMissing_requiredFields(t *testing.T) {
	t.Parallel()
	file := testproto.Compile(t, encoderSource)
	tests := map[string]struct {
		message string
		text    string
		limit   int
		want    []string
	}{
		"fields of absent messages are not asked for": {message: "Request", text: `name: "n" circle {}`},
		"scalars and messages are, lists and maps not": {
			message: "Stop", want: []string{"name", "place"},
		},
		"zero values are there": {message: "Stop", text: `name: "" place {id: ""}`},
		"elements of lists and values of maps are asked": {
			message: "Request",
			text: `stops {name: "a" place {id: "p"}} stops {place {} sub_stops {name: "b"}}
				stops_by_name {key: "z" value {name: "n"}} stops_by_name {key: "a" value {place {id: "p"}}}`,
			want: []string{"stops[1].name", "stops[1].place.id", "stops[1].sub_stops[0].place", `stops_by_name["a"].name`, `stops_by_name["z"].place`},
		},
		"no more than the limit": {
			message: "Request", text: `stops {} stops {} stops {}`, limit: 3,
			want: []string{"stops[0].name", "stops[0].place", "stops[1].name"},
		},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			md := file.Messages().ByName(protoreflect.Name(test.message))
			if test.limit == 0 {
				test.limit = 10
			}
			got := newEncoder(t, md).Missing(parseText(t, md, test.text), test.limit)
			if diff := cmp.Diff(test.want, got); diff != "" {
				t.Errorf("missing fields differ (-want +got):\n%s", diff)
			}
		})
	}
}

func TestEncoder_messageWithoutJSONForm(t *testing.T) {
	t.Parallel()
	tests := map[string]struct{ fields, want string }{
		"an enum": {
			`enum E { E_UNSPECIFIED = 0; } E e = 1;`,
			"message cannot be translated: samsara_gateway.test.v1.M.e is of type enum, which has no JSON form here",
		},
		"a message of the runtime": {
			`google.protobuf.Timestamp at = 1;`,
			"message cannot be translated: samsara_gateway.test.v1.M.at is of type google.protobuf.Timestamp, which has no JSON form here",
		},
		"a map key that is not a string": {
			`map<int64, string> m = 1;`,
			"message cannot be translated: samsara_gateway.test.v1.M.m has keys of type int64, must be string",
		},
		"two fields of one wire name": {
			`string a = 1; string b = 2 [(samsara_gateway.api.v1.field) = {name: "a"}];`,
			`message cannot be translated: samsara_gateway.test.v1.M.b shares its wire name "a" with another field`,
		},
		"two root fields": {
			`string a = 1 [(samsara_gateway.api.v1.field) = {root: true}]; string b = 2 [(samsara_gateway.api.v1.field) = {root: true}];`,
			"message cannot be translated: samsara_gateway.test.v1.M.b is a second root field",
		},
		"all of it, in nested messages too": {
			`message N { google.protobuf.Timestamp at = 1; map<string, google.protobuf.Timestamp> by_name = 2; } repeated N n = 1; N m = 2;`,
			"message cannot be translated: samsara_gateway.test.v1.M.N.at is of type google.protobuf.Timestamp, which has no JSON form here\n" +
				"message cannot be translated: samsara_gateway.test.v1.M.N.ByNameEntry.value is of type google.protobuf.Timestamp, which has no JSON form here",
		},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			md := testproto.Message(t, `syntax = "proto3"; package samsara_gateway.test.v1;
				import "google/protobuf/timestamp.proto"; import "samsara_gateway/api/v1/annotations.proto";
				message M {`+test.fields+`}`, "M")
			var compiler transcode.Compiler
			_, err := compiler.Encoder(md, fieldsOf(md))
			if err == nil || err.Error() != test.want {
				t.Errorf("error is %v, want %s", err, test.want)
			}
		})
	}
	t.Run("a field of another message", func(t *testing.T) {
		t.Parallel()
		file := testproto.Compile(t, encoderSource)
		var compiler transcode.Compiler
		_, err := compiler.Encoder(file.Messages().ByName("Row"), fieldsOf(file.Messages().ByName("Place")))
		if want := "message cannot be translated: samsara_gateway.test.v1.Place.id is not a field of samsara_gateway.test.v1.Row"; err == nil || err.Error() != want {
			t.Errorf("error is %v, want %s", err, want)
		}
	})
}

func BenchmarkEncode(b *testing.B) {
	md := testproto.Message(b, encoderSource, "Request")
	encoder := newEncoder(b, md)
	m := parseText(b, md, `name: "Delivery 12" count: 42 ratio: 0.25 active: true tags: ["a", "b", "c"]
		external_ids {key: "payrollId" value: "ABFS18600"} circle {latitude: 37.77 radius_meters: 250}
		stops {name: "one" place {id: "1"}} stops {name: "two" place {id: "2"}}`)
	dst, err := encoder.Append(nil, m, nil)
	if err != nil {
		b.Fatal(err)
	}
	b.SetBytes(int64(len(dst)))
	b.ReportAllocs()
	for b.Loop() {
		if dst, err = encoder.Append(dst[:0], m, nil); err != nil {
			b.Fatal(err)
		}
	}
}

// FuzzEncode compares the encoder with an independent reading of its output: whatever it writes is JSON with
// the message's values, and it refuses only what JSON cannot hold.
func FuzzEncode(f *testing.F) {
	md := testproto.Message(f, encoderSource, "Request")
	encoder := newEncoder(f, md)
	for _, text := range []string{
		``,
		`name: "\"\\\001é" count: -9223372036854775808 ratio: 1e-7 active: false serial_number: "" odd: "o" old: "x"`,
		`tags: ["", "b"] numbers: [0, 9007199254740993] external_ids {key: "" value: "v"} doubles {key: "k" value: 1e300}`,
		`circle {latitude: -0.0 inner {inner {}}} stops {name: "a" labels {key: "k" value: "v"} sub_stops {}} stops_by_name {key: "s" value {}}`,
		`value {struct_value {fields {key: "k" value {list_value {values {null_value: NULL_VALUE} values {number_value: 0.1}}}}}}`,
		`struct {} list {values {bool_value: true}} values {string_value: "s"} table {} rows {} rows {cells: 1} row {} text {value: "t"}`,
		`mixed {id: "i" value: "v"}`, `mixed {id: "i"}`, `mixed {}`, `ratio: nan`, `value {}`, `value {number_value: inf}`,
		`circle {` + strings.Repeat("inner {", 99) + strings.Repeat("}", 99) + `}`,
	} {
		wire, err := proto.Marshal(parseText(f, md, text).Interface())
		if err != nil {
			f.Fatal(err)
		}
		f.Add(wire)
	}
	// An entry of a map whose key comes again, as a fixed64.
	f.Add([]byte("r\x1a*\x18\n\x16\n\x010\x99000000000\t00000000"))
	f.Fuzz(func(t *testing.T, wire []byte) {
		m := dynamicpb.NewMessage(md)
		if !readable(wire, m) {
			return
		}
		got, err := encoder.Append(nil, m, nil)
		want, reason := jsonOfMessage(m, 0)
		if reason != "" {
			if err == nil {
				t.Fatalf("%s is written although it holds %s", got, reason)
			}
			return
		}
		if err != nil {
			t.Fatalf("%v: refused: %v", m, err)
		}
		decoder := json.NewDecoder(strings.NewReader(string(got)))
		decoder.UseNumber()
		var read any
		if err := decoder.Decode(&read); err != nil {
			t.Fatalf("%s is not JSON: %v", got, err)
		}
		if diff := cmp.Diff(want, read); diff != "" {
			t.Fatalf("%s differs from the message (-want +got):\n%s", got, diff)
		}
	})
}

// readable reports whether m could be read from wire. protobuf panics over a dynamic message
// with a map key of another wire type; the generated messages that the gateway reads skip it.
func readable(wire []byte, m proto.Message) (ok bool) {
	defer func() { ok = recover() == nil && ok }()
	return proto.Unmarshal(wire, m) == nil
}

// jsonOfMessage returns what encoding/json should read, with numbers as text, or the reason why there is no
// JSON.
func jsonOfMessage(m protoreflect.Message, depth int) (any, string) {
	md := m.Descriptor()
	switch md.FullName() {
	case "google.protobuf.Value":
		set := m.WhichOneof(md.Oneofs().Get(0))
		if set == nil {
			return nil, "an empty value"
		}
		if set.Enum() != nil {
			return nil, ""
		}
		return jsonOfValue(set, m.Get(set), depth)
	case "google.protobuf.Struct", "google.protobuf.ListValue":
		return jsonOfField(md.Fields().Get(0), m.Get(md.Fields().Get(0)), depth)
	}
	var root protoreflect.FieldDescriptor
	var others []protoreflect.FieldDescriptor
	for _, fd := range fieldsOf(md) {
		options := transcode.FieldOptions(fd)
		switch {
		case options.GetRoot():
			root = fd
		case m.Has(fd), options.GetRequired() && (fd.IsList() || fd.IsMap()):
			others = append(others, fd)
		}
	}
	switch {
	case root != nil && m.Has(root) && len(others) > 0:
		return nil, "a root field and another"
	case root != nil && len(others) == 0:
		if !m.Has(root) && !root.IsList() {
			return nil, ""
		}
		return jsonOfField(root, m.Get(root), depth)
	case depth == transcode.MaxDepth:
		return nil, "too many levels"
	}
	object := map[string]any{}
	for _, fd := range others {
		value, reason := jsonOfField(fd, m.Get(fd), depth+1)
		if reason != "" {
			return nil, reason
		}
		object[transcode.WireName(fd)] = value
	}
	return object, ""
}

func jsonOfField(fd protoreflect.FieldDescriptor, v protoreflect.Value, depth int) (any, string) {
	if (fd.IsList() || fd.IsMap()) && depth >= transcode.MaxDepth {
		return nil, "too many levels"
	}
	switch {
	case fd.IsMap():
		object := map[string]any{}
		reason := ""
		v.Map().Range(func(key protoreflect.MapKey, v protoreflect.Value) bool {
			object[key.String()], reason = jsonOfValue(fd.MapValue(), v, depth+1)
			return reason == ""
		})
		return object, reason
	case fd.IsList():
		array := []any{}
		for i := range v.List().Len() {
			value, reason := jsonOfValue(fd, v.List().Get(i), depth+1)
			if reason != "" {
				return nil, reason
			}
			array = append(array, value)
		}
		return array, ""
	default:
		return jsonOfValue(fd, v, depth)
	}
}

func jsonOfValue(fd protoreflect.FieldDescriptor, v protoreflect.Value, depth int) (any, string) {
	switch fd.Kind() {
	case protoreflect.MessageKind:
		return jsonOfMessage(v.Message(), depth)
	case protoreflect.DoubleKind:
		text, err := json.Marshal(v.Float())
		if err != nil {
			return nil, "a number that is not finite"
		}
		return json.Number(text), ""
	case protoreflect.Int64Kind:
		return json.Number(fmt.Sprint(v.Int())), ""
	default:
		return v.Interface(), ""
	}
}
