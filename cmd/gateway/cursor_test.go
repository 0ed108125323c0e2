package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"slices"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/google/go-cmp/cmp"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/encoding/prototext"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/reflect/protoreflect"

	aempv1 "samsara.internal/gateway/gen/aemp/v1"
	apiv1 "samsara.internal/gateway/gen/api/v1"
	legacyv1 "samsara.internal/gateway/gen/legacy/v1"
	vehiclestatsv1 "samsara.internal/gateway/gen/vehicle_stats/v1"
	vehiclesv1 "samsara.internal/gateway/gen/vehicles/v1"
)

// TestFromCursor_afterFailure has the third of four pages fail. It goes on from the cursor of the last
// message, which is also the cursor in the trailer.
func TestFromCursor_afterFailure(t *testing.T) {
	t.Parallel()
	var mended atomic.Bool
	next := map[string]string{"": "b", "b": "c", "c": "d", "d": ""}
	conn, _ := connectBefore(t, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		cursor := r.URL.Query().Get("after")
		if cursor == "c" && !mended.Load() {
			w.WriteHeader(http.StatusServiceUnavailable)
			return
		}
		w.Header().Set("Content-Type", "application/json")
		_, _ = fmt.Fprintf(w, `{"data": [{"id": "1%[1]s"}, {"id": "2%[1]s"}], "pagination": {"endCursor": %[2]q, "hasNextPage": %[3]t}}`,
			cursor, next[cursor], next[cursor] != "")
	}))
	var ids []string
	read := func(from string) (last string, trailer metadata.MD, err error) {
		stream, err := vehiclesv1.NewVehiclesServiceClient(conn).StreamVehicles(waiting(t), &vehiclesv1.StreamVehiclesRequest{
			Options: &apiv1.StreamOptions{FromCursor: &from},
		})
		for err == nil {
			var m *vehiclesv1.StreamVehiclesResponse
			if m, err = stream.Recv(); err == nil {
				last = m.GetCursor()
			}
			for _, v := range m.GetPage().GetData() {
				ids = append(ids, v.GetId())
			}
		}
		return last, stream.Trailer(), err
	}
	last, trailer, err := read("")
	if status.Code(err) != codes.Unavailable || last != "c" || !slices.Equal(trailer.Get("samsara-cursor"), []string{"c"}) {
		t.Fatalf("got the cursor %q, the trailer %v and %v, want c in both and Unavailable", last, trailer, err)
	}
	mended.Store(true)
	if _, _, err := read(last); !errors.Is(err, io.EOF) {
		t.Errorf("from %q on: %v, want the end", last, err)
	}
	if diff := cmp.Diff([]string{"1", "2", "1b", "2b", "1c", "2c", "1d", "2d"}, ids); diff != "" {
		t.Errorf("records (-want +got):\n%s", diff)
	}
}

// TestFromCursor_ofEachPagination reads three pages of lists, and reads on again from each of their
// cursors.
func TestFromCursor_ofEachPagination(t *testing.T) {
	t.Parallel()
	_, flags := startSandbox(t, "--fleet=300")
	_, at := startBefore(t, flags)
	conn := connect(t, at.GRPC, insecure.NewCredentials())
	for name, test := range map[string]struct {
		method, own  string
		in           proto.Message
		out          protoreflect.MessageType
		first, again string // a request that begins the list, and one without a cursor of its own
	}{
		"a cursor": {
			method: vehiclesv1.VehiclesService_StreamVehicles_FullMethodName, own: "after", again: "limit: 2", first: "limit: 2",
			in: &vehiclesv1.StreamVehiclesRequest{}, out: (&vehiclesv1.StreamVehiclesResponse{}).ProtoReflect().Type(),
		},
		"a cursor of a list that could be read backwards": {
			method: legacyv1.LegacyService_StreamAssetCurrentLocations_FullMethodName, own: "starting_after", again: "limit: 2", first: "limit: 2",
			in: &legacyv1.StreamAssetCurrentLocationsRequest{}, out: (&legacyv1.StreamAssetCurrentLocationsResponse{}).ProtoReflect().Type(),
		},
		"a page number": {
			method: aempv1.AempService_StreamAempEquipmentList_FullMethodName, own: "page_number", first: `page_number: "1"`,
			in: &aempv1.StreamAempEquipmentListRequest{}, out: (&aempv1.StreamAempEquipmentListResponse{}).ProtoReflect().Type(),
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			read := func(text string) (pages, cursors []string, err error) {
				in := proto.Clone(test.in)
				if err := prototext.Unmarshal([]byte(text), in); err != nil {
					t.Fatal(err)
				}
				stream, err := openStream(waiting(t), conn, test.method, in)
				for err == nil {
					m := test.out.New()
					if err = stream.RecvMsg(m.Interface()); err != nil {
						break
					}
					pages = append(pages, recordIDs(m.Interface()))
					cursors = append(cursors, m.Get(m.Descriptor().Fields().ByName("cursor")).String())
				}
				if errors.Is(err, io.EOF) {
					err = nil
				}
				return pages, cursors, err
			}
			const pages = 3
			want, cursors, err := read(fmt.Sprintf("request {%s} options {max_pages: %d}", test.first, pages))
			if err != nil || len(want) != pages {
				t.Fatalf("got %d pages and %v, want %d", len(want), err, pages)
			}
			for i, cursor := range cursors[:pages-1] {
				for _, own := range []string{"", fmt.Sprintf("%s: %q", test.own, cursor)} {
					got, _, err := read(fmt.Sprintf("request {%s %s} options {from_cursor: %q max_pages: %d}", test.again, own, cursor, pages-1-i))
					if err != nil {
						t.Errorf("from %s on, with the request's own %q: %v", cursor, own, err)
					}
					if diff := cmp.Diff(want[i+1:], got); diff != "" {
						t.Errorf("from %s on, with the request's own %q (-want +got):\n%s", cursor, own, diff)
					}
				}
			}
			for _, own := range []string{cursors[1], ""} {
				_, _, err = read(fmt.Sprintf(`request {%s %s: %q} options {from_cursor: %q max_pages: 1}`, test.again, test.own, own, cursors[0]))
				message := fmt.Sprintf("options.from_cursor: is %q, must be unset or equal to request.%s, which is %q", cursors[0], test.own, own)
				if status.Code(err) != codes.InvalidArgument || !strings.Contains(err.Error(), message) {
					t.Errorf("two cursors: %v, want InvalidArgument and %s", err, message)
				}
			}
		})
	}
}

// TestCursor_unusable has Samsara send a cursor that is not valid text, or one that is too long. A cursor
// with replaced bytes would ask for something else. No stream passes such a cursor on.
func TestCursor_unusable(t *testing.T) {
	t.Parallel()
	type receiver func(t *testing.T, conn *grpc.ClientConn) (receive func() (cursor string, err error), trailer func() metadata.MD)
	list := func(t *testing.T, conn *grpc.ClientConn) (func() (string, error), func() metadata.MD) {
		t.Helper()
		stream := streamVehicles(waiting(t), t, conn, 5, "", nil)
		return func() (string, error) {
			m, err := stream.Recv()
			return m.GetCursor(), err
		}, stream.Trailer
	}
	feed := func(t *testing.T, conn *grpc.ClientConn) (func() (string, error), func() metadata.MD) {
		t.Helper()
		stream, err := vehiclestatsv1.NewVehicleStatsServiceClient(conn).FollowVehicleStats(waiting(t),
			&vehiclestatsv1.FollowVehicleStatsRequest{Request: &vehiclestatsv1.ListVehicleStatsFeedRequest{Types: []string{"gps"}}})
		if err != nil {
			t.Fatal(err)
		}
		return func() (string, error) {
			m, err := stream.Recv()
			return m.GetCursor(), err
		}, stream.Trailer
	}
	const long = "one that is too long"
	for text, cursor := range map[string]string{"invalid UTF-8": "a\xffb", "a lone surrogate": `a\ud800b`, long: strings.Repeat("x", 16<<10+1)} {
		want := "a cursor that is no valid text"
		if text == long {
			want = "a cursor of 16385 bytes"
		}
		for name, test := range map[string]struct {
			open receiver
			more bool
			// ends is whether the stream ends with OK, because no page follows.
			ends bool
		}{
			"a list":               {open: list, more: true},
			"the end of a list":    {open: list, ends: true},
			"a feed":               {open: feed, more: true},
			"a feed that is ahead": {open: feed},
		} {
			t.Run(name+", "+text, func(t *testing.T) {
				t.Parallel()
				conn, _ := connectBefore(t, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
					next, more := cursor, test.more
					if r.URL.Query().Get("after") == "" {
						next, more = "good", true
					}
					answerWith(http.StatusOK, fmt.Sprintf(`{"data": [{"id": "1"}], "pagination": {"endCursor": "%s", "hasNextPage": %t}}`, next, more))(w, r)
				}), "--quota=false")
				receive, trailer := test.open(t, conn)
				if got, err := receive(); err != nil || got != "good" {
					t.Fatalf("the first message has the cursor %q, %v, want good", got, err)
				}
				got, err := receive()
				if test.ends {
					if err != nil || got != "" {
						t.Fatalf("the last message has the cursor %q, %v, want none", got, err)
					}
					if _, err := receive(); !errors.Is(err, io.EOF) {
						t.Errorf("the stream ended with %v, want OK", verdictOf(err))
					}
					return
				}
				v := verdictOf(err)
				if v.code != codes.Internal || v.reason != "UPSTREAM_PAGINATION_INVALID" || !strings.Contains(v.text, want) {
					t.Errorf("after a message with the cursor %q: %v\nwant Internal/UPSTREAM_PAGINATION_INVALID for %s", got, v, want)
				}
				if diff := cmp.Diff([]string{"good"}, trailer().Get("samsara-cursor")); diff != "" {
					t.Errorf("samsara-cursor (-want +got):\n%s", diff)
				}
			})
		}
		if text == long {
			continue // A unary call passes it on, because it is valid text.
		}
		t.Run("unary, "+text, func(t *testing.T) {
			t.Parallel()
			conn, _ := connectBefore(t, answerWith(http.StatusOK, `{"data": [], "pagination": {"endCursor": "`+cursor+`", "hasNextPage": true}}`), "--quota=false")
			got, drift, err := listSomeVehicles(waiting(t), conn)
			if list, ok := got.(*vehiclesv1.ListVehiclesResponse); err != nil || !ok || list.GetPagination().GetEndCursor() != "a\ufffdb" {
				t.Errorf("got %v, %v, want the cursor with U+FFFD", got, err)
			}
			if want := ".endCursor=invalid_text"; !strings.Contains(drift, want) {
				t.Errorf("drift is %q, want it to have %q", drift, want)
			}
		})
	}
	t.Run("U+FFFD that was sent", func(t *testing.T) {
		t.Parallel()
		const sent = "a\ufffdb"
		conn, _ := connectBefore(t, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			answerWith(http.StatusOK, fmt.Sprintf(`{"data": [{"id": "1"}], "pagination": {"endCursor": %q, "hasNextPage": %t}}`,
				sent, r.URL.Query().Get("after") != sent))(w, r)
		}), "--quota=false")
		receive, _ := list(t, conn)
		for range 2 {
			if got, err := receive(); err != nil || got != sent {
				t.Fatalf("a message has the cursor %q, %v, want %q", got, err, sent)
			}
		}
		if _, err := receive(); !errors.Is(err, io.EOF) {
			t.Errorf("the stream ended with %v, want OK", err)
		}
	})
}

// TestFromCursor_pageNumberTooLarge checks that the error names the greatest page number.
func TestFromCursor_pageNumberTooLarge(t *testing.T) {
	t.Parallel()
	_, at := startSandboxed(t)
	conn := connect(t, at.GRPC, insecure.NewCredentials())
	from := "99999999999"
	stream, err := aempv1.NewAempServiceClient(conn).StreamAempEquipmentList(waiting(t), &aempv1.StreamAempEquipmentListRequest{
		Options: &apiv1.StreamOptions{FromCursor: &from},
	})
	if err == nil {
		_, err = stream.Recv()
	}
	const want = `options.from_cursor: is "99999999999", must be at most 2147483647`
	if status.Code(err) != codes.InvalidArgument || !strings.Contains(err.Error(), want) {
		t.Errorf("%v, want InvalidArgument and %s", err, want)
	}
}

// recordIDs returns the ids of the records of a page: their other values change with time.
func recordIDs(m proto.Message) string {
	var ids []any
	switch m := m.(type) {
	case *vehiclesv1.StreamVehiclesResponse:
		for _, record := range m.GetPage().GetData() {
			ids = append(ids, record.GetId())
		}
	case *legacyv1.StreamAssetCurrentLocationsResponse:
		for _, record := range m.GetPage().GetAssets() {
			ids = append(ids, record.GetId())
		}
	case *aempv1.StreamAempEquipmentListResponse:
		for _, record := range m.GetPage().GetFleet().GetEquipment() {
			ids = append(ids, record.GetEquipmentHeader().GetEquipmentId())
		}
	}
	return fmt.Sprint(ids...)
}

// openStream begins a server-streaming call.
func openStream(ctx context.Context, conn *grpc.ClientConn, method string, in proto.Message) (grpc.ClientStream, error) {
	stream, err := conn.NewStream(ctx, &grpc.StreamDesc{ServerStreams: true}, method)
	if err != nil {
		return nil, err
	}
	return stream, errors.Join(stream.SendMsg(in), stream.CloseSend())
}
