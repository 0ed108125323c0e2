package telemetry

import (
	"github.com/prometheus/client_golang/prometheus"

	"samsara.internal/gateway/internal/transcode"
)

// MaxDriftSeries is how many combinations of organization, operation, field and kind have series of their own for
// drift. Later combinations are counted under the operation and field "other" of their organization.
const MaxDriftSeries = 250

// foreignMember stands for members that the descriptor does not know. The upstream chooses their names,
// which may hold anything.
const foreignMember = "*"

// drift counts how responses differ from the API document: by kind, and by the field where that is.
type drift struct {
	total   *prometheus.CounterVec
	fields  *prometheus.CounterVec
	byField series[driftKey, prometheus.Counter]
}

type driftKey struct {
	organization, method, message, member string
	kind                                  transcode.Kind
}

func newDrift() *drift {
	d := &drift{
		total: prometheus.NewCounterVec(prometheus.CounterOpts{
			Namespace: namespace, Name: "response_drift_total",
			Help: "Values that differ from what the API document declares, by kind.",
		}, []string{organizationLabel, "kind"}),
		fields: prometheus.NewCounterVec(prometheus.CounterOpts{
			Namespace: namespace, Name: "response_drift_fields_total",
			Help: "Values that differ from what the API document declares, by operation and field.",
		}, []string{organizationLabel, operationLabel, "field", "kind"}),
	}
	d.byField.make = func(k driftKey) prometheus.Counter {
		return d.fields.WithLabelValues(k.organization, operationName(k.method), k.message+"."+k.member, k.kind.String())
	}
	d.byField.most = MaxDriftSeries
	d.byField.rest = func(k driftKey) prometheus.Counter {
		return d.fields.WithLabelValues(k.organization, "other", "other", k.kind.String())
	}
	return d
}

// Drift counts the findings of one response to a gRPC method.
func (o *Organization) Drift(method string, findings []transcode.Finding) {
	for _, f := range findings {
		if f.Foreign {
			f.Member = foreignMember
		}
		o.drift[f.Kind].Add(float64(f.Count))
		o.metrics.drift.byField.of(driftKey{o.name, method, f.Message, f.Member, f.Kind}).Add(float64(f.Count))
	}
}
