package sandbox

import (
	"fmt"
	"net/http"
	"slices"
	"strconv"
	"strings"

	"google.golang.org/protobuf/types/descriptorpb"

	apiv1 "samsara.internal/gateway/gen/api/v1"
	"samsara.internal/gateway/internal/endpoint"
)

// operation is one operation of the REST API: its requests, its records, and its answers.
type operation struct {
	*apiv1.Operation
	verb       string
	segments   []segment
	path       []*member // in the order of the template's names
	query      map[string]*member
	body       *schema // of the body; nil if there is none
	response   *schema
	deprecated bool

	envelope envelope
	base     string // the path, normalized, of the collection that it would have for itself
	item     bool   // the path ends in the id of one of its records
	target   key    // which record it is about; the collection is always set
	keys     []key  // other ids in the path, each of a known record
	effect   effect

	holds    *member           // of the body, that holds the record or several; nil if the body is the record
	each     *member           // a list of ids, each of which makes a record; nil for none
	includes map[string]string // the members that are shown only if a parameter is true, by the parameter
	outcome  outcome           // how an action changes the record
	live     bool              // it answers with the state at a time, rather than what is stored of records
	says     []*member         // of the body, by which an action changes the record, such as duty_status
}

// segment is a literal segment of a path template, or a name.
type segment struct{ literal, name string }

// key is the parameter that holds the id of a record, and the record's collection.
type key struct {
	in         keyLocation
	param      string
	collection *collection
}

// keyLocation is where a request holds an id.
type keyLocation uint8

const (
	nowhere keyLocation = iota
	inPath
	inQuery
	inBody
	inEach   // element of the body's data
	inOwners // the ids of the records that it belongs to
)

// effect is what an operation does to the records of its collection.
type effect uint8

const (
	reads effect = iota
	creates
	merges
	replaces
	deletes
)

func newOperation(e *endpoint.Endpoint, known schemas) (*operation, error) {
	op := &operation{Operation: e.Operation, query: map[string]*member{}}
	verb, ok := verbOf(op.GetMethod())
	if !ok {
		return nil, fmt.Errorf("%s: %s is not an HTTP method", e.FullMethod, op.GetMethod())
	}
	op.verb = verb
	if status := op.GetSuccessStatus(); status < 200 || status > 299 {
		return nil, fmt.Errorf("%s: success status must be from 200 to 299, is %d", e.FullMethod, status)
	}
	if opts, ok := e.Method.Options().(*descriptorpb.MethodOptions); ok {
		op.deprecated = opts.GetDeprecated()
	}
	if op.GetBody() != apiv1.Body_BODY_UNSPECIFIED {
		op.body = &schema{named: map[string]*member{}}
	}
	inPath := map[string]*member{}
	for _, m := range known.of(e.Method.Input(), "").members {
		switch {
		case m.rule.GetIn() == apiv1.Location_LOCATION_PATH:
			inPath[m.name] = m
		case m.rule.GetIn() == apiv1.Location_LOCATION_QUERY:
			op.query[m.name] = m
		case m.rule.GetIn() == apiv1.Location_LOCATION_BODY && op.body == nil:
			return nil, fmt.Errorf("%s: field %s goes into a body that is not declared", e.FullMethod, m.name)
		case m.rule.GetIn() == apiv1.Location_LOCATION_BODY:
			op.body.members = append(op.body.members, m)
			op.body.named[m.name] = m
			if m.rule.GetRoot() {
				op.body.root = m
			}
		case m.rule.GetIn() == apiv1.Location_LOCATION_UNSPECIFIED, m.rule.GetIn() == apiv1.Location_LOCATION_UPDATE_MASK:
		}
	}
	for text := range strings.SplitSeq(strings.TrimPrefix(op.GetPath(), "/"), "/") {
		name, isName := strings.CutPrefix(text, "{")
		if !isName {
			op.segments = append(op.segments, segment{literal: text})
			continue
		}
		name = strings.TrimSuffix(name, "}")
		if inPath[name] == nil {
			return nil, fmt.Errorf("%s: path %s: no field for the name %s", e.FullMethod, op.GetPath(), name)
		}
		op.segments = append(op.segments, segment{name: name})
		op.path = append(op.path, inPath[name])
	}
	op.response = known.of(e.Method.Output(), "")
	op.includes = op.included()
	op.envelope = envelopeOf(op.response, op.GetPagination() != apiv1.Pagination_PAGINATION_UNSPECIFIED)
	return op, nil
}

// included finds the parameters that ask for a member by its name, as includeTags does for tags,
// wherever it is in the response.
func (op *operation) included() map[string]string {
	out := map[string]string{}
	for name, m := range op.query {
		rest, ok := strings.CutPrefix(name, "include")
		if !ok || rest == "" || m.kind != truth {
			continue
		}
		if name := uncapital(rest); op.response.has(name, maxRequiredDepth) {
			out[m.name] = name
		}
	}
	return out
}

// has reports whether an object, or one at most so many levels below it, may have a member.
func (s *schema) has(name string, depth int) bool {
	if s.named[name] != nil {
		return true
	}
	return depth > 0 && slices.ContainsFunc(s.members, func(m *member) bool { return m.kind == object && m.schema.has(name, depth-1) })
}

func verbOf(m apiv1.HttpMethod) (string, bool) {
	switch m {
	case apiv1.HttpMethod_HTTP_METHOD_GET, apiv1.HttpMethod_HTTP_METHOD_POST,
		apiv1.HttpMethod_HTTP_METHOD_PUT, apiv1.HttpMethod_HTTP_METHOD_PATCH,
		apiv1.HttpMethod_HTTP_METHOD_DELETE:
		return strings.TrimPrefix(m.String(), "HTTP_METHOD_"), true
	case apiv1.HttpMethod_HTTP_METHOD_UNSPECIFIED:
	}
	return "", false
}

// isAction reports whether an operation acts on records, rather than reads or writes them.
func (op *operation) isAction() bool {
	return op.verb != http.MethodGet && op.verb != http.MethodDelete && op.effect == reads
}

// isLive reports whether an operation answers with the state at a time, or with what happened before a time
// that the request gives, rather than with what is stored of its records.
func (op *operation) isLive() bool {
	record, c := op.envelope.record, op.target.collection
	own := c.own && c.noun == nounOf(strings.TrimSuffix(op.base, "/history"))
	has := func(is func(term) bool) bool {
		return record != nil && slices.ContainsFunc(record.members, func(m *member) bool { return is(m.term) })
	}
	last := op.segments[len(op.segments)-1].literal
	switch {
	case c.gathers:
		return true
	case op.GetFeed():
		return !has(isChangeTime) || !has(isCreationTime) && has(func(t term) bool { return t.is("happenedattime") })
	case termOf(last).ends("assignments", "associations", "deletions"):
		return false
	}
	for _, name := range []string{"startTime", "endTime", "startMs", "endMs", "startDate", "endDate"} {
		if op.query[name] != nil {
			return !own && !has(isCreationTime)
		}
	}
	return last == "clocks" || last == "latest" || op.isAction() && !has(isCreationTime)
}

// saying returns the members of the body by which an action changes the record: a status, and members that
// reading these records also answers.
func (op *operation) saying(ops []*operation) []*member {
	if !op.isAction() || op.target.in == nowhere || op.body == nil {
		return nil
	}
	var out []*member
	for _, m := range op.body.members {
		isTold := slices.ContainsFunc(ops, func(reader *operation) bool {
			e := reader.envelope
			return reader.verb == http.MethodGet && reader.target.collection == op.target.collection && e.record != nil && e.record.named[m.name] != nil
		})
		if m.name != op.target.param && (isTold || m.term.ends("status")) {
			out = append(out, m)
		}
	}
	return out
}

// mostValues returns how many values a parameter of statistics may have, 0 for any number. The document
// says so in prose only.
func (op *operation) mostValues(name string) int {
	switch isStats := strings.Contains(op.GetPath(), "/stats"); {
	case isStats && name == "decorations":
		return 2
	case isStats && name == "types" && strings.HasPrefix(op.GetPath(), "/fleet/equipment"):
		return 4
	case isStats && name == "types":
		return 3
	}
	return 0
}

// kindsOfStatistics counts values as mostValues does: auxInput3 to auxInput10 count as one.
func kindsOfStatistics(values []string) int {
	seen := map[string]bool{}
	for _, v := range values {
		if n, err := strconv.Atoi(strings.TrimPrefix(v, "auxInput")); err == nil && n >= 3 && n <= 10 {
			v = "auxInput3"
		}
		seen[v] = true
	}
	return len(seen)
}

// legacy reports whether errors are bare JSON strings.
func legacy(path string) bool { return strings.HasPrefix(path, "/v1/") }

// linksName is the member of an AEMP document, in any case, that leads to its other pages.
const linksName = "links"

// envelope says where a response holds its record, or its list of records.
type envelope struct {
	record *schema // nil if the response is neither
	isList bool
	at     []*member // the path to it from the root
	around *schema   // of each record in the list: an object of its data and its status; nil for none
	paging *member   // the member that holds the cursors, if any
}

// isOne reports whether the response holds exactly one record.
func (e envelope) isOne() bool { return e.record != nil && !e.isList }

// envelopeOf recognizes the envelopes that Samsara uses: a bare list, `data` as list or object,
// one list under a name of its own (v1), a list one level down in `data` or its like, and a
// bare record.
func envelopeOf(s *schema, paged bool) envelope {
	if s.root != nil {
		if s.root.shape != list || !s.root.isRecord() {
			return envelope{}
		}
		return envelope{record: s.root.schema, isList: true, at: []*member{s.root}}
	}
	paging := s.named["pagination"]
	if paging != nil && !paging.isRecord() {
		paging = nil
	}
	lists, objects := s.containers(paging)
	switch {
	case len(lists) == 1 && (paged || lists[0].name == "data" || len(s.members) <= 2):
		e := envelope{record: lists[0].schema, isList: true, at: lists, paging: paging}
		if data := e.record.named["data"]; data != nil && data.isRecord() && data.shape == single && e.record.named["status"] != nil {
			e.around, e.record = e.record, data.schema
		}
		return e
	case len(lists) > 1 && lists[0].name == "data":
		return envelope{record: lists[0].schema, isList: true, at: lists[:1], paging: paging}
	case len(objects) > 0 && (objects[0].name == "data" || paged):
		inner, _ := objects[0].schema.containers(nil)
		if len(inner) == 1 && (len(objects[0].schema.members) == 1 || paged && objects[0].schema.lists() == len(inner)) {
			return envelope{record: inner[0].schema, isList: true, at: []*member{objects[0], inner[0]}, paging: paging}
		}
		return envelope{record: objects[0].schema, at: objects[:1], paging: paging}
	case len(s.members) == 0 || s.named["data"] != nil || paged:
		return envelope{paging: paging}
	}
	return envelope{record: s}
}

// lists returns how many members are lists, links aside.
func (s *schema) lists() int {
	n := 0
	for _, m := range s.members {
		if m.shape == list && !strings.EqualFold(m.name, linksName) {
			n++
		}
	}
	return n
}

// containers returns the members that hold a list of records and those that hold one record,
// `data` first.
func (s *schema) containers(except *member) (lists, objects []*member) {
	for _, m := range s.members {
		switch {
		case m == except || !m.isRecord() || strings.EqualFold(m.name, linksName):
		case m.shape == list:
			lists = append(lists, m)
		case m.shape == single:
			objects = append(objects, m)
		}
	}
	dataFirst := func(a, b *member) int {
		switch {
		case a.name == "data" && b.name != "data":
			return -1
		case b.name == "data" && a.name != "data":
			return 1
		}
		return 0
	}
	slices.SortStableFunc(lists, dataFirst)
	slices.SortStableFunc(objects, dataFirst)
	return lists, objects
}
