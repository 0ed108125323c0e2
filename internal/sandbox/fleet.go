package sandbox

import (
	"encoding/json"
	"strconv"
	"strings"
	"time"
)

// listSize is how many elements a list within a record has, maxListSize how many it has at most if more
// are required.
const (
	listSize    = 2
	maxListSize = 12
)

// fleet invents the values of records. A value depends only on the seed, the kind of record and its
// number, the member's name, and the time. So one vehicle looks alike in all replies. It is immutable.
type fleet struct {
	seed uint64
	size uint64 // how many records of a kind there are
}

// subject is what values are invented for.
type subject struct {
	noun string
	n    uint64
	key  string    // its id, if it does not follow from n
	at   time.Time // the time that its report is of
	// How many levels of objects to invent below; required ones go maxRequiredDepth deeper.
	depth int
	// The member whose object this is: a member called value is what it measures.
	within  *member
	index   int  // index of the element in its list, 0 outside lists
	element int  // index of the element in the innermost list of objects
	live    bool // the state at its time; else what is stored, which does not change by itself
	report  bool // in a feed: the record changed at its time
	bare    bool // a client has created it: only required members are invented below
	// How far its counters are ahead of its drive.
	odometer, engine counter
	kinds            kinds // that it may refer to
	hidden           hidden
	hash             uint64 // of seed, noun, n, and the members on the way down; set by about
	size             uint64 // of the fleet; set by about
}

// about returns s with its hash and the size of its fleet.
func (f *fleet) about(s subject) subject {
	s.hash, s.size = mix(mixNumber(f.seed, s.n), deviceOf(s.noun)), f.size
	return s
}

func (s subject) id() string {
	if s.key != "" {
		return s.key
	}
	return idOf(s.n)
}

// born returns when a seeded record was created.
func (s subject) born() time.Time { return epoch().Add(time.Duration(s.n) * time.Hour) }

// moment returns the time that the subject's values are of.
func (s subject) moment() time.Time {
	if s.live || s.bare {
		return s.at
	}
	return s.born()
}

// ref returns the number of the seeded record that the i-th reference of a record leads to.
func ref(n uint64, i int, size uint64) uint64 { return (n+uint64(i)-1)%size + 1 }

// parentOf returns the number of the parent of a record in the tree of its kind. The first record is the
// root, and has none.
func parentOf(n, size uint64) uint64 { return ref(max(n/2, 1), 0, size) }

// hidden are the members that a request does not ask for, such as tags without includeTags.
type hidden map[string]bool

// told returns the value of a member that is not to be invented; nil leaves the member out.
type told func(*member) (value any, ok bool)

// object writes an object: the values that tell returns, and invented ones for all other members. tell
// may be nil.
func (f *fleet) object(b []byte, s *schema, sub subject, tell told) []byte {
	b = append(b, '{')
	sub.live = sub.live || s.isReading()
	for _, m := range s.members {
		if sub.hidden[m.name] && !m.answered {
			continue
		}
		var (
			v   any
			set bool
		)
		if tell != nil {
			v, set = tell(m)
		}
		if !set && !sub.bare && s.isElsewhere(m, sub) {
			continue
		}
		if !set && m.course != nil && m.isToCome(status(m.course, sub, tell)) {
			if v, set = never, true; !m.answered {
				continue
			}
		}
		if !set && m.status != nil && m.when != status(m.status, sub, tell) {
			continue
		}
		if set && v == nil || tell == nil && sub.bare && !m.answered {
			continue
		}
		before := len(b)
		b = append(separate(b), m.label...)
		if set {
			b = appendJSON(b, v)
			continue
		}
		var ok bool
		if b, ok = f.member(b, m, sub); !ok {
			b = b[:before] // which keeps the capacity
		}
	}
	return append(b, '}')
}

// isElsewhere reports whether an area lacks a member, circle or polygon, because it has the other one. It
// is for areas without a type: every fourth is a polygon.
func (s *schema) isElsewhere(m *member, sub subject) bool {
	isPolygon := sub.n%4 == 0
	if m.answered || m.name != "circle" && m.name != "polygon" || isPolygon == (m.name == "polygon") {
		return false
	}
	return s.named["circle"] != nil && s.named["polygon"] != nil && s.named["type"] == nil
}

// status returns the value of a member that says how an object stands, as text.
func status(m *member, sub subject, tell told) string {
	if tell != nil {
		if v, set := tell(m); set {
			if is, ok := v.(bool); ok {
				return strconv.FormatBool(is)
			}
			return jsonText(v)
		}
	}
	sub.hash = mix(sub.hash, m.name)
	if m.kind == truth {
		return string(scalar(nil, m, sub))
	}
	return m.pick(sub)
}

// member writes the invented value of a member. The result is false if the object is deep enough without
// it. The caller then discards what has been written.
func (f *fleet) member(b []byte, m *member, sub subject) ([]byte, bool) {
	if sub.depth <= 0 && m.kind == object && !m.answered || sub.depth < -maxRequiredDepth {
		return b, false
	}
	if m.parent && sub.n <= 1 && !m.answered {
		return b, false
	}
	sub.hash, sub.index = mix(sub.hash, m.name), 0
	switch m.shape {
	case list:
		return f.elements(b, m, sub), true
	case dict:
		if sub.bare {
			return append(b, "{}"...), true
		}
		if m.term.ends("externalids") {
			return appendJSON(b, externalIDs(sub.noun, sub.n)), true
		}
		if entry, ok := f.one(append(b, `{"sample":`...), m, sub); ok {
			return append(entry, '}'), true
		}
		return append(b, "{}"...), true
	case single:
	}
	return f.one(b, m, sub)
}

// elements writes an invented list.
func (f *fleet) elements(b []byte, m *member, sub subject) []byte {
	n := listSize
	switch {
	case sub.bare:
		n = 0
	case m.term.is("vertices"):
		n = 4
	}
	if m.rule.Minimum != nil {
		n = max(n, int(min(m.rule.GetMinimum(), maxListSize)))
	}
	if m.rule.Maximum != nil {
		n = min(n, int(m.rule.GetMaximum()))
	}
	b = append(b, '[')
	for i := range n {
		sub.hash, sub.index = mixNumber(sub.hash, uint64(i)), i
		var (
			before = len(b)
			ok     bool
		)
		if b, ok = f.one(separate(b), m, sub); !ok {
			b = b[:before]
		}
	}
	return append(b, ']')
}

// one writes one invented value, as member does.
func (f *fleet) one(b []byte, m *member, sub subject) ([]byte, bool) {
	switch {
	case m.kind != object && m.refers && (m.shape == list || !m.answered) && sub.kinds.lacks(m.noun, sub.other(m)):
		return b, false
	case m.fact != nil && !sub.bare && m.pick(sub) == "":
		return b, false
	case m.kind != object:
		return scalar(b, m, sub), true
	}
	sub.depth--
	if m.shape == list {
		sub.element = sub.index
	}
	if m.isReference() {
		return f.another(b, m, sub)
	}
	sub.within = m
	if m.isDevice() {
		sub.hash = f.about(subject{noun: m.noun, n: sub.n}).hash
	}
	sub.live = sub.live || m.term.has("lastknown")
	if root := m.schema.root; root != nil {
		return f.member(b, root, sub)
	}
	if m.shape == list { // the last one is the latest
		sub.at = sub.at.Add(-time.Duration(listSize-1-sub.index) * time.Second)
	}
	return f.object(b, m.schema, sub, nil), true
}

// another writes the record that a seeded one refers to, as it is. Of a deleted record it writes nothing
// or, if the member is required, the required members.
func (f *fleet) another(b []byte, m *member, sub subject) ([]byte, bool) {
	n := sub.other(m)
	if sub.bare && m.isAuthor() {
		n = caller
	}
	if of := sub.kinds[m.noun]; len(of) > 0 && !sub.bare {
		if r, ok := of[0].get(n); ok {
			return f.present(b, r, view{
				schema: m.schema, of: of[0], key: m.schema.named["id"], at: sub.at, depth: sub.depth, report: sub.report, kinds: sub.kinds, hidden: sub.hidden,
			}), true
		}
		if m.shape == list || !m.answered {
			return b, false
		}
		sub.bare = true
	}
	about := f.about(subject{
		noun: m.noun, n: n, at: sub.at, depth: sub.depth, within: m, element: sub.element, live: sub.live, report: sub.report, bare: sub.bare, kinds: sub.kinds, hidden: sub.hidden,
	})
	noun := sub.kinds.kindOf(m, func(below *member) string {
		of := about
		of.hash = mix(about.hash, below.name)
		return below.pick(of)
	})
	if noun != m.noun && sub.kinds.lacks(noun, n) && (m.shape == list || !m.answered) {
		return b, false
	}
	return f.object(b, m.schema, about, nil), true
}

// other returns the number of the seeded record that a member refers to.
func (s subject) other(m *member) uint64 {
	switch {
	case m.parent:
		return parentOf(s.n, s.size)
	case m.noun == s.noun && s.index == 0:
		return s.n
	}
	return ref(s.n, s.index, s.size)
}

// lacks reports whether the n-th record of a noun has been deleted.
func (k kinds) lacks(noun string, n uint64) bool {
	of := k[noun]
	if len(of) == 0 {
		return false
	}
	_, ok := of[0].get(n)
	return !ok
}

func hasID(s *schema) bool {
	id := s.named["id"]
	return id != nil && id.shape == single && (id.kind == text || id.kind == whole)
}

// externalIDs returns the ids that other systems know a record by.
func externalIDs(noun string, n uint64) map[string]any {
	ids := map[string]any{"erpId": family(noun) + "-" + strconv.FormatUint(n, 10)}
	if noun == "vehicle" {
		ids["samsara.serial"] = serialOf(n)
		ids["samsara.vin"] = vinOf(n)
	}
	return ids
}

// maxLeaves is about how many values a record may have. Larger records leave out their deeper objects.
const maxLeaves = 250

// maxRequiredDepth is how many more levels of objects are invented if they are required.
const maxRequiredDepth = 4

// measure sets how deep to invent the objects of a schema.
func (s *schema) measure() {
	for s.depth = 6; s.depth > 1; s.depth-- {
		left := maxLeaves
		if spend(s, s.depth, &left) {
			s.leaves = maxLeaves - left
			return
		}
	}
	s.leaves = maxLeaves
}

// spend takes the leaves of a schema from left; it reports whether they were enough.
func spend(s *schema, depth int, left *int) bool {
	for _, m := range s.members {
		times := 1
		if m.shape != single {
			times = listSize
		}
		for range times {
			if m.kind == object && depth > 0 && !spend(m.schema, depth-1, left) {
				return false
			}
			if *left--; *left < 0 {
				return false
			}
		}
	}
	return true
}

// isReading reports whether an object is a measurement or a location with its time.
func (s *schema) isReading() bool {
	for _, name := range []string{"time", "timeMs", "datetime"} {
		if m := s.named[name]; m != nil && m.isTime && m.shape == single {
			return true
		}
	}
	return false
}

// view is how an operation shows the records of a collection.
type view struct {
	schema *schema
	around *schema // of an object around each record of a list; nil for none
	of     *collection
	key    *member        // that holds the record's key; nil for none
	echo   map[string]any // members that the request says
	at     time.Time
	depth  int   // how many levels of objects to invent
	live   bool  // the state at the time, rather than what is stored
	report bool  // at is the time of a report in a feed
	drift  bool  // with a member that no message has
	kinds  kinds // of the records that others refer to
	hidden hidden
}

// present writes a record in a view: what clients have set if it fits the schema, what the request
// says, and invented values for the rest. In a record that a client has created only the members that
// the server assigns are invented.
func (f *fleet) present(b []byte, r record, v view) []byte {
	sub := f.about(subject{
		noun: v.of.noun, n: r.n, key: r.key, at: v.at, depth: v.depth, live: v.live, report: v.report,
		bare: r.isCreated(), kinds: v.kinds, hidden: v.hidden,
	})
	if sub.bare && !v.report {
		sub.at = r.created // which is when all else of it began
	}
	sub.odometer, sub.engine = r.odometer, r.engine
	b = f.object(b, v.schema, sub, func(m *member) (any, bool) {
		if m == v.key && r.overlay[m.name] == nil {
			if id, ok := m.fit(r.key); ok {
				return id, true
			}
		}
		if m.term.is("uuid") && v.of.ownIDs && sub.bare {
			return r.key, true // the client's id is another one
		}
		if at := r.timeOf(m); !at.IsZero() {
			return timestamp(at), true
		}
		if said, ok := v.echo[m.name]; ok && m.kind != object && (!r.isCreated() || r.overlay[m.name] == nil) {
			if fitting, ok := m.fit(said); ok {
				return fitting, true
			}
		}
		if value, ok := f.said(m, r, v, sub); ok {
			return value, true
		}
		if sub.bare && v.of.settable[m.name] {
			return m.unset()
		}
		return nil, sub.bare && !v.of.assigns(m)
	})
	if v.drift {
		b = drifted(b)
	}
	return b
}

// drifted puts a member that no message has into the object at the end of b.
func drifted(b []byte) []byte {
	return append(separate(b[:len(b)-1]), `"sandboxDrift":true}`...)
}

// said returns the value of a member that follows from what clients have set. A nil value leaves the
// member out. The second result is false if nothing follows from it.
func (f *fleet) said(m *member, r record, v view, sub subject) (any, bool) {
	if t := v.of.tie(m.name); t != nil {
		if m.kind == object && sub.depth <= 0 && !m.answered {
			return nil, true
		}
		return f.refer(m, t.noun, listOf(t.told(r.key)), v)
	}
	if a := v.of.attributed; a != nil {
		if told, ok := a.told(f, m, r, v); ok {
			return told, true
		}
	}
	set, ok := r.overlay[m.name]
	if !ok && len(r.overlay) > 0 {
		set, ok = m.implied(r.overlay, v.of)
	}
	switch {
	case !ok:
		if told, ok := f.derived(m, r, v); ok {
			return told, true
		}
		return f.references(m, r, v)
	case set == nil:
		return nil, true
	case m.kind != object && m.refers && m.shape != dict:
		return f.refer(m, v.of.nounOf(m), set, v)
	}
	fitting, ok := m.fit(set)
	switch {
	case !ok:
		return f.refer(m, m.noun, set, v)
	case !m.declares(fitting) && !m.answered:
		return nil, true // of a value that this response does not have
	}
	return f.complete(m, fitting, sub)
}

// nounOf returns the kind of record that a member of one refers to.
func (c *collection) nounOf(m *member) string {
	if m.parent && m.noun == "parent" {
		return c.noun
	}
	return m.noun
}

func listOf(ids []string) []any {
	out := make([]any, 0, len(ids))
	for _, id := range ids {
		out = append(out, id)
	}
	return out
}

// complete adds to objects that a client has written the other members that their schema requires, and to
// objects that refer to records the names of these. It leaves out objects that refer to a deleted record.
// It may change the value that it is given.
func (f *fleet) complete(m *member, v any, sub subject) (any, bool) {
	if !m.isRecord() {
		return v, true
	}
	sub.hash, sub.depth = mix(sub.hash, m.name), 1
	switch m.shape {
	case list:
		objects, _ := v.([]any)
		kept := make([]any, 0, len(objects))
		for i, o := range objects {
			sub.hash = mixNumber(sub.hash, uint64(i))
			if o, ok := f.completeOne(m, o, sub); ok {
				kept = append(kept, o)
			}
		}
		return kept, true
	case dict:
		values, _ := v.(map[string]any)
		for _, o := range values {
			f.completeOne(m, o, sub)
		}
		return v, true
	case single:
	}
	if v, ok := f.completeOne(m, v, sub); ok || m.answered {
		return v, true
	}
	return nil, true
}

// completeOne completes one object. The result is false if it refers to a deleted record.
func (f *fleet) completeOne(m *member, v any, sub subject) (any, bool) {
	values, ok := v.(map[string]any)
	if !ok {
		return v, true
	}
	exists := true
	if id, told := values["id"]; told && m.isReference() {
		noun := sub.kinds.kindOf(m, func(below *member) string { return jsonText(values[below.name]) })
		c, r, found := sub.kinds.find(noun, jsonText(id))
		if exists = found || len(sub.kinds[noun]) == 0 || !isEntity(noun) && !sub.kinds.hasDeleted(noun, jsonText(id)); found && isEntity(noun) {
			shown := f.show(r, view{schema: m.schema, of: c, key: m.schema.named["id"], at: sub.at, kinds: sub.kinds, hidden: sub.hidden})
			for _, below := range m.schema.members {
				if _, has := values[below.name]; !has && shown[below.name] != nil && (below.answered || below.term.is("name")) {
					values[below.name] = shown[below.name]
				}
			}
		}
	}
	for _, below := range m.schema.members {
		has, ok := values[below.name]
		switch {
		case ok && !below.declares(has) && below.answered:
			values[below.name] = below.initial
		case ok && !below.declares(has):
			delete(values, below.name)
		case ok:
			if below.kind != object && below.refers && below.shape != dict {
				has, _ = f.refer(below, below.noun, has, view{kinds: sub.kinds})
			}
			if values[below.name], _ = f.complete(below, has, sub); values[below.name] == nil {
				delete(values, below.name)
			}
		case !below.answered:
		default:
			if id, ok := below.nestedID(mix(sub.hash, below.name)); ok {
				values[below.name] = id
			} else if empty, ok := below.unset(); ok && sub.bare {
				values[below.name] = empty
			} else if invented, ok := f.member(nil, below, sub); ok {
				values[below.name] = json.RawMessage(invented)
			}
		}
	}
	return values, exists
}

// show presents a record as values.
func (f *fleet) show(r record, v view) map[string]any {
	values, err := decodeBody(f.present(nil, r, v))
	shown, _ := values.(map[string]any)
	if err != nil {
		return nil // cannot happen: it is JSON
	}
	return shown
}

// references makes `driver` of a driverId that a client has set, and `tags` of tagIds.
func (f *fleet) references(m *member, r record, v view) (any, bool) {
	name := m.name + "Id"
	switch {
	case m.shape == list:
		name = singular(m.name) + "Ids"
	case m.parent:
		name = v.of.up
	}
	ids, ok := r.overlay[name]
	switch {
	case !ok || !m.isReference():
		return nil, false
	case ids == nil:
		return nil, true
	}
	return f.refer(m, m.noun, ids, v)
}

// refer returns the value of a member that refers to records of a noun: their ids, or objects with their
// ids and names. It leaves out deleted records, except if the member must have one. The value is nil for
// no records, and the second result is false if the member cannot refer to them.
func (f *fleet) refer(m *member, noun string, ids any, v view) (any, bool) {
	if m.kind == object && !m.isReference() {
		return nil, false
	}
	switch list, isList := ids.([]any); {
	case m.shape == dict || m.shape == single && isList && len(list) == 0:
		return nil, m.shape != dict
	case m.shape == single:
		if isList {
			ids = list[0]
		}
		return f.referOne(m, noun, ids, v, m.answered)
	case !isList:
		return nil, false
	default:
		values := make([]any, 0, len(list))
		for _, id := range list {
			value, ok := f.referOne(m, noun, id, v, false)
			switch {
			case !ok:
				return nil, false
			case value != nil:
				values = append(values, value)
			}
		}
		if len(values) == 0 && !m.answered {
			return nil, true
		}
		return values, true
	}
}

// referOne returns a reference to one record. For an unknown kind or a deleted record it has only the id.
// A deleted record is left out unless the member must have one.
func (f *fleet) referOne(m *member, noun string, id any, v view, must bool) (any, bool) {
	key := m
	if m.kind == object {
		key = m.schema.named["id"]
	}
	told, ok := key.fitOne(id)
	if !ok {
		return nil, false
	}
	c, r, exists := v.kinds.find(noun, jsonText(id))
	switch {
	case !exists && !must && len(v.kinds[noun]) > 0:
		return nil, true
	case m.kind != object:
		return told, true
	case exists:
		return json.RawMessage(f.present(nil, r, view{schema: m.schema, of: c, key: key, at: v.at, kinds: v.kinds, hidden: v.hidden})), true
	}
	about := f.about(subject{noun: noun, n: max(1, numberOfID(jsonText(id))), at: v.at, bare: true})
	return json.RawMessage(f.object(nil, m.schema, about, func(m *member) (any, bool) {
		if m == key {
			return told, true
		}
		return nil, !m.answered
	})), true
}

// fit returns v in the type of the member: a request and a response may have members of one name and
// different types.
func (m *member) fit(v any) (any, bool) {
	switch m.shape {
	case list:
		values, ok := v.([]any)
		if joined, isText := v.(string); isText && m.kind != object {
			for value := range strings.SplitSeq(joined, ",") {
				values, ok = append(values, value), true
			}
		}
		if !ok {
			return nil, false
		}
		out := make([]any, 0, len(values))
		for _, value := range values {
			if fitting, ok := m.fitOne(value); ok {
				out = append(out, fitting)
			}
		}
		return out, len(out) == len(values)
	case dict:
		values, ok := v.(map[string]any)
		if !ok {
			return nil, false
		}
		out := map[string]any{}
		for name, value := range values {
			if fitting, ok := m.fitOne(value); ok {
				out[name] = fitting
			}
		}
		return out, true
	case single:
	}
	return m.fitOne(v)
}

func (m *member) fitOne(v any) (any, bool) {
	switch m.kind {
	case free:
		return v, true
	case row:
		_, ok := v.([]any)
		return v, ok
	case truth:
		_, ok := v.(bool)
		return v, ok
	case text:
		s := jsonText(v)
		return s, s != "" || v == ""
	case whole:
		s := jsonText(v)
		return json.Number(s), isWhole(s)
	case real:
		s := jsonText(v)
		return json.Number(s), isNumber(s)
	case object:
	}
	if m.schema.root != nil {
		return m.schema.root.fit(v)
	}
	values, ok := v.(map[string]any)
	if !ok {
		return nil, false
	}
	out := map[string]any{}
	for _, below := range m.schema.members {
		if fitting, ok := below.from(values); ok {
			out[below.name] = fitting
		}
	}
	return out, true
}

// jsonText returns the text of a string or number, else nothing.
func jsonText(v any) string {
	switch v := v.(type) {
	case string:
		return v
	case json.Number:
		return v.String()
	case int64:
		return strconv.FormatInt(v, 10)
	case float64:
		return strconv.FormatFloat(v, 'f', -1, 64)
	}
	return ""
}

// mix and mixNumber hash, the same in every process and release (FNV-1a, then the finaliser of
// splitmix64, so that the low bits are good).
func mix(h uint64, s string) uint64 {
	for i := range len(s) {
		h = (h ^ uint64(s[i])) * 0x100000001b3
	}
	return finalise(h)
}

func mixNumber(h, n uint64) uint64 { return finalise((h ^ n) * 0x9e3779b97f4a7c15) }

func finalise(h uint64) uint64 {
	h = (h ^ h>>30) * 0xbf58476d1ce4e5b9
	h = (h ^ h>>27) * 0x94d049bb133111eb
	return h ^ h>>31
}
