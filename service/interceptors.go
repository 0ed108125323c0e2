package service

import (
	"context"
	"math/rand/v2"
	"strconv"
	"sync/atomic"
	"time"

	"github.com/grpc-ecosystem/go-grpc-middleware/v2/interceptors/recovery"
	"google.golang.org/genproto/googleapis/rpc/errdetails"
	"google.golang.org/grpc"
	"google.golang.org/protobuf/types/known/durationpb"

	apiv1 "samsara.internal/gateway/gen/api/v1"
	"samsara.internal/gateway/internal/endpoint"
	"samsara.internal/gateway/internal/tracing"
	"samsara.internal/gateway/upstream"
)

// unaryInterceptors returns the chain of unary calls, outermost first. It is short because every interceptor
// costs each call an allocation and a deeper stack.
func (c Config) unaryInterceptors(e *edge) []grpc.UnaryServerInterceptor {
	// Outermost, so that not even a panic in an interceptor ends the process.
	chain := []grpc.UnaryServerInterceptor{recovery.UnaryServerInterceptor(e.recovered())}
	// Telemetry sees every call, refused ones too, with the code that the caller sees.
	chain = append(chain, c.UnaryInterceptors...)
	// Innermost, so that all of the above see a panic as the error it becomes.
	return append(chain, e.unary)
}

// streamInterceptors returns the chain of streams, outermost first, in the order and for the reasons of
// unaryInterceptors. Streams have no default deadline, because they may be endless.
func (c Config) streamInterceptors(e *edge) []grpc.StreamServerInterceptor {
	chain := []grpc.StreamServerInterceptor{recovery.StreamServerInterceptor(e.recovered()), e.served.rename}
	chain = append(chain, c.StreamInterceptors...)
	return append(chain, e.stream)
}

// edge is where a call leaves the interceptors for its handler. It bounds the time of a call and how many
// run, turns the outcome, a panic included, into what the caller sees, and logs that. One edge serves all calls.
type edge struct {
	presenter
	served          methods
	defaultDeadline time.Duration
	finished        func(ctx context.Context, f *Finished)
	access          AccessLog
	slowCall        time.Duration
	calls           calls
	organizations   Organizations
	gate            *gate
	streams         *streams
	// audit is nil if nobody is told.
	audit Auditor
	// tracer is nil if there are no spans.
	tracer *tracing.Tracer
}

func newEdge(c Config, organizations Organizations, stopping context.Context) *edge {
	g := newGate(c)
	return &edge{
		presenter: presenter{c.Logger}, served: make(methods), defaultDeadline: c.DefaultDeadline,
		calls:         calls{limit: int64(c.MaxConcurrentCalls)},
		finished:      c.Finished,
		access:        c.Access,
		slowCall:      c.SlowCall,
		organizations: organizations,
		gate:          g,
		audit:         c.Audit,
		tracer:        c.Tracer,
		streams:       &streams{gate: g, age: c.MaxConnectionAge, stopping: stopping, open: make(map[*openStream]struct{})},
	}
}

// admit notes who makes a call and for which organization, and returns an error if it may not be made. leave is to be
// called when a call that may be made has ended; the line of any call is to be released when it has.
func (e *edge) admit(ctx context.Context, line *logLine, stream bool) (leave func(), err error) {
	if err := checkMetadata(ctx); err != nil {
		line.refused = true
		return nil, err
	}
	leave = func() {}
	if isAlwaysOpen(line.method) {
		return leave, nil
	}
	isOpen := e.gate.isOpen()
	if !isOpen {
		if err = e.learn(ctx, line); err != nil {
			line.refused = true
			return nil, err
		}
	}
	if e.enters(line.method) {
		err = e.enterOrganization(ctx, line)
	} else {
		line.access.organization, _ = e.chosen(ctx)
	}
	if err == nil && !isOpen {
		line.access, err = e.gate.decide(line.access.caller, line.method, line.access.organization)
		if err == nil {
			leave, err = e.gate.meet(ctx, &line.access, stream)
		}
	}
	line.refused = err != nil || line.refused
	return leave, err
}

// learn notes who makes a call.
func (e *edge) learn(ctx context.Context, line *logLine) error {
	from, err := connectionOf(ctx)
	if err == nil {
		line.access.caller, err = e.gate.learn(ctx, from, authorization(ctx), line.start)
	}
	return err
}

// refuse ends a call beyond the limit, before its request is read. Calls of grpc's own services are neither
// counted nor refused: a probe must not fail because there are many callers.
func (e *edge) refuse(ctx context.Context, line *logLine) error {
	err := e.calls.overloaded()
	if e.served[line.method] {
		err = ofWrite(err)
	}
	line.refused = true
	_ = grpc.SetTrailer(ctx, line.trailer(err)) // It fails only if the caller is gone.
	line.finish(ctx, err)
	return err
}

func (e *edge) unary(ctx context.Context, req any, info *grpc.UnaryServerInfo, handler grpc.UnaryHandler) (resp any, err error) {
	line := e.newLogLine(ctx, info.FullMethod)
	ctx = line.trace(ctx)
	if !isGRPCs(info.FullMethod) {
		if !e.calls.enter() {
			return nil, e.refuse(ctx, line)
		}
		defer e.calls.leave()
	}
	ctx = context.WithValue(ctx, logLineKey{}, line)
	defer func() {
		if cause := recover(); cause != nil {
			resp, err = nil, e.panicked(ctx, cause)
		}
		err = e.present(ctx, err)
		writes := e.served[info.FullMethod] && !line.reads
		if err != nil && writes {
			err = ofWrite(err)
		}
		e.record(ctx, line, writes, err)
		if err != nil {
			_ = grpc.SetTrailer(ctx, line.trailer(err)) // It fails only if the caller is gone.
		}
		line.finish(ctx, err)
	}()
	// A call that is over before it begins has no effect.
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	defer line.release()
	leave, err := e.admit(ctx, line, false)
	if err != nil {
		return nil, err
	}
	defer leave()
	if _, ok := ctx.Deadline(); ok {
		return handler(ctx, req)
	}
	bounded, cancel := context.WithTimeout(ctx, e.defaultDeadline)
	defer cancel()
	return handler(bounded, req)
}

func (e *edge) stream(srv any, ss grpc.ServerStream, info *grpc.StreamServerInfo, handler grpc.StreamHandler) (err error) {
	line := e.newLogLine(ss.Context(), info.FullMethod)
	ctx := line.trace(ss.Context())
	line.refused = info.FullMethod == unknownName
	if !isGRPCs(info.FullMethod) {
		if !e.calls.enter() {
			return e.refuse(ctx, line)
		}
		defer e.calls.leave()
	}
	ctx = context.WithValue(ctx, logLineKey{}, line)
	defer func() {
		if cause := recover(); cause != nil {
			err = e.panicked(ctx, cause)
		}
		if err = e.present(ctx, err); err != nil {
			ss.SetTrailer(line.trailer(err))
		}
		e.record(ctx, line, false, err)
		line.finish(ctx, err)
	}()
	defer line.release()
	leave, err := e.admit(ctx, line, true)
	if err != nil {
		return err
	}
	defer leave()
	from, err := connectionOf(ctx)
	if err != nil {
		return err
	}
	line.stream = &openStream{method: info.FullMethod, from: from, authorization: authorization(ctx), access: line.access}
	defer e.streams.enter(line.stream)()
	if o := line.organization; o != nil {
		defer context.AfterFunc(o.ending, func() { line.stream.end(removed()) })()
	}
	if !isGRPCs(info.FullMethod) {
		return handler(srv, contextStream{ss, ctx}) // Streams of pages end by themselves, after a page.
	}
	// A graceful stop waits for streams, and a health watch would keep it waiting for ever.
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	defer context.AfterFunc(line.stream.ending, cancel)()
	err = handler(srv, contextStream{ss, ctx})
	if denied := line.stream.denied(); denied != nil {
		return denied
	}
	return err
}

// contextStream is a stream with a context of its own.
type contextStream struct {
	grpc.ServerStream
	ctx context.Context //nolint:containedctx // grpc.ServerStream hands its context out by a method
}

// Context implements grpc.ServerStream.
func (s contextStream) Context() context.Context { return s.ctx }

// calls bounds the calls that run at one time, on all connections together. It is safe for
// concurrent use.
type calls struct {
	limit   int64
	running atomic.Int64
	refused atomic.Uint64
}

// enter reports whether one more call may run. That call must then leave.
func (c *calls) enter() bool {
	if c.running.Add(1) <= c.limit {
		return true
	}
	c.running.Add(-1)
	c.refused.Add(1)
	return false
}

func (c *calls) leave() { c.running.Add(-1) }

// overloadDelay is the least time after which a client may call again that was refused because too many calls
// run. A random time of up to as much is added, so that such clients do not come back together.
const overloadDelay = time.Second

// overloaded returns the error of a call beyond the limit.
func (c *calls) overloaded() error {
	facts := upstream.Facts{apiv1.ErrorInfoKey_ERROR_INFO_KEY_LIMIT: strconv.FormatInt(c.limit, 10)}
	wait := overloadDelay + rand.N(overloadDelay) //nolint:gosec // it spreads load and keeps nothing secret
	return newError(apiv1.Reason_REASON_GATEWAY_TOO_MANY_CALLS, "too many calls at one time", facts, &errdetails.RetryInfo{RetryDelay: durationpb.New(wait)})
}

// unknownName stands for the name of every method that is not served, in logs and metrics, so that
// callers cannot make new series.
const unknownName = "/unknown/unknown"

// methods has the full name of every method that is served, and whether it writes: whether its HTTP method is
// not GET. Passthrough counts as a write until its request is read and says GET. methods does not change once
// the server serves.
type methods map[string]bool

func (m methods) add(service *grpc.ServiceDesc) {
	for _, method := range service.Methods {
		m["/"+service.ServiceName+"/"+method.MethodName] = false
	}
	for _, stream := range service.Streams {
		m["/"+service.ServiceName+"/"+stream.StreamName] = false
	}
}

// addWrites sets which methods of endpoints and passthrough write. The methods must have been added.
func (m methods) addWrites(endpoints []*endpoint.Endpoint) {
	for _, e := range endpoints {
		m[e.FullMethod] = e.HTTPMethod != methodGet
	}
	if _, served := m[apiv1.PassthroughService_Call_FullMethodName]; served {
		m[apiv1.PassthroughService_Call_FullMethodName] = true
	}
}

// rename gives a method that is not served the unknown name for the interceptors that follow. Grpc calls the
// interceptors of streams for such a method, with information that they may change.
func (m methods) rename(srv any, ss grpc.ServerStream, info *grpc.StreamServerInfo, handler grpc.StreamHandler) error {
	if _, ok := m[info.FullMethod]; !ok {
		info.FullMethod = unknownName
	}
	return handler(srv, ss)
}

// unknownMethod answers calls of methods that are not served.
func unknownMethod(_ any, ss grpc.ServerStream) error {
	method, _ := grpc.MethodFromServerStream(ss)
	return newError(apiv1.Reason_REASON_REQUEST_METHOD_UNKNOWN, "method "+strconv.Quote(clip(method, 256))+": is not served", nil)
}
