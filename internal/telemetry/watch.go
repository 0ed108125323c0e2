package telemetry

import (
	"cmp"
	"slices"

	"github.com/prometheus/client_golang/prometheus"

	"samsara.internal/gateway/internal/feed"
	"samsara.internal/gateway/internal/lease"
	"samsara.internal/gateway/upstream"
)

// Memory is what WatchMemory reads; *lease.Pool is one. Its methods are called concurrently.
type Memory interface {
	// Limit returns how many bytes there are, Used how many are held, and Unconnected how many of these for no
	// client in particular.
	Limit() int64
	Used() int64
	Unconnected() int64
	// Waiting returns how many wait for bytes.
	Waiting() int64
	// Closed returns how many connections were closed because others waited.
	Closed() uint64
}

var _ Memory = (*lease.Pool)(nil)

// WatchMemory adds the metrics of the memory of answers that are under way and of requests that are being read: who
// holds it, how much there is, who waits for it, and the connections that were closed for it. WatchMemory must be
// called at most once; the error says that it was not.
func (m *Metrics) WatchMemory(answers, requests Memory) error {
	var w watch
	held := w.desc("memory_bytes", "Memory by who holds it. clients: answers on their way to one client; "+
		"shared: answers and pages that are read for several; requests: requests that are being read.", "holder")
	limit := w.desc("memory_limit_bytes", "Memory that there is: of answers, for the holders clients and shared, and of requests.", "pool")
	waiting := w.desc("memory_waiting", "Answers and requests that wait for memory.", "pool")
	closed := w.desc("connections_closed_total", "Connections of clients that were closed because they "+
		"made no progress, and others needed the memory that they held.")
	w.read = func(out chan<- prometheus.Metric) {
		shared := answers.Unconnected()
		out <- gauge(held, float64(max(0, answers.Used()-shared)), "clients")
		out <- gauge(held, float64(shared), "shared")
		out <- gauge(held, float64(requests.Used()), "requests")
		for name, pool := range map[string]Memory{"answers": answers, "requests": requests} {
			out <- gauge(limit, float64(pool.Limit()), name)
			out <- gauge(waiting, float64(pool.Waiting()), name)
		}
		out <- counter(closed, answers.Closed()+requests.Closed())
	}
	return m.registry.Register(&w)
}

// maxFeeds is how many feeds show their lag at a time, those first that are furthest behind.
const maxFeeds = 100

// WatchFeeds adds the metrics of the feeds that are followed. lags is called once a scrape, concurrently; the tenants in
// it are names of organizations. WatchFeeds must be called at most once; the error says that it was not.
func (m *Metrics) WatchFeeds(lags func() []feed.Lag) error {
	var w watch
	behind := w.desc("feed_lag_seconds", "Longest time since a reader of the feed last had everything that there was, or began to read; "+
		"the 100 feeds that are furthest behind.", organizationLabel, operationLabel)
	followers := w.desc("feed_followers", "Streams that share the readers of feeds.")
	w.read = func(out chan<- prometheus.Metric) {
		all, total := lags(), 0
		slices.SortFunc(all, func(a, b feed.Lag) int { return cmp.Compare(b.Behind, a.Behind) })
		for i, lag := range all {
			total += lag.Followers
			if i < maxFeeds {
				out <- gauge(behind, lag.Behind.Seconds(), lag.Tenant, operationName(lag.Operation))
			}
		}
		out <- gauge(followers, float64(total))
	}
	return m.registry.Register(&w)
}

// Upstream is what WatchUpstreams reads; *upstream.Client is one. Its methods are called
// concurrently.
type Upstream interface {
	// CachedBytes returns the memory of cached responses.
	CachedBytes() int64
	// Circuit returns the circuit of the host, OpenCircuits how many others are not closed.
	Circuit() upstream.Circuit
	OpenCircuits() int
}

var _ Upstream = (*upstream.Client)(nil)

// WatchUpstreams adds the gauges of the caches and of the circuit breakers of upstreams by the name of their
// organization, which are read at each scrape. all is called once a scrape, concurrently. The circuits of operations and callers are only counted, because callers name themselves.
// WatchUpstreams must be called at most once; the error says that it was not.
func (m *Metrics) WatchUpstreams(all func() map[string]Upstream) error {
	var w watch
	cached := w.desc("cached_bytes", "Memory of cached responses.", organizationLabel)
	circuit := w.desc("upstream_circuit", "1 for the state of the host's circuit breaker, 0 for the others; "+
		"open: no attempts are made, half_open: few, closed: all.", organizationLabel, "state")
	others := w.desc("upstream_open_circuits", "Circuit breakers of an operation for a caller that are not closed.", organizationLabel)
	w.read = func(out chan<- prometheus.Metric) {
		for organization, u := range all() {
			out <- gauge(cached, float64(u.CachedBytes()), organization)
			state := u.Circuit()
			out <- gauge(circuit, truth(state == upstream.CircuitClosed), organization, "closed")
			out <- gauge(circuit, truth(state == upstream.CircuitHalfOpen), organization, "half_open")
			out <- gauge(circuit, truth(state == upstream.CircuitOpen), organization, "open")
			out <- gauge(others, float64(u.OpenCircuits()), organization)
		}
	}
	return m.registry.Register(&w)
}

// WatchAudit adds the counter of the lines of the audit log, by whether they were written. read is called once a scrape,
// concurrently. WatchAudit must be called at most once; the error says that it was not.
func (m *Metrics) WatchAudit(read func() (written, failed uint64)) error {
	var w watch
	lines := w.desc("audit_lines_total", "Lines of the audit log by result: written, or failed.", "result")
	w.read = func(out chan<- prometheus.Metric) {
		written, failed := read()
		out <- counter(lines, written, "written")
		out <- counter(lines, failed, "failed")
	}
	return m.registry.Register(&w)
}

// WatchConnections adds the metrics of the bound on connections: how many are open, how many may be, and how many were
// closed as they came. read is called once a scrape, concurrently. WatchConnections must be called at most once; the
// error says that it was not.
func (m *Metrics) WatchConnections(read func() (open, limit int64, refused uint64)) error {
	var w watch
	are := w.desc("connections", "Connections of gRPC clients that are open.")
	may := w.desc("connections_limit", "Connections of gRPC clients that may be open at one time.")
	past := w.desc("connections_refused_total", "Connections of gRPC clients that were closed as they came, because connections was at its limit.")
	w.read = func(out chan<- prometheus.Metric) {
		open, limit, refused := read()
		out <- gauge(are, float64(open))
		out <- gauge(may, float64(limit))
		out <- counter(past, refused)
	}
	return m.registry.Register(&w)
}

// WatchCalls adds the metrics of the bound on calls: how many run, how many may, and how many were
// refused. read is called once a scrape, concurrently. WatchCalls must be called at most once; the
// error says that it was not.
func (m *Metrics) WatchCalls(read func() (running, limit int64, refused uint64)) error {
	var w watch
	runs := w.desc("running_calls", "gRPC calls that run, without those of grpc's own services.")
	may := w.desc("running_calls_limit", "gRPC calls that may run at one time.")
	past := w.desc("refused_calls_total", "gRPC calls that were refused because running_calls was at its limit.")
	w.read = func(out chan<- prometheus.Metric) {
		running, limit, refused := read()
		out <- gauge(runs, float64(running))
		out <- gauge(may, float64(limit))
		out <- counter(past, refused)
	}
	return m.registry.Register(&w)
}

// watch collects metrics that are read at each scrape.
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
