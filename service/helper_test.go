package service_test

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/url"
	"sync"
	"testing"

	"go.uber.org/goleak"
	"google.golang.org/genproto/googleapis/rpc/errdetails"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/mem"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/status"
	"google.golang.org/grpc/test/bufconn"
	"google.golang.org/protobuf/encoding/protojson"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/reflect/protoregistry"
	"google.golang.org/protobuf/types/dynamicpb"

	apiv1 "samsara.internal/gateway/gen/api/v1"
	"samsara.internal/gateway/internal/endpoint"
	"samsara.internal/gateway/internal/testproto"
	"samsara.internal/gateway/internal/transcode"
	"samsara.internal/gateway/service"
	"samsara.internal/gateway/upstream"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// vehicles is a small API: one operation that reads, one that writes and one without response.
const vehicles = `
syntax = "proto3";
package samsara_gateway.vehicles.v1;
import "samsara_gateway/api/v1/annotations.proto";
service VehiclesService {
  rpc GetVehicle(GetVehicleRequest) returns (GetVehicleResponse) {
    option (samsara_gateway.api.v1.operation) = {
      id: "getVehicle" method: HTTP_METHOD_GET path: "/fleet/vehicles/{id}" repeatable: true
    };
  }
  rpc CreateVehicle(CreateVehicleRequest) returns (CreateVehicleResponse) {
    option (samsara_gateway.api.v1.operation) = {
      id: "createVehicle" method: HTTP_METHOD_POST path: "/fleet/vehicles" body: BODY_REQUIRED
    };
  }
  rpc DeleteVehicle(DeleteVehicleRequest) returns (DeleteVehicleResponse) {
    option (samsara_gateway.api.v1.operation) = {
      id: "deleteVehicle" method: HTTP_METHOD_DELETE path: "/fleet/vehicles/{id}" repeatable: true
    };
  }
}
message GetVehicleRequest {
  optional string id = 1 [(samsara_gateway.api.v1.field) = {in: LOCATION_PATH required: true}];
  repeated string types = 2 [(samsara_gateway.api.v1.field) = {in: LOCATION_QUERY array_style: ARRAY_STYLE_COMMA}];
}
message GetVehicleResponse { Vehicle data = 1; }
message CreateVehicleRequest {
  optional string name = 1 [(samsara_gateway.api.v1.field) = {in: LOCATION_BODY required: true}];
  optional int64 year = 2 [(samsara_gateway.api.v1.field) = {in: LOCATION_BODY required: true}];
}
message CreateVehicleResponse { Vehicle data = 1; }
message DeleteVehicleRequest {
  optional string id = 1 [(samsara_gateway.api.v1.field) = {in: LOCATION_PATH required: true}];
}
message DeleteVehicleResponse {}
message Vehicle {
  optional string id = 1;
  optional string name = 2;
  optional int64 year = 3;
}
`

const (
	getVehicle    = "/samsara_gateway.vehicles.v1.VehiclesService/GetVehicle"
	createVehicle = "/samsara_gateway.vehicles.v1.VehiclesService/CreateVehicle"
	deleteVehicle = "/samsara_gateway.vehicles.v1.VehiclesService/DeleteVehicle"
	passthrough   = apiv1.PassthroughService_Call_FullMethodName
)

// endpoints compiles the operations of vehicles.
func endpoints(tb testing.TB) []*endpoint.Endpoint {
	tb.Helper()
	return load(tb, vehicles)
}

// load compiles the operations of a source.
func load(tb testing.TB, source string) []*endpoint.Endpoint {
	tb.Helper()
	files := new(protoregistry.Files)
	if err := files.RegisterFile(testproto.Compile(tb, source)); err != nil {
		tb.Fatalf("register file: %v", err)
	}
	loaded, err := endpoint.Load(files, new(protoregistry.Types))
	if err != nil {
		tb.Fatalf("load endpoints: %v", err)
	}
	return loaded
}

// request is a call with what is known of its operation.
type request struct {
	upstream.Call
	upstream.OperationSpec
	Template string
	// What follows is the zero value of passthrough.
	Decoder            *transcode.Decoder
	Repeatable, NoBody bool
}

// resolver makes the operations of fakes, and knows what they are for.
type resolver struct {
	mu    sync.Mutex
	specs map[*upstream.Operation]upstream.OperationSpec
}

// Operation makes operations of a client that is never asked.
func (r *resolver) Operation(spec upstream.OperationSpec) (*upstream.Operation, error) {
	client, err := upstream.New(upstream.Config{BaseURL: &url.URL{Scheme: "http", Host: "nowhere.test"}, Token: upstream.StaticToken("none")})
	if err != nil {
		return nil, err
	}
	defer client.Close()
	op, err := client.Operation(spec)
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.specs == nil {
		r.specs = make(map[*upstream.Operation]upstream.OperationSpec)
	}
	r.specs[op] = spec
	return op, err
}

func (r *resolver) request(op *upstream.Operation, call upstream.Call) *request {
	r.mu.Lock()
	defer r.mu.Unlock()
	req := &request{Call: call, OperationSpec: r.specs[op]}
	req.Method, req.Template = op.Name(call)
	if e := req.Endpoint; e != nil && !req.Passthrough {
		req.Decoder, req.Repeatable, req.NoBody = e.Response, e.Operation.GetRepeatable(), !e.HasResponse
	}
	return req
}

// fakeUpstream answers with do and keeps what it was asked.
type fakeUpstream struct {
	resolver
	do func(context.Context, *request) (*upstream.Response, error)

	mu       sync.Mutex
	requests []request
}

func (f *fakeUpstream) Do(ctx context.Context, op *upstream.Operation, call upstream.Call) (*upstream.Response, error) {
	req := f.request(op, call)
	f.mu.Lock()
	f.requests = append(f.requests, *req)
	f.mu.Unlock()
	return f.do(ctx, req)
}

func (f *fakeUpstream) asked() []request {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.requests
}

// forgetful is an upstream that keeps nothing.
type forgetful struct {
	resolver
	do func(context.Context, *request) (*upstream.Response, error)
}

func upstreamFunc(do func(context.Context, *request) (*upstream.Response, error)) *forgetful {
	return &forgetful{do: do}
}

func (f *forgetful) Do(ctx context.Context, op *upstream.Operation, call upstream.Call) (*upstream.Response, error) {
	return f.do(ctx, f.request(op, call))
}

// around is a client whose calls are made by do.
type around struct {
	*upstream.Client
	do func(context.Context, *upstream.Operation, upstream.Call) (*upstream.Response, error)
}

func (a around) Do(ctx context.Context, op *upstream.Operation, call upstream.Call) (*upstream.Response, error) {
	return a.do(ctx, op, call)
}

// answers is an upstream that answers every request with body, decoded as the request wants it.
func answers(body string) *fakeUpstream {
	return &fakeUpstream{do: func(_ context.Context, req *request) (*upstream.Response, error) {
		resp := &upstream.Response{Status: 200, Attempts: 1, RequestID: "req-1"}
		if req.Decoder == nil {
			resp.Body = []byte(body)
			return resp, nil
		}
		var err error
		resp.Message, err = req.Decoder.Append(nil, []byte(body), &resp.Drift)
		return resp, err
	}}
}

// fails is an upstream that fails every request with err.
func fails(err error) *fakeUpstream {
	return &fakeUpstream{do: func(context.Context, *request) (*upstream.Response, error) { return nil, err }}
}

// gateway is a served Server and a client of it.
type gateway struct {
	dial func(context.Context) (net.Conn, error)
	*service.Server
	conn *grpc.ClientConn
	// log is what the server logged. It may be read once the server has stopped.
	log *bytes.Buffer
	// served are its endpoints.
	served []*endpoint.Endpoint
}

// start serves cfg in memory until the test ends, with more options of its client. A Server that
// is left over stops at once.
func start(tb testing.TB, cfg service.Config, opts ...grpc.DialOption) *gateway {
	tb.Helper()
	g := &gateway{log: new(bytes.Buffer), served: cfg.Endpoints}
	if cfg.Logger == nil {
		cfg.Logger = slog.New(slog.NewTextHandler(g.log, &slog.HandlerOptions{Level: slog.LevelDebug}))
	}
	server, err := service.New(cfg)
	if err != nil {
		tb.Fatalf("New: %v", err)
	}
	g.Server = server
	lis := bufconn.Listen(1 << 16)
	g.dial = lis.DialContext
	served := make(chan error, 1)
	go func() { served <- server.Serve(lis) }()
	tb.Cleanup(func() {
		ctx, cancel := context.WithCancel(context.Background())
		cancel()
		if err := server.Stop(ctx); err != nil && !errors.Is(err, service.ErrAborted) {
			tb.Errorf("Stop: %v", err)
		}
		if err := <-served; err != nil {
			tb.Errorf("Serve: %v", err)
		}
	})
	g.conn, err = grpc.NewClient("passthrough:///gateway", append([]grpc.DialOption{
		grpc.WithContextDialer(func(ctx context.Context, _ string) (net.Conn, error) { return lis.DialContext(ctx) }),
		grpc.WithTransportCredentials(insecure.NewCredentials()),
		grpc.WithDisableRetry(),
	}, opts...)...)
	if err != nil {
		tb.Fatalf("NewClient: %v", err)
	}
	tb.Cleanup(func() {
		if err := g.conn.Close(); err != nil {
			tb.Errorf("close client: %v", err)
		}
	})
	return g
}

// stopAndReadLog stops the server, so that nothing is logged any more.
func (g *gateway) stopAndReadLog(t *testing.T) string {
	t.Helper()
	if err := g.Stop(t.Context()); err != nil {
		t.Errorf("Stop: %v", err)
	}
	return g.log.String()
}

// bytesCodec sends and receives messages in wire form.
type bytesCodec struct{}

func (bytesCodec) Name() string { return "proto" }

func (bytesCodec) Marshal(v any) (mem.BufferSlice, error) {
	wire, ok := v.([]byte)
	if !ok {
		return nil, fmt.Errorf("cannot marshal a %T", v)
	}
	return mem.BufferSlice{mem.SliceBuffer(wire)}, nil
}

func (bytesCodec) Unmarshal(data mem.BufferSlice, v any) error {
	wire, ok := v.(*[]byte)
	if !ok {
		return fmt.Errorf("cannot unmarshal into a %T", v)
	}
	*wire = data.Materialize()
	return nil
}

// reply is what a client has of a call.
type reply struct {
	// json is the response in protojson.
	json            string
	header, trailer metadata.MD
	status          *status.Status
}

// call calls a method of vehicles, request and response in protojson.
func (g *gateway) call(ctx context.Context, t *testing.T, fullMethod, request string) reply {
	t.Helper()
	for _, e := range endpoints(t) {
		if e.FullMethod == fullMethod {
			in, out := dynamicpb.NewMessage(e.Method.Input()), dynamicpb.NewMessage(e.Method.Output())
			return g.invoke(ctx, t, fullMethod, request, in, out)
		}
	}
	t.Fatalf("there is no method %s", fullMethod)
	return reply{}
}

// pass calls PassthroughService.
func (g *gateway) pass(ctx context.Context, t *testing.T, request string) reply {
	t.Helper()
	return g.invoke(ctx, t, passthrough, request, new(apiv1.CallRequest), new(apiv1.CallResponse))
}

func (g *gateway) invoke(ctx context.Context, t *testing.T, fullMethod, request string, in, out proto.Message) reply {
	t.Helper()
	if err := protojson.Unmarshal([]byte(request), in); err != nil {
		t.Fatalf("request: %v", err)
	}
	var r reply
	err := g.conn.Invoke(ctx, fullMethod, in, out, grpc.Header(&r.header), grpc.Trailer(&r.trailer))
	r.status = status.Convert(err)
	if err == nil {
		r.json = canonical(t, out)
	}
	return r
}

// canonical is protojson without the spaces that it varies on purpose.
func canonical(t *testing.T, m proto.Message) string {
	t.Helper()
	text, err := protojson.Marshal(m)
	if err != nil {
		t.Fatalf("marshal: %v", err)
	}
	var b bytes.Buffer
	if err := json.Compact(&b, text); err != nil {
		t.Fatalf("compact: %v", err)
	}
	return b.String()
}

// wantError checks code and reason, and returns the violations as "field: description".
func (r reply) wantError(t *testing.T, code codes.Code, reason string) (violations []string) {
	t.Helper()
	if r.status.Code() != code {
		t.Errorf("status is %v, want code %v", r.status, code)
	}
	got := "no ErrorInfo"
	for _, detail := range r.status.Details() {
		switch detail := detail.(type) {
		case *errdetails.ErrorInfo:
			got = detail.GetReason()
			if detail.GetDomain() != upstream.DomainGateway {
				t.Errorf("domain is %q, want %q", detail.GetDomain(), upstream.DomainGateway)
			}
		case *errdetails.BadRequest:
			for _, v := range detail.GetFieldViolations() {
				violations = append(violations, v.GetField()+": "+v.GetDescription())
			}
		}
	}
	if got != reason {
		t.Errorf("reason is %s, want %s (status %v)", got, reason, r.status)
	}
	return violations
}
