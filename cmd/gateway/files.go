package main

import (
	"context"
	"io"
	"log/slog"
	"os"
	"sync"
	"sync/atomic"

	"samsara.internal/gateway/internal/audit"
	"samsara.internal/gateway/internal/authn"
	"samsara.internal/gateway/internal/config"
	"samsara.internal/gateway/internal/endpoint"
	"samsara.internal/gateway/internal/policy"
	"samsara.internal/gateway/internal/reload"
	"samsara.internal/gateway/internal/telemetry"
	"samsara.internal/gateway/internal/tracing/otlp"
	"samsara.internal/gateway/upstream"
)

// tokenFileName is the name of the API token's file in logs and metrics.
const tokenFileName = "api-token"

// files has the content of the files that the configuration names. follow keeps it up to date.
type files struct {
	// token is nil in sandbox mode.
	token *upstream.Token
	// certificates are nil without TLS.
	certificates *reload.Value[certificates]
	// adminCertificates are nil without TLS of the admin address.
	adminCertificates *reload.Value[certificates]
	// callers are nil if callers prove nothing.
	callers *authn.Authenticator
	// tokens, keys, keysURL and policy are nil if there are none.
	tokens  *reload.Value[*authn.Tokens]
	keys    *authn.KeyFile
	keysURL *authn.KeyURL
	policy  *reload.Value[*policy.Policy]
	// grants are those of the organizations.
	grants *grants
	// settings are nil without a configuration file.
	settings *settings
	// audit is nil without an audit log.
	audit *audit.Log
	// stdout is standard output, and environ the environment.
	stdout  io.Writer
	environ []string
	// traces is what the environment says of traces.
	traces otlp.Settings
	// endpoints and organizations are what the policy is for. The names of organizations change with their file.
	endpoints     []*endpoint.Endpoint
	organizations atomic.Pointer[[]string]
}

// checkTraces reads what the environment says of traces. It is a config.Check.
func (f *files) checkTraces(*config.Config) (problems []config.Problem) {
	var errs []error
	f.traces, errs = otlp.Check(f.environ)
	for _, err := range errs {
		problems = append(problems, config.Problem{Err: err})
	}
	return problems
}

// open reads the files of a configuration. It is a config.Check.
func (f *files) open(cfg *config.Config) (problems []config.Problem) {
	note := func(setting string, err error) {
		if err != nil {
			problems = append(problems, config.Problem{Setting: setting, Err: err})
		}
	}
	var err error
	switch {
	case cfg.OrganizationsFile != "":
		problems = append(problems, f.openOrganizations(cfg)...)
	case cfg.Sandbox: // needs no token
	case cfg.APITokenFile != "":
		f.token, err = upstream.FileToken(tokenFileName, cfg.APITokenFile)
		note("api-token-file", err)
	default:
		f.token = upstream.StaticToken(cfg.APIToken.Reveal())
	}
	if cfg.AdminTLSCertFile != "" && cfg.AdminTLSKeyFile != "" {
		f.adminCertificates, err = newAdminCertificates(cfg)
		note("admin-tls-cert-file", err)
	}
	if cfg.AuditFile != "" {
		f.audit, err = audit.Open(audit.Config{
			Path: cfg.AuditFile, Text: cfg.AuditFormat == config.LogText, MaxBytes: cfg.AuditMaxBytes, Files: cfg.AuditFiles, Stdout: f.stdout,
		})
		note("audit-file", err)
	}
	problems = append(problems, f.openTLS(cfg)...)
	return append(problems, f.openCallers(cfg)...)
}

// openTLS reads the certificates.
func (f *files) openTLS(cfg *config.Config) (problems []config.Problem) {
	note := func(setting string, err error) {
		if err != nil {
			problems = append(problems, config.Problem{Setting: setting, Err: err})
		}
	}
	if cfg.TLSCertFile == "" || cfg.TLSKeyFile == "" {
		return nil
	}
	var err error
	// First without the authorities, so that each problem is reported for its own file.
	server := *cfg
	server.TLSClientCAFile = ""
	f.certificates, err = newCertificates(&server)
	note("tls-cert-file", err)
	if cfg.TLSClientCAFile == "" {
		return problems
	}
	text, caErr := reload.ReadFile(cfg.TLSClientCAFile, maxPEMBytes)
	if caErr == nil {
		_, caErr = parseAuthorities(text)
	}
	note("tls-client-ca-file", caErr)
	if err == nil && caErr == nil {
		f.certificates, err = newCertificates(cfg)
		note("tls-cert-file", err)
	}
	return problems
}

// dates returns when the certificates in use expire.
func (f *files) dates() []telemetry.Certificate {
	var all []telemetry.Certificate
	for _, c := range []*reload.Value[certificates]{f.certificates, f.adminCertificates} {
		if c != nil {
			all = append(all, c.Get().dates...)
		}
	}
	return all
}

// follow has the files read again, once a second and at each of hangups, until stop is called. It returns
// the poller, which knows their states. The log level becomes that of the configuration file.
func (f *files) follow(ctx context.Context, hangups <-chan os.Signal, level *slog.LevelVar, log *slog.Logger) (poller *reload.Poller, stop func()) {
	var watched []reload.Watched
	if f.token != nil && f.token.File() != nil {
		watched = append(watched, f.token.File())
	}
	if f.certificates != nil {
		watched = append(watched, f.certificates)
	}
	if f.adminCertificates != nil {
		watched = append(watched, f.adminCertificates)
	}
	if f.tokens != nil {
		watched = append(watched, f.tokens)
	}
	if f.keys != nil {
		watched = append(watched, f.keys.Value)
	}
	if f.policy != nil {
		watched = append(watched, f.policy)
	}
	if f.settings != nil {
		watched = append(watched, f.settings.file)
	}
	poller = reload.NewPoller(log, watched...)
	// Calls that finish during the shutdown still need the token.
	ctx, cancel := context.WithCancel(context.WithoutCancel(ctx))
	var running sync.WaitGroup
	running.Go(func() { poller.Run(ctx) })
	running.Go(func() { warnOfExpiry(ctx, f.dates, log) })
	if f.settings != nil {
		running.Go(func() { f.settings.follow(ctx, level, log) })
	}
	if f.keysURL != nil {
		running.Go(func() { f.keysURL.Run(ctx, log) })
	}
	running.Go(func() {
		for {
			select {
			case <-ctx.Done():
				return
			case <-hangups:
				poller.Poke()
				if f.audit != nil {
					f.audit.Reopen()
				}
				if f.keysURL != nil {
					f.keysURL.Poke()
				}
				log.InfoContext(ctx, "SIGHUP: files are read again")
			}
		}
	})
	return poller, func() {
		cancel()
		running.Wait()
	}
}
