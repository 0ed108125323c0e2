package service_test

import (
	"context"
	"io"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"samsara.internal/gateway/internal/lease"
	"samsara.internal/gateway/internal/transcode"
	"samsara.internal/gateway/service"
	"samsara.internal/gateway/upstream"
)

// realUpstream returns a client of a server that answers every request with body, and the memory that the
// client shares with the gateway.
func realUpstream(t *testing.T, body string) (*upstream.Client, *lease.Pool) {
	t.Helper()
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		_, _ = io.WriteString(w, body)
	}))
	t.Cleanup(server.Close)
	base, err := url.Parse(server.URL)
	if err != nil {
		t.Fatal(err)
	}
	memory := lease.NewPool(64 << 20)
	client, err := upstream.New(upstream.Config{
		BaseURL: base, Token: upstream.StaticToken("token"), Retry: upstream.RetryPolicy{MaxAttempts: 1}, Memory: memory,
	})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(client.Close)
	return client, memory
}

// TestRelease_everyResponseOnce counts the bytes in flight after the server has stopped: more than 0 were
// never released, and less than 0 were released twice.
func TestRelease_everyResponseOnce(t *testing.T) {
	t.Parallel()
	name := strings.Repeat("x", 100_000)
	vehicle := `{"data":{"id":"7","name":"` + name + `","unknown":1}}`
	after := func(then func() error) grpc.UnaryServerInterceptor {
		return func(ctx context.Context, req any, _ *grpc.UnaryServerInfo, handler grpc.UnaryHandler) (any, error) {
			resp, err := handler(ctx, req)
			if err != nil {
				return nil, err
			}
			return resp, then()
		}
	}
	for _, test := range []struct {
		name string
		cfg  service.Config
		body string
		opts []grpc.CallOption
		want codes.Code
	}{
		{name: "that is sent", body: vehicle, want: codes.OK},
		{name: "that is sent compressed", body: vehicle, opts: []grpc.CallOption{grpc.UseCompressor("gzip")}, want: codes.OK},
		{name: "that is empty", body: `{}`, want: codes.OK},
		{name: "that the client finds too large", body: vehicle, opts: []grpc.CallOption{grpc.MaxCallRecvMsgSize(1000)}, want: codes.ResourceExhausted},
		{name: "that is not the message", body: `"text"`, want: codes.Internal},
		{
			name: "that an interceptor turns into an error", body: vehicle, want: codes.Aborted,
			cfg: service.Config{UnaryInterceptors: []grpc.UnaryServerInterceptor{after(func() error { return status.Error(codes.Aborted, "no") })}},
		},
		{
			name: "after which an interceptor panics", body: vehicle, want: codes.Internal,
			cfg: service.Config{UnaryInterceptors: []grpc.UnaryServerInterceptor{after(func() error { panic("interceptor") })}},
		},
		{
			name: "whose drift is told to one that panics", body: vehicle, want: codes.Internal,
			cfg: service.Config{Drift: func(string, []transcode.Finding) { panic("drift") }},
		},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			client, memory := realUpstream(t, test.body)
			test.cfg.Endpoints, test.cfg.Upstream, test.cfg.Answers = endpoints(t), client, memory
			g := start(t, test.cfg)
			for range 3 {
				var message []byte
				err := g.conn.Invoke(t.Context(), getVehicle, []byte("\x0a\x017"), &message, append(test.opts, grpc.ForceCodecV2(bytesCodec{}))...)
				if status.Code(err) != test.want {
					t.Errorf("got %v, want code %v", err, test.want)
				}
				if err == nil && test.body == vehicle && !strings.Contains(string(message), name) {
					t.Errorf("message of %d bytes does not hold the name", len(message))
				}
			}
			_ = g.stopAndReadLog(t)
			if got := memory.Used(); got != 0 {
				t.Errorf("%d bytes are in flight, want 0", got)
			}
		})
	}
}

func TestRelease_cancelledCall(t *testing.T) {
	t.Parallel()
	client, memory := realUpstream(t, `{"data":{"name":"`+strings.Repeat("x", 1<<20)+`"}}`)
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	handled := make(chan struct{})
	g := start(t, service.Config{Endpoints: endpoints(t), Answers: memory, Upstream: around{client, func(ctx context.Context, op *upstream.Operation, call upstream.Call) (*upstream.Response, error) {
		defer close(handled)
		resp, err := client.Do(context.WithoutCancel(ctx), op, call)
		cancel() // the message is larger than what the client lets the server send at once
		<-ctx.Done()
		return resp, err
	}}})
	var message []byte
	err := g.conn.Invoke(ctx, getVehicle, []byte("\x0a\x017"), &message, grpc.ForceCodecV2(bytesCodec{}))
	if status.Code(err) != codes.Canceled {
		t.Errorf("got %v, want code Canceled", err)
	}
	<-handled
	_ = g.stopAndReadLog(t)
	if got := memory.Used(); got != 0 {
		t.Errorf("%d bytes are in flight, want 0", got)
	}
}

func TestRelease_passthrough(t *testing.T) {
	t.Parallel()
	for name, body := range map[string]string{"JSON": `{"a":1}`, "not JSON": `<html>`} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			client, memory := realUpstream(t, body)
			g := start(t, service.Config{Upstream: client, Answers: memory, Passthrough: true})
			for range 3 {
				r := g.pass(t.Context(), t, `{"method":"GET","path":"/a"}`)
				if ok := r.status.Code() == codes.OK; ok != (body == `{"a":1}`) {
					t.Errorf("status is %v", r.status)
				}
			}
			if got := memory.Used(); got != 0 {
				t.Errorf("%d bytes are in flight, want 0", got)
			}
		})
	}
}
