package organization

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"net/url"
	"slices"
	"strconv"
	"strings"

	"go.yaml.in/yaml/v3"

	"samsara.internal/gateway/internal/config"
	"samsara.internal/gateway/internal/oauth"
	"samsara.internal/gateway/internal/quota"
)

const (
	// MaxBytes bounds a file.
	MaxBytes = 1 << 20
	// Most is how many organizations a file may have.
	Most = 200
	// maxProblems bounds the problems that an Error has.
	maxProblems = 100
)

// Organization is one that the gateway works for. It is comparable.
type Organization struct {
	Name string
	// BaseURL is the text of the base URL of its REST API.
	BaseURL string
	// TokenFile has its API token; empty: OAuth has what it proves itself by.
	TokenFile string
	OAuth     OAuth
	// TokenLimit and OrganizationLimit limit all of its operations together.
	TokenLimit, OrganizationLimit quota.Limit
}

// OAuth is the client and the grant of an organization. It is comparable. The zero value stands for none.
type OAuth struct {
	ClientID string
	// SecretFile has the client's secret, and RefreshFile the refresh token, which the gateway replaces.
	SecretFile, RefreshFile string
	TokenURL                string
}

// URL returns the base URL.
func (o Organization) URL() *url.URL {
	u, err := config.ParseBaseURL(o.BaseURL)
	if err != nil {
		return new(url.URL) // Parse has checked it.
	}
	return u
}

// File is what a file says.
type File struct {
	// Organizations are in the order of the file.
	Organizations []Organization
	// Default is the name of the one that calls are for which select none; empty: such calls are refused.
	Default string
}

// Names returns the names of the organizations, sorted.
func (f *File) Names() []string {
	names := make([]string, len(f.Organizations))
	for i, o := range f.Organizations {
		names[i] = o.Name
	}
	slices.Sort(names)
	return names
}

// Defaults are the values of what an organization leaves out.
type Defaults struct {
	BaseURL                       string
	TokenLimit, OrganizationLimit quota.Limit
}

// Error lists what is wrong with a file, one problem at least and 100 at most, each with its line if that is known.
type Error struct{ Problems []string }

// Error returns the first problem, and how many others there are.
func (e *Error) Error() string {
	if len(e.Problems) == 1 {
		return e.Problems[0]
	}
	return fmt.Sprintf("%s; and %d more", e.Problems[0], len(e.Problems)-1)
}

// entry is an organization as it is written.
type entry struct {
	Name              text        `yaml:"name"`
	BaseURL           *text       `yaml:"base-url"`
	Region            *text       `yaml:"region"`
	TokenFile         text        `yaml:"token-file"`
	OAuth             *oauthEntry `yaml:"oauth"`
	TokenLimit        *text       `yaml:"token-limit"`
	OrganizationLimit *text       `yaml:"organization-limit"`
	Default           bool        `yaml:"default"`
}

// oauthEntry is an OAuth as it is written.
type oauthEntry struct {
	ClientID    text `yaml:"client-id"`
	SecretFile  text `yaml:"client-secret-file"`
	RefreshFile text `yaml:"refresh-token-file"`
	TokenURL    text `yaml:"token-url"`
}

// text is a scalar, and the line that it is in.
type text struct {
	value string
	line  int
}

// UnmarshalYAML implements yaml.Unmarshaler.
func (t *text) UnmarshalYAML(n *yaml.Node) error {
	if n.Kind != yaml.ScalarNode || n.ShortTag() == "!!null" {
		return fmt.Errorf("line %d: must be a text", n.Line)
	}
	t.value, t.line = n.Value, n.Line
	return nil
}

// parser collects what is wrong.
type parser struct {
	defaults Defaults
	problems []string
}

func (p *parser) problem(line int, format string, args ...any) {
	text := fmt.Sprintf(format, args...)
	if line > 0 {
		text = "line " + strconv.Itoa(line) + ": " + text
	}
	if len(p.problems) < maxProblems && !slices.Contains(p.problems, text) {
		p.problems = append(p.problems, text)
	}
}

// Parse reads a file. The error is an *Error.
func Parse(content []byte, defaults Defaults) (*File, error) {
	if len(content) > MaxBytes {
		return nil, &Error{[]string{fmt.Sprintf("has %d bytes, must have at most %d", len(content), MaxBytes)}}
	}
	entries, err := decode(content)
	if err != nil {
		return nil, err
	}
	if len(entries) == 0 || len(entries) > Most {
		return nil, &Error{[]string{fmt.Sprintf("organizations: has %d entries, must have 1 to %d", len(entries), Most)}}
	}
	p, f := &parser{defaults: defaults}, &File{}
	named, granted := make(map[string]int, len(entries)), make(map[string]string)
	for _, e := range entries {
		o := p.organization(e)
		if first, ok := named[o.Name]; ok {
			p.problem(e.Name.line, "name: is %s, which is in line %d already", quote(o.Name), first)
		} else {
			named[o.Name] = e.Name.line
		}
		if file := o.OAuth.RefreshFile; file != "" {
			if other, ok := granted[file]; ok {
				p.problem(e.OAuth.RefreshFile.line, "%s: oauth: refresh-token-file: is that of %s too", quote(o.Name), quote(other))
			}
			granted[file] = o.Name
		}
		if e.Default && f.Default != "" {
			p.problem(e.Name.line, "%s: default: must be true of one organization at most, is of %s already", quote(o.Name), quote(f.Default))
		}
		if e.Default {
			f.Default = o.Name
		}
		f.Organizations = append(f.Organizations, o)
	}
	if len(p.problems) > 0 {
		return nil, &Error{p.problems}
	}
	return f, nil
}

// organization reads an entry.
func (p *parser) organization(e entry) Organization {
	line, called := e.Name.line, quote(e.Name.value)
	if err := checkName(e.Name.value); err != nil {
		p.problem(line, "name: is %s, %v", called, err)
	}
	switch {
	case e.OAuth == nil && e.TokenFile.value == "":
		p.problem(max(line, e.TokenFile.line), "%s: token-file or oauth: must be set", called)
	case e.OAuth != nil && e.TokenFile.value != "":
		p.problem(e.TokenFile.line, "%s: token-file and oauth: one of them must go", called)
	}
	o := Organization{
		Name: e.Name.value, BaseURL: p.defaults.BaseURL, TokenFile: e.TokenFile.value,
		TokenLimit: p.defaults.TokenLimit, OrganizationLimit: p.defaults.OrganizationLimit,
	}
	switch {
	case e.BaseURL != nil && e.Region != nil:
		p.problem(e.Region.line, "%s: base-url and region: one of them must go", called)
	case e.BaseURL != nil:
		if _, err := config.ParseBaseURL(e.BaseURL.value); err != nil {
			// The value is not shown: who puts credentials into it must not find them in the log.
			p.problem(e.BaseURL.line, "%s: base-url: is %v", called, err)
		}
		o.BaseURL = e.BaseURL.value
	case e.Region != nil:
		if o.BaseURL = hostOf(e.Region.value); o.BaseURL == "" {
			p.problem(e.Region.line, "%s: region: is %s, must be us, eu or ca", called, quote(e.Region.value))
		}
	}
	limit := func(field string, written *text, into *quota.Limit) {
		if written == nil {
			return
		}
		parsed, err := config.ParseLimit(written.value)
		if err != nil {
			p.problem(written.line, "%s: %s: is %s, %v", called, field, quote(written.value), err)
		}
		*into = parsed
	}
	limit("token-limit", e.TokenLimit, &o.TokenLimit)
	limit("organization-limit", e.OrganizationLimit, &o.OrganizationLimit)
	if e.OAuth != nil {
		o.OAuth = p.oauth(line, called, *e.OAuth, o.URL())
	}
	return o
}

// tokenPath is where Samsara's API gives tokens.
const tokenPath = "/oauth2/token" //nolint:gosec // G101: it is no credential

// oauth reads the OAuth of an entry, whose API is at base.
func (p *parser) oauth(line int, called string, e oauthEntry, base *url.URL) OAuth {
	for _, field := range []struct {
		name string
		text
	}{{"client-id", e.ClientID}, {"client-secret-file", e.SecretFile}, {"refresh-token-file", e.RefreshFile}} {
		if field.value == "" {
			p.problem(max(line, field.line), "%s: oauth: %s: must be set", called, field.name)
		}
	}
	if e.TokenURL.value == "" {
		e.TokenURL = text{base.JoinPath(tokenPath).String(), line}
	}
	if err := oauth.CheckTokenURL(e.TokenURL.value); err != nil {
		// The value is not shown: who puts credentials into it must not find them in the log.
		p.problem(e.TokenURL.line, "%s: oauth: token-url: is %v", called, err)
	}
	return OAuth{e.ClientID.value, e.SecretFile.value, e.RefreshFile.value, e.TokenURL.value}
}

// hostOf returns the base URL of Samsara's API in a region, empty if there is no such region.
func hostOf(region string) string {
	switch region {
	case "us":
		return "https://api.samsara.com"
	case "eu":
		return "https://api.eu.samsara.com"
	case "ca":
		return "https://api.ca.samsara.com"
	default:
		return ""
	}
}

// checkName returns why a text cannot name an organization. Metadata and a key in Redis have to hold it.
func checkName(name string) error {
	if err := config.CheckOrganization(name); err != nil {
		return err
	}
	if strings.ContainsFunc(name, func(r rune) bool { return r <= ' ' || r > '~' }) {
		return errors.New("holds a character that is not printable ASCII, or a space")
	}
	return nil
}

// quote returns a value as problems show it.
func quote(s string) string {
	const most = 100
	if len(s) > most {
		s = s[:most] + "..."
	}
	return strconv.Quote(s)
}

// decode reads YAML. Its errors name lines, and nothing of Go.
func decode(content []byte) ([]entry, error) {
	var f struct {
		Organizations []entry `yaml:"organizations"`
	}
	decoder := yaml.NewDecoder(bytes.NewReader(content))
	decoder.KnownFields(true)
	err := decoder.Decode(&f)
	if err == nil && !errors.Is(decoder.Decode(new(yaml.Node)), io.EOF) {
		err = errors.New("must be one YAML document")
	}
	if errors.Is(err, io.EOF) {
		err = errors.New("is empty")
	}
	if err == nil {
		return f.Organizations, nil
	}
	var several *yaml.TypeError
	problems := []string{err.Error()}
	if errors.As(err, &several) {
		problems = several.Errors
	}
	bad := &Error{}
	for _, problem := range problems[:min(len(problems), maxProblems)] {
		problem = strings.TrimPrefix(problem, "yaml: ")
		if before, _, found := strings.Cut(problem, " not found in type "); found {
			problem = strings.Replace(before, ": field ", ": ", 1) + ": is no member of this"
		}
		if before, _, found := strings.Cut(problem, " into "); found {
			problem = before + ": is of the wrong type"
		}
		if before, rest, found := strings.Cut(problem, " `"); found { // A value, which may be a token in a wrong place.
			_, after, _ := strings.Cut(rest, "`")
			problem = before + after
		}
		bad.Problems = append(bad.Problems, problem)
	}
	return nil, bad
}
