package main

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"google.golang.org/grpc/credentials/insecure"

	"samsara.internal/gateway/internal/testenv"
)

// TestSettings_followed changes the configuration file of a gateway that runs.
func TestSettings_followed(t *testing.T) {
	t.Parallel()
	file := filepath.Join(t.TempDir(), "gateway.yaml")
	replace(t, file, "log-level: info\nretry-max-attempts: 3\n")
	p, at := startSandboxed(t, "--config", file)
	ready := func() string {
		_, body := get(t, "http://"+at.Admin+"/readyz", "")
		return body
	}
	says := func(text string) bool {
		_, all, _ := p.log()
		return strings.Contains(all, text)
	}
	conn := connect(t, at.GRPC, insecure.NewCredentials())
	call := func() { _ = getContact(conn)(waiting(t), 0) }
	call()
	replace(t, file, "log-level: debug\nretry-max-attempts: 3\n")
	p.signal(t, syscall.SIGHUP)
	eventually(t, "the level is debug", func() bool { call(); return says(`"level":"DEBUG","msg":"call finished"`) })
	if !says(`"msg":"log level changed"`) || ready() != "ready\n" {
		t.Errorf("the change is not logged, or /readyz says %q", ready())
	}
	replace(t, file, "log-level: debug\nretry-max-attempts: 5\nquota: false\n")
	p.signal(t, syscall.SIGHUP)
	eventually(t, "what needs a restart is named", func() bool {
		return ready() == "ready\nsettings that have changed and need a restart: retry-max-attempts, quota\n"
	})
	if !says(`"settings":"retry-max-attempts, quota"`) {
		t.Error("the log does not name what needs a restart")
	}
	replace(t, file, "log-level: loud\nretry-max-attempts: many\n")
	p.signal(t, syscall.SIGHUP)
	eventually(t, "a bad file is named", func() bool {
		return strings.Contains(ready(), "file config: the last good one is in use") && strings.Contains(ready(), "and 1 more: see gateway config check")
	})
	replace(t, file, "log-level: info\nretry-max-attempts: 3\n")
	p.signal(t, syscall.SIGHUP)
	eventually(t, "all is well again", func() bool { return ready() == "ready\n" })
	p.stop(t)
}

// TestSettings_flagWins changes the log level in the file of a gateway that has it from a flag.
func TestSettings_flagWins(t *testing.T) {
	t.Parallel()
	file := filepath.Join(t.TempDir(), "gateway.yaml")
	replace(t, file, "log-level: info\n")
	p, at := startSandboxed(t, "--config", file, "--log-level=info")
	replace(t, file, "log-level: debug\n")
	p.signal(t, syscall.SIGHUP)
	eventually(t, "the change is seen", func() bool {
		return metric(t, at.Admin, "samsara_gateway_file_looks_total", `file="config"`, `result="changed"`) == 1
	})
	_ = getContact(connect(t, at.GRPC, insecure.NewCredentials()))(waiting(t), 0)
	p.stop(t)
	if _, text, _ := p.log(); strings.Contains(text, `"level":"DEBUG"`) {
		t.Error("the file wins over the flag")
	}
}

// TestSettings_notFollowed starts gateways with configuration files that cannot be followed.
func TestSettings_notFollowed(t *testing.T) {
	t.Parallel()
	empty := tokenFile(t, "")
	p, _ := startSandboxed(t, "--config", empty)
	p.stop(t)
	pipe := filepath.Join(t.TempDir(), "pipe")
	if err := syscall.Mkfifo(pipe, 0o600); err != nil {
		t.Fatal(err)
	}
	p = startCommand(t, nil, "/bin/sh", "-c", `echo "log-level: debug" >"$0" & exec "$@"`, pipe, testenv.Tool(t, "gateway"),
		"--sandbox", "--listen=127.0.0.1:0", "--admin-listen=127.0.0.1:0", "--log-format=json", "--config", pipe)
	at := p.await(t, "serving")
	_ = getContact(connect(t, at.GRPC, insecure.NewCredentials()))(waiting(t), 0)
	eventually(t, "the level is debug", func() bool {
		_, text, _ := p.log()
		return strings.Contains(text, `"level":"DEBUG","msg":"call finished"`)
	})
	p.stop(t)
}

func TestConfigCheck_goodAndBad(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	audit := filepath.Join(dir, "audit.log")
	out, err := output(t, "gateway", "config", "check", "--sandbox", "--retry-max-attempts=5", "--audit-file", audit)
	if err != nil || out != "retry-max-attempts  5\nsandbox             true\naudit-file          "+audit+"\nok                  \n" {
		t.Errorf("got %v\n%s", err, out)
	}
	if _, err := os.Stat(audit); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("the check leaves an audit log behind: %v", err)
	}
	if err := os.WriteFile(audit, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	out, err = output(t, "gateway", "config", "check", "--sandbox", "--audit-file", audit)
	if _, lost := os.Stat(audit); err != nil || lost != nil {
		t.Errorf("the check removes an audit log that was there: %v, %v\n%s", err, lost, out)
	}
	tokens := filepath.Join(dir, "tokens")
	if err := os.WriteFile(tokens, []byte("billing: secret"), 0o600); err != nil {
		t.Fatal(err)
	}
	out, err = output(t, "gateway", "config", "check", "--sandbox", "--caller-tokens-file", tokens, "--policy-file", filepath.Join(dir, "none"), "--listen=x")
	for _, want := range []string{"--caller-tokens-file", "line 1: the SHA-256 of billing must have 64 hexadecimal digits", "--policy-file", "no such file", "--listen"} {
		if err == nil || !strings.Contains(out, want) || strings.Contains(out, "secret") {
			t.Errorf("got %v, want %q in\n%s", err, want, out)
		}
	}
}
