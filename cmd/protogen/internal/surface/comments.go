package surface

import (
	"fmt"
	"strconv"
	"strings"

	"samsara.internal/gateway/cmd/protogen/internal/model"
	gatewayv1 "samsara.internal/gateway/gen/samsara/gateway/v1"
)

// kept is said of everything deprecated.
const kept = "Kept for existing clients."

func (p *pkg) comment() string {
	return fmt.Sprintf("%s has the %s operations of the area %s.", p.Service(), stageWord(p.Stage()), strings.ReplaceAll(p.Area, "_", " "))
}

func stageWord(s gatewayv1.Stage) string {
	return strings.ToLower(strings.TrimPrefix(s.String(), "STAGE_"))
}

// comment returns lines.
func (m *method) comment() []string {
	o := m.operation
	lines := []string{strings.TrimPrefix(o.GetMethod().String(), "HTTP_METHOD_") + " " + o.GetPath()}
	if o.GetScope() != "" {
		lines = append(lines, "Scope: "+o.GetScope()+".")
	}
	if limit := o.GetRateLimit(); limit != nil {
		lines = append(lines, fmt.Sprintf("Rate limit: %d requests per %s and organization.", limit.GetRequests(), windowWord(limit)))
	}
	if o.GetStage() != gatewayv1.Stage_STAGE_STABLE {
		lines = append(lines, "Stage: "+stageWord(o.GetStage())+".")
	}
	if m.deprecated {
		lines = append(lines, kept)
	}
	return lines
}

// twinComment returns lines for a twin. What holds of all twins stands in stream.proto.
func (m *method) twinComment(t *twin) []string {
	var lines []string
	add := func(format string, args ...any) { lines = append(lines, fmt.Sprintf(format, args...)) }
	if t.unserved {
		return []string{"Not served any more: the pages of " + m.name + " can no longer be read one after the other.", kept}
	}
	start, end := m.request.parameter("startTime"), m.request.parameter("endTime")
	cursor := m.request.parameter(model.CursorParameter(m.operation.GetPagination()))
	if t.stream.GetShape() == gatewayv1.StreamShape_STREAM_SHAPE_PAGES {
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
	if t.deprecated {
		add(kept)
	}
	return lines
}

// parameter is the name of the field for a parameter, empty if there is none.
func (m *message) parameter(wire string) string {
	if f := m.current(wire); f != nil {
		return f.name
	}
	return ""
}

func windowWord(limit *gatewayv1.RateLimit) string {
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

func (m *message) comment() string {
	text := "Schema " + strings.Join(m.schemas, ", ") + "."
	switch request, ok := strings.CutSuffix(m.name, "Request"); {
	case len(m.schemas) > 1:
		text = "Schemas " + strings.Join(m.schemas, ", ") + "."
	case len(m.schemas) == 1:
	case ok:
		text = "Request of " + request + "."
	default:
		text = "Response of " + strings.TrimSuffix(m.name, "Response") + "."
	}
	if m.deprecated {
		text += " " + kept
	}
	return text
}

// comment states the facts of a field in whole sentences.
func (f *field) comment() string {
	if f.text != "" {
		return f.text
	}
	o := f.options
	sentences := []string{f.subject()}
	add := func(format string, args ...any) { sentences = append(sentences, fmt.Sprintf(format, args...)+".") }
	if o.GetRequired() {
		add("Required")
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

// subject says what the field is.
func (f *field) subject() string {
	wire := "`" + f.wire() + "`"
	switch f.options.GetIn() {
	case gatewayv1.Location_LOCATION_PATH:
		return "Path parameter " + wire + "."
	case gatewayv1.Location_LOCATION_QUERY:
		if f.options.GetArrayStyle() == gatewayv1.ArrayStyle_ARRAY_STYLE_REPEAT {
			return "Query parameter " + wire + ", repeated for each value."
		}
		return "Query parameter " + wire + "."
	case gatewayv1.Location_LOCATION_UPDATE_MASK:
		return "The body fields to send; one that is named but not set is sent as null. Without it, the fields that are set are sent."
	case gatewayv1.Location_LOCATION_BODY:
		if f.options.GetRoot() {
			return "The whole body."
		}
		return "Body member " + wire + "."
	case gatewayv1.Location_LOCATION_UNSPECIFIED:
	}
	if f.options.GetRoot() {
		return "The whole JSON value."
	}
	return "Member " + wire + "."
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

// bounds says what the least and the greatest count.
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

// unit reads the unit of a number from its name.
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
