package micro_test

import (
	"context"
	"encoding/json"
	"net"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strconv"
	"strings"
	"testing"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/protobuf/encoding/protojson"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/reflect/protoregistry"

	"samsara.internal/gateway/bench/internal/fleet"
	"samsara.internal/gateway/bench/internal/surface"
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

// find returns an endpoint, with generated messages.
func find(tb testing.TB, all []*endpoint.Endpoint, o surface.Operation) *endpoint.Endpoint {
	tb.Helper()
	method, path, _ := strings.Cut(string(o), " ")
	e := endpoint.Find(all, method, path)
	if e == nil {
		tb.Fatalf("no endpoint for %s", o)
	}
	return e
}

func local(tb testing.TB, o surface.Operation) surface.Method {
	tb.Helper()
	m, err := surface.Local(o)
	if err != nil {
		tb.Fatal(err)
	}
	return m
}

// repeat measures f from its second call on, because its buffers have grown then.
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
	stats := local(b, fleet.Stats)
	decoder := find(b, endpoints(b), fleet.Stats).Response
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
				m, err := stats.Answer(body)
				if err != nil {
					return err
				}
				wire, err = proto.MarshalOptions{}.MarshalAppend(wire[:0], m)
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
	patch := find(b, endpoints(b), fleet.UpdateRoute)
	encoder, err := new(transcode.Compiler).Encoder(patch.Method.Input(), patch.BodyFields)
	if err != nil {
		b.Fatal(err)
	}
	for _, size := range []int{2 << 10, 50 << 10, 1 << 20} {
		route := patch.Input.New()
		if err := protojson.Unmarshal(fleet.Route(size), route.Interface()); err != nil {
			b.Fatal(err)
		}
		wire, err := proto.Marshal(route.Interface())
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
		run("gateway", func() error {
			var ok bool
			if body, ok = encoder.AppendWire(body[:0], wire); !ok {
				b.Error("not taken")
			}
			return nil
		})
		run("message", func() error {
			m := patch.Input.New()
			if err := proto.Unmarshal(wire, m.Interface()); err != nil {
				return err
			}
			var err error
			body, err = encoder.Append(body[:0], m, nil)
			return err
		})
		run("protojson", func() error {
			m := patch.Input.New()
			if err := proto.Unmarshal(wire, m.Interface()); err != nil {
				return err
			}
			var err error
			body, err = protojson.MarshalOptions{}.MarshalAppend(body[:0], m.Interface())
			return err
		})
	}
}

// BenchmarkMethods serves one method, and then all of them. The client, the server and the upstream are in
// one process.
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
	stats := local(b, fleet.Stats)
	one := []*endpoint.Endpoint{find(b, all, fleet.Stats)}
	for _, served := range [][]*endpoint.Endpoint{one, all} {
		b.Run(strconv.Itoa(len(served)), func(b *testing.B) {
			connection := dial(b, service.Config{Endpoints: served, Upstream: client})
			request := stats.Input.New().Interface()
			if err := protojson.Unmarshal(fleet.Request(body, 0), request); err != nil {
				b.Fatal(err)
			}
			b.ReportAllocs()
			repeat(b, func() error {
				return connection.Invoke(b.Context(), stats.Name, request, stats.Output.New().Interface())
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
