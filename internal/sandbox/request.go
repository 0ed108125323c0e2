package sandbox

import (
	"fmt"
	"io"
	"maps"
	"mime"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"time"

	apiv1 "samsara.internal/gateway/gen/api/v1"
)

// MaxRequestBytes is how large a request body may be.
const MaxRequestBytes = 1 << 20

// request is an HTTP request that satisfies all rules of its operation.
type request struct {
	op          *operation
	id          string            // also in the answer
	path        map[string]string // by name, unescaped
	args        map[string]any    // path and query parameters: string, json.Number, bool or []any of these
	body        map[string]any    // nil without a body
	repeated    []*member         // arrays sent as repeated keys that are declared as joined by commas
	fingerprint uint64            // of everything but the cursor: what a cursor is bound to
	now         time.Time
	odd         OddPage // what its fault makes odd about the page
	drift       bool    // each record has a member that no message has, by its fault

	// Of a request for a page: the cursor sent, empty for the first page, and the position at which
	// the page begins.
	cursor string
	from   position
}

// read checks a request against its operation. The refusal names everything that is wrong.
func (op *operation) read(r *http.Request, names []string, now time.Time) (*request, *refusal) {
	q := &request{op: op, now: now, path: map[string]string{}, args: map[string]any{}}
	var problems []string
	for i, m := range op.path {
		v, rule := m.parse(names[i])
		if rule != "" {
			problems = append(problems, m.name+": "+rule)
		}
		q.path[m.name], q.args[m.name] = names[i], v
	}
	problems = append(problems, q.readQuery(r.URL.RawQuery)...)
	more, refused := q.readBody(r)
	if refused != nil {
		return nil, refused
	}
	if problems = append(problems, more...); len(problems) > 0 {
		return nil, refuse(http.StatusBadRequest, "%s", strings.Join(problems, "; "))
	}
	q.fingerprint = mix(mix(0, r.URL.EscapedPath()), canonicalQuery(r.URL.RawQuery))
	return q, nil
}

func (q *request) readQuery(raw string) []string {
	var problems []string
	given := map[string][]string{} // escaped
	for pair := range strings.SplitSeq(raw, "&") {
		if raw == "" {
			break
		}
		escapedName, value, _ := strings.Cut(pair, "=")
		name, err := url.QueryUnescape(escapedName)
		if err != nil || strings.Contains(pair, ";") {
			problems = append(problems, fmt.Sprintf("query: %s is not encoded correctly", quote(pair)))
			continue
		}
		given[name] = append(given[name], value)
	}
	for _, name := range slices.Sorted(maps.Keys(given)) {
		m := q.op.query[name]
		if m == nil {
			problems = append(problems, fmt.Sprintf("%s: unknown query parameter", shorten(name)))
			continue
		}
		v, rule := m.parseQuery(given[name])
		if rule != "" {
			problems = append(problems, m.name+": "+rule)
		} else if v != nil {
			q.args[name] = v
		}
		if most, sent := q.op.mostValues(name), kindsOfStatistics(textsOf(v)); most > 0 && sent > most {
			problems = append(problems, fmt.Sprintf("%s: count of values must be at most %d, is %d", name, most, sent))
		}
		if m.shape == list && len(given[name]) > 1 && m.rule.GetArrayStyle() == apiv1.ArrayStyle_ARRAY_STYLE_COMMA {
			q.repeated = append(q.repeated, m)
		}
	}
	for _, name := range slices.Sorted(maps.Keys(q.op.query)) {
		if _, ok := given[name]; q.op.query[name].rule.GetRequired() && (!ok || q.args[name] == nil && given[name][0] == "") {
			problems = append(problems, name+": is required")
		}
	}
	return problems
}

// parseQuery reads the escaped values of one parameter. An empty value counts as not sent: nil. Values that
// are declared as joined by commas may also be repeated keys, or have escaped commas: the official SDKs send
// both, as some are declared as lists and others as text.
func (m *member) parseQuery(values []string) (any, string) {
	comma := m.rule.GetArrayStyle() == apiv1.ArrayStyle_ARRAY_STYLE_COMMA
	switch {
	case m.shape == single && len(values) > 1:
		return nil, fmt.Sprintf("must be given once, is given %d times", len(values))
	case (m.shape == single || comma) && len(values) == 1 && values[0] == "":
		return nil, ""
	}
	if m.shape == list {
		if comma {
			unescape := strings.NewReplacer("%2C", ",", "%2c", ",")
			values = strings.Split(unescape.Replace(strings.Join(values, ",")), ",")
		} else if slices.ContainsFunc(values, func(v string) bool { return strings.Contains(v, ",") }) {
			return nil, "must be given once for each value, is joined by commas"
		}
	}
	parsed := make([]any, 0, len(values))
	for _, escaped := range values {
		value, err := url.QueryUnescape(escaped)
		if err != nil {
			return nil, fmt.Sprintf("is not encoded correctly: %s", quote(escaped))
		}
		v, rule := m.parse(value)
		if rule != "" {
			return nil, rule
		}
		parsed = append(parsed, v)
	}
	if m.shape == single {
		return parsed[0], ""
	}
	if rule := m.outOfBounds(float64(len(parsed))); rule != "" {
		return nil, "count of values " + rule
	}
	return parsed, ""
}

func (q *request) readBody(r *http.Request) ([]string, *refusal) {
	data, err := io.ReadAll(io.LimitReader(r.Body, MaxRequestBytes+1))
	switch {
	case err != nil:
		return nil, refuse(http.StatusBadRequest, "body: cannot be read")
	case len(data) > MaxRequestBytes:
		return nil, refuse(http.StatusRequestEntityTooLarge, "body: must be at most %d bytes", MaxRequestBytes)
	case len(data) == 0 && q.op.GetBody() == apiv1.Body_BODY_REQUIRED:
		return []string{"body: is required"}, nil
	case len(data) == 0:
		return nil, nil
	case q.op.body == nil:
		return []string{"body: is not accepted by this operation"}, nil
	}
	if media, _, err := mime.ParseMediaType(r.Header.Get("Content-Type")); err != nil || media != "application/json" {
		return []string{fmt.Sprintf("Content-Type: must be application/json, not %s", quote(r.Header.Get("Content-Type")))}, nil
	}
	v, err := decodeBody(data)
	if err != nil {
		return []string{"body: " + err.Error()}, nil
	}
	patch := q.op.verb == http.MethodPatch || q.op.verb == http.MethodPut
	if root := q.op.body.root; root != nil {
		q.body = map[string]any{root.name: v}
		return root.check("body", v, patch), nil
	}
	values, ok := v.(map[string]any)
	if !ok {
		return []string{"body: must be an object, not " + jsonType(v)}, nil
	}
	q.body = values
	problems := q.op.body.check("", values, patch)
	if patch {
		problems = append(problems, q.op.emptied("", q.op.body, values)...)
	}
	return problems, nil
}

// emptied returns a problem for each member that a patch removes although creating a record requires it.
func (op *operation) emptied(path string, s *schema, values map[string]any) []string {
	var problems []string
	for _, m := range s.members {
		v, ok := values[m.name]
		if within, isObject := v.(map[string]any); m == op.holds && isObject {
			problems = append(problems, op.emptied(m.name+".", m.schema, within)...)
		}
		if ok && v == nil && !m.rule.GetRequired() && op.target.collection.required[m.name] {
			problems = append(problems, fmt.Sprintf("%s: must not be null, because a %s is never without it", path+m.name, words(op.target.collection.noun)))
		}
	}
	return problems
}

// inputs returns the values that the client sends for each record: those of the body or of the records in
// it, and the parameters. If each id of a list makes a record, each input has one of the ids.
func (q *request) inputs() []map[string]any {
	contents := []any{q.body}
	if m := q.op.holds; m != nil {
		switch v := q.body[m.name].(type) {
		case map[string]any:
			contents = []any{v}
		case []any:
			contents = v
		}
	}
	out := make([]map[string]any, 0, len(contents))
	for _, content := range contents {
		values, _ := content.(map[string]any)
		input := maps.Clone(values)
		if input == nil {
			input = map[string]any{}
		}
		for name := range q.op.query {
			if v, ok := q.args[name]; ok && input[name] == nil && name != q.op.target.param {
				input[name] = v
			}
		}
		if q.op.each == nil {
			out = append(out, input)
			continue
		}
		ids, _ := input[q.op.each.name].([]any)
		delete(input, q.op.each.name)
		for _, id := range ids {
			one := maps.Clone(input)
			one[strings.TrimSuffix(q.op.each.name, "s")] = id
			out = append(out, one)
		}
	}
	return out
}

// inputFor returns the input for the i-th record: its own, or the one for all.
func inputFor(inputs []map[string]any, i int) map[string]any {
	if len(inputs) == 0 {
		return nil
	}
	return inputs[min(i, len(inputs)-1)]
}

// echo returns the parameters that a reply repeats in each record: the ids that all records belong to, and
// in a reply of one record all other parameters except those of paging.
func (q *request) echo() map[string]any {
	out := map[string]any{}
	if first := q.firstReading(); first != "" && q.op.target.collection.gathers {
		out["readingId"] = first
	}
	for name, v := range q.args {
		_, isList := v.([]any)
		if !isList && name != "id" && (isIDName(name) || q.op.envelope.isOne() && !isPaging(name)) {
			out[name] = v
		}
	}
	return out
}

// ids returns the ids of the records that the request is about, none if it names none.
func (q *request) ids() []string {
	switch q.op.target.in {
	case inPath:
		return []string{q.path[q.op.target.param]}
	case inQuery:
		if values, ok := q.args[q.op.target.param].([]any); ok {
			return texts(values)
		}
		for _, name := range []string{q.op.target.param, "externalId"} {
			if v, ok := q.args[name]; ok {
				return []string{jsonText(v)}
			}
		}
	case inBody:
		switch v := q.body[q.op.target.param].(type) {
		case nil:
		case []any:
			return texts(v)
		default:
			return []string{jsonText(v)}
		}
	case inEach:
		elements, _ := q.body["data"].([]any)
		out := make([]string, 0, len(elements))
		for _, element := range elements {
			values, _ := element.(map[string]any)
			out = append(out, jsonText(values[q.op.target.param]))
		}
		return out
	case nowhere, inOwners:
	}
	return nil
}

func texts(values []any) []string {
	out := make([]string, 0, len(values))
	for _, v := range values {
		out = append(out, jsonText(v))
	}
	return out
}

// canonicalQuery returns the query without its cursor, with the parameters in the order of their names. The
// values of one parameter keep their order. Each byte of a parameter stays as it was sent.
func canonicalQuery(raw string) string {
	pairs := strings.Split(raw, "&")
	pairs = slices.DeleteFunc(pairs, func(pair string) bool {
		name, _, _ := strings.Cut(pair, "=")
		return isCursor(name)
	})
	slices.SortStableFunc(pairs, func(a, b string) int {
		a, _, _ = strings.Cut(a, "=")
		b, _, _ = strings.Cut(b, "=")
		return strings.Compare(a, b)
	})
	return strings.Join(pairs, "&")
}

func isCursor(name string) bool {
	return name == "after" || name == "startingAfter" || name == "endingBefore"
}

func isPaging(name string) bool {
	return isCursor(name) || name == "limit" || name == "startTime" || name == "endTime"
}

// selected returns the record's schema without the statistics that the request's types do not name. If the
// types name none of its members, it returns the whole schema.
func (q *request) selected() *schema {
	whole := q.op.envelope.record
	types, ok := q.args["types"].([]any)
	if !ok {
		return whole
	}
	wanted := map[string]bool{}
	for _, t := range texts(types) {
		wanted[singular(t)] = true
	}
	isWanted := func(m *member) bool { return wanted[singular(m.name)] }
	if !slices.ContainsFunc(whole.members, isWanted) {
		return whole
	}
	narrowed := *whole
	narrowed.members = slices.DeleteFunc(slices.Clone(whole.members), func(m *member) bool {
		return m.isRecord() && m.schema.named["time"] != nil && !isWanted(m)
	})
	return &narrowed
}

// hidden returns the members that the request could have asked for and did not.
func (q *request) hidden() hidden {
	if len(q.op.includes) == 0 {
		return nil
	}
	out := hidden{}
	for name, member := range q.op.includes {
		if q.args[name] != true {
			out[member] = true
		}
	}
	return out
}

// view returns how the operation shows its records at a time.
func (s *Sandbox) view(q *request, at time.Time) view {
	v := view{
		schema: q.selected(), around: q.op.envelope.around, of: q.op.target.collection, echo: q.echo(), at: at, kinds: s.kinds,
	}
	v.depth, v.hidden, v.live, v.drift = v.schema.depth, q.hidden(), q.op.live, q.drift
	if v.key = v.schema.named[v.of.keyField]; v.key == nil {
		v.key = v.schema.named["id"]
	}
	if v.key == nil && v.of.readable && (q.op.item || q.op.effect == creates) {
		v.key = v.schema.ownID(v.of)
	}
	if v.key != nil && v.key.name == "name" {
		v.key = nil // clients set it
	}
	return v
}
