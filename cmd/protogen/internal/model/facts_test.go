package model

import (
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/testing/protocmp"
	"google.golang.org/protobuf/types/known/durationpb"

	"samsara.internal/gateway/cmd/protogen/internal/document"
	apiv1 "samsara.internal/gateway/gen/api/v1"
)

func TestScope_inTheDescription(t *testing.T) {
	t.Parallel()
	for prose, want := range map[string]string{
		"To use it, select **Read Safety & Cameras** under the Safety category.": "Read Safety & Cameras",
		"Select a vehicle under the hood.":                                       "",
		"":                                                                       "",
	} {
		if got := scope(prose); got != want {
			t.Errorf("scope(%q) = %q, want %q", prose, got, want)
		}
	}
}

func TestRateLimit_inTheDescription(t *testing.T) {
	t.Parallel()
	limit := func(requests int32, window time.Duration) *apiv1.RateLimit {
		return &apiv1.RateLimit{Requests: requests, Window: durationpb.New(window)}
	}
	for prose, want := range map[string]*apiv1.RateLimit{
		"<b>Rate limit:</b> 5 requests/sec (more).": limit(5, time.Second),
		"**Rate limit:** 100 requests/min":          limit(100, time.Minute),
		"Rate limit: 1 request/hour":                limit(1, time.Hour),
		"Limits apply.":                             nil,
	} {
		got, err := rateLimit(&document.Operation{Description: prose})
		if diff := cmp.Diff(want, got, protocmp.Transform()); err != nil || diff != "" {
			t.Errorf("rateLimit(%q): %v (-want +got):\n%s", prose, err, diff)
		}
	}
	if got, err := rateLimit(&document.Operation{Description: "Rate limit: 99999999999 requests/sec"}); err == nil {
		t.Errorf("rateLimit of a number beyond int32 = %v, want an error", got)
	}
}

func TestProperty_facts(t *testing.T) {
	t.Parallel()
	of := func(kind string, s document.Schema) schema {
		s.Types = []string{kind}
		return schema{key: "x", Schema: &s}
	}
	for _, test := range []struct {
		name   string
		schema schema
		prose  string
		want   *apiv1.Field
		notes  Notes
	}{
		{"a number has bounds", of("integer", document.Schema{Minimum: proto.Float64(0), Maximum: proto.Float64(9)}), "", &apiv1.Field{Minimum: proto.Float64(0), Maximum: proto.Float64(9)}, Notes{}},
		{"a string has lengths", of("string", document.Schema{MinLength: 1, MaxLength: proto.Uint64(9)}), "", &apiv1.Field{Minimum: proto.Float64(1), Maximum: proto.Float64(9)}, Notes{}},
		{"a number's format is its type", of("integer", document.Schema{Format: "int64"}), "", &apiv1.Field{}, Notes{}},
		{"a string that is a string has no format", of("string", document.Schema{Format: "string"}), "", &apiv1.Field{}, Notes{}},
		{"prose states a time", of("string", document.Schema{}), "UTC time in RFC 3339 format", &apiv1.Field{Format: "date-time"}, Notes{}},
		{"prose does not overrule a format", of("string", document.Schema{Format: "date"}), "as in RFC 3339", &apiv1.Field{Format: "date"}, Notes{}},
		{"prose states a list", of("string", document.Schema{}), "A comma separated list.", &apiv1.Field{}, Notes{CommaSeparated: true}},
		{"prose states an epoch", of("integer", document.Schema{}), "Unix milliseconds.", &apiv1.Field{}, Notes{UnixMilliseconds: true}},
		{"values are told once and as text", of("integer", document.Schema{Enum: []any{1.0, 2.5, 1.0}, Default: true}), "", &apiv1.Field{Values: []string{"1", "2.5"}, Default: "true"}, Notes{}},
		{"a default may be a list", of("string", document.Schema{Default: []any{"a", 1.0}}), "", &apiv1.Field{Default: `["a",1]`}, Notes{}},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			p := newProperty("x", test.schema)
			p.read(test.prose)
			if diff := cmp.Diff(test.want, p.Options, protocmp.Transform()); diff != "" || p.Notes != test.notes {
				t.Errorf("notes %+v, want %+v; options (-want +got):\n%s", p.Notes, test.notes, diff)
			}
		})
	}
}

func TestReadParameter_shapes(t *testing.T) {
	t.Parallel()
	const query, list = apiv1.Location_LOCATION_QUERY, "A comma-separated list of ids."
	comma := func(options *apiv1.Field) *apiv1.Field {
		options.In, options.ArrayStyle = query, apiv1.ArrayStyle_ARRAY_STYLE_COMMA
		return options
	}
	number := func(least, most *float64) document.Schema {
		return document.Schema{Types: []string{"integer"}, Minimum: least, Maximum: most}
	}
	text := document.Schema{Types: []string{"string"}}
	for _, test := range []struct {
		name, in, of, prose string
		schema              document.Schema
		kind                Kind
		label               Label
		want                *apiv1.Field
	}{
		{"text that holds a list", "query", "ids", list, text, KindString, List, comma(&apiv1.Field{})},
		{"the schema says so", "query", "ids", "", document.Schema{Types: []string{"string"}, Description: list}, KindString, List, comma(&apiv1.Field{})},
		{"lengths are of the whole text", "query", "ids", "Comma separated ids.", document.Schema{Types: []string{"string"}, MaxLength: proto.Uint64(9)}, KindString, List, comma(&apiv1.Field{})},
		{"values are of one element", "query", "expand", list, document.Schema{Types: []string{"string"}, Enum: []any{"route"}}, KindString, List, comma(&apiv1.Field{Values: []string{"route"}})},
		{"the order counts", "query", "types", "Comma-separated types in priority order.", text, KindString, List, comma(&apiv1.Field{Ordered: true})},
		{"a path has no list", "path", "ids", list, text, KindString, Single, &apiv1.Field{In: apiv1.Location_LOCATION_PATH}},
		{"a number that prose says is a list", "query", "ids", list, number(nil, nil), KindInteger, Single, &apiv1.Field{In: query}},
		{"text that is none", "query", "id", "An id.", text, KindString, Single, &apiv1.Field{In: query}},
		{"the size of a page", "query", "limit", "", number(nil, nil), KindInt32, Single, &apiv1.Field{In: query}},
		{"a size that may be greater", "query", "limit", "", number(nil, proto.Float64(1<<31)), KindInteger, Single, &apiv1.Field{In: query, Maximum: proto.Float64(1 << 31)}},
		{"a limit that is no page's", "path", "limit", "", number(nil, nil), KindInteger, Single, &apiv1.Field{In: apiv1.Location_LOCATION_PATH}},
		{"a greatest number", "query", "year", "", number(nil, proto.Float64(1<<31-1)), KindInt32, Single, &apiv1.Field{In: query, Maximum: proto.Float64(1<<31 - 1)}},
		{"a least number that is too small", "query", "year", "", number(proto.Float64(-1<<31-1), proto.Float64(9)), KindInteger, Single, &apiv1.Field{In: query, Minimum: proto.Float64(-1<<31 - 1), Maximum: proto.Float64(9)}},
		{"no greatest number", "query", "year", "", number(proto.Float64(1), nil), KindInteger, Single, &apiv1.Field{In: query, Minimum: proto.Float64(1)}},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			p, err := readParameter(&document.Parameter{Name: test.of, In: test.in, Description: test.prose, Schema: &test.schema})
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(test.want, p.Options, protocmp.Transform()); diff != "" || p.Shape.Kind != test.kind || p.Shape.Label != test.label {
				t.Errorf("kind %v and label %v, want %v and %v; options (-want +got):\n%s", p.Shape.Kind, p.Shape.Label, test.kind, test.label, diff)
			}
		})
	}
}

func TestReadResponse_withoutContent(t *testing.T) {
	t.Parallel()
	content := []document.Media{{Type: "application/json", Schema: &document.Schema{Types: []string{"string"}}}}
	for code, want := range map[string]int{"200": 1, "204": 0} {
		status, _, fields, err := readResponse("x", &document.Operation{Path: "/x", Responses: []*document.Response{{Status: code, Content: content}}})
		if err != nil || text(float64(status)) != code || len(fields) != want {
			t.Errorf("%s: status %d with %d fields, %v, want %d fields", code, status, len(fields), err, want)
		}
	}
}

func TestFeedFacts_inTheDescription(t *testing.T) {
	t.Parallel()
	parameter := func(name, prose string, required bool) *document.Parameter {
		return &document.Parameter{Name: name, In: "query", Description: prose, Required: required}
	}
	for _, test := range []struct {
		name, prose string
		parameters  []*document.Parameter
		want        FeedFacts
	}{
		{"nothing is said", "Stream work orders.", []*document.Parameter{parameter("startTime", "", false), parameter("endTime", "", false)}, FeedFacts{}},
		{"the first call has what is there", "Your first call gives you the\nmost recent stats.", nil, FeedFacts{Begins: "with the most recent values"}},
		{"it begins now", "", []*document.Parameter{parameter("startTime", "Defaults to now if not provided.", false)}, FeedFacts{Begins: "now"}},
		{"it begins some time ago", "", []*document.Parameter{parameter("startTime", "Defaults to 24 hours ago.", false)}, FeedFacts{Begins: "24 hours ago"}},
		{"a start that is required has no default", "", []*document.Parameter{parameter("startTime", "Defaults to now.", true)}, FeedFacts{}},
		{"it ends now", "", []*document.Parameter{parameter("endTime", "Defaults to the current time when omitted.", false)}, FeedFacts{EndsNow: true}},
		{"it never ends", "If you don’t include an endTime, you can continue to poll.", []*document.Parameter{parameter("endTime", "Defaults to never.", false)}, FeedFacts{Endless: true}},
		{"it ends now and never", "If you do not include an endTime, the API will poll.", []*document.Parameter{parameter("endTime", "Defaults to now.", false)}, FeedFacts{EndsNow: true, Endless: true}},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			op := &document.Operation{Description: test.prose, Parameters: test.parameters}
			if got := readFeedFacts(true, op); got != test.want {
				t.Errorf("readFeedFacts = %+v, want %+v", got, test.want)
			}
			if got := readFeedFacts(false, op); got != (FeedFacts{}) {
				t.Errorf("readFeedFacts of what is no feed = %+v, want nothing", got)
			}
		})
	}
}
