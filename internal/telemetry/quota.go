package telemetry

import (
	"cmp"
	"errors"
	"slices"
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

func newQuotas(buckets []float64) *quotas {
	return &quotas{
		waited: prometheus.NewHistogramVec(histogram("quota_wait_seconds",
			"Time that admitted attempts waited, in seconds, by the kind of budget that held them up and by priority; "+
				"attempts that went through without a queue or a store are left out.", buckets),
			[]string{organizationLabel, "kind", "priority"}),
		refused: prometheus.NewCounterVec(prometheus.CounterOpts{
			Namespace: namespace, Name: "quota_refusals_total",
			Help: "Attempts that were not admitted, by the kind of budget that held them up, by priority and by reason. " +
				"wait: it would have been too long; queue: too many attempts wait; " +
				"gone: the call ended while it waited; closed: the gateway stops.",
		}, []string{organizationLabel, "kind", "priority", "reason"}),
	}
}

// bear makes the series of an organization from zero.
func (q *quotas) bear(organization string) {
	for _, priority := range []string{priorityName(identity.Identity{}), priorityName(identity.Identity{Batch: true})} {
		for _, kind := range []string{quota.TokenBudget, quota.OrganizationBudget, operationKind} {
			q.refused.WithLabelValues(organization, kind, priority, "wait")
			q.refused.WithLabelValues(organization, kind, priority, "queue")
		}
		q.refused.WithLabelValues(organization, "none", priority, "gone")
		q.refused.WithLabelValues(organization, "none", priority, "closed")
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

// operationKind is the kind of the budgets of operations.
const operationKind = "operation"

// maxBudgets is how many budgets of operations an organization shows at a time: those that hold something up, or that
// Samsara has throttled.
const maxBudgets = 20

// budgetKind returns token, organization or operation.
func budgetKind(budget string) string {
	kind, _, _ := strings.Cut(budget, ":")
	return kind
}

// budgetOperation returns the value of operationLabel for a budget, empty if it is none of an operation.
func budgetOperation(budget string) string {
	if _, operation, found := strings.Cut(budget, ":"); found {
		return operationName(operation)
	}
	return ""
}

func priorityName(from identity.Identity) string {
	if from.Batch {
		return "batch"
	}
	return "interactive"
}

// shown returns the budgets that have metrics: the token's, the organization's, and of those of operations the ones
// that hold something up now or that were throttled, the longest queues first.
func shown(all []quota.BudgetState) []quota.BudgetState {
	var of, operations []quota.BudgetState
	for _, b := range all {
		switch {
		case budgetKind(b.Name) != operationKind:
			of = append(of, b)
		case b.Waiting > 0 || b.Throttled > 0 || time.Until(b.PausedUntil) > 0:
			operations = append(operations, b)
		}
	}
	slices.SortStableFunc(operations, func(a, b quota.BudgetState) int {
		return cmp.Or(cmp.Compare(b.Waiting, a.Waiting), cmp.Compare(b.Throttled, a.Throttled))
	})
	return append(of, operations[:min(len(operations), maxBudgets)]...)
}

// WatchQuota adds the metrics of the budgets that snapshots returns by the name of their organization, and of the store
// of each if there is one. snapshots is called once a scrape, concurrently. WatchQuota must be called at most once; the
// error says that it was not.
func (m *Metrics) WatchQuota(snapshots func() map[string]quota.Snapshot) error {
	var w watch
	ofBudget := func(name, help string) *prometheus.Desc {
		return w.desc("quota_"+name, help, organizationLabel, "budget", operationLabel)
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
			for _, b := range shown(s.Budgets) {
				kind, operation := budgetKind(b.Name), budgetOperation(b.Name)
				if b.Limit != (quota.Limit{}) {
					out <- gauge(limit, float64(b.Limit.Requests), organization, kind, operation)
					out <- gauge(window, b.Limit.Window.Seconds(), organization, kind, operation)
					out <- gauge(effective, b.Effective, organization, kind, operation)
					out <- gauge(used, float64(b.Used), organization, kind, operation)
				}
				out <- gauge(waiting, float64(b.Waiting), organization, kind, operation)
				out <- gauge(oldest, b.Oldest.Seconds(), organization, kind, operation)
				out <- gauge(paused, max(0, time.Until(b.PausedUntil)).Seconds(), organization, kind, operation)
				out <- counter(admitted, b.Admitted, organization, kind, operation)
				out <- counter(throttled, b.Throttled, organization, kind, operation)
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
