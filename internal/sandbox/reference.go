package sandbox

import (
	"encoding/json"
	"fmt"
	"maps"
	"net/http"
	"slices"
	"strings"
)

// settle checks that the records exist which a request refers to, and puts the id of each in its place:
// a client may name a record by an external id. A single reference that is empty refers to nothing. No
// record may come to be below itself.
func (s *Sandbox) settle(q *request) *refusal {
	if q.op.verb == http.MethodGet {
		return nil
	}
	var problems []string
	for _, name := range slices.Sorted(maps.Keys(q.op.query)) {
		if v, sent := q.args[name]; sent && name != q.op.target.param {
			problems = append(problems, s.settleMember(q, q.op.query[name], name, &v)...)
			q.args[name] = v
		}
	}
	if q.op.body != nil {
		problems = append(problems, s.settleObject(q, q.op.body, "", q.body)...)
	}
	problems = append(problems, q.cycles()...)
	if len(problems) > 0 {
		return refuse(http.StatusBadRequest, "%s", strings.Join(problems, "; "))
	}
	return nil
}

func (s *Sandbox) settleObject(q *request, of *schema, path string, values map[string]any) []string {
	var problems []string
	for _, name := range slices.Sorted(maps.Keys(values)) {
		if path == "" && name == q.op.target.param {
			continue // says which record the request is about
		}
		v := values[name]
		problems = append(problems, s.settleMember(q, of.named[name], path+name, &v)...)
		values[name] = v
	}
	return problems
}

// settleMember settles the value of a member, and what is below it.
func (s *Sandbox) settleMember(q *request, m *member, path string, v *any) []string {
	if m.kind == object && m.schema.root != nil {
		return s.settleMember(q, m.schema.root, path, v)
	}
	var (
		problems []string
		noun     = s.refersTo(q, m)
		elements = []any{*v}
	)
	switch m.shape {
	case list:
		elements, _ = (*v).([]any)
	case dict:
		return nil // its names are the client's
	case single:
		if id := jsonText(*v); noun != "" && !m.rule.GetRequired() && m.kind != object && (id == "" || id == "0") {
			*v = nil
			return nil
		}
		if joined, isText := (*v).(string); isText && strings.HasSuffix(m.name, "Ids") {
			elements = listOf(strings.Split(joined, ","))
		}
	}
	for i, element := range elements {
		at := path
		if m.shape == list {
			at = fmt.Sprintf("%s[%d]", path, i)
		}
		values, isObject := element.(map[string]any)
		switch {
		case isObject && m.isRecord():
			if id, told := values["id"]; told && noun != "" {
				problems = append(problems, s.settleID(m.schema.named["id"], noun, at+".id", &id)...)
				values["id"] = id
			}
			problems = append(problems, s.settleObject(q, m.schema, at+".", values)...)
		case noun != "" && m.kind != object && element != nil:
			problems = append(problems, s.settleID(m, noun, at, &elements[i])...)
		}
	}
	if len(elements) > 1 && m.shape == single {
		*v = strings.Join(texts(elements), ",")
	} else if m.shape == single {
		*v = elements[0]
	}
	return problems
}

func (s *Sandbox) settleID(m *member, noun, path string, id *any) []string {
	_, r, ok := s.kinds.find(noun, jsonText(*id))
	if !ok {
		return []string{fmt.Sprintf("%s: there is no %s %s", path, words(noun), quote(jsonText(*id)))}
	}
	if m.kind == whole || m.kind == real {
		*id = json.Number(r.key)
	} else {
		*id = r.key
	}
	return nil
}

// refersTo returns the kind of record that a member of a request refers to, empty for none: by its
// name, as the object that tells its id, or because the record that is written has records under this
// name.
func (s *Sandbox) refersTo(q *request, m *member) string {
	var (
		c     = q.op.target.collection
		shown = c.records[m.name]
		noun  = ""
	)
	switch {
	case m.kind == object:
		if m.isReference() && isEntity(m.noun) {
			noun = m.noun
		}
	case m.refers:
		noun = c.nounOf(m)
	case m.shape == list && shown != nil && shown.shape == list && shown.isReference():
		noun = shown.noun
	}
	if len(s.kinds[noun]) == 0 {
		return ""
	}
	return noun
}

// referable returns the kinds of record that requests may refer to: those that can be asked for singly,
// and those that are only listed.
func (k kinds) referable(ops []*operation) kinds {
	out := maps.Clone(k)
	for _, op := range ops {
		c := op.target.collection
		isList := op.verb == http.MethodGet && !op.item && op.envelope.isList && !op.GetFeed()
		if isList && len(out[c.noun]) == 0 && c.noun == nounOf(op.base) && hasID(op.envelope.record) {
			out[c.noun] = []*collection{c}
		}
	}
	return out
}

// cycles returns what a request would put below itself.
func (q *request) cycles() []string {
	c := q.op.target.collection
	inputs := q.inputs()
	if q.op.effect != merges && q.op.effect != replaces || c.up == "" || len(inputs) == 0 {
		return nil
	}
	id := jsonText(inputs[0][c.up])
	above, ok := c.find(id)
	if !ok {
		return nil
	}
	for _, own := range q.ids() {
		if r, ok := c.find(own); ok && c.isWithin(above, r.key) {
			return []string{fmt.Sprintf("%s: %s is the %s itself or below it", c.up, quote(id), words(c.noun))}
		}
	}
	return nil
}
