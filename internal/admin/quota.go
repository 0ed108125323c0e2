package admin

import (
	"encoding/json"
	"fmt"
	"maps"
	"net/http"
	"slices"
	"strings"
	"time"

	"samsara.internal/gateway/internal/quota"
)

// QuotaPath is the path that answers with the state of the quota, as the JSON of Quotas. With OrganizationParameter in the
// query it has only that organization, and answers 404 if there is none of that name.
const (
	QuotaPath             = "/quota"
	OrganizationParameter = "organization"
)

// Quotas is the state of the quota at the time of the request, by the name of the organization.
type Quotas struct {
	Organizations map[string]Quota `json:"organizations"`
}

// Quota is the state of the quota of an organization.
type Quota struct {
	// Waiting is how many requests of the process wait, for the quota or before a further attempt.
	Waiting int `json:"waiting"`
	// Budgets begin with the token's and the organization's.
	Budgets []Budget `json:"budgets"`
	// Waiters are those who wait, the longest wait first; at most 20.
	Waiters []Waiters `json:"waiters"`
	// Store is nil if the process shares its budgets with no other.
	Store *Store `json:"store,omitempty"`
}

// Budget is the state of one budget.
type Budget struct {
	Name string `json:"name"`
	// Limit is nil if there is none.
	Limit *Limit `json:"limit,omitempty"`
	// Effective is how many requests the budget admits now in the limit's window, on average: fewer
	// by the margin, after 429s, and without the store.
	Effective float64 `json:"effective"`
	// Used is how many requests of the process were admitted in the last window.
	Used int `json:"used"`
	// Waiting is how many requests of the process wait that will take from the budget. OldestSeconds
	// is the longest wait so far among those that this budget holds up.
	Waiting       int     `json:"waiting"`
	OldestSeconds float64 `json:"oldestSeconds"`
	// PausedSeconds is the time until the budget's pause ends.
	PausedSeconds float64 `json:"pausedSeconds"`
	// Admitted and Throttled count admissions and 429s of the process.
	Admitted  uint64 `json:"admitted"`
	Throttled uint64 `json:"throttled"`
}

// Waiters are the requests of one caller and priority that wait for one budget.
type Waiters struct {
	Caller string `json:"caller"`
	Batch  bool   `json:"batch,omitempty"`
	// Budget is the name of the budget that holds them up. It is empty if they wait before a further
	// attempt and no budget is paused.
	Budget string `json:"budget"`
	// Count is how many wait. OldestSeconds is the longest wait so far.
	Count         int     `json:"count"`
	OldestSeconds float64 `json:"oldestSeconds"`
}

// Limit is a number of requests in any interval of a length.
type Limit struct {
	Requests      int     `json:"requests"`
	WindowSeconds float64 `json:"windowSeconds"`
}

// Store is the state of what shares the budgets between processes.
type Store struct {
	// Up is false while the local share is used instead.
	Up bool `json:"up"`
	// Replicas is how many processes share, as last seen.
	Replicas int `json:"replicas"`
	// Lost counts how often the store was lost.
	Lost uint64 `json:"lost"`
	// Error is why the store is not up.
	Error string `json:"error,omitempty"`
}

func newQuota(s quota.Snapshot) Quota {
	q := Quota{Waiting: s.Waiting, Budgets: make([]Budget, 0, len(s.Budgets)), Waiters: make([]Waiters, 0, len(s.Waiters))}
	for _, b := range s.Budgets {
		budget := Budget{
			Name: b.Name, Effective: b.Effective, Used: b.Used, Waiting: b.Waiting,
			OldestSeconds: inSeconds(b.Oldest), PausedSeconds: inSeconds(max(0, time.Until(b.PausedUntil))),
			Admitted: b.Admitted, Throttled: b.Throttled,
		}
		if b.Limit != (quota.Limit{}) {
			budget.Limit = &Limit{b.Limit.Requests, b.Limit.Window.Seconds()}
		}
		q.Budgets = append(q.Budgets, budget)
	}
	for _, w := range s.Waiters {
		q.Waiters = append(q.Waiters, Waiters{Caller: w.Caller, Batch: w.Batch, Budget: w.Budget, Count: w.Count, OldestSeconds: inSeconds(w.Oldest)})
	}
	if s.Store.Configured {
		q.Store = &Store{Up: s.Store.Up, Replicas: s.Store.Replicas, Lost: s.Store.Lost}
		if s.Store.Err != nil {
			q.Store.Error = s.Store.Err.Error()
		}
	}
	return q
}

func inSeconds(d time.Duration) float64 {
	return float64(d.Round(time.Millisecond).Milliseconds()) / 1000
}

// serveQuota answers with the states that snapshots returns.
func serveQuota(snapshots func() map[string]quota.Snapshot) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		all := Quotas{make(map[string]Quota)}
		wanted := r.URL.Query()[OrganizationParameter]
		for name, s := range snapshots() {
			if len(wanted) == 0 || slices.Contains(wanted, name) {
				all.Organizations[name] = newQuota(s)
			}
		}
		if len(wanted) > 0 && len(all.Organizations) == 0 {
			answer(w, http.StatusNotFound, "no such organization\n")
			return
		}
		w.Header().Set("Content-Type", "application/json")
		encoder := json.NewEncoder(w)
		encoder.SetEscapeHTML(false)
		encoder.SetIndent("", "  ")
		// A client that has gone needs no answer.
		_ = encoder.Encode(all)
	}
}

// quotaDetail returns a line for each organization whose quota is without its store.
func quotaDetail(snapshots func() map[string]quota.Snapshot) string {
	if snapshots == nil {
		return ""
	}
	all := snapshots()
	var text strings.Builder
	for _, name := range slices.Sorted(maps.Keys(all)) {
		s, of := all[name].Store, ""
		if !s.Configured || s.Up {
			continue
		}
		if len(all) > 1 {
			of = " of " + name
		}
		fmt.Fprintf(&text, "quota%s: local share (1/%d), the store is away: %v\n", of, s.Replicas, s.Err)
	}
	return text.String()
}
