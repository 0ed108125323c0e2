package upstream

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
)

// errMemory means that there was no room for a response among those in flight.
var errMemory = errors.New("no room among the bytes in flight")

// ledger counts bytes in flight. Whoever would make them exceed the limit waits, in the order of
// coming; who already holds some and needs more comes before everybody else. Of those only one
// may wait, since two could wait for each other. It is safe for concurrent use.
type ledger struct {
	limit int64

	mu      sync.Mutex
	used    int64
	waiting []*claim
	growing *claim
}

// claim is bytes that are waited for. ready is closed once they are the claimant's.
type claim struct {
	bytes int64
	ready chan struct{}
}

// take waits for n bytes, for a response that holds none. It is errMemory where n is more than
// the limit or ctx has only minRemaining left, which suffices to say so, and ctx's error where
// ctx ends before. ctx has a deadline.
func (l *ledger) take(ctx context.Context, n int64) error {
	l.mu.Lock()
	if n > l.limit {
		l.mu.Unlock()
		return fmt.Errorf("%w: it takes %d bytes, at most %d may be", errMemory, n, l.limit)
	}
	if l.growing == nil && len(l.waiting) == 0 && l.used+n <= l.limit {
		l.used += n
		l.mu.Unlock()
		return nil
	}
	c := &claim{bytes: n, ready: make(chan struct{})}
	l.waiting = append(l.waiting, c)
	l.mu.Unlock()
	return l.await(ctx, c)
}

// grow is take for a response that holds held bytes already, which it keeps. It is errMemory at
// once where another is waiting for the same.
func (l *ledger) grow(ctx context.Context, held, n int64) error {
	l.mu.Lock()
	if held+n > l.limit || (l.growing != nil && l.used+n > l.limit) {
		l.mu.Unlock()
		return fmt.Errorf("%w: it holds %d bytes and takes %d more, at most %d may be", errMemory, held, n, l.limit)
	}
	if l.used+n <= l.limit {
		l.used += n
		l.mu.Unlock()
		return nil
	}
	c := &claim{bytes: n, ready: make(chan struct{})}
	l.growing = c
	l.mu.Unlock()
	return l.await(ctx, c)
}

func (l *ledger) await(ctx context.Context, c *claim) error {
	patient, cancel := ctx, context.CancelFunc(func() {})
	if deadline, ok := ctx.Deadline(); ok {
		patient, cancel = context.WithDeadline(ctx, deadline.Add(-minRemaining))
	}
	defer cancel()
	select {
	case <-c.ready:
		return nil
	case <-patient.Done():
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	select {
	case <-c.ready: // meanwhile
		return nil
	default:
	}
	if l.growing == c {
		l.growing = nil
	} else {
		l.waiting = slices.DeleteFunc(l.waiting, func(other *claim) bool { return other == c })
	}
	l.admit()
	if err := ctx.Err(); err != nil {
		return err
	}
	return fmt.Errorf("%w: it takes %d bytes, %d of %d were taken until its deadline", errMemory, c.bytes, l.used, l.limit)
}

// add counts bytes that are there already, above the limit too.
func (l *ledger) add(n int64) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.used += n
}

// give returns bytes.
func (l *ledger) give(n int64) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.used -= n
	l.admit()
}

// admit lets those in for whom there is room now. mu is held.
func (l *ledger) admit() {
	if c := l.growing; c != nil {
		if l.used+c.bytes > l.limit {
			return
		}
		l.growing = nil
		l.used += c.bytes
		close(c.ready)
	}
	for len(l.waiting) > 0 && l.used+l.waiting[0].bytes <= l.limit {
		c := l.waiting[0]
		l.waiting = l.waiting[1:]
		l.used += c.bytes
		close(c.ready)
	}
}

func (l *ledger) inFlight() int64 {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.used
}
