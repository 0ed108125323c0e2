package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/signal"
	"path/filepath"
	"slices"

	"github.com/spf13/pflag"

	"samsara.internal/gateway/cmd/protogen/internal/document"
	"samsara.internal/gateway/cmd/protogen/internal/model"
	"samsara.internal/gateway/cmd/protogen/internal/surface"
)

// Exit codes. The severity of a drift, except None, is added to exitDrift.
const (
	exitFailed     = 1 // a panic exits with 2
	exitUnaccepted = 3
	exitDrift      = 9
)

// driftError says that there is a drift, and how severe it is.
type driftError struct{ severity surface.Severity }

func (e driftError) Error() string { return "drift: " + e.severity.String() }

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	err := run(ctx, os.Args[1:], os.Stdout, os.Stderr)
	stop()
	os.Exit(exitCode(err))
}

// exitCode returns the exit code for an error: 0 for none, 10 for a cosmetic drift, 11 for an additive
// one, 12 for a structural one, 13 for one that breaks clients, 3 for changes that somebody has to look at
// before they are written, and 1 for everything else.
func exitCode(err error) int {
	var drift driftError
	var unaccepted *surface.UnacceptedError
	switch {
	case err == nil:
		return 0
	case errors.As(err, &drift):
		return exitDrift + int(drift.severity)
	case errors.As(err, &unaccepted):
		return exitUnaccepted
	}
	return exitFailed
}

// run runs the command. It prints its error on stderr and its result on stdout.
func run(ctx context.Context, args []string, stdout, stderr io.Writer) error {
	isDrift := len(args) > 0 && args[0] == "drift"
	if isDrift {
		args = args[1:]
	}
	flags := pflag.NewFlagSet("protogen", pflag.ContinueOnError)
	flags.SetOutput(stderr)
	spec := flags.String("spec", "", "OpenAPI document to read (required)")
	out := flags.String("out", "proto", "root of the proto tree to read and to write; drift only reads it")
	release := flags.String("sdk-release", "", "release of Samsara's SDK that has the document; by default the one of the last run")
	accept := flags.StringSlice("accept", nil, "changes to write although somebody should look at them first: "+surface.Retyped+", "+surface.Wrapped)
	asJSON := flags.Bool("json", false, "drift: report as JSON")
	if err := flags.Parse(args); err != nil {
		if errors.Is(err, pflag.ErrHelp) {
			return nil
		}
		return fail(stderr, err)
	}
	if *spec == "" || flags.NArg() > 0 {
		return fail(stderr, fmt.Errorf("want --spec FILE and no arguments, have %q", args))
	}
	for _, kind := range *accept {
		if kind != surface.Retyped && kind != surface.Wrapped {
			return fail(stderr, fmt.Errorf("--accept: %q, want %s, %s or both", kind, surface.Retyped, surface.Wrapped))
		}
	}
	if isDrift {
		report, err := drift(ctx, *spec, *out)
		if err != nil {
			return fail(stderr, err)
		}
		if err := printReport(stdout, report, *asJSON); err != nil {
			return fail(stderr, err)
		}
		if report.Severity == surface.None {
			return nil
		}
		return driftError{report.Severity}
	}
	written, err := generate(ctx, *spec, *out, surface.Options{SDKRelease: *release, Accept: *accept})
	if err != nil {
		return fail(stderr, err)
	}
	_, err = fmt.Fprintf(stdout, "%d files written below %s\n", written, *out)
	return err
}

// fail prints an error and returns it.
func fail(stderr io.Writer, err error) error {
	_, printErr := fmt.Fprintln(stderr, "protogen:", err)
	return errors.Join(err, printErr)
}

// The files in the tree that people write: the list of operations that are left out of the API, and the
// corrections of the document.
const (
	leftOutFile     = "leftout.yaml"
	correctionsFile = "corrections.yaml"
)

// generate updates the tree below root from the document at spec and returns how many files it changed.
func generate(ctx context.Context, spec, root string, options surface.Options) (int, error) {
	m, err := load(ctx, spec, root)
	if err != nil {
		return 0, err
	}
	problems := slices.Concat(m.Idle, m.Unused)
	if err := errors.Join(m.Unsupported...); err != nil {
		problems = append(problems, withHint(err, root))
	}
	if err := errors.Join(problems...); err != nil {
		return 0, err
	}
	written, err := surface.Update(ctx, m, root, options)
	if errors.Is(err, model.ErrUnsupported) {
		err = withHint(err, root)
	}
	return written, err
}

// withHint returns an error that adds what can be done about an operation that is not supported.
func withHint(err error, root string) error {
	return fmt.Errorf("%w\nan operation that is not supported can be left out by name in %s", err, filepath.Join(root, leftOutFile))
}

// load returns what the document at spec says of the API, with the corrections in the tree below root and
// without what that tree leaves out.
func load(ctx context.Context, spec, root string) (model.Model, error) {
	leftOut, err := model.ReadLeftOut(filepath.Join(root, leftOutFile))
	if err != nil {
		return model.Model{}, err
	}
	doc, err := document.Read(ctx, spec, filepath.Join(root, correctionsFile))
	if err != nil {
		return model.Model{}, err
	}
	return model.Read(doc, leftOut), nil
}
