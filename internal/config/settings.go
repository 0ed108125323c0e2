package config

import (
	"crypto/tls"
	"log/slog"
	"net/url"
	"time"

	"samsara.internal/gateway/internal/quota"
	"samsara.internal/gateway/internal/sandbox"
)

// Config is the configuration of a gateway. What Load returns has passed every check.
type Config struct {
	// File is the file that the settings were read from; empty: none.
	File string
	// MemoryLimit is that of the Go runtime when they were read. Some sizes follow it.
	MemoryLimit int64

	// Listen is the TCP address of the gRPC server.
	Listen string
	// AdminListen is the TCP address of metrics and probes; empty: they are not served.
	AdminListen string
	// TLSCertFile and TLSKeyFile are PEM files; both or neither.
	TLSCertFile, TLSKeyFile string
	// TLSClientCAFile is a PEM file; empty: clients need no certificate.
	TLSClientCAFile string
	// TLSClientAuth says whether clients must have a certificate of TLSClientCAFile.
	TLSClientAuth ClientAuth
	// TLSMinVersion is the least version of TLS, of both listeners.
	TLSMinVersion uint16
	// Insecure allows plaintext beyond loopback, for gRPC.
	Insecure bool
	// AdminTLSCertFile and AdminTLSKeyFile are PEM files; both or neither.
	AdminTLSCertFile, AdminTLSKeyFile string
	// AdminInsecure allows plaintext beyond loopback, for the admin address.
	AdminInsecure bool
	// AdminHosts are the names that the admin address may be called by, beside IP addresses and localhost.
	AdminHosts []string
	// Profiles serves profiles of the process on the admin address.
	Profiles bool
	// Reflection and Channelz serve these of grpc's services.
	Reflection, Channelz bool
	// Passthrough serves samsara_gateway.api.v1.PassthroughService.
	Passthrough bool
	// ReflectionComments serves comments by reflection.
	ReflectionComments bool

	// CallerTokensFile has the static tokens of callers; empty: none.
	CallerTokensFile string
	// JWTIssuer and JWTAudiences say which JWTs are accepted; empty: none.
	JWTIssuer    string
	JWTAudiences []string
	// JWTKeysFile and JWTKeysURL have the issuer's keys: one of them if there is an issuer.
	JWTKeysFile string
	JWTKeysURL  *url.URL
	// JWTKeysCAFile has the authorities of the host of JWTKeysURL; empty: the system's. JWTKeysTokenFile has the token
	// that it wants; empty: none.
	JWTKeysCAFile, JWTKeysTokenFile string
	// JWTClockSkew is how far the issuer's clock may be off.
	JWTClockSkew time.Duration
	// PolicyFile says who may do what; empty: whoever has proved something may do everything.
	PolicyFile string

	// UpstreamURL is the base URL of the REST API.
	UpstreamURL *url.URL
	// APIToken is the token if the environment holds it. Otherwise APITokenFile names a file.
	APIToken Secret
	// APITokenFile holds the token and may change while the gateway runs.
	APITokenFile string
	// OrganizationsFile says for which organizations the gateway works; empty: for one, which the settings
	// around describe. It may change while the gateway runs.
	OrganizationsFile string
	// APIVersion is sent as X-Samsara-Version.
	APIVersion string
	// UpstreamTimeout bounds one attempt.
	UpstreamTimeout time.Duration
	// UpstreamMaxIdleConns is how many idle connections are kept, at most 10,000. If it is not given it
	// follows MaxConcurrentCalls.
	UpstreamMaxIdleConns int
	// UpstreamGzip asks for compressed responses.
	UpstreamGzip bool
	// UpstreamHTTP2 uses HTTP/2 if the upstream offers it.
	UpstreamHTTP2 bool

	// RetryMaxAttempts includes the first attempt.
	RetryMaxAttempts int
	// RetryBaseDelay and RetryMaxDelay bound the wait before the second and any later attempt.
	RetryBaseDelay, RetryMaxDelay time.Duration

	// Cache says which reads may be answered from memory. See CacheTTL.
	Cache []CacheRule
	// CacheMaxBytes bounds the memory of cached responses.
	CacheMaxBytes int64

	// Quota keeps requests within Samsara's rate limits.
	Quota bool
	// QuotaTokenLimit and QuotaOrganizationLimit limit all operations together.
	QuotaTokenLimit, QuotaOrganizationLimit quota.Limit
	// QuotaLimits replace the limits that operations state.
	QuotaLimits []quota.Override
	// QuotaMargin lengthens every window by so many percent.
	QuotaMargin int
	// QuotaMaxWait bounds the wait of an attempt, QuotaMaxQueue how many attempts wait.
	QuotaMaxWait  time.Duration
	QuotaMaxQueue int
	// QuotaWeights are the shares of callers that are not 1.
	QuotaWeights []QuotaWeight
	// QuotaBatchPercent is the least share of the priority batch while it waits.
	QuotaBatchPercent int
	// QuotaRedis is the URL of the Redis that shares the quota between replicas; empty: none.
	QuotaRedis Secret
	// QuotaRedisTimeout bounds each wait for that Redis.
	QuotaRedisTimeout time.Duration
	// QuotaReplicas is the least number of replicas.
	QuotaReplicas int
	// QuotaOrganization names the organization in that Redis.
	QuotaOrganization string

	// AccessLogRate bounds the lines of calls that succeed, in a second; 0: none. SlowCall is how long a call may take before
	// its line is a warning; 0: for ever.
	AccessLogRate int
	SlowCall      time.Duration
	// MetricsBuckets are the upper bounds of the classic buckets of histograms, in seconds and rising.
	MetricsBuckets []float64

	// DefaultDeadline bounds a call that comes without a deadline.
	DefaultDeadline time.Duration
	// MaxRequestBytes bounds a gRPC request message.
	MaxRequestBytes int64
	// MaxResponseBytes bounds an HTTP response body.
	MaxResponseBytes int64
	// MaxInFlightBytes bounds the memory of all response bodies and messages at a time. If it,
	// MaxResponseBytes or MaxConcurrentCalls is not given, it follows the memory limit: see Load.
	MaxInFlightBytes int64
	// MaxConcurrentStreams bounds the calls at a time on one client connection.
	MaxConcurrentStreams int
	// MaxConcurrentCalls bounds the calls at a time on all connections together.
	MaxConcurrentCalls int
	// MaxConnections bounds the connections of clients at a time.
	MaxConnections int
	// MaxConnectionAge is how old a connection becomes; 0: there is no bound.
	MaxConnectionAge time.Duration
	// KeepaliveMinTime is the least time between a client's keepalive pings.
	KeepaliveMinTime time.Duration
	// DrainDelay is how long calls are still accepted after health and readiness have said that the gateway
	// stops.
	DrainDelay time.Duration
	// ShutdownGrace bounds how long running calls may take to finish at shutdown.
	ShutdownGrace time.Duration

	// Sandbox replaces Samsara with the embedded sandbox.
	Sandbox bool
	// SandboxSeed picks the sandbox's fleet.
	SandboxSeed uint64
	// SandboxFaults are what goes wrong in the sandbox.
	SandboxFaults []sandbox.Fault

	// AuditFile is where the audit log goes; empty: nowhere, "-": to standard output.
	AuditFile string
	// AuditFormat is text or JSON.
	AuditFormat LogFormat
	// AuditMaxBytes bounds each of its files, and AuditFiles how many there are.
	AuditMaxBytes int64
	AuditFiles    int
	// AuditRequired refuses writes while it cannot be written.
	AuditRequired bool

	// LogLevel is the least level that is logged.
	LogLevel slog.Level
	// LogFormat is text or JSON.
	LogFormat LogFormat
}

// defaults returns the configuration of a gateway that is told nothing.
func defaults() Config {
	var c Config
	reset(c.settings())
	return c
}

// settings returns the one list of all settings: defaults, flags, variables, file keys, help, the log line
// with the effective configuration and the documentation all come from it. A setting is a field above and
// a row here.
func (c *Config) settings() []setting {
	const (
		listening = "Listening"
		callers   = "Callers"
		samsara   = "Samsara"
		retries   = "Retries"
		caching   = "Caching"
		quotas    = "Quota"
		limits    = "Limits"
		sandboxed = "Sandbox"
		auditing  = "Audit log"
		logging   = "Logging"
		files     = "Configuration file"
	)
	usual := quota.Defaults()
	return []setting{
		{"listen", listening, "`ADDRESS` of the gRPC server", address(&c.Listen, false).defaultTo("127.0.0.1:50051")},
		{"admin-listen", listening, "`ADDRESS` of /metrics, /livez, /readyz, /quota and /channelz; empty: not served", address(&c.AdminListen, true).defaultTo("127.0.0.1:9464")},
		{"metrics-buckets", listening, "`SECONDS` of a classic bucket that histograms have beside the native ones; may be repeated, or several separated by commas, such as 0.1,1,10; each costs a line a histogram", seconds(&c.MetricsBuckets)},
		{"tls-cert-file", listening, "PEM `FILE` with the gRPC server's certificate chain, read again when it changes", text(&c.TLSCertFile)},
		{"tls-key-file", listening, "PEM `FILE` with its private key, read again with it", text(&c.TLSKeyFile)},
		{"tls-client-ca-file", listening, "PEM `FILE` with the authorities of clients' certificates, read again when it changes; the certificate names the caller", text(&c.TLSClientCAFile)},
		{"tls-client-auth", listening, "whether clients must have such a certificate: require or optional", clientAuth(&c.TLSClientAuth).defaultTo(ClientAuthRequire)},
		{"tls-min-version", listening, "least `VERSION` of TLS, also of the admin address: 1.2 or 1.3", tlsVersion(&c.TLSMinVersion).defaultTo(tls.VersionTLS12)},
		{"insecure", listening, "allow plaintext beyond loopback, for gRPC", boolean(&c.Insecure)},
		{"admin-tls-cert-file", listening, "PEM `FILE` with the admin address's certificate chain, read again when it changes", text(&c.AdminTLSCertFile)},
		{"admin-tls-key-file", listening, "PEM `FILE` with its private key, read again with it", text(&c.AdminTLSKeyFile)},
		{"admin-insecure", listening, "allow plaintext beyond loopback, for the admin address", boolean(&c.AdminInsecure)},
		{"admin-hosts", listening, "`NAME` that the admin address may be called by, beside IP addresses and localhost; may be repeated, or several separated by commas", hosts(&c.AdminHosts)},
		{"pprof", listening, "serve profiles of the process below /debug/pprof/ on the admin address", boolean(&c.Profiles)},
		{"reflection", listening, "serve reflection, which grpcurl needs", boolean(&c.Reflection).defaultTo(true)},
		{"channelz", listening, "serve grpc's channelz, which shows peers' addresses; the admin address has it anyway", boolean(&c.Channelz)},
		{"passthrough", listening, "serve PassthroughService, which reaches any path of the API", boolean(&c.Passthrough)},
		{"reflection-comments", listening, "serve comments by reflection, which grpcurl describe prints; they take 3MiB once somebody has asked", boolean(&c.ReflectionComments).defaultTo(true)},

		{"caller-tokens-file", callers, "`FILE` with a line NAME: SHA256 for each static token of a caller, as gateway token prints it; read again when it changes", text(&c.CallerTokensFile)},
		{"jwt-issuer", callers, "`TEXT` that is iss of the JWTs that callers may prove themselves by; sub names the caller", text(&c.JWTIssuer)},
		{"jwt-audience", callers, "`TEXT` that aud of a JWT must have; may be repeated, or several separated by commas", texts(&c.JWTAudiences)},
		{"jwt-jwks-file", callers, "`FILE` with the issuer's keys as a JSON Web Key Set, read again when it changes", text(&c.JWTKeysFile)},
		{"jwt-jwks-url", callers, "`URL` of the issuer's keys instead, fetched every 5m and for an unknown key; https beyond this machine", keysURL(&c.JWTKeysURL)},
		{"jwt-jwks-ca-file", callers, "PEM `FILE` with the authorities of that host, if they are not the system's", text(&c.JWTKeysCAFile)},
		{"jwt-jwks-token-file", callers, "`FILE` with the bearer token that the host wants, read for each fetch", text(&c.JWTKeysTokenFile)},
		{"jwt-clock-skew", callers, "`TIME` that the issuer's clock may be off", duration(&c.JWTClockSkew, 0, 10*time.Minute).defaultTo(30 * time.Second)},
		{"policy-file", callers, "`FILE` that says who may do what, see docs/security.md; read again when it changes; without it whoever has proved something may do everything", text(&c.PolicyFile)},

		{"upstream-url", samsara, "base `URL` of the REST API; https beyond loopback", baseURL(&c.UpstreamURL).defaultTo(&url.URL{Scheme: "https", Host: "api.samsara.com"})},
		{"api-token-file", samsara, "`FILE` with the API token, read again when it changes; or set SAMSARA_API_TOKEN", text(&c.APITokenFile)},
		{"organizations-file", samsara, "`FILE` with the organizations to work for, if there are several, see docs/organizations.md; read again when it changes", text(&c.OrganizationsFile)},
		{"api-version", samsara, "`DATE` sent as X-Samsara-Version", date(&c.APIVersion).defaultTo(APIDocumentVersion)},
		{"upstream-timeout", samsara, "`TIME` for one attempt; Samsara itself gives up after 90s", duration(&c.UpstreamTimeout, time.Millisecond, 10*time.Minute).defaultTo(95 * time.Second)},
		{"upstream-max-idle-conns", samsara, "`NUMBER` of idle connections kept for 50s; fewer than the usual calls at a time cost CPU; 0: --max-concurrent-calls, at most 10000", whole(&c.UpstreamMaxIdleConns, 0, 10_000)},
		{"upstream-gzip", samsara, "ask for compressed responses: less network, more CPU", boolean(&c.UpstreamGzip)},
		{"upstream-http2", samsara, "use HTTP/2 if it is offered: fewer connections, more CPU", boolean(&c.UpstreamHTTP2)},

		{"retry-max-attempts", retries, "`NUMBER` of attempts at most, the first included; 1 to 10", whole(&c.RetryMaxAttempts, 1, 10).defaultTo(4)},
		{"retry-base-delay", retries, "longest `TIME` to wait before the second attempt; doubles for each later one", duration(&c.RetryBaseDelay, time.Millisecond, time.Minute).defaultTo(250 * time.Millisecond)},
		{"retry-max-delay", retries, "longest `TIME` of any such wait, unless Retry-After asks for more", duration(&c.RetryMaxDelay, time.Millisecond, 5*time.Minute).defaultTo(10 * time.Second)},

		{"cache", caching, "`PATTERN=TIME` for which reads are answered from memory, such as samsara_gateway.vehicles.v1.*=30s; the first that matches a method counts; may be repeated, or several separated by commas", cacheRules(&c.Cache)},
		{"cache-max-bytes", caching, "`SIZE` of all responses kept for that", bytes(&c.CacheMaxBytes, 1<<20, 1<<40).defaultTo(64 << 20)},

		{"quota", quotas, "keep within Samsara's rate limits: requests wait for their turn", boolean(&c.Quota).defaultTo(true)},
		{"quota-token-limit", quotas, "`LIMIT` of the API token, such as 150/s, or none", limit(&c.QuotaTokenLimit).defaultTo(usual.Token)},
		{"quota-organization-limit", quotas, "`LIMIT` of the organization", limit(&c.QuotaOrganizationLimit).defaultTo(usual.Organization)},
		{"quota-limits", quotas, "`PATTERN=LIMIT` instead of what operations state, such as samsara_gateway.vehicles.v1.*=50/s (or /min, /h, /10s, or none); the first that matches a method counts; may be repeated, or several separated by commas", quotaLimits(&c.QuotaLimits)},
		{"quota-margin", quotas, "`PERCENT` of a limit that is left unused, because the network squeezes requests together", whole(&c.QuotaMargin, 0, 100).defaultTo(int(usual.Margin * 100))},
		{"quota-max-wait", quotas, "longest `TIME` that an attempt waits for its turn; one that would wait longer is refused at once", duration(&c.QuotaMaxWait, time.Millisecond, 5*time.Minute).defaultTo(usual.MaxWait)},
		{"quota-max-queue", quotas, "largest `NUMBER` of attempts that wait; a tenth of it for each caller", whole(&c.QuotaMaxQueue, 10, 1_000_000).defaultTo(usual.MaxQueue)},
		{"quota-weights", quotas, "`CALLER=WEIGHT` for callers whose share is not 1, such as billing=2; may be repeated, or several separated by commas", quotaWeights(&c.QuotaWeights)},
		{"quota-batch-percent", quotas, "least `PERCENT` that batch calls get while they wait", whole(&c.QuotaBatchPercent, 0, 50).defaultTo(usual.BatchPercent)},
		{"quota-redis", quotas, "`URL` of a Redis or Valkey that shares the quota between replicas", redisURL(&c.QuotaRedis)},
		{"quota-redis-timeout", quotas, "longest `TIME` that an attempt waits for Redis; then a local share is used until Redis answers", duration(&c.QuotaRedisTimeout, time.Millisecond, 5*time.Second).defaultTo(usual.StoreTimeout)},
		{"quota-replicas", quotas, "least `NUMBER` of replicas to share by while Redis does not answer", whole(&c.QuotaReplicas, 1, 1000).defaultTo(usual.Replicas)},
		{"quota-organization", quotas, "`NAME` of the organization in Redis; replicas with the same name share the quota", organization(&c.QuotaOrganization).defaultTo("default")},

		{"default-deadline", limits, "`TIME` for a call that comes without a deadline", duration(&c.DefaultDeadline, time.Second, time.Hour).defaultTo(5 * time.Minute)},
		{"max-request-bytes", limits, "`SIZE` of a gRPC request at most", bytes(&c.MaxRequestBytes, 1<<10, 64<<20).defaultTo(4 << 20)},
		{"max-response-bytes", limits, "`SIZE` of a response body at most, decompressed; by default a third of --max-in-flight-bytes, at most 64MiB", bytes(&c.MaxResponseBytes, 1<<10, 1<<30)},
		{"max-in-flight-bytes", limits, "`SIZE` of all response bodies and messages at one time; more wait, until their deadline at most; by default a third of the memory limit, or 256MiB if there is none", bytes(&c.MaxInFlightBytes, 1<<20, 1<<40)},
		{"max-concurrent-streams", limits, "`NUMBER` of calls at a time on one client connection, at most half of --max-concurrent-calls; more wait at the client", whole(&c.MaxConcurrentStreams, 1, 100_000).defaultTo(1000)},
		{"max-concurrent-calls", limits, "`NUMBER` of calls at a time on all of them together; more are refused; 0: one for each 256KiB of the memory limit, at least 200, or 50000 if there is none", whole(&c.MaxConcurrentCalls, 0, 10_000_000)},
		{"max-connections", limits, "`NUMBER` of client connections at a time, at most half of the files that the process may open; more are closed as they come", whole(&c.MaxConnections, 1, 1_000_000).defaultTo(10_000)},
		{"max-connection-age", limits, "`TIME` after which a client is asked to connect again, a tenth more or less; its calls finish, its streams end with their cursor; 0: never", duration(&c.MaxConnectionAge, 0, 24*time.Hour).defaultTo(30 * time.Minute)},
		{"keepalive-min-time", limits, "least `TIME` between a client's keepalive pings; one that pings more than twice as often is disconnected", duration(&c.KeepaliveMinTime, time.Second, time.Hour).defaultTo(10 * time.Second)},
		{"drain-delay", limits, "`TIME` that calls are still accepted after health checks and readiness say that the gateway stops", duration(&c.DrainDelay, 0, 10*time.Minute)},
		{"shutdown-grace", limits, "`TIME` for running calls to finish at shutdown", duration(&c.ShutdownGrace, 0, 10*time.Minute).defaultTo(30 * time.Second)},

		{"sandbox", sandboxed, "answer from an embedded Samsara instead of the real one; needs no token", boolean(&c.Sandbox)},
		{"sandbox-seed", sandboxed, "`NUMBER` that picks the fleet", seed(&c.SandboxSeed).defaultTo(1)},
		{"sandbox-fault", sandboxed, faultUsage, faults(&c.SandboxFaults)},

		{"audit-file", auditing, "`FILE` with a line for each write and each denied call, or - for standard output; empty: none", text(&c.AuditFile)},
		{"audit-format", auditing, "`FORMAT` of the lines: text or json", logFormat(&c.AuditFormat).defaultTo(LogJSON)},
		{"audit-max-bytes", auditing, "`SIZE` of a file at most; then it is renamed and another one begun", bytes(&c.AuditMaxBytes, 64<<10, 1<<40).defaultTo(100 << 20)},
		{"audit-files", auditing, "`NUMBER` of files that are kept, the one that is written included", whole(&c.AuditFiles, 1, 1000).defaultTo(10)},
		{"audit-required", auditing, "refuse writes while the audit log cannot be written", boolean(&c.AuditRequired)},

		{"log-level", logging, logLevelUsage, level(&c.LogLevel).defaultTo(slog.LevelInfo)},
		{"log-format", logging, logFormatUsage, logFormat(&c.LogFormat).defaultTo(LogText)},
		{"access-log-rate", logging, "`NUMBER` of lines a second, at most, for calls that succeed; the next line says how many were left out; 0: none; at --log-level=debug there is a line for each", whole(&c.AccessLogRate, 0, 100_000).defaultTo(100)},
		{"slow-call", logging, "`TIME` that a call may take, or the first message of a stream, before its line is a warning; 0: for ever", duration(&c.SlowCall, 0, time.Hour).defaultTo(10 * time.Second)},

		{"config", files, "YAML `FILE` with settings under the names of the flags, without dashes in front", text(&c.File)},
	}
}

// The texts that the settings of the gateway and of the sandbox have in common.
const (
	faultUsage     = "`FAULT` to answer with, such as \"status=503; first=2; match=/fleet/*\"; may be repeated, or several separated by commas"
	logLevelUsage  = "least `LEVEL` logged: debug, info, warn or error"
	logFormatUsage = "`FORMAT` of the log on standard error: text or json"
)
