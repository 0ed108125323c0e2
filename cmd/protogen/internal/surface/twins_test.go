package surface

import (
	"testing"

	"github.com/google/go-cmp/cmp"

	gatewayv1 "samsara.internal/gateway/gen/samsara/gateway/v1"
)

func TestTwinNames(t *testing.T) {
	t.Parallel()
	const pages, follow = gatewayv1.StreamShape_STREAM_SHAPE_PAGES, gatewayv1.StreamShape_STREAM_SHAPE_FOLLOW
	for _, test := range []struct {
		name, unary string
		shape       gatewayv1.StreamShape
		want        []string
	}{
		{"a list loses its verb", "ListVehicles", pages, []string{"StreamVehicles", "StreamListVehicles"}},
		{"all is part of the verb", "GetAllAssets", pages, []string{"StreamAssets", "StreamGetAllAssets"}},
		{"a word that begins with all is not", "GetAllocations", pages, []string{"StreamAllocations", "StreamGetAllocations"}},
		{"a verb that does not read stays", "ReplaceTags", pages, []string{"StreamReplaceTags"}},
		{"a stream is not one twice", "GetTripsStream", pages, []string{"StreamTrips", "StreamTripsStream", "StreamGetTripsStream"}},
		{"the pages of a feed are not what they are a feed of", "GetStatsFeed", pages, []string{"StreamStatsFeed", "StreamGetStatsFeed"}},
		{"what is followed is no feed by name", "GetStatsFeed", follow, []string{"FollowStats", "FollowStatsFeed", "FollowGetStatsFeed"}},
		{"nor a stream", "FetchTripsStream", follow, []string{"FollowTrips", "FollowTripsStream", "FollowFetchTripsStream"}},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			if diff := cmp.Diff(test.want, twinNames(test.shape, test.unary)); diff != "" {
				t.Errorf("twinNames(%s, %s) (-want +got):\n%s", test.shape, test.unary, diff)
			}
		})
	}
}
