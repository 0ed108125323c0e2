package config

import (
	"errors"
	"fmt"
	"net/url"
	"strconv"
	"strings"
	"time"

	"github.com/redis/go-redis/v9"

	"samsara.internal/gateway/internal/glob"
	"samsara.internal/gateway/internal/quota"
)

// QuotaWeight is the share of a caller, as a multiple of the share of a caller that is not named.
type QuotaWeight struct {
	Caller string
	Weight float64
}

// The bounds of a limit and a weight. Package quota has the same.
const (
	maxLimitRequests     = 100_000
	maxLimitWindow       = 24 * time.Hour
	minWeight, maxWeight = 0.001, 1000
)

func limit(target *quota.Limit) value[quota.Limit] {
	return value[quota.Limit]{target, "limit", ParseLimit, FormatLimit}
}

// ParseLimit returns a limit that is written as in a setting, such as 150/s.
func ParseLimit(text string) (quota.Limit, error) {
	if text == "none" {
		return quota.Limit{}, nil
	}
	number, unit, found := strings.Cut(text, "/")
	requests, err := strconv.Atoi(number)
	if !found || err != nil {
		return quota.Limit{}, errors.New(`not a limit such as "150/s", "100/min", "50/h", "10/30s" or "none"`)
	}
	if requests < 1 || requests > maxLimitRequests {
		return quota.Limit{}, fmt.Errorf("requests not between 1 and %d", maxLimitRequests)
	}
	switch unit {
	case "s", "m", "h":
		unit = "1" + unit
	case "min":
		unit = "1m"
	}
	var window time.Duration
	if err := duration(&window, time.Millisecond, maxLimitWindow).Set(unit); err != nil {
		return quota.Limit{}, fmt.Errorf("window %w", err)
	}
	return quota.Limit{Requests: requests, Window: window}, nil
}

// FormatLimit returns a limit as it is written in a setting, such as 150/s.
func FormatLimit(l quota.Limit) string {
	if l == (quota.Limit{}) {
		return "none"
	}
	unit := FormatDuration(l.Window)
	switch unit {
	case "1s", "1h":
		unit = unit[1:]
	case "1m":
		unit = "min"
	}
	return strconv.Itoa(l.Requests) + "/" + unit
}

func quotaLimits(target *[]quota.Override) pairs[quota.Override] {
	return pairs[quota.Override]{list[quota.Override]{target, parseOverride, formatOverride}}
}

func formatOverride(o quota.Override) string {
	return string(o.Operations) + "=" + FormatLimit(o.Limit)
}

func parseOverride(text string) (quota.Override, error) {
	pattern, limit, found := strings.Cut(text, "=")
	if !found {
		return quota.Override{}, fmt.Errorf("%s: not of the form PATTERN=LIMIT", show(text))
	}
	operations, err := glob.Parse(strings.TrimSpace(pattern))
	if err != nil {
		return quota.Override{}, fmt.Errorf("%s: %w", show(text), err)
	}
	parsed, err := ParseLimit(strings.TrimSpace(limit))
	if err != nil {
		return quota.Override{}, fmt.Errorf("%s: %w", show(text), err)
	}
	return quota.Override{Operations: operations, Limit: parsed}, nil
}

func quotaWeights(target *[]QuotaWeight) pairs[QuotaWeight] {
	return pairs[QuotaWeight]{list[QuotaWeight]{target, parseWeight, func(w QuotaWeight) string {
		return w.Caller + "=" + strconv.FormatFloat(w.Weight, 'g', -1, 64)
	}}}
}

func parseWeight(text string) (QuotaWeight, error) {
	caller, weight, found := strings.Cut(text, "=")
	if caller = strings.TrimSpace(caller); !found || caller == "" {
		return QuotaWeight{}, fmt.Errorf("%s: not of the form CALLER=WEIGHT", show(text))
	}
	w, err := strconv.ParseFloat(strings.TrimSpace(weight), 64)
	if err != nil || !(w >= minWeight && w <= maxWeight) {
		return QuotaWeight{}, fmt.Errorf("%s: weight not between %v and %v", show(text), minWeight, maxWeight)
	}
	return QuotaWeight{Caller: caller, Weight: w}, nil
}

// maxOrganizationBytes bounds the name of an organization, which every key in Redis contains.
const maxOrganizationBytes = 128

func organization(target *string) value[string] {
	return value[string]{target, "string", func(s string) (string, error) { return s, CheckOrganization(s) }, identity}
}

// CheckOrganization returns why a text cannot name an organization, which has to fit between the braces of a key
// in Redis.
func CheckOrganization(name string) error {
	switch {
	case name == "":
		return errors.New("empty")
	case len(name) > maxOrganizationBytes:
		return fmt.Errorf("longer than %d bytes", maxOrganizationBytes)
	case strings.ContainsAny(name, "{}"):
		return errors.New("holds a brace")
	}
	return nil
}

// redisURL may hold a password.
func redisURL(target *Secret) value[Secret] {
	return value[Secret]{target, "string", func(text string) (Secret, error) {
		if text == "" {
			return Secret{}, nil
		}
		// The errors of redis.ParseURL quote the URL, with the password.
		if _, err := redis.ParseURL(text); err != nil {
			return Secret{}, errors.New("not a valid redis://, rediss:// or unix:// URL")
		}
		if u, err := url.Parse(text); err != nil || !isPort(u.Port()) {
			return Secret{}, errors.New("port not between 1 and 65535")
		}
		return NewSecret(text), nil
	}, func(s Secret) string {
		u, err := url.Parse(s.Reveal())
		if err != nil {
			return s.String()
		}
		u.RawQuery = "" // which may hold credentials too
		return u.Redacted()
	}}
}
