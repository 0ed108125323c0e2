package http1

import (
	"bufio"
	"context"
	"crypto/tls"
	"encoding/base64"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"os"
	"time"

	"golang.org/x/net/http/httpproxy"
	"golang.org/x/net/proxy"
)

// DialFunc connects to an address of host and port.
type DialFunc = func(ctx context.Context, network, address string) (net.Conn, error)

// ProxyFromEnvironment returns the proxy for a server, nil if there is none. HTTPS_PROXY and NO_PROXY,
// also in lower case, have the meaning that they have for http.ProxyFromEnvironment: a server on loopback
// has no proxy. Nor has a server of scheme http. A malformed URL, which net/http ignores, is an error.
// Errors do not show the URL, which may hold a password.
func ProxyFromEnvironment(server *url.URL) (*url.URL, error) {
	if server.Scheme != "https" {
		return nil, nil
	}
	env := httpproxy.FromEnvironment()
	via, err := env.ProxyFunc()(server)
	if err != nil {
		return nil, err
	}
	if via == nil && env.HTTPSProxy != "" {
		env.HTTPSProxy = "http://proxy" // If this URL gives a proxy, the real one is malformed.
		if other, _ := env.ProxyFunc()(server); other != nil {
			return nil, errors.New("HTTPS_PROXY must be a URL of http, https, socks5 or socks5h, is none")
		}
	}
	switch {
	case via == nil:
		return nil, nil
	case proxyPort(via.Scheme) == "":
		return nil, fmt.Errorf("HTTPS_PROXY must be a URL of http, https, socks5 or socks5h, is of %s", via.Scheme)
	case via.Hostname() == "":
		return nil, errors.New("HTTPS_PROXY must have a host")
	}
	return via, nil
}

// proxyPort returns the port of a proxy whose URL has none; empty if the scheme is not supported.
func proxyPort(scheme string) string {
	switch scheme {
	case "http":
		return "80"
	case "https":
		return "443"
	case "socks5", "socks5h":
		return "1080"
	default:
		return ""
	}
}

// Proxy connects through a proxy, by CONNECT or SOCKS 5. The server's name is resolved by the proxy.
// Errors name the proxy's host and never its user or password. It is safe for concurrent use. Every
// field except TLS is required.
type Proxy struct {
	// URL is what ProxyFromEnvironment returned.
	URL *url.URL
	// Dial connects to the proxy.
	Dial DialFunc
	// TLS is used if the scheme is https. DialContext sets ServerName and NextProtos of a copy.
	TLS *tls.Config
	// Timeout bounds the time from dialing the proxy until it is connected to the server.
	Timeout time.Duration
	// MaxResponseHeaderBytes bounds the header of the proxy's answer.
	MaxResponseHeaderBytes int64
}

// DialContext is a DialFunc.
func (p *Proxy) DialContext(ctx context.Context, network, address string) (net.Conn, error) {
	ctx, cancel := context.WithTimeoutCause(ctx, p.Timeout, fmt.Errorf("did not connect within %v", p.Timeout))
	defer cancel()
	via := p.connect
	if p.URL.Scheme == "socks5" || p.URL.Scheme == "socks5h" {
		via = p.socks
	}
	conn, err := via(ctx, network, address)
	if err != nil {
		return nil, fmt.Errorf("proxy %s: %w", p.URL.Host, ended(ctx, err))
	}
	return conn, nil
}

func (p *Proxy) address() string {
	port := p.URL.Port()
	if port == "" {
		port = proxyPort(p.URL.Scheme)
	}
	return net.JoinHostPort(p.URL.Hostname(), port)
}

// connect connects by CONNECT (RFC 9110, section 9.3.6).
func (p *Proxy) connect(ctx context.Context, network, address string) (_ net.Conn, err error) {
	raw, err := p.Dial(ctx, network, p.address())
	if err != nil {
		return nil, err
	}
	stop := context.AfterFunc(ctx, func() { _ = raw.SetDeadline(time.Unix(1, 0)) })
	defer func() {
		if !stop() && err == nil {
			err = context.Cause(ctx)
		}
		if err != nil {
			_ = raw.Close()
		}
	}()
	conn := raw
	if p.URL.Scheme == "https" {
		below := newSocket(raw)
		below.records = new(records)
		cfg := p.TLS.Clone()
		cfg.ServerName, cfg.NextProtos = p.URL.Hostname(), nil
		secure := tls.Client(below, cfg)
		if err := secure.HandshakeContext(ctx); err != nil {
			return nil, fmt.Errorf("TLS handshake: %w", err)
		}
		conn = &secureTunnel{secure, below}
	}
	req := &http.Request{Method: http.MethodConnect, URL: &url.URL{Opaque: address}, Host: address, Header: http.Header{}}
	if user := p.URL.User; user != nil {
		password, _ := user.Password()
		req.Header.Set("Proxy-Authorization", "Basic "+base64.StdEncoding.EncodeToString([]byte(user.Username()+":"+password)))
	}
	if err := req.Write(conn); err != nil {
		return nil, err
	}
	limited := &io.LimitedReader{R: conn, N: p.MaxResponseHeaderBytes}
	reader := bufio.NewReader(limited)
	resp, err := http.ReadResponse(reader, req) //nolint:bodyclose // the body is the tunnel, or is not read
	switch {
	case err != nil && limited.N <= 0:
		return nil, fmt.Errorf("%w of %d bytes", errHeaderTooLarge, p.MaxResponseHeaderBytes)
	case err != nil:
		// The parser's error shows what it could not read, and a proxy may repeat what it was sent.
		return nil, errors.New("answer to CONNECT is malformed, or ended early")
	case resp.StatusCode/100 != 2:
		return nil, fmt.Errorf("refused to connect: %d %s", resp.StatusCode, http.StatusText(resp.StatusCode))
	case reader.Buffered() > 0:
		return nil, errors.New("sent data before there was a request")
	}
	return conn, nil
}

// socks connects by SOCKS 5 (RFC 1928).
func (p *Proxy) socks(ctx context.Context, network, address string) (net.Conn, error) {
	var auth *proxy.Auth
	if user := p.URL.User; user != nil {
		auth = &proxy.Auth{User: user.Username()}
		auth.Password, _ = user.Password()
	}
	// The connection returned is the one below the dialer's, which hides that it is a socket.
	var raw net.Conn
	dialer, err := proxy.SOCKS5(network, p.address(), auth, forward(func(ctx context.Context, network, address string) (conn net.Conn, err error) {
		raw, err = p.Dial(ctx, network, address)
		return raw, err
	}))
	if err != nil {
		return nil, err
	}
	through, ok := dialer.(proxy.ContextDialer)
	if !ok {
		return nil, errors.New("SOCKS dialer takes no context")
	}
	if _, err := through.DialContext(ctx, network, address); err != nil {
		return nil, err
	}
	return raw, nil
}

// forward is a DialFunc as a dialer of package proxy.
type forward DialFunc

// Dial implements proxy.Dialer.
func (f forward) Dial(network, address string) (net.Conn, error) {
	return f(context.Background(), network, address)
}

// DialContext implements proxy.ContextDialer.
func (f forward) DialContext(ctx context.Context, network, address string) (net.Conn, error) {
	return f(ctx, network, address)
}

// secureTunnel is a connection to a server within a TLS connection to a proxy.
type secureTunnel struct {
	*tls.Conn
	below *socket
}

// readNow reads what has arrived, or returns os.ErrDeadlineExceeded if nothing has.
func (t *secureTunnel) readNow(p []byte) (int, error) {
	n, err := t.below.look(t.Conn, p)
	if n == 0 && errors.Is(err, os.ErrDeadlineExceeded) && !t.below.records.whole() {
		return 0, errNotQuiet
	}
	return n, err
}

// Close closes the connection without close_notify: TLS would wait until the proxy takes it.
func (t *secureTunnel) Close() error { return t.below.Close() }
