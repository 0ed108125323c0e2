// Package telemetry keeps the gateway's metrics.
//
// They live in a registry of their own. The number of series is bounded whatever callers and the
// upstream send: labels hold names from the API surface, status classes and codes, and nothing of a
// request or an answer. What a response has that its descriptor does not is counted under *.
package telemetry

import (
	"context"
	"fmt"
	"log/slog"
	"net/http"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"
	"github.com/prometheus/client_golang/prometheus/promhttp"
	"google.golang.org/grpc"

	"samsara.internal/gateway/internal/quota"
	"samsara.internal/gateway/internal/transcode"
	"samsara.internal/gateway/upstream"
)

// MaxDriftSeries is how many combinations of method, field and kind have series of their own for drift.
// Later combinations are counted under the method and field "other".
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
}

var (
	_ upstream.Observer     = (*Metrics)(nil)
	_ upstream.ReadObserver = (*Metrics)(nil)
	_ quota.Observer        = (*Metrics)(nil)
)

type attemptKey struct{ method, template, class string }

// attempts are the series of an operation's attempts whose statuses have the same class.
type attempts struct {
	total   prometheus.Counter
	seconds prometheus.Observer
}

type readKey struct {
	template string
	source   upstream.Source
}

type driftKey struct {
	method, message, member string
	kind                    transcode.Kind
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
	}, []string{"method", "template", "class"})
	duration := prometheus.NewHistogramVec(prometheus.HistogramOpts{
		Namespace: namespace, Name: "upstream_attempt_duration_seconds",
		Help:    "Time of HTTP attempts from connecting to the last byte.",
		Buckets: seconds,
	}, []string{"method", "template"})
	reads := prometheus.NewCounterVec(prometheus.CounterOpts{
		Namespace: namespace, Name: "reads_total",
		Help: "Reads by path template and where their answer came from: the upstream, a read of the same (shared), or the cache.",
	}, []string{"template", "source"})
	drift := prometheus.NewCounterVec(prometheus.CounterOpts{
		Namespace: namespace, Name: "response_drift_total",
		Help: "Values that differ from what the API document declares.",
	}, []string{"grpc_method", "field", "kind"})
	m := &Metrics{
		registry: prometheus.NewRegistry(),
		calls:    newCalls(seconds),
		streams:  newStreams(),
		quotas:   newQuotas(),
		attempts: &series[attemptKey, attempts]{make: func(k attemptKey) attempts {
			return attempts{total.WithLabelValues(k.method, k.template, k.class), duration.WithLabelValues(k.method, k.template)}
		}},
		reads: &series[readKey, prometheus.Counter]{make: func(k readKey) prometheus.Counter {
			return reads.WithLabelValues(k.template, sourceName(k.source))
		}},
		drift: &series[driftKey, prometheus.Counter]{
			make: func(k driftKey) prometheus.Counter {
				return drift.WithLabelValues(k.method, k.message+"."+k.member, k.kind.String())
			},
			most: MaxDriftSeries,
			rest: func(k driftKey) prometheus.Counter {
				return drift.WithLabelValues("other", "other", k.kind.String())
			},
		},
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

// ObserveAttempt counts and times an HTTP attempt.
func (m *Metrics) ObserveAttempt(_ context.Context, a upstream.Attempt) {
	series := m.attempts.of(attemptKey{a.Method, a.Template, statusClass(a.Status)})
	series.total.Inc()
	series.seconds.Observe(a.Duration.Seconds())
}

// ObserveRead counts a read.
func (m *Metrics) ObserveRead(_ context.Context, r upstream.Read) {
	m.reads.of(readKey{r.Template, r.Source}).Inc()
}

// Drift counts the findings of one response to a gRPC method.
func (m *Metrics) Drift(method string, findings []transcode.Finding) {
	for _, f := range findings {
		if f.Foreign {
			f.Member = foreignMember
		}
		m.drift.of(driftKey{method, f.Message, f.Member, f.Kind}).Add(float64(f.Count))
	}
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

func sourceName(s upstream.Source) string {
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
