package main

import (
	"debug/buildinfo"
	"fmt"
	"os"
	"runtime"
	"slices"
	"strings"
	"time"

	"golang.org/x/sys/unix"

	"samsara.internal/gateway/bench/internal/report"
)

// circumstances returns what the figures depend on. before is empty if there is no older build.
func circumstances(gateway, commit, before, beforeCommit string) ([]report.Fact, error) {
	facts := []report.Fact{{Name: "date", Value: time.Now().UTC().Format(time.DateOnly)}, {Name: "commit", Value: commit}}
	model, err := field("/proc/cpuinfo", "model name")
	if err != nil {
		return nil, err
	}
	var memory unix.Sysinfo_t
	if err := unix.Sysinfo(&memory); err != nil {
		return nil, err
	}
	kernel, err := os.ReadFile("/proc/sys/kernel/osrelease")
	if err != nil {
		return nil, err
	}
	busy, err := loadAverage()
	if err != nil {
		return nil, err
	}
	facts = append(
		facts,
		report.Fact{Name: "machine", Value: fmt.Sprintf("%d × %s, %d GiB memory", runtime.NumCPU(), model, memory.Totalram*uint64(memory.Unit)>>30)},
		report.Fact{Name: "kernel", Value: fmt.Sprintf("Linux %s, %s", strings.TrimSpace(string(kernel)), runtime.GOARCH)},
		report.Fact{Name: "load of the machine before the run", Value: busy},
	)
	self, err := os.Executable()
	if err != nil {
		return nil, err
	}
	versions, err := versions(gateway, self)
	if err != nil {
		return nil, err
	}
	facts = append(facts, versions...)
	if before == "" {
		return facts, nil
	}
	older, err := versionsOf(before)
	if err != nil {
		return nil, err
	}
	made := []string{beforeCommit}
	for _, fact := range older {
		made = append(made, fact.Name+" "+fact.Value)
	}
	return append(facts, report.Fact{Name: report.Before, Value: strings.Join(made, ", ")}), nil
}

// loadAverage returns how many processes wanted to run in the last 1, 5 and 15 minutes.
func loadAverage() (string, error) {
	text, err := os.ReadFile("/proc/loadavg")
	if err != nil {
		return "", err
	}
	return strings.Join(strings.Fields(string(text))[:3], " "), nil
}

// versions returns the versions of what the binaries were built with, each once.
func versions(paths ...string) ([]report.Fact, error) {
	var facts []report.Fact
	for _, path := range paths {
		more, err := versionsOf(path)
		if err != nil {
			return nil, err
		}
		for _, fact := range more {
			if !slices.Contains(facts, fact) {
				facts = append(facts, fact)
			}
		}
	}
	return facts, nil
}

func versionsOf(path string) ([]report.Fact, error) {
	info, err := buildinfo.ReadFile(path)
	if err != nil {
		return nil, err
	}
	facts := []report.Fact{{Name: "Go", Value: strings.TrimPrefix(info.GoVersion, "go")}}
	for _, module := range info.Deps {
		switch module.Path {
		case "google.golang.org/grpc", "google.golang.org/protobuf", "connectrpc.com/vanguard":
			facts = append(facts, report.Fact{Name: module.Path, Value: module.Version})
		}
	}
	return facts, nil
}

// field returns the first value of a name in a file of lines "name: value".
func field(path, name string) (string, error) {
	text, err := os.ReadFile(path) //nolint:gosec // a file in /proc
	if err != nil {
		return "", err
	}
	for line := range strings.Lines(string(text)) {
		if key, value, ok := strings.Cut(line, ":"); ok && strings.TrimSpace(key) == name {
			return strings.TrimSpace(value), nil
		}
	}
	return "", fmt.Errorf("%s: has no %q", path, name)
}
