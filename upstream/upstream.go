package upstream

import (
	"cmp"
	"context"
	"fmt"
	"net/http"
	"strings"

	apiv1 "samsara.internal/gateway/gen/api/v1"
	"samsara.internal/gateway/internal/lease"
	"samsara.internal/gateway/internal/quota"
)

// Client calls the REST API. It is safe for concurrent use.
type Client struct {
	cfg       Config
	site      site
	transport transport
	// own holds the answers to requests without a holder of their own.
	own *lease.Holder
	// The layers that a request goes through, in this order.
	cache   cache
	share   share
	retry   retry
	admit   admit
	attempt attempt
}

// New returns a client. The error names every field of the configuration that is out of bounds.
func New(cfg Config) (*Client, error) {
	cfg = withDefaults(cfg)
	if err := cfg.check(); err != nil {
		return nil, fmt.Errorf("upstream: %w", err)
	}
	transport, err := newTransport(cfg.Transport, cfg.BaseURL)
	if err != nil {
		return nil, fmt.Errorf("upstream: %w", err)
	}
	c := &Client{
		cfg:       cfg,
		site:      site{cfg.BaseURL.Scheme, cfg.BaseURL.Host, strings.TrimRight(cfg.BaseURL.EscapedPath(), "/")},
		transport: transport,
		own:       cfg.Memory.Holder(nil),
	}
	c.attempt = attempt{
		transport: transport, timeout: cfg.AttemptTimeout, maxBytes: cfg.MaxResponseBytes,
		counted: cfg.AttemptHeader, observer: cfg.Observer, tracer: cfg.Tracer, log: cfg.Logger,
	}
	c.admit = newAdmit(&cfg, &c.attempt)
	c.retry = retry{
		next: &c.admit, policy: cfg.Retry, tokens: cfg.Token, header: newAuthorizer(cfg.Token, c.fixedHeader()), observer: cfg.RetryObserver,
	}
	c.share = share{next: &c.retry, observer: cfg.ReadObserver, tracer: cfg.Tracer}
	c.cache = cache{next: &c.share, tokens: cfg.Token, observer: cfg.ReadObserver, tracer: cfg.Tracer}
	if err := c.cache.open(cfg.CacheBytes); err != nil {
		return nil, fmt.Errorf("upstream: cache: %w", err)
	}
	return c, nil
}

// Close closes idle connections and ends the cache's own goroutine. Requests under way go on.
func (c *Client) Close() {
	c.transport.CloseIdleConnections()
	c.cache.close()
}

// CachedBytes returns how much memory cached responses hold now. See Config.CacheBytes.
func (c *Client) CachedBytes() int64 { return c.cache.bytes() }

// Circuit returns the state of the host's circuit breaker. See BreakerPolicy.
func (c *Client) Circuit() Circuit { return c.admit.host.current() }

// TokenRefused reports whether the upstream has refused the token in use with 401, and has answered no request with it
// since.
func (c *Client) TokenRefused() bool { return c.retry.header.isRefused() }

// OpenCircuits returns how many circuits of operations, callers and tenants are not closed: at most
// 1,024, and one more for each operation. See BreakerPolicy.
func (c *Client) OpenCircuits() int { return c.admit.records.open() }

// Operation returns the operation of a specification. It is for start-up: the error says that the
// operation has a limit that cannot be kept.
func (c *Client) Operation(spec OperationSpec) (*Operation, error) {
	e := spec.Endpoint
	op := &Operation{name: PassthroughOperation, template: PassthroughOperation}
	stated := quota.Limit{}
	if e != nil {
		op.name = strings.TrimPrefix(e.FullMethod, "/")
		if limit := e.Operation.GetRateLimit(); limit != nil {
			stated = quota.Limit{Requests: int(limit.GetRequests()), Window: limit.GetWindow().AsDuration()}
		}
		if !spec.Passthrough {
			op.method, op.template, op.repeatable = e.HTTPMethod, e.Operation.GetPath(), e.Operation.GetRepeatable()
			op.decoder = e.Response
			op.reads = e.HTTPMethod == http.MethodGet || e.HTTPMethod == http.MethodPost && op.repeatable
			op.requires, op.requiresData = e.RequiresResponse, e.RequiresData
			op.pages = spec.Pages
			op.noBody = !e.HasResponse || e.Operation.GetSuccessStatus() == http.StatusNoContent
			if !spec.Pages && op.decoder != nil && c.cfg.CacheBytes > 0 {
				op.cacheTTL = c.cfg.CacheTTL(e.FullMethod)
			}
		}
	}
	if c.cfg.Quota == nil {
		return op, nil
	}
	var err error
	if op.quota, err = c.cfg.Quota.Operation(op.name, stated); err != nil {
		return nil, fmt.Errorf("upstream: method %s: %w", op.name, err)
	}
	return op, nil
}

// Do makes a request of one of the client's operations: it makes attempts, as many as the retry policy
// allows, and returns the 2XX response. Every error is an *Error. Do returns when ctx ends at the
// latest. The response must be released.
//
// The error is what Samsara or the network said of the last attempt. If a further attempt is refused,
// NotRepeated and RetryAfter of that error say why. A refusal is the error only if there was no attempt.
//
// An attempt that is refused with 401 is repeated once, immediately and whatever the retry policy says,
// if another token is in use by then: 401 comes before a request is processed. For that the token's
// file is read again, at most once a second, and Do waits for it: a second at most, a quarter more
// after the first refusal of a token, but not beyond 100 ms before the deadline.
//
// A repeatable GET without Header, Body and NoStore shares the response or the error of another one
// that asks the same with the same token at the same time. It makes attempts of its own if a request
// other than a GET has ended in between, or if the other one still waits for the quota as another
// Caller or with another priority. It also does if the context of the other one ends, or if the quota,
// a circuit or a retry budget refuses the other one as that Caller.
func (c *Client) Do(ctx context.Context, op *Operation, req Request) (*Response, error) {
	r := request{Request: req, op: op}
	if failure := c.aim(&r); failure != nil {
		return nil, failure
	}
	resp, failure := c.cache.do(ctx, &r)
	if failure != nil {
		return nil, failure
	}
	return resp, nil
}

// aim completes what the attempts of a request have in common, or returns why it cannot be sent.
func (c *Client) aim(req *request) *Error {
	req.Method, req.memory = cmp.Or(req.op.method, req.Method), cmp.Or(req.Memory, c.own)
	var err error
	if req.url, err = c.site.aim(&req.Request); err != nil {
		return req.failed(fault(apiv1.Reason_REASON_GATEWAY_INTERNAL, err.Error(), err))
	}
	return nil
}

// fixedHeader returns the header fields that every HTTP request has.
func (c *Client) fixedHeader() http.Header {
	header := http.Header{}
	header.Set("Accept", "application/json")
	header.Set("User-Agent", c.cfg.UserAgent)
	if c.cfg.APIVersion != "" {
		header.Set("X-Samsara-Version", c.cfg.APIVersion)
	}
	if c.cfg.Transport.Gzip {
		header.Set("Accept-Encoding", "gzip")
	}
	return header
}
