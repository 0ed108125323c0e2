package quota_test

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"math"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"samsara.internal/gateway/internal/identity"
	"samsara.internal/gateway/internal/quota"
)

var errAway = errors.New("the store is away")

// fakeStore decides as Redis does, in memory, and can be slow or away.
type fakeStore struct {
	mu         sync.Mutex
	admissions map[string][]time.Time
	next       map[string]time.Time
	pauses     map[string]fakePause
	delay      time.Duration
	away       bool
	replicas   int
	takes      int
	slowest    time.Duration
}

type fakePause struct {
	until time.Time
	scale float64
}

func newFakeStore(replicas int) *fakeStore {
	return &fakeStore{
		admissions: map[string][]time.Time{}, next: map[string]time.Time{}, pauses: map[string]fakePause{},
		delay: 200 * time.Microsecond, replicas: replicas,
	}
}

func (s *fakeStore) set(delay time.Duration, away bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.delay, s.away = delay, away
}

// answer waits as long as the store takes, and fails if the store is away.
func (s *fakeStore) answer(ctx context.Context) error {
	begin := time.Now()
	s.mu.Lock()
	delay, away := s.delay, s.away
	s.mu.Unlock()
	pause(ctx, delay)
	s.mu.Lock()
	defer s.mu.Unlock()
	s.slowest = max(s.slowest, time.Since(begin))
	if away {
		return errAway
	}
	return ctx.Err()
}

func (s *fakeStore) Take(ctx context.Context, claims []quota.Claim, instead quota.Stamp) (quota.Ruling, error) {
	if err := s.answer(ctx); err != nil {
		return quota.Ruling{}, err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.takes++
	now := time.Now()
	ruling := quota.Ruling{Stamp: quota.Stamp(now.UnixNano())}
	for i, c := range claims {
		if at := slices.Index(s.admissions[c.Budget], time.Unix(0, int64(instead))); at >= 0 {
			s.admissions[c.Budget] = slices.Delete(s.admissions[c.Budget], at, at+1)
		}
		p := s.pauses[c.Budget]
		wait := max(0, p.until.Sub(now))
		if admitted := s.admissions[c.Budget]; c.Requests > 0 && len(admitted) >= c.Requests {
			wait = max(wait, admitted[len(admitted)-c.Requests].Add(c.Window).Sub(now))
		}
		if c.Pace > 0 {
			wait = max(wait, s.next[c.Budget].Sub(now))
		}
		if wait > ruling.Wait {
			ruling.Wait, ruling.Held = wait, i
		}
		ruling.Pauses = append(ruling.Pauses, quota.Pause{For: p.until.Sub(now), Scale: p.scale})
	}
	if ruling.Wait == 0 {
		for _, c := range claims {
			s.admissions[c.Budget] = append(s.admissions[c.Budget], now)
			if late := now.Add(-50 * time.Millisecond); s.next[c.Budget].Before(late) {
				s.next[c.Budget] = late
			}
			s.next[c.Budget] = s.next[c.Budget].Add(c.Pace)
		}
	}
	return ruling, nil
}

func (s *fakeStore) Pause(ctx context.Context, budget string, p quota.Pause) error {
	if err := s.answer(ctx); err != nil {
		return err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.pauses[budget] = fakePause{time.Now().Add(p.For), p.Scale}
	return nil
}

func (s *fakeStore) Beat(ctx context.Context) (int, error) {
	if err := s.answer(ctx); err != nil {
		return 0, err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.replicas, nil
}

func (*fakeStore) Close() error { return nil }

// replicas returns limiters that share stores.
func replicas(t testing.TB, n int, cfg quota.Config, stores ...quota.Store) []*quota.Limiter {
	t.Helper()
	var all []*quota.Limiter
	for i := range n {
		cfg.Store = stores[i%len(stores)]
		all = append(all, newLimiter(t, cfg))
	}
	return all
}

func TestStore_replicasShareExactly(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		store := newFakeStore(3)
		ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
		defer cancel()
		c := newCrowd()
		for i, l := range replicas(t, 3, exact(), store) {
			flood(ctx, c, 60, fmt.Sprint(i), operation(t, l, "list", 100, time.Second), identity.Identity{Caller: "a"})
		}
		c.Wait()
		if got := most(store.admissions["operation:list"], time.Second); got > 100 {
			t.Errorf("%d in a window, want at most 100", got)
		}
		if got := len(c.all()); got < 950 {
			t.Errorf("%d admitted in 10 s, want at least 950", got)
		}
		for i := range 3 {
			if got := len(c.admitted[fmt.Sprint(i)]); got < 150 {
				t.Errorf("replica %d was admitted %d, want no starvation; all %d", i, got, len(c.all()))
			}
		}
		if store.takes > 8*len(c.all()) {
			t.Errorf("the store was asked %d times for %d admissions", store.takes, len(c.all()))
		}
		t.Logf("%d admitted: %d, %d, %d; the store was asked %d times", len(c.all()), len(c.admitted["0"]), len(c.admitted["1"]), len(c.admitted["2"]), store.takes)
	})
}

func TestStore_oneReplicaUsesAll(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		l := replicas(t, 1, exact(), newFakeStore(3))[0]
		ctx, cancel := context.WithTimeout(t.Context(), 5*time.Second)
		defer cancel()
		c := newCrowd()
		flood(ctx, c, 200, "", operation(t, l, "list", 100, time.Second), identity.Identity{Caller: "a"})
		c.Wait()
		if got := len(c.all()); got < 480 || got > 500 {
			t.Errorf("%d admitted in 5 s, want 480 to 500", got)
		}
	})
}

// The limiter asks the store for one at a time at first, because it was refused.
func TestStore_wholeLimitAtOnceAgainAfterARefusal(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		var operations []*quota.Operation
		for _, l := range replicas(t, 2, exact(), newFakeStore(2)) {
			operations = append(operations, operation(t, l, "list", 20, 4*time.Second))
		}
		c := newCrowd()
		admitted(t, operations[0], 20)
		c.once(t.Context(), "refused", operations[1], identity.Identity{})
		c.Wait()
		pause(t.Context(), 8*time.Second)
		for range 20 {
			c.once(t.Context(), "at once", operations[1], identity.Identity{})
		}
		c.Wait()
		if got, slowest := len(c.waits["at once"]), percentile(c.waits["at once"], 1); got != 20 || slowest > 10*time.Millisecond {
			t.Errorf("%d of 20 were admitted, the last after %v, want all at once", got, slowest)
		}
	})
}

func TestStore_callersShareFairly(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		cfg := exact()
		cfg.Weights = map[string]float64{"heavy": 3}
		ctx, cancel := context.WithCancel(t.Context())
		defer cancel()
		c := newCrowd()
		for _, l := range replicas(t, 3, cfg, newFakeStore(3)) {
			o := operation(t, l, "list", 100, time.Second)
			flood(ctx, c, 100, "big", o, identity.Identity{Caller: "big"})
			flood(ctx, c, 20, "heavy", o, identity.Identity{Caller: "heavy"})
			flood(ctx, c, 10, "batch", o, identity.Identity{Caller: "small", Batch: true})
			pause(ctx, time.Millisecond)
			flood(ctx, c, 2, "small", o, identity.Identity{Caller: "small"})
		}
		pause(ctx, 30*time.Second)
		cancel()
		c.Wait()
		// Of 3000: a tenth, and of the rest a fifth, a fifth and three.
		for name, want := range map[string]int{"batch": 300, "small": 540, "big": 540, "heavy": 1620} {
			if got := len(c.admitted[name]); got < want*85/100 || got > want*115/100+20 {
				t.Errorf("%s: %d admitted, want about %d", name, got, want)
			}
		}
		t.Logf("small %d, big %d, heavy %d, batch %d", len(c.admitted["small"]), len(c.admitted["big"]), len(c.admitted["heavy"]), len(c.admitted["batch"]))
	})
}

func TestStore_barelyQuickEnoughKeepsBudgetInUse(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		store := newFakeStore(1)
		store.set(20*time.Millisecond, false)
		l := replicas(t, 1, exact(), store)[0]
		ctx, cancel := context.WithCancel(t.Context())
		defer cancel()
		c := newCrowd()
		flood(ctx, c, 200, "", operation(t, l, "list", 0, 0), identity.Identity{Caller: "a"})
		pause(ctx, 20*time.Second)
		cancel()
		c.Wait()
		if got := len(c.all()); got < 2700 {
			t.Errorf("%d admitted in 20 s, want at least 2700 of 3000", got)
		}
		t.Logf("%d admitted, %d asked", len(c.all()), store.takes)
	})
}

func TestStore_awayEachReplicaAdmitsItsShare(t *testing.T) {
	t.Parallel()
	for _, test := range []struct {
		requests, most int // of one replica of three in a second
	}{
		{150, 50},
		{5, 1},
		{2, 1}, // one in 1.5 s
	} {
		t.Run(fmt.Sprint(test.requests), func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				store := newFakeStore(3)
				limiters := replicas(t, 3, exact(), store)
				store.set(0, true)
				ctx, cancel := context.WithTimeout(t.Context(), 31*time.Second)
				defer cancel()
				c := newCrowd()
				pause(ctx, 2*time.Second) // until everybody has noticed
				for i, l := range limiters {
					flood(ctx, c, 2+test.requests, fmt.Sprint(i), operation(t, l, "list", test.requests, time.Second), identity.Identity{Caller: "a"})
				}
				pause(ctx, 10*time.Second)
				if s := limiters[0].Snapshot().Store; s.Up || s.Replicas != 3 || s.Lost != 1 || !errors.Is(s.Err, errAway) {
					t.Errorf("the state of the store is %+v", s)
				}
				c.Wait()
				for i := range limiters {
					if got := most(c.admitted[fmt.Sprint(i)], time.Second); got > test.most {
						t.Errorf("replica %d admitted %d in a second, want at most %d", i, got, test.most)
					}
				}
				if got := len(c.all()); got > 30*test.requests {
					t.Errorf("%d admitted in 29 s, want at most %d with the first burst", got, 30*test.requests)
				}
			})
		})
	}
}

func TestStore_comesAndGoesFailsNoCall(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		store := newFakeStore(3)
		limiters := replicas(t, 3, exact(), store)
		ctx, cancel := context.WithCancel(t.Context())
		defer cancel()
		c := newCrowd()
		for i, l := range limiters {
			flood(ctx, c, 100, fmt.Sprint(i), operation(t, l, "list", 90, time.Second), identity.Identity{Caller: "a"})
		}
		begin := time.Now()
		pause(ctx, 5*time.Second)
		store.set(0, true)
		pause(ctx, 10*time.Second)
		store.mu.Lock()
		clear(store.admissions) // as a restart does
		store.mu.Unlock()
		store.set(200*time.Microsecond, false)
		pause(ctx, 15*time.Second)
		if s := limiters[0].Snapshot().Store; !s.Up || s.Err != nil {
			t.Errorf("15 s after it came back the state of the store is %+v", s)
		}
		cancel()
		c.Wait()
		for name, errs := range c.refused {
			for _, err := range errs {
				if !errors.Is(err, context.Canceled) {
					t.Errorf("replica %s: %v", name, err)
				}
			}
		}
		var switching, after []time.Time
		for _, at := range c.all() {
			if s := at.Sub(begin); s < 6100*time.Millisecond {
				switching = append(switching, at)
			} else {
				after = append(after, at)
			}
		}
		if got := most(switching, time.Second); got > 180 {
			t.Errorf("%d in a window while the store was lost, want at most twice the budget", got)
		}
		if got := most(after, time.Second); got > 90 {
			t.Errorf("%d in a window after that, want at most 90", got)
		}
		if got := len(after); got < 90*23 {
			t.Errorf("%d in 24 s, want most of %d", got, 90*24)
		}
		t.Logf("at most %d in a window while the store was lost, %d after", most(switching, time.Second), most(after, time.Second))
	})
}

func TestStore_slowHoldsNobodyUp(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		store := newFakeStore(1)
		l := replicas(t, 1, exact(), store)[0]
		o := operation(t, l, "list", 0, 0)
		store.set(math.MaxInt64, false)
		c := newCrowd()
		for range 20 {
			c.once(t.Context(), "at once", o, identity.Identity{})
		}
		c.Wait()
		for range 20 {
			_ = c.admit(t.Context(), "after", o, identity.Identity{})
		}
		if got := percentile(c.waits["at once"], 1); got != 25*time.Millisecond {
			t.Errorf("the first waited %v, want 25ms", got)
		}
		if got := percentile(c.waits["after"], 1); got != 0 {
			t.Errorf("who came after waited %v, want 0", got)
		}
		pause(t.Context(), 10*time.Second)
		store.mu.Lock()
		defer store.mu.Unlock()
		if store.slowest != 25*time.Millisecond {
			t.Errorf("the store was waited for %v, want 25ms", store.slowest)
		}
	})
}

func TestStore_pauseIsShared(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		store := newFakeStore(2)
		limiters := replicas(t, 2, exact(), store)
		here, there := operation(t, limiters[0], "list", 20, time.Second), operation(t, limiters[1], "list", 20, time.Second)
		begin := time.Now()
		for range 2 {
			here.Pause(t.Context(), time.Now().Add(2*time.Second))
			pause(t.Context(), 2500*time.Millisecond)
		}
		here.Pause(t.Context(), begin.Add(7*time.Second))
		c := newCrowd()
		c.once(t.Context(), "", there, identity.Identity{})
		c.Wait()
		if got := c.all()[0].Sub(begin).Round(10 * time.Millisecond); got != 7*time.Second {
			t.Errorf("another replica was admitted after %v, want 7s", got)
		}
		a, b := state(t, limiters[0], "operation:list").Effective, state(t, limiters[1], "operation:list").Effective
		if a > 4 || math.Abs(a-b) > 0.1 {
			t.Errorf("the effective limits are %v and %v, want the same and a quarter of 64 %%", a, b)
		}
	})
}

func TestStore_awayAtStart(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		store := newFakeStore(1)
		store.set(math.MaxInt64, false)
		cfg := exact()
		cfg.Replicas = 3
		begin := time.Now()
		l := replicas(t, 1, cfg, store)[0]
		if got := time.Since(begin); got != 25*time.Millisecond {
			t.Errorf("it took %v to start, want 25ms", got)
		}
		if got := state(t, l, "token").Effective; got != 50 {
			t.Errorf("the token's budget is %v, want a third of 150", got)
		}
		store.set(0, false)
		pause(t.Context(), 600*time.Millisecond)
		if s := l.Snapshot().Store; !s.Up {
			t.Errorf("the state of the store is %+v", s)
		}
		if got := state(t, l, "token").Effective; got != 50 {
			t.Errorf("the token's budget is %v at first, want its share yet", got)
		}
		pause(t.Context(), 4*time.Second)
		if got := state(t, l, "token").Effective; got != 150 {
			t.Errorf("the token's budget is %v in the end, want all of it", got)
		}
	})
}

func TestStore_goesAndComesIsLogged(t *testing.T) {
	t.Parallel()
	for name, test := range map[string]struct {
		run  func(ctx context.Context, store *fakeStore, o *quota.Operation)
		want []string
	}{
		"that is there all the time, nothing": {func(ctx context.Context, _ *fakeStore, _ *quota.Operation) {
			pause(ctx, time.Minute)
		}, nil},
		"that is away for long, once": {func(ctx context.Context, store *fakeStore, _ *quota.Operation) {
			pause(ctx, 10*time.Second)
			store.set(0, true)
			pause(ctx, time.Minute)
			store.set(0, false)
			pause(ctx, time.Minute)
		}, []string{
			`level=WARN msg="the store of the quota is away: a local share is used" replicas=3 lost=1 error="the store is away"`,
			`level=INFO msg="the store of the quota is back" replicas=3 lost=1`,
		}},
		"that is away between heartbeats": {func(ctx context.Context, store *fakeStore, o *quota.Operation) {
			pause(ctx, 2200*time.Millisecond)
			store.set(0, true)
			c := newCrowd()
			_ = c.admit(ctx, "", o, identity.Identity{})
			store.set(0, false)
			pause(ctx, time.Minute)
		}, []string{`level=INFO msg="the store of the quota is back" replicas=3 lost=1`}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				var out strings.Builder
				cfg := exact()
				cfg.Logger = slog.New(slog.NewTextHandler(&out, &slog.HandlerOptions{ReplaceAttr: withoutTime}))
				store := newFakeStore(3)
				l := replicas(t, 1, cfg, store)[0]
				test.run(t.Context(), store, operation(t, l, "list", 0, 0))
				if err := l.Close(); err != nil {
					t.Fatal(err)
				}
				var got []string
				for line := range strings.Lines(out.String()) {
					got = append(got, strings.TrimSpace(line))
				}
				if diff := cmp.Diff(test.want, got); diff != "" {
					t.Errorf("(-want +got):\n%s", diff)
				}
			})
		})
	}
}

func TestStore_awayAtStartIsLogged(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		var out strings.Builder
		cfg := exact()
		cfg.Logger = slog.New(slog.NewTextHandler(&out, &slog.HandlerOptions{ReplaceAttr: withoutTime}))
		store := newFakeStore(3)
		store.set(0, true)
		l := replicas(t, 1, cfg, store)[0]
		pause(t.Context(), time.Minute)
		if err := l.Close(); err != nil {
			t.Fatal(err)
		}
		want := `level=WARN msg="the store of the quota is away: a local share is used" replicas=1 lost=0 error="the store is away"` + "\n"
		if diff := cmp.Diff(want, out.String()); diff != "" {
			t.Errorf("(-want +got):\n%s", diff)
		}
	})
}

func withoutTime(_ []string, a slog.Attr) slog.Attr {
	if a.Key == slog.TimeKey {
		return slog.Attr{}
	}
	return a
}
