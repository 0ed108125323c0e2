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
// A path that has neither records of its own nor such a path above shows those of the kind that it is
// called after: /driver-efficiency/drivers and /v1/fleet/dispatch/routes/{id} do, and a list called
// `vehicles`, such as that of /v1/fleet/locations.
func resolve(ops []*operation, fleetSize uint64) kinds {
	lists, gets, users := map[string]bool{}, map[string]bool{}, map[string]int{}
	for _, op := range ops {
		op.base, op.item = op.collectionPath()
		lists[op.base] = lists[op.base] || !op.item
		gets[op.base] = gets[op.base] || !op.item && op.verb == http.MethodGet
		users[op.base]++
	}
	// Short paths first: what lies below a path finds its collection.
	slices.SortStableFunc(ops, func(a, b *operation) int { return cmp.Compare(len(a.base), len(b.base)) })
	cs, readers := collections{fleetSize, map[string]*collection{}}, map[string]*operation{}
	for _, op := range ops {
		// Two paths are in the singular although their list is in the plural: one of single records and
		// one of creations.
		plural := op.base + "s"
		if op.item && !lists[op.base] && lists[plural] || op.verb == http.MethodPost && !op.item && users[op.base] == 1 && gets[plural] {
			op.base = plural
		}
		if op.verb == http.MethodGet && !op.item {
			readers[op.base] = op
		}
		op.claim(cs, users[op.base])
	}
	for _, op := range ops {
		op.gather(ops, readers, cs)
	}
	for _, op := range ops {
		if op.verb == http.MethodPost && !op.item && readers[op.base] != nil {
			cs.at(op.base).readable = true
		}
	}
	for _, op := range ops {
		op.resolve(cs, readers)
	}
	k := cs.kinds(ops)
	if c := cs.byPath[compliancePath]; c != nil {
		k[c.noun] = append(k[c.noun], c) // the organization has it, too
	}
	for _, op := range ops {
		for i := range op.keys {
			op.keys[i].collection = k.home(op.keys[i].collection)
		}
		op.target.collection = k.home(op.target.collection)
		if named := op.listed(); named != "" {
			op.target.collection = k.called(named, cs, op.target.collection)
		}
		c := op.target.collection
		if shown := op.envelope.record; shown != nil && (c == cs.byPath[op.base] || op.effect != reads) {
			maps.Copy(c.records, shown.named)
		}
		op.holds, op.each = op.holder(), op.fanOut()
		c.note(op)
	}
	k.unite()
	k.relate(fleetSize)
	k.attribute(fleetSize)
	agree(ops, k)
	for _, op := range ops {
		op.outcome = op.target.collection.outcomeOf(op)
		op.live = op.isLive()
		op.says = op.saying(ops)
	}
	return k
}

// gather gives one collection to a POST of readings and to the lists below its path that have only such
// readings.
func (op *operation) gather(ops []*operation, readers map[string]*operation, cs collections) {
	if op.verb != http.MethodPost || op.item || op.body == nil || readers[op.base] != nil {
		return
	}
	data := op.body.named["data"]
	if data == nil || data.shape != list || !data.isRecord() || data.schema.named["happenedAtTime"] == nil {
		return
	}
	isReading := func(m *member) bool { return data.schema.named[m.name] != nil || m.term.is("externalids") }
	home := ""
	for _, reader := range ops {
		if reader.verb != http.MethodGet || !strings.HasPrefix(reader.base, op.base+"/") || !reader.envelope.isList ||
			slices.ContainsFunc(reader.envelope.record.members, func(m *member) bool { return !isReading(m) }) {
			continue
		}
		home = cmp.Or(home, reader.base)
		reader.base = home
	}
	if home != "" {
		op.base, cs.at(home).gathers = home, true
	}
}

// kinds has for each noun the collections whose records can be read by id. A reference to a noun is to a
// record of any of them. The first, with the shortest path, is the main one.
type kinds map[string][]*collection

// kinds returns the collections with records of their own, which some operation reads or creates.
func (cs collections) kinds(ops []*operation) kinds {
	k, own := kinds{}, map[string]bool{}
	for _, op := range ops {
		if op.verb == http.MethodGet || op.verb == http.MethodPost {
			own[op.base] = true
		}
	}
	for _, path := range slices.SortedFunc(maps.Keys(cs.byPath), shorterFirst) {
		c := cs.byPath[path]
		// /fleet/dvirs and /dvirs have the same records.
		other := cs.byPath[strings.TrimPrefix(path, "/fleet")]
		if c.own = c.readable && own[path] && (other == nil || other == c || !other.own); c.own {
			k[c.noun] = append(k[c.noun], c)
		}
	}
	return k
}

// home returns the collection that has the records of c. It is another one if c has no records of its own,
// but only shows them in another way.
func (k kinds) home(c *collection) *collection {
	if !c.own && len(k[c.noun]) > 0 && (c.readable || isEntity(c.noun)) {
		return k[c.noun][0]
	}
	return c
}

// listed returns the noun of an operation's records by the name of their list, empty if the list has no
// name of its own or something else says which records they are.
func (op *operation) listed() string {
	e := op.envelope
	if !e.isList || op.response.root != nil || op.target.collection.own || op.target.in != nowhere || op.effect != reads {
		return ""
	}
	if name := e.at[len(e.at)-1].name; name != "data" {
		return singular(uncapital(name))
	}
	return ""
}

// called returns the collection of a noun for an operation that has c. It makes one for an unknown noun.
func (k kinds) called(noun string, cs collections, c *collection) *collection {
	switch {
	case len(k[noun]) == 0:
		c = cs.at("/" + noun)
		k[noun] = append(k[noun], c)
	case isEntity(noun) || k[noun][0] == cs.byPath["/"+noun]:
		c = k[noun][0]
	}
	return c
}

// unite gives kinds that are one, such as trailers and assets, the same records. In other collections of one
// kind the records that clients create have different ids.
func (k kinds) unite() {
	for noun, of := range k {
		general := k[family(noun)]
		for i, c := range of {
			switch {
			case len(general) == 0 || c == general[0]:
			case family(noun) == "asset":
				general[0].general, c.store, c.view = true, general[0].store, noun != family(noun)
			default:
				c.offset += uint64(i) * maxCreated
			}
		}
	}
}

// family returns the kind that the records of a noun also are: trailers, equipment and industrial assets are
// assets, and have the same ids. The roles of users are listed as userRoles.
func family(noun string) string {
	switch noun {
	case "trailer", "equipment":
		return "asset"
	case "userRole":
		return "role"
	}
	return noun
}

// find returns the record of a noun with an id or external id.
func (k kinds) find(noun, id string) (*collection, record, bool) {
	for _, c := range k[noun] {
		if r, ok := c.find(id); ok {
			return c, r, true
		}
	}
	return nil, record{}, false
}

func shorterFirst(a, b string) int {
	return cmp.Or(cmp.Compare(len(a), len(b)), strings.Compare(a, b))
}

// claim makes the collection of an operation that addresses single records. Reading by an id in
// the query is a claim only if another operation of the path can have made the record. Otherwise
// the id is of a record of a path above.
func (op *operation) claim(cs collections, users int) {
	for i, m := range op.path {
		if isKey(m.name) {
			op.keys = append(op.keys, key{in: inPath, param: m.name, collection: cs.at(op.prefix(i))})
		}
	}
	if op.item {
		last := &op.keys[len(op.keys)-1]
		last.collection = cs.at(op.base)
		last.collection.readable, last.collection.keyField = true, last.param
		last.collection.keyRefers = isReference(last.param)
		return
	}
	if in, m := op.looseKey(); in != nowhere && op.verb != http.MethodPost && (op.verb != http.MethodGet || users > 1) {
		c := cs.at(op.base)
		c.readable = true
		if c.keyField == "" && m.name != "ids" && m.shape == single {
			c.keyField, c.keyRefers = m.name, m.refers
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
	in, m := op.looseKey()
	if op.target.in = in; m != nil {
		op.target.param = m.name
	}
	switch {
	case op.verb == http.MethodPost && in == nowhere:
		op.act(cs)
	case cs.byPath[op.base] == nil: // an action on the records of a path above
	case op.target.in != nowhere:
		op.effect = effectOf(op.verb)
	case op.envelope.isOne() && reads[op.base] != nil && reads[op.base].envelope.isOne():
		// Settings: one record that is read and changed without an id.
		op.effect = effectOf(op.verb)
	case reads[op.base] != nil && len(op.owners()) > 0 && !op.target.collection.gathers:
		// Records without an id: the records that they belong to identify them.
		op.effect, op.target.in = effectOf(op.verb), inOwners
	}
}

// owners returns the query parameters that are ids or, if there are none, the members of the body that are.
func (op *operation) owners() []string {
	isOther := func(name string) bool { return !isIDName(name) }
	if names := slices.DeleteFunc(slices.Sorted(maps.Keys(op.query)), isOther); len(names) > 0 || op.body == nil {
		return names
	}
	return slices.DeleteFunc(slices.Sorted(maps.Keys(op.body.named)), isOther)
}

// act resolves a POST without an id to a path whose records cannot be read. Its body may name a record of
// the path above, as driverId does in a driver's remote-sign-out. Otherwise it makes something, such as a
// fuel purchase, that only its answer shows. Below /v1 it reads.
func (op *operation) act(cs collections) {
	if param := op.target.collection.noun + "Id"; op.body != nil && op.body.named[param] != nil {
		op.target.in, op.target.param = inBody, param
	} else if !legacy(op.GetPath()) {
		op.effect, op.target.collection = creates, newCollection(op.base, cs.size)
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

// at returns the collection of a path. It makes one if there is none.
func (cs collections) at(path string) *collection {
	if cs.byPath[path] == nil {
		cs.byPath[path] = newCollection(path, cs.size)
	}
	return cs.byPath[path]
}

// home returns the collection of path or, if it has none, of the longest path above that has one. It makes
// one if there is none.
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

// collectionPath returns the path of the collection that the operation would have for itself, and
// whether the path ends in the id of one of its records.
func (op *operation) collectionPath() (path string, item bool) {
	segments := op.segments
	if n := len(segments); n > 1 && segments[n-1].literal == "batch" {
		segments = segments[:n-1] // several of the path above
	}
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

// looseKey returns where an operation without an id in its path has the id of its record: a query
// parameter, a member of the body, or the id of each element of the body's data.
func (op *operation) looseKey() (in keyLocation, m *member) {
	if op.item || op.verb == http.MethodGet && op.envelope.isList {
		return nowhere, nil
	}
	candidates := []string{"id"}
	if op.verb != http.MethodPost {
		if op.verb != http.MethodGet {
			candidates = append(candidates, "ids", nounOf(op.base)+"Ids")
		}
		candidates = append(candidates, nounOf(op.base)+"Id")
		for _, name := range slices.Sorted(maps.Keys(op.query)) {
			if m := op.query[name]; m.rule.GetRequired() && (name == "name" || isIDName(name)) {
				candidates = append(candidates, name)
			}
		}
	}
	for _, name := range candidates {
		if m := op.query[name]; m != nil && (m.shape == single || name == "ids" || name == nounOf(op.base)+"Ids") {
			return inQuery, m
		}
	}
	if op.verb == http.MethodGet || op.body == nil {
		return nowhere, nil
	}
	if m := op.body.named["id"]; m != nil {
		return inBody, m
	}
	if data := op.body.named["data"]; data != nil && data.isRecord() && data.shape == list {
		if m := data.schema.named["id"]; m != nil && m.rule.GetRequired() {
			return inEach, m
		}
	}
	if m := op.body.named[nounOf(op.base)+"Ids"]; m != nil && op.verb != http.MethodPost {
		return inBody, m
	}
	if op.verb == http.MethodDelete && len(op.body.members) == 1 && isIDName(op.body.members[0].name) {
		return inBody, op.body.members[0]
	}
	return nowhere, nil
}

// holder returns the member of the body that holds the record, or several: data, one with the noun of the
// record, or, if several are made and answered, the only list of objects. It is nil if the body is the
// record.
func (op *operation) holder() *member {
	if op.body == nil {
		return nil
	}
	for _, name := range []string{"data", op.target.collection.noun} {
		if m := op.body.named[name]; m != nil && m.isRecord() {
			return m
		}
	}
	if lists, _ := op.body.containers(nil); op.effect == creates && op.envelope.isList && len(lists) == 1 {
		return lists[0]
	}
	return nil
}

// fanOut returns the list of ids that each make a record, such as driverIds of a message: the answer is a
// list of records that have one driverId instead.
func (op *operation) fanOut() *member {
	if op.effect != creates || !op.envelope.isList {
		return nil
	}
	record := op.envelope.record.named
	for _, m := range op.inputs() {
		one := strings.TrimSuffix(m.name, "s")
		if m.shape == list && m.refers && record[m.name] == nil && (record[one] != nil || record[strings.TrimSuffix(one, "Id")] != nil) {
			return m
		}
	}
	return nil
}

// inputs returns the members of the body and the query parameters.
func (op *operation) inputs() []*member {
	var out []*member
	if op.body != nil {
		out = append(out, op.body.members...)
	}
	for _, name := range slices.Sorted(maps.Keys(op.query)) {
		out = append(out, op.query[name])
	}
	return out
}

func isIDName(name string) bool {
	return strings.HasSuffix(name, "Id") || strings.HasSuffix(name, "ID") || strings.HasSuffix(name, "_id")
}

// nounOf returns the noun of the records of a path: vehicle for /fleet/vehicles, safetyEvent for
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
