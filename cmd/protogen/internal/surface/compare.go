package surface

import (
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"

	"google.golang.org/protobuf/proto"

	"samsara.internal/gateway/cmd/protogen/internal/model"
	gatewayv1 "samsara.internal/gateway/gen/samsara/gateway/v1"
)

// Class is what a change means for clients that are deployed. A greater one includes the lesser.
type Class int

// The classes of changes.
const (
	None       Class = iota // the same, byte for byte
	Cosmetic                // texts, known values, formats, bounds and defaults: nothing that is checked or sent
	Additive                // an operation or a field that was not there, and that nobody has to use
	Structural              // what is there goes on working, but somebody should look
	Breaking                // what a deployed client sends or reads is no longer sent or read
)

// String is the class in a word.
func (c Class) String() string {
	return [...]string{"none", "cosmetic", "additive", "structural", "breaking"}[c]
}

// MarshalText is the class in a word.
func (c Class) MarshalText() ([]byte, error) { return []byte(c.String()), nil }

// Change is one difference between the tree and what a document would make of it.
type Change struct {
	Class  Class  `json:"class"`
	What   string `json:"what"`             // such as "field retyped"
	Where  string `json:"where"`            // the full name of a method, field or package
	Detail string `json:"detail,omitempty"` // what it was and what it is
}

// comparison collects the changes from one tree to a later one, in which everything of the first is
// under the same name.
type comparison struct {
	changes []Change
	sent    map[*message]bool  // what operations in good standing send, in the later tree
	live    map[string]*method // operations in good standing by operationId, in the later tree
	told    map[*field]bool    // what is told of a whole answer, in the later tree
}

func (c *comparison) add(class Class, what, where, format string, args ...any) {
	c.changes = append(c.changes, Change{class, what, where, fmt.Sprintf(format, args...)})
}

// unsupported adds an operation that cannot be expressed: whoever regenerates has to leave it out by
// name.
func (c *comparison) unsupported(err error) {
	where := "the document"
	var operation *model.OperationError
	if errors.As(err, &operation) {
		where = operation.Name
	}
	text, _, _ := strings.Cut(err.Error(), "\n")
	c.add(Structural, "operation not supported", where, "%s", text)
}

func (c *comparison) compare(before, after *tree) {
	c.sent, c.live, c.told = map[*message]bool{}, map[string]*method{}, map[*field]bool{}
	for _, p := range after.packages {
		for _, m := range p.methods {
			if !m.deprecated {
				c.live[m.operation.GetId()] = m
				m.request.use(c.sent)
			}
		}
	}
	for _, p := range after.sorted() {
		old := before.at(p.Place)
		for _, m := range p.methods {
			i := slices.IndexFunc(old.methods, func(other *method) bool { return other.name == m.name })
			if i < 0 {
				c.add(Additive, "operation added", m.fullName(), "%s", m.withTwins())
				continue
			}
			c.method(old.methods[i], m)
		}
		for _, m := range p.messages {
			if i := slices.IndexFunc(old.messages, func(other *message) bool { return other.name == m.name }); i >= 0 {
				c.message(old.messages[i], m)
			}
		}
	}
}

func (c *comparison) method(before, after *method) {
	where := after.fullName()
	moved := c.live[after.operation.GetId()]
	switch {
	case before.deprecated && after.deprecated:
		return
	case before.deprecated:
		c.add(Additive, "operation back", where, "%s", after.line())
	case after.deprecated && moved != nil && moved != after && after.gone:
		c.add(Breaking, "operation moved", where, "calls %s still; %s is now %s", after.line(), moved.line(), moved.fullName())
	case after.deprecated && moved != nil && moved != after:
		c.add(Structural, "operation moved", where, "goes on working; %s is now %s", moved.line(), moved.fullName())
	case after.deprecated && after.gone:
		c.add(Breaking, "operation removed", where, "calls %s still", after.line())
		return
	case after.deprecated:
		c.add(Structural, "operation deprecated", where, "%s", after.line())
	}
	c.annotation(where, before.operation, after.operation)
	c.answer(where, before.response, after.response)
	for _, t := range before.twins {
		if after.twin(t.stream.GetShape()) == nil {
			c.add(Breaking, "stream removed", after.place().String()+"."+after.place().Service()+"."+t.name, "of %s", after.name)
		}
	}
	for _, t := range after.twins {
		where := after.place().String() + "." + after.place().Service() + "." + t.name
		switch old := before.twin(t.stream.GetShape()); {
		case old == nil:
			c.add(Additive, "stream added", where, "of %s", after.name)
		case t.unserved && !old.unserved && !before.deprecated:
			c.add(Breaking, "stream not served", where, "the pages of %s can no longer be read one after the other", after.name)
		case t.deprecated && !old.deprecated && !after.deprecated:
			c.add(Structural, "stream deprecated", where, "%s no longer pages", after.name)
		case t.stream.GetEndRequired() && !old.stream.GetEndRequired():
			c.add(Breaking, "end of stream required", where, "the document now says both that it ends now and that it never does")
		}
	}
}

// annotation compares what methods say of an operation.
func (c *comparison) annotation(where string, before, after *gatewayv1.Operation) {
	if was, is := line(before), line(after); was != is {
		c.add(Structural, "operation moved", where, "calls %s, called %s", is, was)
	}
	if before.GetScope() != after.GetScope() {
		c.add(Cosmetic, "scope changed", where, "%q, now %q", before.GetScope(), after.GetScope())
	}
	if !proto.Equal(before.GetRateLimit(), after.GetRateLimit()) {
		c.add(Structural, "rate limit changed", where, "%s, now %s", limitText(before.GetRateLimit()), limitText(after.GetRateLimit()))
	}
	for _, fact := range []struct {
		name          string
		before, after any
	}{
		{"operationId", before.GetId(), after.GetId()},
		{"body", before.GetBody(), after.GetBody()},
		{"pagination", before.GetPagination(), after.GetPagination()},
		{"feed", before.GetFeed(), after.GetFeed()},
		{"repeatable", before.GetRepeatable(), after.GetRepeatable()},
		{"success status", before.GetSuccessStatus(), after.GetSuccessStatus()},
		{"place of records", before.GetItems(), after.GetItems()},
	} {
		if fact.before != fact.after {
			c.add(Structural, "operation changed", where, "%s %v, now %v", fact.name, fact.before, fact.after)
		}
	}
}

func limitText(limit *gatewayv1.RateLimit) string {
	if limit == nil {
		return "none"
	}
	return fmt.Sprintf("%d per %s", limit.GetRequests(), windowWord(limit))
}

// envelope is the name of the member in which Samsara wraps an answer, if it does.
const envelope = "data"

// answer compares the form of two answers. One that was bare and is wrapped, or the reverse, goes on
// working as far as its members are in both.
func (c *comparison) answer(where string, before, after *message) {
	was, is := before.current(envelope), after.current(envelope)
	if !after.bothForms(is) || was != nil && (was.deprecated == is.deprecated || !was.is(model.KindMessage)) {
		return
	}
	what, from, to, fromPrefix, toPrefix := "answer wrapped", before, is.message, "", is.name+"."
	if is.deprecated {
		what, from, to, fromPrefix, toPrefix = "answer bare", was.message, after, is.name+".", ""
	}
	var in []string
	var below comparison
	told := []string{is.wire()}
	for _, f := range from.fields {
		if f.deprecated {
			continue
		}
		name, other := after.pkg.String()+"."+after.name+"."+fromPrefix+f.name, to.current(f.wire())
		switch {
		case other == nil:
			below.add(Breaking, "field removed", name, "%s", f.typeIn(from.pkg))
		case f.kind != other.kind || f.label != other.label:
			below.add(Structural, "field retyped", name, "%s, now %s in %s", f.typeIn(from.pkg), other.typeIn(to.pkg), toPrefix+other.name)
			fallthrough
		default:
			in = append(in, fromPrefix+f.name)
		}
		told = append(told, f.wire())
	}
	if len(in) == 0 {
		return
	}
	c.add(Structural, what, where, "read in both forms: %s", strings.Join(in, ", "))
	c.changes = append(c.changes, below.changes...)
	for _, f := range after.fields {
		c.told[f] = slices.Contains(told, f.wire())
	}
}

// bothForms says whether the gateway reads an answer as one wrapped in a member and as a bare one: of
// that member and all others that are not retired either side is deprecated and the other is not. See
// package transcode.
func (m *message) bothForms(wraps *field) bool {
	return wraps != nil && wraps.is(model.KindMessage) && !slices.ContainsFunc(m.fields, func(f *field) bool {
		return f.wire() != wraps.wire() && !f.options.GetRetired() && f.deprecated == wraps.deprecated
	})
}

// named returns the field of that name, nil if there is none.
func (m *message) named(name string) *field {
	i := slices.IndexFunc(m.fields, func(f *field) bool { return f.name == name })
	if i < 0 {
		return nil
	}
	return m.fields[i]
}

// message compares the fields of a message that was there before.
func (c *comparison) message(before, after *message) {
	for _, f := range after.fields {
		if c.told[f] {
			continue
		}
		where, was, sent := after.pkg.String()+"."+after.name+"."+f.name, before.named(f.name), c.sent[after]
		switch successor, predecessor := after.successor(f), before.successor(f); {
		case was == nil && predecessor != nil:
			// It is told of the field that it replaces, except what a client must send now.
			if sent && f.options.GetRequired() && !predecessor.options.GetRequired() {
				c.add(Breaking, "field required", where, "")
			}
		case was == nil && f.options.GetRequired() && sent:
			c.add(Breaking, "required field added", where, "%s", f.typeIn(after.pkg))
		case was == nil:
			c.add(Additive, "field added", where, "%s", f.typeIn(after.pkg))
		case f.options.GetRetired() && !was.options.GetRetired() && successor != nil:
			c.add(Structural, "field retyped", where, "%s, now %s in %s", f.typeIn(after.pkg), successor.typeIn(after.pkg), successor.name)
		case f.options.GetRoot() && f.gone && !was.deprecated && sent && after.live():
			// What is set is sent, as it always was.
			c.add(Structural, "field retyped", where, "%s, now an object", f.typeIn(after.pkg))
		case f.gone && !was.deprecated:
			c.add(Breaking, "field removed", where, "%s", f.typeIn(after.pkg))
		default:
			c.field(where, was, f, sent)
		}
	}
}

// live says whether the document has a field of the message.
func (m *message) live() bool {
	return slices.ContainsFunc(m.fields, func(f *field) bool { return !f.deprecated })
}

// successor returns the newest field for what another one is for, nil if there is none that is not
// retired.
func (m *message) successor(other *field) *field {
	i := slices.IndexFunc(m.fields, func(f *field) bool { return f.slot() == other.slot() && !f.options.GetRetired() })
	if i < 0 {
		return nil
	}
	return m.fields[i]
}

// field compares what is said of a field that is in the document, or was in neither.
func (c *comparison) field(where string, before, after *field, sent bool) {
	was, is := before.options, after.options
	switch {
	case before.deprecated && !after.deprecated:
		c.add(Additive, "field back", where, "")
	case !before.deprecated && after.deprecated:
		c.add(Structural, "field deprecated", where, "")
	}
	switch {
	case sent && !was.GetRequired() && is.GetRequired():
		c.add(Breaking, "field required", where, "")
	case was.GetRequired() != is.GetRequired():
		c.add(Cosmetic, "field changed", where, "required %t, now %t", was.GetRequired(), is.GetRequired())
	}
	for _, fact := range []struct {
		class         Class
		name          string
		before, after any
	}{
		{Structural, "location", was.GetIn(), is.GetIn()},
		{Structural, "array style", was.GetArrayStyle(), is.GetArrayStyle()},
		{Structural, "root", was.GetRoot(), is.GetRoot()},
		{Cosmetic, "format", was.GetFormat(), is.GetFormat()},
		{Cosmetic, "minimum", bound(was.Minimum), bound(is.Minimum)},
		{Cosmetic, "maximum", bound(was.Maximum), bound(is.Maximum)},
		{Cosmetic, "default", was.GetDefault(), is.GetDefault()},
	} {
		if fact.before != fact.after {
			c.add(fact.class, "field changed", where, "%s %v, now %v", fact.name, fact.before, fact.after)
		}
	}
	if !slices.Equal(was.GetValues(), is.GetValues()) {
		c.add(Cosmetic, "known values changed", where, "%s", valuesText(was.GetValues(), is.GetValues()))
	}
}

func bound(v *float64) string {
	if v == nil {
		return "none"
	}
	return strconv.FormatFloat(*v, 'f', -1, 64)
}

// valuesText says which values came and which went.
func valuesText(before, after []string) string {
	var all []string
	for _, v := range after {
		if !slices.Contains(before, v) {
			all = append(all, "+"+strconv.Quote(v))
		}
	}
	for _, v := range before {
		if !slices.Contains(after, v) {
			all = append(all, "-"+strconv.Quote(v))
		}
	}
	if len(all) == 0 {
		return "another order"
	}
	return strings.Join(all, " ")
}

func (m *method) fullName() string {
	return m.place().String() + "." + m.place().Service() + "." + m.name
}

// withTwins is the operation as the first line of a request has it, and the names of its twins.
func (m *method) withTwins() string {
	text := m.line()
	for i, t := range m.twins {
		text += []string{", with ", " and "}[min(i, 1)] + t.name
	}
	return text
}

// line is the operation as the first line of a request has it.
func (m *method) line() string { return line(m.operation) }

func line(o *gatewayv1.Operation) string {
	return strings.TrimPrefix(o.GetMethod().String(), "HTTP_METHOD_") + " " + o.GetPath()
}
