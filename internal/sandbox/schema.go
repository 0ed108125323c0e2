package sandbox

import (
	"cmp"
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"
	"time"
	"unicode/utf8"

	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/reflect/protoreflect"

	apiv1 "samsara.internal/gateway/gen/api/v1"
)

// kind is the JSON type of a member, or of its elements if it is a list or a map.
type kind uint8

const (
	text kind = iota
	whole
	real
	truth
	object
	free // any JSON value: google.protobuf.Value and Struct
	row  // any JSON array: google.protobuf.ListValue
)

// shape is how many values a member holds.
type shape uint8

const (
	single shape = iota
	list
	dict
)

// member is one member of a JSON object.
type member struct {
	name     string       // as in JSON and in the URL
	rule     *apiv1.Field // what the annotation states
	answered bool         // answers have it
	kind     kind
	shape    shape
	schema   *schema // of an object, else nil

	label []byte // the name as it stands in JSON, with its colon

	// From the name, for inventing values.
	term    term
	noun    string   // what it holds or refers to, such as vehicle
	refers  bool     // it holds the id of another record, or several
	parent  bool     // it is the record above in the tree of its kind, or its id
	isTime  bool     // it says when something is
	values  []string // the allowed ones that are not empty
	weights []uint64 // of each of them: its hash
	// The object has the member only if another one, status, has the value when: acceptedAtTime if the
	// status is accepted, resolvedBy if isResolved is true. Nil if it depends on none.
	status *member
	when   string
	// The status that says whether the event of a time has happened: submittedAtTime has not while it is
	// notStarted. Nil for other members.
	course  *member
	initial string // the allowed value of a record that was just created
	fact    *fact  // the fact that other answers tell by this name, too; nil for none
	text    func(subject) string
	number  func(subject) float64
}

// schema is a message as JSON.
type schema struct {
	root    *member // the value of the whole message, if it is not an object
	members []*member
	named   map[string]*member

	// Of the records of a response: how many levels of objects to invent, and about how many
	// values that makes.
	depth, leaves int
}

// schemas compiles each message once for each schema that it stands for. So recursive messages end.
type schemas map[variant]*schema

// variant is a message as one of the schemas that it stands for; of most the schema is empty, because
// it makes no difference.
type variant struct {
	message protoreflect.FullName
	schema  string
}

func (c schemas) of(md protoreflect.MessageDescriptor, as string) *schema {
	v := variant{md.FullName(), as}
	if s, ok := c[v]; ok {
		return s
	}
	s := &schema{named: map[string]*member{}}
	c[v] = s
	for i := range md.Fields().Len() {
		m := c.member(md.Fields().Get(i), as)
		if m.rule.GetRetired() {
			continue
		}
		if m.rule.GetRoot() {
			s.root = m
		}
		s.members = append(s.members, m)
		s.named[m.name] = m
	}
	slices.SortStableFunc(s.members, func(a, b *member) int { return cmp.Compare(a.name, b.name) })
	for _, m := range s.members {
		s.depend(m)
	}
	return s
}

// depend finds the status that a member depends on or, of a branch, the type that names it.
func (s *schema) depend(m *member) {
	if !m.answered && slices.Contains(s.branches(), m) {
		m.status, m.when = s.named["type"], m.name
		return
	}
	if m.shape != single || m.kind != text && m.kind != object {
		return
	}
	for _, status := range s.members {
		values := status.values
		flag, isFlag := strings.CutPrefix(string(status.term), "is")
		isFlag = isFlag && status.kind == truth
		switch {
		case status.shape != single:
			continue
		case isFlag:
			values = []string{flag}
		case status.kind != text || !status.term.ends("status"):
			continue
		case m.isTime && m.term.has("started", "submitted", "completed") && slices.Contains(values, notStarted):
			m.course = status
		}
		for _, v := range values {
			rest, ok := strings.CutPrefix(string(m.term), string(termOf(v)))
			if !ok || m.answered || !term(rest).is("at", "attime", "time", "by", "byuserid") {
				continue
			}
			if m.status, m.when = status, v; isFlag {
				m.when = "true"
			}
		}
	}
}

// The statuses of a form or a training until it is completed.
const notStarted, inProgress = "notStarted", "inProgress"

// never is the time of an event that has not happened, if the member must have a time.
const never = "0001-01-01T00:00:00.000Z"

// isToCome reports whether a member is of an event that has not happened while the status is this one.
func (m *member) isToCome(status string) bool {
	return status == notStarted || status == inProgress && !m.term.has("started")
}

func (c schemas) member(fd protoreflect.FieldDescriptor, as string) *member {
	m := &member{name: fd.JSONName(), rule: &apiv1.Field{}}
	if rule, ok := proto.GetExtension(fd.Options(), apiv1.E_Field).(*apiv1.Field); ok && rule != nil {
		m.rule = rule
	}
	holds := m.rule.GetSchema()
	for _, v := range m.rule.GetVariants() {
		if v.GetSchema() != as {
			continue
		}
		if holds = v.GetHolds(); len(v.GetValues()) > 0 {
			m.rule = proto.CloneOf(m.rule)
			m.rule.Values = v.GetValues()
		}
	}
	m.answered = m.rule.GetRequired() || m.rule.GetAnswered()
	if name := m.rule.GetName(); name != "" {
		m.name = name
	}
	m.term, m.noun, m.refers = termOf(m.name), nounIn(m.name), isReference(m.name)
	if m.refers {
		m.noun = nounOfReference(m.name)
	}
	m.parent = !fd.IsList() && !fd.IsMap() && strings.HasPrefix(m.name, "parent")
	m.values = slices.DeleteFunc(slices.Clone(m.rule.GetValues()), func(v string) bool { return v == "" })
	for _, v := range m.values {
		m.weights = append(m.weights, mix(0, string(termOf(v))))
	}
	m.initial = initialOf(m.values)
	m.label = append(appendString(nil, m.name), ':')
	m.text, m.number = textOf(m), numberOf(m)
	value := fd
	switch {
	case fd.IsMap():
		m.shape, value = dict, fd.MapValue()
	case fd.IsList():
		m.shape = list
	}
	switch value.Kind() {
	case protoreflect.BoolKind:
		m.kind = truth
	case protoreflect.FloatKind, protoreflect.DoubleKind:
		m.kind = real
	case protoreflect.StringKind, protoreflect.BytesKind, protoreflect.EnumKind:
		m.kind = text
	case protoreflect.MessageKind, protoreflect.GroupKind:
		switch value.Message().FullName() {
		case "google.protobuf.Value", "google.protobuf.Struct":
			m.kind = free
		case "google.protobuf.ListValue":
			m.kind = row
		default:
			m.kind, m.schema = object, c.of(value.Message(), holds)
		}
	case protoreflect.Int32Kind, protoreflect.Sint32Kind, protoreflect.Uint32Kind,
		protoreflect.Int64Kind, protoreflect.Sint64Kind, protoreflect.Uint64Kind,
		protoreflect.Sfixed32Kind, protoreflect.Fixed32Kind,
		protoreflect.Sfixed64Kind, protoreflect.Fixed64Kind:
		m.kind = whole
	}
	m.isTime = isInstant(m.term) || m.kind == text && (isDay(m.term) || isMoment(m.name, m.term))
	return m
}

// isRecord reports whether the member holds objects with members of their own.
func (m *member) isRecord() bool { return m.kind == object && m.schema.root == nil }

// isReference reports whether the member holds other records, or one, with their ids.
func (m *member) isReference() bool { return m.isRecord() && hasID(m.schema) && m.noun != "data" }

// declares reports whether a value is one of those that the member may have.
func (m *member) declares(v any) bool {
	return m.shape != single || len(m.values) == 0 || slices.Contains(m.rule.GetValues(), jsonText(v))
}

// parse reads one value from the text of a path segment or query parameter. The second result
// is the rule that the text breaks, empty if it breaks none.
func (m *member) parse(s string) (any, string) {
	var v any
	switch m.kind {
	case whole:
		if !isWhole(s) {
			return nil, fmt.Sprintf("must be a whole number, not %s", quote(s))
		}
		v = json.Number(s)
	case real:
		if !isNumber(s) {
			return nil, fmt.Sprintf("must be a number, not %s", quote(s))
		}
		v = json.Number(s)
	case truth:
		if s != "true" && s != "false" {
			return nil, fmt.Sprintf("must be true or false, not %s", quote(s))
		}
		v = s == "true"
	case text, object, free, row:
		v = s
	}
	return v, m.broken(v)
}

// broken returns the rule that one scalar value breaks, empty if it breaks none.
func (m *member) broken(v any) string {
	size := 0.0
	switch v := v.(type) {
	case string:
		if allowed := m.rule.GetValues(); len(allowed) > 0 && !slices.Contains(allowed, v) {
			return fmt.Sprintf("must be one of the %d values declared, not %s", len(allowed), quote(v))
		}
		if rule := brokenFormat(m.rule.GetFormat(), v); rule != "" {
			return rule
		}
		size = float64(utf8.RuneCountInString(v))
	case json.Number:
		if allowed := m.rule.GetValues(); len(allowed) > 0 && !slices.Contains(allowed, v.String()) {
			return fmt.Sprintf("must be one of the %d values declared, not %s", len(allowed), v)
		}
		size, _ = v.Float64() // its syntax was checked before
	default:
		return ""
	}
	if m.shape == single {
		return m.outOfBounds(size)
	}
	return "" // the bounds of a list are about its length
}

func brokenFormat(format, v string) string {
	switch format {
	case "date-time":
		if _, err := time.Parse(time.RFC3339, v); err != nil {
			return fmt.Sprintf("must be an RFC 3339 time, not %s", quote(v))
		}
	case "date":
		_, dayErr := time.Parse(time.DateOnly, v)
		_, timeErr := time.Parse(time.RFC3339, v)
		if dayErr != nil && timeErr != nil {
			return fmt.Sprintf("must be a date such as 2026-01-31, not %s", quote(v))
		}
	}
	return ""
}

// outOfBounds returns the bound that a number, a length or a count breaks.
func (m *member) outOfBounds(size float64) string {
	if m.rule.Minimum != nil && size < m.rule.GetMinimum() {
		return fmt.Sprintf("must be at least %s, is %s", decimal(m.rule.GetMinimum()), decimal(size))
	}
	if m.rule.Maximum != nil && size > m.rule.GetMaximum() {
		return fmt.Sprintf("must be at most %s, is %s", decimal(m.rule.GetMaximum()), decimal(size))
	}
	return ""
}

// isNumber reports whether a text is a JSON number; strconv takes more than that.
func isNumber(s string) bool {
	return s != "" && (s[0] == '-' || s[0] >= '0' && s[0] <= '9') && json.Valid([]byte(s))
}

// isWhole reports whether a text is a JSON number without fraction and exponent that fits into
// an int64.
func isWhole(s string) bool {
	_, err := strconv.ParseInt(s, 10, 64)
	return err == nil && isNumber(s)
}

func decimal(v float64) string { return strconv.FormatFloat(v, 'f', -1, 64) }

// check returns every rule that a JSON object breaks, each with the path of its member. If patch is
// set, null removes a member, and is allowed for members that are not required.
func (s *schema) check(path string, v map[string]any, patch bool) []string {
	var problems []string
	for _, name := range slices.Sorted(maps.Keys(v)) {
		m, ok := s.named[name]
		switch {
		case !ok:
			problems = append(problems, fmt.Sprintf("%s: unknown member", path+name))
		case v[name] == nil && m.kind != free && (!patch || m.rule.GetRequired()):
			problems = append(problems, fmt.Sprintf("%s: must not be null", path+name))
		case v[name] != nil:
			problems = append(problems, m.check(path+name, v[name], patch)...)
		}
	}
	for _, m := range s.members {
		if _, ok := v[m.name]; !ok && m.rule.GetRequired() {
			problems = append(problems, fmt.Sprintf("%s: is required", path+m.name))
		}
	}
	return problems
}

func (m *member) check(path string, v any, patch bool) []string {
	switch m.shape {
	case list:
		values, ok := v.([]any)
		if !ok {
			return []string{path + ": must be a list"}
		}
		var problems []string
		if rule := m.outOfBounds(float64(len(values))); rule != "" {
			problems = append(problems, fmt.Sprintf("%s: count of elements %s", path, rule))
		}
		for i, value := range values {
			problems = append(problems, m.checkOne(fmt.Sprintf("%s[%d]", path, i), value, false)...)
		}
		return problems
	case dict:
		values, ok := v.(map[string]any)
		if !ok {
			return []string{path + ": must be an object"}
		}
		var problems []string
		for _, key := range slices.Sorted(maps.Keys(values)) {
			problems = append(problems, m.checkOne(path+"."+shorten(key), values[key], patch)...)
		}
		return problems
	case single:
	}
	return m.checkOne(path, v, patch)
}

func (m *member) checkOne(path string, v any, patch bool) []string {
	wrong := func(want string) []string {
		return []string{fmt.Sprintf("%s: must be %s, not %s", path, want, jsonType(v))}
	}
	switch m.kind {
	case free:
		return nil
	case row:
		if _, ok := v.([]any); !ok {
			return wrong("an array")
		}
	case object:
		if root := m.schema.root; root != nil {
			return root.check(path, v, patch)
		}
		values, ok := v.(map[string]any)
		if !ok {
			return wrong("an object")
		}
		return m.schema.check(path+".", values, patch)
	case text:
		if _, ok := v.(string); !ok {
			return wrong("a string")
		}
	case truth:
		if _, ok := v.(bool); !ok {
			return wrong("true or false")
		}
	case real:
		if _, ok := v.(json.Number); !ok {
			return wrong("a number")
		}
	case whole:
		n, ok := v.(json.Number)
		if !ok {
			return wrong("a number")
		}
		if !isWhole(n.String()) {
			return []string{fmt.Sprintf("%s: must be a whole number, not %s", path, shorten(n.String()))}
		}
	}
	if rule := m.broken(v); rule != "" {
		return []string{path + ": " + rule}
	}
	return nil
}
