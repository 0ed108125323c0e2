package quota_test

import (
	"context"
	"errors"
	"testing"
	"testing/synctest"
	"time"

	"samsara.internal/gateway/internal/identity"
	"samsara.internal/gateway/internal/quota"
)

func state(t testing.TB, l *quota.Limiter, budget string) quota.BudgetState {
	t.Helper()
	for _, b := range l.Snapshot().Budgets {
		if b.Name == budget {
			return b
		}
	}
	t.Fatalf("there is no budget %s", budget)
	return quota.BudgetState{}
}

func TestPause_laterOfTwoWins(t *testing.T) {
	t.Parallel()
	const precise = 402350 * time.Microsecond
	for _, test := range []struct {
		name   string
		pauses []time.Duration
		want   time.Duration
	}{
		{"decimal seconds", []time.Duration{precise}, precise},
		{"a later one", []time.Duration{precise, 3 * time.Second}, 3 * time.Second},
		{"an earlier one", []time.Duration{3 * time.Second, precise}, 3 * time.Second},
		{"one that is over", []time.Duration{-time.Second}, 0},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				l := newLimiter(t, exact())
				limited, free := operation(t, l, "limited", 5, time.Second), operation(t, l, "free", 0, 0)
				begin := time.Now()
				for _, p := range test.pauses {
					limited.Pause(t.Context(), begin.Add(p))
					free.Pause(t.Context(), begin.Add(p))
				}
				c := newCrowd()
				c.once(t.Context(), "limited", limited, identity.Identity{})
				c.once(t.Context(), "free", free, identity.Identity{})
				c.once(t.Context(), "other", operation(t, l, "other", 0, 0), identity.Identity{})
				c.Wait()
				for name, want := range map[string]time.Duration{"limited": test.want, "free": test.want, "other": 0} {
					if got := c.waits[name][0]; got != want {
						t.Errorf("%s waited %v, want %v", name, got, want)
					}
				}
			})
		})
	}
}

func TestPause_refusesWhoCannotWaitSoLong(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		l := newLimiter(t, exact())
		o, other := operation(t, l, "list", 1, time.Second), operation(t, l, "other", 1, time.Second)
		c := newCrowd()
		for range 3 {
			c.once(t.Context(), "paused", o, identity.Identity{})
			c.once(t.Context(), "other", other, identity.Identity{})
		}
		synctest.Wait()
		begin := time.Now()
		if err := l.Pause(t.Context(), "operation:list", begin.Add(time.Minute)); err != nil {
			t.Fatal(err)
		}
		synctest.Wait()
		if got := len(c.refused["paused"]); got != 2 {
			t.Errorf("%d refused, want 2", got)
		}
		for _, err := range c.refused["paused"] {
			var refused *quota.RefusedError
			if !errors.As(err, &refused) || refused.Wait != time.Minute {
				t.Errorf("%v, want a wait of a minute", err)
			}
		}
		if got := state(t, l, "operation:list").PausedUntil; !got.Equal(begin.Add(time.Minute)) {
			t.Errorf("paused until %v, want in a minute", got)
		}
		c.Wait()
		if got := len(c.admitted["other"]); got != 3 {
			t.Errorf("%d of another operation admitted, want 3", got)
		}
		if err := l.Pause(t.Context(), "nothing", begin); err == nil {
			t.Error("a budget that does not exist was paused")
		}
	})
}

func TestPause_resumesGently(t *testing.T) {
	t.Parallel()
	for name, limit := range map[string]quota.Limit{
		"of an operation that states its limit": {Requests: 20, Window: time.Second},
		"of one that states none":               {},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				cfg := exact()
				cfg.Token = quota.Limit{Requests: 20, Window: time.Second}
				l := newLimiter(t, cfg)
				o := operation(t, l, "list", limit.Requests, limit.Window)
				ctx, cancel := context.WithCancel(t.Context())
				until := time.Now().Add(2 * time.Second)
				o.Pause(ctx, until)
				c := newCrowd()
				flood(ctx, c, 40, "", o, identity.Identity{})
				pause(ctx, 8*time.Second)
				cancel()
				c.Wait()
				var seconds [6]int
				for _, at := range c.all() {
					seconds[int(at.Sub(until)/time.Second)]++
				}
				// A quarter of the pace at first, all of it after 4 s.
				for i, want := range [][2]int{{5, 9}, {9, 13}, {13, 17}, {16, 20}, {19, 20}, {19, 20}} {
					if got := seconds[i]; got < want[0] || got > want[1] {
						t.Errorf("%d in second %d after the pause, want %d to %d; all: %v", got, i, want[0], want[1], seconds)
					}
				}
			})
		})
	}
}

func TestPause_slowBudgetNotHeldUpByRamp(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		cfg := exact()
		cfg.MaxWait = time.Hour
		l := newLimiter(t, cfg)
		o := operation(t, l, "list", 50, time.Hour)
		begin := time.Now()
		o.Pause(t.Context(), begin.Add(time.Second))
		// Its steps are longer than the 10 s of the resumption, its burst is the whole limit.
		for _, want := range []time.Duration{time.Second, 11 * time.Second, 11 * time.Second} {
			if _, err := o.Admit(t.Context(), identity.Identity{}); err != nil {
				t.Fatal(err)
			}
			if got := time.Since(begin); got != want {
				t.Errorf("admitted after %v, want %v", got, want)
			}
		}
	})
}

func TestPause_repeatedLowersLimitThenRecovers(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		l := newLimiter(t, exact())
		o := operation(t, l, "list", 10, time.Second)
		effective := func() float64 { return state(t, l, "operation:list").Effective }
		for i, want := range []float64{10, 8, 6.4, 5.12, 4.096, 3.2768, 2.62144, 2.097152, 2, 2} {
			// Those under way when the pause began are one 429.
			o.Pause(t.Context(), time.Now().Add(time.Second))
			o.Pause(t.Context(), time.Now().Add(time.Second))
			pause(t.Context(), time.Second)
			if got := effective() / 0.25; got < want-1e-6 || got > want+1e-6 {
				t.Errorf("%v after %d 429s, want %v", got, i+1, want)
			}
			// No time to recover in: the next comes at once.
		}
		pause(t.Context(), time.Minute)
		if got := effective(); got < 2.99 || got > 3.01 {
			t.Errorf("%v after a minute, want 3", got)
		}
		pause(t.Context(), 7*time.Minute)
		if got := effective(); got != 10 {
			t.Errorf("%v after 8 minutes, want 10", got)
		}
		if got := state(t, l, "operation:list").Throttled; got != 20 {
			t.Errorf("%d 429s counted, want 20", got)
		}
		// One alone lowers nothing.
		pause(t.Context(), time.Minute)
		o.Pause(t.Context(), time.Now())
		pause(t.Context(), 10*time.Second)
		if got := effective(); got != 10 {
			t.Errorf("%v after a single 429, want 10", got)
		}
	})
}

func TestPause_loweredLimitIsKept(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		l := newLimiter(t, exact())
		o := operation(t, l, "list", 10, time.Second)
		for range 4 { // to 0.512 of it
			o.Pause(t.Context(), time.Now().Add(time.Second))
			pause(t.Context(), time.Second)
		}
		pause(t.Context(), 4*time.Second)
		ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
		defer cancel()
		c := newCrowd()
		flood(ctx, c, 30, "", o, identity.Identity{})
		c.Wait()
		if got := len(c.all()); got < 50 || got > 62 {
			t.Errorf("%d admitted in 10 s, want 50 to 62", got)
		}
	})
}
