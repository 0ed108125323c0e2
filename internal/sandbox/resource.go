package sandbox

import (
	"maps"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	gatewayv1 "samsara.internal/gateway/gen/samsara/gateway/v1"
)

const (
	// firstID is the id below the first one that the fleet uses; Samsara's look like it.
	firstID = 281474976710656
	// fleetSize is how many seeded records a collection has, with the ids after firstID.
	fleetSize = 12
	// maxCreated is how many records a client may add to a collection.
	maxCreated = 10_000
	// createdOffset keeps the ids of created records apart from those of seeded ones.
	createdOffset = 1000
)

// record is one record of a collection. It is a value: a change makes a new one.
type record struct {
	n       uint64         // which one of its kind; what is generated for it follows from this
	key     string         // the id in URLs
	overlay map[string]any // what clients have set; null is a member that was removed. Immutable
	changed time.Time      // zero for a record as the fleet began
}

// collection is the records behind a group of paths. It is safe for concurrent use.
type collection struct {
	noun     string // what one record is called, such as vehicle
	keyField string // the parameter by which single records are asked for, such as id
	readable bool   // records can be asked for, so that creating them means something

	mu      sync.Mutex
	records []record // ordered by n
	created uint64
}

// collections by normalised path.
type collections map[string]*collection

// resolve gives each operation the collections that its ids belong to, and says what it does
// to them.
//
// The collection of /a/b and of /a/b/{id} is /a/b. Paths below it that have no records of their
// own, such as /a/b/stats and /a/b/{id}/score, belong to it too, and so do their counterparts
// below /v1, /beta and /preview.
func resolve(ops []*operation) {
	bases := map[string]bool{}
	for _, op := range ops {
		op.base, op.item = op.place()
		bases[op.base] = bases[op.base] || !op.item
	}
	cs, reads := collections{}, map[string]*operation{}
	for _, op := range ops {
		// One path is in the singular where its list is in the plural.
		if plural := op.base + "s"; op.item && !bases[op.base] && bases[plural] {
			op.base = plural
		}
		if op.verb == "GET" && !op.item {
			reads[op.base] = op
		}
		op.claim(cs)
	}
	for _, op := range ops {
		if op.verb == "POST" && !op.item && reads[op.base] != nil {
			cs.at(op.base).readable = true
		}
	}
	for _, op := range ops {
		op.resolve(cs, reads)
	}
}

// claim makes the collection of an operation that addresses single records.
func (op *operation) claim(cs collections) {
	if op.item {
		c := cs.at(op.base)
		c.readable, c.keyField = true, op.path[op.lastKey()].name
		return
	}
	if from, param := op.looseKey(); from != nowhere && op.verb != "POST" {
		c := cs.at(op.base)
		c.readable = true
		if c.keyField == "" && param != "ids" {
			c.keyField = param
		}
	}
}

func (op *operation) resolve(cs collections, reads map[string]*operation) {
	for i, m := range op.path {
		if isKey(m.name) {
			op.keys = append(op.keys, key{from: inPath, param: m.name, collection: cs.at(op.prefix(i))})
		}
	}
	switch {
	case op.verb == "POST" && !op.item && cs[op.base] != nil && cs[op.base].readable:
		op.target.collection = cs[op.base]
		op.effect = creates
		return
	case op.item:
		op.target = key{from: inPath, param: op.keys[len(op.keys)-1].param, collection: cs[op.base]}
		op.keys = op.keys[:len(op.keys)-1]
		op.effect = effectOf(op.verb)
		return
	case len(op.keys) > 0:
		op.target = op.keys[len(op.keys)-1]
		op.keys = op.keys[:len(op.keys)-1]
		return
	}
	op.target.collection = cs.home(op.base)
	op.target.from, op.target.param = op.looseKey()
	switch {
	case cs[op.base] == nil: // an action upon the records of a path above
	case op.target.from != nowhere:
		op.effect = effectOf(op.verb)
	case op.envelope.isOne() && reads[op.base] != nil && reads[op.base].envelope.isOne():
		// Settings: one record that is read and changed without an id.
		op.effect = effectOf(op.verb)
	}
}

func effectOf(verb string) effect {
	switch verb {
	case "PATCH":
		return merges
	case "PUT":
		return replaces
	case "DELETE":
		return deletes
	}
	return reads
}

// at returns the collection of a path, a new one where there is none.
func (cs collections) at(path string) *collection {
	if cs[path] == nil {
		c := &collection{noun: nounOf(path)}
		for n := range uint64(fleetSize) {
			c.records = append(c.records, record{n: n + 1, key: idOf(n + 1)})
		}
		cs[path] = c
	}
	return cs[path]
}

// home returns the collection of the longest known path that path is below, or its own.
func (cs collections) home(path string) *collection {
	for p := path; p != ""; p = p[:strings.LastIndexByte(p, '/')] {
		if cs[p] != nil {
			return cs[p]
		}
	}
	return cs.at(path)
}

// idOf returns the id of the n-th record of any collection.
func idOf(n uint64) string { return strconv.FormatUint(firstID+n, 10) }

// isKey reports whether a name in a path stands for the id of a record, rather than for a page
// or a time.
func isKey(name string) bool {
	return name != "pageNumber" && !strings.HasSuffix(name, "_ms") && !strings.HasSuffix(name, "Ms")
}

// lastKey returns the index of the last name in the path that is an id, -1 if there is none.
func (op *operation) lastKey() int {
	for i := len(op.path) - 1; i >= 0; i-- {
		if isKey(op.path[i].name) {
			return i
		}
	}
	return -1
}

// place returns the path of the collection that the operation would have for itself, and
// whether it addresses one of its records in the path.
func (op *operation) place() (path string, item bool) {
	segments := op.segments
	for len(segments) > 0 && segments[len(segments)-1].name != "" && !isKey(segments[len(segments)-1].name) {
		segments = segments[:len(segments)-1]
	}
	if n := len(segments); n > 0 && segments[n-1].name != "" {
		return normalise(segments[:n-1]), true
	}
	return normalise(segments), false
}

// prefix returns the path before the i-th name.
func (op *operation) prefix(i int) string {
	at := slices.IndexFunc(op.segments, func(s segment) bool { return s.name == op.path[i].name })
	return normalise(op.segments[:at])
}

func normalise(segments []segment) string {
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
	if op.item || op.verb == "GET" && op.envelope.isList {
		return nowhere, ""
	}
	candidates := []string{"id"}
	if op.verb != "POST" {
		if op.verb != "GET" {
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
	if op.verb != "GET" && op.body != nil && op.body.named["id"] != nil {
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

// all returns the live records in order. The slice is the caller's.
func (c *collection) all() []record {
	c.mu.Lock()
	defer c.mu.Unlock()
	return slices.Clone(c.records)
}

// find returns the record that an id or, as key:value, an external id stands for.
func (c *collection) find(id string) (record, bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if i := c.index(id); i >= 0 {
		return c.records[i], true
	}
	return record{}, false
}

func (c *collection) index(id string) int {
	return slices.IndexFunc(c.records, func(r record) bool { return r.key == id || c.isAlias(r, id) })
}

// isAlias reports whether a record has an id besides its key: an external one, or a seeded name
// or serial number.
func (c *collection) isAlias(r record, id string) bool {
	if name, value, ok := strings.Cut(id, ":"); ok {
		external, overlaid := r.overlay["externalIds"].(map[string]any)
		if !overlaid {
			external = externalIDs(c.noun, r.n)
		}
		return external[name] == value
	}
	if r.overlay[c.keyField] != nil {
		return false // its key
	}
	return c.keyField == "name" && id == nameOf(c.noun, r.n) || c.noun == "gateway" && id == serialOf(r.n)
}

// add makes a record of what a client sent. Where the client chose its key, as of a function's
// name, it takes the place of the one that has the key. It refuses when the collection is full.
func (c *collection) add(overlay map[string]any, now time.Time) (record, *refusal) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.created >= maxCreated {
		return record{}, refuse(400, "Configuration limit exceeded: %d records created", maxCreated)
	}
	n := createdOffset + c.created
	r := record{n: n, key: idOf(n), overlay: overlay, changed: now}
	for _, name := range []string{c.keyField, "serial"} {
		if given, ok := overlay[name].(string); ok && name != "id" && given != "" {
			r.key = given
			break
		}
	}
	if i := c.index(r.key); i >= 0 {
		r.n = c.records[i].n
		c.records[i] = r
		return r, nil
	}
	c.created++
	c.records = append(c.records, r)
	return r, nil
}

// update replaces the overlay of a record by what change makes of the record. The second result is
// false where there is no such record.
func (c *collection) update(id string, now time.Time, change func(record) map[string]any) (record, bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	i := c.index(id)
	if i < 0 {
		return record{}, false
	}
	c.records[i].overlay = change(c.records[i])
	c.records[i].changed = now
	return c.records[i], true
}

func (c *collection) remove(id string) (record, bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	i := c.index(id)
	if i < 0 {
		return record{}, false
	}
	r := c.records[i]
	c.records = slices.Delete(c.records, i, i+1)
	return r, true
}

// merged returns overlay with a merge patch (RFC 7396) applied. shown is what the record looks
// like, for objects that are patched in part.
func merged(overlay, shown, patch map[string]any) map[string]any {
	out := maps.Clone(overlay)
	if out == nil {
		out = map[string]any{}
	}
	for name, v := range patch {
		if change, ok := v.(map[string]any); ok {
			before, _ := shown[name].(map[string]any)
			v = mergePatch(before, change)
		}
		out[name] = v
	}
	return out
}

func mergePatch(target, patch map[string]any) map[string]any {
	out := maps.Clone(target)
	if out == nil {
		out = map[string]any{}
	}
	for name, v := range patch {
		change, ok := v.(map[string]any)
		switch {
		case v == nil:
			delete(out, name)
		case ok:
			before, _ := out[name].(map[string]any)
			out[name] = mergePatch(before, change)
		default:
			out[name] = v
		}
	}
	return out
}

// replacement returns an overlay that has the members of body, and lacks every other one that
// a body could set.
func replacement(body *schema, values map[string]any) map[string]any {
	out := maps.Clone(values)
	if out == nil {
		out = map[string]any{}
	}
	if body == nil {
		return out
	}
	for _, m := range body.members {
		if _, ok := out[m.name]; !ok && m.rule.GetIn() == gatewayv1.Location_LOCATION_BODY {
			out[m.name] = nil
		}
	}
	return out
}
