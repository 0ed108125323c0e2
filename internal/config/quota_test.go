package config_test

import (
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"samsara.internal/gateway/internal/config"
	"samsara.internal/gateway/internal/quota"
)

func TestQuotaSettings_taken(t *testing.T) {
	t.Parallel()
	got := mustLoad(t, []string{
		"--quota-token-limit=100/min", "--quota-organization-limit", "5/500ms",
		"--quota-limits=samsara_gateway.vehicles.v1.*=50/h, /samsara_gateway.tags.v1.TagsService/ListTags = none", "--quota-limits=*=7/s",
		"--quota-weights=billing=2", "--quota-weights=spiffe://acme/web=0.5",
	})
	if got.QuotaTokenLimit != (quota.Limit{Requests: 100, Window: time.Minute}) || got.QuotaOrganizationLimit != (quota.Limit{Requests: 5, Window: 500 * time.Millisecond}) {
		t.Errorf("limits are %v and %v", got.QuotaTokenLimit, got.QuotaOrganizationLimit)
	}
	if diff := cmp.Diff([]quota.Override{
		{Operations: "samsara_gateway.vehicles.v1.*", Limit: quota.Limit{Requests: 50, Window: time.Hour}},
		{Operations: "samsara_gateway.tags.v1.TagsService/ListTags"},
		{Operations: "*", Limit: quota.Limit{Requests: 7, Window: time.Second}},
	}, got.QuotaLimits); diff != "" {
		t.Errorf("limits of operations (-want +got):\n%s", diff)
	}
	if diff := cmp.Diff([]config.QuotaWeight{{Caller: "billing", Weight: 2}, {Caller: "spiffe://acme/web", Weight: 0.5}}, got.QuotaWeights); diff != "" {
		t.Errorf("weights (-want +got):\n%s", diff)
	}
}

func TestQuotaSettings_refused(t *testing.T) {
	t.Parallel()
	for name, test := range map[string]struct{ arg, want string }{
		"no window":          {"--quota-token-limit=150", `--quota-token-limit "150" (from the command line): not a limit such as "150/s", "100/min", "50/h", "10/30s" or "none"`},
		"no requests":        {"--quota-token-limit=0/s", `--quota-token-limit "0/s" (from the command line): requests not between 1 and 100000`},
		"an odd window":      {"--quota-token-limit=5/day", `--quota-token-limit "5/day" (from the command line): window not a duration such as "250ms" or "5m"`},
		"a long window":      {"--quota-token-limit=5/25h", `--quota-token-limit "5/25h" (from the command line): window not between 1ms and 24h`},
		"no limit":           {"--quota-limits=samsara_gateway.*", `--quota-limits "samsara_gateway.*" (from the command line): "samsara_gateway.*": not of the form PATTERN=LIMIT`},
		"an open bracket":    {"--quota-limits=[=5/s", `--quota-limits "[=5/s" (from the command line): "[=5/s": pattern has an open bracket or a backslash at its end`},
		"no weight":          {"--quota-weights=billing", `--quota-weights "billing" (from the command line): "billing": not of the form CALLER=WEIGHT`},
		"a weight of nought": {"--quota-weights=billing=0", `--quota-weights "billing=0" (from the command line): "billing=0": weight not between 0.001 and 1000`},
		"another scheme":     {"--quota-redis=http://:secret@redis", `--quota-redis "[redacted]@redis" (from the command line): not a valid redis://, rediss:// or unix:// URL`},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			_, err := config.Load([]string{test.arg}, []string{"SAMSARA_API_TOKEN=" + token}, api())
			if diff := cmp.Diff([]string{test.want}, problems(t, err)); diff != "" {
				t.Errorf("(-want +got):\n%s", diff)
			}
		})
	}
}

func TestQuotaRedis_passwordNotLogged(t *testing.T) {
	t.Parallel()
	c := mustLoad(t, []string{"--quota-redis=redis://user:secret@redis:6379/0?client_name=secret"})
	if got := logged(t, c)["quota-redis"]; got != "redis://user:xxxxx@redis:6379/0" {
		t.Errorf("logged as %q", got)
	}
	if got := c.QuotaRedis.Reveal(); got != "redis://user:secret@redis:6379/0?client_name=secret" {
		t.Errorf("QuotaRedis = %q", got)
	}
}
