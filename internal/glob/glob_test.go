package glob_test

import (
	"testing"

	"samsara.internal/gateway/internal/glob"
)

const list = "samsara_gateway.vehicles.v1.VehiclesService/ListVehicles"

func TestPattern_wholeNames(t *testing.T) {
	t.Parallel()
	for _, test := range []struct {
		pattern, method string
		want            bool
	}{
		{list, list, true},
		{"/" + list, list, true},
		{list, "/" + list, true},
		{"*", list, true},
		{"samsara_gateway.*", list, true},
		{"samsara_gateway.vehicles.v1.*", list, true},
		{"samsara_gateway.vehicles.v1.VehiclesService/*", list, true},
		{"samsara_gateway.*/List*", list, true},
		{"*/ListVehicles", list, true},
		{"*.v?.*", list, true},
		{"*.v[12].*", list, true},
		{"samsara_gateway.vehicles.v1", list, false},
		{"vehicles.*", list, false},
		{"samsara_gateway.vehicles.v2.*", list, false},
		{"samsara_gateway.vehicles.v1.*", "samsara_gateway.vehicles.v1beta1.VehiclesService/ListVehicles", false},
		{"samsara_gateway.drivers.*", list, false},
		{"*/List", list, false},
	} {
		t.Run(test.pattern+" "+test.method, func(t *testing.T) {
			t.Parallel()
			pattern, err := glob.Parse(test.pattern)
			if err != nil {
				t.Fatal(err)
			}
			if got := pattern.Match(test.method); got != test.want {
				t.Errorf("Match = %t, want %t", got, test.want)
			}
		})
	}
}

func TestParse_refused(t *testing.T) {
	t.Parallel()
	for text, want := range map[string]string{
		"":                   "pattern is empty",
		"/":                  "pattern is empty",
		"samsara.[a":         "pattern has an open bracket or a backslash at its end",
		"samsara.[]":         "pattern has an open bracket or a backslash at its end",
		`samsara_gateway.*\`: "pattern has an open bracket or a backslash at its end",
		"[z-a]samsara":       "",
	} {
		t.Run(text, func(t *testing.T) {
			t.Parallel()
			got := ""
			if _, err := glob.Parse(text); err != nil {
				got = err.Error()
			}
			if got != want {
				t.Errorf("Parse: %q, want %q", got, want)
			}
		})
	}
}

func TestPattern_malformed(t *testing.T) {
	t.Parallel()
	for _, pattern := range []glob.Pattern{"", "[", "*["} {
		if pattern.Match(list) {
			t.Errorf("%q matches %s", pattern, list)
		}
	}
}
