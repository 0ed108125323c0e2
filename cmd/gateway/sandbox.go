package main

import (
	"context"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"time"

	"samsara.internal/gateway/internal/config"
	"samsara.internal/gateway/internal/endpoint"
	"samsara.internal/gateway/internal/sandbox"
)

// sandboxGrace bounds how long the sandbox alone takes to stop.
const sandboxGrace = 5 * time.Second

// serveSandbox runs a sandbox alone until ctx ends.
func serveSandbox(ctx context.Context, cfg config.Sandbox, endpoints []*endpoint.Endpoint, stderr io.Writer) error {
	log, flush := newLogger(cfg.LogLevel, cfg.LogFormat, stderr)
	defer flush(ctx)
	adoptStrayLines(log)
	box, err := newSandboxServer(sandbox.Config{
		Endpoints: endpoints, Token: cfg.Token, Seed: cfg.Seed, Fleet: cfg.Fleet, PageSize: cfg.PageSize, RateLimits: cfg.RateLimits,
		Faults: cfg.Faults, Logger: log,
	})
	if err != nil {
		return err
	}
	l, err := listen(ctx, cfg.Listen)
	if err != nil {
		return err
	}
	log.InfoContext(ctx, "serving", "sandbox", "http://"+l.Addr().String(), "endpoints", len(endpoints))
	return runServers(ctx, sandboxGrace, func() {}, server{l, httpServe(box), box.Shutdown})
}

// newSandboxServer returns an HTTP server that serves a sandbox. It does not bound how long an answer
// takes, because a fault may ask for any latency.
func newSandboxServer(cfg sandbox.Config) (*http.Server, error) {
	box, err := sandbox.New(cfg)
	if err != nil {
		return nil, fmt.Errorf("sandbox: %w", err)
	}
	return &http.Server{
		Handler:           box,
		ReadHeaderTimeout: 5 * time.Second,
		ReadTimeout:       30 * time.Second,
		IdleTimeout:       2 * time.Minute,
		MaxHeaderBytes:    128 << 10,
		ErrorLog:          slog.NewLogLogger(cfg.Logger.Handler(), slog.LevelDebug),
	}, nil
}
