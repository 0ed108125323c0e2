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
		}, []string{organizationLabel, "kind", "priority"}),
		refused: prometheus.NewCounterVec(prometheus.CounterOpts{
			Namespace: namespace, Name: "quota_refusals_total",
			Help: "Attempts that were not admitted, by the kind of budget that held them up, by priority and by reason. " +
				"wait: it would have been too long; queue: too many attempts wait; " +
				"gone: the call ended while it waited; closed: the gateway stops.",
		}, []string{organizationLabel, "kind", "priority", "reason"}),
	}
}

func (q *quotas) collectors() []prometheus.Collector {
	return []prometheus.Collector{q.waited, q.refused}
}

// Admitted times an attempt that waited. WatchQuota counts admissions.
func (o *Organization) Admitted(a quota.Admission) {
	if a.Budget != "" {
		o.metrics.quotas.waited.WithLabelValues(o.name, budgetKind(a.Budget), priorityName(a.From)).Observe(a.Waited.Seconds())
	}
}

// Refused counts an attempt that was not admitted.
func (o *Organization) Refused(_ string, from identity.Identity, err error) {
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
	o.metrics.quotas.refused.WithLabelValues(o.name, kind, priorityName(from), reason).Inc()
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

// WatchQuota adds the metrics of the budgets that snapshots returns by the name of their organization, and of the store
// of each if there is one. snapshots is called once a scrape, concurrently. WatchQuota must be called at most once; the
// error says that it was not.
func (m *Metrics) WatchQuota(snapshots func() map[string]quota.Snapshot) error {
	var w watch
	ofBudget := func(name, help string) *prometheus.Desc {
		return w.desc("quota_"+name, help, organizationLabel, "budget")
	}
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
		up        = w.desc("quota_store_up", "1 if the store of the quota answers, 0 if a local share is used instead.", organizationLabel)
		replicas  = w.desc("quota_store_replicas", "Processes that share the quota, as last seen.", organizationLabel)
		lost      = w.desc("quota_store_lost_total", "How often the store was lost.", organizationLabel)
	)
	w.read = func(out chan<- prometheus.Metric) {
		for organization, s := range snapshots() {
			for _, b := range s.Budgets {
				if b.Limit != (quota.Limit{}) {
					out <- gauge(limit, float64(b.Limit.Requests), organization, b.Name)
					out <- gauge(window, b.Limit.Window.Seconds(), organization, b.Name)
					out <- gauge(effective, b.Effective, organization, b.Name)
					out <- gauge(used, float64(b.Used), organization, b.Name)
				}
				out <- gauge(waiting, float64(b.Waiting), organization, b.Name)
				out <- gauge(oldest, b.Oldest.Seconds(), organization, b.Name)
				out <- gauge(paused, max(0, time.Until(b.PausedUntil)).Seconds(), organization, b.Name)
				out <- counter(admitted, b.Admitted, organization, b.Name)
				out <- counter(throttled, b.Throttled, organization, b.Name)
			}
			if s.Store.Configured {
				out <- gauge(up, truth(s.Store.Up), organization)
				out <- gauge(replicas, float64(s.Store.Replicas), organization)
				out <- counter(lost, s.Store.Lost, organization)
			}
		}
	}
	return m.registry.Register(&w)
}
