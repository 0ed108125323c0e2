package sandbox

import (
	"encoding/json"
	"fmt"
	"maps"
	"net/http"
	"slices"
	"strings"
)

// settle checks that the records that a request refers to exist, and replaces external ids by the ids of
// the records. A single reference that is empty refers to nothing. It refuses to put a record below itself.
func (s *Sandbox) settle(q *request) *refusal {
	if q.op.verb == http.MethodGet {
		return nil
	}
	var problems []string
	for _, name := range slices.Sorted(maps.Keys(q.op.query)) {
		if v, sent := q.args[name]; sent && name != q.op.target.param {
			problems = append(problems, s.settleMember(q, q.op.query[name], name, &v, q.args)...)
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
		problems = append(problems, s.settleMember(q, of.named[name], path+name, &v, values)...)
		values[name] = v
	}
	return problems
}

// settleMember settles the value of a member, and the values below it. beside has the members of the same
// object.
func (s *Sandbox) settleMember(q *request, m *member, path string, v *any, beside map[string]any) []string {
	if m.kind == object && m.schema.root != nil {
		return s.settleMember(q, m.schema.root, path, v, beside)
	}
	var (
		problems []string
		nouns    []string
		elements = []any{*v}
	)
	if m.kind != object {
		nouns = s.refersTo(q, m, beside)
	}
	switch m.shape {
	case list:
		elements, _ = (*v).([]any)
	case dict:
		return nil // the client chooses the names
	case single:
		if id := jsonText(*v); len(nouns) > 0 && !m.rule.GetRequired() && (id == "" || id == "0") {
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
			problems = append(problems, s.settleRecord(q, m, at, values)...)
			problems = append(problems, s.settleObject(q, m.schema, at+".", values)...)
		case len(nouns) > 0 && element != nil:
			problems = append(problems, s.settleID(m, nouns, at, &elements[i])...)
		}
	}
	if len(elements) > 1 && m.shape == single {
		*v = strings.Join(texts(elements), ",")
	} else if m.shape == single {
		*v = elements[0]
	}
	return problems
}

// settleRecord settles which record an object refers to: by its id or, without one, by its name, as in the
// attributes of a driver. Other objects may have the external id of an entity instead of entityId.
func (s *Sandbox) settleRecord(q *request, m *member, path string, values map[string]any) []string {
	nouns := s.refersTo(q, m, values)
	id, told := values["id"]
	name, named := values["name"].(string)
	switch {
	case len(nouns) > 0 && told:
		problems := s.settleID(m.schema.named["id"], nouns, path+".id", &id)
		values["id"] = id
		return problems
	case len(nouns) == 1 && named && m.shape == list && isEntity(nouns[0]):
		r, ok := s.referable[nouns[0]][0].named(name)
		if !ok {
			return []string{notThere(nouns, path+".name", name)}
		}
		values["id"] = r.key
	case m.schema.named["entityId"] != nil && values["entityId"] == nil && values["externalId"] != nil:
		for _, noun := range s.typed("entityType", values, q.body) {
			if key, ok := s.lookUp(noun, jsonText(values["externalId"])); ok {
				values["entityId"] = key
			}
		}
	}
	return nil
}

func (s *Sandbox) settleID(m *member, nouns []string, path string, id *any) []string {
	for _, noun := range nouns {
		key, ok := s.lookUp(noun, jsonText(*id))
		switch {
		case !ok:
			continue
		case m.kind == whole || m.kind == real:
			*id = json.Number(key)
		default:
			*id = key
		}
		return nil
	}
	return []string{notThere(nouns, path, jsonText(*id))}
}

// notThere returns the error text for a member that names a record of some kinds that does not exist.
func notThere(nouns []string, path, value string) string {
	called := make([]string, 0, len(nouns))
	for _, noun := range nouns {
		called = append(called, words(noun))
	}
	return fmt.Sprintf("%s: there is no %s %s", path, strings.Join(called, " or "), quote(value))
}

// lookUp returns the id of the record, or of the thing in a record, with an id or an external id.
func (s *Sandbox) lookUp(noun, id string) (string, bool) {
	if h, ok := s.held[noun]; ok {
		return s.findHeld(h, id)
	}
	_, r, ok := s.referable.find(noun, strings.TrimPrefix(id, noun+"-")) // learners are driver-1
	return r.key, ok
}

// refersTo returns the kinds of record that a member of a request refers to by ids. It finds them by the
// member's name, by the type beside it, or because the written record has records under this name. It
// returns none if the member refers to none or there are no records of these kinds.
func (s *Sandbox) refersTo(q *request, m *member, beside map[string]any) []string {
	c := q.op.target.collection
	shown := c.records[m.name]
	switch {
	case m.kind == object && (!m.isReference() || m == q.op.holds || m.schema.named[m.noun+"Id"] != nil):
		return nil // it has its own id, or none
	case m.kind == object:
		if nouns, known := s.meant(m.noun, false); known || m.shape != single {
			return nouns
		}
		for _, name := range []string{"entityType", "type"} {
			if nouns := s.typed(name, beside); nouns != nil {
				return nouns
			}
		}
	case m.refers:
		noun := c.nounOf(m)
		if nouns, known := s.meant(noun, true); known {
			return nouns
		}
		if noun == "external" {
			noun = "entity" // an external id also has its type in entityType
		}
		return s.typed(noun+"Type", beside, q.body)
	case m.shape == list && shown != nil && shown.shape == list && shown.isReference() && len(s.kinds[shown.noun]) > 0:
		return []string{shown.noun}
	}
	return nil
}

// meant returns the kinds of record that a word in the name of a member stands for: the kind of this name;
// the kind that the word ends in, as recurringRoute does; or, for ids, the only kind that ends in the word,
// as userRole does in role. The second result is false if the word is unknown.
func (s *Sandbox) meant(word string, isID bool) ([]string, bool) {
	word = strings.TrimSuffix(word, "Samsara") // as in partSamsaraId
	if nouns, known := synonyms(word); known {
		return s.withRecords(nouns), true
	}
	if len(s.referable[word]) > 0 {
		return []string{word}, true
	}
	for noun, h := range s.held {
		if strings.HasSuffix(word, capital(h.list.noun)) {
			return []string{noun}, true
		}
	}
	longest := ""
	var longer []string
	for noun := range s.referable {
		if strings.HasSuffix(word, capital(noun)) && len(noun) > len(longest) {
			longest = noun
		}
		if isID && strings.HasSuffix(noun, capital(word)) {
			longer = append(longer, noun)
		}
	}
	switch {
	case longest != "":
		return []string{longest}, true
	case len(longer) == 1:
		return longer, true
	}
	return nil, false
}

// withRecords returns those of some kinds that can have records.
func (s *Sandbox) withRecords(nouns []string) []string {
	return slices.DeleteFunc(nouns, func(noun string) bool { return len(s.referable[noun]) == 0 })
}

// synonyms returns the kinds of record that a word of a member's name stands for under another name. The
// second result is false for other words.
func synonyms(word string) ([]string, bool) {
	switch word {
	case "author", "coach", "mechanic":
		return []string{"user"}, true
	case "learner":
		return []string{"driver"}, true
	case "worker", "polymorphicUser":
		return []string{"user", "driver"}, true
	case "geofence":
		return []string{"address", "place"}, true
	case "partDefinition":
		return []string{"part"}, true
	case "dsa":
		return []string{"agreement"}, true
	case "reading", "sessionConfiguration", "removeHub": // kinds without a list, and one that need not exist
		return nil, true
	}
	return nil, strings.HasPrefix(word, "customer") // whose ids are the client's
}

// typed returns the kinds of record that a member, such as entityType, names in the first object that has
// it.
func (s *Sandbox) typed(name string, objects ...map[string]any) []string {
	for _, values := range objects {
		word := jsonText(values[name])
		if word == "" {
			continue
		}
		if nouns, known := synonyms(word); known {
			return s.withRecords(nouns)
		}
		return s.withRecords([]string{word})
	}
	return nil
}

// referable returns the kinds of record that requests may refer to: those that can be read by id, and those
// that are only listed.
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

// cycles returns a problem if a request would put a record below itself.
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
