package upstream

import (
	"math/rand/v2"
	"strconv"
	"testing"

	"samsara.internal/gateway/internal/identity"
)

// TestFlight_forgottenOnceLanded begins, sends and lands reads of several callers in any
// order, with writes in between.
func TestFlight_forgottenOnceLanded(t *testing.T) {
	t.Parallel()
	var (
		all    share
		under  []*flight
		random = rand.New(rand.NewPCG(1, 2))
		key    = readKey{path: "/x"}
	)
	land := func() {
		i := random.IntN(len(under))
		all.land(key, under[i], nil, new(Response), nil)
		under = append(under[:i], under[i+1:]...)
	}
	for range 10_000 {
		switch random.IntN(10) {
		case 0:
			all.wrote()
		case 1:
			if len(under) > 0 {
				under[random.IntN(len(under))].sent.Store(true)
			}
		case 2, 3, 4:
			if len(under) > 0 {
				land()
			}
		default:
			mine := &flight{from: identity.Identity{Caller: strconv.Itoa(random.IntN(5))}, letDown: random.IntN(3)}
			ahead := all.join(key, mine)
			if ahead == nil {
				under = append(under, mine)
				continue
			}
			if ahead.writes != all.writes {
				t.Fatal("a read follows one that began before a write")
			}
			if ahead.from != mine.from && !ahead.sent.Load() {
				t.Fatal("a read waits in another's queue")
			}
		}
		known := 0
		for f := all.leading[key]; f != nil; f = f.before {
			known++
		}
		if known > len(under) {
			t.Fatalf("%d flights are known, of %d under way", known, len(under))
		}
	}
	for len(under) > 0 {
		land()
	}
	if len(all.leading) != 0 {
		t.Error("flights are known that have landed")
	}
}
