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
	deadline instant // of its context, or the end of the longest wait
	budget   string  // that it waits for, as far as known
	// signal never blocks the sender: a waiter that is signalled has left the queue, and comes
	// back only after it has read.
	signal chan verdict
}

// verdict is what the scheduler tells a waiter.
type verdict struct {
	ask bool    // the store has still to decide
	err error   // nil: admitted
	at  instant // of the admission
}

// flow is the queue of one caller at one operation.
type flow struct {
	caller      caller
	waiters     []*waiter
	own, shared *account // in the line's fair queue and the schedule's
}

// rest is a wait before a further attempt.
type rest struct {
	line   *line
	caller caller
	since  instant
}

// line is the queue of one operation.
type line struct {
	name string
	// budgets are those that an attempt takes from, the operation's own first.
	budgets [3]*budget
	fair    fairQueue
	flows   map[caller]*flow
}

func callerOf(from identity.Identity) caller {
	c := caller{name: from.Caller, weight: from.Weight}
	if from.Batch {
		c.priority = batch
	}
	return c
}

// dueLocked returns when the next attempt may be admitted.
func (o *line) dueLocked(now instant) instant {
	var due instant
	for _, b := range o.budgets {
		due = max(due, b.dueLocked(now))
	}
	return due
}

// roomLocked returns when there is room for one more attempt, however many wait for it.
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

// addLocked counts an attempt from a time on. removeLocked no longer counts one that was counted from then.
func (o *line) addLocked(at instant) {
	for _, b := range o.budgets {
		b.admissions.addLocked(at)
	}
}

func (o *line) removeLocked(at instant) {
	for _, b := range o.budgets {
		b.admissions.removeLocked(at)
	}
}

// learnLocked takes over the pauses that the store knew of when it was asked.
func (o *line) learnLocked(asked instant, pauses []Pause) {
	for i, p := range pauses {
		o.budgets[i].learnLocked(asked, p)
	}
}

// reserveLocked holds n slots, or gives back -n, while the store is asked.
func (o *line) reserveLocked(n int) {
	for _, b := range o.budgets {
		b.asking += n
	}
}

// waitLocked counts n more waiters, or -n fewer.
func (o *line) waitLocked(n int) {
	for _, b := range o.budgets {
		b.waiting += n
	}
}

// longestLocked returns the budget that holds the next attempt up longest.
func (o *line) longestLocked(now instant) *budget {
	return slices.MaxFunc(o.budgets[:], func(a, b *budget) int { return cmp.Compare(a.dueLocked(now), b.dueLocked(now)) })
}

// enterLocked puts a waiter at a position of its flow.
func (o *line) enterLocked(w *waiter, position int) {
	w.flow.waiters = slices.Insert(w.flow.waiters, position, w)
	o.flows[w.flow.caller] = w.flow
	o.fair.enterLocked(w.flow.own)
	o.waitLocked(1)
}

// leaveLocked takes a waiter out, and reports whether it was still in.
func (o *line) leaveLocked(w *waiter) bool {
	f := w.flow
	position := slices.Index(f.waiters, w)
	if position < 0 {
		return false
	}
	f.waiters = slices.Delete(f.waiters, position, position+1)
	if len(f.waiters) == 0 {
		delete(o.flows, f.caller)
	}
	if len(o.flows) == 0 {
		o.budgets[0].held = false
	}
	o.fair.leaveLocked(f.own)
	o.waitLocked(-1)
	return true
}

// headsLocked returns the flow of each priority that is next. If the line's own budget holds them up,
// the line's own fair queue decides, and picks one priority only. Otherwise the shared one decides.
func (o *line) headsLocked(shared *fairQueue) [priorities]*flow {
	held := o.budgets[0].held
	var heads [priorities]*flow
	for _, f := range o.flows {
		h := heads[f.caller.priority]
		switch {
		case h == nil,
			held && earlierLocked(f, h, &o.fair, f.own, h.own),
			!held && earlierLocked(f, h, shared, f.shared, h.shared):
			heads[f.caller.priority] = f
		}
	}
	if held && heads[interactive] != nil && heads[batch] != nil {
		if o.fair.batchFirstLocked() {
			heads[interactive] = nil
		} else {
			heads[batch] = nil
		}
	}
	return heads
}

// earlierLocked reports whether f comes before g: by their accounts in a fair queue, and by arrival if
// these are equal.
func earlierLocked(f, g *flow, by *fairQueue, a, b *account) bool {
	if s, t := by.startLocked(a), by.startLocked(b); s != t {
		return s < t
	}
	return f.waiters[0].arrival < g.waiters[0].arrival
}
