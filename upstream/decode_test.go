package upstream_test

import (
	"errors"
	"net/http"
	"strings"
	"testing"
	"testing/synctest"

	"github.com/google/go-cmp/cmp"
	"google.golang.org/grpc/codes"
	"google.golang.org/protobuf/encoding/prototext"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/reflect/protoreflect"
	"google.golang.org/protobuf/types/dynamicpb"

	"samsara.internal/gateway/internal/testproto"
	"samsara.internal/gateway/internal/transcode"
)

// thing returns the message of the tests and its decoder.
func thing(tb testing.TB) (protoreflect.MessageDescriptor, *transcode.Decoder) {
	tb.Helper()
	md := testproto.Message(tb, `
		syntax = "proto3";
		message Thing { optional string name = 1; optional int64 size = 2; }`, "Thing")
	decoder, err := new(transcode.Compiler).Decoder(md)
	if err != nil {
		tb.Fatal(err)
	}
	return md, decoder
}

func TestDecode_everyBody(t *testing.T) {
	t.Parallel()
	tests := []struct {
		name   string
		step   http.HandlerFunc
		noBody bool
		want   string
		drift  []transcode.Finding
	}{
		{name: "an object", step: answer(200, `{"name":"n","size":7}`), want: `name:"n" size:7`},
		{
			name: "a wrapped object", step: answer(200, `{"data":{"name":"n"}}`), want: `name:"n"`,
			drift: []transcode.Finding{{Message: "Thing", Member: "*", Kind: transcode.Wrapped, Count: 1}},
		},
		{name: "an empty object", step: answer(200, `{}`)},
		{name: "null", step: answer(200, `null`)},
		{
			name: "an object with unknown members", step: answer(200, `{"name":"n","colour":1,"colour2":2}`), want: `name:"n"`,
			drift: []transcode.Finding{
				{Message: "Thing", Member: "colour", Kind: transcode.Unknown, Foreign: true, Count: 1},
				{Message: "Thing", Member: "colour2", Kind: transcode.Unknown, Foreign: true, Count: 1},
			},
		},
		{
			name: "an object that has a message and more", step: answer(200, `{"message":"m","state":1}`),
			drift: []transcode.Finding{
				{Message: "Thing", Member: "message", Kind: transcode.Unknown, Foreign: true, Count: 1},
				{Message: "Thing", Member: "state", Kind: transcode.Unknown, Foreign: true, Count: 1},
			},
		},
		{
			name: "no content", step: answer(204, ""),
			drift: []transcode.Finding{{Message: "Thing", Member: "*", Kind: transcode.NoBody, Count: 1}},
		},
		{name: "content although none is promised", step: answer(205, `{"size":7}`), want: `size:7`},
		{
			name: "text although no content is promised", step: answer(205, `{"colour":1} done`),
			drift: []transcode.Finding{{Message: "Thing", Member: "*", Kind: transcode.NoBody, Count: 1}},
		},
		{name: "no content of an operation without one", step: answer(200, ""), noBody: true},
		{name: "content of an operation without one", step: answer(200, `<p>{"name":"n"}`), noBody: true},
	}
	md, decoder := thing(t)
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				req := get("/x")
				req.Decoder, req.NoBody = decoder, tt.noBody
				resp, err := newFake(t, tt.step).client().Do(t.Context(), req)
				if err != nil {
					t.Fatal(err)
				}
				if resp.Message == nil || resp.Body != nil || resp.Header != nil {
					t.Errorf("Do = %+v, want a message alone", resp)
				}
				got, want := dynamicpb.NewMessage(md), dynamicpb.NewMessage(md)
				if err := proto.Unmarshal(resp.Message, got); err != nil {
					t.Fatal(err)
				}
				if err := prototext.Unmarshal([]byte(tt.want), want); err != nil {
					t.Fatal(err)
				}
				if !proto.Equal(want, got) {
					t.Errorf("message is %v, want %v", got, want)
				}
				if diff := cmp.Diff(tt.drift, resp.Drift.Findings()); diff != "" {
					t.Errorf("drift (-want +got):\n%s", diff)
				}
			})
		})
	}
}

func TestDecode_invalidBody(t *testing.T) {
	t.Parallel()
	const invalid = "the upstream's response body is not what the operation returns: "
	tests := []struct {
		name, body        string
		reason, message   string
		requestID         string
		syntax, outermost bool
	}{
		{
			name: "nothing", body: "",
			reason: "UPSTREAM_BODY_INVALID", message: invalid + "it is empty", requestID: "r-1",
		},
		{
			name: "HTML", body: "<html>", syntax: true,
			reason: "UPSTREAM_BODY_INVALID", message: invalid + "not JSON at byte 0", requestID: "r-1",
		},
		{
			name: "an object that is cut", body: `{"name":"`, syntax: true,
			reason: "UPSTREAM_BODY_INVALID", message: invalid + "not JSON at byte 9", requestID: "r-1",
		},
		{
			name: "a value of another type", body: `"text"`, outermost: true,
			reason: "UPSTREAM_BODY_INVALID", message: invalid + "Thing: outermost JSON value has another type than the message", requestID: "r-1",
		},
		{
			name: "an error object", body: `{"message":"no ` + testToken + `","requestId":"r-2"}`,
			reason: "UPSTREAM_ERROR_IN_BODY", message: "the upstream answered success with an error in the body: no [token]", requestID: "r-2",
		},
		{
			name: "an error object without request id", body: `{"message":"no"}`,
			reason: "UPSTREAM_ERROR_IN_BODY", message: "the upstream answered success with an error in the body: no", requestID: "r-1",
		},
	}
	_, decoder := thing(t)
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				req := get("/x")
				req.Decoder = decoder
				resp, err := newFake(t, answer(200, tt.body, "Request-Id", "r-1")).client().Do(t.Context(), req)
				failed := failure(t, resp, err)
				wantVerdict(t, failed, codes.Internal, tt.reason, 1)
				if !strings.HasPrefix(failed.Message, tt.message) || failed.RequestID != tt.requestID || failed.HTTPStatus != 200 {
					t.Errorf("got %q, %q, %d, want %q, %q, 200", failed.Message, failed.RequestID, failed.HTTPStatus, tt.message, tt.requestID)
				}
				var syntax *transcode.SyntaxError
				if got := errors.As(err, &syntax); got != tt.syntax {
					t.Errorf("%v is a SyntaxError: %v, want %v", err, got, tt.syntax)
				}
				if got := errors.Is(err, transcode.ErrRoot); got != tt.outermost {
					t.Errorf("%v is ErrRoot: %v, want %v", err, got, tt.outermost)
				}
			})
		})
	}
}

// What an error object is about is not what the operation returns, though it may have its members.
func TestErrorObject_readAsWrapped(t *testing.T) {
	t.Parallel()
	md := testproto.Message(t, `
		syntax = "proto3";
		message Note { optional string message = 1; optional string id = 2; }
		message Reply { Note data = 1; }`, "Reply")
	decoder, err := new(transcode.Compiler).Decoder(md)
	if err != nil {
		t.Fatal(err)
	}
	for body, reason := range map[string]string{
		`{"message":"no","requestId":"r-2"}`:          "UPSTREAM_ERROR_IN_BODY",
		`{"message":"no","id":"7"}`:                   "",
		`{"data":{"message":"no","requestId":"r-2"}}`: "",
	} {
		synctest.Test(t, func(t *testing.T) {
			req := get("/x")
			req.Decoder = decoder
			resp, err := newFake(t, answer(200, body)).client().Do(t.Context(), req)
			if reason != "" {
				wantVerdict(t, failure(t, resp, err), codes.Internal, reason, 1)
				return
			}
			if err != nil {
				t.Fatalf("%s: %v", body, err)
			}
			m := dynamicpb.NewMessage(md)
			if err := proto.Unmarshal(resp.Message, m); err != nil {
				t.Fatal(err)
			}
			note := m.Get(md.Fields().ByName("data")).Message()
			if got := note.Get(note.Descriptor().Fields().ByName("message")).String(); got != "no" {
				t.Errorf("%s: the message is %q, want no", body, got)
			}
		})
	}
}
