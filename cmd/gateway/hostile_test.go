package main

import (
	"bytes"
	"context"
	"fmt"
	"net/http"
	"os"
	"path"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials/insecure"
	healthv1 "google.golang.org/grpc/health/grpc_health_v1"
	"google.golang.org/protobuf/proto"

	apiv1 "samsara.internal/gateway/gen/api/v1"
	locationandspeedv1 "samsara.internal/gateway/gen/location_and_speed/v1"
	vehiclesv1 "samsara.internal/gateway/gen/vehicles/v1"
	"samsara.internal/gateway/internal/testenv"
)

// slack is how many times longer than required a busy machine may take; the measured time is logged. A call
// may take leastPatience in any case. These tests check that a call is served, and the bench checks how
// soon.
const (
	slack         = 10
	leastPatience = 5 * time.Second
)

// within waits until holds returns true, as eventually does. It is an error if that takes longer than slack
// times most. It returns how long it took.
func within(t *testing.T, most time.Duration, what string, holds func() bool) time.Duration {
	t.Helper()
	began := time.Now()
	tick := time.NewTicker(10 * time.Millisecond)
	defer tick.Stop()
	for !holds() {
		if took := time.Since(began); took > slack*most {
			t.Errorf("this did not happen within %v: %s; it must take at most %v", took.Round(time.Millisecond), what, most)
			return took
		}
		<-tick.C
	}
	return time.Since(began)
}

// TestTime_memoryFreedWhenAClientEnds has clients end in every way with large answers unread, and measures
// how soon the gateway counts no memory for them. SAMSARA_HOSTILE_CYCLES is how often each client comes
// back.
func TestTime_memoryFreedWhenAClientEnds(t *testing.T) {
	t.Parallel()
	testenv.Alone(t)
	const calls, deadline = 6, 4 * time.Second
	cycles := setting(t, "SAMSARA_HOSTILE_CYCLES", 1)
	certFile, keyFile, _ := selfSigned(t)
	_, flags := startSandbox(t, "--fleet=20000", "--page-size=512", "--log-level=info")
	flags = append(flags, "--quota=false", "--max-in-flight-bytes=64MiB", "--max-response-bytes=16MiB")
	list := &vehiclesv1.ListVehiclesRequest{Limit: proto.Int32(512)}
	hourAgo := time.Now().Add(-time.Hour).UTC().Format(time.RFC3339)

	ends := []struct {
		name string
		deaf bool
		// header has the additional metadata of the calls.
		header []string
		// process ends a client that is a process. client ends one that is not.
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
	for _, kind := range []struct {
		name, method string
		request      proto.Message
		// least is the least memory that the gateway holds while nothing is read: followers share pages.
		least float64
	}{
		{"unary", vehiclesv1.VehiclesService_ListVehicles_FullMethodName, list, calls << 19},
		{"StreamX", vehiclesv1.VehiclesService_StreamVehicles_FullMethodName, &vehiclesv1.StreamVehiclesRequest{Request: list}, calls << 19},
		{
			"FollowX", locationandspeedv1.LocationAndSpeedService_FollowLocationAndSpeed_FullMethodName,
			&locationandspeedv1.FollowLocationAndSpeedRequest{
				Request: &locationandspeedv1.ListLocationAndSpeedRequest{Limit: proto.Int32(512), StartTime: &hourAgo},
				Options: &apiv1.FollowOptions{},
			}, 128 << 10,
		},
	} {
		for _, transport := range []struct {
			name      string
			tls, gzip bool
		}{{"plain", false, false}, {"TLS", true, false}, {"gzip", false, true}, {"TLS and gzip", true, true}} {
			t.Run(kind.name+" "+transport.name, func(t *testing.T) {
				t.Parallel()
				own, trust := flags, ""
				if transport.tls {
					own, trust = append(flags[:len(flags):len(flags)], "--tls-cert-file="+certFile, "--tls-key-file="+keyFile), certFile
				}
				_, at := startBefore(t, own)
				held := func() float64 { return inFlight(t, at.Admin) }
				header, least := []string{"samsara-cache", "no-store"}, kind.least
				if transport.gzip {
					// A compressed answer may count with its compressed size.
					header, least = append(header, "grpc-encoding", "gzip", "grpc-accept-encoding", "gzip"), 1
				}
				for cycle := range cycles {
					for _, end := range ends {
						what := fmt.Sprintf("%s (cycle %d)", end.name, cycle)
						raw := rawCalls{
							Address: at.GRPC, TrustFile: trust, Deaf: end.deaf,
							Method: kind.method, Header: append(header[:len(header):len(header)], end.header...),
							Request: encoded(t, kind.request, transport.gzip), Calls: calls,
						}
						if end.deaf {
							raw.Window = wideOpen
						}
						began := time.Now()
						var stop func() error
						if end.process != nil {
							p := raw.startProcess(t)
							stop = func() error { return end.process(p) }
						} else {
							c := raw.start(t)
							stop = func() error { return end.client(c) }
						}
						if end.deaf {
							// The buffers of the kernel take some of the answers.
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
						t.Logf("%s: %.0f KiB were freed in %v", what, most/1024, took.Round(time.Millisecond))
					}
				}
				if transport.tls {
					return // The client below does not use TLS.
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

// startPages runs an upstream that lists vehicles without end. The cursor of a request decides the size of
// the page, see cursorOf. It returns the flags of a gateway before this upstream. An answer costs the
// upstream almost nothing, so no test waits for it.
func startPages(t *testing.T) []string {
	t.Helper()
	notes := strings.Repeat("x", 1000)
	url := "http://" + serveHTTP(t, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		size, page := 2<<10, 0
		if after := r.URL.Query().Get("after"); after != "" {
			if _, err := fmt.Sscanf(after, "%d-%d", &size, &page); err != nil {
				http.Error(w, err.Error(), http.StatusBadRequest)
				return
			}
		}
		var b bytes.Buffer
		b.WriteString(`{"data":[`)
		for i := 0; b.Len() < size; i++ {
			if i > 0 {
				b.WriteByte(',')
			}
			fmt.Fprintf(&b, `{"id":"%d","notes":"%s"}`, i, notes)
		}
		fmt.Fprintf(&b, `],"pagination":{"endCursor":"%s","hasNextPage":true}}`, cursorOf(size, page+1))
		w.Header().Set("Content-Type", "application/json")
		_, _ = w.Write(b.Bytes()) // The gateway may have gone.
	}))
	return flagsBefore(t, url)
}

// flagsBefore returns the flags of a gateway before an upstream, without a quota.
func flagsBefore(t *testing.T, url string) []string {
	t.Helper()
	return append(flagsAt(url, tokenFile(t, "open")), "--quota=false")
}

// cursorOf returns a cursor for a page of about size bytes. Requests for pages with different numbers are
// not shared.
func cursorOf(size, page int) string { return fmt.Sprintf("%d-%d", size, page) }

// bystander is a well-behaved client beside hostile ones.
type bystander struct {
	client vehiclesv1.VehiclesServiceClient
	pages  int
	// usual is the longest time of a call before hostile clients came: the speed of this machine at the
	// moment.
	usual time.Duration
}

// startBystander connects a bystander and measures its usual time. It must be called before hostile clients
// come.
func startBystander(t *testing.T, address string) *bystander {
	t.Helper()
	b := &bystander{client: vehiclesv1.NewVehiclesServiceClient(connect(t, address, insecure.NewCredentials()))}
	b.longest(t, 1, 2<<10, patience) // The first call connects.
	b.usual = b.longest(t, 50, 2<<10, patience)
	return b
}

// served makes calls as longest does, and logs how long the longest took.
func (b *bystander) served(t *testing.T, calls, size int, most time.Duration) {
	t.Helper()
	took := b.longest(t, calls, size, most)
	t.Logf("another client: %d answers of %d KiB took %v at most", calls, size>>10, took.Round(100*time.Microsecond))
}

// longest makes calls for answers of size bytes, one after another, and returns the longest time of one. It
// is an error, and there is no further call, if a call takes longer than slack times the larger of most and
// usual. That bound is at least leastPatience and at most patience.
func (b *bystander) longest(t *testing.T, calls, size int, most time.Duration) (longest time.Duration) {
	t.Helper()
	for range calls {
		b.pages++
		ctx, cancel := context.WithTimeout(t.Context(), min(max(leastPatience, slack*max(most, b.usual)), patience))
		began := time.Now()
		res, err := b.client.ListVehicles(ctx, &vehiclesv1.ListVehiclesRequest{After: proto.String(cursorOf(size, b.pages))},
			grpc.MaxCallRecvMsgSize(64<<20))
		cancel()
		took := time.Since(began)
		if err != nil || len(res.GetData()) == 0 {
			t.Errorf("another client asked for %d KiB: got %d vehicles, %v after %v, want some within %v",
				size>>10, len(res.GetData()), err, took.Round(time.Millisecond), most)
			return max(longest, took)
		}
		longest = max(longest, took)
	}
	return longest
}

// cutOff returns how many of the connections the gateway has logged as closed: a warning that is not about
// a call names the peer of each.
func cutOff(p *process, conns []*rawConn) int {
	_, text, _ := p.log()
	count := 0
	for _, c := range conns {
		for line := range strings.Lines(text) {
			if strings.Contains(line, `"level":"WARN"`) && strings.Contains(line, `"`+c.local()+`"`) && !strings.Contains(line, `"method":`) {
				count++
				break
			}
		}
	}
	return count
}

// stopsSoon stops the gateway while clients hold it up. The gateway must exit with code 0, long before the
// end of its grace period.
func (p *process) stopsSoon(t *testing.T) {
	t.Helper()
	began := time.Now()
	p.signal(t, syscall.SIGTERM)
	select {
	case <-p.exited:
		if p.err != nil {
			t.Errorf("after SIGTERM the gateway ended with %v", p.err)
		}
		t.Logf("SIGTERM took %v", time.Since(began).Round(time.Millisecond))
	case <-time.After(mostGrace / 2):
		t.Errorf("the gateway still runs %v after SIGTERM", mostGrace/2)
	}
}

// mostGrace is a grace period that gateways must not use up.
const mostGrace = time.Minute

// TestTime_unreadAnswersHurtNobodyElse has clients call for 400 MB in all and read nothing of it. Streams
// and sockets are tried with 8 clients only, unless SAMSARA_HOSTILE_CYCLES is more than 1.
func TestTime_unreadAnswersHurtNobodyElse(t *testing.T) {
	t.Parallel()
	testenv.Alone(t)
	const calls = 400
	flags := startPages(t)
	flags = append(flags, "--max-in-flight-bytes=64MiB", "--max-response-bytes=16MiB", fmt.Sprintf("--shutdown-grace=%v", mostGrace))
	list := &vehiclesv1.ListVehiclesRequest{After: proto.String(cursorOf(1<<20, 0))}
	for _, how := range []struct {
		name, method string
		request      proto.Message
		deaf         bool
	}{
		{"unary answers", vehiclesv1.VehiclesService_ListVehicles_FullMethodName, list, false},
		{"streams", vehiclesv1.VehiclesService_StreamVehicles_FullMethodName, &vehiclesv1.StreamVehiclesRequest{Request: list}, false},
		{"the socket", vehiclesv1.VehiclesService_ListVehicles_FullMethodName, list, true},
	} {
		for _, clients := range []int{1, 8, 30} {
			if clients != 8 && how.name != "unary answers" && setting(t, "SAMSARA_HOSTILE_CYCLES", 1) == 1 {
				continue
			}
			t.Run(fmt.Sprintf("%d clients do not read %s", clients, how.name), func(t *testing.T) {
				t.Parallel()
				p, at := startBefore(t, flags)
				other := startBystander(t, at.GRPC)
				raw := rawCalls{
					Address: at.GRPC, Deaf: how.deaf, Method: how.method, Header: []string{"samsara-cache", "no-store"},
					Request: encoded(t, how.request, false), Calls: calls / clients,
				}
				if how.deaf {
					raw.Window = wideOpen
				}
				var conns []*rawConn
				for range clients {
					conns = append(conns, raw.start(t))
				}
				eventually(t, "the clients hold memory", func() bool {
					return inFlight(t, at.Admin) > 16<<20
				})
				other.served(t, 20, 2<<10, 100*time.Millisecond)
				if clients < 30 {
					other.served(t, 5, 1<<20, 100*time.Millisecond)
				} else {
					other.served(t, 1, 1<<20, 15*time.Second)
				}
				if clients == 1 {
					other.served(t, 1, 8<<20, time.Second)
					if n := cutOff(p, conns); n != 0 {
						t.Errorf("%d connections were closed though nobody needed their memory", n)
					}
				} else {
					other.served(t, 1, 8<<20, 15*time.Second)
					said, ended := cutOff(p, conns), 0
					for _, c := range conns {
						select {
						case <-c.ended:
							ended++
						default: // A deaf client cannot know whether its connection is closed.
						}
					}
					if said == 0 || said < ended {
						t.Errorf("%d of %d connections ended, and warnings name the peers of %d: want a warning for each that was closed, and at least one", ended, clients, said)
					}
					t.Logf("%d of %d connections were closed", said, clients)
				}
				other.served(t, 20, 2<<10, 100*time.Millisecond)
				p.stopsSoon(t)
			})
		}
	}
}

// TestTime_slowReaderNotCutOff has a client read a page of a list every few seconds. The gateway must not
// close its connection, because nobody needs the memory that it holds.
func TestTime_slowReaderNotCutOff(t *testing.T) {
	t.Parallel()
	testenv.Alone(t)
	// A pause is longer than the time after which a reader is suspect while somebody waits for memory.
	const pages, pause = 3, 8 * time.Second
	flags := append(startPages(t), "--max-in-flight-bytes=64MiB", "--max-response-bytes=16MiB")
	list := &vehiclesv1.ListVehiclesRequest{After: proto.String(cursorOf(1<<20, 0))}
	for _, test := range []struct {
		name string
		// greedy is how many answers of 1 MB another client asks for and does not read. It waits only
		// because of itself.
		greedy int
	}{{"alone", 0}, {"beside a greedy client", 400}} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			p, at := startBefore(t, flags)
			other := startBystander(t, at.GRPC)
			conn, err := grpc.NewClient(at.GRPC, grpc.WithTransportCredentials(insecure.NewCredentials()),
				grpc.WithStaticStreamWindowSize(1<<16), grpc.WithStaticConnWindowSize(1<<16))
			if err != nil {
				t.Fatal(err)
			}
			t.Cleanup(func() { _ = conn.Close() })
			ctx, cancel := context.WithTimeout(t.Context(), 2*patience)
			defer cancel()
			stream, err := vehiclesv1.NewVehiclesServiceClient(conn).StreamVehicles(ctx, &vehiclesv1.StreamVehiclesRequest{Request: list})
			if err != nil {
				t.Fatal(err)
			}
			if _, err := stream.Recv(); err != nil {
				t.Fatal(err)
			}
			rawCalls{
				Address: at.GRPC, Method: vehiclesv1.VehiclesService_ListVehicles_FullMethodName, Header: []string{"samsara-cache", "no-store"},
				Request: encoded(t, list, false), Calls: test.greedy,
			}.start(t)
			tick := time.NewTicker(500 * time.Millisecond)
			defer tick.Stop()
			for page := range pages {
				for until := time.Now().Add(pause); time.Now().Before(until); <-tick.C {
					// Other tests check how long a call takes.
					other.longest(t, 5, 2<<10, patience)
					other.longest(t, 1, 1<<20, patience)
					if t.Failed() {
						return
					}
				}
				if _, err := stream.Recv(); err != nil {
					_, text, _ := p.log()
					t.Fatalf("after %d pages, %v each, the slow reader got %v; the log:\n%s", page+1, pause, err, text)
				}
			}
		})
	}
}

// TestTime_deadlineEndsTheCall has the deadlines of calls pass while their client reads nothing and does
// nothing else. No handler may remain, waiting for memory or for the client. The bytes that grpc holds stay
// there until the client resets the streams or its connection ends.
func TestTime_deadlineEndsTheCall(t *testing.T) {
	t.Parallel()
	testenv.Alone(t)
	const calls, deadline = 100, 2 * time.Second
	flags := append(startPages(t), "--max-in-flight-bytes=64MiB", "--max-response-bytes=16MiB")
	list := &vehiclesv1.ListVehiclesRequest{After: proto.String(cursorOf(1<<20, 0))}
	for _, how := range []struct {
		name, method string
		request      proto.Message
	}{
		{"unary", vehiclesv1.VehiclesService_ListVehicles_FullMethodName, list},
		{"StreamX", vehiclesv1.VehiclesService_StreamVehicles_FullMethodName, &vehiclesv1.StreamVehiclesRequest{Request: list}},
	} {
		t.Run(how.name, func(t *testing.T) {
			t.Parallel()
			_, at := startBefore(t, flags)
			other, before := startBystander(t, at.GRPC), handledVehicles(t, at.Admin)
			rawCalls{
				Address: at.GRPC, Method: how.method, Request: encoded(t, how.request, false), Calls: calls,
				Header: []string{"samsara-cache", "no-store", "grpc-timeout", fmt.Sprintf("%dm", deadline.Milliseconds())},
			}.start(t)
			took := within(t, deadline+time.Second, "every call has ended", func() bool {
				return handledVehicles(t, at.Admin) == before+calls
			})
			t.Logf("%d calls with a deadline of %v ended after %v", calls, deadline, took.Round(time.Millisecond))
			other.served(t, 5, 1<<20, 100*time.Millisecond)
		})
	}
}

// handledVehicles returns how many calls of the vehicles service have ended.
func handledVehicles(t *testing.T, admin string) float64 {
	t.Helper()
	return metric(t, admin, "samsara_gateway_calls_total", `operation="VehiclesService/`)
}

// mostResident is the most resident memory of a gateway at its defaults while clients send requests that
// they do not end: 64 MiB for the requests, and twice the pages of the program.
const mostResident = 300 << 20

// resident returns the most memory that the process has had resident.
func (p *process) resident(t *testing.T) int {
	t.Helper()
	text, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", p.cmd.Process.Pid))
	if err != nil {
		t.Fatal(err)
	}
	for line := range strings.Lines(string(text)) {
		var kib int
		if _, err := fmt.Sscanf(line, "VmHWM: %d kB", &kib); err == nil {
			return kib << 10
		}
	}
	t.Fatalf("no VmHWM in:\n%s", text)
	return 0
}

// TestTime_halfSentRequestsHurtNobodyElse has clients withhold the last byte of 150 requests of almost 4
// MiB. If their connection is closed, they come back with as many.
func TestTime_halfSentRequestsHurtNobodyElse(t *testing.T) {
	t.Parallel()
	testenv.Alone(t)
	const requests, size = 150, 4<<20 - 64
	flags := append(startPages(t), fmt.Sprintf("--shutdown-grace=%v", mostGrace))
	long := strings.Repeat("x", size)
	list := &vehiclesv1.ListVehiclesRequest{After: &long}
	unary, stream, health := vehiclesv1.VehiclesService_ListVehicles_FullMethodName,
		vehiclesv1.VehiclesService_StreamVehicles_FullMethodName, healthv1.Health_Check_FullMethodName
	for _, test := range []struct {
		method  string
		request proto.Message
		clients int
	}{
		{unary, list, 1},
		{unary, list, 8},
		{unary, list, 30},
		{stream, &vehiclesv1.StreamVehiclesRequest{Request: list}, 8},
		{health, &healthv1.HealthCheckRequest{Service: long}, 8},
	} {
		t.Run(fmt.Sprintf("%d clients of %s", test.clients, path.Base(test.method)), func(t *testing.T) {
			t.Parallel()
			p, at := startBefore(t, flags)
			other := startBystander(t, at.GRPC)
			raw := rawCalls{
				Address: at.GRPC, Method: test.method, Request: encoded(t, test.request, false), Withheld: 1, Calls: requests / test.clients,
			}
			crowd := startCrowd(t, raw, test.clients)
			eventually(t, "the clients cannot send more", crowd.quiet())
			if test.clients < 30 {
				other.served(t, 20, 2<<10, 100*time.Millisecond)
			} else {
				other.served(t, 5, 2<<10, 6*time.Second)
				n := cutOff(p, crowd.all())
				if n == 0 {
					t.Error("no warning names the peer of a connection that was closed: half-sent requests stay open for ever")
				}
				t.Logf("%d connections were closed", n)
			}
			if got := p.resident(t); got > mostResident {
				t.Errorf("at most %d MiB were resident, want no more than %d", got>>20, mostResident>>20)
			} else {
				t.Logf("at most %d MiB were resident", got>>20)
			}
			p.stopsSoon(t)
		})
	}
}

// crowd is a set of clients that come back when their connection is closed.
type crowd struct {
	mu    sync.Mutex
	conns []*rawConn
}

// startCrowd starts clients that begin the calls, again and again until the test ends.
func startCrowd(t *testing.T, raw rawCalls, clients int) *crowd {
	t.Helper()
	ctx, cancel := context.WithCancel(t.Context())
	c := &crowd{}
	var running sync.WaitGroup
	for range clients {
		running.Go(func() {
			for {
				conn, err := raw.begin(ctx)
				if err != nil {
					return // The gateway has gone, or the test has ended.
				}
				c.mu.Lock()
				c.conns = append(c.conns, conn)
				c.mu.Unlock()
				select {
				case <-conn.ended:
				case <-ctx.Done():
				}
				conn.close()
			}
		})
	}
	t.Cleanup(func() {
		cancel()
		running.Wait()
	})
	return c
}

func (c *crowd) all() []*rawConn {
	c.mu.Lock()
	defer c.mu.Unlock()
	return slices.Clone(c.conns)
}

// quiet returns a function that reports whether no bytes of requests were sent for a second.
func (c *crowd) quiet() func() bool {
	before, since := int64(-1), time.Now()
	return func() bool {
		sent := int64(0)
		for _, conn := range c.all() {
			sent += conn.sentBytes()
		}
		if sent != before {
			before, since = sent, time.Now()
		}
		return time.Since(since) > time.Second
	}
}

// TestCompression_ofEverySize has a client that compresses. It is not a grpc client: a test that linked the
// codec of grpc would link it into the gateway too, if the gateway is this test binary.
func TestCompression_ofEverySize(t *testing.T) {
	t.Parallel()
	testenv.Processes(t)
	_, at := startBefore(t, startPages(t))
	for _, method := range []string{vehiclesv1.VehiclesService_ListVehicles_FullMethodName, vehiclesv1.VehiclesService_StreamVehicles_FullMethodName} {
		for _, test := range []struct {
			size int
			// wantCompressed is false for a large answer, which may be sent uncompressed.
			wantCompressed bool
		}{{2 << 10, true}, {32 << 10, true}, {1 << 20, false}} {
			t.Run(fmt.Sprintf("%s, %d KiB", path.Base(method), test.size>>10), func(t *testing.T) {
				t.Parallel()
				list := &vehiclesv1.ListVehiclesRequest{After: proto.String(cursorOf(test.size, 0))}
				var request, answer proto.Message = list, &vehiclesv1.ListVehiclesResponse{}
				if method == vehiclesv1.VehiclesService_StreamVehicles_FullMethodName {
					request, answer = &vehiclesv1.StreamVehiclesRequest{
						Request: list, Options: &apiv1.StreamOptions{MaxPages: proto.Int32(1)},
					}, &vehiclesv1.StreamVehiclesResponse{}
				}
				c := rawCalls{
					Address: at.GRPC, Window: wideOpen, Method: method, Calls: 1, Request: encoded(t, request, true),
					Header: []string{"grpc-encoding", "gzip", "grpc-accept-encoding", "gzip"},
				}.start(t)
				s := c.only()
				c.await(t, s)
				if s.header["grpc-status"] != "0" {
					t.Fatalf("got status %s, %s, want 0", s.header["grpc-status"], s.header["grpc-message"])
				}
				compressed := s.answered(t, answer)
				if got := proto.Size(answer); got < test.size*9/10 {
					t.Errorf("got %d bytes, want about %d", got, test.size)
				}
				if test.wantCompressed && (!compressed || s.header["grpc-encoding"] != "gzip") {
					t.Errorf("the answer is compressed: %t; grpc-encoding: %q", compressed, s.header["grpc-encoding"])
				}
			})
		}
	}
}
