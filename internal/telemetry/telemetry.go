// Package telemetry keeps the gateway's metrics.
//
// They live in a registry of their own. The number of series is bounded whatever the upstream
// sends: labels hold names from the API surface, status classes, and at most MaxDriftSeries
// names from the upstream. No label holds a path, a query, an id or a token.
package telemetry

import (
	"context"
	"log/slog"
	"net/http"
	"strconv"
	"sync"

	grpcprom "github.com/grpc-ecosystem/go-grpc-middleware/providers/prometheus"
	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"
	"github.com/prometheus/client_golang/prometheus/promhttp"
	"google.golang.org/grpc"

	"samsara.internal/gateway/internal/transcode"
	"samsara.internal/gateway/upstream"
)

// MaxDriftSeries is how many combinations of method, field and kind drift is counted by. What
// comes after is counted under the method and field "other".
const MaxDriftSeries = 1000

// maxScrapes bounds how many scrapes are answered at a time.
const maxScrapes = 4

// Build is what the build metric says of the binary.
type Build struct{ Version, GoVersion, Revision, APIDocument string }

// Metrics are the gateway's metrics. It is safe for concurrent use.
type Metrics struct {
	registry *prometheus.Registry
	server   *grpcprom.ServerMetrics
	attempts *prometheus.CounterVec
	duration *prometheus.HistogramVec
	drift    *prometheus.CounterVec

	mu     sync.Mutex
	series map[driftKey]struct{} // guarded by mu
}

var _ upstream.Observer = (*Metrics)(nil)

type driftKey struct {
	method, field string
	kind          transcode.Kind
}

// New returns metrics that count from zero. The error means that two metrics clash.
func New(build Build) (*Metrics, error) {
	const namespace = "samsara_gateway"
	seconds := []float64{.005, .01, .025, .05, .1, .25, .5, 1, 2.5, 5, 10, 30, 95}
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
		server:   grpcprom.NewServerMetrics(grpcprom.WithServerHandlingTimeHistogram(grpcprom.WithHistogramBuckets(seconds))),
		attempts: prometheus.NewCounterVec(prometheus.CounterOpts{
			Namespace: namespace, Name: "upstream_attempts_total",
			Help: "HTTP attempts by method, path template and status class; class none: no response came.",
		}, []string{"method", "template", "class"}),
		duration: prometheus.NewHistogramVec(prometheus.HistogramOpts{
			Namespace: namespace, Name: "upstream_attempt_duration_seconds",
			Help:    "Time of HTTP attempts from connecting to the last byte.",
			Buckets: seconds,
		}, []string{"method", "template"}),
		drift: prometheus.NewCounterVec(prometheus.CounterOpts{
			Namespace: namespace, Name: "response_drift_total",
			Help: "Values that differ from what the API document declares.",
		}, []string{"grpc_method", "field", "kind"}),
		series: make(map[driftKey]struct{}),
	}
	for _, c := range []prometheus.Collector{
		collectors.NewGoCollector(),
		collectors.NewProcessCollector(collectors.ProcessCollectorOpts{}),
		info, m.server, m.attempts, m.duration, m.drift,
	} {
		if err := m.registry.Register(c); err != nil {
			return nil, err
		}
	}
	return m, nil
}

// UnaryInterceptor counts and times unary calls.
func (m *Metrics) UnaryInterceptor() grpc.UnaryServerInterceptor {
	return m.server.UnaryServerInterceptor()
}

// StreamInterceptor counts and times streams.
func (m *Metrics) StreamInterceptor() grpc.StreamServerInterceptor {
	return m.server.StreamServerInterceptor()
}

// ObserveAttempt counts and times an HTTP attempt.
func (m *Metrics) ObserveAttempt(_ context.Context, a upstream.Attempt) {
	m.attempts.WithLabelValues(a.Method, a.Template, statusClass(a.Status)).Inc()
	m.duration.WithLabelValues(a.Method, a.Template).Observe(a.Duration.Seconds())
}

// Drift counts the findings of one response to a gRPC method.
func (m *Metrics) Drift(method string, findings []transcode.Finding) {
	for _, f := range findings {
		key := m.bounded(driftKey{method, f.Message + "." + f.Member, f.Kind})
		m.drift.WithLabelValues(key.method, key.field, kindName(key.kind)).Add(float64(f.Count))
	}
}

// bounded returns key while there is room for it, and afterwards one that stands for the rest.
func (m *Metrics) bounded(key driftKey) driftKey {
	m.mu.Lock()
	defer m.mu.Unlock()
	if _, ok := m.series[key]; ok {
		return key
	}
	if len(m.series) >= MaxDriftSeries {
		return driftKey{"other", "other", key.kind}
	}
	m.series[key] = struct{}{}
	return key
}

// Handler serves the metrics in the formats of Prometheus. What goes wrong in it is logged.
func (m *Metrics) Handler(log *slog.Logger) http.Handler {
	return promhttp.HandlerFor(m.registry, promhttp.HandlerOpts{
		ErrorLog:            slog.NewLogLogger(log.Handler(), slog.LevelWarn),
		MaxRequestsInFlight: maxScrapes,
	})
}

func statusClass(status int) string {
	if status < 100 || status > 599 {
		return "none"
	}
	return strconv.Itoa(status/100) + "xx"
}

func kindName(k transcode.Kind) string {
	switch k {
	case transcode.Unknown:
		return "unknown"
	case transcode.Coerced:
		return "coerced"
	case transcode.Mismatch:
		return "mismatch"
	case transcode.Duplicate:
		return "duplicate"
	case transcode.InvalidText:
		return "invalid_text"
	case transcode.TooDeep:
		return "too_deep"
	default:
		return "other"
	}
}
