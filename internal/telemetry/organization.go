package telemetry

import (
	"context"

	"github.com/prometheus/client_golang/prometheus"

	"samsara.internal/gateway/internal/quota"
	"samsara.internal/gateway/internal/transcode"
	"samsara.internal/gateway/upstream"
)

// organizationLabel is the label of what is apart for each organization.
const organizationLabel = "organization"

// Organization counts what is done for one organization. It is safe for concurrent use.
type Organization struct {
	metrics *Metrics
	name    string
}

var (
	_ upstream.Observer     = (*Organization)(nil)
	_ upstream.ReadObserver = (*Organization)(nil)
	_ quota.Observer        = (*Organization)(nil)
)

// Of returns the metrics of an organization, whose name the operator has chosen.
func (m *Metrics) Of(organization string) *Organization { return &Organization{m, organization} }

// Forget removes the series of an organization that there is no more. What is counted for it afterwards makes them
// anew, from zero.
func (m *Metrics) Forget(organization string) {
	m.attempts.forget(func(k attemptKey) bool { return k.organization == organization })
	m.reads.forget(func(k readKey) bool { return k.organization == organization })
	m.drift.forget(func(k driftKey) bool { return k.organization == organization })
	for _, vec := range m.ofOrganization {
		vec.DeletePartialMatch(prometheus.Labels{organizationLabel: organization})
	}
}

// ObserveAttempt counts and times an HTTP attempt.
func (o *Organization) ObserveAttempt(_ context.Context, a upstream.Attempt) {
	series := o.metrics.attempts.of(attemptKey{o.name, a.Method, a.Template, statusClass(a.Status)})
	series.total.Inc()
	series.seconds.Observe(a.Duration.Seconds())
}

// ObserveRead counts a read.
func (o *Organization) ObserveRead(_ context.Context, r upstream.Read) {
	o.metrics.reads.of(readKey{o.name, r.Template, r.Source}).Inc()
}

// Drift counts the findings of one response to a gRPC method.
func (o *Organization) Drift(method string, findings []transcode.Finding) {
	for _, f := range findings {
		if f.Foreign {
			f.Member = foreignMember
		}
		o.metrics.drift.of(driftKey{o.name, method, f.Message, f.Member, f.Kind}).Add(float64(f.Count))
	}
}
