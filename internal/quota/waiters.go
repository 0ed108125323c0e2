package quota

import (
	"cmp"
	"context"
	"maps"
	"slices"
	"time"

	"samsara.internal/gateway/internal/identity"
)

// maxWaiters bounds Snapshot.Waiters.
const maxWaiters = 20

// WaiterState is those of one caller and class who wait for one budget.
type WaiterState struct {
	Caller string
	Batch  bool
	// Budget is the name of the one that holds them up now, as far as known. It is empty where
	// they wait before a further attempt and no budget is paused: see Operation.Rest.
	Budget string
	// Count is how many they are.
	Count int
	// Oldest is how long the first of them has waited.
	Oldest time.Duration
}

// rest is a wait before a further attempt.
type rest struct {
	operation *Operation
	caller    caller
	since     instant
}

// Rest waits for a time before a further attempt in the name of from, which is then for Admit to
// let through. Snapshot shows it among those who wait; no queue and no budget counts it. It reports
// false where ctx ends first. Where o is nil it only waits.
func (o *Operation) Rest(ctx context.Context, from identity.Identity, d time.Duration) bool {
	if o != nil {
		defer o.limiter.rest(o, from)()
	}
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-ctx.Done():
		return false
	case <-timer.C:
		return true
	}
}

// rest begins a rest, and returns what ends it.
func (l *Limiter) rest(o *Operation, from identity.Identity) (end func()) {
	l.mu.Lock()
	defer l.mu.Unlock()
	r := &rest{o, callerOf(from), l.now()}
	l.resting[r] = struct{}{}
	for _, b := range o.budgets {
		b.waiting++
	}
	return func() {
		l.mu.Lock()
		defer l.mu.Unlock()
		delete(l.resting, r)
		for _, b := range o.budgets {
			b.waiting--
		}
	}
}

// waiters returns who waits, the longest first. It looks at each caller at an operation once, and
// at each rest.
func (l *Limiter) waiters(now instant) []WaiterState {
	type group struct {
		caller
		budget string
	}
	groups := make(map[group]WaiterState)
	add := func(who caller, budget string, count int, oldest time.Duration) {
		w := groups[group{who, budget}]
		groups[group{who, budget}] = WaiterState{
			Caller: who.name, Batch: who.class == batch, Budget: budget,
			Count: w.Count + count, Oldest: max(w.Oldest, oldest),
		}
	}
	for o := range l.lines {
		budget := slices.MaxFunc(o.budgets[:], func(a, b *budget) int { return cmp.Compare(a.due(now), b.due(now)) })
		for who, f := range o.flows {
			add(who, budget.name, len(f.waiters), now-f.waiters[0].joined)
		}
	}
	for r := range l.resting {
		budget := ""
		if own := r.operation.budgets[0]; own.until > now {
			budget = own.name
		}
		add(r.caller, budget, 1, now-r.since)
	}
	return slices.SortedFunc(maps.Values(groups), func(a, b WaiterState) int {
		return cmp.Or(cmp.Compare(b.Oldest, a.Oldest), cmp.Compare(b.Count, a.Count), cmp.Compare(a.Caller, b.Caller), cmp.Compare(a.Budget, b.Budget))
	})
}
