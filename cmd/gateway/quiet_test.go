package main

import (
	"bufio"
	"context"
	"crypto/tls"
	"fmt"
	"math"
	"net"
	"net/http"
	"path"
	"strings"
	"sync"
	"testing"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/metadata"

	vehiclesv1 "samsara.internal/gateway/gen/vehicles/v1"
)

// vehicleAnswer returns a whole response about one vehicle, whose body is longer than padding.
func vehicleAnswer(id string, padding int) string {
	body := fmt.Sprintf(`{"data":{"id":%q,"notes":%q}}`, id, strings.Repeat("x", padding))
	return fmt.Sprintf("HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: %d\r\n\r\n%s", len(body), body)
}

// gaveUp is what load balancers send on a connection that was idle for too long.
const gaveUp = "HTTP/1.1 408 Request Time-out\r\nContent-Length: 0\r\nConnection: close\r\n\r\n"

// disorder is what an upstream does on a connection after each of its answers.
type disorder struct {
	after     time.Duration // from when the last call ended; 0: with the answer
	text      string
	ownRecord bool // over TLS: in a TLS record of its own
	hangsUp   bool
	padding   int // of the answer
}

// disorderly is an upstream whose connections do not stay quiet between requests.
type disorderly struct {
	disorder
	t    *testing.T
	late sync.WaitGroup // texts that are still to be sent
	by   *passed        // what proxies have passed on; nil without proxies

	mu   sync.Mutex
	rest chan struct{} // closed when no call runs
}

// resting returns the channel that is closed when the calls that run now have ended.
func (d *disorderly) resting() chan struct{} {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.rest
}

// beAtRest sends what the upstream says on idle connections, and waits until proxies have passed it on.
func (d *disorderly) beAtRest() {
	d.mu.Lock()
	close(d.rest)
	d.rest = make(chan struct{})
	d.mu.Unlock()
	d.late.Wait()
}

// route is how a gateway reaches its upstream.
type route struct {
	secure bool
	proxy  string // its scheme; empty: none
	flag   string // of the gateway, or empty
}

// serve starts the upstream. It returns the URL and the environment for a gateway.
func (d *disorderly) serve(by route) (url string, env []string) {
	var cfg *tls.Config
	if by.secure {
		certFile, keyFile, _ := selfSigned(d.t)
		cert, err := tls.LoadX509KeyPair(certFile, keyFile)
		if err != nil {
			d.t.Fatal(err)
		}
		cfg = &tls.Config{Certificates: []tls.Certificate{cert}, NextProtos: []string{"http/1.1"}, DynamicRecordSizingDisabled: true}
		env = []string{"SSL_CERT_FILE=" + certFile}
	}
	d.t.Cleanup(d.late.Wait) // after the connections have ended, because they add to it
	port := serveConns(d.t, func(conn net.Conn) { d.answer(&corked{Conn: conn}, cfg) })
	switch {
	case by.proxy != "":
		d.by = newPassed()
		return "https://" + upstreamName, append(env, "HTTPS_PROXY="+startProxy(d.t, by.proxy, cfg, "127.0.0.1:"+port, d.by))
	case by.secure:
		return "https://localhost:" + port, env
	default:
		return "http://127.0.0.1:" + port, env
	}
}

// answer answers the requests of one connection until the gateway hangs up.
func (d *disorderly) answer(below *corked, cfg *tls.Config) {
	conn := net.Conn(below)
	if cfg != nil {
		conn = tls.Server(below, cfg)
	}
	defer hangUp(below)
	for in := bufio.NewReader(conn); ; {
		req, err := http.ReadRequest(in)
		if err != nil {
			return
		}
		texts := []string{vehicleAnswer(path.Base(req.URL.Path), d.padding)}
		switch {
		case d.after > 0:
			resting := d.resting()
			d.late.Go(func() {
				select {
				case <-resting:
				case <-d.t.Context().Done():
				}
				letPass(d.t, d.after)
				if below.write(conn, d.hangsUp, d.text) != nil || d.by == nil {
					return
				}
				if d.hangsUp {
					d.by.await(below.RemoteAddr(), math.MaxInt64)
				} else {
					d.by.await(below.RemoteAddr(), below.sentSoFar())
				}
			})
		case d.ownRecord:
			texts = append(texts, d.text)
		default:
			texts[0] += d.text
		}
		if below.write(conn, false, texts...) != nil {
			return
		}
	}
}

// corked is a connection that can send several writes of the layer above as one packet.
type corked struct {
	net.Conn
	mu   sync.Mutex
	held []byte
	cork bool
	sent int64 // bytes
}

// Write implements net.Conn.
func (c *corked) Write(p []byte) (int, error) {
	if !c.cork {
		c.sent += int64(len(p))
		return c.Conn.Write(p)
	}
	c.held = append(c.held, p...)
	return len(p), nil
}

// write sends each text by one write of above, all in one packet, and then closes the connection if last.
func (c *corked) write(above net.Conn, last bool, texts ...string) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.cork, c.held = true, nil
	for _, text := range texts {
		if text == "" {
			continue
		}
		if _, err := above.Write([]byte(text)); err != nil {
			return err
		}
	}
	c.cork = false
	c.sent += int64(len(c.held))
	_, err := c.Conn.Write(c.held)
	if last {
		hangUp(above)
	}
	return err
}

// sentSoFar returns how many bytes were sent.
func (c *corked) sentSoFar() int64 {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.sent
}

// outcomes counts how calls ended, each of which asked for another vehicle.
type outcomes struct {
	mu                           sync.Mutex
	calls, wrong, tried, failed  int
	firstWrong, firstErr, slowed string
}

func (o *outcomes) ask(ctx context.Context, client vehiclesv1.VehiclesServiceClient, id string) {
	ctx = metadata.AppendToOutgoingContext(ctx, "samsara-cache", "no-store")
	var header metadata.MD
	got, err := client.GetVehicle(ctx, &vehiclesv1.GetVehicleRequest{Id: &id}, grpc.Header(&header))
	o.mu.Lock()
	defer o.mu.Unlock()
	o.calls++
	switch attempts := strings.Join(header.Get("samsara-attempts"), " "); {
	case err != nil:
		if o.failed++; o.failed == 1 {
			o.firstErr = err.Error()
		}
	case got.GetData().GetId() != id:
		o.wrong++
		o.firstWrong = fmt.Sprintf("%s got %s", id, got.GetData().GetId())
	case attempts != "1":
		o.tried++
		o.slowed = attempts
	}
}

// TestUpstream_connectionNotQuiet has an upstream that sends more than it was asked for, and one that
// closes idle connections. Every call must get its own answer, at the first attempt.
func TestUpstream_connectionNotQuiet(t *testing.T) {
	t.Parallel()
	const (
		idle  = 100 * time.Millisecond // from an answer until the upstream sends more
		comes = 50 * time.Millisecond  // until that has certainly arrived
		large = 10 << 10               // more than the gateway reads ahead
		crowd = 50
	)
	stray := vehicleAnswer("stray", 0)
	for name, d := range map[string]disorder{
		"a second answer at once":                                           {text: stray},
		"a second answer at once, after a large one":                        {text: stray, padding: large},
		"a second answer at once, in a record of its own":                   {text: stray, ownRecord: true},
		"a second answer at once, in a record of its own after a large one": {text: stray, ownRecord: true, padding: large},
		"a second answer while idle":                                        {text: stray, after: idle},
		"a 408 while idle":                                                  {text: gaveUp, after: idle, hangsUp: true},
		"a close while idle":                                                {after: idle, hangsUp: true},
	} {
		for through, by := range map[string]route{
			"in cleartext":                   {},
			"over TLS":                       {secure: true},
			"through a proxy":                {secure: true, proxy: "http"},
			"through a proxy over TLS":       {secure: true, proxy: "https"},
			"through a SOCKS proxy":          {secure: true, proxy: "socks5"},
			"without HTTP/2 at the upstream": {secure: true, flag: "--upstream-http2"},
		} {
			if d.ownRecord && !by.secure {
				continue
			}
			if (d.ownRecord || d.padding > 0) && (by.flag != "" || by.proxy != "" && by.proxy != "https") {
				continue // For http1 this is the same as a connection over TLS.
			}
			t.Run(name+" "+through, func(t *testing.T) {
				t.Parallel()
				up := &disorderly{disorder: d, t: t, rest: make(chan struct{})}
				url, env := up.serve(by)
				flags := flagsBefore(t, url)
				if by.flag != "" {
					flags = append(flags, by.flag)
				}
				p := startIn(t, env, flags...)
				client := vehiclesv1.NewVehiclesServiceClient(connect(t, p.await(t, "serving").GRPC, insecure.NewCredentials()))

				var seen outcomes
				round := func(calls int) {
					var together sync.WaitGroup
					begun := seen.calls
					for n := begun; n < begun+calls; n++ {
						id := fmt.Sprint(n)
						together.Go(func() { seen.ask(t.Context(), client, id) })
					}
					together.Wait()
					if d.after > 0 {
						up.beAtRest()
						letPass(t, comes)
					}
				}
				// A route through a proxy ends in http1 too, so fewer calls will do.
				total, alone := 1000, 200
				if by.proxy != "" || by.flag != "" {
					total, alone = 250, 50
				}
				if d.after > 0 {
					alone = 5
				}
				for range alone {
					round(1)
				}
				for seen.calls+crowd <= total {
					round(crowd)
				}
				round(total - seen.calls)
				if seen.wrong+seen.tried+seen.failed > 0 {
					t.Errorf("of %d calls %d got another answer (%s), %d took more than 1 attempt (%s), %d failed (%s)",
						seen.calls, seen.wrong, seen.firstWrong, seen.tried, seen.slowed, seen.failed, seen.firstErr)
				}
				t.Logf("%d calls", seen.calls)
				p.stop(t)
			})
		}
	}
}
