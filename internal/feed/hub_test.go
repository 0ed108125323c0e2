package feed

import (
	"context"
	"errors"
	"fmt"
	"io"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"
)

// pass lets time go by.
func pass(d time.Duration) { <-time.After(d) }

func interactive(r *Request) { r.As.Batch = false }

func alone(r *Request) { r.Alone = true }

func TestHub_manyFollowersCostAsManyRequestsAsOne(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		fake := &fakeFeed{records: 4, size: 10}
		b := serve(t, fake)
		var all sync.WaitGroup
		for i := range 500 {
			g := b.join(fmt.Sprint(i), "", nil)
			all.Go(func() { g.read(10) })
		}
		began := time.Now()
		for range 6 {
			pass(10 * time.Second)
			fake.grow(1)
		}
		all.Wait()
		took := time.Since(began)
		if n, most := len(fake.asked()), 2+int(took/(5*time.Second)); n > most {
			t.Errorf("the feed was asked %d times in %v, want at most %d", n, took, most)
		}
		if n := b.live(); n != 1 {
			t.Errorf("there are %d readers, want 1", n)
		}
	})
}

func TestHub_followersOfDifferentKeysShareNothing(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		fake := &fakeFeed{records: 2, size: 2}
		b := serve(t, fake)
		keys := []Key{
			{}, {Operation: "o"}, {Path: "/p"}, {Query: "q"}, {Header: "h"}, {Tenant: "t"}, {RetryAlways: true},
		}
		for _, key := range keys {
			b.join("", "", func(r *Request) { r.Key = key }).read(2)
		}
		if n := len(fake.asked()); n != len(keys) {
			t.Errorf("the feed was asked %d times, want %d", n, len(keys))
		}
	})
}

func TestHub_followerAlone(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		fake := &fakeFeed{records: 2, size: 2}
		b := serve(t, fake)
		for _, g := range []*guest{b.join("shared", "", nil), b.join("a", "", alone), b.join("b", "", alone), b.join("too", "", nil)} {
			g.listen()
			synctest.Wait()
		}
		pass(time.Minute)
		if n := b.live(); n != 3 {
			t.Errorf("there are %d readers, want one for each that follows alone and one for the others", n)
		}
		polls := map[string]int{}
		for _, a := range fake.asked() {
			polls[a.as.Caller]++
		}
		for _, name := range []string{"shared", "a", "b"} {
			if n := polls[name]; n < 11 || n > 13 {
				t.Errorf("the feed was asked %d times in a minute in the name of %s, want every 5 to 5.5 seconds", n, name)
			}
		}
		if polls["too"] != 0 {
			t.Errorf("the feed was asked %d times in the name of one that came later, want 0", polls["too"])
		}
	})
}

// TestHub_inWhoseName makes followers come and go, and checks the name that the next request goes in.
func TestHub_inWhoseName(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		fake := &fakeFeed{records: 1, size: 1}
		b := serve(t, fake)
		guests := map[string]*guest{}
		join := func(name string, also func(*Request)) {
			guests[name] = b.join(name, "1", also)
			guests[name].listen()
		}
		leave := func(name string) { guests[name].leave() }
		steps := []struct {
			what string
			do   func()
			want string
		}{
			{"the first", func() { join("A", nil) }, "A"},
			{"another batch one comes", func() { join("B", nil) }, "A"},
			{"an interactive one comes", func() { join("C", interactive) }, "C"},
			{"another interactive one comes", func() { join("D", interactive) }, "C"},
			{"the first leaves", func() { leave("A") }, "C"},
			{"it comes back", func() { join("A", nil) }, "C"},
			{"the first interactive one leaves", func() { leave("C") }, "D"},
			{"the last interactive one leaves", func() { leave("D") }, "B"},
			{"the one that has followed longest leaves", func() { leave("B") }, "A"},
		}
		for _, step := range steps {
			before := len(fake.asked())
			step.do()
			synctest.Wait()
			if n := len(fake.asked()); n > before { // the request of a reader that has just begun
				before = n - 1
			} else {
				pass(5500 * time.Millisecond)
			}
			if got := fake.names(before); got != step.want {
				t.Errorf("%s: the feed was asked in the name of %q, want %s", step.what, got, step.want)
			}
		}
		leave("A")
		before := len(fake.asked())
		pass(time.Minute)
		if n := len(fake.asked()) - before; n != 0 {
			t.Errorf("the feed was asked %d times after the last follower had left", n)
		}
	})
}

// TestHub_inWhoseNameWhileItFails has an interactive caller whose requests fail for reasons of its own.
func TestHub_inWhoseNameWhileItFails(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		fake := &fakeFeed{records: 1, size: 1}
		var failing atomic.Pointer[string]
		failing.Store(new(string))
		fake.before = func(_ context.Context, a ask) error {
			if strings.Contains(*failing.Load(), a.as.Caller) {
				return errPasses
			}
			return nil
		}
		b := serve(t, fake)
		for _, name := range []string{"C", "C", "B", "A"} {
			also := interactive
			if name == "C" {
				also = nil
			}
			b.join(name, "1", also).listen()
			synctest.Wait()
		}
		poll := func(polls int) string {
			before := len(fake.asked())
			for len(fake.asked()) < before+polls {
				pass(100 * time.Millisecond)
			}
			return fake.names(before)
		}
		for _, step := range []struct {
			failing, want string
		}{
			{"", "B B"},
			{"B", "B A B A"},
			{"AB", "B A C B A C"},
			{"ABC", "B A C B A C B A C"},
			{"", "B B"},
		} {
			failing.Store(&step.failing)
			if got := poll((len(step.want) + 1) / 2); got != step.want {
				t.Errorf("while %q fail the feed was asked in the names of %s, want %s", step.failing, got, step.want)
			}
		}
	})
}

// TestHub_waitOfOneName has one name refused for ten minutes, while another name follows from the beginning
// or comes later.
func TestHub_waitOfOneName(t *testing.T) {
	t.Parallel()
	for name, late := range map[string]time.Duration{"both from the beginning": 0, "the other comes later": time.Minute} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				fake := &fakeFeed{records: 1, size: 1, retryAfter: 10 * time.Minute, othersAfter: 20 * time.Second}
				fake.before = func(_ context.Context, a ask) error {
					if a.as.Caller == "bad" {
						return errPasses
					}
					return nil
				}
				b := serve(t, fake)
				b.join("bad", "1", nil).listen()
				synctest.Wait()
				pass(late)
				b.join("bad", "1", nil).listen() // changes nothing
				synctest.Wait()
				pass(late)
				if got := fake.names(0); got != "bad" {
					t.Fatalf("asked in the names of %q, want bad", got)
				}
				b.join("good", "1", nil).listen()
				synctest.Wait()
				pass(max(0, 20*time.Second-2*late) + time.Second)
				if got := fake.names(0); got != "bad good" {
					t.Errorf("asked in the names of %q, want bad good", got)
				}
				if gap := fake.asked()[1].at.Sub(fake.asked()[0].at); gap < 20*time.Second {
					t.Errorf("asked again after %v, want 20s at least", gap)
				}
			})
		})
	}
}

// TestHub_pagesOfOneThatHasLeft gives each follower Pages of its own.
func TestHub_pagesOfOneThatHasLeft(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		first, second := &fakeFeed{records: 1, size: 1}, &fakeFeed{records: 1, size: 1}
		b := serve(t, first)
		a := b.join("A", "1", nil)
		a.listen()
		synctest.Wait()
		b.join("B", "1", func(r *Request) { r.Pages = second }).listen()
		pass(time.Minute)
		if n := len(second.asked()); n != 0 {
			t.Errorf("the feed of B was asked %d times while A followed, want 0", n)
		}
		before := len(first.asked())
		a.leave()
		pass(time.Minute)
		if n := len(first.asked()) - before; n != 0 {
			t.Errorf("the feed of A was asked %d times after A had left, want 0", n)
		}
		if n := len(second.asked()); n < 10 || n > 13 {
			t.Errorf("the feed of B was asked %d times in a minute, want every 5 to 5.5 seconds", n)
		}
	})
}

func TestHub_requestOfOneThatLeavesIsForTheOthers(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		fake := &fakeFeed{records: 1, size: 1, before: func(ctx context.Context, _ ask) error {
			select {
			case <-time.After(time.Second):
				return nil
			case <-ctx.Done():
				return ctx.Err()
			}
		}}
		b := serve(t, fake)
		a, other := b.join("A", "", nil), b.join("B", "", nil)
		a.listen()
		synctest.Wait()
		go other.read(1)
		pass(500 * time.Millisecond)
		a.leave()
		pass(time.Second)
		synctest.Wait()
		if got := fake.names(0); got != "A" || other.had != 1 {
			t.Errorf("B has %d records after requests in the name of %q, want 1 and A", other.had, got)
		}
	})
}

func TestHub_pace(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		fake := &fakeFeed{records: 1, size: 1}
		b := serve(t, fake)
		b.join("slow", "", func(r *Request) { r.PollInterval = time.Minute }).listen()
		pass(2 * time.Minute)
		if n := len(fake.asked()); n != 2 {
			t.Errorf("the feed was asked %d times in two minutes, want 2", n)
		}
		eager := b.join("eager", "1", func(r *Request) { r.PollInterval = 10 * time.Second })
		eager.listen()
		pass(time.Minute)
		if n := len(fake.asked()); n < 7 || n > 8 {
			t.Errorf("the feed was asked %d times after a minute with a more eager one, want 7 or 8", n)
		}
	})
}

func TestHub_oneFollowerThatDoesNotRead(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		fake := &fakeFeed{records: 100, size: 1, bytes: 1000}
		b := serve(t, fake)
		g := b.join("slow", "", nil)
		for had := range 10 {
			if _, err := g.page(t.Context(), longAgo); err != nil {
				t.Fatal(err)
			}
			pass(time.Minute)
			if n := len(fake.asked()); n != had+heldPages {
				t.Errorf("the feed was asked %d times for %d pages, want %d", n, had+1, had+heldPages)
			}
			g.free()
		}
	})
}

func TestHub_slowFollowerFallsBehindAndCatchesUp(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		const pages = 200
		for name, bytes := range map[string]int{"too many pages": 100, "too many bytes": maxKeptBytes / 3} {
			fake := &fakeFeed{records: pages, size: 1, bytes: bytes}
			b := serve(t, fake)
			slow, fast := b.join("slow", "", nil), b.join("fast", "", nil)
			if _, err := slow.page(t.Context(), longAgo); err != nil {
				t.Fatal(err)
			}
			var most int64
			for n := range pages {
				fast.read(n + 1)
				most = max(most, b.memory.Used())
			}
			// Besides what is kept there are the pages of the two, and one that is being fetched.
			if limit := int64(min(maxKeptPages*bytes, maxKeptBytes) + 3*bytes); most > limit {
				t.Errorf("%s: %d bytes were held, want at most %d", name, most, limit)
			}
			slow.free()
			for n := range pages {
				slow.read(n + 1)
				pass(10 * time.Millisecond)
			}
			slow.listen()
			fast.listen()
			pass(20 * time.Second)
			if n := b.live(); n != 1 {
				t.Errorf("%s: there are %d readers once both have caught up, want 1", name, n)
			}
		}
	})
}

func TestHub_readersThatMeetBecomeOne(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		fake := &fakeFeed{records: 40, size: 1}
		b := serve(t, fake)
		for i := range 8 {
			b.join(fmt.Sprint(i), fmt.Sprint(5*i), nil).listen()
			pass(700 * time.Millisecond)
		}
		pass(20 * time.Second)
		before := len(fake.asked())
		pass(time.Minute)
		if n := len(fake.asked()) - before; n > 12 || b.live() != 1 {
			t.Errorf("%d readers ask %d times in a minute, want 1 and at most 12", b.live(), n)
		}
	})
}

func TestHub_lateFollowerIsGivenWhatIsKept(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		fake := &fakeFeed{records: 2, size: 2, bytes: 10}
		b := serve(t, fake)
		b.join("first", "", nil).listen()
		pass(lingering - time.Second)
		b.join("second", "", nil).read(2)
		if n := len(fake.asked()); n != 1 {
			t.Errorf("the feed was asked %d times, want once", n)
		}
		pass(2 * time.Second)
		if n := b.memory.Used(); n != 0 {
			t.Errorf("%d bytes are kept longer than a page lingers", n)
		}
	})
}

func TestFollower_failuresAreOutlastedAndShown(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		fake := &fakeFeed{records: 1, size: 1, retryAfter: 90 * time.Second}
		fake.before = func(context.Context, ask) error {
			if len(fake.asked()) <= 2 {
				return errPasses
			}
			return nil
		}
		b := serve(t, fake)
		g := b.join("a", "0", nil)
		began := time.Now()
		for _, want := range []int32{1, 1, 2, 2} {
			news, err := g.page(t.Context(), 40*time.Second)
			if err != nil || news.KeepAlive == nil {
				t.Fatalf("got %+v, %v, want a keep-alive", news, err)
			}
			s := news.KeepAlive
			if s.Failure == nil || s.Failure.Message != "passes" || s.Failures != want || s.Cursor != "0" || !s.Answered.IsZero() || !s.Due.After(time.Now()) {
				t.Errorf("%v after the beginning the state is %+v, want %d failures and a request to come", time.Since(began), s, want)
			}
		}
		if _, err := g.page(t.Context(), longAgo); err != nil || g.had != 1 {
			t.Errorf("has %d records, %v, want 1", g.had, err)
		}
		asks := fake.asked()
		for i := 1; i < len(asks); i++ {
			if gap := asks[i].at.Sub(asks[i-1].at); gap < 90*time.Second {
				t.Errorf("request %d came %v after the last, want what Retry-After says", i+1, gap)
			}
		}
		news, err := g.page(t.Context(), time.Second)
		if s := news.KeepAlive; err != nil || s.Failure != nil || s.Failures != 0 || s.Answered.IsZero() || s.Cursor != "1" {
			t.Errorf("the state is %+v, %v, want an answer and no failure", s, err)
		}
	})
}

// TestFollower_failureOfOneName has a request fail because of the upstream, or because of the name that it
// was made in. In the latter case others are not told.
func TestFollower_failureOfOneName(t *testing.T) {
	t.Parallel()
	for _, own := range []bool{true, false} {
		t.Run(fmt.Sprintf("own: %t", own), func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				fake := &fakeFeed{records: 1, size: 1, own: own, retryAfter: time.Minute}
				fake.before = func(_ context.Context, a ask) error {
					if a.as.Caller == "A" {
						return errPasses
					}
					return nil
				}
				b := serve(t, fake)
				told := func(g *guest) int32 {
					t.Helper()
					news, err := g.page(t.Context(), time.Nanosecond)
					if err != nil || news.KeepAlive == nil || (news.KeepAlive.Failure != nil) != (news.KeepAlive.Failures > 0) {
						t.Fatalf("got %+v, %v, want a keep-alive", news.KeepAlive, err)
					}
					return news.KeepAlive.Failures
				}
				first := b.join("A", "1", nil)
				if n := told(first); n != 1 {
					t.Errorf("A was told of %d failures, want 1", n)
				}
				second, want := b.join("B", "1", nil), int32(1)
				if own {
					want = 0
				}
				if n := told(second); n != want {
					t.Errorf("B was told of %d failures, want %d", n, want)
				}
				if n := told(first); n != 1 {
					t.Errorf("A was told of %d failures, want 1", n)
				}
				pass(2 * time.Second)
				if n := told(first) + told(second); n != 0 {
					t.Errorf("A and B were told of %d failures after an answer, want 0", n)
				}
			})
		})
	}
}

func TestFollower_errorsEndAFeed(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		fake := &fakeFeed{records: 2, size: 1}
		fake.before = func(_ context.Context, a ask) error {
			if a.cursor == "1" {
				return errFinal
			}
			return nil
		}
		b := serve(t, fake)
		for range 2 { // The second begins a reader of its own.
			first, second := b.join("a", "", nil), b.join("b", "", nil)
			for _, g := range []*guest{first, second} {
				g.read(1)
				if _, err := g.page(t.Context(), longAgo); !errors.Is(err, errFinal) {
					t.Errorf("got %v, want the error", err)
				}
			}
		}
	})
}

func TestFollower_panicEndsItsFollowersAlone(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		fake := &fakeFeed{records: 1, size: 1}
		fake.before = func(_ context.Context, a ask) error {
			if a.as.Caller == "bad" {
				panic("fake")
			}
			return nil
		}
		b := serve(t, fake)
		if _, err := b.join("bad", "", alone).page(t.Context(), longAgo); err == nil || err.Error() != "panicked: fake" {
			t.Errorf("got %v, want the panic", err)
		}
		b.join("good", "", nil).read(1)
	})
}

func TestFollower_maxPages(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		fake := &fakeFeed{records: 5, size: 2}
		b := serve(t, fake)
		for pages, records := range map[int64]int{2: 4, 3: 5, 5: 5} { // Empty pages count.
			g := b.join("a", "", func(r *Request) { r.MaxPages = pages })
			g.read(records)
			if _, err := g.page(t.Context(), longAgo); !errors.Is(err, io.EOF) {
				t.Errorf("after %d pages got %v, want io.EOF", pages, err)
			}
			g.Leave()
		}
	})
}

func TestFollower_silence(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		b := serve(t, &fakeFeed{records: 1, size: 1})
		g := b.join("a", "", nil)
		g.read(1)
		for range 3 {
			began := time.Now()
			news, err := g.page(t.Context(), 8*time.Second)
			if took := time.Since(began); err != nil || news.KeepAlive == nil || took != 8*time.Second {
				t.Errorf("got %+v, %v after %v, want a keep-alive after 8s", news, err, took)
			}
		}
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		if _, err := g.page(ctx, 8*time.Second); !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("got %v, want the context's error", err)
		}
	})
}

func TestHub_closed(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		fake := &fakeFeed{records: 3, size: 1, before: func(ctx context.Context, a ask) error {
			if a.cursor == "1" {
				<-ctx.Done()
				<-time.After(time.Second)
				return ctx.Err()
			}
			return nil
		}}
		b := serve(t, fake)
		waiting, behind := b.join("a", "", nil), b.join("b", "", nil)
		ended := make(chan error)
		go func() {
			waiting.read(1)
			_, err := waiting.Next(t.Context(), longAgo)
			ended <- err
		}()
		synctest.Wait()
		closed := make(chan struct{})
		go func() {
			b.Close()
			close(closed)
		}()
		if err := <-ended; !errors.Is(err, ErrClosed) {
			t.Errorf("one that waits got %v, want ErrClosed", err)
		}
		select {
		case <-closed:
			t.Error("Close returned before the reader's goroutine had ended")
		default:
		}
		<-closed
		if n := b.live(); n != 0 {
			t.Errorf("%d readers run after Close", n)
		}
		for _, g := range []*guest{behind, b.join("late", "", nil)} {
			if _, err := g.Next(t.Context(), longAgo); !errors.Is(err, ErrClosed) {
				t.Errorf("got %v, want ErrClosed", err)
			}
		}
		b.Close()
	})
}

func TestFollower_leaveWaitsForTheReader(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		fake := &fakeFeed{before: func(ctx context.Context, _ ask) error {
			<-ctx.Done()
			<-time.After(time.Second)
			return ctx.Err()
		}}
		b := serve(t, fake)
		first, last := b.join("a", "", nil), b.join("b", "", nil)
		for _, g := range []*guest{first, last} {
			if _, err := g.Next(t.Context(), time.Second); err != nil {
				t.Fatal(err)
			}
		}
		began := time.Now()
		first.Leave()
		if took := time.Since(began); took != 0 {
			t.Errorf("one of two left in %v, want at once", took)
		}
		last.Leave()
		if took := time.Since(began); took != time.Second || b.live() != 0 {
			t.Errorf("the last left in %v, and %d readers run, want the end of the request and 0", took, b.live())
		}
	})
}
