package service

import (
	"errors"
	"sync/atomic"
	"time"

	"samsara.internal/gateway/internal/endpoint"
	"samsara.internal/gateway/internal/feed"
	"samsara.internal/gateway/internal/tracing"
	"samsara.internal/gateway/upstream"
)

// operations are the operations that the methods ask the upstream for, resolved at start-up. They do not
// change.
type operations struct {
	endpoints []*endpoint.Endpoint
	of        map[*endpoint.Endpoint]operation
	// unknown is passthrough to no known operation.
	unknown *upstream.Operation
}

// operation is an endpoint in the forms in which it is asked: by its unary method, for the pages of
// its streams, and by passthrough.
type operation struct{ unary, pages, passthrough *upstream.Operation }

// newOperations resolves everything that can be asked of up. The error joins every operation that cannot be
// resolved.
func newOperations(up Upstream, endpoints []*endpoint.Endpoint) (operations, error) {
	o := operations{endpoints: endpoints, of: make(map[*endpoint.Endpoint]operation, len(endpoints))}
	var errs []error
	resolve := func(spec upstream.OperationSpec) *upstream.Operation {
		op, err := up.Operation(spec)
		errs = append(errs, err)
		return op
	}
	for _, e := range endpoints {
		made := operation{unary: resolve(upstream.OperationSpec{Endpoint: e})}
		if made.unary == nil {
			continue // Its other forms fail alike.
		}
		made.passthrough = resolve(upstream.OperationSpec{Endpoint: e, Passthrough: true})
		if len(e.Streams) > 0 {
			made.pages = resolve(upstream.OperationSpec{Endpoint: e, Pages: true})
		}
		o.of[e] = made
	}
	o.unknown = resolve(upstream.OperationSpec{Passthrough: true})
	return o, errors.Join(errs...)
}

// at returns the passthrough to the operation that an HTTP method and path match.
func (o operations) at(method, path string) *upstream.Operation {
	if e := endpoint.Find(o.endpoints, method, path); e != nil {
		return o.of[e].passthrough
	}
	return o.unknown
}

// handler answers the calls of every method. It is immutable and safe for concurrent use.
type handler struct {
	presenter
	observer        StreamObserver
	sandboxFaults   bool
	defaultDeadline time.Duration
	requestRoom
	// answering is how many unary calls are being answered.
	answering *atomic.Int64
	gate      *gate
	// required is told of a write before Samsara is asked, and must not fail; nil: nobody is.
	required Auditor
	feeds    *feed.Hub
	tracer   *tracing.Tracer
}
