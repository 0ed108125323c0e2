package policy

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"maps"
	"slices"
	"strconv"
	"strings"

	"go.yaml.in/yaml/v3"
)

const (
	// MaxBytes bounds a policy.
	MaxBytes = 1 << 20
	// maxEntries bounds the groups, rules and limits of a policy each, and maxPatterns those of each of them.
	maxEntries, maxPatterns = 1000, 1000
	// maxNames bounds what a policy calls identities by.
	maxNames = maxEntries
	// maxProblems bounds the problems that an Error has.
	maxProblems = 100
)

// Error lists what is wrong with a policy, one problem at least and 100 at most, each with its line if that is known.
type Error struct{ Problems []string }

// Error returns the first problem, and how many others there are.
func (e *Error) Error() string {
	if len(e.Problems) == 1 {
		return e.Problems[0]
	}
	return fmt.Sprintf("%s; and %d more: see gateway policy check", e.Problems[0], len(e.Problems)-1)
}

// file is a policy as it is written.
type file struct {
	Groups map[string][]text `yaml:"groups"`
	Rules  []fileRule        `yaml:"rules"`
	Limits []fileLimit       `yaml:"limits"`
}

type fileRule struct {
	Name          text   `yaml:"name"`
	Identities    []text `yaml:"identities"`
	Methods       []text `yaml:"methods"`
	Organizations []text `yaml:"organizations"`
	Effect        text   `yaml:"effect"`
}

type fileLimit struct {
	Name              text     `yaml:"name"`
	Identities        []text   `yaml:"identities"`
	Organizations     []text   `yaml:"organizations"`
	Weight            *float64 `yaml:"weight"`
	Priority          *text    `yaml:"priority"`
	RequestsPerSecond *float64 `yaml:"requests-per-second"`
	ConcurrentStreams *int     `yaml:"concurrent-streams"`
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
	api      *API
	groups   map[string][]identityPattern
	names    []named
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

// Parse reads a policy for an API. The error is an *Error.
func Parse(content []byte, api *API) (*Policy, error) {
	if len(content) > MaxBytes {
		return nil, &Error{[]string{fmt.Sprintf("has %d bytes, must have at most %d", len(content), MaxBytes)}}
	}
	f, err := decode(content)
	if err != nil {
		return nil, err
	}
	p := &parser{api: api, groups: make(map[string][]identityPattern, len(f.Groups))}
	if len(f.Groups) > maxEntries || len(f.Rules) > maxEntries || len(f.Limits) > maxEntries {
		p.problem(0, "has %d groups, %d rules and %d limits, must have at most %d each", len(f.Groups), len(f.Rules), len(f.Limits), maxEntries)
		return nil, &Error{p.problems}
	}
	if len(f.Rules) == 0 {
		p.problem(0, "rules: must have one at least, or nobody may do anything")
	}
	for _, name := range slices.Sorted(maps.Keys(f.Groups)) {
		if name == "" {
			p.problem(0, "groups: a name must not be empty")
		}
		p.groups[name] = p.identities("group "+strconv.Quote(name), 0, f.Groups[name], false)
	}
	for _, name := range slices.Sorted(maps.Keys(p.groups)) {
		p.names = append(p.names, named{name, p.groups[name]})
	}
	policy := &Policy{api: api}
	names := make(map[string]bool)
	for _, r := range f.Rules {
		policy.rules = append(policy.rules, p.rule(r, names))
	}
	clear(names)
	for _, l := range f.Limits {
		policy.limits = append(policy.limits, p.limit(l, names))
	}
	policy.names = p.names
	if len(p.problems) > 0 {
		slices.SortStableFunc(p.problems, byLine)
		return nil, &Error{p.problems}
	}
	return policy, nil
}

// byLine orders problems by the line that they begin with.
func byLine(a, b string) int { return lineOf(a) - lineOf(b) }

func lineOf(problem string) int {
	number, _, _ := strings.Cut(strings.TrimPrefix(problem, "line "), ":")
	line, _ := strconv.Atoi(number)
	return line
}

// decode reads YAML. Its errors name lines, and nothing of Go.
func decode(content []byte) (f file, err error) {
	decoder := yaml.NewDecoder(bytes.NewReader(content))
	decoder.KnownFields(true)
	err = decoder.Decode(&f)
	if err == nil && !errors.Is(decoder.Decode(new(yaml.Node)), io.EOF) {
		err = errors.New("must be one YAML document")
	}
	if errors.Is(err, io.EOF) {
		err = errors.New("is empty")
	}
	if err == nil {
		return f, nil
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
		bad.Problems = append(bad.Problems, problem)
	}
	return f, bad
}

// entry checks the name of a rule or limit, and returns how errors call it.
func (p *parser) entry(what string, name text, names map[string]bool) string {
	called := what + " " + strconv.Quote(name.value)
	switch {
	case name.value == "":
		p.problem(name.line, "a %s: name: must be set", what)
	case len(name.value) > 128:
		p.problem(name.line, "%s: name: has %d bytes, must have at most 128", called, len(name.value))
	case names[name.value]:
		p.problem(name.line, "%s: name: another %s has it", called, what)
	}
	names[name.value] = true
	return called
}

func (p *parser) rule(f fileRule, names map[string]bool) rule {
	called := p.entry("rule", f.Name, names)
	r := rule{name: f.Name.value, line: f.Name.line, methods: make([]bool, len(p.api.methods)), allow: f.Effect.value == "allow"}
	if f.Effect.value != "allow" && f.Effect.value != "deny" {
		p.problem(max(f.Effect.line, f.Name.line), "%s: effect: is %s, must be allow or deny", called, strconv.Quote(f.Effect.value))
	}
	r.identities = p.identities(called+": identities", f.Name.line, f.Identities, true)
	r.organizations = p.organizations(called, f.Organizations)
	if len(f.Methods) == 0 || len(f.Methods) > maxPatterns {
		p.problem(f.Name.line, "%s: methods: has %d entries, must have 1 to %d", called, len(f.Methods), maxPatterns)
		return r
	}
	for _, t := range f.Methods {
		matched, err := p.api.parseMethods(t.value, r.allow)
		if err != nil {
			p.problem(t.line, "%s: methods: %s: %v", called, strconv.Quote(t.value), err)
			continue
		}
		for i := range matched {
			r.methods[i] = r.methods[i] || matched[i]
		}
	}
	return r
}

// identities reads patterns, and those of groups in their place if groups is true.
func (p *parser) identities(called string, line int, all []text, groups bool) []identityPattern {
	if len(all) == 0 || len(all) > maxPatterns {
		p.problem(line, "%s: has %d entries, must have 1 to %d", called, len(all), maxPatterns)
		return nil
	}
	var patterns []identityPattern
	for _, t := range all {
		if name, ok := strings.CutPrefix(t.value, "group:"); ok && groups {
			members, known := p.groups[name]
			if !known {
				p.problem(t.line, "%s: %s: is no group%s", called, strconv.Quote(t.value), hint(name, slices.Sorted(maps.Keys(p.groups))))
			}
			patterns = append(patterns, members...)
			continue
		}
		pattern, err := parseIdentity(t.value)
		if err != nil {
			p.problem(t.line, "%s: %s: %v", called, strconv.Quote(t.value), err)
			continue
		}
		patterns = append(patterns, pattern)
		if groups && !pattern.everybody {
			p.called(t.value, pattern)
		}
	}
	return patterns
}

// called notes that the file calls identities by the text of a pattern.
func (p *parser) called(text string, pattern identityPattern) {
	if len(p.names) < maxNames && !slices.ContainsFunc(p.names, func(n named) bool { return n.name == text }) {
		p.names = append(p.names, named{text, []identityPattern{pattern}})
	}
}

func (p *parser) organizations(called string, all []text) []string {
	if len(all) > maxPatterns {
		p.problem(all[0].line, "%s: organizations: has %d entries, must have at most %d", called, len(all), maxPatterns)
		return nil
	}
	var patterns []string
	for _, t := range all {
		if err := p.api.checkOrganization(t.value); err != nil {
			p.problem(t.line, "%s: organizations: %s: %v", called, strconv.Quote(t.value), err)
		}
		patterns = append(patterns, t.value)
	}
	return patterns
}

func (p *parser) limit(f fileLimit, names map[string]bool) limit {
	called := p.entry("limit", f.Name, names)
	l := limit{line: f.Name.line, limits: &Limits{Name: f.Name.value}}
	l.identities = p.identities(called+": identities", f.Name.line, f.Identities, true)
	l.organizations = p.organizations(called, f.Organizations)
	between := func(member string, value *float64, least, most float64) float64 {
		switch {
		case value == nil:
			return 0
		case !(*value >= least && *value <= most): // so that NaN is refused too
			p.problem(f.Name.line, "%s: %s: is %v, must be from %v to %v", called, member, *value, least, most)
		}
		return *value
	}
	l.limits.Weight = between("weight", f.Weight, 0.001, 1000)
	l.limits.RequestsPerSecond = between("requests-per-second", f.RequestsPerSecond, 0.01, 1e6)
	if f.ConcurrentStreams != nil {
		if l.limits.Streams = *f.ConcurrentStreams; l.limits.Streams < 1 || l.limits.Streams > 1_000_000 {
			p.problem(f.Name.line, "%s: concurrent-streams: is %d, must be from 1 to 1000000", called, l.limits.Streams)
		}
	}
	if f.Priority != nil {
		if l.limits.Batch = f.Priority.value == "batch"; !l.limits.Batch {
			p.problem(f.Priority.line, "%s: priority: is %s, must be batch or left out", called, strconv.Quote(f.Priority.value))
		}
	}
	if *l.limits == (Limits{Name: f.Name.value}) {
		p.problem(f.Name.line, "%s: must have weight, priority, requests-per-second or concurrent-streams", called)
	}
	return l
}
