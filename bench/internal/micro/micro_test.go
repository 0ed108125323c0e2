package micro_test

import (
	"context"
	"encoding/json"
	"net"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strconv"
	"testing"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/protobuf/encoding/protojson"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/reflect/protoregistry"

	"samsara.internal/gateway/bench/internal/fleet"
	_ "samsara.internal/gateway/gen"
	routesv1 "samsara.internal/gateway/gen/samsara/routes/v1"
	vehiclestatsv1 "samsara.internal/gateway/gen/samsara/vehicle_stats/v1"
	"samsara.internal/gateway/internal/endpoint"
	"samsara.internal/gateway/internal/transcode"
	"samsara.internal/gateway/service"
	"samsara.internal/gateway/upstream"
)

func endpoints(tb testing.TB) []*endpoint.Endpoint {
	tb.Helper()
	all, err := endpoint.Load(protoregistry.GlobalFiles, protoregistry.GlobalTypes)
	if err != nil {
		tb.Fatal(err)
	}
	return all
}

func find(tb testing.TB, all []*endpoint.Endpoint, fullMethod string) *endpoint.Endpoint {
	tb.Helper()
	for _, e := range all {
		if e.FullMethod == fullMethod {
			return e
		}
	}
	tb.Fatalf("no method %s", fullMethod)
	return nil
}

// repeat measures f from its second call on, when its buffers have grown.
func repeat(b *testing.B, f func() error) {
	b.Helper()
	if err := f(); err != nil {
		b.Fatal(err)
	}
	for b.Loop() {
		if err := f(); err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkDecode(b *testing.B) {
	decoder := find(b, endpoints(b), vehiclestatsv1.VehicleStatsService_GetVehicleStats_FullMethodName).Response
	for _, size := range []int{2 << 10, 10 << 10, 50 << 10, 250 << 10, 1 << 20} {
		for _, order := range []fleet.Order{fleet.Declared, fleet.Shuffled} {
			body := fleet.Body{Bytes: size, Order: order}.JSON()
			run := func(by string, decode func() error) {
				b.Run(strconv.Itoa(size)+"/"+string(order)+"/"+by, func(b *testing.B) {
					b.ReportAllocs()
					b.SetBytes(int64(len(body)))
					repeat(b, decode)
				})
			}
			var (
				wire  []byte
				drift transcode.Drift
			)
			run("gateway", func() (err error) {
				wire, err = decoder.Append(wire[:0], body, &drift)
				return err
			})
			run("protojson", func() (err error) {
				var m vehiclestatsv1.GetVehicleStatsResponse
				if err := (protojson.UnmarshalOptions{DiscardUnknown: true}).Unmarshal(body, &m); err != nil {
					return err
				}
				wire, err = proto.MarshalOptions{}.MarshalAppend(wire[:0], &m)
				return err
			})
			run("valid", func() error {
				if !json.Valid(body) {
					b.Error("not valid")
				}
				return nil
			})
		}
	}
}

func BenchmarkEncode(b *testing.B) {
	patch := find(b, endpoints(b), routesv1.RoutesService_PatchRoute_FullMethodName)
	encoder, err := new(transcode.Compiler).Encoder(patch.Method.Input(), patch.BodyFields)
	if err != nil {
		b.Fatal(err)
	}
	for _, size := range []int{2 << 10, 50 << 10, 1 << 20} {
		route, err := fleet.Route(size)
		if err != nil {
			b.Fatal(err)
		}
		var body []byte
		run := func(by string, encode func() error) {
			b.Run(strconv.Itoa(size)+"/"+by, func(b *testing.B) {
				b.ReportAllocs()
				repeat(b, encode)
				b.SetBytes(int64(len(body)))
			})
		}
		run("gateway", func() (err error) {
			body, err = encoder.Append(body[:0], route.ProtoReflect(), nil)
			return err
		})
		run("protojson", func() (err error) {
			body, err = protojson.MarshalOptions{}.MarshalAppend(body[:0], route)
			return err
		})
	}
}

// BenchmarkMethods serves the first method alone, and then all of them. The client, the server
// and the upstream are in one process.
func BenchmarkMethods(b *testing.B) {
	body := fleet.Body{Bytes: 2 << 10, Order: fleet.Declared}
	answer := body.JSON()
	canned := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		_, _ = w.Write(answer)
	}))
	b.Cleanup(canned.Close)
	base, err := url.Parse(canned.URL)
	if err != nil {
		b.Fatal(err)
	}
	client, err := upstream.New(upstream.Config{BaseURL: base, Token: upstream.StaticToken("token")})
	if err != nil {
		b.Fatal(err)
	}
	all := endpoints(b)
	one := []*endpoint.Endpoint{find(b, all, vehiclestatsv1.VehicleStatsService_GetVehicleStats_FullMethodName)}
	for _, served := range [][]*endpoint.Endpoint{one, all} {
		b.Run(strconv.Itoa(len(served)), func(b *testing.B) {
			stub := vehiclestatsv1.NewVehicleStatsServiceClient(dial(b, service.Config{Endpoints: served, Upstream: client}))
			request := fleet.Request(body)
			b.ReportAllocs()
			repeat(b, func() error {
				_, err := stub.GetVehicleStats(b.Context(), request)
				return err
			})
		})
	}
}

func dial(b *testing.B, cfg service.Config) *grpc.ClientConn {
	b.Helper()
	server, err := service.New(cfg)
	if err != nil {
		b.Fatal(err)
	}
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		b.Fatal(err)
	}
	served := make(chan error, 1)
	go func() { served <- server.Serve(l) }()
	connection, err := grpc.NewClient(l.Addr().String(), grpc.WithTransportCredentials(insecure.NewCredentials()))
	if err != nil {
		b.Fatal(err)
	}
	b.Cleanup(func() {
		if err := connection.Close(); err != nil {
			b.Error(err)
		}
		// The benchmark's own context is over by now.
		ctx, cancel := context.WithTimeout(context.WithoutCancel(b.Context()), 10*time.Second)
		defer cancel()
		if err := server.Stop(ctx); err != nil {
			b.Error(err)
		}
		if err := <-served; err != nil {
			b.Error(err)
		}
	})
	return connection
}
