package upstream

import (
	"bytes"
	"context"
	"errors"
	"io"
	"maps"
	"net/http"
	"net/url"
	"strconv"
	"strings"

	"golang.org/x/net/http/httpguts"
)

// aim sets the URL, and says why the request breaks the rules of its fields. It shows nothing
// of their values, which may be personal.
func (c *Client) aim(call *call) error {
	switch call.Method {
	case http.MethodGet, http.MethodPost, http.MethodPut, http.MethodPatch, http.MethodDelete:
	default:
		return errors.New("method must be GET, POST, PUT, PATCH or DELETE")
	}
	escaped := c.prefix + call.Path
	path, err := url.PathUnescape(escaped)
	call.url = &url.URL{Scheme: c.scheme, Host: c.host, Path: path, RawPath: escaped, RawQuery: call.Query}
	if err != nil || !strings.HasPrefix(call.Path, "/") || strings.HasPrefix(call.Path, "//") || call.url.EscapedPath() != escaped {
		return errors.New("path must be an escaped path that begins with one slash")
	}
	if strings.ContainsFunc(call.Query, func(r rune) bool { return r <= ' ' || r > '~' || r == '#' }) {
		return errors.New("query must be escaped")
	}
	for _, h := range call.Header {
		if !httpguts.ValidHeaderFieldName(h.Name) || !httpguts.ValidHeaderFieldValue(h.Value) {
			return errors.New("header must have valid names and values")
		}
	}
	return nil
}

// httpRequest returns the request of an attempt.
func (c *Client) httpRequest(ctx context.Context, call *call) *http.Request {
	req := (&http.Request{Method: call.Method, URL: call.url, Header: c.header(call)}).WithContext(ctx)
	if len(call.Body) > 0 {
		req.ContentLength = int64(len(call.Body))
		req.GetBody = func() (io.ReadCloser, error) { return io.NopCloser(bytes.NewReader(call.Body)), nil }
		req.Body = io.NopCloser(bytes.NewReader(call.Body))
	}
	return req
}

// fixedHeader returns what every request carries.
func fixedHeader(cfg Config) http.Header {
	header := http.Header{}
	header.Set("Accept", "application/json")
	header.Set("User-Agent", cfg.UserAgent)
	if cfg.APIVersion != "" {
		header.Set("X-Samsara-Version", cfg.APIVersion)
	}
	if cfg.Transport.Gzip {
		header.Set("Accept-Encoding", "gzip")
	}
	return header
}

// authorized is the header of a request that has nothing of its own, with the token in it. It
// is shared between requests, since net/http does not write to it. Requests with the same one have
// the same token.
type authorized struct {
	token  string
	header http.Header
}

// authorize returns the header for the token in use.
func (c *Client) authorize() *authorized {
	token := c.cfg.Token.get()
	known := c.authorized.Load()
	if known != nil && known.token == token {
		return known
	}
	header := maps.Clone(c.fixed)
	header.Set("Authorization", "Bearer "+token)
	fresh := &authorized{token, header}
	if !c.authorized.CompareAndSwap(known, fresh) {
		return c.authorize() // Another call was quicker: a token has but one header.
	}
	return fresh
}

func (c *Client) header(call *call) http.Header {
	if len(call.Header) == 0 && len(call.Body) == 0 && c.cfg.AttemptHeader == "" {
		return call.header
	}
	header := maps.Clone(call.header)
	for _, h := range call.Header {
		if name := http.CanonicalHeaderKey(h.Name); !reserved(name) {
			header[name] = append(header[name], h.Value)
		}
	}
	if len(call.Body) > 0 {
		header.Set("Content-Type", "application/json")
	}
	if c.cfg.AttemptHeader != "" {
		header.Set(c.cfg.AttemptHeader, strconv.Itoa(call.attempts))
	}
	return header
}

// reserved reports whether a header is the client's own or net/http's: what says who asks and
// for what, what frames the message or steers the connection, and what would let net/http
// repeat a request by itself.
func reserved(name string) bool {
	switch name {
	case "Authorization", "Cookie", "Proxy-Authorization", "User-Agent", "X-Samsara-Version",
		"Accept", "Accept-Encoding", "Content-Encoding", "Content-Length", "Content-Type", "Range",
		"Connection", "Expect", "Host", "Keep-Alive", "Proxy-Connection", "Te", "Trailer", "Transfer-Encoding", "Upgrade",
		"Idempotency-Key", "X-Idempotency-Key":
		return true
	default:
		return false
	}
}
