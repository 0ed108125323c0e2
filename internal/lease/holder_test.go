package lease

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"testing"
	"testing/synctest"
	"time"
)

func TestTake_threshold(t *testing.T) {
	t.Parallel()
	for _, test := range []struct {
		greedy int
		want   int64 // MiB that each of them gets of 64, and
		free   int64 // that stay free at least
	}{
		{greedy: 1, want: 20, free: 40},
		{greedy: 2, want: 15, free: 30},
		{greedy: 8, want: 6, free: 12},
	} {
		t.Run(fmt.Sprint(test.greedy), func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				p := NewPool(64 * mib)
				var holders []*Holder
				for range test.greedy {
					holders = append(holders, p.Holder(nil))
				}
				ctx, cancel := context.WithCancel(t.Context())
				defer cancel()
				for range 100 {
					for _, h := range holders {
						go func() { _, _ = h.Take(ctx, mib) }()
						synctest.Wait()
					}
				}
				if free := 60*mib - p.Used(); free < (test.free-1)*mib {
					t.Errorf("%d MiB stay free, want about %d", free/mib, test.free)
				}
				if got := p.Used() / mib / int64(test.greedy); got < test.want-1 || got > test.want+1 {
					t.Errorf("each has %d MiB, want about %d", got, test.want)
				}
				began := time.Now()
				mustTake(t, p.Holder(nil), test.free*mib-2*mib)
				if took := time.Since(began); took != 0 {
					t.Errorf("another waited %v, want nothing", took)
				}
			})
		})
	}
}

func TestTake_order(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		p := NewPool(11 * mib)
		full := mustTake(t, p.Holder(nil), 9*mib)
		var got events
		take := func(name string, h *Holder, n int64) {
			ctx := within(t, time.Minute)
			go func() {
				if _, err := h.Take(ctx, n); err != nil {
					t.Errorf("%s: %v", name, err)
				}
				got.add(name)
			}()
			synctest.Wait()
		}
		large, other, busy := p.Holder(nil), p.Holder(nil), p.Holder(nil)
		mustTake(t, busy, 100<<10)
		take("more for one that holds something", busy, 800<<10)
		take("large", large, 3*mib)
		take("behind large in its holder", large, 1<<10)
		take("not so large, would fit", other, smallBytes+1)
		take("small", p.Holder(nil), smallBytes)
		if want := []string{"small"}; !slices.Equal(got.all(), want) {
			t.Errorf("let in are %q, want %q", got.all(), want)
		}
		full.Release()
		synctest.Wait()
		if want := []string{"small", "more for one that holds something", "large", "not so large, would fit", "behind large in its holder"}; len(got.all()) != len(want) {
			t.Errorf("let in are %q, want %q in some order", got.all(), want)
		}
		p.mu.Lock()
		defer p.mu.Unlock()
		if p.short || p.small != 0 || len(p.queue) != 0 {
			t.Errorf("nobody waits, and the queue has %d, of which %d small; short is %t", len(p.queue), p.small, p.short)
		}
	})
}

// A large take needs the memory that smaller ones keep using, one after another.
func TestTake_largeDoesNotStarve(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		p := NewPool(8 * mib)
		ctx, cancel := context.WithCancel(t.Context())
		for range 16 {
			go func() {
				for h := p.Holder(nil); ctx.Err() == nil; {
					l, err := h.Take(ctx, mib)
					if err != nil {
						return
					}
					<-time.After(time.Second)
					l.Release()
				}
			}()
		}
		synctest.Wait()
		began := time.Now()
		mustTake(t, p.Holder(nil), 7*mib).Release()
		if took := time.Since(began); took > 3*time.Second { // those that came before it, 7 a second
			t.Errorf("the large one waited %v, want three seconds at most", took)
		}
		cancel()
		lapse(t, time.Second)
	})
}

func TestTake_neverFits(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		p := NewPool(10)
		began := time.Now()
		if _, err := p.Holder(nil).Take(within(t, time.Minute), 11); !errors.Is(err, ErrNoRoom) {
			t.Errorf("take of 11: %v, want ErrNoRoom", err)
		}
		l := mustTake(t, p.Holder(nil), 4)
		if _, err := l.Grow(within(t, time.Minute), nil, 1, 11, 11); !errors.Is(err, ErrNoRoom) {
			t.Errorf("growth to 11: %v, want ErrNoRoom", err)
		}
		if took := time.Since(began); took != 0 {
			t.Errorf("it took %v, want nothing", took)
		}
		l.Release()
		wantUsed(t, p, 0)
	})
}

// Those that hold something and wait for more could wait for each other.
func TestGrow_neverInVain(t *testing.T) {
	t.Parallel()
	for name, holders := range map[string]int{"of one holder": 1, "of many": 20} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				const most = 12 * mib
				p := NewPool(16 * mib)
				var by []*Holder
				for range holders {
					by = append(by, p.Holder(nil))
				}
				done := make(chan error, 100)
				for i := range cap(done) {
					go func() {
						l, err := by[i%holders].Take(within(t, time.Hour), 10<<10)
						for counted := int64(20 << 10); err == nil && counted <= most; counted *= 2 {
							<-time.After(time.Millisecond)
							_, err = l.Grow(within(t, time.Hour), nil, 1, counted, most)
						}
						l.Keep(nil)
						<-time.After(time.Second) // that a client needs to read it
						l.Release()
						done <- err
					}()
				}
				for range cap(done) {
					if err := <-done; err != nil {
						t.Error(err)
					}
				}
				wantUsed(t, p, 0)
				if p.finisher != nil || len(p.growers) > 0 {
					t.Error("somebody still grows")
				}
			})
		})
	}
}

// A greedy holder does not get more because its bodies have to grow.
func TestGrow_threshold(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		p := NewPool(64 * mib)
		greedy := p.Holder(new(socket))
		ctx, cancel := context.WithCancel(t.Context())
		defer cancel()
		for range 400 {
			go func() {
				l, err := greedy.Take(ctx, 24<<10)
				for counted := int64(48 << 10); err == nil && counted <= 2*mib; counted *= 2 {
					_, err = l.Grow(ctx, nil, 1, counted, 16*mib)
				}
				if err != nil {
					l.Release()
					return
				}
				l.Count(mib)
				l.Hand(1)
			}()
		}
		lapse(t, time.Second)
		if got := p.Used(); got < 16*mib || got > 28*mib {
			t.Errorf("it has %d MiB of 64, want about a third", got/mib)
		}
		began := time.Now()
		l := mustTake(t, p.Holder(nil), 24<<10)
		for counted := int64(48 << 10); counted <= 16*mib; counted *= 2 {
			if _, err := l.Grow(within(t, time.Minute), nil, 1, counted, 16*mib); err != nil {
				t.Fatal(err)
			}
		}
		if took := time.Since(began); took != 0 {
			t.Errorf("another waited %v, want nothing", took)
		}
		l.Release()
		cancel()
		lapse(t, time.Second)
	})
}

// The finisher comes before everybody else: what it keeps is of no use until it has grown.
func TestGrow_comesFirst(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		p := NewPool(11 * mib)
		grows, full := mustTake(t, p.Holder(nil), 4*mib), mustTake(t, p.Holder(nil), 6*mib)
		var got events
		ctx := within(t, time.Minute)
		go func() {
			if _, err := p.Holder(nil).Take(ctx, mib); err != nil {
				t.Error(err)
			}
			got.add("take")
		}()
		synctest.Wait()
		go func() {
			if _, err := grows.Grow(ctx, nil, 1, 10*mib, 10*mib); err != nil {
				t.Error(err)
			}
			got.add("grow")
			grows.Release()
		}()
		synctest.Wait()
		full.Release()
		synctest.Wait()
		if want := []string{"grow", "take"}; !slices.Equal(got.all(), want) {
			t.Errorf("let in are %q, want %q", got.all(), want)
		}
	})
}

func TestTake_waitsWithinTheDeadline(t *testing.T) {
	t.Parallel()
	for _, test := range []struct {
		name   string
		cancel time.Duration
		want   error
		took   time.Duration
	}{
		{name: "until there is just enough time to say so", cancel: time.Hour, want: ErrNoRoom, took: time.Second - notice},
		{name: "until the caller cancels", cancel: 300 * time.Millisecond, want: context.Canceled, took: 300 * time.Millisecond},
	} {
		for kind, claim := range map[string]func(*Pool, context.Context) error{
			"taking": func(p *Pool, ctx context.Context) error {
				_, err := p.Holder(nil).Take(ctx, 8)
				return err
			},
			"making room": func(p *Pool, ctx context.Context) error { return p.Holder(nil).Room(ctx, 8) },
			"growing": func(p *Pool, ctx context.Context) error {
				l := p.Holder(nil).Add(0)
				defer l.Release()
				_, err := l.Grow(ctx, nil, 1, 8, 8)
				return err
			},
		} {
			t.Run(test.name+", "+kind, func(t *testing.T) {
				t.Parallel()
				synctest.Test(t, func(t *testing.T) {
					p := NewPool(10)
					mustTake(t, p.Holder(nil), 5)
					ctx, cancel := context.WithCancel(within(t, time.Second))
					defer time.AfterFunc(test.cancel, cancel).Stop()
					began := time.Now()
					if err := claim(p, ctx); !errors.Is(err, test.want) {
						t.Errorf("got %v, want %v", err, test.want)
					}
					if took := time.Since(began); took != test.took {
						t.Errorf("it took %v, want %v", took, test.took)
					}
					wantUsed(t, p, 5)
				})
			})
		}
	}
}

// The next in the queue need not wait for the memory that one before it gave up on.
func TestTake_givesUp(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		p := NewPool(10 * mib)
		mustTake(t, p.Holder(nil), 5*mib)
		h := p.Holder(nil)
		ctx, cancel := context.WithCancel(t.Context())
		first, next := make(chan error, 1), make(chan error, 1)
		go func() {
			_, err := h.Take(ctx, 8*mib)
			first <- err
		}()
		synctest.Wait()
		for _, behind := range []*Holder{h, p.Holder(nil)} {
			go func() {
				_, err := behind.Take(t.Context(), 2*mib)
				next <- err
			}()
		}
		synctest.Wait()
		wantUsed(t, p, 5*mib)
		cancel()
		if err := <-first; !errors.Is(err, context.Canceled) {
			t.Errorf("the first: %v, want Canceled", err)
		}
		for range 2 {
			if err := <-next; err != nil {
				t.Errorf("the next: %v, want success", err)
			}
		}
		wantUsed(t, p, 9*mib)
	})
}

func TestRoom_greedyHolder(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		p := NewPool(64 * mib)
		h := p.Holder(new(socket))
		admitted := 0
		ctx, cancel := context.WithCancel(t.Context())
		done := make(chan error, 100)
		for range 100 {
			go func() {
				err := h.Room(ctx, 4*mib)
				if err == nil {
					admitted++
					<-ctx.Done()
					h.Leave(4 * mib)
				}
				done <- err
			}()
			synctest.Wait()
		}
		if admitted != 4 {
			t.Errorf("%d decode at once on one connection, want 4", admitted)
		}
		wantUsed(t, p, 16*mib)
		for range 7 { // more of the same
			h := p.Holder(new(socket))
			for range 20 {
				go func() {
					if h.Room(ctx, 4*mib) == nil {
						<-ctx.Done()
						h.Leave(4 * mib)
					}
				}()
			}
			synctest.Wait()
		}
		began := time.Now()
		other := p.Holder(new(socket))
		if err := other.Room(within(t, time.Minute), 4*mib); err != nil {
			t.Error(err)
		}
		if took := time.Since(began); took != 0 {
			t.Errorf("another waited %v beside 8 that hold all they get, want nothing", took)
		}
		other.Leave(4 * mib)
		cancel()
		for range 100 {
			if err := <-done; err != nil && !errors.Is(err, context.Canceled) {
				t.Error(err)
			}
		}
		synctest.Wait()
		wantUsed(t, p, 0)
	})
}

// Small answers find room beside connections that together hold all that they may.
func TestTake_reserve(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		p := NewPool(64 * mib)
		ctx, cancel := context.WithCancel(t.Context())
		defer cancel()
		for range 30 {
			h := p.Holder(new(socket))
			for _, n := range []int64{mib, 200 << 10, smallBytes, 8 << 10} {
				for range 50 {
					go func() {
						if l, err := h.Take(ctx, n); err == nil {
							l.Hand(1)
						}
					}()
				}
				synctest.Wait()
			}
		}
		began := time.Now()
		mustTake(t, p.Holder(nil), 32<<10)
		if took := time.Since(began); took != 0 {
			t.Errorf("a small one waited %v, want nothing", took)
		}
	})
}

// Clients that half-send requests and come back are not served before one that sends them.
func TestRoom_provenFirst(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		p := NewPool(16 * mib)
		proven := p.Holder(new(socket))
		if err := proven.Room(t.Context(), 4*mib); err != nil {
			t.Fatal(err)
		}
		proven.Leave(4 * mib)
		ctx, cancel := context.WithCancel(t.Context())
		for range 8 {
			go func() { // each comes back when its connection is closed
				for ctx.Err() == nil {
					s := new(socket)
					h := p.Holder(s)
					if h.Room(ctx, 4*mib) != nil {
						return
					}
					for !s.Closed() && ctx.Err() == nil {
						<-time.After(100 * time.Millisecond)
					}
					h.Leave(4 * mib)
				}
			}()
		}
		synctest.Wait()
		for range 3 {
			began := time.Now()
			if err := proven.Room(within(t, time.Minute), 4*mib); err != nil {
				t.Fatal(err)
			}
			if took := time.Since(began); took > Stalled+time.Second {
				t.Errorf("it waited %v, want %v and a little", took, Stalled)
			}
			proven.Leave(4 * mib)
		}
		cancel()
		lapse(t, time.Second)
		wantUsed(t, p, 0)
	})
}

// TestRoom_provenFirstWhoeverIsLast has two holders that have left room before. One of them was served, wants
// more, and stands behind a holder that never has: the streams of a connection that was just closed do that.
// The other one comes after it.
func TestRoom_provenFirstWhoeverIsLast(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		const room = 4 * mib
		p := NewPool(room)
		holders := map[string]*Holder{}
		for _, name := range []string{"new", "busy", "proven"} {
			holders[name] = p.Holder(new(socket))
		}
		mustRoom := func(name string) {
			if err := holders[name].Room(within(t, time.Minute), room); err != nil {
				t.Errorf("%s: %v", name, err)
			}
		}
		for _, name := range []string{"proven", "busy"} {
			mustRoom(name)
			holders[name].Leave(room)
		}
		mustRoom("busy")
		var (
			served events
			all    sync.WaitGroup
		)
		wait := func(name string) {
			all.Go(func() {
				mustRoom(name)
				served.add(name)
				<-time.After(time.Second)
				holders[name].Leave(room)
			})
			synctest.Wait()
		}
		wait("new")
		wait("busy")
		wait("busy")
		holders["busy"].Leave(room) // One of those that wait is served.
		synctest.Wait()
		wait("proven")
		all.Wait()
		if want := []string{"busy", "proven", "new", "busy"}; !slices.Equal(served.all(), want) {
			t.Errorf("served are %q, want %q", served.all(), want)
		}
	})
}
