package load

import (
	"context"
	"errors"
	"slices"
	"time"

	"golang.org/x/sync/errgroup"
	"google.golang.org/genproto/googleapis/rpc/errdetails"
	"google.golang.org/grpc/status"
)

// FloodPlan says how to overload a server.
type FloodPlan struct {
	// PID is the server's process.
	PID int
	// Concurrency is how many calls are under way at a time, at least 1.
	Concurrency int
	// Deadline is each call's.
	Deadline time.Duration
	// Time is how long the measurement takes, after another quarter of it in which nothing is counted.
	Time time.Duration
}

// Flood is the result of an overload.
type Flood struct {
	// Goodput is calls a second that were answered with OK within their deadline.
	Goodput float64
	// Share is the share of these calls among all; 0 if no call ended.
	Share float64
	// P50 and P99 are percentiles of the time that these calls took; 0 if there is none.
	P50, P99 time.Duration
	// CPU is the server's CPU time for each of these calls; 0 if there is none.
	CPU time.Duration
	// Failed counts the other calls, by the name of their code, or as late.
	Failed map[string]int
}

// late is the name for calls that were answered with OK, but whose caller, on a busy machine, got the
// answer after the deadline.
const late = "late"

// Overload keeps as many calls under way as planned. A worker that gets an answer calls again immediately.
// One that is refused waits as long as the server's RetryInfo says, or else for the rest of the deadline,
// as a well-behaved client does.
func Overload(ctx context.Context, client Client, plan FloodPlan) (Flood, error) {
	begin := time.Now().Add(plan.Time / 4)
	end := begin.Add(plan.Time)
	flooding, stop := context.WithCancel(ctx) // and no deadline, which calls would take over
	defer stop()
	type outcome struct {
		took   []time.Duration
		failed map[string]int
	}
	outcomes := make([]outcome, plan.Concurrency)
	var workers errgroup.Group
	for worker := range plan.Concurrency {
		workers.Go(func() error {
			own := outcome{failed: map[string]int{}}
			defer func() { outcomes[worker] = own }()
			for flooding.Err() == nil {
				sent := time.Now()
				call, cancel := context.WithTimeout(flooding, plan.Deadline)
				_, err := client.Call(call, worker)
				cancel()
				took := time.Since(sent)
				counts := flooding.Err() == nil && !sent.Add(took).Before(begin)
				switch {
				case err == nil && counts && took > plan.Deadline:
					own.failed[late]++
				case err == nil && counts:
					own.took = append(own.took, took)
				case err != nil && counts:
					own.failed[status.Code(err).String()]++
				}
				if err != nil {
					pause(flooding, retryAfter(err, plan.Deadline-took))
				}
			}
			return nil
		})
	}
	pause(ctx, time.Until(begin))
	before, err := CPUTime(plan.PID)
	if err != nil {
		stop()
		return Flood{}, errors.Join(err, workers.Wait())
	}
	pause(ctx, time.Until(end))
	after, err := CPUTime(plan.PID)
	stop()
	if err := errors.Join(err, workers.Wait(), ctx.Err()); err != nil {
		return Flood{}, err
	}
	var took []time.Duration
	flood := Flood{Failed: map[string]int{}}
	calls := 0
	for _, o := range outcomes {
		took = append(took, o.took...)
		for code, n := range o.failed {
			flood.Failed[code] += n
			calls += n
		}
	}
	if n := len(took); n > 0 {
		slices.Sort(took)
		flood.Goodput = float64(n) / plan.Time.Seconds()
		flood.Share = float64(n) / float64(n+calls)
		flood.P50, flood.P99 = took[n/2], took[n*99/100]
		flood.CPU = (after - before) / time.Duration(n)
	}
	return flood, nil
}

// retryAfter returns the wait in an error's RetryInfo, or a default if it has none.
func retryAfter(err error, otherwise time.Duration) time.Duration {
	for _, detail := range status.Convert(err).Details() {
		if info, ok := detail.(*errdetails.RetryInfo); ok {
			return info.GetRetryDelay().AsDuration()
		}
	}
	return otherwise
}

// pause waits for a time, or until ctx ends.
func pause(ctx context.Context, d time.Duration) {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
	case <-ctx.Done():
	}
}
