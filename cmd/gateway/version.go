package main

import (
	"fmt"
	"io"
	"runtime/debug"

	"github.com/spf13/pflag"

	"samsara.internal/gateway/internal/config"
	"samsara.internal/gateway/internal/telemetry"
)

// readBuild says what the binary was made from.
func readBuild() telemetry.Build {
	build := telemetry.Build{Version: "unknown", GoVersion: "unknown", Revision: "unknown", APIDocument: config.APIDocumentVersion}
	info, ok := debug.ReadBuildInfo()
	if !ok {
		return build
	}
	build.Version, build.GoVersion = info.Main.Version, info.GoVersion
	for _, s := range info.Settings {
		if s.Key == "vcs.revision" {
			build.Revision = s.Value
		}
	}
	return build
}

func versionUsage() string {
	return `Version says what this binary was made from.

Usage:
  gateway version
`
}

func printVersion(args []string, stdout io.Writer) error {
	fs := pflag.NewFlagSet("version", pflag.ContinueOnError)
	fs.Usage = func() {}
	if err := parse(fs, args, 0); err != nil {
		return err
	}
	b := readBuild()
	_, err := fmt.Fprintf(stdout, "gateway       %s\nrevision      %s\ngo            %s\nAPI document  %s\n",
		b.Version, b.Revision, b.GoVersion, b.APIDocument)
	return err
}
