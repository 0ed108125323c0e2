package similar_test

import (
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"samsara.internal/gateway/internal/similar"
)

func TestNames_mostSimilarFirst(t *testing.T) {
	t.Parallel()
	names := []string{"listTags", "first_name", "listTaps", "firstName", "listTags", "name"}
	for name, test := range map[string]struct {
		name string
		most int
		want []string
	}{
		"the nearest first":                       {"listTag", 9, []string{"listTags", "listTaps"}},
		"no more than asked for":                  {"listTag", 1, []string{"listTags"}},
		"case and underscores do not count":       {"FIRSTNAME", 9, []string{"first_name", "firstName"}},
		"more than a third of the letters differ": {"tags", 9, nil},
		"two letters exchanged":                   {"lsitTags", 9, []string{"listTags", "listTaps"}},
		"two of four letters exchanged":           {"nmae", 9, []string{"name"}},
		"an exchange and a letter too many":       {"frist_namee", 9, []string{"first_name", "firstName"}},
		"none":                                    {"", 9, nil},
		"too long":                                {strings.Repeat("listTags", 9), 9, nil},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			if diff := cmp.Diff(test.want, similar.Names(test.name, slices.Values(names), test.most)); diff != "" {
				t.Errorf("(-want +got):\n%s", diff)
			}
		})
	}
}
