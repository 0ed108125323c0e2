package main

import (
	"bytes"
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/grafana/grafana-foundation-sdk/go/cog/plugins"
	"github.com/grafana/grafana-foundation-sdk/go/dashboard"
)

const committed = "../../deploy/grafana/dashboard.json"

// TestDashboard_committed compares what is committed with what is generated, and decodes it strictly.
func TestDashboard_committed(t *testing.T) {
	t.Parallel()
	got, err := os.ReadFile(committed)
	if err != nil {
		t.Fatal(err)
	}
	want, err := generate()
	if err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(got, want) {
		t.Errorf("%s is not as generated: make dashboard", committed)
	}
	if problems := decode(got); problems != "" {
		t.Errorf("%s: %s", committed, problems)
	}
	for _, member := range []string{"gridPos", "refresh", "fieldConfig"} {
		misspelt := bytes.Replace(got, []byte(`"`+member+`"`), []byte(`"`+member+`s"`), 1)
		if decode(misspelt) == "" {
			t.Errorf("%s is misspelt, and that was not found", member)
		}
	}
}

// decode decodes a dashboard strictly, and returns what is wrong with it.
func decode(text []byte) string {
	plugins.RegisterDefaultPlugins()
	var made dashboard.Dashboard                                                //nolint:staticcheck // SA1019: as in generate
	if err := made.UnmarshalJSONStrict(text); err != nil && err.Error() != "" { // It is never nil, but may be empty.
		return err.Error()
	}
	if err := made.Validate(); err != nil {
		return err.Error()
	}
	return ""
}

// TestDashboard_expressionsParse has promtool parse each expression of the committed dashboard.
func TestDashboard_expressionsParse(t *testing.T) {
	t.Parallel()
	text, err := os.ReadFile(committed)
	if err != nil {
		t.Fatal(err)
	}
	var rules strings.Builder
	rules.WriteString("groups:\n- name: dashboard\n  rules:\n")
	exprs := regexp.MustCompile(`"expr": (".*")`).FindAllStringSubmatch(string(text), -1)
	for i, found := range exprs {
		var expr string
		if err := json.Unmarshal([]byte(found[1]), &expr); err != nil {
			t.Fatal(err)
		}
		expr = strings.ReplaceAll(expr, "$__rate_interval", "5m") // All other variables are within texts.
		quoted, err := json.Marshal(expr)
		if err != nil {
			t.Fatal(err)
		}
		fmt.Fprintf(&rules, "  - record: panel:%d\n    expr: %s\n", i, quoted)
	}
	file := filepath.Join(t.TempDir(), "rules.yaml")
	if err := os.WriteFile(file, []byte(rules.String()), 0o600); err != nil {
		t.Fatal(err)
	}
	out, err := exec.CommandContext(t.Context(), "promtool", "check", "rules", file).CombinedOutput()
	if err != nil || len(exprs) < 40 || !strings.Contains(string(out), fmt.Sprintf("%d rules found", len(exprs))) {
		t.Errorf("%d expressions: %v\n%s", len(exprs), err, out)
	}
}
