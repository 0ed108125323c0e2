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

	attempts map[string]prometheus.Counter // by status class
	seconds  prometheus.Observer
	// translation times what became of 2XX responses.
	translation prometheus.Observer
	reads       map[upstream.AnswerSource]prometheus.Counter
	drift       map[transcode.Kind]prometheus.Counter
}

var (
	_ upstream.Observer      = (*Organization)(nil)
	_ upstream.ReadObserver  = (*Organization)(nil)
	_ upstream.RetryObserver = (*Organization)(nil)
	_ quota.Observer         = (*Organization)(nil)
)

// attempts counts and times what is sent upstream: by organization and status class, and by operation.
type attempts struct {
	total   *prometheus.CounterVec
	seconds *prometheus.HistogramVec

	operationTotal   *prometheus.CounterVec
	operationSeconds *prometheus.CounterVec
	ofOperation      series[string, operationSeries]

	retries *prometheus.CounterVec
	refused *prometheus.CounterVec
	reads   *prometheus.CounterVec
}

// operationSeries are the series of an operation's attempts.
type operationSeries struct{ total, seconds prometheus.Counter }

func newAttempts(buckets []float64) *attempts {
	a := &attempts{
		total: prometheus.NewCounterVec(prometheus.CounterOpts{
			Namespace: namespace, Name: "upstream_attempts_total",
			Help: "HTTP attempts by status class; 401 and 429 are classes of their own; none: no response came.",
		}, []string{organizationLabel, "class"}),
		seconds: prometheus.NewHistogramVec(histogram("upstream_attempt_duration_seconds",
			"Time of HTTP attempts from connecting to the last byte.", buckets), []string{organizationLabel}),
		operationTotal: prometheus.NewCounterVec(prometheus.CounterOpts{
			Namespace: namespace, Name: "operation_upstream_attempts_total", Help: "HTTP attempts by operation.",
		}, []string{operationLabel}),
		operationSeconds: prometheus.NewCounterVec(prometheus.CounterOpts{
			Namespace: namespace, Name: "operation_upstream_seconds_total",
			Help: "Time of HTTP attempts from connecting to the last byte, by operation.",
		}, []string{operationLabel}),
		retries: prometheus.NewCounterVec(prometheus.CounterOpts{
			Namespace: namespace, Name: "upstream_retries_total",
			Help: "Attempts that were repeated, by the status class of the attempt before.",
		}, []string{organizationLabel, "class"}),
		refused: prometheus.NewCounterVec(prometheus.CounterOpts{
			Namespace: namespace, Name: "upstream_retries_refused_total",
			Help: "Attempts that failed by what may pass, and were not repeated, by why not.",
		}, []string{organizationLabel, "reason"}),
		reads: prometheus.NewCounterVec(prometheus.CounterOpts{
			Namespace: namespace, Name: "reads_total",
			Help: "Reads by where their answer came from: the upstream, a read of the same (shared), or the cache.",
		}, []string{organizationLabel, "source"}),
	}
	a.ofOperation.make = func(name string) operationSeries {
		operation := operationName(name)
		return operationSeries{a.operationTotal.WithLabelValues(operation), a.operationSeconds.WithLabelValues(operation)}
	}
	return a
}

// Of returns the metrics of an organization, whose name the operator has chosen. They are there from now on, from zero.
func (m *Metrics) Of(organization string) *Organization {
	m.bearing.Lock()
	defer m.bearing.Unlock()
	m.calls.serve(organization, true)
	o := &Organization{
		metrics: m, name: organization,
		attempts:    make(map[string]prometheus.Counter),
		seconds:     m.attempts.seconds.WithLabelValues(organization),
		translation: m.translation.WithLabelValues(organization),
		reads:       make(map[upstream.AnswerSource]prometheus.Counter),
		drift:       make(map[transcode.Kind]prometheus.Counter),
	}
	for _, class := range statusClasses {
		o.attempts[class] = m.attempts.total.WithLabelValues(organization, class)
	}
	for _, class := range []string{"401", "429", "5xx", "none"} {
		m.attempts.retries.WithLabelValues(organization, class)
	}
	for _, reason := range upstream.NotRepeatedReasons() {
		m.attempts.refused.WithLabelValues(organization, reason)
	}
	for _, source := range []upstream.AnswerSource{upstream.SourceUpstream, upstream.SourceShared, upstream.SourceCache} {
		o.reads[source] = m.attempts.reads.WithLabelValues(organization, sourceName(source))
	}
	for kind := transcode.Unknown; kind <= transcode.NoBody; kind++ {
		o.drift[kind] = m.drift.total.WithLabelValues(organization, kind.String())
	}
	m.quotas.bear(organization)
	m.calls.bear(organization)
	return o
}

// Forget removes the series of an organization that there is no more. What is counted for it afterwards makes them
// anew, from zero.
func (m *Metrics) Forget(organization string) {
	m.bearing.Lock()
	defer m.bearing.Unlock()
	m.calls.serve(organization, false)
	labels := prometheus.Labels{organizationLabel: organization}
	m.calls.forget(func(k callerKey) bool { return k.organization == organization }, labels)
	m.drift.byField.forget(func(k driftKey) bool { return k.organization == organization })
	for _, vec := range m.ofOrganization {
		vec.DeletePartialMatch(labels)
	}
}

// ObserveAttempt counts and times an HTTP attempt.
func (o *Organization) ObserveAttempt(_ context.Context, a upstream.Attempt) {
	o.attempts[statusClass(a.Status)].Inc()
	seconds := a.Duration.Seconds()
	o.seconds.Observe(seconds)
	if a.Translation > 0 {
		o.translation.Observe(a.Translation.Seconds())
	}
	ofOperation := o.metrics.attempts.ofOperation.of(a.Operation)
	ofOperation.total.Inc()
	ofOperation.seconds.Add(seconds)
}

// ObserveRetry counts an attempt that is repeated, or is not.
func (o *Organization) ObserveRetry(_ context.Context, r upstream.Retry) {
	if r.Refused != "" {
		o.metrics.attempts.refused.WithLabelValues(o.name, r.Refused).Inc()
		return
	}
	o.metrics.attempts.retries.WithLabelValues(o.name, statusClass(r.Status)).Inc()
}

// ObserveRead counts a read.
func (o *Organization) ObserveRead(_ context.Context, r upstream.Read) { o.reads[r.Source].Inc() }
