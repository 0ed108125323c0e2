// Package admin serves what operators and orchestrators ask of a gateway over HTTP: /metrics,
// /healthz (the process answers), /readyz (it takes calls) and /quota (the state of its budgets).
// A gateway whose quota is without its store, or that goes on with the last good content of a file,
// is ready all the same, and says so.
//
// It answers GET and HEAD only, reads no request body, and bounds the time of every
// connection. It neither authenticates nor encrypts: who may reach its address is the
// configuration's concern.
package admin

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"strings"
	"time"

	"samsara.internal/gateway/internal/quota"
	"samsara.internal/gateway/internal/reload"
)

// Config configures a Server. All fields except Files and Quota are required.
type Config struct {
	// Metrics answers /metrics.
	Metrics http.Handler
	// Ready reports whether calls are taken. It is called concurrently.
	Ready func() bool
	// Files returns the states of the files that are followed. It is called concurrently. If it is
	// nil, there are none.
	Files func() []reload.State
	// Quota returns the state of the quota. It is called concurrently. If it is nil, there is no
	// quota, and /quota answers 404.
	Quota  func() quota.Snapshot
	Logger *slog.Logger
}

// Server is the admin server.
type Server struct{ http *http.Server }

// New returns a server.
func New(cfg Config) *Server {
	mux := http.NewServeMux()
	mux.Handle("GET /metrics", cfg.Metrics)
	mux.HandleFunc("GET /healthz", func(w http.ResponseWriter, _ *http.Request) {
		answer(w, http.StatusOK, "ok\n")
	})
	mux.HandleFunc("GET /readyz", func(w http.ResponseWriter, _ *http.Request) {
		if cfg.Ready() {
			answer(w, http.StatusOK, "ready\n"+filesDetail(cfg.Files)+quotaDetail(cfg.Quota))
			return
		}
		answer(w, http.StatusServiceUnavailable, "not ready\n")
	})
	if cfg.Quota != nil {
		mux.HandleFunc("GET "+QuotaPath, serveQuota(cfg.Quota))
	}
	return &Server{&http.Server{
		Handler:           mux,
		ReadHeaderTimeout: 5 * time.Second,
		ReadTimeout:       10 * time.Second,
		WriteTimeout:      30 * time.Second,
		IdleTimeout:       2 * time.Minute,
		MaxHeaderBytes:    16 << 10,
		ErrorLog:          slog.NewLogLogger(cfg.Logger.Handler(), slog.LevelDebug),
	}}
}

// filesDetail returns a line for each file whose last look failed.
func filesDetail(states func() []reload.State) string {
	if states == nil {
		return ""
	}
	var text strings.Builder
	for _, s := range states() {
		if s.Err != nil {
			fmt.Fprintf(&text, "file %s: the last good one is in use, found good %v ago: %v\n", s.Name, time.Since(s.Good).Round(time.Second), s.Err)
		}
	}
	return text.String()
}

func answer(w http.ResponseWriter, status int, text string) {
	w.Header().Set("Content-Type", "text/plain; charset=utf-8")
	w.WriteHeader(status)
	// A client that has gone needs no answer.
	_, _ = w.Write([]byte(text))
}

// Serve serves on a listener until Shutdown. It closes the listener.
func (s *Server) Serve(l net.Listener) error {
	if err := s.http.Serve(l); !errors.Is(err, http.ErrServerClosed) {
		return err
	}
	return nil
}

// Shutdown waits for running requests until ctx ends, then closes their connections.
func (s *Server) Shutdown(ctx context.Context) error {
	if err := s.http.Shutdown(ctx); err != nil {
		return errors.Join(err, s.http.Close())
	}
	return nil
}
