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

// maxServedConns bounds the open connections of serveConns, well above what tests need.
const maxServedConns = 1000

// serveConns serves each connection to a port of loopback with serve, and returns the port. The end of the
// test waits until all were served.
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
		_ = listener.Close() // That ends the loop.
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

// slowToOpen forwards connections to a server. It returns its URL and the certificate to trust. Each
// connection takes a little longer than opening to open. The TLS handshake is what takes time, because the
// kernel accepts TCP connections by itself.
func slowToOpen(t *testing.T, server string, opening time.Duration) (url, certFile string) {
	t.Helper()
	certFile, keyFile, _ := selfSigned(t)
	cert, err := tls.LoadX509KeyPair(certFile, keyFile)
	if err != nil {
		t.Fatal(err)
	}
	cfg := &tls.Config{Certificates: []tls.Certificate{cert}}
	port := serveConns(t, func(conn net.Conn) {
		slow := slowConn{conn, sync.OnceFunc(func() { letPass(t, opening) })}
		passOn(t.Context(), tls.Server(slow, cfg), strings.TrimPrefix(server, "http://"), nil)
	})
	return "https://localhost:" + port, certFile
}

// slowConn is a connection whose first write has to wait. The work of a handshake is done before that
// write, so it does not delay requests on open connections.
type slowConn struct {
	net.Conn
	wait func() // It blocks the first time only.
}

// Write implements net.Conn.
func (c slowConn) Write(p []byte) (int, error) {
	c.wait()
	return c.Conn.Write(p)
}

// passOn connects a client with a server until one of them hangs up or ctx ends. If notes is not nil, it
// notes what was sent to the client.
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
		hangUp(upstream) // That ends the responses.
	})
	if notes == nil {
		_, _ = io.Copy(client, upstream)
	} else {
		defer notes.end(upstream.LocalAddr())
		_, _ = io.Copy(notedConn{client, notes, upstream.LocalAddr()}, upstream)
	}
	hangUp(client) // That ends the requests.
	requests.Wait()
}

// passed notes how many bytes passOn has sent to each client, by the address of the client at the server.
// It is safe for concurrent use.
type passed struct {
	mu    sync.Mutex
	more  *sync.Cond // signaled after each note
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

// await waits until the client was sent so many bytes in all, or its connection has ended.
func (p *passed) await(client net.Addr, bytes int64) {
	p.mu.Lock()
	defer p.mu.Unlock()
	for !p.ended[client.String()] && p.bytes[client.String()] < bytes {
		p.more.Wait()
	}
}

// notedConn is a connection to a client that notes how much was sent on it.
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
