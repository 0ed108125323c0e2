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
		passOn(t.Context(), tls.Server(slow, cfg), strings.TrimPrefix(server, "http://"))
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

// passOn connects a client with a server until one of them hangs up or ctx ends.
func passOn(ctx context.Context, client net.Conn, server string) {
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
	_, _ = io.Copy(client, upstream)
	hangUp(client) // It ends the requests.
	requests.Wait()
}

func hangUp(conns ...net.Conn) {
	for _, conn := range conns {
		_ = conn.Close() // It may be closed already.
	}
}
