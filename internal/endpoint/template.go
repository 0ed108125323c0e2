package endpoint

import (
	"fmt"
	"strings"
	"unicode/utf8"
)

// parseTemplate splits a path template into its segments, each a literal or a `{name}`. The
// grammar:
//
//	template = 1*( "/" ( literal / "{" name "}" ) )
//	literal  = 1*pchar, neither "." nor ".."   ; no escapes
//	name     = 1*( ALPHA / DIGIT / "_" )       ; each once
func parseTemplate(template string) ([]string, error) {
	rest, ok := strings.CutPrefix(template, "/")
	if !ok {
		return nil, fmt.Errorf("path template %q does not begin with a slash", template)
	}
	segments := strings.Split(rest, "/")
	seen := map[string]bool{}
	for _, s := range segments {
		name, isName := templateName(s)
		switch {
		case isName && (name == "" || strings.ContainsFunc(name, notInName)):
			return nil, fmt.Errorf("path template %q: %q is not a name of letters, digits and underscores", template, name)
		case isName && seen[name]:
			return nil, fmt.Errorf("path template %q holds {%s} twice", template, name)
		case isName:
			seen[name] = true
		case climbs(s), strings.ContainsFunc(s, notInLiteral):
			return nil, fmt.Errorf("path template %q: segment %q is neither a literal nor one {name}", template, s)
		}
	}
	return segments, nil
}

// templateName returns the name in a segment `{name}`.
func templateName(segment string) (string, bool) {
	rest, opened := strings.CutPrefix(segment, "{")
	name, closed := strings.CutSuffix(rest, "}")
	return name, opened && closed
}

func notInName(r rune) bool {
	return r != '_' && !isAlphanumeric(r)
}

func notInLiteral(r rune) bool {
	return r >= utf8.RuneSelf || !keptInPath(byte(r)) //nolint:gosec // r is ASCII here
}
