package service_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"
	"google.golang.org/genproto/googleapis/rpc/errdetails"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/encoding/protojson"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/reflect/protoreflect"
	"google.golang.org/protobuf/testing/protocmp"
	"google.golang.org/protobuf/types/dynamicpb"
	"google.golang.org/protobuf/types/known/durationpb"

	apiv1 "samsara.internal/gateway/gen/api/v1"
	"samsara.internal/gateway/internal/endpoint"
	"samsara.internal/gateway/internal/lease"
	"samsara.internal/gateway/internal/testproto"
	"samsara.internal/gateway/internal/transcode"
	"samsara.internal/gateway/service"
	"samsara.internal/gateway/upstream"
)

const (
	streamReadings       = "StreamReadings"
	streamReadingsStream = "StreamReadingsStream"
	streamOldReadings    = "StreamOldReadings"
	streamSheets         = "StreamSheets"
	followReadings       = "FollowReadings"
)

// pager is an upstream that answers by the cursor that it is asked with. A cursor without an answer is an
// error of the test.
type pager struct {
	resolver
	t *testing.T
	// page returns the body of the page at cursor, when it is asked for the n-th time.
	page func(ctx context.Context, cursor string, n int) (string, error)

	mu    sync.Mutex
	asked []string
	times []time.Time
	// queries are the queries of all requests, without cursor.
	queries []string
	counts  map[string]int
}

func (p *pager) Do(ctx context.Context, op *upstream.Operation, sent upstream.Request) (*upstream.Response, error) {
	req := p.request(op, sent)
	cursor := cursorOf(req)
	p.mu.Lock()
	if p.counts == nil {
		p.counts = map[string]int{}
	}
	p.counts[cursor]++
	n := p.counts[cursor]
	p.asked = append(p.asked, cursor)
	p.times = append(p.times, time.Now())
	p.queries = append(p.queries, withoutCursor(req))
	p.mu.Unlock()
	body, err := p.page(ctx, cursor, n)
	if err != nil {
		return nil, err
	}
	resp := &upstream.Response{Status: 200, Attempts: 1, RequestID: fmt.Sprintf("req-%d", len(p.requests()))}
	resp.Message, err = req.Decoder.Append(nil, []byte(body), &resp.Drift)
	return resp, err
}

// requests returns the cursors of all requests so far.
func (p *pager) requests() []string {
	p.mu.Lock()
	defer p.mu.Unlock()
	return append([]string(nil), p.asked...)
}

// cursorOf returns the cursor of a request: the value of its parameter, or the number in the path.
func cursorOf(req *request) string {
	if rest, ok := strings.CutPrefix(req.Path, "/sheets/"); ok {
		number, _, _ := strings.Cut(rest, "/")
		return number
	}
	query, err := url.ParseQuery(req.Query)
	if err != nil {
		return err.Error()
	}
	return query.Get("after") + query.Get("startingAfter")
}

func withoutCursor(req *request) string {
	query := req.Path + "?" + req.Query
	for _, name := range []string{"after=", "startingAfter="} {
		query, _, _ = strings.Cut(query, name)
	}
	return strings.TrimRight(query, "&?")
}

// script answers each cursor with one body.
func script(t *testing.T, pages map[string]string) *pager {
	t.Helper()
	return &pager{t: t, page: func(_ context.Context, cursor string, _ int) (string, error) {
		body, ok := pages[cursor]
		if !ok {
			return "", notFound()
		}
		return body, nil
	}}
}

func notFound() error {
	return &upstream.Error{Code: codes.NotFound, Reason: apiv1.Reason_REASON_NOT_FOUND, Domain: upstream.DomainSamsara, Message: "no such page", HTTPStatus: 404, Attempts: 1}
}

// body is a page of records with an end cursor, which is left out if it is "-".
func body(ids string, end string, more bool) string {
	var records []string
	for _, id := range strings.Fields(ids) {
		records = append(records, `{"id":"`+id+`"}`)
	}
	pagination := fmt.Sprintf(`"endCursor":%q,`, end)
	if end == "-" {
		pagination = ""
	}
	return fmt.Sprintf(`{"data":[%s],"pagination":{%s"hasNextPage":%t}}`, strings.Join(records, ","), pagination, more)
}

// reader is the client of one stream.
type reader struct {
	t      *testing.T
	stream grpc.ClientStream
	output protoreflect.MessageDescriptor
}

// got is a message of a stream.
type got struct {
	IDs, Cursor string
	KeepAlive   *apiv1.KeepAlive
}

// open begins a stream, its request in protojson.
func (g *gateway) open(ctx context.Context, t *testing.T, method, request string) *reader {
	t.Helper()
	for _, e := range g.served {
		for _, s := range e.Streams {
			if string(s.Method.Name()) == method {
				return g.openStream(ctx, t, s, request)
			}
		}
	}
	t.Fatalf("there is no stream %s", method)
	return nil
}

func (g *gateway) openStream(ctx context.Context, t *testing.T, s *endpoint.Stream, request string) *reader {
	t.Helper()
	in := s.Input.New().Interface()
	if err := protojson.Unmarshal([]byte(request), in); err != nil {
		t.Fatalf("request: %v", err)
	}
	stream, err := g.conn.NewStream(ctx, &grpc.StreamDesc{ServerStreams: true}, s.FullMethod)
	if err != nil {
		t.Fatalf("NewStream: %v", err)
	}
	if err := stream.SendMsg(in); err != nil {
		t.Fatalf("SendMsg: %v", err)
	}
	if err := stream.CloseSend(); err != nil {
		t.Fatalf("CloseSend: %v", err)
	}
	return &reader{t: t, stream: stream, output: s.Method.Output()}
}

// next receives a message.
func (r *reader) next() (got, error) {
	out := dynamicpb.NewMessage(r.output)
	if err := r.stream.RecvMsg(out); err != nil {
		return got{}, err
	}
	fields := r.output.Fields()
	m := got{Cursor: out.Get(fields.ByName("cursor")).String()}
	if fd := fields.ByName("keep_alive"); fd != nil && out.Has(fd) {
		wire, err := proto.Marshal(out.Get(fd).Message().Interface())
		if err != nil {
			r.t.Errorf("marshal keep-alive: %v", err)
		}
		m.KeepAlive = new(apiv1.KeepAlive)
		if err := proto.Unmarshal(wire, m.KeepAlive); err != nil {
			r.t.Errorf("unmarshal keep-alive: %v", err)
		}
	}
	m.IDs = strings.Join(idsOf(out.Get(fields.ByName("page")).Message()), " ")
	return m, nil
}

// idsOf returns the texts of all fields called id, in order.
func idsOf(m protoreflect.Message) (ids []string) {
	m.Range(func(fd protoreflect.FieldDescriptor, v protoreflect.Value) bool {
		switch {
		case fd.Name() == "id" && fd.Kind() == protoreflect.StringKind:
			ids = append(ids, v.String())
		case fd.IsList() && fd.Message() != nil:
			for i := range v.List().Len() {
				ids = append(ids, idsOf(v.List().Get(i).Message())...)
			}
		case fd.Message() != nil && !fd.IsMap():
			ids = append(ids, idsOf(v.Message())...)
		}
		return true
	})
	return ids
}

// must receives a message with records.
func (r *reader) must() got {
	r.t.Helper()
	m, err := r.next()
	if err != nil {
		r.t.Fatalf("stream ended with %v", err)
	}
	return m
}

// rest receives what remains.
func (r *reader) rest() ([]got, ended) {
	var all []got
	for {
		m, err := r.next()
		if errors.Is(err, io.EOF) {
			return all, ended{status.New(codes.OK, ""), r.stream.Trailer()}
		}
		if err != nil {
			return all, ended{status.Convert(err), r.stream.Trailer()}
		}
		all = append(all, m)
	}
}

// ended is how a stream ended.
type ended struct {
	*status.Status
	trailer metadata.MD
}

func (e ended) reason() string {
	for _, detail := range e.Details() {
		if info, ok := detail.(*errdetails.ErrorInfo); ok {
			return info.GetReason()
		}
	}
	return ""
}

func (e ended) cursor() string { return strings.Join(e.trailer.Get("samsara-cursor"), "|") }

func TestStream_everyPage(t *testing.T) {
	t.Parallel()
	for _, test := range []struct {
		name, method, request string
		pages                 map[string]string
		want                  []got
		wantAsked             []string
	}{
		{
			name: "until there is no next page, short and empty ones passed over", method: streamReadings,
			request: `{"request":{"id":"7"}}`,
			pages: map[string]string{
				"": body("1 2 3", "a", true), "a": body("4", "b", true), "b": body("", "c", true), "c": body("5 6", "", false),
			},
			want:      []got{{IDs: "1 2 3", Cursor: "a"}, {IDs: "4", Cursor: "b"}, {IDs: "5 6"}},
			wantAsked: []string{"", "a", "b", "c"},
		},
		{
			name: "none if there are no records", method: streamReadings,
			request:   `{"request":{"id":"7"}}`,
			pages:     map[string]string{"": body("", "", false)},
			wantAsked: []string{""},
		},
		{
			name: "from the cursor on that the request has", method: streamReadings,
			request:   `{"request":{"id":"7","after":"b"}}`,
			pages:     map[string]string{"b": body("4", "c", true), "c": body("5", "", false)},
			want:      []got{{IDs: "4", Cursor: "c"}, {IDs: "5"}},
			wantAsked: []string{"b", "c"},
		},
		{
			name: "no more pages than wanted, and none is asked for in vain", method: streamReadings,
			request:   `{"request":{"id":"7"},"options":{"maxPages":"2"}}`,
			pages:     map[string]string{"": body("1", "a", true), "a": body("2", "b", true)},
			want:      []got{{IDs: "1", Cursor: "a"}, {IDs: "2", Cursor: "b"}},
			wantAsked: []string{"", "a"},
		},
		{
			name: "an empty page if the client wants no more, so that it can go on behind it", method: streamReadings,
			request:   `{"request":{"id":"7"},"options":{"maxPages":"1"}}`,
			pages:     map[string]string{"": body("", "a", true)},
			want:      []got{{Cursor: "a"}},
			wantAsked: []string{""},
		},
		{
			name: "no more records than wanted, a page that is cut being asked for again", method: streamReadings,
			request:   `{"request":{"id":"7"},"options":{"maxItems":"3"}}`,
			pages:     map[string]string{"": body("1 2", "a", true), "a": body("3 4", "b", true)},
			want:      []got{{IDs: "1 2", Cursor: "a"}, {IDs: "3", Cursor: "a"}},
			wantAsked: []string{"", "a"},
		},
		{
			name: "no more records than wanted, a whole page being done with", method: streamReadings,
			request:   `{"request":{"id":"7"},"options":{"maxItems":"2"}}`,
			pages:     map[string]string{"": body("1 2", "a", true)},
			want:      []got{{IDs: "1 2", Cursor: "a"}},
			wantAsked: []string{""},
		},
		{
			name: "of a feed until it is caught up, with the cursor to follow it from", method: streamReadingsStream,
			request:   `{"request":{"endTime":"2026"}}`,
			pages:     map[string]string{"": body("1", "a", true), "a": body("2", "b", false)},
			want:      []got{{IDs: "1", Cursor: "a"}, {IDs: "2", Cursor: "b"}},
			wantAsked: []string{"", "a"},
		},
		{
			name: "of a list that could be read backwards, forwards", method: streamOldReadings,
			request: `{"request":{"startingAfter":"x"}}`,
			pages: map[string]string{
				"x": `{"data":{"readings":[{"id":"1"},{"id":"2"}]},"pagination":{"endCursor":"y","hasNextPage":true}}`,
				"y": `{"data":{"unit":"u","readings":[{"id":"3"}]},"pagination":{"endCursor":"","hasNextPage":false}}`,
			},
			want:      []got{{IDs: "1 2", Cursor: "y"}, {IDs: "3"}},
			wantAsked: []string{"x", "y"},
		},
		{
			name: "with numbers until one is empty", method: streamSheets,
			request: `{"request":{"pageNumber":"1","book":"b"}}`,
			pages: map[string]string{
				"1": `{"sheet":{"readings":[{"id":"1"}]}}`, "2": `{"sheet":{"readings":[{"id":"2"}]}}`, "3": `{"sheet":{"readings":[]}}`,
			},
			want:      []got{{IDs: "1", Cursor: "2"}, {IDs: "2", Cursor: "3"}},
			wantAsked: []string{"1", "2", "3"},
		},
		{
			name: "with numbers until one does not exist", method: streamSheets,
			request:   `{"request":{"pageNumber":"1","book":"b"}}`,
			pages:     map[string]string{"1": `{"sheet":{"readings":[{"id":"1"}]}}`},
			want:      []got{{IDs: "1", Cursor: "2"}},
			wantAsked: []string{"1", "2"},
		},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			up := script(t, test.pages)
			g := start(t, service.Config{Endpoints: load(t, testproto.Readings), Upstream: up})
			messages, end := g.open(t.Context(), t, test.method, test.request).rest()
			if end.Code() != codes.OK || len(end.trailer.Get("samsara-cursor")) > 0 {
				t.Errorf("stream ended with %v and trailer %v, want OK and no cursor", end.Err(), end.trailer)
			}
			if diff := cmp.Diff(test.want, messages); diff != "" {
				t.Errorf("messages (-want +got):\n%s", diff)
			}
			if diff := cmp.Diff(test.wantAsked, up.requests()); diff != "" {
				t.Errorf("cursors asked with (-want +got):\n%s", diff)
			}
		})
	}
}

func TestStream_invalidPagination(t *testing.T) {
	t.Parallel()
	for _, test := range []struct {
		name  string
		pages map[string]string
		want  []got
		// wantCursor is the trailer's.
		wantCursor, wantMessage string
	}{
		{
			name:        "that do not say whether another follows",
			pages:       map[string]string{"": body("1", "a", true), "a": `{"data":[{"id":"2"}],"pagination":{"endCursor":"b"}}`},
			want:        []got{{IDs: "1", Cursor: "a"}},
			wantCursor:  "a",
			wantMessage: "the page does not say whether another page follows",
		},
		{
			name:        "without pagination",
			pages:       map[string]string{"": `{"data":[{"id":"2"}]}`},
			wantMessage: "the page does not say whether another page follows",
		},
		{
			name:        "that name no cursor for the next",
			pages:       map[string]string{"": body("1", "a", true), "a": body("2", "", true)},
			want:        []got{{IDs: "1", Cursor: "a"}},
			wantCursor:  "a",
			wantMessage: "the page says that another page follows, and names no cursor",
		},
		{
			name:        "that name the cursor they were asked for with",
			pages:       map[string]string{"": body("1", "a", true), "a": body("2", "a", true)},
			want:        []got{{IDs: "1", Cursor: "a"}},
			wantCursor:  "a",
			wantMessage: "the page says that another page follows, and names a cursor that was used before",
		},
		{
			name:        "that lead round in a circle",
			pages:       map[string]string{"": body("0", "a", true), "a": body("1", "b", true), "b": body("2", "c", true), "c": body("3", "a", true)},
			want:        []got{{IDs: "0", Cursor: "a"}, {IDs: "1", Cursor: "b"}, {IDs: "2", Cursor: "c"}, {IDs: "3", Cursor: "a"}, {IDs: "1", Cursor: "b"}, {IDs: "2", Cursor: "c"}},
			wantCursor:  "c",
			wantMessage: "the page says that another page follows, and names a cursor that was used before",
		},
		{
			name:        "whose cursor is too long",
			pages:       map[string]string{"": body("1", strings.Repeat("x", 20_000), true)},
			wantMessage: "the page names a cursor of 20000 bytes, at most 16384 are followed",
		},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			g := start(t, service.Config{Endpoints: load(t, testproto.Readings), Upstream: script(t, test.pages)})
			messages, end := g.open(t.Context(), t, streamReadings, `{"request":{"id":"7"}}`).rest()
			if end.Code() != codes.Internal || end.reason() != "UPSTREAM_PAGINATION_INVALID" || end.Message() != test.wantMessage {
				t.Errorf("stream ended with %v (reason %s), want Internal, UPSTREAM_PAGINATION_INVALID, %q", end.Err(), end.reason(), test.wantMessage)
			}
			if diff := cmp.Diff(test.want, messages); diff != "" {
				t.Errorf("messages (-want +got):\n%s", diff)
			}
			if diff := cmp.Diff(test.wantCursor, end.cursor()); diff != "" {
				t.Errorf("samsara-cursor (-want +got):\n%s", diff)
			}
		})
	}
}

func TestStream_sameParameters(t *testing.T) {
	t.Parallel()
	up := script(t, map[string]string{"": body("1", "a b&c=d", true), "a b&c=d": body("2", "e", true), "e": body("3", "", false)})
	g := start(t, service.Config{Endpoints: load(t, testproto.Readings), Upstream: up})
	request := `{"request":{"id":"a/b","types":["z","a","z"],"tags":["10","9"],"limit":"5"}}`
	if _, end := g.open(t.Context(), t, streamReadings, request).rest(); end.Code() != codes.OK {
		t.Fatalf("stream ended with %v", end.Err())
	}
	same := "/readings/a%2Fb?types=a,z&tags=10&tags=9&limit=5"
	if diff := cmp.Diff([]string{same, same, same}, up.queries); diff != "" {
		t.Errorf("requests without cursor (-want +got):\n%s", diff)
	}
}

func TestStream_rejectedCursor(t *testing.T) {
	t.Parallel()
	up := &pager{t: t, page: func(_ context.Context, cursor string, _ int) (string, error) {
		if cursor == "" {
			return body("1", "a", true), nil
		}
		return "", &upstream.Error{
			Code: codes.InvalidArgument, Reason: apiv1.Reason_REASON_BAD_REQUEST, Domain: upstream.DomainSamsara, Message: "Parameters differ.",
			HTTPStatus: 400, Attempts: 1, RequestID: "r1", Method: "GET", Template: "/readings/{id}",
		}
	}}
	g := start(t, service.Config{Endpoints: load(t, testproto.Readings), Upstream: up})
	_, end := g.open(t.Context(), t, streamReadings, `{"request":{"id":"7"}}`).rest()
	if end.Code() != codes.InvalidArgument || end.Message() != "Parameters differ." {
		t.Errorf("stream ended with %v, want InvalidArgument in Samsara's words", end.Err())
	}
	want := &errdetails.ErrorInfo{Reason: "UPSTREAM_CURSOR_REJECTED", Domain: upstream.DomainGateway, Metadata: map[string]string{
		"method": "GET", "path": "/readings/{id}", "attempts": "1", "http_status": "400", "cursor_field": "options.from_cursor",
	}}
	if diff := cmp.Diff([]any{want, &errdetails.RequestInfo{RequestId: "r1"}}, end.Details(), protocmp.Transform()); diff != "" {
		t.Errorf("details (-want +got):\n%s", diff)
	}
	if end.cursor() != "a" {
		t.Errorf("samsara-cursor is %q, want a", end.cursor())
	}
}

func TestStream_metadata(t *testing.T) {
	t.Parallel()
	up := script(t, map[string]string{
		"":  `{"data":[{"id":1},{"id":"2","x":1}],"pagination":{"endCursor":"a","hasNextPage":true}}`,
		"a": `{"data":[{"id":3}],"pagination":{"endCursor":"\u00e9","hasNextPage":true}}`,
	})
	var told []string
	var mu sync.Mutex
	g := start(t, service.Config{
		Endpoints: load(t, testproto.Readings), Upstream: up,
		Drift: func(method string, findings []transcode.Finding) {
			mu.Lock()
			defer mu.Unlock()
			told = append(told, fmt.Sprint(method, len(findings)))
		},
	})
	r := g.open(t.Context(), t, streamReadings, `{"request":{"id":"7"}}`)
	_, end := r.rest()
	header, err := r.stream.Header()
	if err != nil {
		t.Fatalf("Header: %v", err)
	}
	if diff := cmp.Diff([][]string{{"1"}, {"req-1"}}, [][]string{header.Get("samsara-attempts"), header.Get("samsara-request-id")}); diff != "" {
		t.Errorf("attempts and request id in the header (-want +got):\n%s", diff)
	}
	if end.Code() != codes.NotFound {
		t.Errorf("stream ended with %v, want NotFound", end.Err())
	}
	want := metadata.Pairs("samsara-drift", "Reading.id=coerced;n=2, Reading.x=unknown", "samsara-attempts", "1")
	end.trailer.Delete("content-type")
	end.trailer.Delete("grpc-status-details-bin")
	if id := end.trailer.Get("x-request-id"); len(id) != 1 || len(id[0]) != 32 {
		t.Errorf("the call is named %q", id)
	}
	end.trailer.Delete("x-request-id")
	if diff := cmp.Diff(want, end.trailer); diff != "" {
		t.Errorf("trailer (-want +got), the cursor not being fit for it:\n%s", diff)
	}
	method := "/samsara_gateway.readings.v1.ReadingsService/StreamReadings"
	if diff := cmp.Diff([]string{method + "2", method + "1"}, told); diff != "" {
		t.Errorf("Config.Drift was told (-want +got):\n%s", diff)
	}
	if log := g.stopAndReadLog(t); !strings.Contains(log, "code=NotFound") || !strings.Contains(log, "attempts=3 pages=2 items=3") {
		t.Errorf("log does not say what was sent:\n%s", log)
	}
}

func TestStream_badRequest(t *testing.T) {
	t.Parallel()
	up := script(t, nil)
	g := start(t, service.Config{Endpoints: load(t, testproto.Readings), Upstream: up})
	_, end := g.open(t.Context(), t, followReadings, `{"request":{"after":"a","endTime":"x"},"options":{"pollInterval":"1s"}}`).rest()
	want := "options.poll_interval: is 1s, must be at least 5s; request.after: must not be set: a followed feed begins at options.from_cursor; request.end_time: must not be set: a followed feed has no end"
	if end.Code() != codes.InvalidArgument || end.Message() != want {
		t.Errorf("stream ended with %v, want InvalidArgument, %q", end.Err(), want)
	}
	if n := len(up.requests()); n != 0 {
		t.Errorf("the upstream was asked %d times, want 0", n)
	}
}

func TestStream_deadlineOfEachPage(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		up := &pager{t: t, page: func(ctx context.Context, cursor string, _ int) (string, error) {
			wait := 50 * time.Second
			if cursor == "a" {
				wait = time.Hour
			}
			select {
			case <-time.After(wait):
				return body("1", "a", true), nil
			case <-ctx.Done():
				return "", &upstream.Error{Code: codes.DeadlineExceeded, Reason: apiv1.Reason_REASON_REQUEST_DEADLINE_EXCEEDED, Domain: upstream.DomainGateway, Message: "too late"}
			}
		}}
		g := start(t, service.Config{Endpoints: load(t, testproto.Readings), Upstream: up, DefaultDeadline: time.Minute})
		began := time.Now()
		messages, end := g.open(t.Context(), t, streamReadings, `{"request":{"id":"7"}}`).rest()
		if len(messages) != 1 || end.Code() != codes.DeadlineExceeded {
			t.Errorf("stream ended with %v after %d messages, want DeadlineExceeded after 1", end.Err(), len(messages))
		}
		if took := time.Since(began); took != 110*time.Second {
			t.Errorf("took %v, want 50s and a minute", took)
		}
	})
}

func TestStream_cancelled(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		cancelled := make(chan time.Time, 1)
		up := &pager{t: t, page: func(ctx context.Context, cursor string, _ int) (string, error) {
			if cursor == "" {
				return body("1", "a", true), nil
			}
			<-ctx.Done()
			cancelled <- time.Now()
			return "", ctx.Err()
		}}
		g := start(t, service.Config{Endpoints: load(t, testproto.Readings), Upstream: up})
		ctx, cancel := context.WithCancel(t.Context())
		r := g.open(ctx, t, streamReadings, `{"request":{"id":"7"}}`)
		r.must()
		synctest.Wait()
		began := time.Now()
		cancel()
		if took := (<-cancelled).Sub(began); took > time.Second {
			t.Errorf("the upstream request was cancelled after %v, want at once", took)
		}
		// synctest.Test checks that no goroutine is left.
	})
}

func TestStream_slowReader(t *testing.T) {
	t.Parallel()
	for method, request := range map[string]string{
		streamReadings: `{"request":{"id":"7"}}`,
		followReadings: `{"options":{"maxPages":"20"}}`,
	} {
		t.Run(method, func(t *testing.T) {
			t.Parallel()
			readSlowly(t, method, request)
		})
	}
}

// readSlowly reads a stream of 20 large pages, and checks before each message how many pages
// were fetched and are held.
func readSlowly(t *testing.T, method, request string) {
	t.Helper()
	const pages, pageBytes = 20, 300_000
	text := strings.Repeat("x", pageBytes)
	var (
		mu     sync.Mutex
		served int
	)
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		mu.Lock()
		defer mu.Unlock()
		served++
		_, _ = fmt.Fprintf(w, `{"data":[{"id":"%d","text":%q}],"pagination":{"endCursor":"c%d","hasNextPage":%t}}`, served, text, served, served < pages)
	}))
	t.Cleanup(server.Close)
	base, err := url.Parse(server.URL)
	if err != nil {
		t.Fatal(err)
	}
	memory := lease.NewPool(64 << 20)
	client, err := upstream.New(upstream.Config{BaseURL: base, Token: upstream.StaticToken("token"), Memory: memory})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(client.Close)
	var most int64
	up := around{client, func(ctx context.Context, op *upstream.Operation, sent upstream.Request) (*upstream.Response, error) {
		resp, err := client.Do(ctx, op, sent)
		mu.Lock()
		defer mu.Unlock()
		most = max(most, memory.Used())
		return resp, err
	}}
	g := start(t, service.Config{Endpoints: load(t, testproto.Readings), Upstream: up, Answers: memory},
		// Without this grpc widens the window up to whole pages, which it then takes in advance.
		grpc.WithStaticStreamWindowSize(1<<16), grpc.WithStaticConnWindowSize(1<<16))
	r := g.open(t.Context(), t, method, request)
	for n := 1; n <= pages; n++ {
		mu.Lock()
		// n-1 messages were received: one more is on its way, and another was fetched meanwhile.
		if ahead := served - (n - 1); ahead > 2 {
			t.Errorf("%d pages were fetched that the client has not read, want at most 2", ahead)
		}
		mu.Unlock()
		if m := r.must(); m.IDs != fmt.Sprint(n) {
			t.Fatalf("message %d has records %q", n, m.IDs)
		}
	}
	if _, end := r.rest(); end.Code() != codes.OK {
		t.Errorf("stream ended with %v, want OK", end.Err())
	}
	if limit := int64(2 * pageBytes * 5 / 4); most < pageBytes || most > limit {
		t.Errorf("%d bytes were held at one time, want those of a page or two, at most %d", most, limit)
	}
	_ = g.stopAndReadLog(t)
	if got := memory.Used(); got != 0 {
		t.Errorf("%d bytes are in flight, want 0", got)
	}
}

func TestStream_serverStops(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		pages := map[string]string{"": body("1", "a", true), "a": body("2", "b", true), "b": body("3", "c", true), "c": body("4", "", false)}
		stuck := &pager{t: t, page: func(ctx context.Context, cursor string, _ int) (string, error) {
			if cursor == "b" {
				<-ctx.Done()
				return "", ctx.Err()
			}
			return pages[cursor], nil
		}}
		first := start(t, service.Config{Endpoints: load(t, testproto.Readings), Upstream: stuck})
		r := first.open(t.Context(), t, streamReadings, `{"request":{"id":"7"}}`)
		ids := r.must().IDs + " " + r.must().IDs
		synctest.Wait()
		began := time.Now()
		if err := first.Stop(t.Context()); err != nil {
			t.Errorf("Stop: %v", err)
		}
		if took := time.Since(began); took > time.Second {
			t.Errorf("Stop took %v, want no time", took)
		}
		_, end := r.rest()
		if end.Code() != codes.Unavailable || end.reason() != "GATEWAY_DRAINING" {
			t.Errorf("stream ended with %v, want Unavailable, GATEWAY_DRAINING", end.Err())
		}
		want := []any{
			&errdetails.ErrorInfo{Reason: "GATEWAY_DRAINING", Domain: upstream.DomainGateway},
			&errdetails.RetryInfo{RetryDelay: durationpb.New(time.Second)},
		}
		if diff := cmp.Diff(want, end.Details(), protocmp.Transform()); diff != "" {
			t.Errorf("details (-want +got):\n%s", diff)
		}

		second := start(t, service.Config{Endpoints: load(t, testproto.Readings), Upstream: script(t, pages)})
		rest, end := second.open(t.Context(), t, streamReadings, `{"request":{"id":"7","after":"`+end.cursor()+`"}}`).rest()
		for _, m := range rest {
			ids += " " + m.IDs
		}
		if ids != "1 2 3 4" || end.Code() != codes.OK {
			t.Errorf("records are %q and the end %v, want each once and OK", ids, end.Err())
		}
	})
}

func TestStream_panicInFetch(t *testing.T) {
	t.Parallel()
	up := &pager{t: t, page: func(context.Context, string, int) (string, error) { panic("upstream") }}
	g := start(t, service.Config{Endpoints: load(t, testproto.Readings), Upstream: up})
	_, end := g.open(t.Context(), t, streamReadings, `{"request":{"id":"7"}}`).rest()
	if end.Code() != codes.Internal || end.reason() != "GATEWAY_INTERNAL" {
		t.Errorf("stream ended with %v, want Internal, GATEWAY_INTERNAL", end.Err())
	}
}
