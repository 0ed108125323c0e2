package feed

import (
	"context"
	"errors"
	"io"
	"math/rand/v2"
	"slices"
	"testing"
	"testing/synctest"
	"time"
)

// bookedLocked checks that what a reader has counted and ranked is what walking its followers shows.
func bookedLocked(t *testing.T, r *reader) {
	t.Helper()
	var loads [heldPages]int
	var pace time.Duration
	var first *subscription
	waiting, named := 0, 0
	for s := range r.followers {
		if n := s.loadLocked(); n < heldPages {
			loads[n]++
		}
		if pace == 0 || s.PollInterval < pace {
			pace = s.PollInterval
		}
		if s.round == r.round {
			waiting++
			if r.waiting[s.waits] != s {
				t.Errorf("follower %d waits at %d, where another one is", s.number, s.waits)
			}
			if s.next < r.kept.nextLocked() || r.until > s.MaxPages+s.skipped {
				t.Errorf("follower %d waits although there is something for it, or after %d answers", s.number, r.until)
			}
		}
		if first == nil || goesBeforeLocked(r, s, first) {
			first = s
		}
	}
	if loads != r.loads {
		t.Errorf("followers have %v pages, counted are %v", loads, r.loads)
	}
	if waiting != len(r.waiting) {
		t.Errorf("%d followers wait, counted are %d", waiting, len(r.waiting))
	}
	if len(r.followers) == 0 {
		return
	}
	if got := r.paces.items[0].PollInterval; got != pace || len(r.paces.items) != len(r.followers) {
		t.Errorf("the shortest poll interval of %d is %v, ranked %d and %v", len(r.followers), pace, len(r.paces.items), got)
	}
	for as, n := range r.names.of {
		named += len(n.followers.items)
		if n.as != as || len(n.followers.items) == 0 {
			t.Errorf("name %v has %d followers, and is called %v", as, len(n.followers.items), n.as)
		}
	}
	if got := r.names.order.items[0].followers.items[0]; got != first || named != len(r.followers) {
		t.Errorf("of %d follower %d is first, of %d ranked %d", len(r.followers), first.number, named, got.number)
	}
}

// goesBeforeLocked reports whether a request goes in the name of s rather than in that of other.
func goesBeforeLocked(r *reader, s, other *subscription) bool {
	one, two := r.names.of[s.As], r.names.of[other.As]
	switch {
	case one.tried != two.tried:
		return two.tried
	case s.As.Batch != other.As.Batch:
		return other.As.Batch
	default:
		return s.number < other.number
	}
}

func TestRank_inOrder(t *testing.T) {
	t.Parallel()
	type item struct{ value, place int }
	random := rand.New(rand.NewPCG(1, 2))
	ranked := rank[*item]{
		before: func(one, other *item) bool { return one.value < other.value },
		place:  func(i *item) *int { return &i.place },
	}
	var there []*item
	for range 2000 {
		switch n := random.IntN(5); {
		case n < 2 || len(there) == 0:
			added := &item{value: random.IntN(100)}
			there = append(there, added)
			ranked.add(added)
		case n == 2:
			at := random.IntN(len(there))
			ranked.remove(there[at])
			there = slices.Delete(there, at, at+1)
		default:
			moved := there[random.IntN(len(there))]
			moved.value = random.IntN(100)
			ranked.move(moved)
		}
		if len(there) != len(ranked.items) {
			t.Fatalf("%d items are ranked, want %d", len(ranked.items), len(there))
		}
		if len(there) == 0 {
			continue
		}
		least := slices.MinFunc(there, func(one, other *item) int { return one.value - other.value })
		if first := ranked.items[0]; first.value != least.value {
			t.Fatalf("the first is %d, want %d", first.value, least.value)
		}
	}
}

// TestFollower_movedToAnotherReader has followers wait when their reader ends because it is merged.
func TestFollower_movedToAnotherReader(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		fake := &fakeFeed{records: 5, size: 1}
		b := serve(t, fake)
		there := b.join("there", "5", nil)
		there.listen()
		pass(time.Second)
		coming := []*guest{b.join("first", "5,", nil), b.join("second", "5,", nil)} // another name of the same cursor
		for _, g := range coming {
			g.listen()
		}
		pass(20 * time.Second)
		if n := b.live(); n != 1 {
			t.Fatalf("there are %d readers, want 1", n)
		}
		fake.grow(1)
		pass(6 * time.Second)
		synctest.Wait()
		for _, g := range append(coming, there) {
			if g.had != 6 {
				t.Errorf("follower %s has %d records, want 6", g.subscription.As.Caller, g.had)
			}
		}
	})
}

// TestFollower_maxPagesWhileItWaits ends a follower with an empty page, beside one that goes on.
func TestFollower_maxPagesWhileItWaits(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		b := serve(t, &fakeFeed{records: 1, size: 1})
		b.join("goes on", "", nil).listen()
		g := b.join("ends", "", func(r *Request) { r.MaxPages = 3 })
		g.read(1)
		began := time.Now()
		if _, err := g.page(t.Context(), longAgo); !errors.Is(err, io.EOF) {
			t.Errorf("after 3 pages got %v, want io.EOF", err)
		}
		if took := time.Since(began); took > 11*time.Second {
			t.Errorf("two empty pages took %v, want two poll intervals of 5 to 5.5 seconds", took)
		}
	})
}

// TestFollower_silencesOfDifferentLengths begins a short silence after a long one that a page has ended, and
// the other way round.
func TestFollower_silencesOfDifferentLengths(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		fake := &fakeFeed{records: 1, size: 1}
		b := serve(t, fake)
		g := b.join("a", "", nil)
		for records := range 4 {
			if _, err := g.page(t.Context(), time.Minute); err != nil || g.had != records+1 {
				t.Fatalf("has %d records, %v, want %d", g.had, err, records+1)
			}
			g.free()
			for _, silence := range []time.Duration{time.Second, 3 * time.Second, 2 * time.Second} {
				began := time.Now()
				news, err := g.page(t.Context(), silence)
				if took := time.Since(began); err != nil || news.KeepAlive == nil || took != silence {
					t.Errorf("got %+v, %v after %v, want a keep-alive after %v", news, err, took, silence)
				}
			}
			fake.grow(1)
		}
	})
}

// TestFollower_contexts waits with one context after the other.
func TestFollower_contexts(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		fake := &fakeFeed{records: 1, size: 1}
		b := serve(t, fake)
		g := b.join("a", "1", nil)
		for range 3 {
			ctx, cancel := context.WithTimeout(t.Context(), time.Second)
			if _, err := g.page(ctx, longAgo); !errors.Is(err, ctx.Err()) || err == nil {
				t.Errorf("got %v, want the context's error", err)
			}
			cancel()
		}
		fake.grow(1)
		if _, err := g.page(t.Context(), longAgo); err != nil || g.had != 2 {
			t.Errorf("has %d records, %v, want 2", g.had, err)
		}
	})
}
