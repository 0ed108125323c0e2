// Package service is the gRPC side of the gateway. It serves every operation of the REST API as
// a unary method, and its pages as streams where it has any, from descriptors and annotations
// alone, together with health, reflection, channelz and, where it is wanted, PassthroughService.
//
// # Guarantees
//
// A call reaches the upstream only when its message could be read, every argument is in order
// and its deadline has not passed. What the upstream answers goes out as it was decoded, without
// another copy. Nothing that fails, panics included, takes the server down or tells the caller
// more than a status: errors of package upstream and of this package carry an ErrorInfo; any other
// error is logged and appears as Internal with the message "internal error".
//
// Grpc itself answers, without an ErrorInfo, to a request message that is too large, also once it
// is decompressed, or malformed, and to none or a second one (INTERNAL): such a call is logged and
// counted as others are. It also turns away what it cannot make a call of, and these are neither
// logged nor counted: an encoding other than gzip (UNIMPLEMENTED), metadata above 64 KiB, binary
// metadata or a grpc-timeout that is malformed, a path without a method, a deadline that has passed.
//
// Requests may be compressed with gzip. Answers are compressed if the request was.
//
// A call beyond Config.MaxConcurrentCalls is refused before its request is read:
//
//	TOO_MANY_CALLS      RESOURCE_EXHAUSTED, with the limit in the metadata and a RetryInfo.
//
// One of a method that is not served is counted as /unknown/unknown, whatever it is called:
//
//	METHOD_UNKNOWN      UNIMPLEMENTED
//
// In the log these two are "call refused".
//
// # Memory
//
// A client holds what is on its way to it, and what it has not sent of a request, by its connection.
// How much of Config.Answers and Config.Requests it may hold, what it waits for, and when its
// connection is closed because others need that memory, are the rules of package lease. Answers are
// compressed if the request was, up to 64 KiB, and while the client shows that it reads; a stream
// goes out as its first message does.
//
// # Streams
//
// A StreamX method sends every page of a list in order, and ends with OK after the one that says
// that none follows, or after as much as the options ask for. Empty pages are passed over; one
// that is the last for the options' sake is sent for the sake of its cursor. The next page is
// fetched while one is being sent: two of them exist at most, however slowly the client reads.
//
// A FollowX method goes on after the last page. Where nothing is new it asks again after the
// poll interval and up to a tenth more; nothing new means that the page is empty, that its
// cursor is the one it was asked for with, or that no page follows. What has its request and
// metadata in common is read once for all, see feeds; who reads too slowly for the others goes
// on by itself. After the keep-alive interval without a message, one says how the feed is doing
// and where it is. UNAVAILABLE and RESOURCE_EXHAUSTED do not end the stream but for a response
// that is too large: they are waited out, from 1 second up to a minute at random, and not less
// than the upstream asks for. MaxPages counts empty answers too.
//
// The cursor of a message asks for what comes after it, also at another server and after a
// crash: who goes on from the last one that was dealt with misses nothing. The last page of a
// list has none. These reasons are streams' own, all in the gateway's domain:
//
//	CURSOR_REJECTED     INVALID_ARGUMENT: Samsara answered 400 to a request with a cursor, which
//	                    is too old, was made for other parameters, or came with wrong ones. The
//	                    metadata has the field it was given in as cursor_field.
//	PAGINATION_INVALID  INTERNAL: a page says that another follows and not where, does not say
//	                    whether one follows, or leads back to where the stream has been. That
//	                    page is not sent.
//	DRAINING            UNAVAILABLE: the server stops. The stream ends after a whole message,
//	                    and another server goes on with it.
//
// # Metadata of requests
//
//	samsara-retry          "always": repeat the request even where that could do something twice.
//	                       Any other value is refused.
//	samsara-caller         Who calls, at most 64 bytes: callers share the quota fairly. What a
//	                       verified client certificate says counts over it, and the address where
//	                       there is neither.
//	samsara-priority       "batch" gives way to "interactive". Unary calls are interactive and
//	                       streams batch unless they say so.
//	samsara-cache          "no-store": what answers must have been asked for by this call alone.
//	samsara-sandbox-fault  A fault for the sandbox. Ignored unless Config.SandboxFaults is set.
//
// # Metadata of responses
//
//	samsara-attempts       HTTP attempts made, the first one included.
//	samsara-request-id     Samsara's id of the last attempt, escaped, where it gave one.
//	samsara-drift          How the response differed from its descriptor; absent if it did not.
//	samsara-cache          "hit; age=" and a number of seconds in the header of an answer from the
//	                       cache.
//	samsara-cursor         Where to go on with a stream that failed: the cursor of the last
//	                       message sent, or of the request where there was none. Absent if there
//	                       is none, or none of at most 2 KiB of printable ASCII, or if it holds
//	                       the API token.
//
// The first two are in the header of a call that succeeds and in the trailer of one that fails;
// of a stream the header has those of the first page. samsara-drift is in the trailer of a call
// that succeeds, and of every stream for all of its pages, at most 16 entries and 1 KiB:
//
//	drift = entry *( ", " entry ) [ ", " more ] / more
//	entry = message "." member "=" kind [ ";n=" count ]
//	more  = "*=more" [ ";n=" count ]
//	kind  = "unknown" / "coerced" / "mismatch" / "duplicate" / "invalid_text" / "too_deep" /
//	        "null_entry"
//
// as in "Vehicle.year=coerced;n=3, Vehicle.foo=unknown". A count that is left out is 1; that of
// more says how often something occurred that is not listed. In names and ids every byte but
// ASCII letters, digits, "-" and "_" is percent-encoded.
package service

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"sync/atomic"
	"time"

	"google.golang.org/grpc"
	channelz "google.golang.org/grpc/channelz/service"
	"google.golang.org/grpc/credentials"
	"google.golang.org/grpc/credentials/insecure"
	_ "google.golang.org/grpc/encoding/gzip" // Registers the compression that clients may ask for.
	"google.golang.org/grpc/health"
	healthv1 "google.golang.org/grpc/health/grpc_health_v1"
	"google.golang.org/grpc/keepalive"
	"google.golang.org/grpc/reflection"
	"google.golang.org/protobuf/reflect/protoreflect"

	gatewayv1 "samsara.internal/gateway/gen/samsara/gateway/v1"
	"samsara.internal/gateway/internal/endpoint"
	"samsara.internal/gateway/internal/lease"
	"samsara.internal/gateway/internal/quota"
	"samsara.internal/gateway/internal/transcode"
	"samsara.internal/gateway/upstream"
)

// Upstream sends requests, concurrently. Do returns soon after ctx ends: Stop waits for it. The
// server releases each response once. *upstream.Client is one.
type Upstream interface {
	Do(ctx context.Context, req *upstream.Request) (*upstream.Response, error)
}

// Config configures a Server. The zero value of everything but Upstream is of use.
type Config struct {
	// Endpoints are the operations to serve, no method twice.
	Endpoints []*endpoint.Endpoint
	Upstream  Upstream
	// Logger gets one line a call, at debug for one that succeeds; nil: nothing is logged.
	Logger *slog.Logger
	// Credentials secure the connections; nil: they are not secured.
	Credentials credentials.TransportCredentials
	// Passthrough serves PassthroughService.
	Passthrough bool
	// SandboxFaults forwards the metadata samsara-sandbox-fault as a header. It is for a server
	// before the sandbox: Samsara must not see it.
	SandboxFaults bool
	// Drift is told what responses differed in, by full method, concurrently. It must not keep
	// the findings. It may be nil.
	Drift func(method string, findings []transcode.Finding)
	// Streams is told what streams of pages do. It may be nil.
	Streams StreamObserver
	// Quota admits what is sent upstream; nil: nothing is held up. It must outlive the server.
	Quota *quota.Limiter
	// CacheTTL says how old a cached answer to a unary method may be, by full method; nil: none
	// is cached.
	CacheTTL func(fullMethod string) time.Duration
	// Answers is the memory of what is on its way to clients, of which those of Upstream must be
	// too; nil: 256 MiB. A client that makes no progress while others need what it holds loses its
	// connection.
	Answers *lease.Pool
	// Requests is the memory of requests that are being read. Each call takes MaxRequestBytes of it
	// until its request is there. nil: 64 MiB, or 4 times MaxRequestBytes if that is more.
	Requests *lease.Pool
	// UnaryInterceptors and StreamInterceptors see every call, refused ones too, with the status
	// that its caller sees. The request that a unary interceptor is given is nil: it is decoded
	// later, so that these see too what cannot be decoded.
	UnaryInterceptors  []grpc.UnaryServerInterceptor
	StreamInterceptors []grpc.StreamServerInterceptor
	// DefaultDeadline bounds a unary call whose caller set no deadline, and of a stream without
	// one the asking for each page; 0: 5 minutes.
	DefaultDeadline time.Duration
	// MaxRequestBytes bounds a request message; 0: 4 MiB. Responses are bounded by what the
	// upstream reads.
	MaxRequestBytes int
	// MaxConcurrentStreams bounds the calls at one time on one connection, further ones wait at
	// the client; 0: 1000. It is at most half of MaxConcurrentCalls, so that one connection
	// leaves room for others.
	MaxConcurrentStreams uint32
	// MaxConcurrentCalls bounds the calls at one time on all connections together, apart from those
	// of grpc's own services; further ones are refused. 0: 50,000.
	MaxConcurrentCalls int
	// MaxConnectionAge is after what time a client is asked to connect anew, which spreads
	// clients over replicas; its calls finish. 0: never.
	MaxConnectionAge time.Duration
	// KeepaliveTime is after what silence a client is asked whether it is alive, KeepaliveTimeout
	// how long it has to answer; 0: 1 minute and 20 seconds.
	KeepaliveTime, KeepaliveTimeout time.Duration
	// KeepaliveMinTime is how often a client may ask the same, with or without calls; one that
	// asks more often is disconnected. 0: 10 seconds.
	KeepaliveMinTime time.Duration
}

const (
	// connectTimeout bounds the handshakes of a new connection.
	connectTimeout = 20 * time.Second
	// streamWorkers is how many calls are answered by goroutines that are there already, with
	// stacks that have grown already: it saves a fifth of the CPU of a small call. More calls
	// at one time get goroutines of their own.
	streamWorkers = 64
	// streamWindowBytes and connWindowBytes are how much of requests clients send unread. Fixed,
	// because to find better ones grpc pings the client once a request, which costs each small
	// call two more wake-ups, and requests are small.
	// What is not being decoded thus stays at the client, but for 64 KiB a call.
	streamWindowBytes = 64 << 10
	connWindowBytes   = 1 << 20
	// maxHeaderBytes bounds the metadata of a request.
	maxHeaderBytes = 64 << 10
	// abortGrace is how long handlers have to return once their calls have been cancelled.
	abortGrace = 5 * time.Second
)

// ErrAborted means that calls were still running when the time to stop was over, and that they
// were cancelled.
var ErrAborted = errors.New("running calls were cancelled")

// withDefaults returns c with every default filled in, or everything that is wrong with it.
func (c Config) withDefaults() (Config, error) {
	var errs []error
	if c.Upstream == nil {
		errs = append(errs, errors.New("Upstream: must be set"))
	}
	for _, bound := range []struct {
		name  string
		value int64
	}{
		{"DefaultDeadline", int64(c.DefaultDeadline)},
		{"MaxRequestBytes", int64(c.MaxRequestBytes)},
		{"MaxConcurrentCalls", int64(c.MaxConcurrentCalls)},
		{"MaxConnectionAge", int64(c.MaxConnectionAge)},
		{"KeepaliveTime", int64(c.KeepaliveTime)},
		{"KeepaliveTimeout", int64(c.KeepaliveTimeout)},
		{"KeepaliveMinTime", int64(c.KeepaliveMinTime)},
	} {
		if bound.value < 0 {
			errs = append(errs, fmt.Errorf("%s: must not be negative, is %d", bound.name, bound.value))
		}
	}
	seen := make(map[string]bool, len(c.Endpoints))
	for _, e := range c.Endpoints {
		if seen[e.FullMethod] {
			errs = append(errs, fmt.Errorf("method %s: must not be in Endpoints twice", e.FullMethod))
		}
		seen[e.FullMethod] = true
	}
	if c.Logger == nil {
		c.Logger = slog.New(slog.DiscardHandler)
	}
	if c.Streams == nil {
		c.Streams = unobserved{}
	}
	if c.CacheTTL == nil {
		c.CacheTTL = func(string) time.Duration { return 0 }
	}
	c.DefaultDeadline = cmp.Or(c.DefaultDeadline, 5*time.Minute)
	c.MaxRequestBytes = cmp.Or(c.MaxRequestBytes, 4<<20)
	if c.Answers == nil {
		c.Answers = lease.NewPool(256 << 20)
	}
	if c.Requests == nil {
		c.Requests = lease.NewPool(max(64<<20, 4*int64(c.MaxRequestBytes)))
	}
	if limit := c.Requests.Limit(); limit < int64(c.MaxRequestBytes) {
		errs = append(errs, fmt.Errorf("MaxRequestBytes: must be at most the limit of Requests, %d, is %d", limit, c.MaxRequestBytes))
	}
	if c.Credentials == nil {
		c.Credentials = insecure.NewCredentials()
	}
	c.MaxConcurrentCalls = cmp.Or(c.MaxConcurrentCalls, 50_000)
	c.MaxConcurrentStreams = min(cmp.Or(c.MaxConcurrentStreams, 1000), uint32(max(1, c.MaxConcurrentCalls/2)))
	c.KeepaliveTime = cmp.Or(c.KeepaliveTime, time.Minute)
	c.KeepaliveTimeout = cmp.Or(c.KeepaliveTimeout, 20*time.Second)
	c.KeepaliveMinTime = cmp.Or(c.KeepaliveMinTime, 10*time.Second)
	return c, errors.Join(errs...)
}

// serverOptions returns what c says to grpc.
func (c Config) serverOptions(stopping context.Context, e *edge) []grpc.ServerOption {
	opts := []grpc.ServerOption{
		grpc.ForceServerCodecV2(newCodec()),
		grpc.NumStreamWorkers(streamWorkers),
		grpc.ChainUnaryInterceptor(c.unaryInterceptors(e)...),
		grpc.ChainStreamInterceptor(c.streamInterceptors(stopping, e)...),
		grpc.UnknownServiceHandler(unknownMethod),
		grpc.MaxRecvMsgSize(c.MaxRequestBytes),
		grpc.MaxHeaderListSize(maxHeaderBytes),
		grpc.MaxConcurrentStreams(c.MaxConcurrentStreams),
		grpc.ConnectionTimeout(connectTimeout),
		grpc.StaticStreamWindowSize(streamWindowBytes),
		grpc.StaticConnWindowSize(connWindowBytes),
		grpc.KeepaliveParams(keepalive.ServerParameters{
			MaxConnectionAge: c.MaxConnectionAge,
			Time:             c.KeepaliveTime,
			Timeout:          c.KeepaliveTimeout,
		}),
		grpc.KeepaliveEnforcementPolicy(keepalive.EnforcementPolicy{
			MinTime:             c.KeepaliveMinTime,
			PermitWithoutStream: true,
		}),
		// Stop then leaves no handler behind.
		grpc.WaitForHandlers(true),
		grpc.Creds(connections{c.Credentials, c.Answers, c.Requests}),
	}
	return opts
}

// Server serves the gateway's methods. It is safe for concurrent use.
type Server struct {
	grpc       *grpc.Server
	edge       *edge
	room       requestRoom
	health     *health.Server
	services   []string
	endStreams context.CancelFunc
	// answers and requests are the memory that clients hold. answering is how many unary calls are
	// being answered: whose request is there, and whose answer is not.
	answers, requests *lease.Pool
	answering         atomic.Int64
}

// New returns a server that is not serving yet, also by its own health service. The error joins
// everything that is wrong with cfg.
func New(cfg Config) (*Server, error) {
	cfg, err := cfg.withDefaults()
	if err != nil {
		return nil, err
	}
	budgets, err := newBudgets(cfg.Quota, cfg.Endpoints)
	if err != nil {
		return nil, err
	}
	stopping, endStreams := context.WithCancel(context.Background())
	e := newEdge(cfg)
	s := &Server{
		grpc:       grpc.NewServer(cfg.serverOptions(stopping, e)...),
		edge:       e,
		room:       requestRoom(cfg.MaxRequestBytes),
		health:     health.NewServer(),
		endStreams: endStreams,
		answers:    cfg.Answers,
		requests:   cfg.Requests,
	}
	logPressure(cfg.Logger, cfg.Answers, "answers")
	logPressure(cfg.Logger, cfg.Requests, "requests")
	for _, desc := range cfg.services(stopping, budgets, &s.answering) {
		s.register(desc, nil)
		s.services = append(s.services, desc.ServiceName)
	}
	healthv1.RegisterHealthServer(s, s.health)
	reflection.Register(s)
	channelz.RegisterChannelzServiceToServer(s)
	s.SetServing(false)
	return s, nil
}

// register registers a service as it is described.
func (s *Server) register(desc *grpc.ServiceDesc, impl any) {
	s.grpc.RegisterService(desc, impl)
	s.edge.served.add(desc)
}

// GetServiceInfo implements reflection.ServiceInfoProvider.
func (s *Server) GetServiceInfo() map[string]grpc.ServiceInfo { return s.grpc.GetServiceInfo() }

// services describes what c serves, apart from grpc's own services.
func (c Config) services(stopping context.Context, shared budgets, answering *atomic.Int64) []*grpc.ServiceDesc {
	h := &handler{
		presenter:       presenter{c.Logger},
		upstream:        c.Upstream,
		drift:           c.Drift,
		observer:        c.Streams,
		quota:           shared,
		cacheTTL:        c.CacheTTL,
		sandboxFaults:   c.SandboxFaults,
		defaultDeadline: c.DefaultDeadline,
		answers:         c.Answers,
		requestRoom:     requestRoom(c.MaxRequestBytes),
		answering:       answering,
		stopping:        stopping,
	}
	var descs []*grpc.ServiceDesc
	byName := make(map[protoreflect.FullName]*grpc.ServiceDesc)
	for _, e := range c.Endpoints {
		name := e.Method.Parent().FullName()
		desc := byName[name]
		if desc == nil {
			desc = &grpc.ServiceDesc{ServiceName: string(name), Metadata: e.Method.ParentFile().Path()}
			byName[name] = desc
			descs = append(descs, desc)
		}
		desc.Methods = append(desc.Methods, h.operation(e))
		for _, s := range e.Streams {
			desc.Streams = append(desc.Streams, h.streaming(s)) //nolint:contextcheck // grpc hands streams their context
		}
	}
	if c.Passthrough {
		descs = append(descs, &grpc.ServiceDesc{
			ServiceName: gatewayv1.PassthroughService_ServiceDesc.ServiceName,
			Metadata:    gatewayv1.PassthroughService_ServiceDesc.Metadata,
			Methods:     []grpc.MethodDesc{h.passthrough()},
		})
	}
	return descs
}

// Serve accepts connections from lis, which it closes in the end, until Stop; it then returns
// nil. It may be called for several listeners.
func (s *Server) Serve(lis net.Listener) error {
	if err := s.grpc.Serve(lis); err != nil && !errors.Is(err, grpc.ErrServerStopped) {
		return fmt.Errorf("serve gRPC on %s: %w", lis.Addr(), err)
	}
	return nil
}

// Calls returns how many calls run, how many may, and how many have been refused for that. Those of
// grpc's own services are left out.
func (s *Server) Calls() (running, limit int64, refused uint64) {
	calls := &s.edge.calls
	return calls.running.Load(), calls.limit, calls.refused.Load()
}

// SetServing sets what the health service says of the server and of each of its services. It
// does nothing after Stop.
func (s *Server) SetServing(serving bool) {
	status := healthv1.HealthCheckResponse_NOT_SERVING
	if serving {
		status = healthv1.HealthCheckResponse_SERVING
	}
	s.health.SetServingStatus("", status)
	for _, service := range s.services {
		s.health.SetServingStatus(service, status)
	}
}

// Stop ends serving: health says so, no call is accepted any more, streams end after the message
// that is being sent, and running calls have until ctx ends. Those that remain are then
// cancelled, which is ErrAborted. It returns once every handler has, or 5 seconds after ctx
// ended. Further calls of Stop do the same.
//
// Nobody waits for clients that do not read their answers, or do not finish their requests: their
// connections are closed when no call is being answered, other than those that wait for memory, and
// no client has made progress for 7 seconds, or at the end of ctx, and that is no error.
func (s *Server) Stop(ctx context.Context) error {
	s.health.Shutdown()
	s.endStreams()
	stopped := make(chan struct{})
	go func() {
		defer close(stopped)
		s.grpc.GracefulStop()
	}()
	aborted := s.awaitProgress(ctx, stopped)
	select {
	case <-stopped:
		return nil
	default:
	}
	s.answers.Abandon()
	s.requests.Abandon()
	// Not waited for by itself: it waits for handlers as GracefulStop does.
	go s.grpc.Stop()
	abort := time.NewTimer(abortGrace)
	defer abort.Stop()
	select {
	case <-stopped:
		if !aborted {
			return nil
		}
		return fmt.Errorf("stop gRPC server: %w: %w", ErrAborted, context.Cause(ctx))
	case <-abort.C:
		return fmt.Errorf("stop gRPC server: %w, and %s later some have still not returned: %w", ErrAborted, abortGrace, context.Cause(ctx))
	}
}

// awaitProgress waits until the server has stopped, ctx ends, or nothing is left but clients that
// make no progress. It reports whether calls are cut off that could still end well.
func (s *Server) awaitProgress(ctx context.Context, stopped <-chan struct{}) bool {
	const (
		interval = 250 * time.Millisecond
		// By then those that wait for memory have got what others do not need.
		patience = lease.Stalled + 2*time.Second
	)
	tick := time.NewTicker(interval)
	defer tick.Stop()
	progress := func() uint64 { return s.answers.Returned() + s.requests.Returned() }
	answering := func() bool { return s.answering.Load() > s.answers.Waiting() }
	seen, moving, still := progress(), false, time.Duration(0)
	for still < patience {
		select {
		case <-stopped:
			return false
		case <-ctx.Done():
			return moving || answering()
		case <-tick.C:
		}
		still += interval
		if now := progress(); now != seen || answering() {
			seen, moving, still = now, now != seen, 0
		}
	}
	return false
}
