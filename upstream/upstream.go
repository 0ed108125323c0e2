// Package upstream is the HTTP side of the gateway: it sends requests to the Samsara REST API,
// again where that helps and does no harm, and maps what comes back onto bodies and gRPC codes.
//
// It guarantees that every error is an *Error whose code follows from the HTTP status alone,
// never from a text; that an attempt whose outcome is unknown is repeated only where the
// request says that it may be; that no wait outlives the caller's deadline; that every wait and
// every size is bounded, and the memory of all responses together; that connections and buffers
// are used again; that callers who read the same at the same time share one upstream call, but
// neither their deadlines nor their tokens; and that the API token goes to the configured host
// only and stands in no error, log or observation.
//
// It refuses responses above a size, redirects to other hosts, and 2XX bodies that are not JSON
// of the expected kind.
package upstream

import (
	"cmp"
	"context"
	"fmt"
	"log/slog"
	"net/http"
	"net/url"
	"strings"
	"sync/atomic"
	"time"

	"github.com/cenkalti/backoff/v5"

	"samsara.internal/gateway/internal/lease"
	"samsara.internal/gateway/internal/quota"
)

// Attempt is one HTTP attempt as an Observer sees it.
type Attempt struct {
	Method, Template string
	// Status is the HTTP status, 0 where there was no response.
	Status int
	// Reason is the Error's reason, empty where a 2XX response was read to its end.
	Reason string
	// Duration is from connecting to the last byte of the body.
	Duration time.Duration
}

// Observer is told of every attempt, concurrently.
type Observer interface {
	ObserveAttempt(ctx context.Context, a Attempt)
}

// Source is where the answer to a read comes from.
type Source int

// The sources.
const (
	// SourceUpstream means that the upstream was asked.
	SourceUpstream Source = iota
	// SourceShared means that another call was asking the same.
	SourceShared
	// SourceCache means that the answer was in the cache.
	SourceCache
)

// Read is a read as a ReadObserver sees it: a repeatable GET without Header, Body and NoStore.
type Read struct {
	Template string
	Source   Source
	// Cacheable is whether the cache was asked.
	Cacheable bool
}

// ReadObserver is told where the answer to every read comes from, concurrently. The answer may be
// an error, unless it was in the cache.
type ReadObserver interface {
	ObserveRead(ctx context.Context, r Read)
}

// Client calls the REST API. It is safe for concurrent use.
type Client struct {
	cfg                  Config
	scheme, host, prefix string
	fixed                http.Header

	transport transport
	budget    *budget
	breaker   *breaker
	bodies    bodies
	// own holds what is for nobody else.
	own     *lease.Holder
	flights flights
	cache   *cache // nil where there is none
	// authorized is that of the token sent last.
	authorized atomic.Pointer[authorized]
}

// New returns a client. The error names every field that is out of bounds.
func New(cfg Config) (*Client, error) {
	cfg = withDefaults(cfg)
	if err := cfg.check(); err != nil {
		return nil, fmt.Errorf("upstream: %w", err)
	}
	kept, err := newCache(cfg.CacheBytes)
	if err != nil {
		return nil, fmt.Errorf("upstream: cache: %w", err)
	}
	transport, err := newTransport(cfg.Transport, cfg.BaseURL)
	if err != nil {
		kept.close()
		return nil, fmt.Errorf("upstream: %w", err)
	}
	return &Client{
		cfg:       cfg,
		scheme:    cfg.BaseURL.Scheme,
		host:      cfg.BaseURL.Host,
		prefix:    strings.TrimRight(cfg.BaseURL.EscapedPath(), "/"),
		fixed:     fixedHeader(cfg),
		transport: transport,
		budget:    newBudget(cfg.Retry.Budget),
		breaker:   newBreaker(cfg.Breaker, cfg.Logger),
		own:       cfg.Memory.Holder(nil),
		cache:     kept,
	}, nil
}

// Close closes idle connections and ends the cache's own goroutine. Calls that run go on.
func (c *Client) Close() {
	c.transport.CloseIdleConnections()
	c.cache.close()
}

// CachedBytes returns how much memory cached responses hold now. See Config.CacheBytes.
func (c *Client) CachedBytes() int64 { return c.cache.bytes() }

// Circuit returns the state of the circuit breaker. See BreakerPolicy.
func (c *Client) Circuit() Circuit { return c.breaker.current() }

// Do makes a call of one of the client's operations: it sends a request, again where the retry policy says so, and returns its 2XX response. Every
// error is an *Error. It returns when ctx ends at the latest. The response must be released.
//
// An attempt that is refused with 401 is repeated once and at once if the token in use is another
// one now, whatever the retry policy says: 401 comes before a request is processed. For that the
// token's file is read again, at most once a second, and the call waits for it: a second at most, a
// quarter more after the first refusal of a token, but not beyond 100 ms before its deadline.
//
// Where a repeatable GET without Header, Body and NoStore asks what another with the same token is
// asking, it gets that one's response or error instead of an upstream call of its own, unless a
// request that is no GET has ended in between, or that one still waits for the quota as another
// Caller or with another priority. The end of that one's context does not become its own, nor does
// what the quota refuses it.
func (c *Client) Do(ctx context.Context, op *Operation, asked Call) (*Response, error) {
	asked.Method = cmp.Or(op.method, asked.Method)
	call := &call{Call: asked, op: op, memory: cmp.Or(asked.Memory, c.own)}
	if err := c.aim(call); err != nil {
		return nil, call.failed(fault(ReasonRequestInvalid, err.Error(), err))
	}
	if call.Method != http.MethodGet {
		defer c.flights.wrote()
	}
	var resp *Response
	var failure *Error
	if call.isRead() {
		resp, failure = c.read(ctx, call)
	} else {
		resp, failure = c.exchange(ctx, call)
	}
	if failure != nil {
		return nil, failure
	}
	return resp, nil
}

// exchange makes attempts until one succeeds or there is no other.
func (c *Client) exchange(ctx context.Context, call *call) (*Response, *Error) {
	var waits *backoff.ExponentialBackOff
	for {
		resp, failure := c.try(ctx, call)
		if failure == nil {
			return resp, nil
		}
		if c.renewed(ctx, call, failure) {
			continue
		}
		if waits == nil {
			waits = c.cfg.Retry.backoff()
		}
		wait, ok := c.again(ctx, call, failure, waits)
		if !ok {
			return nil, failure
		}
		if !call.op.quota.Rest(ctx, call.From, wait) {
			return nil, call.failed(ended(ctx))
		}
	}
}

// call is the state of one Do.
type call struct {
	Call
	op  *Operation
	url *url.URL
	// authorized is what the last attempt was sent with.
	*authorized
	attempts int
	// renewed is whether an attempt was repeated because there was another token.
	renewed bool
	// asked is when the last attempt was made.
	asked time.Time
	// permit is the quota's, for the attempt.
	permit quota.Permit
	// flight is what others that ask the same wait for.
	flight flight
	// memory is who holds the answer.
	memory *lease.Holder
	// body is that of the attempt, if it has any and that has not become the response's.
	body body
}

// failed completes an error of the call.
func (call *call) failed(failure *Error) *Error {
	failure.Method, failure.Template, failure.Attempts = call.Method, call.op.template, call.attempts
	return failure
}

// try makes one attempt and translates its result. Where the caller is gone, the circuit is open or
// the quota is used up there is no attempt, only the error.
func (c *Client) try(ctx context.Context, call *call) (*Response, *Error) {
	if ctx.Err() != nil {
		return nil, call.failed(ended(ctx))
	}
	call.authorized = c.authorize()
	if refusal := c.breaker.refusal(); refusal != nil {
		return nil, call.failed(refusal) // without waiting first
	}
	if refusal := admit(ctx, call); refusal != nil {
		return nil, call.failed(refusal)
	}
	call.flight.sent.Store(true)
	pass, refusal := c.breaker.allow()
	if refusal != nil {
		return nil, call.failed(refusal)
	}
	outcome := errNoVerdict
	defer func() { pass.end(outcome) }() // even where an Observer panics
	if call.attempts++; call.attempts == 1 {
		c.budget.countCall()
	}
	defer call.body.drop()

	call.asked = time.Now()
	got, failure := c.attempt(ctx, call)
	seen := Attempt{Method: call.Method, Template: call.op.template, Status: got.status, Duration: time.Since(call.asked)}
	if failure != nil {
		seen.Status, seen.Reason = failure.HTTPStatus, failure.Reason
	}
	if c.cfg.Observer != nil {
		c.cfg.Observer.ObserveAttempt(ctx, seen)
	}

	var resp *Response
	if failure == nil {
		resp, failure = translate(call, got)
	}
	outcome = health(failure)
	if failure == nil {
		return resp, nil
	}
	pauseQuota(ctx, call, failure)
	c.cfg.Logger.LogAttrs(ctx, slog.LevelDebug, "upstream attempt failed",
		slog.String("method", call.Method), slog.String("path", call.op.template), slog.Int("attempt", call.attempts),
		slog.Int("status", failure.HTTPStatus), slog.String("reason", failure.Reason), slog.String("message", failure.Message),
		slog.String("request_id", failure.RequestID), slog.Duration("duration", seen.Duration))
	return nil, call.failed(failure)
}
