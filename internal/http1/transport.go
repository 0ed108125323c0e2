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

// Config configures a Transport. Every field except TLS is required.
type Config struct {
	// Server is scheme, http or https, and host of the only server.
	Server *url.URL
	// DialContext connects to the server.
	DialContext DialFunc
	// TLS is used if the scheme is https. New sets ServerName and NextProtos of a copy.
	TLS *tls.Config
	// HandshakeTimeout bounds the TLS handshake.
	HandshakeTimeout time.Duration
	// MaxIdleConns is how many idle connections are kept at most.
	MaxIdleConns int
	// IdleConnTimeout is how long an idle connection is kept.
	IdleConnTimeout time.Duration
	// MaxResponseHeaderBytes bounds the header of a response, including those of informational
	// responses before it.
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
		port = proxyPort(cfg.Server.Scheme) // a server has the same default
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

// CloseIdleConnections closes the idle connections. Until the next request it also closes those that
// become idle.
func (t *Transport) CloseIdleConnections() { t.idle.closeAll() }

// NotSentError is the error of a request that the server did not act on, because nothing of it was
// written or because the server said that it had not received it. Such a request may be sent again
// whatever its method.
type NotSentError struct{ Err error }

func (e *NotSentError) Error() string { return e.Err.Error() }

// Unwrap returns the cause.
func (e *NotSentError) Unwrap() error { return e.Err }

// BrokenError is the error of a response that ended within its header, or whose header could not be read
// to its end, after its status was read: the server has answered the request.
type BrokenError struct {
	// Status is the response's, at least 200.
	Status int
	Err    error
}

func (e *BrokenError) Error() string { return e.Err.Error() }

// Unwrap returns the cause.
func (e *BrokenError) Unwrap() error { return e.Err }

// Gate decides when a request may be written, once a connection is open.
type Gate interface {
	// Pass waits until the request may be written, or returns why it must not be. It returns when
	// ctx ends at the latest. It is called again if the request needs another connection.
	Pass(ctx context.Context) error
}

// RoundTrip implements http.RoundTripper, except that only one goroutine at a time may use the response's
// body. The request's body must not block. The request needs a GetBody to survive a connection that the
// server has closed.
func (t *Transport) RoundTrip(req *http.Request) (*http.Response, error) {
	return t.RoundTripThrough(nil, req)
}

// RoundTripThrough is RoundTrip through a gate, which may be nil. It wraps the gate's error in a
// *NotSentError.
func (t *Transport) RoundTripThrough(gate Gate, req *http.Request) (*http.Response, error) {
	ctx := req.Context()
	head, err := t.head(req)
	if err != nil {
		closeBody(req)
		return nil, &NotSentError{err}
	}
	defer t.heads.Put(head)
	for last := false; ; {
		c, err := t.connection(ctx, last)
		if err != nil {
			closeBody(req)
			return nil, &NotSentError{ended(ctx, err)}
		}
		if gate != nil {
			if err := gate.Pass(ctx); err != nil {
				t.idle.put(c)
				closeBody(req)
				return nil, &NotSentError{err}
			}
		}
		if !c.quiet() {
			c.hangUp()
			if last {
				closeBody(req)
				return nil, &NotSentError{errNotQuiet}
			}
			last = !c.reused
			continue
		}
		resp, err := c.roundTrip(ctx, req, head)
		if err == nil {
			return resp, nil
		}
		if c.again(ctx, req, err) {
			if again, rewindErr := rewound(req); rewindErr == nil {
				req, last = again, true
				continue
			}
		}
		switch status := c.said(); {
		case c.wrote == 0 || errors.Is(err, errNotTaken):
			err = &NotSentError{err}
		case status != 0:
			err = &BrokenError{status, err}
		}
		return nil, err
	}
}

// connection returns an idle connection if there is one and fresh is false, and otherwise a new one.
func (t *Transport) connection(ctx context.Context, fresh bool) (*conn, error) {
	for !fresh {
		c := t.idle.get()
		if c == nil {
			break
		}
		c.reused = true
		if time.Since(c.idleSince) < t.cfg.IdleConnTimeout {
			return c, nil
		}
		c.hangUp()
	}
	return t.dial(ctx)
}

func (t *Transport) dial(ctx context.Context) (*conn, error) {
	raw, err := t.cfg.DialContext(ctx, "tcp", t.address)
	if err != nil {
		return nil, err
	}
	socket := newSocket(raw)
	c := &conn{transport: t, socket: socket, stream: socket, interrupt: func() { _ = socket.SetDeadline(time.Unix(1, 0)) }}
	if t.cfg.Server.Scheme == "https" {
		socket.records = new(records)
		secure := tls.Client(socket, t.cfg.TLS)
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

// replayable reports whether a request has no side effects, so that it may be sent again if the
// connection broke before an answer.
func replayable(req *http.Request) bool {
	switch req.Method {
	case http.MethodGet, http.MethodHead, http.MethodOptions, http.MethodTrace:
		return req.Body == nil || req.GetBody != nil
	default:
		return false
	}
}

// rewound returns req with a body that is read from its beginning.
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

// ended returns why an exchange ended: the cause of its context if that has ended, otherwise err.
func ended(ctx context.Context, err error) error {
	if deadline, ok := ctx.Deadline(); ok && !time.Now().Before(deadline) {
		<-ctx.Done() // dialers watch the same deadline, and may notice it first
	}
	if ctx.Err() != nil {
		return context.Cause(ctx)
	}
	return err
}
