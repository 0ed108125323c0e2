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

// create makes a record of each input of a request, all or none. An input that names an existing record
// changes it.
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

// existing returns the record that an input changes instead of making one, number 0 if there is none. An
// element of a list may have the id of a record, and a request for plan orders may ask to find them by
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

// distinct returns the members that are unique among the records of a kind, as the documentation says. Of a
// list of several members the combination is unique.
func distinct(noun string) [][]string {
	switch noun {
	case "driver":
		return [][]string{{"username"}, {"licenseNumber", "licenseState"}}
	case "order":
		return [][]string{{"customerOrderId", "planId"}}
	}
	return nil
}

// takenStatus is the status of a refusal because another record has the key. The documentation gives
// one for gateways only, and declares 409 for no operation.
func takenStatus(noun string) int {
	if noun == "gateway" {
		return http.StatusNotFound
	}
	return http.StatusBadRequest
}

// taken refuses a unique value that another record has: of members that are unique in their kind, and of
// external ids, which are unique among the records of all kinds.
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

// repeats refuses an input with a unique value that an earlier input of the same request has.
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

// alike returns a record, other than own, with the values of an input for all names. For a name that the
// input leaves out it compares with the value of own.
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
	// A unique value of a seeded record ends in the record's number.
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

// belonging returns the keys of the records that belong to the owners that a request names: the records
// that clients have created for them, else the seeded record with the owner's number. If the request names
// no owner, it is the first record.
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

// outcome is how an action changes a record: the new status is named after the action, such as accepted
// after accept. The zero outcome changes nothing.
type outcome struct {
	status *member
	value  string
	when   []string // the members for the time of the change
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

// of returns the overlay of a record after the change at a time.
func (o outcome) of(r record, now time.Time) map[string]any {
	change := map[string]any{o.status.name: o.value}
	for _, name := range o.when {
		change[name] = timestamp(now)
	}
	return merged(r.overlay, nil, change)
}

// idAs returns the id that a client gave a record, or its key, in the type of a member.
func (r record) idAs(m *member) (any, bool) {
	switch given := r.overlay["id"]; {
	case given != nil && m.term.is("id"):
		return m.fit(given)
	case m.term.is("uuid") && !r.isCreated():
		return nil, false
	}
	return m.fit(r.key)
}

// ownID returns the member that is the id of a record without a member called id, such as jobId: the first
// id that the server gives, nil if there is none.
func (s *schema) ownID(c *collection) *member {
	for _, m := range s.members {
		if m.answered && m.refers && m.kind == text && m.shape == single && !c.settable[m.name] {
			return m
		}
	}
	return nil
}

// from returns the value of a member in an object that a client has sent: under the member's name, as the
// ids of its records (tags as tagIds), or as members that are named after it.
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

// implied returns the value of a member that follows from others that a client has set: of an object from
// its flattened members, unless that is only the id, and of input from inputs with one element.
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

// flattened returns the members of an object that a client has sent one by one, as members named after it:
// assignee as assigneeId and assigneeType. If clients can set all members of the object in the record, as
// those of args, it repeats them.
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

// firstNestedID is above the ids of all records. The ids of objects within records, such as the stops of a
// route, begin there.
const firstNestedID = 1 << 41

// nestedID returns the id of an object within a record; false for a member that is no id.
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
