package sandbox

import (
	"fmt"
	"maps"
	"net/http"
	"slices"
	"strings"
)

// held is a list in the records of a collection whose elements, called things, get ids from the server,
// such as the stops of routes.
type held struct {
	of   *collection
	list *member
}

// held returns the lists whose things have ids of their own, by the noun of the thing: routeStop.
func (k kinds) held() map[string]held {
	out := map[string]held{}
	for _, of := range k {
		for _, c := range of {
			for name := range c.numbered {
				if m := c.records[name]; m != nil && m.shape == list && m.isReference() && len(k[m.noun]) == 0 {
					out[c.noun+capital(m.noun)] = held{c, m}
				}
			}
		}
	}
	return out
}

// things returns the things in a list of a record.
func (s *Sandbox) things(h held, r record) []any {
	shown := s.fleet.show(r, view{
		schema: &schema{members: []*member{h.list}, named: map[string]*member{h.list.name: h.list}}, of: h.of, at: s.now(), depth: 1, kinds: s.kinds,
	})
	things, _ := shown[h.list.name].([]any)
	return things
}

// findHeld returns the id of the thing, in any record, with an id or an external id. The time it takes
// depends on how many records clients have touched, and not on how many there are.
func (s *Sandbox) findHeld(h held, id string) (string, bool) {
	numbers := slices.Collect(maps.Keys(h.of.touched))
	if n := numberOfID(id); n >= 1 && n <= h.of.seeded {
		numbers = append(numbers, n, (n+h.of.seeded-2)%h.of.seeded+1) // see fleet.another
	}
	external, value, isExternal := strings.Cut(id, ":")
	for _, n := range numbers {
		r, ok := h.of.get(n)
		if !ok {
			continue
		}
		for _, thing := range s.things(h, r) {
			values, _ := thing.(map[string]any)
			ids, _ := values["externalIds"].(map[string]any)
			if own := jsonText(values["id"]); own == id || isExternal && jsonText(ids[external]) == value {
				return own, true
			}
		}
	}
	return "", false
}

// strange refuses a patch of things that a record does not have.
func (s *Sandbox) strange(q *request, input map[string]any, r record) *refusal {
	var problems []string
	for _, noun := range slices.Sorted(maps.Keys(s.held)) {
		h := s.held[noun]
		sent, _ := input[h.list.name].([]any)
		if h.of != q.op.target.collection || len(sent) == 0 {
			continue
		}
		before := s.things(h, r)
		for i, thing := range sent {
			values, _ := thing.(map[string]any)
			if id := jsonText(values["id"]); id != "" && thingOf(before, id) == nil {
				problems = append(problems, notThere([]string{noun}, fmt.Sprintf("%s[%d].id", h.list.name, i), id))
			}
		}
	}
	if len(problems) > 0 {
		return refuse(http.StatusBadRequest, "%s", strings.Join(problems, "; "))
	}
	return nil
}

// thingOf returns the thing with an id, nil if there is none.
func thingOf(things []any, id string) map[string]any {
	for _, thing := range things {
		if values, _ := thing.(map[string]any); jsonText(values["id"]) == id {
			return values
		}
	}
	return nil
}

// adapted returns an input for a record with an overlay, or for a new one, as it is stored: things that it
// names by their ids keep the members that it leaves out; an object has only the branch that was sent; and
// a record with isResolved has the status resolved.
func (c *collection) adapted(overlay, shown, input map[string]any) map[string]any {
	input = maps.Clone(input)
	for _, name := range slices.Sorted(maps.Keys(input)) {
		m := c.records[name]
		switch v := input[name].(type) {
		case []any:
			if c.numbered[name] {
				before, ok := overlay[name].([]any)
				if !ok {
					before, _ = shown[name].([]any)
				}
				input[name] = c.numberedAs(m, before, v)
			}
		case map[string]any:
			if m != nil && m.isRecord() && m.shape == single {
				input[name] = m.schema.branch(v)
			}
		case bool:
			if is, ok := strings.CutPrefix(name, "is"); ok && v {
				c.become(uncapital(is), input)
			}
		}
	}
	return input
}

// become sets the status members of an input to a status, such as resolved.
func (c *collection) become(is string, input map[string]any) {
	for _, status := range c.statuses {
		if slices.Contains(status.values, is) {
			input[status.name] = is
		}
	}
}

// numberedAs returns the things that a client sends to replace those before. A thing that it names by its
// id keeps the members that are not sent. Other things get ids.
func (c *collection) numberedAs(m *member, before, sent []any) []any {
	out := make([]any, 0, len(sent))
	for _, thing := range sent {
		values, isObject := thing.(map[string]any)
		if !isObject || m == nil || !hasID(m.schema) {
			return sent
		}
		if was := thingOf(before, jsonText(values["id"])); was != nil && jsonText(values["id"]) != "" {
			out = append(out, mergePatch(outdated(was, values), values))
			continue
		}
		c.things++
		values = maps.Clone(values)
		if id, ok := m.schema.named["id"].nestedID(mixNumber(mix(0, c.noun+m.name), c.things)); ok {
			values["id"] = id
		}
		out = append(out, values)
	}
	return out
}

// outdated returns the members of an object that are still valid after others are sent: not address after
// addressId, and of a stop not singleUseLocation after addressId, or the reverse.
func outdated(was, sent map[string]any) map[string]any {
	out := maps.Clone(was)
	for name, v := range sent {
		switch {
		case v == nil:
		case name == "singleUseLocation":
			delete(out, "address")
			delete(out, "addressId")
		case name == "addressId":
			delete(out, "singleUseLocation")
			delete(out, "address")
		case strings.HasSuffix(name, "Id"):
			delete(out, strings.TrimSuffix(name, "Id"))
		}
	}
	return out
}

// branches returns the members of an object of which it has only the one that its type names, such as
// circle and polygon of a geofence. Most objects have none.
func (s *schema) branches() []*member {
	var out []*member
	for _, m := range s.members {
		if m.kind == object && m.shape == single && s.named["type"] != nil && slices.Contains(s.named["type"].values, m.name) {
			out = append(out, m)
		}
	}
	return out
}

// branch returns a patch of an object that also removes all branches except the one that it sends.
func (s *schema) branch(patch map[string]any) map[string]any {
	branches := s.branches()
	i := slices.IndexFunc(branches, func(m *member) bool { return patch[m.name] != nil })
	if i < 0 {
		return patch
	}
	out := maps.Clone(patch)
	for _, m := range branches {
		if m != branches[i] {
			out[m.name] = nil
		}
	}
	out["type"] = branches[i].name
	return out
}

// carryOut changes the other records that an input says it changes: it resolves the defects of
// resolvedDefectIds.
func (s *Sandbox) carryOut(q *request, input map[string]any) {
	for _, name := range slices.Sorted(maps.Keys(input)) {
		ids, _ := input[name].([]any)
		word, isIDs := strings.CutSuffix(name, "Ids")
		for noun, of := range s.kinds {
			verb, ok := strings.CutSuffix(word, capital(noun))
			if is := of[0].records["is"+capital(verb)]; !isIDs || !ok || is == nil || is.kind != truth {
				continue
			}
			for _, id := range texts(ids) {
				if r, ok := of[0].find(id); ok {
					of[0].update(r, merged(r.overlay, nil, map[string]any{"is" + capital(verb): true}), q.now)
				}
			}
		}
	}
}
