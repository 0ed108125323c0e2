package quota_test

import (
	"context"
	"errors"
	"testing"
	"testing/synctest"
	"time"

	"samsara.internal/gateway/internal/identity"
	"samsara.internal/gateway/internal/quota"
)

func TestNextAdmission_isWhenAdmitLetsThrough(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		o := operation(t, newLimiter(t, exact()), "list", 2, 10*time.Second)
		me := identity.Identity{Caller: "me"}
		want := func(wait, paused time.Duration) {
			t.Helper()
			gotWait, gotPaused, err := o.NextAdmission(me, 0)
			if gotWait != wait || gotPaused != paused || err != nil {
				t.Errorf("NextAdmission = %v, %v, %v, want %v, %v", gotWait, gotPaused, err, wait, paused)
			}
		}
		want(0, 0)
		admitted(t, o, 2)
		want(10*time.Second, 0)
		<-time.After(4 * time.Second)
		want(6*time.Second, 0)
		o.Pause(t.Context(), time.Now().Add(8*time.Second))
		want(8*time.Second, 8*time.Second)
		began := time.Now()
		if _, err := o.Admit(t.Context(), me); err != nil {
			t.Fatal(err)
		}
		if took := time.Since(began); took != 8*time.Second {
			t.Errorf("admitted after %v, want 8s", took)
		}
	})
}

// TestNextAdmission_tooLong has attempts whose wait is too long unless they come later.
func TestNextAdmission_tooLong(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		o := operation(t, newLimiter(t, exact()), "list", 1, time.Minute)
		admitted(t, o, 1)
		for after, tooLong := range map[time.Duration]bool{0: true, 49 * time.Second: true, 50 * time.Second: false, time.Hour: false} {
			wait, _, err := o.NextAdmission(identity.Identity{}, after)
			var refused *quota.RefusedError
			if wait != time.Minute || errors.As(err, &refused) != tooLong {
				t.Errorf("after %v NextAdmission = %v, %v, want 1m, too long: %t", after, wait, err, tooLong)
			}
		}
		o.Pause(t.Context(), time.Now().Add(time.Hour))
		if wait, paused, err := o.NextAdmission(identity.Identity{}, 0); wait != time.Hour || paused != time.Hour || err != nil {
			t.Errorf("NextAdmission = %v, %v, %v, want 1h, 1h", wait, paused, err)
		}
	})
}

func TestRefusedError_saysThatABudgetIsPaused(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		o := operation(t, newLimiter(t, exact()), "list", 1, 5*time.Second)
		hurried := func() *quota.RefusedError {
			t.Helper()
			ctx, cancel := context.WithTimeout(t.Context(), time.Second)
			defer cancel()
			_, err := o.Admit(ctx, identity.Identity{})
			var refused *quota.RefusedError
			if !errors.As(err, &refused) {
				t.Fatalf("Admit = %v, want a refusal", err)
			}
			return refused
		}
		admitted(t, o, 1)
		if refused := hurried(); refused.Paused {
			t.Errorf("%v is by a pause, want it not to be", refused)
		}
		waits := make(chan error)
		go func() {
			_, err := o.Admit(t.Context(), identity.Identity{})
			waits <- err
		}()
		synctest.Wait()
		o.Pause(t.Context(), time.Now().Add(time.Minute))
		var refused *quota.RefusedError
		if err := <-waits; !errors.As(err, &refused) || !refused.Paused {
			t.Errorf("who waited was told %v, want a pause", err)
		}
		if refused := hurried(); !refused.Paused || refused.Wait != time.Minute {
			t.Errorf("%v is not by the pause of 1m", refused)
		}
	})
}

// TestRefusedError_isOfTheWindowBehindAShortPause has a pause that ends long before the window does.
func TestRefusedError_isOfTheWindowBehindAShortPause(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		o := operation(t, newLimiter(t, exact()), "list", 2, time.Minute)
		admitted(t, o, 2)
		o.Pause(t.Context(), time.Now().Add(time.Second/2))
		_, err := o.Admit(t.Context(), identity.Identity{})
		var refused *quota.RefusedError
		if !errors.As(err, &refused) || refused.Paused || refused.Wait < 59*time.Second {
			t.Errorf("Admit = %v, want a refusal by the window of a minute", err)
		}
	})
}

// TestPermit_countsWithoutRoom has two attempts that lost their slots and are written all the same.
func TestPermit_countsWithoutRoom(t *testing.T) {
	t.Parallel()
	for name, config := range everywhere() {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				l := newLimiter(t, config())
				o := operation(t, l, "list", 2, 5*time.Second)
				late := admitted(t, o, 2)
				<-time.After(6 * time.Second)
				admitted(t, o, 2)
				hurried, cancel := context.WithTimeout(t.Context(), time.Second)
				defer cancel()
				for _, p := range late {
					if err := p.Renew(hurried); err == nil {
						t.Error("there was room")
					}
					p.Count()
				}
				if got := l.Snapshot().Budgets[2].Used; got != 4 {
					t.Errorf("%d are counted, want 4", got)
				}
				began := time.Now()
				admitted(t, o, 1)
				if took := time.Since(began); took < 5*time.Second {
					t.Errorf("the next was admitted after %v, want 5s", took)
				}
				<-time.After(6 * time.Second)
				if got := l.Snapshot().Budgets[2].Used; got != 0 {
					t.Errorf("%d are counted, want none", got)
				}
			})
		})
	}
}
