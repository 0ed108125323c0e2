package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"slices"
	"strings"
	"text/tabwriter"
	"time"

	"samsara.internal/gateway/internal/audit"
	"samsara.internal/gateway/internal/config"
	"samsara.internal/gateway/internal/reload"
)

// maxSettingsBytes bounds the configuration file.
const maxSettingsBytes = 1 << 20

// settings are what the configuration file says, which may change while the gateway runs. Of it the log level alone
// takes effect.
type settings struct {
	file    *reload.Value[config.Config]
	started config.Config
}

// newSettings follows the configuration file of cfg; nil: it has none, or one that cannot be followed because it is
// empty or not regular, such as a pipe, which can be read once. again reads the configuration once more.
func newSettings(cfg config.Config, again func() (config.Config, error)) (*settings, error) {
	if cfg.File == "" {
		return nil, nil //nolint:nilnil // there is nothing to follow
	}
	if info, err := os.Stat(cfg.File); err == nil && (!info.Mode().IsRegular() || info.Size() == 0) {
		return nil, nil //nolint:nilnil // as above
	}
	file, err := reload.New(reload.File[config.Config]{
		Name: "config", Paths: []string{cfg.File}, MaxBytes: maxSettingsBytes,
		Parse: func([][]byte) (config.Config, error) {
			loaded, err := again()
			var bad *config.Error
			if errors.As(err, &bad) && len(bad.Problems) > 1 {
				err = fmt.Errorf("%s; and %d more: see gateway config check", bad.Problems[0], len(bad.Problems)-1)
			}
			return loaded, err
		},
	})
	if err != nil {
		return nil, err
	}
	return &settings{file, cfg}, nil
}

// follow sets the log level to that of the file when the file changes, and logs what does not take effect, until ctx
// ends.
func (s *settings) follow(ctx context.Context, level *slog.LevelVar, log *slog.Logger) {
	seen := uint64(0)
	for ctx.Err() == nil {
		if !s.file.Await(ctx, time.Hour, func(config.Config) bool { return s.file.Version() != seen }) {
			continue
		}
		seen = s.file.Version()
		now := s.file.Get()
		if now.LogLevel != level.Level() {
			level.Set(now.LogLevel)
			log.WarnContext(ctx, "log level changed", "level", now.LogLevel)
		}
		if names := s.unheeded(); len(names) > 0 {
			log.WarnContext(ctx, "settings have changed that need a restart to take effect", "settings", strings.Join(names, ", "))
		}
	}
}

// unheeded returns the names of settings that have changed without effect.
func (s *settings) unheeded() []string {
	return slices.DeleteFunc(config.Changed(s.started, s.file.Get()), func(name string) bool { return name == "log-level" })
}

func configUsage() string {
	return `Config check reads the configuration and every file that it names, as the gateway does when it starts.

Usage:
  gateway config check [flags]

The flags are those of the gateway, and the environment counts too. If the gateway would start, it prints
the settings that differ from the defaults, without secrets. Otherwise every problem is listed, and the
exit code is 2. It makes no connection.
`
}

// checkConfig is the command config.
func checkConfig(args, environ []string, stdout io.Writer) error {
	if len(args) == 0 || args[0] != "check" {
		return badUsage("config: there is one command, gateway config check")
	}
	endpoints, err := loadEndpoints()
	if err != nil {
		return err
	}
	files := files{stdout: io.Discard, environ: environ, endpoints: endpoints}
	var fresh string // the audit log, if there was none yet
	look := func(cfg *config.Config) []config.Problem {
		if _, err := os.Stat(cfg.AuditFile); cfg.AuditFile != audit.Stdout && errors.Is(err, os.ErrNotExist) {
			fresh = cfg.AuditFile
		}
		return nil
	}
	cfg, err := config.Load(args[1:], environ, apiOf(endpoints), look, files.open, files.checkTraces, checkProxy)
	if files.audit != nil {
		files.audit.Close()
		if fresh != "" { // The gateway that begins it may run as another user.
			err = errors.Join(err, os.Remove(fresh))
		}
	}
	if err != nil {
		return err
	}
	w := tabwriter.NewWriter(stdout, 0, 0, 2, ' ', 0)
	for _, name := range config.Changed(cfg.Defaults(), cfg) {
		fmt.Fprintf(w, "%s\t%s\n", name, cfg.Value(name))
	}
	fmt.Fprintf(w, "ok\t\n")
	return w.Flush()
}
