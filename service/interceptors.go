package service

import (
	"context"
	"time"

	"github.com/grpc-ecosystem/go-grpc-middleware/v2/interceptors"
	"github.com/grpc-ecosystem/go-grpc-middleware/v2/interceptors/recovery"
	"google.golang.org/grpc"
)

// unaryInterceptors returns the chain of unary calls, outermost first.
func (c Config) unaryInterceptors() []grpc.UnaryServerInterceptor {
	p := presenter{c.Logger}
	chain := []grpc.UnaryServerInterceptor{
		// Outermost, so that not even a panic in an interceptor ends the process.
		recovery.UnaryServerInterceptor(p.recovered()),
	}
	// Telemetry sees every call, refused ones too, with the code that the caller sees.
	chain = append(chain, c.UnaryInterceptors...)
	return append(chain,
		// Outside of presentation, so that the log and the caller agree.
		interceptors.UnaryServerInterceptor(callLog{c.Logger}),
		p.unary,
		// Inside of presentation, which codes the refusal of a call that is too late.
		withDeadline(c.DefaultDeadline),
		// Innermost, so that all of the above see a panic as the error it becomes.
		recovery.UnaryServerInterceptor(p.recovered()),
	)
}

// streamInterceptors returns the chain of streams, outermost first, in the order and for the
// reasons of unaryInterceptors. Streams have no default deadline, for they may be endless;
// they end with stopping instead.
func (c Config) streamInterceptors(stopping context.Context) []grpc.StreamServerInterceptor {
	p := presenter{c.Logger}
	chain := []grpc.StreamServerInterceptor{recovery.StreamServerInterceptor(p.recovered())}
	chain = append(chain, c.StreamInterceptors...)
	return append(chain,
		interceptors.StreamServerInterceptor(callLog{c.Logger}),
		p.stream,
		endWith(stopping),
		recovery.StreamServerInterceptor(p.recovered()),
	)
}

// withDeadline gives calls without a deadline one in d, and refuses those whose deadline has
// passed or that were cancelled before they began.
func withDeadline(d time.Duration) grpc.UnaryServerInterceptor {
	return func(ctx context.Context, req any, _ *grpc.UnaryServerInfo, handler grpc.UnaryHandler) (any, error) {
		if err := ctx.Err(); err != nil {
			return nil, err
		}
		if _, ok := ctx.Deadline(); !ok {
			var cancel context.CancelFunc
			ctx, cancel = context.WithTimeout(ctx, d)
			defer cancel()
		}
		return handler(ctx, req)
	}
}

// endWith cancels every stream when stopping is: a graceful stop waits for streams, and a health
// watch would keep it waiting for ever.
func endWith(stopping context.Context) grpc.StreamServerInterceptor {
	return func(srv any, ss grpc.ServerStream, _ *grpc.StreamServerInfo, handler grpc.StreamHandler) error {
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
