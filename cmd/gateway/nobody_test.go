package main

import (
	"context"
	"io"
	"net/http"
	"strconv"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/metadata"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/reflect/protoreflect"

	addressesv1 "samsara.internal/gateway/gen/addresses/v1"
	apiv1 "samsara.internal/gateway/gen/api/v1"
	assetsv1 "samsara.internal/gateway/gen/assets/v1"
	industrialv1 "samsara.internal/gateway/gen/industrial/v1"
	legacyv1 "samsara.internal/gateway/gen/legacy/v1"
	tagsv1 "samsara.internal/gateway/gen/tags/v1"
	vehiclesv1 "samsara.internal/gateway/gen/vehicles/v1"
)

// answerTo makes a call, and returns its answer and its samsara-drift.
type answerTo func(ctx context.Context, conn *grpc.ClientConn) (proto.Message, string, error)

// to returns the call of a method with a request.
func to[In, Out proto.Message](method func(*grpc.ClientConn) func(context.Context, In, ...grpc.CallOption) (Out, error), in In) answerTo {
	return func(ctx context.Context, conn *grpc.ClientConn) (proto.Message, string, error) {
		var trailer metadata.MD
		out, err := method(conn)(ctx, in, grpc.Trailer(&trailer))
		return out, strings.Join(trailer.Get("samsara-drift"), "|"), err
	}
}

func tags(conn *grpc.ClientConn) tagsv1.TagsServiceClient { return tagsv1.NewTagsServiceClient(conn) }

type conn = *grpc.ClientConn

// One call of each kind. The document gives every one an answer, except deleteAddress.
var (
	createATag = to(func(c conn) func(context.Context, *tagsv1.CreateTagRequest, ...grpc.CallOption) (*tagsv1.CreateTagResponse, error) {
		return tags(c).CreateTag
	}, &tagsv1.CreateTagRequest{Name: proto.String("it")})
	replaceATag = to(func(c conn) func(context.Context, *tagsv1.ReplaceTagRequest, ...grpc.CallOption) (*tagsv1.ReplaceTagResponse, error) {
		return tags(c).ReplaceTag
	}, &tagsv1.ReplaceTagRequest{Id: proto.String("1"), Name: proto.String("it")})
	updateAVehicle = to(func(c conn) func(context.Context, *vehiclesv1.UpdateVehicleRequest, ...grpc.CallOption) (*vehiclesv1.UpdateVehicleResponse, error) {
		return vehiclesv1.NewVehiclesServiceClient(c).UpdateVehicle
	}, &vehiclesv1.UpdateVehicleRequest{Id: proto.String("1"), Name: proto.String("n")})
	createAnAsset = to(func(c conn) func(context.Context, *assetsv1.CreateAssetRequest, ...grpc.CallOption) (*assetsv1.CreateAssetResponse, error) {
		return assetsv1.NewAssetsServiceClient(c).CreateAsset
	}, &assetsv1.CreateAssetRequest{Type: proto.String("vehicle")})
	getATag = to(func(c conn) func(context.Context, *tagsv1.GetTagRequest, ...grpc.CallOption) (*tagsv1.GetTagResponse, error) {
		return tags(c).GetTag
	}, &tagsv1.GetTagRequest{Id: proto.String("1")})
	listSomeVehicles = to(func(c conn) func(context.Context, *vehiclesv1.ListVehiclesRequest, ...grpc.CallOption) (*vehiclesv1.ListVehiclesResponse, error) {
		return vehiclesv1.NewVehiclesServiceClient(c).ListVehicles
	}, &vehiclesv1.ListVehiclesRequest{})
	// getSensors is a POST that only reads. deleteJob is a DELETE with an answer.
	getSensors = to(func(c conn) func(context.Context, *legacyv1.GetSensorsRequest, ...grpc.CallOption) (*legacyv1.GetSensorsResponse, error) {
		return legacyv1.NewLegacyServiceClient(c).GetSensors
	}, &legacyv1.GetSensorsRequest{})
	deleteJob = to(func(c conn) func(context.Context, *industrialv1.DeleteJobRequest, ...grpc.CallOption) (*industrialv1.DeleteJobResponse, error) {
		return industrialv1.NewIndustrialServiceClient(c).DeleteJob
	}, &industrialv1.DeleteJobRequest{Id: proto.String("1")})
	deleteAddress = to(func(c conn) func(context.Context, *addressesv1.DeleteAddressRequest, ...grpc.CallOption) (*addressesv1.DeleteAddressResponse, error) {
		return addressesv1.NewAddressesServiceClient(c).DeleteAddress
	}, &addressesv1.DeleteAddressRequest{Id: proto.String("1")})
)

// encodedAnswer answers with a body in an encoding.
func encodedAnswer(status int, encoding, body string) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Encoding", encoding)
		answerWith(status, body)(w, r)
	}
}

// flushed sends an answer in chunks. An empty answer has no chunk.
func flushed(answer http.HandlerFunc) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		answer(w, r)
		_ = http.NewResponseController(w).Flush() // It fails only if the gateway is gone.
	}
}

// A write that was processed does not fail because its answer has no body.
func TestWrite_answerWithoutBody(t *testing.T) {
	t.Parallel()
	for name, test := range map[string]struct {
		upstream http.HandlerFunc
		call     answerTo
		drift    string
		reason   string
	}{
		"200 to a PATCH":            {upstream: answerWith(200, ""), call: updateAVehicle, drift: "UpdateVehicleResponse.*=no_body"},
		"200 to a POST":             {upstream: answerWith(200, ""), call: createATag, drift: "CreateTagResponse.*=no_body"},
		"201 to a POST":             {upstream: answerWith(201, ""), call: createATag, drift: "CreateTagResponse.*=no_body"},
		"202 to a PUT":              {upstream: answerWith(202, ""), call: replaceATag, drift: "ReplaceTagResponse.*=no_body"},
		"204 to a POST":             {upstream: answerWith(204, ""), call: createATag, drift: "CreateTagResponse.*=no_body"},
		"null":                      {upstream: answerWith(201, "null"), call: createATag, drift: "CreateTagResponse.*=no_body"},
		"null in its envelope":      {upstream: answerWith(201, `{"data": null}`), call: createATag, drift: "CreateTagResponse.*=no_body"},
		"nothing in its envelope":   {upstream: answerWith(201, `{"data": {}}`), call: createAnAsset, drift: "CreateAssetResponse.*=no_body"},
		"an empty object":           {upstream: answerWith(201, "{}"), call: createATag, drift: "CreateTagResponse.*=no_body"},
		"white space":               {upstream: answerWith(200, " \r\n"), call: updateAVehicle, drift: "UpdateVehicleResponse.*=no_body"},
		"nothing, by its gzip":      {upstream: encodedAnswer(200, "gzip", ""), call: updateAVehicle, drift: "UpdateVehicleResponse.*=no_body"},
		"nothing, by its x-gzip":    {upstream: encodedAnswer(200, "x-gzip", ""), call: updateAVehicle, drift: "UpdateVehicleResponse.*=no_body"},
		"nothing, in br":            {upstream: encodedAnswer(200, "br", ""), call: updateAVehicle, drift: "UpdateVehicleResponse.*=no_body"},
		"nothing, in deflate":       {upstream: encodedAnswer(201, "deflate", ""), call: createATag, drift: "CreateTagResponse.*=no_body"},
		"nothing, in identity":      {upstream: encodedAnswer(202, "identity", ""), call: replaceATag, drift: "ReplaceTagResponse.*=no_body"},
		"nothing, in several":       {upstream: encodedAnswer(200, "gzip, br", ""), call: createATag, drift: "CreateTagResponse.*=no_body"},
		"204 in br":                 {upstream: encodedAnswer(204, "br", ""), call: createATag, drift: "CreateTagResponse.*=no_body"},
		"no chunk, in br":           {upstream: flushed(encodedAnswer(200, "br", "")), call: createATag, drift: "CreateTagResponse.*=no_body"},
		"nothing, in br to a GET":   {upstream: encodedAnswer(200, "br", ""), call: getATag, reason: "UPSTREAM_BODY_INVALID"},
		"200 to a DELETE in br":     {upstream: encodedAnswer(200, "br", ""), call: deleteJob},
		"200 to a DELETE":           {upstream: answerWith(200, ""), call: deleteJob},
		"200 to a DELETE, for 204":  {upstream: answerWith(200, ""), call: deleteAddress},
		"200 to a GET":              {upstream: answerWith(200, ""), call: getATag, reason: "UPSTREAM_BODY_INVALID"},
		"white space to a GET":      {upstream: answerWith(200, "\n"), call: getATag, reason: "UPSTREAM_BODY_INVALID"},
		"200 to a POST that reads":  {upstream: answerWith(200, ""), call: getSensors, reason: "UPSTREAM_BODY_INVALID"},
		"not JSON":                  {upstream: answerWith(200, "done"), call: updateAVehicle, reason: "UPSTREAM_BODY_INVALID"},
		"a body that is cut off":    {upstream: cutOffBody, call: updateAVehicle, reason: "UPSTREAM_TRUNCATED"},
		"gzip that is cut off":      {upstream: encodedAnswer(200, "gzip", "\x1f\x8b"), call: updateAVehicle, reason: "UPSTREAM_BODY_INVALID"},
		"only a message":            {upstream: answerWith(200, `{"message": "done"}`), call: createATag, reason: "UPSTREAM_ERROR_IN_BODY"},
		"only a message, to a 204":  {upstream: answerWith(200, `{"message": "done"}`), call: deleteAddress},
		"only a message, to no 204": {upstream: answerWith(200, `{"message": "done", "requestId": "r"}`), call: deleteJob, reason: "UPSTREAM_ERROR_IN_BODY"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			conn, _ := connectBefore(t, test.upstream, "--quota=false", "--retry-base-delay=1ms")
			got, drift, err := test.call(waiting(t), conn)
			if test.reason != "" {
				if v := verdictOf(err); v.reason != test.reason {
					t.Errorf("got %v, want %s", v, test.reason)
				}
				return
			}
			if err != nil {
				t.Fatalf("got %v, want OK", verdictOf(err))
			}
			got.ProtoReflect().Range(func(_ protoreflect.FieldDescriptor, v protoreflect.Value) bool {
				if proto.Size(v.Message().Interface()) > 0 { // An empty data member counts as nothing.
					t.Errorf("got %v, want nothing", got)
				}
				return true
			})
			if drift != test.drift {
				t.Errorf("drift %q, want %q", drift, test.drift)
			}
		})
	}
}

// TestCache_answerWithoutBody has the first answer to a read be empty. It is not cached, and does not hide
// the later answer.
func TestCache_answerWithoutBody(t *testing.T) {
	t.Parallel()
	for name, empty := range map[string]http.HandlerFunc{
		"204": answerWith(204, ""), "205": answerWith(205, ""), "an empty object": answerWith(200, "{}"), "null": answerWith(200, "null"),
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			var asked atomic.Int64
			answers := inTurn(empty, answerWith(200, `{"data": {"id": "1", "name": "one"}}`), answerWith(404, ""))
			conn, _ := connectBefore(t, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				asked.Add(1)
				answers(w, r)
			}), "--quota=false", "--cache=samsara_gateway.*=1m")
			got, drift, err := getATag(waiting(t), conn)
			if err != nil || proto.Size(got) != 0 || drift != "GetTagResponse.*=no_body" {
				t.Fatalf("got %v with drift %q, %v, want nothing with GetTagResponse.*=no_body", got, drift, err)
			}
			for range 2 { // The second answer is from the cache.
				got, drift, err := getATag(waiting(t), conn)
				want := &tagsv1.GetTagResponse{Data: &tagsv1.Tag{Id: proto.String("1"), Name: proto.String("one")}}
				if err != nil || !proto.Equal(got, want) || drift != "" {
					t.Errorf("got %v with drift %q, %v, want %v", got, drift, err, want)
				}
			}
			if n := asked.Load(); n != 2 {
				t.Errorf("the upstream was asked %d times, want 2", n)
			}
		})
	}
}

// An answer with only unknown members is an error. Otherwise it would be read as an empty message.
func TestAnswer_nothingKnown(t *testing.T) {
	t.Parallel()
	const unknown = `{"result": {"id": "1"}, "ok": true}`
	for name, test := range map[string]struct {
		body      string
		call      answerTo
		drift     string
		processed string
		reason    string
	}{
		"to a write":                  {body: unknown, call: createATag, reason: "UPSTREAM_BODY_UNKNOWN", processed: "yes"},
		"to a PATCH":                  {body: unknown, call: updateAVehicle, reason: "UPSTREAM_BODY_UNKNOWN", processed: "yes"},
		"to a read":                   {body: unknown, call: getATag, reason: "UPSTREAM_BODY_UNKNOWN"},
		"to a list":                   {body: `{"vehicles": []}`, call: listSomeVehicles, reason: "UPSTREAM_BODY_UNKNOWN"},
		"an error and more":           {body: `{"message": "no", "code": 3}`, call: createATag, reason: "UPSTREAM_BODY_UNKNOWN", processed: "yes"},
		"within data":                 {body: `{"data": {"result": 1}}`, call: createATag, reason: "UPSTREAM_BODY_UNKNOWN", processed: "yes"},
		"within data, to a PATCH":     {body: `{"data": {"result": 1}, "ok": true}`, call: updateAVehicle, reason: "UPSTREAM_BODY_UNKNOWN", processed: "yes"},
		"within data, to a read":      {body: `{"data": {"result": {"id": "1"}}}`, call: getATag, reason: "UPSTREAM_BODY_UNKNOWN"},
		"within data, and null":       {body: `{"data": {"result": 1, "id": null}}`, call: createATag, reason: "UPSTREAM_BODY_UNKNOWN", processed: "yes"},
		"null, and an unknown member": {body: `{"x": 1, "data": null}`, call: createATag, reason: "UPSTREAM_BODY_UNKNOWN", processed: "yes"},
		"another type":                {body: `{"data": 1}`, call: createATag, reason: "UPSTREAM_BODY_UNKNOWN", processed: "yes"},
		"a list for an object":        {body: `{"data": [{"id": "1"}]}`, call: createATag, reason: "UPSTREAM_BODY_UNKNOWN", processed: "yes"},
		"an object for a list":        {body: `{"data": {"id": "1"}}`, call: listSomeVehicles, reason: "UPSTREAM_BODY_UNKNOWN"},
		"an object for a page's list": {body: `{"data": {}, "pagination": {"endCursor": "", "hasNextPage": false}}`, call: listSomeVehicles, drift: "ListVehiclesResponse.data=mismatch"},
		"records":                     {body: `{"data": [{"zzz": 1}, {"zzz": 2}]}`, call: listSomeVehicles, drift: "VehicleObject.zzz=unknown;n=2"},
		"an object in a list":         {body: `[{"id": "1"}]`, call: createATag, reason: "UPSTREAM_BODY_INVALID", processed: "yes"},
		"records in a list alone":     {body: `[{"zzz": 1}]`, call: listSomeVehicles, reason: "UPSTREAM_BODY_INVALID"},
		"an empty object":             {body: `{}`, call: createATag, drift: "CreateTagResponse.*=no_body"},
		"null":                        {body: `null`, call: createATag, drift: "CreateTagResponse.*=no_body"},
		"to a DELETE with an answer":  {body: unknown, call: deleteJob, drift: "DeleteJobResponse.result=unknown, DeleteJobResponse.ok=unknown"},
		"to a DELETE without one":     {body: unknown, call: deleteAddress},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			var asked atomic.Int64
			conn, _ := connectBefore(t, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				asked.Add(1)
				answerWith(200, test.body)(w, r)
			}), "--quota=false", "--cache=samsara_gateway.*=1m")
			for n := int64(1); n <= 2; n++ { // An error is neither repeated nor kept.
				_, drift, err := test.call(waiting(t), conn)
				v := verdictOf(err)
				switch {
				case test.reason == "" && (err != nil || drift != test.drift):
					t.Errorf("got %v with drift %q, want OK with %q", v, drift, test.drift)
				case test.reason != "" && (v.code != codes.Internal || v.reason != test.reason || v.processed != test.processed || v.status != "200" || asked.Load() != n):
					t.Errorf("got %v after %d requests, want Internal/%s, processed %q, after %d", v, asked.Load(), test.reason, test.processed, n)
				}
			}
		})
	}
}

// A success status with an error in its body has the same reason, however deep or long the text of the
// error is.
func TestErrorInBody_ofAnySize(t *testing.T) {
	t.Parallel()
	for name, message := range map[string]string{
		"a text":           `"done"`,
		"a long text":      `"` + strings.Repeat("long ", 20_000) + `"`,
		"9,000 levels":     nested("", 9_000),
		"9,999 levels":     nested("", 9_999),
		"10,000 levels":    nested("", 10_000),
		"10,001 levels":    nested("", 10_001),
		"a million levels": nested("", 1_000_000),
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			conn, _ := connectBefore(t, answerWith(200, `{"message": `+message+`}`), "--quota=false")
			_, _, err := createATag(waiting(t), conn)
			if v := verdictOf(err); v.code != codes.Internal || v.reason != "UPSTREAM_ERROR_IN_BODY" || v.processed != "yes" || len(v.text) > 2<<10 {
				t.Errorf("got %.300v, want Internal/UPSTREAM_ERROR_IN_BODY, processed \"yes\"", v)
			}
		})
	}
}

// Streams treat such a page as unary methods treat such an answer.
func TestStream_nothingKnown(t *testing.T) {
	t.Parallel()
	client, _ := startTags(t, inTurn(
		answerWith(200, `{"data": [{"id": "1", "name": "one"}], "pagination": {"endCursor": "c", "hasNextPage": true}}`),
		answerWith(200, `{"tags": []}`),
	), "--quota=false")
	stream, err := client.StreamTags(waiting(t), &tagsv1.StreamTagsRequest{})
	if err != nil {
		t.Fatal(err)
	}
	pages := 0
	for err == nil {
		if _, err = stream.Recv(); err == nil {
			pages++
		}
	}
	if v := verdictOf(err); pages != 1 || v.code != codes.Internal || v.reason != "UPSTREAM_BODY_UNKNOWN" {
		t.Errorf("got %v after %d pages, want Internal/UPSTREAM_BODY_UNKNOWN after 1", v, pages)
	}
	if diff := cmp.Diff([]string{"c"}, stream.Trailer().Get("samsara-cursor")); diff != "" {
		t.Errorf("samsara-cursor (-want +got):\n%s", diff)
	}
}

// Passthrough passes on the body as it came, because the caller chose the operation.
func TestPassthrough_answerWithoutBody(t *testing.T) {
	t.Parallel()
	for body, want := range map[string]*string{
		"":                   nil,
		" \n":                nil,
		`{"message":"done"}`: proto.String(`{"message":"done"}`),
		`{"result":1}`:       proto.String(`{"result":1}`),
	} {
		t.Run(strconv.Quote(body), func(t *testing.T) {
			t.Parallel()
			conn, _ := connectBefore(t, answerWith(200, body), "--passthrough")
			got, err := apiv1.NewPassthroughServiceClient(conn).Call(waiting(t), &apiv1.CallRequest{
				Method: proto.String(http.MethodPatch), Path: proto.String("/tags/1"), Body: proto.String("{}"),
			})
			if err != nil {
				t.Fatal(verdictOf(err))
			}
			if diff := cmp.Diff(want, got.Body); diff != "" || got.GetStatus() != 200 {
				t.Errorf("status %d, body (-want +got):\n%s", got.GetStatus(), diff)
			}
		})
	}
}

// A repeated write may be refused because its first attempt was processed. The error has the status of the
// first attempt.
func TestEarlierStatus_everyWrite(t *testing.T) {
	t.Parallel()
	status := func(code int) http.HandlerFunc { return said{status: code}.say }
	passDelete := func(ctx context.Context, conn *grpc.ClientConn) (proto.Message, string, error) {
		out, err := apiv1.NewPassthroughServiceClient(conn).Call(ctx, &apiv1.CallRequest{
			Method: proto.String(http.MethodDelete), Path: proto.String("/tags/1"),
		})
		return out, "", err
	}
	createAgain := func(ctx context.Context, conn *grpc.ClientConn) (proto.Message, string, error) {
		return createATag(metadata.AppendToOutgoingContext(ctx, "samsara-retry", "always"), conn)
	}
	lost := func(w http.ResponseWriter, r *http.Request) { // a deletion whose answer does not arrive
		_, _ = io.Copy(io.Discard, r.Body)
		resetConn(w)
	}
	for name, test := range map[string]struct {
		steps     []http.HandlerFunc
		call      answerTo
		reason    string
		earlier   string
		processed string
	}{
		"500, then 404":                {steps: []http.HandlerFunc{status(500), status(404)}, call: deleteAddress, reason: "NOT_FOUND", earlier: "500", processed: "unknown"},
		"503, then 404":                {steps: []http.HandlerFunc{status(503), status(404)}, call: deleteAddress, reason: "NOT_FOUND", earlier: "503", processed: "no"},
		"a reset, then 404":            {steps: []http.HandlerFunc{lost, status(404)}, call: deleteAddress, reason: "NOT_FOUND", earlier: "0", processed: "unknown"},
		"500, 503, then 404":           {steps: []http.HandlerFunc{status(500), status(503), status(404)}, call: deleteAddress, reason: "NOT_FOUND", earlier: "500", processed: "unknown"},
		"503, 504, then 404":           {steps: []http.HandlerFunc{status(503), status(504), status(404)}, call: deleteAddress, reason: "NOT_FOUND", earlier: "504", processed: "unknown"},
		"200 that is cut off, 404":     {steps: []http.HandlerFunc{cutOffBody, status(404)}, call: deleteJob, reason: "NOT_FOUND", earlier: "200", processed: "yes"},
		"404":                          {steps: []http.HandlerFunc{status(404)}, call: deleteAddress, reason: "NOT_FOUND", processed: "no"},
		"500 always":                   {steps: []http.HandlerFunc{status(500)}, call: deleteAddress, reason: "INTERNAL_SERVER_ERROR", processed: "unknown"},
		"500, then 404 by passthrough": {steps: []http.HandlerFunc{status(500), status(404)}, call: passDelete, reason: "NOT_FOUND", earlier: "500", processed: "unknown"},
		"500, then 409 to a POST":      {steps: []http.HandlerFunc{status(500), status(409)}, call: createAgain, reason: "CONFLICT", earlier: "500", processed: "unknown"},
		"500, then 404 to a read":      {steps: []http.HandlerFunc{status(500), status(404)}, call: getATag, reason: "NOT_FOUND"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			conn, _ := connectBefore(t, inTurn(test.steps...), "--quota=false", "--retry-base-delay=1ms", "--passthrough")
			_, _, err := test.call(withTimeout(t, time.Minute), conn)
			if v := verdictOf(err); v.reason != test.reason || v.earlier != test.earlier || v.processed != test.processed {
				t.Errorf("got %v\nwant %s, earlier_status %q, processed %q", v, test.reason, test.earlier, test.processed)
			}
		})
	}
}
