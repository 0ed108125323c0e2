package config

import (
	"crypto/tls"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/netip"
	"net/url"
	"strconv"
	"strings"
	"time"

	"samsara.internal/gateway/internal/authn"
	"samsara.internal/gateway/internal/sandbox"
)

// value is a pflag.Value that stores what parse returns for a text. A text that does not parse leaves
// the target as it was.
type value[T any] struct {
	target *T
	kind   string
	parse  func(string) (T, error)
	format func(T) string
}

// defaultTo gives v a default other than the zero value.
func (v value[T]) defaultTo(initial T) defaulted[T] { return defaulted[T]{v, initial} }

func (v value[T]) reset() {
	var zero T
	*v.target = zero
}

func (v value[T]) Set(text string) error {
	parsed, err := v.parse(text)
	if err == nil {
		*v.target = parsed
	}
	return err
}

func (v value[T]) String() string { return v.format(*v.target) }

func (v value[T]) Type() string { return v.kind }

// defaulted is a value with a default.
type defaulted[T any] struct {
	value[T]
	initial T
}

func (d defaulted[T]) reset() { *d.target = d.initial }

// repeatable is a value that collects what it is set to, until it is cleared.
type repeatable interface{ clear() }

// list is a repeatable value that may be set several times, or several times in one text, separated by
// commas.
type list[T any] struct {
	target *[]T
	parse  func(string) (T, error)
	format func(T) string
}

func (l list[T]) Set(text string) error {
	var (
		all  []T
		errs []error
	)
	for part := range strings.SplitSeq(text, ",") {
		parsed, err := l.parse(strings.TrimSpace(part))
		all, errs = append(all, parsed), append(errs, err)
	}
	if err := errors.Join(errs...); err != nil {
		return err
	}
	*l.target = append(*l.target, all...)
	return nil
}

func (l list[T]) String() string {
	parts := make([]string, len(*l.target))
	for i, element := range *l.target {
		parts[i] = l.format(element)
	}
	return strings.Join(parts, ",")
}

func (l list[T]) Type() string { return "list" }

func (l list[T]) clear() { *l.target = nil }

func (l list[T]) reset() { l.clear() }

// pairs is a list of texts KEY=VALUE. The file may have a mapping instead.
type pairs[T any] struct{ list[T] }

func (pairs[T]) paired() {}

func text(target *string) value[string] {
	return value[string]{target, "string", func(s string) (string, error) { return s, nil }, identity}
}

func identity(s string) string { return s }

func boolean(target *bool) value[bool] {
	return value[bool]{target, "bool", func(s string) (bool, error) {
		b, err := strconv.ParseBool(s)
		if err != nil {
			return false, errors.New("not true or false")
		}
		return b, nil
	}, strconv.FormatBool}
}

// whole is a whole number between least and most.
func whole(target *int, least, most int) value[int] {
	return value[int]{target, "int", func(s string) (int, error) {
		n, err := strconv.Atoi(s)
		switch {
		case errors.Is(err, strconv.ErrSyntax):
			return 0, errors.New("not a whole number")
		case err != nil || n < least || n > most:
			return 0, fmt.Errorf("not between %d and %d", least, most)
		}
		return n, nil
	}, strconv.Itoa}
}

func seed(target *uint64) value[uint64] {
	return value[uint64]{target, "uint64", func(s string) (uint64, error) {
		n, err := strconv.ParseUint(s, 10, 64)
		if err != nil {
			return 0, errors.New("not a whole number between 0 and 2^64-1")
		}
		return n, nil
	}, func(n uint64) string { return strconv.FormatUint(n, 10) }}
}

func duration(target *time.Duration, least, most time.Duration) value[time.Duration] {
	return value[time.Duration]{target, "duration", func(s string) (time.Duration, error) {
		d, err := time.ParseDuration(s)
		switch {
		case err != nil:
			return 0, errors.New(`not a duration such as "250ms" or "5m"`)
		case d < least || d > most:
			return 0, fmt.Errorf("not between %s and %s", FormatDuration(least), FormatDuration(most))
		}
		return d, nil
	}, FormatDuration}
}

// FormatDuration returns a duration as it is written in a setting. It leaves out the zero units that
// Duration.String writes: 5m rather than 5m0s.
func FormatDuration(d time.Duration) string {
	s := d.String()
	if rest, ok := strings.CutSuffix(s, "m0s"); ok {
		s = rest + "m"
	}
	if rest, ok := strings.CutSuffix(s, "h0m"); ok {
		s = rest + "h"
	}
	return s
}

// byteUnits are the suffixes of sizes, largest first.
func byteUnits() []struct {
	name string
	size int64
} {
	return []struct {
		name string
		size int64
	}{{"GiB", 1 << 30}, {"MiB", 1 << 20}, {"KiB", 1 << 10}}
}

// bytes is a size. 0 means that it was not given.
func bytes(target *int64, least, most int64) value[int64] {
	return value[int64]{target, "bytes", func(s string) (int64, error) {
		digits, unit := s, int64(1)
		for _, u := range byteUnits() {
			if rest, ok := strings.CutSuffix(s, u.name); ok {
				digits, unit = rest, u.size
			}
		}
		n, err := strconv.ParseInt(digits, 10, 64)
		switch {
		case errors.Is(err, strconv.ErrSyntax):
			return 0, errors.New(`not a number of bytes such as "4096" or "64MiB"`)
		case err != nil || n < 0 || n > most/unit || n*unit < least:
			return 0, fmt.Errorf("not between %s and %s", formatBytes(least), formatBytes(most))
		}
		return n * unit, nil
	}, formatBytes}
}

func formatBytes(n int64) string {
	if n == 0 {
		return ""
	}
	for _, u := range byteUnits() {
		if n >= u.size && n%u.size == 0 {
			return strconv.FormatInt(n/u.size, 10) + u.name
		}
	}
	return strconv.FormatInt(n, 10)
}

// address is a TCP address to listen on.
func address(target *string, optional bool) value[string] {
	return value[string]{target, "string", func(s string) (string, error) {
		if s == "" && optional {
			return s, nil
		}
		host, port, err := net.SplitHostPort(s)
		if err != nil {
			return "", errors.New("not of the form HOST:PORT")
		}
		if _, err := strconv.ParseUint(port, 10, 16); err != nil {
			return "", errors.New("port not between 0 and 65535")
		}
		if host != "" && !isHost(host) {
			return "", errors.New("host neither an IP address nor a name")
		}
		return s, nil
	}, identity}
}

// isPort reports whether a URL may have a port: none, or one that can be connected to.
func isPort(port string) bool {
	n, err := strconv.ParseUint(port, 10, 16)
	return port == "" || err == nil && n > 0
}

// isHost reports whether a host is an IP address or has the form of a name. By RFC 1123 section 2.1 a
// host whose last label is digits only is an address. Underscores are allowed, because some names have
// them.
func isHost(host string) bool {
	if _, err := netip.ParseAddr(host); err == nil {
		return true
	}
	labels := strings.Split(strings.TrimSuffix(host, "."), ".")
	for _, label := range labels {
		if label == "" || len(label) > 63 || label[0] == '-' || label[len(label)-1] == '-' ||
			strings.Trim(label, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-_") != "" {
			return false
		}
	}
	return strings.Trim(labels[len(labels)-1], "0123456789") != ""
}

// isLoopback reports whether an address or host:port, as address accepts it, is reachable from
// this machine only.
func isLoopback(hostport string) bool {
	host, _, err := net.SplitHostPort(hostport)
	if err != nil {
		host = hostport
	}
	ip := net.ParseIP(host)
	return host == "localhost" || ip != nil && ip.IsLoopback()
}

func baseURL(target **url.URL) value[*url.URL] {
	return value[*url.URL]{target, "string", ParseBaseURL, (*url.URL).String}
}

// ParseBaseURL returns the base URL of a REST API: a scheme, a host and an optional path. The scheme is https, or
// http on this machine. The error does not show the text, which may hold credentials.
func ParseBaseURL(s string) (*url.URL, error) {
	u, err := url.Parse(s)
	switch {
	case err != nil:
		return nil, errors.New("not a URL")
	case u.Scheme != "https" && u.Scheme != "http" || u.Hostname() == "":
		return nil, errors.New("not of the form https://HOST")
	case u.Scheme == "http" && !isLoopback(u.Host) && !isLoopback(u.Hostname()):
		return nil, errors.New("not https, which is needed beyond loopback because the token is sent")
	case u.User != nil || u.RawQuery != "" || u.ForceQuery || strings.Contains(s, "#"):
		return nil, errors.New("more than a scheme, a host and a path")
	case !isHost(u.Hostname()):
		return nil, errors.New("host neither an IP address nor a name")
	case !isPort(u.Port()):
		return nil, errors.New("port not between 1 and 65535")
	}
	return u, nil
}

func date(target *string) value[string] {
	return value[string]{target, "string", func(s string) (string, error) {
		if _, err := time.Parse(time.DateOnly, s); err != nil {
			return "", errors.New("not a date of the form YYYY-MM-DD")
		}
		return s, nil
	}, identity}
}

func level(target *slog.Level) value[slog.Level] {
	return value[slog.Level]{target, "string", func(s string) (slog.Level, error) {
		switch s {
		case "debug":
			return slog.LevelDebug, nil
		case "info":
			return slog.LevelInfo, nil
		case "warn":
			return slog.LevelWarn, nil
		case "error":
			return slog.LevelError, nil
		default:
			return 0, errors.New("not debug, info, warn or error")
		}
	}, func(l slog.Level) string { return strings.ToLower(l.String()) }}
}

func logFormat(target *LogFormat) value[LogFormat] {
	return value[LogFormat]{target, "string", func(s string) (LogFormat, error) {
		switch f := LogFormat(s); f {
		case LogText, LogJSON:
			return f, nil
		default:
			return "", errors.New("not text or json")
		}
	}, func(f LogFormat) string { return string(f) }}
}

// ClientAuth says whether clients must have a certificate.
type ClientAuth string

// The values of ClientAuth.
const (
	ClientAuthRequire  ClientAuth = "require"
	ClientAuthOptional ClientAuth = "optional"
)

func clientAuth(target *ClientAuth) value[ClientAuth] {
	return value[ClientAuth]{target, "string", func(s string) (ClientAuth, error) {
		switch a := ClientAuth(s); a {
		case ClientAuthRequire, ClientAuthOptional:
			return a, nil
		default:
			return "", errors.New("not require or optional")
		}
	}, func(a ClientAuth) string { return string(a) }}
}

func tlsVersion(target *uint16) value[uint16] {
	return value[uint16]{target, "string", func(s string) (uint16, error) {
		switch s {
		case "1.2":
			return tls.VersionTLS12, nil
		case "1.3":
			return tls.VersionTLS13, nil
		default:
			return 0, errors.New("not 1.2 or 1.3")
		}
	}, func(v uint16) string { return strings.TrimPrefix(tls.VersionName(v), "TLS ") }}
}

// hosts are names of hosts.
func hosts(target *[]string) list[string] {
	return list[string]{target, func(s string) (string, error) {
		if s = strings.TrimSpace(s); !isHost(s) {
			return "", fmt.Errorf("%s: not the name of a host", show(s))
		}
		return s, nil
	}, identity}
}

// seconds are several times in seconds, above 0 and at most an hour.
func seconds(target *[]float64) list[float64] {
	return list[float64]{target, func(s string) (float64, error) {
		n, err := strconv.ParseFloat(s, 64)
		if err != nil || !(n > 0 && n <= 3600) { // Written so that NaN is refused too.
			return 0, fmt.Errorf("%s: not a number of seconds above 0, at most 3600", show(s))
		}
		return n, nil
	}, func(n float64) string { return strconv.FormatFloat(n, 'g', -1, 64) }}
}

// texts are several texts, none of them empty.
func texts(target *[]string) list[string] {
	return list[string]{target, func(s string) (string, error) {
		if s = strings.TrimSpace(s); s == "" {
			return "", errors.New("must not be empty")
		}
		return s, nil
	}, identity}
}

func keysURL(target **url.URL) value[*url.URL] {
	return value[*url.URL]{target, "string", func(s string) (*url.URL, error) {
		if s == "" {
			return nil, nil //nolint:nilnil // none is given
		}
		u, err := url.Parse(s)
		if err != nil {
			return nil, errors.New("not a URL")
		}
		return u, authn.CheckKeyURL(u)
	}, func(u *url.URL) string {
		if u == nil {
			return ""
		}
		return u.String()
	}}
}

func faults(target *[]sandbox.Fault) list[sandbox.Fault] {
	return list[sandbox.Fault]{target, sandbox.ParseFault, sandbox.Fault.String}
}
