package surface

import (
	"bytes"
	"cmp"
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"

	"google.golang.org/protobuf/proto"

	"samsara.internal/gateway/cmd/protogen/internal/model"
	apiv1 "samsara.internal/gateway/gen/api/v1"
)

// Severity says what a change means for deployed clients. A greater one includes the lesser ones.
type Severity int

// The severities of changes.
const (
	None       Severity = iota // the same, byte for byte
	Cosmetic                   // texts, known values, formats, bounds and defaults: nothing that is checked or sent
	Additive                   // an operation or a field that was not there, and that nobody has to use
	Structural                 // what exists goes on working, but somebody should look
	Breaking                   // what a deployed client sends or reads is no longer sent or read
)

// String returns the severity as a word.
func (s Severity) String() string {
	return [...]string{"none", "cosmetic", "additive", "structural", "breaking"}[s]
}

// MarshalText returns the severity as a word.
func (s Severity) MarshalText() ([]byte, error) { return []byte(s.String()), nil }

// Change is one difference between the tree and what a document would make of it.
type Change struct {
	Severity Severity `json:"severity"`
	What     string   `json:"what"`             // such as "field retyped"
	Where    string   `json:"where"`            // the full name of a method, field or package
	Detail   string   `json:"detail,omitempty"` // what it was and what it is
}

// Report is everything that a document would change in the tree.
type Report struct {
	Severity     Severity `json:"severity"`      // the greatest of the changes
	Files        int      `json:"files"`         // that would be written
	LinesAdded   int      `json:"lines_added"`   // in these files
	LinesRemoved int      `json:"lines_removed"` // from these files
	Changes      []Change `json:"changes"`       // the most severe first, then by what and where
}

// Drift returns what Update would change in the tree below root, and changes nothing. What makes Update
// refuse the document is a change in the report that somebody has to look at, not an error.
func Drift(ctx context.Context, m model.Model, root string) (Report, error) {
	r, err := regenerate(ctx, m, root)
	if err != nil {
		return Report{}, err
	}
	c := comparison{changes: r.report.Changes}
	for _, err := range m.Idle {
		c.add(Structural, "correction changes nothing", "the corrections", "%v", err)
	}
	for _, err := range m.Unused {
		c.add(Structural, "left out for nothing", "the list of what is left out", "%v", err)
	}
	for _, err := range slices.Concat(m.Unsupported, r.problems) {
		c.unsupported(err)
	}
	r.report.Changes = c.changes
	r.report.sort()
	return r.report, nil
}

// count adds what would be written to the report. If a file differs but has no change, its texts have
// changed.
func (r *Report) count(after *tree, root string) error {
	for _, p := range after.sorted() {
		want := p.print()
		have, err := os.ReadFile(filepath.Join(root, filepath.FromSlash(p.File()))) //nolint:gosec // the caller names the tree
		if err != nil && !os.IsNotExist(err) {
			return err
		}
		if bytes.Equal(have, want) {
			continue
		}
		added, removed := lines(have, want)
		r.Files++
		r.LinesAdded += added
		r.LinesRemoved += removed
		if slices.ContainsFunc(r.Changes, func(c Change) bool { return strings.HasPrefix(c.Where, p.String()+".") }) {
			continue
		}
		severity, what := Cosmetic, "texts changed"
		if have == nil {
			severity, what = Additive, "package added"
		}
		r.Changes = append(r.Changes, Change{severity, what, p.String(), fmt.Sprintf("%d lines added, %d removed", added, removed)})
	}
	return nil
}

// lines counts the lines that one text has more often than the other.
func lines(have, want []byte) (added, removed int) {
	counts := map[string]int{}
	for line := range bytes.Lines(want) {
		counts[string(line)]++
	}
	for line := range bytes.Lines(have) {
		counts[string(line)]--
	}
	for _, n := range counts {
		added += max(0, n)
		removed += max(0, -n)
	}
	return added, removed
}

// comparison collects the changes from one tree to a later one, which has everything of the first under
// the same name.
type comparison struct {
	changes []Change
	sent    map[*message]bool  // what operations that are not deprecated send, in the later tree
	told    map[*field]bool    // fields that the change of a whole answer covers, in the later tree
	live    map[string]*method // operations that are not deprecated by HTTP method and path, in the later tree
}

func (c *comparison) add(severity Severity, what, where, format string, args ...any) {
	c.changes = append(c.changes, Change{severity, what, where, fmt.Sprintf(format, args...)})
}

// unsupported adds a change for an operation that cannot be expressed: whoever regenerates has to leave
// it out by name.
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
	c.sent, c.told, c.live = map[*message]bool{}, map[*field]bool{}, map[string]*method{}
	for _, p := range after.packages {
		for _, m := range p.methods {
			if !m.deprecated {
				m.request.use(c.sent)
				c.live[m.line()] = m
			}
		}
	}
	for _, p := range after.sorted() {
		old := before.at(p.Package)
		for _, m := range p.methods {
			i := slices.IndexFunc(old.methods, func(other *method) bool { return other.name == m.name })
			if i < 0 {
				c.add(Additive, "operation added", m.fullName(), "%s", m.withTwins())
				continue
			}
			c.method(old.methods[i], m)
			c.answer(m.fullName(), old.methods[i].response, m.response)
			c.removed(old.methods[i], m)
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
	switch {
	case before.deprecated && after.deprecated:
		return
	case before.deprecated:
		c.add(Additive, "operation back", where, "%s", after.line())
	case after.deprecated && after.gone && c.live[after.line()] != nil:
		// The operation has another id, and a method belongs to an id.
		c.add(Structural, "operation deprecated", where, "%s goes on working, and is now %s", after.line(), c.live[after.line()].fullName())
		return
	case after.deprecated && after.gone:
		c.add(Breaking, "operation removed", where, "calls %s still", after.line())
		return
	case after.deprecated:
		c.add(Structural, "operation deprecated", where, "%s", after.line())
	}
	if before.line() != after.line() {
		c.add(Structural, "operation moved", where, "%s, now %s", before.line(), after.line())
	}
	c.annotation(where, before.operation, after.operation)
	for _, t := range after.twins {
		where := after.pkg().String() + "." + after.pkg().Service() + "." + t.name
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

// annotation compares what methods say of their operation.
func (c *comparison) annotation(where string, before, after *apiv1.Operation) {
	if before.GetScope() != after.GetScope() {
		c.add(Cosmetic, "scope changed", where, "%q, now %q", before.GetScope(), after.GetScope())
	}
	if before.GetStage() != after.GetStage() {
		c.add(Cosmetic, "stage changed", where, "%s, now %s", before.GetStage(), after.GetStage())
	}
	if !proto.Equal(before.GetRateLimit(), after.GetRateLimit()) {
		c.add(Structural, "rate limit changed", where, "%s, now %s", limitText(before.GetRateLimit()), limitText(after.GetRateLimit()))
	}
	for _, fact := range []struct {
		name          string
		before, after any
	}{
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

func limitText(limit *apiv1.RateLimit) string {
	if limit == nil {
		return "none"
	}
	return fmt.Sprintf("%d per %s", limit.GetRequests(), windowWord(limit))
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
			// The change is that of the field that it replaces, except that a client must now send it.
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
			// A client that sets it still sends it.
			c.add(Structural, "field retyped", where, "%s, now an object", f.typeIn(after.pkg))
		case f.gone && !was.deprecated:
			c.add(Breaking, "field removed", where, "%s", f.typeIn(after.pkg))
		default:
			c.field(where, was, f, sent)
		}
	}
}

// successor returns the field that is not retired and fills the same slot as another one, nil if there is
// none.
func (m *message) successor(other *field) *field {
	i := slices.IndexFunc(m.fields, func(f *field) bool { return f.slot() == other.slot() && !f.options.GetRetired() })
	if i < 0 {
		return nil
	}
	return m.fields[i]
}

// field compares what is said of a field that the document has, or that neither document has.
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
		severity      Severity
		name          string
		before, after any
	}{
		{Structural, "location", was.GetIn(), is.GetIn()},
		{Structural, "array style", was.GetArrayStyle(), is.GetArrayStyle()},
		{Structural, "order counts", was.GetOrdered(), is.GetOrdered()},
		{Structural, "root", was.GetRoot(), is.GetRoot()},
		{Structural, "other names", namesText(was.GetOtherNames()), namesText(is.GetOtherNames())},
		{Cosmetic, "format", was.GetFormat(), is.GetFormat()},
		{Cosmetic, "minimum", bound(was.Minimum), bound(is.Minimum)},
		{Cosmetic, "maximum", bound(was.Maximum), bound(is.Maximum)},
		{Cosmetic, "default", was.GetDefault(), is.GetDefault()},
	} {
		if fact.before != fact.after {
			c.add(fact.severity, "field changed", where, "%s %v, now %v", fact.name, fact.before, fact.after)
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

func namesText(names []string) string { return cmp.Or(strings.Join(names, ", "), "none") }

// valuesText returns which values were added and which removed.
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
	return m.pkg().String() + "." + m.pkg().Service() + "." + m.name
}

// line returns the operation's HTTP method and path, as in the first line of a request.
func (m *method) line() string {
	return strings.TrimPrefix(m.operation.GetMethod().String(), "HTTP_METHOD_") + " " + m.operation.GetPath()
}

// withTwins returns line and the names of the method's twins.
func (m *method) withTwins() string {
	text := m.line()
	for i, t := range m.twins {
		text += []string{", with ", " and "}[min(i, 1)] + t.name
	}
	return text
}

// removed adds a change for each twin that a method no longer has.
func (c *comparison) removed(before, after *method) {
	for _, t := range before.twins {
		if after.twin(t.stream.GetShape()) == nil {
			c.add(Breaking, "stream removed", after.pkg().String()+"."+after.pkg().Service()+"."+t.name, "of %s", after.name)
		}
	}
}
