package sandbox

import (
	"cmp"
	"encoding/json"
	"maps"
	"net/http"
	"slices"
	"strings"
	"time"
)

// create makes a record of each input of a request, all or none. Inputs that name a record which is
// there change it.
func (s *Sandbox) create(q *request) ([]record, *refusal) {
	c, inputs := q.op.target.collection, q.inputs()
	were, added := make([]record, len(inputs)), 0
	for i, input := range inputs {
		was, why := s.existing(q, input)
		if why == nil {
			why = s.taken(q, input, was)
		}
		if why == nil {
			why = repeats(c.noun, inputs[:i], input)
		}
		if why != nil {
			return nil, why
		}
		if were[i] = was; was.n == 0 {
			added++
		}
	}
	for c.gathers && c.created > 0 && !c.room(added) {
		c.forget()
	}
	if !c.room(added) {
		return nil, refuse(http.StatusBadRequest, "Configuration limit exceeded: at most %d records may be created", maxCreated)
	}
	records := make([]record, len(inputs))
	for i, input := range inputs {
		if was := were[i]; was.n != 0 {
			shown := s.shown(q, was)
			records[i] = c.update(was, merged(was.overlay, shown, c.adapted(was.overlay, shown, input)), q.now)
			continue
		}
		input = c.adapted(nil, nil, input)
		if c.view {
			input["type"] = c.noun
		}
		var why *refusal
		if records[i], why = c.add(input, q.now); why != nil {
			return nil, why // of the only one: no list holds keys
		}
		s.carryOut(q, input)
	}
	return records, nil
}

// existing returns the record that an input is to change rather than to make, number 0 if there is
// none: an element of a list may have the id of one, and plan orders may be told to go by their
// customerOrderId.
func (s *Sandbox) existing(q *request, input map[string]any) (record, *refusal) {
	c := q.op.target.collection
	if id := jsonText(input["id"]); id != "" && q.op.holds != nil && q.op.holds.shape == list {
		r, ok := c.find(id)
		if !ok {
			return record{}, unknown("id", id)
		}
		return r, nil
	}
	if q.body["enableUpdateExistingOrders"] == true {
		for _, names := range distinct(c.noun) {
			if r, ok := s.alike(q, names, input, record{}); ok {
				return r, nil
			}
		}
	}
	return record{}, nil
}

// distinct returns the members of which the documentation says that no two records of a kind have the
// same, of several together.
func distinct(noun string) [][]string {
	switch noun {
	case "driver":
		return [][]string{{"username"}, {"licenseNumber", "licenseState"}}
	case "order":
		return [][]string{{"customerOrderId", "planId"}}
	}
	return nil
}

// takenStatus is the status of a refusal because a record has a key already. The documentation tells
// that of gateways only, and declares 409 for no operation.
func takenStatus(noun string) int {
	if noun == "gateway" {
		return http.StatusNotFound
	}
	return http.StatusBadRequest
}

// taken refuses what another record has and only one may: what is distinct in its kind, and a value of
// an external id, which is distinct among the records of all kinds.
func (s *Sandbox) taken(q *request, input map[string]any, own record) *refusal {
	c := q.op.target.collection
	for _, names := range distinct(c.noun) {
		if _, ok := s.alike(q, names, input, own); ok {
			return alreadyOf(c.noun, names, input)
		}
	}
	external, _ := input["externalIds"].(map[string]any)
	for _, name := range slices.Sorted(maps.Keys(external)) {
		id := name + ":" + jsonText(external[name])
		for noun := range s.kinds {
			_, r, ok := s.kinds.find(noun, id)
			if ok && external[name] != nil && (family(noun) != family(c.noun) || r.n != own.n) {
				return externalTaken(name, external[name])
			}
		}
	}
	return nil
}

func externalTaken(name string, id any) *refusal {
	return refuse(http.StatusBadRequest, "externalIds.%s: %s is already that of another record", shorten(name), quote(jsonText(id)))
}

func alreadyOf(noun string, names []string, values map[string]any) *refusal {
	said := make([]string, 0, len(names))
	for _, name := range names {
		said = append(said, quote(jsonText(values[name])))
	}
	return refuse(http.StatusBadRequest, "%s: %s is already that of another %s", strings.Join(names, ", "), strings.Join(said, ", "), words(noun))
}

// repeats refuses an input that has what one before it in the same request has and only one may.
func repeats(noun string, before []map[string]any, input map[string]any) *refusal {
	external, _ := input["externalIds"].(map[string]any)
	for _, name := range slices.Sorted(maps.Keys(external)) {
		for _, other := range before {
			if ids, _ := other["externalIds"].(map[string]any); ids[name] != nil && jsonText(ids[name]) == jsonText(external[name]) {
				return externalTaken(name, external[name])
			}
		}
	}
	for _, names := range distinct(noun) {
		for _, other := range before {
			if jsonText(input[names[0]]) != "" && !slices.ContainsFunc(names, func(name string) bool { return jsonText(other[name]) != jsonText(input[name]) }) {
				return alreadyOf(noun, names, input)
			}
		}
	}
	return nil
}

// alike returns another record than own that has what an input says of all members of a list. Of what
// the input leaves out the value of own counts.
func (s *Sandbox) alike(q *request, names []string, input map[string]any, own record) (record, bool) {
	var wanted []string
	asked := false
	for _, name := range names {
		v, ok := input[name]
		if asked = asked || ok; !ok {
			v = own.overlay[name]
		}
		if jsonText(v) == "" {
			return record{}, false
		}
		wanted = append(wanted, jsonText(v))
	}
	if !asked {
		return record{}, false
	}
	has := func(values map[string]any) bool {
		for i, name := range names {
			if jsonText(values[name]) != wanted[i] {
				return false
			}
		}
		return true
	}
	c := q.op.target.collection
	// What is seeded and must be distinct ends in the record's number.
	if r, ok := c.get(lastNumber(wanted[0])); ok && r.n != own.n && r.overlay[names[0]] == nil && has(s.shown(q, r)) {
		return r, true
	}
	for n := range c.touched {
		if r, ok := c.get(n); ok && n != own.n && has(r.overlay) {
			return r, true
		}
	}
	return record{}, false
}

// belonging returns the keys of the records that belong to those that a request names: of those that
// clients have created so, else of the seeded one of their number. Without any it is the first of all.
func (c *collection) belonging(q *request) []string {
	owners := map[string]string{}
	for _, name := range q.op.owners() {
		if id := jsonText(cmp.Or(q.args[name], q.body[name])); id != "" {
			owners[name] = id
		}
	}
	var keys []string
	for _, n := range slices.Sorted(maps.Keys(c.touched)) {
		r, ok := c.get(n)
		for name, id := range owners {
			ok = ok && jsonText(r.overlay[name]) == id
		}
		if ok && r.isCreated() && len(owners) > 0 {
			keys = append(keys, r.key)
		}
	}
	if len(keys) > 0 {
		return keys
	}
	ids := slices.Compact(slices.Sorted(maps.Values(owners)))
	if len(ids) == 0 {
		ids = []string{idOf(1)}
	}
	if r, ok := c.find(ids[0]); ok && len(ids) == 1 {
		return []string{r.key}
	}
	return nil
}

// outcome is what becomes of a record by an action: its status is called as the action is, such as
// accepted after accept. The zero outcome is of actions that leave it as it is.
type outcome struct {
	status *member
	value  string
	when   []string // the members that say when it became so
}

func (c *collection) outcomeOf(op *operation) outcome {
	if !op.isAction() || op.target.in == nowhere {
		return outcome{}
	}
	verb := string(termOf(op.segments[len(op.segments)-1].literal))
	undone, undoes := strings.CutPrefix(verb, "un")
	for _, m := range c.statuses {
		for _, v := range m.values {
			switch t := string(termOf(v)); {
			case verb != "" && strings.HasPrefix(t, verb):
				o := outcome{status: m, value: v}
				if op.envelope.record == nil {
					return o
				}
				for _, happens := range op.envelope.record.members {
					if happens.status != nil && happens.status.name == m.name && happens.when == v && happens.isTime {
						o.when = append(o.when, happens.name)
					}
				}
				return o
			case undoes && strings.HasPrefix(t, undone):
				return outcome{status: m, value: m.initial}
			}
		}
	}
	return outcome{}
}

// of returns the overlay of a record to which it happens at a time.
func (o outcome) of(r record, now time.Time) map[string]any {
	change := map[string]any{o.status.name: o.value}
	for _, name := range o.when {
		change[name] = timestamp(now)
	}
	return merged(r.overlay, nil, change)
}

// idAs returns what a client calls a record by, or its key, as a member holds it.
func (r record) idAs(m *member) (any, bool) {
	switch given := r.overlay["id"]; {
	case given != nil && m.term.is("id"):
		return m.fit(given)
	case m.term.is("uuid") && !r.isCreated():
		return nil, false
	}
	return m.fit(r.key)
}

// ownID returns the member of a record without an id that is its id nonetheless, such as jobId: the
// first that the server gives, nil if there is none.
func (s *schema) ownID(c *collection) *member {
	for _, m := range s.members {
		if m.answered && m.refers && m.kind == text && m.shape == single && !c.settable[m.name] {
			return m
		}
	}
	return nil
}

// from returns what an object that a client has sent says of a member: by the member's name, by the ids
// of what it holds (tags by tagIds), or by the members that are called after it.
func (m *member) from(sent map[string]any) (any, bool) {
	if v := sent[m.name]; v != nil {
		if fitting, ok := m.fit(v); ok {
			return fitting, true
		}
	}
	if members := m.flattened(sent, nil); len(members) > 0 {
		return m.fitOne(members)
	}
	if m.shape != list || !m.isReference() {
		return nil, false
	}
	ids, _ := sent[singular(m.name)+"Ids"].([]any)
	if ids == nil {
		ids, _ = sent[m.name].([]any)
	}
	objects := make([]any, 0, len(ids))
	for _, id := range ids {
		objects = append(objects, map[string]any{"id": id})
	}
	fitting, ok := m.fit(objects)
	return fitting, ok && len(ids) > 0
}

// implied returns the value of a member that follows from others that a client has set: of an object its
// parts, unless only its id is told, and input of inputs if these are one.
func (m *member) implied(set map[string]any, of *collection) (any, bool) {
	if m.shape != single {
		return nil, false
	}
	if members := m.flattened(set, of); len(members) > 1 || len(members) == 1 && members["id"] == nil {
		return members, true
	}
	if each, _ := set[m.name+"s"].([]any); len(each) == 1 {
		return each[0], true
	}
	return nil, false
}

// flattened returns the members of an object that a client has sent one by one, in members that are called
// after it: assignee in assigneeId and assigneeType. An object of a record which has nothing but what
// clients set of the record repeats that, as args does.
func (m *member) flattened(sent map[string]any, of *collection) map[string]any {
	if !m.isRecord() || m.shape != single {
		return nil
	}
	repeats := of != nil && !hasID(m.schema) && !of.settable[m.name] && len(m.schema.members) > 1
	for _, below := range m.schema.members {
		repeats = repeats && of.settable[below.name]
	}
	members := map[string]any{}
	for _, below := range m.schema.members {
		for _, name := range []string{m.name + capital(below.name), below.name} {
			isAfter := len(name) > len(m.name) && strings.HasPrefix(name, m.name)
			if v := sent[name]; v != nil && (isAfter || repeats) {
				members[below.name] = v
			}
		}
	}
	return members
}

// firstNestedID is above the ids of all records: of what records hold, such as the stops of a route,
// each has an id of its own.
const firstNestedID = 1 << 41

// nestedID returns the id of something that a record holds; false for a member that is no id.
func (m *member) nestedID(h uint64) (any, bool) {
	id := idOf(firstNestedID + h>>24)
	switch {
	case !m.term.is("id") || m.shape != single:
	case m.kind == whole:
		return json.Number(id), true
	case m.kind == text && m.rule.GetFormat() == "uuid":
		return uuidOf(h), true
	case m.kind == text:
		return id, true
	}
	return nil, false
}
