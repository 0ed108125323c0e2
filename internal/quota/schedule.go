package quota

import (
	"context"
	"slices"
	"time"

	"samsara.internal/gateway/internal/identity"
)

// leastWait is what those are told to wait whose budget is free, but for others before them.
const leastWait = time.Millisecond

// Admit waits until an attempt in the name of from may be made: by the budget of its operation, the token's and
// the organization's together. It returns a permit, then the attempt is counted; a
// *RefusedError, at once where the wait is known to be longer than the deadline of ctx or
// Config.MaxWait; ErrClosed; or the error of ctx, in which case nothing was counted.
func (o *Operation) Admit(ctx context.Context, from identity.Identity) (Permit, error) {
	if err := ctx.Err(); err != nil {
		return Permit{}, err
	}
	l := o.limiter
	l.mu.Lock()
	now := l.now()
	if !l.closed && !l.link.up && l.free(o, now) {
		o.take(now)
		l.mu.Unlock()
		l.cfg.Observer.Admitted(Admission{Operation: o.name, From: from})
		return Permit{operation: o, from: from, place: place{since: now, at: now}}, nil
	}
	w, err := l.join(ctx, o, from, now)
	l.mu.Unlock()
	var p place
	if err == nil {
		p, err = l.await(ctx, w)
	}
	if err != nil {
		l.cfg.Observer.Refused(o.name, from, err)
		return Permit{}, err
	}
	l.cfg.Observer.Admitted(Admission{Operation: o.name, From: from, Budget: w.budget, Waited: l.now() - now})
	return Permit{operation: o, from: from, place: p}, nil
}

// waiter is an attempt that waits.
type waiter struct {
	operation *Operation
	flow      *flow
	arrival   uint64
	joined    instant
	deadline  instant // of its context, or the longest wait
	budget    string  // what it waits for, as far as known
	// signal never blocks who sends: a waiter that is signalled has left the queue, and comes
	// back only after it has read.
	signal chan verdict
}

// verdict is what the scheduler tells a waiter.
type verdict struct {
	ask bool  // the store's answer is missing
	err error // nil: admitted
	place
}

// flow is the queue of one caller at one operation.
type flow struct {
	caller      caller
	waiters     []*waiter
	own, shared *account // in the operation's ledger and the limiter's
}

// free says that an attempt may go ahead of nobody, now.
func (l *Limiter) free(o *Operation, now instant) bool {
	return len(o.flows) == 0 && !l.shared[0].held && o.due(now) <= now
}

// due is when the next attempt may be admitted.
func (o *Operation) due(now instant) instant {
	var due instant
	for _, b := range o.budgets {
		due = max(due, b.due(now))
	}
	return due
}

func (o *Operation) take(now instant) {
	for _, b := range o.budgets {
		b.take(now)
	}
}

// join queues an attempt, or refuses it. It takes longer the more callers wait, but not the more
// they ask for.
func (l *Limiter) join(ctx context.Context, o *Operation, from identity.Identity, now instant) (*waiter, error) {
	if l.closed {
		return nil, ErrClosed
	}
	f := o.flow(callerOf(from))
	deadline := now + l.cfg.MaxWait
	if d, ok := ctx.Deadline(); ok {
		deadline = min(deadline, now+time.Until(d))
	}
	refused := l.estimate(o, f, now)
	refused.Queue = l.waiting >= l.cfg.MaxQueue || f.shared.waiting >= l.cfg.MaxQueueCaller
	if refused.Queue || now+refused.Wait > deadline {
		return nil, refused
	}
	l.arrivals++
	w := &waiter{
		operation: o, flow: f, arrival: l.arrivals, joined: now, deadline: deadline,
		budget: refused.Budget, signal: make(chan verdict, 1),
	}
	l.enqueue(w, len(f.waiters))
	l.dispatch(now)
	return w, nil
}

// flow returns the queue of a caller, which is entered in flows while somebody is in it.
func (o *Operation) flow(who caller) *flow {
	if f := o.flows[who]; f != nil {
		return f
	}
	weight, ok := o.limiter.cfg.Weights[who.name]
	if !ok {
		weight = 1
	}
	return &flow{caller: who, own: o.ledger.account(who, weight), shared: o.limiter.ledger.account(who, weight)}
}

// estimate is what a new waiter would be refused with.
func (l *Limiter) estimate(o *Operation, f *flow, now instant) *RefusedError {
	ahead := o.ledger.ahead(f.own, l.cfg.BatchPercent, func(a *account) int { return a.waiting })
	var longest *budget
	var due instant
	for _, b := range o.budgets {
		if at := b.after(now, ahead); longest == nil || at > due {
			longest, due = b, at
		}
		ahead = l.aheadShared(f.shared)
	}
	return &RefusedError{Budget: longest.name, Limit: longest.limit, Wait: due - now}
}

// aheadShared estimates how many are admitted by the shared budgets before one more waiter.
// Those whose operation holds them up do not count.
func (l *Limiter) aheadShared(mine *account) int {
	if !l.shared[0].held {
		return 0
	}
	for _, a := range l.ledger.accounts {
		a.ready = 0
	}
	for o := range l.lines {
		if o.budgets[0].held {
			continue
		}
		for _, f := range o.flows {
			f.shared.ready += len(f.waiters)
		}
	}
	return l.ledger.ahead(mine, l.cfg.BatchPercent, func(a *account) int { return a.ready })
}

// enqueue puts a waiter at a place of its flow.
func (l *Limiter) enqueue(w *waiter, place int) {
	o, f := w.operation, w.flow
	f.waiters = slices.Insert(f.waiters, place, w)
	o.flows[f.caller] = f
	l.lines[o] = struct{}{}
	l.waiting++
	o.ledger.enter(f.own)
	l.ledger.enter(f.shared)
	for _, b := range o.budgets {
		b.waiting++
	}
}

// dequeue takes a waiter out, and reports false where it was no longer in.
func (l *Limiter) dequeue(w *waiter) bool {
	o, f := w.operation, w.flow
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
		delete(l.lines, o)
	}
	l.waiting--
	o.ledger.leave(f.own)
	l.ledger.leave(f.shared)
	for _, b := range o.budgets {
		b.waiting--
	}
	return true
}

// refuse takes out those waiters for whom reason returns an error.
func (l *Limiter) refuse(reason func(*waiter) error) {
	var refused []*waiter
	for o := range l.lines {
		for _, f := range o.flows {
			refused = append(refused, f.waiters...)
		}
	}
	for _, w := range refused {
		if err := reason(w); err != nil {
			l.dequeue(w)
			w.signal <- verdict{err: err}
		}
	}
}

// await waits for the verdict on w.
func (l *Limiter) await(ctx context.Context, w *waiter) (place, error) {
	patience := time.NewTimer(l.cfg.MaxWait)
	defer patience.Stop()
	for {
		var v verdict
		select {
		case v = <-w.signal:
		case <-ctx.Done():
			if l.leave(w) {
				return place{}, ctx.Err()
			}
			v = <-w.signal
		case <-patience.C:
			if late := l.late(w); late != nil {
				return place{}, late
			}
			v = <-w.signal
		}
		if !v.ask {
			return v.place, v.err
		}
		if p, admitted, err := l.ask(ctx, w); admitted || err != nil {
			return p, err
		}
		patience.Reset(w.joined + l.cfg.MaxWait - l.now())
	}
}

// leave takes a waiter out that no longer wants to wait.
func (l *Limiter) leave(w *waiter) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	left := l.dequeue(w)
	if left {
		l.dispatch(l.now())
	}
	return left
}

// late takes a waiter out whose time has run out, and returns what it is refused with; or nil, where
// its turn has come.
func (l *Limiter) late(w *waiter) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	now := l.now()
	l.dispatch(now) // The timer for it may be late too.
	if !l.dequeue(w) {
		return nil
	}
	defer l.dispatch(now)
	refused := l.estimate(w.operation, w.flow, now)
	refused.Wait = max(refused.Wait, leastWait)
	return refused
}

// tick runs when a waiter may be due.
func (l *Limiter) tick() {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.dispatch(l.now())
}

// dispatch admits all who may be admitted now, or lets them ask the store, and sets the timer
// for the next.
func (l *Limiter) dispatch(now instant) {
	for w := l.next(now); w != nil; w = l.next(now) {
		l.dequeue(w)
		if l.link.up {
			w.operation.reserve(1)
		} else {
			l.admit(w, now)
		}
		w.signal <- verdict{ask: l.link.up, place: place{since: now, at: now}}
	}
	due := never
	for o := range l.lines {
		due = min(due, o.due(now))
	}
	if due == never {
		l.timer.Stop()
		return
	}
	l.timer.Reset(due - now)
}

// admit counts the admission of one who waited.
func (l *Limiter) admit(w *waiter, now instant) {
	o := w.operation
	f := o.flow(w.flow.caller)
	o.ledger.charge(f.own, l.cfg.BatchPercent)
	l.ledger.charge(f.shared, l.cfg.BatchPercent)
	o.take(now)
}

// next picks who is admitted next, and says of the budgets which ones hold somebody up. It
// looks at everyone who could be: queues are bounded, and admissions are some hundreds a second.
func (l *Limiter) next(now instant) *waiter {
	shared := max(l.shared[0].due(now), l.shared[1].due(now))
	held, was := false, l.shared[0].held
	var best [classes]*flow
	for o := range l.lines {
		own := o.budgets[0]
		switch due := own.due(now); {
		case due > now:
			// Who only waits for what the store answers others is not held up yet.
			own.held = own.held || due < never
			continue
		case shared > now:
			own.held, held = false, held || was || shared < never
			continue
		}
		for c, f := range o.heads(own.held) {
			if f != nil && (best[c] == nil || earlier(f, best[c], &l.ledger, f.shared, best[c].shared)) {
				best[c] = f
			}
		}
	}
	f := best[interactive]
	if f == nil || best[batch] != nil && l.ledger.batchFirst(l.cfg.BatchPercent) {
		f = best[batch]
	}
	if f == nil {
		l.shared[0].held, l.shared[1].held = held, held
		return nil
	}
	return f.waiters[0]
}

// heads are those of each class whose turn it is at an operation: by its own ledger, and of one
// class only, where the operation holds them up, else by the shared one.
func (o *Operation) heads(held bool) [classes]*flow {
	l := o.limiter
	var heads [classes]*flow
	for _, f := range o.flows {
		h := heads[f.caller.class]
		switch {
		case h == nil,
			held && earlier(f, h, &o.ledger, f.own, h.own),
			!held && earlier(f, h, &l.ledger, f.shared, h.shared):
			heads[f.caller.class] = f
		}
	}
	if held && heads[interactive] != nil && heads[batch] != nil {
		if o.ledger.batchFirst(l.cfg.BatchPercent) {
			heads[interactive] = nil
		} else {
			heads[batch] = nil
		}
	}
	return heads
}

// earlier says that f comes before g by their accounts in a ledger, and else by arrival.
func earlier(f, g *flow, by *ledger, a, b *account) bool {
	if s, t := by.start(a), by.start(b); s != t {
		return s < t
	}
	return f.waiters[0].arrival < g.waiters[0].arrival
}
