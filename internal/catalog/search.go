package catalog

import (
	"cmp"
	"fmt"
	"slices"
	"strings"

	"samsara.internal/gateway/internal/endpoint"
	"samsara.internal/gateway/internal/similar"
)

// rank is how well a word finds a method. A lower rank is better.
type rank int

const (
	// isExactly is for a whole name in its own case, or a path.
	isExactly rank = iota
	// isName is for a whole name.
	isName
	// wasName is for a name that only follows from the operationId.
	wasName
	// beginsName is for what a name or path begins with.
	beginsName
	// isPart is for a part of anything that is known of the method.
	isPart
	isNothing
)

// Search returns the endpoints in which every word is found, in any case: in names of the method and of the
// streams that read its pages, in its operationId and the names that follow from it, in HTTP method and path,
// scope and stage. A path with ids in it, also as a whole URL, finds its template. A full name from another
// surface, such as an earlier one, finds the method of that name.
//
// Endpoints of which a word is a whole name or the path come first: in the same case, then in another case,
// then by a name that only follows from the operationId or is from another surface. Then come endpoints of
// which a name begins with a word. Otherwise the order is that of the endpoints. No words find all.
func (c *Catalog) Search(words []string) []*endpoint.Endpoint {
	type hit struct {
		*endpoint.Endpoint
		rank
	}
	var hits []hit
	queries := c.queries(words)
	for _, r := range c.records {
		best, worst := isPart, isExactly
		for _, q := range queries {
			of := r.rank(q)
			best, worst = min(best, of), max(worst, of)
		}
		if worst != isNothing {
			hits = append(hits, hit{r.Endpoint, best})
		}
	}
	slices.SortStableFunc(hits, func(a, b hit) int { return cmp.Compare(a.rank, b.rank) })
	found := make([]*endpoint.Endpoint, len(hits))
	for i := range hits {
		found[i] = hits[i].Endpoint
	}
	return found
}

// query is one word of a search.
type query struct {
	// word is as it was given.
	word string
	// text is the word in lower case. plain is text without underscores, which an operationId may be written
	// with.
	text, plain string
	// name is the method's in a full name, else empty.
	name string
	// at has the endpoints at a path.
	at []*endpoint.Endpoint
}

func (c *Catalog) queries(words []string) []query {
	queries := make([]query, len(words))
	for i, word := range words {
		text := strings.ToLower(strings.TrimSpace(word))
		q := query{word: word, text: text, plain: strings.ReplaceAll(text, "_", "")}
		if method, path, ok := parseRequestLine(word); ok {
			q.at = c.at(method, path)
		}
		if service := strings.TrimSuffix(text, lastPart(text)); strings.HasSuffix(strings.TrimRight(service, "/."), "service") {
			q.name = lastPart(text)
		}
		queries[i] = q
	}
	return queries
}

// record is what is known of an endpoint, in lower case except what is exact.
type record struct {
	*endpoint.Endpoint
	// exact are the operationId and the names of its methods.
	exact []string
	// names are the names of its methods, with and without their service, and its path.
	names []string
	// former are the operationId, which is the first, and names that follow from it.
	former []string
	// texts are what else a word may be a part of.
	texts []string
}

func newRecord(e *endpoint.Endpoint) record {
	op := e.Operation
	r := record{Endpoint: e, exact: []string{op.GetId()}, names: []string{op.GetPath()}}
	for _, m := range methods([]*endpoint.Endpoint{e}) {
		r.former = append(r.former, former(m)...)
		full := m.FullName()
		r.exact = append(r.exact, m.Name(), full)
		r.names = append(r.names, m.Name(), full, strings.ReplaceAll(full, "/", "."), "/"+full)
	}
	r.texts = []string{
		e.HTTPMethod + " " + op.GetPath(), op.GetScope(), Stage(op.GetStage()), strings.Join(camelWords(op.GetId()), " "),
	}
	for _, m := range methods([]*endpoint.Endpoint{e}) {
		r.texts = append(r.texts, m.Area()+"."+m.Name())
	}
	if (Method{Endpoint: e}).Deprecated() {
		r.texts = append(r.texts, "deprecated")
	}
	for _, texts := range [][]string{r.names, r.former, r.texts} {
		for i := range texts {
			texts[i] = strings.ToLower(texts[i])
		}
	}
	return r
}

func (r record) rank(q query) rank {
	is := func(name string) func(string) bool { return func(of string) bool { return name != "" && name == of } }
	begins := func(text string) func(string) bool {
		return func(of string) bool { return strings.HasPrefix(of, text) }
	}
	part := func(text string) func(string) bool { return func(of string) bool { return strings.Contains(of, text) } }
	has := func(names []string, holds func(string) bool) bool { return slices.ContainsFunc(names, holds) }
	switch {
	case slices.Contains(q.at, r.Endpoint), slices.Contains(r.exact, q.word):
		return isExactly
	case has(r.names, is(q.text)), is(r.former[0])(q.plain):
		return isName
	case has(r.former, is(q.plain)):
		return wasName
	case has(r.names, begins(q.text)), has(r.former, begins(q.plain)):
		return beginsName
	case has(r.names, part(q.text)), has(r.former, part(q.plain)), has(r.texts, part(q.text)):
		return isPart
	case has(r.names, is(q.name)), has(r.former, is(q.name)):
		return wasName
	default:
		return isNothing
	}
}

// maxSimilar is how many similar names are offered for an unknown one.
const maxSimilar = 3

// NotFoundError says that a search found nothing.
type NotFoundError struct {
	// Word is the first word that is found nowhere; empty: each is found, but not all together.
	Word string
	// Similar are names or paths that may have been meant by it, the most similar first, at most 3.
	Similar []string
}

func (e *NotFoundError) Error() string {
	switch {
	case e.Word == "":
		return "no method has all of these words, though each of them is found"
	case len(e.Similar) == 0:
		return fmt.Sprintf("no method has %q", e.Word)
	default:
		return fmt.Sprintf("no method has %q; similar: %s", e.Word, strings.Join(e.Similar, ", "))
	}
}

// NotFound explains why Search returns nothing for words.
func (c *Catalog) NotFound(words []string) *NotFoundError {
	for _, word := range words {
		if len(c.Search([]string{word})) == 0 {
			return &NotFoundError{Word: word, Similar: c.similarTo(word)}
		}
	}
	return &NotFoundError{}
}

// similarTo returns what may have been meant by a text: operationIds and names of methods, or paths,
// if it is one.
func (c *Catalog) similarTo(text string) []string {
	if _, path, ok := parseRequestLine(text); ok {
		return similar.Names(path, func(yield func(string) bool) {
			for _, e := range c.endpoints {
				if !yield(e.Operation.GetPath()) {
					return
				}
			}
		}, maxSimilar)
	}
	seen := make(map[string]bool)
	return similar.Names(lastPart(text), func(yield func(string) bool) {
		for _, m := range methods(c.endpoints) {
			for _, name := range []string{m.Operation.GetId(), m.Name()} {
				// Most ids are their method's name except for the case of a letter.
				if folded := strings.ToLower(name); !seen[folded] {
					seen[folded] = true
					if !yield(name) {
						return
					}
				}
			}
		}
	}, maxSimilar)
}
