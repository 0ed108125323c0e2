package main

import (
	"net/http"
	"strings"
	"testing"

	"google.golang.org/grpc/codes"
	"google.golang.org/protobuf/proto"

	apiv1 "samsara.internal/gateway/gen/api/v1"
	tagsv1 "samsara.internal/gateway/gen/tags/v1"
)

// TestEncoding_notAskedFor has bodies in encodings that the gateway did not ask for. The status decides
// what an error means. If an answer cannot be decoded, the error names its encoding.
func TestEncoding_notAskedFor(t *testing.T) {
	t.Parallel()
	const brotli = "\x8b\x02\x80{\"data\":{}}\x03" // The gateway does not decode it.
	zipped := func(text string) string { return string(gzipped(t, strings.NewReader(text))) }
	tag := zipped(`{"data":{"id":"1","name":"one"}}`)
	for name, test := range map[string]struct {
		status         int
		encoding, body string
		call           answerTo
		want           string // the name of the tag
		code           codes.Code
		reason, text   string
		processed      string
	}{
		"gzip":                           {status: 200, encoding: "gzip", body: tag, call: getATag, want: "one"},
		"GZIP":                           {status: 200, encoding: "GZIP", body: tag, call: getATag, want: "one"},
		"x-gzip":                         {status: 200, encoding: "x-gzip", body: tag, call: getATag, want: "one"},
		"x-gzip to a write":              {status: 201, encoding: "X-Gzip", body: tag, call: createATag, want: "one"},
		"identity":                       {status: 200, encoding: "identity", body: `{"data":{"name":"one"}}`, call: createATag, want: "one"},
		"br to a read":                   {status: 200, encoding: "br", body: brotli, call: getATag, code: codes.Internal, reason: "UPSTREAM_BODY_INVALID", text: `Content-Encoding: must be gzip or none, is "br"`},
		"br to a write":                  {status: 200, encoding: "br", body: brotli, call: createATag, code: codes.Internal, reason: "UPSTREAM_BODY_INVALID", text: `is "br"`, processed: "yes"},
		"deflate to a write":             {status: 201, encoding: "deflate", body: brotli, call: createATag, code: codes.Internal, reason: "UPSTREAM_BODY_INVALID", text: `is "deflate"`, processed: "yes"},
		"several to a write":             {status: 200, encoding: "br, gzip", body: brotli, call: createATag, code: codes.Internal, reason: "UPSTREAM_BODY_INVALID", text: `is "br, gzip"`, processed: "yes"},
		"br to a DELETE":                 {status: 200, encoding: "br", body: brotli, call: deleteJob, code: codes.Internal, reason: "UPSTREAM_BODY_INVALID", text: `is "br"`, processed: "yes"},
		"br to a call without an answer": {status: 200, encoding: "br", body: brotli, call: deleteAddress},

		"an error in gzip":         {status: 404, encoding: "gzip", body: zipped(`{"message":"no tag"}`), call: getATag, code: codes.NotFound, reason: "NOT_FOUND", text: "no tag"},
		"an error in x-gzip":       {status: 400, encoding: "x-gzip", body: zipped(`{"message":"no name"}`), call: createATag, code: codes.InvalidArgument, reason: "BAD_REQUEST", text: "no name", processed: "no"},
		"an error in br":           {status: 404, encoding: "br", body: brotli, call: createATag, code: codes.NotFound, reason: "NOT_FOUND", text: "the upstream answered 404 Not Found", processed: "no"},
		"an error in invalid gzip": {status: 403, encoding: "gzip", body: "<html>", call: createATag, code: codes.PermissionDenied, reason: "FORBIDDEN", text: "the upstream answered 403 Forbidden", processed: "no"},
		"a server's error in zstd": {status: 500, encoding: "zstd", body: brotli, call: createATag, code: codes.Unavailable, reason: "INTERNAL_SERVER_ERROR", text: "the upstream answered 500 Internal Server Error", processed: "unknown"},
		"an error without a body":  {status: 409, encoding: "br", call: createATag, code: codes.Aborted, reason: "CONFLICT", text: "the upstream answered 409 Conflict", processed: "no"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			conn, _ := connectBefore(t, encodedAnswer(test.status, test.encoding, test.body), "--quota=false", "--retry-base-delay=1ms")
			got, _, err := test.call(waiting(t), conn)
			if test.reason == "" {
				if err != nil {
					t.Fatalf("got %v, want OK", verdictOf(err))
				}
				if name, ok := got.(interface{ GetData() *tagsv1.Tag }); ok && name.GetData().GetName() != test.want {
					t.Errorf("got %v, want the tag %q", got, test.want)
				}
				return
			}
			if v := verdictOf(err); v.code != test.code || v.reason != test.reason || !strings.Contains(v.text, test.text) || v.processed != test.processed {
				t.Errorf("got %v\nwant %v/%s with %q, processed %q", v, test.code, test.reason, test.text, test.processed)
			}
		})
	}
}

// TestErrorBody_cut cuts the body of an error. If the body says nothing yet, the text is that of the
// status.
func TestErrorBody_cut(t *testing.T) {
	t.Parallel()
	const nothing = "the upstream answered 404 Not Found"
	for body, want := range map[string]string{
		``:                                  nothing,
		`{`:                                 nothing,
		`{"mess`:                            nothing,
		`{"message": "`:                     nothing,
		`"`:                                 nothing,
		`[`:                                 nothing,
		`<ht`:                               nothing,
		`{"message": "No such t`:            `{"message": "No such t`,
		`{"message": "No such tag.", "requ`: "No such tag.",
		`no such t`:                         `no such t`,
	} {
		t.Run(body, func(t *testing.T) {
			t.Parallel()
			conn, _ := connectBefore(t, http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
				w.Header().Set("Content-Length", "1000")
				w.WriteHeader(http.StatusNotFound)
				_, _ = w.Write([]byte(body))
			}), "--quota=false")
			_, _, err := getATag(waiting(t), conn)
			if v := verdictOf(err); v.code != codes.NotFound || v.reason != "NOT_FOUND" || v.text != want {
				t.Errorf("got %v\nwant NotFound/NOT_FOUND %q", v, want)
			}
		})
	}
}

// TestPassthrough_headersOfADecodedBody has headers that describe the body on the wire. They are not passed
// on, because the caller gets the decoded body.
func TestPassthrough_headersOfADecodedBody(t *testing.T) {
	t.Parallel()
	const document = ` {"a": [1.50]}`
	for name, test := range map[string]struct{ encoding, body string }{
		"as it is":                       {"", document},
		"gzip":                           {"gzip", string(gzipped(t, strings.NewReader(document)))},
		"x-gzip":                         {"x-gzip", string(gzipped(t, strings.NewReader(document)))},
		"identity":                       {"identity", document},
		"with a byte order mark":         {"", "\ufeff" + document},
		"with a byte order mark in gzip": {"gzip", string(gzipped(t, strings.NewReader("\ufeff"+document)))},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			conn, _ := connectBefore(t, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				if test.encoding != "" {
					w.Header().Set("Content-Encoding", test.encoding)
				}
				w.Header().Set("X-Kept", "yes")
				answerWith(http.StatusAccepted, test.body)(w, r)
			}), "--passthrough", "--quota=false")
			got, err := apiv1.NewPassthroughServiceClient(conn).Call(waiting(t), &apiv1.CallRequest{
				Method: proto.String(http.MethodPatch), Path: proto.String("/tags/1"), Body: proto.String("{}"),
			})
			if err != nil {
				t.Fatal(verdictOf(err))
			}
			if got.GetStatus() != http.StatusAccepted || got.GetBody() != document {
				t.Errorf("got status %d, body %q, want 202, %q", got.GetStatus(), got.GetBody(), document)
			}
			fields := map[string]string{}
			for _, h := range got.GetHeaders() {
				fields[h.GetName()] = h.GetValue()
			}
			if fields["X-Kept"] != "yes" || fields["Content-Type"] != "application/json" {
				t.Errorf("headers are %v, want X-Kept and Content-Type among them", fields)
			}
			for _, name := range []string{"Content-Encoding", "Content-Length"} {
				if value, ok := fields[name]; ok {
					t.Errorf("%s is %q, want none: the body was decoded", name, value)
				}
			}
		})
	}
}

// TestPassthrough_answerNotJSON has writes succeed with an answer that cannot be passed on. The call fails,
// as with every method, and the error says that the write was processed.
func TestPassthrough_answerNotJSON(t *testing.T) {
	t.Parallel()
	for name, body := range map[string]string{
		"a page": "<html>done</html>", "text": "OK", "bytes": "\"\xff\"", "a mark alone before text": "\ufeffOK",
	} {
		for method, processed := range map[string]string{
			http.MethodPost: "yes", http.MethodPut: "yes", http.MethodPatch: "yes", http.MethodDelete: "yes", http.MethodGet: "",
		} {
			t.Run(name+" to a "+method, func(t *testing.T) {
				t.Parallel()
				conn, _ := connectBefore(t, answerWith(http.StatusOK, body), "--passthrough", "--quota=false")
				_, err := apiv1.NewPassthroughServiceClient(conn).Call(waiting(t), &apiv1.CallRequest{Method: &method, Path: proto.String("/tags/1")})
				v := verdictOf(err)
				if v.code != codes.Internal || v.reason != "UPSTREAM_BODY_INVALID" || v.status != "200" || v.attempts != "1" || v.processed != processed {
					t.Errorf("got %v\nwant Internal/UPSTREAM_BODY_INVALID, http_status 200, attempts 1, processed %q", v, processed)
				}
			})
		}
	}
}
