package telemetry

import (
	"fmt"
	"log/slog"
	"net/http"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"
	"github.com/prometheus/client_golang/prometheus/promhttp"
	"google.golang.org/grpc"

	"samsara.internal/gateway/internal/transcode"
	"samsara.internal/gateway/upstream"
)

// MaxDriftSeries is how many combinations of method, field and kind have series of their own for drift.
// Later combinations are counted under the method and field "other" of their organization.
const MaxDriftSeries = 1000

// foreignMember stands for members that the descriptor does not know. The upstream chooses their names,
// which may hold anything.
const foreignMember = "*"

// namespace is the prefix of the gateway's own metrics.
const namespace = "samsara_gateway"

// maxScrapes bounds how many scrapes are answered at a time.
const maxScrapes = 4

// Build is what the build metric says of the binary.
type Build struct{ Version, GoVersion, Revision, APIDocument string }

// Metrics keeps the gateway's metrics. It is safe for concurrent use.
type Metrics struct {
	registry *prometheus.Registry
	calls    *calls
	streams  *streams
	quotas   *quotas
	attempts *series[attemptKey, attempts]
	reads    *series[readKey, prometheus.Counter]
	drift    *series[driftKey, prometheus.Counter]
	// ofOrganization are the metrics that have the label organization, of those that are counted as it happens.
	ofOrganization []*prometheus.MetricVec
}

type attemptKey struct{ organization, method, template, class string }

// attempts are the series of an operation's attempts whose statuses have the same class.
type attempts struct {
	total   prometheus.Counter
	seconds prometheus.Observer
}

type readKey struct {
	organization, template string
	source                 upstream.AnswerSource
}

type driftKey struct {
	organization, method, message, member string
	kind                                  transcode.Kind
}

// New returns metrics that count from zero. The error means that two metrics clash.
func New(build Build) (*Metrics, error) {
	seconds := []float64{.005, .01, .025, .05, .1, .25, .5, 1, 2.5, 5, 10, 30, 95}
	info := prometheus.NewGauge(prometheus.GaugeOpts{
		Namespace: namespace, Name: "build_info", Help: "Always 1; its labels say what runs.",
		ConstLabels: prometheus.Labels{
			"version": build.Version, "goversion": build.GoVersion,
			"revision": build.Revision, "api_document": build.APIDocument,
		},
	})
	info.Set(1)
	total := prometheus.NewCounterVec(prometheus.CounterOpts{
		Namespace: namespace, Name: "upstream_attempts_total",
		Help: "HTTP attempts by method, path template and status class; class none: no response came.",
	}, []string{organizationLabel, "method", "template", "class"})
	duration := prometheus.NewHistogramVec(prometheus.HistogramOpts{
		Namespace: namespace, Name: "upstream_attempt_duration_seconds",
		Help:    "Time of HTTP attempts from connecting to the last byte.",
		Buckets: seconds,
	}, []string{organizationLabel, "method", "template"})
	reads := prometheus.NewCounterVec(prometheus.CounterOpts{
		Namespace: namespace, Name: "reads_total",
		Help: "Reads by path template and where their answer came from: the upstream, a read of the same (shared), or the cache.",
	}, []string{organizationLabel, "template", "source"})
	drift := prometheus.NewCounterVec(prometheus.CounterOpts{
		Namespace: namespace, Name: "response_drift_total",
		Help: "Values that differ from what the API document declares.",
	}, []string{organizationLabel, "grpc_method", "field", "kind"})
	m := &Metrics{
		registry: prometheus.NewRegistry(),
		calls:    newCalls(seconds),
		streams:  newStreams(),
		quotas:   newQuotas(),
		attempts: &series[attemptKey, attempts]{make: func(k attemptKey) attempts {
			return attempts{
				total.WithLabelValues(k.organization, k.method, k.template, k.class),
				duration.WithLabelValues(k.organization, k.method, k.template),
			}
		}},
		reads: &series[readKey, prometheus.Counter]{make: func(k readKey) prometheus.Counter {
			return reads.WithLabelValues(k.organization, k.template, sourceName(k.source))
		}},
		drift: &series[driftKey, prometheus.Counter]{
			make: func(k driftKey) prometheus.Counter {
				return drift.WithLabelValues(k.organization, k.method, k.message+"."+k.member, k.kind.String())
			},
			most: MaxDriftSeries,
			rest: func(k driftKey) prometheus.Counter {
				return drift.WithLabelValues(k.organization, "other", "other", k.kind.String())
			},
		},
	}
	m.ofOrganization = []*prometheus.MetricVec{
		total.MetricVec, duration.MetricVec, reads.MetricVec, drift.MetricVec, m.quotas.waited.MetricVec, m.quotas.refused.MetricVec,
	}
	for _, c := range append(append(m.streams.collectors(), m.quotas.collectors()...),
		collectors.NewGoCollector(),
		collectors.NewProcessCollector(collectors.ProcessCollectorOpts{}),
		info, m.calls.started, m.calls.handled, m.calls.seconds, total, duration, reads, drift,
	) {
		if err := m.registry.Register(c); err != nil {
			return nil, err
		}
	}
	return m, nil
}

// UnaryInterceptor counts and times unary calls.
func (m *Metrics) UnaryInterceptor() grpc.UnaryServerInterceptor { return m.calls.unary }

// StreamInterceptor counts and times streams.
func (m *Metrics) StreamInterceptor() grpc.StreamServerInterceptor { return m.calls.stream }

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

func statusClass(status int) string {
	switch status / 100 {
	case 1:
		return "1xx"
	case 2:
		return "2xx"
	case 3:
		return "3xx"
	case 4:
		return "4xx"
	case 5:
		return "5xx"
	default:
		return "none"
	}
}

func sourceName(s upstream.AnswerSource) string {
	switch s {
	case upstream.SourceShared:
		return "shared"
	case upstream.SourceCache:
		return "cache"
	case upstream.SourceUpstream:
		return "upstream"
	default:
		return "unknown"
	}
}
