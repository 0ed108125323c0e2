package upstream

import (
	"errors"
	"fmt"
	"log/slog"
	"math"
	"net/url"
	"time"

	"golang.org/x/net/http/httpguts"

	"samsara.internal/gateway/internal/lease"
	"samsara.internal/gateway/internal/quota"
)

// Config configures a Client. BaseURL and Token are required; every other field may be zero
// and then takes its default.
type Config struct {
	// BaseURL is scheme (https, or http for an upstream on this machine), host and an
	// optional path prefix.
	BaseURL *url.URL
	// Token is what every attempt is authorized by. See StaticToken and FileToken.
	Token *Token
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
	// there is no room waits with its connection until 100 ms before its attempt ends, by the
	// rules of package lease. Counted are buffers, which are up to an eighth larger than what they
	// hold, and for each body half as much again for its message. What a message needs beyond
	// that, and error bodies, are counted but do not wait. The largest body fits if there is
	// 12/5 of MaxResponseBytes. Default 256 MiB; at least 16 KiB.
	Memory *lease.Pool
	// Quota admits every attempt; nil: nothing is waited for. It must outlive the calls.
	Quota *quota.Limiter
	// CacheTTL says how old a cached answer to a method may be, by full method, and thus which are
	// cached if CacheBytes is set: repeatable GETs without Header, Body and NoStore. Default none.
	CacheTTL func(fullMethod string) time.Duration
	// CacheBytes bounds the memory of the cache, what it needs to find responses included; 0:
	// there is no cache.
	CacheBytes int64
	Transport  TransportConfig
	// Observer is told of every attempt. Default none.
	Observer Observer
	// ReadObserver is told of every read. Default none.
	ReadObserver ReadObserver
	// Logger gets one debug record a failed attempt, a warning where the circuit opens and a word
	// when it has closed again. Default none.
	Logger *slog.Logger
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
	} else if err := checkToken(cfg.Token.get()); err != nil {
		require(false, "Token: %v", err)
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
