package sandbox

import (
	"bytes"
	"encoding/json"
	"testing"
)

func FuzzAppendJSON_asEncodingJSON(f *testing.F) {
	for _, seed := range []string{
		"", "plain", `"quoted" \ and / slashed`, "<a href='x'>&</a>", "tab\tline\nnul\x00del\x7f", "Zoë", "\u2028\u2029", "\xff\xfe", "\xed\xa0\x80", "🚚",
	} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, s string) {
		var want bytes.Buffer
		e := json.NewEncoder(&want)
		e.SetEscapeHTML(false)
		if err := e.Encode(map[string]any{s: []any{s, true, nil, 0.25, json.Number("7")}}); err != nil {
			t.Fatal(err)
		}
		got := appendJSON(nil, map[string]any{s: []any{s, true, nil, 0.25, json.Number("7")}})
		if string(got)+"\n" != want.String() {
			t.Errorf("%q = %s, want %s", s, got, want.String())
		}
	})
}
