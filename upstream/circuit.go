package upstream

import (
	"log/slog"
	"net/http"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	apiv1 "samsara.internal/gateway/gen/api/v1"
)

// probes is how many attempts a half-open circuit lets through at a time, and how many must be answered
// until it closes.
const probes = 3

// Circuit is a state of a circuit breaker.
type Circuit int

// The states.
const (
	// CircuitClosed means that attempts are made.
	CircuitClosed Circuit = iota
	// CircuitHalfOpen means that a few attempts are made, to find out how they end.
	CircuitHalfOpen
	// CircuitOpen means that no attempts are made.
	CircuitOpen
)

// circuitSeconds is how long an attempt counts.
const circuitSeconds = 10

// outcome is what the end of an attempt tells a circuit.
type outcome int

const (
	// outcomeNone tells nothing: the caller or the gateway itself ended the attempt.
	outcomeNone outcome = iota
	outcomeWorked
	// outcomeAnswered tells that the upstream answered, and that it failed with this request. A closed
	// circuit does not count it. For a probe it is a success. Otherwise callers of an operation that
	// answers 500 after 503 would never get its verdicts, but refusals for ever.
	outcomeAnswered
	outcomeFailed
)

// scopeOutcome returns what the end of an attempt tells the circuit of its scope; e is nil if the attempt
// succeeded.
func (e *Error) scopeOutcome() outcome {
	if e == nil {
		return outcomeWorked
	}
	switch e.Reason {
	case apiv1.Reason_REASON_UPSTREAM_UNREACHABLE, apiv1.Reason_REASON_UPSTREAM_RESET, apiv1.Reason_REASON_UPSTREAM_TRUNCATED, apiv1.Reason_REASON_UPSTREAM_TIMEOUT:
		return outcomeFailed
	default: // The status says it, if there is one.
	}
	switch e.HTTPStatus {
	case http.StatusRequestTimeout, http.StatusBadGateway, http.StatusServiceUnavailable, http.StatusGatewayTimeout:
		return outcomeFailed
	}
	switch {
	case e.ownAffair() || e.HTTPStatus == 0:
		return outcomeNone
	case e.HTTPStatus/100 == 5:
		return outcomeAnswered
	default:
		return outcomeWorked
	}
}

// hostOutcome returns what the end of an attempt tells the circuit of the host: whether the host can be
// connected to. e is nil if the attempt succeeded. A connection that breaks tells nothing, because it may
// have been made long before.
func (e *Error) hostOutcome() outcome {
	switch {
	case e == nil || e.HTTPStatus != 0:
		return outcomeWorked
	case e.unsent && (e.Reason == apiv1.Reason_REASON_UPSTREAM_UNREACHABLE || e.Reason == apiv1.Reason_REASON_UPSTREAM_TIMEOUT):
		return outcomeFailed
	default:
		return outcomeNone
	}
}

// circuit is a circuit breaker with the rules of BreakerPolicy. While it has no failure to remember, it
// costs an attempt two atomic reads. It is safe for concurrent use.
type circuit struct {
	policy BreakerPolicy
	log    *slog.Logger
	began  time.Time

	// troubled is whether the circuit is not closed, or has failures within circuitSeconds. It is written
	// with mu held.
	troubled atomic.Bool

	mu    sync.Mutex
	state Circuit
	// changed is when the state last changed; zero if it never did.
	changed time.Time
	// second is the last second counted, since began; seconds has what ended in each while closed.
	second  int64
	seconds [circuitSeconds]tally
	// answered is how many probes have been answered since the circuit is half open. probing are the
	// probes under way that have not made room for another, the oldest first.
	answered int
	probing  []probe
	lastID   int64
}

// tally is how many attempts ended, and how many of them failed.
type tally struct{ attempts, failures int }

// probe is an attempt that a half-open circuit lets through.
type probe struct {
	id int64
	// until is when the probe makes room for another.
	until time.Time
}

// circuitPass is what a circuit gives an attempt that it lets through. The circuit must be told once how
// the attempt ended; for the circuit of a record, records must be told. The zero value is the pass of a
// closed circuit.
type circuitPass struct {
	circuit *circuit
	// id is that of a probe, otherwise 0, and since is when the probe began.
	id    int64
	since time.Time
}

func newCircuit(policy BreakerPolicy, log *slog.Logger) *circuit {
	return &circuit{policy: policy, log: log, began: time.Now()}
}

// current returns the state.
func (c *circuit) current() Circuit {
	if !c.troubled.Load() {
		return CircuitClosed
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.state == CircuitOpen && time.Since(c.changed) >= c.policy.OpenFor {
		return CircuitHalfOpen
	}
	return c.state
}

// refusal reports whether allow would refuse an attempt now, and for how long at least.
func (c *circuit) refusal() (wait time.Duration, refused bool) {
	if !c.troubled.Load() {
		return 0, false
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.refusalLocked(time.Now())
}

func (c *circuit) refusalLocked(now time.Time) (wait time.Duration, refused bool) {
	switch c.state {
	case CircuitOpen:
		wait = c.changed.Add(c.policy.OpenFor).Sub(now)
		return wait, wait > 0
	case CircuitHalfOpen:
		c.probing = slices.DeleteFunc(c.probing, func(p probe) bool { return !p.until.After(now) })
		if len(c.probing)+c.answered >= probes {
			return c.probing[0].until.Sub(now), true // there is one: fewer than probes have been answered
		}
	case CircuitClosed:
	}
	return 0, false
}

// allow returns the pass of an attempt, or how long there is none at least.
func (c *circuit) allow() (pass circuitPass, wait time.Duration, ok bool) {
	if !c.troubled.Load() {
		return circuitPass{}, 0, true
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	now := time.Now()
	if wait, refused := c.refusalLocked(now); refused {
		return circuitPass{}, wait, false
	}
	switch c.state {
	case CircuitClosed:
		return circuitPass{}, 0, true
	case CircuitOpen:
		c.changeLocked(CircuitHalfOpen, now)
	case CircuitHalfOpen:
	}
	c.lastID++
	c.probing = append(c.probing, probe{id: c.lastID, until: now.Add(c.policy.OpenFor)})
	return circuitPass{circuit: c, id: c.lastID, since: now}, 0, true
}

// end takes the outcome of an attempt and the time when it began; for a probe, the pass has the time. It
// ignores attempts that began before the state last changed.
func (c *circuit) end(pass circuitPass, began time.Time, what outcome) {
	if pass.id == 0 && !c.troubled.Load() && what != outcomeFailed {
		return
	}
	c.mu.Lock()
	before := c.state
	if now := time.Now(); pass.id != 0 {
		c.probedLocked(pass.id, now, pass.since, what)
	} else if c.state == CircuitClosed && !began.Before(c.changed) {
		c.countLocked(now, what)
	}
	after := c.state
	c.mu.Unlock()
	// One outage has one warning, however often its probes fail.
	switch {
	case before == CircuitClosed && after == CircuitOpen:
		c.log.Warn("upstream circuit opened", slog.Duration("probe_after", c.policy.OpenFor))
	case before == CircuitHalfOpen && after == CircuitClosed:
		c.log.Info("upstream circuit closed")
	}
}

// probedLocked takes the outcome of a probe, which may have made room for another already.
func (c *circuit) probedLocked(id int64, now, began time.Time, what outcome) {
	if c.state != CircuitHalfOpen || began.Before(c.changed) {
		return
	}
	c.probing = slices.DeleteFunc(c.probing, func(p probe) bool { return p.id == id })
	switch what {
	case outcomeFailed:
		c.changeLocked(CircuitOpen, now)
	case outcomeWorked, outcomeAnswered:
		if c.answered++; c.answered == probes {
			c.changeLocked(CircuitClosed, now)
		}
	case outcomeNone:
	}
}

// countLocked takes the outcome of an attempt while the circuit is closed. Only a failure opens it.
func (c *circuit) countLocked(now time.Time, what outcome) {
	failing := c.tickLocked(now)
	this := &c.seconds[c.second%circuitSeconds]
	switch {
	case what == outcomeFailed:
		failing = true
		this.attempts++
		this.failures++
	case what == outcomeWorked && failing:
		this.attempts++
	}
	c.troubled.Store(failing)
	if what == outcomeFailed && c.failingLocked() {
		c.changeLocked(CircuitOpen, now)
	}
}

// failingLocked reports whether too many attempts failed in the last seconds, for any number of seconds
// up to circuitSeconds.
func (c *circuit) failingLocked() bool {
	attempts, failures := 0, 0
	for s := c.second; s >= 0 && s > c.second-circuitSeconds; s-- {
		attempts += c.seconds[s%circuitSeconds].attempts
		failures += c.seconds[s%circuitSeconds].failures
		if attempts >= c.policy.MinAttempts && float64(failures) >= c.policy.FailureRatio*float64(attempts) {
			return true
		}
	}
	return false
}

// tickLocked forgets what is too old, and everything if there is no failure left. It reports whether a
// failure is left.
func (c *circuit) tickLocked(now time.Time) (failing bool) {
	second := int64(now.Sub(c.began) / time.Second)
	for s := max(c.second+1, second-circuitSeconds+1); s <= second; s++ {
		c.seconds[s%circuitSeconds] = tally{}
	}
	c.second = second
	for _, t := range c.seconds {
		if t.failures > 0 {
			return true
		}
	}
	clear(c.seconds[:])
	return false
}

func (c *circuit) changeLocked(to Circuit, now time.Time) {
	c.state, c.changed, c.answered, c.probing = to, now, 0, c.probing[:0]
	clear(c.seconds[:])
	c.troubled.Store(to != CircuitClosed)
}

// idle reports whether the circuit has nothing to remember: it is closed, it has no failure within
// circuitSeconds, and no attempt from before its last change is under way. No attempt takes longer than
// attempt.
func (c *circuit) idle(attempt time.Duration) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	now := time.Now()
	return c.state == CircuitClosed && (c.changed.IsZero() || now.Sub(c.changed) > attempt) && !c.tickLocked(now)
}
