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
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/reflect/protoreflect"

	"samsara.internal/gateway/bench/internal/fleet"
	"samsara.internal/gateway/bench/internal/surface"
)

// newFloor returns floor C if there is something to fetch from, and otherwise floor A.
func newFloor(stats surface.Method, bodies []fleet.Body, from *fetcher) (*grpc.Server, error) {
	canned := make(map[string][]byte, len(bodies))
	for _, b := range bodies {
		answer, err := stats.Answer(b.JSON())
		if err != nil {
			return nil, err
		}
		if canned[b.Cursor()], err = proto.Marshal(answer); err != nil {
			return nil, err
		}
	}
	cursor, err := field(stats, "after")
	if err != nil {
		return nil, err
	}
	server := grpc.NewServer(grpc.ForceServerCodecV2(floorCodec{cursor: cursor.Number()}))
	server.RegisterService(unary(stats, func(ctx context.Context, decode func(any) error) (any, error) {
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
	}), nil)
	return server, nil
}

// unary returns a service with one method.
func unary(m surface.Method, handle func(ctx context.Context, decode func(any) error) (any, error)) *grpc.ServiceDesc {
	service, method := path.Split(m.Name)
	return &grpc.ServiceDesc{
		ServiceName: path.Clean(service)[1:],
		Methods: []grpc.MethodDesc{{
			MethodName: method,
			Handler: func(_ any, ctx context.Context, decode func(any) error, _ grpc.UnaryServerInterceptor) (any, error) {
				return handle(ctx, decode)
			},
		}},
	}
}

// field returns the field of a request that has a JSON name.
func field(m surface.Method, name string) (protoreflect.FieldDescriptor, error) {
	found := m.Input.Descriptor().Fields().ByJSONName(name)
	if found == nil {
		return nil, fmt.Errorf("request of %s: has no field %q", m.Name, name)
	}
	return found, nil
}

// StreamMethod is the method of the stream server.
const StreamMethod = "/bench.Stream/Follow"

// newStream returns the stream server. Its request is a string in field 1: messages begin after that tick.
func newStream(message []byte) *grpc.Server {
	service, method := path.Split(StreamMethod)
	server := grpc.NewServer(grpc.ForceServerCodecV2(floorCodec{cursor: 1}))
	server.RegisterService(&grpc.ServiceDesc{
		ServiceName: path.Clean(service)[1:],
		Streams: []grpc.StreamDesc{{
			StreamName: method, ServerStreams: true,
			Handler: func(_ any, stream grpc.ServerStream) error {
				var cursor string
				if err := stream.RecvMsg(&cursor); err != nil {
					return err
				}
				tick, err := fleet.ParseTick(cursor)
				for err == nil {
					tick++
					if err = waitUntil(stream.Context(), tick); err == nil {
						err = stream.SendMsg(message)
					}
				}
				return err
			},
		}},
	}, nil)
	return server
}

// floorCodec translates as little as possible: it reads the cursor of a request, and a response is bytes
// already.
type floorCodec struct{ cursor protowire.Number }

func (floorCodec) Name() string { return "proto" }

func (floorCodec) Marshal(v any) (mem.BufferSlice, error) {
	b, ok := v.([]byte)
	if !ok {
		return nil, fmt.Errorf("marshal: must be bytes, is %T", v)
	}
	return mem.BufferSlice{mem.SliceBuffer(b)}, nil
}

func (c floorCodec) Unmarshal(data mem.BufferSlice, v any) error {
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
		if number == c.cursor && kind == protowire.BytesType {
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
