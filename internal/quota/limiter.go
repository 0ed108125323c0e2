// Package quota admits attempts by several budgets together, and fairly between callers.
//
// Every attempt takes from the budget of the token, that of the organization and that of its
// operation: from all or from none. What the package guarantees:
//
//   - Exactness: in no interval of a budget's window are more attempts admitted than its limit
//     says. Each budget keeps a sliding log of its last admissions, so that there is no double
//     burst at a window's edge. While nobody waits, as many go at once as the limit says: of
//     100 a minute, all 100. An attempt counts from when its request is written, however long
//     its connection took to open: see Permit.Renew.
//   - Room for the network: it squeezes together requests that left evenly, so every window is
//     lengthened by a margin. With the default of 4 % a budget is used to 96 %.
//   - Fairness: those who wait for a budget are served by start-time fair queueing (Goyal, Vin,
//     Cheng 1996), interactive calls before batch, where batch keeps a guaranteed share. While
//     somebody waits, admissions are spread evenly over the window, so that a caller who asks
//     for one at a time is not held up by another's burst. A waiter is ordered by the budget
//     that holds it up, and never holds up one whose budgets are free.
//   - Bounds: a wait that would outlast the caller's deadline or MaxWait is refused at once with
//     a RefusedError; queues are bounded; callers who wait for nothing are forgotten.
//   - After a 429 the budget pauses, resumes gently, and is lowered while 429s go on; see Pause.
//
// Budgets are shared with other processes through a Store, such as Redis. Nobody waits for one
// longer than Config.StoreTimeout: without its answer every process admits its share of each
// budget, which is the budget divided by the replicas last seen. A budget smaller than their
// number then lets each admit one now and then, together no more than the budget over time.
// While some processes have lost the store and others have not, a budget may be exceeded by
// the shares of those that have; the same may happen, once, in the window in which a store is
// lost. Coming back is exact: for a window both the share and the store have to agree.
//
// golang.org/x/time/rate and the libraries like it were not used: a token bucket admits twice
// its burst in one window, takes from one budget at a time, and queues by arrival.
//
// The files, in the order in which they are to be read: limiter, schedule, waiters, fair, link, budget,
// snapshot, errors, limit, store. Each names only what comes after it.
package quota

import (
	"context"
	"fmt"
	"log/slog"
	"maps"
	"math/rand/v2"
	"slices"
	"strings"
	"sync"
	"time"

	"samsara.internal/gateway/internal/identity"
)

const (
	// leastWait is the least wait that an attempt is refused with at the end of MaxWait. Its budgets may
	// be free by then, except that others come first.
	leastWait = time.Millisecond
	// atHand is how old a permit may get that costs next to nothing to renew.
	atHand = time.Millisecond
	// maxWaiters bounds Snapshot.Waiters.
	maxWaiters = 20
)

// Limiter admits attempts. It is safe for concurrent use; Close it when done.
type Limiter struct {
	cfg   Config
	epoch time.Time

	// mu guards what follows. It is never held while waiting, or while the store is asked.
	mu         sync.Mutex
	closed     bool
	schedule   schedule
	link       link
	operations map[string]*Operation
	timer      *time.Timer // for the next admission

	stop    context.CancelFunc // ends the heartbeat
	stopped chan struct{}
}

// Operation is an operation's handle, made by Limiter.Operation. It is safe for concurrent use.
type Operation struct {
	limiter *Limiter
	line    line
	// slack is how old a permit may get that takes the store to renew.
	slack time.Duration
}

// New returns a limiter. It tries cfg.Store once, for no longer than cfg.StoreTimeout, and
// starts without the store if it does not answer. The error names all that is wrong with cfg.
// The store is closed with the limiter.
func New(cfg Config) (*Limiter, error) {
	if err := cfg.check(); err != nil {
		return nil, err
	}
	cfg.Overrides = slices.Clone(cfg.Overrides)
	if cfg.Observer == nil {
		cfg.Observer = nobody{}
	}
	if cfg.Logger == nil {
		cfg.Logger = slog.New(slog.DiscardHandler)
	}
	l := &Limiter{
		cfg:   cfg,
		epoch: time.Now(),
		schedule: schedule{
			weights:        maps.Clone(cfg.Weights),
			maxQueue:       cfg.MaxQueue,
			maxQueueCaller: cfg.MaxQueueCaller,
			fair:           newFairQueue(cfg.BatchPercent),
			lines:          make(map[*line]struct{}),
			resting:        make(map[*rest]struct{}),
		},
		link:       newLink(cfg.Store, cfg.StoreTimeout, cfg.Replicas, cfg.Logger),
		operations: make(map[string]*Operation),
	}
	l.schedule.shared = [2]*budget{
		newBudget(TokenBudget, cfg.Token, Limit{}, cfg.Margin, &l.link.share),
		newBudget(OrganizationBudget, cfg.Organization, Limit{}, cfg.Margin, &l.link.share),
	}
	l.timer = time.AfterFunc(time.Hour, l.tick)
	l.timer.Stop()
	l.connect()
	return l, nil
}

// connect begins the heartbeat, if there is a store.
func (l *Limiter) connect() {
	if l.cfg.Store == nil {
		return
	}
	ctx, stop := context.WithCancel(context.Background())
	l.stop, l.stopped = stop, make(chan struct{})
	l.beat(ctx)
	l.mu.Lock()
	l.link.share.since = longPast // Nothing was admitted without it.
	l.mu.Unlock()
	go func() {
		defer close(l.stopped)
		l.link.keep(ctx, l.beat, func() StoreState {
			l.mu.Lock()
			defer l.mu.Unlock()
			return l.link.stateLocked()
		})
	}()
}

// Close refuses with ErrClosed every attempt that waits or comes later. It closes the store.
func (l *Limiter) Close() error {
	l.mu.Lock()
	if l.closed {
		l.mu.Unlock()
		return nil
	}
	l.closed = true
	l.timer.Stop()
	l.schedule.refuseLocked(func(*waiter) error { return ErrClosed })
	l.mu.Unlock()
	if l.cfg.Store == nil {
		return nil
	}
	l.stop()
	<-l.stopped
	return l.cfg.Store.Close()
}

// Operation returns the handle of an operation: the same one for the same name. Its limit is that
// of the first override that matches the name, else stated. An operation without a limit is held up
// by the shared budgets and by pauses only.
func (l *Limiter) Operation(name string, stated Limit) (*Operation, error) {
	for _, o := range l.cfg.Overrides {
		if o.Operations.Match(name) {
			stated = o.Limit
			break
		}
	}
	if err := stated.check(); err != nil {
		return nil, fmt.Errorf("quota: operation %s: %w", name, err)
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	o := l.operations[name]
	if o == nil {
		own := newBudget(OperationPrefix+name, stated, l.cfg.Token, l.cfg.Margin, &l.link.share)
		o = &Operation{limiter: l, line: l.schedule.line(name, own), slack: l.slack(stated)}
		l.operations[name] = o
	}
	return o, nil
}

// slack returns how old a permit may get if own is the limit of its operation. It leaves the rest of
// the margin to the network.
func (l *Limiter) slack(own Limit) time.Duration {
	slack := never
	for _, limit := range []Limit{own, l.cfg.Token, l.cfg.Organization} {
		if limit != (Limit{}) {
			slack = min(slack, time.Duration(l.cfg.Margin/4*float64(limit.Window)))
		}
	}
	return slack
}

func (l *Limiter) now() instant { return time.Since(l.epoch) }

// Snapshot returns the present state. It looks once at each budget, and at each caller who waits.
func (l *Limiter) Snapshot() Snapshot {
	l.mu.Lock()
	defer l.mu.Unlock()
	now := l.now()
	s := Snapshot{Waiting: l.schedule.waiting + len(l.schedule.resting), Store: l.link.stateLocked()}
	for _, o := range l.operations {
		s.Budgets = append(s.Budgets, o.line.budgets[0].stateLocked(now, l.epoch))
	}
	slices.SortFunc(s.Budgets, func(a, b BudgetState) int { return strings.Compare(a.Name, b.Name) })
	shared := l.schedule.shared
	s.Budgets = slices.Insert(s.Budgets, 0, shared[0].stateLocked(now, l.epoch), shared[1].stateLocked(now, l.epoch))
	waiters := l.schedule.waitersLocked(now)
	oldest := make(map[string]time.Duration)
	for _, w := range waiters {
		oldest[w.Budget] = max(oldest[w.Budget], w.Oldest)
	}
	for i := range s.Budgets {
		s.Budgets[i].Oldest = oldest[s.Budgets[i].Name]
	}
	s.Waiters = waiters[:min(len(waiters), maxWaiters)]
	return s
}

// Pause notes that Samsara answered 429 to an attempt of a budget. The budget admits nothing until
// then, or until the latest such time. It resumes with a quarter of its pace, which rises to all of
// it in four windows, 10 s at most. A 429 within a minute after the pause of another one lowers the
// limit by a fifth, never below a fifth of what is configured. Each minute without one gives back a
// tenth of what is configured. An operation that had no limit has the token's from then on: it could
// not exceed that anyway, and thus resumes gently too. Attempts that cannot wait so long are refused.
// The store, if there is one, is told within Config.StoreTimeout. Otherwise only this process knows.
//
// Pause fails only if there is no such budget.
func (l *Limiter) Pause(ctx context.Context, budget string, until time.Time) error {
	b := l.budget(budget)
	if b == nil {
		return fmt.Errorf("quota: there is no budget %q", budget)
	}
	l.pause(ctx, b, until)
	return nil
}

// Pause pauses the operation's own budget, as Limiter.Pause does.
func (o *Operation) Pause(ctx context.Context, until time.Time) {
	o.limiter.pause(ctx, o.line.budgets[0], until)
}

func (l *Limiter) pause(ctx context.Context, b *budget, until time.Time) {
	l.mu.Lock()
	now := l.now()
	b.pauseLocked(now, now+time.Until(until))
	p := Pause{For: b.until - now, Scale: b.scale}
	l.schedule.refuseLocked(func(w *waiter) error {
		if b.until > w.deadline && slices.Contains(w.line.budgets[:], b) {
			return &RefusedError{Budget: b.name, Limit: b.limit, Wait: b.until - now, Paused: true}
		}
		return nil
	})
	l.dispatchLocked(now)
	up := l.link.share.up
	l.mu.Unlock()
	if !up {
		return
	}
	if err := l.link.pause(ctx, b.name, p); err != nil {
		l.lose(err)
	}
}

// budget returns the budget with a name, or nil.
func (l *Limiter) budget(name string) *budget {
	l.mu.Lock()
	defer l.mu.Unlock()
	for _, b := range l.schedule.shared {
		if b.name == name {
			return b
		}
	}
	if operation, ok := strings.CutPrefix(name, OperationPrefix); ok {
		if o := l.operations[operation]; o != nil {
			return o.line.budgets[0]
		}
	}
	return nil
}

// beat asks the store whether it is there.
func (l *Limiter) beat(ctx context.Context) {
	replicas, err := l.link.beat(ctx)
	if err != nil {
		l.lose(err)
		return
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	now := l.now()
	l.link.foundLocked(now, replicas)
	l.dispatchLocked(now)
}

// lose notes that the store is away: the limiter does without it from now on.
func (l *Limiter) lose(err error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.link.loseLocked(err)
	for _, b := range l.schedule.shared {
		b.forgetLocked()
	}
	for _, o := range l.operations {
		o.line.budgets[0].forgetLocked()
	}
	l.dispatchLocked(l.now())
}

// tick runs when a waiter may be due.
func (l *Limiter) tick() {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.dispatchLocked(l.now())
}

// dispatchLocked admits all waiters that may be admitted now, or lets them ask the store, and sets the
// timer for the next.
func (l *Limiter) dispatchLocked(now instant) {
	due := l.schedule.dispatchLocked(now, l.link.share.up)
	if due == never {
		l.timer.Stop()
		return
	}
	l.timer.Reset(due - now)
}

// Admit waits until the budgets of the operation, the token and the organization together admit an
// attempt of the caller from. It then counts the attempt and returns a permit. The error is a
// *RefusedError, at once if the wait is known to outlast the deadline of ctx or Config.MaxWait;
// ErrClosed; or the error of ctx, in which case nothing was counted.
func (o *Operation) Admit(ctx context.Context, from identity.Identity) (Permit, error) {
	if err := ctx.Err(); err != nil {
		return Permit{}, err
	}
	l := o.limiter
	l.mu.Lock()
	now := l.now()
	if !l.closed && !l.link.share.up && l.schedule.freeLocked(&o.line, now) {
		o.line.takeLocked(now)
		l.mu.Unlock()
		l.cfg.Observer.Admitted(Admission{Operation: o.line.name, From: from})
		return Permit{operation: o, from: from, slot: slot{since: now, at: now}}, nil
	}
	w, err := l.joinLocked(ctx, &o.line, from, now)
	l.mu.Unlock()
	var p slot
	if err == nil {
		p, err = l.await(ctx, w)
	}
	if err != nil {
		l.cfg.Observer.Refused(o.line.name, from, err)
		return Permit{}, err
	}
	l.cfg.Observer.Admitted(Admission{Operation: o.line.name, From: from, Budget: w.budget, Waited: l.now() - now})
	return Permit{operation: o, from: from, slot: p}, nil
}

// NextAdmission estimates how long a further attempt of the caller from has to wait, from now on, until
// Admit lets it through, if it comes after a time and after all pauses. paused is how long the pauses
// last: until then Admit lets nobody through. The error is a *RefusedError if Admit would then refuse the
// attempt, whatever its deadline.
func (o *Operation) NextAdmission(from identity.Identity, after time.Duration) (wait, paused time.Duration, err error) {
	l := o.limiter
	l.mu.Lock()
	defer l.mu.Unlock()
	now := l.now()
	for _, b := range o.line.budgets {
		paused = max(paused, b.until-now)
	}
	next := l.schedule.estimateLocked(&o.line, l.schedule.flowLocked(&o.line, callerOf(from)), now)
	if next.Wait-max(after, paused) > l.cfg.MaxWait {
		return next.Wait, paused, next
	}
	return next.Wait, paused, nil
}

// joinLocked queues an attempt, or refuses it.
func (l *Limiter) joinLocked(ctx context.Context, o *line, from identity.Identity, now instant) (*waiter, error) {
	if l.closed {
		return nil, ErrClosed
	}
	deadline := now + l.cfg.MaxWait
	if d, ok := ctx.Deadline(); ok {
		deadline = min(deadline, now+time.Until(d))
	}
	w, refused := l.schedule.joinLocked(o, callerOf(from), now, deadline)
	if refused != nil {
		return nil, refused
	}
	l.dispatchLocked(now)
	return w, nil
}

// await waits for the verdict on w.
func (l *Limiter) await(ctx context.Context, w *waiter) (slot, error) {
	patience := time.NewTimer(l.cfg.MaxWait)
	defer patience.Stop()
	for {
		var v verdict
		select {
		case v = <-w.signal:
		case <-ctx.Done():
			if l.leave(w) {
				return slot{}, ctx.Err()
			}
			v = <-w.signal
		case <-patience.C:
			if late := l.late(w); late != nil {
				return slot{}, late
			}
			v = <-w.signal
		}
		if !v.ask {
			return slot{at: v.at, since: v.at}, v.err
		}
		if p, admitted, err := l.ask(ctx, w); admitted || err != nil {
			return p, err
		}
		patience.Reset(w.joined + l.cfg.MaxWait - l.now())
	}
}

// leave takes a waiter out that no longer wants to wait, and reports whether it was still queued.
func (l *Limiter) leave(w *waiter) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	left := l.schedule.dequeueLocked(w)
	if left {
		l.dispatchLocked(l.now())
	}
	return left
}

// late takes a waiter out whose time has run out, and returns its refusal, or nil if its turn has come.
func (l *Limiter) late(w *waiter) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	now := l.now()
	l.dispatchLocked(now) // The timer of its admission may be late too.
	if !l.schedule.dequeueLocked(w) {
		return nil
	}
	defer l.dispatchLocked(now)
	refused := l.schedule.estimateLocked(w.line, w.flow, now)
	refused.Wait = max(refused.Wait, leastWait)
	return refused
}

// take asks the store for an admission. The store first gives back what it admitted at instead. inTurn
// keeps the admission from coming too soon after others if they are spread.
func (l *Limiter) take(ctx context.Context, o *line, inTurn bool, instead Stamp) (Ruling, error) {
	var claims [len(o.budgets)]Claim
	l.mu.Lock()
	now := l.now()
	for i, b := range o.budgets {
		claims[i] = b.claimLocked(now, inTurn)
	}
	l.mu.Unlock()
	return l.link.take(ctx, claims[:], instead)
}

// ask has the store decide on a waiter, for which each budget holds a slot. It returns true if the
// waiter is admitted, an error if it is refused for good, and false if it is in the queue again.
func (l *Limiter) ask(ctx context.Context, w *waiter) (slot, bool, error) {
	o := w.line
	asked := l.now()
	ruling, err := l.take(ctx, o, true, 0)
	if err != nil {
		defer l.lose(err)
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	now := l.now()
	o.reserveLocked(-1)
	if l.closed {
		return slot{}, false, ErrClosed
	}
	if err != nil {
		l.schedule.requeueLocked(w)
		return slot{}, false, nil
	}
	o.learnLocked(asked, ruling.Pauses)
	defer l.dispatchLocked(now)
	if ruling.Wait <= 0 {
		for _, b := range o.budgets {
			b.grantLocked()
		}
		l.schedule.admitLocked(w, now)
		return slot{at: now, since: asked, stamp: ruling.Stamp}, true, nil
	}
	b := o.budgets[ruling.Held]
	b.refuseLocked(now + ruling.Wait + rand.N(retryJitter)) //nolint:gosec // jitter, not a secret
	if b.retry > w.deadline {
		return slot{}, false, l.schedule.estimateLocked(o, w.flow, now)
	}
	l.schedule.requeueLocked(w)
	return slot{}, false, nil
}

// Permit is leave for one attempt. The zero value is leave without a quota.
type Permit struct {
	operation *Operation
	from      identity.Identity
	slot
}

// slot is when an attempt counts.
type slot struct {
	// at is when the attempt counts in this process. stamp is when it counts in the store, which is
	// not before since; zero: the store was not asked.
	at, since instant
	stamp     Stamp
}

// Renew keeps the permit valid for an attempt that is about to be written to its connection, which
// may have taken long to open. The upstream counts the attempt from then. If that is later than the
// margin allows, so must the quota: it counts the attempt again, instead of before. Most often Renew
// only looks at the clock. If the attempt is so late that others have had its slot since, it is
// admitted again, as by Admit. The errors are those of Admit. A permit is for one goroutine.
func (p *Permit) Renew(ctx context.Context) error {
	o := p.operation
	if o == nil {
		return nil
	}
	slack := o.slack
	if p.stamp == 0 {
		slack = min(slack, atHand)
	}
	if o.limiter.now()-p.since <= slack {
		return nil
	}
	if o.limiter.move(ctx, &o.line, &p.slot) {
		return nil
	}
	again, err := o.Admit(ctx, p.from)
	if err == nil {
		*p = again
	}
	return err
}

// Count counts an attempt that is written although Renew has refused it: from now on, in this process,
// whether or not there is room for it. The store is not told.
func (p *Permit) Count() {
	o := p.operation
	if o == nil {
		return
	}
	l := o.limiter
	l.mu.Lock()
	defer l.mu.Unlock()
	now := l.now()
	for _, b := range o.line.budgets {
		b.admissions.removeLocked(p.at)
		b.admissions.extendLocked(now, b.window)
	}
	p.slot = slot{at: now, since: now}
}

// move counts an attempt from now on instead, and reports whether there is room. If there is none, the
// attempt is no longer counted at all.
func (l *Limiter) move(ctx context.Context, o *line, p *slot) bool {
	l.mu.Lock()
	closed, up, asked := l.closed, l.link.share.up, l.now()
	l.mu.Unlock()
	if closed {
		return true // what was admitted may go on
	}
	var ruling Ruling
	if up {
		var err error
		if ruling, err = l.take(ctx, o, false, p.stamp); err != nil {
			l.lose(err)
			up = false
		}
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	now := l.now()
	o.removeLocked(p.at)
	room := ruling.Wait <= 0
	if up {
		o.learnLocked(asked, ruling.Pauses)
	} else {
		asked, room = now, o.roomLocked(now) <= now
	}
	if !room {
		p.at, p.stamp = never, 0 // There is nothing to give back any more.
		l.dispatchLocked(now)
		return false
	}
	o.addLocked(now)
	*p = slot{at: now, since: asked, stamp: ruling.Stamp}
	return true
}

// Rest waits for a time before a further attempt of the caller from, which Admit then has to let
// through. Snapshot shows it among those who wait. No queue and no budget counts it. Rest reports
// whether the time passed before ctx ended. If o is nil it only waits.
func (o *Operation) Rest(ctx context.Context, from identity.Identity, d time.Duration) bool {
	if o != nil {
		defer o.limiter.unrest(o.limiter.rest(&o.line, from))
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

func (l *Limiter) rest(o *line, from identity.Identity) *rest {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.schedule.restLocked(o, callerOf(from), l.now())
}

func (l *Limiter) unrest(r *rest) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.schedule.unrestLocked(r)
}
