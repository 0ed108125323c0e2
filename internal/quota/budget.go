package quota

import (
	"math"
	"time"
)

// instant is a time since the limiter began, by the monotonic clock.
type instant = time.Duration

// never is later than any time that a budget is free by itself.
const never instant = math.MaxInt64

// catchUp is how far admissions that came late, by a slow timer, may be made up for while they
// are spread evenly. The log keeps the limit.
const catchUp = 50 * time.Millisecond

// recoverGrace is how long after a store came back the local share is kept too at the least: until
// every process has noticed.
const recoverGrace = 2 * time.Second

// share is which part of each budget this process may use by itself. The limiter's lock guards it.
type share struct {
	// replicas is how many processes there are, 1 where there is no store.
	replicas int
	// up says that the store decides, since that it was away until then.
	up    bool
	since instant
}

// budget is one limit and what was admitted by it. The limiter's lock guards it.
type budget struct {
	name string
	size
	// unstated is the limit that a budget without one has from its first 429 on.
	unstated Limit
	margin   float64
	share    *share
	// held says that somebody waits for this budget alone. Admissions are then spread evenly,
	// no earlier than next.
	held bool
	next instant
	penalty

	// asking attempts have a place here while the store decides on them; at most asks at a time,
	// which is few after it refused. Before retry it has nothing for us.
	asking, asks int
	retry        instant

	waiting             int
	admitted, throttled uint64
}

// size is what a budget counts by. The zero value is that of a budget without a limit.
type size struct {
	limit Limit
	// window is the limit's, lengthened by the margin.
	window time.Duration
	log    log
}

func sizeOf(limit Limit, margin float64) size {
	return size{limit, time.Duration(math.Ceil(float64(limit.Window) * (1 + margin))), log{length: limit.Requests}}
}

func newBudget(name string, limit, unstated Limit, margin float64, s *share) *budget {
	return &budget{name: name, size: sizeOf(limit, margin), unstated: unstated, margin: margin, share: s, asks: limit.Requests}
}

// splitLocked is by how many processes the budget is divided now: not where the store decides, and has
// done so for a window. Before that, it does not know what was admitted without it.
func (b *budget) splitLocked(now instant) int {
	if b.share.up && now >= b.share.since+max(recoverGrace, b.window) {
		return 1
	}
	return b.share.replicas
}

// termsLocked are how many admissions in how long a window the budget has now, where it is divided by
// so many processes. A share of less than one admission is one in a longer window.
func (b *budget) termsLocked(now instant, split int) (int, time.Duration) {
	n, window := b.limit.Requests, b.window
	if split > n {
		n, window = 1, window*time.Duration(split)/time.Duration(n)
	} else {
		n /= split
	}
	if level := b.levelLocked(now); level < 1 {
		window = time.Duration(float64(window) / level)
	}
	return n, window
}

// spreadLocked says that admissions are spread now: somebody waits, or the budget was paused.
func (b *budget) spreadLocked(now instant) bool {
	return b.limit.Requests > 0 && (b.held || b.rampLocked(now) < 1)
}

// paceLocked is how long after an admission at now the next is due while admissions are spread, and
// zero while they need not be.
func (b *budget) paceLocked(now instant, split int) time.Duration {
	if !b.spreadLocked(now) {
		return 0
	}
	n, window := b.termsLocked(now, split)
	step := window / time.Duration(n)
	if b.rampLocked(now) == 1 {
		return step
	}
	// A budget whose steps are longer than the ramp is not held up by what the ramp began with.
	longest := b.until + rampTime(b.window) - now
	if b.held {
		longest = max(longest, step)
	}
	return min(time.Duration(float64(step)/b.rampLocked(now)), longest)
}

// roomLocked is when there is a place for one more attempt, not after now where there is one, and
// never where it depends on those that are asking.
func (b *budget) roomLocked(now instant) instant {
	at := max(b.until, b.retry)
	if b.limit.Requests == 0 {
		return at
	}
	n, window := b.termsLocked(now, b.splitLocked(now))
	if min(n, b.asks) <= b.asking {
		return never
	}
	return max(at, b.log.lastLocked(n-b.asking)+window)
}

// dueLocked is when the next attempt may be admitted: when there is room, and not before its turn
// where admissions are spread.
func (b *budget) dueLocked(now instant) instant {
	due := b.roomLocked(now)
	if b.spreadLocked(now) {
		due = max(due, b.next+time.Duration(b.asking)*b.paceLocked(now, b.splitLocked(now)))
	}
	return due
}

// afterLocked estimates when an attempt that comes after ahead others may be admitted. Where nobody
// comes in between it is no earlier than that.
func (b *budget) afterLocked(now instant, ahead int) instant {
	first := max(now, b.until, b.retry)
	if b.limit.Requests == 0 {
		return first
	}
	n, window := b.termsLocked(now, b.splitLocked(now))
	ahead += b.asking
	ramp := b.rampLocked(now)
	at := b.log.lastLocked(n-ahead%n) + window*time.Duration(ahead/n+1)
	if !b.held && ramp == 1 && ahead < n {
		return max(first, at) // They go at once, and so does this one.
	}
	// As many as ahead, spread evenly. What the ramp costs is no more than its height's mean.
	first = max(first, b.log.lastLocked(n)+window, b.next)
	step := window / time.Duration(n)
	spread := first + time.Duration(ahead)*step
	if ramp < 1 {
		lost := time.Duration(float64(rampTime(b.window)) * (1 - rampFrom) / 2)
		spread = min(spread+lost, first+time.Duration(float64(ahead)*float64(step)/ramp))
	}
	return max(spread, at)
}

// pausedLocked reports whether a pause holds attempts up, and for longer than the window does.
func (b *budget) pausedLocked(now instant) bool {
	if b.until <= now || b.limit.Requests == 0 {
		return b.until > now
	}
	n, window := b.termsLocked(now, b.splitLocked(now))
	return b.log.lastLocked(n)+window <= b.until
}

// takeLocked records an admission.
func (b *budget) takeLocked(now instant) {
	b.admitted++
	if b.limit.Requests == 0 {
		return
	}
	b.next = max(b.next, now-catchUp)
	if b.spreadLocked(now) {
		b.next += b.paceLocked(now, b.splitLocked(now))
	}
	b.log.addLocked(now)
}

// claimLocked is the budget's part in a decision of the store, in turn with those that are spread or not.
func (b *budget) claimLocked(now instant, inTurn bool) Claim {
	c := Claim{Budget: b.name, Configured: b.limit.Window}
	if b.limit.Requests > 0 {
		c.Requests, c.Window = b.termsLocked(now, 1)
	}
	if inTurn {
		c.Pace = b.paceLocked(now, 1)
	}
	return c
}

// learnLocked takes over what the store knew of pauses when it was asked.
func (b *budget) learnLocked(asked instant, p Pause) {
	if p.Scale > 0 {
		b.punishLocked(penalty{asked + p.For, p.Scale})
	}
}

// grantLocked takes note that the store admitted an attempt.
func (b *budget) grantLocked() { b.asks = min(2*b.asks, b.limit.Requests) }

// refuseLocked takes note that the store has nothing until then.
func (b *budget) refuseLocked(until instant) {
	b.asks = min(1, b.limit.Requests)
	b.retry = max(b.retry, until)
}

// forgetLocked forgets what the store refused.
func (b *budget) forgetLocked() { b.retry, b.asks = 0, b.limit.Requests }

// stateLocked is what Snapshot says of the budget.
func (b *budget) stateLocked(now instant, epoch time.Time) BudgetState {
	s := BudgetState{
		Name:      b.name,
		Limit:     b.limit,
		Waiting:   b.waiting,
		Used:      b.log.sinceLocked(now - b.limit.Window),
		Admitted:  b.admitted,
		Throttled: b.throttled,
	}
	if b.until > now {
		s.PausedUntil = epoch.Add(b.until)
	}
	if b.limit.Requests > 0 {
		n, window := b.termsLocked(now, b.splitLocked(now))
		s.Effective = float64(n) * float64(b.limit.Window) / float64(window) * b.rampLocked(now)
	}
	return s
}

// longPast is before any admission.
const longPast instant = math.MinInt64 / 2

// log is the times of the last admissions. That of a budget without a limit has no length, and
// keeps nothing.
type log struct {
	length int
	times  []instant // a ring, from the first admission on: most operations are never used
	count  int       // of all admissions ever, but those removed
}

func (g *log) addLocked(at instant) {
	if g.times == nil {
		g.times = make([]instant, g.length)
	}
	if g.length > 0 {
		*g.slotLocked(0) = at
		g.count++
	}
}

// extendLocked is addLocked for an admission for which there may be no room: none within the last window
// is forgotten for it.
func (g *log) extendLocked(at instant, window time.Duration) {
	if n := len(g.times); n > 0 && g.keptLocked() == n && g.lastLocked(n) > at-window {
		longer := make([]instant, n+1)
		for i := 1; i <= n; i++ {
			longer[n-i] = g.lastLocked(i)
		}
		g.times, g.count = longer, n
	}
	g.addLocked(at)
}

// slotLocked is where the n-th last admission is, and 0 where the next will be.
func (g *log) slotLocked(n int) *instant { return &g.times[(g.count-n)%len(g.times)] }

// keptLocked is how many admissions the log remembers.
func (g *log) keptLocked() int { return min(g.count, len(g.times)) }

// lastLocked returns the time of the n-th last admission, n from 1 to the length of the ring, and a
// time long past where there were fewer.
func (g *log) lastLocked(n int) instant {
	if n > g.count {
		return longPast
	}
	return *g.slotLocked(n)
}

// sinceLocked counts the admissions after a time.
func (g *log) sinceLocked(t instant) int {
	n := 0
	for n < g.keptLocked() && g.lastLocked(n+1) > t {
		n++
	}
	return n
}

// removeLocked forgets an admission at a time, where the log still knows of one.
func (g *log) removeLocked(at instant) {
	for n := 1; n <= g.keptLocked() && *g.slotLocked(n) >= at; n++ {
		if *g.slotLocked(n) != at {
			continue
		}
		for ; n > 1; n-- {
			*g.slotLocked(n) = *g.slotLocked(n - 1)
		}
		*g.slotLocked(1) = longPast // which the ring has for the oldest from now on
		g.count--
		return
	}
}

// What a 429 does to a budget. The limit is lowered where one comes within repeatTime after
// the pause of another: to cutTo of what it was, but not below cutFloor of the configured one.
// It recovers by recoverPerMinute of the configured one.
const (
	repeatTime       = time.Minute
	cutTo            = 0.8
	cutFloor         = 0.2
	recoverPerMinute = 0.1
	// The pace after a pause, of the limit then; it rises to the whole limit in rampTime.
	rampFrom = 0.25
)

// rampTime is how long it takes after a pause until the full pace is reached.
func rampTime(window time.Duration) time.Duration { return min(4*window, 10*time.Second) }

// penalty is what became of a budget by 429s. The zero value is that there were none.
type penalty struct {
	until instant
	// scale is the part of the limit that is left, as of until; zero while there was no 429.
	scale float64
}

// levelLocked is the part of the limit that may be used now.
func (p *penalty) levelLocked(now instant) float64 {
	if p.scale == 0 {
		return 1
	}
	return min(1, p.scale+max(0, now-p.until).Minutes()*recoverPerMinute)
}

// rampLocked is the part of the pace that is allowed now.
func (b *budget) rampLocked(now instant) float64 {
	if b.scale == 0 {
		return 1
	}
	length, since := rampTime(b.window), max(0, now-b.until)
	if since >= length {
		return 1
	}
	return rampFrom + (1-rampFrom)*float64(since)/float64(length)
}

// pauseLocked takes note of a 429: nothing until a time, the later where there are several.
func (b *budget) pauseLocked(now, until instant) {
	b.throttled++
	p := penalty{until: max(now, until), scale: b.levelLocked(now)}
	switch {
	case b.scale == 0:
	case now < b.until:
		// Others that were under way when the pause began say nothing new.
		p.scale = b.scale
	case now < b.until+repeatTime:
		p.scale = max(cutFloor, p.scale*cutTo)
	}
	b.punishLocked(p)
}

// punishLocked takes over a penalty where it is later than the present one.
func (b *budget) punishLocked(p penalty) {
	if b.limit == (Limit{}) {
		b.size, b.asks = sizeOf(b.unstated, b.margin), b.unstated.Requests
	}
	if p.until > b.until || b.scale == 0 {
		b.penalty = p
		b.next = max(b.next, p.until)
	}
}
