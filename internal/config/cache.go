package config

import (
	"fmt"
	"strings"
	"time"

	"samsara.internal/gateway/internal/glob"
)

// maxCacheTTL bounds CacheRule.TTL.
const maxCacheTTL = 24 * time.Hour

// CacheRule says how long responses to some methods may be cached.
type CacheRule struct {
	Methods glob.Pattern
	// TTL is at most a day; 0: responses are not cached.
	TTL time.Duration
}

// String returns the rule as it is written in a setting.
func (r CacheRule) String() string { return string(r.Methods) + "=" + FormatDuration(r.TTL) }

func parseCacheRule(text string) (CacheRule, error) {
	pattern, ttl, found := strings.Cut(text, "=")
	if !found {
		return CacheRule{}, fmt.Errorf("%s: not of the form PATTERN=TIME", show(text))
	}
	var rule CacheRule
	if err := duration(&rule.TTL, 0, maxCacheTTL).Set(strings.TrimSpace(ttl)); err != nil {
		return CacheRule{}, fmt.Errorf("%s: %w", show(text), err)
	}
	var err error
	if rule.Methods, err = glob.Parse(strings.TrimSpace(pattern)); err != nil {
		return CacheRule{}, fmt.Errorf("%s: %w", show(text), err)
	}
	return rule, nil
}

func cacheRules(target *[]CacheRule) pairs[CacheRule] {
	return pairs[CacheRule]{list[CacheRule]{target, parseCacheRule, CacheRule.String}}
}
