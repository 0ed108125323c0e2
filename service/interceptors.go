package service

import (
	"context"
	"time"

	"github.com/grpc-ecosystem/go-grpc-middleware/v2/interceptors/recovery"
	"google.golang.org/grpc"
)

// unaryInterceptors returns the chain of unary calls, outermost first. It is short because every
// link costs each call an allocation and a deeper stack.
func (c Config) unaryInterceptors() []grpc.UnaryServerInterceptor {
	p := presenter{c.Logger}
	// Outermost, so that not even a panic in an interceptor ends the process.
	chain := []grpc.UnaryServerInterceptor{recovery.UnaryServerInterceptor(p.recovered())}
	// Telemetry sees every call, refused ones too, with the code that the caller sees.
	chain = append(chain, c.UnaryInterceptors...)
	// Innermost, so that all of the above see a panic as the error it becomes.
	return append(chain, (&edge{presenter: p, defaultDeadline: c.DefaultDeadline}).unary)
}

// streamInterceptors returns the chain of streams, outermost first, in the order and for the
// reasons of unaryInterceptors. Streams have no default deadline, for they may be endless; they
// end with stopping instead.
func (c Config) streamInterceptors(stopping context.Context, served methods) []grpc.StreamServerInterceptor {
	p := presenter{c.Logger}
	chain := []grpc.StreamServerInterceptor{recovery.StreamServerInterceptor(p.recovered()), served.rename}
	chain = append(chain, c.StreamInterceptors...)
	return append(chain, (&edge{presenter: p, defaultDeadline: c.DefaultDeadline}).stream, endWith(stopping))
}

// edge is where a call leaves the interceptors for its handler. It bounds the call, turns what
// comes of it, a panic included, into what the caller sees, and logs the same.
type edge struct {
	presenter
	defaultDeadline time.Duration
	// unknown bounds the lines about calls of methods that are not served.
	unknown sparse
}

func (e *edge) unary(ctx context.Context, req any, info *grpc.UnaryServerInfo, handler grpc.UnaryHandler) (resp any, err error) {
	line := newLogLine(e.logger, info.FullMethod)
	ctx = context.WithValue(ctx, logLineKey{}, line)
	defer func() {
		if cause := recover(); cause != nil {
			resp, err = nil, e.panicked(ctx, cause)
		}
		err = e.present(ctx, err)
		line.finish(ctx, err)
	}()
	// A call that is over before it begins has no effect.
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	if _, ok := ctx.Deadline(); ok {
		return handler(ctx, req)
	}
	bounded, cancel := context.WithTimeout(ctx, e.defaultDeadline)
	defer cancel()
	return handler(bounded, req)
}

func (e *edge) stream(srv any, ss grpc.ServerStream, info *grpc.StreamServerInfo, handler grpc.StreamHandler) (err error) {
	line := newLogLine(e.logger, info.FullMethod)
	if info.FullMethod == unknownName {
		line.bound = &e.unknown
	}
	ctx := context.WithValue(ss.Context(), logLineKey{}, line)
	defer func() {
		if cause := recover(); cause != nil {
			err = e.panicked(ctx, cause)
		}
		err = e.present(ctx, err)
		line.finish(ctx, err)
	}()
	return handler(srv, contextStream{ss, ctx})
}

// endWith cancels grpc's own streams when stopping is: a graceful stop waits for streams, and a
// health watch would keep it waiting for ever. Streams of pages end by themselves, after a page.
func endWith(stopping context.Context) grpc.StreamServerInterceptor {
	return func(srv any, ss grpc.ServerStream, info *grpc.StreamServerInfo, handler grpc.StreamHandler) error {
		if !isGRPCs(info.FullMethod) {
			return handler(srv, ss)
		}
		ctx, cancel := context.WithCancel(ss.Context())
		defer cancel()
		defer context.AfterFunc(stopping, cancel)()
		return handler(srv, contextStream{ss, ctx})
	}
}

// contextStream is a stream with a context of its own.
type contextStream struct {
	grpc.ServerStream
	ctx context.Context //nolint:containedctx // grpc.ServerStream hands its context out by a method
}

// Context implements grpc.ServerStream.
func (s contextStream) Context() context.Context { return s.ctx }
