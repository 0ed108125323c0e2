package quota_test

import (
	"context"
	"fmt"
	"testing"
	"testing/synctest"
	"time"

	"samsara.internal/gateway/internal/identity"
	"samsara.internal/gateway/internal/quota"
)

// flood keeps n attempts of a caller in flight at all times.
func flood(ctx context.Context, c *crowd, n int, name string, o *quota.Operation, r identity.Identity) {
	for range n {
		c.keep(ctx, name, o, r)
	}
}

func TestFairness_hundredfoldCallerSlowsNobody(t *testing.T) {
	t.Parallel()
	for _, test := range []struct {
		name     string
		requests int // of the operation, in a second
		share    int // of each small caller, in 20 s
		p99      time.Duration
	}{
		// A small caller could make 1/(20 ms + wait) a second; its share is a tenth of the budget.
		{"where the operation is short", 50, 90, 250 * time.Millisecond},
		{"where the token is short", 0, 280, 100 * time.Millisecond},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				cfg := exact()
				l := newLimiter(t, cfg)
				window := time.Second
				if test.requests == 0 {
					window = 0
				}
				o := operation(t, l, "list", test.requests, window)
				c := newCrowd()
				ctx, cancel := context.WithTimeout(t.Context(), 21*time.Second)
				defer cancel()
				flood(ctx, c, 100, "big", o, identity.Identity{Caller: "big"})
				pause(ctx, time.Second)
				for i := range 9 {
					flood(ctx, c, 1, fmt.Sprint(i), o, identity.Identity{Caller: fmt.Sprint(i)})
				}
				c.Wait()
				for i := range 9 {
					name := fmt.Sprint(i)
					got, p99 := len(c.admitted[name]), percentile(c.waits[name], 0.99)
					if got < test.share || p99 > test.p99 {
						t.Errorf("caller %s: %d admitted, p99 wait %v; want at least %d and at most %v", name, got, p99, test.share, test.p99)
					}
				}
				t.Logf("small callers: %d admitted, p50 wait %v, p99 %v; the big one: %d", len(c.admitted["0"]),
					percentile(c.waits["0"], 0.5), percentile(c.waits["0"], 0.99), len(c.admitted["big"]))
			})
		})
	}
}

func TestFairness_manyOperationsSlowNobody(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		l := newLimiter(t, exact())
		c := newCrowd()
		ctx, cancel := context.WithTimeout(t.Context(), 21*time.Second)
		defer cancel()
		mine := operation(t, l, "mine", 10, time.Second)
		flood(ctx, c, 20, "big", mine, identity.Identity{Caller: "big"})
		for i := range 50 {
			o := operation(t, l, fmt.Sprint("other", i), 10, time.Second)
			flood(ctx, c, 5, "big", o, identity.Identity{Caller: "big"})
		}
		pause(ctx, time.Second)
		flood(ctx, c, 1, "small", mine, identity.Identity{Caller: "small"})
		c.Wait()
		if got, p99 := len(c.admitted["small"]), percentile(c.waits["small"], 0.99); got < 95 || p99 > 500*time.Millisecond {
			t.Errorf("%d admitted, p99 wait %v; want at least 95 and at most 500ms", got, p99)
		}
		if got := len(c.all()); got < 3100 {
			t.Errorf("%d admitted in all, want the 3150 of the token less few", got)
		}
	})
}

func TestFairness_freeBudgetCountsNowhereElse(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		l := newLimiter(t, exact())
		short, free := operation(t, l, "short", 10, time.Second), operation(t, l, "free", 0, 0)
		c := newCrowd()
		ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
		defer cancel()
		flood(ctx, c, 2, "free", free, identity.Identity{Caller: "a"})
		flood(ctx, c, 10, "a", short, identity.Identity{Caller: "a"})
		flood(ctx, c, 10, "b", short, identity.Identity{Caller: "b"})
		c.Wait()
		if a, b := len(c.admitted["a"]), len(c.admitted["b"]); a < 80 || b < 80 {
			t.Errorf("%d and %d admitted, want about the same", a, b)
		}
	})
}

func TestFairness_weightsDivideBudget(t *testing.T) {
	t.Parallel()
	for name, test := range map[string]struct {
		weights map[string]float64
		// heavy and light are what the policy says of the two callers.
		heavy, light float64
	}{
		"by the configuration":               {map[string]float64{"heavy": 3}, 0, 0},
		"by the policy":                      {nil, 3, 1},
		"by the policy, to one without":      {nil, 3, 0},
		"by the policy, which comes first":   {map[string]float64{"heavy": 1, "light": 100}, 3, 1},
		"by the policy of one of them alone": {map[string]float64{"heavy": 100, "light": 0.5}, 1.5, 0},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				cfg := exact()
				cfg.Weights = test.weights
				l := newLimiter(t, cfg)
				o := operation(t, l, "list", 0, 0)
				c := newCrowd()
				ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
				defer cancel()
				flood(ctx, c, 50, "heavy", o, identity.Identity{Caller: "heavy", Weight: test.heavy})
				flood(ctx, c, 50, "light", o, identity.Identity{Caller: "light", Weight: test.light})
				c.Wait()
				heavy, light := len(c.admitted["heavy"]), len(c.admitted["light"])
				if ratio := float64(heavy) / float64(light); ratio < 2.7 || ratio > 3.1 {
					t.Errorf("%d to %d, want 3 to 1", heavy, light)
				}
			})
		})
	}
}

func TestFairness_batchKeepsItsShare(t *testing.T) {
	t.Parallel()
	for _, test := range []struct {
		name       string
		requests   int
		percent    int
		fewest, at int // of batch in 20 s, of 3000 or 1000
	}{
		{"at the token", 0, 10, 290, 310},
		{"at an operation", 50, 10, 95, 105},
		{"at the token with more", 0, 25, 740, 760},
		{"with no share", 0, 0, 0, 10},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				cfg := exact()
				cfg.BatchPercent = test.percent
				l := newLimiter(t, cfg)
				window := time.Second
				if test.requests == 0 {
					window = 0
				}
				o := operation(t, l, "list", test.requests, window)
				c := newCrowd()
				ctx, cancel := context.WithTimeout(t.Context(), 21*time.Second)
				defer cancel()
				flood(ctx, c, 40, "interactive", o, identity.Identity{Caller: "a"})
				pause(ctx, time.Second)
				flood(ctx, c, 20, "batch", o, identity.Identity{Caller: "a", Batch: true})
				c.Wait()
				if got := len(c.admitted["batch"]); got < test.fewest || got > test.at {
					t.Errorf("%d of batch admitted, want %d to %d; interactive %d", got, test.fewest, test.at, len(c.admitted["interactive"]))
				}
			})
		})
	}
}

func TestFairness_goneCallersAreForgotten(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		l := newLimiter(t, exact())
		o := operation(t, l, "list", 5, time.Second)
		c := newCrowd()
		for i := range 5000 {
			ctx, cancel := context.WithTimeout(t.Context(), 100*time.Millisecond)
			c.once(ctx, "", o, identity.Identity{Caller: fmt.Sprint(i)})
			pause(ctx, 50*time.Millisecond)
			cancel()
		}
		c.Wait()
		if got := quota.Remembered(l); got > 200 {
			t.Errorf("%d callers are remembered", got)
		}
	})
}
