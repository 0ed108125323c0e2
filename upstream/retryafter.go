package upstream

import (
	"net/http"
	"strings"
	"time"
)

// maxRetryAfter is the longest wait that a Retry-After header can ask for. A longer one is cut to it.
const maxRetryAfter = 24 * time.Hour

// parseRetryAfter reads a Retry-After header: seconds, which Samsara writes with a fraction
// ("0.40235"), or an HTTP-date (RFC 9110, section 10.2.3), which is compared with now. The
// wait is rounded up to the nanosecond and lies between 0 and maxRetryAfter. It reports false if the
// value is neither.
func parseRetryAfter(value string, now time.Time) (time.Duration, bool) {
	value = strings.Trim(value, " \t")
	if wait, ok := parseSeconds(value); ok {
		return wait, true
	}
	date, err := http.ParseTime(value)
	if err != nil {
		return 0, false
	}
	return min(max(date.Sub(now), 0), maxRetryAfter), true
}

// parseSeconds reads digits with an optional fraction. It computes with integers, because a float may
// come out shorter than what was written.
func parseSeconds(value string) (time.Duration, bool) {
	whole, fraction, _ := strings.Cut(value, ".")
	if whole+fraction == "" || !digits(whole) || !digits(fraction) {
		return 0, false
	}
	var wait time.Duration
	for _, digit := range whole {
		wait = min(wait*10+time.Duration(digit-'0')*time.Second, maxRetryAfter)
	}
	unit := time.Second
	for _, digit := range fraction {
		if unit /= 10; unit > 0 {
			wait += time.Duration(digit-'0') * unit
		} else if digit != '0' {
			wait++
			break
		}
	}
	return min(wait, maxRetryAfter), true
}

func digits(s string) bool {
	return strings.Trim(s, "0123456789") == ""
}
