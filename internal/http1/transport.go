// Package http1 is a client for one server of HTTP/1.1, cleartext or TLS, that runs a whole
// exchange on its caller's goroutine. net/http hands each request to one goroutine of its
// connection and each response back from another, which is most of what a small request costs;
// here a connection has no goroutine of its own.
//
// It guarantees what net/http does: connections are used again, at any concurrency and after any
// response that was read to its end; an exchange ends when its context does, also in the middle
// of a header or body; a response that comes before the request's body is sent is read; a
// connection that the server closed while it was idle costs a request without side effects
// nothing but another connection; headers are bounded. Parsing is net/http's own. Beyond that it
// looks, before a request that must not be sent twice, whether the server has hung up, and tells
// requests that certainly did not reach the server from others by *NotSentError.
//
// It refuses other hosts, bodies of unknown length, and does no proxies, no trailers of requests,
// no Expect, no upgrades and no httptrace.
package http1

import (
	"bufio"
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/url"
	"sync"
	"time"
)

// Config configures a Transport. Every field is required but TLS.
type Config struct {
	// Server is scheme, http or https, and host of the only server.
	Server *url.URL
	// DialContext connects to the server.
	DialContext func(ctx context.Context, network, address string) (net.Conn, error)
	// TLS is used where the scheme is https. ServerName and NextProtos are set here.
	TLS *tls.Config
	// HandshakeTimeout bounds the TLS handshake.
	HandshakeTimeout time.Duration
	// MaxIdleConns is how many idle connections are kept at most.
	MaxIdleConns int
	// IdleConnTimeout is how long an idle connection is kept.
	IdleConnTimeout time.Duration
	// MaxResponseHeaderBytes bounds the header of a response, those of informational responses
	// before it included.
	MaxResponseHeaderBytes int64
}

// Transport is an http.RoundTripper. It is safe for concurrent use.
type Transport struct {
	cfg     Config
	address string
	idle    pool
	heads   sync.Pool // of *[]byte
}

// New returns a transport without connections.
func New(cfg Config) *Transport {
	port := cfg.Server.Port()
	if port == "" {
		port = cfg.Server.Scheme // which dialers know by name
	}
	if cfg.Server.Scheme == "https" {
		cfg.TLS = cfg.TLS.Clone()
		cfg.TLS.ServerName = cfg.Server.Hostname()
		cfg.TLS.NextProtos = []string{"http/1.1"}
	}
	return &Transport{
		cfg:     cfg,
		address: net.JoinHostPort(cfg.Server.Hostname(), port),
		idle:    pool{limit: cfg.MaxIdleConns, timeout: cfg.IdleConnTimeout},
	}
}

// CloseIdleConnections closes the connections that are idle, and, until the next request, those
// that become so.
func (t *Transport) CloseIdleConnections() { t.idle.closeAll() }

// NotSentError says that nothing of a request reached the server: it may be sent again whatever
// it does.
type NotSentError struct{ Err error }

func (e *NotSentError) Error() string { return e.Err.Error() }

// Unwrap returns the cause.
func (e *NotSentError) Unwrap() error { return e.Err }

// Gate is asked for leave to write a request, when a connection is open.
type Gate interface {
	// Pass waits until the request may be written, or returns why it must not be. It returns when
	// ctx ends at the latest. It is asked again where a request needs another connection.
	Pass(ctx context.Context) error
}

// RoundTrip implements http.RoundTripper. Unlike the interface wants it, the response's body is
// for one goroutine at a time. The request's body must not block, and have a GetBody where the
// request is to survive a connection that the server has closed.
func (t *Transport) RoundTrip(req *http.Request) (*http.Response, error) {
	return t.RoundTripThrough(nil, req)
}

// RoundTripThrough is RoundTrip with leave of a gate, which may be nil. What the gate says is
// wrapped in a *NotSentError.
func (t *Transport) RoundTripThrough(gate Gate, req *http.Request) (*http.Response, error) {
	ctx := req.Context()
	head, err := t.head(req)
	if err != nil {
		closeBody(req)
		return nil, &NotSentError{err}
	}
	defer t.heads.Put(head)
	for {
		c, err := t.connection(ctx, replayable(req))
		if err != nil {
			closeBody(req)
			return nil, &NotSentError{ended(ctx, err)}
		}
		if gate != nil {
			asked := time.Now()
			if err := gate.Pass(ctx); err != nil {
				t.idle.put(c)
				closeBody(req)
				return nil, &NotSentError{err}
			}
			if time.Since(asked) > patience {
				t.idle.put(c)
				continue
			}
		}
		resp, err := c.roundTrip(ctx, req, head)
		if err == nil {
			return resp, nil
		}
		if c.stale(ctx, req) {
			if again, rewindErr := rewound(req); rewindErr == nil {
				req = again
				continue
			}
		}
		if c.wrote == 0 {
			err = &NotSentError{err}
		}
		return nil, err
	}
}

// patience is for how long servers can be trusted not to hang up on a connection without a request.
// What has waited for longer takes one as from the start.
const patience = time.Second

// connection returns an idle connection, or a new one. Where the request must not be sent twice
// an idle one is looked at before.
func (t *Transport) connection(ctx context.Context, replayable bool) (*conn, error) {
	for {
		c := t.idle.get()
		if c == nil {
			return t.dial(ctx)
		}
		if time.Since(c.idleSince) < t.cfg.IdleConnTimeout && (replayable || alive(c.raw)) {
			c.reused = true
			return c, nil
		}
		c.hangUp()
	}
}

func (t *Transport) dial(ctx context.Context) (*conn, error) {
	raw, err := t.cfg.DialContext(ctx, "tcp", t.address)
	if err != nil {
		return nil, err
	}
	c := &conn{transport: t, raw: raw, stream: raw}
	if t.cfg.Server.Scheme == "https" {
		secure := tls.Client(raw, t.cfg.TLS)
		shaking, cancel := context.WithTimeout(ctx, t.cfg.HandshakeTimeout)
		defer cancel()
		if err := secure.HandshakeContext(shaking); err != nil {
			_ = raw.Close()
			return nil, fmt.Errorf("TLS handshake: %w", err)
		}
		c.stream = secure
	}
	c.reader = bufio.NewReaderSize(c, readBufferBytes)
	return c, nil
}

// replayable reports whether a request has no side effects, so that it may be sent again where
// the connection broke before an answer.
func replayable(req *http.Request) bool {
	switch req.Method {
	case http.MethodGet, http.MethodHead, http.MethodOptions, http.MethodTrace:
		return req.Body == nil || req.GetBody != nil
	default:
		return false
	}
}

// rewound returns req with its body as it was.
func rewound(req *http.Request) (*http.Request, error) {
	if req.Body == nil {
		return req, nil
	}
	if req.GetBody == nil {
		return nil, errors.New("request has no GetBody")
	}
	body, err := req.GetBody()
	if err != nil {
		return nil, err
	}
	again := *req
	again.Body = body
	return &again, nil
}

func closeBody(req *http.Request) {
	if req.Body != nil {
		_ = req.Body.Close()
	}
}

// ended returns why an exchange ended: its context, if that has, else err.
func ended(ctx context.Context, err error) error {
	if deadline, ok := ctx.Deadline(); ok && !time.Now().Before(deadline) {
		<-ctx.Done() // dialers watch the same deadline, and may notice it first
	}
	if ctx.Err() != nil {
		return context.Cause(ctx)
	}
	return err
}
