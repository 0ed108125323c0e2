package upstream

import (
	"context"
	"crypto/tls"
	"errors"
	"net"
	"net/http"
	"net/http/httptrace"
	"net/url"
	"strings"
	"sync/atomic"
	"time"

	"samsara.internal/gateway/internal/http1"
)

const (
	dialTimeout      = 10 * time.Second
	handshakeTimeout = 10 * time.Second
	// idleTimeout is shorter than the 60 s after which common load balancers close a connection, because
	// a POST on a connection that is closed cannot be repeated.
	idleTimeout = 50 * time.Second
	// pingAfter and pingTimeout find out that an HTTP/2 connection is dead. Without them each request on
	// it would find out by its own timeout.
	pingAfter   = 15 * time.Second
	pingTimeout = 10 * time.Second
	// proxyTimeout bounds how long it takes to connect to the upstream through a proxy, including the
	// request to the proxy.
	proxyTimeout = 30 * time.Second
	// http1For is how long HTTP/1.1 is used after the upstream did not offer HTTP/2. Then HTTP/2 is tried
	// again.
	http1For = 10 * time.Minute
	// maxHeaderBytes bounds the header of a response, also of a response of a proxy.
	maxHeaderBytes = 64 << 10
	// maxRedirects is how many redirects one attempt follows.
	maxRedirects = 3
)

// transport makes exchanges, each after a gate has let its HTTP request through. The error is, or wraps,
// an *http1.NotSentError if the upstream did not act on the request. It sends a GET once more if a
// connection that was kept idle turns out to be closed; that is still the same attempt. It does not bound
// the wait for the response header: an attempt's timeout covers it.
type transport interface {
	RoundTripThrough(through http1.Gate, req *http.Request) (*http.Response, error)
	CloseIdleConnections()
}

// errHeldBack is the error of a gate for a request that must not be sent.
var errHeldBack = errors.New("held back by the quota")

// gate lets the HTTP requests of an attempt through.
type gate interface {
	http1.Gate
	// Another waits until one more HTTP request is admitted, or returns why none is.
	Another(ctx context.Context) error
	// Late notes that an HTTP request is sent although Pass has refused it.
	Late()
}

// newTransport returns the cheapest transport that does what the configuration asks for.
func newTransport(cfg TransportConfig, base *url.URL) (transport, error) {
	trust := &tls.Config{MinVersion: tls.VersionTLS12, RootCAs: cfg.RootCAs}
	dial := cfg.DialContext
	if dial == nil {
		dial = (&net.Dialer{Timeout: dialTimeout}).DialContext
		proxy, err := http1.ProxyFromEnvironment(base)
		if err != nil {
			return nil, err
		}
		if proxy != nil {
			dial = (&http1.Proxy{
				URL: proxy, Dial: dial, TLS: trust, Timeout: proxyTimeout, MaxResponseHeaderBytes: maxHeaderBytes,
			}).DialContext
		}
	}
	plain := http1.New(http1.Config{
		Server:                 &url.URL{Scheme: base.Scheme, Host: base.Host},
		DialContext:            dial,
		TLS:                    trust,
		HandshakeTimeout:       handshakeTimeout,
		MaxIdleConns:           cfg.MaxIdleConns,
		IdleConnTimeout:        idleTimeout,
		MaxResponseHeaderBytes: maxHeaderBytes,
	})
	if !cfg.HTTP2 || base.Scheme != "https" {
		return plain, nil
	}
	return newHTTP2Transport(cfg.MaxIdleConns, dial, trust, plain), nil
}

// http2Transport is net/http's transport, for HTTP/2 alone. net/http does not check that a connection of
// HTTP/1.1 is quiet, as package http1 does, so that a response that nobody asked for may go to another
// request. While the upstream does not offer HTTP/2, it uses the transport of http1.
type http2Transport struct {
	*http.Transport
	plain      *http1.Transport
	plainUntil atomic.Int64 // Unix time in nanoseconds
}

var errNoHTTP2 = errors.New("upstream does not offer HTTP/2")

func newHTTP2Transport(maxIdle int, dial http1.DialFunc, trust *tls.Config, plain *http1.Transport) *http2Transport {
	trust = trust.Clone()
	// HTTP/1.1 is offered too: otherwise servers without HTTP/2 would refuse the TLS handshake.
	trust.VerifyConnection = func(state tls.ConnectionState) error {
		if state.NegotiatedProtocol != "h2" {
			return errNoHTTP2
		}
		return nil
	}
	var protocols http.Protocols
	protocols.SetHTTP1(true)
	protocols.SetHTTP2(true)
	return &http2Transport{plain: plain, Transport: &http.Transport{
		DialContext:            dial,
		TLSClientConfig:        trust,
		TLSHandshakeTimeout:    handshakeTimeout,
		DisableCompression:     true,
		MaxIdleConns:           maxIdle,
		MaxIdleConnsPerHost:    maxIdle,
		IdleConnTimeout:        idleTimeout,
		MaxResponseHeaderBytes: maxHeaderBytes,
		Protocols:              &protocols,
		HTTP2:                  &http.HTTP2Config{SendPingTimeout: pingAfter, PingTimeout: pingTimeout},
	}}
}

// RoundTripThrough implements transport, except that it sends a request that the gate refuses: once a
// request has a connection of HTTP/2 it cannot be held back for certain. Saying that it was not sent
// would be worse than sending it.
func (t *http2Transport) RoundTripThrough(through http1.Gate, req *http.Request) (*http.Response, error) {
	if time.Now().UnixNano() < t.plainUntil.Load() {
		return t.plain.RoundTripThrough(through, req)
	}
	ctx := req.Context()
	var connected atomic.Bool
	traced := req.WithContext(httptrace.WithClientTrace(ctx, &httptrace.ClientTrace{
		GotConn: func(httptrace.GotConnInfo) {
			connected.Store(true)
			if g, ok := through.(gate); ok && g.Pass(ctx) != nil && ctx.Err() == nil {
				g.Late()
			}
		},
	}))
	resp, err := t.RoundTrip(traced)
	switch {
	case err == nil:
		return resp, nil
	case errors.Is(err, errNoHTTP2):
		t.plainUntil.Store(time.Now().Add(http1For).UnixNano())
		if req.GetBody != nil {
			if req.Body, err = req.GetBody(); err != nil {
				return nil, &http1.NotSentError{Err: err}
			}
		}
		return t.plain.RoundTripThrough(through, req)
	case !connected.Load():
		return nil, &http1.NotSentError{Err: err}
	default:
		return nil, err
	}
}

// CloseIdleConnections implements transport.
func (t *http2Transport) CloseIdleConnections() {
	t.Transport.CloseIdleConnections()
	t.plain.CloseIdleConnections()
}

// send sends an HTTP request and follows redirects by the rules of redirected. The gate may be nil. The
// response's body must be read to its end, or discarded.
func send(by transport, through gate, req *http.Request) (*http.Response, error) {
	for hops := 0; ; hops++ {
		resp, err := by.RoundTripThrough(through, req)
		if err != nil {
			return nil, err
		}
		if resp.StatusCode == http.StatusSwitchingProtocols {
			// No upgrade was asked for. The body is the connection, which may never end.
			_ = resp.Body.Close()
			resp.Body = http.NoBody
		}
		next := redirected(req, resp)
		if next == nil || hops == maxRedirects {
			return resp, nil
		}
		discard(resp)
		if through != nil {
			if err := through.Another(req.Context()); err != nil {
				return nil, err
			}
		}
		req = next
	}
}

// redirected returns the request that a redirect leads to. It returns nil if resp is no redirect or must
// not be followed: only a GET follows one, and never to another scheme or host, because the request
// carries the token.
func redirected(req *http.Request, resp *http.Response) *http.Request {
	switch resp.StatusCode {
	case http.StatusMovedPermanently, http.StatusFound, http.StatusSeeOther,
		http.StatusTemporaryRedirect, http.StatusPermanentRedirect:
	default:
		return nil
	}
	location, err := resp.Location()
	if err != nil || req.Method != http.MethodGet || location.Scheme != req.URL.Scheme || !strings.EqualFold(location.Host, req.URL.Host) {
		return nil
	}
	target := *req.URL
	target.Path, target.RawPath, target.RawQuery = location.Path, location.RawPath, location.RawQuery
	next := req.WithContext(req.Context())
	next.URL = &target
	return next
}
