package upstream

import (
	"bytes"
	"fmt"
	"log/slog"
	"net/http"
	"strconv"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	apiv1 "samsara.internal/gateway/gen/api/v1"
	"samsara.internal/gateway/internal/identity"
)

// middle is admit without attempts.
type middle struct{ admit }

func newMiddle(log *slog.Logger) *middle {
	cfg := withDefaults(Config{Logger: log})
	return &middle{newAdmit(&cfg, nil)}
}

// requestOf returns a request of a scope.
func requestOf(s scope) *request {
	return &request{Request: Request{From: identity.Identity{Caller: s.caller, Tenant: s.tenant}}, op: &Operation{name: s.operation}}
}

// try makes one attempt, with an answer of the upstream, and reports whether it was made.
func (m *middle) try(s scope, answer *Error) bool { return m.attempt(requestOf(s), answer) }

func (m *middle) attempt(req *request, answer *Error) bool {
	p, refused := m.allow(req)
	if refused != nil {
		return false
	}
	m.countRequest(req)
	m.end(req, p, answer.hostOutcome(), answer.scopeOutcome())
	return true
}

// answering is the answer of an upstream, nil for 200.
func answering(code int) *Error {
	if code == http.StatusOK {
		return nil
	}
	e := &Error{HTTPStatus: code}
	e.judge()
	return e
}

func refusedConnect() *Error {
	e := fault(apiv1.Reason_REASON_UPSTREAM_UNREACHABLE, "connection refused", nil)
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
			if !m.try(bad, answering(answer)) {
				refused[answer]++
			}
			for caller := range 20 {
				s := scope{operation: strconv.Itoa(1 + caller%4), caller: "good" + strconv.Itoa(caller)}
				if !m.try(s, answering(200)) {
					others++
				}
				if m.records.of(s) != nil {
					t.Fatalf("%+v has a record", s)
				}
			}
			// The same caller's other operation, and the same operation and caller of another tenant.
			for _, s := range []scope{{operation: "2", caller: "bad"}, {operation: "1", caller: "bad", tenant: "other"}} {
				if !m.try(s, answering(200)) {
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
			m.try(bad, answering(503))
			m.try(good, answering(503))
		}
		if m.try(good, nil) {
			t.Fatal("the circuit has not opened")
		}
		<-time.After(5 * time.Second)
		for n := range 1000 {
			for range 50 {
				m.try(bad, answering(503))
			}
			if !m.try(good, nil) {
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
			m.try(s, answering(503))
		}
		<-time.After(5 * time.Second)
		for n := range 100 {
			if !m.try(s, answering(500)) {
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
						if !m.try(scope{operation: strconv.Itoa(caller % 4), caller: strconv.Itoa(caller)}, answer(2*round+n)) {
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
				if m.try(scope{operation: "99", caller: "new"}, nil) {
					t.Error("one who has not failed yet is not refused")
				}
				<-time.After(5 * time.Second)
				for n := range 200 {
					if !m.try(scope{operation: strconv.Itoa(n % 4), caller: "new"}, nil) {
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
			m.try(at(n), answering(503))
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
		if !m.try(scope{operation: "other", caller: "caller"}, nil) {
			t.Error("the shared circuit of another operation has opened")
		}
		if m.try(at(1<<20), nil) {
			t.Error("the shared circuit has not opened")
		}
		if !m.try(at(0), nil) {
			t.Error("a circuit of its own has opened")
		}

		<-time.After(5 * time.Second)
		for range 3 {
			if !m.try(at(1<<20), nil) {
				t.Error("the shared circuit lets no probe through")
			}
		}
		<-time.After(4 * time.Second)
		m.try(at(0), answering(503)) // what is in use stays
		<-time.After(3 * time.Second)
		m.try(at(1<<21), answering(503))
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
		"a failure": {func(m *middle, s scope) { m.try(s, answering(503)) }, 10 * time.Second},
		"a retry":   {func(m *middle, s scope) { m.takeRetry(requestOf(s)) }, 11 * time.Second},
		"that it was open": {func(m *middle, s scope) {
			for range 20 {
				m.try(s, answering(503))
			}
			<-time.After(5 * time.Second)
			for range 3 {
				m.try(s, nil)
			}
		}, 95*time.Second + 1},
		"that it is open": {func(m *middle, s scope) {
			for range 20 {
				m.try(s, answering(503))
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
				m.try(scope{caller: "two"}, answering(503))
				if m.records.of(s) == nil {
					t.Fatalf("given back within %v", test.keep)
				}
				if test.keep == time.Hour {
					return
				}
				<-time.After(time.Second)
				m.try(scope{caller: "three"}, answering(503))
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
			m.try(s, nil)
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
	m := newMiddle(TextLog(&log))
	for range 30 {
		m.try(scope{operation: "7", caller: "one two", tenant: "t"}, answering(503))
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
					m.try(scope{operation: "1", caller: "bad"}, answering([]int{200, 503, 503, 503, 500}[n%5]))
				case 1:
					m.try(scope{caller: strconv.Itoa(n)}, answering(503))
				case 2:
					m.takeRetry(requestOf(scope{operation: strconv.Itoa(n % 3), caller: "bad"}))
					m.records.of(scope{operation: "1", caller: "bad"}).refusal()
				default:
					if s := (scope{operation: strconv.Itoa(n % 3), caller: "bad", tenant: "good"}); m.records.of(s) == nil && !m.try(s, nil) && m.records.of(s) == nil {
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
		{"records of others", func() { m.try(troubled, answering(503)) }, fine, nil},
		{"one that has failed", func() {}, troubled, nil},
		{"one that fails", func() { m.records.policy.FailureRatio = 2 }, scope{operation: "2"}, answering(503)},
		{"a host with a failed connect", func() { m.host.end(circuitPass{}, time.Now(), outcomeFailed) }, fine, nil},
	} {
		test.before()
		req := requestOf(test.s)
		m.attempt(req, test.answer)
		if got := testing.AllocsPerRun(1000, func() { m.attempt(req, test.answer) }); got != 0 {
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
				m.try(scope{operation: "1", caller: strconv.Itoa(n)}, answering(503))
			}
			req := requestOf(scope{operation: "2", caller: "one"})
			b.ReportAllocs()
			for b.Loop() {
				m.attempt(req, nil)
			}
		})
	}
}
