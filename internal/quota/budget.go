package quota

import (
	"math"
	"time"
)

// instant is a time since the limiter began, by the monotonic clock.
type instant = time.Duration

// never is later than any time that a budget is free by itself.
const never instant = math.MaxInt64

// catchUp bounds the delay that evenly spread admissions may make up for, such as that of a slow
// timer. The times of the last admissions keep the limit all the same.
const catchUp = 50 * time.Millisecond

// recoverGrace is the least time for which the local share is kept too after a store came back: until
// every process has noticed.
const recoverGrace = 2 * time.Second

// share is the fraction of each budget that this process may use by itself. The limiter's lock guards it.
type share struct {
	// replicas is the number of processes, 1 if there is no store.
	replicas int
	// up is true while the store decides. The store was away until since.
	up    bool
	since instant
}

// budget is one limit and what it has admitted. The limiter's lock guards it.
type budget struct {
	name string
	size
	// unstated is the limit that a budget without one gets at its first 429.
	unstated Limit
	margin   float64
	share    *share
	// held is true while somebody waits for this budget alone. Admissions are then spread evenly,
	// no earlier than next.
	held bool
	next instant
	penalty

	// asking is how many attempts hold a slot while the store decides on them. It is at most asks,
	// which is low after the store refused. The store admits nothing before retry.
	asking, asks int
	retry        instant

	waiting             int
	admitted, throttled uint64
}

// size is a limit with the admissions that count against it. The zero value has no limit.
type size struct {
	limit Limit
	// window is the window of limit, lengthened by the margin.
	window     time.Duration
	admissions admissions
}

func sizeOf(limit Limit, margin float64) size {
	return size{limit, time.Duration(math.Ceil(float64(limit.Window) * (1 + margin))), admissions{length: limit.Requests}}
}

func newBudget(name string, limit, unstated Limit, margin float64, s *share) *budget {
	return &budget{name: name, size: sizeOf(limit, margin), unstated: unstated, margin: margin, share: s, asks: limit.Requests}
}

// splitLocked returns the number of processes that divide the budget now. It is 1 once the store has
// decided for a whole window: before that, the store does not know what was admitted without it.
func (b *budget) splitLocked(now instant) int {
	if b.share.up && now >= b.share.since+max(recoverGrace, b.window) {
		return 1
	}
	return b.share.replicas
}

// termsLocked returns how many admissions in how long a window the budget allows now, if split processes
// divide it. A share of less than one admission is one admission in a longer window.
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

// spreadLocked reports whether admissions are spread now: somebody waits, or the budget was paused.
func (b *budget) spreadLocked(now instant) bool {
	return b.limit.Requests > 0 && (b.held || b.rampLocked(now) < 1)
}

// paceLocked returns the time from an admission at now to the next one while admissions are spread, and
// zero while they are not.
func (b *budget) paceLocked(now instant, split int) time.Duration {
	if !b.spreadLocked(now) {
		return 0
	}
	n, window := b.termsLocked(now, split)
	step := window / time.Duration(n)
	if b.rampLocked(now) == 1 {
		return step
	}
	// A budget whose steps are longer than the ramp is not slowed down by the ramp's first pace.
	longest := b.until + rampTime(b.window) - now
	if b.held {
		longest = max(longest, step)
	}
	return min(time.Duration(float64(step)/b.rampLocked(now)), longest)
}

// roomLocked returns when there is room for one more attempt. It is not after now if there is room
// already, and never if that depends on attempts that the store still decides on.
func (b *budget) roomLocked(now instant) instant {
	at := max(b.until, b.retry)
	if b.limit.Requests == 0 {
		return at
	}
	n, window := b.termsLocked(now, b.splitLocked(now))
	if min(n, b.asks) <= b.asking {
		return never
	}
	return max(at, b.admissions.lastLocked(n-b.asking)+window)
}

// dueLocked returns when the next attempt may be admitted: when there is room, and not before its turn
// if admissions are spread.
func (b *budget) dueLocked(now instant) instant {
	due := b.roomLocked(now)
	if b.spreadLocked(now) {
		due = max(due, b.next+time.Duration(b.asking)*b.paceLocked(now, b.splitLocked(now)))
	}
	return due
}

// afterLocked estimates when an attempt that comes after ahead others may be admitted. The estimate is
// never too early if nobody comes in between.
func (b *budget) afterLocked(now instant, ahead int) instant {
	first := max(now, b.until, b.retry)
	if b.limit.Requests == 0 {
		return first
	}
	n, window := b.termsLocked(now, b.splitLocked(now))
	ahead += b.asking
	ramp := b.rampLocked(now)
	at := b.admissions.lastLocked(n-ahead%n) + window*time.Duration(ahead/n+1)
	if !b.held && ramp == 1 && ahead < n {
		return max(first, at) // The others go at once, and so does this one.
	}
	// The others are spread evenly. The ramp costs no more than its mean height does.
	first = max(first, b.admissions.lastLocked(n)+window, b.next)
	step := window / time.Duration(n)
	spread := first + time.Duration(ahead)*step
	if ramp < 1 {
		lost := time.Duration(float64(rampTime(b.window)) * (1 - rampFrom) / 2)
		spread = min(spread+lost, first+time.Duration(float64(ahead)*float64(step)/ramp))
	}
	return max(spread, at)
}

// pausedLocked reports whether a pause holds attempts up for longer than the window does.
func (b *budget) pausedLocked(now instant) bool {
	if b.until <= now || b.limit.Requests == 0 {
		return b.until > now
	}
	n, window := b.termsLocked(now, b.splitLocked(now))
	return b.admissions.lastLocked(n)+window <= b.until
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
	b.admissions.addLocked(now)
}

// claimLocked returns what the store has to decide on for the budget. inTurn gives the claim a pace if
// admissions are spread.
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

// learnLocked takes over the pause that the store knew of when it was asked.
func (b *budget) learnLocked(asked instant, p Pause) {
	if p.Scale > 0 {
		b.punishLocked(penalty{asked + p.For, p.Scale})
	}
}

// grantLocked notes that the store admitted an attempt.
func (b *budget) grantLocked() { b.asks = min(2*b.asks, b.limit.Requests) }

// refuseLocked notes that the store admits nothing until then.
func (b *budget) refuseLocked(until instant) {
	b.asks = min(1, b.limit.Requests)
	b.retry = max(b.retry, until)
}

// forgetLocked forgets what the store refused.
func (b *budget) forgetLocked() { b.retry, b.asks = 0, b.limit.Requests }

// stateLocked returns what Snapshot says of the budget.
func (b *budget) stateLocked(now instant, epoch time.Time) BudgetState {
	s := BudgetState{
		Name:      b.name,
		Limit:     b.limit,
		Waiting:   b.waiting,
		Used:      b.admissions.sinceLocked(now - b.limit.Window),
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

// admissions are the times of a budget's last admissions. If the budget has no limit, they have no length
// and keep nothing.
type admissions struct {
	length int
	times  []instant // a ring, made for the first admission: most operations are never used
	count  int       // of all admissions ever, except those removed
}

func (a *admissions) addLocked(at instant) {
	if a.times == nil {
		a.times = make([]instant, a.length)
	}
	if a.length > 0 {
		*a.entryLocked(0) = at
		a.count++
	}
}

// extendLocked adds an admission that there may be no room for. It forgets no admission within the last
// window.
func (a *admissions) extendLocked(at instant, window time.Duration) {
	if n := len(a.times); n > 0 && a.keptLocked() == n && a.lastLocked(n) > at-window {
		longer := make([]instant, n+1)
		for i := 1; i <= n; i++ {
			longer[n-i] = a.lastLocked(i)
		}
		a.times, a.count = longer, n
	}
	a.addLocked(at)
}

// entryLocked returns the entry of the n-th last admission, or the entry of the next one if n is 0.
func (a *admissions) entryLocked(n int) *instant { return &a.times[(a.count-n)%len(a.times)] }

// keptLocked returns how many admissions are kept.
func (a *admissions) keptLocked() int { return min(a.count, len(a.times)) }

// lastLocked returns the time of the n-th last admission, n from 1 to the length of the ring, and
// longPast if there were fewer.
func (a *admissions) lastLocked(n int) instant {
	if n > a.count {
		return longPast
	}
	return *a.entryLocked(n)
}

// sinceLocked counts the admissions after a time.
func (a *admissions) sinceLocked(t instant) int {
	n := 0
	for n < a.keptLocked() && a.lastLocked(n+1) > t {
		n++
	}
	return n
}

// removeLocked forgets an admission at a time, if it is still kept.
func (a *admissions) removeLocked(at instant) {
	for n := 1; n <= a.keptLocked() && *a.entryLocked(n) >= at; n++ {
		if *a.entryLocked(n) != at {
			continue
		}
		for ; n > 1; n-- {
			*a.entryLocked(n) = *a.entryLocked(n - 1)
		}
		*a.entryLocked(1) = longPast // this entry is the ring's oldest from now on
		a.count--
		return
	}
}

// What a 429 does to a budget. One that comes within repeatTime after the pause of another lowers
// the limit to cutTo of what it was, but not below cutFloor of the configured limit. Each minute
// gives back recoverPerMinute of the configured limit.
const (
	repeatTime       = time.Minute
	cutTo            = 0.8
	cutFloor         = 0.2
	recoverPerMinute = 0.1
	// rampFrom is the pace right after a pause, as a fraction of the limit then. It rises to the
	// whole limit in rampTime.
	rampFrom = 0.25
)

// rampTime returns how long after a pause the full pace is reached.
func rampTime(window time.Duration) time.Duration { return min(4*window, 10*time.Second) }

// penalty is what 429s have done to a budget. The zero value means that there were none.
type penalty struct {
	until instant
	// scale is the fraction of the limit that is left, as of until; zero while there was no 429.
	scale float64
}

// levelLocked returns the fraction of the limit that may be used now.
func (p *penalty) levelLocked(now instant) float64 {
	if p.scale == 0 {
		return 1
	}
	return min(1, p.scale+max(0, now-p.until).Minutes()*recoverPerMinute)
}

// rampLocked returns the fraction of the pace that is allowed now.
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

// pauseLocked notes a 429: the budget admits nothing until then, or until the latest such time.
func (b *budget) pauseLocked(now, until instant) {
	b.throttled++
	p := penalty{until: max(now, until), scale: b.levelLocked(now)}
	switch {
	case b.scale == 0:
	case now < b.until:
		// The attempt was under way when the pause began: its 429 says nothing new.
		p.scale = b.scale
	case now < b.until+repeatTime:
		p.scale = max(cutFloor, p.scale*cutTo)
	}
	b.punishLocked(p)
}

// punishLocked takes over a penalty if it is later than the present one.
func (b *budget) punishLocked(p penalty) {
	if b.limit == (Limit{}) {
		b.size, b.asks = sizeOf(b.unstated, b.margin), b.unstated.Requests
	}
	if p.until > b.until || b.scale == 0 {
		b.penalty = p
		b.next = max(b.next, p.until)
	}
}
