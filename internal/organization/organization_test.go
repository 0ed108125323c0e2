package organization_test

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"samsara.internal/gateway/internal/organization"
	"samsara.internal/gateway/internal/quota"
)

// defaults are the values of what the files of the tests leave out.
func defaults() organization.Defaults {
	return organization.Defaults{
		BaseURL:    "https://api.samsara.com",
		TokenLimit: quota.Limit{Requests: 150, Window: time.Second}, OrganizationLimit: quota.Limit{Requests: 200, Window: time.Second},
	}
}

func TestParse_everything(t *testing.T) {
	t.Parallel()
	f, err := organization.Parse([]byte(`
organizations:
  - name: south
    token-file: /secrets/south
    region: eu
    token-limit: 10/min
    organization-limit: none
    default: true
  - name: north
    token-file: /secrets/north
  - name: west
    token-file: /secrets/west
    base-url: http://127.0.0.1:8080/prefix
`), defaults())
	if err != nil {
		t.Fatal(err)
	}
	second := quota.Limit{Requests: 150, Window: time.Second}
	both := quota.Limit{Requests: 200, Window: time.Second}
	want := &organization.File{Default: "south", Organizations: []organization.Organization{
		{Name: "south", BaseURL: "https://api.eu.samsara.com", TokenFile: "/secrets/south", TokenLimit: quota.Limit{Requests: 10, Window: time.Minute}},
		{Name: "north", BaseURL: "https://api.samsara.com", TokenFile: "/secrets/north", TokenLimit: second, OrganizationLimit: both},
		{Name: "west", BaseURL: "http://127.0.0.1:8080/prefix", TokenFile: "/secrets/west", TokenLimit: second, OrganizationLimit: both},
	}}
	if diff := cmp.Diff(want, f); diff != "" {
		t.Errorf("Parse (-want +got):\n%s", diff)
	}
	if diff := cmp.Diff([]string{"north", "south", "west"}, f.Names()); diff != "" {
		t.Errorf("Names (-want +got):\n%s", diff)
	}
	if got := f.Organizations[2].URL(); got.Host != "127.0.0.1:8080" || got.Path != "/prefix" {
		t.Errorf("URL = %s", got)
	}
}

func TestParse_refused(t *testing.T) {
	t.Parallel()
	one := func(members string) string { return "organizations:\n  - name: north\n    token-file: /n\n" + members }
	many := "organizations:\n"
	for i := range organization.Most + 1 {
		many += fmt.Sprintf("  - {name: n%d, token-file: /n}\n", i)
	}
	for name, test := range map[string]struct {
		text string
		want []string
	}{
		"empty":         {"", []string{"is empty"}},
		"none":          {"organizations: []", []string{"organizations: has 0 entries, must have 1 to 200"}},
		"too many":      {many, []string{"organizations: has 201 entries, must have 1 to 200"}},
		"too large":     {strings.Repeat("#", organization.MaxBytes+1), []string{"has 1048577 bytes, must have at most 1048576"}},
		"two documents": {one("---\n"), []string{"must be one YAML document"}},
		"unknown":       {one("    token: s3cret\n"), []string{"line 4: token: is no member of this"}},
		"member twice":  {one("    token-file: /m\n"), []string{`line 4: mapping key "token-file" already defined at line 3`}},
		"type":          {one("    default: [1]\n"), []string{"line 4: cannot unmarshal !!seq: is of the wrong type"}},
		"value":         {one("    default: s3cret\n"), []string{"line 4: cannot unmarshal !!str: is of the wrong type"}},
		"no text":       {one("    region: {}\n"), []string{"line 4: must be a text"}},
		"no name":       {"organizations:\n  - token-file: /n\n", []string{`name: is "", empty`}},
		"no token":      {"organizations:\n  - name: north\n", []string{`line 2: "north": token-file or oauth: must be set`}},
		"brace":         {"organizations:\n  - name: a{b\n    token-file: /n\n", []string{`line 2: name: is "a{b", holds a brace`}},
		"space":         {"organizations:\n  - name: a b\n    token-file: /n\n", []string{`line 2: name: is "a b", holds a character that is not printable ASCII, or a space`}},
		"twice":         {one("  - name: north\n    token-file: /m\n"), []string{`line 4: name: is "north", which is in line 2 already`}},
		"two defaults": {
			one("    default: true\n  - name: south\n    token-file: /m\n    default: true\n"),
			[]string{`line 5: "south": default: must be true of one organization at most, is of "north" already`},
		},
		"token and grant": {
			one("    oauth: {client-id: c, client-secret-file: /s, refresh-token-file: /r}\n"),
			[]string{`line 3: "north": token-file and oauth: one of them must go`},
		},
		"no grant": {
			"organizations:\n  - name: north\n    oauth: {token-url: \"http://user:s3cret@example.com/t\"}\n",
			[]string{
				`line 2: "north": oauth: client-id: must be set`,
				`line 2: "north": oauth: client-secret-file: must be set`,
				`line 2: "north": oauth: refresh-token-file: must be set`,
				`line 3: "north": oauth: token-url: is not a URL of a scheme, a host and a path`,
			},
		},
		"grant of two": {
			"organizations:\n  - {name: a, oauth: {client-id: c, client-secret-file: /s, refresh-token-file: /r}}\n" +
				"  - {name: b, oauth: {client-id: c, client-secret-file: /s, refresh-token-file: /r}}\n",
			[]string{`line 3: "b": oauth: refresh-token-file: is that of "a" too`},
		},
		"plaintext": {
			one("    base-url: http://user:s3cret@example.com\n"),
			[]string{`line 4: "north": base-url: is not https, which is needed beyond loopback because the token is sent`},
		},
		"URL and region": {one("    region: eu\n    base-url: https://example.com\n"), []string{`line 4: "north": base-url and region: one of them must go`}},
		"region and more": {
			one("    region: mars\n    token-limit: 1\n    organization-limit: 0/s\n"),
			[]string{
				`line 4: "north": region: is "mars", must be us, eu or ca`,
				`line 5: "north": token-limit: is "1", not a limit such as "150/s", "100/min", "50/h", "10/30s" or "none"`,
				`line 6: "north": organization-limit: is "0/s", requests not between 1 and 100000`,
			},
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			f, err := organization.Parse([]byte(test.text), defaults())
			var bad *organization.Error
			if !errors.As(err, &bad) || f != nil {
				t.Fatalf("Parse = %v, %v, want an *Error", f, err)
			}
			if diff := cmp.Diff(test.want, bad.Problems); diff != "" {
				t.Errorf("problems (-want +got):\n%s", diff)
			}
		})
	}
}

func TestParse_grants(t *testing.T) {
	t.Parallel()
	f, err := organization.Parse([]byte("organizations:\n"+
		"  - {name: a, region: eu, oauth: {client-id: c, client-secret-file: /s, refresh-token-file: /r}}\n"+
		"  - {name: b, oauth: {client-id: c, client-secret-file: /s, refresh-token-file: /q, token-url: \"https://h.test/t\"}}\n"), defaults())
	if err != nil {
		t.Fatal(err)
	}
	want := []organization.OAuth{{"c", "/s", "/r", "https://api.eu.samsara.com/oauth2/token"}, {"c", "/s", "/q", "https://h.test/t"}}
	if got := []organization.OAuth{f.Organizations[0].OAuth, f.Organizations[1].OAuth}; !slices.Equal(got, want) {
		t.Errorf("got %v, want %v", got, want)
	}
}

func FuzzParse(f *testing.F) {
	f.Add("organizations:\n  - {name: north, token-file: /n, region: eu, token-limit: 1/s, default: true}\n")
	f.Add("organizations:\n  - &a {name: north}\n  - *a\n")
	f.Add("organizations:\n  - {name: n, oauth: {client-id: c, client-secret-file: /s, refresh-token-file: /r, token-url: https://h/t}}\n")
	f.Add("organizations: {")
	f.Fuzz(func(t *testing.T, text string) {
		file, err := organization.Parse([]byte(text), defaults())
		var bad *organization.Error
		switch {
		case err != nil && (!errors.As(err, &bad) || len(bad.Problems) == 0 || file != nil):
			t.Fatalf("Parse = %v, %v, want an *Error with problems alone", file, err)
		case err != nil:
			return
		}
		seen := make(map[string]bool)
		for _, o := range file.Organizations {
			if o.Name == "" || seen[o.Name] || (o.TokenFile == "") != (o.OAuth.RefreshFile != "") || o.URL().Host == "" {
				t.Errorf("accepted %+v", o)
			}
			seen[o.Name] = true
		}
		if file.Default != "" && !seen[file.Default] {
			t.Errorf("default %q is no organization", file.Default)
		}
	})
}
