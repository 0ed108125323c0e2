package quota

import (
	"slices"
	"strings"
	"time"

	"samsara.internal/gateway/internal/identity"
)

// Observer is told what becomes of attempts. Its methods are called concurrently, and attempts
// wait for them.
type Observer interface {
	Admitted(a Admission)
	// Refused is told what Admit returned.
	Refused(operation string, from identity.Identity, err error)
}

// Admission is an attempt that was admitted.
type Admission struct {
	Operation string
	From      identity.Identity
	// Budget is the one that held it up longest, as far as was known at first. It is empty
	// where the attempt went through without a queue or a store.
	Budget string
	// Waited is zero where Budget is empty.
	Waited time.Duration
}

type nobody struct{}

func (nobody) Admitted(Admission)                       {}
func (nobody) Refused(string, identity.Identity, error) {}

// Snapshot is the state of a limiter.
type Snapshot struct {
	// Waiting is how many wait, for budgets or before a further attempt.
	Waiting int
	// Budgets begin with the token's and the organization's; operations follow by name.
	Budgets []BudgetState
	// Waiters are those who wait, by caller, class and budget, the longest first; at most 20.
	Waiters []WaiterState
	// Store is the zero value where there is none.
	Store StoreState
}

// BudgetState is the state of one budget.
type BudgetState struct {
	Name string
	// Limit is the configured limit. Where there is none it is zero, and after a 429 the token's.
	Limit Limit
	// Effective is how many requests are admitted now in the limit's window, on average: fewer
	// than configured by the margin, after 429s, and without the store.
	Effective float64
	// Used is how many this process was admitted in the last window, Waiting how many wait that
	// will take from it.
	Used, Waiting int
	// Oldest is how long the first of those has waited whom this budget holds up.
	Oldest time.Duration
	// PausedUntil is zero where the budget is not paused.
	PausedUntil time.Time
	// Admitted and Throttled count admissions and 429s of this process.
	Admitted, Throttled uint64
}

// StoreState is the state of the store.
type StoreState struct {
	Configured bool
	// Up is false while the local share is used instead.
	Up bool
	// Replicas is how many processes share the budgets, as last seen, or as configured if that
	// is more.
	Replicas int
	// Lost counts how often the store was lost.
	Lost uint64
	// Err is why the store is not up.
	Err error
}

// Snapshot returns the present state. It looks once at each budget, and at each caller who waits.
func (l *Limiter) Snapshot() Snapshot {
	l.mu.Lock()
	defer l.mu.Unlock()
	now := l.now()
	s := Snapshot{Waiting: l.waiting + len(l.resting), Budgets: make([]BudgetState, 0, len(l.shared)+len(l.operations))}
	for _, b := range l.shared {
		s.Budgets = append(s.Budgets, l.state(b, now))
	}
	for _, o := range l.operations {
		s.Budgets = append(s.Budgets, l.state(o.budgets[0], now))
	}
	waiters := l.waiters(now)
	oldest := make(map[string]time.Duration)
	for _, w := range waiters {
		oldest[w.Budget] = max(oldest[w.Budget], w.Oldest)
	}
	for i := range s.Budgets {
		s.Budgets[i].Oldest = oldest[s.Budgets[i].Name]
	}
	s.Waiters = waiters[:min(len(waiters), maxWaiters)]
	slices.SortFunc(s.Budgets[len(l.shared):], func(a, b BudgetState) int { return strings.Compare(a.Name, b.Name) })
	if l.cfg.Store != nil {
		s.Store = l.storeState()
	}
	return s
}

func (l *Limiter) storeState() StoreState {
	return StoreState{Configured: true, Up: l.link.up, Replicas: l.link.replicas, Lost: l.link.lost, Err: l.link.err}
}

func (l *Limiter) state(b *budget, now instant) BudgetState {
	s := BudgetState{
		Name:      b.name,
		Limit:     b.limit,
		Waiting:   b.waiting,
		Used:      b.log.since(now - b.limit.Window),
		Admitted:  b.admitted,
		Throttled: b.throttled,
	}
	if b.until > now {
		s.PausedUntil = l.epoch.Add(b.until)
	}
	if b.limit.Requests > 0 {
		n, window := b.terms(now, b.split(now))
		s.Effective = float64(n) * float64(b.limit.Window) / float64(window) * b.ramp(now)
	}
	return s
}
