package service_test

import (
	"context"
	"errors"
	"testing"

	"google.golang.org/genproto/googleapis/rpc/errdetails"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"

	"samsara.internal/gateway/service"
	"samsara.internal/gateway/upstream"
)

// TestProcessed_errorsOfTheGateway makes a write and a read fail within the gateway. The write says whether
// it was processed.
func TestProcessed_errorsOfTheGateway(t *testing.T) {
	t.Parallel()
	const create, read = `{"name":"x","year":1}`, `{"id":"1"}`
	for name, test := range map[string]struct {
		up     *fakeUpstream
		cancel bool
		write  string
		code   codes.Code
		want   string
	}{
		"a field that is missing":         {up: answers(`{}`), write: `{}`, code: codes.InvalidArgument, want: "no"},
		"a call that is over":             {up: answers(`{}`), cancel: true, code: codes.Canceled, want: "no"},
		"a panic":                         {up: panics(), code: codes.Internal, want: "unknown"},
		"a fault":                         {up: fails(errors.New("secret")), code: codes.Internal, want: "unknown"},
		"an error that says so by itself": {up: fails(&upstream.Error{Code: codes.Unavailable, Message: "x", Processed: "yes"}), code: codes.Unavailable, want: "yes"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			g := start(t, service.Config{
				Endpoints: endpoints(t), Upstream: test.up, UnaryInterceptors: []grpc.UnaryServerInterceptor{
					func(ctx context.Context, req any, _ *grpc.UnaryServerInfo, handler grpc.UnaryHandler) (any, error) {
						ctx, cancel := context.WithCancel(ctx)
						defer cancel()
						if test.cancel {
							cancel()
						}
						return handler(ctx, req)
					},
				},
			})
			if test.write == "" {
				test.write = create
			}
			r := g.call(t.Context(), t, createVehicle, test.write)
			if got := r.processed(); r.status.Code() != test.code || got != test.want {
				t.Errorf("a write ended with %v, processed %q, want %v, %q", r.status, got, test.code, test.want)
			}
			if test.want == "yes" || name == "a field that is missing" {
				return
			}
			if r := g.call(t.Context(), t, getVehicle, read); r.status.Code() != test.code || r.processed() != "" {
				t.Errorf("a read ended with %v, processed %q, want %v and nothing of that", r.status, r.processed(), test.code)
			}
		})
	}
}

// TestProcessed_passthroughWithinTheGateway makes passthrough fail within the gateway: whether it writes is
// known once its request is read.
func TestProcessed_passthroughWithinTheGateway(t *testing.T) {
	t.Parallel()
	for name, test := range map[string]struct {
		up              *fakeUpstream
		beforeItIsRead  bool
		code            codes.Code
		ofWrite, ofRead string
	}{
		"a fault":                  {up: fails(errors.New("secret")), code: codes.Internal, ofWrite: "unknown"},
		"a panic":                  {up: panics(), code: codes.Internal, ofWrite: "unknown"},
		"an error of the upstream": {up: fails(&upstream.Error{Code: codes.Unavailable, Message: "x"}), code: codes.Unavailable, ofWrite: "no"},
		"a call that is over":      {up: answers(`{}`), code: codes.Canceled, beforeItIsRead: true, ofWrite: "no", ofRead: "no"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			g := start(t, service.Config{Upstream: test.up, Passthrough: true, UnaryInterceptors: []grpc.UnaryServerInterceptor{
				func(ctx context.Context, req any, _ *grpc.UnaryServerInfo, handler grpc.UnaryHandler) (any, error) {
					ctx, cancel := context.WithCancel(ctx)
					defer cancel()
					if test.beforeItIsRead {
						cancel()
					}
					return handler(ctx, req)
				},
			}})
			for method, want := range map[string]string{"POST": test.ofWrite, "DELETE": test.ofWrite, "GET": test.ofRead} {
				r := g.pass(t.Context(), t, `{"method":"`+method+`","path":"/a"}`)
				if got := r.processed(); r.status.Code() != test.code || got != want {
					t.Errorf("%s ended with %v, processed %q, want %v, %q", method, r.status, got, test.code, want)
				}
			}
		})
	}
}

// processed returns what the ErrorInfo of a call says about that.
func (r reply) processed() string {
	for _, detail := range r.status.Details() {
		if info, ok := detail.(*errdetails.ErrorInfo); ok {
			return info.GetMetadata()["processed"]
		}
	}
	return "no ErrorInfo"
}
