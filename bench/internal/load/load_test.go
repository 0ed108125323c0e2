package load_test

import (
	"context"
	"errors"
	"os"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"samsara.internal/gateway/bench/internal/load"
)

// fake answers with as many bytes as answer says for the n-th call.
type fake struct {
	calls  atomic.Int64
	answer func(n int64) (int, error)
}

func (f *fake) Call(context.Context, int) (int, error) { return f.answer(f.calls.Add(1)) }
func (*fake) Close() error                             { return nil }

func burn(d time.Duration) {
	for start := time.Now(); time.Since(start) < d; {
	}
}

func TestAMeasurementTakesTheCPUTimePlanned(t *testing.T) {
	t.Parallel()
	client := &fake{answer: func(int64) (int, error) {
		burn(50 * time.Microsecond)
		return 7, nil
	}}
	// The server is this process.
	sample, err := load.Measure(t.Context(), client, load.Plan{PID: os.Getpid(), Concurrency: 2, CPU: 20 * time.Millisecond})
	if err != nil {
		t.Fatal(err)
	}
	if sample.Requests < 4 || sample.CPU <= 0 || sample.Throughput <= 0 || sample.P50 < 50*time.Microsecond || sample.P99 < sample.P50 {
		t.Errorf("sample %+v", sample)
	}
}

func TestAFailedRequestFailsTheMeasurement(t *testing.T) {
	t.Parallel()
	refused := errors.New("refused")
	client := &fake{answer: func(n int64) (int, error) {
		if n == 3 {
			return 0, refused
		}
		return 7, nil
	}}
	if _, err := load.Measure(t.Context(), client, load.Plan{PID: os.Getpid(), Concurrency: 2, CPU: time.Millisecond}); !errors.Is(err, refused) {
		t.Errorf("error %v, want %v", err, refused)
	}
}

func TestAnswersOfDifferentLengthFailTheMeasurement(t *testing.T) {
	t.Parallel()
	client := &fake{answer: func(n int64) (int, error) { return int(n), nil }}
	if _, err := load.Measure(t.Context(), client, load.Plan{PID: os.Getpid(), Concurrency: 1, CPU: time.Millisecond}); err == nil {
		t.Error("no error")
	}
}

func TestCPUTimeIsThatOfTheKernelsOtherAccount(t *testing.T) {
	t.Parallel()
	burn(20 * time.Millisecond)
	var usage syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &usage); err != nil {
		t.Fatal(err)
	}
	got, err := load.CPUTime(os.Getpid())
	if err != nil {
		t.Fatal(err)
	}
	want := time.Duration(usage.Utime.Nano() + usage.Stime.Nano())
	if got < want || got > want+time.Second {
		t.Errorf("CPU time %s, getrusage said %s just before", got, want)
	}
}

func TestTheCPUTimeOfNoProcessIsAnError(t *testing.T) {
	t.Parallel()
	if _, err := load.CPUTime(1 << 22); err == nil {
		t.Error("no error")
	}
}
