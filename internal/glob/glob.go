package glob

import (
	"errors"
	"path"
	"strings"
)

// Pattern is a pattern of method names. One that Parse did not return may be malformed, and then
// matches none.
type Pattern string

// Parse reads a pattern. A slash in front, as gRPC writes it, is optional.
func Parse(text string) (Pattern, error) {
	text = strings.TrimPrefix(text, "/")
	if text == "" {
		return "", errors.New("pattern is empty")
	}
	if _, err := path.Match(text, ""); err != nil {
		return "", errors.New("pattern has an open bracket or a backslash at its end")
	}
	return Pattern(text), nil
}

// Match reports whether a method's full name, with or without a slash in front, matches the pattern.
func (p Pattern) Match(method string) bool {
	matched, err := path.Match(flat(string(p)), flat(strings.TrimPrefix(method, "/")))
	return matched && err == nil
}

// flat replaces the slash, which * does not match, by a dot.
func flat(name string) string { return strings.ReplaceAll(name, "/", ".") }
