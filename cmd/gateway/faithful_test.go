package main

import (
	"fmt"
	"net/http"
	"reflect"
	"strconv"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"google.golang.org/genproto/googleapis/rpc/errdetails"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/proto"

	apiv1 "samsara.internal/gateway/gen/api/v1"
	driversv1 "samsara.internal/gateway/gen/drivers/v1"
	vehiclestatsv1 "samsara.internal/gateway/gen/vehicle_stats/v1"
)

// nested returns a value within levels arrays.
func nested(value string, levels int) string {
	return strings.Repeat("[", levels) + value + strings.Repeat("]", levels)
}

// answered is a call in JSON, the answer of Samsara, and the reply and the drift that the caller must get.
type answered struct {
	method, request string
	answer, want    string
	drift           string
}

// check makes the call, and compares its reply and drift.
func (a answered) check(t *testing.T) {
	t.Helper()
	conn, _ := connectBefore(t, &scripted{answer: a.answer})
	got, found := callJSON(t, conn, a.method, a.request)
	// cmp.Diff would take twice as long for every level.
	if !reflect.DeepEqual(parseJSON(t, a.want), parseJSON(t, got)) {
		t.Errorf("reply %s, want %s", got, a.want)
	}
	if got := strings.Join(found, ", "); got != a.drift {
		t.Errorf("drift %q, want %q", got, a.drift)
	}
}

// TestFaithful_oddAnswers checks that everything that Samsara sends arrives, however odd it is, and that the
// drift names what does not.
func TestFaithful_oddAnswers(t *testing.T) {
	t.Parallel()
	const (
		getDriver   = "samsara_gateway.drivers.v1.DriversService/GetDriver"
		getAddress  = "samsara_gateway.addresses.v1.AddressesService/GetAddress"
		getSnapshot = "samsara_gateway.readings.v1.ReadingsService/ListReadingsSnapshot"
	)
	for name, test := range map[string]answered{
		"a free-form map keeps what is nested in it": {
			method: getAddress, request: `{"id": "1"}`,
			answer: `{"data": {"id": "1", "externalIds": {"a": "x", "b": { "c" : [1.50, "\u00e9 "] }, "d": [ ], "e": null, "f": 7, "g": true}}}`,
			want:   `{"data": {"id": "1", "externalIds": {"a": "x", "b": "{\"c\":[1.50,\"\\u00e9 \"]}", "d": "[]", "f": "7", "g": "true"}}}`,
			drift:  "Address.externalIds=coerced;n=4, Address.externalIds=null_entry",
		},
		"a map of strings keeps what is nested in it": {
			method: getDriver, request: `{"id": "1"}`,
			answer: `{"data": {"id": "1", "externalIds": {"b": {"c": {}}, "e": null}}}`,
			want:   `{"data": {"id": "1", "externalIds": {"b": "{\"c\":{}}"}}}`,
			drift:  "Driver.externalIds=coerced, Driver.externalIds=null_entry",
		},
		"a map of strings keeps what is nested deep in it": {
			method: getDriver, request: `{"id": "1"}`,
			answer: `{"data": {"id": "1", "externalIds": {"b": ` + nested("1", 300) + `}}}`,
			want:   `{"data": {"id": "1", "externalIds": {"b": "` + nested("1", 300) + `"}}}`,
			drift:  "Driver.externalIds=coerced",
		},
		"a member that nobody reads may nest deep": {
			method: getDriver, request: `{"id": "1"}`,
			answer: `{"data": {"id": "1", "newThing": ` + nested("1", 120) + `, "name": "n"}}`,
			want:   `{"data": {"id": "1", "name": "n"}}`,
			drift:  "Driver.newThing=unknown",
		},
		"a member that nobody reads may nest as deep as the body allows": {
			method: getDriver, request: `{"id": "1"}`,
			answer: `{"data": {"id": "1", "newThing": ` + strings.Repeat(`{"a":[`, 1_000_000) + strings.Repeat(`]}`, 1_000_000) + `, "name": "n"}}`,
			want:   `{"data": {"id": "1", "name": "n"}}`,
			drift:  "Driver.newThing=unknown",
		},
		"a value of another type may nest deep": {
			method: getDriver, request: `{"id": "1"}`,
			answer: `{"data": {"id": "1", "name": ` + nested("1", 200) + `, "username": "u"}}`,
			want:   `{"data": {"id": "1", "username": "u"}}`,
			drift:  "Driver.name=mismatch",
		},
		"a free-form value nests 30 levels": {
			method: getSnapshot, request: `{"readingIds": ["r"], "entityType": "asset"}`,
			answer: `{"data": [{"entityId": "1", "value": ` + nested("1", 30) + `}], "pagination": {"endCursor": "", "hasNextPage": false}}`,
			want:   `{"data": [{"entityId": "1", "value": ` + nested("1", 30) + `}], "pagination": {"endCursor": "", "hasNextPage": false}}`,
		},
		"a free-form value that nests deeper is left out": {
			method: getSnapshot, request: `{"readingIds": ["r"], "entityType": "asset"}`,
			answer: `{"data": [{"entityId": "1", "value": ` + nested("1", 31) + `}, {"entityId": "2", "value": ` + nested("1", 5000) + `}], "pagination": {"endCursor": "", "hasNextPage": false}}`,
			want:   `{"data": [{"entityId": "1"}, {"entityId": "2"}], "pagination": {"endCursor": "", "hasNextPage": false}}`,
			drift:  "ReadingSnapshot.value=too_deep;n=2",
		},
		"what is wrong with a free-form value is counted once": {
			method: getSnapshot, request: `{"readingIds": ["r"], "entityType": "asset"}`,
			answer: `{"data": [{"entityId": "1", "value": ["\ud800", ` + nested("1", 30) + `]}], "pagination": {"endCursor": "", "hasNextPage": false}}`,
			want:   `{"data": [{"entityId": "1"}], "pagination": {"endCursor": "", "hasNextPage": false}}`,
			drift:  "ReadingSnapshot.value=too_deep",
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			test.check(t)
		})
	}
}

// TestPassthrough_nesting checks that a body of any depth is passed on, in both directions.
func TestPassthrough_nesting(t *testing.T) {
	t.Parallel()
	document := nested("1", 50_000)
	conn, _ := connectBefore(t, &scripted{answer: document}, "--passthrough")
	reply, err := apiv1.NewPassthroughServiceClient(conn).Call(t.Context(), &apiv1.CallRequest{
		Method: proto.String("POST"), Path: proto.String("/deep"), Body: proto.String(document),
	})
	if err != nil {
		t.Fatal(err)
	}
	if reply.GetBody() != document {
		t.Errorf("the body has %d bytes, want %d", len(reply.GetBody()), len(document))
	}
}

// TestErrorBody_nesting checks that the text of an error is found in a body of any depth.
func TestErrorBody_nesting(t *testing.T) {
	t.Parallel()
	conn, _ := connectBefore(t, answerWith(http.StatusNotFound, `{"details": `+nested("", 20_000)+`, "message": "No such driver.", "requestId": "r-1"}`))
	_, err := driversv1.NewDriversServiceClient(conn).GetDriver(t.Context(), &driversv1.GetDriverRequest{Id: proto.String("1")})
	if got := verdictOf(err); got.code != codes.NotFound || got.text != "No such driver." || got.requestID != "r-1" {
		t.Errorf("GetDriver: %.300v, want Samsara's text and id", got)
	}
}

// maxCursor is the length of the longest cursor in a trailer, in bytes.
const maxCursor = 4 << 10

// TestStreamCursor_long has streams fail after a page with a cursor of any length, at clients that take
// as much metadata as those of gRPC in Java and C++ do. The rest of the trailer is as long as it gets.
func TestStreamCursor_long(t *testing.T) {
	t.Parallel()
	var unknown strings.Builder
	for i := range 20 {
		fmt.Fprintf(&unknown, `, "%s%02d": 1`, strings.Repeat("é", 31), i)
	}
	text := strings.Repeat("é", 2000)
	// open opens a stream from its first page on, and receives the cursor of one message.
	type open func(t *testing.T, conn *grpc.ClientConn) (grpc.ClientStream, func() (string, error))
	for kind, open := range map[string]open{
		"list": func(t *testing.T, conn *grpc.ClientConn) (grpc.ClientStream, func() (string, error)) {
			t.Helper()
			stream := streamVehicles(waiting(t), t, conn, 5, "", nil)
			return stream, func() (string, error) {
				m, err := stream.Recv()
				return m.GetCursor(), err
			}
		},
		"feed": func(t *testing.T, conn *grpc.ClientConn) (grpc.ClientStream, func() (string, error)) {
			t.Helper()
			stream, err := vehiclestatsv1.NewVehicleStatsServiceClient(conn).FollowVehicleStats(waiting(t),
				&vehiclestatsv1.FollowVehicleStatsRequest{Request: &vehiclestatsv1.ListVehicleStatsFeedRequest{Types: []string{"gps"}}})
			if err != nil {
				t.Fatal(err)
			}
			return stream, func() (string, error) {
				m, err := stream.Recv()
				return m.GetCursor(), err
			}
		},
	} {
		for _, test := range []struct {
			bytes int
			first string // begins the cursor; "c" if it is empty
			// omitted is whether the details have the length instead. refused is whether the page is refused.
			omitted, refused bool
		}{
			{bytes: 1 << 10},
			{bytes: 2<<10 + 1},
			{bytes: maxCursor},
			{bytes: maxCursor + 1, omitted: true},
			{bytes: 16 << 10, omitted: true},
			{bytes: 10, first: "\u00e9", omitted: true},
			{bytes: 64 << 10, refused: true},
		} {
			t.Run(kind+" "+test.first+strconv.Itoa(test.bytes), func(t *testing.T) {
				t.Parallel()
				first := test.first
				if first == "" {
					first = "c"
				}
				cursor := first + strings.Repeat("c", test.bytes-len(first))
				at := startAgainst(t, serveHTTP(t, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
					if r.URL.Query().Get("after") != "" {
						w.Header().Set("X-Request-Id", "ignored")
						answerWith(http.StatusBadRequest, `{"message": "`+text+`", "requestId": "`+strings.Repeat("é", 100)+`"}`)(w, r)
						return
					}
					answerWith(http.StatusOK, `{"data": [{"id": "1"`+unknown.String()+`}], "pagination": {"endCursor": "`+cursor+`", "hasNextPage": true}}`)(w, r)
				})))
				conn, err := grpc.NewClient(at.GRPC, grpc.WithTransportCredentials(insecure.NewCredentials()), grpc.WithDisableRetry(), grpc.WithMaxHeaderListSize(8<<10))
				if err != nil {
					t.Fatal(err)
				}
				t.Cleanup(func() { _ = conn.Close() }) // The result does not matter.
				stream, receive := open(t, conn)
				got, err := receive()
				if test.refused {
					if v := verdictOf(err); v.code != codes.Internal || v.reason != "UPSTREAM_PAGINATION_INVALID" || !strings.Contains(v.text, "a cursor of 65536 bytes") {
						t.Errorf("the stream ended with %v, want Internal/UPSTREAM_PAGINATION_INVALID with the length", v)
					}
					return
				}
				if err != nil {
					t.Fatal(err)
				}
				if got != cursor {
					t.Fatalf("the message has a cursor of %d bytes, want %d", len(got), len(cursor))
				}
				_, err = receive()
				if v := verdictOf(err); v.code != codes.InvalidArgument || v.reason != "UPSTREAM_CURSOR_REJECTED" || !strings.HasPrefix(v.text, "éééé") || v.requestID == "" {
					t.Fatalf("the stream ended with %v, want InvalidArgument/UPSTREAM_CURSOR_REJECTED in Samsara's words", v)
				}
				trailer := stream.Trailer()
				if len(trailer.Get("samsara-drift")) == 0 {
					t.Errorf("the trailer has no samsara-drift")
				}
				want, length := []string{cursor}, ""
				if test.omitted {
					want, length = nil, strconv.Itoa(test.bytes)
				}
				if diff := cmp.Diff(want, trailer.Get("samsara-cursor")); diff != "" {
					t.Errorf("samsara-cursor (-want +got):\n%s", diff)
				}
				if got := cursorOmitted(err); got != length {
					t.Errorf("cursor_omitted is %q, want %q", got, length)
				}
			})
		}
	}
}

// cursorOmitted returns cursor_omitted in the details of an error, the length of a cursor that is not in the
// trailer.
func cursorOmitted(err error) string {
	for _, detail := range status.Convert(err).Details() {
		if info, ok := detail.(*errdetails.ErrorInfo); ok {
			return info.GetMetadata()["cursor_omitted"]
		}
	}
	return ""
}
