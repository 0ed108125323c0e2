package service_test

import (
	"context"
	"errors"
	"io"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"google.golang.org/grpc"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/reflect/protoreflect"
	"google.golang.org/protobuf/reflect/protoregistry"
	"google.golang.org/protobuf/testing/protocmp"
	"google.golang.org/protobuf/types/dynamicpb"

	apiv1 "samsara.internal/gateway/gen/api/v1"
	"samsara.internal/gateway/internal/endpoint"
	"samsara.internal/gateway/internal/transcode"
	"samsara.internal/gateway/service"
	"samsara.internal/gateway/upstream"
)

// TestStream_everyStreamOfTheAPI calls each with what it requires, and an upstream that has two pages of one
// record each.
func TestStream_everyStreamOfTheAPI(t *testing.T) {
	t.Parallel()
	endpoints, err := endpoint.Load(protoregistry.GlobalFiles, protoregistry.GlobalTypes)
	if err != nil {
		t.Fatal(err)
	}
	pages := map[string]func(cursor string) *dynamicpb.Message{}
	for _, e := range endpoints {
		if len(e.Streams) > 0 {
			pages[e.HTTPMethod+" "+e.Operation.GetPath()] = func(cursor string) *dynamicpb.Message { return twoPages(e, cursor) }
		}
	}
	up := upstreamFunc(func(_ context.Context, req *request) (*upstream.Response, error) {
		cursor := cursorOf(req)
		if strings.Contains(req.Template, "{pageNumber}") {
			cursor = req.Path[strings.LastIndexByte(req.Path, '/')+1:]
		}
		wire, err := proto.Marshal(pages[req.Method+" "+req.Template](cursor))
		return &upstream.Response{Status: 200, Attempts: 1, Message: wire}, err
	})
	g := start(t, service.Config{Endpoints: endpoints, Upstream: up})
	for _, e := range endpoints {
		for _, s := range e.Streams {
			t.Run(s.FullMethod, func(t *testing.T) {
				t.Parallel()
				first, second := "", "2"
				if e.Operation.GetPagination() == apiv1.Pagination_PAGINATION_PAGE_NUMBER {
					first = "1"
				}
				want := []proto.Message{twoPages(e, first), twoPages(e, second)}
				if diff := cmp.Diff(want, readStream(t, g, s, ""), protocmp.Transform()); diff != "" {
					t.Errorf("pages (-want +got):\n%s", diff)
				}
				if s.Follow { // It goes on for ever.
					return
				}
				if diff := cmp.Diff(want[1:], readStream(t, g, s, second), protocmp.Transform()); diff != "" {
					t.Errorf("pages from a cursor (-want +got):\n%s", diff)
				}
			})
		}
	}
}

// twoPages returns the page at cursor: the first, the second, which ends a list, or an empty one.
func twoPages(e *endpoint.Endpoint, cursor string) *dynamicpb.Message {
	page := dynamicpb.NewMessage(e.Method.Output())
	if pagination := page.Descriptor().Fields().ByName("pagination"); pagination != nil {
		m := page.Mutable(pagination).Message()
		fields := m.Descriptor().Fields()
		m.Set(fields.ByName("has_next_page"), protoreflect.ValueOfBool(cursor == ""))
		if cursor == "" || e.Operation.GetFeed() {
			m.Set(fields.ByName("end_cursor"), protoreflect.ValueOfString("2"))
		}
	}
	if cursor == "3" {
		return page
	}
	at := protoreflect.Message(page)
	for name := range strings.SplitSeq(e.Operation.GetItems(), ".") {
		fd := at.Descriptor().Fields().ByName(protoreflect.Name(name))
		switch {
		case !fd.IsList():
			at = at.Mutable(fd).Message()
		case fd.Message() != nil:
			at.Mutable(fd).List().AppendMutable()
		default:
			at.Mutable(fd).List().Append(protoreflect.ValueOfString("a"))
		}
	}
	return page
}

// readStream calls s from a cursor on, from the beginning if it is empty; followed feeds for two pages.
func readStream(t *testing.T, g *gateway, s *endpoint.Stream, from string) []proto.Message {
	t.Helper()
	in := s.Input.New()
	inner := in.Mutable(in.Descriptor().Fields().ByName("request")).Message()
	for i := range inner.Descriptor().Fields().Len() {
		fd := inner.Descriptor().Fields().Get(i)
		if transcode.FieldOptions(fd).GetRequired() || fd.Name() == "end_time" && !s.Follow {
			fillField(inner, fd)
		}
	}
	options := in.Mutable(in.Descriptor().Fields().ByName("options")).Message()
	if s.Follow {
		options.Set(options.Descriptor().Fields().ByName("max_pages"), protoreflect.ValueOfInt32(2))
	}
	if from != "" {
		options.Set(options.Descriptor().Fields().ByName("from_cursor"), protoreflect.ValueOfString(from))
		if number := inner.Descriptor().Fields().ByName("page_number"); number != nil {
			inner.Clear(number)
		}
	}
	stream, err := g.conn.NewStream(t.Context(), &grpc.StreamDesc{ServerStreams: true}, s.FullMethod)
	if err != nil {
		t.Fatal(err)
	}
	if err := errors.Join(stream.SendMsg(in.Interface()), stream.CloseSend()); err != nil {
		t.Fatal(err)
	}
	var got []proto.Message
	for {
		out := dynamicpb.NewMessage(s.Method.Output())
		if err := stream.RecvMsg(out); errors.Is(err, io.EOF) {
			return got
		} else if err != nil {
			t.Fatal(err)
		}
		page := out.Descriptor().Fields().ByName("page")
		got = append(got, out.Get(page).Message().Interface())
	}
}
