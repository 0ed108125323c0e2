package quota

import (
	"cmp"
	"maps"
	"slices"
)

// schedule decides who is admitted next. The limiter's lock guards it and all that it refers to: one
// lock, so that budgets are taken together.
type schedule struct {
	// weights are the shares of callers, 1 for those not named.
	weights map[string]float64
	// maxQueue is how many attempts may wait, maxQueueCaller how many of one caller.
	maxQueue, maxQueueCaller int

	shared   [2]*budget         // token, organization
	fair     fairQueue          // of the shared budgets
	lines    map[*line]struct{} // those with waiters
	waiting  int
	resting  map[*rest]struct{}
	arrivals uint64
}

// line returns the queue of an operation whose own budget is given.
func (s *schedule) line(name string, own *budget) line {
	return line{
		name:    name,
		budgets: [3]*budget{own, s.shared[0], s.shared[1]},
		fair:    newFairQueue(s.fair.batchPercent),
		flows:   make(map[caller]*flow),
	}
}

// freeLocked reports whether an attempt may be admitted now without overtaking anybody.
func (s *schedule) freeLocked(o *line, now instant) bool {
	return len(o.flows) == 0 && !s.shared[0].held && o.dueLocked(now) <= now
}

// joinLocked queues an attempt, or refuses it. Its cost grows with the number of callers that wait, not
// with how much each of them asks for.
func (s *schedule) joinLocked(o *line, who caller, now, deadline instant) (*waiter, *RefusedError) {
	f := s.flowLocked(o, who)
	refused := s.estimateLocked(o, f, now)
	refused.Queue = s.waiting >= s.maxQueue || f.shared.waiting >= s.maxQueueCaller
	if refused.Queue || now+refused.Wait > deadline {
		return nil, refused
	}
	s.arrivals++
	w := &waiter{
		line: o, flow: f, arrival: s.arrivals, joined: now, deadline: deadline,
		budget: refused.Budget, signal: make(chan verdict, 1),
	}
	s.enqueueLocked(w, len(f.waiters))
	return w, nil
}

// flowLocked returns the queue of a caller, which is entered in flows while somebody is in it.
func (s *schedule) flowLocked(o *line, who caller) *flow {
	if f := o.flows[who]; f != nil {
		return f
	}
	weight := cmp.Or(who.weight, s.weights[who.name], 1)
	return &flow{caller: who, own: o.fair.accountLocked(who, weight), shared: s.fair.accountLocked(who, weight)}
}

// estimateLocked returns what a new waiter would be refused with.
func (s *schedule) estimateLocked(o *line, f *flow, now instant) *RefusedError {
	ahead := o.fair.aheadLocked(f.own, func(a *account) int { return a.waiting })
	var longest *budget
	var due instant
	for _, b := range o.budgets {
		if at := b.afterLocked(now, ahead); longest == nil || at > due {
			longest, due = b, at
		}
		ahead = s.aheadSharedLocked(f.shared)
	}
	return &RefusedError{Budget: longest.name, Limit: longest.limit, Wait: due - now, Paused: longest.pausedLocked(now)}
}

// aheadSharedLocked estimates how many attempts the shared budgets admit before one more waiter. Waiters
// that their operation's own budget holds up do not count.
func (s *schedule) aheadSharedLocked(mine *account) int {
	if !s.shared[0].held {
		return 0
	}
	for _, a := range s.fair.accounts {
		a.ready = 0
	}
	for o := range s.lines {
		if o.budgets[0].held {
			continue
		}
		for _, f := range o.flows {
			f.shared.ready += len(f.waiters)
		}
	}
	return s.fair.aheadLocked(mine, func(a *account) int { return a.ready })
}

// enqueueLocked puts a waiter at a position of its flow.
func (s *schedule) enqueueLocked(w *waiter, position int) {
	w.line.enterLocked(w, position)
	s.lines[w.line] = struct{}{}
	s.waiting++
	s.fair.enterLocked(w.flow.shared)
}

// requeueLocked puts a waiter that was picked in vain back at the front of its flow. The flow may have
// ended and another one begun since.
func (s *schedule) requeueLocked(w *waiter) {
	w.flow = s.flowLocked(w.line, w.flow.caller)
	s.enqueueLocked(w, 0)
}

// dequeueLocked takes a waiter out, and reports whether it was still in.
func (s *schedule) dequeueLocked(w *waiter) bool {
	if !w.line.leaveLocked(w) {
		return false
	}
	if len(w.line.flows) == 0 {
		delete(s.lines, w.line)
	}
	s.waiting--
	s.fair.leaveLocked(w.flow.shared)
	return true
}

// refuseLocked takes out the waiters that reason returns an error for, and refuses them with it.
func (s *schedule) refuseLocked(reason func(*waiter) error) {
	var refused []*waiter
	for o := range s.lines {
		for _, f := range o.flows {
			refused = append(refused, f.waiters...)
		}
	}
	for _, w := range refused {
		if err := reason(w); err != nil {
			s.dequeueLocked(w)
			w.signal <- verdict{err: err}
		}
	}
}

// dispatchLocked admits all waiters that may be admitted now, or lets them ask the store, and returns
// when the next may be due.
func (s *schedule) dispatchLocked(now instant, ask bool) instant {
	for w := s.nextLocked(now); w != nil; w = s.nextLocked(now) {
		s.dequeueLocked(w)
		if ask {
			w.line.reserveLocked(1)
		} else {
			s.admitLocked(w, now)
		}
		w.signal <- verdict{ask: ask, at: now}
	}
	due := never
	for o := range s.lines {
		due = min(due, o.dueLocked(now))
	}
	return due
}

// admitLocked counts the admission of a waiter.
func (s *schedule) admitLocked(w *waiter, now instant) {
	f := s.flowLocked(w.line, w.flow.caller)
	w.line.fair.chargeLocked(f.own)
	s.fair.chargeLocked(f.shared)
	w.line.takeLocked(now)
}

// nextLocked picks the waiter that is admitted next, and notes which budgets hold somebody up. It looks
// at every flow that could be next: queues are bounded, and admissions are some hundreds a second.
func (s *schedule) nextLocked(now instant) *waiter {
	shared := max(s.shared[0].dueLocked(now), s.shared[1].dueLocked(now))
	held, was := false, s.shared[0].held
	var best [priorities]*flow
	for o := range s.lines {
		own := o.budgets[0]
		switch due := own.dueLocked(now); {
		case due > now:
			// A waiter that depends only on what the store answers others is not held up yet.
			own.held = own.held || due < never
			continue
		case shared > now:
			own.held, held = false, held || was || shared < never
			continue
		}
		for p, f := range o.headsLocked(&s.fair) {
			if f != nil && (best[p] == nil || earlierLocked(f, best[p], &s.fair, f.shared, best[p].shared)) {
				best[p] = f
			}
		}
	}
	f := best[interactive]
	if f == nil || best[batch] != nil && s.fair.batchFirstLocked() {
		f = best[batch]
	}
	if f == nil {
		s.shared[0].held, s.shared[1].held = held, held
		return nil
	}
	return f.waiters[0]
}

// restLocked begins a rest of a caller. unrestLocked ends it.
func (s *schedule) restLocked(o *line, who caller, now instant) *rest {
	r := &rest{o, who, now}
	s.resting[r] = struct{}{}
	o.waitLocked(1)
	return r
}

func (s *schedule) unrestLocked(r *rest) {
	delete(s.resting, r)
	r.line.waitLocked(-1)
}

// waitersLocked returns who waits, the longest first. It looks at each caller at an operation once, and
// at each rest.
func (s *schedule) waitersLocked(now instant) []WaiterState {
	type group struct {
		caller
		budget string
	}
	groups := make(map[group]WaiterState)
	add := func(who caller, budget string, count int, oldest instant) {
		w := groups[group{who, budget}]
		groups[group{who, budget}] = WaiterState{
			Caller: who.name, Batch: who.priority == batch, Budget: budget,
			Count: w.Count + count, Oldest: max(w.Oldest, oldest),
		}
	}
	for o := range s.lines {
		longest := o.longestLocked(now)
		for who, f := range o.flows {
			add(who, longest.name, len(f.waiters), now-f.waiters[0].joined)
		}
	}
	for r := range s.resting {
		budget := ""
		if own := r.line.budgets[0]; own.until > now {
			budget = own.name
		}
		add(r.caller, budget, 1, now-r.since)
	}
	return slices.SortedFunc(maps.Values(groups), func(a, b WaiterState) int {
		return cmp.Or(cmp.Compare(b.Oldest, a.Oldest), cmp.Compare(b.Count, a.Count), cmp.Compare(a.Caller, b.Caller), cmp.Compare(a.Budget, b.Budget))
	})
}
