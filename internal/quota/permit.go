package quota

import (
	"context"
	"time"

	"samsara.internal/gateway/internal/identity"
)

// atHand is how old a permit may be that costs next to nothing to renew.
const atHand = time.Millisecond

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
	if o.limiter.move(ctx, o, &p.place) {
		return nil
	}
	again, err := o.Admit(ctx, p.from)
	if err == nil {
		*p = again
	}
	return err
}

// move counts an attempt from now on instead, and reports false where there is no room: then it
// is not counted at all.
func (l *Limiter) move(ctx context.Context, o *Operation, p *place) bool {
	l.mu.Lock()
	closed, up, asked := l.closed, l.link.up, l.now()
	l.mu.Unlock()
	if closed {
		return true // what was admitted is let go on
	}
	var ruling Ruling
	if up {
		var err error
		if ruling, err = l.take(ctx, o, false, p.stamp); err != nil {
			l.mu.Lock()
			l.lose(l.now(), err)
			l.mu.Unlock()
			up = false
		}
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	now := l.now()
	for _, b := range o.budgets {
		b.log.remove(p.at)
	}
	room := ruling.Wait <= 0
	if up {
		o.learn(asked, ruling)
	} else {
		asked, room = now, o.room(now) <= now
	}
	if !room {
		p.at, p.stamp = never, 0 // There is nothing to give back any more.
		l.dispatch(now)
		return false
	}
	for _, b := range o.budgets {
		b.log.add(now)
	}
	*p = place{at: now, since: asked, stamp: ruling.Stamp}
	return true
}

// room is when there is a place for one more attempt, however many wait for it.
func (o *Operation) room(now instant) instant {
	var at instant
	for _, b := range o.budgets {
		at = max(at, b.room(now))
	}
	return at
}
