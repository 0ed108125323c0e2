package upstream

import (
	"iter"
	"log/slog"
	"maps"
	"sync"
	"sync/atomic"
	"time"
)

// scope is the operation, caller and tenant that failures are counted for.
type scope struct {
	operation, caller, tenant string
}

// record is the circuit and the retry budget of a scope. A scope without failures to remember has nil.
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

// countRequest is retryBudget.countRequest.
func (r *record) countRequest() {
	if r != nil {
		r.retries.countRequest()
	}
}

const (
	// maxRecords is how many scopes have a record of their own at a time.
	maxRecords = 1024
	// sweepEvery is how often idle records are removed, at most.
	sweepEvery = time.Second
)

// records has the circuits and retry budgets by scope, at most maxRecords. While there are that many, the
// other scopes of an operation share one more record, so that there are no more of these than operations.
// Callers name themselves: in this way memory is bounded, and a caller that takes many names does no harm
// to other operations. A scope has a record from its first failure on, until the record has nothing to
// remember and another scope needs one. It is safe for concurrent use. The lock of a record is taken
// under its own, never the other way round.
type records struct {
	policy BreakerPolicy
	// retryFloor is the floor of a scope's retry budget.
	retryFloor int
	// attempt bounds an attempt.
	attempt time.Duration
	log     *slog.Logger

	// count is the length of own. It is written with mu held.
	count atomic.Int64

	mu  sync.Mutex
	own map[scope]*record
	// shared has, by operation, the record of the scopes without one of their own.
	shared map[string]*record
	swept  time.Time
}

func newRecords(cfg *Config) *records {
	return &records{
		policy: cfg.Breaker, retryFloor: cfg.Retry.Budget, attempt: cfg.AttemptTimeout, log: cfg.Logger,
		own: make(map[scope]*record), shared: make(map[string]*record),
	}
}

// newRecord returns a record whose log lines have the attributes.
func (t *records) newRecord(attrs ...any) *record {
	return &record{newCircuit(t.policy, t.log.With(attrs...)), newRetryBudget(t.retryFloor)}
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

// failing returns the record of a scope that has just failed. It makes one if there is none.
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

// end takes the outcome of an attempt of a scope and the time when it began; see circuit.end. An attempt
// that is no probe counts for the record that the scope has now: the scope may have got or lost one since.
func (t *records) end(s scope, pass circuitPass, began time.Time, what outcome) {
	r := t.of(s)
	if what == outcomeFailed {
		r = t.failing(s) // also for a probe of a shared record: there may be room for one of its own by now
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
