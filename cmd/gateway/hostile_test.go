package main

import (
	"fmt"
	"syscall"
	"testing"
	"time"

	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/protobuf/proto"

	gatewayv1 "samsara.internal/gateway/gen/samsara/gateway/v1"
	locationandspeedv1 "samsara.internal/gateway/gen/samsara/location_and_speed/v1"
	vehiclesv1 "samsara.internal/gateway/gen/samsara/vehicles/v1"
)

// slack is how much longer a busy machine may take than what must be, which is printed as measured.
const slack = 10

// needsProcesses skips a test that starts processes and loads them in the short form.
func needsProcesses(t *testing.T) {
	t.Helper()
	if testing.Short() {
		t.Skip("starts gateways and overloads them: not in the short form")
	}
}

// within waits until something holds, as eventually does, and is an error if that takes longer than
// slack allows. It returns how long it took.
func within(t *testing.T, most time.Duration, what string, holds func() bool) time.Duration {
	t.Helper()
	began := time.Now()
	tick := time.NewTicker(10 * time.Millisecond)
	defer tick.Stop()
	for !holds() {
		if took := time.Since(began); took > slack*most {
			t.Errorf("after %v it was still in vain to wait until %s; it must take %v", took.Round(time.Millisecond), what, most)
			return took
		}
		<-tick.C
	}
	return time.Since(began)
}

// TestMemory_comesBackWhenAClientEnds has clients end in every way with large answers that they have
// not read, and looks how soon the gateway counts no memory for them any more.
// SAMSARA_HOSTILE_CYCLES says how often each client comes again.
func TestMemory_comesBackWhenAClientEnds(t *testing.T) {
	needsProcesses(t)
	t.Parallel()
	const calls, deadline = 6, 2 * time.Second
	cycles := setting(t, "SAMSARA_HOSTILE_CYCLES", 1)
	certFile, keyFile, _ := selfSigned(t)
	_, flags := startSandbox(t, "--fleet=20000", "--page-size=512", "--log-level=info")
	flags = append(flags, "--quota=false", "--max-in-flight-bytes=64MiB", "--max-response-bytes=16MiB")
	list := &vehiclesv1.ListVehiclesRequest{Limit: proto.Int64(512)}
	hourAgo := time.Now().Add(-time.Hour).UTC().Format(time.RFC3339)

	ends := []struct {
		name string
		deaf bool
		// header is what the calls have more.
		header []string
		// process ends a client that is one; client ends one that is not.
		process func(*rawProcess) error
		client  func(*rawConn) error
	}{
		{name: "killed", process: func(p *rawProcess) error { return p.cmd.Process.Kill() }},
		{name: "exit with calls open", process: func(p *rawProcess) error { return p.stdin.Close() }},
		{name: "closed", client: func(c *rawConn) error { c.close(); return nil }},
		{name: "reset", client: func(c *rawConn) error { c.reset(); return nil }},
		{name: "reset with a full socket", deaf: true, client: func(c *rawConn) error { c.reset(); return nil }},
		{name: "deadline", header: []string{"grpc-timeout", fmt.Sprintf("%dm", deadline.Milliseconds())}, client: (*rawConn).cancel},
	}
	for _, shape := range []struct {
		name, method string
		request      proto.Message
		// least is what the gateway holds at least when nothing is read: followers share pages.
		least float64
	}{
		{"unary", vehiclesv1.VehiclesService_ListVehicles_FullMethodName, list, calls << 20},
		{"StreamX", vehiclesv1.VehiclesService_StreamVehicles_FullMethodName, &vehiclesv1.StreamVehiclesRequest{Request: list}, calls << 20},
		{
			"FollowX", locationandspeedv1.LocationAndSpeedService_FollowLocationAndSpeed_FullMethodName,
			&locationandspeedv1.FollowLocationAndSpeedRequest{
				Request: &locationandspeedv1.GetLocationAndSpeedRequest{Limit: proto.Int64(512), StartTime: &hourAgo},
				Options: &gatewayv1.FollowOptions{},
			}, 128 << 10,
		},
	} {
		for _, way := range []struct {
			name      string
			tls, gzip bool
		}{{"plain", false, false}, {"TLS", true, false}, {"gzip", false, true}, {"TLS and gzip", true, true}} {
			t.Run(shape.name+" "+way.name, func(t *testing.T) {
				t.Parallel()
				own, trust := flags, ""
				if way.tls {
					own, trust = append(flags[:len(flags):len(flags)], "--tls-cert-file="+certFile, "--tls-key-file="+keyFile), certFile
				}
				_, at := startBefore(t, own)
				held := func() float64 { return metric(t, at.Admin, "samsara_gateway_in_flight_bytes") }
				header, least := []string{"samsara-cache", "no-store"}, shape.least
				if way.gzip {
					// What is compressed may be counted by its own size.
					header, least = append(header, "grpc-encoding", "gzip", "grpc-accept-encoding", "gzip"), 1
				}
				for cycle := range cycles {
					for _, end := range ends {
						what := fmt.Sprintf("%s (cycle %d)", end.name, cycle)
						raw := rawCalls{
							Address: at.GRPC, TrustFile: trust, Deaf: end.deaf,
							Method: shape.method, Header: append(header[:len(header):len(header)], end.header...),
							Request: framed(t, shape.request, way.gzip), Calls: calls,
						}
						if end.deaf {
							raw.Window = wideOpen
						}
						began := time.Now()
						stop := func() error { return nil }
						if end.process != nil {
							p := raw.startProcess(t)
							stop = func() error { return end.process(p) }
						} else {
							c := raw.start(t)
							stop = func() error { return end.client(c) }
						}
						if end.deaf {
							// The kernel takes some of it.
							eventually(t, what+": memory is held", func() bool { return held() > 0 })
						} else {
							eventually(t, what+": memory is held", func() bool { return held() >= least })
						}
						if end.header != nil {
							passed := time.NewTimer(time.Until(began.Add(deadline)))
							<-passed.C
						}
						most := held()
						if err := stop(); err != nil {
							t.Fatal(err)
						}
						took := within(t, time.Second, what+": no memory is held", func() bool { return held() == 0 })
						if t.Failed() {
							t.Fatalf("%s: %.0f bytes are held of %.0f", what, held(), most)
						}
						t.Logf("%s: %.0f KiB came back in %v", what, most/1024, took.Round(time.Millisecond))
					}
				}
				if way.tls {
					return // The answer that follows needs no more than the memory that is there.
				}
				ctx := waiting(t)
				client := vehiclesv1.NewVehiclesServiceClient(connect(t, at.GRPC, insecure.NewCredentials()))
				if res, err := client.ListVehicles(ctx, list); err != nil || len(res.GetData()) != 512 {
					t.Errorf("after all that: got %d vehicles, %v, want 512", len(res.GetData()), err)
				}
			})
		}
	}
}

var _ = syscall.SIGTERM
