package main

import (
	"bytes"
	"errors"
	"io"
	"io/fs"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"samsara.internal/gateway/internal/testenv"
)

// TestRun_everySection runs the harness as `make bench QUICK=1 PEER=...` does, but shorter,
// without large answers and without control groups, which have a test of their own.
func TestRun_everySection(t *testing.T) {
	t.Parallel()
	gateway, folder := testenv.Tool(t, "gateway"), t.TempDir()
	out := bench(t, "run", "--gateway", gateway, "--micro", testenv.Tool(t, "bench-micro"), "--out", folder,
		"--before", gateway, "--before-commit", "abcdef0", "--rounds", "1", "--cpu", "1ms", "--micro-time", "1ns",
		"--flood-time", "100ms", "--few", "2", "--many", "20", "--followers", "20", "--messages", "2",
		"--sections", "micro,throughput,goodput,followers,proofs")

	page, err := os.ReadFile(filepath.Join(folder, "RESULTS.md"))
	if err != nil {
		t.Fatal(err)
	}
	if !bytes.Contains(out, page) {
		t.Error("the page is not printed")
	}
	for _, section := range []string{"The gateway today and before: abcdef0", "Goodput", "20 streams that follow one feed", "Authentication and policy", "JSON to wire bytes"} {
		if !bytes.Contains(page, []byte("## "+section)) {
			t.Errorf("the page has no section %q", section)
		}
	}
	for line := range strings.Lines(string(page)) {
		measured := strings.ReplaceAll(line, "| – | 0 |", "") // Floor C does not report its collections.
		if strings.Contains(measured, "not measured") || strings.Contains(measured, "| – |") {
			t.Errorf("something is not measured: %s", line)
		}
	}
}

func TestRun_someServers(t *testing.T) {
	t.Parallel()
	gateway := testenv.Tool(t, "gateway")
	for _, test := range []struct {
		sections string
		picture  bool
	}{{"2kb", false}, {"cpu,throughput", true}} {
		t.Run(test.sections, func(t *testing.T) {
			t.Parallel()
			folder := t.TempDir()
			page := bench(t, "run", "--gateway", gateway, "--out", folder,
				"--rounds", "2", "--cpu", "1ms", "--sections", test.sections, "--servers", "gateway")
			if !bytes.Contains(page, []byte("| gateway | p50 ")) || bytes.Contains(page, []byte("\n| vanguard |")) || bytes.Contains(page, []byte("## Goodput")) {
				t.Errorf("page %s", page)
			}
			_, err := os.Stat(filepath.Join(folder, "results.svg"))
			if drawn := err == nil; drawn != test.picture || err != nil && !errors.Is(err, fs.ErrNotExist) {
				t.Errorf("picture %t, want %t: %v", drawn, test.picture, err)
			}
		})
	}
}

// bench runs the command and returns what it prints.
func bench(t *testing.T, args ...string) []byte {
	t.Helper()
	command := exec.CommandContext(t.Context(), testenv.Tool(t, "bench"), args...)
	var stderr bytes.Buffer
	command.Stderr = &stderr
	out, err := command.Output()
	if err != nil {
		t.Fatalf("bench %s: %v\n%s", strings.Join(args, " "), err, stderr.String())
	}
	return out
}

func TestRun_wrongArguments(t *testing.T) {
	t.Parallel()
	for want, args := range map[string][]string{
		`command "": must be run or serve`:                {},
		`section "3kb": must be cpu or one of`:            {"run", "--sections", "2kb,3kb"},
		`server "envoy": must be one of gateway, floor-a`: {"run", "--servers", "envoy"},
		"rounds 0, cpu 1s":                                {"run", "--rounds", "0"},
		`server "envoy": must be upstream`:                {"serve", "envoy"},
	} {
		if err := run(t.Context(), args, io.Discard, io.Discard); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%q: error %v, want %q in it", args, err, want)
		}
	}
}

func TestContainer_limitsMemory(t *testing.T) {
	t.Parallel()
	testenv.Root(t)
	group, err := newCgroup(32 << 20)
	if err != nil { // In some sandboxes not even root can make one, and some kernels have no memory controller.
		t.Skipf("no cgroup can be made: %v", err)
	}
	path, args := group.command("/bin/sh", "-c", `x=$(head -c 100000000 /dev/zero | tr '\0' x); echo ${#x}`)
	out, err := exec.CommandContext(t.Context(), path, args...).CombinedOutput()
	if err == nil {
		t.Errorf("100 MB fitted into 32 MiB: %s", out)
	}
	if peak, err := group.peakBytes(); err != nil || peak < 16<<20 || peak > 32<<20 {
		t.Errorf("peak of %g bytes, %v, want 16 to 32 MiB", peak, err)
	}
	if kills, err := group.killed(); err != nil || kills < 1 {
		t.Errorf("%d kills, %v, want at least 1", kills, err)
	}
	if err := group.remove(); err != nil {
		t.Error(err)
	}
}

func TestStart_serverThatExits(t *testing.T) {
	t.Parallel()
	testenv.Processes(t)
	_, err := start(t.Context(), "sh", "-c", "echo no such thing >&2; exit 3")
	if err == nil || !strings.Contains(err.Error(), "no such thing") || !strings.Contains(err.Error(), "exit status 3") {
		t.Errorf("error %v, want its output and its exit status", err)
	}
}

func TestStart_readyWhenTheAddressIsLogged(t *testing.T) {
	t.Parallel()
	testenv.Processes(t)
	p, err := start(t.Context(), "sh", "-c", `echo 'level=INFO msg=configuration' >&2; echo 'level=INFO msg=serving grpc=127.0.0.1:7 endpoints=1 admin=127.0.0.1:8' >&2; exec sleep 60`)
	if err != nil {
		t.Fatal(err)
	}
	if p.address != "127.0.0.1:7" || p.admin != "127.0.0.1:8" {
		t.Errorf("address %q, admin %q, want 127.0.0.1:7 and 127.0.0.1:8", p.address, p.admin)
	}
	if peak, err := p.peakBytes(); err != nil || peak <= 0 {
		t.Errorf("peak of %g bytes, %v", peak, err)
	}
	if resident, err := p.residentBytes(); err != nil || resident <= 0 {
		t.Errorf("%g bytes resident, %v", resident, err)
	}
	for range 2 {
		if err := p.stop(); err != nil {
			t.Error(err)
		}
	}
}

func TestProcess_metric(t *testing.T) {
	t.Parallel()
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		_, _ = io.WriteString(w, "# TYPE go_memstats_mallocs_total counter\ngo_memstats_mallocs_total_x 1\ngo_memstats_mallocs_total 1.5e+06\n")
	}))
	defer server.Close()
	p := &process{admin: server.Listener.Addr().String()}
	if got, err := p.allocations(t.Context()); err != nil || got != 1.5e6 {
		t.Errorf("%g allocations, %v, want 1.5e+06", got, err)
	}
	if _, err := p.collections(t.Context()); err == nil || !strings.Contains(err.Error(), "go_gc_duration_seconds_count") {
		t.Errorf("error %v, want one that names the metric", err)
	}
}

func TestEnvironment_gatewaySettingsLeftOut(t *testing.T) {
	t.Parallel()
	got := environment([]string{"PATH=/bin", "SAMSARA_API_TOKEN=secret", "SAMSARA_GATEWAY_LISTEN=:1"})
	if len(got) != 1 || got[0] != "PATH=/bin" {
		t.Errorf("environment %q, want PATH=/bin alone", got)
	}
}
