package quota_test

import (
	"context"
	"errors"
	"slices"
	"sync"
	"testing"
	"time"

	"go.uber.org/goleak"

	"samsara.internal/gateway/internal/identity"
	"samsara.internal/gateway/internal/quota"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// exact returns the default limits without a margin, so that the sums in tests are simple.
func exact() quota.Config {
	cfg := quota.Defaults()
	cfg.Margin = 0
	return cfg
}

func newLimiter(t testing.TB, cfg quota.Config) *quota.Limiter {
	t.Helper()
	l, err := quota.New(cfg)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := l.Close(); err != nil {
			t.Errorf("closing the limiter: %v", err)
		}
	})
	return l
}

func operation(t testing.TB, l *quota.Limiter, name string, requests int, window time.Duration) *quota.Operation {
	t.Helper()
	o, err := l.Operation(name, quota.Limit{Requests: requests, Window: window})
	if err != nil {
		t.Fatal(err)
	}
	return o
}

// crowd runs callers and keeps the outcomes of their attempts.
type crowd struct {
	sync.WaitGroup
	mu       sync.Mutex
	admitted map[string][]time.Time
	waits    map[string][]time.Duration
	refused  map[string][]error
}

func newCrowd() *crowd {
	return &crowd{admitted: map[string][]time.Time{}, waits: map[string][]time.Duration{}, refused: map[string][]error{}}
}

// admit makes one attempt and keeps the outcome under a name.
func (c *crowd) admit(ctx context.Context, name string, o *quota.Operation, r identity.Identity) error {
	begin := time.Now()
	_, err := o.Admit(ctx, r)
	c.mu.Lock()
	defer c.mu.Unlock()
	if err != nil {
		c.refused[name] = append(c.refused[name], err)
		return err
	}
	c.admitted[name] = append(c.admitted[name], time.Now())
	c.waits[name] = append(c.waits[name], time.Since(begin))
	return nil
}

// once makes an attempt in the background.
func (c *crowd) once(ctx context.Context, name string, o *quota.Operation, r identity.Identity) {
	c.Go(func() { _ = c.admit(ctx, name, o, r) })
}

// keep keeps making attempts, each a moment after the last was admitted, until ctx ends.
func (c *crowd) keep(ctx context.Context, name string, o *quota.Operation, r identity.Identity) {
	c.Go(func() {
		for ctx.Err() == nil {
			if err := c.admit(ctx, name, o, r); err != nil {
				var refused *quota.RefusedError
				if !errors.As(err, &refused) {
					return
				}
			}
			pause(ctx, 20*time.Millisecond) // what the upstream takes
		}
	})
}

func pause(ctx context.Context, d time.Duration) {
	select {
	case <-ctx.Done():
	case <-time.After(d):
	}
}

// all returns the times of all admissions, in order.
func (c *crowd) all() []time.Time {
	c.mu.Lock()
	defer c.mu.Unlock()
	var all []time.Time
	for _, times := range c.admitted {
		all = append(all, times...)
	}
	slices.SortFunc(all, time.Time.Compare)
	return all
}

// most returns the largest number of times in any half-open interval of a length.
func most(times []time.Time, window time.Duration) int {
	most, first := 0, 0
	for i, t := range times {
		for t.Sub(times[first]) >= window {
			first++
		}
		most = max(most, i-first+1)
	}
	return most
}

func percentile(waits []time.Duration, p float64) time.Duration {
	if len(waits) == 0 {
		return 0
	}
	sorted := slices.Sorted(slices.Values(waits))
	return sorted[int(p*float64(len(sorted)-1))]
}
