package quota_test

import (
	"context"
	"fmt"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"samsara.internal/gateway/internal/identity"
	"samsara.internal/gateway/internal/quota"
)

func TestSnapshot_whoWaitsForWhat(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		l := newLimiter(t, exact())
		slow, get, list := operation(t, l, "slow", 1, 3*time.Second), operation(t, l, "get", 0, 0), operation(t, l, "list", 0, 0)
		ctx, cancel := context.WithCancel(t.Context())
		c := newCrowd()
		ask := func(o *quota.Operation, r identity.Identity) {
			c.once(ctx, "", o, r)
			pause(ctx, 100*time.Millisecond)
		}
		ask(slow, identity.Identity{Caller: "a"}) // the next is due in 3 s
		ask(slow, identity.Identity{Caller: "a"})
		ask(slow, identity.Identity{Caller: "a"})
		ask(slow, identity.Identity{Caller: "a", Batch: true})
		if err := l.Pause(ctx, quota.TokenBudget, time.Now().Add(2*time.Second)); err != nil {
			t.Fatal(err)
		}
		ask(get, identity.Identity{Caller: "b"})
		ask(list, identity.Identity{Caller: "b"})
		want := []quota.WaiterState{
			{Caller: "a", Budget: "operation:slow", Count: 2, Oldest: 500 * time.Millisecond},
			{Caller: "a", Batch: true, Budget: "operation:slow", Count: 1, Oldest: 300 * time.Millisecond},
			{Caller: "b", Budget: "token", Count: 2, Oldest: 200 * time.Millisecond},
		}
		s := l.Snapshot()
		if diff := cmp.Diff(want, s.Waiters); diff != "" {
			t.Errorf("(-want +got):\n%s", diff)
		}
		oldest := map[string]time.Duration{}
		for _, b := range s.Budgets {
			oldest[b.Name] = b.Oldest
		}
		if diff := cmp.Diff(map[string]time.Duration{
			"token": 200 * time.Millisecond, "organization": 0,
			"operation:slow": 500 * time.Millisecond, "operation:get": 0, "operation:list": 0,
		}, oldest); diff != "" {
			t.Errorf("the oldest (-want +got):\n%s", diff)
		}
		cancel()
		c.Wait()
		if got := l.Snapshot().Waiters; len(got) != 0 {
			t.Errorf("in the end %v wait", got)
		}
	})
}

func TestSnapshot_longestWaitersOfMany(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		l := newLimiter(t, exact())
		o := operation(t, l, "list", 10, time.Second)
		o.Pause(t.Context(), time.Now().Add(5*time.Second))
		ctx, cancel := context.WithCancel(t.Context())
		c := newCrowd()
		for i := range 50 {
			c.once(ctx, "", o, identity.Identity{Caller: fmt.Sprintf("caller %02d", i)})
			pause(ctx, 10*time.Millisecond)
		}
		got := l.Snapshot().Waiters
		cancel()
		c.Wait()
		if len(got) != 20 || got[0].Caller != "caller 00" || got[19].Caller != "caller 19" {
			t.Errorf("got %v, want the first 20", got)
		}
	})
}

func TestRest_shownUntilItEnds(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		cfg := exact()
		cfg.MaxQueue, cfg.MaxQueueCaller = 1, 1
		l := newLimiter(t, cfg)
		paused, failing := operation(t, l, "paused", 5, time.Second), operation(t, l, "failing", 0, 0)
		paused.Pause(t.Context(), time.Now().Add(4*time.Second))
		ctx, cancel := context.WithCancel(t.Context())
		c := newCrowd()
		c.Go(func() {
			if !paused.Rest(ctx, identity.Identity{Caller: "a", Batch: true}, 4*time.Second) {
				t.Error("the rest before an attempt of a paused operation did not end by itself")
			}
		})
		for range 2 {
			c.Go(func() {
				if failing.Rest(ctx, identity.Identity{Caller: "a"}, time.Minute) {
					t.Error("a rest did not end with its context")
				}
			})
		}
		pause(t.Context(), time.Second)
		s := l.Snapshot()
		want := []quota.WaiterState{
			{Caller: "a", Count: 2, Oldest: time.Second},
			{Caller: "a", Batch: true, Budget: "operation:paused", Count: 1, Oldest: time.Second},
		}
		if diff := cmp.Diff(want, s.Waiters); diff != "" {
			t.Errorf("(-want +got):\n%s", diff)
		}
		waiting := map[string]int{"all": s.Waiting}
		for _, b := range s.Budgets {
			waiting[b.Name] = b.Waiting
		}
		if diff := cmp.Diff(map[string]int{"all": 3, "token": 3, "organization": 3, "operation:paused": 1, "operation:failing": 2}, waiting); diff != "" {
			t.Errorf("(-want +got):\n%s", diff)
		}
		// The queue does not count them.
		if err := c.admit(t.Context(), "", operation(t, l, "other", 0, 0), identity.Identity{Caller: "a"}); err != nil {
			t.Error(err)
		}
		pause(t.Context(), 4*time.Second)
		if got := l.Snapshot().Waiting; got != 2 {
			t.Errorf("%d wait after the first has ended, want 2", got)
		}
		cancel()
		c.Wait()
		if got := l.Snapshot(); got.Waiting != 0 || len(got.Waiters) != 0 {
			t.Errorf("%d wait in the end, %v", got.Waiting, got.Waiters)
		}
		var none *quota.Operation
		if begin := time.Now(); !none.Rest(t.Context(), identity.Identity{}, time.Second) || time.Since(begin) != time.Second {
			t.Error("without an operation it does not wait")
		}
	})
}
