package telemetry

import (
	"strings"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"samsara.internal/gateway/upstream"
)

// operationLabel is the label of what is apart for each operation. It has the same value wherever it is: Service/Method,
// which names one operation only, because no two services of the API have the same name.
const operationLabel = "operation"

// passthroughName is the value of operationLabel for passthrough.
const passthroughName = "PassthroughService/Call"

// operationName returns the value of operationLabel for a full method, with a slash in front or without, or for the
// name of an upstream operation. A name that stands for several methods keeps its last part.
func operationName(name string) string {
	if name == upstream.PassthroughOperation {
		return passthroughName
	}
	service, method, _ := strings.Cut(strings.TrimPrefix(name, "/"), "/")
	if service == method {
		return method
	}
	return service[strings.LastIndexByte(service, '.')+1:] + "/" + method
}

// histogram returns the options of a histogram. It is native; buckets are the classic ones that it has beside.
func histogram(name, help string, buckets []float64) prometheus.HistogramOpts {
	return prometheus.HistogramOpts{
		Namespace: namespace, Name: name, Help: help, Buckets: buckets,
		// Two neighboring buckets differ by a tenth at most.
		NativeHistogramBucketFactor: 1.1, NativeHistogramMaxBucketNumber: 100, NativeHistogramMinResetDuration: time.Hour,
	}
}

// statusClass returns the class of an HTTP status. 401 and 429 have one of their own, because they speak of the token
// and not of the request.
func statusClass(status int) string {
	switch {
	case status == 401:
		return "401"
	case status == 429:
		return "429"
	case status >= 100 && status < 600:
		return statusClasses[status/100-1]
	default:
		return "none"
	}
}

// statusClasses are what statusClass returns.
var statusClasses = [...]string{"1xx", "2xx", "3xx", "4xx", "5xx", "401", "429", "none"} //nolint:gochecknoglobals // an array that does not change

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
