package sandbox

import (
	"flag"
	"os"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

var update = flag.Bool("update", false, "rewrite the golden files")

// CompareGolden compares lines, in any order, with a file in testdata, which -update rewrites. The error says
// what the lines are.
func CompareGolden(t *testing.T, file, what string, lines []string) {
	t.Helper()
	golden, got := "testdata/"+file, strings.Join(slices.Sorted(slices.Values(lines)), "\n")+"\n"
	if *update {
		if err := os.WriteFile(golden, []byte(got), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(golden)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(string(want), got); diff != "" {
		t.Errorf("%s (-want +got):\n%s", what, diff)
	}
}
