package main

import (
	"context"
	"fmt"
	"net/http"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/durationpb"

	apiv1 "samsara.internal/gateway/gen/api/v1"
	locationandspeedv1 "samsara.internal/gateway/gen/location_and_speed/v1"
)

// endlessFeed is a feed that always has one more record.
type endlessFeed struct {
	// held is locked while no answer may be sent.
	held sync.Mutex

	mu    sync.Mutex
	asked map[string]int // by cursor
}

func (f *endlessFeed) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	after := r.URL.Query().Get("after")
	n, _ := strconv.Atoi(strings.TrimPrefix(after, "c"))
	f.mu.Lock()
	f.asked[after]++
	f.mu.Unlock()
	f.held.Lock()
	defer f.held.Unlock()
	w.Header().Set("Content-Type", "application/json")
	fmt.Fprintf(w, `{"data":[{"happenedAtTime":"2026-01-01T00:00:00Z","asset":{"id":"%d"}}],"pagination":{"endCursor":"c%d","hasNextPage":true}}`, n, n+1)
}

// total returns how many requests there were, and the most with one cursor.
func (f *endlessFeed) total() (requests, most int) {
	f.mu.Lock()
	defer f.mu.Unlock()
	for _, n := range f.asked {
		requests += n
		most = max(most, n)
	}
	return requests, most
}

// times returns how many requests had a cursor.
func (f *endlessFeed) times(cursor string) int {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.asked[cursor]
}

// feedFollower is a stream that follows the feed in the name of a caller.
type feedFollower struct {
	pages, keepAlives atomic.Int64
	cursor            atomic.Pointer[string] // of the last page
	failure           atomic.Pointer[string] // the reason of the last failure in a keep-alive
	leave             func()
}

// joinFollower begins a follower at the cursor of another one, and returns when both share a reader. The
// feed sends nothing meanwhile, however slow the machine is.
func joinFollower(t *testing.T, conn *grpc.ClientConn, feed *endlessFeed, first *feedFollower, pairs ...string) *feedFollower {
	t.Helper()
	feed.held.Lock()
	defer feed.held.Unlock()
	eventually(t, "the first follower has every answer, and the next poll has come", func() bool {
		return feed.times(*first.cursor.Load()) == 1
	})
	second := startFollower(t, conn, *first.cursor.Load(), pairs...)
	eventually(t, "the second follower is told that nothing is new", func() bool { return second.keepAlives.Load() > 0 })
	return second
}

// startFollower begins a follower at a cursor, or at the beginning if it is empty. pairs are metadata.
func startFollower(t *testing.T, conn *grpc.ClientConn, from string, pairs ...string) *feedFollower {
	t.Helper()
	f := &feedFollower{}
	ctx, cancel := context.WithCancel(metadata.AppendToOutgoingContext(t.Context(), pairs...))
	request := &locationandspeedv1.FollowLocationAndSpeedRequest{
		Request: &locationandspeedv1.ListLocationAndSpeedRequest{},
		Options: &apiv1.FollowOptions{KeepAliveInterval: durationpb.New(time.Second)},
	}
	if from != "" {
		request.Options.FromCursor = &from
	}
	stream, err := locationandspeedv1.NewLocationAndSpeedServiceClient(conn).FollowLocationAndSpeed(ctx, request)
	if err != nil {
		t.Fatal(err)
	}
	var running sync.WaitGroup
	running.Go(func() {
		before := ""
		for {
			m, err := stream.Recv()
			if err != nil {
				if status.Code(err) != codes.Canceled {
					t.Errorf("%v: %v", pairs, err)
				}
				return
			}
			if m.GetPage() == nil {
				f.keepAlives.Add(1)
				if failure := m.GetKeepAlive().GetFailure(); failure != nil {
					f.failure.Store(proto.String(failure.GetReason()))
				}
				continue
			}
			if n := len(m.GetPage().GetData()); n != 1 || m.GetCursor() == before {
				t.Errorf("%v: got %d records up to cursor %q after %q", pairs, n, m.GetCursor(), before)
			}
			before = m.GetCursor()
			f.cursor.Store(proto.String(before))
			f.pages.Add(1)
		}
	})
	f.leave = func() {
		cancel()
		running.Wait()
	}
	t.Cleanup(f.leave)
	return f
}

// has waits until the follower has so many more pages.
func (f *feedFollower) has(t *testing.T, more int64) {
	t.Helper()
	want := f.pages.Load() + more
	eventually(t, "a follower has more pages", func() bool { return f.pages.Load() >= want })
}

// askers tells the names in which polls of a feed wait for the quota, such as "B interactive".
type askers struct {
	t     *testing.T
	admin string
}

// now returns the names, joined if there are several, in the order of the gateway.
func (a askers) now() string {
	var names []string
	for _, w := range quotaAt(a.t, a.admin).Waiters {
		priority := "interactive"
		if w.Batch {
			priority = "batch"
		}
		names = append(names, w.Caller+" "+priority)
	}
	return strings.Join(names, ", ")
}

// only checks that polls wait in one name, and in no other, until a follower has so many more pages. It
// ignores the poll that waits already.
func (a askers) only(name string, of *feedFollower, pages int64) {
	a.t.Helper()
	of.has(a.t, 1)
	seen, until := map[string]int{}, of.pages.Load()+pages
	eventually(a.t, "a follower has more pages", func() bool {
		if now := a.now(); now != "" {
			seen[now]++
		}
		return of.pages.Load() >= until
	})
	if len(seen) != 1 || seen[name] == 0 {
		a.t.Errorf("polls waited in the names of %v, want %q alone", seen, name)
	}
}

// startFeed runs a gateway before an endless feed with a limit and a longest wait for the quota.
func startFeed(t *testing.T, limit, maxWait string) (*endlessFeed, *grpc.ClientConn, logLine) {
	t.Helper()
	feed := &endlessFeed{asked: map[string]int{}}
	conn, at := connectBefore(t, feed, "--quota-limits=samsara_gateway.location_and_speed.*="+limit, "--quota-max-wait="+maxWait)
	return feed, conn, at
}

// joinGreedy has A follow a feed and B share its reader. It returns B.
func joinGreedy(t *testing.T, conn *grpc.ClientConn, feed *endlessFeed) *feedFollower {
	t.Helper()
	greedy := startFollower(t, conn, "", "samsara-caller", "A", "samsara-priority", "interactive")
	greedy.has(t, 1)
	other := joinFollower(t, conn, feed, greedy, "samsara-caller", "B", "samsara-priority", "interactive")
	other.has(t, 1)
	return other
}

// floodAsGreedy has A call the operation of the feed, each time for something else and so many calls at a
// time, until the test ends. It returns when the quota has refused 100 calls. The counter that it returns
// goes on.
func floodAsGreedy(t *testing.T, conn *grpc.ClientConn, atATime int, pause time.Duration) *atomic.Int64 {
	t.Helper()
	var flood sync.WaitGroup
	t.Cleanup(flood.Wait)
	ctx := metadata.AppendToOutgoingContext(t.Context(), "samsara-caller", "A")
	asked, refused := new(atomic.Int64), new(atomic.Int64)
	repeat(ctx, &flood, atATime, pause, func(int) {
		_, err := locationandspeedv1.NewLocationAndSpeedServiceClient(conn).ListLocationAndSpeed(ctx, &locationandspeedv1.ListLocationAndSpeedRequest{
			Ids: []string{fmt.Sprint(asked.Add(1))},
		})
		if verdictOf(err).reason == "GATEWAY_QUOTA" {
			refused.Add(1)
		}
	})
	eventually(t, "calls of A are refused", func() bool { return refused.Load() > 100 })
	return refused
}

func readers(t *testing.T, at logLine) int {
	t.Helper()
	return int(metric(t, at.Admin, "samsara_gateway_feed_readers"))
}

// TestFollow_pollInAFollowersName has a batch and an interactive caller follow one feed. They share one
// poll, in the name of the interactive caller while that follows.
func TestFollow_pollInAFollowersName(t *testing.T) {
	t.Parallel()
	batch := []string{"samsara-caller", "A", "samsara-priority", "batch"}
	interactive := []string{"samsara-caller", "B", "samsara-priority", "interactive"}
	for name, test := range map[string]struct {
		first, second         []string
		alone, together, left string // the name of the polls while one, both, or the other follow
		secondLeaves          bool   // The second leaves, and not the first.
	}{
		"A, then B, A leaves": {first: batch, second: interactive, alone: "A batch", together: "B interactive", left: "B interactive"},
		"B, then A, B leaves": {first: interactive, second: batch, alone: "B interactive", together: "B interactive", left: "A batch"},
		"A, then B, B leaves": {first: batch, second: interactive, alone: "A batch", together: "B interactive", left: "A batch", secondLeaves: true},
		"two of one priority, the first leaves": {
			first: batch, second: []string{"samsara-caller", "C", "samsara-priority", "batch"},
			alone: "A batch", together: "A batch", left: "C batch",
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			feed, conn, at := startFeed(t, "1/s", "1m")
			polls := askers{t, at.Admin}
			first := startFollower(t, conn, "", test.first...)
			first.has(t, 1)
			polls.only(test.alone, first, 2)
			second := joinFollower(t, conn, feed, first, test.second...)
			second.has(t, 1)
			if n := readers(t, at); n != 1 {
				t.Errorf("there are %d readers, want 1 for both", n)
			}
			polls.only(test.together, second, 2)
			leaves, stays := first, second
			if test.secondLeaves {
				leaves, stays = second, first
			}
			leaves.leave()
			polls.only(test.left, stays, 2)
			requests, most := feed.total()
			if most != 1 {
				t.Errorf("of %d requests up to %d had the same cursor, want 1", requests, most)
			}
			stays.leave()
			eventually(t, "nobody reads the feed", func() bool { return readers(t, at) == 0 })
			t.Logf("%d requests", requests)
		})
	}
}

// TestFollow_noStore has followers of one feed with no-store, who share no answers.
func TestFollow_noStore(t *testing.T) {
	t.Parallel()
	feed, conn, at := startFeed(t, "1/s", "1m")
	polls := askers{t, at.Admin}
	shared := startFollower(t, conn, "", "samsara-caller", "A", "samsara-priority", "batch")
	shared.has(t, 1)
	cursor := *shared.cursor.Load()
	noStore := func(name string) *feedFollower {
		return startFollower(t, conn, cursor, "samsara-caller", name, "samsara-priority", "interactive", "samsara-cache", "no-store")
	}
	alone, another := noStore("B"), noStore("C")
	alone.has(t, 1)
	another.has(t, 1)
	if n := readers(t, at); n != 3 {
		t.Errorf("there are %d readers, want 3", n)
	}
	eventually(t, "each has polled with the cursor that all began with", func() bool { return feed.times(cursor) == 3 })
	seen := map[string]bool{}
	eventually(t, "each has waited in its own name", func() bool {
		for name := range strings.SplitSeq(polls.now(), ", ") {
			seen[name] = true
		}
		return seen["A batch"] && seen["B interactive"] && seen["C interactive"]
	})
	shared.leave()
	another.leave()
	eventually(t, "one reader is left", func() bool { return readers(t, at) == 1 })
	polls.only("B interactive", alone, 2)
	alone.leave()
	eventually(t, "nobody reads the feed", func() bool { return readers(t, at) == 0 })
}

// TestFollow_greedyCallerHoldsUpNobody has a caller follow a feed and make so many other calls that its
// polls are refused by the queue. Another caller who follows the same feed is not held up.
func TestFollow_greedyCallerHoldsUpNobody(t *testing.T) {
	t.Parallel()
	feed, conn, at := startFeed(t, "5/s", "2s")
	other := joinGreedy(t, conn, feed)
	refused := floodAsGreedy(t, conn, 50, 20*time.Millisecond)
	began := time.Now()
	other.has(t, 3)
	t.Logf("3 pages in %v while %d calls of A were refused", time.Since(began).Round(time.Millisecond), refused.Load())
	if n := readers(t, at); n != 1 {
		t.Errorf("there are %d readers, want 1 for both", n)
	}
}

// TestFollow_refusalOfOneCaller has a caller with so many waiting calls that its polls of a feed would wait
// for 15 s and are refused. Another caller who follows the same feed does not wait for that, and is not
// told that the quota is used up, which it is not for that caller. Three pages would take 45 s if it did. A poll
// that comes just when a place in the queue is free waits in it, for 15 s: that may happen once.
func TestFollow_refusalOfOneCaller(t *testing.T) {
	t.Parallel()
	feed, conn, at := startFeed(t, "1/s", "15s")
	other := joinGreedy(t, conn, feed)
	feed.held.Lock() // so that no poll waits in the queue when the other calls come
	release := sync.OnceFunc(feed.held.Unlock)
	defer release()
	eventually(t, "the feed is being asked", func() bool { return feed.times(*other.cursor.Load()) == 1 })
	floodAsGreedy(t, conn, 150, 300*time.Millisecond)
	release()
	other.has(t, 3)
	if told := other.failure.Load(); told != nil {
		t.Errorf("B was told of the failure %s, want none: only A was refused", *told)
	}
	if n := readers(t, at); n != 1 {
		t.Errorf("there are %d readers, want 1 for both", n)
	}
}
