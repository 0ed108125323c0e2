package main

import (
	"encoding/json"
	"fmt"
	"math"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/getkin/kin-openapi/openapi3"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/durationpb"

	gatewayv1 "samsara.internal/gateway/gen/samsara/gateway/v1"
)

// newProperty states what the schema says of a property's values.
func newProperty(wire string, s schema) property {
	p := property{wire: wire, shape: s.shape(wire), deprecated: s.Deprecated}
	p.options = &gatewayv1.Field{Format: s.Format, Default: text(s.Default)}
	values := s.Enum
	switch {
	case p.shape.label == list:
		items := s.items()
		values, p.options.Format = append(slices.Clone(values), items.Enum...), items.Format
		p.bound(s.MinItems, s.MaxItems)
	case p.shape.kind == kindString && p.shape.label == single:
		p.bound(s.MinLength, s.MaxLength)
	default:
		p.options.Minimum, p.options.Maximum = s.Min, s.Max
	}
	for _, v := range values {
		if v := text(v); !slices.Contains(p.options.GetValues(), v) {
			p.options.Values = append(p.options.Values, v)
		}
	}
	if p.shape.kind != kindString || p.shape.label == mapping || p.options.Format == "string" {
		p.options.Format = ""
	}
	p.read(s.Description)
	return p
}

// commonProperty states what holds of a property in all schemas that one message stands for.
// Values are for information, so those of any schema are told.
func commonProperty(all []statement) property {
	common := all[0].property
	common.options = proto.CloneOf(common.options)
	o := common.options
	for _, p := range all[1:] {
		common.deprecated = common.deprecated && p.deprecated
		common.notes.commaSeparated = common.notes.commaSeparated && p.notes.commaSeparated
		common.notes.unixMilliseconds = common.notes.unixMilliseconds && p.notes.unixMilliseconds
		o.Required = o.GetRequired() && p.options.GetRequired()
		o.Minimum = weaker(o.Minimum, p.options.Minimum, math.Min)
		o.Maximum = weaker(o.Maximum, p.options.Maximum, math.Max)
		if o.GetFormat() != p.options.GetFormat() {
			o.Format = ""
		}
		if o.GetDefault() != p.options.GetDefault() {
			o.Default = ""
		}
		for _, v := range p.options.GetValues() {
			if !slices.Contains(o.GetValues(), v) {
				o.Values = append(o.Values, v)
			}
		}
	}
	return common
}

// weaker returns the bound that allows more; none allows everything.
func weaker(a, b *float64, pick func(a, b float64) float64) *float64 {
	if a == nil || b == nil {
		return nil
	}
	v := pick(*a, *b)
	return &v
}

// bound sets the bounds of a length or a count; 0 is no lower bound.
func (p *property) bound(least uint64, greatest *uint64) {
	if least > 0 {
		v := float64(least)
		p.options.Minimum = &v
	}
	if greatest != nil {
		v := float64(*greatest)
		p.options.Maximum = &v
	}
}

// read adds the facts that only prose states.
func (p *property) read(prose string) {
	prose = strings.ToLower(prose)
	plain := p.shape.kind == kindString && p.shape.label != mapping && len(p.options.GetValues()) == 0
	if plain && p.options.GetFormat() == "" && (strings.Contains(prose, "rfc 3339") || strings.Contains(prose, "iso 8601")) {
		p.options.Format = "date-time"
	}
	p.notes.commaSeparated = p.notes.commaSeparated ||
		p.shape.kind == kindString && p.shape.label == single && strings.Contains(strings.ReplaceAll(prose, "-", " "), "comma separated")
	p.notes.unixMilliseconds = p.notes.unixMilliseconds ||
		p.shape.kind == kindInteger && (strings.Contains(prose, "unix") || strings.Contains(prose, "epoch"))
}

// text is a JSON value as a query parameter would hold it.
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

// scope finds the token scope that an operation's prose asks for.
func scope(prose string) string {
	match := regexp.MustCompile(`select \*\*([^*]+)\*\* under the`).FindStringSubmatch(prose)
	if match == nil {
		return ""
	}
	return match[1]
}

// rateLimit finds the rate limit that an operation's prose states.
func rateLimit(prose string) (*gatewayv1.RateLimit, error) {
	match := regexp.MustCompile(`(?i)rate limit:\W*(?:b>)?\W*(\d+) requests?/(sec|min|hour)`).FindStringSubmatch(prose)
	if match == nil {
		return nil, nil
	}
	requests, err := strconv.ParseInt(match[1], 10, 32)
	if err != nil {
		return nil, fmt.Errorf("rate limit: %w", err)
	}
	window := map[string]time.Duration{"sec": time.Second, "min": time.Minute, "hour": time.Hour}[strings.ToLower(match[2])]
	return &gatewayv1.RateLimit{Requests: int32(requests), Window: durationpb.New(window)}, nil
}

// extension says whether an element carries a mark such as x-required-unknown.
func extension(marks map[string]any, name string) bool {
	value, ok := marks[name]
	return ok && value != false
}

// arrayStyle is how a query parameter that is an array is written. OpenAPI's default is one
// parameter a value.
func arrayStyle(p *openapi3.Parameter) gatewayv1.ArrayStyle {
	if p.Explode == nil || *p.Explode {
		return gatewayv1.ArrayStyle_ARRAY_STYLE_REPEAT
	}
	return gatewayv1.ArrayStyle_ARRAY_STYLE_COMMA
}

// feedFacts are what only prose states of where a feed begins and ends.
type feedFacts struct {
	begins  string // without a start time; empty where that is not said or cannot be
	endsNow bool   // without an end time, says the parameter, it ends at the time of the request
	endless bool   // without an end time, says the operation, it goes on
}

// contradictory says whether the document contradicts itself on where the feed ends.
func (f feedFacts) contradictory() bool { return f.endsNow && f.endless }

// readFeedFacts reads the prose of an operation that is a feed; of others, nothing counts.
func readFeedFacts(isFeed bool, op *openapi3.Operation) feedFacts {
	if !isFeed {
		return feedFacts{}
	}
	has := func(pattern, prose string) bool { return regexp.MustCompile(`(?is)` + pattern).MatchString(prose) }
	f := feedFacts{endless: has(`\bif you (?:don.t|do not) include an endTime\b.*\bpoll\b`, op.Description)}
	start := op.Parameters.GetByInAndName(openapi3.ParameterInQuery, "startTime")
	switch {
	case start == nil && has(`\bfirst call\b[^.]*\bmost recent\b`, op.Description):
		f.begins = "with the most recent values"
	case start != nil && !start.Required:
		if match := regexp.MustCompile(`(?i)\bdefaults to (now|\d+ hours ago)\b`).FindStringSubmatch(start.Description); match != nil {
			f.begins = strings.ToLower(match[1])
		}
	}
	if end := op.Parameters.GetByInAndName(openapi3.ParameterInQuery, "endTime"); end != nil {
		f.endsNow = has(`\bdefaults to (?:now|the current time)\b`, end.Description)
	}
	return f
}
