package admin

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"slices"
	"strings"
	"time"

	"samsara.internal/gateway/internal/quota"
	"samsara.internal/gateway/internal/reload"
)

// Config configures a Server. Metrics and Logger are required.
type Config struct {
	// Metrics answers /metrics.
	Metrics http.Handler
	// Unready returns why no calls are taken, a line for each reason; none: calls are taken. It is called concurrently.
	// If it is nil, calls are taken.
	Unready func() []string
	// Impaired returns what is wrong although calls are taken, a line each, beside what Files, Unheeded and Quotas say.
	// It is called concurrently, and may be nil.
	Impaired func() []string
	// Files returns the states of the files that are followed. It is called concurrently. If it is
	// nil, there are none.
	Files func() []reload.State
	// Quotas returns the state of the quota of each organization, by its name. It is called concurrently.
	// If it is nil, there is no quota, and /quota answers 404.
	Quotas func() map[string]quota.Snapshot
	// Unheeded returns the names of settings that have changed without effect. It is called concurrently, and may be nil.
	Unheeded func() []string
	// Hosts are the names that the server may be called by, beside IP addresses and localhost.
	Hosts []string
	// Profiles serves profiles of the process below /debug/pprof/.
	Profiles bool
	Logger   *slog.Logger
}

// Server is the admin server.
type Server struct{ http *http.Server }

// New returns a server.
func New(cfg Config) *Server {
	mux := http.NewServeMux()
	mux.Handle("GET /metrics", cfg.Metrics)
	mux.HandleFunc("GET /livez", serveLive)
	mux.HandleFunc("GET /healthz", serveLive) // its name before there was /livez
	mux.HandleFunc("GET /readyz", serveReady(&cfg))
	if cfg.Quotas != nil {
		mux.HandleFunc("GET "+QuotaPath, serveQuota(cfg.Quotas))
	}
	mux.Handle("GET /channelz", newChannelz())
	if cfg.Profiles {
		mux.HandleFunc("GET "+profilesPath, serveProfile)
	}
	return &Server{&http.Server{
		Handler:           knownHosts(cfg.Hosts, mux),
		ReadHeaderTimeout: 5 * time.Second,
		ReadTimeout:       10 * time.Second,
		WriteTimeout:      30 * time.Second,
		IdleTimeout:       2 * time.Minute,
		MaxHeaderBytes:    16 << 10,
		ErrorLog:          slog.NewLogLogger(cfg.Logger.Handler(), slog.LevelDebug),
	}}
}

// serveLive answers as long as the process does.
func serveLive(w http.ResponseWriter, _ *http.Request) { answer(w, http.StatusOK, "ok\n") }

// serveReady answers whether calls are taken, and with a line for everything that is wrong.
func serveReady(cfg *Config) http.HandlerFunc {
	return func(w http.ResponseWriter, _ *http.Request) {
		status, text := http.StatusOK, "ready\n"
		if reasons := lines(cfg.Unready); reasons != "" {
			status, text = http.StatusServiceUnavailable, "not ready\n"+reasons
		}
		answer(w, status, text+lines(cfg.Impaired)+filesDetail(cfg.Files)+unheededDetail(cfg.Unheeded)+quotaDetail(cfg.Quotas))
	}
}

// lines returns the texts of a function, each on a line of its own; nil: none.
func lines(texts func() []string) string {
	if texts == nil {
		return ""
	}
	var all strings.Builder
	for _, text := range texts() {
		all.WriteString(text + "\n")
	}
	return all.String()
}

// knownHosts refuses requests by another name than an IP address, localhost or one of names. A page of a stranger
// that a browser shows can make its own name mean this address, and would then be let in.
func knownHosts(names []string, next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if !isKnown(r.Host, names) {
			answer(w, http.StatusMisdirectedRequest, fmt.Sprintf("Host: is %q, must be an IP address, localhost or one of --admin-hosts\n", clip(r.Host)))
			return
		}
		next.ServeHTTP(w, r)
	})
}

// isKnown reports whether a Host, with or without a port, is one that the server may be called by. A request of
// HTTP/1.0 may have none, and no browser sends such a request.
func isKnown(host string, names []string) bool {
	if name, _, err := net.SplitHostPort(host); err == nil {
		host = name
	}
	host = strings.TrimSuffix(strings.TrimPrefix(host, "["), "]")
	if host == "" || strings.EqualFold(host, "localhost") || net.ParseIP(host) != nil {
		return true
	}
	return slices.ContainsFunc(names, func(name string) bool { return strings.EqualFold(name, host) })
}

func clip(s string) string { return s[:min(len(s), 256)] }

// maxDetail bounds a line about a file, in bytes.
const maxDetail = 300

// filesDetail returns a line for each file whose last look failed.
func filesDetail(states func() []reload.State) string {
	if states == nil {
		return ""
	}
	var text strings.Builder
	for _, s := range states() {
		if s.Err != nil {
			line := fmt.Sprintf("file %s: the last good one is in use, found good %v ago: %v", s.Name, time.Since(s.Good).Round(time.Second), s.Err)
			line = strings.ReplaceAll(line, "\n", " ")
			text.WriteString(strings.ToValidUTF8(line[:min(len(line), maxDetail)], "") + "\n")
		}
	}
	return text.String()
}

// unheededDetail returns a line with the settings that need a restart to take effect, if there are some.
func unheededDetail(names func() []string) string {
	if names == nil {
		return ""
	}
	if changed := names(); len(changed) > 0 {
		return "settings that have changed and need a restart: " + strings.Join(changed, ", ") + "\n"
	}
	return ""
}

func answer(w http.ResponseWriter, status int, text string) {
	w.Header().Set("Content-Type", "text/plain; charset=utf-8")
	w.Header().Set("X-Content-Type-Options", "nosniff")
	w.WriteHeader(status)
	// A client that has gone needs no answer.
	_, _ = w.Write([]byte(text)) //nolint:gosec // G705: no browser takes plain text for a page
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
