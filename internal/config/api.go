package config

import (
	"slices"
	"strings"

	"samsara.internal/gateway/internal/glob"
	"samsara.internal/gateway/internal/sandbox"
)

// API is what a gateway serves, for the settings that name some of it.
type API struct {
	// Methods are the names of the methods that the quota knows. Reads are the names of those whose
	// answers may be cached.
	Methods, Reads []string
	// Paths are the path templates of the REST API, such as "/fleet/vehicles/{id}".
	Paths []string
}

// check reports patterns that match nothing, or nothing that the patterns before them leave: they are
// misspelt, or come too late.
func (a API) check(l *loader, c *Config) {
	cached := make([]glob.Pattern, len(c.Cache))
	for i, rule := range c.Cache {
		cached[i] = rule.Methods
	}
	unused(a.Reads, cached, func(i int, left string) {
		l.problem("%s: %s: matches no method that reads%s", l.where("cache"), show(c.Cache[i].String()), left)
	})
	limited := make([]glob.Pattern, len(c.QuotaLimits))
	for i, override := range c.QuotaLimits {
		limited[i] = override.Operations
	}
	unused(a.Methods, limited, func(i int, left string) {
		l.problem("%s: %s: matches no method%s", l.where("quota-limits"), show(formatOverride(c.QuotaLimits[i])), left)
	})
	a.checkFaults(l, "sandbox-fault", c.SandboxFaults)
}

// checkFaults reports faults for paths that the API does not have.
func (a API) checkFaults(l *loader, name string, faults []sandbox.Fault) {
	for _, f := range faults {
		if f.Match != "" && !slices.ContainsFunc(a.Paths, func(template string) bool { return reaches(f.Match, template) }) {
			l.problem("%s: %s: matches no path", l.where(name), show(f.String()))
		}
	}
}

// unused calls tell for each pattern that is the first match of no method. left is not empty if the
// pattern does match, and only the patterns before it keep it from being the first.
func unused(methods []string, patterns []glob.Pattern, tell func(i int, left string)) {
	remaining := slices.Clone(methods)
	for i, pattern := range patterns {
		n := len(remaining)
		remaining = slices.DeleteFunc(remaining, pattern.Match)
		switch {
		case len(remaining) < n:
		case slices.ContainsFunc(methods, pattern.Match):
			tell(i, ", except those that patterns before it match")
		default:
			tell(i, "")
		}
	}
}

// reaches reports whether the Match of a fault may match a path that a template describes.
func reaches(match, template string) bool {
	match, isPrefix := strings.CutSuffix(match, "*")
	segments, of := strings.Split(match, "/"), strings.Split(template, "/")
	if len(segments) > len(of) || !isPrefix && len(segments) < len(of) {
		return false
	}
	for i, s := range segments {
		isLast := isPrefix && i == len(segments)-1
		if s != of[i] && !strings.HasPrefix(of[i], "{") && (!isLast || !strings.HasPrefix(of[i], s)) {
			return false
		}
	}
	return true
}
