package service_test

import (
	"context"
	"errors"
	"fmt"
	"net"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"
	"google.golang.org/grpc"
	channelzv1 "google.golang.org/grpc/channelz/grpc_channelz_v1"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/credentials"
	"google.golang.org/grpc/credentials/insecure"
	healthv1 "google.golang.org/grpc/health/grpc_health_v1"
	reflectionv1 "google.golang.org/grpc/reflection/grpc_reflection_v1"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/descriptorpb"

	"samsara.internal/gateway/internal/endpoint"
	"samsara.internal/gateway/internal/testproto"
	"samsara.internal/gateway/service"
	"samsara.internal/gateway/upstream"
)

// wait is an upstream whose calls last until release is called or, if obedient, their context
// ends. A call that was released succeeds.
func wait(obedient bool) (up *fakeUpstream, begun <-chan struct{}, release func()) {
	begin, end := make(chan struct{}, 16), make(chan struct{})
	return &fakeUpstream{do: func(ctx context.Context, _ *request) (*upstream.Response, error) {
		begin <- struct{}{}
		if !obedient {
			ctx = context.WithoutCancel(ctx)
		}
		select {
		case <-end:
			return &upstream.Response{Status: 204, Attempts: 1}, nil
		case <-ctx.Done():
			return nil, ctx.Err()
		}
	}}, begin, sync.OnceFunc(func() { close(end) })
}

const anyRequest = `{"method":"GET","path":"/a"}`

func TestNew_everythingWrong(t *testing.T) {
	t.Parallel()
	twice := &endpoint.Endpoint{FullMethod: "/a.B/C"}
	_, err := service.New(service.Config{
		Endpoints:        []*endpoint.Endpoint{twice, twice},
		DefaultDeadline:  -1,
		MaxRequestBytes:  -2,
		MaxConnectionAge: -3,
		KeepaliveTime:    -4,
		KeepaliveTimeout: -5,
		KeepaliveMinTime: -6,
	})
	want := strings.Join([]string{
		"Upstream and Organizations: one of them must be set",
		"DefaultDeadline: must not be negative, is -1",
		"MaxRequestBytes: must not be negative, is -2",
		"MaxConnectionAge: must not be negative, is -3",
		"KeepaliveTime: must not be negative, is -4",
		"KeepaliveTimeout: must not be negative, is -5",
		"KeepaliveMinTime: must not be negative, is -6",
		"method /a.B/C: must not be in Endpoints twice",
	}, "\n")
	if err == nil || err.Error() != want {
		t.Errorf("New: %v, want:\n%s", err, want)
	}
}

func TestHealth_serverAndServices(t *testing.T) {
	t.Parallel()
	g := start(t, service.Config{Upstream: answers(`{}`), Endpoints: endpoints(t), Passthrough: true})
	check := func(want healthv1.HealthCheckResponse_ServingStatus) {
		t.Helper()
		for _, name := range []string{"", "samsara_gateway.vehicles.v1.VehiclesService", "samsara_gateway.api.v1.PassthroughService"} {
			got, err := healthv1.NewHealthClient(g.conn).Check(t.Context(), &healthv1.HealthCheckRequest{Service: name})
			if err != nil || got.GetStatus() != want {
				t.Errorf("service %q is %v (error %v), want %v", name, got.GetStatus(), err, want)
			}
		}
	}
	check(healthv1.HealthCheckResponse_NOT_SERVING)
	g.SetServing(true)
	check(healthv1.HealthCheckResponse_SERVING)
	g.SetServing(false)
	check(healthv1.HealthCheckResponse_NOT_SERVING)
}

func TestReflection_servicesAndTypes(t *testing.T) {
	t.Parallel()
	g := start(t, service.Config{Upstream: answers(`{}`), Endpoints: endpoints(t), Passthrough: true})
	client, err := reflectionv1.NewServerReflectionClient(g.conn).ServerReflectionInfo(t.Context())
	if err != nil {
		t.Fatalf("ServerReflectionInfo: %v", err)
	}
	ask := func(request *reflectionv1.ServerReflectionRequest) *reflectionv1.ServerReflectionResponse {
		t.Helper()
		if err := client.Send(request); err != nil {
			t.Fatalf("Send: %v", err)
		}
		resp, err := client.Recv()
		if err != nil {
			t.Fatalf("Recv: %v", err)
		}
		return resp
	}

	var names []string
	for _, s := range ask(&reflectionv1.ServerReflectionRequest{
		MessageRequest: &reflectionv1.ServerReflectionRequest_ListServices{},
	}).GetListServicesResponse().GetService() {
		names = append(names, s.GetName())
	}
	want := []string{
		"grpc.health.v1.Health",
		"grpc.reflection.v1.ServerReflection", "grpc.reflection.v1alpha.ServerReflection",
		"samsara_gateway.api.v1.PassthroughService", "samsara_gateway.vehicles.v1.VehiclesService",
	}
	if diff := cmp.Diff(want, names); diff != "" {
		t.Errorf("services (-want +got):\n%s", diff)
	}

	files := ask(&reflectionv1.ServerReflectionRequest{
		MessageRequest: &reflectionv1.ServerReflectionRequest_FileContainingSymbol{
			FileContainingSymbol: "samsara_gateway.api.v1.PassthroughService",
		},
	}).GetFileDescriptorResponse().GetFileDescriptorProto()
	var messages []string
	for _, wire := range files {
		var file descriptorpb.FileDescriptorProto
		if err := proto.Unmarshal(wire, &file); err != nil {
			t.Fatalf("file descriptor: %v", err)
		}
		for _, m := range file.GetMessageType() {
			messages = append(messages, m.GetName())
		}
	}
	if diff := cmp.Diff([]string{"CallRequest", "QueryParameter", "CallResponse", "Header"}, messages); diff != "" {
		t.Errorf("messages (-want +got):\n%s", diff)
	}
	if err := client.CloseSend(); err != nil {
		t.Errorf("CloseSend: %v", err)
	}
}

func TestServices_turnedOff(t *testing.T) {
	t.Parallel()
	g := start(t, service.Config{Upstream: answers(`{}`), NoReflection: true})
	info := g.GetServiceInfo()
	if _, ok := info["grpc.channelz.v1.Channelz"]; ok {
		t.Error("channelz is served")
	}
	for name := range info {
		if strings.HasPrefix(name, "grpc.reflection.") {
			t.Errorf("%s is served", name)
		}
	}
}

func TestChannelz_served(t *testing.T) {
	t.Parallel()
	g := start(t, service.Config{Upstream: answers(`{}`), Channelz: true})
	resp, err := channelzv1.NewChannelzClient(g.conn).GetServers(t.Context(), &channelzv1.GetServersRequest{})
	if err != nil || len(resp.GetServer()) == 0 {
		t.Errorf("servers are %v (error %v), want at least one", resp, err)
	}
}

// countingCredentials counts handshakes and secures nothing.
type countingCredentials struct {
	credentials.TransportCredentials
	handshakes chan struct{}
}

func (c countingCredentials) ServerHandshake(conn net.Conn) (net.Conn, credentials.AuthInfo, error) {
	c.handshakes <- struct{}{}
	return c.TransportCredentials.ServerHandshake(conn)
}

func TestCredentials_used(t *testing.T) {
	t.Parallel()
	handshakes := make(chan struct{}, 1)
	g := start(t, service.Config{
		Upstream: answers(`{}`), Passthrough: true,
		Credentials: countingCredentials{insecure.NewCredentials(), handshakes},
	})
	if r := g.pass(t.Context(), t, anyRequest); r.status.Code() != codes.OK {
		t.Errorf("status is %v, want OK", r.status)
	}
	if len(handshakes) != 1 {
		t.Errorf("there were %d handshakes, want 1", len(handshakes))
	}
}

func TestServer_callsBeyondConnectionLimit(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		up, begun, release := wait(true)
		g := start(t, service.Config{Upstream: up, Passthrough: true, MaxConcurrentStreams: 1})
		replies := make(chan reply, 2)
		call := func() { replies <- g.pass(t.Context(), t, anyRequest) }
		// The limit reaches the client with the connection, before the first call does.
		go call()
		<-begun
		go call()
		synctest.Wait()
		if n := len(up.asked()); n != 1 {
			t.Errorf("the upstream was asked %d times at one time, want 1", n)
		}
		release()
		for range 2 {
			if r := <-replies; r.status.Code() != codes.OK {
				t.Errorf("status is %v, want OK", r.status)
			}
		}
	})
}

func TestStop_runningCalls(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		up, begun, release := wait(true)
		g := start(t, service.Config{Upstream: up, Passthrough: true})
		running := make(chan reply, 1)
		go func() { running <- g.pass(t.Context(), t, anyRequest) }()
		<-begun
		stopped := make(chan error, 1)
		go func() { stopped <- g.Stop(t.Context()) }()
		synctest.Wait()
		select {
		case err := <-stopped:
			t.Fatalf("Stop returned %v while a call was running", err)
		default:
		}
		release()
		if r := <-running; r.status.Code() != codes.OK {
			t.Errorf("status is %v, want OK", r.status)
		}
		if err := <-stopped; err != nil {
			t.Errorf("Stop: %v", err)
		}
	})
}

func TestStop_bounded(t *testing.T) {
	t.Parallel()
	for _, test := range []struct {
		name     string
		obedient bool
		wantTime time.Duration
	}{
		{name: "by the context if calls obey theirs", obedient: true, wantTime: time.Minute},
		{name: "by 5 more seconds if a call does not", wantTime: time.Minute + 5*time.Second},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				up, begun, release := wait(test.obedient)
				g := start(t, service.Config{Upstream: up, Passthrough: true})
				defer release()
				running := make(chan reply, 1)
				go func() { running <- g.pass(t.Context(), t, anyRequest) }()
				<-begun
				ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
				defer cancel()
				since := time.Now()
				err := g.Stop(ctx)
				if !errors.Is(err, service.ErrAborted) || !errors.Is(err, context.DeadlineExceeded) {
					t.Errorf("Stop: %v, want ErrAborted and DeadlineExceeded", err)
				}
				if diff := cmp.Diff(test.wantTime, time.Since(since)); diff != "" {
					t.Errorf("time taken (-want +got):\n%s", diff)
				}
				if r := <-running; r.status.Code() != codes.Unavailable {
					t.Errorf("status is %v, want Unavailable", r.status)
				}
			})
		})
	}
}

func TestStop_healthWatches(t *testing.T) {
	t.Parallel()
	g := start(t, service.Config{Upstream: answers(`{}`)})
	g.SetServing(true)
	watch, err := healthv1.NewHealthClient(g.conn).Watch(t.Context(), &healthv1.HealthCheckRequest{})
	if err != nil {
		t.Fatalf("Watch: %v", err)
	}
	first, err := watch.Recv()
	if err != nil || first.GetStatus() != healthv1.HealthCheckResponse_SERVING {
		t.Fatalf("watch begins with %v (error %v), want SERVING", first, err)
	}
	if err := g.Stop(t.Context()); err != nil {
		t.Errorf("Stop: %v", err)
	}
	for err == nil {
		_, err = watch.Recv()
	}
	if code := status.Code(err); code != codes.Canceled {
		t.Errorf("watch ends with code %v, want Canceled", code)
	}
}

func TestStop_again(t *testing.T) {
	t.Parallel()
	g := start(t, service.Config{Upstream: answers(`{}`)})
	var all sync.WaitGroup
	for range 3 {
		all.Go(func() {
			if err := g.Stop(t.Context()); err != nil {
				t.Errorf("Stop: %v", err)
			}
		})
	}
	all.Wait()
	g.SetServing(true)
	if err := g.Stop(t.Context()); err != nil {
		t.Errorf("Stop after Stop: %v", err)
	}
}

func TestServe_error(t *testing.T) {
	t.Parallel()
	server, err := service.New(service.Config{Upstream: answers(`{}`)})
	if err != nil {
		t.Fatalf("New: %v", err)
	}
	closed, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatalf("Listen: %v", err)
	}
	if err := closed.Close(); err != nil {
		t.Fatalf("Close: %v", err)
	}
	if err := server.Serve(closed); !errors.Is(err, net.ErrClosed) {
		t.Errorf("Serve on a closed listener: %v, want net.ErrClosed", err)
	}
	if err := server.Stop(t.Context()); err != nil {
		t.Errorf("Stop: %v", err)
	}
	if err := server.Serve(closed); err != nil {
		t.Errorf("Serve after Stop: %v, want nil", err)
	}
}

func TestRequestMessages_notOne(t *testing.T) {
	t.Parallel()
	for _, method := range []string{getVehicle, passthrough, "/samsara_gateway.readings.v1.ReadingsService/StreamReadings"} {
		for _, messages := range []int{0, 2} {
			t.Run(fmt.Sprintf("%d to %s", messages, method), func(t *testing.T) {
				t.Parallel()
				up := answers(`{}`)
				g := start(t, service.Config{Endpoints: append(endpoints(t), load(t, testproto.Readings)...), Upstream: up, Passthrough: true})
				stream, err := g.conn.NewStream(t.Context(), &grpc.StreamDesc{ClientStreams: true, ServerStreams: true}, method, grpc.ForceCodecV2(bytesCodec{}))
				if err != nil {
					t.Fatalf("NewStream: %v", err)
				}
				for range messages {
					_ = stream.SendMsg([]byte{}) // It fails if the answer is there, which is checked below.
				}
				if err := stream.CloseSend(); err != nil {
					t.Errorf("CloseSend: %v", err)
				}
				var out []byte
				err = stream.RecvMsg(&out)
				if s := status.Convert(err); s.Code() != codes.Internal || len(s.Details()) != 0 {
					t.Errorf("error is %v with %d details, want %v with 0", err, len(s.Details()), codes.Internal)
				}
				if n := len(up.asked()); n != 0 {
					t.Errorf("the upstream was asked %d times, want 0", n)
				}
				if log := g.stopAndReadLog(t); !strings.Contains(log, "method="+method+" code=Internal") {
					t.Errorf("the call is not in the log:\n%s", log)
				}
			})
		}
	}
}
