// Package telemetry keeps the gateway's metrics.
//
// Metrics counts gRPC calls that have ended, is an observer of package upstream, service and quota, and
// the handler of /metrics. What has a state of its own, such as a quota or a lease.Pool, is read at
// each scrape: the methods that begin with Watch add it.
//
// # Guarantees
//
//   - The metrics live in a registry of their own. Nothing is added to the default one of Prometheus.
//   - The number of series is bounded, whatever callers and the upstream send: labels hold names from
//     the API surface and of the operator's files, status classes and codes, and nothing of a request or
//     an answer. A member of a response that its descriptor does not have is counted under *, drift beyond
//     MaxDriftSeries under "other", and callers beyond MaxCallers too. What has the label operation has
//     neither organization nor caller, so that the series are a sum, not a product; only drift has both.
//   - The label operation has the same values wherever it is.
//   - The counters of an organization are there, from 0, from when Of is called.
//   - At most 4 scrapes are answered at one time.
//   - Metrics is safe for concurrent use. Each Watch method must be called once at most, and says so
//     by its error.
//
// # Invariants
//
// A name, label or unit of a metric is a contract with operators: docs/metrics.md lists each of them,
// and a test compares the two. A label whose values are not bounded by the API surface needs a bound
// in its series. series.mu guards the series that there are. The package has no goroutine.
//
// The package and package service do not know each other: cmd/gateway brings them together.
//
// # Files
//
// In the order in which they are to be read: telemetry, organization, calls, drift, streams, quota, files, watch, names, series.
package telemetry
