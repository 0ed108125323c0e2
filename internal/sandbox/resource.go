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
		// Two paths are in the singular where their list is in the plural: one of single records and
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
		k[c.noun] = append(k[c.noun], c) // of which the organization tells, too
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

// gather has a POST of readings, and the lists below its path that tell nothing else than such readings,
// be of one collection.
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

// kinds are the collections of which single records can be asked for, by what one record is called.
// References to it lead into any of them; the first, which has the shortest path, is the kind itself.
type kinds map[string][]*collection

// kinds returns the collections that have records of their own: that some operation reads or creates.
func (cs collections) kinds(ops []*operation) kinds {
	k, own := kinds{}, map[string]bool{}
	for _, op := range ops {
		if op.verb == http.MethodGet || op.verb == http.MethodPost {
			own[op.base] = true
		}
	}
	for _, path := range slices.SortedFunc(maps.Keys(cs.byPath), shorterFirst) {
		c := cs.byPath[path]
		// A DVIR is one, whether it is asked for at /fleet/dvirs or at /dvirs.
		other := cs.byPath[strings.TrimPrefix(path, "/fleet")]
		if c.own = c.readable && own[path] && (other == nil || other == c || !other.own); c.own {
			k[c.noun] = append(k[c.noun], c)
		}
	}
	return k
}

// home returns the collection that has the records of c, which is another one if c has none of its
// own but only shows them in another way.
func (k kinds) home(c *collection) *collection {
	if !c.own && len(k[c.noun]) > 0 && (c.readable || isEntity(c.noun)) {
		return k[c.noun][0]
	}
	return c
}

// listed returns what the records of an operation are called by the list that holds them, if that has a
// name of its own and nothing else says which they are.
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

// called returns the collection of a noun, for an operation that has c. It makes one for a noun that is
// not known.
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

// unite has records of kinds that are one, such as trailers and assets, be the same. Those that clients
// create in other collections of one kind have ids of their own.
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

// family returns the kind of record that those of a noun are, too: trailers, equipment and industrial
// assets are assets, and have the same ids. The roles of users are listed as userRoles.
func family(noun string) string {
	switch noun {
	case "trailer", "equipment":
		return "asset"
	case "userRole":
		return "role"
	}
	return noun
}

// find returns the record of a noun that an id stands for.
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
// the query is a claim only where another of the path's users can have made the record; else
// the id is that of a record further up.
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
	case cs.byPath[op.base] == nil: // an action upon the records of a path above
	case op.target.in != nowhere:
		op.effect = effectOf(op.verb)
	case op.envelope.isOne() && reads[op.base] != nil && reads[op.base].envelope.isOne():
		// Settings: one record that is read and changed without an id.
		op.effect = effectOf(op.verb)
	case reads[op.base] != nil && len(op.owners()) > 0 && !op.target.collection.gathers:
		// Records without an id, of which one is told by the records that it belongs to.
		op.effect, op.target.in = effectOf(op.verb), inOwners
	}
}

// owners returns the query parameters that are ids or, without any, the members of the body that are.
func (op *operation) owners() []string {
	isOther := func(name string) bool { return !isIDName(name) }
	if names := slices.DeleteFunc(slices.Sorted(maps.Keys(op.query)), isOther); len(names) > 0 || op.body == nil {
		return names
	}
	return slices.DeleteFunc(slices.Sorted(maps.Keys(op.body.named)), isOther)
}

// act resolves a POST to a path whose records cannot be asked for and that names none by an id of its
// own. Its body may name one of the path above, as driverId does in a driver's remote-sign-out; else
// it makes something, such as a fuel purchase, of which only the answer is known. Below /v1 it reads.
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

// collectionPath returns the path of the collection that the operation would have for itself, and
// whether it addresses one of its records in the path.
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

// looseKey finds the id of the record that an operation without an id in its path is about: a query
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

// holder returns the member of the body that holds the record, or several: data, one that is called
// as a record is, or, where several are made and told, the one list of objects. It is nil where the
// body is the record.
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

// fanOut returns the list of ids of which each makes a record of its own, as driverIds of a message
// does: the answer is a list of records that have, in its place, one driverId.
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
