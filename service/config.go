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

	"samsara.internal/gateway/internal/audit"
	"samsara.internal/gateway/internal/authn"
	"samsara.internal/gateway/internal/endpoint"
	"samsara.internal/gateway/internal/lease"
	"samsara.internal/gateway/internal/policy"
	"samsara.internal/gateway/internal/tracing"
	"samsara.internal/gateway/internal/transcode"
	"samsara.internal/gateway/upstream"
)

// Upstream makes calls, concurrently. *upstream.Client is one. Operation is there because each client
// resolves its own operations: the budget of an operation, for example, belongs to its client.
type Upstream interface {
	// Operation is called by New and NewOrganization alone.
	Operation(spec upstream.OperationSpec) (*upstream.Operation, error)
	// Do returns soon after ctx ends: Stop waits for it. The server releases each response once.
	Do(ctx context.Context, op *upstream.Operation, req upstream.Request) (*upstream.Response, error)
}

// Config configures a Server. All fields have a useful zero value, except that it needs Upstream or Organizations.
type Config struct {
	// Endpoints are the operations to serve, no method twice.
	Endpoints []*endpoint.Endpoint
	// Upstream is for all calls, if there are no Organizations. They are for an organization called default.
	Upstream Upstream
	// Organizations are those that calls are for, each with an upstream of its own.
	Organizations Organizations
	// Logger gets one line a call, at debug for one that succeeds; nil: nothing is logged.
	Logger *slog.Logger
	// Credentials secure the connections; nil: the connections are not secured.
	Credentials credentials.TransportCredentials
	// Authenticator says who makes a call. With it, or with a policy, a call is only made by a caller that may
	// make it. nil: callers name themselves.
	Authenticator *authn.Authenticator
	// Policy returns the policy that holds now, concurrently. nil, or if it returns nil: every caller that has
	// proved who it is may do everything.
	Policy func() *policy.Policy
	// SharedRates counts the calls that Policy bounds together with other processes. nil: the server counts alone.
	SharedRates policy.SharedRates
	// Audit is told of each write and each denied call. nil: nobody is.
	Audit Auditor
	// AuditRequired is for writes that nobody may make without a record: Audit is told of each before Samsara is asked,
	// and the write is refused if that fails. It needs Audit.
	AuditRequired bool
	// Passthrough serves PassthroughService.
	Passthrough bool
	// NoReflection leaves reflection out, and Channelz serves grpc's channelz, which shows peers' addresses.
	NoReflection, Channelz bool
	// ReflectionComments makes reflection serve the comments of the API too. They are read when reflection is
	// first asked for something, and kept from then on.
	ReflectionComments bool
	// SandboxFaults forwards the metadata samsara-sandbox-fault as a header. It is for a server in front of
	// the sandbox: Samsara must not see the header.
	SandboxFaults bool
	// Drift is called, concurrently, with a full method and the findings of a response that differed from its
	// descriptor: once for each response, however many calls got it. It must not keep the findings. It may be
	// nil. It is for Upstream: organizations have their own.
	Drift func(method string, findings []transcode.Finding)
	// Streams observes the streams of pages. It may be nil.
	Streams StreamObserver
	// Answers is the memory of what is on its way to clients. The memory of Upstream's responses must be the
	// same. nil: 256 MiB. A client that makes no progress loses its connection if others need the memory that
	// it holds.
	Answers *lease.Pool
	// Requests is the memory of requests that are being read. Each call takes MaxRequestBytes of it
	// until its request is there. nil: 64 MiB, or 4 times MaxRequestBytes if that is more.
	Requests *lease.Pool
	// Finished is called with each call that has ended, on its goroutine; it must not keep f.
	Finished func(ctx context.Context, f *Finished)
	// Tracer makes spans of calls, except for those of grpc's own services. nil: there are none.
	Tracer *tracing.Tracer
	// Access is where calls that have succeeded are logged.
	Access AccessLog
	// SlowCall is how long a unary call, or the first message of a stream, may take until its line is a warning. 0: for
	// ever.
	SlowCall time.Duration
	// UnaryInterceptors and StreamInterceptors see every call, refused ones too, with the status that its
	// caller sees. A unary interceptor is given nil as the request: the request is decoded later, so that
	// interceptors also see calls whose request cannot be decoded.
	UnaryInterceptors  []grpc.UnaryServerInterceptor
	StreamInterceptors []grpc.StreamServerInterceptor
	// DefaultDeadline bounds a unary call whose caller set no deadline, and each request for a page of a
	// stream without one; 0: 5 minutes.
	DefaultDeadline time.Duration
	// MaxRequestBytes bounds a request message; 0: 4 MiB. Responses are bounded by what the
	// upstream reads.
	MaxRequestBytes int
	// MaxConcurrentStreams bounds the calls at one time on one connection. Further ones wait at the client.
	// 0: 1000. It is at most half of MaxConcurrentCalls, so that one connection leaves room for others.
	MaxConcurrentStreams uint32
	// MaxConcurrentCalls bounds the calls at one time on all connections together, apart from those of grpc's
	// own services. Further ones are refused. 0: 50,000.
	MaxConcurrentCalls int
	// MaxConnections bounds the connections at one time. Further ones are closed as they come. 0: 10,000.
	MaxConnections int
	// MaxConnectionAge is the time after which a client is asked to connect again, a tenth more or less, which spreads
	// clients over replicas. Its calls finish. Its streams end with their cursor, up to a fifth of the time later.
	// A connection that is still open half of the time and DefaultDeadline after it was asked is closed, with what
	// its client does not read and with calls that take longer. 0: never.
	MaxConnectionAge time.Duration
	// KeepaliveTime is the silence after which a client is asked whether it is alive, and KeepaliveTimeout is
	// how long it has to answer; 0: 1 minute and 20 seconds.
	KeepaliveTime, KeepaliveTimeout time.Duration
	// KeepaliveMinTime is the least time between the keepalive pings of a client, with or without calls. Timers
	// and networks move pings closer together: a client is disconnected if it pings more than twice as often.
	// 0: 10 seconds.
	KeepaliveMinTime time.Duration
}

// withDefaults returns c with every default filled in, or everything that is wrong with it.
func (c Config) withDefaults() (Config, error) {
	var errs []error
	if (c.Upstream == nil) == (c.Organizations == nil) {
		errs = append(errs, errors.New("Upstream and Organizations: one of them must be set"))
	}
	for _, bound := range []struct {
		name  string
		value int64
	}{
		{"DefaultDeadline", int64(c.DefaultDeadline)},
		{"MaxRequestBytes", int64(c.MaxRequestBytes)},
		{"MaxConcurrentCalls", int64(c.MaxConcurrentCalls)},
		{"MaxConnections", int64(c.MaxConnections)},
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
	c.MaxConnections = cmp.Or(c.MaxConnections, 10_000)
	c.MaxConcurrentCalls = cmp.Or(c.MaxConcurrentCalls, 50_000)
	c.MaxConcurrentStreams = min(cmp.Or(c.MaxConcurrentStreams, 1000), uint32(max(1, c.MaxConcurrentCalls/2)))
	c.KeepaliveTime = cmp.Or(c.KeepaliveTime, time.Minute)
	c.KeepaliveTimeout = cmp.Or(c.KeepaliveTimeout, 20*time.Second)
	c.KeepaliveMinTime = cmp.Or(c.KeepaliveMinTime, 10*time.Second)
	return c, errors.Join(errs...)
}

// AccessLog gets lines of calls that have succeeded. The zero value gets none.
type AccessLog struct {
	Logger *slog.Logger
	// Turn reports whether there may be another line now, and how many were left out since the last one. It is called
	// concurrently.
	Turn func(ctx context.Context) (leftOut int, ok bool)
}

// Auditor keeps a record of calls. *audit.Log is one. Its methods are called concurrently.
type Auditor interface {
	// Write keeps a record. It takes a second at most. The auditor counts its failures itself.
	Write(r audit.Record) error
}

// StreamObserver is told what streams of pages do. Its methods are called concurrently.
type StreamObserver interface {
	// OpenStreams tells of one open stream more, with 1, or less, with -1. follow is whether it follows a
	// feed.
	OpenStreams(follow bool, delta int)
	// PageSent tells of a page that was sent and the records in it.
	PageSent(follow bool, items int64)
	// FeedReaders tells of one reader of a feed more, with 1, or less, with -1.
	FeedReaders(delta int)
	// FailureOutlasted tells of a failure that did not end the streams that follow a feed. code is the name
	// of its gRPC code.
	FailureOutlasted(code string)
}

// unobserved is a StreamObserver for nobody.
type unobserved struct{}

func (unobserved) OpenStreams(bool, int)   {}
func (unobserved) PageSent(bool, int64)    {}
func (unobserved) FeedReaders(int)         {}
func (unobserved) FailureOutlasted(string) {}
