package surface

import (
	"testing"

	"github.com/google/go-cmp/cmp"

	apiv1 "samsara.internal/gateway/gen/api/v1"
)

func TestTwinNames_rules(t *testing.T) {
	t.Parallel()
	const pages, follow = apiv1.StreamShape_STREAM_SHAPE_PAGES, apiv1.StreamShape_STREAM_SHAPE_FOLLOW
	for _, test := range []struct {
		name, unary string
		shape       apiv1.StreamShape
		want        []string
	}{
		{"a list loses its verb", "ListVehicles", pages, []string{"StreamVehicles", "StreamListVehicles"}},
		{"so does what came to page later", "GetVehicles", pages, []string{"StreamVehicles", "StreamGetVehicles"}},
		{"a verb that does not read stays", "ReplaceTags", pages, []string{"StreamReplaceTags"}},
		{"the pages of a feed are not what they are a feed of", "ListStatsFeed", pages, []string{"StreamStatsFeed", "StreamListStatsFeed"}},
		{"what is followed is no feed by name", "ListStatsFeed", follow, []string{"FollowStats", "FollowStatsFeed", "FollowListStatsFeed"}},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			if diff := cmp.Diff(test.want, twinNames(test.shape, test.unary)); diff != "" {
				t.Errorf("twinNames(%s, %s) (-want +got):\n%s", test.shape, test.unary, diff)
			}
		})
	}
}
