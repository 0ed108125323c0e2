package main

import (
	"context"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"samsara.internal/gateway/internal/testenv"
)

// The languages of fenced blocks that show commands, each after "$ ", and what they print. The commands of
// shellSession are not run.
const (
	console      = "console"
	shellSession = "shell-session"
)

// The addresses that the documentation uses for a gateway and for a sandbox alone.
const (
	docsGateway = "127.0.0.1:50051"
	docsAdmin   = "127.0.0.1:9464"
	docsSandbox = "127.0.0.1:8080"
)

// docsCommand is a command of a block. Its documented output is the lines of the document from first to
// before last, and its real output is printed.
type docsCommand struct {
	text        string
	first, last int
	printed     string
}

// commands returns the commands of a block.
func (d document) commands(block fence) []docsCommand {
	var all []docsCommand
	for i := block.first; i < block.last; i++ {
		text, begins := strings.CutPrefix(d.lines[i], "$ ")
		if !begins {
			continue
		}
		for goesOn(text) && i+1 < block.last {
			i++
			text += "\n" + d.lines[i]
		}
		if len(all) > 0 {
			all[len(all)-1].last = i - strings.Count(text, "\n")
		}
		all = append(all, docsCommand{text: text, first: i + 1, last: block.last})
	}
	for i := range all {
		for c := &all[i]; c.last > c.first && d.lines[c.last-1] == ""; {
			c.last-- // Empty lines separate commands.
		}
	}
	return all
}

// goesOn reports whether a command does not end with its line.
func goesOn(command string) bool {
	return strings.HasSuffix(command, `\`) || strings.HasSuffix(command, "|") || strings.Count(command, "'")%2 == 1
}

// served maps the addresses in the documentation to the addresses that the commands of a block use.
type served map[string]string

// real replaces the addresses in the documentation by the real ones.
func (s served) real(text string) string { return s.replace(text, false) }

// documented replaces the real addresses by those in the documentation.
func (s served) documented(text string) string { return s.replace(text, true) }

func (s served) replace(text string, back bool) string {
	var pairs []string
	for in, out := range s {
		if back {
			in, out = out, in
		}
		pairs = append(pairs, in, out)
	}
	return strings.NewReplacer(pairs...).Replace(text)
}

// serves matches a command that serves until it is stopped.
var serves = regexp.MustCompile(`^bin/gateway (sandbox )?-.* &$`)

// varies matches what differs from run to run (cursors, request ids, times, remaining waits) and from build
// to build.
var varies = regexp.MustCompile(`"[\w-]{40,}"|[0-9a-f]{8}-[0-9a-f]{8}|\d{4}-\d\d-\d\dT[\d:.]+Z|(\d+m)?\d+\.\d{4,}s|samsara-gateway/[^\s']+`)

// TestDocs_commands runs the commands in the documentation in order, as its reader would. The commands of a
// page share one gateway before its sandbox, unless their block starts another. The output of a command
// must be what the documentation shows below it; -update rewrites that.
func TestDocs_commands(t *testing.T) {
	t.Parallel()
	testenv.Tool(t, "curl")
	programs := served{"bin/gateway": testenv.Tool(t, "gateway"), "bin/grpcurl": testenv.Tool(t, "grpcurl")}
	run, notRun, scripts := 0, 0, 0
	for _, d := range docs(t) {
		runs := false
		for _, block := range d.fences() {
			commands := d.commands(block)
			switch block.language {
			case console:
				if len(commands) == 0 {
					t.Errorf("%s: a block of %s has no command", d.at(block.first), console)
				}
				run += len(commands)
				runs = true
			case shellSession:
				notRun += len(commands)
			case "sh":
				scripts += block.last - block.first
			default:
				if len(commands) > 0 {
					t.Errorf("%s: a block with commands must be %s or %s, and is %q", d.at(block.first), console, shellSession, block.language)
				}
			}
		}
		if runs {
			t.Run(d.path, func(t *testing.T) {
				t.Parallel()
				runDocument(t, d, programs)
			})
		}
	}
	if run < 15 {
		t.Errorf("%d commands are run, want at least 15", run)
	}
	t.Logf("%d commands of %s blocks are run; %d of %s blocks, and %d lines of sh blocks, are not", run, console, notRun, shellSession, scripts)
}

// runDocument runs the commands of a page, and compares their output.
func runDocument(t *testing.T, d document, programs served) {
	t.Helper()
	_, at := startSandboxed(t)
	fresh := slices.Clone(d.lines)
	for _, block := range slices.Backward(runBlocks(t, d, programs, at)) {
		for _, c := range slices.Backward(block) { // last first, so that line numbers stay right
			want := strings.Join(d.lines[c.first:c.last], "\n")
			diff := cmp.Diff(varies.ReplaceAllString(want, "…"), varies.ReplaceAllString(c.printed, "…"))
			switch {
			case diff == "":
			case !*update:
				t.Errorf("%s: %s\n(-documentation +printed)\n%s", d.at(c.first), c.text, diff)
			default:
				fresh = slices.Replace(fresh, c.first, c.last, lines(c.printed)...)
			}
		}
	}
	if slices.Equal(fresh, d.lines) {
		return
	}
	if err := os.WriteFile(filepath.Join(root, filepath.FromSlash(d.path)), []byte(strings.Join(fresh, "\n")), 0o600); err != nil {
		t.Fatal(err)
	}
}

// lines returns the lines of an output, none if it is empty.
func lines(output string) []string {
	if output == "" {
		return nil
	}
	return strings.Split(output, "\n")
}

// runBlocks runs the blocks of a page in order, against a gateway.
func runBlocks(t *testing.T, d document, programs served, at logLine) [][]docsCommand {
	t.Helper()
	var blocks [][]docsCommand
	for _, block := range d.fences() {
		if block.language != console {
			continue
		}
		commands := d.commands(block)
		runBlock(t, commands, programs, served{docsGateway: at.GRPC, docsAdmin: at.Admin})
		blocks = append(blocks, commands)
	}
	return blocks
}

// runBlock runs the commands of a block in one shell, and notes the output of each. A command that serves
// has none.
func runBlock(t *testing.T, commands []docsCommand, programs, addresses served) {
	t.Helper()
	const end = "--- end of a command ---"
	var script strings.Builder
	for _, c := range commands {
		if serves.MatchString(c.text) {
			startDocumented(t, programs.real(c.text), addresses)
		} else {
			script.WriteString("{ " + programs.real(addresses.real(c.text)) + "\n}\n")
		}
		script.WriteString("echo; echo '" + end + "'\n")
	}
	ctx, cancel := context.WithTimeout(t.Context(), 2*time.Minute)
	defer cancel()
	shell := exec.CommandContext(ctx, "bash", "-c", "exec 2>&1 </dev/null\n"+script.String())
	shell.Dir = t.TempDir()
	// Commands name files of the documentation as they are seen from the repository.
	docs, err := filepath.Abs("../../docs")
	if err == nil {
		err = os.Symlink(docs, filepath.Join(shell.Dir, "docs"))
	}
	if err != nil {
		t.Fatal(err)
	}
	// The environment has nothing of the developer's, above all not SAMSARA_API_TOKEN.
	shell.Env = []string{"PATH=" + os.Getenv("PATH"), "HOME=" + shell.Dir, "LC_ALL=C.UTF-8"}
	output, err := shell.CombinedOutput() // An example of an error makes a command fail, but not the echo.
	if err != nil {
		t.Fatalf("%v:\n%s", err, output)
	}
	outputs := strings.Split(addresses.documented(string(output)), "\n"+end+"\n")
	if len(outputs) != len(commands)+1 {
		t.Fatalf("%d commands have %d outputs:\n%s", len(commands), len(outputs)-1, output)
	}
	for i := range commands {
		commands[i].printed = strings.TrimRight(outputs[i], "\n")
	}
}

// startDocumented runs a command that serves, on ports of its own, and puts their addresses into addresses.
func startDocumented(t *testing.T, command string, addresses served) {
	t.Helper()
	command = "exec " + strings.TrimSuffix(command, " &") + " --log-format=json --listen=127.0.0.1:0"
	alone := strings.Contains(command, " sandbox ")
	if !alone {
		command += " --admin-listen=127.0.0.1:0"
	}
	at := startCommand(t, nil, "bash", "-c", command).await(t, "serving")
	if alone {
		addresses[docsSandbox] = strings.TrimPrefix(at.Sandbox, "http://")
		return
	}
	addresses[docsGateway], addresses[docsAdmin] = at.GRPC, at.Admin
}
