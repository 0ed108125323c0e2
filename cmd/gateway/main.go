package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/signal"
	"strings"
	"syscall"

	"github.com/spf13/pflag"

	"samsara.internal/gateway/internal/config"
	"samsara.internal/gateway/internal/endpoint"
)

func main() {
	ctx, cancel := context.WithCancel(context.Background())
	signals := make(chan os.Signal, 1)
	signal.Notify(signals, os.Interrupt, syscall.SIGTERM)
	go func() {
		<-signals
		// The order matters: once the shutdown has begun, a second signal has its usual effect.
		signal.Stop(signals)
		cancel()
	}()
	os.Exit(exitCode(run(ctx, os.Args[1:], os.Environ(), os.Stdin, os.Stdout, os.Stderr), os.Stderr))
}

// exitCode prints an error and returns the code to exit with.
func exitCode(err error, stderr io.Writer) int {
	var bad *config.Error
	switch {
	case err == nil:
		return 0
	case errors.As(err, &bad):
		for _, problem := range bad.Problems {
			fmt.Fprintln(stderr, "gateway:", problem)
		}
		fmt.Fprintln(stderr, "gateway: see gateway help")
		return 2
	default:
		fmt.Fprintln(stderr, "gateway:", err)
		return 1
	}
}

// run runs the command that the arguments name, until it is done or ctx ends. The arguments do not include
// the program's name. Logs go to stderr.
func run(ctx context.Context, args, environ []string, stdin io.Reader, stdout, stderr io.Writer) error {
	var command string
	if len(args) > 0 && !strings.HasPrefix(args[0], "-") {
		command, args = args[0], args[1:]
	}
	var err error
	usage := usage
	switch command {
	case "":
		hangups := make(chan os.Signal, 1)
		signal.Notify(hangups, syscall.SIGHUP)
		defer signal.Stop(hangups)
		ctx, stop := context.WithCancel(ctx)
		defer stop()
		if err = withoutCore(); err != nil {
			return err
		}
		if err = limitMemory(ctx, environ); err != nil {
			return err
		}
		var endpoints []*endpoint.Endpoint
		if endpoints, err = loadEndpoints(); err != nil {
			return err
		}
		var cfg config.Config
		files := files{stdout: stdout, environ: environ, endpoints: endpoints}
		api := apiOf(endpoints)
		if cfg, err = config.Load(args, environ, api, files.open, files.checkTraces, checkProxy); err == nil {
			files.settings, err = newSettings(cfg, func() (config.Config, error) { return config.Reload(cfg, args, environ, api) })
			if err != nil {
				return err
			}
			return serve(ctx, cfg, wiring{endpoints, &files, hangups}, stderr)
		}
	case "sandbox":
		usage = sandboxUsage
		signal.Ignore(syscall.SIGHUP) // It has no files to read again.
		var endpoints []*endpoint.Endpoint
		if endpoints, err = loadEndpoints(); err != nil {
			return err
		}
		var cfg config.Sandbox
		if cfg, err = config.LoadSandbox(args, apiOf(endpoints)); err == nil {
			return serveSandbox(ctx, cfg, endpoints, stderr)
		}
	case "endpoints":
		usage = endpointsUsage
		err = listEndpoints(args, stdout)
	case "explain":
		usage = explainUsage
		err = explainCall(ctx, args, environ, stdin, stdout)
	case "quota":
		usage = quotaUsage
		err = showQuota(ctx, args, stdout)
	case "health":
		usage = healthUsage
		err = askHealth(ctx, args, environ, stdout)
	case "config":
		usage = configUsage
		err = checkConfig(args, environ, stdout)
	case "policy":
		usage = policyUsage
		err = explainPolicy(args, stdout)
	case "token":
		usage = tokenUsage
		err = makeToken(args, stdout)
	case "protos":
		usage = protosUsage
		err = writeProtos(args, stdout)
	case "version":
		usage = versionUsage
		err = printVersion(args, stdout)
	case "help":
		err = pflag.ErrHelp
	default:
		err = badUsage("%q is not a command: there are sandbox, endpoints, explain, quota, health, config, policy, token, protos, version and help", command)
	}
	if errors.Is(err, pflag.ErrHelp) {
		_, err = io.WriteString(stdout, usage())
	}
	return err
}

// withoutCore makes the process leave no core dump, which would have every token in it. It stays possible to look at
// it with a debugger.
func withoutCore() error {
	if err := syscall.Setrlimit(syscall.RLIMIT_CORE, &syscall.Rlimit{}); err != nil {
		return fmt.Errorf("core dumps: %w", err)
	}
	return nil
}

// badUsage returns an error of the command line.
func badUsage(format string, args ...any) error {
	return &config.Error{Problems: []string{fmt.Sprintf(format, args...)}}
}

func usage() string {
	return `Gateway offers the Samsara REST API as typed gRPC.

Usage:
  gateway [flags]                  serve
  gateway sandbox [flags]          serve an embedded Samsara alone, over HTTP
  gateway endpoints [WORD...]      list the methods served, or find some by name, id, path or word
  gateway explain METHOD [JSON]    print the HTTP request that a call makes, and all that bounds it
  gateway quota [flags]            print the state of a running gateway's rate budgets
  gateway health [flags]           ask a gateway whether it takes calls, for probes
  gateway config check [flags]     say whether the gateway would start, and with which settings
  gateway policy check FILE        explain a policy: who may do what, and which rule says so
  gateway token NAME               make a static token for a caller
  gateway protos DIR               write the API as .proto files and as an image, to generate clients from
  gateway version                  say what this binary was made from
  gateway help                     print this text

Each flag is also the environment variable in brackets behind it and a key of the configuration
file. A flag overrides the environment, and the environment overrides the file. The API token is
read from the variable ` + config.TokenVariable + ` or from --api-token-file.
` + config.Usage()
}

func sandboxUsage() string {
	return `Sandbox serves an embedded Samsara over HTTP, to test services with.

Usage:
  gateway sandbox [flags]
` + config.SandboxUsage()
}
