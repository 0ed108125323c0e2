package main

import (
	"os"
	"os/exec"
	"regexp"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"samsara.internal/gateway/internal/testenv"
)

// TestREADME_printsWhatIsPrinted runs the calls in the README whose output stands there whole, in its
// order, against one gateway before its sandbox, as its reader would, and the commands that ask none.
func TestREADME_printsWhatIsPrinted(t *testing.T) {
	t.Parallel()
	grpcurl := testenv.Tool(t, "grpcurl")
	readme, err := os.ReadFile("../../README.md")
	if err != nil {
		t.Fatal(err)
	}
	_, at := startSandboxed(t)
	to := strings.NewReplacer("127.0.0.1:50051", at.GRPC, "bin/grpcurl", grpcurl, "bin/gateway", testenv.Tool(t, "gateway"))
	runs := regexp.MustCompile(`^bin/(grpcurl .*127\.0\.0\.1:50051 |gateway (endpoints|explain) )`)
	viaMake := regexp.MustCompile(`make grpcurl ARGS='([^']*)'`)
	// What differs from run to run: cursors and request ids; and from build to build.
	varies := regexp.MustCompile(`"[\w-]{40,}"|[0-9a-f]{8}-[0-9a-f]{8}|samsara-gateway/[^\s']+`)
	ran := 0
	for _, block := range regexp.MustCompile("(?s)\n```\n(\\$ .*?)\n```\n").FindAllStringSubmatch(string(readme), -1) {
		for _, example := range regexp.MustCompile(`(?m)^\$ `).Split(block[1], -1) {
			command, rest, _ := strings.Cut(example, "\n")
			for strings.HasSuffix(command, `\`) || strings.Count(command, "'")%2 == 1 {
				var line string
				line, rest, _ = strings.Cut(rest, "\n")
				command += "\n" + line
			}
			command = viaMake.ReplaceAllString(command, "bin/grpcurl $1")
			if !runs.MatchString(strings.ReplaceAll(command, "\n", " ")) || strings.ContainsAny(command, "$#") || strings.Contains(rest, "...") {
				continue
			}
			ran++
			// An example of an error makes grpcurl fail.
			got, _ := exec.CommandContext(t.Context(), "bash", "-c", to.Replace(command)).CombinedOutput()
			want := strings.TrimSpace(varies.ReplaceAllString(rest, "…"))
			if diff := cmp.Diff(want, strings.TrimSpace(varies.ReplaceAllString(string(got), "…"))); diff != "" {
				t.Errorf("%s\n(-README +printed)\n%s", command, diff)
			}
		}
	}
	if ran < 8 {
		t.Errorf("%d examples were run, want at least 8", ran)
	}
}
