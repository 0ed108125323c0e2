package load_test

import (
	"context"
	"errors"
	"net"
	"os"
	"strings"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"google.golang.org/genproto/googleapis/rpc/errdetails"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/types/known/durationpb"
	"google.golang.org/protobuf/types/known/wrapperspb"

	"samsara.internal/gateway/bench/internal/load"
)

// fake answers the n-th call with answer(n) bytes.
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

func TestMeasure_plannedCPUTime(t *testing.T) {
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

func TestMeasure_failedRequest(t *testing.T) {
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

func TestMeasure_answersOfDifferentLength(t *testing.T) {
	t.Parallel()
	client := &fake{answer: func(n int64) (int, error) { return int(n), nil }}
	if _, err := load.Measure(t.Context(), client, load.Plan{PID: os.Getpid(), Concurrency: 1, CPU: time.Millisecond}); err == nil {
		t.Error("no error, want one")
	}
}

func TestCPUTime_agreesWithGetrusage(t *testing.T) {
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
		t.Errorf("CPU time %s, want at least the %s of getrusage just before, and little more", got, want)
	}
}

func TestCPUTime_noProcess(t *testing.T) {
	t.Parallel()
	if _, err := load.CPUTime(1 << 22); err == nil {
		t.Error("no error, want one")
	}
}

func TestMeasure_allocationsOfAskingLeftOut(t *testing.T) {
	t.Parallel()
	const asking, each = 1000, 7
	var asked, answered atomic.Int64
	client := &fake{answer: func(int64) (int, error) {
		burn(20 * time.Microsecond)
		answered.Add(1)
		return 7, nil
	}}
	sample, err := load.Measure(t.Context(), client, load.Plan{
		PID: os.Getpid(), Concurrency: 1, CPU: time.Millisecond,
		Allocations: func(context.Context) (float64, error) {
			return float64(asked.Add(1)*asking + answered.Load()*each), nil
		},
	})
	if err != nil || sample.Allocs != each {
		t.Errorf("%g allocations a request, %v, want %d", sample.Allocs, err, each)
	}
}

// timely answers with the result of answer.
type timely struct {
	answer func(ctx context.Context, worker int) error
}

func (c timely) Call(ctx context.Context, worker int) (int, error) { return 1, c.answer(ctx, worker) }
func (timely) Close() error                                        { return nil }

func TestOverload_failedCallsNotGoodput(t *testing.T) {
	t.Parallel()
	refused, err := status.New(codes.ResourceExhausted, "full").WithDetails(&errdetails.RetryInfo{RetryDelay: durationpb.New(time.Millisecond)})
	if err != nil {
		t.Fatal(err)
	}
	client := timely{answer: func(ctx context.Context, worker int) error {
		switch worker {
		case 0:
			burn(50 * time.Microsecond)
			return nil
		case 1:
			return refused.Err()
		default:
			<-ctx.Done()
			return status.FromContextError(ctx.Err()).Err()
		}
	}}
	got, err := load.Overload(t.Context(), client, load.FloodPlan{PID: os.Getpid(), Concurrency: 3, Deadline: 50 * time.Millisecond, Time: 500 * time.Millisecond})
	if err != nil {
		t.Fatal(err)
	}
	if got.Goodput <= 0 || got.Share <= 0 || got.Share >= 1 || got.P50 < 50*time.Microsecond || got.P99 < got.P50 || got.CPU <= 0 {
		t.Errorf("flood %+v", got)
	}
	delete(got.Failed, "late") // A busy machine may make good answers late.
	if got.Failed["ResourceExhausted"] < 2 || got.Failed["DeadlineExceeded"] < 1 || len(got.Failed) != 2 {
		t.Errorf("failed %v, want several ResourceExhausted, at least one DeadlineExceeded and nothing else", got.Failed)
	}
}

func TestOverload_lateAnswerNotGood(t *testing.T) {
	t.Parallel()
	client := timely{answer: func(ctx context.Context, _ int) error {
		<-ctx.Done() // The answer comes after the deadline.
		return nil
	}}
	got, err := load.Overload(t.Context(), client, load.FloodPlan{PID: os.Getpid(), Concurrency: 1, Deadline: 5 * time.Millisecond, Time: 200 * time.Millisecond})
	if err != nil || got.Goodput != 0 || got.Failed["late"] == 0 {
		t.Errorf("flood %+v, %v", got, err)
	}
}

func TestOverload_nothingIsGood(t *testing.T) {
	t.Parallel()
	client := timely{answer: func(context.Context, int) error { return status.Error(codes.Unavailable, "gone") }}
	got, err := load.Overload(t.Context(), client, load.FloodPlan{PID: os.Getpid(), Concurrency: 1, Deadline: 5 * time.Millisecond, Time: 100 * time.Millisecond})
	if err != nil || got.Goodput != 0 || got.Share != 0 || got.Failed["Unavailable"] == 0 {
		t.Errorf("flood %+v, %v", got, err)
	}
}

// follow follows a server whose streams send so many messages of 3 bytes, one each millisecond, and then no
// more.
func follow(t *testing.T, sent int, end error, plan load.FollowPlan) (load.Followed, error) {
	t.Helper()
	server := grpc.NewServer()
	server.RegisterService(&grpc.ServiceDesc{ServiceName: "test", Streams: []grpc.StreamDesc{{
		StreamName: "Follow", ServerStreams: true,
		Handler: func(_ any, stream grpc.ServerStream) error {
			for range sent {
				select {
				case <-time.After(time.Millisecond):
				case <-stream.Context().Done():
					return stream.Context().Err()
				}
				if err := stream.SendMsg(wrapperspb.String("x")); err != nil {
					return err
				}
			}
			if end == nil {
				<-stream.Context().Done()
			}
			return end
		},
	}}}, nil)
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	served := make(chan error, 1)
	go func() { served <- server.Serve(l) }()
	defer func() {
		server.Stop()
		if err := <-served; err != nil {
			t.Error(err)
		}
	}()
	client, err := load.NewGRPC(l.Addr().String(), "/test/Follow", make([][]byte, 10))
	if err != nil {
		t.Fatal(err)
	}
	defer client.Close() //nolint:errcheck // The test does not depend on it.
	if first, err := client.First(t.Context(), 0); err != nil || string(first) != "\n\x01x" {
		t.Errorf("first message %q, %v", first, err)
	}
	resident := 1000.0
	plan.PID, plan.Begin = os.Getpid(), time.Now()
	plan.Resident = func() (float64, error) { resident *= 2; return resident, nil }
	return client.Follow(t.Context(), plan)
}

func TestFollow_cost(t *testing.T) {
	t.Parallel()
	got, err := follow(t, 8, nil, load.FollowPlan{Messages: 5, Bytes: 3, Patience: time.Minute})
	if err != nil || got.CPU <= 0 || got.Bytes != 200 {
		t.Errorf("followed %+v, %v, want CPU time and 200 bytes", got, err)
	}
}

func TestFollow_fails(t *testing.T) {
	t.Parallel()
	for _, test := range []struct {
		name string
		sent int
		end  error
		plan load.FollowPlan
		want string
	}{
		{"too few messages", 4, nil, load.FollowPlan{Messages: 5, Bytes: 3, Patience: 300 * time.Millisecond}, "messages are missing after 300ms"},
		{"other messages", 5, nil, load.FollowPlan{Messages: 5, Bytes: 4, Patience: time.Minute}, "a message has 3 bytes, want 4"},
		{"a stream fails", 2, status.Error(codes.Unavailable, "gone"), load.FollowPlan{Messages: 5, Bytes: 3, Patience: time.Minute}, "gone"},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			if _, err := follow(t, test.sent, test.end, test.plan); err == nil || !strings.Contains(err.Error(), test.want) {
				t.Errorf("error %v, want %q in it", err, test.want)
			}
		})
	}
}
