package sandbox

import (
	"cmp"
	"maps"
	"slices"
	"strconv"
	"strings"
	"time"

	apiv1 "samsara.internal/gateway/gen/api/v1"
)

// filter is an argument that selects records by ids.
type filter struct {
	by   filterBy
	noun string // of the records that the ids belong to
	ids  []string
	of   *collection // of the records that must refer to them: the listed ones, or the ones that these refer to
}

// filterBy says how an argument selects records.
type filterBy uint8

const (
	byNothing   filterBy = iota
	byID                 // they have one of the ids
	byReference          // they refer to a record that has one
	byTree               // they refer to a record that has one, or is below one that has
	byMember             // they have a member of the argument's name, with one of its values
	byTime               // they have a time, such as createdAtTime of createdAfterTime, that is not before it
	byMinimum            // they have a number, such as durationMilliseconds of minDurationMilliseconds, that is not below it
	byMaximum            // or not above it
	byShowing            // it does not select records, but says whether they show a member
	byReading            // it selects readings that clients have sent: see gathered
)

// filterBy returns how an argument selects the records of a list: the parameters of one, and lists in
// the body of one that is asked for by POST.
func (s *Sandbox) filterBy(op *operation, m *member) filterBy {
	switch {
	case op.includes[m.name] != "":
		return byShowing
	case op.target.collection.gathers && m.term.is("starttime", "asoftime"):
		return byReading
	case m.kind == object || m.kind == truth && m.refers || m.name == op.target.param || isPaging(m.name):
		return byNothing
	case m.name == "id" || m.name == "ids" || m.name == "externalIds" || m.name == op.target.collection.noun+"Id":
		return byID
	case m.shape == list && singular(m.name) == op.target.collection.noun:
		return byID // as in a body with sensors
	case m.shape == list && m.refers && m.noun == tagNoun && m.term.has("parent"):
		return byTree
	case m.shape == list && m.refers, s.isOfOne(op, m):
		return byReference
	case m.refers || m.rule.GetIn() != apiv1.Location_LOCATION_QUERY:
		return byNothing
	}
	switch target, _ := s.filtered(op, m); {
	case target == nil:
		return byNothing
	case target.name != m.name && m.term.ends("aftertime"):
		return byTime
	case target.name == bounded(m.name, "min"):
		return byMinimum
	case target.name == bounded(m.name, "max"):
		return byMaximum
	}
	return byMember
}

// isOfOne reports whether a parameter is the id of a record that all listed records belong to: their
// answers have a member for it, clients set one, or clients set nothing of them.
func (s *Sandbox) isOfOne(op *operation, m *member) bool {
	if !m.refers || m.shape != single || m.kind == truth || m.rule.GetIn() != apiv1.Location_LOCATION_QUERY {
		return false
	}
	c, record := op.target.collection, op.envelope.record
	tells := slices.ContainsFunc([]string{m.name, m.name + "s", m.noun}, func(name string) bool { return record.has(name, maxRequiredDepth) })
	return tells || c.settable[m.name] || len(c.settable) == 0 && len(s.referable[m.noun]) > 0
}

// missing refuses a list of records that belong to a record that does not exist.
func (s *Sandbox) missing(q *request) *refusal {
	if q.op.effect != reads || !q.op.envelope.isList {
		return nil
	}
	for _, name := range slices.Sorted(maps.Keys(q.op.query)) {
		m := q.op.query[name]
		id := jsonText(q.args[name])
		if id == "" || len(s.referable[m.noun]) == 0 || !s.isOfOne(q.op, m) {
			continue
		}
		if _, _, ok := s.referable.find(m.noun, id); !ok {
			return unknown(name, id)
		}
	}
	return nil
}

// bounded returns the name of the member that a parameter is a bound of, empty if it is none.
func bounded(parameter, bound string) string {
	if rest, ok := strings.CutPrefix(parameter, bound); ok && rest != "" && rest[0] >= 'A' && rest[0] <= 'Z' {
		return uncapital(rest)
	}
	return ""
}

// filtered returns the member of a record that a parameter is about, and the collection of the record. That
// is the listed record. If it has no such member and the parameter is named after another kind, as
// driverActivationStatus is, it is the record of that kind that it refers to. The member is nil if there is
// none.
func (s *Sandbox) filtered(op *operation, m *member) (*member, *collection) {
	name := m.name
	if before, ok := strings.CutSuffix(name, "AfterTime"); ok {
		name = before + "AtTime"
	}
	name = cmp.Or(bounded(name, "min"), bounded(name, "max"), strings.TrimSuffix(name, "In"))             // as statusIn
	for _, name := range []string{name, uncapital(strings.TrimPrefix(name, op.target.collection.noun))} { // as workOrderStatuses of work orders
		for _, name := range []string{name, singular(name), strings.TrimSuffix(name, "es")} {
			if target := op.envelope.record.named[name]; target.selects(m) {
				return target, op.target.collection
			}
		}
	}
	for _, noun := range entities() {
		if of := s.kinds[noun]; len(of) > 0 && strings.HasPrefix(name, noun) && of[0].records[name].selects(m) {
			return of[0].records[name], of[0]
		}
	}
	return nil, nil
}

// selects reports whether a parameter can select by a member of a record.
func (m *member) selects(parameter *member) bool {
	isTime := func(m *member) bool { return m.term.ends("time", "date", "ms") }
	switch {
	case m == nil || m.shape == dict || m.kind == object || m.kind == free || m.kind == row || m.refers:
		return false
	case bounded(parameter.name, "min") != "" || bounded(parameter.name, "max") != "":
		return m.kind == whole || m.kind == real
	case isTime(m) || isTime(parameter):
		return isTime(m) && parameter.term.ends("aftertime")
	case len(m.values) > 0 && len(parameter.values) > 0:
		return slices.ContainsFunc(m.values, func(v string) bool { return slices.Contains(parameter.values, v) })
	}
	return true
}

// listing returns the records that a request selects. If it selects by ids or by references of the records,
// the time that it takes depends on how many ids are named and how many records clients have touched, and
// not on how many records there are.
func (s *Sandbox) listing(q *request) listing {
	c := q.op.target.collection
	l := listing{of: c, order: c.all()}
	conditions := s.conditions(q)
	for i, f := range s.filters(q) {
		if i == 0 && f.by != byTree && f.of == c && f.noun != attributeValueNoun {
			l.order = c.matching(f)
		}
		conditions = append(conditions, func(r record) bool { return s.passes(c, r, f) })
	}
	if c.gathers {
		conditions = append(conditions, q.gathered())
	}
	if len(conditions) > 0 {
		l.keeps = func(r record) bool {
			return !slices.ContainsFunc(conditions, func(holds func(record) bool) bool { return !holds(r) })
		}
	}
	return l
}

// firstReading returns the first kind of reading that a request asks for, empty if it asks for none.
// Seeded readings are of this kind.
func (q *request) firstReading() string {
	for _, name := range []string{"readingId", "readingIds"} {
		if ids := textsOf(q.args[name]); len(ids) > 0 {
			return ids[0]
		}
	}
	return ""
}

// gathered returns the conditions of a request for readings that clients have sent. A reading must be of the
// kind and the time asked for. If the request asks for the latest ones as of a time, no other may be later.
func (q *request) gathered() func(record) bool {
	_, asksLatest := q.op.query["asOfTime"]
	start, end, asOf := jsonText(q.args["startTime"]), jsonText(q.args["endTime"]), jsonText(q.args["asOfTime"])
	when := func(r record) string { return jsonText(r.overlay["happenedAtTime"]) }
	isAsked := func(r record) bool {
		at := when(r)
		return (start == "" || !isBefore(at, start)) && (end == "" || isBefore(at, end)) && (asOf == "" || !isBefore(asOf, at)) &&
			(q.args["readingId"] == nil || q.args["readingId"] == r.overlay["readingId"])
	}
	series := func(r record) string { return jsonText(r.overlay["entityId"]) + " " + jsonText(r.overlay["readingId"]) }
	latest := map[string]record{}
	for _, r := range q.op.target.collection.touched {
		other, ok := latest[series(r)]
		isLater := isBefore(when(other), when(r)) || !isBefore(when(r), when(other)) && r.n > other.n
		if asksLatest && isAsked(r) && (!ok || isLater) {
			latest[series(r)] = r
		}
	}
	return func(r record) bool {
		if !r.isCreated() {
			_, isSent := latest[r.key+" "+q.firstReading()]
			return !isSent
		}
		return isAsked(r) && (!asksLatest || latest[series(r)].n == r.n)
	}
}

// filters returns the ids by which a request selects records.
func (s *Sandbox) filters(q *request) []filter {
	var out []filter
	add := func(m *member, v any) {
		f := filter{by: s.filterBy(q.op, m), noun: m.noun, ids: textsOf(v), of: q.op.target.collection}
		switch f.by {
		case byID:
			f.noun = f.of.noun
		case byReference, byTree:
			if m.noun == tagNoun {
				f.of = s.tagged(q.op, m)
			}
			for i, id := range f.ids {
				if _, r, ok := s.referable.find(f.noun, id); ok {
					f.ids[i] = r.key
				}
			}
		case byNothing, byMember, byTime, byMinimum, byMaximum, byShowing, byReading:
			return
		}
		out = append(out, f)
	}
	for _, name := range slices.Sorted(maps.Keys(q.args)) {
		if m := q.op.query[name]; m != nil && q.args[name] != nil {
			add(m, q.args[name])
		}
	}
	for _, name := range slices.Sorted(maps.Keys(q.body)) {
		if m := q.op.body.named[name]; m != nil && m.shape == list {
			add(m, q.body[name])
		}
	}
	return out
}

// conditions returns the conditions that a request sets on the members of records.
func (s *Sandbox) conditions(q *request) []func(record) bool {
	var out []func(record) bool
	for _, name := range slices.Sorted(maps.Keys(q.op.query)) {
		m := q.op.query[name]
		values := textsOf(q.args[name])
		if len(values) == 0 {
			values = m.usual()
		}
		by := s.filterBy(q.op, m)
		if by != byMember && by != byTime && by != byMinimum && by != byMaximum || len(values) == 0 || slices.Contains(values, "all") {
			continue
		}
		target, of := s.filtered(q.op, m)
		view := view{schema: &schema{members: []*member{target}, named: map[string]*member{target.name: target}}, of: of, at: q.now, live: q.op.live, kinds: s.kinds}
		out = append(out, func(r record) bool {
			r, ok := s.subject(q.op.target.collection, r, of)
			return ok && slices.ContainsFunc(textsOf(s.fleet.show(r, view)[target.name]), func(v string) bool {
				switch by {
				case byTime:
					return !isBefore(v, values[0])
				case byMinimum:
					return numberIn(v) >= numberIn(values[0])
				case byMaximum:
					return numberIn(v) <= numberIn(values[0])
				default:
				}
				return slices.ContainsFunc(values, func(want string) bool { return strings.EqualFold(v, want) })
			})
		})
	}
	return out
}

// usual returns the values that Samsara takes for a parameter that is not sent, none if it then does not
// select by it.
func (m *member) usual() []string {
	switch {
	case m.rule.GetDefault() != "":
		return []string{m.rule.GetDefault()}
	case m.term.is("driveractivationstatus"):
		return []string{"active"} // as the document says of each of these, of some in prose only
	}
	return nil
}

// subject returns the record of another collection that a record refers to, or the record itself.
func (s *Sandbox) subject(c *collection, r record, of *collection) (record, bool) {
	if c == of {
		return r, true
	}
	ids := append(idsIn(r.overlay[of.noun+"Id"]), idsIn(r.overlay[of.noun])...)
	switch {
	case len(ids) > 0:
		return of.find(ids[0])
	case r.isCreated():
		return record{}, false
	}
	return of.get(ref(r.n, 0, of.seeded))
}

func isBefore(text, limit string) bool {
	at, err := time.Parse(time.RFC3339, text)
	bound, boundErr := time.Parse(time.RFC3339, limit)
	return err != nil || boundErr == nil && at.Before(bound)
}

// numberIn returns the number in a text, 0 for none.
func numberIn(text string) float64 {
	v, err := strconv.ParseFloat(text, 64)
	if err != nil {
		return 0 // cannot happen: it was a number
	}
	return v
}

// textsOf returns the texts of a value, or of the values in a list.
func textsOf(v any) []string {
	switch v := v.(type) {
	case nil:
		return nil
	case bool:
		return []string{strconv.FormatBool(v)}
	case []any:
		return texts(v)
	}
	return []string{jsonText(v)}
}

// matching returns the numbers of the records that may pass a filter: the few that can match its ids, and
// all that clients have touched.
func (c *collection) matching(f filter) order {
	numbers := slices.Collect(maps.Keys(c.touched))
	for _, id := range f.ids {
		if r, ok := c.find(id); ok && f.noun == c.noun {
			numbers = append(numbers, r.n)
		}
		if t := c.tie(f.noun + "Ids"); t != nil {
			for _, key := range t.others(id) {
				numbers = append(numbers, numberOfID(key))
			}
		}
		if n := numberOfID(id); f.noun != c.noun && n >= 1 && n <= c.seeded {
			numbers = append(numbers, n, (n+c.seeded-2)%c.seeded+1) // see references
		}
	}
	slices.Sort(numbers)
	numbers = slices.Compact(numbers)
	return order{count: len(numbers), at: func(i int) uint64 { return numbers[i] }}
}

// passes reports whether a filter selects a record of a collection.
func (s *Sandbox) passes(c *collection, r record, f filter) bool {
	if f.noun == c.noun && f.by != byTree {
		return slices.ContainsFunc(f.ids, func(id string) bool { return r.key == id || c.isAlias(r, id) })
	}
	if c.gathers && f.noun == "reading" && !r.isCreated() {
		return true // which has readings of all kinds
	}
	r, ok := s.subject(c, r, f.of)
	return ok && slices.ContainsFunc(f.of.referred(r, f.noun), func(id string) bool {
		if slices.Contains(f.ids, id) {
			return true
		}
		of, other, ok := s.kinds.find(f.noun, id)
		return ok && f.by == byTree && slices.ContainsFunc(f.ids, func(above string) bool { return of.isWithin(other, above) })
	})
}

// tagged returns the collection whose tags a filter is about: the collection listed, if its records have
// tags; the one that the parameter names, as vehicleTagIds does; or the one of the record that each listed
// record is about.
func (s *Sandbox) tagged(op *operation, m *member) *collection {
	c := op.target.collection
	prefix := strings.TrimSuffix(strings.TrimSuffix(m.name, "TagIds"), "Parent")
	if c.tie("tagIds") != nil {
		return c
	}
	for _, noun := range entities() {
		if of := s.kinds[noun]; len(of) > 0 && of[0].tie("tagIds") != nil &&
			(noun == prefix || op.envelope.record.named[noun] != nil || op.envelope.record.named[noun+"Id"] != nil) {
			return of[0]
		}
	}
	return c
}

// referred returns the ids of the records of a noun that a record refers to. Seeded records refer to the
// record of their own number, and by tags to the next one, too. Created records refer to those that their
// clients have named.
func (c *collection) referred(r record, noun string) []string {
	if t := c.tie(noun + "Ids"); t != nil {
		return t.told(r.key)
	}
	if noun == attributeValueNoun && c.attributed != nil {
		return c.attributed.valueIDs(c, r)
	}
	if ids, ok := saidIDs(r.overlay, noun); ok || r.isCreated() {
		return ids
	}
	ids := []string{idOf(ref(r.n, 0, c.seeded))}
	if noun == tagNoun {
		ids = append(ids, idOf(ref(r.n, 1, c.seeded)))
	}
	return ids
}

// saidIDs returns the ids of records of a noun in an object and in the objects below it. The second result
// is false if it has no member for such records.
func saidIDs(v any, noun string) (ids []string, ok bool) {
	switch v := v.(type) {
	case []any:
		for _, element := range v {
			more, said := saidIDs(element, noun)
			ids, ok = append(ids, more...), ok || said
		}
	case map[string]any:
		for name, below := range v {
			switch name {
			case noun, noun + "Id", noun + "Ids":
				ids, ok = append(ids, idsIn(below)...), true
			default:
				more, said := saidIDs(below, noun)
				ids, ok = append(ids, more...), ok || said
			}
		}
	}
	return ids, ok
}
