package upstream

import (
	"net/url"
	"strings"
	"testing"
)

func TestScrub_everyFormOfTheToken(t *testing.T) {
	t.Parallel()
	const token = "samsara_api_Zq+7/bY=x9"
	for name, test := range map[string]struct{ text, want string }{
		"nothing":                  {"", ""},
		"another text":             {"samsara_api_ is no token", "samsara_api_ is no token"},
		"the token":                {"a " + token + " b", "a [token] b"},
		"twice":                    {token + token, "[token][token]"},
		"as in a query":            {"?t=" + url.QueryEscape(token), "?t=[token]"},
		"as in a path":             {"/" + url.PathEscape(token) + "/", "/[token]/"},
		"with small digits":        {strings.ToLower(url.QueryEscape(token)), "[token]"},
		"encoded twice":            {url.QueryEscape(url.QueryEscape(token)), "[token]"},
		"every byte encoded":       {"%73%61%6d%73%61%72%61%5f%61%70%69%5f%5a%71%2b%37%2f%62%59%3d%78%39", "[token]"},
		"as a header's name":       {"Samsara_api_zq+7/by=X9", "[token]"},
		"as in JSON":               {`{"t":"samsara_api_Zq+7\/bY=x9"}`, `{"t":"[token]"}`},
		"behind half of it":        {"samsara_api_Zq" + token, "samsara_api_Zq[token]"},
		"behind a broken escape":   {"%2%%5" + token + "%", "%2%%5[token]%"},
		"cut, which is not for it": {"samsara_api_Zq+7", "samsara_api_Zq+7"},
		"beside text beyond ASCII": {"é" + token + "é", "é[token]é"},
	} {
		if got := scrub(test.text, token); got != test.want {
			t.Errorf("%s: scrub(%q) = %q, want %q", name, test.text, got, test.want)
		}
	}
}

func TestScrub_memberCutWithinTheToken(t *testing.T) {
	t.Parallel()
	const token = "samsara_api_Zq+7/bY=x9"
	for n := range 70 {
		whole := strings.Repeat("x", n) + token
		got := scrubMember(whole[:min(64, len(whole))], token)
		if want := strings.Repeat("x", min(n, 64)) + "[token]"; n <= 60 && got != want {
			t.Errorf("a name cut %d bytes before its end is %q, want %q", max(0, len(whole)-64), got, want)
		}
		if n > 60 && strings.Contains(got, "sams") {
			t.Errorf("a name has %q left", got)
		}
	}
	if got := scrubMember("vehicle_samsara", token); got != "vehicle_samsara" {
		t.Errorf("a name that was not cut became %q", got)
	}
}
