package endpoint_test

import (
	"errors"
	"fmt"
	"math"
	"net/url"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
	"google.golang.org/protobuf/encoding/prototext"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/reflect/protoreflect"
	"google.golang.org/protobuf/reflect/protoregistry"
	"google.golang.org/protobuf/types/dynamicpb"

	_ "samsara.internal/gateway/gen" // Registers the descriptors of the whole API.
	"samsara.internal/gateway/internal/endpoint"
	"samsara.internal/gateway/internal/testproto"
)

// readings returns the streams of testproto.Readings by name.
func readings(tb testing.TB) map[string]*endpoint.Stream {
	tb.Helper()
	return streamsOf(tb, testproto.Readings)
}

func streamsOf(tb testing.TB, source string) map[string]*endpoint.Stream {
	tb.Helper()
	var files protoregistry.Files
	if err := files.RegisterFile(testproto.Compile(tb, source)); err != nil {
		tb.Fatalf("register file: %v", err)
	}
	endpoints, err := endpoint.Load(&files, nil)
	if err != nil {
		tb.Fatal(err)
	}
	streams := make(map[string]*endpoint.Stream)
	for _, e := range endpoints {
		for _, s := range e.Streams {
			streams[string(s.Method.Name())] = s
		}
	}
	return streams
}

func streamRequest(tb testing.TB, s *endpoint.Stream, text string) protoreflect.Message {
	tb.Helper()
	m := s.Input.New()
	if err := prototext.Unmarshal([]byte(text), m.Interface()); err != nil {
		tb.Fatalf("request: %v", err)
	}
	return m
}

func TestLoad_streamsOfOperations(t *testing.T) {
	t.Parallel()
	type summary struct {
		FullMethod, Pages string
		Follow            bool
	}
	got := map[string]summary{}
	for name, s := range readings(t) {
		got[name] = summary{s.FullMethod, string(s.Pages.Method.Name()), s.Follow}
		if !slices.Contains(s.Pages.Streams, s) {
			t.Errorf("%s is not among the streams of %s", name, s.Pages.FullMethod)
		}
	}
	const service = "/samsara_gateway.readings.v1.ReadingsService/"
	want := map[string]summary{
		"StreamReadings":       {service + "StreamReadings", "ListReadings", false},
		"StreamReadingsStream": {service + "StreamReadingsStream", "GetReadingsStream", false},
		"FollowReadings":       {service + "FollowReadings", "GetReadingsStream", true},
		"StreamOldReadings":    {service + "StreamOldReadings", "ListOldReadings", false},
		"StreamSheets":         {service + "StreamSheets", "ListSheets", false},
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("streams (-want +got):\n%s", diff)
	}
}

func TestLoad_refusedStreams(t *testing.T) {
	t.Parallel()
	const pages, follow = "method: \"ListReadings\" shape: STREAM_SHAPE_PAGES", "{method: \"GetReadingsStream\" shape: STREAM_SHAPE_FOLLOW}"
	const service = "method samsara_gateway.readings.v1.ReadingsService."
	for name, test := range map[string]struct {
		old, changed string
		want         []string
	}{
		"over a method that does not exist": {
			pages, `method: "ListNothing" shape: STREAM_SHAPE_PAGES`,
			[]string{service + `StreamReadings: reads the pages of "ListNothing", which is not an operation of the service`},
		},
		"without shape": {
			pages, `method: "ListReadings"`, []string{service + "StreamReadings: shape is STREAM_SHAPE_UNSPECIFIED"},
		},
		"that are unary": {
			"returns (stream StreamReadingsResponse)", "returns (StreamReadingsResponse)", []string{service + "StreamReadings: is not server streaming"},
		},
		"that are operations as well": {
			`option (samsara_gateway.api.v1.stream) = {` + pages + `};`,
			`option (samsara_gateway.api.v1.stream) = {` + pages + `}; option (samsara_gateway.api.v1.operation) = {method: HTTP_METHOD_GET path: "/x"};`,
			[]string{
				service + "StreamReadings: field request: in is LOCATION_UNSPECIFIED",
				service + "StreamReadings: field options: in is LOCATION_UNSPECIFIED",
				service + "StreamReadings: an operation does not stream",
				service + "StreamReadings: is annotated as an operation too",
			},
		},
		"that follow what is no feed": {
			"feed: true ", "", []string{service + "FollowReadings: follows GetReadingsStream, which is not a feed"},
		},
		"whose messages are others": {
			follow, `{method: "ListReadings" shape: STREAM_SHAPE_PAGES}`,
			[]string{
				service + "FollowReadings: message FollowReadingsRequest has no field `samsara_gateway.readings.v1.ListReadingsRequest request = 1`",
				service + "FollowReadings: message FollowReadingsRequest has no field `samsara_gateway.api.v1.StreamOptions options = 2`",
				service + "FollowReadings: message FollowReadingsResponse has no field `samsara_gateway.readings.v1.ListReadingsResponse page = 1`",
			},
		},
		"whose fields have other numbers": {
			"  ListReadingsResponse page = 1;\n  optional string cursor = 2;", "  ListReadingsResponse page = 2;\n  optional string cursor = 1;",
			[]string{
				service + "StreamReadings: message StreamReadingsResponse has no field `samsara_gateway.readings.v1.ListReadingsResponse page = 1`",
				service + "StreamReadings: message StreamReadingsResponse has no field `string cursor = 2`",
			},
		},
		"over pages without cursor": {
			"optional string after = 2 [(samsara_gateway.api.v1.field) = {in: LOCATION_QUERY}];\n  repeated string types", "repeated string types",
			[]string{service + "StreamReadings: ListReadingsRequest has no field for the cursor of PAGINATION_CURSOR"},
		},
		"over pages whose cursor is no text": {
			"optional string after = 2 [(samsara_gateway.api.v1.field) = {in: LOCATION_QUERY}];\n  repeated string types", "optional int64 after = 2 [(samsara_gateway.api.v1.field) = {in: LOCATION_QUERY}];\n  repeated string types",
			[]string{service + "StreamReadings: field after: int64 is not a cursor"},
		},
		"over pages without pagination": {
			"repeated Reading data = 1;\n  Pagination pagination = 2;\n}\nmessage StreamReadingsRequest", "repeated Reading data = 1;\n}\nmessage StreamReadingsRequest",
			[]string{service + "StreamReadings: message ListReadingsResponse has no message pagination"},
		},
		"over pages without hasNextPage": {
			"optional bool has_next_page = 2;", "",
			[]string{
				service + "FollowReadings: message Pagination has not both a string endCursor and a bool hasNextPage",
				service + "StreamOldReadings: message Pagination has not both a string endCursor and a bool hasNextPage",
				service + "StreamReadings: message Pagination has not both a string endCursor and a bool hasNextPage",
				service + "StreamReadingsStream: message Pagination has not both a string endCursor and a bool hasNextPage",
			},
		},
		"over pages without records": {
			`items: "data.readings"`, `items: "data.unit"`,
			[]string{service + `StreamOldReadings: items "data.unit" is not the path of a list of messages or texts`},
		},
		"that must have an end and cannot": {
			pages, pages + " end_required: true", []string{service + "StreamReadings: end_required: ListReadingsRequest has no field endTime"},
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			if !strings.Contains(testproto.Readings, test.old) {
				t.Fatalf("source does not hold %q", test.old)
			}
			var files protoregistry.Files
			if err := files.RegisterFile(testproto.Compile(t, strings.Replace(testproto.Readings, test.old, test.changed, 1))); err != nil {
				t.Fatal(err)
			}
			_, err := endpoint.Load(&files, nil)
			if err == nil {
				t.Fatal("no error")
			}
			if diff := cmp.Diff(test.want, strings.Split(err.Error(), "\n")); diff != "" {
				t.Errorf("errors (-want +got):\n%s", diff)
			}
		})
	}
}

func TestStream_boundRequest(t *testing.T) {
	t.Parallel()
	streams := readings(t)
	unbounded := endpoint.Walk{MaxPages: math.MaxInt64, MaxItems: math.MaxInt64, PollInterval: 5 * time.Second, KeepAliveInterval: 30 * time.Second, CursorField: "options.from_cursor"}
	with := func(change func(*endpoint.Walk)) endpoint.Walk {
		w := unbounded
		change(&w)
		return w
	}
	for name, test := range map[string]struct {
		stream, text string
		want         endpoint.Walk
		// at is a cursor, wantAt the request for its page.
		at, wantAt string
	}{
		"parameters are in one form, the cursor comes last": {
			stream: "StreamReadings", text: `request {id: "7" after: "c" types: ["b", "a,", "b"] tags: [10, 9] limit: 5}`,
			want: with(func(w *endpoint.Walk) {
				w.Path, w.Query, w.Start = "/readings/7", "types=a%2C,b&tags=10&tags=9&limit=5", "c"
				w.CursorField = "request.after"
			}),
			at: "x&y=+ü", wantAt: "/readings/7?types=a%2C,b&tags=10&tags=9&limit=5&after=x%26y%3D%2B%C3%BC",
		},
		"a cursor may be the only parameter": {
			stream: "StreamReadings", text: `request {id: "7"} options {max_pages: 3 max_items: 4}`,
			want: with(func(w *endpoint.Walk) { w.Path, w.MaxPages, w.MaxItems = "/readings/7", 3, 4 }),
			at:   "x", wantAt: "/readings/7?after=x",
		},
		"a page without cursor is asked for without": {
			stream: "StreamReadings", text: `request {id: "7" after: ""}`,
			want:   with(func(w *endpoint.Walk) { w.Path = "/readings/7" }),
			wantAt: "/readings/7?",
		},
		"a list that could be read backwards": {
			stream: "StreamOldReadings", text: `request {starting_after: "s" limit: 1}`,
			want: with(func(w *endpoint.Walk) {
				w.Path, w.Query, w.Start, w.CursorField = "/v1/readings", "limit=1", "s", "request.starting_after"
			}),
			at: "t", wantAt: "/v1/readings?limit=1&startingAfter=t",
		},
		"numbers are in the path": {
			stream: "StreamSheets", text: `request {page_number: "3" book: "3/x"}`,
			want: with(func(w *endpoint.Walk) {
				w.Path, w.Start, w.CursorField = "/sheets/3/of/3%2Fx", "3", "request.page_number"
			}),
			at: "4", wantAt: "/sheets/4/of/3%2Fx?",
		},
		"a list whose order counts stays as it is": {
			stream: "StreamReadings", text: `request {id: "7" types: ["b", "a"] kinds: ["b", "a", "b"]}`,
			want:   with(func(w *endpoint.Walk) { w.Path, w.Query = "/readings/7", "types=a,b&kinds=b,a,b" }),
			wantAt: "/readings/7?types=a,b&kinds=b,a,b",
		},
		"a stream begins where the options say": {
			stream: "StreamReadings", text: `request {id: "7" limit: 5} options {from_cursor: "c"}`,
			want: with(func(w *endpoint.Walk) { w.Path, w.Query, w.Start = "/readings/7", "limit=5", "c" }),
			at:   "c", wantAt: "/readings/7?limit=5&after=c",
		},
		"the options say what the request says": {
			stream: "StreamReadings", text: `request {id: "7" after: "c"} options {from_cursor: "c"}`,
			want: with(func(w *endpoint.Walk) { w.Path, w.Start = "/readings/7", "c" }),
			at:   "c", wantAt: "/readings/7?after=c",
		},
		"options without a cursor leave it to the request": {
			stream: "StreamReadings", text: `request {id: "7" after: "c"} options {max_pages: 1}`,
			want: with(func(w *endpoint.Walk) {
				w.Path, w.Start, w.CursorField, w.MaxPages = "/readings/7", "c", "request.after", 1
			}),
			at: "c", wantAt: "/readings/7?after=c",
		},
		"an empty cursor is the page without cursor": {
			stream: "StreamReadings", text: `request {id: "7"} options {from_cursor: ""}`,
			want:   with(func(w *endpoint.Walk) { w.Path = "/readings/7" }),
			wantAt: "/readings/7?",
		},
		"two empty cursors are equal": {
			stream: "StreamReadings", text: `request {id: "7" after: ""} options {from_cursor: ""}`,
			want:   with(func(w *endpoint.Walk) { w.Path = "/readings/7" }),
			wantAt: "/readings/7?",
		},
		"the greatest page number": {
			stream: "StreamSheets", text: `request {book: "b"} options {from_cursor: "2147483647"}`,
			want: with(func(w *endpoint.Walk) { w.Path, w.Start = "/sheets/2147483647/of/b", "2147483647" }),
			at:   "2147483648", wantAt: "/sheets/2147483648/of/b?",
		},
		"a list that could be read backwards begins where the options say": {
			stream: "StreamOldReadings", text: `options {from_cursor: "s"}`,
			want: with(func(w *endpoint.Walk) { w.Path, w.Start = "/v1/readings", "s" }),
			at:   "s", wantAt: "/v1/readings?startingAfter=s",
		},
		"pages that have numbers begin where the options say": {
			stream: "StreamSheets", text: `request {book: "b"} options {from_cursor: "3"}`,
			want: with(func(w *endpoint.Walk) { w.Path, w.Start = "/sheets/3/of/b", "3" }),
			at:   "3", wantAt: "/sheets/3/of/b?",
		},
		"numbers are the same": {
			stream: "StreamSheets", text: `request {page_number: "3" book: "b"} options {from_cursor: "3"}`,
			want: with(func(w *endpoint.Walk) { w.Path, w.Start = "/sheets/3/of/b", "3" }),
			at:   "4", wantAt: "/sheets/4/of/b?",
		},
		"a feed is followed from where the options say": {
			stream: "FollowReadings", text: `request {ids: "1"} options {from_cursor: "c" poll_interval {seconds: 60} keep_alive_interval {seconds: 1} max_pages: 1}`,
			want: with(func(w *endpoint.Walk) {
				w.Path, w.Query, w.Start, w.MaxPages = "/readings/stream", "ids=1", "c", 1
				w.PollInterval, w.KeepAliveInterval = time.Minute, time.Second
			}),
			at: "d", wantAt: "/readings/stream?ids=1&after=d",
		},
		"a request may be left out": {
			stream: "FollowReadings",
			want:   with(func(w *endpoint.Walk) { w.Path = "/readings/stream" }),
			at:     "d", wantAt: "/readings/stream?after=d",
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := streams[test.stream]
			w, err := s.Bind(streamRequest(t, s, test.text))
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(test.want, *w, cmpopts.IgnoreUnexported(endpoint.Walk{})); diff != "" {
				t.Errorf("walk (-want +got):\n%s", diff)
			}
			request := w.Request(test.at)
			if got := request.Path + "?" + request.Query; got != test.wantAt {
				t.Errorf("request at %q is %s, want %s", test.at, got, test.wantAt)
			}
		})
	}
}

func TestStream_sameParametersAsUnary(t *testing.T) {
	t.Parallel()
	s := readings(t)["StreamReadings"]
	const text = `id: "7" after: "c" types: ["b", "a"] limit: 5`
	w, err := s.Bind(streamRequest(t, s, "request {"+text+"}"))
	if err != nil {
		t.Fatal(err)
	}
	m := s.Pages.Input.New()
	if err := prototext.Unmarshal([]byte(text), m.Interface()); err != nil {
		t.Fatal(err)
	}
	want, err := s.Pages.Bind(m)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(want, w.Request("c")); diff != "" {
		t.Errorf("request (-unary +stream):\n%s", diff)
	}
}

func TestStream_refusedRequest(t *testing.T) {
	t.Parallel()
	streams := readings(t)
	for name, test := range map[string]struct {
		stream, text string
		want         []string
	}{
		"what the operation refuses": {"StreamReadings", ``, []string{"request.id: is required"}},
		"options out of bounds": {
			"FollowReadings", `options {max_pages: 0 max_items: -1 poll_interval {seconds: 4 nanos: 999999999} keep_alive_interval {nanos: 1}}`,
			[]string{
				"options.max_pages: is 0, must be at least 1", "options.max_items: is -1, must be at least 1",
				"options.poll_interval: is 4.999999999s, must be at least 5s", "options.keep_alive_interval: is 1ns, must be at least 1s",
			},
		},
		"intervals that are too long or none": {
			"FollowReadings", `options {poll_interval {seconds: 86401} keep_alive_interval {seconds: 5 nanos: -1}}`,
			[]string{
				"options.poll_interval: is 24h0m1s, must be at most 24h0m0s",
				"options.keep_alive_interval: is 5 s and -1 ns, must be a valid duration",
			},
		},
		"a cursor in the request of a feed": {
			"FollowReadings", `request {after: "a"}`, []string{"request.after: must not be set: a followed feed begins at options.from_cursor"},
		},
		"two cursors": {
			"StreamReadings", `request {id: "7" after: "a"} options {from_cursor: "b"}`,
			[]string{`options.from_cursor: is "b", must be unset or equal to request.after, which is "a"`},
		},
		"two cursors of a list that could be read backwards": {
			"StreamOldReadings", `request {starting_after: "a"} options {from_cursor: "b"}`,
			[]string{`options.from_cursor: is "b", must be unset or equal to request.starting_after, which is "a"`},
		},
		"two numbers of a page": {
			"StreamSheets", `request {page_number: "1" book: "b"} options {from_cursor: "2"}`,
			[]string{`options.from_cursor: is "2", must be unset or equal to request.page_number, which is "1"`},
		},
		"an empty cursor beside another": {
			"StreamReadings", `request {id: "7" after: ""} options {from_cursor: "b"}`,
			[]string{`options.from_cursor: is "b", must be unset or equal to request.after, which is ""`},
		},
		"a cursor beside an empty one": {
			"StreamReadings", `request {id: "7" after: "a"} options {from_cursor: ""}`,
			[]string{`options.from_cursor: is "", must be unset or equal to request.after, which is "a"`},
		},
		"an empty cursor of a list that could be read backwards": {
			"StreamOldReadings", `request {starting_after: ""} options {from_cursor: "b"}`,
			[]string{`options.from_cursor: is "b", must be unset or equal to request.starting_after, which is ""`},
		},
		"an empty number of a page": {
			"StreamSheets", `request {page_number: "" book: "b"} options {from_cursor: "2"}`,
			[]string{
				`options.from_cursor: is "2", must be unset or equal to request.page_number, which is ""`,
				`request.page_number: is "", must be neither empty nor a path segment of dots`,
			},
		},
		"page 0 beside another": {
			"StreamSheets", `request {page_number: "0" book: "b"} options {from_cursor: "2"}`,
			[]string{`options.from_cursor: is "2", must be unset or equal to request.page_number, which is "0"`},
		},
		"an empty cursor in the request of a feed": {
			"FollowReadings", `request {after: ""} options {from_cursor: "a"}`,
			[]string{"request.after: must not be set: a followed feed begins at options.from_cursor"},
		},
		"a page number that is too large": {
			"StreamSheets", `request {book: "b"} options {from_cursor: "2147483648"}`,
			[]string{`options.from_cursor: is "2147483648", must be at most 2147483647`},
		},
		"a page number that is far too large": {
			"StreamSheets", `request {book: "b" page_number: "99999999999999999999999"}`,
			[]string{`request.page_number: is "99999999999999999999999", must be at most 2147483647`},
		},
		"a page number below 0": {
			"StreamSheets", `request {book: "b"} options {from_cursor: "-1"}`,
			[]string{`options.from_cursor: is "-1", must be a whole number`},
		},
		"a cursor that is no page number": {
			"StreamSheets", `request {book: "b"} options {from_cursor: "one"}`, []string{`options.from_cursor: is "one", must be a whole number`},
		},
		"an end of a feed": {
			"FollowReadings", `request {end_time: ""}`, []string{"request.end_time: must not be set: a followed feed has no end"},
		},
		"no end though it is required": {
			"StreamReadingsStream", ``, []string{"request.end_time: is required: it is not known where the stream would end without it"},
		},
		"to read backwards": {
			"StreamOldReadings", `request {ending_before: "a"}`, []string{"request.ending_before: must not be set: a stream reads forward"},
		},
		"a page number that is none": {
			"StreamSheets", `request {page_number: "one" book: "b"}`, []string{`request.page_number: is "one", must be a whole number`},
		},
		"no page number": {"StreamSheets", `request {book: "b"}`, []string{"request.page_number: is required"}},
		"a cursor that is too long": {
			"FollowReadings", fmt.Sprintf(`options {from_cursor: %q}`, strings.Repeat("x", endpoint.MaxCursorBytes+1)),
			[]string{"options.from_cursor: is 16385 bytes long, must be at most 16384"},
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := streams[test.stream]
			_, err := s.Bind(streamRequest(t, s, test.text))
			var refused *endpoint.ArgumentError
			if !errors.As(err, &refused) {
				t.Fatalf("error is %v, want an ArgumentError", err)
			}
			var got []string
			for _, v := range refused.Violations {
				got = append(got, v.Field+": "+v.Description)
			}
			if diff := cmp.Diff(test.want, got); diff != "" {
				t.Errorf("violations (-want +got):\n%s", diff)
			}
		})
	}
	other := dynamicpb.NewMessage(streams["StreamSheets"].Input.Descriptor())
	if _, err := streams["StreamReadings"].Bind(other); err == nil {
		t.Error("a message of another type was bound")
	}
}

// pageOf returns the wire form of a page of a stream, given in prototext.
func pageOf(tb testing.TB, s *endpoint.Stream, text string) []byte {
	tb.Helper()
	m := dynamicpb.NewMessage(s.Pages.Method.Output())
	if err := prototext.Unmarshal([]byte(text), m); err != nil {
		tb.Fatalf("page: %v", err)
	}
	wire, err := proto.MarshalOptions{Deterministic: true}.Marshal(m)
	if err != nil {
		tb.Fatalf("page: %v", err)
	}
	return wire
}

func TestPage_howToGoOn(t *testing.T) {
	t.Parallel()
	streams := readings(t)
	for name, test := range map[string]struct {
		stream, request, asked, text string
		want                         endpoint.Page
	}{
		"that more follows":                  {"StreamReadings", `request {id: "7"}`, "", `data {id: "1"} data {} pagination {end_cursor: "c" has_next_page: true}`, endpoint.Page{Cursor: "c", More: true, Valid: true, Items: 2}},
		"that none follows":                  {"StreamReadings", `request {id: "7"}`, "", `pagination {end_cursor: "" has_next_page: false}`, endpoint.Page{Valid: true}},
		"nothing of what follows":            {"StreamReadings", `request {id: "7"}`, "", `data {id: "1"} pagination {end_cursor: "c"}`, endpoint.Page{Cursor: "c", Items: 1}},
		"nothing":                            {"StreamReadings", `request {id: "7"}`, "", ``, endpoint.Page{}},
		"how many records there are, nested": {"StreamOldReadings", ``, "", `data {unit: "u" readings {} readings {id: "2"}} pagination {has_next_page: true}`, endpoint.Page{More: true, Valid: true, Items: 2, Speaks: true}},
		"the next number":                    {"StreamSheets", `request {page_number: "9" book: "b"}`, "9", `sheet {readings {}}`, endpoint.Page{Cursor: "10", More: true, Valid: true, Items: 1}},
		"no next number if it is empty":      {"StreamSheets", `request {page_number: "9" book: "b"}`, "9", `sheet {}`, endpoint.Page{Valid: true}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := streams[test.stream]
			w, err := s.Bind(streamRequest(t, s, test.request))
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(test.want, w.Page(test.asked, pageOf(t, s, test.text))); diff != "" {
				t.Errorf("page (-want +got):\n%s", diff)
			}
		})
	}
}

func TestCut_firstRecords(t *testing.T) {
	t.Parallel()
	streams := readings(t)
	for name, test := range map[string]struct {
		stream, request, text string
		n                     int64
		want                  string
	}{
		"of a list":        {"StreamReadings", `request {id: "7"}`, `data {id: "1"} data {id: "2"} data {id: "3"} pagination {end_cursor: "c"}`, 2, `data {id: "1"} data {id: "2"} pagination {end_cursor: "c"}`},
		"of a nested list": {"StreamOldReadings", ``, `data {unit: "u" readings {id: "1"} readings {id: "2"}} pagination {}`, 1, `data {unit: "u" readings {id: "1"}} pagination {}`},
		"that are all":     {"StreamReadings", `request {id: "7"}`, `data {id: "1"}`, 5, `data {id: "1"}`},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := streams[test.stream]
			w, err := s.Bind(streamRequest(t, s, test.request))
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(pageOf(t, s, test.want), w.Cut(pageOf(t, s, test.text), test.n)); diff != "" {
				t.Errorf("page (-want +got):\n%s", diff)
			}
		})
	}
}

func TestPastEnd_numberedPageNotFound(t *testing.T) {
	t.Parallel()
	streams := readings(t)
	sheets, err := streams["StreamSheets"].Bind(streamRequest(t, streams["StreamSheets"], `request {page_number: "1" book: "b"}`))
	if err != nil {
		t.Fatal(err)
	}
	list, err := streams["StreamReadings"].Bind(streamRequest(t, streams["StreamReadings"], `request {id: "7"}`))
	if err != nil {
		t.Fatal(err)
	}
	for _, test := range []struct {
		walk   *endpoint.Walk
		cursor string
		status int
		want   bool
	}{
		{sheets, "2", 404, true}, {sheets, "1", 404, false}, {sheets, "2", 500, false}, {list, "2", 404, false},
	} {
		if got := test.walk.PastEnd(test.cursor, test.status); got != test.want {
			t.Errorf("status %d of page %s is past the end: %t, want %t", test.status, test.cursor, got, test.want)
		}
	}
}

func TestLoad_everyStreamOfTheAPI(t *testing.T) {
	t.Parallel()
	endpoints, err := endpoint.Load(protoregistry.GlobalFiles, protoregistry.GlobalTypes)
	if err != nil {
		t.Fatal(err)
	}
	for _, e := range endpoints {
		var pages, follow int
		for _, s := range e.Streams {
			if s.Follow {
				follow++
			} else {
				pages++
			}
		}
		wantPages, wantFollow := 0, 0
		if e.Operation.GetPagination() != 0 {
			wantPages = 1
		}
		if e.Operation.GetFeed() {
			wantFollow = 1
		}
		if pages != wantPages || follow != wantFollow {
			t.Errorf("%s has %d streams of pages and %d that follow, want %d and %d", e.FullMethod, pages, follow, wantPages, wantFollow)
		}
	}
}

// FuzzPage reads pages that are no wire form, cuts them, and asks for what they lead to.
func FuzzPage(f *testing.F) {
	streams := readings(f)
	old := streams["StreamOldReadings"]
	w, err := old.Bind(old.Input.New())
	if err != nil {
		f.Fatal(err)
	}
	for _, text := range []string{
		``, `data {}`, `data {unit: "u" readings {id: "1"} readings {id: "2"}} pagination {end_cursor: "c" has_next_page: true}`,
		`pagination {end_cursor: "a&b=c d/\u00e9"}`,
	} {
		f.Add(pageOf(f, old, text), int64(1))
	}
	f.Add([]byte("\x0a"), int64(0))
	f.Add([]byte("\x0b\x0c"), int64(2))
	f.Add([]byte("\x0a\x04\x12\x00\x12\x00\x0a\x02\x12\x00"), int64(2))
	f.Fuzz(func(t *testing.T, wire []byte, n int64) {
		page := w.Page("", wire)
		request := w.Request(page.Cursor)
		query, err := url.ParseQuery(request.Query)
		if err != nil || query.Get("startingAfter") != page.Cursor {
			t.Errorf("query %q reads %q (error %v), want %q", request.Query, query.Get("startingAfter"), err, page.Cursor)
		}
		if n < 0 {
			return
		}
		if cut := w.Page("", w.Cut(wire, n)); cut.Items != min(page.Items, n) || cut.Cursor != page.Cursor || cut.More != page.More {
			t.Errorf("page %+v cut to %d is %+v", page, n, cut)
		}
	})
}

// A parameter that was retyped in an operation's request is retyped in its streams too.
func TestStream_retypedParameters(t *testing.T) {
	t.Parallel()
	source := strings.Replace(testproto.Readings, "message ListReadingsRequest {", `message ListReadingsRequest {
		optional int64 old_after = 21 [(samsara_gateway.api.v1.field) = {in: LOCATION_QUERY name: "after" retired: true}];
		optional int64 old_end = 22 [(samsara_gateway.api.v1.field) = {in: LOCATION_QUERY name: "endTime" retired: true}];
		optional string end_time = 23 [(samsara_gateway.api.v1.field) = {in: LOCATION_QUERY name: "endTime"}];`, 1)
	source = strings.Replace(source, "message ListSheetsRequest {", `message ListSheetsRequest {
		optional int64 old_number = 21 [(samsara_gateway.api.v1.field) = {in: LOCATION_PATH name: "pageNumber" retired: true}];`, 1)
	streams := streamsOf(t, source)
	for name, test := range map[string]struct{ request, start, first, next string }{
		"StreamReadings": {`request {id: "1" old_after: 5 old_end: 7}`, "5", "/readings/1?endTime=7", "/readings/1?endTime=7&after=6"},
		"StreamSheets":   {`request {old_number: 5 book: "b"}`, "5", "/sheets/5/of/b?", "/sheets/6/of/b?"},
	} {
		walk, err := streams[name].Bind(streamRequest(t, streams[name], test.request))
		if err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		first, next := walk.Request(""), walk.Request("6")
		if walk.Start != test.start || first.Path+"?"+first.Query != test.first || next.Path+"?"+next.Query != test.next {
			t.Errorf("%s starts at %s with %s?%s, and goes on with %s?%s; want %s, %s and %s",
				name, walk.Start, first.Path, first.Query, next.Path, next.Query, test.start, test.first, test.next)
		}
	}
	_, err := streams["StreamReadings"].Bind(streamRequest(t, streams["StreamReadings"], `request {id: "1" old_after: 5 after: "5"}`))
	if walk, err := streams["StreamReadings"].Bind(streamRequest(t, streams["StreamReadings"], `request {id: "1" old_after: 5} options {from_cursor: "5"}`)); err != nil || walk.Start != "5" {
		t.Errorf("two cursors that are equal: %v, want a start at 5", err)
	}
	const want = "request.after: must not be set together with old_after, which is the same parameter"
	if err == nil || err.Error() != want {
		t.Errorf("two cursors: %v, want %s", err, want)
	}
}
