package quota

import (
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"slices"
	"time"

	"samsara.internal/gateway/internal/glob"
	"samsara.internal/gateway/internal/identity"
)

// The names of the budgets that every operation takes from. The operation's own is OperationPrefix
// followed by the operation's name.
const (
	TokenBudget        = "token"
	OrganizationBudget = "organization"
	OperationPrefix    = "operation:"
)

// The bounds of a Limit.
const (
	maxRequests = 100_000
	maxWindow   = 24 * time.Hour
)

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

// Override is the limit of the operations that a pattern matches. It may be higher or lower than the
// one that an operation states.
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
	// Overrides replace the limits that operations state. The first that matches counts.
	Overrides []Override
	// Margin lengthens every window by a fraction of it, from 0 to 1.
	Margin float64
	// MaxWait is the longest wait, more than 0.
	MaxWait time.Duration
	// MaxQueue is how many attempts may wait, MaxQueueCaller how many of one caller; at least 1.
	MaxQueue, MaxQueueCaller int
	// Weights are the shares of callers whose identity has none, 1 for those not named; from 0.001 to 1000.
	Weights map[string]float64
	// BatchPercent is the percentage of the admissions that batch gets while it waits, from 0 to 50.
	BatchPercent int
	// Store shares the budgets with other processes; nil keeps them to this one.
	Store Store
	// StoreTimeout is the longest wait for the store, more than 0.
	StoreTimeout time.Duration
	// Replicas is how many processes there are at the least, whatever the store says; at least 1.
	Replicas int
	// Observer is told what happens; nil: nobody is.
	Observer Observer
	// Logger is told when Store is away and when it is back; nil: nobody is.
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

// Observer is told what becomes of attempts. Its methods are called concurrently, and attempts
// wait for them.
type Observer interface {
	Admitted(a Admission)
	// Refused is told what Admit returned.
	Refused(operation string, from identity.Identity, err error)
}

// Admission is an attempt that was admitted.
type Admission struct {
	Operation string
	From      identity.Identity
	// Budget is the name of the budget that held the attempt up longest, as far as was known at
	// first. It is empty if the attempt went through without a queue or a store.
	Budget string
	// Waited is zero if Budget is empty.
	Waited time.Duration
}

type nobody struct{}

func (nobody) Admitted(Admission)                       {}
func (nobody) Refused(string, identity.Identity, error) {}
