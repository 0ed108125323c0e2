package main

import (
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"samsara.internal/gateway/internal/testenv"
)

// TestEverythingIsMeasured runs the harness as `make bench QUICK=1` does, only shorter.
func TestEverythingIsMeasured(t *testing.T) {
	t.Parallel()
	folder := t.TempDir()
	gateway, bench, micro := testenv.Tool(t, "gateway"), testenv.Tool(t, "bench"), testenv.Tool(t, "bench-micro")
	execute(t, bench, "run", "--gateway", gateway, "--micro", micro, "--out", folder,
		"--rounds", "1", "--cpu", "1ms", "--micro-time", "1ns")

	page, err := os.ReadFile(filepath.Join(folder, "RESULTS.md"))
	if err != nil {
		t.Fatal(err)
	}
	for line := range strings.Lines(string(page)) {
		if strings.Contains(line, "not measured") || strings.Contains(line, "| – |") {
			t.Errorf("not everything is measured: %s", line)
		}
	}
	if _, err := os.Stat(filepath.Join(folder, "results.svg")); err != nil {
		t.Error(err)
	}
}

func execute(t *testing.T, name string, args ...string) {
	t.Helper()
	if out, err := exec.CommandContext(t.Context(), name, args...).CombinedOutput(); err != nil {
		t.Fatalf("%s %s: %v\n%s", name, strings.Join(args, " "), err, out)
	}
}

func TestAServerThatDoesNotStartSaysWhy(t *testing.T) {
	t.Parallel()
	testenv.Processes(t)
	_, err := start(t.Context(), "sh", "-c", "echo no such thing >&2; exit 3")
	if err == nil || !strings.Contains(err.Error(), "no such thing") || !strings.Contains(err.Error(), "exit status 3") {
		t.Errorf("error %v, want what it said and its status", err)
	}
}

func TestAServerIsReadyWhenItLogsItsAddress(t *testing.T) {
	t.Parallel()
	testenv.Processes(t)
	p, err := start(t.Context(), "sh", "-c", `echo 'level=INFO msg=configuration' >&2; echo 'level=INFO msg=serving grpc=127.0.0.1:7 endpoints=1' >&2; exec sleep 60`)
	if err != nil {
		t.Fatal(err)
	}
	if p.address != "127.0.0.1:7" {
		t.Errorf("address %q", p.address)
	}
	if peak, err := p.peakBytes(); err != nil || peak <= 0 {
		t.Errorf("peak of %g bytes, %v", peak, err)
	}
	if err := p.stop(); err != nil {
		t.Error(err)
	}
}

func TestTheGatewayIsNotConfiguredByTheEnvironment(t *testing.T) {
	t.Parallel()
	got := environment([]string{"PATH=/bin", "SAMSARA_API_TOKEN=secret", "SAMSARA_GATEWAY_LISTEN=:1"})
	if len(got) != 1 || got[0] != "PATH=/bin" {
		t.Errorf("environment %q", got)
	}
}
