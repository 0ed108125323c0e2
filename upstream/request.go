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
	"sync/atomic"

	"golang.org/x/net/http/httpguts"

	"samsara.internal/gateway/internal/lease"
)

// request is what the attempts of a call have in common. Only share writes to it, before there is any.
type request struct {
	Call
	op  *Operation
	url *url.URL
	// memory is who holds the answer.
	memory *lease.Holder
	// sent is set when the quota has let an attempt through; nil: nobody asks.
	sent *atomic.Bool
}

// isRead reports whether the answer to a call may be that to another.
func (r *request) isRead() bool {
	return r.Method == http.MethodGet && r.op.isRepeatable(r.Method) && len(r.Header) == 0 && len(r.Body) == 0 && !r.NoStore
}

// isRepeatable reports whether an attempt of unknown outcome may be repeated.
func (r *request) isRepeatable() bool { return r.RetryAlways || r.op.isRepeatable(r.Method) }

// failed completes an error of the call, of which no attempt has been made.
func (r *request) failed(failure *Error) *Error { return r.failedAfter(failure, 0, effectNone) }

// failedAfter completes an error of the call after so many attempts with such an effect.
func (r *request) failedAfter(failure *Error, attempts int, done effect) *Error {
	failure.Method, failure.Template, failure.Attempts = r.Method, r.op.template, attempts
	failure.Processed = processed(r.Method, done)
	return failure
}

// site is where requests go.
type site struct{ scheme, host, prefix string }

// aim returns the URL of a call, and says why the call breaks the rules of its fields. It shows nothing
// of their values, which may be personal.
func (s site) aim(call *Call) (*url.URL, error) {
	switch call.Method {
	case http.MethodGet, http.MethodPost, http.MethodPut, http.MethodPatch, http.MethodDelete:
	default:
		return nil, errors.New("method must be GET, POST, PUT, PATCH or DELETE")
	}
	escaped := s.prefix + call.Path
	path, err := url.PathUnescape(escaped)
	target := &url.URL{Scheme: s.scheme, Host: s.host, Path: path, RawPath: escaped, RawQuery: call.Query}
	if err != nil || !strings.HasPrefix(call.Path, "/") || strings.HasPrefix(call.Path, "//") || target.EscapedPath() != escaped {
		return nil, errors.New("path must be an escaped path that begins with one slash")
	}
	if strings.ContainsFunc(call.Query, func(r rune) bool { return r <= ' ' || r > '~' || r == '#' }) {
		return nil, errors.New("query must be escaped")
	}
	for _, h := range call.Header {
		if !httpguts.ValidHeaderFieldName(h.Name) || !httpguts.ValidHeaderFieldValue(h.Value) {
			return nil, errors.New("header must have valid names and values")
		}
	}
	return target, nil
}

// httpRequest returns the request of an attempt with a header.
func (r *request) httpRequest(ctx context.Context, header http.Header) *http.Request {
	req := (&http.Request{Method: r.Method, URL: r.url, Header: header}).WithContext(ctx)
	if body := r.Body; len(body) > 0 {
		req.ContentLength = int64(len(body))
		req.GetBody = func() (io.ReadCloser, error) { return io.NopCloser(bytes.NewReader(body)), nil }
		req.Body = io.NopCloser(bytes.NewReader(body))
	}
	return req
}

// authorized is the header of a request that has nothing of its own, with the token in it. It
// is shared between requests, since net/http does not write to it. Requests with the same one have
// the same token.
type authorized struct {
	token  string
	header http.Header
}

// authorizer keeps the header for the token in use.
type authorizer struct {
	tokens *Token
	fixed  http.Header
	last   atomic.Pointer[authorized]
}

func newAuthorizer(token *Token, fixed http.Header) *authorizer {
	return &authorizer{tokens: token, fixed: fixed}
}

// authorize returns the header for the token in use.
func (a *authorizer) authorize() *authorized {
	token := a.tokens.get()
	known := a.last.Load()
	if known != nil && known.token == token {
		return known
	}
	header := maps.Clone(a.fixed)
	header.Set("Authorization", "Bearer "+token)
	fresh := &authorized{token, header}
	if !a.last.CompareAndSwap(known, fresh) {
		return a.authorize() // Another call was quicker: a token has but one header.
	}
	return fresh
}

// header returns the header of an attempt, which counts itself in a field if counted names one.
func (r *request) header(with *authorized, counted string, attempt int) http.Header {
	if len(r.Header) == 0 && len(r.Body) == 0 && counted == "" {
		return with.header
	}
	header := maps.Clone(with.header)
	for _, h := range r.Header {
		if name := http.CanonicalHeaderKey(h.Name); !reserved(name) {
			header[name] = append(header[name], h.Value)
		}
	}
	if len(r.Body) > 0 {
		header.Set("Content-Type", "application/json")
	}
	if counted != "" {
		header.Set(counted, strconv.Itoa(attempt))
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
