package quota

import (
	"context"
	"math/rand/v2"
	"time"
)

// Store shares budgets between processes. Its methods are called concurrently and return when
// ctx ends. Any error makes the limiter do without the store until Beat succeeds. Errors hold no
// credentials, because Snapshot shows them.
type Store interface {
	// Take takes from all claims or from none, and returns what is known of each. What was taken
	// at instead, if that is not zero, is given back before, in either case. Where it fails it may
	// have taken nonetheless, which wastes a place but exceeds nothing.
	Take(ctx context.Context, claims []Claim, instead Stamp) (Ruling, error)
	// Pause tells all processes of a 429.
	Pause(ctx context.Context, budget string, p Pause) error
	// Beat says that this process is there, and returns how many are.
	Beat(ctx context.Context) (replicas int, err error)
	Close() error
}

// Stamp is when something was taken, by the store's own clock.
type Stamp int64

// Claim is one budget's part in a decision.
type Claim struct {
	Budget string
	// Limit is the configured one, zero where only pauses count. Its requests are the most in any
	// interval of Window, which is longer than its own by the margin and after 429s.
	Limit  Limit
	Window time.Duration
	// Pace is the time to the next admission while they are spread evenly, zero while they
	// are not.
	Pace time.Duration
}

// Ruling is a decision.
type Ruling struct {
	// Wait is until when the claims cannot be taken, from now; zero where they were.
	Wait time.Duration
	// Held is the index of the claim that Wait is of.
	Held int
	// Stamp is when the claims were taken.
	Stamp Stamp
	// Pauses are of each claim, in order.
	Pauses []Pause
}

// Pause is the last pause of a budget.
type Pause struct {
	// For is how long from now, negative for how long ago it ended.
	For time.Duration
	// Scale is the part of the limit that is left when it ends; zero where there was no pause.
	Scale float64
}

// BeatInterval is the time between heartbeats.
const BeatInterval = time.Second

const (
	// probeInterval is the least time between heartbeats while the store is away, to which the
	// same is added at random.
	probeInterval = 250 * time.Millisecond
	// retryJitter lets no process be the first at every slot.
	retryJitter = time.Millisecond
)

// link is the state of the store. The limiter's lock guards it.
type link struct {
	share
	err  error
	lost uint64
}

// connect begins the heartbeat, where there is a store.
func (l *Limiter) connect() {
	if l.cfg.Store == nil {
		return
	}
	ctx, stop := context.WithCancel(context.Background())
	l.stop, l.stopped = stop, make(chan struct{})
	l.beat(ctx)
	l.link.since = longPast
	go func() {
		defer close(l.stopped)
		l.beats(ctx)
	}()
}

func (l *Limiter) disconnect() error {
	if l.cfg.Store == nil {
		return nil
	}
	l.stop()
	<-l.stopped
	return l.cfg.Store.Close()
}

// beats keeps the heartbeat going until ctx ends. It logs when the store is away, and is back: at
// most once a heartbeat, however often it is lost in between.
func (l *Limiter) beats(ctx context.Context) {
	logged := StoreState{Up: true}
	for {
		l.mu.Lock()
		state := l.storeState()
		l.mu.Unlock()
		interval := BeatInterval
		if !state.Up {
			interval = probeInterval + rand.N(probeInterval) //nolint:gosec // jitter, not a secret
		}
		if state.Up != logged.Up || state.Lost != logged.Lost {
			logged = state
			l.log(ctx, state)
		}
		select {
		case <-ctx.Done():
			return
		case <-time.After(interval):
			l.beat(ctx)
		}
	}
}

func (l *Limiter) log(ctx context.Context, s StoreState) {
	switch {
	case ctx.Err() != nil: // Nobody cares for the store of a limiter that closes.
	case s.Up:
		l.cfg.Logger.InfoContext(ctx, "the store of the quota is back", "replicas", s.Replicas, "lost", s.Lost)
	default:
		l.cfg.Logger.WarnContext(ctx, "the store of the quota is away: a local share is used", "replicas", s.Replicas, "lost", s.Lost, "error", s.Err)
	}
}

func (l *Limiter) beat(ctx context.Context) {
	ctx, cancel := context.WithTimeout(ctx, l.cfg.StoreTimeout)
	defer cancel()
	replicas, err := l.cfg.Store.Beat(ctx)
	l.mu.Lock()
	defer l.mu.Unlock()
	now := l.now()
	if err != nil {
		l.lose(now, err)
		return
	}
	if !l.link.up {
		l.link.up, l.link.err = true, nil
		l.link.since = now
	}
	// A store that comes back empty has not heard of everyone yet.
	if replicas > l.link.replicas || now >= l.link.since+recoverGrace {
		l.link.replicas = max(l.cfg.Replicas, replicas)
	}
	l.dispatch(now)
}

// lose does without the store from now on.
func (l *Limiter) lose(now instant, err error) {
	if l.link.up {
		l.link.lost++
	}
	l.link.up, l.link.err = false, err
	for _, o := range l.operations {
		for _, b := range o.budgets {
			b.retry, b.asks = 0, b.limit.Requests
		}
	}
	l.dispatch(now)
}

// reserve holds n places, or gives back -n, while the store is asked.
func (o *Operation) reserve(n int) {
	for _, b := range o.budgets {
		b.asking += n
	}
}

// ask puts a waiter, for whom places are held, to the store. It returns true where it is
// admitted, an error where it is refused for good, and false where it is in the queue again.
func (l *Limiter) ask(ctx context.Context, w *waiter) (place, bool, error) {
	o := w.operation
	asked := l.now()
	ruling, err := l.take(ctx, o, true, 0)
	l.mu.Lock()
	defer l.mu.Unlock()
	now := l.now()
	o.reserve(-1)
	if l.closed {
		return place{}, false, ErrClosed
	}
	if err != nil {
		l.requeue(w)
		l.lose(now, err)
		return place{}, false, nil
	}
	o.learn(asked, ruling)
	if ruling.Wait <= 0 {
		for _, b := range o.budgets {
			b.asks = min(2*b.asks, b.limit.Requests)
		}
		l.admit(w, now)
		l.dispatch(now)
		return place{at: now, since: asked, stamp: ruling.Stamp}, true, nil
	}
	b := o.budgets[ruling.Held]
	b.asks = min(1, b.limit.Requests)
	b.retry = max(b.retry, now+ruling.Wait+rand.N(retryJitter)) //nolint:gosec // jitter, not a secret
	l.requeue(w)
	defer l.dispatch(now)
	if b.retry > w.deadline {
		l.dequeue(w)
		return place{}, false, l.estimate(o, w.flow, now)
	}
	return place{}, false, nil
}

// take asks the store for an admission, in turn with those that are spread or not.
func (l *Limiter) take(ctx context.Context, o *Operation, inTurn bool, instead Stamp) (Ruling, error) {
	var claims [len(o.budgets)]Claim
	l.mu.Lock()
	now := l.now()
	for i, b := range o.budgets {
		claims[i] = Claim{Budget: b.name}
		if b.limit.Requests > 0 {
			claims[i].Limit = b.limit
			_, claims[i].Window = b.terms(now, 1)
		}
		if inTurn {
			claims[i].Pace = b.pace(now, 1)
		}
	}
	l.mu.Unlock()
	// Who gives up meanwhile is not a fault of the store.
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), l.cfg.StoreTimeout)
	defer cancel()
	return l.cfg.Store.Take(ctx, claims[:], instead)
}

// learn takes over the pauses that the store knew of when it was asked.
func (o *Operation) learn(asked instant, r Ruling) {
	for i, p := range r.Pauses {
		if p.Scale > 0 {
			o.budgets[i].punish(penalty{asked + p.For, p.Scale})
		}
	}
}

// requeue puts a waiter back who was picked for nothing, where it was. Its flow may have ended
// and another begun since.
func (l *Limiter) requeue(w *waiter) {
	w.flow = w.operation.flow(w.flow.caller)
	l.enqueue(w, 0)
}
