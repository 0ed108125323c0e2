package config

import (
	"strings"
	"time"

	"github.com/spf13/pflag"
)

// setting is one setting, bound to a field of the configuration it was made from.
type setting struct {
	name  string
	group string
	// usage names the value's placeholder in back quotes.
	usage string
	value pflag.Value
}

// settings is the one list of all settings: flags, variables, file keys, help and the log of
// the effective configuration all come from it.
func (c *Config) settings() []setting {
	const (
		listening = "Listening"
		samsara   = "Samsara"
		retries   = "Retries"
		caching   = "Caching"
		quotas    = "Quota"
		limits    = "Limits"
		sandboxed = "Sandbox"
		logging   = "Logging"
		files     = "Configuration file"
	)
	return []setting{
		{"listen", listening, "`ADDRESS` of the gRPC server", address(&c.Listen, false)},
		{"admin-listen", listening, "`ADDRESS` of /metrics, /healthz, /readyz and /quota; empty: not served", address(&c.AdminListen, true)},
		{"tls-cert-file", listening, "PEM `FILE` with the gRPC server's certificate chain, read again when it changes", text(&c.TLSCertFile)},
		{"tls-key-file", listening, "PEM `FILE` with its private key, read again with it", text(&c.TLSKeyFile)},
		{"tls-client-ca-file", listening, "PEM `FILE` with the authorities whose certificate a client has to show, read again when it changes; its name shares the quota", text(&c.TLSClientCAFile)},
		{"insecure", listening, "allow plaintext beyond loopback", boolean(&c.Insecure)},
		{"passthrough", listening, "serve PassthroughService, which reaches any path of the API", boolean(&c.Passthrough)},
		{"reflection-comments", listening, "serve comments by reflection, which grpcurl describe prints; they take 3MiB once somebody has asked", boolean(&c.ReflectionComments)},

		{"upstream-url", samsara, "base `URL` of the REST API; https beyond loopback", baseURL(&c.UpstreamURL)},
		{"api-token-file", samsara, "`FILE` with the API token, read again when it changes; or set SAMSARA_API_TOKEN", text(&c.APITokenFile)},
		{"api-version", samsara, "`DATE` sent as X-Samsara-Version", date(&c.APIVersion)},
		{"upstream-timeout", samsara, "`TIME` for one attempt; Samsara itself gives up after 90s", duration(&c.UpstreamTimeout, time.Millisecond, 10*time.Minute)},
		{"upstream-max-idle-conns", samsara, "`NUMBER` of idle connections kept for 50s; fewer than the usual calls at a time cost CPU; 0: --max-concurrent-calls, at most 10000", whole(&c.UpstreamMaxIdleConns, 0, 10_000)},
		{"upstream-gzip", samsara, "ask for compressed responses: less network, more CPU", boolean(&c.UpstreamGzip)},
		{"upstream-http2", samsara, "use HTTP/2 where it is offered: fewer connections, more CPU", boolean(&c.UpstreamHTTP2)},

		{"retry-max-attempts", retries, "`NUMBER` of attempts at most, the first included; 1 to 10", whole(&c.RetryMaxAttempts, 1, 10)},
		{"retry-base-delay", retries, "`TIME` that the wait before the second attempt is at most; doubles with each", duration(&c.RetryBaseDelay, time.Millisecond, time.Minute)},
		{"retry-max-delay", retries, "`TIME` that no such wait exceeds, except where Retry-After says so", duration(&c.RetryMaxDelay, time.Millisecond, 5*time.Minute)},

		{"cache", caching, "`PATTERN=TIME` for which reads are answered from memory, such as samsara_gateway.vehicles.v1.*=30s; the first that matches a method counts; may be repeated, or several separated by commas", cacheRules(&c.Cache)},
		{"cache-max-bytes", caching, "`SIZE` of all responses kept for that", bytes(&c.CacheMaxBytes, 1<<20, 1<<40)},

		{"quota", quotas, "keep within Samsara's rate limits: requests wait for their turn", boolean(&c.Quota)},
		{"quota-token-limit", quotas, "`LIMIT` of the API token, such as 150/s, or none", limit(&c.QuotaTokenLimit)},
		{"quota-organization-limit", quotas, "`LIMIT` of the organization", limit(&c.QuotaOrganizationLimit)},
		{"quota-limits", quotas, "`PATTERN=LIMIT` instead of what operations state, such as samsara_gateway.vehicles.v1.*=50/s (or /min, /h, /10s, or none); the first that matches a method counts; may be repeated, or several separated by commas", quotaLimits(&c.QuotaLimits)},
		{"quota-margin", quotas, "`PERCENT` of a limit that is left unused, because the network squeezes requests together", whole(&c.QuotaMargin, 0, 100)},
		{"quota-max-wait", quotas, "`TIME` that an attempt waits for its turn at most; where it would be longer it is refused at once", duration(&c.QuotaMaxWait, time.Millisecond, 5*time.Minute)},
		{"quota-max-queue", quotas, "`NUMBER` of attempts that wait at most; a tenth of it of one caller", whole(&c.QuotaMaxQueue, 10, 1_000_000)},
		{"quota-weights", quotas, "`CALLER=WEIGHT` for callers whose share is not 1, such as billing=2; may be repeated, or several separated by commas", quotaWeights(&c.QuotaWeights)},
		{"quota-batch-percent", quotas, "`PERCENT` that batch calls get at least while they wait", whole(&c.QuotaBatchPercent, 0, 50)},
		{"quota-redis", quotas, "`URL` of a Redis or Valkey that shares the quota between replicas", redisURL(&c.QuotaRedis)},
		{"quota-redis-timeout", quotas, "`TIME` that anybody waits for it at most; then a local share is used until it answers", duration(&c.QuotaRedisTimeout, time.Millisecond, 5*time.Second)},
		{"quota-replicas", quotas, "`NUMBER` of replicas at the least, for when that does not answer", whole(&c.QuotaReplicas, 1, 1000)},
		{"quota-organization", quotas, "`NAME` of the organization there: replicas with the same name share", organization(&c.QuotaOrganization)},

		{"default-deadline", limits, "`TIME` for a call that comes without a deadline", duration(&c.DefaultDeadline, time.Second, time.Hour)},
		{"max-request-bytes", limits, "`SIZE` of a gRPC request at most", bytes(&c.MaxRequestBytes, 1<<10, 64<<20)},
		{"max-response-bytes", limits, "`SIZE` of a response body at most, decompressed; by default a third of --max-in-flight-bytes, at most 64MiB", bytes(&c.MaxResponseBytes, 1<<10, 1<<30)},
		{"max-in-flight-bytes", limits, "`SIZE` of all response bodies and messages at one time; more wait, until their deadline at most; by default a third of the memory limit, or 256MiB if there is none", bytes(&c.MaxInFlightBytes, 1<<20, 1<<40)},
		{"max-concurrent-streams", limits, "`NUMBER` of calls at a time on one client connection, at most half of --max-concurrent-calls; more wait at the client", whole(&c.MaxConcurrentStreams, 1, 100_000)},
		{"max-concurrent-calls", limits, "`NUMBER` of calls at a time on all of them together; more are refused; 0: one for each 256KiB of the memory limit, at least 200, or 50000 if there is none", whole(&c.MaxConcurrentCalls, 0, 10_000_000)},
		{"shutdown-grace", limits, "`TIME` for running calls to finish at shutdown", duration(&c.ShutdownGrace, 0, 10*time.Minute)},

		{"sandbox", sandboxed, "answer from an embedded Samsara instead of the real one; needs no token", boolean(&c.Sandbox)},
		{"sandbox-seed", sandboxed, "`NUMBER` that picks the fleet", seed(&c.SandboxSeed)},
		{"sandbox-fault", sandboxed, faultUsage, faults(&c.SandboxFaults)},

		{"log-level", logging, logLevelUsage + "; a call that succeeds is at debug", level(&c.LogLevel)},
		{"log-format", logging, logFormatUsage, logFormat(&c.LogFormat)},

		{"config", files, "YAML `FILE` with settings under the names of the flags, without dashes in front", text(&c.File)},
	}
}

// What the gateway and the sandbox alone have in common.
const (
	faultUsage     = "`FAULT` to answer with, such as \"status=503; first=2; match=/fleet/*\"; may be repeated, or several separated by commas"
	logLevelUsage  = "least `LEVEL` logged: debug, info, warn or error"
	logFormatUsage = "`FORMAT` of the log on standard error: text or json"
)

// variable returns the name of a setting in the environment.
func variable(name string) string {
	return variablePrefix + strings.ToUpper(strings.ReplaceAll(name, "-", "_"))
}

const variablePrefix = "SAMSARA_GATEWAY_"

// flagSet returns the settings as flags.
func flagSet(settings []setting, inEnvironment bool) *pflag.FlagSet {
	fs := pflag.NewFlagSet("gateway", pflag.ContinueOnError)
	fs.SortFlags = false
	fs.Usage = func() {}
	for _, s := range settings {
		usage := s.usage
		if inEnvironment {
			usage += " [" + variable(s.name) + "]"
		}
		if flag := fs.VarPF(s.value, s.name, "", usage); s.value.Type() == "bool" {
			flag.NoOptDefVal = "true"
		}
	}
	return fs
}

// usage describes settings by group, in the order in which they stand.
func usage(settings []setting, inEnvironment bool) string {
	var b strings.Builder
	for len(settings) > 0 {
		group, n := settings[0].group, 1
		for n < len(settings) && settings[n].group == group {
			n++
		}
		b.WriteString("\n" + group + ":\n" + flagSet(settings[:n], inEnvironment).FlagUsagesWrapped(100))
		settings = settings[n:]
	}
	return b.String()
}
