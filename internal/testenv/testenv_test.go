package testenv_test

import (
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"testing"

	"samsara.internal/gateway/internal/testenv"
)

// recorder is a test that says how it was ended.
type recorder struct {
	testing.TB
	name  string
	ended string
}

func (r *recorder) Helper()      {}
func (r *recorder) Name() string { return r.name }

func (r *recorder) Skip(args ...any)             { r.end("skipped: " + fmt.Sprint(args...)) }
func (r *recorder) Skipf(f string, args ...any)  { r.end("skipped: " + fmt.Sprintf(f, args...)) }
func (r *recorder) Fatalf(f string, args ...any) { r.end("failed: " + fmt.Sprintf(f, args...)) }
func (r *recorder) end(how string)               { r.ended = how; runtime.Goexit() }

// endOf runs a test of a name, and returns how it was ended: empty if it was not.
func endOf(t *testing.T, name string, f func(testing.TB)) string {
	t.Helper()
	r, done := &recorder{TB: t, name: name}, make(chan struct{})
	go func() {
		defer close(done)
		f(r)
	}()
	<-done
	return r.ended
}

func TestTool_missing(t *testing.T) {
	if testing.Short() {
		t.Skip("a short test has no tools: make test")
	}
	folder := t.TempDir()
	path := filepath.Join(folder, "tool")
	if err := os.WriteFile(path, []byte("#!/bin/sh\n"), 0o700); err != nil {
		t.Fatal(err)
	}
	for _, test := range []struct {
		name, bin, path, tool string
		want, ended           string
	}{
		{name: "made by make", bin: folder, path: "/nowhere", tool: "tool", want: path},
		{name: "of the machine", bin: t.TempDir(), path: folder, tool: "tool", want: path},
		{name: "without make", path: folder, tool: "tool", want: path},
		{name: "nowhere without make", path: folder, tool: "other", ended: "skipped: other is not in PATH: run make test, which provides it"},
		{
			name: "nowhere though make said where", bin: folder, path: folder, tool: "other",
			ended: "failed: other is neither in SAMSARA_TEST_BIN=" + folder + " nor in PATH: run make test, which provides it",
		},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Setenv("SAMSARA_TEST_BIN", test.bin)
			t.Setenv("PATH", test.path)
			var got string
			ended := endOf(t, t.Name(), func(t testing.TB) {
				t.Helper()
				got = testenv.Tool(t, test.tool)
			})
			if got != test.want || ended != test.ended {
				t.Errorf("got %q and %q, want %q and %q", got, ended, test.want, test.ended)
			}
		})
	}
}

func sdks(t testing.TB) {
	t.Helper()
	testenv.SDKs(t)
}

func TestAlone_skipped(t *testing.T) {
	for _, test := range []struct {
		name, variable, value string
		f                     func(testing.TB)
		want                  string
	}{
		{"TestTime_x", "SAMSARA_TEST_TIME", "1", testenv.Alone, ""},
		{"TestTime_x/y", "SAMSARA_TEST_TIME", "", testenv.Alone, "skipped: must run alone: make test-time"},
		{"TestX", "SAMSARA_TEST_TIME", "1", testenv.Alone, "failed: the name of TestX must begin with TestTime_: no make target runs it"},
		{"TestSDK_x", "SAMSARA_TEST_SDK", "1", sdks, ""},
		{"TestSDK_x", "SAMSARA_TEST_SDK", "", sdks, "skipped: needs Samsara's SDKs: make test-sdk"},
		{"TestX", "SAMSARA_TEST_SDK", "", sdks, "failed: the name of TestX must begin with TestSDK_: no make target runs it"},
		{"TestIncidents_x", "SAMSARA_TEST_INCIDENTS", "1", testenv.Incidents, ""},
		{"TestIncidents_x", "SAMSARA_TEST_INCIDENTS", "", testenv.Incidents, "skipped: takes minutes: make test-incidents"},
		{"TestContainer_x", "SAMSARA_TEST_ROOT", "1", testenv.Root, ""},
		{"TestContainer_x", "SAMSARA_TEST_ROOT", "", testenv.Root, "skipped: needs root: make test-root"},
		{"TestX", "SAMSARA_TEST_ROOT", "", testenv.Root, "failed: the name of TestX must begin with TestContainer_: no make target runs it"},
	} {
		t.Run(test.name+test.value, func(t *testing.T) {
			t.Setenv(test.variable, test.value)
			if got := endOf(t, test.name, test.f); got != test.want {
				t.Errorf("got %q, want %q", got, test.want)
			}
		})
	}
}
