package main

import (
	"crypto/x509"
	"os"
	"regexp"
	"slices"
	"strings"
	"testing"

	"go.yaml.in/yaml/v3"
	"google.golang.org/grpc/credentials"

	locationandspeedv1 "samsara.internal/gateway/gen/location_and_speed/v1"
)

const rulesFile = root + "/deploy/prometheus/rules.yaml"

// alertRule is a rule of rulesFile.
type alertRule struct {
	Record, Alert, Expr string
	Labels, Annotations map[string]string
}

// alertRules returns the rules of rulesFile.
func alertRules(t *testing.T) (rules []alertRule) {
	t.Helper()
	content, err := os.ReadFile(rulesFile)
	if err != nil {
		t.Fatal(err)
	}
	var file struct {
		Groups []struct{ Rules []alertRule }
	}
	if err := yaml.Unmarshal(content, &file); err != nil {
		t.Fatal(err)
	}
	for _, group := range file.Groups {
		rules = append(rules, group.Rules...)
	}
	return rules
}

// TestAlerts_runbooks looks for the section of each alert, and for an alert of each section.
func TestAlerts_runbooks(t *testing.T) {
	t.Parallel()
	content, err := os.ReadFile(root + "/docs/operations.md")
	if err != nil {
		t.Fatal(err)
	}
	_, text, _ := strings.Cut(string(content), "\n## Alerts\n")
	sections := make(map[string]string)
	for section := range strings.SplitSeq(text, "\n### ") {
		name, body, _ := strings.Cut(section, "\n")
		sections[name] = body
	}
	delete(sections, "")
	for _, rule := range alertRules(t) {
		if rule.Alert == "" {
			continue
		}
		if got, want := rule.Annotations["runbook_url"], "docs/operations.md#"+strings.ToLower(rule.Alert); got != want {
			t.Errorf("%s: runbook_url is %q, want %q", rule.Alert, got, want)
		}
		for _, part := range []string{"*It means:*", "*Whose:*", "*Do:*"} {
			if !strings.Contains(sections[rule.Alert], part) {
				t.Errorf("docs/operations.md: the section %s lacks %s", rule.Alert, part)
			}
		}
		if !slices.Contains([]string{"page", "ticket"}, rule.Labels["severity"]) ||
			!slices.Contains([]string{"samsara", "caller", "operator", "gateway"}, rule.Labels["culprit"]) || rule.Annotations["summary"] == "" {
			t.Errorf("%s: labels %v and annotations %v, want a severity, a culprit and a summary", rule.Alert, rule.Labels, rule.Annotations)
		}
		delete(sections, rule.Alert)
	}
	for name, body := range sections {
		if strings.Contains(body, "*It means:*") {
			t.Errorf("docs/operations.md: no alert is called %s", name)
		}
	}
}

// TestAlerts_rules has promtool check the rules and run their unit tests.
func TestAlerts_rules(t *testing.T) {
	t.Parallel()
	for _, args := range [][]string{{"check", "rules", rulesFile}, {"test", "rules", root + "/deploy/prometheus/tests.yaml"}} {
		if out, err := output(t, "promtool", args...); err != nil {
			t.Errorf("promtool %s: %v\n%s", strings.Join(args, " "), err, out)
		}
	}
}

// TestAlerts_metricsExist looks for each metric that a rule or the dashboard reads in the first scrape of a gateway for
// which everything is configured, before any call. What rules read must be there, counters with it; what only the
// dashboard reads must be documented.
func TestAlerts_metricsExist(t *testing.T) {
	t.Parallel()
	authority := newTestAuthority(t)
	cert, key := authority.server(t)
	_, flags := startSandbox(t)
	store := startRedis(t)
	_, at := startBefore(t, flags,
		"--quota-redis="+store.url(), "--audit-file="+t.TempDir()+"/audit",
		"--tls-cert-file="+tokenFile(t, cert), "--tls-key-file="+tokenFile(t, key))
	_, first := get(t, "http://"+at.Admin+"/metrics", "")
	trust := x509.NewCertPool()
	trust.AddCert(authority.cert)
	// A feed has a lag while somebody follows it.
	stream, err := locationandspeedv1.NewLocationAndSpeedServiceClient(connect(t, at.GRPC, credentials.NewClientTLSFromCert(trust, "localhost"))).
		FollowLocationAndSpeed(withTimeout(t, patience), &locationandspeedv1.FollowLocationAndSpeedRequest{})
	if err == nil {
		_, err = stream.Recv()
	}
	if err != nil {
		t.Fatal(err)
	}
	_, later := get(t, "http://"+at.Admin+"/metrics", "")
	read := regexp.MustCompile(`\bsamsara_gateway_\w+`)
	for _, rule := range alertRules(t) {
		for _, name := range read.FindAllString(rule.Expr, -1) {
			in, of := first, name
			if name == "samsara_gateway_feed_lag_seconds" {
				in = later
			}
			if of == "samsara_gateway_upstream_attempt_duration_seconds" {
				of += "_count" // A native histogram has this name in the other format.
			}
			if !strings.Contains(in, "\n"+of+"{") && !strings.Contains(in, "\n"+of+" ") {
				t.Errorf("%s%s: %s is not in a scrape", rule.Alert, rule.Record, name)
			}
		}
	}
	dashboard, err := os.ReadFile(root + "/deploy/grafana/dashboard.json")
	if err != nil {
		t.Fatal(err)
	}
	documented, err := os.ReadFile(root + "/docs/metrics.md")
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range read.FindAllString(string(dashboard), -1) {
		if !strings.Contains(string(documented), "`"+strings.TrimSuffix(strings.TrimPrefix(name, "samsara_gateway_"), "_bucket")+"`") {
			t.Errorf("the dashboard reads %s, which docs/metrics.md does not have", name)
		}
	}
}
