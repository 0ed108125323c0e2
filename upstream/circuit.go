package upstream

import (
	"errors"
	"log/slog"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/sony/gobreaker/v2"
)

const (
	// breakerWindow is how long an attempt counts, and breakerBucket how exactly.
	breakerWindow = 10 * time.Second
	breakerBucket = time.Second
	// probes is how many attempts a half-open circuit lets through at a time, and how many of them
	// must succeed one after another.
	probes = 3
	// probeMargin is added to a wait for the next probe: the library lets none through at the very
	// end of its timeout, only after it.
	probeMargin = time.Millisecond
)

// BreakerPolicy says when attempts are no longer made because the upstream fails. Zero fields
// take the defaults.
//
// Failures are 5XX and what breaks on the way; a 4XX is none, and what the caller ends counts as
// nothing. Where the last 10 s have at least MinAttempts attempts, of which at least the
// FailureRatio failed, the circuit opens for OpenFor: calls fail at once with ReasonCircuitOpen.
// Then it lets three attempts through at a time, closing when three have succeeded one after
// another and opening again when one fails. An attempt among these that takes longer than OpenFor
// makes room for another.
type BreakerPolicy struct {
	// MinAttempts is at least 1. Default 20.
	MinAttempts int
	// FailureRatio is above 0; where it is above 1 the circuit never opens. Default 0.6.
	FailureRatio float64
	// OpenFor is positive. Default 5 s.
	OpenFor time.Duration
}

// Circuit is a state of the circuit breaker.
type Circuit int

// The states.
const (
	// CircuitClosed means that attempts are made.
	CircuitClosed = Circuit(gobreaker.StateClosed)
	// CircuitHalfOpen means that few attempts are made, to find out how they end.
	CircuitHalfOpen = Circuit(gobreaker.StateHalfOpen)
	// CircuitOpen means that no attempts are made.
	CircuitOpen = Circuit(gobreaker.StateOpen)
)

// errNoVerdict is the outcome of an attempt that says nothing of the upstream.
var errNoVerdict = errors.New("no verdict")

// breaker is a circuit breaker. It is safe for concurrent use.
type breaker struct {
	circuit *gobreaker.TwoStepCircuitBreaker[struct{}]
	policy  BreakerPolicy
	log     *slog.Logger
	began   time.Time

	// changes is how often the state has changed.
	changes atomic.Int64

	// mu guards what follows: times since began.
	mu sync.Mutex
	// probeAt is when a circuit that has just opened lets the first probe through.
	probeAt time.Duration
	// rooms are when probes under way make room for others, at the latest, the soonest first.
	rooms []time.Duration
}

func newBreaker(policy BreakerPolicy, log *slog.Logger) *breaker {
	b := &breaker{policy: policy, log: log, began: time.Now()}
	b.circuit = gobreaker.NewTwoStepCircuitBreaker[struct{}](gobreaker.Settings{
		MaxRequests:  probes,
		Interval:     breakerWindow,
		BucketPeriod: breakerBucket,
		Timeout:      policy.OpenFor,
		ReadyToTrip: func(n gobreaker.Counts) bool {
			return int(n.Requests) >= policy.MinAttempts && float64(n.TotalFailures) >= policy.FailureRatio*float64(n.Requests)
		},
		IsExcluded:    func(err error) bool { return errors.Is(err, errNoVerdict) },
		OnStateChange: b.changed,
	})
	return b
}

// changed is called by the library, which holds a lock. One outage has one warning, however
// often its probes fail.
func (b *breaker) changed(_ string, from, to gobreaker.State) {
	b.changes.Add(1)
	b.mu.Lock()
	b.probeAt, b.rooms = b.nextProbe(), nil
	b.mu.Unlock()
	switch gobreaker.StateClosed {
	case from:
		b.log.Warn("upstream circuit opened", slog.Duration("probe_after", b.policy.OpenFor))
	case to:
		b.log.Info("upstream circuit closed")
	default:
	}
}

// nextProbe is when a probe follows what happens now.
func (b *breaker) nextProbe() time.Duration {
	return time.Since(b.began) + b.policy.OpenFor + probeMargin
}

func (b *breaker) current() Circuit { return Circuit(b.circuit.State()) }

// refusal returns the error of an attempt that allow would not let through now, else nil.
func (b *breaker) refusal() *Error {
	switch b.current() {
	case CircuitOpen:
		return b.refuse(gobreaker.ErrOpenState)
	case CircuitHalfOpen:
		if n := b.circuit.Counts(); n.Requests >= n.TotalExclusions+probes {
			return b.refuse(gobreaker.ErrTooManyRequests)
		}
	case CircuitClosed:
	}
	return nil
}

func (b *breaker) refuse(cause error) *Error {
	b.mu.Lock()
	at := b.probeAt
	if len(b.rooms) > 0 {
		at = b.rooms[0]
	}
	b.mu.Unlock()
	refusal := fault(ReasonCircuitOpen, "", cause)
	refusal.RetryAfter, refusal.RetryAfterKnown = max(at-time.Since(b.began), probeMargin), true
	return refusal
}

// allow returns the pass of an attempt, or the error of one that must not be made.
func (b *breaker) allow() (pass, *Error) {
	p := pass{breaker: b, changes: b.changes.Load()}
	if b.current() == CircuitClosed {
		return p, nil
	}
	done, err := b.circuit.Allow()
	if err != nil {
		return pass{}, b.refuse(err)
	}
	b.mu.Lock()
	room := b.nextProbe()
	b.rooms = append(b.rooms, room)
	b.mu.Unlock()
	p.done, p.room = done, room
	// To be without a verdict makes room for another attempt; a verdict may still follow.
	p.slow = time.AfterFunc(b.policy.OpenFor, func() {
		b.forget(room)
		done(errNoVerdict)
	})
	return p, nil
}

// forget says that a probe makes no room any more: it has made it, or succeeded.
func (b *breaker) forget(room time.Duration) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if i := slices.Index(b.rooms, room); i >= 0 {
		b.rooms = slices.Delete(b.rooms, i, i+1)
	}
}

// pass is the leave to make an attempt.
type pass struct {
	breaker *breaker
	changes int64
	// done, slow and room are a probe's.
	done func(error)
	slow *time.Timer
	room time.Duration
}

// end tells the outcome of the attempt, as health has it. It must be called once.
func (p pass) end(outcome error) {
	noVerdict := errors.Is(outcome, errNoVerdict)
	switch {
	case p.done != nil:
		if inTime := p.slow.Stop(); inTime || !noVerdict {
			p.breaker.forget(p.room)
			p.done(outcome)
		}
	case noVerdict || p.breaker.changes.Load() != p.changes: // it is about the past
	default:
		// The library counts an attempt when it begins, and one that outlives the window not at
		// all, as those do that time out. Thus it begins and ends here.
		if done, err := p.breaker.circuit.Allow(); err == nil {
			done(outcome)
		}
	}
}
