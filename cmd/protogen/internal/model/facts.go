package model

import (
	"encoding/json"
	"fmt"
	"math"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"

	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/durationpb"

	"samsara.internal/gateway/cmd/protogen/internal/document"
	"samsara.internal/gateway/cmd/protogen/overlay"
	apiv1 "samsara.internal/gateway/gen/api/v1"
)

// newProperty returns a property with what the schema says of its values.
func newProperty(wire string, s schema) Property {
	p := Property{Wire: wire, Shape: s.shape(wire), Deprecated: s.Deprecated}
	p.Options = &apiv1.Field{Format: s.Format, Default: text(s.Default)}
	values := s.Enum
	switch {
	case p.Shape.Label == List:
		items := s.items()
		values, p.Options.Format = append(slices.Clone(values), items.Enum...), items.Format
		p.bound(s.MinItems, s.MaxItems)
	case p.Shape.Kind == KindString && p.Shape.Label == Single:
		p.bound(s.MinLength, s.MaxLength)
	default:
		p.Options.Minimum, p.Options.Maximum = s.Minimum, s.Maximum
	}
	for _, v := range values {
		if v := text(v); !slices.Contains(p.Options.GetValues(), v) {
			p.Options.Values = append(p.Options.Values, v)
		}
	}
	if p.Shape.Kind != KindString || p.Shape.Label == Mapping || p.Options.Format == "string" {
		p.Options.Format = ""
	}
	p.Notes.NullEntries = p.Shape.Kind == KindNullable
	p.read(s.Description)
	return p
}

// CommonProperty returns what is true of a property in all schemas that one message stands for. It has the
// values of every schema, since they are for information, and the other names of every schema, which do no
// harm.
func CommonProperty(all []Property) Property {
	common := all[0]
	common.Options = proto.CloneOf(common.Options)
	o := common.Options
	for _, p := range all[1:] {
		common.Deprecated = common.Deprecated && p.Deprecated
		common.Notes.CommaSeparated = common.Notes.CommaSeparated && p.Notes.CommaSeparated
		common.Notes.UnixMilliseconds = common.Notes.UnixMilliseconds && p.Notes.UnixMilliseconds
		common.Notes.NullEntries = common.Notes.NullEntries && p.Notes.NullEntries
		o.Required = o.GetRequired() && p.Options.GetRequired()
		o.Minimum = weaker(o.Minimum, p.Options.Minimum, math.Min)
		o.Maximum = weaker(o.Maximum, p.Options.Maximum, math.Max)
		if o.GetFormat() != p.Options.GetFormat() {
			o.Format = ""
		}
		if o.GetDefault() != p.Options.GetDefault() {
			o.Default = ""
		}
		for _, v := range p.Options.GetValues() {
			if !slices.Contains(o.GetValues(), v) {
				o.Values = append(o.Values, v)
			}
		}
		for _, name := range p.Options.GetOtherNames() {
			if !slices.Contains(o.GetOtherNames(), name) {
				o.OtherNames = append(o.OtherNames, name)
			}
		}
	}
	return common
}

// weaker returns the bound that allows more. nil allows everything.
func weaker(a, b *float64, pick func(a, b float64) float64) *float64 {
	if a == nil || b == nil {
		return nil
	}
	v := pick(*a, *b)
	return &v
}

// bound sets the bounds of a length or a count; 0 is no lower bound.
func (p *Property) bound(least uint64, greatest *uint64) {
	if least > 0 {
		v := float64(least)
		p.Options.Minimum = &v
	}
	if greatest != nil {
		v := float64(*greatest)
		p.Options.Maximum = &v
	}
}

// read adds the facts that only the description states.
func (p *Property) read(prose string) {
	prose = strings.ToLower(prose)
	plain := p.Shape.Kind == KindString && p.Shape.Label != Mapping && len(p.Options.GetValues()) == 0
	if plain && p.Options.GetFormat() == "" && (strings.Contains(prose, "rfc 3339") || strings.Contains(prose, "iso 8601")) {
		p.Options.Format = "date-time"
	}
	p.Notes.CommaSeparated = p.Notes.CommaSeparated ||
		p.Shape.Kind == KindString && p.Shape.Label == Single && strings.Contains(strings.ReplaceAll(prose, "-", " "), "comma separated")
	p.Notes.UnixMilliseconds = p.Notes.UnixMilliseconds ||
		p.Shape.Kind == KindInteger && regexp.MustCompile(`unix|epoch|timestamp in milliseconds`).MatchString(prose)
}

// split makes a list of a text that holds a list joined by commas. What is sent stays the same.
func (p *Property) split() {
	p.Shape.Label = List
	p.Options.ArrayStyle = apiv1.ArrayStyle_ARRAY_STYLE_COMMA
	p.Options.Minimum, p.Options.Maximum = nil, nil // They apply to the whole text.
}

// ordered reports whether the order of a list's values counts. Only the description says so.
func ordered(prose string) bool { return strings.Contains(strings.ToLower(prose), "in priority order") }

// narrow makes an integer one of 32 bits if it needs no more: it is the size of a page, or its maximum
// says so. It is for requests, because some languages have a simpler type for 32 bits. An answer may go
// beyond what is declared.
func (p *Property) narrow() {
	o := p.Options
	atMost := o.Maximum != nil && o.GetMaximum() <= math.MaxInt32
	pageSize := o.Maximum == nil && p.Wire == "limit" && o.GetIn() == apiv1.Location_LOCATION_QUERY
	if p.Shape.Label == Single && p.Shape.Kind == KindInteger && o.GetMinimum() >= math.MinInt32 && (atMost || pageSize) {
		p.Shape.Kind = KindInt32
	}
}

// text returns a JSON value as a query parameter would have it.
func text(v any) string {
	switch v := v.(type) {
	case nil:
		return ""
	case string:
		return v
	case bool:
		return strconv.FormatBool(v)
	case float64:
		return strconv.FormatFloat(v, 'f', -1, 64)
	}
	raw, err := json.Marshal(v)
	if err != nil {
		return fmt.Sprint(v)
	}
	return string(raw)
}

// scope returns the token scope that an operation's description asks for; empty if it asks for none.
func scope(prose string) string {
	match := regexp.MustCompile(`select \*\*([^*]+)\*\* under the`).FindStringSubmatch(prose)
	if match == nil {
		return ""
	}
	return match[1]
}

// rateLimit returns the rate limit that a correction gives an operation, or else the one that its
// description states, nil if there is neither. The error is an overlay.ErrIdle beside a valid limit if the
// correction says what the description says.
func rateLimit(op *document.Operation) (*apiv1.RateLimit, error) {
	stated, err := parseRateLimit(`(?i)rate limit:\W*(?:b>)?\W*`, op.Description)
	if err != nil {
		return nil, op.Errorf("%w", err)
	}
	value, corrected := op.Extensions["x-rate-limit"]
	if !corrected {
		return stated, nil
	}
	text, _ := value.(string)
	limit, err := parseRateLimit(`^`, text)
	switch {
	case err != nil:
		return nil, op.Errorf("%w", err)
	case limit == nil:
		return nil, op.Errorf("x-rate-limit %v, want such as \"5 requests/sec\": %w", value, ErrUnsupported)
	case proto.Equal(limit, stated):
		return stated, op.Errorf("x-rate-limit %q is what the description says: the correction %w", text, overlay.ErrIdle)
	}
	return limit, nil
}

// parseRateLimit returns the rate limit that follows a pattern in a text, nil if there is none.
func parseRateLimit(before, text string) (*apiv1.RateLimit, error) {
	match := regexp.MustCompile(before + `(\d+) requests?/(sec|min|hour)`).FindStringSubmatch(text)
	if match == nil {
		return nil, nil
	}
	requests, err := strconv.ParseInt(match[1], 10, 32)
	if err != nil {
		return nil, fmt.Errorf("rate limit of %s requests: %w", match[1], ErrUnsupported)
	}
	window := map[string]time.Duration{"sec": time.Second, "min": time.Minute, "hour": time.Hour}[strings.ToLower(match[2])]
	return &apiv1.RateLimit{Requests: int32(requests), Window: durationpb.New(window)}, nil
}

// feed reports whether an operation is a feed, and whether it looks like one but a correction denies it.
// The error is an overlay.ErrIdle if the correction denies it of an operation that does not look like one.
func feed(op *document.Operation, paging apiv1.Pagination) (is, denied bool, err error) {
	looks := paging == apiv1.Pagination_PAGINATION_CURSOR && (strings.HasSuffix(op.Path, "/feed") || strings.HasSuffix(op.Path, "/stream"))
	switch value, corrected := op.Extensions["x-feed"]; {
	case !corrected:
		return looks, false, nil
	case value != false:
		return false, false, op.Errorf("x-feed %v, want false: %w", value, ErrUnsupported)
	case !looks:
		return false, false, op.Errorf("x-feed false for an operation that is no feed anyway: the correction %w", overlay.ErrIdle)
	}
	return false, true, nil
}

// wrappedIn returns the member that has the array if an object arrives instead, as a correction says;
// empty if there is no such correction. The error is an overlay.ErrIdle if the schema is no array.
func wrappedIn(s schema) (string, error) {
	value, corrected := s.Extensions["x-wrapped-in"]
	name, _ := value.(string)
	switch {
	case corrected && name == "":
		return "", s.Errorf("x-wrapped-in %v, want a member's name: %w", value, ErrUnsupported)
	case corrected && !s.isArray():
		return "", s.Errorf("x-wrapped-in for a body that is no array: the correction %w", overlay.ErrIdle)
	}
	return name, nil
}

// extension reports whether an element has an extension such as x-required-unknown.
func extension(marks map[string]any, name string) bool {
	value, ok := marks[name]
	return ok && value != false
}

// arrayStyle returns how an array is written as a query parameter. OpenAPI's default is one parameter for
// each value.
func arrayStyle(p *document.Parameter) apiv1.ArrayStyle {
	if p.Explode == nil || *p.Explode {
		return apiv1.ArrayStyle_ARRAY_STYLE_REPEAT
	}
	return apiv1.ArrayStyle_ARRAY_STYLE_COMMA
}

// FeedFacts are the facts of where a feed begins and ends that only descriptions state.
type FeedFacts struct {
	Begins  string // where it begins without a start time; empty if that is not said or cannot happen
	EndsNow bool   // the parameter says that without an end time it ends at the time of the request
	Endless bool   // the operation says that without an end time it goes on
}

// Contradictory reports whether the document contradicts itself on where the feed ends.
func (f FeedFacts) Contradictory() bool { return f.EndsNow && f.Endless }

// readFeedFacts returns the facts in the description of an operation that is a feed. Other operations have
// none.
func readFeedFacts(isFeed bool, op *document.Operation) FeedFacts {
	if !isFeed {
		return FeedFacts{}
	}
	has := func(pattern, prose string) bool { return regexp.MustCompile(`(?is)` + pattern).MatchString(prose) }
	f := FeedFacts{Endless: has(`\bif you (?:don.t|do not) include an endTime\b.*\bpoll\b`, op.Description)}
	start := queryParameter(op, "startTime")
	switch {
	case start == nil && has(`\bfirst call\b[^.]*\bmost recent\b`, op.Description):
		f.Begins = "with the most recent values"
	case start != nil && !start.Required:
		if match := regexp.MustCompile(`(?i)\bdefaults to (now|\d+ hours ago)\b`).FindStringSubmatch(start.Description); match != nil {
			f.Begins = strings.ToLower(match[1])
		}
	}
	if end := queryParameter(op, "endTime"); end != nil {
		f.EndsNow = has(`\bdefaults to (?:now|the current time)\b`, end.Description)
	}
	return f
}

// queryParameter returns the operation's query parameter with a name, nil if there is none.
func queryParameter(op *document.Operation, name string) *document.Parameter {
	i := slices.IndexFunc(op.Parameters, func(p *document.Parameter) bool { return p.In == "query" && p.Name == name })
	if i < 0 {
		return nil
	}
	return op.Parameters[i]
}
