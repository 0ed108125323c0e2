package service

import (
	"net/url"
	"path"
	"strings"
	"testing"
)

func TestPathFault_everyFault(t *testing.T) {
	t.Parallel()
	for _, test := range []struct{ name, path, want string }{
		{"literals and ids", "/fleet/vehicles/281474977075805", ""},
		{"every character that needs no escape", "/-._~!$&'()*+,;=:@", ""},
		{"an escaped slash, percent sign and non-ASCII text", "/a%2Fb%25/%C3%A9", ""},
		{"three dots", "/.../a..b", ""},
		{"as long as it may be", "/" + strings.Repeat("a", maxPathBytes-1), ""},
		{"too long", "/" + strings.Repeat("a", maxPathBytes), "is 8193 bytes long, must be at most 8192"},
		{"empty", "", `is "", must begin with a slash`},
		{"relative", "fleet", `is "fleet", must begin with a slash`},
		{"a URL", "https://example.com/", `is "https://example.com/", must begin with a slash`},
		{"the root", "/", "has an empty segment, must have none"},
		{"another host", "//example.com", "has an empty segment, must have none"},
		{"a slash at the end", "/fleet/", "has an empty segment, must have none"},
		{"a dot", "/fleet/./a", `has segment ".", must have none that is or holds . or ..`},
		{"two dots", "/fleet/..", `has segment "..", must have none that is or holds . or ..`},
		{"two dots, one escaped", "/fleet/.%2E/a", `has segment ".%2E", must have none that is or holds . or ..`},
		{"two dots before an escaped slash", "/fleet/..%2fa", `has segment "..%2fa", must have none that is or holds . or ..`},
		{"two dots after an escaped backslash", "/fleet/a%5C..", `has segment "a%5C..", must have none that is or holds . or ..`},
		{"a query", "/fleet?a=b", `has segment "fleet?a=b", must be escaped`},
		{"a fragment", "/fleet#a", `has segment "fleet#a", must be escaped`},
		{"a space", "/fl eet", `has segment "fl eet", must be escaped`},
		{"a line break", "/a\r\nHost: b", `has segment "a\r\nHost: b", must be escaped`},
		{"non-ASCII text", "/é", `has segment "é", must be escaped`},
		{"half an escape", "/a%2", `has segment "a%2", must have valid escapes`},
		{"no escape", "/a%zz", `has segment "a%zz", must have valid escapes`},
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
