package upstream

import (
	"math/big"
	"regexp"
	"strings"
	"testing"
	"time"
)

func TestParseRetryAfter_bothForms(t *testing.T) {
	t.Parallel()
	now := time.Date(2026, 11, 22, 8, 0, 0, 0, time.UTC)
	tests := []struct {
		value string
		want  time.Duration
		ok    bool
	}{
		{"0", 0, true},
		{"1", time.Second, true},
		{" 1\t", time.Second, true},
		{"0.40235", 402350 * time.Microsecond, true},
		{"1.7", 1700 * time.Millisecond, true},
		{"1.", time.Second, true},
		{".5", 500 * time.Millisecond, true},
		{"007", 7 * time.Second, true},
		{"0.000000001", 1, true},
		{"0.0000000001", 1, true},
		{"0.9999999999", time.Second, true},
		{"1.0000000000", time.Second, true},
		{"86400", 24 * time.Hour, true},
		{"86400.5", 24 * time.Hour, true},
		{"99999999999999999999999999", 24 * time.Hour, true},
		{"Sun, 22 Nov 2026 08:00:07 GMT", 7 * time.Second, true},
		{"Sunday, 22-Nov-26 08:00:07 GMT", 7 * time.Second, true},
		{"Sun Nov 22 08:00:07 2026", 7 * time.Second, true},
		{"Sun, 22 Nov 2026 07:00:00 GMT", 0, true},
		{"Sun, 22 Nov 2099 07:00:00 GMT", 24 * time.Hour, true},
		{"", 0, false},
		{".", 0, false},
		{"-1", 0, false},
		{"+1", 0, false},
		{"1e3", 0, false},
		{"0x10", 0, false},
		{"1_000", 0, false},
		{"1,5", 0, false},
		{"1.5.5", 0, false},
		{"1 s", 0, false},
		{"NaN", 0, false},
		{"Inf", 0, false},
		{"١", 0, false},
		{"2026-11-22T08:00:07Z", 0, false},
	}
	for _, tt := range tests {
		t.Run(tt.value, func(t *testing.T) {
			t.Parallel()
			got, ok := parseRetryAfter(tt.value, now)
			if got != tt.want || ok != tt.ok {
				t.Errorf("parseRetryAfter(%q) = %v, %v, want %v, %v", tt.value, got, ok, tt.want, tt.ok)
			}
		})
	}
}

// FuzzRetryAfter checks decimal values against exact arithmetic: the wait is never shorter
// than what was asked, and less than a nanosecond longer.
func FuzzRetryAfter(f *testing.F) {
	for _, seed := range []string{
		"0", "1", "0.40235", "1.7", ".5", "5.", ".", "-1", "1e9", "86400.000000001", "0.0000000001", "9999999999999999999999",
		"Sun, 22 Nov 2026 08:00:07 GMT", "Sun, 22 Nov 0000 08:00:07 GMT", "soon", "\x00", "1 1",
	} {
		f.Add(seed)
	}
	now := time.Date(2026, 11, 22, 8, 0, 0, 0, time.UTC)
	decimal := regexp.MustCompile(`^(\d+\.?\d*|\.\d+)$`)
	f.Fuzz(func(t *testing.T, value string) {
		got, ok := parseRetryAfter(value, now)
		if got < 0 || got > maxRetryAfter || !ok && got != 0 {
			t.Errorf("parseRetryAfter(%q) = %v, %v", value, got, ok)
		}
		plain := strings.Trim(value, " \t")
		if !decimal.MatchString(plain) {
			return
		}
		asked, valid := new(big.Rat).SetString(strings.TrimSuffix("0"+plain, "."))
		if !ok || !valid {
			t.Fatalf("parseRetryAfter(%q) = %v, %v, want a wait", value, got, ok)
		}
		asked.Mul(asked, new(big.Rat).SetInt64(int64(time.Second)))
		if asked.Cmp(new(big.Rat).SetInt64(int64(maxRetryAfter))) > 0 {
			asked.SetInt64(int64(maxRetryAfter))
		}
		extra := new(big.Rat).Sub(new(big.Rat).SetInt64(int64(got)), asked)
		if extra.Sign() < 0 || extra.Cmp(new(big.Rat).SetInt64(1)) >= 0 {
			t.Errorf("parseRetryAfter(%q) = %d ns, want %s ns rounded up", value, got, asked.FloatString(3))
		}
	})
}
