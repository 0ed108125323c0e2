package catalog

import (
	"fmt"
	"slices"
	"strings"
)

// AmbiguousError says that a name stands for several methods.
type AmbiguousError struct {
	Name string
	// Candidates are the full names, or HTTP methods and paths, at least two.
	Candidates []string
}

func (e *AmbiguousError) Error() string {
	return fmt.Sprintf("%q stands for several methods: %s", e.Name, strings.Join(e.Candidates, ", "))
}

// UnknownError says that a name stands for no method.
type UnknownError struct {
	Name string
	// Similar are names that may have been meant, at most 3.
	Similar []string
}

func (e *UnknownError) Error() string {
	text := fmt.Sprintf("%q stands for no method", e.Name)
	if len(e.Similar) > 0 {
		text += "; similar: " + strings.Join(e.Similar, ", ")
	}
	return text
}

// Resolve returns the one method that a name stands for. A name is the first of these that exists:
//
//   - a path with its HTTP method, ids in it or the template's names, and no query. The HTTP method may be
//     left out if there is only one;
//   - a full name, with a slash or a dot before the method's own and perhaps a slash in front; the end of
//     one, such as TagsService/ListTags or ListTags; or the area and the method, such as tags.ListTags;
//   - an operationId, in whatever case and with or without underscores;
//   - what the method may have been called before, alone or behind its service or area, or behind a service
//     that no longer exists.
//
// The error is an *AmbiguousError or an *UnknownError.
func (c *Catalog) Resolve(name string) (Method, error) {
	if method, path, ok := parseRequestLine(name); ok && !strings.Contains(name, "?") {
		found := c.at(method, path)
		if len(found) == 1 {
			return Method{Endpoint: found[0], Path: path}, nil
		}
		if len(found) > 1 {
			several := &AmbiguousError{Name: name}
			for _, e := range found {
				several.Candidates = append(several.Candidates, e.HTTPMethod+" "+e.Operation.GetPath())
			}
			return Method{}, several
		}
	}
	for _, is := range c.matches(name) {
		var found []Method
		for _, m := range c.named {
			if is(m) {
				found = append(found, m.Method)
			}
		}
		if len(found) == 1 {
			return found[0], nil
		}
		if len(found) > 1 {
			several := &AmbiguousError{Name: name}
			for _, m := range found {
				several.Candidates = append(several.Candidates, m.FullName())
			}
			return Method{}, several
		}
	}
	return Method{}, &UnknownError{Name: name, Similar: c.offered(name)}
}

// named is a method and what it is resolved by.
type named struct {
	Method
	// dotted is the full name with a dot before the method's own.
	dotted, service, area string
	former                []string
}

// matches returns the conditions to look for a method by, for a name that is no path. The best comes first.
func (c *Catalog) matches(name string) []func(named) bool {
	dotted := strings.ReplaceAll(strings.TrimPrefix(name, "/"), "/", ".")
	own := lastPart(dotted)
	// What comes before the method: the service, in full or not, the area, or nothing.
	owner := lastPart(strings.TrimSuffix(strings.TrimSuffix(dotted, own), "."))
	owns := func(m named) bool { return owner == m.service || owner == m.area }
	if owner == "" || strings.HasSuffix(owner, "Service") && !slices.ContainsFunc(c.named, owns) {
		owns = func(named) bool { return true }
	}
	plain := strings.ReplaceAll(own, "_", "")
	isPlain := func(of string) bool { return strings.EqualFold(of, plain) }
	return []func(named) bool{
		func(m named) bool { return m.dotted == dotted },
		func(m named) bool {
			return strings.HasSuffix(m.dotted, "."+dotted) || m.area+"."+m.Name() == dotted
		},
		func(m named) bool { return m.Stream == nil && owner == "" && isPlain(m.Operation.GetId()) },
		func(m named) bool { return owns(m) && (m.Name() == own || isPlain(m.former[0])) },
		func(m named) bool { return owns(m) && slices.ContainsFunc(m.former, isPlain) },
	}
}

// offered returns what may have been meant by an unknown name: similar names, or else the best results of a
// search.
func (c *Catalog) offered(name string) []string {
	if names := c.similarTo(name); len(names) > 0 {
		return names
	}
	var names []string
	for _, e := range c.Search([]string{name}) {
		if len(names) < maxSimilar {
			names = append(names, Method{Endpoint: e}.FullName())
		}
	}
	return names
}
