package sandbox

import (
	"cmp"
	"maps"
	"net/http"
	"slices"
	"strings"
)

// collections are the collections by normalized path, each of size seeded records.
type collections struct {
	size   uint64
	byPath map[string]*collection
}

// resolve gives each operation the collections that its ids belong to, and says what it does
// to them.
//
// The collection of /a/b and of /a/b/{id} is /a/b. Paths below it that have no records of their
// own, such as /a/b/stats and /a/b/{id}/score, belong to it too, and so do their counterparts
// below /v1, /beta and /preview.
//
// It returns, for each noun, the collection that references to it lead to: of those that can be
// asked for single records, the one with the shortest path.
func resolve(ops []*operation, fleetSize uint64) map[string]*collection {
	lists, users := map[string]bool{}, map[string]int{}
	for _, op := range ops {
		op.base, op.item = op.place()
		lists[op.base] = lists[op.base] || !op.item
		users[op.base]++
	}
	// Short paths first: what lies below a path finds its collection.
	slices.SortStableFunc(ops, func(a, b *operation) int { return cmp.Compare(len(a.base), len(b.base)) })
	cs, reads := collections{fleetSize, map[string]*collection{}}, map[string]*operation{}
	for _, op := range ops {
		// One path is in the singular where its list is in the plural.
		if plural := op.base + "s"; op.item && !lists[op.base] && lists[plural] {
			op.base = plural
		}
		if op.verb == http.MethodGet && !op.item {
			reads[op.base] = op
		}
		op.claim(cs, users[op.base])
	}
	for _, op := range ops {
		if op.verb == http.MethodPost && !op.item && reads[op.base] != nil {
			cs.at(op.base).readable = true
		}
	}
	for _, op := range ops {
		op.resolve(cs, reads)
		op.target.collection.write(op)
	}
	kinds := map[string]*collection{}
	for _, path := range slices.SortedFunc(maps.Keys(cs.byPath), shorterFirst) {
		if c := cs.byPath[path]; c.readable && kinds[c.noun] == nil {
			kinds[c.noun] = c
		}
	}
	return kinds
}

func shorterFirst(a, b string) int {
	return cmp.Or(cmp.Compare(len(a), len(b)), strings.Compare(a, b))
}

// claim makes the collection of an operation that addresses single records. Reading by an id in
// the query is a claim only where another of the path's users can have made the record; else
// the id is that of a record further up.
func (op *operation) claim(cs collections, users int) {
	for i, m := range op.path {
		if isKey(m.name) {
			op.keys = append(op.keys, key{from: inPath, param: m.name, collection: cs.at(op.prefix(i))})
		}
	}
	if op.item {
		last := &op.keys[len(op.keys)-1]
		last.collection = cs.at(op.base)
		last.collection.readable, last.collection.keyField = true, last.param
		return
	}
	if from, param := op.looseKey(); from != nowhere && op.verb != http.MethodPost && (op.verb != http.MethodGet || users > 1) {
		c := cs.at(op.base)
		c.readable = true
		if c.keyField == "" && param != "ids" {
			c.keyField = param
		}
	}
}

func (op *operation) resolve(cs collections, reads map[string]*operation) {
	switch {
	case op.verb == http.MethodPost && !op.item && cs.byPath[op.base] != nil && cs.byPath[op.base].readable:
		op.target.collection = cs.byPath[op.base]
		op.effect = creates
		return
	case len(op.keys) > 0:
		op.target = op.keys[len(op.keys)-1]
		op.keys = op.keys[:len(op.keys)-1]
		if op.item {
			op.effect = effectOf(op.verb)
		}
		return
	}
	op.target.collection = cs.home(op.base)
	op.target.from, op.target.param = op.looseKey()
	switch {
	case cs.byPath[op.base] == nil: // an action upon the records of a path above
	case op.target.from != nowhere:
		op.effect = effectOf(op.verb)
	case op.envelope.isOne() && reads[op.base] != nil && reads[op.base].envelope.isOne():
		// Settings: one record that is read and changed without an id.
		op.effect = effectOf(op.verb)
	}
}

func effectOf(verb string) effect {
	switch verb {
	case http.MethodPatch:
		return merges
	case http.MethodPut:
		return replaces
	case http.MethodDelete:
		return deletes
	}
	return reads
}

// at returns the collection of a path, a new one where there is none.
func (cs collections) at(path string) *collection {
	if cs.byPath[path] == nil {
		cs.byPath[path] = newCollection(path, cs.size)
	}
	return cs.byPath[path]
}

// home returns the collection of the longest known path that path is below, or its own.
func (cs collections) home(path string) *collection {
	for p := path; p != ""; p = p[:strings.LastIndexByte(p, '/')] {
		if c := cs.byPath[p]; c != nil {
			return c
		}
	}
	return cs.at(path)
}

// isKey reports whether a name in a path stands for the id of a record, rather than for a page
// or a time.
func isKey(name string) bool {
	return name != "pageNumber" && !strings.HasSuffix(name, "_ms") && !strings.HasSuffix(name, "Ms")
}

// place returns the path of the collection that the operation would have for itself, and
// whether it addresses one of its records in the path.
func (op *operation) place() (path string, item bool) {
	segments := op.segments
	for len(segments) > 0 && segments[len(segments)-1].name != "" && !isKey(segments[len(segments)-1].name) {
		segments = segments[:len(segments)-1]
	}
	if n := len(segments); n > 0 && segments[n-1].name != "" {
		return normalize(segments[:n-1]), true
	}
	return normalize(segments), false
}

// prefix returns the path before the i-th name.
func (op *operation) prefix(i int) string {
	at := slices.IndexFunc(op.segments, func(s segment) bool { return s.name == op.path[i].name })
	return normalize(op.segments[:at])
}

func normalize(segments []segment) string {
	var b strings.Builder
	for i, s := range segments {
		if i == 0 && (s.literal == "v1" || s.literal == "beta" || s.literal == "preview") {
			continue
		}
		b.WriteString("/" + s.literal)
		if s.name != "" {
			b.WriteString("{}")
		}
	}
	return b.String()
}

// looseKey finds the id of the record that an operation without an id in its path is about:
// a query parameter, or the body's id.
func (op *operation) looseKey() (from source, param string) {
	if op.item || op.verb == http.MethodGet && op.envelope.isList {
		return nowhere, ""
	}
	candidates := []string{"id"}
	if op.verb != http.MethodPost {
		if op.verb != http.MethodGet {
			candidates = append(candidates, "ids")
		}
		candidates = append(candidates, nounOf(op.base)+"Id")
		for _, name := range slices.Sorted(maps.Keys(op.query)) {
			if m := op.query[name]; m.rule.GetRequired() && (name == "name" || isIDName(name)) {
				candidates = append(candidates, name)
			}
		}
	}
	for _, name := range candidates {
		if m := op.query[name]; m != nil && (m.shape == single || name == "ids") {
			return inQuery, name
		}
	}
	if op.verb != http.MethodGet && op.body != nil && op.body.named["id"] != nil {
		return inBody, "id"
	}
	return nowhere, ""
}

func isIDName(name string) bool {
	return strings.HasSuffix(name, "Id") || strings.HasSuffix(name, "ID") || strings.HasSuffix(name, "_id")
}

// nounOf names what the records of a path are: vehicle for /fleet/vehicles, safetyEvent for
// /safety-events.
func nounOf(path string) string {
	segments := strings.Split(path, "/")
	for i := len(segments) - 1; i >= 0; i-- {
		if s := segments[i]; s != "" && s != "{}" {
			return singular(camel(s))
		}
	}
	return "record"
}

func camel(s string) string {
	words := strings.FieldsFunc(s, func(r rune) bool { return r == '-' || r == '_' })
	for i, w := range words[min(1, len(words)):] {
		words[i+1] = strings.ToUpper(w[:1]) + w[1:]
	}
	return strings.Join(words, "")
}

func singular(s string) string {
	switch {
	case strings.HasSuffix(s, "ies"):
		return s[:len(s)-3] + "y"
	case strings.HasSuffix(s, "sses"), strings.HasSuffix(s, "xes"):
		return s[:len(s)-2]
	case strings.HasSuffix(s, "ss"), strings.HasSuffix(s, "us"):
		return s
	}
	return strings.TrimSuffix(s, "s")
}
