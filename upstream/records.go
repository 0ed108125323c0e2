package upstream

import (
	"iter"
	"log/slog"
	"maps"
	"sync"
	"sync/atomic"
	"time"
)

// scope is whom a record judges.
type scope struct {
	operation, caller, tenant string
}

// record is what failures of a scope are followed by. nil is that of a scope that has none to remember.
type record struct {
	circuit *circuit
	retries *retryBudget
}

// refusal is circuit.refusal.
func (r *record) refusal() (wait time.Duration, refused bool) {
	if r == nil {
		return 0, false
	}
	return r.circuit.refusal()
}

// allow is circuit.allow.
func (r *record) allow() (pass circuitPass, wait time.Duration, ok bool) {
	if r == nil {
		return circuitPass{}, 0, true
	}
	return r.circuit.allow()
}

// countCall is retryBudget.countCall.
func (r *record) countCall() {
	if r != nil {
		r.retries.countCall()
	}
}

const (
	// maxRecords is how many scopes have a record of their own at a time.
	maxRecords = 1024
	// sweepEvery is how often records that are idle are given back, at most.
	sweepEvery = time.Second
)

// records are the circuits and retry budgets by scope, at most maxRecords. While there are so many, the
// other scopes of an operation share one more record, of which there are no more than operations: callers
// name themselves, memory is bounded, and one who takes many names does no harm to other operations. A
// scope has a record from its first failure on, until that has nothing to remember and another scope
// needs one. It is safe for concurrent use. The lock of a record is taken under its own, never the other
// way round.
type records struct {
	policy BreakerPolicy
	budget int
	// attempt bounds an attempt.
	attempt time.Duration
	log     *slog.Logger

	// count is that of own. It is written with mu held.
	count atomic.Int64

	mu  sync.Mutex
	own map[scope]*record
	// shared are, by operation, the records of those scopes that have none of their own.
	shared map[string]*record
	swept  time.Time
}

func newRecords(cfg *Config) *records {
	return &records{
		policy: cfg.Breaker, budget: cfg.Retry.Budget, attempt: cfg.AttemptTimeout, log: cfg.Logger,
		own: make(map[scope]*record), shared: make(map[string]*record),
	}
}

// newRecord returns a record whose log lines have attributes.
func (t *records) newRecord(attrs ...any) *record {
	return &record{newCircuit(t.policy, t.log.With(attrs...)), newRetryBudget(t.budget)}
}

// of returns the record of a scope, nil if it has none.
func (t *records) of(s scope) *record {
	if t.count.Load() == 0 {
		return nil
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.ofLocked(s)
}

func (t *records) ofLocked(s scope) *record {
	if r, ok := t.own[s]; ok {
		return r
	}
	if len(t.own) >= maxRecords {
		return t.shared[s.operation]
	}
	return nil
}

// failing returns the record of a scope that has just failed, and makes one if there is none.
func (t *records) failing(s scope) *record {
	t.mu.Lock()
	defer t.mu.Unlock()
	if r, ok := t.own[s]; ok {
		return r
	}
	if now := time.Now(); now.Sub(t.swept) >= sweepEvery {
		t.swept = now
		maps.DeleteFunc(t.own, func(_ scope, r *record) bool { return t.idle(r) })
		maps.DeleteFunc(t.shared, func(_ string, r *record) bool { return t.idle(r) })
	}
	r := t.ofLocked(s)
	switch operation := slog.String("operation", s.operation); {
	case r != nil:
	case len(t.own) >= maxRecords:
		r = t.newRecord(operation, slog.Bool("shared", true))
		t.shared[s.operation] = r
	default:
		r = t.newRecord(operation, slog.String("caller", s.caller), slog.String("tenant", s.tenant))
		t.own[s] = r
	}
	t.count.Store(int64(len(t.own)))
	return r
}

// idle reports whether a record has nothing to remember.
func (t *records) idle(r *record) bool { return r.circuit.idle(t.attempt) && r.retries.idle() }

// end tells the outcome of an attempt of a scope that began at a time; see circuit.end. What is no probe
// counts for the record that the scope has now: it may have got, or lost, one since.
func (t *records) end(s scope, pass circuitPass, began time.Time, what outcome) {
	r := t.of(s)
	if what == outcomeFailed {
		r = t.failing(s) // also of a probe of those that share, for there may be room by now
	}
	switch {
	case pass.circuit != nil:
		pass.circuit.end(pass, began, what)
	case r != nil:
		r.circuit.end(pass, began, what)
	}
}

// open returns how many circuits are not closed, shared ones included.
func (t *records) open() int {
	t.mu.Lock()
	defer t.mu.Unlock()
	n := 0
	for _, records := range []iter.Seq[*record]{maps.Values(t.own), maps.Values(t.shared)} {
		for r := range records {
			if r.circuit.current() != CircuitClosed {
				n++
			}
		}
	}
	return n
}
