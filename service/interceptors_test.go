package service_test

import (
	"context"
	"fmt"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	healthv1 "google.golang.org/grpc/health/grpc_health_v1"
	"google.golang.org/grpc/status"

	"samsara.internal/gateway/service"
	"samsara.internal/gateway/upstream"
)

func explode() {
	panic("secret")
}

func panics() *fakeUpstream {
	return &fakeUpstream{do: func(context.Context, *request) (*upstream.Response, error) {
		explode()
		return nil, nil
	}}
}

func TestPanic_logged(t *testing.T) {
	t.Parallel()
	unary := func(context.Context, any, *grpc.UnaryServerInfo, grpc.UnaryHandler) (any, error) {
		explode()
		return nil, nil
	}
	for _, test := range []struct {
		name string
		cfg  service.Config
	}{
		{name: "in the upstream", cfg: service.Config{Upstream: panics()}},
		{
			name: "in an interceptor",
			cfg:  service.Config{Upstream: answers(`{}`), UnaryInterceptors: []grpc.UnaryServerInterceptor{unary}},
		},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			test.cfg.Passthrough = true
			g := start(t, test.cfg)
			for range 2 { // The server survives the first.
				r := g.pass(t.Context(), t, `{"method":"GET","path":"/a"}`)
				r.wantError(t, codes.Internal, "GATEWAY_INTERNAL")
				if text := fmt.Sprint(r.status.Proto(), r.header, r.trailer); strings.Contains(text, "secret") || strings.Contains(text, "_test.go") {
					t.Errorf("the caller sees the panic: %s", text)
				}
			}
			log := g.stopAndReadLog(t)
			for _, want := range []string{"msg=\"call panicked\" method=" + passthrough + " panic=secret", "interceptors_test.go"} {
				if !strings.Contains(log, want) {
					t.Errorf("log does not hold %q:\n%s", want, log)
				}
			}
		})
	}
}

func TestPanic_inAStream(t *testing.T) {
	t.Parallel()
	g := start(t, service.Config{Upstream: answers(`{}`), StreamInterceptors: []grpc.StreamServerInterceptor{
		func(any, grpc.ServerStream, *grpc.StreamServerInfo, grpc.StreamHandler) error {
			explode()
			return nil
		},
	}})
	for range 2 {
		watch, err := healthv1.NewHealthClient(g.conn).Watch(t.Context(), &healthv1.HealthCheckRequest{})
		if err != nil {
			t.Fatalf("Watch: %v", err)
		}
		_, err = watch.Recv()
		reply{status: status.Convert(err)}.wantError(t, codes.Internal, "GATEWAY_INTERNAL")
	}
}

// TestInterceptors_order asserts what the order is for: telemetry and the log see every call as its caller
// does, and the deadline is set inside them.
func TestInterceptors_order(t *testing.T) {
	t.Parallel()
	for _, test := range []struct {
		name     string
		up       *fakeUpstream
		request  string
		cancel   bool
		wantCode codes.Code
		wantLog  string
	}{
		{
			name: "success", up: answers(`{}`), request: `{"method":"GET","path":"/a"}`,
			wantCode: codes.OK, wantLog: "level=DEBUG",
		},
		{
			name: "a refused argument", up: answers(`{}`), request: `{}`,
			wantCode: codes.InvalidArgument, wantLog: "level=INFO",
		},
		{
			name: "a call that is over before it begins", up: answers(`{}`), request: `{"method":"GET","path":"/a"}`, cancel: true,
			wantCode: codes.Canceled, wantLog: "level=INFO",
		},
		{
			name: "a fault", up: fails(fmt.Errorf("fault")), request: `{"method":"GET","path":"/a"}`,
			wantCode: codes.Internal, wantLog: "level=ERROR",
		},
		{
			name: "a panic", up: panics(), request: `{"method":"GET","path":"/a"}`,
			wantCode: codes.Internal, wantLog: "level=ERROR",
		},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			var seen codes.Code
			g := start(t, service.Config{
				Upstream: test.up, Passthrough: true,
				UnaryInterceptors: []grpc.UnaryServerInterceptor{
					func(ctx context.Context, req any, _ *grpc.UnaryServerInfo, handler grpc.UnaryHandler) (any, error) {
						if _, ok := ctx.Deadline(); ok {
							t.Error("telemetry sees a deadline that the caller did not set")
						}
						ctx, cancel := context.WithCancel(ctx)
						defer cancel()
						if test.cancel {
							cancel()
						}
						resp, err := handler(ctx, req)
						seen = status.Code(err)
						return resp, err
					},
				},
			})
			r := g.pass(context.WithoutCancel(t.Context()), t, test.request)
			if r.status.Code() != test.wantCode {
				t.Errorf("caller sees %v, want %v", r.status, test.wantCode)
			}
			log := g.stopAndReadLog(t)
			if seen != test.wantCode {
				t.Errorf("telemetry sees %v, want %v", seen, test.wantCode)
			}
			var line string
			for l := range strings.Lines(log) {
				if strings.Contains(l, "call finished") {
					line += l
				}
			}
			for _, want := range []string{test.wantLog, "code=" + test.wantCode.String()} {
				if !strings.Contains(line, want) {
					t.Errorf("log does not hold %q:\n%s", want, line)
				}
			}
			if asked := len(test.up.asked()); test.cancel && asked != 0 {
				t.Errorf("the upstream was asked %d times, want 0", asked)
			}
		})
	}
}

func TestLog_oneLineACall(t *testing.T) {
	t.Parallel()
	g := start(t, service.Config{Upstream: answers(`{"secret":1}`), Passthrough: true})
	if r := g.pass(t.Context(), t, `{"method":"POST","path":"/secret","body":"{\"secret\":1}"}`); r.status.Code() != codes.OK {
		t.Fatalf("status is %v, want OK", r.status)
	}
	if _, err := healthv1.NewHealthClient(g.conn).Check(t.Context(), &healthv1.HealthCheckRequest{}); err != nil {
		t.Fatalf("Check: %v", err)
	}
	log := g.stopAndReadLog(t)
	lines := strings.Split(strings.TrimSpace(log), "\n")
	if len(lines) != 2 {
		t.Fatalf("log has %d lines, want 2:\n%s", len(lines), log)
	}
	for _, want := range []string{
		"level=DEBUG", "method=" + passthrough, "code=OK",
		"duration=", "peer=bufconn", "attempts=1", "request_id=req-1",
	} {
		if !strings.Contains(lines[0], want) {
			t.Errorf("line does not hold %q: %s", want, lines[0])
		}
	}
	if strings.Contains(log, "secret") {
		t.Errorf("log holds payload: %s", log)
	}
	if !strings.Contains(lines[1], "level=DEBUG") || !strings.Contains(lines[1], "method=/grpc.health.v1.Health/Check") {
		t.Errorf("health check is not at debug: %s", lines[1])
	}
}

func TestCall_deadline(t *testing.T) {
	t.Parallel()
	for _, test := range []struct {
		name           string
		own, byDefault time.Duration
		wantTime       time.Duration
	}{
		{name: "the default of the default", wantTime: 5 * time.Minute},
		{name: "the default", byDefault: time.Minute, wantTime: time.Minute},
		{name: "the caller's, shorter", own: time.Second, byDefault: time.Minute, wantTime: time.Second},
		{name: "the caller's, longer", own: time.Hour, byDefault: time.Minute, wantTime: time.Hour},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				g := start(t, service.Config{
					Passthrough: true, DefaultDeadline: test.byDefault,
					Upstream: upstreamFunc(func(ctx context.Context, _ *request) (*upstream.Response, error) {
						<-ctx.Done()
						return nil, ctx.Err()
					}),
				})
				ctx := t.Context()
				if test.own > 0 {
					var cancel context.CancelFunc
					ctx, cancel = context.WithTimeout(ctx, test.own)
					defer cancel()
				}
				begun := time.Now()
				r := g.pass(ctx, t, `{"method":"GET","path":"/a"}`)
				if r.status.Code() != codes.DeadlineExceeded {
					t.Errorf("status is %v, want DeadlineExceeded", r.status)
				}
				if diff := cmp.Diff(test.wantTime, time.Since(begun)); diff != "" {
					t.Errorf("time taken (-want +got):\n%s", diff)
				}
			})
		})
	}
}
