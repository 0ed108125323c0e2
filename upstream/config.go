package upstream

import (
	"context"
	"crypto/x509"
	"errors"
	"fmt"
	"log/slog"
	"math"
	"net/url"
	"time"

	"golang.org/x/net/http/httpguts"

	"samsara.internal/gateway/internal/http1"
	"samsara.internal/gateway/internal/lease"
	"samsara.internal/gateway/internal/quota"
	"samsara.internal/gateway/internal/tracing"
)

// Config configures a Client. BaseURL and Token are required. Every other field takes its default if it
// is zero.
type Config struct {
	// BaseURL is scheme (https, or http for an upstream on this machine), host and an
	// optional path prefix.
	BaseURL *url.URL
	// Token authorizes every attempt. See StaticToken, FileToken and package oauth.
	Token Tokens
	// APIVersion is sent as X-Samsara-Version; empty: not sent.
	APIVersion string
	// UserAgent is sent as User-Agent. Default "samsara-gateway".
	UserAgent string
	// AttemptHeader is the name of a header that carries the attempt's number, counted from
	// 1; empty: not sent.
	AttemptHeader string
	Retry         RetryPolicy
	Breaker       BreakerPolicy
	// AttemptTimeout bounds one attempt, from connecting to the last byte of the body.
	// Default 95 s, because the API itself gives up after 90 s.
	AttemptTimeout time.Duration
	// MaxResponseBytes bounds a response body after decompression. Default 64 MiB, at most
	// 2 GiB - 1.
	MaxResponseBytes int64
	// Memory bounds the memory of all response bodies and messages at one time. A body for which
	// there is no room waits, with its connection, until 100 ms before its attempt ends, by the
	// rules of package lease. It counts buffers, which are up to an eighth larger than what they
	// hold, and for each body half as much again for its message. What a message needs beyond
	// that, and error bodies, are counted but do not wait. The largest body fits if Memory is at
	// least 12/5 of MaxResponseBytes. Default 256 MiB; at least 16 KiB.
	Memory *lease.Pool
	// Quota admits every attempt; nil: nothing is waited for. It must outlive the requests.
	Quota *quota.Limiter
	// CacheTTL returns how old a cached answer to a method may be, by full method; 0: it is not cached.
	// It applies if CacheBytes is set, to repeatable GETs without Header, Body and NoStore. By default
	// nothing is cached.
	CacheTTL func(fullMethod string) time.Duration
	// CacheBytes bounds the memory of the cache, including what it needs to find responses; 0: there is
	// no cache.
	CacheBytes int64
	Transport  TransportConfig
	// Observer is told of every attempt. Default none.
	Observer Observer
	// ReadObserver is told of every read. Default none.
	ReadObserver ReadObserver
	// RetryObserver is told of every attempt that failed by what may pass. Default none.
	RetryObserver RetryObserver
	// Tracer makes spans of attempts, and of what is waited for before them, for calls whose own span is recorded. nil:
	// there are none.
	Tracer *tracing.Tracer
	// Logger gets a debug line for each failed attempt, a warning if a circuit opens, and an
	// informational line when it has closed again. Default none.
	Logger *slog.Logger
}

// RetryPolicy says how attempts are repeated. Zero fields take the defaults.
//
// The n-th wait is random between 0 and BaseDelay·2ⁿ⁻¹, at most MaxDelay (full jitter). If the upstream
// asks for a wait above 0 by Retry-After on 429 or 503, the wait is exactly that instead. A wait is not
// started if it would leave less than 100 ms of the caller's deadline, if it is above MaxUnboundedWait
// and there is no deadline, or if the quota, as far as it knows, would not let the attempt through in
// time after it.
type RetryPolicy struct {
	// MaxAttempts includes the first; 1 never repeats. Default 4.
	MaxAttempts int
	// BaseDelay bounds the first wait. Default 250 ms.
	BaseDelay time.Duration
	// MaxDelay bounds every random wait. Default 10 s, or BaseDelay if that is more.
	MaxDelay time.Duration
	// Budget bounds the repeated attempts within 10 s, so that they do not multiply the load of an
	// upstream that is down. An operation has at most Budget of them for each caller and tenant, and one
	// more for every ten requests since the first that failed. All together have at most ten times
	// Budget, and one more for every ten requests. Default 10: then the upstream gets at most 11
	// attempts for 10 requests, and 10 more a second.
	Budget int
}

// BreakerPolicy says when attempts are no longer made because they fail. Zero fields take the
// defaults.
//
// A circuit belongs to an operation, a caller and a tenant. Its failures are 502, 503, 504, 408 and
// connections that break. 500, 501 and other 5XX are verdicts about a request, as 4XX are: they open no
// circuit. One more circuit is the host's: its failures are connects and handshakes alone. An attempt
// that the caller or the gateway ends does not count.
//
// A circuit looks at the last seconds, ten at most. If any number of them up to now has at least
// MinAttempts attempts, and at least the share FailureRatio of these failed, the circuit opens for
// OpenFor: requests fail at once with UPSTREAM_CIRCUIT_OPEN. Attempts count from the first failure on,
// so that earlier successes do not keep the circuit closed. After OpenFor, three attempts at a time are
// let through. The circuit closes when three have been answered, and opens again when one fails. An
// attempt among these that takes longer than OpenFor makes room for another.
type BreakerPolicy struct {
	// MinAttempts is at least 1. Default 20.
	MinAttempts int
	// FailureRatio is above 0; if it is above 1 no circuit ever opens. Default 0.6.
	FailureRatio float64
	// OpenFor is positive. Default 5 s.
	OpenFor time.Duration
}

// TransportConfig sizes the connections. TLS is at least 1.2.
type TransportConfig struct {
	// MaxIdleConns is how many idle connections are kept; also per host. Default 512.
	MaxIdleConns int
	// Gzip asks the upstream for compressed bodies. Decompression costs more than translation, so
	// it is for paid or slow links.
	Gzip bool
	// HTTP2 uses HTTP/2 if an upstream over TLS offers it: fewer connections, but in
	// net/http it costs more CPU, the more the larger the bodies.
	HTTP2 bool
	// RootCAs are the certificate authorities to trust instead of the system's.
	RootCAs *x509.CertPool
	// DialContext connects instead of TCP. If it is nil, connections go through the proxy that
	// http1.ProxyFromEnvironment names, since many companies have no other way out.
	DialContext http1.DialFunc
}

// Attempt is one HTTP attempt as an Observer sees it.
type Attempt struct {
	Method, Template string
	// Operation is the full method, without the slash in front, of the operation of the API, or PassthroughOperation.
	Operation string
	// Status is the HTTP status, 0 if there was no response.
	Status int
	// Reason is the Error's reason, empty if a 2XX response was read to its end.
	Reason string
	// Duration is the time from connecting to the last byte of the body, and Translation that from there to the
	// message, 0 if no 2XX response was read to its end.
	Duration, Translation time.Duration
}

// Observer is told of every attempt, concurrently.
type Observer interface {
	ObserveAttempt(ctx context.Context, a Attempt)
}

// AnswerSource says where the answer to a read comes from.
type AnswerSource int

// The sources of answers.
const (
	// SourceUpstream means that the upstream was asked.
	SourceUpstream AnswerSource = iota
	// SourceShared means that another request was asking the same.
	SourceShared
	// SourceCache means that the answer was in the cache.
	SourceCache
)

// Read is a read as a ReadObserver sees it: a repeatable GET without Header, Body and NoStore.
type Read struct {
	Template string
	Source   AnswerSource
	// Cacheable is whether the cache was asked.
	Cacheable bool
}

// ReadObserver is told where the answer to every read comes from, concurrently. The answer may be
// an error, unless it was in the cache.
type ReadObserver interface {
	ObserveRead(ctx context.Context, r Read)
}

// Retry says what became of a request after an attempt of it that failed by what may pass.
type Retry struct {
	// Status is the HTTP status of that attempt, 0 if there was no response.
	Status int
	// Refused is why there is no further attempt, one of NotRepeatedReasons; empty: there is one.
	Refused string
}

// RetryObserver is told whether attempts are repeated, concurrently.
type RetryObserver interface {
	ObserveRetry(ctx context.Context, r Retry)
}

func withDefaults(cfg Config) Config {
	setDefault(&cfg.UserAgent, "samsara-gateway")
	setDefault(&cfg.Retry.MaxAttempts, 4)
	setDefault(&cfg.Retry.BaseDelay, 250*time.Millisecond)
	setDefault(&cfg.Retry.MaxDelay, max(10*time.Second, cfg.Retry.BaseDelay))
	setDefault(&cfg.Retry.Budget, 10)
	setDefault(&cfg.Breaker.MinAttempts, 20)
	setDefault(&cfg.Breaker.FailureRatio, 0.6)
	setDefault(&cfg.Breaker.OpenFor, 5*time.Second)
	setDefault(&cfg.AttemptTimeout, 95*time.Second)
	setDefault(&cfg.MaxResponseBytes, 64<<20)
	if cfg.Memory == nil {
		cfg.Memory = lease.NewPool(256 << 20)
	}
	if cfg.CacheTTL == nil {
		cfg.CacheTTL = func(string) time.Duration { return 0 }
	}
	setDefault(&cfg.Transport.MaxIdleConns, 512)
	if cfg.Logger == nil {
		cfg.Logger = slog.New(slog.DiscardHandler)
	}
	return cfg
}

func setDefault[T comparable](field *T, value T) {
	var zero T
	if *field == zero {
		*field = value
	}
}

func (cfg *Config) check() error {
	var problems []error
	require := func(ok bool, format string, args ...any) {
		if !ok {
			problems = append(problems, fmt.Errorf(format, args...))
		}
	}
	if u := cfg.BaseURL; u == nil {
		require(false, "BaseURL: must be set")
	} else {
		plain := url.URL{Scheme: u.Scheme, Host: u.Host, Path: u.Path, RawPath: u.RawPath}
		require((u.Scheme == "https" || u.Scheme == "http") && u.Host != "" && *u == plain,
			"BaseURL: must be http or https, a host and an optional path, is %q", u.Redacted())
	}
	if cfg.Token == nil {
		require(false, "Token: must be set")
	} else if token, ok := cfg.Token.(*Token); ok {
		err := checkToken(token.Key())
		require(err == nil, "Token: %v", err)
	}
	require(httpguts.ValidHeaderFieldValue(cfg.APIVersion), "APIVersion: must fit a header, is %q", cfg.APIVersion)
	require(httpguts.ValidHeaderFieldValue(cfg.UserAgent), "UserAgent: must fit a header, is %q", cfg.UserAgent)
	require(cfg.AttemptHeader == "" || httpguts.ValidHeaderFieldName(cfg.AttemptHeader),
		"AttemptHeader: must be the name of a header, is %q", cfg.AttemptHeader)
	require(cfg.Retry.MaxAttempts > 0, "Retry.MaxAttempts: must be at least 1, is %d", cfg.Retry.MaxAttempts)
	require(cfg.Retry.BaseDelay > 0, "Retry.BaseDelay: must be positive, is %v", cfg.Retry.BaseDelay)
	require(cfg.Retry.MaxDelay >= cfg.Retry.BaseDelay,
		"Retry.MaxDelay: must be at least Retry.BaseDelay (%v), is %v", cfg.Retry.BaseDelay, cfg.Retry.MaxDelay)
	require(cfg.Retry.Budget > 0 && cfg.Retry.Budget <= math.MaxInt32,
		"Retry.Budget: must be between 1 and %d, is %d", math.MaxInt32, cfg.Retry.Budget)
	require(cfg.Breaker.MinAttempts > 0, "Breaker.MinAttempts: must be at least 1, is %d", cfg.Breaker.MinAttempts)
	require(cfg.Breaker.FailureRatio > 0, "Breaker.FailureRatio: must be above 0, is %v", cfg.Breaker.FailureRatio)
	require(cfg.Breaker.OpenFor > 0, "Breaker.OpenFor: must be positive, is %v", cfg.Breaker.OpenFor)
	require(cfg.AttemptTimeout > 0, "AttemptTimeout: must be positive, is %v", cfg.AttemptTimeout)
	require(cfg.MaxResponseBytes > 0 && cfg.MaxResponseBytes <= math.MaxInt32,
		"MaxResponseBytes: must be between 1 and %d, is %d", math.MaxInt32, cfg.MaxResponseBytes)
	require(cfg.Memory.Limit() >= 16<<10, "Memory: must be at least %d bytes, is %d", 16<<10, cfg.Memory.Limit())
	require(cfg.CacheBytes >= 0, "CacheBytes: must not be negative, is %d", cfg.CacheBytes)
	require(cfg.Transport.MaxIdleConns > 0, "Transport.MaxIdleConns: must be positive, is %d", cfg.Transport.MaxIdleConns)
	return errors.Join(problems...)
}
