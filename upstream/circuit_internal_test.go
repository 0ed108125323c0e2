package upstream

import (
	"bytes"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"net/http"
	"slices"
	"strconv"
	"sync"
	"testing"
	"testing/synctest"
	"time"
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
		failure.Code, failure.Reason, failure.Domain = verdict(status)
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
		reason      string
		status      int
		unsent      bool
		scope, host outcome
	}{
		{ReasonUnreachable, 0, true, outcomeFailed, outcomeFailed},
		{ReasonTimeout, 0, true, outcomeFailed, outcomeFailed},
		{ReasonTimeout, 0, false, outcomeFailed, outcomeNone},
		{ReasonTimeout, 200, false, outcomeFailed, outcomeWorked},
		{ReasonReset, 0, false, outcomeFailed, outcomeNone},
		{ReasonReset, 200, false, outcomeFailed, outcomeWorked},
		{ReasonTruncated, 0, false, outcomeFailed, outcomeNone},
		{ReasonTruncated, 200, false, outcomeFailed, outcomeWorked},
		{ReasonDeadlineExceeded, 0, true, outcomeNone, outcomeNone},
		{ReasonDeadlineExceeded, 0, false, outcomeNone, outcomeNone},
		{ReasonDeadlineExceeded, 200, false, outcomeNone, outcomeWorked},
		{ReasonCancelled, 0, true, outcomeNone, outcomeNone},
		{ReasonCancelled, 200, false, outcomeNone, outcomeWorked},
		{ReasonGatewayQuota, 0, false, outcomeNone, outcomeNone},
		{ReasonMemoryInFlight, 200, false, outcomeNone, outcomeWorked},
		{ReasonBodyTooLarge, 200, false, outcomeWorked, outcomeWorked},
		{ReasonBodyInvalid, 200, false, outcomeWorked, outcomeWorked},
		{ReasonErrorInBody, 200, false, outcomeWorked, outcomeWorked},
		{ReasonUnexpectedStatus, 302, false, outcomeWorked, outcomeWorked},
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

func policyForTests() BreakerPolicy { return withDefaults(Config{}).Breaker }

// benchCircuit is a circuit and what it logs.
type benchCircuit struct {
	t *testing.T
	*circuit
	log bytes.Buffer
}

func newBenchCircuit(t *testing.T, edits ...func(*BreakerPolicy)) *benchCircuit {
	t.Helper()
	policy := policyForTests()
	for _, edit := range edits {
		edit(&policy)
	}
	b := &benchCircuit{t: t}
	b.circuit = newCircuit(policy, slog.New(slog.NewTextHandler(&b.log, &slog.HandlerOptions{ReplaceAttr: func(_ []string, a slog.Attr) slog.Attr {
		if a.Key == slog.TimeKey {
			return slog.Attr{}
		}
		return a
	}})))
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
// that succeeds: its place is not free again.
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
		b.probe() // in the place of the second
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

// middle is what the layers do with circuits and retry budgets.
type middle struct {
	records *records
	host    *circuit
	retries *retryBudget
}

func newMiddle(log *slog.Logger) *middle {
	cfg := withDefaults(Config{Logger: log})
	return &middle{newRecords(&cfg), newCircuit(cfg.Breaker, cfg.Logger), newHostRetryBudget(cfg.Retry.Budget)}
}

// call makes one attempt, with an answer of the upstream, and reports whether it was made.
func (m *middle) call(s scope, answer *Error) bool {
	r := m.records.of(s)
	pass, _, ok := r.allow()
	if !ok {
		return false
	}
	hosts, _, ok := m.host.allow()
	if !ok {
		m.records.end(s, pass, time.Now(), outcomeNone)
		return false
	}
	r.countCall()
	m.retries.countCall()
	began := time.Now()
	m.records.end(s, pass, began, answer.scopeOutcome())
	m.host.end(hosts, began, answer.hostOutcome())
	return true
}

// answering is the answer of an upstream, nil for 200.
func answering(code int) *Error {
	if code == http.StatusOK {
		return nil
	}
	e := &Error{HTTPStatus: code}
	e.Code, e.Reason, e.Domain = verdict(code)
	return e
}

func refusedConnect() *Error {
	e := fault(ReasonUnreachable, "connection refused", nil)
	e.unsent = true
	return e
}

// TestRecords_badCaller has one who polls an id 50 times a second that answers 500 and then 503, for ever,
// and 20 others who call the same and other operations.
func TestRecords_badCaller(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		m := newMiddle(nil)
		bad := scope{operation: "1", caller: "bad"}
		refused := map[int]int{} // of the bad one, by status
		others := 0
		for n := range 2 * 60 * 50 {
			<-time.After(20 * time.Millisecond)
			answer := 500
			if n >= 60*50 {
				answer = 503
			}
			if !m.call(bad, answering(answer)) {
				refused[answer]++
			}
			for caller := range 20 {
				s := scope{operation: strconv.Itoa(1 + caller%4), caller: "good" + strconv.Itoa(caller)}
				if !m.call(s, answering(200)) {
					others++
				}
				if m.records.of(s) != nil {
					t.Fatalf("%+v has a record", s)
				}
			}
			// The same caller's other operation, and the same operation and caller of another tenant.
			for _, s := range []scope{{operation: "2", caller: "bad"}, {operation: "1", caller: "bad", tenant: "other"}} {
				if !m.call(s, answering(200)) {
					others++
				}
			}
		}
		if others != 0 {
			t.Errorf("%d calls of others were refused, want 0", others)
		}
		if refused[500] != 0 || refused[503] < 2500 {
			t.Errorf("of the bad caller %d calls that answer 500 and %d of 3000 that answer 503 were refused, want 0 and most", refused[500], refused[503])
		}
		if got := m.host.current(); got != CircuitClosed {
			t.Errorf("the host's circuit is in state %d", got)
		}
	})
}

// TestRecords_badCallerTakesNobodysProbes has an outage of an operation that ends for all but one caller.
func TestRecords_badCallerTakesNobodysProbes(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		m := newMiddle(nil)
		bad, good := scope{operation: "1", caller: "bad"}, scope{operation: "1", caller: "good"}
		for range 20 {
			m.call(bad, answering(503))
			m.call(good, answering(503))
		}
		if m.call(good, nil) {
			t.Fatal("the circuit has not opened")
		}
		<-time.After(5 * time.Second)
		for n := range 1000 {
			for range 50 {
				m.call(bad, answering(503))
			}
			if !m.call(good, nil) {
				t.Fatalf("call %d was refused", n)
			}
			<-time.After(20 * time.Millisecond)
		}
	})
}

// TestRecords_verdictsHeal has an operation that answered 503, and 500 then: callers get that, not a
// refusal.
func TestRecords_verdictsHeal(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		m := newMiddle(nil)
		s := scope{operation: "1", caller: "one"}
		for range 20 {
			m.call(s, answering(503))
		}
		<-time.After(5 * time.Second)
		for n := range 100 {
			if !m.call(s, answering(500)) {
				t.Fatalf("call %d was refused", n)
			}
		}
		if got := m.records.of(s).circuit.current(); got != CircuitClosed {
			t.Errorf("the circuit is in state %d, want closed", got)
		}
	})
}

// TestHostCircuit_upstreamGone has 20 callers, with a history of answers or without, when the upstream does
// not take connections any more.
func TestHostCircuit_upstreamGone(t *testing.T) {
	t.Parallel()
	for _, history := range []time.Duration{0, time.Minute} {
		t.Run(history.String(), func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				m := newMiddle(nil)
				calls := func(round int, answer func(n int) *Error) (refused int) {
					<-time.After(20 * time.Millisecond)
					for n := range 2 { // 100 a second
						caller := (2*round + n) % 20
						if !m.call(scope{operation: strconv.Itoa(caller % 4), caller: strconv.Itoa(caller)}, answer(2*round+n)) {
							refused++
						}
					}
					return refused
				}
				for round := range int(history / (20 * time.Millisecond)) {
					refused := calls(round, func(n int) *Error {
						if n%300 == 0 { // one in three seconds
							return refusedConnect()
						}
						return nil
					})
					if refused != 0 {
						t.Fatal("a call was refused while the upstream was there")
					}
				}
				gone := time.Now()
				made := 0
				for round := 0; m.host.current() == CircuitClosed && time.Since(gone) < time.Minute; round++ {
					made += 2 - calls(round, func(int) *Error { return refusedConnect() })
				}
				took := time.Since(gone)
				t.Logf("opened after %v and %d attempts", took, made)
				if took > 2*time.Second {
					t.Errorf("refusals begin after %v, want within 2s", took)
				}
				if m.call(scope{operation: "99", caller: "new"}, nil) {
					t.Error("one who has not failed yet is not refused")
				}
				<-time.After(5 * time.Second)
				for n := range 200 {
					if !m.call(scope{operation: strconv.Itoa(n % 4), caller: "new"}, nil) {
						t.Errorf("call %d is refused when the upstream is back", n)
					}
				}
			})
		})
	}
}

// TestRecords_bound has three times as many scopes as there are records.
func TestRecords_bound(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		m := newMiddle(nil)
		at := func(n int) scope { return scope{operation: strconv.Itoa(n % 7), caller: "caller" + strconv.Itoa(n)} }
		for n := range 3 * maxRecords {
			m.call(at(n), answering(503))
		}
		if got := len(m.records.own); got != maxRecords {
			t.Fatalf("%d records, want %d", got, maxRecords)
		}
		shares := func(s scope) bool {
			r := m.records.of(s)
			return r != nil && r == m.records.shared[s.operation]
		}
		if shares(at(0)) || !shares(at(maxRecords)) || !shares(at(1<<20)) || len(m.records.shared) != 7 {
			t.Error("who has come too late does not share a record with all of the operation")
		}
		// The record that many share opens for all of its operation, and for nobody else.
		if !m.call(scope{operation: "other", caller: "caller"}, nil) {
			t.Error("the shared circuit of another operation has opened")
		}
		if m.call(at(1<<20), nil) {
			t.Error("the shared circuit has not opened")
		}
		if !m.call(at(0), nil) {
			t.Error("a circuit of its own has opened")
		}

		<-time.After(5 * time.Second)
		for range 3 {
			if !m.call(at(1<<20), nil) {
				t.Error("the shared circuit lets no probe through")
			}
		}
		<-time.After(4 * time.Second)
		m.call(at(0), answering(503)) // what is in use stays
		<-time.After(3 * time.Second)
		m.call(at(1<<21), answering(503))
		if got := len(m.records.own); got != 2 {
			t.Errorf("%d records are left, want 2", got)
		}
		if m.records.of(at(0)) == nil || m.records.of(at(1<<20)) != nil {
			t.Error("a record in use was given back, or one that is not is there")
		}
	})
}

// TestRecords_idle has records that have something to remember, each in its own way.
func TestRecords_idle(t *testing.T) {
	t.Parallel()
	for name, test := range map[string]struct {
		do   func(m *middle, s scope)
		keep time.Duration
	}{
		"a failure": {func(m *middle, s scope) { m.call(s, answering(503)) }, 10 * time.Second},
		"a retry":   {func(m *middle, s scope) { m.records.takeRetry(s, m.retries) }, 11 * time.Second},
		"that it was open": {func(m *middle, s scope) {
			for range 20 {
				m.call(s, answering(503))
			}
			<-time.After(5 * time.Second)
			for range 3 {
				m.call(s, nil)
			}
		}, 95*time.Second + 1},
		"that it is open": {func(m *middle, s scope) {
			for range 20 {
				m.call(s, answering(503))
			}
		}, time.Hour},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				m := newMiddle(nil)
				s := scope{operation: "1", caller: "one"}
				test.do(m, s)
				<-time.After(test.keep - time.Nanosecond)
				m.call(scope{caller: "two"}, answering(503))
				if m.records.of(s) == nil {
					t.Fatalf("given back within %v", test.keep)
				}
				if test.keep == time.Hour {
					return
				}
				<-time.After(time.Second)
				m.call(scope{caller: "three"}, answering(503))
				if m.records.of(s) != nil {
					t.Errorf("not given back after %v", test.keep)
				}
			})
		})
	}
}

// TestRecords_attemptsThatBeganWithoutOne has attempts under way that began before the first failure.
func TestRecords_attemptsThatBeganWithoutOne(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		m := newMiddle(nil)
		s := scope{operation: "1", caller: "one"}
		began := time.Now()
		<-time.After(time.Minute)
		for n := range 100 {
			what := outcomeWorked
			if n%2 == 0 {
				what = outcomeFailed
			}
			m.records.end(s, circuitPass{}, began, what)
		}
		if got := m.records.of(s).circuit.current(); got != CircuitClosed {
			t.Errorf("the circuit is in state %d at 50 %%, want closed", got)
		}
		for range 100 {
			m.records.end(s, circuitPass{}, began, outcomeFailed)
		}
		if got := m.records.of(s).circuit.current(); got != CircuitOpen {
			t.Errorf("the circuit is in state %d, want open", got)
		}
		<-time.After(5 * time.Second)
		for range 3 {
			m.call(s, nil)
		}
		for range 100 {
			m.records.end(s, circuitPass{}, began, outcomeFailed) // about the past
		}
		if got := m.records.of(s).circuit.current(); got != CircuitClosed {
			t.Errorf("the circuit is in state %d, want closed", got)
		}
	})
}

func TestRecords_logSaysWhose(t *testing.T) {
	t.Parallel()
	var log bytes.Buffer
	m := newMiddle(slog.New(slog.NewTextHandler(&log, &slog.HandlerOptions{ReplaceAttr: func(_ []string, a slog.Attr) slog.Attr {
		if a.Key == slog.TimeKey {
			return slog.Attr{}
		}
		return a
	}})))
	for range 30 {
		m.call(scope{operation: "7", caller: "one two", tenant: "t"}, answering(503))
	}
	const want = "level=WARN msg=\"upstream circuit opened\" operation=7 caller=\"one two\" tenant=t probe_after=5s\n"
	if got := log.String(); got != want {
		t.Errorf("logged\n%swant\n%s", got, want)
	}
}

// TestRecords_concurrentUse is for the race detector. Nobody whose calls go well is refused.
func TestRecords_concurrentUse(t *testing.T) {
	t.Parallel()
	m := newMiddle(nil)
	m.records.policy.OpenFor = time.Millisecond
	var all sync.WaitGroup
	for worker := range 8 {
		all.Go(func() {
			for n := range 2000 {
				switch worker % 4 {
				case 0:
					m.call(scope{operation: "1", caller: "bad"}, answering([]int{200, 503, 503, 503, 500}[n%5]))
				case 1:
					m.call(scope{caller: strconv.Itoa(n)}, answering(503))
				case 2:
					m.records.takeRetry(scope{operation: strconv.Itoa(n % 3), caller: "bad"}, m.retries)
					m.records.of(scope{operation: "1", caller: "bad"}).refusal()
				default:
					if s := (scope{operation: strconv.Itoa(n % 3), caller: "bad", tenant: "good"}); m.records.of(s) == nil && !m.call(s, nil) && m.records.of(s) == nil {
						t.Errorf("%+v was refused", s)
					}
				}
			}
		})
	}
	all.Wait()
	if got := len(m.records.own); got > maxRecords {
		t.Errorf("%d records, want at most %d", got, maxRecords)
	}
}

func TestCircuit_noAllocationWhileClosed(t *testing.T) { //nolint:paralleltest // AllocsPerRun counts those of the whole process
	m := newMiddle(nil)
	fine, troubled := scope{operation: "1", caller: "fine"}, scope{operation: "1", caller: "troubled"}
	for _, test := range []struct {
		name   string
		before func()
		s      scope
		answer *Error
	}{
		{"no record at all", func() {}, fine, nil},
		{"records of others", func() { m.call(troubled, answering(503)) }, fine, nil},
		{"one that has failed", func() {}, troubled, nil},
		{"one that fails", func() { m.records.policy.FailureRatio = 2 }, scope{operation: "2"}, answering(503)},
		{"a host with a failed connect", func() { m.host.end(circuitPass{}, time.Now(), outcomeFailed) }, fine, nil},
	} {
		test.before()
		m.call(test.s, test.answer)
		if got := testing.AllocsPerRun(1000, func() { m.call(test.s, test.answer) }); got != 0 {
			t.Errorf("%s: %v allocations a call, want 0", test.name, got)
		}
	}
}

// BenchmarkCircuits is what circuits and retry budgets cost a call that goes well.
func BenchmarkCircuits(b *testing.B) {
	for _, records := range []int{0, 1, maxRecords} {
		b.Run(fmt.Sprintf("%d records", records), func(b *testing.B) {
			m := newMiddle(nil)
			for n := range records {
				m.call(scope{operation: "1", caller: strconv.Itoa(n)}, answering(503))
			}
			s := scope{operation: "2", caller: "one"}
			b.ReportAllocs()
			for b.Loop() {
				m.call(s, nil)
			}
		})
	}
}
