package service

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"net"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"google.golang.org/grpc"
	channelz "google.golang.org/grpc/channelz/service"
	_ "google.golang.org/grpc/encoding/gzip" // Registers the compression that clients may ask for.
	"google.golang.org/grpc/health"
	healthv1 "google.golang.org/grpc/health/grpc_health_v1"
	"google.golang.org/grpc/keepalive"
	"google.golang.org/protobuf/reflect/protoreflect"

	apiv1 "samsara.internal/gateway/gen/api/v1"
	"samsara.internal/gateway/internal/feed"
	"samsara.internal/gateway/internal/lease"
)

const (
	// connectTimeout bounds the handshakes of a new connection.
	connectTimeout = 20 * time.Second
	// streamWorkers is how many calls at one time are answered by goroutines that exist already, with stacks
	// that have grown. That saves a fifth of the CPU of a small call. Further calls get goroutines of their
	// own.
	streamWorkers = 64
	// streamWindowBytes and connWindowBytes are how much of a request a client sends before it is read. They
	// are fixed, because to find better ones grpc pings the client once for each request. That costs each
	// small call two more wake-ups, and requests are small. So what is not being decoded stays at the client,
	// except for 64 KiB a call.
	streamWindowBytes = 64 << 10
	connWindowBytes   = 1 << 20
	// maxMetadataBytes bounds the metadata of a request, counted as HTTP/2 does. Beyond maxHeaderBytes grpc does not
	// read it, and clients that heed that do not send it.
	maxMetadataBytes = 64 << 10
	maxHeaderBytes   = 2 * maxMetadataBytes
	// abortGrace is how long handlers have to return once their calls have been cancelled.
	abortGrace = 5 * time.Second
)

// ErrAborted means that calls were still running when the time to stop was over, and were cancelled.
var ErrAborted = errors.New("running calls were cancelled")

// serverOptions returns the options of grpc's server that c sets.
func (c Config) serverOptions(e *edge) []grpc.ServerOption {
	opts := []grpc.ServerOption{
		grpc.ForceServerCodecV2(newCodec()),
		grpc.NumStreamWorkers(streamWorkers),
		grpc.ChainUnaryInterceptor(c.unaryInterceptors(e)...),
		grpc.ChainStreamInterceptor(c.streamInterceptors(e)...),
		grpc.UnknownServiceHandler(unknownMethod),
		grpc.MaxRecvMsgSize(c.MaxRequestBytes),
		grpc.MaxHeaderListSize(maxHeaderBytes),
		grpc.MaxConcurrentStreams(c.MaxConcurrentStreams),
		grpc.ConnectionTimeout(connectTimeout),
		grpc.InTapHandle(arrived),
		grpc.StaticStreamWindowSize(streamWindowBytes),
		grpc.StaticConnWindowSize(connWindowBytes),
		grpc.KeepaliveParams(keepalive.ServerParameters{
			MaxConnectionAge: c.MaxConnectionAge,
			// The end of a stream does not reach a client that does not read, and keeps the connection open.
			MaxConnectionAgeGrace: c.MaxConnectionAge/2 + c.DefaultDeadline,
			Time:                  c.KeepaliveTime,
			Timeout:               c.KeepaliveTimeout,
		}),
		grpc.KeepaliveEnforcementPolicy(keepalive.EnforcementPolicy{
			MinTime:             c.KeepaliveMinTime / 2,
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
	accepted   *accepted
	endStreams context.CancelFunc
	feeds      *feed.Hub
	// answers and requests are the memory that clients hold. answering is how many unary calls are being
	// answered: their request has been read, and their answer is not there yet.
	answers, requests *lease.Pool
	answering         atomic.Int64
}

// New returns a server that is not serving yet. Its health service says so too. The error joins everything
// that is wrong with cfg.
func New(cfg Config) (*Server, error) {
	cfg, err := cfg.withDefaults()
	if err != nil {
		return nil, err
	}
	organizations, err := cfg.organizations()
	if err != nil {
		return nil, err
	}
	stopping, endStreams := context.WithCancel(context.Background())
	e := newEdge(cfg, organizations, stopping)
	s := &Server{
		grpc:       grpc.NewServer(cfg.serverOptions(e)...),
		edge:       e,
		room:       requestRoom(cfg.MaxRequestBytes),
		health:     health.NewServer(),
		accepted:   newAccepted(cfg.MaxConnections, cfg.Logger),
		endStreams: endStreams,
		feeds:      cfg.feeds(),
		answers:    cfg.Answers,
		requests:   cfg.Requests,
	}
	logPressure(cfg.Logger, cfg.Answers, "answers")
	logPressure(cfg.Logger, cfg.Requests, "requests")
	for _, desc := range cfg.services(e.gate, s.feeds, &s.answering) {
		s.register(desc, nil)
		s.services = append(s.services, desc.ServiceName)
	}
	e.served.addWrites(cfg.Endpoints)
	healthv1.RegisterHealthServer(s, s.health)
	if !cfg.NoReflection {
		registerReflection(s, cfg.ReflectionComments)
	}
	if cfg.Channelz {
		channelz.RegisterChannelzServiceToServer(s)
	}
	s.SetServing(false)
	return s, nil
}

// feeds returns the hub that all streams which follow a feed share.
func (c Config) feeds() *feed.Hub {
	return feed.New(feed.Config{Memory: c.Answers, Readers: c.Streams.FeedReaders, Panicked: presenter{c.Logger}.panicked})
}

// Feeds returns how far the feeds are behind that streams follow, by organization, which is the Tenant of each, and
// method.
func (s *Server) Feeds() []feed.Lag {
	type key struct{ organization, method string }
	of := make(map[key]feed.Lag)
	for _, lag := range s.feeds.Lags() {
		lag.Tenant, _, _ = strings.Cut(lag.Tenant, "\n") // without the generation
		k := key{lag.Tenant, lag.Operation}
		lag.Readers += of[k].Readers
		lag.Followers += of[k].Followers
		lag.Behind = max(lag.Behind, of[k].Behind)
		of[k] = lag
	}
	return slices.Collect(maps.Values(of))
}

// RegisterService implements grpc.ServiceRegistrar for services other than the operations', such as grpc's
// own. Their requests are read as all others are. It must not be called after Serve.
func (s *Server) RegisterService(desc *grpc.ServiceDesc, impl any) {
	own := *desc
	own.Methods, own.Streams = slices.Clone(desc.Methods), slices.Clone(desc.Streams)
	for i := range own.Methods {
		handle := own.Methods[i].Handler
		own.Methods[i].Handler = func(srv any, ctx context.Context, decode func(any) error, interceptor grpc.UnaryServerInterceptor) (any, error) {
			return handle(srv, ctx, func(into any) error { return s.room.read(ctx, decode, into) }, interceptor)
		}
	}
	for i := range own.Streams {
		stream := own.Streams[i]
		own.Streams[i].Handler = func(srv any, ss grpc.ServerStream) error {
			return stream.Handler(srv, roomStream{ss, s.room, newCodec(), stream.ClientStreams})
		}
	}
	s.register(&own, impl)
}

// register registers a service without changing its description.
func (s *Server) register(desc *grpc.ServiceDesc, impl any) {
	s.grpc.RegisterService(desc, impl)
	s.edge.served.add(desc)
}

// GetServiceInfo implements reflection.ServiceInfoProvider.
func (s *Server) GetServiceInfo() map[string]grpc.ServiceInfo { return s.grpc.GetServiceInfo() }

// services returns the services that c serves, apart from grpc's own.
func (c Config) services(g *gate, feeds *feed.Hub, answering *atomic.Int64) []*grpc.ServiceDesc {
	h := &handler{
		presenter:       presenter{c.Logger},
		observer:        c.Streams,
		sandboxFaults:   c.SandboxFaults,
		defaultDeadline: c.DefaultDeadline,
		feeds:           feeds,
		requestRoom:     requestRoom(c.MaxRequestBytes),
		answering:       answering,
		gate:            g,
		tracer:          c.Tracer,
	}
	if c.AuditRequired {
		h.required = c.Audit
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
			read := h.list
			if s.Follow {
				read = h.follow
			}
			desc.Streams = append(desc.Streams, h.streaming(s, read))
		}
	}
	if c.Passthrough {
		descs = append(descs, &grpc.ServiceDesc{
			ServiceName: apiv1.PassthroughService_ServiceDesc.ServiceName,
			Metadata:    apiv1.PassthroughService_ServiceDesc.Metadata,
			Methods:     []grpc.MethodDesc{h.passthrough()},
		})
	}
	return descs
}

// Serve accepts connections from lis until Stop, and then returns nil. It closes lis before it returns. It
// may be called for several listeners.
func (s *Server) Serve(lis net.Listener) error {
	if err := s.grpc.Serve(s.accepted.listen(lis)); err != nil && !errors.Is(err, grpc.ErrServerStopped) {
		return fmt.Errorf("serve gRPC on %s: %w", lis.Addr(), err)
	}
	return nil
}

// Connections returns how many connections are open, how many may be, and how many have been closed because of that.
func (s *Server) Connections() (open, limit int64, refused uint64) { return s.accepted.count() }

// Calls returns how many calls run, how many may run, and how many have been refused because of that. Calls
// of grpc's own services are left out.
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

// Stop ends serving: health says so, no call is accepted any more, streams end after the message that is
// being sent, and running calls have until ctx ends. Calls that remain are then cancelled, and the error is
// ErrAborted. Stop returns once every handler and every reader of a feed has returned, or 5 seconds after ctx
// ended. Further calls of Stop do the same.
//
// Stop does not wait for clients that do not read their answers, or do not finish their requests. It closes
// their connections when no call is being answered, except for calls that wait for memory, and no client has
// made progress for 7 seconds, or at the end of ctx. That is no error.
func (s *Server) Stop(ctx context.Context) error {
	s.health.Shutdown()
	s.endStreams()
	stopped := make(chan struct{})
	go func() {
		defer close(stopped)
		var ends sync.WaitGroup
		ends.Go(s.feeds.Close)
		s.grpc.GracefulStop()
		ends.Wait()
	}()
	aborted := s.awaitProgress(ctx, stopped)
	select {
	case <-stopped:
		return nil
	default:
	}
	s.answers.Abandon()
	s.requests.Abandon()
	// This is not waited for: it waits for handlers as GracefulStop does.
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

// awaitProgress waits until the server has stopped, ctx ends, or nothing is left but clients that make no
// progress. It reports whether calls are cut off that could still succeed.
func (s *Server) awaitProgress(ctx context.Context, stopped <-chan struct{}) bool {
	const (
		interval = 250 * time.Millisecond
		// By then, calls that wait for memory have got what others do not need.
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
