package upstream

import (
	"encoding/json"
	"strings"
	"testing"
	"unicode/utf8"
)

func TestReadErrorBody_everyShape(t *testing.T) {
	t.Parallel()
	tests := []struct {
		name, body, message, requestID string
	}{
		{"JSON object", `{"message":"Invalid ids.","requestId":"q-1"}`, "Invalid ids.", "q-1"},
		{"JSON object without request id", `{"message":"Invalid token"}`, "Invalid token", ""},
		{"JSON object after a byte order mark", "\xef\xbb\xbf {\"message\":\"m\"}", "m", ""},
		{"JSON object of another kind", `{"error": {"code": 5}}`, `{"error": {"code": 5}}`, ""},
		{"JSON object whose message is no text", `{"message":5,"requestId":6}`, `{"message":5,"requestId":6}`, ""},
		{"JSON object with null", `{"message":null,"requestId":null}`, `{"message":null,"requestId":null}`, ""},
		{"JSON object that is cut", `{"message":"Invalid i`, `{"message":"Invalid i`, ""},
		{"JSON object that is cut behind its brace", `{`, "", ""},
		{"JSON object that is cut within a name", `{"mess`, "", ""},
		{"JSON object that is cut before a value", `{"message": "`, "", ""},
		{"JSON object that says nothing", `{"data": []}`, "", ""},
		{"JSON object that is cut behind its message", `{"message":"m","details":["a`, "m", ""},
		{"JSON object that nests", `{"message":"m","a":` + strings.Repeat(`{"message":[`, 20_000) + `1` + strings.Repeat("]}", 20_000) + `,"requestId":"q-1"}`, "m", "q-1"},
		{"JSON string", `"rpc error: not found"`, "rpc error: not found", ""},
		{"JSON string with escapes", `"a\nb\u00e9"`, "a bé", ""},
		{"JSON string that is cut", `"rpc err`, `"rpc err`, ""},
		{"JSON string that is cut behind its quote", `"`, "", ""},
		{"JSON array that is cut", `[ {`, "", ""},
		{"JSON array", `["a"]`, `["a"]`, ""},
		{"text", "rpc error: code = InvalidArgument desc = x\n", "rpc error: code = InvalidArgument desc = x", ""},
		{"text of several lines", "a\r\n\tb\x00\x1b[31mc", "a b [31mc", ""},
		{"text that is not UTF-8", "caf\xe9", "caf\ufffd", ""},
		{"HTML with a title", "<html><head><style>x{}</style><title> 502 Bad\nGateway </title></head><body>nginx</body></html>", "502 Bad Gateway", ""},
		{"HTML with entities", "<title>a &lt;b&gt; &amp; c</title>", "a <b> & c", ""},
		{"HTML without a title", "<!doctype html><!-- x --><script>var a</script><body><br><h1>Bad Gateway</h1><p>nginx", "Bad Gateway", ""},
		{"HTML without text", "<html><body></body></html>", "", ""},
		{"XML", `<?xml version="1.0"?><Error><Code>AccessDenied</Code></Error>`, "AccessDenied", ""},
		{"nothing", "", "", ""},
		{"white space", " \r\n", "", ""},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			message, requestID := readErrorBody([]byte(tt.body))
			if message != tt.message || requestID != tt.requestID {
				t.Errorf("readErrorBody = %q, %q, want %q, %q", message, requestID, tt.message, tt.requestID)
			}
		})
	}
}

func TestIsErrorObject_shapes(t *testing.T) {
	t.Parallel()
	tests := map[string]bool{
		`{"message":"m","requestId":"r"}`: true,
		`{"message":"m"}`:                 true,
		`{"requestId":"r"}`:               false,
		`{"message":"m","data":[]}`:       false,
		`{"Message":"m"}`:                 false,
		`{}`:                              false,
		`null`:                            false,
		`"m"`:                             false,
		`[{"message":"m"}]`:               false,
		`{"message":"` + strings.Repeat("m", maxErrorBodyBytes) + `"}`:                                       true,
		`{"message":` + strings.Repeat("[", 100_000) + strings.Repeat("]", 100_000) + `}`:                    true,
		`{"requestId":` + strings.Repeat("[", 10_001) + strings.Repeat("]", 10_001) + `,"message":"m"}`:      true,
		`{"message":` + strings.Repeat("[", 100_000) + strings.Repeat("]", 100_000) + `,"data":{"id":"1"} }`: false,
	}
	for document, want := range tests {
		if got := isErrorObject([]byte(document)); got != want {
			t.Errorf("isErrorObject(%.60s) = %v, want %v", document, got, want)
		}
	}
}

func TestBounded_cutsAtCharacter(t *testing.T) {
	t.Parallel()
	for limit, want := range []string{"", "", "é", "é", "éé", "éé"} {
		if got := bounded("éé", limit); got != want {
			t.Errorf("bounded(éé, %d) = %q, want %q", limit, got, want)
		}
	}
}

func FuzzErrorBody(f *testing.F) {
	for _, seed := range []string{
		`{"message":"Invalid ids.","requestId":"q-1"}`, `{"message":5}`, `{"message":"a\ud800b"}`, `"text"`, `"\ud83d`,
		"text", "<title>x</title>", "<script>", "<title>", "<a b='", "</", "<!--", "<![CDATA[x]]>", "\xef\xbb\xbf{}", "\xff\xfe", "\x00",
		"&#1234567;", "<p>&#xD800;&notanentity;</p>", `{"message":"` + strings.Repeat("é", 2000) + `"}`,
	} {
		f.Add([]byte(seed))
	}
	f.Fuzz(func(t *testing.T, body []byte) {
		message, requestID := readErrorBody(body)
		for _, text := range []string{message, requestID} {
			if !utf8.ValidString(text) || strings.ContainsAny(text, "\r\n\x00") {
				t.Errorf("%q is not one line of UTF-8", text)
			}
			if cut := bounded(text, 64); len(cut) > 64 || !utf8.ValidString(cut) || !strings.HasPrefix(text, cut) {
				t.Errorf("bounded(%q) = %q", text, cut)
			}
		}
		var members map[string]json.RawMessage
		if json.Unmarshal(body, &members) != nil {
			return
		}
		_, want := members["message"]
		delete(members, "message")
		delete(members, "requestId")
		if want = want && len(members) == 0; isErrorObject(body) != want {
			t.Errorf("%q is an error object: %t, want %t", body, !want, want)
		}
	})
}
