package peer

import (
	"context"
	"errors"
	"fmt"
	"net/url"
	"path"

	"google.golang.org/grpc"
	"google.golang.org/grpc/mem"
	"google.golang.org/protobuf/encoding/protowire"

	"samsara.internal/gateway/bench/internal/fleet"
	vehiclestatsv1 "samsara.internal/gateway/gen/samsara/vehicle_stats/v1"
)

// newFloor returns floor A, or floor C where it has somewhere to fetch from.
func newFloor(bodies []fleet.Body, from *fetcher) (*grpc.Server, error) {
	canned := make(map[string][]byte, len(bodies))
	for _, b := range bodies {
		var err error
		if canned[b.Cursor()], err = wire(b); err != nil {
			return nil, err
		}
	}
	answer := func(_ any, ctx context.Context, decode func(any) error, _ grpc.UnaryServerInterceptor) (any, error) {
		var cursor string
		if err := decode(&cursor); err != nil {
			return nil, err
		}
		if from != nil {
			if err := from.fetch(ctx, url.Values{"after": {cursor}}, func([]byte) error { return nil }); err != nil {
				return nil, err
			}
		}
		return canned[cursor], nil
	}
	service, method := path.Split(vehiclestatsv1.VehicleStatsService_GetVehicleStats_FullMethodName)
	server := grpc.NewServer(grpc.ForceServerCodecV2(floorCodec{}))
	server.RegisterService(&grpc.ServiceDesc{
		ServiceName: path.Clean(service)[1:],
		Methods:     []grpc.MethodDesc{{MethodName: method, Handler: answer}},
	}, nil)
	return server, nil
}

// floorCodec translates as little as possible: of a request it reads the cursor, a response is
// bytes already.
type floorCodec struct{}

func (floorCodec) Name() string { return "proto" }

func (floorCodec) Marshal(v any) (mem.BufferSlice, error) {
	b, ok := v.([]byte)
	if !ok {
		return nil, fmt.Errorf("marshal: must be bytes, is %T", v)
	}
	return mem.BufferSlice{mem.SliceBuffer(b)}, nil
}

func (floorCodec) Unmarshal(data mem.BufferSlice, v any) error {
	cursor, ok := v.(*string)
	if !ok {
		return fmt.Errorf("unmarshal: must be a string, is %T", v)
	}
	for b := data.Materialize(); len(b) > 0; {
		number, kind, n := protowire.ConsumeTag(b)
		if n < 0 {
			return protowire.ParseError(n)
		}
		b = b[n:]
		if number == 1 && kind == protowire.BytesType {
			text, n := protowire.ConsumeString(b)
			*cursor = text
			return protowire.ParseError(min(n, 0))
		}
		if n = protowire.ConsumeFieldValue(number, kind, b); n < 0 {
			return protowire.ParseError(n)
		}
		b = b[n:]
	}
	return errors.New("request: must name a cursor")
}
