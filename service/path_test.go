package service

import (
	"net/url"
	"path"
	"strings"
	"testing"
)

func TestPathFaultNamesWhatIsWrong(t *testing.T) {
	t.Parallel()
	for _, test := range []struct{ name, path, want string }{
		{"literals and ids", "/fleet/vehicles/281474977075805", ""},
		{"every character that needs no escape", "/-._~!$&'()*+,;=:@", ""},
		{"an escaped slash, percent sign and non-ASCII text", "/a%2Fb%25/%C3%A9", ""},
		{"three dots", "/.../a..b", ""},
		{"as long as it may be", "/" + strings.Repeat("a", maxPathBytes-1), ""},
		{"too long", "/" + strings.Repeat("a", maxPathBytes), "must be at most 8192 bytes long, not 8193"},
		{"empty", "", `must begin with a slash, as "" does not`},
		{"relative", "fleet", `must begin with a slash, as "fleet" does not`},
		{"a URL", "https://example.com/", `must begin with a slash, as "https://example.com/" does not`},
		{"the root", "/", "must have no empty segment"},
		{"another host", "//example.com", "must have no empty segment"},
		{"a slash at the end", "/fleet/", "must have no empty segment"},
		{"a dot", "/fleet/./a", `must have no . or .. segment, as "." is or holds one`},
		{"two dots", "/fleet/..", `must have no . or .. segment, as ".." is or holds one`},
		{"two dots, one escaped", "/fleet/.%2E/a", `must have no . or .. segment, as ".%2E" is or holds one`},
		{"two dots before an escaped slash", "/fleet/..%2fa", `must have no . or .. segment, as "..%2fa" is or holds one`},
		{"two dots after an escaped backslash", "/fleet/a%5C..", `must have no . or .. segment, as "a%5C.." is or holds one`},
		{"a query", "/fleet?a=b", `must be escaped, as segment "fleet?a=b" is not`},
		{"a fragment", "/fleet#a", `must be escaped, as segment "fleet#a" is not`},
		{"a space", "/fl eet", `must be escaped, as segment "fl eet" is not`},
		{"a line break", "/a\r\nHost: b", `must be escaped, as segment "a\r\nHost: b" is not`},
		{"non-ASCII text", "/é", `must be escaped, as segment "é" is not`},
		{"half an escape", "/a%2", `must have valid escapes, as segment "a%2" has not`},
		{"no escape", "/a%zz", `must have valid escapes, as segment "a%zz" has not`},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			if got := pathFault(test.path); got != test.want {
				t.Errorf("pathFault(%q) = %q, want %q", test.path, got, test.want)
			}
		})
	}
}

func FuzzPassthroughPath(f *testing.F) {
	for _, seed := range []string{
		"/fleet/vehicles/281474977075805", "/v1/fleet/reports/summary", "/a%2Fb%25/%C3%A9", "/-._~!$&'()*+,;=:@",
		"", "/", "//host", "/./..", "/%2e%2E", "/..%2f", "/%2f..", "/%5c..%5C", "/a/../b", "/a%2", "/a%", "/a?b#c",
		"/a b", "/\x00", "/é", "/%00", "/%252e%252e", "/...", "/a//b", "/a/", "a", "/;..;/", "/..;/a", "/a:b@c",
	} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, p string) {
		if pathFault(p) != "" {
			return
		}
		const base = "https://api.example.com/prefix"
		u, err := url.Parse(base + p)
		if err != nil {
			t.Fatalf("accepted path %q does not parse: %v", p, err)
		}
		if u.Host != "api.example.com" || u.RawQuery != "" || u.Fragment != "" || u.ForceQuery {
			t.Errorf("accepted path %q reaches %+v", p, u)
		}
		if got := u.EscapedPath(); got != "/prefix"+p {
			t.Errorf("accepted path %q is sent as %q", p, got)
		}
		decoded := strings.ReplaceAll(u.Path, `\`, "/")
		if clean := path.Clean(decoded); !strings.HasPrefix(clean+"/", "/prefix/") {
			t.Errorf("accepted path %q decodes to %q, outside of the base", p, clean)
		}
	})
}
