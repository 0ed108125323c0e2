package config

import (
	"log/slog"
	"math"
	"runtime/debug"
	"slices"
	"strings"
	"time"

	"github.com/spf13/pflag"

	"samsara.internal/gateway/internal/quota"
)

// APIDocumentVersion is the version of the OpenAPI document that the API surface was written
// from.
const APIDocumentVersion = "2025-10-23"

// TokenVariable is the environment variable that holds the API token.
const TokenVariable = "SAMSARA_API_TOKEN" //nolint:gosec // The variable's name, not a token.

// LogFormat is how log lines are written.
type LogFormat string

// The formats.
const (
	LogText LogFormat = "text"
	LogJSON LogFormat = "json"
)

// CacheTTL returns how old a cached response to a gRPC method may be, whose name may have a slash
// in front: what the first rule that matches says, or 0 where none does. 0 means that it is not
// cached.
func (c Config) CacheTTL(method string) time.Duration {
	rule, _ := c.CacheRule(method)
	return rule.TTL
}

// CacheRule returns the first rule that matches a method, if one does.
func (c Config) CacheRule(method string) (rule CacheRule, ok bool) {
	return first(c.Cache, func(r CacheRule) bool { return r.Methods.Match(method) })
}

// QuotaLimit returns the first limit that is configured for a method, if one is.
func (c Config) QuotaLimit(method string) (limit quota.Override, ok bool) {
	return first(c.QuotaLimits, func(o quota.Override) bool { return o.Operations.Match(method) })
}

func first[T any](all []T, is func(T) bool) (T, bool) {
	if i := slices.IndexFunc(all, is); i >= 0 {
		return all[i], true
	}
	var none T
	return none, false
}

// Problem is what is wrong with the value of a setting.
type Problem struct {
	// Setting is its name, such as api-token-file.
	Setting string
	Err     error
}

// Check finds what is wrong with a configuration beyond what this package knows. What it is given
// may have other problems already.
type Check func(c *Config) []Problem

// Load reads the configuration from the arguments, which do not include the program's name,
// the environment in the form of os.Environ, and the file that either of them names, for a gateway
// that serves api. Sizes and numbers that none of them gives may follow the memory limit of the Go
// runtime, which has to be set before. The checks' problems are listed with its own. The error is an
// *Error, or pflag.ErrHelp if help was asked for.
func Load(args, environ []string, api API, checks ...Check) (Config, error) {
	c := defaults()
	l := newLoader(c.settings())
	flags, rest, help := l.fromArgs(args)
	if help {
		return Config{}, pflag.ErrHelp
	}
	l.noArguments(rest)
	env := l.fromEnviron(environ)
	file := l.fromFile(lastOf("config", env, flags))
	l.apply(file)
	l.apply(env)
	l.apply(flags)
	c.APIToken = l.token(environ)
	c.size(debug.SetMemoryLimit(-1))
	c.check(l)
	c.checkTarget(l)
	api.check(l, &c)
	l.run(&c, checks)
	return c, l.err()
}

// size sets the sizes that follow from a memory limit and were not given.
func (c *Config) size(limit int64) {
	const kib, mib = 1 << 10, 1 << 20
	if c.MaxInFlightBytes == 0 {
		c.MaxInFlightBytes = 256 * mib
		if limit != NoMemoryLimit {
			c.MaxInFlightBytes = max(mib, limit/3/kib*kib)
		}
	}
	if c.MaxResponseBytes == 0 {
		c.MaxResponseBytes = min(64*mib, c.MaxInFlightBytes/3/kib*kib)
	}
	if c.MaxConcurrentCalls == 0 {
		c.MaxConcurrentCalls = 50_000
		if limit != NoMemoryLimit {
			// A call that waits costs about 25 KiB, for which there is an eighth of the memory. One whose
			// request has not been read may keep 64 KiB more of it in grpc's buffers, a quarter in all.
			c.MaxConcurrentCalls = int(max(200, limit/(256*kib)))
		}
	}
	if c.UpstreamMaxIdleConns == 0 {
		// Fewer would be closed and dialed again all the time while that many calls run.
		c.UpstreamMaxIdleConns = min(c.MaxConcurrentCalls, 10_000)
	}
}

// NoMemoryLimit is the memory limit of the Go runtime if there is none.
const NoMemoryLimit = math.MaxInt64

// Usage returns the text that describes every setting, at most 100 columns wide.
func Usage() string {
	c := defaults()
	return usage(c.settings(), true)
}

// Error lists everything that is wrong with a configuration, at least one problem.
type Error struct{ Problems []string }

func (e *Error) Error() string { return strings.Join(e.Problems, "\n") }

// LogValue is the effective configuration under the names of the settings, without the token.
func (c Config) LogValue() slog.Value {
	settings := c.settings()
	attrs := make([]slog.Attr, 0, len(settings)+1)
	for _, s := range settings {
		attrs = append(attrs, slog.String(s.name, s.value.String()))
	}
	return slog.GroupValue(append(attrs, slog.Any("api-token", c.APIToken))...)
}

// Secret is text that shows itself nowhere: formatting, logging and encoding it yield a
// placeholder. The zero value is empty.
type Secret struct{ text string }

// NewSecret hides text.
func NewSecret(text string) Secret { return Secret{text} }

// Reveal returns the text.
func (s Secret) Reveal() string { return s.text }

// String returns a placeholder, or nothing where the secret is empty.
func (s Secret) String() string {
	if s.text == "" {
		return ""
	}
	return "[redacted]"
}

// GoString is as String.
func (s Secret) GoString() string { return s.String() }

// LogValue is as String.
func (s Secret) LogValue() slog.Value { return slog.StringValue(s.String()) }

// MarshalText is as String.
func (s Secret) MarshalText() ([]byte, error) { return []byte(s.String()), nil }
