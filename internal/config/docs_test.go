package config

import (
	"flag"
	"fmt"
	"os"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// update rewrites the tables of settings in the documentation.
var update = flag.Bool("update", false, "rewrite the settings in docs/configuration.md")

// TestDocs_settings compares the tables in docs/configuration.md with the settings, so that they cannot
// fall behind. -update writes them.
func TestDocs_settings(t *testing.T) {
	t.Parallel()
	const (
		path  = "../../docs/configuration.md"
		begin = "<!-- settings: make docs writes what follows -->\n"
		end   = "<!-- end of settings -->\n"
	)
	text, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	before, rest, begins := strings.Cut(string(text), begin)
	got, after, ends := strings.Cut(rest, end)
	if !begins || !ends {
		t.Fatalf("%s has no settings between the lines\n%s%s", path, begin, end)
	}
	c := defaults()
	want := settingsTables(c.settings())
	if *update && got != want {
		if err := os.WriteFile(path, []byte(before+begin+want+end+after), 0o600); err != nil {
			t.Fatal(err)
		}
		return
	}
	if diff := cmp.Diff(strings.Split(want, "\n"), strings.Split(got, "\n")); diff != "" {
		t.Errorf("%s (-settings +documentation):\n%s", path, diff)
	}
}

// settingsTables returns the settings as tables, one a group.
func settingsTables(settings []setting) string {
	var b strings.Builder
	group := ""
	for _, s := range settings {
		if s.group != group {
			group = s.group
			fmt.Fprintf(&b, "\n### %s\n\n| Setting | Default | Meaning |\n| --- | --- | --- |\n", group)
		}
		value := s.value.String()
		if value != "" && value != "false" {
			value = "`" + value + "`"
		} else {
			value = ""
		}
		fmt.Fprintf(&b, "| `--%s` | %s | %s |\n", s.name, value, strings.ReplaceAll(s.usage, "`", ""))
	}
	return b.String() + "\n"
}
