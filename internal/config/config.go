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

// APIDocumentVersion is the version of the OpenAPI document that the API surface was generated from.
const APIDocumentVersion = "2025-10-23"

// TokenVariable is the environment variable that holds the API token.
const TokenVariable = "SAMSARA_API_TOKEN" //nolint:gosec // The variable's name, not a token.

// LogFormat is how log lines are written.
type LogFormat string

// The formats of log lines.
const (
	LogText LogFormat = "text"
	LogJSON LogFormat = "json"
)

// CacheTTL returns how old a cached response to a gRPC method may be, by the first rule that matches
// the method. 0 means that it is not cached, as if no rule matches. The method's name may have a slash
// in front.
func (c Config) CacheTTL(method string) time.Duration {
	rule, _ := c.CacheRule(method)
	return rule.TTL
}

// CacheRule returns the first rule that matches a method, if one does.
func (c Config) CacheRule(method string) (rule CacheRule, ok bool) {
	return first(c.Cache, func(r CacheRule) bool { return r.Methods.Match(method) })
}

// QuotaLimit returns the first limit whose pattern matches a method, if one does.
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

// Problem says what is wrong with the value of a setting.
type Problem struct {
	// Setting is its name, such as api-token-file; empty: Err says what it is about.
	Setting string
	Err     error
}

// Check finds what is wrong with a configuration that this package cannot know. The configuration may
// have other problems already.
type Check func(c *Config) []Problem

// Load reads the configuration of a gateway that serves api. It reads the arguments, which do not
// include the program's name, the environment in the form of os.Environ, and the file that either of
// them names. Sizes and numbers that none of them gives may follow the memory limit of the Go runtime,
// which has to be set before. Load lists the problems that checks find with its own. The error is an
// *Error, or pflag.ErrHelp if help was asked for.
func Load(args, environ []string, api API, checks ...Check) (Config, error) {
	return loadWithin(debug.SetMemoryLimit(-1), args, environ, api, checks...)
}

// Reload reads a configuration as it was read before, with the same sizes for what was not given. It opens no file
// but the configuration's own.
func Reload(before Config, args, environ []string, api API) (Config, error) {
	return loadWithin(before.MemoryLimit, args, environ, api)
}

// Changed returns the names of the settings whose values differ, in the order of the settings.
func Changed(before, now Config) []string {
	var names []string
	was := before.settings()
	for i, s := range now.settings() {
		if s.value.String() != was[i].value.String() {
			names = append(names, s.name)
		}
	}
	return names
}

// Value returns the value of a setting, as it is logged.
func (c Config) Value(name string) string {
	for _, s := range c.settings() {
		if s.name == name {
			return s.value.String()
		}
	}
	return ""
}

// Defaults returns the configuration of a gateway that is told nothing, with the same memory limit.
func (c Config) Defaults() Config {
	usual := defaults()
	usual.MemoryLimit = c.MemoryLimit
	usual.size(c.MemoryLimit)
	return usual
}

func loadWithin(memoryLimit int64, args, environ []string, api API, checks ...Check) (Config, error) {
	c := defaults()
	c.MemoryLimit = memoryLimit
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
	c.size(memoryLimit)
	c.check(l)
	c.checkTarget(l)
	api.check(l, &c)
	l.run(&c, checks)
	return c, l.err()
}

// size sets the sizes and numbers that follow a memory limit and were not given.
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
			// A call that waits costs about 25 KiB: an eighth of the memory is for these. A call whose
			// request has not been read may keep 64 KiB more in grpc's buffers, a quarter in all.
			c.MaxConcurrentCalls = int(max(200, limit/(256*kib)))
		}
	}
	if c.UpstreamMaxIdleConns == 0 {
		// With fewer, connections would be closed and dialed again all the time while that many calls run.
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

// Error lists everything that is wrong with a configuration: at least one problem.
type Error struct{ Problems []string }

func (e *Error) Error() string { return strings.Join(e.Problems, "\n") }

// LogValue returns the effective configuration under the names of the settings, without the token.
func (c Config) LogValue() slog.Value {
	settings := c.settings()
	attrs := make([]slog.Attr, 0, len(settings)+1)
	for _, s := range settings {
		attrs = append(attrs, slog.String(s.name, s.value.String()))
	}
	return slog.GroupValue(append(attrs, slog.Any("api-token", c.APIToken))...)
}

// Secret is text that is never shown: formatting, logging and encoding it yield a placeholder. The
// zero value is empty.
type Secret struct{ text string }

// NewSecret returns a secret that holds text.
func NewSecret(text string) Secret { return Secret{text} }

// Reveal returns the text.
func (s Secret) Reveal() string { return s.text }

// String returns a placeholder, or nothing if the secret is empty.
func (s Secret) String() string {
	if s.text == "" {
		return ""
	}
	return "[redacted]"
}

// GoString returns what String does.
func (s Secret) GoString() string { return s.String() }

// LogValue returns what String does.
func (s Secret) LogValue() slog.Value { return slog.StringValue(s.String()) }

// MarshalText returns what String does.
func (s Secret) MarshalText() ([]byte, error) { return []byte(s.String()), nil }
