package main

import (
	"context"
	"log/slog"
	"os"
	"sync"

	"samsara.internal/gateway/internal/config"
	"samsara.internal/gateway/internal/reload"
	"samsara.internal/gateway/upstream"
)

// files has the content of the files that the configuration names. follow keeps it up to date.
type files struct {
	// token is nil in sandbox mode.
	token *upstream.Token
	// certificates are nil without TLS.
	certificates *reload.Value[certificates]
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
	case cfg.Sandbox: // needs no token
	case cfg.APITokenFile != "":
		f.token, err = upstream.FileToken(cfg.APITokenFile)
		note("api-token-file", err)
	default:
		f.token = upstream.StaticToken(cfg.APIToken.Reveal())
	}
	if cfg.TLSCertFile == "" || cfg.TLSKeyFile == "" {
		return problems
	}
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

// follow has the files read again, once a second and at each of hangups, until stop is called. It returns
// the poller, which knows their states.
func (f *files) follow(ctx context.Context, hangups <-chan os.Signal, log *slog.Logger) (poller *reload.Poller, stop func()) {
	var watched []reload.Watched
	if f.token != nil && f.token.File() != nil {
		watched = append(watched, f.token.File())
	}
	if f.certificates != nil {
		watched = append(watched, f.certificates)
	}
	poller = reload.NewPoller(log, watched...)
	// Calls that finish during the shutdown still need the token.
	ctx, cancel := context.WithCancel(context.WithoutCancel(ctx))
	var running sync.WaitGroup
	running.Go(func() { poller.Run(ctx) })
	running.Go(func() {
		for {
			select {
			case <-ctx.Done():
				return
			case <-hangups:
				log.InfoContext(ctx, "SIGHUP: files are read again")
				poller.Poke()
			}
		}
	})
	return poller, func() {
		cancel()
		running.Wait()
	}
}
