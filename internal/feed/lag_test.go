package feed

import (
	"context"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"
)

// TestLags_growWhileTheFeedFails has a feed that is caught up, fails for a while, and is caught up again.
func TestLags_growWhileTheFeedFails(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		fake := &fakeFeed{records: 4, size: 10}
		b := serve(t, fake)
		g := b.join("a", "", func(r *Request) { r.Key = Key{Tenant: "north", Operation: "/s/FollowM", Path: "/p"} })
		g.read(4)
		pass(time.Minute)
		lags := b.Lags()
		if len(lags) != 1 || lags[0].Tenant != "north" || lags[0].Operation != "/s/FollowM" || lags[0].Readers != 1 || lags[0].Followers != 1 {
			t.Fatalf("got %+v, want one reader with one follower", lags)
		}
		if behind := lags[0].Behind; behind > 10*time.Second {
			t.Errorf("a feed that is caught up is %v behind", behind)
		}
		var failing atomic.Bool
		fake.mu.Lock()
		fake.before = func(context.Context, ask) error {
			if failing.Load() {
				return errPasses
			}
			return nil
		}
		fake.mu.Unlock()
		failing.Store(true)
		pass(10 * time.Minute)
		if behind := b.Lags()[0].Behind; behind < 10*time.Minute || behind > 11*time.Minute {
			t.Errorf("a feed that has failed for 10 minutes is %v behind", behind)
		}
		failing.Store(false)
		pass(2 * time.Minute)
		if behind := b.Lags()[0].Behind; behind > 10*time.Second {
			t.Errorf("a feed that is caught up again is %v behind", behind)
		}
		g.leave()
		if lags := b.Lags(); len(lags) != 0 {
			t.Errorf("nobody follows, and there is %+v", lags)
		}
	})
}
