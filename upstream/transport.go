package upstream

import (
	"context"
	"crypto/tls"
	"crypto/x509"
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
	// idleTimeout is shorter than the 60 s after which common load balancers hang up, because
	// a POST that meets a hang-up cannot be repeated.
	idleTimeout = 50 * time.Second
	// pingAfter and pingTimeout find out that an HTTP/2 connection is dead, which otherwise
	// every request on it would learn by its own timeout.
	pingAfter   = 15 * time.Second
	pingTimeout = 10 * time.Second
	// maxHeaderBytes bounds the header of a response.
	maxHeaderBytes = 64 << 10
	// maxRedirects is how many redirects one attempt follows.
	maxRedirects = 3
)

// TransportConfig sizes the connections. TLS is at least 1.2.
type TransportConfig struct {
	// MaxIdleConns is how many idle connections are kept; also per host. Default 512.
	MaxIdleConns int
	// Gzip asks the upstream for compressed bodies. Decompressing costs more than
	// translating does, so it is for paid or slow links.
	Gzip bool
	// HTTP2 uses HTTP/2 where an upstream over TLS offers it: fewer connections, but in
	// net/http it costs more CPU, the more the larger the bodies.
	HTTP2 bool
	// RootCAs are whom to trust instead of the system's certificate authorities.
	RootCAs *x509.CertPool
	// DialContext connects instead of TCP. Where it is nil, connections go through the proxy
	// named by HTTPS_PROXY, HTTP_PROXY and NO_PROXY, since many companies have no other way
	// out.
	DialContext func(ctx context.Context, network, address string) (net.Conn, error)
}

// transport makes exchanges, each with leave of a gate. Its error is, or wraps, an
// *http1.NotSentError where the upstream did not act on the request. Within an attempt it sends a
// GET once more where a connection that was kept idle turns out to be closed. It leaves the wait for
// the response header unbounded: an attempt's timeout covers it.
type transport interface {
	RoundTripThrough(gate http1.Gate, req *http.Request) (*http.Response, error)
	CloseIdleConnections()
}

// newTransport returns the transport that costs least and can do what is needed.
func newTransport(cfg TransportConfig, base *url.URL) transport {
	trust := &tls.Config{MinVersion: tls.VersionTLS12, RootCAs: cfg.RootCAs}
	if cfg.HTTP2 || cfg.DialContext == nil && behindProxy(base) {
		return newStandardTransport(cfg, trust)
	}
	dial := cfg.DialContext
	if dial == nil {
		dial = (&net.Dialer{Timeout: dialTimeout}).DialContext
	}
	return http1.New(http1.Config{
		Server:                 &url.URL{Scheme: base.Scheme, Host: base.Host},
		DialContext:            dial,
		TLS:                    trust,
		HandshakeTimeout:       handshakeTimeout,
		MaxIdleConns:           cfg.MaxIdleConns,
		IdleConnTimeout:        idleTimeout,
		MaxResponseHeaderBytes: maxHeaderBytes,
	})
}

// behindProxy reports whether the environment names a proxy, be it a malformed one.
func behindProxy(base *url.URL) bool {
	proxy, err := http.ProxyFromEnvironment(&http.Request{URL: base})
	return proxy != nil || err != nil
}

// standardTransport is net/http's, which knows HTTP/2 and proxies. Its connections of HTTP/1.1 are not
// quiet as package http1 has them: it lends one before the goroutine that reads it has seen what came
// with the last response, or since. A response that nobody asked for may go to another request then.
type standardTransport struct{ *http.Transport }

// RoundTripThrough implements transport, but for a refusal of the gate: a request that has got a
// connection here cannot be held back for certain, and is better sent than said not to have been.
func (t standardTransport) RoundTripThrough(gate http1.Gate, req *http.Request) (*http.Response, error) {
	ctx := req.Context()
	var connected atomic.Bool
	traced := req.WithContext(httptrace.WithClientTrace(ctx, &httptrace.ClientTrace{
		GotConn: func(httptrace.GotConnInfo) {
			_ = gate.Pass(ctx)
			connected.Store(true)
		},
	}))
	resp, err := t.RoundTrip(traced)
	if err != nil && !connected.Load() {
		return nil, &http1.NotSentError{Err: err}
	}
	if err != nil {
		return nil, err
	}
	if resp.TLS == nil || resp.TLS.NegotiatedProtocol != "h2" {
		if err := http1.CheckStatusLine(resp); err != nil {
			_ = resp.Body.Close()
			return nil, err
		}
	}
	return resp, nil
}

func newStandardTransport(cfg TransportConfig, trust *tls.Config) transport {
	var protocols http.Protocols
	protocols.SetHTTP1(true)
	protocols.SetHTTP2(cfg.HTTP2)
	transport := &http.Transport{
		Proxy:                  http.ProxyFromEnvironment,
		DialContext:            (&net.Dialer{Timeout: dialTimeout}).DialContext,
		TLSClientConfig:        trust,
		TLSHandshakeTimeout:    handshakeTimeout,
		DisableCompression:     true,
		MaxIdleConns:           cfg.MaxIdleConns,
		MaxIdleConnsPerHost:    cfg.MaxIdleConns,
		IdleConnTimeout:        idleTimeout,
		MaxResponseHeaderBytes: maxHeaderBytes,
		Protocols:              &protocols,
		HTTP2:                  &http.HTTP2Config{SendPingTimeout: pingAfter, PingTimeout: pingTimeout},
	}
	if cfg.DialContext != nil {
		transport.Proxy = nil
		transport.DialContext = cfg.DialContext
	}
	return standardTransport{transport}
}

// send sends a request, following redirects as redirected does. The response's body must be
// drained.
func (c *Client) send(gate http1.Gate, req *http.Request) (*http.Response, error) {
	for hops := 0; ; hops++ {
		resp, err := c.transport.RoundTripThrough(gate, req)
		if err != nil {
			return nil, err
		}
		if resp.StatusCode == http.StatusSwitchingProtocols {
			// Not asked for. Its body is the connection, which need not ever end.
			_ = resp.Body.Close()
			resp.Body = http.NoBody
		}
		next := redirected(req, resp)
		if next == nil || hops == maxRedirects {
			return resp, nil
		}
		drain(resp.Body)
		req = next
	}
}

// redirected returns the request that a redirect leads to, or nil where resp is none or must
// not be followed: only a GET is, and never to another scheme or host, because the request
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
