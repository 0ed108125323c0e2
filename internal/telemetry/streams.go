package telemetry

import "github.com/prometheus/client_golang/prometheus"

// streams counts what streams of pages do. calls counts them too.
type streams struct {
	open      *prometheus.GaugeVec
	pages     *prometheus.CounterVec
	items     *prometheus.CounterVec
	readers   prometheus.Gauge
	outlasted *prometheus.CounterVec
	// sent are the series of pages and items by shape, which are looked up once: a page may be sent to thousands.
	sent map[bool]sent
}

type sent struct{ pages, items prometheus.Counter }

func newStreams() *streams {
	shape := []string{"shape"}
	s := &streams{
		open: prometheus.NewGaugeVec(prometheus.GaugeOpts{
			Namespace: namespace, Name: "open_streams", Help: "Streams of pages that run, by shape: pages or follow.",
		}, shape),
		pages: prometheus.NewCounterVec(prometheus.CounterOpts{
			Namespace: namespace, Name: "stream_pages_total", Help: "Pages sent on streams.",
		}, shape),
		items: prometheus.NewCounterVec(prometheus.CounterOpts{
			Namespace: namespace, Name: "stream_items_total", Help: "Records sent on streams.",
		}, shape),
		readers: prometheus.NewGauge(prometheus.GaugeOpts{
			Namespace: namespace, Name: "feed_readers",
			Help: "Chains of requests that read feeds; the streams of shape follow share them.",
		}),
		outlasted: prometheus.NewCounterVec(prometheus.CounterOpts{
			Namespace: namespace, Name: "feed_failures_outlasted_total",
			Help: "Requests of feed readers that failed without ending the streams, by gRPC code.",
		}, []string{"code"}),
		sent: make(map[bool]sent),
	}
	for _, follow := range []bool{false, true} {
		shape := shapeName(follow)
		s.sent[follow] = sent{s.pages.WithLabelValues(shape), s.items.WithLabelValues(shape)}
	}
	return s
}

func (s *streams) collectors() []prometheus.Collector {
	return []prometheus.Collector{s.open, s.pages, s.items, s.readers, s.outlasted}
}

func shapeName(follow bool) string {
	if follow {
		return "follow"
	}
	return "pages"
}

// OpenStreams counts streams of pages that begin, and those that end.
func (m *Metrics) OpenStreams(follow bool, delta int) {
	m.streams.open.WithLabelValues(shapeName(follow)).Add(float64(delta))
}

// PageSent counts a page and the records in it.
func (m *Metrics) PageSent(follow bool, items int64) {
	sent := m.streams.sent[follow]
	sent.pages.Inc()
	sent.items.Add(float64(items))
}

// FeedReaders counts readers of feeds that begin, and those that end.
func (m *Metrics) FeedReaders(delta int) { m.streams.readers.Add(float64(delta)) }

// FailureOutlasted counts a failure that does not end the streams of a feed's followers.
func (m *Metrics) FailureOutlasted(code string) {
	m.streams.outlasted.WithLabelValues(code).Inc()
}
