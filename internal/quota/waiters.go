package quota

import (
	"cmp"
	"slices"

	"samsara.internal/gateway/internal/identity"
)

// waiter is an attempt that waits.
type waiter struct {
	line     *line
	flow     *flow
	arrival  uint64
	joined   instant
	deadline instant // of its context, or the longest wait
	budget   string  // what it waits for, as far as known
	// signal never blocks who sends: a waiter that is signalled has left the queue, and comes
	// back only after it has read.
	signal chan verdict
}

// verdict is what the scheduler tells a waiter.
type verdict struct {
	ask bool    // the store's answer is missing
	err error   // nil: admitted
	at  instant // when
}

// flow is the queue of one caller at one operation.
type flow struct {
	caller      caller
	waiters     []*waiter
	own, shared *account // in the line's ledger and the schedule's
}

// rest is a wait before a further attempt.
type rest struct {
	line   *line
	caller caller
	since  instant
}

// line are those who wait for one operation.
type line struct {
	name string
	// budgets are what an attempt takes from, its own first.
	budgets [3]*budget
	ledger  ledger
	flows   map[caller]*flow
}

func callerOf(from identity.Identity) caller {
	c := caller{name: from.Caller}
	if from.Batch {
		c.class = batch
	}
	return c
}

// dueLocked is when the next attempt may be admitted.
func (o *line) dueLocked(now instant) instant {
	var due instant
	for _, b := range o.budgets {
		due = max(due, b.dueLocked(now))
	}
	return due
}

// roomLocked is when there is a place for one more attempt, however many wait for it.
func (o *line) roomLocked(now instant) instant {
	var at instant
	for _, b := range o.budgets {
		at = max(at, b.roomLocked(now))
	}
	return at
}

// takeLocked records an admission.
func (o *line) takeLocked(now instant) {
	for _, b := range o.budgets {
		b.takeLocked(now)
	}
}

// addLocked counts an attempt from a time on, remove no longer one that was counted from then.
func (o *line) addLocked(at instant) {
	for _, b := range o.budgets {
		b.log.addLocked(at)
	}
}

func (o *line) removeLocked(at instant) {
	for _, b := range o.budgets {
		b.log.removeLocked(at)
	}
}

// learnLocked takes over the pauses that the store knew of when it was asked.
func (o *line) learnLocked(asked instant, pauses []Pause) {
	for i, p := range pauses {
		o.budgets[i].learnLocked(asked, p)
	}
}

// reserveLocked holds n places, or gives back -n, while the store is asked.
func (o *line) reserveLocked(n int) {
	for _, b := range o.budgets {
		b.asking += n
	}
}

// waitLocked counts n more who wait.
func (o *line) waitLocked(n int) {
	for _, b := range o.budgets {
		b.waiting += n
	}
}

// longestLocked is the budget that holds the next attempt up longest.
func (o *line) longestLocked(now instant) *budget {
	return slices.MaxFunc(o.budgets[:], func(a, b *budget) int { return cmp.Compare(a.dueLocked(now), b.dueLocked(now)) })
}

// enterLocked puts a waiter at a place of its flow.
func (o *line) enterLocked(w *waiter, place int) {
	w.flow.waiters = slices.Insert(w.flow.waiters, place, w)
	o.flows[w.flow.caller] = w.flow
	o.ledger.enterLocked(w.flow.own)
	o.waitLocked(1)
}

// leaveLocked takes a waiter out, and reports false where it was no longer in.
func (o *line) leaveLocked(w *waiter) bool {
	f := w.flow
	place := slices.Index(f.waiters, w)
	if place < 0 {
		return false
	}
	f.waiters = slices.Delete(f.waiters, place, place+1)
	if len(f.waiters) == 0 {
		delete(o.flows, f.caller)
	}
	if len(o.flows) == 0 {
		o.budgets[0].held = false
	}
	o.ledger.leaveLocked(f.own)
	o.waitLocked(-1)
	return true
}

// headsLocked are those of each class whose turn it is: by the line's own ledger, and of one class only,
// where its own budget holds them up, else by the shared one.
func (o *line) headsLocked(shared *ledger) [classes]*flow {
	held := o.budgets[0].held
	var heads [classes]*flow
	for _, f := range o.flows {
		h := heads[f.caller.class]
		switch {
		case h == nil,
			held && earlierLocked(f, h, &o.ledger, f.own, h.own),
			!held && earlierLocked(f, h, shared, f.shared, h.shared):
			heads[f.caller.class] = f
		}
	}
	if held && heads[interactive] != nil && heads[batch] != nil {
		if o.ledger.batchFirstLocked() {
			heads[interactive] = nil
		} else {
			heads[batch] = nil
		}
	}
	return heads
}

// earlierLocked says that f comes before g by their accounts in a ledger, and else by arrival.
func earlierLocked(f, g *flow, by *ledger, a, b *account) bool {
	if s, t := by.startLocked(a), by.startLocked(b); s != t {
		return s < t
	}
	return f.waiters[0].arrival < g.waiters[0].arrival
}
