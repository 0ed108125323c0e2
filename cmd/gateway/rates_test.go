package main

import (
	"strings"
	"testing"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/metadata"
	"google.golang.org/protobuf/proto"

	tagsv1 "samsara.internal/gateway/gen/tags/v1"
)

// TestRates_sharedByReplicas has two replicas with one Redis: a caller is let through as often as one replica would let
// it, and by each as often while Redis is away.
func TestRates_sharedByReplicas(t *testing.T) {
	t.Parallel()
	const static = "sgw_a-static-token-of-billing"
	redis := startRedis(t)
	address, _ := countingUpstream(t)
	flags := append(flagsAt("http://"+address, tokenFile(t, "token")),
		"--caller-tokens-file", tokenFile(t, tokenLine("billing", static)), "--quota-redis", redis.url(), "--quota-redis-timeout=1s",
		"--policy-file", tokenFile(t, `
limits:
  - {name: slow, identities: ["*"], requests-per-second: 0.01}
rules:
  - {name: all, identities: ["*"], methods: ["*"], effect: allow}
`))
	var replicas []tagsv1.TagsServiceClient
	for range 2 {
		p := start(t, flags...)
		replicas = append(replicas, tagsv1.NewTagsServiceClient(connect(t, p.await(t, "serving").GRPC, insecure.NewCredentials())))
	}
	// calls makes three calls to each replica, and returns how many of them were let through.
	calls := func() (through [2]int) {
		for range 3 {
			for i, replica := range replicas {
				ctx := metadata.AppendToOutgoingContext(waiting(t), "authorization", "Bearer "+static)
				_, err := replica.GetTag(ctx, &tagsv1.GetTagRequest{Id: proto.String("1")})
				switch got := verdictOf(err); {
				case got.code == codes.OK:
					through[i]++
				case got.reason != "REQUEST_RATE" || !strings.Contains(got.text, `"slow"`):
					t.Fatal(got)
				}
			}
		}
		return through
	}
	if got := calls(); got != [2]int{1, 0} {
		t.Errorf("%v calls were let through, want 1 by the first replica", got)
	}
	redis.kill(t)
	if got := calls(); got != [2]int{1, 1} {
		t.Errorf("%v calls were let through without Redis, want 1 by each", got)
	}
}
