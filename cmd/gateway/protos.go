package main

import (
	"errors"
	"fmt"
	"io"

	"github.com/spf13/pflag"

	"samsara.internal/gateway/internal/protofiles"
)

func protosUsage() string {
	return `Protos writes the API surface to a folder, for those who generate clients: each .proto file by its path, with
its comments, google/rpc/error_details.proto and google/rpc/status.proto for the details of errors, and
` + protofiles.ImageName + `, all of it as one image for buf. What comes with every protoc (google/protobuf) is in the image
alone. The folder must be empty, or is made.

Usage:
  gateway protos [flags] DIR

Flags:
` + protosFlags(new([]string)).FlagUsagesWrapped(100)
}

func protosFlags(areas *[]string) *pflag.FlagSet {
	fs := pflag.NewFlagSet("protos", pflag.ContinueOnError)
	fs.Usage = func() {}
	fs.StringSliceVar(areas, "areas", nil, "`AREA` to write, such as tags, with all that it needs; may be repeated, or several separated by commas; by default all")
	return fs
}

func writeProtos(args []string, stdout io.Writer) error {
	var areas []string
	fs := protosFlags(&areas)
	if err := parse(fs, args, 1); err != nil {
		return err
	}
	if fs.NArg() == 0 {
		return badUsage("protos needs the folder to write to")
	}
	image, err := protofiles.Image(areas...)
	if err != nil {
		return badUsage("protos: %v", err)
	}
	n, err := protofiles.Write(fs.Arg(0), image)
	switch {
	case errors.Is(err, protofiles.ErrNotEmpty):
		return badUsage("protos: %v", err)
	case err != nil:
		return fmt.Errorf("protos: %w", err)
	}
	_, err = fmt.Fprintf(stdout, "%d files and %s\n", n, protofiles.ImageName)
	return err
}
