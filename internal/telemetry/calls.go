package telemetry

import (
	"maps"
	"slices"
	"sync/atomic"
	"time"

	"github.com/prometheus/client_golang/prometheus"
)

const (
	// MaxCallers is how many names of callers have series of their own. Further ones are counted under "other".
	MaxCallers = 50
	// maxCallerSeries is how many combinations of caller, organization and code have series of their own.
	maxCallerSeries = 1000
)

// The names of callers that stand for several, and of no organization.
const (
	otherCaller    = "other"
	unknownCaller  = "unknown"
	noOrganization = "none"
)

// Call is a gRPC call that has ended.
type Call struct {
	// Method is the full method, or one name that stands for every method that is not served.
	Method string
	// Caller is the policy's name of who called, empty if that is not known. Organization is empty if there is none.
	Caller, Organization string
	// Code is the name of the gRPC code, as codes.Code has it.
	Code string
	// Duration is the time of the call, without the time that its answer takes to the client.
	Duration time.Duration
	// TraceID is that of the trace that the call is sampled in, empty if it is in none. It becomes an exemplar.
	TraceID string
}

// calls counts and times gRPC calls: by operation, and by who called for which organization. Not by all of these
// together, so that the number of series is their sum.
type calls struct {
	total   *prometheus.CounterVec
	seconds *prometheus.HistogramVec

	callerTotal   *prometheus.CounterVec
	callerSeconds *prometheus.CounterVec

	ended    series[endKey, ended]
	byCaller series[callerKey, callerSeries]
	// known are the names of callers that have series of their own, and organizations those that there are: a caller
	// may ask for one that there is not.
	known, organizations atomic.Pointer[map[string]bool]
}

type endKey struct{ method, code string }

// ended are the series of an operation's calls that end with the same code.
type ended struct {
	total   prometheus.Counter
	seconds prometheus.ExemplarObserver
}

type callerKey struct{ caller, organization, code string }

// callerSeries are the series of a caller's calls for an organization.
type callerSeries struct{ total, seconds prometheus.Counter }

func newCalls(buckets []float64) *calls {
	c := &calls{
		total: prometheus.NewCounterVec(prometheus.CounterOpts{
			Namespace: namespace, Name: "calls_total", Help: "gRPC calls that have ended, by operation and code.",
		}, []string{operationLabel, "code"}),
		seconds: prometheus.NewHistogramVec(histogram("call_duration_seconds",
			"Time of gRPC calls by operation, without the time that the answer takes to the client.", buckets), []string{operationLabel}),
		callerTotal: prometheus.NewCounterVec(prometheus.CounterOpts{
			Namespace: namespace, Name: "caller_calls_total",
			Help: "gRPC calls that have ended, by the policy's name of who called, organization and code.",
		}, []string{"caller", organizationLabel, "code"}),
		callerSeconds: prometheus.NewCounterVec(prometheus.CounterOpts{
			Namespace: namespace, Name: "caller_call_seconds_total",
			Help: "Time of gRPC calls by the policy's name of who called, and organization.",
		}, []string{"caller", organizationLabel}),
	}
	c.known.Store(&map[string]bool{})
	c.organizations.Store(&map[string]bool{})
	c.ended.make = func(k endKey) ended {
		operation := operationName(k.method)
		seconds, _ := c.seconds.WithLabelValues(operation).(prometheus.ExemplarObserver) // as every histogram is
		return ended{c.total.WithLabelValues(operation, k.code), seconds}
	}
	ofCaller := func(k callerKey) callerSeries {
		return callerSeries{
			c.callerTotal.WithLabelValues(k.caller, k.organization, k.code),
			c.callerSeconds.WithLabelValues(k.caller, k.organization),
		}
	}
	c.byCaller.make, c.byCaller.most = ofCaller, maxCallerSeries
	c.byCaller.rest = func(k callerKey) callerSeries { return ofCaller(callerKey{otherCaller, k.organization, k.code}) }
	return c
}

// caller returns the value of the label caller.
func (c *calls) caller(name string) string {
	switch {
	case name == "":
		return unknownCaller
	case (*c.known.Load())[name]:
		return name
	default:
		return otherCaller
	}
}

// CallEnded counts and times a call.
func (m *Metrics) CallEnded(call Call) {
	c := m.calls
	byOperation := c.ended.of(endKey{call.Method, call.Code})
	byOperation.total.Inc()
	var exemplar prometheus.Labels
	if call.TraceID != "" {
		exemplar = prometheus.Labels{"trace_id": call.TraceID}
	}
	byOperation.seconds.ObserveWithExemplar(call.Duration.Seconds(), exemplar) // without one if it is nil
	if !(*c.organizations.Load())[call.Organization] {
		call.Organization = noOrganization
	}
	byCaller := c.byCaller.of(callerKey{c.caller(call.Caller), call.Organization, call.Code})
	byCaller.total.Inc()
	byCaller.seconds.Add(call.Duration.Seconds())
}

// Callers sets the names that have series of their own: the first MaxCallers of names. The names of before that are not
// among them go on as "other".
func (m *Metrics) Callers(names []string) {
	known := make(map[string]bool)
	for _, name := range names[:min(len(names), MaxCallers)] {
		known[name] = true
	}
	m.bearing.Lock()
	defer m.bearing.Unlock()
	gone := *m.calls.known.Swap(&known)
	for name := range gone {
		if !known[name] {
			m.calls.forget(func(k callerKey) bool { return k.caller == name }, prometheus.Labels{"caller": name})
		}
	}
	for organization := range *m.calls.organizations.Load() {
		m.calls.bear(organization)
	}
}

// serve notes that there is an organization, or that there is none of that name any more. Metrics.bearing is held.
func (c *calls) serve(organization string, is bool) {
	all := maps.Clone(*c.organizations.Load())
	if all[organization] = is; !is {
		delete(all, organization)
	}
	c.organizations.Store(&all)
}

// bear makes the series from zero of who may call for an organization. If there are many of both, only those who call
// have series.
func (c *calls) bear(organization string) {
	names := []string{unknownCaller, otherCaller}
	if known := *c.known.Load(); len(known)*len(*c.organizations.Load()) <= maxCallerSeries/4 {
		names = slices.AppendSeq(names, maps.Keys(known))
	}
	for _, name := range names {
		c.byCaller.of(callerKey{name, organization, "OK"})
	}
}

func (c *calls) forget(is func(callerKey) bool, labels prometheus.Labels) {
	c.byCaller.forget(is)
	c.callerTotal.DeletePartialMatch(labels)
	c.callerSeconds.DeletePartialMatch(labels)
}
