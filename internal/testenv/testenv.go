package testenv

import (
	"math/rand/v2"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
)

// Processes skips a short test: it starts processes, or waits in real time for seconds.
func Processes(t testing.TB) {
	t.Helper()
	if testing.Short() {
		t.Skip("starts processes: make test")
	}
}

// Tool returns the path of a program that the test starts: in the folder SAMSARA_TEST_BIN if it is
// there, and otherwise in PATH. If it is in neither the test is skipped, or fails if
// SAMSARA_TEST_BIN is set. A short test is always skipped.
func Tool(t testing.TB, name string) string {
	t.Helper()
	Processes(t)
	folder := variable("SAMSARA_TEST_BIN")
	if folder != "" {
		if path, err := exec.LookPath(filepath.Join(folder, name)); err == nil {
			return path
		}
	}
	path, err := exec.LookPath(name)
	switch {
	case err != nil && folder != "":
		t.Fatalf("%s is neither in SAMSARA_TEST_BIN=%s nor in PATH: run make test, which provides it", name, folder)
	case err != nil:
		t.Skipf("%s is not in PATH: run make test, which provides it", name)
	}
	return path
}

// Alone skips a test of wall-clock time except in make test-time, which runs one test at a time
// and finds them by their name: TestTime_ and what is timed.
func Alone(t testing.TB) {
	t.Helper()
	only(t, "TestTime_", "SAMSARA_TEST_TIME", "must run alone: make test-time")
}

// Root skips a test that needs root, cgroups or chroot except in make test-root, which finds them
// by their name: TestContainer_ and what is tested.
func Root(t testing.TB) {
	t.Helper()
	only(t, "TestContainer_", "SAMSARA_TEST_ROOT", "needs root: make test-root")
}

// Incidents skips a test that stages an incident for minutes except in make test-incidents, which finds them by their
// name: TestIncidents_ and what happens.
func Incidents(t testing.TB) {
	t.Helper()
	only(t, "TestIncidents_", "SAMSARA_TEST_INCIDENTS", "takes minutes: make test-incidents")
}

// SDKs returns the folder of Samsara's SDKs: node_modules and the virtual environment python. It skips
// the test except in make test-sdk, which installs them and finds the tests by their name: TestSDK_
// and what is tested.
func SDKs(t testing.TB) string {
	t.Helper()
	only(t, "TestSDK_", "SAMSARA_TEST_SDK", "needs Samsara's SDKs: make test-sdk")
	return filepath.Join(variable("SAMSARA_TEST_BIN"), "sdk")
}

// only skips a test if a variable is not 1. The name of the test must begin with the prefix that its make
// target looks for.
func only(t testing.TB, prefix, name, reason string) {
	t.Helper()
	if !strings.HasPrefix(t.Name(), prefix) {
		t.Fatalf("the name of %s must begin with %s: no make target runs it", t.Name(), prefix)
	}
	if variable(name) != "1" {
		t.Skip(reason)
	}
}

// Port returns a port of 127.0.0.1 on which nobody listens, for a server that cannot choose one by itself.
// The kernel does not choose it for a socket that listens on port 0 or connects, so the server may be
// restarted on it.
func Port(t testing.TB) string {
	t.Helper()
	for range 100 {
		port := strconv.Itoa(20_000 + rand.IntN(10_000)) //nolint:gosec // No secret.
		l, err := (&net.ListenConfig{}).Listen(t.Context(), "tcp", net.JoinHostPort("127.0.0.1", port))
		if err != nil {
			continue
		}
		if err := l.Close(); err != nil {
			t.Fatal(err)
		}
		return port
	}
	t.Fatal("no port from 20000 to 29999 is free, of 100 that were tried")
	return ""
}

func variable(name string) string {
	return os.Getenv(name) //nolint:forbidigo // It is for tests alone, and make says it by the environment.
}
