package main

import (
	"context"
	"crypto/tls"
	"io"
	"net"
	"strings"
	"sync"
	"testing"
	"time"

	"golang.org/x/net/netutil"
)

// maxServedConns bounds the connections that serveConns has open, well above what tests need.
const maxServedConns = 1000

// serveConns serves each connection to a port of loopback so, and returns the port. The end of the
// test waits until all have been served.
func serveConns(t *testing.T, serve func(net.Conn)) (port string) {
	t.Helper()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	_, port, err = net.SplitHostPort(listener.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	var running sync.WaitGroup
	t.Cleanup(func() {
		_ = listener.Close() // It ends the loop.
		running.Wait()
	})
	running.Go(func() {
		for bounded := netutil.LimitListener(listener, maxServedConns); ; {
			conn, err := bounded.Accept()
			if err != nil {
				return
			}
			running.Go(func() { serve(conn) })
		}
	})
	return port
}

// slowToOpen passes connections on to a server, and returns the URL that it does so at and the
// certificate to trust. Each takes as long to open as said, and a little more: by its TLS handshake,
// because the kernel opens those of TCP before anybody has accepted them.
func slowToOpen(t *testing.T, server string, opening time.Duration) (url, certFile string) {
	t.Helper()
	certFile, keyFile, _ := selfSigned(t)
	cert, err := tls.LoadX509KeyPair(certFile, keyFile)
	if err != nil {
		t.Fatal(err)
	}
	cfg := &tls.Config{Certificates: []tls.Certificate{cert}}
	port := serveConns(t, func(conn net.Conn) {
		slow := slowConn{conn, sync.OnceFunc(func() { lapse(t, opening) })}
		passOn(t.Context(), tls.Server(slow, cfg), strings.TrimPrefix(server, "http://"), nil)
	})
	return "https://localhost:" + port, certFile
}

// slowConn is a connection whose first write has to wait. What a handshake costs is spent before it
// writes, so that it does not hold up the requests on connections that are open.
type slowConn struct {
	net.Conn
	wait func() // the first time
}

// Write implements net.Conn.
func (c slowConn) Write(p []byte) (int, error) {
	c.wait()
	return c.Conn.Write(p)
}

// passOn connects a client with a server until one of them hangs up or ctx ends, and notes what the
// client was sent, if there are notes.
func passOn(ctx context.Context, client net.Conn, server string, notes *passed) {
	defer hangUp(client)
	if secure, ok := client.(*tls.Conn); ok && secure.HandshakeContext(ctx) != nil {
		return
	}
	upstream, err := (&net.Dialer{}).DialContext(ctx, "tcp", server)
	if err != nil {
		return
	}
	defer hangUp(upstream)
	defer context.AfterFunc(ctx, func() { hangUp(upstream, client) })()
	var requests sync.WaitGroup
	requests.Go(func() {
		_, _ = io.Copy(upstream, client)
		hangUp(upstream) // It ends the responses.
	})
	if notes == nil {
		_, _ = io.Copy(client, upstream)
	} else {
		defer notes.end(upstream.LocalAddr())
		_, _ = io.Copy(notedConn{client, notes, upstream.LocalAddr()}, upstream)
	}
	hangUp(client) // It ends the requests.
	requests.Wait()
}

// passed notes how many bytes passOn has sent to each client, by the address that the server has of
// it. It is safe for concurrent use.
type passed struct {
	mu    sync.Mutex
	more  *sync.Cond // after each note
	bytes map[string]int64
	ended map[string]bool
}

func newPassed() *passed {
	p := &passed{bytes: map[string]int64{}, ended: map[string]bool{}}
	p.more = sync.NewCond(&p.mu)
	return p
}

func (p *passed) add(client net.Addr, n int) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.bytes[client.String()] += int64(n)
	p.more.Broadcast()
}

func (p *passed) end(client net.Addr) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.ended[client.String()] = true
	p.more.Broadcast()
}

// await waits until a client was sent so many bytes in all, or its connection has ended.
func (p *passed) await(client net.Addr, bytes int64) {
	p.mu.Lock()
	defer p.mu.Unlock()
	for !p.ended[client.String()] && p.bytes[client.String()] < bytes {
		p.more.Wait()
	}
}

// notedConn is a connection to a client that notes what it sent.
type notedConn struct {
	net.Conn
	notes  *passed
	client net.Addr
}

// Write implements net.Conn.
func (c notedConn) Write(p []byte) (int, error) {
	n, err := c.Conn.Write(p)
	c.notes.add(c.client, n)
	return n, err
}

func hangUp(conns ...net.Conn) {
	for _, conn := range conns {
		_ = conn.Close() // It may be closed already.
	}
}
