package quota

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"time"
)

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
	l.mu.Lock()
	b := l.budget(budget)
	l.mu.Unlock()
	if b == nil {
		return fmt.Errorf("quota: there is no budget %q", budget)
	}
	l.pause(ctx, b, until)
	return nil
}

// Pause pauses the operation's own budget, as Limiter.Pause does.
func (o *Operation) Pause(ctx context.Context, until time.Time) {
	o.limiter.pause(ctx, o.budgets[0], until)
}

func (l *Limiter) pause(ctx context.Context, b *budget, until time.Time) {
	l.mu.Lock()
	now := l.now()
	b.pause(now, now+time.Until(until))
	p := Pause{For: b.until - now, Scale: b.scale}
	l.refuse(func(w *waiter) error {
		if o := w.operation; b.until > w.deadline && slices.Contains(o.budgets[:], b) {
			return &RefusedError{Budget: b.name, Limit: b.limit, Wait: b.until - now}
		}
		return nil
	})
	l.dispatch(now)
	up := l.link.up
	l.mu.Unlock()
	if !up {
		return
	}
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), l.cfg.StoreTimeout)
	defer cancel()
	if err := l.cfg.Store.Pause(ctx, b.name, p); err != nil {
		l.mu.Lock()
		defer l.mu.Unlock()
		l.lose(l.now(), err)
	}
}

// budget returns the budget of a name, or nil.
func (l *Limiter) budget(name string) *budget {
	for _, b := range l.shared {
		if b.name == name {
			return b
		}
	}
	if operation, ok := strings.CutPrefix(name, OperationPrefix); ok {
		if o := l.operations[operation]; o != nil {
			return o.budgets[0]
		}
	}
	return nil
}
