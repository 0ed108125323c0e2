package main

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/url"
	"os"
	"os/signal"
	"runtime/debug"
	"strings"
	"syscall"
	"time"

	"golang.org/x/sync/errgroup"
	"google.golang.org/protobuf/reflect/protoregistry"

	_ "samsara.internal/gateway/gen" // Registers the descriptors of the whole API.
	"samsara.internal/gateway/internal/admin"
	"samsara.internal/gateway/internal/audit"
	"samsara.internal/gateway/internal/config"
	"samsara.internal/gateway/internal/endpoint"
	"samsara.internal/gateway/internal/policy"
	"samsara.internal/gateway/internal/quota"
	"samsara.internal/gateway/internal/quota/redisstore"
	"samsara.internal/gateway/internal/reload"
	"samsara.internal/gateway/internal/sandbox"
	"samsara.internal/gateway/internal/telemetry"
	"samsara.internal/gateway/internal/tracing"
	"samsara.internal/gateway/service"
	"samsara.internal/gateway/upstream"
)

// server is something that serves on a listener until it is stopped.
type server struct {
	listener net.Listener
	serve    func(net.Listener) error
	// stop lets requests under way finish, until ctx ends.
	stop func(ctx context.Context) error
}

// runServers runs all servers until ctx ends or one of them fails. Then it calls drain, and stops them in
// order, all within grace.
func runServers(ctx context.Context, grace time.Duration, drain func(), servers ...server) error {
	group, running := errgroup.WithContext(ctx)
	for _, s := range servers {
		group.Go(func() error { return s.serve(s.listener) })
	}
	group.Go(func() error {
		<-running.Done()
		drain()
		// The context that ended must not end the shutdown as well.
		stopping, cancel := context.WithTimeout(context.WithoutCancel(running), grace)
		defer cancel()
		var errs []error
		for _, s := range servers {
			errs = append(errs, s.stop(stopping))
		}
		return errors.Join(errs...)
	})
	return group.Wait()
}

// wiring is what a gateway is made from besides its configuration.
type wiring struct {
	endpoints []*endpoint.Endpoint
	// files are read again when they change, and at each of hangups.
	files   *files
	hangups <-chan os.Signal
}

// serve runs the gateway until ctx ends.
func serve(ctx context.Context, cfg config.Config, w wiring, stderr io.Writer) error {
	level := new(slog.LevelVar)
	level.Set(cfg.LogLevel)
	log, flush := newLogger(level, cfg.LogFormat, stderr)
	defer flush(ctx)
	access, flushAccess := newAccessLog(log, cfg.AccessLogRate)
	defer flushAccess(ctx)
	adoptStrayLines(log)
	endpoints, files := w.endpoints, w.files
	log.InfoContext(ctx, "configuration", "settings", cfg)

	tracer, stopTraces, err := files.traces.Start(ctx, readBuild().Version, log)
	if err != nil {
		return err
	}
	defer stopTraces(ctx)
	metrics, err := telemetry.New(telemetry.Options{Build: readBuild(), Buckets: cfg.MetricsBuckets})
	if err != nil {
		return fmt.Errorf("metrics: %w", err)
	}
	files.grants = &grants{log: log}
	poller, stop := files.follow(ctx, w.hangups, level, log)
	defer stop()
	if err := watchFiles(metrics, poller, files); err != nil {
		return fmt.Errorf("metrics: %w", err)
	}
	if files.audit != nil {
		if cfg.AuditFile == audit.Stdout {
			signal.Ignore(syscall.SIGPIPE) // It would end the process if nobody reads the audit log any more.
		}
		defer files.audit.Close()
		if err := metrics.WatchAudit(files.audit.Counts); err != nil {
			return fmt.Errorf("metrics: %w", err)
		}
	}
	target := upstreamTarget{url: cfg.UpstreamURL, token: files.token}
	var servers []server
	defer func() {
		for _, s := range servers {
			_ = s.listener.Close() // It is still open if another server could not start.
		}
	}()
	if cfg.Sandbox && cfg.OrganizationsFile == "" {
		var box server
		if box, target, err = embedSandbox(ctx, cfg, endpoints, log); err != nil {
			return err
		}
		servers = append(servers, box)
	}
	memory := newMemory(cfg, debug.SetMemoryLimit(-1))
	if err := metrics.WatchMemory(memory.answers, memory.requests); err != nil {
		return fmt.Errorf("metrics: %w", err)
	}
	ready := newReadiness()
	orgs := newTenants(&tenants{
		cfg: cfg, endpoints: endpoints, memory: memory, metrics: metrics, tracer: tracer, poller: poller, log: log, grants: files.grants,
		noted: func(names []string) {
			files.noteOrganizations(names)
			ready.tell()
		},
	})
	defer orgs.close() // No call runs any more.
	if err := orgs.start(ctx, target); err != nil {
		return err
	}
	var quotas func() map[string]quota.Snapshot
	if cfg.Quota {
		quotas = orgs.quotas
		if err := metrics.WatchQuota(quotas); err != nil {
			return fmt.Errorf("metrics: %w", err)
		}
	}
	if err := metrics.WatchUpstreams(orgs.upstreams); err != nil {
		return fmt.Errorf("metrics: %w", err)
	}
	shared, stopRates, err := newRates(cfg, log)
	if err != nil {
		return err
	}
	defer stopRates()
	grpcServer, err := newServer(cfg, files, endpoints, orgs, shared, memory, metrics, tracer, access, log)
	if err != nil {
		return err
	}

	if err := errors.Join(metrics.WatchCalls(grpcServer.Calls), metrics.WatchConnections(grpcServer.Connections), metrics.WatchFeeds(grpcServer.Feeds)); err != nil {
		return fmt.Errorf("metrics: %w", err)
	}

	listener, err := listen(ctx, cfg.Listen)
	if err != nil {
		return err
	}
	// Calls drain before the sandbox that answers them stops. The probes are still served meanwhile.
	servers = append([]server{{listener, grpcServer.Serve, grpcServer.Stop}}, servers...)
	attrs := []any{"grpc", listener.Addr().String(), "endpoints", len(endpoints)}
	if cfg.AdminListen != "" {
		adminListener, err := listen(ctx, cfg.AdminListen)
		if err != nil {
			return err
		}
		probes := admin.New(admin.Config{
			Metrics: metrics.Handler(log), Unready: ready.unready, Impaired: ready.impaired, Files: files.states(poller), Unheeded: files.unheeded,
			Quotas: quotas, Hosts: cfg.AdminHosts, Profiles: cfg.Profiles, Logger: log,
		})
		servers = append(servers, server{secured(adminListener, files.adminCertificates, cfg.TLSMinVersion), probes.Serve, probes.Shutdown})
		attrs = append(attrs, "admin", adminListener.Addr().String())
	}
	if cfg.Sandbox && cfg.OrganizationsFile == "" {
		attrs = append(attrs, "sandbox", target.url.String())
	}
	for _, reason := range ready.begin(orgs, grpcServer.SetServing) {
		log.ErrorContext(ctx, "not ready", "reason", reason)
	}
	log.InfoContext(ctx, "serving", attrs...)
	err = runServers(ctx, cfg.ShutdownGrace, func() {
		ready.end()
		log.InfoContext(ctx, "stopping", "delay", cfg.DrainDelay, "grace", cfg.ShutdownGrace)
		if ctx.Err() != nil { // The gateway was told to stop, and no server has failed.
			<-time.After(cfg.DrainDelay)
		}
	}, servers...)
	log.InfoContext(ctx, "stopped")
	return err
}

func loadEndpoints() ([]*endpoint.Endpoint, error) {
	endpoints, err := endpoint.Load(protoregistry.GlobalFiles, protoregistry.GlobalTypes)
	if err != nil {
		return nil, fmt.Errorf("endpoints: %w", err)
	}
	return endpoints, nil
}

// apiOf returns what a configuration may name of the endpoints.
func apiOf(endpoints []*endpoint.Endpoint) config.API {
	api := config.API{Methods: []string{upstream.PassthroughOperation}}
	for _, e := range endpoints {
		api.Methods = append(api.Methods, strings.TrimPrefix(e.FullMethod, "/"))
		api.Paths = append(api.Paths, e.Operation.GetPath())
		if e.HTTPMethod == http.MethodGet {
			api.Reads = append(api.Reads, e.FullMethod)
		}
	}
	return api
}

// checkProxy returns what is wrong with the proxy that the environment names. It is a config.Check.
func checkProxy(cfg *config.Config) []config.Problem {
	if cfg.Sandbox || cfg.UpstreamURL == nil || cfg.OrganizationsFile != "" {
		return nil
	}
	if err := checkProxyTo(cfg.UpstreamURL); err != nil {
		return []config.Problem{{Setting: "upstream-url", Err: err}}
	}
	return nil
}

// upstreamTarget is the upstream that requests are sent to.
type upstreamTarget struct {
	url   *url.URL
	token upstream.Tokens
	// attemptHeader is the header with the number of an attempt; empty: not sent.
	attemptHeader string
}

// embedSandbox returns a sandbox on a loopback port of its own, with a token that only this
// process knows.
func embedSandbox(ctx context.Context, cfg config.Config, endpoints []*endpoint.Endpoint, log *slog.Logger) (server, upstreamTarget, error) {
	token := rand.Text()
	box, err := newSandboxServer(sandbox.Config{
		Endpoints: endpoints, Token: token, Seed: cfg.SandboxSeed, Faults: cfg.SandboxFaults, Logger: log,
	})
	if err != nil {
		return server{}, upstreamTarget{}, err
	}
	l, err := listen(ctx, "127.0.0.1:0")
	if err != nil {
		return server{}, upstreamTarget{}, err
	}
	return server{l, httpServe(box), box.Shutdown}, upstreamTarget{
		url:   &url.URL{Scheme: "http", Host: l.Addr().String()},
		token: upstream.StaticToken(token),
		// With it, a fault for the first attempts applies to the first attempts of each request.
		attemptHeader: sandbox.AttemptHeader,
	}, nil
}

func newClient(cfg config.Config, target upstreamTarget, memory memory, limiter *quota.Limiter, observer *telemetry.Organization, tracer *tracing.Tracer, log *slog.Logger) (*upstream.Client, error) {
	how := upstreamConfig(cfg, target, limiter, log)
	how.Memory, how.Observer, how.ReadObserver, how.RetryObserver = memory.answers, observer, observer, observer
	how.Tracer = tracer
	return upstream.New(how)
}

// upstreamConfig returns the configuration of an upstream client, without its observers and its memory.
func upstreamConfig(cfg config.Config, target upstreamTarget, limiter *quota.Limiter, log *slog.Logger) upstream.Config {
	var cacheBytes int64
	if len(cfg.Cache) > 0 {
		cacheBytes = cfg.CacheMaxBytes
	}
	return upstream.Config{
		BaseURL:       target.url,
		Token:         target.token,
		APIVersion:    cfg.APIVersion,
		AttemptHeader: target.attemptHeader,
		UserAgent:     "samsara-gateway/" + readBuild().Version,
		Retry: upstream.RetryPolicy{
			MaxAttempts: cfg.RetryMaxAttempts, BaseDelay: cfg.RetryBaseDelay, MaxDelay: cfg.RetryMaxDelay,
		},
		AttemptTimeout:   cfg.UpstreamTimeout,
		MaxResponseBytes: cfg.MaxResponseBytes,
		Quota:            limiter,
		CacheTTL:         cfg.CacheTTL,
		CacheBytes:       cacheBytes,
		Transport:        upstream.TransportConfig{MaxIdleConns: cfg.UpstreamMaxIdleConns, Gzip: cfg.UpstreamGzip, HTTP2: cfg.UpstreamHTTP2},
		Logger:           log,
	}
}

// newLimiter returns the limiter that keeps requests within the quota, nil if the quota is off.
func newLimiter(cfg config.Config, observer quota.Observer, log *slog.Logger) (*quota.Limiter, error) {
	if !cfg.Quota {
		return nil, nil
	}
	limits := quota.Defaults()
	limits.Token, limits.Organization, limits.Overrides = cfg.QuotaTokenLimit, cfg.QuotaOrganizationLimit, cfg.QuotaLimits
	limits.Margin = float64(cfg.QuotaMargin) / 100
	limits.MaxWait, limits.MaxQueue, limits.MaxQueueCaller = cfg.QuotaMaxWait, cfg.QuotaMaxQueue, cfg.QuotaMaxQueue/10
	limits.BatchPercent, limits.Replicas = cfg.QuotaBatchPercent, cfg.QuotaReplicas
	limits.Observer, limits.Logger = observer, log
	limits.Weights = make(map[string]float64, len(cfg.QuotaWeights))
	for _, w := range cfg.QuotaWeights {
		limits.Weights[w.Caller] = w.Weight
	}
	if url := cfg.QuotaRedis.Reveal(); url != "" {
		// Each organization has one token.
		store, err := redisstore.New(redisstore.Config{URL: url, Organization: cfg.QuotaOrganization, Token: cfg.QuotaOrganization})
		if err != nil {
			return nil, err
		}
		limits.Store, limits.StoreTimeout = store, cfg.QuotaRedisTimeout
	}
	return quota.New(limits)
}

// watchFiles adds the metrics of files, and of certificates if there are any.
func watchFiles(metrics *telemetry.Metrics, poller *reload.Poller, files *files) error {
	if err := metrics.WatchFiles(files.states(poller)); err != nil || len(files.dates()) == 0 {
		return err
	}
	return metrics.WatchCertificates(files.dates)
}

func newServer(cfg config.Config, files *files, endpoints []*endpoint.Endpoint, orgs *tenants, shared policy.SharedRates, memory memory, metrics *telemetry.Metrics, tracer *tracing.Tracer, access service.AccessLog, log *slog.Logger) (*service.Server, error) {
	descriptors, err := maxDescriptors()
	if err != nil {
		return nil, err
	}
	allowed := connectionsWithin(cfg.MaxConnections, descriptors)
	if allowed < cfg.MaxConnections {
		log.Warn("fewer connections than configured: the process may open too few files", "limit", allowed, "max-connections", cfg.MaxConnections, "files", descriptors)
	}
	var auditor service.Auditor
	if files.audit != nil {
		auditor = files.audit
	}
	return service.New(service.Config{
		Audit:                auditor,
		AuditRequired:        cfg.AuditRequired,
		Endpoints:            endpoints,
		Organizations:        orgs,
		Logger:               log,
		Credentials:          newCredentials(files.certificates, cfg.TLSMinVersion),
		Authenticator:        files.callers,
		Policy:               files.policyInUse(),
		SharedRates:          shared,
		Passthrough:          cfg.Passthrough,
		NoReflection:         !cfg.Reflection,
		Channelz:             cfg.Channelz,
		ReflectionComments:   cfg.ReflectionComments,
		SandboxFaults:        cfg.Sandbox,
		Streams:              metrics,
		Answers:              memory.answers,
		Requests:             memory.requests,
		Finished:             newCallMetrics(metrics, files.policyInUse()).finished,
		Tracer:               tracer,
		Access:               access,
		SlowCall:             cfg.SlowCall,
		DefaultDeadline:      cfg.DefaultDeadline,
		MaxRequestBytes:      int(cfg.MaxRequestBytes),
		MaxConcurrentStreams: uint32(cfg.MaxConcurrentStreams),
		MaxConcurrentCalls:   cfg.MaxConcurrentCalls,
		MaxConnections:       allowed,
		MaxConnectionAge:     cfg.MaxConnectionAge,
		KeepaliveMinTime:     cfg.KeepaliveMinTime,
	})
}

func listen(ctx context.Context, address string) (net.Listener, error) {
	return (&net.ListenConfig{}).Listen(ctx, "tcp", address)
}

// httpServe returns the Serve of an HTTP server, with nil for an orderly shutdown.
func httpServe(s *http.Server) func(net.Listener) error {
	return func(l net.Listener) error {
		if err := s.Serve(l); !errors.Is(err, http.ErrServerClosed) {
			return err
		}
		return nil
	}
}
