package main

import (
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
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/protobuf/proto"

	"samsara.internal/gateway/bench/internal/fleet"
	"samsara.internal/gateway/bench/internal/load"
	"samsara.internal/gateway/bench/internal/peer"
	"samsara.internal/gateway/bench/internal/report"
	vehiclestatsv1 "samsara.internal/gateway/gen/samsara/vehicle_stats/v1"
)

// harness measures everything there is to measure, round after round.
type harness struct {
	log *slog.Logger

	// gateway and micro are binaries: the gateway, and the tests of package micro.
	gateway, micro string
	// commit is what they were built from.
	commit string
	// out is the folder of the results.
	out    string
	rounds int
	// cpu is the CPU time that each measurement shall take, and microTime how long each Go
	// benchmark runs.
	cpu, microTime time.Duration
}

func (h *harness) flags(f *flag.FlagSet) {
	f.StringVar(&h.gateway, "gateway", "bin/gateway", "the gateway's `BINARY`")
	f.StringVar(&h.micro, "micro", "bin/bench-micro", "`BINARY` with the Go benchmarks")
	f.StringVar(&h.commit, "commit", "unknown", "`COMMIT` that both were built from")
	f.StringVar(&h.out, "out", ".", "`FOLDER` for RESULTS.md and results.svg")
	f.IntVar(&h.rounds, "rounds", 5, "`NUMBER` of rounds")
	f.DurationVar(&h.cpu, "cpu", time.Second, "CPU `TIME` of a server that a measurement takes; the tables' low concurrency takes half of it, the picture's others a quarter")
	f.DurationVar(&h.microTime, "micro-time", 200*time.Millisecond, "`TIME` that a Go benchmark takes")
}

// run measures and writes the results.
func (h *harness) run(ctx context.Context) error {
	if h.rounds < 1 || h.cpu <= 0 || h.microTime <= 0 {
		return fmt.Errorf("rounds %d, cpu %s, micro-time %s: must be positive", h.rounds, h.cpu, h.microTime)
	}
	setup, err := circumstances(h.gateway, h.commit)
	if err != nil {
		return err
	}
	results := &report.Results{
		Setup: setup, Rounds: h.rounds,
		Samples: map[report.Cell][]load.Sample{}, PeakBytes: map[string][]float64{}, Micro: map[string][]report.Micro{},
	}
	for round := range h.rounds {
		h.log.InfoContext(ctx, "round", "number", round+1, "of", h.rounds)
		if err := runMicro(ctx, h.micro, h.microTime, results.Micro); err != nil {
			return err
		}
		if err := h.round(ctx, results); err != nil {
			return err
		}
	}
	return errors.Join(
		h.write("RESULTS.md", func(w io.Writer) error { return results.WritePage(w, "results.svg") }),
		h.write("results.svg", results.WritePicture),
	)
}

func (h *harness) write(name string, write func(io.Writer) error) error {
	f, err := os.Create(filepath.Join(h.out, name)) //nolint:gosec // the command line names the folder
	if err != nil {
		return err
	}
	return errors.Join(write(f), f.Close())
}

// round starts every server anew and measures each cell on it.
func (h *harness) round(ctx context.Context, results *report.Results) (err error) {
	servers, stop, err := h.startAll(ctx)
	defer func() { err = errors.Join(err, stop()) }()
	if err != nil {
		return err
	}
	for _, b := range bodies() {
		for _, name := range []string{report.Gateway, peer.Protojson, peer.Vanguard} {
			if err := verify(ctx, servers[name].address, b); err != nil {
				return fmt.Errorf("%s: %w", name, err)
			}
		}
	}
	for _, s := range steps() {
		for _, name := range s.servers {
			cell := report.Cell{Server: name, Body: s.body, Concurrency: s.concurrency}
			sample, err := h.measure(ctx, servers[name], cell, time.Duration(float64(h.cpu)*s.share))
			if err != nil {
				return fmt.Errorf("%s, %s at concurrency %d: %w", name, s.body.Cursor(), s.concurrency, err)
			}
			results.Samples[cell] = append(results.Samples[cell], sample)
			if s.peak {
				peak, err := servers[name].peakBytes()
				if err != nil {
					return err
				}
				results.PeakBytes[name] = append(results.PeakBytes[name], peak)
			}
		}
	}
	return nil
}

// step is what the servers measured in turn are asked for.
type step struct {
	body        fleet.Body
	concurrency int
	servers     []string
	// share is how much of the planned CPU time the measurement takes.
	share float64
	// peak says that memory is read afterwards.
	peak bool
}

// steps returns what one round measures. Memory is first, before anything else has used some.
func steps() []step {
	all, ours := report.Servers(), []string{report.Gateway}
	sizes, between := report.Sizes(), report.AllSizes()
	largest := declared(sizes[len(sizes)-1])
	steps := []step{{largest, report.High, all, 1, true}}
	for _, size := range between {
		switch body := declared(size); {
		case body == largest:
		case slices.Contains(sizes, size):
			steps = append(steps, step{body, report.High, all, 1, false})
		default:
			steps = append(steps, step{body, report.High, ours, 1, false})
		}
		steps = append(steps, step{fleet.Body{Bytes: size, Order: fleet.Shuffled}, report.High, ours, 1, false})
	}
	for _, size := range sizes {
		steps = append(steps, step{declared(size), report.Low, all, 0.5, false})
	}
	for _, c := range report.Concurrencies() {
		if c != report.Low && c != report.High {
			steps = append(steps, step{declared(sizes[0]), c, all, 0.25, false})
		}
	}
	return steps
}

func declared(size int) fleet.Body { return fleet.Body{Bytes: size, Order: fleet.Declared} }

// bodies returns every answer that is asked for.
func bodies() []fleet.Body {
	var all []fleet.Body
	for _, size := range report.AllSizes() {
		all = append(all, declared(size), fleet.Body{Bytes: size, Order: fleet.Shuffled})
	}
	return all
}

// startAll starts the upstream and every server, and returns these by name. stop is never nil.
func (h *harness) startAll(ctx context.Context) (servers map[string]*process, stop func() error, err error) {
	folder, err := os.MkdirTemp("", "bench")
	if err != nil {
		return nil, func() error { return nil }, err
	}
	servers = map[string]*process{}
	var started []*process
	stop = func() error {
		var errs []error
		for _, p := range slices.Backward(started) { // the upstream last
			errs = append(errs, p.stop())
		}
		return errors.Join(append(errs, os.RemoveAll(folder))...)
	}
	begin := func(path string, args ...string) (*process, error) {
		p, err := start(ctx, path, args...)
		if err == nil {
			started = append(started, p)
		}
		return p, err
	}
	self, err := os.Executable()
	if err != nil {
		return nil, stop, err
	}
	token := filepath.Join(folder, "token")
	if err := os.WriteFile(token, []byte("token"), 0o600); err != nil {
		return nil, stop, err
	}
	upstream, err := begin(self, "serve", peer.Upstream)
	if err != nil {
		return nil, stop, err
	}
	url := "http://" + upstream.address
	for _, name := range report.Servers() {
		if name == report.Gateway {
			servers[name], err = begin(h.gateway, "--listen=127.0.0.1:0", "--admin-listen=127.0.0.1:0", "--upstream-url="+url, "--api-token-file="+token,
				// Every call is admitted, and none has to wait.
				"--quota-token-limit=100000/s", "--quota-organization-limit=100000/s", "--quota-limits=samsara.vehicle_stats.v1.*=100000/s")
		} else {
			servers[name], err = begin(self, "serve", "--upstream="+url, name)
		}
		if err != nil {
			return nil, stop, err
		}
	}
	return servers, stop, nil
}

// measure measures one cell.
func (h *harness) measure(ctx context.Context, server *process, cell report.Cell, cpu time.Duration) (sample load.Sample, err error) {
	client := load.NewHTTP("http://" + server.address + fleet.Path + "?after=" + cell.Body.Cursor())
	if cell.Server != peer.FloorB {
		requests := make([]proto.Message, cell.Concurrency)
		for worker := range requests {
			request := fleet.Request(cell.Body)
			// The upstream's answer does not depend on it.
			request.Time = proto.String(strconv.Itoa(worker))
			requests[worker] = request
		}
		client, err = load.NewGRPC(server.address, vehiclestatsv1.VehicleStatsService_GetVehicleStats_FullMethodName, requests)
		if err != nil {
			return load.Sample{}, err
		}
	}
	defer func() { err = errors.Join(err, client.Close()) }()
	sample, err = load.Measure(ctx, client, load.Plan{PID: server.pid(), Concurrency: cell.Concurrency, CPU: cpu})
	h.log.InfoContext(ctx, "measured", "server", cell.Server, "body", cell.Body.Cursor(), "concurrency", cell.Concurrency,
		"requests", sample.Requests, "cpu", sample.CPU, "p50", sample.P50)
	return sample, err
}

// verify makes sure that what is measured does its work: that a server answers as protojson
// would.
func verify(ctx context.Context, address string, b fleet.Body) (err error) {
	connection, err := grpc.NewClient(address, grpc.WithTransportCredentials(insecure.NewCredentials()))
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, connection.Close()) }()
	want, err := fleet.Answer(b)
	if err != nil {
		return err
	}
	got, err := vehiclestatsv1.NewVehicleStatsServiceClient(connection).GetVehicleStats(ctx, fleet.Request(b))
	if err != nil {
		return err
	}
	if !proto.Equal(got, want) {
		return fmt.Errorf("body %s: the answer is another one than protojson reads", b.Cursor())
	}
	return nil
}
