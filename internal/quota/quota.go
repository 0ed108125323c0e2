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
package quota

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"slices"
	"sync"
	"time"

	"samsara.internal/gateway/internal/glob"
)

// The budgets that every operation takes from. An operation's own is OperationPrefix and the
// operation's name.
const (
	TokenBudget        = "token"
	OrganizationBudget = "organization"
	OperationPrefix    = "operation:"
)

// What a Limit may be.
const (
	maxRequests = 100_000
	maxWindow   = 24 * time.Hour
)

// ErrClosed is returned by a limiter that was closed.
var ErrClosed = errors.New("quota: the limiter is closed")

// Limit is a number of requests in any interval of a length. The zero value is no limit.
type Limit struct {
	// Requests is from 1 to 100,000.
	Requests int
	// Window is more than 0 and at most 24 hours.
	Window time.Duration
}

func (l Limit) String() string {
	if l == (Limit{}) {
		return "none"
	}
	return fmt.Sprintf("%d in %v", l.Requests, l.Window)
}

func (l Limit) check() error {
	switch {
	case l == (Limit{}):
		return nil
	case l.Requests < 1 || l.Requests > maxRequests:
		return fmt.Errorf("requests must be from 1 to %d, not %d", maxRequests, l.Requests)
	case l.Window <= 0 || l.Window > maxWindow:
		return fmt.Errorf("the window must be more than 0 and at most %v, not %v", maxWindow, l.Window)
	}
	return nil
}

// Override is the limit of the operations that a pattern matches, higher or lower than stated.
type Override struct {
	// Operations matches operations by name.
	Operations glob.Pattern
	Limit      Limit
}

// Config configures a Limiter. Defaults gives one to start from; New refuses what is out of
// bounds.
type Config struct {
	// Token and Organization limit all operations together.
	Token, Organization Limit
	// Overrides replace what operations state. The first that matches is taken.
	Overrides []Override
	// Margin lengthens every window by a fraction of it, from 0 to 1.
	Margin float64
	// MaxWait is the longest wait, more than 0.
	MaxWait time.Duration
	// MaxQueue is how many may wait, MaxQueueCaller how many of one caller; at least 1.
	MaxQueue, MaxQueueCaller int
	// Weights are the shares of callers, 1 for those not named; from 0.001 to 1000.
	Weights map[string]float64
	// BatchPercent of the admissions go to batch while it waits, from 0 to 50.
	BatchPercent int
	// Store shares the budgets with other processes; nil keeps them to this one.
	Store Store
	// StoreTimeout is the longest wait for the store, more than 0.
	StoreTimeout time.Duration
	// Replicas is how many processes there are at the least, whatever the store says; at least 1.
	Replicas int
	// Observer is told what happens; nil where nobody asks.
	Observer Observer
	// Logger is told when Store is away and when it is back; nil where nobody asks.
	Logger *slog.Logger
}

// Defaults returns the configuration for Samsara's published limits, in one process.
func Defaults() Config {
	return Config{
		Token:          Limit{150, time.Second},
		Organization:   Limit{200, time.Second},
		Margin:         0.04,
		MaxWait:        10 * time.Second,
		MaxQueue:       10_000,
		MaxQueueCaller: 1_000,
		BatchPercent:   10,
		StoreTimeout:   25 * time.Millisecond,
		Replicas:       1,
	}
}

func (c Config) check() error {
	var problems []error
	refuse := func(bad bool, format string, args ...any) {
		if bad {
			problems = append(problems, fmt.Errorf("quota: "+format, args...))
		}
	}
	limit := func(name string, l Limit) {
		if err := l.check(); err != nil {
			problems = append(problems, fmt.Errorf("quota: %s: %w", name, err))
		}
	}
	limit(TokenBudget, c.Token)
	limit(OrganizationBudget, c.Organization)
	for _, o := range c.Overrides {
		limit(string(o.Operations), o.Limit)
		_, err := glob.Parse(string(o.Operations))
		refuse(err != nil, "%q: %v", o.Operations, err)
	}
	// Written so that NaN is refused too.
	refuse(!(c.Margin >= 0 && c.Margin <= 1), "the margin must be from 0 to 1, not %v", c.Margin)
	refuse(c.MaxWait <= 0, "the longest wait must be more than 0, not %v", c.MaxWait)
	refuse(c.MaxQueue < 1, "the queue must hold at least 1, not %d", c.MaxQueue)
	refuse(c.MaxQueueCaller < 1, "the queue must hold at least 1 of a caller, not %d", c.MaxQueueCaller)
	refuse(c.BatchPercent < 0 || c.BatchPercent > 50, "the share of batch must be from 0 to 50 %%, not %d", c.BatchPercent)
	refuse(c.StoreTimeout <= 0, "the wait for the store must be more than 0, not %v", c.StoreTimeout)
	refuse(c.Replicas < 1, "there is at least 1 replica, not %d", c.Replicas)
	for _, caller := range slices.Sorted(maps.Keys(c.Weights)) {
		w := c.Weights[caller]
		refuse(!(w >= 0.001 && w <= 1000), "the weight of %q must be from 0.001 to 1000, not %v", caller, w)
	}
	return errors.Join(problems...)
}

// Limiter admits attempts. It is safe for concurrent use; Close it when done.
type Limiter struct {
	cfg   Config
	epoch time.Time

	// mu guards what follows and all that hangs from it: one lock, so that budgets are taken
	// together. It is never held while waiting.
	mu         sync.Mutex
	closed     bool
	shared     [2]*budget // token, organization
	ledger     ledger     // of the shared budgets
	operations map[string]*Operation
	lines      map[*Operation]struct{} // those with waiters
	waiting    int
	resting    map[*rest]struct{}
	arrivals   uint64
	timer      *time.Timer // the next grant
	link       link

	stop    context.CancelFunc // ends the heartbeat
	stopped chan struct{}
}

// Operation is an operation's handle, made by Limiter.Operation. It is safe for concurrent use.
type Operation struct {
	limiter *Limiter
	name    string
	// budgets are what an attempt takes from, its own first.
	budgets [3]*budget
	// slack is how old a permit may be that takes the store to renew.
	slack time.Duration
	// ledger and flows are those who wait for the operation.
	ledger ledger
	flows  map[caller]*flow
}

// New returns a limiter. It tries cfg.Store once, for no longer than cfg.StoreTimeout, and
// starts without it when it does not answer. The error names all that is wrong with cfg.
// The store is closed with the limiter.
func New(cfg Config) (*Limiter, error) {
	if err := cfg.check(); err != nil {
		return nil, err
	}
	cfg.Overrides = slices.Clone(cfg.Overrides)
	cfg.Weights = maps.Clone(cfg.Weights)
	if cfg.Observer == nil {
		cfg.Observer = nobody{}
	}
	if cfg.Logger == nil {
		cfg.Logger = slog.New(slog.DiscardHandler)
	}
	l := &Limiter{
		cfg:        cfg,
		epoch:      time.Now(),
		ledger:     newLedger(),
		operations: make(map[string]*Operation),
		lines:      make(map[*Operation]struct{}),
		resting:    make(map[*rest]struct{}),
		link:       link{share: share{replicas: 1, since: longPast}},
	}
	if cfg.Store != nil {
		l.link.replicas = cfg.Replicas
	}
	l.shared = [2]*budget{
		newBudget(TokenBudget, cfg.Token, Limit{}, cfg.Margin, &l.link.share),
		newBudget(OrganizationBudget, cfg.Organization, Limit{}, cfg.Margin, &l.link.share),
	}
	l.timer = time.AfterFunc(time.Hour, l.tick)
	l.timer.Stop()
	l.connect()
	return l, nil
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
	l.refuse(func(*waiter) error { return ErrClosed })
	l.mu.Unlock()
	return l.disconnect()
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
		o = &Operation{
			limiter: l,
			name:    name,
			budgets: [3]*budget{own, l.shared[0], l.shared[1]},
			ledger:  newLedger(),
			flows:   make(map[caller]*flow),
		}
		o.slack = l.slack(o)
		l.operations[name] = o
	}
	return o, nil
}

// slack leaves the rest of the margin to the network.
func (l *Limiter) slack(o *Operation) time.Duration {
	slack := never
	for _, b := range o.budgets {
		if b.limit.Window > 0 {
			slack = min(slack, time.Duration(l.cfg.Margin/4*float64(b.limit.Window)))
		}
	}
	return slack
}

// instant is a time since the limiter began, by the monotonic clock.
type instant = time.Duration

func (l *Limiter) now() instant { return time.Since(l.epoch) }
