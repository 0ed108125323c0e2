package telemetry

import (
	"github.com/prometheus/client_golang/prometheus"

	"samsara.internal/gateway/upstream"
)

// Upstream is what WatchUpstream reads; *upstream.Client is one. Its methods are called
// concurrently.
type Upstream interface {
	// InFlightBytes is the memory of response bodies and messages under way.
	InFlightBytes() int64
	// CachedBytes is the memory of cached responses.
	CachedBytes() int64
	Circuit() upstream.Circuit
}

var _ Upstream = (*upstream.Client)(nil)

// WatchUpstream adds the gauges of memory and of the circuit breaker, which are read at each
// scrape. It must be called once at most; the error says that it was not.
func (m *Metrics) WatchUpstream(u Upstream) error {
	var w watch
	inFlight := w.desc("in_flight_bytes", "Memory of response bodies and messages that are under way.")
	cached := w.desc("cached_bytes", "Memory of cached responses.")
	circuit := w.desc("upstream_circuit", "1 for the state of the circuit breaker, 0 for the others; "+
		"open: no attempts are made, half_open: few, closed: all.", "state")
	w.read = func(out chan<- prometheus.Metric) {
		out <- gauge(inFlight, float64(u.InFlightBytes()))
		out <- gauge(cached, float64(u.CachedBytes()))
		state := u.Circuit()
		out <- gauge(circuit, truth(state == upstream.CircuitClosed), "closed")
		out <- gauge(circuit, truth(state == upstream.CircuitHalfOpen), "half_open")
		out <- gauge(circuit, truth(state == upstream.CircuitOpen), "open")
	}
	return m.registry.Register(&w)
}

// WatchCalls adds the metrics of the bound on calls, which read returns at each scrape: how many run,
// how many may, and how many have been refused. WatchCalls must be called once at most; the error
// says that it was not.
func (m *Metrics) WatchCalls(read func() (running, limit int64, refused uint64)) error {
	var w watch
	runs := w.desc("running_calls", "gRPC calls that run, without those of grpc's own services.")
	may := w.desc("running_calls_limit", "gRPC calls that may run at one time.")
	past := w.desc("refused_calls_total", "gRPC calls that were refused because as many ran as may.")
	w.read = func(out chan<- prometheus.Metric) {
		running, limit, refused := read()
		out <- gauge(runs, float64(running))
		out <- gauge(may, float64(limit))
		out <- counter(past, refused)
	}
	return m.registry.Register(&w)
}

// watch is a collector of metrics that are read at each scrape.
type watch struct {
	descs []*prometheus.Desc
	// read writes the present metrics. It is called concurrently.
	read func(out chan<- prometheus.Metric)
}

// desc describes one of the metrics.
func (w *watch) desc(name, help string, labels ...string) *prometheus.Desc {
	d := prometheus.NewDesc(prometheus.BuildFQName(namespace, "", name), help, labels, nil)
	w.descs = append(w.descs, d)
	return d
}

// Describe implements prometheus.Collector.
func (w *watch) Describe(out chan<- *prometheus.Desc) {
	for _, d := range w.descs {
		out <- d
	}
}

// Collect implements prometheus.Collector.
func (w *watch) Collect(out chan<- prometheus.Metric) { w.read(out) }

func gauge(d *prometheus.Desc, value float64, labels ...string) prometheus.Metric {
	return prometheus.MustNewConstMetric(d, prometheus.GaugeValue, value, labels...)
}

func counter(d *prometheus.Desc, value uint64, labels ...string) prometheus.Metric {
	return prometheus.MustNewConstMetric(d, prometheus.CounterValue, float64(value), labels...)
}

func truth(is bool) float64 {
	if is {
		return 1
	}
	return 0
}
