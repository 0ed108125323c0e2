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
	return fmt.Sprintf("%q is several: %s", e.Name, strings.Join(e.Candidates, ", "))
}

// UnknownError says that a name stands for no method.
type UnknownError struct {
	Name string
	// Similar are names that may have been meant, at most 3.
	Similar []string
}

func (e *UnknownError) Error() string {
	text := fmt.Sprintf("%q is no method", e.Name)
	if len(e.Similar) > 0 {
		text += "; similar: " + strings.Join(e.Similar, ", ")
	}
	return text
}

// Resolve returns the one method that a name stands for: its full name, with a slash or a dot before the
// method's own and perhaps a slash in front; its own name, if no other service has one of that name; the
// operationId, in whatever case and with or without underscores; or a path with its HTTP method, ids in
// it or the template's names, and no query. The error is an *AmbiguousError or an *UnknownError.
func (c *Catalog) Resolve(name string) (Method, error) {
	if method, path, ok := place(name); ok && !strings.Contains(name, "?") {
		found := c.at(method, path)
		if len(found) == 1 {
			return Method{Endpoint: found[0]}, nil
		}
		if len(found) > 1 {
			several := &AmbiguousError{Name: name}
			for _, e := range found {
				several.Candidates = append(several.Candidates, e.HTTPMethod+" "+e.Operation.GetPath())
			}
			return Method{}, several
		}
	}
	all := methods(c.endpoints)
	plain := strings.ReplaceAll(name, "_", "")
	for _, is := range []func(Method) bool{
		func(m Method) bool {
			return strings.ReplaceAll(m.FullName(), "/", ".") == strings.ReplaceAll(strings.TrimPrefix(name, "/"), "/", ".")
		},
		func(m Method) bool { return m.Name() == name },
		func(m Method) bool { return m.Stream == nil && strings.EqualFold(m.Operation.GetId(), plain) },
	} {
		found := slices.DeleteFunc(slices.Clone(all), func(m Method) bool { return !is(m) })
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

// offered returns what may have been meant by a name that is none: similar ones, or else of what it finds
// the best.
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
