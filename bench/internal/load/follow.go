package load

import (
	"context"
	"errors"
	"fmt"
	"io"
	"sync/atomic"
	"time"

	"golang.org/x/sync/errgroup"
	"google.golang.org/grpc"
)

// FollowPlan says how to follow a feed.
type FollowPlan struct {
	// PID is the server's process.
	PID int
	// Begin is when the server sends the first messages. Every stream must be open by then.
	Begin time.Time
	// Messages is how many messages each stream gets, and Bytes how long each is.
	Messages, Bytes int
	// Patience is how long to wait for the messages, from Begin on.
	Patience time.Duration
	// Resident returns how many bytes of the server are in memory.
	Resident func() (float64, error)
}

// Followed is what following cost the server.
type Followed struct {
	// CPU is the server's CPU time for each message, from just before the first.
	CPU time.Duration
	// Bytes is by how much each stream increases the server's resident memory.
	Bytes float64
}

// settling is how long before the first message all streams must be open, so that nothing else happens.
const settling = 50 * time.Millisecond

// Follow opens one stream for each worker and waits until each has got its messages.
func (c *GRPC) Follow(ctx context.Context, plan FollowPlan) (followed Followed, err error) {
	idle, err := plan.Resident()
	if err != nil {
		return Followed{}, err
	}
	ctx, stop := context.WithCancel(ctx)
	workers, streaming := errgroup.WithContext(ctx)
	defer func() {
		stop()
		err = errors.Join(workers.Wait(), err)
	}()
	var missing atomic.Int64
	missing.Store(int64(len(c.requests) * plan.Messages))
	complete := make(chan struct{})
	for worker := range c.requests {
		workers.Go(func() error {
			err := c.follow(streaming, worker, plan, func() {
				if missing.Add(-1) == 0 {
					close(complete)
				}
			})
			if ctx.Err() == nil {
				return err
			}
			return nil // enough was seen
		})
	}
	pause(streaming, time.Until(plan.Begin)-settling)
	before, err := CPUTime(plan.PID)
	if err != nil {
		return Followed{}, err
	}
	late := time.NewTimer(time.Until(plan.Begin) + plan.Patience)
	defer late.Stop()
	select {
	case <-complete:
	case <-streaming.Done():
		return Followed{}, context.Cause(streaming)
	case <-late.C:
		return Followed{}, fmt.Errorf("%d of %d messages are missing after %s", missing.Load(), len(c.requests)*plan.Messages, plan.Patience)
	}
	after, err := CPUTime(plan.PID)
	if err != nil {
		return Followed{}, err
	}
	resident, err := plan.Resident()
	return Followed{
		CPU:   (after - before) / time.Duration(len(c.requests)*plan.Messages),
		Bytes: (resident - idle) / float64(len(c.requests)),
	}, err
}

// follow reads a stream until ctx ends, and reports as many messages as planned.
func (c *GRPC) follow(ctx context.Context, worker int, plan FollowPlan, arrived func()) error {
	stream, err := c.open(ctx, worker)
	if err != nil {
		return err
	}
	for n := 0; ; n++ {
		var size int
		if err := stream.RecvMsg(&size); errors.Is(err, io.EOF) {
			return fmt.Errorf("a stream ended after %d messages", n)
		} else if err != nil {
			return err
		}
		if size != plan.Bytes {
			return fmt.Errorf("a message has %d bytes, want %d", size, plan.Bytes)
		}
		if n < plan.Messages {
			arrived()
		}
	}
}

func (c *GRPC) open(ctx context.Context, worker int) (grpc.ClientStream, error) {
	stream, err := c.connection(worker).NewStream(ctx, &grpc.StreamDesc{ServerStreams: true}, c.method)
	if err != nil {
		return nil, err
	}
	if err := stream.SendMsg(c.requests[worker]); err != nil {
		return nil, err
	}
	return stream, stream.CloseSend()
}

// First returns the first message of a worker's stream.
func (c *GRPC) First(ctx context.Context, worker int) ([]byte, error) {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel() // ends the stream
	stream, err := c.open(ctx, worker)
	if err != nil {
		return nil, err
	}
	var message []byte
	err = stream.RecvMsg(&message)
	return message, err
}
