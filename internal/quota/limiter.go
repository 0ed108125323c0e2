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
	// leastWait is what those are told to wait whose budget is free, but for others before them.
	leastWait = time.Millisecond
	// atHand is how old a permit may be that costs next to nothing to renew.
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
	timer      *time.Timer // the next grant

	stop    context.CancelFunc // ends the heartbeat
	stopped chan struct{}
}

// Operation is an operation's handle, made by Limiter.Operation. It is safe for concurrent use.
type Operation struct {
	limiter *Limiter
	line    line
	// slack is how old a permit may be that takes the store to renew.
	slack time.Duration
}

// New returns a limiter. It tries cfg.Store once, for no longer than cfg.StoreTimeout, and
// starts without it when it does not answer. The error names all that is wrong with cfg.
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
			ledger:         newLedger(cfg.BatchPercent),
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

// connect begins the heartbeat, where there is a store.
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

// Close refuses those who wait with ErrClosed, and all who come after. It closes the store.
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

// Operation returns the handle of an operation: the same for the same name. Its limit is the
// first override that matches the name, else stated. A limit of none leaves the shared budgets
// and pauses.
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

// slack is how old a permit of an operation with a limit may be. It leaves the rest of the margin to
// the network.
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

// Pause says that Samsara answered 429 to an attempt of a budget: nothing is admitted by it
// until then, the latest of several. It resumes with a quarter of its pace, and rises to all of
// it in four windows, 10 s at most. A 429 within a minute after the pause of another
// lowers the limit by a fifth, never below a fifth of what is configured; each minute without
// gives back a tenth of it. An operation that had no limit has the token's from then on, which it
// could not exceed anyway, so that it too resumes gently. Those who cannot wait so long are
// refused. The store, if any, is told within Config.StoreTimeout; without one, only this process
// knows.
//
// It fails only where there is no such budget.
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

// budget returns the budget of a name, or nil.
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

// lose does without the store from now on.
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

// dispatchLocked admits all who may be admitted now, or lets them ask the store, and sets the timer
// for the next.
func (l *Limiter) dispatchLocked(now instant) {
	due := l.schedule.dispatchLocked(now, l.link.share.up)
	if due == never {
		l.timer.Stop()
		return
	}
	l.timer.Reset(due - now)
}

// Admit waits until an attempt in the name of from may be made: by the budget of its operation, the
// token's and the organization's together. It returns a permit, then the attempt is counted; a
// *RefusedError, at once where the wait is known to be longer than the deadline of ctx or
// Config.MaxWait; ErrClosed; or the error of ctx, in which case nothing was counted.
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
		return Permit{operation: o, from: from, place: place{since: now, at: now}}, nil
	}
	w, err := l.joinLocked(ctx, &o.line, from, now)
	l.mu.Unlock()
	var p place
	if err == nil {
		p, err = l.await(ctx, w)
	}
	if err != nil {
		l.cfg.Observer.Refused(o.line.name, from, err)
		return Permit{}, err
	}
	l.cfg.Observer.Admitted(Admission{Operation: o.line.name, From: from, Budget: w.budget, Waited: l.now() - now})
	return Permit{operation: o, from: from, place: p}, nil
}

// NextAdmission estimates how long a further attempt in the name of from has to wait now until Admit
// lets it through, if it comes after a time and after all pauses. Paused is how long those last, during
// which nobody is let through. The error is a *RefusedError if Admit would refuse it then, whatever its
// deadline.
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
			return place{at: v.at, since: v.at}, v.err
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
	left := l.schedule.dequeueLocked(w)
	if left {
		l.dispatchLocked(l.now())
	}
	return left
}

// late takes a waiter out whose time has run out, and returns what it is refused with; or nil, where
// its turn has come.
func (l *Limiter) late(w *waiter) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	now := l.now()
	l.dispatchLocked(now) // The timer for it may be late too.
	if !l.schedule.dequeueLocked(w) {
		return nil
	}
	defer l.dispatchLocked(now)
	refused := l.schedule.estimateLocked(w.line, w.flow, now)
	refused.Wait = max(refused.Wait, leastWait)
	return refused
}

// take asks the store for an admission, in turn with those that are spread or not, and gives back
// another before.
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

// ask puts a waiter, for whom places are held, to the store. It returns true where it is
// admitted, an error where it is refused for good, and false where it is in the queue again.
func (l *Limiter) ask(ctx context.Context, w *waiter) (place, bool, error) {
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
		return place{}, false, ErrClosed
	}
	if err != nil {
		l.schedule.requeueLocked(w)
		return place{}, false, nil
	}
	o.learnLocked(asked, ruling.Pauses)
	defer l.dispatchLocked(now)
	if ruling.Wait <= 0 {
		for _, b := range o.budgets {
			b.grantLocked()
		}
		l.schedule.admitLocked(w, now)
		return place{at: now, since: asked, stamp: ruling.Stamp}, true, nil
	}
	b := o.budgets[ruling.Held]
	b.refuseLocked(now + ruling.Wait + rand.N(retryJitter)) //nolint:gosec // jitter, not a secret
	if b.retry > w.deadline {
		return place{}, false, l.schedule.estimateLocked(o, w.flow, now)
	}
	l.schedule.requeueLocked(w)
	return place{}, false, nil
}

// Permit is leave for one attempt. The zero value is leave without a quota.
type Permit struct {
	operation *Operation
	from      identity.Identity
	place
}

// place is where an attempt was counted.
type place struct {
	// The attempt counts from at in this process, and since a time that is not before since in
	// the store too, which calls that stamp: zero where it was not asked.
	at, since instant
	stamp     Stamp
}

// Renew is called when the attempt is about to be written to its connection, which may have
// taken long to open: the upstream counts from then, and where that is later than the margin
// allows the attempt has to as well. Most often this costs a look at the clock, else the attempt
// is counted again, instead of before. One that is so late that others had its place since is
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
	if o.limiter.move(ctx, &o.line, &p.place) {
		return nil
	}
	again, err := o.Admit(ctx, p.from)
	if err == nil {
		*p = again
	}
	return err
}

// Count is for an attempt that is written although Renew has refused it: it is counted from now on in
// this process, whether there is room for it or not. A store knows nothing of it.
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
		b.log.removeLocked(p.at)
		b.log.extendLocked(now, b.window)
	}
	p.place = place{at: now, since: now}
}

// move counts an attempt from now on instead, and reports false where there is no room: then it
// is not counted at all.
func (l *Limiter) move(ctx context.Context, o *line, p *place) bool {
	l.mu.Lock()
	closed, up, asked := l.closed, l.link.share.up, l.now()
	l.mu.Unlock()
	if closed {
		return true // what was admitted is let go on
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
	*p = place{at: now, since: asked, stamp: ruling.Stamp}
	return true
}

// Rest waits for a time before a further attempt in the name of from, which is then for Admit to
// let through. Snapshot shows it among those who wait; no queue and no budget counts it. It reports
// false where ctx ends first. Where o is nil it only waits.
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
