// Package load sends requests to a server and measures what they cost it.
//
// A measurement is a number of requests, all of which are answered within it, so that the CPU
// time that the server's process used meanwhile can be divided by them. That time is what the
// kernel has charged the process with, in nanoseconds, threads that have ended included. What
// this process uses counts nowhere, which is why a Client decodes nothing.
//
// Any failed request fails the measurement, and so does an answer that is longer or shorter
// than the one before.
package load

import (
	"context"
	"fmt"
	"slices"
	"sync/atomic"
	"time"

	"golang.org/x/sync/errgroup"
	"golang.org/x/sys/unix"
)

// Client sends a request and returns how many bytes the answer has. Calls of one worker are sequential;
// those of different workers are concurrent.
type Client interface {
	Call(ctx context.Context, worker int) (int, error)
	Close() error
}

// Plan says how to measure.
type Plan struct {
	// PID is the server's process.
	PID int
	// Concurrency is how many requests are under way at a time, at least 1.
	Concurrency int
	// CPU is how much CPU time of the server the measurement shall take. It takes more if that is less
	// than 2 requests for each worker, and less if that is more than MaxRequests.
	CPU time.Duration
	// Allocations, unless nil, returns how many objects the server has allocated so far.
	Allocations func(ctx context.Context) (float64, error)
}

// MaxRequests bounds a measurement.
const MaxRequests = 200_000

// Sample is one measurement.
type Sample struct {
	Requests int
	// CPU is the server's CPU time for each request.
	CPU time.Duration
	// P50 and P99 are percentiles of the time that an answer took.
	P50, P99 time.Duration
	// Throughput is how many requests were answered each second.
	Throughput float64
	// Allocs is how many objects the server allocated for each request; 0 if that is not known.
	Allocs float64
}

// Measure warms up the server until the cost of a request is known, and then measures as planned.
func Measure(ctx context.Context, client Client, plan Plan) (Sample, error) {
	warm := 2 * plan.Concurrency
	for {
		sample, err := run(ctx, client, plan, warm)
		if err != nil {
			return Sample{}, err
		}
		used := sample.CPU * time.Duration(warm)
		if used >= plan.CPU/5 || warm >= MaxRequests/4 {
			wanted := int(plan.CPU / max(sample.CPU, 1))
			return counted(ctx, client, plan, min(max(wanted, 2*plan.Concurrency), MaxRequests))
		}
		warm *= 4
	}
}

// counted sends n requests, and counts allocations.
func counted(ctx context.Context, client Client, plan Plan, n int) (Sample, error) {
	if plan.Allocations == nil {
		return run(ctx, client, plan, n)
	}
	// Asking allocates too, and not always the same. Two questions with nothing in between show how much.
	const questions = 4
	var counts [questions + 1]float64
	var sample Sample
	for i := range counts {
		var err error
		if i == questions {
			if sample, err = run(ctx, client, plan, n); err != nil {
				return Sample{}, err
			}
		}
		if counts[i], err = plan.Allocations(ctx); err != nil {
			return Sample{}, err
		}
	}
	asking := (counts[questions-1] - counts[0]) / (questions - 1)
	sample.Allocs = max(0, counts[questions]-counts[questions-1]-asking) / float64(n)
	return sample, nil
}

// run sends n requests.
func run(ctx context.Context, client Client, plan Plan, n int) (Sample, error) {
	took := make([]time.Duration, n)
	var next, size atomic.Int64
	workers, ctx := errgroup.WithContext(ctx)
	before, err := CPUTime(plan.PID)
	if err != nil {
		return Sample{}, err
	}
	start := time.Now()
	for worker := range plan.Concurrency {
		workers.Go(func() error {
			for i := next.Add(1) - 1; i < int64(n); i = next.Add(1) - 1 {
				sent := time.Now()
				got, err := client.Call(ctx, worker)
				took[i] = time.Since(sent)
				if err != nil {
					return err
				}
				if last := size.Swap(int64(got)); last != 0 && last != int64(got) {
					return fmt.Errorf("answers differ in length: %d and %d bytes", last, got)
				}
			}
			return nil
		})
	}
	if err := workers.Wait(); err != nil {
		return Sample{}, err
	}
	elapsed := time.Since(start)
	after, err := CPUTime(plan.PID)
	if err != nil {
		return Sample{}, err
	}
	slices.Sort(took)
	return Sample{
		Requests:   n,
		CPU:        (after - before) / time.Duration(n),
		P50:        took[n/2],
		P99:        took[n*99/100],
		Throughput: float64(n) / elapsed.Seconds(),
	}, nil
}

// CPUTime returns the CPU time that a process has used, in user and in kernel mode.
func CPUTime(pid int) (time.Duration, error) {
	// The clock id of a process is its inverted process id above three bits that select the kind of
	// clock: 2 is the scheduler's count of a whole process. See clock_getcpuclockid(3).
	const wholeProcess = 2
	var t unix.Timespec
	if err := unix.ClockGettime(int32(^pid<<3|wholeProcess), &t); err != nil {
		return 0, fmt.Errorf("CPU clock of process %d: %w", pid, err)
	}
	return time.Duration(t.Nano()), nil
}
