package service_test

import (
	"io"
	"net"
	"testing"
	"testing/synctest"
	"time"

	"golang.org/x/net/http2"

	"samsara.internal/gateway/service"
)

// TestKeepalive_pingsOfClients makes one client ping through a network that delays every other ping, and
// another flood the server.
func TestKeepalive_pingsOfClients(t *testing.T) {
	t.Parallel()
	for name, test := range map[string]struct {
		gaps    []time.Duration // before each ping, in turn
		pings   int
		refused bool
	}{
		"every 10 seconds":                     {gaps: []time.Duration{10 * time.Second}, pings: 100},
		"every 10 seconds, with 4 s of jitter": {gaps: []time.Duration{6 * time.Second, 14 * time.Second}, pings: 100},
		"every second":                         {gaps: []time.Duration{time.Second}, pings: 4, refused: true},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				g := start(t, service.Config{Upstream: answers(`{}`)})
				conn, err := g.dial(t.Context())
				if err != nil {
					t.Fatal(err)
				}
				c := newPinger(t, conn)
				for i := range test.pings {
					time.Sleep(test.gaps[i%len(test.gaps)]) //nolint:forbidigo // virtual time
					if err := c.framer.WritePing(false, [8]byte{byte(i)}); err != nil {
						break
					}
					synctest.Wait()
				}
				_ = conn.Close() // The server has closed it if it refused the pings.
				<-c.done
				if refused := c.goAway == http2.ErrCodeEnhanceYourCalm; refused != test.refused {
					t.Errorf("after %d of %d pings the server said %v, want it to refuse them: %t", c.answered, test.pings, c.goAway, test.refused)
				}
				if !test.refused && c.answered != test.pings {
					t.Errorf("%d of %d pings were answered", c.answered, test.pings)
				}
			})
		})
	}
}

// pinger is a client that speaks only HTTP/2. answered and goAway may be read when done is closed.
type pinger struct {
	framer   *http2.Framer
	done     chan struct{}
	answered int
	goAway   http2.ErrCode
}

func newPinger(t *testing.T, conn net.Conn) *pinger {
	t.Helper()
	if _, err := io.WriteString(conn, http2.ClientPreface); err != nil {
		t.Fatal(err)
	}
	c := &pinger{framer: http2.NewFramer(conn, conn), done: make(chan struct{})}
	if err := c.framer.WriteSettings(); err != nil {
		t.Fatal(err)
	}
	go func() {
		defer close(c.done)
		for {
			frame, err := c.framer.ReadFrame()
			if err != nil {
				return
			}
			switch frame := frame.(type) {
			case *http2.PingFrame:
				if frame.IsAck() {
					c.answered++
				}
			case *http2.GoAwayFrame:
				c.goAway = frame.ErrCode
			}
		}
	}()
	return c
}
