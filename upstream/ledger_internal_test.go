package upstream

import (
	"context"
	"errors"
	"slices"
	"sync"
	"testing"
	"testing/synctest"
	"time"
)

// within returns a context that ends after d.
func within(t *testing.T, d time.Duration) context.Context {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), d)
	t.Cleanup(cancel)
	return ctx
}

func wantUsed(t *testing.T, l *ledger, want int64) {
	t.Helper()
	if got := l.inFlight(); got != want {
		t.Errorf("%d bytes are in flight, want %d", got, want)
	}
}

func TestLedgerLetsInWhoeverCameFirst(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		l := &ledger{limit: 10}
		if err := l.take(within(t, time.Minute), 8); err != nil {
			t.Fatal(err)
		}
		var mu sync.Mutex
		var order []string
		claim := func(name string, claim func() error) {
			go func() {
				if err := claim(); err != nil {
					t.Errorf("%s: %v", name, err)
				}
				mu.Lock()
				defer mu.Unlock()
				order = append(order, name)
			}()
			synctest.Wait()
		}
		ctx := within(t, time.Minute)
		claim("large", func() error { return l.take(ctx, 5) })
		claim("small, which would have fitted", func() error { return l.take(ctx, 1) })
		claim("grows", func() error { return l.grow(ctx, 8, 2) })
		if want := []string{"grows"}; !slices.Equal(order, want) {
			t.Errorf("let in are %q, want %q", order, want)
		}
		claim("grows further", func() error { return l.grow(ctx, 1, 7) })
		l.give(4)
		synctest.Wait()
		wantUsed(t, l, 6) // room for the large one, but another was first
		l.give(3)
		synctest.Wait()
		wantUsed(t, l, 10)
		l.give(10)
		synctest.Wait()
		if want := []string{"grows", "grows further"}; !slices.Equal(order[:2], want) || len(order) != 4 {
			t.Errorf("let in are %q, want %q and then the others", order, want)
		}
		wantUsed(t, l, 6)
	})
}

func TestLedgerRefusesWhatCannotEverFit(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		l := &ledger{limit: 10}
		began := time.Now()
		if err := l.take(within(t, time.Minute), 11); !errors.Is(err, errMemory) {
			t.Errorf("take of 11: %v, want errMemory", err)
		}
		if err := l.grow(within(t, time.Minute), 4, 7); !errors.Is(err, errMemory) {
			t.Errorf("growth by 7 to 11: %v, want errMemory", err)
		}
		if took := time.Since(began); took != 0 {
			t.Errorf("it took %v, want nothing", took)
		}
		wantUsed(t, l, 0)
	})
}

// Two that hold something and wait for more could wait for each other.
func TestLedgerLetsOnlyOneWaitToGrow(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		l := &ledger{limit: 10}
		for range 2 {
			if err := l.take(within(t, time.Minute), 5); err != nil {
				t.Fatal(err)
			}
		}
		first := make(chan error, 1)
		go func() { first <- l.grow(within(t, time.Minute), 5, 5) }()
		synctest.Wait()
		if err := l.grow(within(t, time.Minute), 5, 5); !errors.Is(err, errMemory) {
			t.Errorf("the second: %v, want errMemory", err)
		}
		l.give(5)
		if err := <-first; err != nil {
			t.Errorf("the first: %v, want success", err)
		}
		wantUsed(t, l, 10)
	})
}

func TestLedgerIsWaitedForWithinTheDeadline(t *testing.T) {
	t.Parallel()
	for _, test := range []struct {
		name   string
		cancel time.Duration
		want   error
		took   time.Duration
	}{
		{name: "until there is just enough time to say so", cancel: time.Hour, want: errMemory, took: time.Second - minRemaining},
		{name: "until the caller cancels", cancel: 300 * time.Millisecond, want: context.Canceled, took: 300 * time.Millisecond},
	} {
		for kind, claim := range map[string]func(*ledger, context.Context) error{
			"taking":  func(l *ledger, ctx context.Context) error { return l.take(ctx, 8) },
			"growing": func(l *ledger, ctx context.Context) error { return l.grow(ctx, 0, 8) },
		} {
			t.Run(test.name+", "+kind, func(t *testing.T) {
				t.Parallel()
				synctest.Test(t, func(t *testing.T) {
					l := &ledger{limit: 10}
					if err := l.take(within(t, time.Minute), 5); err != nil {
						t.Fatal(err)
					}
					ctx, cancel := context.WithCancel(within(t, time.Second))
					defer time.AfterFunc(test.cancel, cancel).Stop()
					next := make(chan error, 1)
					began := time.Now()
					go func() { // is behind the one that gives up
						synctest.Wait()
						next <- l.take(within(t, time.Minute), 5)
					}()
					if err := claim(l, ctx); !errors.Is(err, test.want) {
						t.Errorf("got %v, want %v", err, test.want)
					}
					if took := time.Since(began); took != test.took {
						t.Errorf("it took %v, want %v", took, test.took)
					}
					if err := <-next; err != nil {
						t.Errorf("the next: %v, want success", err)
					}
					wantUsed(t, l, 10)
					l.give(10)
					wantUsed(t, l, 0)
				})
			})
		}
	}
}
