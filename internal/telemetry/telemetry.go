package telemetry

import (
	"fmt"
	"log/slog"
	"net/http"
	"sync"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"
	"github.com/prometheus/client_golang/prometheus/promhttp"
)

// namespace is the prefix of the gateway's own metrics.
const namespace = "samsara_gateway"

// maxScrapes bounds how many scrapes are answered at a time.
const maxScrapes = 4

// Build is what the build metric says of the binary.
type Build struct{ Version, GoVersion, Revision, APIDocument string }

// Options are what Metrics are made from.
type Options struct {
	Build Build
	// Buckets are the upper bounds of the classic buckets that histograms have beside the native ones, in seconds and
	// rising. None: Prometheus must scrape native histograms, or knows only count and sum.
	Buckets []float64
}

// Metrics keeps the gateway's metrics. It is safe for concurrent use.
type Metrics struct {
	registry *prometheus.Registry
	calls    *calls
	streams  *streams
	quotas   *quotas
	attempts *attempts
	drift    *drift
	// translation is the time from the last byte of an answer to its message, by organization.
	translation *prometheus.HistogramVec
	// ofOrganization are the metrics that have the label organization, of those that are counted as it happens.
	ofOrganization []*prometheus.MetricVec

	// bearing is held while series are made before there is something to count, and while they are removed.
	bearing sync.Mutex
}

// New returns metrics that count from zero. The error means that two metrics clash.
func New(options Options) (*Metrics, error) {
	build, buckets := options.Build, options.Buckets
	info := prometheus.NewGauge(prometheus.GaugeOpts{
		Namespace: namespace, Name: "build_info", Help: "Always 1; its labels say what runs.",
		ConstLabels: prometheus.Labels{
			"version": build.Version, "goversion": build.GoVersion,
			"revision": build.Revision, "api_document": build.APIDocument,
		},
	})
	info.Set(1)
	m := &Metrics{
		registry: prometheus.NewRegistry(),
		calls:    newCalls(buckets),
		streams:  newStreams(),
		quotas:   newQuotas(buckets),
		attempts: newAttempts(buckets),
		drift:    newDrift(),
		translation: prometheus.NewHistogramVec(histogram("translation_duration_seconds",
			"Time that answers of the upstream took to become messages.", buckets), []string{organizationLabel}),
	}
	a, q := m.attempts, m.quotas
	m.ofOrganization = []*prometheus.MetricVec{
		a.total.MetricVec, a.seconds.MetricVec, a.retries.MetricVec, a.refused.MetricVec, a.reads.MetricVec,
		q.waited.MetricVec, q.refused.MetricVec, m.drift.total.MetricVec, m.drift.fields.MetricVec, m.translation.MetricVec,
	}
	for _, c := range append(append(m.streams.collectors(), q.collectors()...),
		collectors.NewGoCollector(),
		collectors.NewProcessCollector(collectors.ProcessCollectorOpts{}),
		info, m.calls.total, m.calls.seconds, m.calls.callerTotal, m.calls.callerSeconds,
		a.total, a.seconds, a.operationTotal, a.operationSeconds, a.retries, a.refused, a.reads,
		m.drift.total, m.drift.fields, m.translation,
	) {
		if err := m.registry.Register(c); err != nil {
			return nil, err
		}
	}
	return m, nil
}

// Handler serves the metrics in the formats of Prometheus. It logs what goes wrong.
func (m *Metrics) Handler(log *slog.Logger) http.Handler {
	return promhttp.HandlerFor(m.registry, promhttp.HandlerOpts{
		ErrorLog:            scrapeErrors{log},
		MaxRequestsInFlight: maxScrapes,
	})
}

// scrapeErrors logs what goes wrong when metrics are served, under one message.
type scrapeErrors struct{ log *slog.Logger }

// Println implements promhttp.Logger.
func (s scrapeErrors) Println(v ...any) {
	s.log.Warn("metrics cannot be served", "error", fmt.Sprint(v...))
}
