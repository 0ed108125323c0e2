package main

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"regexp"
	"strconv"
	"strings"
	"syscall"
	"time"
)

const (
	// startTimeout bounds how long a server takes until it serves.
	startTimeout = 30 * time.Second
	// stopTimeout bounds how long it takes to end.
	stopTimeout = 10 * time.Second
	// maxComplaintBytes bounds what is kept of the log of a server that does not start.
	maxComplaintBytes = 4 << 10
)

// process is a server that runs as a child.
type process struct {
	command *exec.Cmd
	address string
	drained chan struct{}
}

// start runs a server until ctx ends or stop is called, and waits until it logs where it
// serves. What it logs later is read and dropped, as a collector of logs would.
func start(ctx context.Context, path string, args ...string) (*process, error) {
	command := exec.CommandContext(ctx, path, args...) //nolint:gosec // the command line names the binary
	command.Env = environment(os.Environ())
	command.Cancel = func() error { return command.Process.Signal(syscall.SIGTERM) }
	command.WaitDelay = stopTimeout
	stderr, err := command.StderrPipe()
	if err != nil {
		return nil, err
	}
	if err := command.Start(); err != nil {
		return nil, err
	}
	p := &process{command: command, drained: make(chan struct{})}
	serving := make(chan string, 1)
	var complaint bytes.Buffer
	go func() {
		defer close(p.drained)
		log := bufio.NewReader(stderr)
		for {
			line, err := log.ReadString('\n')
			if address, ok := servingAddress(line); ok {
				serving <- address
				break
			}
			if complaint.Len() < maxComplaintBytes {
				complaint.WriteString(line)
			}
			if err != nil {
				return
			}
		}
		_, _ = io.Copy(io.Discard, log) // ends with the process
	}()
	timeout := time.NewTimer(startTimeout)
	defer timeout.Stop()
	select {
	case p.address = <-serving:
		return p, nil
	case <-p.drained:
		return nil, fmt.Errorf("%s %s: %w\n%s", path, strings.Join(args, " "), errors.Join(errors.New("it ended"), command.Wait()), complaint.String())
	case <-timeout.C:
		return nil, errors.Join(fmt.Errorf("%s %s: does not serve after %s", path, strings.Join(args, " "), startTimeout), p.stop())
	}
}

// servingAddress returns the address in the line by which a server says that it serves.
func servingAddress(line string) (string, bool) {
	match := regexp.MustCompile(`msg=serving (?:grpc|address)=(\S+)`).FindStringSubmatch(line)
	if match == nil {
		return "", false
	}
	return match[1], true
}

// environment leaves out what would configure the gateway.
func environment(all []string) []string {
	var kept []string
	for _, variable := range all {
		if !strings.HasPrefix(variable, "SAMSARA_") {
			kept = append(kept, variable)
		}
	}
	return kept
}

// stop ends the server.
func (p *process) stop() error {
	if err := p.command.Process.Signal(syscall.SIGTERM); err != nil && !errors.Is(err, os.ErrProcessDone) {
		return err
	}
	kill := time.AfterFunc(stopTimeout, func() { _ = p.command.Process.Kill() })
	defer kill.Stop()
	<-p.drained
	var status *exec.ExitError
	if err := p.command.Wait(); err != nil && !errors.As(err, &status) {
		return err
	}
	return nil
}

// pid returns the process's id.
func (p *process) pid() int { return p.command.Process.Pid }

// peakBytes returns the most memory that has been resident.
func (p *process) peakBytes() (float64, error) {
	text, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", p.pid()))
	if err != nil {
		return 0, err
	}
	for line := range strings.Lines(string(text)) {
		if rest, ok := strings.CutPrefix(line, "VmHWM:"); ok {
			kib, err := strconv.ParseFloat(strings.TrimSpace(strings.TrimSuffix(strings.TrimSpace(rest), "kB")), 64)
			return kib * 1024, err
		}
	}
	return 0, fmt.Errorf("process %d: no VmHWM in its status", p.pid())
}
