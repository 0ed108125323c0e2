package peer

import (
	"context"
	"net/http"
	"net/http/httputil"
	"net/url"
	"strings"

	"connectrpc.com/vanguard"
	"google.golang.org/genproto/googleapis/api/annotations"
	"google.golang.org/protobuf/encoding/protojson"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/reflect/protodesc"
	"google.golang.org/protobuf/reflect/protoreflect"
	"google.golang.org/protobuf/reflect/protoregistry"
	"google.golang.org/protobuf/types/descriptorpb"

	"samsara.internal/gateway/bench/internal/fleet"
	vehiclestatsv1 "samsara.internal/gateway/gen/samsara/vehicle_stats/v1"
)

// handwritten is the protojson gateway.
type handwritten struct {
	vehiclestatsv1.UnimplementedVehicleStatsServiceServer
	from *fetcher
}

// GetVehicleStats implements vehiclestatsv1.VehicleStatsServiceServer.
func (h *handwritten) GetVehicleStats(ctx context.Context, req *vehiclestatsv1.GetVehicleStatsRequest) (*vehiclestatsv1.GetVehicleStatsResponse, error) {
	query := url.Values{"types": {strings.Join(req.GetTypes(), ",")}}
	if req.After != nil {
		query.Set("after", req.GetAfter())
	}
	var resp vehiclestatsv1.GetVehicleStatsResponse
	err := h.from.fetch(ctx, query, func(body []byte) error {
		return protojson.UnmarshalOptions{DiscardUnknown: true}.Unmarshal(body, &resp)
	})
	return &resp, err
}

// newVanguard translates gRPC to REST and leaves fetching to a reverse proxy, as vanguard's
// documentation has it.
func newVanguard(upstream *url.URL) (http.Handler, error) {
	schema, err := annotatedService()
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
		// Generated messages: dynamic ones, its choice for a schema given like this, are slower.
		vanguard.WithTypeResolver(protoregistry.GlobalTypes),
	)})
}

// annotatedService returns VehicleStatsService with one method, the one that is measured, and
// its google.api.http rule, which the gateway's own files do not have. Vanguard can be given
// rules apart from the schema, but then applies this one to every method whose name begins
// with GetVehicleStats.
func annotatedService() (protoreflect.ServiceDescriptor, error) {
	file := vehiclestatsv1.File_samsara_vehicle_stats_v1_vehicle_stats_proto
	method := file.Services().ByName("VehicleStatsService").Methods().ByName("GetVehicleStats")
	options := &descriptorpb.MethodOptions{}
	proto.SetExtension(options, annotations.E_Http, &annotations.HttpRule{Pattern: &annotations.HttpRule_Get{Get: fleet.Path}})
	annotated, err := protodesc.NewFile(&descriptorpb.FileDescriptorProto{
		Name:       proto.String("vanguard.proto"),
		Syntax:     proto.String("proto3"),
		Package:    proto.String(string(file.Package())),
		Dependency: []string{file.Path(), "google/api/annotations.proto"},
		Service: []*descriptorpb.ServiceDescriptorProto{{
			Name: proto.String(string(method.Parent().Name())),
			Method: []*descriptorpb.MethodDescriptorProto{{
				Name:       proto.String(string(method.Name())),
				InputType:  proto.String("." + string(method.Input().FullName())),
				OutputType: proto.String("." + string(method.Output().FullName())),
				Options:    options,
			}},
		}},
	}, protoregistry.GlobalFiles)
	if err != nil {
		return nil, err
	}
	return annotated.Services().Get(0), nil
}
