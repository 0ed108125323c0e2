package quota_test

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"samsara.internal/gateway/internal/identity"
	"samsara.internal/gateway/internal/quota"
)

// everywhere returns configurations of budgets of one process, and of shared ones.
func everywhere() map[string]func() quota.Config {
	return map[string]func() quota.Config{
		"in this process": exact,
		"in a store": func() quota.Config {
			cfg, store := exact(), newFakeStore(1)
			store.set(0, false)
			cfg.Store = store
			return cfg
		},
	}
}

func admitted(t testing.TB, o *quota.Operation, n int) []*quota.Permit {
	t.Helper()
	var permits []*quota.Permit
	for range n {
		p, err := o.Admit(t.Context(), identity.Identity{})
		if err != nil {
			t.Fatal(err)
		}
		permits = append(permits, &p)
	}
	return permits
}

func TestPermit_countsFromWhenWritten(t *testing.T) {
	t.Parallel()
	for name, config := range everywhere() {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				cfg := config()
				o := operation(t, newLimiter(t, cfg), "list", 4, time.Second)
				begin := time.Now()
				permits := admitted(t, o, 4)
				pause(t.Context(), 600*time.Millisecond)
				for _, p := range permits[:3] {
					if err := p.Renew(t.Context()); err != nil {
						t.Fatal(err)
					}
				}
				if got := time.Since(begin); got != 600*time.Millisecond {
					t.Fatalf("they were written after %v, want 600ms", got)
				}
				var got []time.Duration
				for range 3 {
					admitted(t, o, 1)
					got = append(got, time.Since(begin).Round(100*time.Millisecond))
				}
				// One was written at once.
				if want := []time.Duration{time.Second, 1600 * time.Millisecond, 1600 * time.Millisecond}; !slices.Equal(got, want) {
					t.Errorf("the next were admitted after %v, want %v", got, want)
				}
			})
		})
	}
}

func TestPermit_lostSlotIsAdmittedAgain(t *testing.T) {
	t.Parallel()
	for name, config := range everywhere() {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				cfg := config()
				o := operation(t, newLimiter(t, cfg), "list", 4, time.Second)
				begin := time.Now()
				late := admitted(t, o, 4)[0]
				admitted(t, o, 4)
				pause(t.Context(), 500*time.Millisecond)

				soon, cancel := context.WithTimeout(t.Context(), 400*time.Millisecond)
				defer cancel()
				var refused *quota.RefusedError
				if err := late.Renew(soon); !errors.As(err, &refused) || refused.Budget != "operation:list" {
					t.Errorf("got %v, want a refusal by operation:list", err)
				}
				if got := time.Since(begin).Round(100 * time.Millisecond); got != 1500*time.Millisecond {
					t.Errorf("it was refused after %v, want at once", got)
				}
				if err := late.Renew(t.Context()); err != nil {
					t.Error(err)
				}
				if got := time.Since(begin).Round(100 * time.Millisecond); got != 2*time.Second {
					t.Errorf("it was written after %v, want 2s", got)
				}
			})
		})
	}
}

func TestPermit_notRenewedWhilePaused(t *testing.T) {
	t.Parallel()
	for name, config := range everywhere() {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				cfg := config()
				o := operation(t, newLimiter(t, cfg), "list", 4, time.Second)
				begin := time.Now()
				late := admitted(t, o, 1)[0]
				pause(t.Context(), 100*time.Millisecond)
				o.Pause(t.Context(), begin.Add(3*time.Second))
				if err := late.Renew(t.Context()); err != nil {
					t.Error(err)
				}
				if got := time.Since(begin); got != 3*time.Second {
					t.Errorf("it was written after %v, want 3s", got)
				}
			})
		})
	}
}

func TestPermit_refusedTwiceGivesBackOwnSlotOnly(t *testing.T) {
	t.Parallel()
	for name, config := range everywhere() {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				l := newLimiter(t, config())
				o := operation(t, l, "list", 4, time.Second)
				late := admitted(t, o, 4)[0] // all in one instant
				pause(t.Context(), 100*time.Millisecond)
				o.Pause(t.Context(), time.Now().Add(time.Minute))
				for range 2 {
					var refused *quota.RefusedError
					if err := late.Renew(t.Context()); !errors.As(err, &refused) {
						t.Errorf("got %v, want a refusal", err)
					}
				}
				if got := state(t, l, "operation:list").Used; got != 3 {
					t.Errorf("%d attempts count, want the other 3", got)
				}
			})
		})
	}
}

func TestPermit_freshCostsStoreNothing(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		cfg, store := quota.Defaults(), newFakeStore(1)
		store.set(time.Millisecond, false)
		cfg.Store = store
		p := admitted(t, operation(t, newLimiter(t, cfg), "list", 100, time.Minute), 1)[0]
		// A quarter of 4 % of the token's second is 10 ms, of which the store took one.
		for _, step := range []struct {
			age   time.Duration
			takes int
		}{{9 * time.Millisecond, 1}, {time.Microsecond, 2}, {0, 2}} {
			pause(t.Context(), step.age)
			if err := p.Renew(t.Context()); err != nil {
				t.Fatal(err)
			}
			if store.takes != step.takes {
				t.Errorf("%v later the store was asked %d times, want %d", step.age, store.takes, step.takes)
			}
		}
		if got := len(store.admissions["operation:list"]); got != 1 {
			t.Errorf("the attempt counts %d times, want once", got)
		}
	})
}

func TestPermit_outlastsStoreAndLimiter(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		cfg, store := exact(), newFakeStore(1)
		cfg.Store = store
		l := newLimiter(t, cfg)
		p := admitted(t, operation(t, l, "list", 4, time.Second), 1)[0]
		pause(t.Context(), 100*time.Millisecond)
		store.set(time.Second, true)
		begin := time.Now()
		if err := p.Renew(t.Context()); err != nil {
			t.Error(err)
		}
		if got := time.Since(begin); got != cfg.StoreTimeout {
			t.Errorf("it waited %v, want %v", got, cfg.StoreTimeout)
		}
		if got := state(t, l, "operation:list").Used; got != 1 {
			t.Errorf("the attempt counts %d times, want once", got)
		}
		if err := l.Close(); err != nil {
			t.Error(err)
		}
		pause(t.Context(), time.Hour)
		if err := p.Renew(t.Context()); err != nil {
			t.Error(err)
		}
	})
	var none quota.Permit
	if err := none.Renew(t.Context()); err != nil {
		t.Error(err)
	}
}

// However long connections take to open, what is written keeps to the limit.
func TestPermit_noWindowOfWritesHoldsMore(t *testing.T) {
	t.Parallel()
	const limit = 20
	for seed := range uint64(30) {
		for name, shared := range map[string]bool{"in one process": false, "in three": true} {
			t.Run(fmt.Sprintf("%d %s", seed, name), func(t *testing.T) {
				t.Parallel()
				synctest.Test(t, func(t *testing.T) {
					limiters := []*quota.Limiter{newLimiter(t, exact())}
					if shared {
						limiters = append(limiters[:0], replicas(t, 3, exact(), newFakeStore(3))...)
					}
					random := rand.New(rand.NewPCG(seed, 0))
					written := newCrowd()
					for i, l := range limiters {
						o := operation(t, l, "list", limit, time.Second)
						for range 100 {
							arrival := time.Duration(random.Int64N(int64(5 * time.Second)))
							opening := time.Duration(random.Int64N(2) * random.Int64N(int64(2*time.Second)))
							written.Go(func() {
								pause(t.Context(), arrival)
								p, err := o.Admit(t.Context(), identity.Identity{})
								if err != nil {
									return
								}
								pause(t.Context(), opening)
								if p.Renew(t.Context()) != nil {
									return
								}
								written.mu.Lock()
								defer written.mu.Unlock()
								written.admitted[fmt.Sprint(i)] = append(written.admitted[fmt.Sprint(i)], time.Now())
							})
						}
					}
					written.Wait()
					// What the store decides is known a little later, by its delay.
					if got := most(written.all(), time.Second-time.Millisecond); got > limit {
						t.Errorf("%d were written in a second, want at most %d", got, limit)
					}
					if got := len(written.all()); got < 80 {
						t.Errorf("%d were written, want 80 at least", got)
					}
				})
			})
		}
	}
}
