package sandbox_test

import (
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	apiv1 "samsara.internal/gateway/gen/api/v1"
	"samsara.internal/gateway/internal/endpoint"
	"samsara.internal/gateway/internal/sandbox"
	"samsara.internal/gateway/internal/testproto"
)

// maxReplyBytes is how large a reply may be, so that pages do not slow tests.
const maxReplyBytes = 50_000

func TestOperations_answerAsDeclared(t *testing.T) {
	t.Parallel()
	all := endpoints(t)
	// A deleted record cannot be read.
	slices.SortStableFunc(all, func(a, b *endpoint.Endpoint) int { return deletesLast(a) - deletesLast(b) })
	for _, full := range []bool{false, true} {
		one, other := serve(t, nil), serve(t, nil)
		for _, e := range all {
			op, x := e.Operation, requestFor(e, full)
			// These records are deleted already, under another path: as an asset and as a route.
			for prefix, id := range map[string]string{"/fleet/trailers/": secondID, "/industrial/assets/": thirdID, "/v1/fleet/dispatch/": secondID} {
				if deletesLast(e) > 0 && strings.HasPrefix(op.GetPath(), prefix) {
					x.line = strings.Replace(x.line, knownID, id, 1)
				}
			}
			got, again := one.call(t, x.line, x.body), other.call(t, x.line, x.body)
			if got.status != int(op.GetSuccessStatus()) {
				t.Errorf("%s %s = %d %s, want %d", x.line, x.body, got.status, got.text, op.GetSuccessStatus())
				continue
			}
			if again.text != got.text || again.header.Get("Request-Id") != got.header.Get("Request-Id") {
				t.Errorf("%s = %s, elsewhere %s, want the same", x.line, got.text, again.text)
			}
			if len(got.text) > maxReplyBytes {
				t.Errorf("%s = %d bytes, want at most %d", x.line, len(got.text), maxReplyBytes)
			}
			if empty := op.GetSuccessStatus() == 204 || e.Method.Output().Fields().Len() == 0; empty != (got.text == "") {
				t.Errorf("%s = %q, want a body: %t", x.line, got.text, !empty)
			} else if !empty {
				if err := matches(e.Method.Output(), decode(t, got.text), op.GetId()); err != nil {
					t.Errorf("%s: %v", x.line, err)
				}
			}
		}
	}
}

const (
	secondID = "281474976710658"
	thirdID  = "281474976710659"
)

func deletesLast(e *endpoint.Endpoint) int {
	if e.Operation.GetMethod() == apiv1.HttpMethod_HTTP_METHOD_DELETE {
		return 1
	}
	return 0
}

const header = `syntax = "proto3";
package samsara_gateway.test.v1;
import "samsara_gateway/api/v1/annotations.proto";
message Request { optional string id = 1 [(samsara_gateway.api.v1.field).in = LOCATION_PATH]; }
message Old { optional string old = 1; }
message New { optional string new = 1; }
`

func TestNew_namesEveryMistake(t *testing.T) {
	t.Parallel()
	proto := header + `
message WithBody { optional string name = 1 [(samsara_gateway.api.v1.field).in = LOCATION_BODY]; }
service TestService {
  rpc NoVerb(Request) returns (New) { option (samsara_gateway.api.v1.operation) = { id: "noVerb" path: "/a" success_status: 200 }; }
  rpc NoField(Request) returns (New) { option (samsara_gateway.api.v1.operation) = { id: "noField" method: HTTP_METHOD_GET path: "/a/{name}" success_status: 200 }; }
  rpc NoBody(WithBody) returns (New) { option (samsara_gateway.api.v1.operation) = { id: "noBody" method: HTTP_METHOD_POST path: "/a" success_status: 200 }; }
  rpc NoStatus(Request) returns (New) { option (samsara_gateway.api.v1.operation) = { id: "noStatus" method: HTTP_METHOD_GET path: "/b" }; }
  rpc One(Request) returns (New) { option (samsara_gateway.api.v1.operation) = { id: "one" method: HTTP_METHOD_GET path: "/c" success_status: 200 }; }
  rpc Two(Request) returns (New) { option (samsara_gateway.api.v1.operation) = { id: "two" method: HTTP_METHOD_GET path: "/c" success_status: 200 }; }
}`
	_, err := sandbox.New(sandbox.Config{
		Endpoints: endpointsIn(testproto.Compile(t, proto)),
		Fleet:     sandbox.MaxFleet + 1,
		PageSize:  -1,
		Faults:    []sandbox.Fault{{Status: 200}, {Reset: true, Latency: -1}, {Reset: true, Match: "/a; truncate"}},
	})
	if err == nil {
		t.Fatal("New succeeds")
	}
	want := []string{
		"token: must not be empty",
		"fleet: must be from 0 to 100000, is 100001",
		"page size: must be from 0 to 1024, is -1",
		`fault 0: status: must be an HTTP status from 400 to 599, is "200"`,
		`fault 1: latency: must be a duration such as 200ms, above 0 and at most 10m0s, is "-1ns"`,
		`fault 2: is "reset; match=/a; truncate" in its text form, which stands for another fault`,
		"/samsara_gateway.test.v1.TestService/NoVerb: HTTP_METHOD_UNSPECIFIED is not an HTTP method",
		"/samsara_gateway.test.v1.TestService/NoField: path /a/{name}: no field for the name name",
		"/samsara_gateway.test.v1.TestService/NoBody: field name goes into a body that is not declared",
		"/samsara_gateway.test.v1.TestService/NoStatus: success status must be from 200 to 299, is 0",
		"GET /c: served by both one and two",
	}
	if diff := cmp.Diff(want, strings.Split(err.Error(), "\n")); diff != "" {
		t.Errorf("New (-want +got):\n%s", diff)
	}
}

func TestNew_deprecatedOperationOfSamePath(t *testing.T) {
	t.Parallel()
	proto := header + `
service TestService {
  rpc GetOld(Request) returns (Old) {
    option deprecated = true;
    option (samsara_gateway.api.v1.operation) = { id: "getOld" method: HTTP_METHOD_GET path: "/a/{id}" success_status: 200 };
  }
  rpc GetNew(Request) returns (New) {
    option (samsara_gateway.api.v1.operation) = { id: "getNew" method: HTTP_METHOD_GET path: "/a/{id}" success_status: 200 };
  }
  rpc GetOlder(Request) returns (Old) {
    option deprecated = true;
    option (samsara_gateway.api.v1.operation) = { id: "getOlder" method: HTTP_METHOD_GET path: "/a/{id}" success_status: 200 };
  }
}`
	a := serve(t, func(c *sandbox.Config) { c.Endpoints = endpointsIn(testproto.Compile(t, proto)) })
	if got := a.call(t, "GET /a/"+knownID, ""); got.text != `{"new":"Sample new"}` {
		t.Errorf("GET = %s, want the reply of GetNew", got.text)
	}
}
