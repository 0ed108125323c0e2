package upstream

import (
	"math/rand/v2"
	"strconv"
	"testing"
	"testing/synctest"
	"time"
)

// takeAll takes retries, n at most, and returns how many there were.
func takeAll(b *retryBudget, n int) (taken int) {
	for range n {
		if _, ok := b.take(); ok {
			taken++
		}
	}
	return taken
}

func countRequests(b *retryBudget, n int) {
	for range n {
		b.countRequest()
	}
}

func TestRetryBudget_floorAndOneForTenRequests(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		b := newRetryBudget(4) // by the first of the requests
		for _, step := range []struct {
			name           string
			requests, want int
			after          time.Duration
		}{
			{name: "few requests have the floor", requests: 5 - 1, want: 4},
			{name: "which is used up", requests: 4, want: 0},
			{name: "ten requests in the window allow one more", requests: 1, want: 1},
			{name: "successes count as requests", requests: 120, want: 12},
			{name: "the window has not passed", after: 9 * time.Second, requests: 1, want: 0},
			{name: "it has, and its requests are forgotten as well", after: 2 * time.Second, requests: 8, want: 4},
		} {
			<-time.After(step.after)
			countRequests(b, step.requests)
			if got := takeAll(b, 100); got != step.want {
				t.Errorf("%s: %d retries, want %d", step.name, got, step.want)
			}
		}
	})
}

// TestRetryBudget_everyTenSeconds has two bursts of retries less than ten seconds apart.
func TestRetryBudget_everyTenSeconds(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		b := newRetryBudget(4)
		<-time.After(900 * time.Millisecond)
		got := takeAll(b, 4)
		<-time.After(9200 * time.Millisecond)
		if got += takeAll(b, 4); got != 4 {
			t.Errorf("%d retries in 9.2s, want 4", got)
		}
	})
}

func TestRetryBudget_saysWhenThereIsOne(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		b := newRetryBudget(4)
		<-time.After(300 * time.Millisecond)
		takeAll(b, 1)
		<-time.After(3 * time.Second)
		takeAll(b, 3)
		<-time.After(2 * time.Second)
		wait, ok := b.take()
		if want := 5700 * time.Millisecond; ok || wait != want {
			t.Fatalf("take = %v, %t, want %v, false", wait, ok, want)
		}
		<-time.After(wait - time.Nanosecond)
		if wait, ok := b.take(); ok || wait != time.Nanosecond {
			t.Errorf("take = %v, %t, want 1ns, false", wait, ok)
		}
		<-time.After(time.Nanosecond)
		if got := takeAll(b, 2); got != 1 {
			t.Errorf("%d retries, want 1", got)
		}
		<-time.After(time.Hour)
		if got := takeAll(b, 9); got != 4 {
			t.Errorf("%d retries after an hour, want 4", got)
		}
	})
}

// TestRetryBudget_requestsBeforeTheFirstRetry has an hour of requests that went well: they are no credit.
func TestRetryBudget_requestsBeforeTheFirstRetry(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		b := newHostRetryBudget(10)
		for range 3600 {
			countRequests(b, 100)
			<-time.After(time.Second)
		}
		if got := takeAll(b, 1000); got != 100 {
			t.Errorf("%d retries, want the floor of 100", got)
		}
		countRequests(b, 100)
		if got := takeAll(b, 1000); got != 10 {
			t.Errorf("%d retries for 100 requests more, want 10", got)
		}
	})
}

// TestRetryBudget_bound looks at the ten seconds before each retry of a random run: there are no more than
// the floor and a tenth of the requests, and not much less.
func TestRetryBudget_bound(t *testing.T) {
	t.Parallel()
	for seed := range uint64(4) {
		t.Run(strconv.FormatUint(seed, 10), func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				random := rand.New(rand.NewPCG(seed, 7))
				b := newRetryBudget(4)
				requests, retries := []time.Time{time.Now()}, []time.Time(nil)
				for range 3000 {
					<-time.After(time.Duration(random.ExpFloat64() * float64(30*time.Millisecond)))
					now := time.Now()
					within := func(all []time.Time) (n int) {
						for i := len(all) - 1; i >= 0 && now.Sub(all[i]) < 10*time.Second; i-- {
							n++
						}
						return n
					}
					if random.IntN(3) > 0 {
						b.countRequest()
						requests = append(requests, now)
					}
					before := within(retries)
					wait, ok := b.take()
					if most := 4 + within(requests)/10; ok && before >= most {
						t.Fatalf("retry %d of ten seconds, want at most %d", before+1, most)
					}
					if !ok && (wait <= 0 || wait > 11*time.Second) {
						t.Fatalf("wait = %v, want up to 11s", wait)
					}
					if ok {
						retries = append(retries, now)
					}
				}
				// At worst 9 of 10 seconds of requests allow 11 seconds of retries.
				if got, least := len(retries), len(requests)/10*9/11; got < least {
					t.Errorf("%d retries of %d requests, want at least %d", got, len(requests), least)
				}
			})
		})
	}
}

// TestRetryBudget_outage has many scopes whose requests all fail and are repeated as often as they may be.
func TestRetryBudget_outage(t *testing.T) {
	t.Parallel()
	for _, scopes := range []int{1, 10, 500, 3000} {
		t.Run(strconv.Itoa(scopes), func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				m := newMiddle(nil)
				m.records.policy.FailureRatio, m.host.policy.FailureRatio = 2, 2 // circuits do not help
				requests, retries := 0, 0
				for n := range 10 * 300 {
					s := scope{caller: strconv.Itoa(n % scopes)}
					m.try(s, answering(503))
					requests++
					for range 3 {
						if refused := m.takeRetry(requestOf(s)); refused == nil {
							retries++
						} else if refused.wait <= 0 || refused.wait > 11*time.Second {
							t.Fatalf("the wait is %v, want up to 11s", refused.wait)
						}
					}
					<-time.After(time.Second / 300)
				}
				t.Logf("%d requests, %d retries", requests, retries)
				if most := requests/10 + 100; retries > most {
					t.Errorf("%d retries of %d requests, want at most %d", retries, requests, most)
				}
				if scopes == 1 && retries > requests/10+10 {
					t.Errorf("%d retries of one scope, want at most %d", retries, requests/10+10)
				}
			})
		})
	}
}

// TestRetryBudget_badCaller has one whose requests all fail, 50 a second, and another that needs a retry now
// and then.
func TestRetryBudget_badCaller(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		m := newMiddle(nil)
		bad, good := scope{operation: "1", caller: "bad"}, scope{operation: "1", caller: "good"}
		for n := range 60 * 50 {
			<-time.After(20 * time.Millisecond)
			m.try(bad, answering(500))
			for range 3 {
				m.takeRetry(requestOf(bad))
			}
			if n%100 == 99 { // each two seconds
				m.try(good, answering(503))
				if m.takeRetry(requestOf(good)) != nil {
					t.Errorf("retry %d of the good caller is refused", n/100)
				}
			}
		}
	})
}
