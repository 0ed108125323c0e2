package main

import (
	"context"
	"net/http"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials/insecure"
	healthv1 "google.golang.org/grpc/health/grpc_health_v1"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/resolver"
	"google.golang.org/grpc/resolver/manual"

	tagsv1 "samsara.internal/gateway/gen/tags/v1"
	vehiclesv1 "samsara.internal/gateway/gen/vehicles/v1"
	"samsara.internal/gateway/internal/sandbox"
)

// TestDrain_servesDuringTheDelay stops a gateway with a long drain delay. Everything that tells clients to
// go elsewhere says so at once, and calls that come all the same are served.
func TestDrain_servesDuringTheDelay(t *testing.T) {
	t.Parallel()
	_, flags := startSandbox(t)
	p, at := startBefore(t, flags, "--drain-delay=10m")
	conn := connect(t, at.GRPC, insecure.NewCredentials())
	watch, err := healthv1.NewHealthClient(conn).Watch(waiting(t), &healthv1.HealthCheckRequest{})
	if err != nil {
		t.Fatal(err)
	}
	if got, err := watch.Recv(); got.GetStatus() != healthv1.HealthCheckResponse_SERVING {
		t.Fatalf("the health is %v (%v), want SERVING", got, err)
	}
	follower := followLocations(waiting(t), t, conn, time.Time{}, sandbox.DefaultFleet, "")
	if _, err := follower.Recv(); err != nil {
		t.Fatal(err)
	}

	p.signal(t, syscall.SIGTERM)
	p.await(t, "stopping")
	if got, err := watch.Recv(); got.GetStatus() != healthv1.HealthCheckResponse_NOT_SERVING {
		t.Errorf("the health is %v (%v), want NOT_SERVING", got, err)
	}
	if got, _ := get(t, "http://"+at.Admin+"/readyz", ""); got != http.StatusServiceUnavailable {
		t.Errorf("readyz: got %d, want 503", got)
	}
	if got, _ := get(t, "http://"+at.Admin+"/livez", ""); got != http.StatusOK {
		t.Errorf("livez: got %d, want 200", got)
	}
	for what, conn := range map[string]vehiclesv1.VehiclesServiceClient{
		"an old connection": vehiclesv1.NewVehiclesServiceClient(conn),
		"a new connection":  vehiclesv1.NewVehiclesServiceClient(connect(t, at.GRPC, insecure.NewCredentials())),
	} {
		if _, err := conn.ListVehicles(waiting(t), &vehiclesv1.ListVehiclesRequest{}); err != nil {
			t.Errorf("a call on %s: %v", what, err)
		}
	}
	if _, err := follower.Recv(); err != nil {
		t.Errorf("the follower: %v", err)
	}
	p.signal(t, syscall.SIGTERM)
	if exit := p.wait(t); exit == nil {
		t.Error("a second signal did not end the gateway at once")
	}
}

func TestDrain_stopsAfterTheDelay(t *testing.T) {
	t.Parallel()
	const delay = 500 * time.Millisecond
	_, flags := startSandbox(t)
	p, at := startBefore(t, flags, "--drain-delay="+delay.String())
	follower := followLocations(waiting(t), t, connect(t, at.GRPC, insecure.NewCredentials()), time.Time{}, sandbox.DefaultFleet, "")
	_, err := follower.Recv()
	if err != nil {
		t.Fatal(err)
	}
	began := time.Now()
	p.signal(t, syscall.SIGTERM)
	for err == nil {
		_, err = follower.Recv()
	}
	if took := time.Since(began); took < delay {
		t.Errorf("the follower ended after %v, want %v or more", took, delay)
	}
	assertDraining(t, err)
	if got := follower.Trailer().Get("grpc-retry-pushback-ms"); len(got) != 1 || got[0] != "1000" {
		t.Errorf("the pushback is %q, want 1000", got)
	}
	if exit := p.wait(t); exit != nil {
		t.Errorf("the gateway ended with %v", exit)
	}
}

// TestDrain_rollingRestart restarts two gateways in turn, as a rollout does and by SIGKILL, while callers
// call with the service config that the docs recommend. No read fails, except one whose answer had begun
// when its gateway was killed: grpc does not repeat that.
func TestDrain_rollingRestart(t *testing.T) {
	t.Parallel()
	const callers, rounds = 10, 3
	for name, how := range map[string]struct {
		signal syscall.Signal
		args   []string
	}{
		"by SIGTERM":              {syscall.SIGTERM, nil},
		"by SIGTERM with a delay": {syscall.SIGTERM, []string{"--drain-delay=500ms"}},
		"by SIGKILL":              {syscall.SIGKILL, nil},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			flags := against(t, serveHTTP(t, answerWith(http.StatusOK, `{"data": [], "pagination": {"endCursor": "", "hasNextPage": false}}`)))
			flags = append(flags, "--quota=false")
			var replicas [2]*process
			var addresses [2]string
			var found resolver.State
			for i := range replicas {
				var at logLine
				// No other test takes a port of this address while the replica is away.
				replicas[i], at = startBefore(t, flags, append(how.args, "--listen=127.0.0.2:0")...)
				addresses[i] = at.GRPC
				found.Addresses = append(found.Addresses, resolver.Address{Addr: at.GRPC})
			}
			names := manual.NewBuilderWithScheme("replicas")
			names.InitialState(found)
			conn, err := grpc.NewClient("replicas:///gateway", grpc.WithResolvers(names),
				grpc.WithTransportCredentials(insecure.NewCredentials()), grpc.WithDefaultServiceConfig(serviceConfig(t)))
			if err != nil {
				t.Fatal(err)
			}
			t.Cleanup(func() { _ = conn.Close() })

			ctx, cancel := context.WithCancel(t.Context())
			var called, cutOff atomic.Int64
			var all sync.WaitGroup
			defer all.Wait()
			defer cancel()
			for range callers {
				all.Go(func() {
					for ctx.Err() == nil {
						call, end := context.WithTimeout(context.WithoutCancel(ctx), patience)
						var header metadata.MD
						_, err := tagsv1.NewTagsServiceClient(conn).ListTags(call, &tagsv1.ListTagsRequest{}, grpc.Header(&header))
						end()
						switch {
						case err != nil && how.signal == syscall.SIGKILL && header.Len() > 0:
							cutOff.Add(1)
						case err != nil:
							t.Errorf("a call: %v", verdictOf(err))
							return
						default:
							called.Add(1)
						}
					}
				})
			}
			for range rounds {
				for i, p := range replicas {
					before := called.Load()
					p.signal(t, how.signal)
					if exit := p.wait(t); exit != nil && how.signal == syscall.SIGTERM {
						t.Errorf("a gateway ended with %v", exit)
					}
					replicas[i], _ = startBefore(t, flags, append(how.args, "--listen="+addresses[i])...)
					eventually(t, "calls go on", func() bool { return called.Load() > before+10*callers })
				}
			}
			cancel()
			all.Wait()
			t.Logf("%d calls during %d restarts, %d more were cut off", called.Load(), rounds*len(replicas), cutOff.Load())
		})
	}
}
