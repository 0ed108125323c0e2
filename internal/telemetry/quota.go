package telemetry

import (
	"errors"
	"strings"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"samsara.internal/gateway/internal/identity"
	"samsara.internal/gateway/internal/quota"
)

// quotas counts how the quota treats attempts. WatchQuota reads the state of the budgets.
type quotas struct {
	waited  *prometheus.HistogramVec
	refused *prometheus.CounterVec
}

func newQuotas() *quotas {
	return &quotas{
		waited: prometheus.NewHistogramVec(prometheus.HistogramOpts{
			Namespace: namespace, Name: "quota_wait_seconds",
			Help: "Time that admitted attempts waited, in seconds, by the kind of budget that held them up and by priority; " +
				"attempts that went through without a queue or a store are left out.",
			Buckets: []float64{.001, .0025, .005, .01, .025, .05, .1, .25, .5, 1, 2.5, 5, 10, 30},
		}, []string{"kind", "priority"}),
		refused: prometheus.NewCounterVec(prometheus.CounterOpts{
			Namespace: namespace, Name: "quota_refusals_total",
			Help: "Attempts that were not admitted, by the kind of budget that held them up, by priority and by reason. " +
				"wait: it would have been too long; queue: too many attempts wait; " +
				"gone: the call ended while it waited; closed: the gateway stops.",
		}, []string{"kind", "priority", "reason"}),
	}
}

func (q *quotas) collectors() []prometheus.Collector {
	return []prometheus.Collector{q.waited, q.refused}
}

// Admitted times an attempt that waited. WatchQuota counts admissions.
func (m *Metrics) Admitted(a quota.Admission) {
	if a.Budget != "" {
		m.quotas.waited.WithLabelValues(budgetKind(a.Budget), priorityName(a.From)).Observe(a.Waited.Seconds())
	}
}

// Refused counts an attempt that was not admitted.
func (m *Metrics) Refused(_ string, from identity.Identity, err error) {
	kind, reason := "none", "gone"
	var refused *quota.RefusedError
	switch {
	case errors.As(err, &refused):
		kind, reason = budgetKind(refused.Budget), "wait"
		if refused.Queue {
			reason = "queue"
		}
	case errors.Is(err, quota.ErrClosed):
		reason = "closed"
	}
	m.quotas.refused.WithLabelValues(kind, priorityName(from), reason).Inc()
}

// budgetKind returns token, organization or operation.
func budgetKind(budget string) string {
	kind, _, _ := strings.Cut(budget, ":")
	return kind
}

func priorityName(from identity.Identity) string {
	if from.Batch {
		return "batch"
	}
	return "interactive"
}

// WatchQuota adds the metrics of the budgets that snapshot returns, and of the store if there is one.
// snapshot is called once a scrape, concurrently. WatchQuota must be called at most once; the error
// says that it was not.
func (m *Metrics) WatchQuota(snapshot func() quota.Snapshot) error {
	var w watch
	ofBudget := func(name, help string) *prometheus.Desc { return w.desc("quota_"+name, help, "budget") }
	var (
		limit     = ofBudget("limit_requests", "Requests that the budget allows in its window, as configured.")
		window    = ofBudget("window_seconds", "Length of the budget's window in seconds.")
		effective = ofBudget("effective_requests", "Requests that the budget admits now in its window, on average: fewer by the margin, after 429s, and without the store.")
		used      = ofBudget("used_requests", "Requests of this process that were admitted in the last window.")
		waiting   = ofBudget("waiting_requests", "Requests of this process that wait, for the quota or before a further attempt.")
		oldest    = ofBudget("oldest_wait_seconds", "Longest wait so far of the requests that the budget itself holds up, in seconds.")
		paused    = ofBudget("paused_seconds", "Time until the budget's pause ends, in seconds.")
		admitted  = ofBudget("admitted_total", "Requests of this process that were admitted.")
		throttled = ofBudget("throttled_total", "429 responses to this process.")
		up        = w.desc("quota_store_up", "1 if the store of the quota answers, 0 if a local share is used instead.")
		replicas  = w.desc("quota_store_replicas", "Processes that share the quota, as last seen.")
		lost      = w.desc("quota_store_lost_total", "How often the store was lost.")
	)
	w.read = func(out chan<- prometheus.Metric) {
		s := snapshot()
		for _, b := range s.Budgets {
			if b.Limit != (quota.Limit{}) {
				out <- gauge(limit, float64(b.Limit.Requests), b.Name)
				out <- gauge(window, b.Limit.Window.Seconds(), b.Name)
				out <- gauge(effective, b.Effective, b.Name)
				out <- gauge(used, float64(b.Used), b.Name)
			}
			out <- gauge(waiting, float64(b.Waiting), b.Name)
			out <- gauge(oldest, b.Oldest.Seconds(), b.Name)
			out <- gauge(paused, max(0, time.Until(b.PausedUntil)).Seconds(), b.Name)
			out <- counter(admitted, b.Admitted, b.Name)
			out <- counter(throttled, b.Throttled, b.Name)
		}
		if s.Store.Configured {
			out <- gauge(up, truth(s.Store.Up))
			out <- gauge(replicas, float64(s.Store.Replicas))
			out <- counter(lost, s.Store.Lost)
		}
	}
	return m.registry.Register(&w)
}
