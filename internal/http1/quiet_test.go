package http1_test

import (
	"bufio"
	"bytes"
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"samsara.internal/gateway/internal/http1"
)

// buffered is the client's end of an in-memory connection that holds what it was sent until it is
// read, as a socket does, and gives it out though the deadline has passed.
type buffered struct {
	net.Conn // the server's end, for everything except reading
	changed  *sync.Cond
	held     bytes.Buffer
	ended    error
	due      bool
}

// newBuffered returns both ends of a connection.
func newBuffered() (client *buffered, server net.Conn) {
	far, server := net.Pipe()
	b := &buffered{Conn: far, changed: sync.NewCond(new(sync.Mutex))}
	go func() {
		p := make([]byte, 32<<10)
		for {
			n, err := far.Read(p)
			b.changed.L.Lock()
			b.held.Write(p[:n])
			b.ended = err
			b.changed.L.Unlock()
			b.changed.Broadcast()
			if err != nil {
				return
			}
		}
	}()
	return b, server
}

// Read implements net.Conn.
func (b *buffered) Read(p []byte) (int, error) {
	b.changed.L.Lock()
	defer b.changed.L.Unlock()
	for b.held.Len() == 0 && b.ended == nil && !b.due {
		b.changed.Wait()
	}
	switch {
	case b.held.Len() > 0:
		return b.held.Read(p)
	case b.ended != nil:
		return 0, b.ended
	default:
		return 0, os.ErrDeadlineExceeded
	}
}

// SetReadDeadline implements net.Conn for deadlines that have passed.
func (b *buffered) SetReadDeadline(at time.Time) error {
	b.changed.L.Lock()
	defer b.changed.L.Unlock()
	b.due = !at.IsZero() && !at.After(time.Now())
	b.changed.Broadcast()
	return nil
}

// SetDeadline implements net.Conn.
func (b *buffered) SetDeadline(at time.Time) error { return b.SetReadDeadline(at) }

// below is the server's end of a connection below TLS, which can send only some of what was written.
type below struct {
	net.Conn
	held *bytes.Buffer // nil: nothing is held back
}

// Write implements net.Conn.
func (b *below) Write(p []byte) (int, error) {
	if b.held != nil {
		return b.held.Write(p)
	}
	return b.Conn.Write(p)
}

// quietPeer is a server that serves each connection by the same script, and counts them.
type quietPeer struct {
	t       *testing.T
	cfg     *tls.Config // nil for cleartext
	script  func(*wire, *below)
	dials   int
	serving sync.WaitGroup
}

func (p *quietPeer) dial(ctx context.Context, _, _ string) (net.Conn, error) {
	client, server := newBuffered()
	p.dials++
	p.serving.Go(func() {
		defer func() { _ = server.Close() }()
		under := &below{Conn: server}
		conn := net.Conn(under)
		if p.cfg != nil {
			secure := tls.Server(under, p.cfg)
			if err := secure.HandshakeContext(ctx); err != nil {
				p.t.Error(err)
				return
			}
			conn = secure
		}
		p.script(&wire{conn, p.t, bufio.NewReader(conn)}, under)
	})
	return client, nil
}

// credentials returns TLS for a server called api.test and for its client.
func credentials(t *testing.T) (server, client *tls.Config) {
	t.Helper()
	s := httptest.NewUnstartedServer(nil)
	s.StartTLS()
	defer s.Close()
	roots := x509.NewCertPool()
	roots.AddCert(s.Certificate())
	// Servers send session tickets to clients that can keep them.
	return &tls.Config{Certificates: s.TLS.Certificates}, &tls.Config{RootCAs: roots, ClientSessionCache: tls.NewLRUClientSessionCache(1)}
}

// quietly runs a test on connections to a script, in cleartext and over TLS.
func quietly(t *testing.T, script func(*wire, *below), test func(*testing.T, *http1.Transport, http1.Config, *quietPeer)) {
	t.Helper()
	onServer, onClient := credentials(t)
	for _, scheme := range []string{"http", "https"} {
		t.Run(scheme, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				p := &quietPeer{t: t, script: script}
				cfg := config(p.dial)
				cfg.Server.Scheme, cfg.Server.Host = scheme, "example.com" // the name in the certificate
				if scheme == "https" {
					p.cfg, cfg.TLS = onServer, onClient
				}
				transport := http1.New(cfg)
				test(t, transport, cfg, p)
				transport.CloseIdleConnections()
				p.serving.Wait()
			})
		})
	}
}

func TestConnection_moreThanWasAsked(t *testing.T) {
	t.Parallel()
	for name, more := range map[string]func(*wire, *below){
		"a response": func(w *wire, _ *below) { w.send(okReply) },
		"a byte":     func(w *wire, _ *below) { w.send("\n") },
		"an end":     func(w *wire, _ *below) { _ = w.Close() },
		"half of what TLS sends at a time": func(w *wire, b *below) {
			b.held = new(bytes.Buffer)
			w.send(okReply)
			_, _ = b.Conn.Write(b.held.Next(b.held.Len() / 2))
		},
		"less than the length of what TLS sends": func(w *wire, b *below) {
			b.held = new(bytes.Buffer)
			w.send(okReply)
			_, _ = b.Conn.Write(b.held.Next(3))
		},
	} {
		for _, method := range []string{http.MethodGet, http.MethodPost} {
			t.Run(name+" before a "+method, func(t *testing.T) {
				t.Parallel()
				quietly(t, func(w *wire, b *below) {
					w.expect(method)
					w.send(okReply)
					more(w, b)
					w.untilClosed()
				}, func(t *testing.T, transport *http1.Transport, cfg http1.Config, p *quietPeer) {
					t.Helper()
					for range 3 {
						wantOK(t, transport, to(cfg, request(t.Context(), method, "")))
						synctest.Wait() // what comes more has come
					}
					if p.dials != 3 {
						t.Errorf("there were %d connections, want one for each of 3 requests", p.dials)
					}
				})
			})
		}
	}
}

func TestConnection_sessionTicketsUnread(t *testing.T) {
	t.Parallel()
	quietly(t, func(w *wire, _ *below) {
		for range 3 {
			w.expect(http.MethodPost)
			w.send(okReply)
		}
		w.untilClosed()
	}, func(t *testing.T, transport *http1.Transport, cfg http1.Config, p *quietPeer) {
		t.Helper()
		refusal := errors.New("not now")
		for range 3 { // The first leaves a connection that nothing has been read from.
			_, err := transport.RoundTripThrough(&gate{err: refusal}, to(cfg, request(t.Context(), http.MethodPost, ""))) //nolint:bodyclose // there is none
			if !errors.Is(err, refusal) {
				t.Errorf("got %v, want %v", err, refusal)
			}
			synctest.Wait()
			wantOK(t, transport, to(cfg, request(t.Context(), http.MethodPost, "")))
		}
		if p.dials != 1 {
			t.Errorf("there were %d connections, want 1", p.dials)
		}
	})
}

// slow is a gate that always takes its time.
type slow struct{}

func (slow) Pass(context.Context) error {
	<-time.After(time.Second)
	return nil
}

func TestConnection_serverSpeaksFirst(t *testing.T) {
	t.Parallel()
	quietly(t, func(w *wire, _ *below) {
		w.send("SSH-2.0-x\r\n")
		w.untilClosed()
	}, func(t *testing.T, transport *http1.Transport, cfg http1.Config, p *quietPeer) {
		t.Helper()
		resp, err := transport.RoundTripThrough(slow{}, to(cfg, request(t.Context(), http.MethodPost, "{}"))) //nolint:bodyclose // there is none
		var notSent *http1.NotSentError
		const want = "server closed the connection, or sent data, before there was a request"
		if resp != nil || !errors.As(err, &notSent) || err.Error() != want {
			t.Errorf("got %v, want a NotSentError: %s", err, want)
		}
		if p.dials != 2 {
			t.Errorf("there were %d connections, want 2", p.dials)
		}
	})
}

// BenchmarkExchange includes the server, which is in the same process.
func BenchmarkExchange(b *testing.B) {
	for name, secure := range map[string]bool{"cleartext": false, "TLS": true} {
		b.Run(name, func(b *testing.B) {
			_, cfg := start(b, secure, func(w http.ResponseWriter, _ *http.Request) { _, _ = io.WriteString(w, "ok") }, nil)
			transport := http1.New(cfg)
			b.Cleanup(transport.CloseIdleConnections)
			req := to(cfg, request(b.Context(), http.MethodGet, ""))
			b.ReportAllocs()
			for b.Loop() {
				resp, err := transport.RoundTrip(req)
				if err != nil {
					b.Fatal(err)
				}
				_, _ = io.Copy(io.Discard, resp.Body)
				_ = resp.Body.Close()
			}
		})
	}
}
