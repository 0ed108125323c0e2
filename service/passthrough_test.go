package service_test

import (
	"context"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
	"google.golang.org/grpc/codes"

	"samsara.internal/gateway/service"
	"samsara.internal/gateway/upstream"
)

func TestPassthrough_request(t *testing.T) {
	t.Parallel()
	for _, test := range []struct {
		name, request string
		want          sent
	}{
		{
			name:    "a GET with a query, in order and escaped",
			request: `{"method":"GET","path":"/fleet/vehicles/a%2Fb:c","query":[{"name":"b c","value":"1&2"},{"name":"a","value":"x+y"},{"name":"a"}]}`,
			want:    sent{Method: "GET", Path: "/fleet/vehicles/a%2Fb:c", Query: "b%20c=1%262&a=x%2By&a="},
		},
		{
			name:    "a POST, which is not repeatable",
			request: `{"method":"POST","path":"/v1/x","body":" {\"a\":1} "}`,
			want:    sent{Method: "POST", Path: "/v1/x", Body: ` {"a":1} `},
		},
		{
			name:    "a PATCH, which is not repeatable",
			request: `{"method":"PATCH","path":"/v1/x","body":"null"}`,
			want:    sent{Method: "PATCH", Path: "/v1/x", Body: `null`},
		},
		{
			name:    "a PUT",
			request: `{"method":"PUT","path":"/v1/x","body":"[]"}`,
			want:    sent{Method: "PUT", Path: "/v1/x", Body: `[]`},
		},
		{
			name:    "a DELETE, with or without a body",
			request: `{"method":"DELETE","path":"/v1/x"}`,
			want:    sent{Method: "DELETE", Path: "/v1/x"},
		},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			up := answers(`{}`)
			g := start(t, service.Config{Upstream: up, Passthrough: true})
			r := g.pass(t.Context(), t, test.request)
			if r.status.Code() != codes.OK {
				t.Fatalf("status is %v, want OK", r.status)
			}
			test.want.Template = "(passthrough)"
			if diff := cmp.Diff([]sent{test.want}, sentOf(up.asked()), cmpopts.EquateEmpty()); diff != "" {
				t.Errorf("upstream request (-want +got):\n%s", diff)
			}
		})
	}
}

func TestPassthrough_badRequest(t *testing.T) {
	t.Parallel()
	const aMethod = ", must be GET, POST, PUT, PATCH or DELETE"
	for _, test := range []struct {
		name, request string
		want          []string
	}{
		{
			name: "nothing is set", request: `{}`,
			want: []string{`method: is ""` + aMethod, `path: is "", must begin with a slash`},
		},
		{
			name: "the method is in lower case", request: `{"method":"get","path":"/a"}`,
			want: []string{`method: is "get"` + aMethod},
		},
		{
			name: "the method is long, and quoted in part", request: `{"method":"` + strings.Repeat("é", 100) + `","path":"/a"}`,
			want: []string{`method: is "` + strings.Repeat("é", 32) + `..."` + aMethod},
		},
		{
			name: "a GET has a body", request: `{"method":"GET","path":"/a","body":"{}"}`,
			want: []string{"body: is set, must not be with GET"},
		},
		{
			name: "a query parameter has no name", request: `{"method":"GET","path":"/a","query":[{"name":"a"},{"value":"b"}]}`,
			want: []string{"query[1].name: is required"},
		},
		{
			name:    "the query is too long",
			request: `{"method":"GET","path":"/a","query":[{"name":"a","value":"` + strings.Repeat("b", 64<<10) + `"}]}`,
			want:    []string{"query: is 65538 bytes long when encoded, must be at most 65536"},
		},
		{
			name: "the path leaves the base URL", request: `{"method":"GET","path":"/a/%2e%2e/b"}`,
			want: []string{`path: has segment "%2e%2e", must have none that is or holds . or ..`},
		},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			up := answers(`{}`)
			g := start(t, service.Config{Upstream: up, Passthrough: true})
			got := g.pass(t.Context(), t, test.request).wantError(t, codes.InvalidArgument, "REQUEST_INVALID_ARGUMENT")
			if diff := cmp.Diff(test.want, got); diff != "" {
				t.Errorf("violations (-want +got):\n%s", diff)
			}
			if n := len(up.asked()); n != 0 {
				t.Errorf("the upstream was asked %d times, want 0", n)
			}
		})
	}
}

func TestPassthrough_requestNotJSON(t *testing.T) {
	t.Parallel()
	for _, body := range []string{"", "{", "{} {}", `{'a':1}`} {
		t.Run(body, func(t *testing.T) {
			t.Parallel()
			up := answers(`{}`)
			g := start(t, service.Config{Upstream: up, Passthrough: true})
			got := g.pass(t.Context(), t, `{"method":"POST","path":"/a","body":"`+body+`"}`).
				wantError(t, codes.InvalidArgument, "REQUEST_INVALID_ARGUMENT")
			if len(got) != 1 || !strings.HasPrefix(got[0], "body: is not JSON at byte ") {
				t.Errorf("violations are %q, want one of the body", got)
			}
			if n := len(up.asked()); n != 0 {
				t.Errorf("the upstream was asked %d times, want 0", n)
			}
		})
	}
}

func TestPassthrough_response(t *testing.T) {
	t.Parallel()
	g := start(t, service.Config{Passthrough: true, Upstream: upstreamFunc(
		func(context.Context, *request) (*upstream.Response, error) {
			return &upstream.Response{
				Status: 201, Attempts: 2, Body: []byte(` {"a":1e400}`),
				Header: []upstream.Header{
					{Name: "Content-Type", Value: "application/json"},
					{Name: "Content-Encoding", Value: "gzip"},
					{Name: "Content-Length", Value: "33"},
					{Name: "Set-Cookie", Value: "session=secret"},
					{Name: "connection", Value: "close, X-Hop"},
					{Name: "Keep-Alive", Value: "1"},
					{Name: "Transfer-Encoding", Value: "chunked"},
					{Name: "X-Hop", Value: "hop"},
					{Name: "X-Latin", Value: "caf\xe9"},
				},
			}, nil
		})})
	r := g.pass(t.Context(), t, `{"method":"GET","path":"/a"}`)
	want := `{"status":201,"headers":[{"name":"Content-Type","value":"application/json"},` +
		`{"name":"X-Latin","value":"caf` + "\uFFFD" + `"}],"body":" {\"a\":1e400}"}`
	if diff := cmp.Diff(want, r.json); diff != "" {
		t.Errorf("response (-want +got):\n%s\nstatus %v", diff, r.status)
	}
	if diff := cmp.Diff([]string{"2"}, r.header.Get("samsara-attempts")); diff != "" {
		t.Errorf("samsara-attempts (-want +got):\n%s", diff)
	}
}

func TestPassthrough_emptyBody(t *testing.T) {
	t.Parallel()
	g := start(t, service.Config{Passthrough: true, Upstream: upstreamFunc(
		func(context.Context, *request) (*upstream.Response, error) {
			return &upstream.Response{Status: 204, Attempts: 1}, nil
		})})
	if r := g.pass(t.Context(), t, `{"method":"DELETE","path":"/a"}`); r.json != `{"status":204}` {
		t.Errorf("response is %s (%v), want only the status", r.json, r.status)
	}
}

func TestPassthrough_responseNotJSON(t *testing.T) {
	t.Parallel()
	for _, body := range []string{"<html>", "\"\xff\""} {
		t.Run(body, func(t *testing.T) {
			t.Parallel()
			g := start(t, service.Config{Upstream: answers(body), Passthrough: true})
			r := g.pass(t.Context(), t, `{"method":"GET","path":"/a"}`)
			r.wantError(t, codes.Internal, "UPSTREAM_BODY_INVALID")
			if diff := cmp.Diff([]string{"req-1"}, r.trailer.Get("samsara-request-id")); diff != "" {
				t.Errorf("samsara-request-id (-want +got):\n%s", diff)
			}
		})
	}
}

func TestPassthrough_off(t *testing.T) {
	t.Parallel()
	g := start(t, service.Config{Upstream: answers(`{}`)})
	if r := g.pass(t.Context(), t, `{"method":"GET","path":"/a"}`); r.status.Code() != codes.Unimplemented {
		t.Errorf("status is %v, want Unimplemented", r.status)
	}
}
