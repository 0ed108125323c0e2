package telemetry

import (
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"samsara.internal/gateway/internal/reload"
)

// Certificate says when a certificate expires.
type Certificate struct {
	// Name is server, client_ca or admin.
	Name string
	// NotAfter is when the certificate expires; if there are several, when the last of them does.
	NotAfter time.Time
}

// WatchFiles adds the metrics of the files whose states the function states returns. states is called
// once a scrape, concurrently. WatchFiles must be called at most once; the error says that it was not.
func (m *Metrics) WatchFiles(states func() []reload.State) error {
	var w watch
	var (
		looks  = w.desc("file_looks_total", "Looks at the file by result: changed and taken up, unchanged, or failed.", "file", "result")
		failed = w.desc("file_consecutive_failures", "Looks that have failed since the last one that did not; "+
			"meanwhile the last good content stays in use.", "file")
		changed = w.desc("file_changed_timestamp_seconds", "Unix time at which the content in use was taken up.", "file")
		good    = w.desc("file_good_timestamp_seconds", "Unix time at which the file was last found good.", "file")
	)
	w.read = func(out chan<- prometheus.Metric) {
		for _, s := range states() {
			out <- counter(looks, s.Changed, s.Name, "changed")
			out <- counter(looks, s.Unchanged, s.Name, "unchanged")
			out <- counter(looks, s.Failed, s.Name, "failed")
			out <- gauge(failed, float64(s.FailedInARow), s.Name)
			out <- gauge(changed, unixSeconds(s.Taken), s.Name)
			out <- gauge(good, unixSeconds(s.Good), s.Name)
		}
	}
	return m.registry.Register(&w)
}

// WatchCertificates adds the metric of the dates at which the certificates in use expire. dates is called
// once a scrape, concurrently. WatchCertificates must be called at most once; the error says that it was
// not.
func (m *Metrics) WatchCertificates(dates func() []Certificate) error {
	var w watch
	notAfter := w.desc("certificate_not_after_timestamp_seconds", "Unix time at which the certificate in use expires; "+
		"server: the gateway's own; client_ca: the clients' authority that expires last; admin: the admin address's.", "certificate")
	w.read = func(out chan<- prometheus.Metric) {
		for _, c := range dates() {
			out <- gauge(notAfter, unixSeconds(c.NotAfter), c.Name)
		}
	}
	return m.registry.Register(&w)
}

func unixSeconds(t time.Time) float64 { return float64(t.UnixMilli()) / 1000 }
