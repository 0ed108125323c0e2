package telemetry_test

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"samsara.internal/gateway/internal/identity"
	"samsara.internal/gateway/internal/quota"
)

func TestAdmitted_timedByKindAndPriority(t *testing.T) {
	t.Parallel()
	m := newMetrics(t)
	for _, a := range []quota.Admission{
		{Operation: "s/M"},
		{Operation: "s/M", Budget: "operation:s/M", Waited: 2 * time.Second},
		{Operation: "s/N", Budget: "operation:s/N", Waited: 500 * time.Millisecond},
		{Operation: "s/M", Budget: "token", From: identity.Identity{Caller: "a", Batch: true}, Waited: time.Second},
		{Operation: "s/M", Budget: "organization", Waited: 4 * time.Second},
	} {
		m.Of("default").Admitted(a)
	}
	for name, want := range map[string][]string{
		"samsara_gateway_quota_wait_seconds_sum": {
			`samsara_gateway_quota_wait_seconds_sum{kind="operation",organization="default",priority="interactive"} 2.5`,
			`samsara_gateway_quota_wait_seconds_sum{kind="organization",organization="default",priority="interactive"} 4`,
			`samsara_gateway_quota_wait_seconds_sum{kind="token",organization="default",priority="batch"} 1`,
		},
		"samsara_gateway_quota_wait_seconds_count": {
			`samsara_gateway_quota_wait_seconds_count{kind="operation",organization="default",priority="interactive"} 2`,
			`samsara_gateway_quota_wait_seconds_count{kind="organization",organization="default",priority="interactive"} 1`,
			`samsara_gateway_quota_wait_seconds_count{kind="token",organization="default",priority="batch"} 1`,
		},
	} {
		if diff := cmp.Diff(want, scrape(t, m, name)); diff != "" {
			t.Errorf("%s (-want +got):\n%s", name, diff)
		}
	}
}

func TestRefused_byKindPriorityAndReason(t *testing.T) {
	t.Parallel()
	m := newMetrics(t)
	batch := identity.Identity{Caller: "a", Batch: true}
	m.Of("default").Refused("s/M", batch, &quota.RefusedError{Budget: "operation:s/M"})
	m.Of("default").Refused("s/N", batch, fmt.Errorf("wrapped: %w", &quota.RefusedError{Budget: "operation:s/N"}))
	m.Of("default").Refused("s/M", identity.Identity{}, &quota.RefusedError{Budget: "token", Queue: true})
	m.Of("default").Refused("s/M", identity.Identity{}, context.Canceled)
	m.Of("default").Refused("s/M", identity.Identity{}, context.DeadlineExceeded)
	m.Of("default").Refused("s/M", identity.Identity{}, quota.ErrClosed)
	want := []string{
		`samsara_gateway_quota_refusals_total{kind="none",organization="default",priority="interactive",reason="closed"} 1`,
		`samsara_gateway_quota_refusals_total{kind="none",organization="default",priority="interactive",reason="gone"} 2`,
		`samsara_gateway_quota_refusals_total{kind="operation",organization="default",priority="batch",reason="wait"} 2`,
		`samsara_gateway_quota_refusals_total{kind="token",organization="default",priority="interactive",reason="queue"} 1`,
	}
	if diff := cmp.Diff(want, counted(t, m, "samsara_gateway_quota_refusals_total")); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}

// quotaState returns the lines of all metrics that WatchQuota adds, without what they have in common.
func quotaState(t *testing.T, s quota.Snapshot) []string {
	t.Helper()
	m := newMetrics(t)
	calls := 0
	snapshots := func() map[string]quota.Snapshot { calls++; return map[string]quota.Snapshot{"north": s} }
	if err := m.WatchQuota(snapshots); err != nil {
		t.Fatal(err)
	}
	if err := m.WatchQuota(snapshots); err == nil {
		t.Error("the same was watched twice")
	}
	calls = 0
	lines := scrape(t, m, "samsara_gateway_quota_")
	if calls != 1 {
		t.Errorf("%d snapshots for a scrape, want 1", calls)
	}
	common := strings.NewReplacer(`,organization="north"`, "", `{organization="north"}`, "")
	for i := range lines {
		line := strings.TrimPrefix(lines[i], "samsara_gateway_quota_")
		if lines[i] = common.Replace(line); lines[i] == line {
			t.Errorf("%s: has not the label of its organization", line)
		}
	}
	return lines
}

func TestWatchQuota_readAtEachScrape(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		s := quota.Snapshot{
			Budgets: []quota.BudgetState{
				{Name: "token", Limit: quota.Limit{Requests: 150, Window: time.Second}, Effective: 120.5, Used: 7, Waiting: 2, Oldest: 1500 * time.Millisecond, Admitted: 99},
				{Name: "organization"},
				{
					Name: "operation:s/M", Limit: quota.Limit{Requests: 100, Window: time.Minute}, Effective: 100, Used: 100, Waiting: 2,
					PausedUntil: time.Now().Add(2500 * time.Millisecond), Admitted: 300, Throttled: 3,
				},
				{Name: "operation:s/N", PausedUntil: time.Now().Add(-time.Second)},
			},
		}
		want := []string{
			`admitted_total{budget="operation",operation="s/M"} 300`,
			`admitted_total{budget="organization",operation=""} 0`,
			`admitted_total{budget="token",operation=""} 99`,
			`effective_requests{budget="operation",operation="s/M"} 100`,
			`effective_requests{budget="token",operation=""} 120.5`,
			`limit_requests{budget="operation",operation="s/M"} 100`,
			`limit_requests{budget="token",operation=""} 150`,
			`oldest_wait_seconds{budget="operation",operation="s/M"} 0`,
			`oldest_wait_seconds{budget="organization",operation=""} 0`,
			`oldest_wait_seconds{budget="token",operation=""} 1.5`,
			`paused_seconds{budget="operation",operation="s/M"} 2.5`,
			`paused_seconds{budget="organization",operation=""} 0`,
			`paused_seconds{budget="token",operation=""} 0`,
			`throttled_total{budget="operation",operation="s/M"} 3`,
			`throttled_total{budget="organization",operation=""} 0`,
			`throttled_total{budget="token",operation=""} 0`,
			`used_requests{budget="operation",operation="s/M"} 100`,
			`used_requests{budget="token",operation=""} 7`,
			`waiting_requests{budget="operation",operation="s/M"} 2`,
			`waiting_requests{budget="organization",operation=""} 0`,
			`waiting_requests{budget="token",operation=""} 2`,
			`window_seconds{budget="operation",operation="s/M"} 60`,
			`window_seconds{budget="token",operation=""} 1`,
		}
		if diff := cmp.Diff(want, quotaState(t, s)); diff != "" {
			t.Errorf("(-want +got):\n%s", diff)
		}
	})
}

func TestWatchQuota_storeShownIfThereIsOne(t *testing.T) {
	t.Parallel()
	for name, test := range map[string]struct {
		store quota.StoreState
		want  []string
	}{
		"without one": {quota.StoreState{}, nil},
		"while it answers": {
			quota.StoreState{Configured: true, Up: true, Replicas: 3},
			[]string{"store_lost_total 0", "store_replicas 3", "store_up 1"},
		},
		"while it is away": {
			quota.StoreState{Configured: true, Replicas: 3, Lost: 2, Err: errors.New("refused")},
			[]string{"store_lost_total 2", "store_replicas 3", "store_up 0"},
		},
	} {
		if diff := cmp.Diff(test.want, quotaState(t, quota.Snapshot{Store: test.store})); diff != "" {
			t.Errorf("%s (-want +got):\n%s", name, diff)
		}
	}
}
