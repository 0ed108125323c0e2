package main

import (
	"os"
	"os/exec"
	"regexp"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"google.golang.org/protobuf/proto"

	apiv1 "samsara.internal/gateway/gen/api/v1"
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

// TestREADME_reasons holds the table of reasons in the README against errors.proto: each is in one row, with
// its code, and who repeats.
func TestREADME_reasons(t *testing.T) {
	t.Parallel()
	readme, err := os.ReadFile("../../README.md")
	if err != nil {
		t.Fatal(err)
	}
	_, table, _ := strings.Cut(string(readme), "| What happened | Reason |")
	table, _, _ = strings.Cut(table, "\n\n")
	got := map[string]string{}
	for line := range strings.Lines(table) {
		cells := strings.Split(line, " | ")
		if len(cells) != 4 || strings.HasPrefix(cells[1], "-") || !strings.Contains(cells[1], "`") {
			continue
		}
		repeated := strings.TrimSuffix(strings.TrimSpace(cells[3]), " |")
		repeated, _, _ = strings.Cut(repeated, ",")
		for reason := range strings.SplitSeq(cells[1], ", ") {
			reason = strings.Trim(reason, "`")
			if got[reason] != "" {
				t.Errorf("%s is there twice", reason)
			}
			got[reason] = strings.Trim(cells[2], "`") + ", " + repeated
		}
	}
	repeated := map[apiv1.Repeat]string{
		apiv1.Repeat_REPEAT_NO:         "no",
		apiv1.Repeat_REPEAT_BY_GATEWAY: "by the gateway",
		apiv1.Repeat_REPEAT_BY_CALLER:  "by the caller",
	}
	want := map[string]string{}
	values := apiv1.Reason(0).Descriptor().Values()
	for i := 1; i < values.Len(); i++ {
		value := values.Get(i)
		verdict, _ := proto.GetExtension(value.Options(), apiv1.E_Verdict).(*apiv1.Verdict)
		want[strings.TrimPrefix(string(value.Name()), "REASON_")] = verdict.GetCode() + ", " + repeated[verdict.GetRepeat()]
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("reasons (-errors.proto +README):\n%s", diff)
	}
}
