package config

import (
	"fmt"
	"os"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// The table in the README is the settings, so that it cannot fall behind them. When this fails
// the table wanted is in its output.
func TestTheREADMEListsEverySettingAsItIs(t *testing.T) {
	t.Parallel()
	const head = "| Setting | Default | Meaning |\n| --- | --- | --- |\n"
	readme, err := os.ReadFile("../../README.md")
	if err != nil {
		t.Fatal(err)
	}
	_, rest, found := strings.Cut(string(readme), head)
	if !found {
		t.Fatalf("README.md has no table with the head\n%s", head)
	}
	table, _, _ := strings.Cut(rest, "\n\n")

	c := defaults()
	var want []string
	for _, s := range c.settings() {
		value := s.value.String()
		if value != "" && value != "false" {
			value = "`" + value + "`"
		} else {
			value = ""
		}
		want = append(want, fmt.Sprintf("| `--%s` | %s | %s |", s.name, value, strings.ReplaceAll(s.usage, "`", "")))
	}
	if diff := cmp.Diff(want, strings.Split(table, "\n")); diff != "" {
		t.Errorf("README.md (-want +got):\n%s\nwant:\n%s", diff, strings.Join(want, "\n"))
	}
}
