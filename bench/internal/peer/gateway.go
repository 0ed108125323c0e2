package peer

import (
	"context"
	"net/http"
	"net/http/httputil"
	"net/url"
	"strings"

	"connectrpc.com/vanguard"
	"google.golang.org/genproto/googleapis/api/annotations"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/encoding/protojson"

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
	if err != nil {
		return nil, status.Error(codes.Unavailable, err.Error())
	}
	return &resp, nil
}

// newVanguard translates gRPC to REST and leaves fetching to a reverse proxy, as vanguard's
// documentation has it. Its rules are given here, because the gateway's proto files have none.
func newVanguard(upstream *url.URL) (http.Handler, error) {
	proxy := &httputil.ReverseProxy{
		Rewrite: func(r *httputil.ProxyRequest) {
			r.SetURL(upstream)
			r.Out.Header.Set("Authorization", "Bearer token")
		},
		Transport: transport(),
	}
	const service = "samsara.vehicle_stats.v1.VehicleStatsService"
	return vanguard.NewTranscoder(
		[]*vanguard.Service{vanguard.NewService(service, proxy,
			vanguard.WithTargetProtocols(vanguard.ProtocolREST),
			vanguard.WithTargetCodecs(vanguard.CodecJSON),
			vanguard.WithNoTargetCompression(),
		)},
		vanguard.WithRules(&annotations.HttpRule{
			Selector: service + ".GetVehicleStats",
			Pattern:  &annotations.HttpRule_Get{Get: fleet.Path},
		}),
	)
}
