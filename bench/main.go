// Bench measures the gateway beside floors and peers, and writes what it found.
//
//	bench run [flags]          measure, write RESULTS.md and results.svg, print the former
//	bench serve [flags] NAME   be one of the servers of package peer; run starts these itself
//
// It needs Linux: what a server costs is read from the kernel.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/url"
	"os"
	"os/signal"
	"syscall"

	"samsara.internal/gateway/bench/internal/peer"
	"samsara.internal/gateway/bench/internal/report"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	context.AfterFunc(ctx, stop) // a second signal ends it at once
	if err := run(ctx, os.Args[1:], os.Stdout, os.Stderr); err != nil && !errors.Is(err, flag.ErrHelp) {
		fmt.Fprintln(os.Stderr, "bench:", err)
		os.Exit(1) //nolint:forbidigo // this is main
	}
}

// run runs the command that the arguments name, until it is done or ctx ends.
func run(ctx context.Context, args []string, stdout, stderr io.Writer) error {
	log := slog.New(slog.NewTextHandler(stderr, nil))
	var command string
	if len(args) > 0 {
		command, args = args[0], args[1:]
	}
	flags := flag.NewFlagSet("bench "+command, flag.ContinueOnError)
	flags.SetOutput(stderr)
	switch command {
	case "run":
		h := harness{log: log}
		h.flags(flags)
		if err := flags.Parse(args); err != nil {
			return err
		}
		return h.run(ctx, stdout)
	case "serve":
		upstream := flags.String("upstream", "", "base `URL` of the upstream")
		message := flags.String("message", "", "`FILE` with what stream sends")
		if err := flags.Parse(args); err != nil {
			return err
		}
		return serve(ctx, flags.Arg(0), *upstream, *message, log)
	default:
		return fmt.Errorf("command %q: must be run or serve", command)
	}
}

// serve runs a server on a loopback port of its own, which it logs, until ctx ends.
func serve(ctx context.Context, name, upstream, message string, log *slog.Logger) error {
	base, err := url.Parse(upstream)
	if err != nil {
		return err
	}
	cfg := peer.Config{Upstream: base, Bodies: bodies()}
	if name == peer.Upstream {
		for _, container := range report.AllContainers() {
			cfg.Bodies = append(cfg.Bodies, container.Body)
		}
	}
	if message != "" {
		if cfg.Message, err = os.ReadFile(message); err != nil { //nolint:gosec // the command line names the file
			return err
		}
	}
	server, err := peer.New(name, cfg) //nolint:contextcheck // each stream has a context of its own
	if err != nil {
		return err
	}
	l, err := (&net.ListenConfig{}).Listen(ctx, "tcp", "127.0.0.1:0")
	if err != nil {
		return err
	}
	defer context.AfterFunc(ctx, func() {
		_ = l.Close() // Serve says that it is closed
	})()
	log.InfoContext(ctx, "serving", "address", l.Addr().String())
	if err := server.Serve(l); ctx.Err() == nil {
		return err
	}
	return nil
}
