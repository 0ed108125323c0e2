package main

import (
	"bytes"
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"log/slog"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"time"

	"samsara.internal/gateway/bench/internal/fleet"
	"samsara.internal/gateway/bench/internal/load"
	"samsara.internal/gateway/bench/internal/report"
	"samsara.internal/gateway/bench/internal/surface"
)

// harness measures what its options select, round after round.
type harness struct {
	log *slog.Logger

	// gateway, before and micro are binaries: the gateway, an older build of it (empty: none), and the
	// tests of package micro.
	gateway, before, micro string
	// commit and beforeCommit are what they were built from.
	commit, beforeCommit string
	// out is the folder of the results.
	out    string
	rounds int
	// sections and servers are lists, empty for all.
	sections, servers string
	// cpu is the CPU time that each measurement shall take, microTime how long each Go benchmark
	// runs, and floodTime how long each flood.
	cpu, microTime, floodTime time.Duration
	// few and many are how many calls at a time the floods have.
	few, many int
	// followers is a list of how many streams follow, ticks how many messages each of them gets.
	followers string
	ticks     int

	// builds are the binaries of the gateway, by server.
	builds map[string]*surface.Binary
	// local is what this build calls the method that is measured.
	local surface.Method
	// message is what the followers of the first gateway got.
	message []byte
	results *report.Results
}

func (h *harness) flags(f *flag.FlagSet) {
	f.StringVar(&h.gateway, "gateway", "bin/gateway", "the gateway's `BINARY`")
	f.StringVar(&h.micro, "micro", "bin/bench-micro", "`BINARY` with the Go benchmarks")
	f.StringVar(&h.commit, "commit", "unknown", "`COMMIT` that both were built from")
	f.StringVar(&h.before, "before", "", "`BINARY` of an older gateway to measure beside today's")
	f.StringVar(&h.beforeCommit, "before-commit", "unknown", "`COMMIT` that it was built from")
	f.StringVar(&h.out, "out", ".", "`FOLDER` for RESULTS.md and results.svg")
	f.IntVar(&h.rounds, "rounds", 5, "`NUMBER` of rounds")
	f.StringVar(&h.sections, "sections", "", fmt.Sprintf("`LIST` of what to measure, some of %v, or cpu for all sizes; all if empty", report.Sections()))
	f.StringVar(&h.servers, "servers", "", fmt.Sprintf("`LIST` of what to measure it on, some of %s; all if empty", strings.Join(report.Servers(), ", ")))
	f.DurationVar(&h.cpu, "cpu", time.Second, "CPU `TIME` of a server that a measurement takes; the tables' low concurrency takes half of it, the picture's others a quarter")
	f.DurationVar(&h.microTime, "micro-time", 200*time.Millisecond, "`TIME` that a Go benchmark takes")
	f.DurationVar(&h.floodTime, "flood-time", 5*time.Second, "`TIME` that a flood takes")
	f.IntVar(&h.few, "few", 500, "`NUMBER` of calls at a time that a server is used to")
	f.IntVar(&h.many, "many", 5000, "`NUMBER` of calls at a time that are too many")
	f.StringVar(&h.followers, "followers", "100,2000,10000", "`LIST` of numbers of streams that follow")
	f.IntVar(&h.ticks, "messages", 10, "`NUMBER` of messages that each of them gets")
}

// run measures, writes the results and prints the tables.
func (h *harness) run(ctx context.Context, stdout io.Writer) error {
	if err := h.prepare(ctx); err != nil {
		return err
	}
	measurements := []struct {
		sections []report.Section
		measure  func(ctx context.Context, round int) error
	}{
		{[]report.Section{report.Translation}, func(ctx context.Context, _ int) error {
			return runMicro(ctx, h.micro, h.microTime, h.results.Micro)
		}},
		{cellSections(), h.measureCells},
		{[]report.Section{report.Goodput}, h.measureGoodput},
		{[]report.Section{report.Followers}, h.measureFollowers},
		{[]report.Section{report.Proofs}, h.measureProofs},
		{[]report.Section{report.Containers}, h.measureContainers},
	}
	for round := range h.rounds {
		h.log.InfoContext(ctx, "round", "number", round+1, "of", h.rounds)
		for _, m := range measurements {
			if !slices.ContainsFunc(m.sections, h.results.Has) {
				continue
			}
			if err := m.measure(ctx, round); err != nil {
				return err
			}
		}
	}
	busy, err := loadAverage()
	if err != nil {
		return err
	}
	h.results.Setup = append(h.results.Setup, report.Fact{Name: "load of the machine after the run", Value: busy})
	return h.write(stdout)
}

// prepare checks the options and asks the binaries what they have.
func (h *harness) prepare(ctx context.Context) error {
	if h.rounds < 1 || h.cpu <= 0 || h.microTime <= 0 || h.floodTime <= 0 || h.few < 1 || h.many < 1 || h.ticks < 1 {
		return fmt.Errorf("rounds %d, cpu %s, micro-time %s, flood-time %s, few %d, many %d, messages %d: must be positive",
			h.rounds, h.cpu, h.microTime, h.floodTime, h.few, h.many, h.ticks)
	}
	h.results = &report.Results{
		Rounds: h.rounds, Sections: report.Sections(), BeforeCommit: h.beforeCommit, Floods: [2]int{h.few, h.many},
		Samples: map[report.Cell][]load.Sample{}, PeakBytes: map[string][]float64{}, Micro: map[string][]report.Micro{},
		Flooded: map[report.Flood][]report.Flooded{}, Followed: map[report.Following][]load.Followed{}, Proved: map[report.Proof][]load.Sample{}, Contained: map[report.Confined][]report.Contained{},
	}
	var err error
	for number := range strings.SplitSeq(h.followers, ",") {
		followers, err := strconv.Atoi(strings.TrimSpace(number))
		if err != nil || followers < 1 {
			return fmt.Errorf("followers %q: must be a positive number", number)
		}
		h.results.Followers = append(h.results.Followers, followers)
	}
	if h.sections != "" {
		if h.results.Sections, err = report.ParseSections(h.sections); err != nil {
			return err
		}
	}
	if err := h.chooseServers(); err != nil {
		return err
	}
	if h.local, err = surface.Local(fleet.Stats); err != nil {
		return err
	}
	binaries := map[string]string{report.Gateway: h.gateway, report.Before: h.before}
	h.builds = map[string]*surface.Binary{}
	for _, name := range h.results.Builds() {
		if h.builds[name], err = surface.Inspect(ctx, binaries[name]); err != nil {
			return err
		}
	}
	if h.results.Setup, err = circumstances(h.gateway, h.commit, h.before, h.beforeCommit); err != nil {
		return err
	}
	if h.results.Has(report.Containers) {
		h.checkContainers()
	}
	return nil
}

func (h *harness) chooseServers() error {
	all := slices.DeleteFunc(report.Servers(), func(name string) bool { return name == report.Before && h.before == "" })
	h.results.Servers = all
	if h.servers == "" {
		return nil
	}
	wanted := map[string]bool{}
	for name := range strings.SplitSeq(h.servers, ",") {
		name = strings.TrimSpace(name)
		if !slices.Contains(all, name) {
			return fmt.Errorf("server %q: must be one of %s", name, strings.Join(all, ", "))
		}
		wanted[name] = true
	}
	h.results.Servers = slices.DeleteFunc(slices.Clone(all), func(name string) bool { return !wanted[name] })
	return nil
}

// write writes the page, and the picture if everything that it shows was measured, and prints the page.
func (h *harness) write(stdout io.Writer) error {
	picture := "results.svg"
	for _, section := range cellSections() {
		if !h.results.Has(section) {
			picture = ""
		}
	}
	var page bytes.Buffer
	if err := h.results.WritePage(&page, picture); err != nil {
		return err
	}
	err := os.WriteFile(filepath.Join(h.out, "RESULTS.md"), page.Bytes(), 0o600)
	if picture != "" {
		var drawing bytes.Buffer
		if err := h.results.WritePicture(&drawing); err != nil {
			return err
		}
		err = errors.Join(err, os.WriteFile(filepath.Join(h.out, picture), drawing.Bytes(), 0o600))
	}
	_, printed := page.WriteTo(stdout)
	return errors.Join(err, printed)
}

// inTurn returns those of some servers that are measured. Every second round has the reverse order, so that
// no server always comes after the same one.
func (h *harness) inTurn(round int, some ...string) []string {
	servers := slices.DeleteFunc(slices.Clone(h.results.Servers), func(name string) bool { return !slices.Contains(some, name) })
	if round%2 == 1 {
		slices.Reverse(servers)
	}
	return servers
}
