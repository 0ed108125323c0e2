package config_test

import (
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"samsara.internal/gateway/internal/config"
)

func TestCacheRules_everySource(t *testing.T) {
	t.Parallel()
	want := []config.CacheRule{
		{Methods: "samsara_gateway.vehicles.v1.VehiclesService/Get*"},
		{Methods: "samsara_gateway.vehicles.v1.*", TTL: 30 * time.Second},
	}
	const list = "/samsara_gateway.vehicles.v1.VehiclesService/Get* = 0s, samsara_gateway.vehicles.v1.*=30s"
	for name, c := range map[string]config.Config{
		"flags":                     mustLoad(t, []string{"--cache", "samsara_gateway.vehicles.v1.VehiclesService/Get*=0s", "--cache", "samsara_gateway.vehicles.v1.*=30s"}),
		"one flag":                  mustLoad(t, []string{"--cache", list}),
		"a variable":                mustLoad(t, nil, "SAMSARA_GATEWAY_CACHE="+list),
		"a sequence in the file":    mustLoad(t, []string{"--config", write(t, "cache: [samsara_gateway.vehicles.v1.VehiclesService/Get*=0s, samsara_gateway.vehicles.v1.*=30s]\n")}),
		"a mapping in the file":     mustLoad(t, []string{"--config", write(t, "cache:\n  samsara_gateway.vehicles.v1.VehiclesService/Get*: 0s\n  samsara_gateway.vehicles.v1.*: 30s\n")}),
		"flags, not from the file":  mustLoad(t, []string{"--cache", list, "--config", write(t, "cache: {samsara_gateway.*: 1h}\n")}),
		"flags, not from variables": mustLoad(t, []string{"--cache", list}, "SAMSARA_GATEWAY_CACHE=*=1h"),
	} {
		if diff := cmp.Diff(want, c.Cache); diff != "" {
			t.Errorf("%s (-want +got):\n%s", name, diff)
		}
	}
}

func TestCacheRules_firstMatchCounts(t *testing.T) {
	t.Parallel()
	c := mustLoad(t, []string{"--cache", "samsara_gateway.vehicles.v1.VehiclesService/Get*=0s,samsara_gateway.vehicles.v1.*=30s,*/List*=1m"})
	for method, want := range map[string]time.Duration{
		"/samsara_gateway.vehicles.v1.VehiclesService/GetVehicle":   0,
		"/samsara_gateway.vehicles.v1.VehiclesService/ListVehicles": 30 * time.Second,
		"samsara_gateway.vehicles.v1.VehiclesService/ListVehicles":  30 * time.Second,
		"/samsara_gateway.drivers.v1.DriversService/ListDrivers":    time.Minute,
		"/samsara_gateway.drivers.v1.DriversService/GetDriver":      0,
	} {
		if got := c.CacheTTL(method); got != want {
			t.Errorf("%s is cached for %v, want %v", method, got, want)
		}
	}
}

func TestCacheRules_refused(t *testing.T) {
	t.Parallel()
	file := write(t, "cache:\n  samsara_gateway.vehicles.v1.*: 30\n  samsara_gateway.drivers.v1.*: [30s]\n")
	for _, test := range []struct {
		name string
		args []string
		want string
	}{
		{"no time", []string{"--cache=samsara_gateway.*"}, `--cache "samsara_gateway.*" (from the command line): "samsara_gateway.*": not of the form PATTERN=TIME`},
		{"one of several", []string{"--cache=*=1s,samsara_gateway.*"}, `--cache "*=1s,samsara_gateway.*" (from the command line): "samsara_gateway.*": not of the form PATTERN=TIME`},
		{"a number", []string{"--cache=*=30"}, `--cache "*=30" (from the command line): "*=30": not a duration such as "250ms" or "5m"`},
		{"too long", []string{"--cache=*=25h"}, `--cache "*=25h" (from the command line): "*=25h": not between 0s and 24h`},
		{"negative", []string{"--cache=*=-1s"}, `--cache "*=-1s" (from the command line): "*=-1s": not between 0s and 24h`},
		{"no pattern", []string{"--cache==1s"}, `--cache "=1s" (from the command line): "=1s": pattern is empty`},
		{"half a class", []string{"--cache=samsara.[a=1s"}, `--cache "samsara.[a=1s" (from the command line): "samsara.[a=1s": pattern has an open bracket or a backslash at its end`},
		{"a list in a mapping", []string{"--config", file}, file + ":1: cache: not a plain value"},
		{"little memory", []string{"--cache-max-bytes=1KiB"}, `--cache-max-bytes "1KiB" (from the command line): not between 1MiB and 1024GiB`},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			_, err := load(t, test.args)
			if diff := cmp.Diff([]string{test.want}, problems(t, err)); diff != "" {
				t.Errorf("problems (-want +got):\n%s", diff)
			}
		})
	}
}
