package main

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"os/exec"
	"regexp"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"time"
)

const (
	// startTimeout bounds how long a server takes to start.
	startTimeout = 30 * time.Second
	// stopTimeout bounds how long it takes to stop.
	stopTimeout = 10 * time.Second
	// maxComplaintBytes bounds what is kept of the log of a server that does not start.
	maxComplaintBytes = 4 << 10
	// maxMetricsBytes bounds what is read of /metrics.
	maxMetricsBytes = 64 << 20
)

// process is a server that runs as a child.
type process struct {
	command *exec.Cmd
	address string
	// admin is the address at which the gateway serves /metrics; empty for servers that do not.
	admin   string
	drained chan struct{}

	stopping sync.Once
	stopped  error
}

// start runs a server until ctx ends or stop is called, and waits until it logs its address. What it logs
// later is read, as a log collector would, and dropped.
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
	serving := make(chan [2]string, 1)
	var complaint bytes.Buffer
	go func() {
		defer close(p.drained)
		log := bufio.NewReader(stderr)
		for {
			line, err := log.ReadString('\n')
			if address, admin := servingAddresses(line); address != "" {
				serving <- [2]string{address, admin}
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
	case addresses := <-serving:
		p.address, p.admin = addresses[0], addresses[1]
		return p, nil
	case <-p.drained:
		return nil, fmt.Errorf("%s %s: %w\n%s", path, strings.Join(args, " "), errors.Join(errors.New("it ended"), command.Wait()), complaint.String())
	case <-timeout.C:
		return nil, errors.Join(fmt.Errorf("%s %s: does not serve after %s", path, strings.Join(args, " "), startTimeout), p.stop())
	}
}

// servingAddresses returns the addresses in the line by which a server says that it serves.
func servingAddresses(line string) (address, admin string) {
	match := regexp.MustCompile(`msg=serving (?:grpc|address)=(\S+)(?:.* admin=(\S+))?`).FindStringSubmatch(line)
	if match == nil {
		return "", ""
	}
	return match[1], match[2]
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

// stop ends the server, if it has not ended already.
func (p *process) stop() error {
	p.stopping.Do(func() { p.stopped = p.end() })
	return p.stopped
}

func (p *process) end() error {
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
func (p *process) peakBytes() (float64, error) { return p.memory("VmHWM") }

// residentBytes returns how much memory is resident.
func (p *process) residentBytes() (float64, error) { return p.memory("VmRSS") }

func (p *process) memory(name string) (float64, error) {
	value, err := field(fmt.Sprintf("/proc/%d/status", p.pid()), name)
	if err != nil {
		return 0, err
	}
	kib, err := strconv.ParseFloat(strings.TrimSuffix(value, " kB"), 64)
	return kib * 1024, err
}

// metric returns a value without labels in the gateway's /metrics.
func (p *process) metric(ctx context.Context, name string) (value float64, err error) {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://"+p.admin+"/metrics", nil)
	if err != nil {
		return 0, err
	}
	// Each request has a connection of its own, so that it always costs the gateway the same.
	transport := &http.Transport{DisableKeepAlives: true, DisableCompression: true}
	resp, err := transport.RoundTrip(req)
	if err != nil {
		return 0, err
	}
	defer func() { err = errors.Join(err, resp.Body.Close()) }()
	text, err := io.ReadAll(io.LimitReader(resp.Body, maxMetricsBytes))
	if err != nil {
		return 0, err
	}
	for line := range strings.Lines(string(text)) {
		if rest, ok := strings.CutPrefix(line, name+" "); ok {
			return strconv.ParseFloat(strings.TrimSpace(rest), 64)
		}
	}
	return 0, fmt.Errorf("%s/metrics: has no %q", p.admin, name)
}

// allocations returns how many objects the gateway has allocated.
func (p *process) allocations(ctx context.Context) (float64, error) {
	return p.metric(ctx, "go_memstats_mallocs_total")
}

// collections returns how often the gateway has collected garbage.
func (p *process) collections(ctx context.Context) (float64, error) {
	return p.metric(ctx, "go_gc_duration_seconds_count")
}
