package quota_test

import (
	"context"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"samsara.internal/gateway/internal/identity"
	"samsara.internal/gateway/internal/quota"
)

// notes is an Observer that writes down what it is told.
type notes struct {
	mu       sync.Mutex
	admitted []quota.Admission
	refused  []string
}

func (n *notes) Admitted(a quota.Admission) {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.admitted = append(n.admitted, a)
}

func (n *notes) Refused(operation string, r identity.Identity, err error) {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.refused = append(n.refused, operation+" "+r.Caller+": "+err.Error())
}

func TestObserver_toldOfWaitsAndRefusals(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		cfg := exact()
		var told notes
		cfg.Observer = &told
		l := newLimiter(t, cfg)
		o := operation(t, l, "list", 1, 600*time.Millisecond)
		for range 2 {
			if _, err := o.Admit(t.Context(), identity.Identity{Caller: "a", Batch: true}); err != nil {
				t.Fatal(err)
			}
		}
		soon, cancel := context.WithTimeout(t.Context(), 500*time.Millisecond)
		defer cancel()
		if _, err := o.Admit(soon, identity.Identity{Caller: "b"}); err == nil {
			t.Error("admitted after its deadline")
		}
		want := []quota.Admission{
			{Operation: "list", From: identity.Identity{Caller: "a", Batch: true}},
			{Operation: "list", From: identity.Identity{Caller: "a", Batch: true}, Budget: "operation:list", Waited: 600 * time.Millisecond},
		}
		if diff := cmp.Diff(want, told.admitted); diff != "" {
			t.Errorf("admitted (-want +got):\n%s", diff)
		}
		refused := []string{"list b: quota: budget operation:list (1 in 600ms) is free in 600ms, which is too long to wait"}
		if diff := cmp.Diff(refused, told.refused); diff != "" {
			t.Errorf("refused (-want +got):\n%s", diff)
		}
	})
}

func TestSnapshot_everyBudget(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		l := newLimiter(t, exact())
		list, get := operation(t, l, "list", 2, 4*time.Second), operation(t, l, "get", 0, 0)
		c := newCrowd()
		ctx, cancel := context.WithCancel(t.Context())
		for range 5 {
			c.once(ctx, "", list, identity.Identity{Caller: "a"})
		}
		pause(ctx, 500*time.Millisecond)
		get.Pause(ctx, time.Now().Add(time.Minute))
		synctest.Wait()
		want := quota.Snapshot{
			Waiting: 3,
			Budgets: []quota.BudgetState{
				{Name: "token", Limit: quota.Limit{Requests: 150, Window: time.Second}, Effective: 150, Used: 2, Waiting: 3, Admitted: 2},
				{Name: "organization", Limit: quota.Limit{Requests: 200, Window: time.Second}, Effective: 200, Used: 2, Waiting: 3, Admitted: 2},
				// It states no limit: after a 429 it has the token's, of which it resumes with a quarter.
				{
					Name: "operation:get", Limit: quota.Limit{Requests: 150, Window: time.Second}, Effective: 37.5,
					PausedUntil: time.Now().Add(time.Minute), Throttled: 1,
				},
				{Name: "operation:list", Limit: quota.Limit{Requests: 2, Window: 4 * time.Second}, Effective: 2, Used: 2, Waiting: 3, Oldest: 500 * time.Millisecond, Admitted: 2},
			},
			Waiters: []quota.WaiterState{{Caller: "a", Budget: "operation:list", Count: 3, Oldest: 500 * time.Millisecond}},
		}
		if diff := cmp.Diff(want, l.Snapshot()); diff != "" {
			t.Errorf("(-want +got):\n%s", diff)
		}
		cancel()
		c.Wait()
		if _, err := list.Admit(ctx, identity.Identity{}); err == nil {
			t.Error("admitted although its context had ended")
		}
		if got := l.Snapshot().Waiting; got != 0 {
			t.Errorf("%d wait in the end", got)
		}
	})
}
