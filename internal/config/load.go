package config

import (
	"errors"
	"fmt"
	"io"
	"os"
	"slices"
	"strconv"
	"strings"

	"github.com/spf13/pflag"
	"go.yaml.in/yaml/v3"
)

// MaxFileBytes bounds the configuration file.
const MaxFileBytes = 1 << 20

// loader applies texts to settings and collects what is wrong with them.
type loader struct {
	settings []setting
	// origins holds where the effective value of each setting comes from. A setting without an
	// entry has its default.
	origins  map[string]string
	problems []string
}

// assignment is a text for a setting, and where it comes from.
type assignment struct{ name, text, origin string }

func newLoader(settings []setting) *loader {
	return &loader{settings: settings, origins: make(map[string]string)}
}

func (l *loader) problem(format string, args ...any) {
	l.problems = append(l.problems, fmt.Sprintf(format, args...))
}

func (l *loader) err() error {
	if len(l.problems) == 0 {
		return nil
	}
	return &Error{l.problems}
}

func (l *loader) find(name string) (setting, bool) {
	for _, s := range l.settings {
		if s.name == name {
			return s, true
		}
	}
	return setting{}, false
}

// apply sets what one source says. It overrides what earlier sources said.
func (l *loader) apply(source []assignment) {
	seen := make(map[string]bool)
	for _, a := range source {
		s, _ := l.find(a.name)
		if list, ok := s.value.(repeatable); ok && !seen[a.name] {
			list.clear()
		}
		seen[a.name] = true
		if err := s.value.Set(a.text); err != nil {
			for _, e := range flat(err) {
				l.problem("--%s %s (from %s): %v", a.name, show(a.text), a.origin, e)
			}
			continue
		}
		l.origins[a.name] = a.origin
	}
}

// flat returns the errors that an error joins, or the error itself if it joins none.
func flat(err error) []error {
	joined, ok := err.(interface{ Unwrap() []error })
	if !ok {
		return []error{err}
	}
	var all []error
	for _, e := range joined.Unwrap() {
		all = append(all, flat(e)...)
	}
	return all
}

// show quotes a value for an error. It shortens the value, and hides what may be credentials in a URL.
func show(text string) string {
	if i := strings.LastIndexByte(text, '@'); i >= 0 {
		text = "[redacted]" + text[i:]
	}
	const most = 100
	if len(text) > most {
		return strconv.Quote(text[:most]) + "…"
	}
	return strconv.Quote(text)
}

// where returns a setting with its value and origin, for an error.
func (l *loader) where(name string) string {
	s, _ := l.find(name)
	origin, ok := l.origins[name]
	if !ok {
		return fmt.Sprintf("--%s %s (the default)", name, show(s.value.String()))
	}
	return fmt.Sprintf("--%s %s (from %s)", name, show(s.value.String()), origin)
}

func lastOf(name string, sources ...[]assignment) assignment {
	var last assignment
	for _, source := range sources {
		for _, a := range source {
			if a.name == name {
				last = a
			}
		}
	}
	return last
}

const commandLine = "the command line"

// fromArgs reads the command line. It returns the flags, the arguments that are not flags, and whether
// help was asked for.
func (l *loader) fromArgs(args []string) (found []assignment, rest []string, help bool) {
	known := flagSet(l.settings, false)
	args = l.longFlags(known, args)
	known.ParseErrorsAllowlist.UnknownFlags = true
	err := known.ParseAll(args, func(flag *pflag.Flag, value string) error {
		found = append(found, assignment{flag.Name, value, commandLine})
		return nil
	})
	var missing *pflag.ValueRequiredError
	switch {
	case errors.Is(err, pflag.ErrHelp):
		return nil, nil, true
	case errors.As(err, &missing):
		l.problem("--%s (from %s): has no value", missing.GetSpecifiedName(), commandLine)
	case err != nil:
		l.problem("command line: %v", err)
	}
	l.unknownFlags(args)
	return found, known.Args(), false
}

// noArguments reports arguments that are not flags.
func (l *loader) noArguments(rest []string) {
	if len(rest) > 0 {
		l.problem("command line: %d arguments that are not flags", len(rest))
	}
}

// run reports what the checks find.
func (l *loader) run(c *Config, checks []Check) {
	for _, check := range checks {
		for _, p := range check(c) {
			if p.Setting == "" {
				l.problem("%v", p.Err)
				continue
			}
			l.problem("%s: %v", l.where(p.Setting), p.Err)
		}
	}
}

// longFlags returns the arguments without those that pflag would stop at: flags with one dash, except
// -h, and flags without a name. It reports these.
func (l *loader) longFlags(known *pflag.FlagSet, args []string) []string {
	var left []string
	short, nameless := false, false
	for i := 0; i < len(args); i++ {
		name, isLong := strings.CutPrefix(args[i], "--")
		_, isFlag := strings.CutPrefix(args[i], "-")
		flag := known.Lookup(name)
		switch {
		case isLong && name == "": // no flags follow
			left, i = append(left, args[i:]...), len(args)
		case isLong && (name[0] == '-' || name[0] == '='):
			nameless = true
		case isLong && flag != nil && flag.NoOptDefVal == "" && i+1 < len(args):
			left = append(left, args[i], args[i+1])
			i++
		case !isLong && isFlag && args[i] != "-" && !strings.HasPrefix(args[i], "-h"):
			short = true
			if i+1 < len(args) && !strings.Contains(args[i], "=") && !strings.HasPrefix(args[i+1], "-") {
				i++ // its value
			}
		default:
			left = append(left, args[i])
		}
	}
	if short {
		l.problem("command line: no flag has a single dash in front")
	}
	if nameless {
		l.problem("command line: a flag without a name")
	}
	return left
}

// unknownFlags reports each flag that does not exist, by name alone: its value may be a token. pflag
// stops at the first, so unknownFlags adds each to the known ones before it looks for the next.
func (l *loader) unknownFlags(args []string) {
	fs := flagSet(l.settings, false)
	ignore := func(*pflag.Flag, string) error { return nil }
	for {
		var unknown *pflag.NotExistError
		if !errors.As(fs.ParseAll(args, ignore), &unknown) {
			return
		}
		name := unknown.GetSpecifiedName()
		l.problem("--%s (from %s): no such flag%s", name, commandLine, tokenHint(name))
		fs.VarPF(text(new(string)), name, "", "").NoOptDefVal = "ignored"
	}
}

// tokenHint returns how to pass the token if a name looks as if somebody tried to.
func tokenHint(name string) string {
	if strings.EqualFold(strings.ReplaceAll(name, "_", "-"), "api-token") {
		return "; the token is read from the variable " + TokenVariable + " or from --api-token-file"
	}
	return ""
}

// fromEnviron reads the variables that are settings, and reports those that only look like settings.
// It passes over the variables that Kubernetes sets for Services with the gateway's name.
func (l *loader) fromEnviron(environ []string) []assignment {
	names := make(map[string]string)
	for _, s := range l.settings {
		names[variable(s.name)] = s.name
	}
	var found []assignment
	for _, entry := range environ {
		key, text, _ := strings.Cut(entry, "=")
		if !strings.HasPrefix(key, variablePrefix) {
			continue
		}
		name, ok := names[key]
		switch {
		case !ok && isServiceLink(entry):
			continue
		case !ok:
			l.problem("environment %s: no such setting%s", key, tokenHint(strings.TrimPrefix(key, variablePrefix)))
			continue
		}
		found = append(found, assignment{name, text, "environment " + key})
	}
	return found
}

// token reads the API token from its variable. No problem holds any of it.
func (l *loader) token(environ []string) Secret {
	var token string
	for _, entry := range environ {
		if key, text, _ := strings.Cut(entry, "="); key == TokenVariable {
			token = strings.TrimSpace(text)
		}
	}
	if err := checkToken(token); err != nil {
		l.problem("environment %s: %v", TokenVariable, err)
	}
	return NewSecret(token)
}

// maxTokenBytes bounds a token, and the file that holds it.
const maxTokenBytes = 8 << 10

// checkToken refuses a token that an HTTP header cannot hold. Its errors do not show the token.
func checkToken(token string) error {
	switch {
	case len(token) > maxTokenBytes:
		return fmt.Errorf("holds more than %s", formatBytes(maxTokenBytes))
	case strings.ContainsFunc(token, func(r rune) bool { return r <= ' ' || r > '~' }):
		return errors.New("holds a character that is not printable ASCII")
	}
	return nil
}

// fromFile reads the file that an assignment of --config names, if it names one.
func (l *loader) fromFile(config assignment) []assignment {
	if config.text == "" {
		return nil
	}
	data, err := readFile(config.text, MaxFileBytes)
	if err != nil {
		l.problem("--config (from %s): %v", config.origin, err)
		return nil
	}
	var document, next yaml.Node
	decoder := yaml.NewDecoder(strings.NewReader(string(data)))
	switch err := decoder.Decode(&document); {
	case errors.Is(err, io.EOF): // nothing but comments
		return nil
	case err != nil:
		l.problem("%s: not YAML: %v", config.text, err)
		return nil
	}
	switch err := decoder.Decode(&next); {
	case err == nil:
		l.problem("%s:%d: a second document", config.text, next.Line)
	case !errors.Is(err, io.EOF):
		l.problem("%s: not YAML: %v", config.text, err)
	}
	root := document.Content[0]
	if root.Kind != yaml.MappingNode {
		l.problem("%s:%d: not a mapping of settings to values", config.text, root.Line)
		return nil
	}
	var found []assignment
	lines := make(map[string]int)
	for i := 0; i < len(root.Content); i += 2 {
		key, node := root.Content[i], root.Content[i+1]
		at := config.text + ":" + strconv.Itoa(key.Line)
		s, ok := l.find(key.Value)
		switch first := lines[key.Value]; {
		case !ok || s.name == "config":
			l.problem("%s: %s: no such setting%s", at, show(key.Value), tokenHint(key.Value))
			continue
		case first != 0:
			l.problem("%s: %s: is in line %d already", at, key.Value, first)
			continue
		}
		lines[key.Value] = key.Line
		texts, err := scalars(s, node)
		if err != nil {
			l.problem("%s: %s: %v", at, key.Value, err)
			continue
		}
		for _, text := range texts {
			found = append(found, assignment{s.name, text, at})
		}
	}
	return found
}

// scalars returns the texts of a setting's value in the file: one, or those of a sequence if the setting
// may be repeated, or those of a mapping if they are pairs.
func scalars(s setting, node *yaml.Node) ([]string, error) {
	_, isList := s.value.(repeatable)
	_, isPairs := s.value.(interface{ paired() })
	switch {
	case isPairs && node.Kind == yaml.MappingNode:
		texts, err := plain(node.Content...)
		var found []string
		for pair := range slices.Chunk(texts, 2) {
			found = append(found, strings.Join(pair, "="))
		}
		return found, err
	case isList && node.Kind == yaml.SequenceNode:
		return plain(node.Content...)
	default:
		return plain(node)
	}
}

// plain returns the texts of scalars.
func plain(nodes ...*yaml.Node) ([]string, error) {
	texts := make([]string, 0, len(nodes))
	for _, n := range nodes {
		if n.Kind != yaml.ScalarNode {
			return nil, errors.New("not a plain value")
		}
		switch n.Tag {
		case "!!null":
			return nil, errors.New("has no value")
		case "!!str", "!!int", "!!float", "!!bool", "!!timestamp":
		default:
			return nil, fmt.Errorf("has the tag %s, which no setting takes", show(n.Tag))
		}
		texts = append(texts, n.Value)
	}
	return texts, nil
}

// readFile returns the content of a file, which must not exceed most bytes.
func readFile(path string, most int) (data []byte, err error) {
	f, err := os.Open(path) //nolint:gosec // The operator names the file.
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, f.Close()) }()
	data, err = io.ReadAll(io.LimitReader(f, int64(most)+1))
	if err == nil && len(data) > most {
		return nil, fmt.Errorf("%s: larger than %s", path, formatBytes(int64(most)))
	}
	return data, err
}
