// Command protogen writes the proto files of the gateway's API from Samsara's OpenAPI document.
//
// It reads a document and the proto tree of earlier runs, and writes one file a package below
// samsara/ in that tree. What the tree already says is for ever: every package, message, field,
// name, number and type stays, so a client of any earlier tree keeps working; what the document
// adds is added, what it lacks stays as deprecated. The same document and tree give the same
// bytes, and a second run over its own output changes nothing.
//
// An operation that pages has a server-streaming twin beside its unary method, which reads all
// pages, and a feed has another one, which follows it.
//
// It refuses, before writing anything: a document it cannot express without loss (header
// parameters, bodies that are not JSON, pages without one list of records, twins that would
// have one name), and files in the tree that it would not have written.
package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/signal"
	"path/filepath"

	"github.com/spf13/pflag"

	"samsara.internal/gateway/cmd/protogen/internal/document"
	"samsara.internal/gateway/cmd/protogen/internal/model"
	"samsara.internal/gateway/cmd/protogen/internal/surface"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	err := run(ctx, os.Args[1:], os.Stdout, os.Stderr)
	stop()
	if err != nil {
		os.Exit(1)
	}
}

// run is the whole command. It reports its error on stderr and what it wrote on stdout.
func run(ctx context.Context, args []string, stdout, stderr io.Writer) error {
	flags := pflag.NewFlagSet("protogen", pflag.ContinueOnError)
	flags.SetOutput(stderr)
	spec := flags.String("spec", "", "OpenAPI document to read (required)")
	out := flags.String("out", "proto", "root of the proto tree to read and to write")
	if err := flags.Parse(args); err != nil {
		if errors.Is(err, pflag.ErrHelp) {
			return nil
		}
		return report(stderr, err)
	}
	if *spec == "" || flags.NArg() > 0 {
		return report(stderr, fmt.Errorf("want --spec FILE and no arguments, have %q", args))
	}
	written, err := generate(ctx, *spec, *out)
	if err != nil {
		return report(stderr, err)
	}
	_, err = fmt.Fprintf(stdout, "%d files written below %s\n", written, *out)
	return err
}

func report(stderr io.Writer, err error) error {
	_, printErr := fmt.Fprintln(stderr, "protogen:", err)
	return errors.Join(err, printErr)
}

// leftOutFile is the list of what is left out of the API by name, in the tree.
const leftOutFile = "leftout.yaml"

// generate brings the tree below root up to the document at spec and returns how many files it
// changed.
func generate(ctx context.Context, spec, root string) (int, error) {
	m, err := load(ctx, spec, root)
	if err != nil {
		return 0, err
	}
	if err := errors.Join(m.Unused...); err != nil {
		return 0, err
	}
	if err := errors.Join(m.Unsupported...); err != nil {
		return 0, withHint(err, root)
	}
	written, err := surface.Update(ctx, m.Operations, root)
	if errors.Is(err, model.ErrUnsupported) {
		err = withHint(err, root)
	}
	return written, err
}

// withHint adds what can be done about an operation that is not supported.
func withHint(err error, root string) error {
	return fmt.Errorf("%w\nan operation that is not supported can be left out by name in %s", err, filepath.Join(root, leftOutFile))
}

// load reads what the document at spec says of the API, but for what the tree below root leaves out.
func load(ctx context.Context, spec, root string) (model.Model, error) {
	leftOut, err := model.ReadLeftOut(filepath.Join(root, leftOutFile))
	if err != nil {
		return model.Model{}, err
	}
	doc, err := document.Read(ctx, spec)
	if err != nil {
		return model.Model{}, err
	}
	return model.Read(doc, leftOut), nil
}
