package main

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"google.golang.org/protobuf/proto"

	"samsara.internal/gateway/bench/internal/fleet"
	"samsara.internal/gateway/bench/internal/load"
	"samsara.internal/gateway/bench/internal/peer"
	"samsara.internal/gateway/bench/internal/report"
	"samsara.internal/gateway/bench/internal/surface"
)

// cellSections returns the sections that measureCells measures.
func cellSections() []report.Section {
	sections := []report.Section{report.Between, report.Throughput}
	for _, size := range report.Sizes() {
		sections = append(sections, report.SectionOf(size))
	}
	return sections
}

// step is one measurement that is made on each of some servers in turn.
type step struct {
	body        fleet.Body
	concurrency int
	// gateways is whether only the gateways are measured.
	gateways bool
	// share is how much of the planned CPU time the measurement takes.
	share float64
	// peak is whether memory is read afterwards.
	peak bool
}

// steps returns what one round measures. Memory comes first, before anything else has used some.
func (h *harness) steps() []step {
	var steps []step
	sizes := report.Sizes()
	largest := sizes[len(sizes)-1]
	for _, size := range slices.Backward(report.AllSizes()) {
		tabled := slices.Contains(sizes, size)
		if h.results.Has(report.Between) && !tabled || tabled && h.results.Has(report.SectionOf(size)) {
			steps = append(
				steps,
				step{body: declared(size), concurrency: report.High, gateways: !tabled, share: 1, peak: size == largest},
				step{body: shuffled(size), concurrency: report.High, gateways: true, share: 1})
		}
	}
	for _, size := range sizes {
		if h.results.Has(report.SectionOf(size)) {
			steps = append(steps, step{body: declared(size), concurrency: report.Low, share: 0.5})
		}
	}
	for _, c := range report.Concurrencies() {
		if h.results.Has(report.Throughput) && c != report.Low && c != report.High {
			steps = append(steps, step{body: declared(sizes[0]), concurrency: c, share: 0.25})
		}
	}
	return steps
}

func declared(size int) fleet.Body { return fleet.Body{Bytes: size, Order: fleet.Declared} }
func shuffled(size int) fleet.Body { return fleet.Body{Bytes: size, Order: fleet.Shuffled} }

// bodies returns every answer that is asked for by steps.
func bodies() []fleet.Body {
	var all []fleet.Body
	for _, size := range report.AllSizes() {
		all = append(all, declared(size), shuffled(size))
	}
	return all
}

// measureCells starts every server anew and measures each cell on it.
func (h *harness) measureCells(ctx context.Context, round int) (err error) {
	s, err := h.open(ctx)
	defer func() { err = errors.Join(err, s.close()) }()
	if err != nil {
		return err
	}
	all := h.inTurn(round, h.results.Callers()...)
	processes, methods := map[string]*process{}, map[string]surface.Method{}
	for _, name := range all {
		var flags []string
		if h.builds[name] != nil {
			if flags, err = s.admitted(name); err != nil {
				return err
			}
		}
		if processes[name], err = s.any(ctx, name, flags...); err != nil {
			return err
		}
		if methods[name], err = s.stats(ctx, name, processes[name]); err != nil {
			return err
		}
	}
	steps := h.steps()
	for _, step := range steps {
		for _, name := range all {
			if h.builds[name] == nil && (step.gateways || name != peer.Protojson && name != peer.Vanguard) {
				continue
			}
			if err := verify(ctx, processes[name].address, methods[name], step.body); err != nil {
				return fmt.Errorf("%s: %w", name, err)
			}
		}
	}
	for _, step := range steps {
		for _, name := range all {
			if step.gateways && h.builds[name] == nil {
				continue
			}
			cell := report.Cell{Server: name, Body: step.body, Concurrency: step.concurrency}
			sample, err := h.measure(ctx, processes[name], methods[name], cell, time.Duration(float64(h.cpu)*step.share))
			if err != nil {
				return fmt.Errorf("%s, %s at concurrency %d: %w", name, step.body.Cursor(), step.concurrency, err)
			}
			h.results.Samples[cell] = append(h.results.Samples[cell], sample)
			if step.peak {
				peak, err := processes[name].peakBytes()
				if err != nil {
					return err
				}
				h.results.PeakBytes[name] = append(h.results.PeakBytes[name], peak)
			}
		}
	}
	return nil
}

// measure measures one cell.
func (h *harness) measure(ctx context.Context, p *process, m surface.Method, cell report.Cell, cpu time.Duration) (sample load.Sample, err error) {
	var client load.Client
	if cell.Server == peer.FloorB {
		client = load.NewHTTP("http://" + p.address + fleet.Stats.Path() + "?after=" + cell.Body.Cursor())
	} else {
		all, err := requests(m, cell.Body, cell.Concurrency)
		if err != nil {
			return load.Sample{}, err
		}
		if client, err = load.NewGRPC(p.address, m.Name, all); err != nil {
			return load.Sample{}, err
		}
	}
	defer func() { err = errors.Join(err, client.Close()) }()
	plan := load.Plan{PID: p.pid(), Concurrency: cell.Concurrency, CPU: cpu}
	if p.admin != "" {
		plan.Allocations = p.allocations
	}
	sample, err = load.Measure(ctx, client, plan)
	h.log.InfoContext(ctx, "measured", "server", cell.Server, "body", cell.Body.Cursor(), "concurrency", cell.Concurrency,
		"requests", sample.Requests, "cpu", sample.CPU, "p50", sample.P50, "allocations", sample.Allocs)
	return sample, err
}

// verify checks that a server does the work that is measured: that it answers as protojson would.
func verify(ctx context.Context, address string, m surface.Method, b fleet.Body) (err error) {
	want, err := m.Answer(b.JSON())
	if err != nil {
		return err
	}
	one, err := requests(m, b, 1)
	if err != nil {
		return err
	}
	client, err := load.NewGRPC(address, m.Name, one)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, client.Close()) }()
	wire, err := client.Fetch(ctx, 0)
	if err != nil {
		return err
	}
	got, err := m.Decode(wire)
	if err != nil {
		return err
	}
	if !proto.Equal(got, want) {
		return fmt.Errorf("body %s: the answer is another one than protojson reads", b.Cursor())
	}
	return nil
}
