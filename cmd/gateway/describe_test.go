package main

import (
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"samsara.internal/gateway/internal/testenv"
)

// described returns what grpcurl describes, by the file in testdata/describe that has the output.
func described() map[string]string {
	return map[string]string{
		"method":  "samsara_gateway.tags.v1.TagsService.ListTags",
		"write":   "samsara_gateway.tags.v1.TagsService.UpdateTag",
		"pages":   "samsara_gateway.vehicle_stats.v1.VehicleStatsService.StreamVehicleStatsFeed",
		"follow":  "samsara_gateway.vehicle_stats.v1.VehicleStatsService.FollowVehicleStats",
		"message": "samsara_gateway.trips.v1.ListTripsRequest",
		"ours":    "samsara_gateway.api.v1.FollowOptions",
	}
}

// TestDescribe_comments has grpcurl describe methods, their twins and messages, with comments.
func TestDescribe_comments(t *testing.T) {
	t.Parallel()
	testenv.Tool(t, "grpcurl")
	_, at := startSandboxed(t)
	for name, symbol := range described() {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			golden := filepath.Join("testdata", "describe", name+".txt")
			have, err := output(t, "grpcurl", "-plaintext", at.GRPC, "describe", symbol)
			if err != nil {
				t.Fatalf("%v\n%s", err, have)
			}
			if *update {
				if err := os.WriteFile(golden, []byte(have), 0o644); err != nil {
					t.Fatal(err)
				}
			}
			want, err := os.ReadFile(golden)
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(string(want), have); diff != "" {
				t.Errorf("run with -update if this is meant (-golden +printed):\n%s", diff)
			}
		})
	}
}

// TestDescribe_withoutComments checks that without --reflection-comments the declarations are the same, and
// have no comments.
func TestDescribe_withoutComments(t *testing.T) {
	t.Parallel()
	testenv.Tool(t, "grpcurl")
	_, at := startSandboxed(t, "--reflection-comments=false")
	comment := regexp.MustCompile(`(?m)^ *//.*\n`)
	for name, symbol := range described() {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			commented, err := os.ReadFile(filepath.Join("testdata", "describe", name+".txt"))
			if err != nil {
				t.Fatal(err)
			}
			want := comment.ReplaceAllString(string(commented), "")
			have, err := output(t, "grpcurl", "-plaintext", at.GRPC, "describe", symbol)
			if err != nil {
				t.Fatalf("%v\n%s", err, have)
			}
			if diff := cmp.Diff(strings.Fields(want), strings.Fields(have)); diff != "" {
				t.Errorf("described (-with comments, which are cut out +without):\n%s", diff)
			}
		})
	}
}
