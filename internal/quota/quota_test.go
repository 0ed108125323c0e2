package quota_test

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"samsara.internal/gateway/internal/identity"
	"samsara.internal/gateway/internal/quota"
)

func TestLimit_manyAtOnceAdmitExactlyTheLimit(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		l := newLimiter(t, exact())
		o := operation(t, l, "list", 100, time.Second)
		ctx, cancel := context.WithCancel(t.Context())
		c := newCrowd()
		for i := range 2000 {
			c.once(ctx, "", o, identity.Identity{Caller: fmt.Sprint(i % 20)})
		}
		pause(ctx, time.Second-1)
		if got := len(c.all()); got != 100 {
			t.Errorf("%d admitted in the first window, want 100", got)
		}
		pause(ctx, 8*time.Second)
		cancel()
		c.Wait()
		if got := most(c.all(), time.Second); got != 100 {
			t.Errorf("%d admitted in some window, want 100", got)
		}
		if got := len(c.all()); got < 895 || got > 900 {
			t.Errorf("%d admitted in 9 windows, want 895 to 900", got)
		}
	})
}

func TestLimit_wholeAtOnceAndThenByTheWindow(t *testing.T) {
	t.Parallel()
	for _, limit := range []quota.Limit{
		{Requests: 5, Window: time.Second},
		{Requests: 150, Window: 500 * time.Millisecond},
		{Requests: 5, Window: 2 * time.Second},
		{Requests: 100, Window: time.Minute},
		{Requests: 601, Window: time.Minute},
		{Requests: 2, Window: time.Minute},
		{Requests: 50, Window: time.Hour},
	} {
		for name, shared := range map[string]bool{"in one process": false, "in two": true} {
			t.Run(limit.String()+" "+name, func(t *testing.T) {
				t.Parallel()
				synctest.Test(t, func(t *testing.T) {
					cfg := exact()
					cfg.Token, cfg.Organization = quota.Limit{}, quota.Limit{}
					cfg.MaxWait = 2 * time.Hour
					limiters := []*quota.Limiter{newLimiter(t, cfg)}
					if shared {
						store := newFakeStore(2)
						store.set(0, false)
						limiters = replicas(t, 2, cfg, store)
					}
					var operations []*quota.Operation
					for _, l := range limiters {
						operations = append(operations, operation(t, l, "list", limit.Requests, limit.Window))
					}
					c := newCrowd()
					begin := time.Now()
					for i := range limit.Requests + 1 {
						c.once(t.Context(), "", operations[i%len(operations)], identity.Identity{})
					}
					pause(t.Context(), limit.Window-time.Millisecond)
					if got := c.all(); len(got) != limit.Requests || got[len(got)-1].Sub(begin) != 0 {
						t.Errorf("%d admitted within the window, the last after %v, want %d at once", len(got), got[len(got)-1].Sub(begin), limit.Requests)
					}
					c.Wait()
					// Replicas avoid each other by a moment.
					if got := c.all()[limit.Requests].Sub(begin); got < limit.Window || got > limit.Window+2*time.Millisecond {
						t.Errorf("the next came after %v, want %v", got, limit.Window)
					}
				})
			})
		}
	}
}

// Many ask all the time, and all at once every now and then.
func TestLimit_noMinuteHoldsMore(t *testing.T) {
	t.Parallel()
	for name, shared := range map[string]bool{"in one process": false, "in three, whose store comes and goes": true} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			for seed := range uint64(10) {
				synctest.Test(t, func(t *testing.T) {
					r := rand.New(rand.NewPCG(seed, 1))
					limiters := []*quota.Limiter{newLimiter(t, exact())}
					store := newFakeStore(3)
					if shared {
						limiters = replicas(t, 3, exact(), store)
					}
					ctx, cancel := context.WithCancel(t.Context())
					c := newCrowd()
					var operations []*quota.Operation
					for _, l := range limiters {
						operations = append(operations, operation(t, l, "create", 100, time.Minute))
					}
					var lost time.Time
					for minute := range 5 {
						for range r.IntN(300) {
							c.once(ctx, "", operations[r.IntN(len(operations))], identity.Identity{Caller: fmt.Sprint(r.IntN(3))})
							if r.IntN(3) == 0 {
								pause(ctx, time.Duration(r.IntN(2000))*time.Millisecond)
							}
						}
						if shared && minute == 1 {
							lost = time.Now()
							store.set(0, true)
							pause(ctx, time.Duration(r.IntN(10_000))*time.Millisecond)
							store.set(200*time.Microsecond, false)
						}
					}
					cancel()
					c.Wait()
					// In a window in which the store is lost it may be twice as many.
					before, after := c.all(), []time.Time(nil)
					if at := slices.IndexFunc(before, lost.Before); shared && at >= 0 {
						before, after = before[:at], before[at:]
					}
					for _, times := range [][]time.Time{before, after} {
						// What the store decides is known a little later, by its delay.
						if got := most(times, time.Minute-time.Millisecond); got > 100 {
							t.Errorf("seed %d: %d in a minute, want at most 100", seed, got)
						}
					}
					if got := len(c.all()); got < 200 {
						t.Errorf("seed %d: %d admitted, want 200 at the least", seed, got)
					}
				})
			}
		})
	}
}

func TestMargin_lengthensWindow(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		l := newLimiter(t, quota.Defaults())
		o := operation(t, l, "list", 1, time.Second)
		begin := time.Now()
		for range 2 {
			if _, err := o.Admit(t.Context(), identity.Identity{}); err != nil {
				t.Fatal(err)
			}
		}
		if got := time.Since(begin); got != 1040*time.Millisecond {
			t.Errorf("the second came after %v, want 1.04s", got)
		}
	})
}

// It lets callers come and go at random. It is no fuzz target: which goroutine runs first changes
// the coverage, which the fuzzing engine takes for a new input.
func TestLimit_noWindowEverHoldsMore(t *testing.T) {
	t.Parallel()
	for seed := range uint64(200) {
		synctest.Test(t, func(t *testing.T) {
			r := rand.New(rand.NewPCG(seed, 0))
			cfg := exact()
			cfg.Token = quota.Limit{Requests: 1 + r.IntN(200), Window: time.Second}
			own := quota.Limit{Requests: 1 + r.IntN(200), Window: time.Duration(1+r.IntN(20_000)>>r.IntN(12)) * time.Millisecond}
			own.Window = max(own.Window, time.Millisecond)
			l := newLimiter(t, cfg)
			limited := operation(t, l, "limited", own.Requests, own.Window)
			free := operation(t, l, "free", 0, 0)
			c := newCrowd()
			for range r.IntN(500) {
				o, name := limited, "limited"
				if r.IntN(3) == 0 {
					o, name = free, "free"
				}
				ctx, cancel := context.WithTimeout(t.Context(), time.Duration(r.IntN(5000))*time.Millisecond)
				defer cancel()
				c.once(ctx, name, o, identity.Identity{Caller: fmt.Sprint(r.IntN(4)), Batch: r.IntN(4) == 0})
				if r.IntN(200) == 0 {
					o.Pause(ctx, time.Now().Add(time.Duration(r.IntN(500))*time.Millisecond))
				}
				if r.IntN(20) == 0 {
					pause(t.Context(), time.Duration(r.IntN(300))*time.Millisecond)
				}
			}
			c.Wait()
			if got := most(c.admitted["limited"], own.Window); got > own.Requests {
				t.Errorf("seed %d: %d in a window of the operation's %v", seed, got, own)
			}
			if got := most(c.all(), cfg.Token.Window); got > cfg.Token.Requests {
				t.Errorf("seed %d: %d in a window of the token's %v", seed, got, cfg.Token)
			}
			if got := l.Snapshot().Waiting; got != 0 {
				t.Errorf("seed %d: %d still wait", seed, got)
			}
		})
	}
}

func TestAdmit_allBudgetsOrNone(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		l := newLimiter(t, exact())
		slow, fast := operation(t, l, "slow", 1, time.Minute), operation(t, l, "fast", 0, 0)
		for i := range 200 {
			ctx, cancel := context.WithTimeout(t.Context(), time.Second)
			_, err := slow.Admit(ctx, identity.Identity{})
			cancel()
			if (err == nil) != (i == 0) {
				t.Fatalf("attempt %d: %v", i, err)
			}
		}
		for i := range 149 {
			if _, err := fast.Admit(t.Context(), identity.Identity{}); err != nil {
				t.Fatalf("attempt %d: %v", i, err)
			}
		}
		got := map[string]int{}
		for _, b := range l.Snapshot().Budgets {
			got[b.Name] = b.Used
		}
		want := map[string]int{"token": 150, "organization": 150, "operation:slow": 1, "operation:fast": 149}
		want["operation:fast"] = 0 // without a limit there is no window
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("used (-want +got):\n%s", diff)
		}
	})
}

func TestAdmit_blockedByOperationBlocksNoOther(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		l := newLimiter(t, exact())
		slow, fast := operation(t, l, "slow", 5, time.Second), operation(t, l, "fast", 0, 0)
		ctx, cancel := context.WithCancel(t.Context())
		c := newCrowd()
		for range 40 {
			c.once(ctx, "slow", slow, identity.Identity{Caller: "a"})
		}
		synctest.Wait()
		begin := time.Now()
		for range 100 {
			if _, err := fast.Admit(ctx, identity.Identity{Caller: "a"}); err != nil {
				t.Fatal(err)
			}
		}
		if got := time.Since(begin); got != 0 {
			t.Errorf("others waited %v, want 0", got)
		}
		cancel()
		c.Wait()
	})
}

func TestAdmit_tooLongWaitRefusedAtOnce(t *testing.T) {
	t.Parallel()
	for _, test := range []struct {
		name     string
		limit    quota.Limit
		queued   int
		deadline time.Duration
		want     time.Duration
	}{
		{"a slow budget", quota.Limit{Requests: 50, Window: time.Hour}, 0, 0, time.Hour},
		{"a deadline shorter than the wait", quota.Limit{Requests: 5, Window: 3 * time.Second}, 0, 2999 * time.Millisecond, 3 * time.Second},
		{"those who came before count", quota.Limit{Requests: 5, Window: 3 * time.Second}, 4, 5399 * time.Millisecond, 5400 * time.Millisecond},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				l := newLimiter(t, exact())
				o := operation(t, l, "list", test.limit.Requests, test.limit.Window)
				c := newCrowd()
				for range test.limit.Requests + test.queued {
					c.once(t.Context(), "", o, identity.Identity{})
				}
				synctest.Wait()
				ctx := t.Context()
				if test.deadline > 0 {
					var cancel context.CancelFunc
					ctx, cancel = context.WithTimeout(ctx, test.deadline)
					defer cancel()
				}
				begin := time.Now()
				_, err := o.Admit(ctx, identity.Identity{})
				var got *quota.RefusedError
				if !errors.As(err, &got) {
					t.Fatalf("%v, want a RefusedError", err)
				}
				want := quota.RefusedError{Budget: "operation:list", Limit: test.limit, Wait: test.want}
				if diff := cmp.Diff(want, *got); diff != "" {
					t.Errorf("(-want +got):\n%s", diff)
				}
				if waited := time.Since(begin); waited != 0 {
					t.Errorf("waited %v, want 0", waited)
				}
				c.Wait()
			})
		})
	}
}

func TestRefusedError_neverUnderstatesWait(t *testing.T) {
	t.Parallel()
	for _, queued := range []int{0, 1, 3, 4, 5, 9, 17, 40} {
		synctest.Test(t, func(t *testing.T) {
			l := newLimiter(t, exact())
			o := operation(t, l, "list", 5, time.Second)
			c := newCrowd()
			for range 5 + queued {
				c.once(t.Context(), "", o, identity.Identity{})
			}
			synctest.Wait()
			ctx, cancel := context.WithTimeout(t.Context(), time.Nanosecond)
			defer cancel()
			var refused *quota.RefusedError
			if _, err := o.Admit(ctx, identity.Identity{}); !errors.As(err, &refused) {
				t.Fatalf("%v, want a RefusedError", err)
			}
			begin := time.Now()
			if _, err := o.Admit(t.Context(), identity.Identity{}); err != nil {
				t.Fatal(err)
			}
			truth := time.Since(begin)
			if refused.Wait < truth || refused.Wait > truth+500*time.Millisecond {
				t.Errorf("with %d before it the wait was said to be %v, and was %v", queued, refused.Wait, truth)
			}
			c.Wait()
		})
	}
}

func TestQueue_bounded(t *testing.T) {
	t.Parallel()
	for _, test := range []struct {
		name   string
		change func(*quota.Config)
		caller string
	}{
		{"for all", func(c *quota.Config) { c.MaxQueue = 3 }, "b"},
		{"for each caller", func(c *quota.Config) { c.MaxQueueCaller = 3 }, "a"},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				cfg := exact()
				test.change(&cfg)
				l := newLimiter(t, cfg)
				o := operation(t, l, "list", 1, time.Second)
				c := newCrowd()
				for range 4 {
					c.once(t.Context(), "", o, identity.Identity{Caller: "a"})
				}
				synctest.Wait()
				var refused *quota.RefusedError
				if _, err := o.Admit(t.Context(), identity.Identity{Caller: test.caller}); !errors.As(err, &refused) || !refused.Queue {
					t.Errorf("%v, want the queue to be full", err)
				}
				if !strings.Contains(refused.Error(), "queue is full") {
					t.Errorf("the error does not say so: %v", refused)
				}
				c.Wait()
				if got := len(c.all()); got != 4 {
					t.Errorf("%d admitted, want the 4 that were in", got)
				}
			})
		})
	}
}

func TestAdmit_givingUpWastesNoSlot(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		l := newLimiter(t, exact())
		o := operation(t, l, "list", 10, time.Second)
		c := newCrowd()
		for range 10 {
			c.once(t.Context(), "first", o, identity.Identity{})
		}
		synctest.Wait()
		ctx, cancel := context.WithCancel(t.Context())
		for range 70 {
			c.once(ctx, "gone", o, identity.Identity{})
		}
		synctest.Wait()
		for range 10 {
			c.once(t.Context(), "stays", o, identity.Identity{})
		}
		synctest.Wait()
		cancel()
		begin := time.Now()
		c.Wait()
		if got := len(c.admitted["stays"]); got != 10 || time.Since(begin) >= 2*time.Second {
			t.Errorf("%d admitted in %v, want 10 in less than 2s", got, time.Since(begin))
		}
		for _, err := range c.refused["gone"] {
			if !errors.Is(err, context.Canceled) {
				t.Errorf("%v, want the error of the context", err)
			}
		}
		if got := len(c.refused["gone"]); got != 70 {
			t.Errorf("%d gave up, want 70", got)
		}
	})
}

func TestMaxWait_boundsEveryWait(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		cfg := exact()
		cfg.MaxWait = 2 * time.Second
		cfg.BatchPercent = 0
		l := newLimiter(t, cfg)
		o := operation(t, l, "list", 10, time.Second)
		ctx, cancel := context.WithTimeout(t.Context(), 5*time.Second)
		defer cancel()
		c := newCrowd()
		for range 10 {
			c.once(ctx, "", o, identity.Identity{})
		}
		synctest.Wait()
		begin := time.Now()
		var err error
		late := make(chan struct{})
		go func() {
			defer close(late)
			_, err = o.Admit(ctx, identity.Identity{Batch: true})
		}()
		synctest.Wait()
		// With no share of its own, batch starves under these.
		flood(ctx, c, 30, "", o, identity.Identity{})
		<-late
		if got := time.Since(begin); got != 2*time.Second {
			t.Errorf("refused after %v, want 2s", got)
		}
		var refused *quota.RefusedError
		if !errors.As(err, &refused) || refused.Wait <= 0 {
			t.Errorf("%v, want a RefusedError with the wait", err)
		}
		cancel()
		c.Wait()
	})
}

func TestClose_refuses(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		l := newLimiter(t, exact())
		o := operation(t, l, "list", 1, time.Second)
		c := newCrowd()
		for range 3 {
			c.once(t.Context(), "", o, identity.Identity{})
		}
		synctest.Wait()
		if err := l.Close(); err != nil {
			t.Error(err)
		}
		c.Wait()
		_ = c.admit(t.Context(), "", o, identity.Identity{})
		for _, err := range c.refused[""] {
			if !errors.Is(err, quota.ErrClosed) {
				t.Errorf("%v, want ErrClosed", err)
			}
		}
		if got := len(c.refused[""]); got != 3 {
			t.Errorf("%d refused, want 3", got)
		}
	})
}

func TestOverrides_replaceStatedLimits(t *testing.T) {
	t.Parallel()
	cfg := quota.Defaults()
	cfg.Overrides = []quota.Override{
		{Operations: "samsara_gateway.vehicles.v1.*.ListVehicles", Limit: quota.Limit{Requests: 50, Window: time.Second}},
		{Operations: "samsara_gateway.vehicles.*", Limit: quota.Limit{Requests: 2, Window: time.Second}},
		{Operations: "samsara_gateway.tags.*"},
	}
	l := newLimiter(t, cfg)
	for _, name := range []string{
		"samsara_gateway.vehicles.v1.VehiclesService.ListVehicles", "samsara_gateway.vehicles.v1.VehiclesService.GetVehicle",
		"samsara_gateway.tags.v1.TagsService.ListTags", "samsara_gateway.users.v1.UsersService.ListUsers",
	} {
		operation(t, l, name, 25, time.Second)
	}
	var got []string
	for _, b := range l.Snapshot().Budgets {
		got = append(got, fmt.Sprint(b.Name, " ", b.Limit))
	}
	want := []string{
		"token 150 in 1s", "organization 200 in 1s",
		"operation:samsara_gateway.tags.v1.TagsService.ListTags none",
		"operation:samsara_gateway.users.v1.UsersService.ListUsers 25 in 1s",
		"operation:samsara_gateway.vehicles.v1.VehiclesService.GetVehicle 2 in 1s",
		"operation:samsara_gateway.vehicles.v1.VehiclesService.ListVehicles 50 in 1s",
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}

func TestNew_refusesWithAllProblems(t *testing.T) {
	t.Parallel()
	_, err := quota.New(quota.Config{
		Token:        quota.Limit{Requests: -1, Window: time.Second},
		Organization: quota.Limit{Requests: 1, Window: 25 * time.Hour},
		Overrides:    []quota.Override{{Operations: "["}},
		Margin:       -0.1,
		Weights:      map[string]float64{"a": 0},
		BatchPercent: 51,
	})
	want := strings.Join([]string{
		"quota: token: requests must be from 1 to 100000, not -1",
		"quota: organization: the window must be more than 0 and at most 24h0m0s, not 25h0m0s",
		`quota: "[": pattern has an open bracket or a backslash at its end`,
		"quota: the margin must be from 0 to 1, not -0.1",
		"quota: the longest wait must be more than 0, not 0s",
		"quota: the queue must hold at least 1, not 0",
		"quota: the queue must hold at least 1 of a caller, not 0",
		"quota: the share of batch must be from 0 to 50 %, not 51",
		"quota: the wait for the store must be more than 0, not 0s",
		"quota: there is at least 1 replica, not 0",
		`quota: the weight of "a" must be from 0.001 to 1000, not 0`,
	}, "\n")
	if diff := cmp.Diff(want, fmt.Sprint(err)); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
	l := newLimiter(t, quota.Defaults())
	if _, err := l.Operation("list", quota.Limit{Requests: 1}); err == nil {
		t.Error("a limit without a window was taken")
	}
}

// The end of its wait and the admission by its budget come at once, in either order.
func TestMaxWait_turnComesWithItsEnd(t *testing.T) {
	t.Parallel()
	for range 50 {
		synctest.Test(t, func(t *testing.T) {
			cfg := exact()
			cfg.MaxWait = time.Second
			o := operation(t, newLimiter(t, cfg), "list", 1, time.Second)
			for range 2 {
				if _, err := o.Admit(t.Context(), identity.Identity{}); err != nil {
					t.Error(err)
				}
			}
		})
	}
}
