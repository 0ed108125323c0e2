package admin_test

import (
	"bytes"
	"encoding/json"
	"errors"
	"net/http"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"samsara.internal/gateway/internal/admin"
	"samsara.internal/gateway/internal/quota"
)

// withQuota starts a server that is ready, with the quota of one organization in some state, and returns its URL.
func withQuota(t *testing.T, s quota.Snapshot) string {
	t.Helper()
	return withQuotas(t, map[string]quota.Snapshot{"default": s})
}

func withQuotas(t *testing.T, all map[string]quota.Snapshot) string {
	t.Helper()
	return serve(t, admin.Config{
		Metrics: http.NotFoundHandler(),
		Quotas:  func() map[string]quota.Snapshot { return all },
	})
}

func TestQuota_json(t *testing.T) {
	t.Parallel()
	for name, test := range map[string]struct {
		state quota.Snapshot
		want  string
	}{
		"with a store": {
			quota.Snapshot{
				Waiting: 3,
				Budgets: []quota.BudgetState{
					{Name: "token", Limit: quota.Limit{Requests: 150, Window: time.Second}, Effective: 37.5, Used: 20, Waiting: 3, Oldest: 1234567 * time.Microsecond, Admitted: 900, Throttled: 1},
					{Name: "organization", PausedUntil: time.Now().Add(-time.Minute)},
				},
				Waiters: []quota.WaiterState{
					{Caller: "billing", Budget: "token", Count: 2, Oldest: 1234567 * time.Microsecond},
					{Caller: "billing", Batch: true, Budget: "token", Count: 1, Oldest: time.Second},
				},
				Store: quota.StoreState{Configured: true, Replicas: 4, Lost: 2, Err: errors.New("quota: redis: <refused>")},
			},
			`{
  "waiting": 3,
  "budgets": [
    {
      "name": "token",
      "limit": {
        "requests": 150,
        "windowSeconds": 1
      },
      "effective": 37.5,
      "used": 20,
      "waiting": 3,
      "oldestSeconds": 1.235,
      "pausedSeconds": 0,
      "admitted": 900,
      "throttled": 1
    },
    {
      "name": "organization",
      "effective": 0,
      "used": 0,
      "waiting": 0,
      "oldestSeconds": 0,
      "pausedSeconds": 0,
      "admitted": 0,
      "throttled": 0
    }
  ],
  "waiters": [
    {
      "caller": "billing",
      "budget": "token",
      "count": 2,
      "oldestSeconds": 1.235
    },
    {
      "caller": "billing",
      "batch": true,
      "budget": "token",
      "count": 1,
      "oldestSeconds": 1
    }
  ],
  "store": {
    "up": false,
    "replicas": 4,
    "lost": 2,
    "error": "quota: redis: <refused>"
  }
}
`,
		},
		"without anything": {quota.Snapshot{}, "{\n  \"waiting\": 0,\n  \"budgets\": [],\n  \"waiters\": []\n}\n"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			status, body := do(t, "GET", withQuota(t, test.state)+admin.QuotaPath)
			var all struct{ Organizations map[string]json.RawMessage }
			if err := json.Unmarshal([]byte(body), &all); err != nil {
				t.Fatal(err)
			}
			var got bytes.Buffer
			if err := json.Indent(&got, all.Organizations["default"], "", "  "); err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(test.want, got.String()+"\n"); diff != "" || status != 200 {
				t.Errorf("status %d (-want +got):\n%s", status, diff)
			}
		})
	}
}

func TestQuota_pauseAsTimeLeft(t *testing.T) {
	t.Parallel()
	url := withQuota(t, quota.Snapshot{Budgets: []quota.BudgetState{{Name: "token", PausedUntil: time.Now().Add(time.Hour)}}})
	_, body := do(t, "GET", url+admin.QuotaPath)
	var got admin.Quotas
	if err := json.Unmarshal([]byte(body), &got); err != nil {
		t.Fatal(err)
	}
	if left := got.Organizations["default"].Budgets[0].PausedSeconds; left < 3000 || left > 3600 {
		t.Errorf("%v seconds are left of an hour", left)
	}
}

func TestQuota_ofOrganizations(t *testing.T) {
	t.Parallel()
	away := quota.StoreState{Configured: true, Replicas: 2, Err: errors.New("refused")}
	url := withQuotas(t, map[string]quota.Snapshot{"south": {Waiting: 2, Store: away}, "north": {Waiting: 1}})
	for path, want := range map[string]map[string]int{
		"":                                  {"north": 1, "south": 2},
		"?organization=south":               {"south": 2},
		"?organization=south&organization=": {"south": 2},
	} {
		_, body := do(t, "GET", url+admin.QuotaPath+path)
		var got admin.Quotas
		if err := json.Unmarshal([]byte(body), &got); err != nil {
			t.Fatal(err)
		}
		waiting := make(map[string]int)
		for name, q := range got.Organizations {
			waiting[name] = q.Waiting
		}
		if diff := cmp.Diff(want, waiting); diff != "" {
			t.Errorf("%s (-want +got):\n%s", path, diff)
		}
	}
	if status, body := do(t, "GET", url+admin.QuotaPath+"?organization=east"); status != 404 || body != "no such organization\n" {
		t.Errorf("an organization that there is not: %d %q", status, body)
	}
	if _, body := do(t, "GET", url+"/readyz"); body != "ready\nquota of south: local share (1/2), the store is away: refused\n" {
		t.Errorf("/readyz: %q", body)
	}
}

func TestReadyz_storeAway(t *testing.T) {
	t.Parallel()
	for name, test := range map[string]struct {
		store quota.StoreState
		want  string
	}{
		"without a store":  {quota.StoreState{}, "ready\n"},
		"while it answers": {quota.StoreState{Configured: true, Up: true, Replicas: 4}, "ready\n"},
		"while it is away": {quota.StoreState{Configured: true, Replicas: 4, Err: errors.New("refused")}, "ready\nquota: local share (1/4), the store is away: refused\n"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			status, body := do(t, "GET", withQuota(t, quota.Snapshot{Store: test.store})+"/readyz")
			if status != 200 || body != test.want {
				t.Errorf("got %d %q, want 200 %q", status, body, test.want)
			}
		})
	}
}
