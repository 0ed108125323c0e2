package quota

import (
	"cmp"
	"maps"
	"slices"
	"time"
)

// maxWaiters bounds Snapshot.Waiters.
const maxWaiters = 20

// WaiterState is those of one caller and class who wait for one budget.
type WaiterState struct {
	Caller string
	Batch  bool
	// Budget is the name of the one that holds them up now, as far as known.
	Budget string
	// Count is how many they are.
	Count int
	// Oldest is how long the first of them has waited.
	Oldest time.Duration
}

// waiters returns who waits, the longest first. It looks at each caller at an operation once.
func (l *Limiter) waiters(now instant) []WaiterState {
	type group struct {
		caller
		budget string
	}
	groups := make(map[group]WaiterState)
	split := l.split(now)
	for o := range l.lines {
		budget := slices.MaxFunc(o.budgets[:], func(a, b *budget) int { return cmp.Compare(a.due(now, split), b.due(now, split)) })
		for who, f := range o.flows {
			w := groups[group{who, budget.name}]
			groups[group{who, budget.name}] = WaiterState{
				Caller: who.name, Batch: who.class == batch, Budget: budget.name,
				Count: w.Count + len(f.waiters), Oldest: max(w.Oldest, now-f.waiters[0].joined),
			}
		}
	}
	return slices.SortedFunc(maps.Values(groups), func(a, b WaiterState) int {
		return cmp.Or(cmp.Compare(b.Oldest, a.Oldest), cmp.Compare(b.Count, a.Count), cmp.Compare(a.Caller, b.Caller), cmp.Compare(a.Budget, b.Budget))
	})
}
