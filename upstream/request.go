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

	apiv1 "samsara.internal/gateway/gen/api/v1"
	"samsara.internal/gateway/internal/lease"
	"samsara.internal/gateway/internal/tracing"
)

// request is a Request with what its attempts have in common. Only share writes to it, before the first
// attempt.
type request struct {
	Request
	op  *Operation
	url *url.URL
	// memory is the holder of the answer.
	memory *lease.Holder
	// sent is set when the quota has let an attempt through. It is nil if nobody asks.
	sent *atomic.Bool
}

// isRead reports whether the answer to a request may also be that to another one.
func (r *request) isRead() bool {
	return r.Method == http.MethodGet && r.op.isRepeatable(r.Method) && len(r.Header) == 0 && len(r.Body) == 0 && !r.NoStore
}

// isRepeatable reports whether an attempt of unknown outcome may be repeated.
func (r *request) isRepeatable() bool { return r.RetryAlways || r.op.isRepeatable(r.Method) }

// failed completes the error of a request without attempts.
func (r *request) failed(failure *Error) *Error { return r.failedAfter(failure, 0, effectNone) }

// failedAfter completes the error of a request after a number of attempts, with the effect of them all.
func (r *request) failedAfter(failure *Error, attempts int, done effect) *Error {
	failure.Method, failure.Template, failure.Attempts = r.Method, r.op.template, attempts
	failure.Processed = processed(r.Method, done)
	return failure
}

// site is the server that requests are sent to.
type site struct{ scheme, host, prefix string }

// aim returns the URL of a request. The error says which rule of its fields the request breaks, and
// shows none of their values, which may be personal.
func (s site) aim(req *Request) (*url.URL, error) {
	switch req.Method {
	case http.MethodGet, http.MethodPost, http.MethodPut, http.MethodPatch, http.MethodDelete:
	default:
		return nil, errors.New("method must be GET, POST, PUT, PATCH or DELETE")
	}
	escaped := s.prefix + req.Path
	path, err := url.PathUnescape(escaped)
	target := &url.URL{Scheme: s.scheme, Host: s.host, Path: path, RawPath: escaped, RawQuery: req.Query}
	if err != nil || !strings.HasPrefix(req.Path, "/") || strings.HasPrefix(req.Path, "//") || target.EscapedPath() != escaped {
		return nil, errors.New("path must be an escaped path that begins with one slash")
	}
	if strings.ContainsFunc(req.Query, func(r rune) bool { return r <= ' ' || r > '~' || r == '#' }) {
		return nil, errors.New("query must be escaped")
	}
	for _, h := range req.Header {
		if !httpguts.ValidHeaderFieldName(h.Name) || !httpguts.ValidHeaderFieldValue(h.Value) {
			return nil, errors.New("header must have valid names and values")
		}
	}
	return target, nil
}

// httpRequest returns the HTTP request of an attempt, with a header.
func (r *request) httpRequest(ctx context.Context, header http.Header) *http.Request {
	req := (&http.Request{Method: r.Method, URL: r.url, Header: header}).WithContext(ctx)
	if body := r.Body; len(body) > 0 {
		req.ContentLength = int64(len(body))
		req.GetBody = func() (io.ReadCloser, error) { return io.NopCloser(bytes.NewReader(body)), nil }
		req.Body = io.NopCloser(bytes.NewReader(body))
	}
	return req
}

// authorized is the header of an HTTP request without fields of its own, with the token in it. Requests
// share it, since net/http does not write to it. Requests that share one have the same token.
type authorized struct {
	token  string
	key    string // of the token
	header http.Header
}

// authorizer keeps the header for the token in use.
type authorizer struct {
	tokens Tokens
	fixed  http.Header
	last   atomic.Pointer[authorized]
	// bad is the key for which the upstream has refused a token, and taken none since; nil: none.
	bad atomic.Pointer[string]
}

// took notes that the upstream has answered a request with a token.
func (a *authorizer) took(with *authorized) {
	if bad := a.bad.Load(); bad != nil && *bad == with.key {
		a.bad.CompareAndSwap(bad, nil)
	}
}

// wasRefused notes that the upstream has refused a token.
func (a *authorizer) wasRefused(with *authorized) { a.bad.Store(&with.key) }

// isRefused reports whether the upstream has refused a token for the key in use, and taken none since.
func (a *authorizer) isRefused() bool {
	bad := a.bad.Load()
	return bad != nil && *bad == a.tokens.Key()
}

func newAuthorizer(tokens Tokens, fixed http.Header) *authorizer {
	return &authorizer{tokens: tokens, fixed: fixed}
}

// authorize returns the header for the token in use, or why there is none.
func (a *authorizer) authorize(ctx context.Context) (*authorized, *Error) {
	token, key, wait, err := a.tokens.Get(ctx)
	if err != nil && ctx.Err() != nil {
		return nil, interrupted(ctx, "", err, false)
	}
	if err != nil {
		failure := fault(apiv1.Reason_REASON_GATEWAY_CREDENTIALS, err.Error(), err)
		failure.RetryAfter, failure.RetryAfterKnown = wait, wait > 0
		return nil, failure
	}
	known := a.last.Load()
	if known != nil && known.token == token && known.key == key {
		return known, nil
	}
	header := maps.Clone(a.fixed)
	header.Set("Authorization", "Bearer "+token)
	fresh := &authorized{token, key, header}
	if !a.last.CompareAndSwap(known, fresh) {
		return a.authorize(ctx) // Another request was quicker: there is one header for a token.
	}
	return fresh, nil
}

// requestIDHeader has the name of a request.
const requestIDHeader = "X-Request-Id"

// header returns the header of an attempt, which is at a place in a trace. If counted is not empty it names the
// field with the number of the attempt.
func (r *request) header(with *authorized, counted string, attempt int, at tracing.Context) http.Header {
	if len(r.Header) == 0 && len(r.Body) == 0 && r.ID == "" && counted == "" && at.Parent == "" {
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
	if r.ID != "" {
		header.Set(requestIDHeader, r.ID)
	}
	if counted != "" {
		header.Set(counted, strconv.Itoa(attempt))
	}
	if at.Parent != "" {
		header.Set(tracing.ParentKey, at.Parent)
		if header.Del(tracing.StateKey); at.State != "" {
			header.Set(tracing.StateKey, at.State)
		}
	}
	return header
}

// reserved reports whether a header field is set by the client or net/http alone: the fields that say
// who asks and for what, those that frame the message or steer the connection, and those with which
// net/http would repeat a request by itself.
func reserved(name string) bool {
	switch name {
	case "Authorization", "Cookie", "Proxy-Authorization", "User-Agent", "X-Samsara-Version",
		"Accept", "Accept-Encoding", "Content-Encoding", "Content-Length", "Content-Type", "Range",
		"Connection", "Expect", "Host", "Keep-Alive", "Proxy-Connection", "Te", "Trailer", "Transfer-Encoding", "Upgrade",
		"Idempotency-Key", "X-Idempotency-Key", requestIDHeader:
		return true
	default:
		return false
	}
}
