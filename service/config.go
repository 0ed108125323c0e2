package service

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials"
	"google.golang.org/grpc/credentials/insecure"

	"samsara.internal/gateway/internal/endpoint"
	"samsara.internal/gateway/internal/lease"
	"samsara.internal/gateway/internal/transcode"
	"samsara.internal/gateway/upstream"
)

// Upstream makes calls, concurrently. *upstream.Client is one. It has two methods because an
// operation is resolved by whom it is to be called of: its budget, say, is its client's.
type Upstream interface {
	// Operation is called by New alone.
	Operation(spec upstream.OperationSpec) (*upstream.Operation, error)
	// Do returns soon after ctx ends: Stop waits for it. The server releases each response once.
	Do(ctx context.Context, op *upstream.Operation, call upstream.Call) (*upstream.Response, error)
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
	// ReflectionComments serves the comments of the API by reflection, beside what it consists of. They
	// are read when somebody first asks, and held from then on.
	ReflectionComments bool
	// SandboxFaults forwards the metadata samsara-sandbox-fault as a header. It is for a server
	// before the sandbox: Samsara must not see it.
	SandboxFaults bool
	// Drift is told what the upstream's responses differed in, each once however many calls got it, by
	// full method, concurrently. It must not keep the findings. It may be nil.
	Drift func(method string, findings []transcode.Finding)
	// Streams is told what streams of pages do. It may be nil.
	Streams StreamObserver
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
	// KeepaliveMinTime is how often a client may ask the same, with or without calls. Timers and networks
	// squeeze questions together: one that asks more than twice as often is disconnected. 0: 10 seconds.
	KeepaliveMinTime time.Duration
}

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

// StreamObserver is told what streams of pages do, concurrently.
type StreamObserver interface {
	// OpenStreams tells of one stream more or less, which follows a feed or does not.
	OpenStreams(follow bool, delta int)
	// PageSent tells of a page that was sent and the records in it.
	PageSent(follow bool, items int64)
	// FeedReaders tells of one reader of a feed more or less.
	FeedReaders(delta int)
	// FailureOutlasted tells of a failure that did not end the streams that follow a feed, by
	// the name of its gRPC code.
	FailureOutlasted(code string)
}

// unobserved is a StreamObserver for nobody.
type unobserved struct{}

func (unobserved) OpenStreams(bool, int)   {}
func (unobserved) PageSent(bool, int64)    {}
func (unobserved) FeedReaders(int)         {}
func (unobserved) FailureOutlasted(string) {}
