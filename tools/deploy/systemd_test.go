package deploy

import (
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"sigs.k8s.io/yaml"
)

const systemdFolder = "../../deploy/systemd"

// maxExposure is the worst that systemd-analyze security may say, in tenths. Without any hardening it says 96.
const maxExposure = "15"

// read returns a file of deploy/systemd.
func read(t *testing.T, file string) string {
	t.Helper()
	text, err := os.ReadFile(filepath.Join(systemdFolder, file))
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

// unit returns the values of the unit by their keys, the last one if there are several.
func unit(t *testing.T) map[string]string {
	t.Helper()
	values := make(map[string]string)
	for line := range strings.Lines(read(t, "samsara-gateway.service")) {
		if key, value, ok := strings.Cut(strings.TrimSpace(line), "="); ok && !strings.HasPrefix(key, "#") {
			values[key] = value
		}
	}
	return values
}

// TestSystemd_unit has systemd verify the unit and rate it, with the gateway that make has built in the place of the one
// that is installed.
func TestSystemd_unit(t *testing.T) {
	t.Parallel()
	file := filepath.Join(t.TempDir(), "samsara-gateway.service")
	text := strings.Replace(read(t, "samsara-gateway.service"), "ExecStart=/usr/local/bin/gateway", "ExecStart="+gateway(t), 1)
	if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	// verify reports most mistakes without failing.
	out, err := exec.CommandContext(t.Context(), "systemd-analyze", "verify", "--recursive-errors=no", file).CombinedOutput()
	if err != nil || len(out) > 0 {
		t.Errorf("systemd-analyze verify: %v\n%s", err, out)
	}
	out, err = exec.CommandContext(t.Context(), "systemd-analyze", "security", "--offline=yes", "--threshold="+maxExposure, "--no-pager", file).CombinedOutput()
	if err != nil {
		t.Errorf("systemd-analyze security: %v\n%s", err, out)
	}
	lines := strings.Split(strings.TrimSpace(string(out)), "\n")
	t.Log(lines[len(lines)-1])
}

// TestSystemd_configuration has the gateway check what the unit starts it with.
func TestSystemd_configuration(t *testing.T) {
	t.Parallel()
	values := unit(t)
	const folder = "/etc/samsara-gateway"
	own := t.TempDir()
	config := strings.ReplaceAll(read(t, "samsara-gateway.yaml"), folder, own)
	for file, content := range map[string]string{"samsara-gateway.yaml": config, "api-token": "samsara-token"} {
		if err := os.WriteFile(filepath.Join(own, file), []byte(content), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	command := strings.Fields(strings.ReplaceAll(values["ExecStart"], folder, own))
	if printed, err := run(t, nil, append([]string{"config", "check"}, command[1:]...)...); err != nil {
		t.Errorf("%q: %v\n%s", command, err, printed)
	}
	if printed, err := run(t, nil, append([]string{"config", "check", "--no-such-flag"}, command[1:]...)...); err == nil {
		t.Errorf("a flag that does not exist is accepted: %s", printed)
	}

	settings := make(map[string]any)
	if err := yaml.UnmarshalStrict([]byte(config), &settings); err != nil {
		t.Fatal(err)
	}
	needed := cutOff
	for _, name := range []string{"drain-delay", "shutdown-grace"} {
		if text, ok := settings[name].(string); ok {
			d, err := time.ParseDuration(text)
			if err != nil {
				t.Fatal(err)
			}
			needed += d
		}
	}
	if stop, err := time.ParseDuration(values["TimeoutStopSec"]); err != nil || stop < needed {
		t.Errorf("TimeoutStopSec is %v (%v), and %v are needed", stop, err, needed)
	}
	if user := strings.Fields(read(t, "samsara-gateway.sysusers")); user[1] != values["User"] {
		t.Errorf("the unit runs as %s, and %s is made", values["User"], user[1])
	}
}
