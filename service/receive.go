package service

import (
	"context"
	"slices"

	"google.golang.org/grpc"
)

// requestRoom is how much grpc may hold of a request while it is read: all that it may be long, for
// a client can take its time.
type requestRoom int64

// receive reads a request into a message once there is room for it.
func (r requestRoom) receive(ctx context.Context, from *connection, decode func(any) error, into any) error {
	if err := from.requests.Room(ctx, int64(r)); err != nil {
		return noRoom(err)
	}
	defer from.requests.Leave(int64(r))
	return decode(into)
}

// read receives a request of the call that ctx is of.
func (r requestRoom) read(ctx context.Context, decode func(any) error, into any) error {
	from, err := connectionOf(ctx)
	if err != nil {
		return err
	}
	return r.receive(ctx, from, decode, into)
}

// RegisterService implements grpc.ServiceRegistrar for services beside the operations, such as
// grpc's own. Their requests are read as all others are. It must not be called after Serve.
func (s *Server) RegisterService(desc *grpc.ServiceDesc, impl any) {
	own := *desc
	own.Methods, own.Streams = slices.Clone(desc.Methods), slices.Clone(desc.Streams)
	for i := range own.Methods {
		handle := own.Methods[i].Handler
		own.Methods[i].Handler = func(srv any, ctx context.Context, decode func(any) error, interceptor grpc.UnaryServerInterceptor) (any, error) {
			return handle(srv, ctx, func(into any) error { return s.room.read(ctx, decode, into) }, interceptor)
		}
	}
	for i := range own.Streams {
		handle := own.Streams[i].Handler
		own.Streams[i].Handler = func(srv any, ss grpc.ServerStream) error { return handle(srv, roomStream{ss, s.room}) }
	}
	s.register(&own, impl)
}

// roomStream is a stream of a service beside the operations.
type roomStream struct {
	grpc.ServerStream
	room requestRoom
}

// RecvMsg implements grpc.ServerStream.
func (s roomStream) RecvMsg(into any) error {
	return s.room.read(s.Context(), s.ServerStream.RecvMsg, into)
}
