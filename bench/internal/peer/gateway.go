package peer

import (
	"context"
	"net/http"
	"net/http/httputil"
	"net/url"
	"strings"

	"connectrpc.com/vanguard"
	"google.golang.org/genproto/googleapis/api/annotations"
	"google.golang.org/grpc"
	"google.golang.org/protobuf/encoding/protojson"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/reflect/protodesc"
	"google.golang.org/protobuf/reflect/protoreflect"
	"google.golang.org/protobuf/reflect/protoregistry"
	"google.golang.org/protobuf/types/descriptorpb"

	"samsara.internal/gateway/bench/internal/fleet"
	"samsara.internal/gateway/bench/internal/surface"
)

// newHandwritten returns the protojson gateway.
func newHandwritten(stats surface.Method, from *fetcher) (*grpc.Server, error) {
	types, err := field(stats, "types")
	if err != nil {
		return nil, err
	}
	after, err := field(stats, "after")
	if err != nil {
		return nil, err
	}
	server := grpc.NewServer()
	server.RegisterService(unary(stats, func(ctx context.Context, decode func(any) error) (any, error) {
		req := stats.Input.New()
		if err := decode(req.Interface()); err != nil {
			return nil, err
		}
		var wanted []string
		for list, i := req.Get(types).List(), 0; i < list.Len(); i++ {
			wanted = append(wanted, list.Get(i).String())
		}
		query := url.Values{"types": {strings.Join(wanted, ",")}}
		if req.Has(after) {
			query.Set("after", req.Get(after).String())
		}
		resp := stats.Output.New().Interface()
		err := from.fetch(ctx, query, func(body []byte) error {
			return protojson.UnmarshalOptions{DiscardUnknown: true}.Unmarshal(body, resp)
		})
		return resp, err
	}), nil)
	return server, nil
}

// newVanguard returns the vanguard gateway. It translates gRPC to REST and leaves fetching to a reverse
// proxy, as vanguard's documentation describes.
func newVanguard(stats surface.Method, upstream *url.URL) (http.Handler, error) {
	schema, err := annotatedService(stats)
	if err != nil {
		return nil, err
	}
	proxy := &httputil.ReverseProxy{
		Rewrite: func(r *httputil.ProxyRequest) {
			r.SetURL(upstream)
			r.Out.Header.Set("Authorization", "Bearer token")
		},
		Transport: transport(),
	}
	return vanguard.NewTranscoder([]*vanguard.Service{vanguard.NewServiceWithSchema(
		schema, proxy,
		vanguard.WithTargetProtocols(vanguard.ProtocolREST),
		vanguard.WithTargetCodecs(vanguard.CodecJSON),
		vanguard.WithNoTargetCompression(),
		// With generated messages: dynamic ones, which it chooses for such a schema, are slower.
		vanguard.WithTypeResolver(protoregistry.GlobalTypes),
	)})
}

// annotatedService returns the service of a method with this method alone and its
// google.api.http rule, which the gateway's own files do not have. Vanguard can be given rules
// apart from the schema, but then applies this one to every method whose name begins with this
// method's.
func annotatedService(m surface.Method) (protoreflect.ServiceDescriptor, error) {
	full := protoreflect.FullName(strings.ReplaceAll(m.Name[1:], "/", "."))
	options := &descriptorpb.MethodOptions{}
	proto.SetExtension(options, annotations.E_Http, &annotations.HttpRule{Pattern: &annotations.HttpRule_Get{Get: fleet.Stats.Path()}})
	annotated, err := protodesc.NewFile(&descriptorpb.FileDescriptorProto{
		Name:       proto.String("vanguard.proto"),
		Syntax:     proto.String("proto3"),
		Package:    proto.String(string(full.Parent().Parent())),
		Dependency: []string{m.Input.Descriptor().ParentFile().Path(), "google/api/annotations.proto"},
		Service: []*descriptorpb.ServiceDescriptorProto{{
			Name: proto.String(string(full.Parent().Name())),
			Method: []*descriptorpb.MethodDescriptorProto{{
				Name:       proto.String(string(full.Name())),
				InputType:  proto.String("." + string(m.Input.Descriptor().FullName())),
				OutputType: proto.String("." + string(m.Output.Descriptor().FullName())),
				Options:    options,
			}},
		}},
	}, protoregistry.GlobalFiles)
	if err != nil {
		return nil, err
	}
	return annotated.Services().Get(0), nil
}
