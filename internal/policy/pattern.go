package policy

import (
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"

	"samsara.internal/gateway/internal/glob"
	"samsara.internal/gateway/internal/identity"
	"samsara.internal/gateway/internal/similar"
)

// identityPattern stands for identities.
type identityPattern struct {
	// everybody is whether it stands for all who have proved something. Otherwise it stands for those with means whose
	// names match.
	everybody bool
	means     identity.Means
	name      string
}

// parseIdentity reads a pattern of identities, which is no group.
func parseIdentity(text string) (identityPattern, error) {
	if text == "*" {
		return identityPattern{everybody: true}, nil
	}
	if text == identity.Anonymous.String() {
		return identityPattern{}, nil
	}
	kind, name, found := strings.Cut(text, ":")
	for _, means := range []identity.Means{identity.Certificate, identity.JWT, identity.Token} {
		if found && kind == means.String() {
			if name == "" {
				return identityPattern{}, errors.New("must have a name after the colon")
			}
			return identityPattern{means: means, name: name}, nil
		}
	}
	return identityPattern{}, errors.New("must be *, anonymous, group:NAME, or certificate:, jwt: or token: and a name")
}

func (p identityPattern) matches(who identity.Principal) bool {
	if p.everybody {
		return who.Means != identity.Anonymous
	}
	return p.means == who.Means && like(p.name, who.Name)
}

// witness returns an identity that the pattern matches.
func (p identityPattern) witness() identity.Principal {
	if p.everybody {
		return identity.Principal{Means: identity.Token, Name: "x"}
	}
	return identity.Principal{Means: p.means, Name: strings.ReplaceAll(p.name, "*", "x")}
}

func matchesAny(patterns []identityPattern, who identity.Principal) bool {
	return slices.ContainsFunc(patterns, func(p identityPattern) bool { return p.matches(who) })
}

// like reports whether a name matches a pattern in which an asterisk stands for any characters.
func like(pattern, name string) bool {
	first, rest, found := strings.Cut(pattern, "*")
	name, ok := strings.CutPrefix(name, first)
	if !ok || !found {
		return ok && name == ""
	}
	for {
		var part string
		part, rest, found = strings.Cut(rest, "*")
		if !found {
			return strings.HasSuffix(name, part)
		}
		i := strings.Index(name, part)
		if i < 0 {
			return false
		}
		name = name[i+len(part):]
	}
}

// namesAny reports whether one of the patterns matches the name of an organization; without patterns all do.
func namesAny(patterns []string, organization string) bool {
	return len(patterns) == 0 || slices.ContainsFunc(patterns, func(p string) bool { return like(p, organization) })
}

// checkOrganization returns an error if a pattern matches no organization.
func (a *API) checkOrganization(pattern string) error {
	if pattern == "" {
		return errors.New("must not be empty")
	}
	if len(a.organizations) == 0 || slices.ContainsFunc(a.organizations, func(name string) bool { return like(pattern, name) }) {
		return nil
	}
	return fmt.Errorf("matches no organization%s", hint(pattern, a.organizations))
}

// parseMethods returns which methods a text of the file stands for, by their index. Who allows reads does not mean
// those by passthrough, unless passthrough is named too. Who denies them does.
func (a *API) parseMethods(text string, allow bool) ([]bool, error) {
	matched := make([]bool, len(a.methods))
	for i := range matched {
		matched[i] = true
	}
	through := !allow
	for part := range strings.SplitSeq(text, "&") {
		holds, err := a.parsePart(strings.TrimSpace(part))
		if err != nil {
			return nil, err
		}
		for i, m := range a.methods {
			matched[i] = matched[i] && holds(m)
		}
		through = through || holds(a.passthrough)
	}
	if !through {
		matched[a.passthroughRead.index], matched[a.passthroughWrite.index] = false, false
	}
	if !slices.Contains(matched, true) {
		return nil, errors.New("matches no method")
	}
	return matched, nil
}

// parsePart returns what a part of a text between two & stands for.
func (a *API) parsePart(part string) (holds func(*Method) bool, err error) {
	if name, ok := strings.CutPrefix(part, "area:"); ok {
		return a.oneOf(name, "area", func(m *Method) string { return m.area })
	}
	if name, ok := strings.CutPrefix(part, "scope:"); ok {
		return a.oneOf(name, "scope", func(m *Method) string { return m.scope })
	}
	switch {
	case part == "":
		return nil, errors.New("must not be empty, also not beside &")
	case part == "*":
		return func(*Method) bool { return true }, nil
	case slices.Contains(words(), part):
		return func(m *Method) bool { return m.is(part) }, nil
	case strings.HasPrefix(strings.TrimPrefix(part, "/"), "grpc.health."):
		return nil, errors.New("grpc.health is open to all")
	case !strings.ContainsAny(part, "./*?["):
		return nil, fmt.Errorf("%s is none of %s, scope:NAME, area:NAME and a pattern of full names%s",
			strconv.Quote(part), strings.Join(words(), ", "), hint(part, words()))
	}
	pattern, err := glob.Parse(part)
	if err != nil {
		return nil, err
	}
	if !slices.ContainsFunc(a.methods, func(m *Method) bool { return pattern.Match(m.Name) }) {
		return nil, errors.New("matches no method")
	}
	// Passthrough is one method for those who name it.
	return func(m *Method) bool {
		if m == a.passthroughRead || m == a.passthroughWrite {
			m = a.passthrough
		}
		return pattern.Match(m.Name)
	}, nil
}

// oneOf returns what a part with a name that methods have stands for.
func (a *API) oneOf(name, what string, of func(*Method) string) (holds func(*Method) bool, err error) {
	var all []string
	for _, m := range a.methods {
		if of(m) != "" {
			all = append(all, of(m))
		}
	}
	if name == "" || !slices.Contains(all, name) {
		return nil, fmt.Errorf("%s is no %s%s", strconv.Quote(name), what, hint(name, all))
	}
	return func(m *Method) bool { return of(m) == name }, nil
}

// hint names what was probably meant.
func hint(name string, all []string) string {
	if found := similar.Names(name, slices.Values(all), 1); len(found) > 0 {
		return ", did you mean " + strconv.Quote(found[0]) + "?"
	}
	return ""
}
