package quota

import (
	"math"
	"time"
)

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
	name  string
	limit Limit
	// unstated is the limit that a budget without one has from its first 429 on.
	unstated Limit
	share    *share
	// window is that of the limit, lengthened by margin.
	margin float64
	window time.Duration
	log    log
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

func newBudget(name string, limit, unstated Limit, margin float64, s *share) *budget {
	b := &budget{name: name, unstated: unstated, margin: margin, share: s}
	b.restrict(limit)
	return b
}

// restrict gives a budget without a limit one.
func (b *budget) restrict(limit Limit) {
	b.limit = limit
	b.window = time.Duration(math.Ceil(float64(limit.Window) * (1 + b.margin)))
	b.log = log{length: limit.Requests}
	b.asks = limit.Requests
}

// split is by how many processes the budget is divided now: not where the store decides, and has
// done so for a window. Before that, it does not know what was admitted without it.
func (b *budget) split(now instant) int {
	if b.share.up && now >= b.share.since+max(recoverGrace, b.window) {
		return 1
	}
	return b.share.replicas
}

// terms are how many admissions in how long a window the budget has now, where it is divided by
// so many processes. A share of less than one admission is one in a longer window.
func (b *budget) terms(now instant, split int) (int, time.Duration) {
	n, window := b.limit.Requests, b.window
	if split > n {
		n, window = 1, window*time.Duration(split)/time.Duration(n)
	} else {
		n /= split
	}
	if level := b.level(now); level < 1 {
		window = time.Duration(float64(window) / level)
	}
	return n, window
}

// pace is how long after an admission at now the next is due while admissions are spread, and
// zero while they need not be.
func (b *budget) pace(now instant, split int) time.Duration {
	ramping := b.ramp(now) < 1
	if b.limit.Requests == 0 || !b.held && !ramping {
		return 0
	}
	n, window := b.terms(now, split)
	step := window / time.Duration(n)
	if !ramping {
		return step
	}
	// A budget whose steps are longer than the ramp is not held up by what the ramp began with.
	longest := b.until + rampTime(b.window) - now
	if b.held {
		longest = max(longest, step)
	}
	return min(time.Duration(float64(step)/b.ramp(now)), longest)
}

// room is when there is a place for one more attempt, not after now where there is one, and
// never where it depends on those that are asking.
func (b *budget) room(now instant) instant {
	at := max(b.until, b.retry)
	if b.limit.Requests == 0 {
		return at
	}
	n, window := b.terms(now, b.split(now))
	if min(n, b.asks) <= b.asking {
		return never
	}
	return max(at, b.log.last(n-b.asking)+window)
}

// due is when the next attempt may be admitted: when there is room, and not before its turn
// where admissions are spread.
func (b *budget) due(now instant) instant {
	due := b.room(now)
	if pace := b.pace(now, b.split(now)); pace > 0 {
		due = max(due, b.next+time.Duration(b.asking)*pace)
	}
	return due
}

// after estimates when an attempt that comes after ahead others may be admitted. Where nobody
// comes in between it is no earlier than that.
func (b *budget) after(now instant, ahead int) instant {
	first := max(now, b.until, b.retry)
	if b.limit.Requests == 0 {
		return first
	}
	n, window := b.terms(now, b.split(now))
	ahead += b.asking
	ramp := b.ramp(now)
	at := b.log.last(n-ahead%n) + window*time.Duration(ahead/n+1)
	if !b.held && ramp == 1 && ahead < n {
		return max(first, at) // They go at once, and so does this one.
	}
	// As many as ahead, spread evenly. What the ramp costs is no more than its height's mean.
	first = max(first, b.log.last(n)+window, b.next)
	step := window / time.Duration(n)
	spread := first + time.Duration(ahead)*step
	if ramp < 1 {
		lost := time.Duration(float64(rampTime(b.window)) * (1 - rampFrom) / 2)
		spread = min(spread+lost, first+time.Duration(float64(ahead)*float64(step)/ramp))
	}
	return max(spread, at)
}

// take records an admission.
func (b *budget) take(now instant) {
	b.admitted++
	if b.limit.Requests == 0 {
		return
	}
	b.next = max(b.next, now-catchUp) + b.pace(now, b.split(now))
	b.log.add(now)
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

func (g *log) add(at instant) {
	if g.times == nil {
		g.times = make([]instant, g.length)
	}
	if g.length > 0 {
		*g.slot(0) = at
		g.count++
	}
}

// slot is where the n-th last admission is, and 0 where the next will be.
func (g *log) slot(n int) *instant { return &g.times[(g.count-n)%len(g.times)] }

// kept is how many admissions the log remembers.
func (g *log) kept() int { return min(g.count, len(g.times)) }

// last returns the time of the n-th last admission, n from 1 to the length of the ring, and a
// time long past where there were fewer.
func (g *log) last(n int) instant {
	if n > g.count {
		return longPast
	}
	return *g.slot(n)
}

// since counts the admissions after a time.
func (g *log) since(t instant) int {
	n := 0
	for n < g.kept() && g.last(n+1) > t {
		n++
	}
	return n
}

// remove forgets an admission at a time, where the log still knows of one.
func (g *log) remove(at instant) {
	for n := 1; n <= g.kept() && *g.slot(n) >= at; n++ {
		if *g.slot(n) != at {
			continue
		}
		for ; n > 1; n-- {
			*g.slot(n) = *g.slot(n - 1)
		}
		*g.slot(1) = longPast // which the ring has for the oldest from now on
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

// level is the part of the limit that may be used now.
func (p *penalty) level(now instant) float64 {
	if p.scale == 0 {
		return 1
	}
	return min(1, p.scale+max(0, now-p.until).Minutes()*recoverPerMinute)
}

// ramp is the part of the pace that is allowed now.
func (b *budget) ramp(now instant) float64 {
	length := rampTime(b.window)
	since := max(0, now-b.until)
	if b.scale == 0 || since >= length {
		return 1
	}
	return rampFrom + (1-rampFrom)*float64(since)/float64(length)
}

// pause takes note of a 429: nothing until a time, the later where there are several.
func (b *budget) pause(now, until instant) {
	b.throttled++
	p := penalty{until: max(now, until), scale: b.level(now)}
	switch {
	case b.scale == 0:
	case now < b.until:
		// Others that were under way when the pause began say nothing new.
		p.scale = b.scale
	case now < b.until+repeatTime:
		p.scale = max(cutFloor, p.scale*cutTo)
	}
	b.punish(p)
}

// punish takes over a penalty where it is later than the present one.
func (b *budget) punish(p penalty) {
	if b.limit == (Limit{}) {
		b.restrict(b.unstated)
	}
	if p.until > b.until || b.scale == 0 {
		b.penalty = p
		b.next = max(b.next, p.until)
	}
}
