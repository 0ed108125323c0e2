package main

import (
	"errors"
	"flag"
	"os"
	"os/exec"
	"strconv"
	"strings"
	"testing"

	"github.com/rogpeppe/go-internal/testscript"

	"samsara.internal/gateway/internal/testenv"
)

// update rewrites the expected output in the scripts and in the documentation.
var update = flag.Bool("update", false, "rewrite the expected output in testdata/script and in the documentation")

// TestMain makes this binary the program gateway, for scripts and for tests that start one, and the program
// rawclient, for tests that kill a client.
func TestMain(m *testing.M) {
	testscript.Main(m, map[string]func(){"gateway": main, "rawclient": rawClient})
}

func TestScripts_all(t *testing.T) {
	t.Parallel()
	testenv.Processes(t)
	testscript.Run(t, testscript.Params{
		Dir:                 "testdata/script",
		UpdateScripts:       *update,
		RequireExplicitExec: true,
		RequireUniqueNames:  true,
		Cmds: map[string]func(*testscript.TestScript, bool, []string){
			"exits": exits,
			"plain": plain,
		},
	})
}

// exits is the script command "exits CODE PROGRAM ARG...".
func exits(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) < 2 {
		ts.Fatalf("usage: exits CODE PROGRAM ARG...")
	}
	want, err := strconv.Atoi(args[0])
	ts.Check(err)
	var exit *exec.ExitError
	switch err := ts.Exec(args[1], args[2:]...); {
	case errors.As(err, &exit):
		if exit.ExitCode() != want {
			ts.Fatalf("exit code %d, want %d", exit.ExitCode(), want)
		}
	case err != nil:
		ts.Fatalf("%v", err)
	case want != 0:
		ts.Fatalf("exit code 0, want %d", want)
	}
}

// plain is the script command "plain FILE COPY": it copies a file without the version of the build.
func plain(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) != 2 {
		ts.Fatalf("usage: plain FILE COPY")
	}
	text := strings.ReplaceAll(ts.ReadFile(args[0]), "samsara-gateway/"+readBuild().Version, "samsara-gateway/VERSION")
	ts.Check(os.WriteFile(ts.MkAbs(args[1]), []byte(text), 0o600))
}
