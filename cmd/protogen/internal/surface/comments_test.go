package surface

import (
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/durationpb"

	"samsara.internal/gateway/cmd/protogen/internal/model"
	apiv1 "samsara.internal/gateway/gen/api/v1"
)

// scalarField is a text of a message, whose JSON name is its wire name.
func scalarField(name, wire string, options *apiv1.Field) *field {
	if options == nil {
		options = &apiv1.Field{}
	}
	return &field{name: name, jsonName: wire, kind: model.KindString, options: options}
}

// paged is a method that pages, and a feed; change makes it another.
func paged(change func(m *method)) *method {
	pagination := &message{name: "Pagination", fields: []*field{scalarField("end_cursor", "endCursor", nil)}}
	m := &method{
		name: "ListHosLogs",
		operation: &apiv1.Operation{
			Id: "V1listHosLogs", Method: apiv1.HttpMethod_HTTP_METHOD_GET, Path: "/hos/logs/{id}",
			Pagination: apiv1.Pagination_PAGINATION_CURSOR, Repeatable: true,
		},
		request:  &message{name: "ListHosLogsRequest", fields: []*field{scalarField("after", "after", nil)}},
		response: &message{name: "ListHosLogsResponse", fields: []*field{{name: "pagination", jsonName: "pagination", kind: model.KindMessage, message: pagination, options: &apiv1.Field{}}}},
		twins: []*twin{
			{name: "StreamHosLogs", stream: &apiv1.Stream{Shape: apiv1.StreamShape_STREAM_SHAPE_PAGES}},
			{name: "FollowHosLogs", stream: &apiv1.Stream{Shape: apiv1.StreamShape_STREAM_SHAPE_FOLLOW}},
		},
	}
	change(m)
	return m
}

// single is a method that answers once.
func single(name string, change func(m *method)) *method {
	return paged(func(m *method) {
		m.name, m.twins, m.request = name, nil, &message{}
		m.operation.Pagination = apiv1.Pagination_PAGINATION_UNSPECIFIED
		change(m)
	})
}

func TestMethod_comment(t *testing.T) {
	t.Parallel()
	const reference = "Operation `V1listHosLogs`, GET /hos/logs/{id}: https://developers.samsara.com/reference/v1listhoslogs"
	const repeats = "The gateway repeats it after a failure."
	for _, test := range []struct {
		name   string
		method *method
		want   []string
	}{
		{"pages for ever", paged(func(*method) {}), []string{
			"Lists HOS logs.", reference,
			"All pages: StreamHosLogs. For ever: FollowHosLogs. Next page: `after` is `pagination.end_cursor` of the page before.",
			"No page size can be asked for. To read no more than wanted, use StreamHosLogs with `options.max_items`.",
			repeats,
		}},
		{"page size", paged(func(m *method) {
			m.twins = m.twins[:1]
			limit := scalarField("limit", "limit", &apiv1.Field{Minimum: proto.Float64(1), Maximum: proto.Float64(512), Default: "100"})
			limit.kind = model.KindInteger
			m.request.fields = append(m.request.fields, limit)
		}), []string{
			"Lists HOS logs.", reference,
			"All pages: StreamHosLogs. Next page: `after` is `pagination.end_cursor` of the page before.",
			"Page size: `limit`, 1 to 512, 100 by default.",
			repeats,
		}},
		{"page size of which nothing is said, and streams that are not served any more", paged(func(m *method) {
			m.twins[0].unserved, m.twins[1].unserved = true, true
			m.request.fields = append(m.request.fields, scalarField("limit", "limit", nil))
		}), []string{
			"Lists HOS logs.", reference, "Next page: `after` is `pagination.end_cursor` of the page before.", "Page size: `limit`.", repeats,
		}},
		{"neither cursor nor streams", paged(func(m *method) {
			m.twins, m.request.fields = nil, nil
		}), []string{"Lists HOS logs.", reference, repeats}},
		{"scope, limit and stage", single("GetHosLog", func(m *method) {
			m.operation.Scope, m.operation.Stage = "Read Logs", apiv1.Stage_STAGE_BETA
			m.operation.RateLimit = &apiv1.RateLimit{Requests: 5, Window: durationpb.New(time.Minute)}
		}), []string{
			"Gets an HOS log.", reference, "Scope: Read Logs.", "Rate limit: 5 requests per minute and organization.", "Beta: Samsara may change it.", repeats,
		}},
		{"not to be repeated, and perhaps too large", single("CreateHosLog", func(m *method) {
			m.operation.Repeatable, m.mayBeTooLarge, m.deprecated = false, true, true
			m.operation.Stage = apiv1.Stage_STAGE_PREVIEW
		}), []string{
			"Creates an HOS log.", reference, "Preview: Samsara may change or remove it.",
			"The gateway repeats it after a failure only if Samsara cannot have processed it, or with `samsara-retry: always`.",
			"Samsara may answer 413, content too large: INVALID_ARGUMENT.",
			"Kept for existing clients.",
		}},
		{"a mask of what is updated", single("PatchHosLog", func(m *method) {
			m.request.fields = []*field{{name: "update_mask", kind: model.KindMask, options: &apiv1.Field{}}}
		}), []string{"Updates an HOS log; `update_mask` says what.", reference, repeats}},
		{"a mask of what is replaced", single("ReplaceHosLog", func(m *method) {
			m.request.fields = []*field{{name: "update_mask", kind: model.KindMask, options: &apiv1.Field{}}}
			m.operation.Stage = apiv1.Stage_STAGE_LEGACY
		}), []string{"Replaces an HOS log.", reference, "Legacy: superseded, and kept by Samsara for old integrations.", repeats}},
		{"times that belong together", single("GetHosLog", func(m *method) {
			required := &apiv1.Field{Required: true}
			gone := scalarField("start_date", "startDate", nil)
			gone.deprecated = true
			m.request.fields = []*field{
				scalarField("end_ms", "endMs", required), scalarField("start_ms", "startMs", required),
				scalarField("start_time", "startTime", required), scalarField("end_time", "endTime", nil),
				scalarField("happened_at_start", "happenedAtStart", nil), scalarField("happened_at_end", "happenedAtEnd", required),
				scalarField("start", "start", nil), scalarField("end", "end", nil),
				gone, scalarField("end_date", "endDate", nil),
				scalarField("restart_time", "restartTime", nil), scalarField("reend_time", "reendTime", nil),
			}
		}), []string{
			"Gets an HOS log.", reference,
			"`start_ms` and `end_ms` belong together: both are required.",
			"`start_time` and `end_time` belong together: `start_time` is required.",
			"`happened_at_start` and `happened_at_end` belong together: `happened_at_end` is required.",
			"`start` and `end` belong together: neither is required.",
			repeats,
		}},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			if diff := cmp.Diff(test.want, test.method.comment()); diff != "" {
				t.Errorf("comment (-want +got):\n%s", diff)
			}
		})
	}
}

func TestTwin_comment(t *testing.T) {
	t.Parallel()
	m := paged(func(m *method) {
		m.operation.Scope, m.operation.Stage = "Read Logs", apiv1.Stage_STAGE_BETA
		m.operation.RateLimit = &apiv1.RateLimit{Requests: 5, Window: durationpb.New(time.Second)}
		m.request.fields = append(m.request.fields, scalarField("start_time", "startTime", nil), scalarField("end_time", "endTime", nil))
		m.feed = model.FeedFacts{Begins: "now", EndsNow: true}
	})
	shared := []string{
		"Operation `V1listHosLogs`, GET /hos/logs/{id}: https://developers.samsara.com/reference/v1listhoslogs",
		"Scope: Read Logs.", "Rate limit: 5 requests per second and organization, of which each page takes one.", "Beta: Samsara may change it.",
	}
	for i, want := range [][]string{
		{"Every page of ListHosLogs, one message a page. To go on after the end, set `options.from_cursor` to the last cursor."},
		{
			"Every page of ListHosLogs, then for ever what is new, asked for no more often than every 5 seconds.",
			"Without `request.start_time` it begins now.",
			"Keeps polling, though the document says that without an end time the feed ends now.",
			"`request.after` and `request.end_time` must not be set: it goes on from `options.from_cursor`, and has no end.",
		},
	} {
		if diff := cmp.Diff(append(want, shared...), m.twinComment(m.twins[i])); diff != "" {
			t.Errorf("comment of %s (-want +got):\n%s", m.twins[i].name, diff)
		}
	}
}

func TestMessage_comment(t *testing.T) {
	t.Parallel()
	id, name := scalarField("id", "id", nil), scalarField("name", "name", nil)
	retired := scalarField("color", "color", nil)
	retired.deprecated = true
	for _, test := range []struct {
		message *message
		want    string
	}{
		{&message{name: "GetTagRequest"}, "The request of GetTag."},
		{&message{name: "GetTagResponse", deprecated: true}, "The response of GetTag. Kept for existing clients."},
		{&message{name: "ListTagsResponse", pageOf: "tags"}, "One page of tags."},
		{&message{name: "HosClock", schemas: []string{"Clock"}, isRecord: true}, "An HOS clock. Schema Clock."},
		{&message{name: "Sensor", schemas: []string{"A", "B"}}, "Schemas A, B."},
		{&message{name: "Driver", schemas: []string{"GoaDriverTiny"}, fields: []*field{id, retired, name}}, "Schema GoaDriverTiny. It has nothing but `id` and `name`."},
		{&message{name: "Ref", schemas: []string{"Ref"}, fields: []*field{id}}, "Schema Ref. It has nothing but `id`."},
		{&message{name: "Tag", schemas: []string{"Tag"}, fields: []*field{id, name, scalarField("color", "color", nil)}}, "Schema Tag."},
		{&message{name: "GetRefResponse", fields: []*field{id}}, "The response of GetRef."},
	} {
		if got := test.message.comment(); got != test.want {
			t.Errorf("comment of %s = %q, want %q", test.message.name, got, test.want)
		}
	}
}

func TestField_comment(t *testing.T) {
	t.Parallel()
	const query, path, body = apiv1.Location_LOCATION_QUERY, apiv1.Location_LOCATION_PATH, apiv1.Location_LOCATION_BODY
	for _, test := range []struct {
		name, wire string // of what is sent
		jsonName   string
		options    *apiv1.Field
		want       string
	}{
		{"name", "name", "name", &apiv1.Field{}, ""},
		{"name", "name", "name", &apiv1.Field{In: query, ArrayStyle: apiv1.ArrayStyle_ARRAY_STYLE_REPEAT}, ""},
		{"id", "id", "id", &apiv1.Field{In: path, Required: true}, "Required."},
		{"name_v2", "name", "nameV2", &apiv1.Field{}, "Member `name`."},
		{"path_id", "id", "pathId", &apiv1.Field{In: path, Required: true}, "Path parameter `id`. Required."},
		{"query_id", "id", "queryId", &apiv1.Field{In: query}, "Query parameter `id`."},
		{"body_id", "id", "bodyId", &apiv1.Field{In: body, Format: "uuid"}, "Body member `id`. A UUID."},
		{"at", "at", "at", &apiv1.Field{Format: "date-time", Required: true}, "Required. A time as in RFC 3339."},
		{"kind", "kind", "kind", &apiv1.Field{Values: []string{"a", ""}, Default: "a"}, "Known values: `a`, the empty string. Default: `a`."},
		{"size_v2", "size", "sizeV2", &apiv1.Field{In: query, Retired: true}, "Query parameter `size`. Of an earlier type: sent, and read if the value fits. Kept for existing clients."},
		{"body", "body", "body", &apiv1.Field{In: body, Root: true}, "The whole body."},
		{"value", "value", "value", &apiv1.Field{Root: true}, "The whole JSON value."},
	} {
		f := scalarField(test.name, test.jsonName, test.options)
		if test.wire != test.jsonName {
			f.options.Name = test.wire
		}
		if got := f.comment(); got != test.want {
			t.Errorf("comment of %s = %q, want %q", test.name, got, test.want)
		}
	}
}
