package admin

import (
	"encoding/json"
	"fmt"
	"net/http"
	"time"

	"samsara.internal/gateway/internal/quota"
)

// QuotaPath is the path that answers with the state of the quota, as the JSON of a Quota.
const QuotaPath = "/quota"

// Quota is the state of the quota at the time of the request.
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

// serveQuota answers with the state that snapshot returns.
func serveQuota(snapshot func() quota.Snapshot) http.HandlerFunc {
	return func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "application/json")
		encoder := json.NewEncoder(w)
		encoder.SetEscapeHTML(false)
		encoder.SetIndent("", "  ")
		// A client that has gone needs no answer.
		_ = encoder.Encode(newQuota(snapshot()))
	}
}

// quotaDetail returns a line if the store of the quota is away, else nothing.
func quotaDetail(snapshot func() quota.Snapshot) string {
	if snapshot == nil {
		return ""
	}
	s := snapshot().Store
	if !s.Configured || s.Up {
		return ""
	}
	return fmt.Sprintf("quota: local share (1/%d), the store is away: %v\n", s.Replicas, s.Err)
}
