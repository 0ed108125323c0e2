package upstream

import (
	"bytes"
	"math/rand/v2"
	"slices"
	"strconv"
	"testing"
	"testing/synctest"
	"time"

	apiv1 "samsara.internal/gateway/gen/api/v1"
)

func TestScopeOutcome_everyStatus(t *testing.T) {
	t.Parallel()
	for status := 100; status < 600; status++ {
		want := outcomeWorked
		switch status {
		case 408, 502, 503, 504:
			want = outcomeFailed
		default:
			if status >= 500 {
				want = outcomeAnswered
			}
		}
		failure := &Error{HTTPStatus: status}
		failure.judge()
		if got := failure.scopeOutcome(); got != want {
			t.Errorf("%d is %d for its scope, want %d", status, got, want)
		}
		if got := failure.hostOutcome(); got != outcomeWorked {
			t.Errorf("%d is %d for the host, want %d", status, got, outcomeWorked)
		}
	}
}

func TestOutcomes_everyReason(t *testing.T) {
	t.Parallel()
	for _, test := range []struct {
		reason      apiv1.Reason
		status      int
		unsent      bool
		scope, host outcome
	}{
		{apiv1.Reason_REASON_UPSTREAM_UNREACHABLE, 0, true, outcomeFailed, outcomeFailed},
		{apiv1.Reason_REASON_UPSTREAM_TIMEOUT, 0, true, outcomeFailed, outcomeFailed},
		{apiv1.Reason_REASON_UPSTREAM_TIMEOUT, 0, false, outcomeFailed, outcomeNone},
		{apiv1.Reason_REASON_UPSTREAM_TIMEOUT, 200, false, outcomeFailed, outcomeWorked},
		{apiv1.Reason_REASON_UPSTREAM_RESET, 0, false, outcomeFailed, outcomeNone},
		{apiv1.Reason_REASON_UPSTREAM_RESET, 200, false, outcomeFailed, outcomeWorked},
		{apiv1.Reason_REASON_UPSTREAM_TRUNCATED, 0, false, outcomeFailed, outcomeNone},
		{apiv1.Reason_REASON_UPSTREAM_TRUNCATED, 200, false, outcomeFailed, outcomeWorked},
		{apiv1.Reason_REASON_REQUEST_DEADLINE_EXCEEDED, 0, true, outcomeNone, outcomeNone},
		{apiv1.Reason_REASON_REQUEST_DEADLINE_EXCEEDED, 0, false, outcomeNone, outcomeNone},
		{apiv1.Reason_REASON_REQUEST_DEADLINE_EXCEEDED, 200, false, outcomeNone, outcomeWorked},
		{apiv1.Reason_REASON_REQUEST_CANCELLED, 0, true, outcomeNone, outcomeNone},
		{apiv1.Reason_REASON_REQUEST_CANCELLED, 200, false, outcomeNone, outcomeWorked},
		{apiv1.Reason_REASON_GATEWAY_QUOTA, 0, false, outcomeNone, outcomeNone},
		{apiv1.Reason_REASON_GATEWAY_MEMORY, 200, false, outcomeNone, outcomeWorked},
		{apiv1.Reason_REASON_UPSTREAM_BODY_TOO_LARGE, 200, false, outcomeWorked, outcomeWorked},
		{apiv1.Reason_REASON_UPSTREAM_BODY_INVALID, 200, false, outcomeWorked, outcomeWorked},
		{apiv1.Reason_REASON_UPSTREAM_ERROR_IN_BODY, 200, false, outcomeWorked, outcomeWorked},
		{apiv1.Reason_REASON_UPSTREAM_UNEXPECTED_STATUS, 302, false, outcomeWorked, outcomeWorked},
	} {
		failure := fault(test.reason, "", nil)
		failure.HTTPStatus, failure.unsent = test.status, test.unsent
		if scope, host := failure.scopeOutcome(), failure.hostOutcome(); scope != test.scope || host != test.host {
			t.Errorf("%s with status %d, unsent %t, is %d for its scope and %d for the host, want %d and %d",
				test.reason, test.status, test.unsent, scope, host, test.scope, test.host)
		}
	}
	var none *Error
	if none.scopeOutcome() != outcomeWorked || none.hostOutcome() != outcomeWorked {
		t.Error("success is no success")
	}
}

// benchCircuit is a circuit and what it logs.
type benchCircuit struct {
	t *testing.T
	*circuit
	log bytes.Buffer
}

func newBenchCircuit(t *testing.T, edits ...func(*BreakerPolicy)) *benchCircuit {
	t.Helper()
	policy := withDefaults(Config{}).Breaker
	for _, edit := range edits {
		edit(&policy)
	}
	b := &benchCircuit{t: t}
	b.circuit = newCircuit(policy, TextLog(&b.log))
	return b
}

// attempts makes n attempts, unless they are refused.
func (b *benchCircuit) attempts(n int, what outcome) {
	for range n {
		if pass, _, ok := b.allow(); ok {
			b.end(pass, time.Now(), what)
		}
	}
}

// probe makes an attempt that must be let through, and stays under way until the result is called.
func (b *benchCircuit) probe() (end func(outcome)) {
	b.t.Helper()
	pass, wait, ok := b.allow()
	if !ok {
		b.t.Fatalf("refused for %v, want a pass", wait)
	}
	began := time.Now()
	return func(what outcome) { b.end(pass, began, what) }
}

func (b *benchCircuit) want(want Circuit) {
	b.t.Helper()
	if got := b.current(); got != want {
		b.t.Errorf("the circuit is in state %d, want %d", got, want)
	}
}

func (b *benchCircuit) wantRefusal(want time.Duration) {
	b.t.Helper()
	if wait, refused := b.refusal(); !refused || wait != want {
		b.t.Errorf("refusal = %v, %t, want %v", wait, refused, want)
	}
	if _, wait, ok := b.allow(); ok || wait != want {
		b.t.Errorf("allow = %v, %t, want %v, false", wait, ok, want)
	}
}

func TestCircuit_opens(t *testing.T) {
	t.Parallel()
	for name, test := range map[string]struct {
		run  func(b *benchCircuit)
		want Circuit
	}{
		"after 20 failures": {func(b *benchCircuit) { b.attempts(20, outcomeFailed) }, CircuitOpen},
		"not after 19":      {func(b *benchCircuit) { b.attempts(19, outcomeFailed) }, CircuitClosed},
		"not by a success":  {func(b *benchCircuit) { b.attempts(19, outcomeFailed); b.attempts(1, outcomeWorked) }, CircuitClosed},
		"at 60 %": {func(b *benchCircuit) {
			b.attempts(1, outcomeFailed)
			b.attempts(40, outcomeWorked)
			b.attempts(59, outcomeFailed)
		}, CircuitOpen},
		"not at less": {func(b *benchCircuit) {
			b.attempts(1, outcomeFailed)
			b.attempts(40, outcomeWorked)
			b.attempts(58, outcomeFailed)
		}, CircuitClosed},
		"not after 1000 500":    {func(b *benchCircuit) { b.attempts(1000, outcomeAnswered) }, CircuitClosed},
		"not for what is ended": {func(b *benchCircuit) { b.attempts(1000, outcomeNone) }, CircuitClosed},
		"500 is not counted": {func(b *benchCircuit) {
			for range 20 {
				b.attempts(1, outcomeFailed)
				b.attempts(5, outcomeAnswered)
			}
		}, CircuitOpen},
		"not if some are long ago": {func(b *benchCircuit) {
			b.attempts(10, outcomeFailed)
			<-time.After(11 * time.Second)
			b.attempts(10, outcomeFailed)
		}, CircuitClosed},
		"within ten seconds": {func(b *benchCircuit) {
			b.attempts(10, outcomeFailed)
			<-time.After(8 * time.Second)
			b.attempts(10, outcomeFailed)
		}, CircuitOpen},
		"never with a ratio above 1": {func(b *benchCircuit) { b.policy.FailureRatio = 1.1; b.attempts(1000, outcomeFailed) }, CircuitClosed},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				b := newBenchCircuit(t)
				test.run(b)
				b.want(test.want)
			})
		})
	}
}

// TestCircuit_longHistory has a minute of attempts of which one in a hundred failed, before all do.
func TestCircuit_longHistory(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		b := newBenchCircuit(t)
		for n := range 60 * 50 {
			<-time.After(20 * time.Millisecond)
			b.attempts(1, map[bool]outcome{true: outcomeFailed, false: outcomeWorked}[n%100 == 0])
		}
		b.want(CircuitClosed)
		gone := time.Now()
		for b.current() == CircuitClosed && time.Since(gone) < time.Minute {
			<-time.After(20 * time.Millisecond)
			b.attempts(1, outcomeFailed)
		}
		if took := time.Since(gone); took > 2*time.Second {
			t.Errorf("opened after %v, want within 2s", took)
		}
	})
}

func TestCircuit_failsFastProbesAndCloses(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		b := newBenchCircuit(t)
		b.attempts(20, outcomeFailed)
		b.wantRefusal(5 * time.Second)
		<-time.After(2 * time.Second)
		b.wantRefusal(3 * time.Second)

		<-time.After(3 * time.Second)
		b.want(CircuitHalfOpen)
		b.attempts(1, outcomeFailed)
		b.want(CircuitOpen)
		b.wantRefusal(5 * time.Second)

		<-time.After(5 * time.Second)
		b.attempts(1, outcomeWorked)
		b.attempts(1, outcomeAnswered)
		b.want(CircuitHalfOpen)
		b.attempts(1, outcomeWorked)
		b.want(CircuitClosed)
		b.attempts(19, outcomeFailed)
		b.want(CircuitClosed)

		const want = "level=WARN msg=\"upstream circuit opened\" probe_after=5s\nlevel=INFO msg=\"upstream circuit closed\"\n"
		if got := b.log.String(); got != want {
			t.Errorf("logged\n%swant\n%s", got, want)
		}
	})
}

// TestCircuit_probesThatHang has three probes that hang: they make room, and count when they end.
func TestCircuit_probesThatHang(t *testing.T) {
	t.Parallel()
	for name, test := range map[string]struct {
		end  outcome
		want Circuit
	}{
		"and succeed":    {outcomeWorked, CircuitClosed},
		"and fail":       {outcomeFailed, CircuitOpen},
		"and say nought": {outcomeNone, CircuitHalfOpen},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				b := newBenchCircuit(t)
				b.attempts(20, outcomeFailed)
				<-time.After(6 * time.Second)
				hanging := []func(outcome){b.probe(), b.probe(), b.probe()}
				b.wantRefusal(5 * time.Second)
				<-time.After(5 * time.Second)
				b.attempts(2, outcomeWorked)
				b.want(CircuitHalfOpen)
				for _, end := range hanging {
					end(test.end)
				}
				b.want(test.want)
			})
		})
	}
}

// TestCircuit_refusalTellsWhenAProbeMakesRoom has probes that begin one after another and hang, and one
// that succeeds: that one makes no room for another.
func TestCircuit_refusalTellsWhenAProbeMakesRoom(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		b := newBenchCircuit(t)
		b.attempts(20, outcomeFailed)
		<-time.After(6 * time.Second)
		b.attempts(1, outcomeWorked)
		b.probe()
		<-time.After(3 * time.Second)
		second := b.probe()
		b.wantRefusal(2 * time.Second)
		<-time.After(2 * time.Second)
		b.probe()
		b.wantRefusal(3 * time.Second)
		second(outcomeNone)
		b.probe() // instead of the second
		b.wantRefusal(5 * time.Second)
		b.want(CircuitHalfOpen)
	})
}

// TestCircuit_probeThatBeganBeforeItsLeave has attempts whose beginning was taken a moment before they
// were let through: the first of them makes the circuit half-open, and counts all the same.
func TestCircuit_probeThatBeganBeforeItsLeave(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		b := newBenchCircuit(t)
		b.attempts(20, outcomeFailed)
		<-time.After(6 * time.Second)
		for range probes {
			began := time.Now()
			<-time.After(time.Microsecond)
			pass, _, ok := b.allow()
			if !ok {
				t.Fatal("refused, want a pass")
			}
			b.end(pass, began, outcomeWorked)
		}
		b.want(CircuitClosed)
	})
}

func TestCircuit_probesThatSayNothingMakeRoom(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		b := newBenchCircuit(t)
		b.attempts(20, outcomeFailed)
		<-time.After(6 * time.Second)
		for range 100 {
			b.probe()(outcomeNone)
		}
		b.want(CircuitHalfOpen)
	})
}

// TestCircuit_attemptsFromBeforeAChange has attempts that began before the circuit opened, and end when it
// is open, half open and closed again.
func TestCircuit_attemptsFromBeforeAChange(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		b := newBenchCircuit(t)
		var early []func(outcome)
		for range 60 {
			early = append(early, b.probe())
		}
		<-time.After(time.Millisecond)
		end := func(n int, what outcome) {
			for range n {
				early[0](what)
				early = early[1:]
			}
		}
		b.attempts(20, outcomeFailed)
		b.want(CircuitOpen)
		end(20, outcomeWorked)
		b.want(CircuitOpen)
		<-time.After(6 * time.Second)
		late := b.probe()
		end(20, outcomeFailed)
		b.want(CircuitHalfOpen)
		b.attempts(2, outcomeWorked)
		late(outcomeWorked)
		b.want(CircuitClosed)
		end(20, outcomeFailed)
		b.attempts(19, outcomeFailed)
		b.want(CircuitClosed)

		b.attempts(1, outcomeFailed)
		b.want(CircuitOpen)
		<-time.After(6 * time.Second)
		stale := b.probe()
		b.attempts(1, outcomeFailed)
		<-time.After(6 * time.Second)
		b.attempts(2, outcomeWorked)
		stale(outcomeWorked) // it is about the last time
		b.want(CircuitHalfOpen)
		stale(outcomeFailed)
		b.want(CircuitHalfOpen)
	})
}

// slowCircuit is what a circuit must do, as simple as it can be said: it keeps everything.
type slowCircuit struct {
	policy BreakerPolicy
	began  time.Time
	state  Circuit
	since  time.Time
	ended  []slowEnd
	probes map[int]slowProbe
	next   int
}

type slowEnd struct {
	second int
	failed bool
}

type slowProbe struct {
	began    time.Time
	since    time.Time // of the state
	answered bool
	gone     bool
}

func (c *slowCircuit) allow(now time.Time) (id int, ok bool) {
	if c.state == CircuitOpen && now.Sub(c.since) >= c.policy.OpenFor {
		c.to(CircuitHalfOpen, now)
	}
	switch c.state {
	case CircuitOpen:
		return 0, false
	case CircuitHalfOpen:
		taken := 0
		for _, p := range c.probes {
			if p.since.Equal(c.since) && (p.answered || !p.gone && now.Sub(p.began) < c.policy.OpenFor) {
				taken++
			}
		}
		if taken >= 3 {
			return 0, false
		}
		c.next++
		c.probes[c.next] = slowProbe{began: now, since: c.since}
		return c.next, true
	default:
		return 0, true
	}
}

func (c *slowCircuit) end(id int, began, now time.Time, what outcome) {
	if id != 0 {
		p := c.probes[id]
		if c.state != CircuitHalfOpen || !p.since.Equal(c.since) {
			return
		}
		p.answered, p.gone = what == outcomeWorked || what == outcomeAnswered, true
		c.probes[id] = p
		answered := 0
		for _, p := range c.probes {
			if p.since.Equal(c.since) && p.answered {
				answered++
			}
		}
		if what == outcomeFailed {
			c.to(CircuitOpen, now)
		} else if answered == 3 {
			c.to(CircuitClosed, now)
		}
		return
	}
	if c.state != CircuitClosed || began.Before(c.since) || what == outcomeNone || what == outcomeAnswered {
		return
	}
	second := int(now.Sub(c.began) / time.Second)
	if !slices.ContainsFunc(c.ended, func(e slowEnd) bool { return e.second > second-10 && e.failed }) {
		c.ended = nil // attempts count from the first failure on
	}
	if what != outcomeFailed {
		if len(c.ended) > 0 {
			c.ended = append(c.ended, slowEnd{second, false})
		}
		return
	}
	c.ended = append(c.ended, slowEnd{second, true})
	for long := range 10 {
		all, failed := 0, 0
		for _, e := range c.ended {
			if e.second >= second-long {
				all++
				if e.failed {
					failed++
				}
			}
		}
		if all >= c.policy.MinAttempts && float64(failed) >= c.policy.FailureRatio*float64(all) {
			c.to(CircuitOpen, now)
			return
		}
	}
}

func (c *slowCircuit) to(state Circuit, now time.Time) { c.state, c.since, c.ended = state, now, nil }

// TestCircuit_doesWhatTheSlowOneDoes runs both side by side, with moods of the upstream that last some
// seconds.
func TestCircuit_doesWhatTheSlowOneDoes(t *testing.T) {
	t.Parallel()
	for seed := range uint64(10) {
		t.Run(strconv.FormatUint(seed, 10), func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				random := rand.New(rand.NewPCG(seed, 12))
				b := newBenchCircuit(t, func(p *BreakerPolicy) { p.MinAttempts = 1 + random.IntN(20) })
				slow := &slowCircuit{policy: b.policy, began: b.began, probes: map[int]slowProbe{}}
				type attempt struct {
					pass  circuitPass
					id    int
					began time.Time
				}
				var under []attempt
				seen := map[Circuit]int{}
				failing := 0.5
				for step := range 3000 {
					<-time.After(time.Duration(random.ExpFloat64() * float64(100*time.Millisecond)))
					if step%200 == 0 {
						failing = random.Float64()
					}
					if len(under) == 0 || random.IntN(2) == 0 {
						pass, _, ok := b.allow()
						id, want := slow.allow(time.Now())
						if ok != want || (pass.id == 0) != (id == 0) {
							t.Fatalf("step %d: allow = %d, %t, want %d, %t", step, pass.id, ok, id, want)
						}
						if ok {
							under = append(under, attempt{pass, id, time.Now()})
						}
					} else {
						i := random.IntN(len(under))
						a := under[i]
						under = slices.Delete(under, i, i+1)
						what := outcome(random.IntN(3))
						if random.Float64() < failing {
							what = outcomeFailed
						}
						b.end(a.pass, a.began, what)
						slow.end(a.id, a.began, time.Now(), what)
					}
					want := slow.state
					if want == CircuitOpen && time.Since(slow.since) >= slow.policy.OpenFor {
						want = CircuitHalfOpen
					}
					if got := b.current(); got != want {
						t.Fatalf("step %d: state = %d, want %d", step, got, want)
					}
					seen[want]++
				}
				if len(seen) != 3 {
					t.Errorf("states seen: %v, want all", seen)
				}
			})
		})
	}
}
