package main

import (
	"cmp"
	"encoding/json"
	"fmt"
	"io"
	"runtime/debug"

	"github.com/spf13/pflag"

	"samsara.internal/gateway/gen/surface"
	"samsara.internal/gateway/internal/config"
	"samsara.internal/gateway/internal/telemetry"
)

// version and revision are what make builds the gateway from, by the linker's flag -X: see tools/version.sh. Without make
// they are empty.
var version, revision string //nolint:gochecknoglobals // the linker sets nothing else

// readBuild returns what the binary was built from.
func readBuild() telemetry.Build {
	build := telemetry.Build{Version: "unknown", GoVersion: "unknown", Revision: "unknown", APIDocument: config.APIDocumentVersion}
	info, ok := debug.ReadBuildInfo()
	if !ok {
		return build
	}
	build.Version, build.GoVersion = cmp.Or(version, info.Main.Version), info.GoVersion
	build.Revision = cmp.Or(revision, build.Revision)
	return build
}

func versionUsage() string {
	return `Version prints what this binary was built from, and which API surface it has: the surface's
version, the SHA-256 of Samsara's document and the release of their SDK that it was made from, and its size.

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
	b, f := readBuild(), facts{}
	if err := json.Unmarshal([]byte(surface.JSON), &f); err != nil {
		return fmt.Errorf("SURFACE.json: %w", err)
	}
	_, err := fmt.Fprintf(stdout, `gateway       %s
revision      %s
go            %s
API document  %s
surface       %s
document      sha256:%s
SDK release   %s
methods       %d unary, %d stream, %d follow
deprecated    %d of these
areas         %d
messages      %d
fields        %d
`, b.Version, b.Revision, b.GoVersion, b.APIDocument, surface.Version, surface.DocumentSHA256, cmp.Or(surface.SDKRelease, "unknown"),
		f.Methods.Unary, f.Methods.Stream, f.Methods.Follow, f.Deprecated.Methods, f.Areas, f.Messages, f.Fields)
	return err
}

// facts are the members of SURFACE.json that version prints and that package surface has no constant for.
type facts struct {
	Methods    struct{ Unary, Stream, Follow int }
	Deprecated struct{ Methods int }
	Areas      int
	Messages   int
	Fields     int
}
