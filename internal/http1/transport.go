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
	DialContext DialFunc
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
		port = proxyPort(cfg.Server.Scheme) // that of a server too
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

// NotSentError says that the server did not act on a request, because nothing of it was written, or
// because the server said that it had not received it: it may be sent again whatever it does.
type NotSentError struct{ Err error }

func (e *NotSentError) Error() string { return e.Err.Error() }

// Unwrap returns the cause.
func (e *NotSentError) Unwrap() error { return e.Err }

// BrokenError says that a response ended within its header, or could not be read to the end of that, and
// that its status was read before: the server has answered the request.
type BrokenError struct {
	// Status is the response's, at least 200.
	Status int
	Err    error
}

func (e *BrokenError) Error() string { return e.Err.Error() }

// Unwrap returns the cause.
func (e *BrokenError) Unwrap() error { return e.Err }

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

// connection returns an idle connection, or a new one: that in any case where fresh.
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
