package endpoint_test

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"google.golang.org/protobuf/reflect/protoreflect"
	"google.golang.org/protobuf/reflect/protoregistry"
	"google.golang.org/protobuf/types/dynamicpb"

	apiv1 "samsara.internal/gateway/gen/api/v1"
	"samsara.internal/gateway/internal/endpoint"
	"samsara.internal/gateway/internal/testproto"
)

// preamble begins every source of these tests.
const preamble = `
syntax = "proto3";
package samsara_gateway.test.v1;
import "google/protobuf/field_mask.proto";
import "google/protobuf/struct.proto";
import "google/protobuf/timestamp.proto";
import "samsara_gateway/api/v1/annotations.proto";
`

// source completes a source: a word such as `@path` stands for an annotation.
func source(text string) string {
	const annotation = "(.samsara_gateway.api.v1.field)"
	return preamble + strings.NewReplacer(
		"@path", annotation+".in = LOCATION_PATH",
		"@query", annotation+".in = LOCATION_QUERY",
		"@body", annotation+".in = LOCATION_BODY",
		"@mask", annotation+".in = LOCATION_UPDATE_MASK",
		"@required", annotation+".required = true",
		"@comma", annotation+".array_style = ARRAY_STYLE_COMMA",
		"@repeat", annotation+".array_style = ARRAY_STYLE_REPEAT",
		"@name", annotation+".name",
		"@root", annotation+".root = true",
		"@retired", annotation+".retired = true",
		"@operation", "option (.samsara_gateway.api.v1.operation)",
	).Replace(text)
}

// load compiles a source and loads its endpoints, with dynamic messages.
func load(tb testing.TB, text string) ([]*endpoint.Endpoint, error) {
	tb.Helper()
	var files protoregistry.Files
	if err := files.RegisterFile(testproto.Compile(tb, source(text))); err != nil {
		tb.Fatalf("register file: %v", err)
	}
	return endpoint.Load(&files, nil)
}

func names(fields []protoreflect.FieldDescriptor) []string {
	var names []string
	for _, fd := range fields {
		names = append(names, string(fd.Name()))
	}
	return names
}

func TestLoad_annotatedMethods(t *testing.T) {
	t.Parallel()
	endpoints, err := load(t, `
		service ZonesService {
			rpc Set(SetRequest) returns (SetResponse) {
				@operation = {method: HTTP_METHOD_PATCH, path: "/zones/{zone}/parts/{part}", body: BODY_REQUIRED};
			}
			rpc Old(EmptyRequest) returns (EmptyResponse) {
				option deprecated = true;
				@operation = {method: HTTP_METHOD_GET, path: "/zones"};
			}
			rpc List(EmptyRequest) returns (EmptyResponse) { @operation = {method: HTTP_METHOD_GET, path: "/zones"}; }
			rpc NotOfTheAPI(EmptyRequest) returns (stream EmptyResponse);
		}
		service AreasService {
			rpc Add(EmptyRequest) returns (EmptyResponse) { @operation = {method: HTTP_METHOD_POST, path: "/zones"}; }
			rpc Put(EmptyRequest) returns (EmptyResponse) { @operation = {method: HTTP_METHOD_PUT, path: "/zones"}; }
			rpc Drop(EmptyRequest) returns (EmptyResponse) { @operation = {method: HTTP_METHOD_DELETE, path: "/zones"}; }
		}
		service PassthroughService { rpc Call(EmptyRequest) returns (EmptyResponse); }
		message EmptyRequest {}
		message EmptyResponse {}
		message SetRequest {
			optional string part = 3 [@path];
			optional int64 zone_id = 9 [@path, @name = "zone"];
			optional int64 zone_name = 8 [@path, @name = "zone", @retired];
			optional string second = 2 [@query];
			repeated string first = 1 [@query, @comma];
			optional string zone = 7 [@body];
			optional string note = 6 [@body];
			google.protobuf.FieldMask update_mask = 5 [@mask];
		}
		message SetResponse { optional string id = 1; }`)
	if err != nil {
		t.Fatal(err)
	}
	type summary struct {
		FullMethod, Input, HTTPMethod, Path string
		InPath, InQuery, InBody             []string
		HasResponse, HasDecoder             bool
	}
	var got []summary
	for _, e := range endpoints {
		if e.Operation.GetMethod() == apiv1.HttpMethod_HTTP_METHOD_UNSPECIFIED {
			t.Errorf("%s has no annotation", e.FullMethod)
		}
		got = append(got, summary{
			e.FullMethod, string(e.Input.Descriptor().FullName()), e.HTTPMethod, e.Operation.GetPath(),
			names(e.PathFields), names(e.QueryFields), names(e.BodyFields), e.HasResponse, e.Response != nil,
		})
	}
	empty := func(method, httpMethod string) summary {
		return summary{FullMethod: method, Input: "samsara_gateway.test.v1.EmptyRequest", HTTPMethod: httpMethod, Path: "/zones", HasDecoder: true}
	}
	want := []summary{
		empty("/samsara_gateway.test.v1.AreasService/Add", "POST"),
		empty("/samsara_gateway.test.v1.AreasService/Drop", "DELETE"),
		empty("/samsara_gateway.test.v1.AreasService/Put", "PUT"),
		empty("/samsara_gateway.test.v1.ZonesService/List", "GET"),
		empty("/samsara_gateway.test.v1.ZonesService/Old", "GET"),
		{
			FullMethod: "/samsara_gateway.test.v1.ZonesService/Set", Input: "samsara_gateway.test.v1.SetRequest",
			HTTPMethod: "PATCH", Path: "/zones/{zone}/parts/{part}",
			InPath: []string{"zone_id", "zone_name", "part"}, InQuery: []string{"first", "second"}, InBody: []string{"note", "zone"},
			HasResponse: true, HasDecoder: true,
		},
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("endpoints differ (-want +got):\n%s", diff)
	}
}

func TestLoad_foreignPackages(t *testing.T) {
	t.Parallel()
	var files protoregistry.Files
	text := strings.Replace(source(`
		service S { rpc M(Request) returns (Response) { @operation = {path: "/nothing valid"}; } }
		message Request {}
		message Response {}`), "package samsara_gateway.test.v1", "package other.samsara.v1", 1)
	if err := files.RegisterFile(testproto.Compile(t, text)); err != nil {
		t.Fatal(err)
	}
	endpoints, err := endpoint.Load(&files, nil)
	if len(endpoints) != 0 || err != nil {
		t.Errorf("Load returns %v, %v, want nothing", endpoints, err)
	}
}

// markedType is a message type that a test can recognize.
type markedType struct{ protoreflect.MessageType }

func TestLoad_registeredTypes(t *testing.T) {
	t.Parallel()
	const text = `
		service S { rpc M(Request) returns (Response) { @operation = {method: HTTP_METHOD_GET, path: "/a"}; } }
		message Request {}
		message Response {}`
	file := testproto.Compile(t, source(text))
	tests := map[string]struct {
		registered protoreflect.FileDescriptor
		want       bool
	}{
		"a type of the method's descriptor is used": {file, true},
		"a type of another descriptor is not":       {testproto.Compile(t, source(text)), false},
		"a dynamic type is used if there are none":  {nil, false},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			var files protoregistry.Files
			if err := files.RegisterFile(file); err != nil {
				t.Fatal(err)
			}
			var types protoregistry.Types
			if test.registered != nil {
				mt := markedType{dynamicpb.NewMessageType(test.registered.Messages().ByName("Request"))}
				if err := types.RegisterMessage(mt); err != nil {
					t.Fatal(err)
				}
			}
			endpoints, err := endpoint.Load(&files, &types)
			if err != nil {
				t.Fatal(err)
			}
			if _, got := endpoints[0].Input.(markedType); got != test.want {
				t.Errorf("Input is the registered type: %t, want %t", got, test.want)
			}
			if endpoints[0].Input.Descriptor() != file.Messages().ByName("Request") {
				t.Error("Input makes messages of another descriptor")
			}
		})
	}
}

func TestLoad_refused(t *testing.T) {
	t.Parallel()
	tests := map[string]struct {
		operation string // `method: HTTP_METHOD_GET, path: "/a"` if empty
		fields    string
		more      string
		want      []string // after "method samsara_gateway.test.v1.S.M: "
	}{
		"no HTTP method": {
			operation: `path: "/a"`, want: []string{"HTTP method is HTTP_METHOD_UNSPECIFIED"},
		},
		"no path": {
			operation: `method: HTTP_METHOD_GET`, want: []string{`path template "" does not begin with a slash`},
		},
		"a path without its slash": {
			operation: `method: HTTP_METHOD_GET, path: "a"`, want: []string{`path template "a" does not begin with a slash`},
		},
		"an empty segment": {
			operation: `method: HTTP_METHOD_GET, path: "/a//b"`,
			want:      []string{`path template "/a//b": segment "" is neither a literal nor one {name}`},
		},
		"a segment that climbs": {
			operation: `method: HTTP_METHOD_GET, path: "/a/.."`,
			want:      []string{`path template "/a/..": segment ".." is neither a literal nor one {name}`},
		},
		"a query in the path": {
			operation: `method: HTTP_METHOD_GET, path: "/a?b"`,
			want:      []string{`path template "/a?b": segment "a?b" is neither a literal nor one {name}`},
		},
		"an escape in the path": {
			operation: `method: HTTP_METHOD_GET, path: "/a%20b"`,
			want:      []string{`path template "/a%20b": segment "a%20b" is neither a literal nor one {name}`},
		},
		"letters that need escapes": {
			operation: `method: HTTP_METHOD_GET, path: "/aé"`,
			want:      []string{`path template "/aé": segment "aé" is neither a literal nor one {name}`},
		},
		"a name that does not end": {
			operation: `method: HTTP_METHOD_GET, path: "/{a"`,
			want:      []string{`path template "/{a": segment "{a" is neither a literal nor one {name}`},
		},
		"a name within a segment": {
			operation: `method: HTTP_METHOD_GET, path: "/{a}:go"`,
			want:      []string{`path template "/{a}:go": segment "{a}:go" is neither a literal nor one {name}`},
		},
		"an empty name": {
			operation: `method: HTTP_METHOD_GET, path: "/{}"`,
			want:      []string{`path template "/{}": "" is not a name of letters, digits and underscores`},
		},
		"two names in a segment": {
			operation: `method: HTTP_METHOD_GET, path: "/{a}{b}"`,
			want:      []string{`path template "/{a}{b}": "a}{b" is not a name of letters, digits and underscores`},
		},
		"a name twice": {
			operation: `method: HTTP_METHOD_GET, path: "/{a}/{a}"`,
			want:      []string{`path template "/{a}/{a}" holds {a} twice`},
		},
		"a name without a field": {
			operation: `method: HTTP_METHOD_GET, path: "/{a}"`,
			fields:    `optional string a = 1 [@query];`,
			want:      []string{`path template "/{a}": no field is bound to {a}`},
		},
		"a path field without a name": {
			fields: `optional string b = 1 [@path];`,
			want:   []string{`field b: path template "/a" has no {b}, or another field has it`},
		},
		"two path fields of one name": {
			operation: `method: HTTP_METHOD_GET, path: "/{a}"`,
			fields:    `optional string a = 1 [@path]; optional string b = 2 [@path, @name = "a"];`,
			want:      []string{`field b: {a} belongs to another field too`},
		},
		"a list, a map, a message, an enum and bytes in the path": {
			operation: `method: HTTP_METHOD_GET, path: "/{a}/{b}/{c}/{d}/{e}"`,
			fields: `repeated string a = 1 [@path]; map<string, string> b = 2 [@path]; google.protobuf.Value c = 3 [@path];
				enum E { E_UNSPECIFIED = 0; } E d = 4 [@path]; bytes e = 5 [@path];`,
			want: []string{
				"field a: repeated string does not fit into a path",
				"field b: a map does not fit into a path",
				"field c: google.protobuf.Value does not fit into a path",
				"field d: enum does not fit into a path",
				"field e: bytes does not fit into a path",
			},
		},
		"a map, a message, a list of messages and an enum in the query": {
			fields: `map<string, string> a = 1 [@query]; M b = 2 [@query]; repeated google.protobuf.Value c = 3 [@query, @comma];
				message M {} enum E { E_UNSPECIFIED = 0; } E d = 4 [@query];`,
			want: []string{
				"field a: a map does not fit into a query",
				"field b: samsara_gateway.test.v1.Request.M does not fit into a query",
				"field c: repeated google.protobuf.Value does not fit into a query",
				"field d: enum does not fit into a query",
			},
		},
		"a repeated query parameter without a style": {
			fields: `repeated string a = 1 [@query];`,
			want:   []string{"field a: array_style of a repeated query parameter is ARRAY_STYLE_UNSPECIFIED"},
		},
		"two query parameters of one name": {
			fields: `optional string a = 1 [@query]; optional string b = 2 [@query, @name = "a"];`,
			want:   []string{`field b: query parameter "a" belongs to another field too`},
		},
		"a field without a location": {
			fields: `optional string a = 1; optional string b = 2 [@required];`,
			want:   []string{"field a: in is LOCATION_UNSPECIFIED", "field b: in is LOCATION_UNSPECIFIED"},
		},
		"body fields without a body": {
			fields: `optional string a = 1 [@body]; google.protobuf.FieldMask m = 2 [@mask];`,
			want:   []string{"field a: the operation has no body", "field m: the operation has no body to mask"},
		},
		"two body fields of one name": {
			operation: `method: HTTP_METHOD_PUT, path: "/a", body: BODY_OPTIONAL`,
			fields:    `optional string a = 1 [@body]; optional string b = 2 [@body, @name = "a"];`,
			want:      []string{`message cannot be translated: samsara_gateway.test.v1.Request.b shares its wire name "a" with another field`},
		},
		"two root fields": {
			operation: `method: HTTP_METHOD_PUT, path: "/a", body: BODY_OPTIONAL`,
			fields:    `repeated string a = 1 [@body, @root]; repeated string b = 2 [@body, @root];`,
			want:      []string{"message cannot be translated: samsara_gateway.test.v1.Request.b is a second root field"},
		},
		"two update masks": {
			operation: `method: HTTP_METHOD_PUT, path: "/a", body: BODY_OPTIONAL`,
			fields:    `google.protobuf.FieldMask a = 1 [@mask]; google.protobuf.FieldMask b = 2 [@mask];`,
			want:      []string{"field b: a is an update mask already"},
		},
		"an update mask of another type": {
			operation: `method: HTTP_METHOD_PUT, path: "/a", body: BODY_OPTIONAL`,
			fields:    `repeated string a = 1 [@mask];`,
			want:      []string{"field a: repeated string is not a google.protobuf.FieldMask"},
		},
		"a list of update masks": {
			operation: `method: HTTP_METHOD_PUT, path: "/a", body: BODY_OPTIONAL`,
			fields:    `repeated google.protobuf.FieldMask a = 1 [@mask];`,
			want:      []string{"field a: repeated google.protobuf.FieldMask is not a google.protobuf.FieldMask"},
		},
		"a message without JSON form in the body": {
			operation: `method: HTTP_METHOD_PUT, path: "/a", body: BODY_OPTIONAL`,
			fields:    `google.protobuf.Timestamp a = 1 [@body];`,
			want:      []string{"message cannot be translated: samsara_gateway.test.v1.Request.a is of type google.protobuf.Timestamp, which has no JSON form here"},
		},
		"another method for the operation": {
			more: `rpc L(Request) returns (Response) { @operation = {method: HTTP_METHOD_GET, path: "/a"}; }`,
			want: []string{"GET /a is bound to samsara_gateway.test.v1.S.L as well"},
		},
		"all problems of a method at once": {
			operation: `path: "/{a}"`,
			fields:    `optional string b = 1;`,
			want: []string{
				"field b: in is LOCATION_UNSPECIFIED",
				"HTTP method is HTTP_METHOD_UNSPECIFIED",
				`path template "/{a}": no field is bound to {a}`,
			},
		},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			if test.operation == "" {
				test.operation = `method: HTTP_METHOD_GET, path: "/a"`
			}
			_, err := load(t, `
				service S {
					`+test.more+`
					rpc M(Request) returns (Response) { @operation = {`+test.operation+`}; }
				}
				message Request {`+test.fields+`}
				message Response {}`)
			if err == nil {
				t.Fatal("no error")
			}
			var want []string
			for _, w := range test.want {
				want = append(want, "method samsara_gateway.test.v1.S.M: "+w)
			}
			if diff := cmp.Diff(want, strings.Split(err.Error(), "\n")); diff != "" {
				t.Errorf("errors differ (-want +got):\n%s", diff)
			}
		})
	}
}

func TestLoad_streamingOperation(t *testing.T) {
	t.Parallel()
	_, err := load(t, `
		service S {
			rpc A(stream Request) returns (Response) { @operation = {method: HTTP_METHOD_GET, path: "/a"}; }
			rpc B(Request) returns (stream Response) { @operation = {method: HTTP_METHOD_GET, path: "/b"}; }
		}
		message Request {}
		message Response {}`)
	want := "method samsara_gateway.test.v1.S.A: an operation does not stream\nmethod samsara_gateway.test.v1.S.B: an operation does not stream"
	if err == nil || err.Error() != want {
		t.Errorf("error is %v, want %s", err, want)
	}
}

func TestLoad_undecodableResponse(t *testing.T) {
	t.Parallel()
	_, err := load(t, `
		service S { rpc M(Request) returns (Response) { @operation = {method: HTTP_METHOD_GET, path: "/a"}; } }
		message Request {}
		message Response { google.protobuf.Timestamp at = 1; }`)
	if err == nil || !strings.HasPrefix(err.Error(), "method samsara_gateway.test.v1.S.M: ") || !strings.Contains(err.Error(), "samsara_gateway.test.v1.Response.at") {
		t.Errorf("error is %v, want one that names method and field", err)
	}
}

func TestLoad_templatesOfOneShape(t *testing.T) {
	t.Parallel()
	const methods = `
		service S {
			rpc A(RequestA) returns (Response) { @operation = {method: HTTP_METHOD_GET, path: "/a/{x}"}; }
			rpc B(RequestB) returns (Response) { @operation = {method: HTTP_METHOD_GET, path: "PATH"}; }
		}
		message RequestA { optional string x = 1 [@path]; }
		message RequestB { FIELD }
		message Response {}`
	_, err := load(t, strings.NewReplacer("PATH", "/a/{y}", "FIELD", "optional string y = 1 [@path];").Replace(methods))
	if want := "method samsara_gateway.test.v1.S.B: GET /a/{} is bound to samsara_gateway.test.v1.S.A as well"; err == nil || err.Error() != want {
		t.Errorf("error is %v, want %s", err, want)
	}
	endpoints, err := load(t, strings.NewReplacer("PATH", "/a/x", "FIELD", "").Replace(methods))
	if err != nil || len(endpoints) != 2 {
		t.Errorf("a literal beside a name: %d endpoints, error %v", len(endpoints), err)
	}
}
