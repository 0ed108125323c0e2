package telemetry

import (
	"context"
	"strings"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"google.golang.org/grpc"
	"google.golang.org/grpc/status"
)

// calls counts and times gRPC calls. Its metrics have the names and labels of those of
// go-grpc-middleware, which there are dashboards for. The metrics of single messages are left out,
// because unary calls have one of each.
type calls struct {
	started *prometheus.CounterVec
	handled *prometheus.CounterVec
	seconds *prometheus.HistogramVec

	begun series[callKey, begun]
	ended series[endKey, prometheus.Counter]
}

type callKey struct{ fullMethod, kind string }

type endKey struct {
	callKey
	code string
}

// begun are the series that every call of a method has.
type begun struct {
	started prometheus.Counter
	seconds prometheus.Observer
}

// The kinds of methods, values of the label grpc_type.
const (
	unary        = "unary"
	clientStream = "client_stream"
	serverStream = "server_stream"
	bidiStream   = "bidi_stream"
)

func newCalls(buckets []float64) *calls {
	labels := []string{"grpc_type", "grpc_service", "grpc_method"}
	c := &calls{
		started: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "grpc_server_started_total", Help: "gRPC calls begun.",
		}, labels),
		handled: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "grpc_server_handled_total", Help: "gRPC calls ended, by code.",
		}, append(labels[:3:3], "grpc_code")),
		seconds: prometheus.NewHistogramVec(prometheus.HistogramOpts{
			Name: "grpc_server_handling_seconds", Help: "Time of gRPC calls.", Buckets: buckets,
		}, labels),
	}
	c.begun.make = func(k callKey) begun {
		service, method := k.names()
		return begun{
			started: c.started.WithLabelValues(k.kind, service, method),
			seconds: c.seconds.WithLabelValues(k.kind, service, method),
		}
	}
	c.ended.make = func(k endKey) prometheus.Counter {
		service, method := k.names()
		return c.handled.WithLabelValues(k.kind, service, method, k.code)
	}
	return c
}

// names returns the service and the method of "/service/method".
func (k callKey) names() (service, method string) {
	service, method, _ = strings.Cut(strings.TrimPrefix(k.fullMethod, "/"), "/")
	return service, method
}

// count counts and times a call.
func (c *calls) count(key callKey, call func() error) {
	series := c.begun.of(key)
	series.started.Inc()
	start := time.Now()
	err := call()
	series.seconds.Observe(time.Since(start).Seconds())
	c.ended.of(endKey{key, status.Code(err).String()}).Inc()
}

func (c *calls) unary(ctx context.Context, req any, info *grpc.UnaryServerInfo, handler grpc.UnaryHandler) (resp any, err error) {
	c.count(callKey{info.FullMethod, unary}, func() error {
		resp, err = handler(ctx, req)
		return err
	})
	return resp, err
}

func (c *calls) stream(srv any, ss grpc.ServerStream, info *grpc.StreamServerInfo, handler grpc.StreamHandler) (err error) {
	kind := bidiStream
	switch {
	case !info.IsClientStream:
		kind = serverStream
	case !info.IsServerStream:
		kind = clientStream
	}
	c.count(callKey{info.FullMethod, kind}, func() error {
		err = handler(srv, ss)
		return err
	})
	return err
}
