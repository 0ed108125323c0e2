package sandbox_test

import (
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"samsara.internal/gateway/internal/sandbox"
)

func TestParseFault_andString(t *testing.T) {
	t.Parallel()
	tests := map[string]struct {
		text string
		want sandbox.Fault
		form string // as String writes it
	}{
		"everything at once": {
			text: "status=503; retry-after=0.4; latency=200ms; page=same-cursor; drift; truncate; reset; first=2; nth=3; share=0.2; match=/fleet/vehicles*",
			want: sandbox.Fault{
				Status: 503, RetryAfter: 400 * time.Millisecond, Latency: 200 * time.Millisecond,
				Page: sandbox.PageSameCursor, Drift: true, Truncate: true, Reset: true, First: 2, Nth: 3, Share: 0.2, Match: "/fleet/vehicles*",
			},
			form: "status=503; retry-after=0.4; latency=200ms; page=same-cursor; drift; truncate; reset; first=2; nth=3; share=0.2; match=/fleet/vehicles*",
		},
		"in any order and spacing": {
			text: " match=/ ;first = 1;reset;",
			want: sandbox.Fault{Reset: true, First: 1, Match: "/"},
			form: "reset; first=1; match=/",
		},
		"a wait to five decimals": {
			text: "status=429;retry-after=0.40235",
			want: sandbox.Fault{Status: 429, RetryAfter: 402350 * time.Microsecond},
			form: "status=429; retry-after=0.40235",
		},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			got, err := sandbox.ParseFault(tt.text)
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(tt.want, got); diff != "" {
				t.Errorf("ParseFault(%q) (-want +got):\n%s", tt.text, diff)
			}
			if got.String() != tt.form {
				t.Errorf("String() = %q, want %q", got, tt.form)
			}
		})
	}
}

func TestParseFault_invalid(t *testing.T) {
	t.Parallel()
	tests := map[string]struct {
		text string
		want []string // lines of the error
	}{
		"nothing at all":      {"", []string{`"": needs one of status, retry-after, latency, page, drift, truncate and reset`}},
		"no effect":           {"first=2; share=0.5", []string{`"first=2; share=0.5": needs one of status, retry-after, latency, page, drift, truncate and reset`}},
		"an unknown item":     {"explode", []string{"explode: is not an item of a fault"}},
		"an item twice":       {"reset; reset", []string{"reset: given twice"}},
		"a status of success": {"status=200", []string{`status: must be an HTTP status from 400 to 599, is "200"`}},
		"a value for a word":  {"reset=true", []string{`reset: takes no value, has "true"`}},
		"no wait": {"status=429; retry-after=0", []string{
			`retry-after: must be decimal seconds above 0 and at most 600, is "0"`,
		}},
		"a wait that is no number":   {"retry-after=NaN", []string{`retry-after: must be decimal seconds above 0 and at most 600, is "NaN"`}},
		"too long a wait":            {"latency=11m", []string{`latency: must be a duration such as 200ms, above 0 and at most 10m0s, is "11m"`}},
		"all of them":                {"reset; share=1", []string{`share: must be a number above 0 and below 1, is "1"`}},
		"an odd page that is none":   {"page=whole", []string{`page: must be short, empty, null, no-cursor or same-cursor, is "whole"`}},
		"a request before the first": {"reset; nth=0", []string{`nth: must be a whole number of at least 1, is "0"`}},
		"a count of none":            {"reset; first=0", []string{`first: must be a whole number of at least 1, is "0"`}},
		"a pattern in the middle":    {"reset; match=/a*b", []string{`match: must begin with a slash and may have one * at its end, is "/a*b"`}},
		"every mistake is named":     {"status=x; first=y; z", []string{`status: must be an HTTP status from 400 to 599, is "x"`, `first: must be a whole number of at least 1, is "y"`, "z: is not an item of a fault"}},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			_, err := sandbox.ParseFault(tt.text)
			if err == nil {
				t.Fatalf("ParseFault(%q) succeeds", tt.text)
			}
			if diff := cmp.Diff(tt.want, strings.Split(err.Error(), "\n")); diff != "" {
				t.Errorf("ParseFault(%q) (-want +got):\n%s", tt.text, diff)
			}
		})
	}
}

func FuzzParseFault(f *testing.F) {
	for _, seed := range []string{
		"", ";", "=", "status", "status=503", "status=503; retry-after=0.4; latency=200ms; page=same-cursor; drift; truncate; reset; first=2; nth=3; share=0.2; match=/fleet/vehicles*",
		"status=429; retry-after=0.40235", "retry-after=1e-9", "retry-after=599.999999999", "latency=1ns", "latency=9m59.999999999s", "share=1e-300; reset",
		"share=0x1p-2; reset", "first=9223372036854775807; reset", "first=+1; reset", "match=/*; reset", "match=/ \x00\xff; reset", "reset; reset", " reset ; ; ",
		"match=/a=b; reset", "page=empty; nth=2; share=0.1", "page=", "page; nth", "page=null; page=short", "status=0503", "latency=-1s", "retry-after=-0", "retry-after=Inf", "share=NaN; reset",
	} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, text string) {
		fault, err := sandbox.ParseFault(text)
		if err != nil {
			if fault != (sandbox.Fault{}) {
				t.Errorf("ParseFault(%q) = %v with an error", text, fault)
			}
			return
		}
		again, err := sandbox.ParseFault(fault.String())
		if err != nil || again != fault {
			t.Errorf("ParseFault(%q) = %+v, written %q, read back %+v, %v", text, fault, fault, again, err)
		}
	})
}
