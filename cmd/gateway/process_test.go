package main

import (
	"bufio"
	"encoding/json"
	"errors"
	"net/http"
	"os"
	"os/exec"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials/insecure"

	"samsara.internal/gateway/internal/testenv"
)

// patience bounds every wait for another process. A busy machine may need much of it.
const patience = 30 * time.Second

// logLine is a line of the log of a gateway or a sandbox.
type logLine struct {
	Time    time.Time `json:"time"`
	Message string    `json:"msg"`
	Level   string    `json:"level"`
	GRPC    string    `json:"grpc"`
	Admin   string    `json:"admin"`
	Sandbox string    `json:"sandbox"`
	Code    string    `json:"code"`
	Method  string    `json:"method"`
	Path    string    `json:"path"`
	Status  int       `json:"status"`
	Fault   string    `json:"fault"`
	Text    string    `json:"text"`
	// Suppressed is how many similar lines were left out.
	Suppressed int `json:"suppressed"`
	// Duration is how long the logged event took until Time, such as 1.2ms.
	Duration string `json:"duration"`
}

// process is a running gateway, or a sandbox alone.
type process struct {
	cmd *exec.Cmd
	// exited is closed when the process has exited, with the result in err.
	exited chan struct{}
	err    error

	mu sync.Mutex
	// grown is closed and replaced when lines or text grow.
	grown chan struct{}
	lines []logLine
	text  strings.Builder
}

// start runs the gateway that make test built, or else this test binary. The end of the test kills it, if
// the test has not stopped it.
func start(t *testing.T, args ...string) *process {
	t.Helper()
	return startIn(t, nil, args...)
}

// startIn runs the gateway as start does, with variables of the form NAME=VALUE in its environment.
func startIn(t *testing.T, env []string, args ...string) *process {
	t.Helper()
	return startCommand(t, env, append([]string{testenv.Tool(t, "gateway")}, args...)...)
}

// startCommand is startIn for a command that becomes the gateway.
func startCommand(t *testing.T, env []string, command ...string) *process {
	t.Helper()
	p := &process{
		cmd:    exec.CommandContext(t.Context(), command[0], command[1:]...),
		exited: make(chan struct{}), grown: make(chan struct{}),
	}
	// The environment has nothing of the developer's, above all not SAMSARA_API_TOKEN.
	p.cmd.Env = append([]string{"PATH=" + os.Getenv("PATH")}, env...)
	stderr, err := p.cmd.StderrPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := p.cmd.Start(); err != nil {
		t.Fatal(err)
	}
	go func() {
		defer close(p.exited)
		for scanner := bufio.NewScanner(stderr); scanner.Scan(); {
			p.read(scanner.Bytes())
		}
		p.err = p.cmd.Wait()
	}()
	t.Cleanup(func() { <-p.exited })
	return p
}

func (p *process) read(raw []byte) {
	var line logLine
	p.mu.Lock()
	defer p.mu.Unlock()
	p.text.Write(raw)
	p.text.WriteByte('\n')
	if json.Unmarshal(raw, &line) == nil {
		p.lines = append(p.lines, line)
	}
	close(p.grown)
	p.grown = make(chan struct{})
}

// log returns the log so far, as lines and as text, and a channel that is closed when there is more.
func (p *process) log() ([]logLine, string, <-chan struct{}) {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.lines[:len(p.lines):len(p.lines)], p.text.String(), p.grown
}

// await waits for the first log line with a message, and returns it.
func (p *process) await(t *testing.T, message string) logLine {
	t.Helper()
	timeout := time.After(patience)
	for {
		lines, text, grown := p.log()
		for _, line := range lines {
			if line.Message == message {
				return line
			}
		}
		select {
		case <-grown:
		case <-p.exited:
			t.Fatalf("the gateway ended before it logged %q: %v\n%s", message, p.err, text)
		case <-timeout:
			t.Fatalf("the gateway did not log %q:\n%s", message, text)
		}
	}
}

func (p *process) signal(t *testing.T, s os.Signal) {
	t.Helper()
	if err := p.cmd.Process.Signal(s); err != nil {
		t.Fatal(err)
	}
}

// wait waits for the end of the process. It returns nil for exit code 0.
func (p *process) wait(t *testing.T) *exec.ExitError {
	t.Helper()
	select {
	case <-p.exited:
	case <-time.After(patience):
		t.Fatal("the gateway did not end")
	}
	var exit *exec.ExitError
	if p.err != nil && !errors.As(p.err, &exit) {
		t.Fatal(p.err)
	}
	return exit
}

// stop ends the process as an orchestrator does, and checks that it exits with code 0.
func (p *process) stop(t *testing.T) {
	t.Helper()
	p.signal(t, syscall.SIGTERM)
	if exit := p.wait(t); exit != nil {
		_, text, _ := p.log()
		t.Fatalf("the gateway ended with %v:\n%s", exit, text)
	}
}

// startSandbox runs a sandbox alone, which logs every request, on a port of its own. It returns the sandbox
// and the flags of a gateway before it.
func startSandbox(t *testing.T, args ...string) (*process, []string) {
	t.Helper()
	p := start(t, append([]string{"sandbox", "--token=open", "--log-format=json", "--log-level=debug", "--listen=127.0.0.1:0"}, args...)...)
	return p, flagsAt(p.await(t, "serving").Sandbox, tokenFile(t, "open"))
}

// flagsAt returns the flags of a gateway before the upstream at a URL, with the file of its token.
func flagsAt(url, tokenFile string) []string {
	return []string{
		"--upstream-url=" + url, "--api-token-file=" + tokenFile,
		"--log-format=json", "--listen=127.0.0.1:0", "--admin-listen=127.0.0.1:0",
	}
}

// startBefore runs a gateway with the flags of startSandbox or flagsAt, and further flags.
func startBefore(t *testing.T, flags []string, args ...string) (*process, logLine) {
	t.Helper()
	p := start(t, append(flags[:len(flags):len(flags)], args...)...)
	return p, p.await(t, "serving")
}

// startSandboxed runs a gateway before its sandbox, on ports of its own. It returns the gateway and the
// addresses that it serves on.
func startSandboxed(t *testing.T, args ...string) (*process, logLine) {
	t.Helper()
	p := start(t, append([]string{
		"--sandbox", "--log-format=json", "--listen=127.0.0.1:0", "--admin-listen=127.0.0.1:0",
	}, args...)...)
	return p, p.await(t, "serving")
}

// connectBefore runs a gateway before an upstream. It returns a connection to the gateway and the addresses
// that it serves on.
func connectBefore(t *testing.T, upstream http.Handler, args ...string) (*grpc.ClientConn, logLine) {
	t.Helper()
	at := startAgainst(t, serveHTTP(t, upstream), args...)
	return connect(t, at.GRPC, insecure.NewCredentials()), at
}
