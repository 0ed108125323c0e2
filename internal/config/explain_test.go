package config_test

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"samsara.internal/gateway/internal/config"
)

func TestLoadExplain_readsTheGatewaysSettings(t *testing.T) {
	t.Parallel()
	file := filepath.Join(t.TempDir(), "gateway.yaml")
	if err := os.WriteFile(file, []byte("retry-max-attempts: 3\nquota-margin: 7\napi-token-file: /no/such/file\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	e, err := config.LoadExplain([]string{"--config", file, "ListTags", "--curl", "--upstream-timeout=5s", "-"},
		[]string{"SAMSARA_GATEWAY_QUOTA_MARGIN=8", "SAMSARA_API_TOKEN=not looked\nat"}, config.API{})
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff([]string{"ListTags", "-"}, e.Arguments); diff != "" {
		t.Errorf("arguments (-want +got):\n%s", diff)
	}
	if !e.Curl || e.JSON || e.RetryMaxAttempts != 3 || e.QuotaMargin != 8 || e.UpstreamTimeout.Seconds() != 5 {
		t.Errorf("%+v", e)
	}
	for setting, want := range map[string]string{
		"retry-max-attempts": file + ":1", "quota-margin": "environment SAMSARA_GATEWAY_QUOTA_MARGIN",
		"upstream-timeout": "the command line", "retry-base-delay": "the default",
	} {
		if got := e.Origin(setting); got != want {
			t.Errorf("%s is from %q, want %q", setting, got, want)
		}
	}
	if got := e.APIToken.Reveal(); got != "" {
		t.Errorf("a token was read: %q", got)
	}
}

func TestLoadExplain_ownFlagsAreFlagsAlone(t *testing.T) {
	t.Parallel()
	file := filepath.Join(t.TempDir(), "gateway.yaml")
	if err := os.WriteFile(file, []byte("json: true\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	_, err := config.LoadExplain([]string{"--config", file, "--retry-max-attempts", "11"}, []string{"SAMSARA_GATEWAY_CURL=true"}, config.API{})
	var bad *config.Error
	if !errors.As(err, &bad) {
		t.Fatalf("%v", err)
	}
	want := []string{
		"environment SAMSARA_GATEWAY_CURL: no such setting",
		file + `:1: "json": no such setting`,
		`--retry-max-attempts "11" (from the command line): not between 1 and 10`,
	}
	if diff := cmp.Diff(want, bad.Problems); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
	if _, err := config.Load([]string{"--sandbox", "--json"}, nil, config.API{}); err == nil || !strings.Contains(err.Error(), "--json (from the command line): no such flag") {
		t.Errorf("the gateway takes --json: %v", err)
	}
}
