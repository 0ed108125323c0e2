package surface

import (
	"fmt"
	"slices"
	"strconv"
	"strings"

	"samsara.internal/gateway/cmd/protogen/internal/model"
	"samsara.internal/gateway/cmd/protogen/internal/words"
	apiv1 "samsara.internal/gateway/gen/api/v1"
)

// kept is a sentence for everything that is deprecated.
const kept = "Kept for existing clients."

func (p *pkg) comment() string {
	return fmt.Sprintf("%s has the operations of the area %s.", p.Service(), strings.ReplaceAll(p.Area, "_", " "))
}

// comment returns lines: what the method does, which operation it is, and what a caller has to know about
// it, each from a fact of the document.
func (m *method) comment() []string {
	does := words.Sentence(words.Clause(m.name, m.pages()))
	if mask := m.request.mask(); mask != "" && strings.HasPrefix(does, "Updates ") {
		does += "; `" + mask + "` says what"
	}
	lines := append([]string{does + "."}, m.reference())
	if m.pages() {
		lines = append(lines, m.paging()...)
	}
	for _, both := range m.request.ranges() {
		lines = append(lines, both.comment())
	}
	lines = append(lines, m.access("")...)
	if m.operation.GetRepeatable() {
		lines = append(lines, "The gateway repeats it after a failure.")
	} else {
		lines = append(lines, "The gateway repeats it after a failure only if Samsara cannot have processed it, or with `samsara-retry: always`.")
	}
	if m.mayBeTooLarge {
		lines = append(lines, "Samsara may answer 413, content too large: INVALID_ARGUMENT.")
	}
	if m.deprecated {
		lines = append(lines, kept)
	}
	return lines
}

// pages reports whether the method's operation pages.
func (m *method) pages() bool {
	return m.operation.GetPagination() != apiv1.Pagination_PAGINATION_UNSPECIFIED
}

// reference returns a line that says which operation of Samsara's the method is, and at which address
// Samsara describes it. The address ends with the operationId in lower case, as in all links of the
// document.
func (m *method) reference() string {
	o := m.operation
	verb := strings.TrimPrefix(o.GetMethod().String(), "HTTP_METHOD_")
	return fmt.Sprintf("Operation `%s`, %s %s: https://developers.samsara.com/reference/%s", o.GetId(), verb, o.GetPath(), strings.ToLower(o.GetId()))
}

// access returns lines that say what the token must allow, how often one may ask, and how mature the
// operation is. what is added to the rate limit.
func (m *method) access(what string) []string {
	var lines []string
	o := m.operation
	if o.GetScope() != "" {
		lines = append(lines, "Scope: "+o.GetScope()+".")
	}
	if limit := o.GetRateLimit(); limit != nil {
		lines = append(lines, fmt.Sprintf("Rate limit: %d requests per %s and organization%s.", limit.GetRequests(), windowWord(limit), what))
	}
	switch o.GetStage() {
	case apiv1.Stage_STAGE_BETA:
		lines = append(lines, "Beta: Samsara may change it.")
	case apiv1.Stage_STAGE_PREVIEW:
		lines = append(lines, "Preview: Samsara may change or remove it.")
	case apiv1.Stage_STAGE_LEGACY:
		lines = append(lines, "Legacy: superseded, and kept by Samsara for old integrations.")
	case apiv1.Stage_STAGE_UNSPECIFIED, apiv1.Stage_STAGE_STABLE:
	}
	return lines
}

// paging returns lines that say how to read all pages or each of them, and how large they are.
func (m *method) paging() []string {
	var lines, how []string
	pages := m.served(apiv1.StreamShape_STREAM_SHAPE_PAGES)
	if pages != "" {
		how = append(how, "All pages: "+pages+".")
	}
	if follow := m.served(apiv1.StreamShape_STREAM_SHAPE_FOLLOW); follow != "" {
		how = append(how, "For ever: "+follow+".")
	}
	cursor := m.request.parameter(model.CursorParameter(m.operation.GetPagination()))
	if end := m.response.path([]string{"pagination", "endCursor"}); cursor != "" && end != "" {
		how = append(how, fmt.Sprintf("Next page: `%s` is `%s` of the page before.", cursor, end))
	}
	if len(how) > 0 {
		lines = append(lines, strings.Join(how, " "))
	}
	if size := m.request.current("limit"); size != nil {
		text := "Page size: `" + size.name + "`"
		if bounds := size.bounds(); bounds != "" {
			text += ", " + lowerFirst(bounds)
		}
		if value := size.options.GetDefault(); value != "" {
			text += ", " + value + " by default"
		}
		lines = append(lines, text+".")
	} else if pages != "" {
		lines = append(lines, "No page size can be asked for. To read no more than wanted, use "+pages+" with `options.max_items`.")
	}
	return lines
}

// served returns the name of the twin of a shape, empty if there is none or if it is no longer served.
func (m *method) served(shape apiv1.StreamShape) string {
	if t := m.twin(shape); t != nil && !t.unserved {
		return t.name
	}
	return ""
}

// twinComment returns lines for a twin. stream.proto has what holds for all twins.
func (m *method) twinComment(t *twin) []string {
	var lines []string
	add := func(format string, args ...any) { lines = append(lines, fmt.Sprintf(format, args...)) }
	if t.unserved {
		return []string{"Not served any more: the pages of " + m.name + " can no longer be read one after the other.", kept}
	}
	start, end := m.request.parameter("startTime"), m.request.parameter("endTime")
	cursor := m.request.parameter(model.CursorParameter(m.operation.GetPagination()))
	if t.stream.GetShape() == apiv1.StreamShape_STREAM_SHAPE_PAGES {
		add("Every page of %s, one message a page. To go on after the end, set `options.from_cursor` to the last cursor.", m.name)
		if t.stream.GetEndRequired() {
			add("`request.%s` is required: without it, the document says both that the pages end now and that they never do.", end)
		}
	} else {
		add("Every page of %s, then for ever what is new, asked for no more often than every 5 seconds.", m.name)
		switch {
		case m.feed.Begins != "" && start != "":
			add("Without `request.%s` it begins %s.", start, m.feed.Begins)
		case m.feed.Begins != "":
			add("It begins %s.", m.feed.Begins)
		}
		switch {
		case m.feed.Contradictory():
			add("Keeps polling, though the document says both that without an end time the feed goes on and that it ends now.")
		case m.feed.EndsNow:
			add("Keeps polling, though the document says that without an end time the feed ends now.")
		}
		if end != "" {
			add("`request.%s` and `request.%s` must not be set: it goes on from `options.from_cursor`, and has no end.", cursor, end)
		} else {
			add("`request.%s` must not be set: it goes on from `options.from_cursor`.", cursor)
		}
	}
	lines = append(lines, m.reference())
	lines = append(lines, m.access(", of which each page takes one")...)
	if t.deprecated {
		add(kept)
	}
	return lines
}

// span is two fields of a request: the start and the end of a time range.
type span struct{ start, end *field }

// ranges returns the pairs of fields whose names differ only in start and end.
func (m *message) ranges() []span {
	var all []span
	for _, start := range m.fields {
		name := "_" + start.name + "_"
		other := strings.Trim(strings.Replace(name, "_start_", "_end_", 1), "_")
		i := slices.IndexFunc(m.fields, func(f *field) bool { return f.name == other })
		if other == start.name || i < 0 {
			continue
		}
		end := m.fields[i]
		if isBound := func(f *field) bool { return f.label == model.Single && f.kind.Scalar() && !f.deprecated }; isBound(start) && isBound(end) {
			all = append(all, span{start, end})
		}
	}
	return all
}

// comment returns a line that says which of the two a request needs.
func (s span) comment() string {
	start, end := "`"+s.start.name+"`", "`"+s.end.name+"`"
	both := start + " and " + end + " belong together: "
	switch needsStart, needsEnd := s.start.options.GetRequired(), s.end.options.GetRequired(); {
	case needsStart && needsEnd:
		return both + "both are required."
	case needsStart:
		return both + start + " is required."
	case needsEnd:
		return both + end + " is required."
	}
	return both + "neither is required."
}

// mask returns the name of the request's update mask, empty if it has none.
func (m *message) mask() string {
	for _, f := range m.fields {
		if f.kind == model.KindMask {
			return f.name
		}
	}
	return ""
}

func lowerFirst(text string) string { return strings.ToLower(text[:1]) + text[1:] }

// parameter returns the name of the field for a parameter, empty if there is none.
func (m *message) parameter(wire string) string {
	if f := m.current(wire); f != nil {
		return f.name
	}
	return ""
}

func windowWord(limit *apiv1.RateLimit) string {
	switch seconds := limit.GetWindow().GetSeconds(); seconds {
	case 1:
		return "second"
	case 60:
		return "minute"
	case 3600:
		return "hour"
	default:
		return strconv.FormatInt(seconds, 10) + " s"
	}
}

// comment returns what the message is: the RPC or the schemas that it belongs to.
func (m *message) comment() string {
	var sentences []string
	add := func(format string, args ...any) { sentences = append(sentences, fmt.Sprintf(format, args...)) }
	request, isRequest := strings.CutSuffix(m.name, "Request")
	switch {
	case m.isRecord:
		add("%s.", words.Sentence(words.NounOf(words.Split(m.name)).One()))
	case len(m.schemas) > 0:
	case m.pageOf != "":
		add("One page of %s.", m.pageOf)
	case isRequest:
		add("The request of %s.", request)
	default:
		add("The response of %s.", strings.TrimSuffix(m.name, "Response"))
	}
	switch len(m.schemas) {
	case 0:
	case 1:
		add("Schema %s.", m.schemas[0])
	default:
		add("Schemas %s.", strings.Join(m.schemas, ", "))
	}
	if names := m.namesOnly(); len(m.schemas) > 0 && names != "" {
		add("It has nothing but %s.", names)
	}
	if m.deprecated {
		add(kept)
	}
	return strings.Join(sentences, " ")
}

// namesOnly returns the fields of a message that only names something; empty if the message has others.
func (m *message) namesOnly() string {
	var names []string
	for _, f := range m.fields {
		switch wire := f.wire(); {
		case f.deprecated:
		case wire == "id", wire == "name", wire == "externalIds":
			names = append(names, "`"+f.name+"`")
		default:
			return ""
		}
	}
	if last := len(names) - 1; last > 0 {
		return strings.Join(names[:last], ", ") + " and " + names[last]
	}
	return strings.Join(names, "")
}

// describe sets what only methods say of messages.
func describe(t *tree) {
	for _, p := range t.packages {
		for _, m := range p.methods {
			listed := words.Listed(m.name)
			if record := m.record(); record != nil {
				noun := words.NounOf(words.Split(record.name))
				record.isRecord = record.isRecord || noun.IsWhole() && noun.Many() == listed
			}
			if !m.pages() {
				continue
			}
			m.response.pageOf = listed
			for _, t := range m.twins {
				t.response.pageOf = listed + ", and where to go on from after it"
			}
		}
	}
}

// record returns the message of what the method answers: of a page's records if it pages, otherwise of the
// data. It returns nil if there is no such message.
func (m *method) record() *message {
	path := []string{"data"}
	if items := m.operation.GetItems(); items != "" {
		path = strings.Split(items, ".")
	}
	in := m.response
	for _, name := range path {
		i := -1
		if in != nil {
			i = slices.IndexFunc(in.fields, func(f *field) bool { return f.name == name && !f.deprecated })
		}
		if i < 0 {
			return nil
		}
		in = in.fields[i].message
	}
	return in
}

// comment returns the facts of a field in complete sentences.
func (f *field) comment() string {
	if f.text != "" {
		return f.text
	}
	o := f.options
	var sentences []string
	if subject := f.subject(); subject != "" {
		sentences = append(sentences, subject)
	}
	add := func(format string, args ...any) { sentences = append(sentences, fmt.Sprintf(format, args...)+".") }
	if o.GetRequired() {
		add("Required")
	}
	if names := o.GetOtherNames(); len(names) > 0 {
		add("An answer may have it as %s", quoted(names))
	}
	if f.notes.NullEntries {
		add("An entry that is null is in its place, without a value")
	}
	if f.notes.CommaSeparated && f.label != model.List {
		add("A comma-separated list")
	}
	if o.GetOrdered() {
		add("Their order counts")
	}
	if text := formatText(o.GetFormat()); text != "" {
		add("%s", text)
	}
	if unit := f.unit(); unit != "" {
		add("In %s", unit)
	}
	if values := o.GetValues(); len(values) > 0 {
		add("Known values: %s", quoted(values))
	}
	if text := f.bounds(); text != "" {
		add("%s", text)
	}
	if o.GetDefault() != "" {
		add("Default: `%s`", o.GetDefault())
	}
	switch {
	case o.GetRetired():
		sentences = append(sentences, "Of an earlier type: sent, and read if the value fits. "+kept)
	case f.deprecated:
		sentences = append(sentences, kept)
	}
	return strings.Join(sentences, " ")
}

func quoted(values []string) string {
	all := make([]string, len(values))
	for i, v := range values {
		all[i] = "`" + v + "`"
		if v == "" {
			all[i] = "the empty string"
		}
	}
	return strings.Join(all, ", ")
}

// subject returns what the field is; empty if its JSON name says so.
func (f *field) subject() string {
	in := f.options.GetIn()
	switch {
	case in == apiv1.Location_LOCATION_UPDATE_MASK:
		return "The body fields to send; one that is named but not set is sent as null. Without it, the fields that are set are sent."
	case f.options.GetRoot() && in == apiv1.Location_LOCATION_BODY:
		return "The whole body."
	case f.options.GetRoot():
		return "The whole JSON value."
	case f.wire() == f.jsonName:
		return ""
	}
	what := "Member"
	switch in {
	case apiv1.Location_LOCATION_PATH:
		what = "Path parameter"
	case apiv1.Location_LOCATION_QUERY:
		what = "Query parameter"
	case apiv1.Location_LOCATION_BODY:
		what = "Body member"
	case apiv1.Location_LOCATION_UPDATE_MASK, apiv1.Location_LOCATION_UNSPECIFIED:
	}
	return what + " `" + f.wire() + "`."
}

func formatText(format string) string {
	switch format {
	case "":
		return ""
	case "date-time":
		return "A time as in RFC 3339"
	case "date":
		return "A date as in RFC 3339, YYYY-MM-DD"
	case "uuid":
		return "A UUID"
	case "uri":
		return "A URI"
	case "byte":
		return "Base64"
	default:
		return "Format: " + format
	}
}

// bounds returns the least and the greatest value, or count of entries or characters.
func (f *field) bounds() string {
	what := ""
	switch {
	case f.label == model.List:
		what = " entries"
	case f.kind == model.KindString:
		what = " characters"
	}
	o := f.options
	switch number := func(v float64) string { return strconv.FormatFloat(v, 'f', -1, 64) }; {
	case o.Minimum != nil && o.Maximum != nil && o.GetMinimum() == o.GetMaximum():
		return "Exactly " + number(o.GetMinimum()) + what
	case o.Minimum != nil && o.Maximum != nil:
		return number(o.GetMinimum()) + " to " + number(o.GetMaximum()) + what
	case o.Minimum != nil:
		return "At least " + number(o.GetMinimum()) + what
	case o.Maximum != nil:
		return "At most " + number(o.GetMaximum()) + what
	}
	return ""
}

// unit returns the unit of a number, from its name; empty if the name has none.
func (f *field) unit() string {
	if f.kind != model.KindInteger && f.kind != model.KindInt32 && f.kind != model.KindNumber {
		return ""
	}
	if f.notes.UnixMilliseconds {
		return "milliseconds since 1970-01-01 UTC"
	}
	name := "_" + f.name
	for _, unit := range [...][2]string{
		{"milli_c", "thousandths of a degree Celsius"},
		{"milli_celsius", "thousandths of a degree Celsius"},
		{"milli_percent", "thousandths of a percent"},
		{"milli_volts", "millivolts"},
		{"milli_volt", "millivolts"},
		{"milli_amp", "milliamperes"},
		{"milli_g", "thousandths of the standard gravity"},
		{"micro_wh", "microwatt-hours"},
		{"milliliters", "millilitres"},
		{"liters", "litres"},
		{"milliseconds", "milliseconds"},
		{"ms", "milliseconds"},
		{"seconds", "seconds"},
		{"minutes", "minutes"},
		{"hours", "hours"},
		{"days", "days"},
		{"kilometers", "kilometres"},
		{"meters", "metres"},
		{"miles", "miles"},
		{"meters_per_second", "metres per second"},
		{"miles_per_hour", "miles per hour"},
		{"kilometers_per_hour", "kilometres per hour"},
		{"mph", "miles per hour"},
		{"kmh", "kilometres per hour"},
		{"k_pa", "kilopascals"},
		{"pa", "pascals"},
		{"psi", "pounds per square inch"},
		{"rpm", "revolutions per minute"},
		{"percent", "percent"},
		{"percentage", "percent"},
		{"degrees", "degrees"},
		{"celsius", "degrees Celsius"},
		{"fahrenheit", "degrees Fahrenheit"},
		{"volts", "volts"},
		{"kwh", "kilowatt-hours"},
		{"wh", "watt-hours"},
		{"kg", "kilograms"},
		{"grams", "grams"},
		{"bytes", "bytes"},
	} {
		if strings.HasSuffix(name, "_"+unit[0]) {
			return unit[1]
		}
	}
	return ""
}
