package feed

import (
	"context"
	"fmt"
	"sync"
	"testing"

	"samsara.internal/gateway/internal/lease"
)

// BenchmarkFollower_Next delivers pages to many followers of one feed; an operation is one page to one
// follower. The followers are quick if they free each page at once, and slow if they keep each until all of
// them have the next one: then nobody has room while the pages are delivered.
func BenchmarkFollower_Next(b *testing.B) {
	for _, followers := range []int{1, 100, 2000, 10_000} {
		b.Run(fmt.Sprintf("quick/%d", followers), func(b *testing.B) { deliver(b, followers, false) })
		b.Run(fmt.Sprintf("slow/%d", followers), func(b *testing.B) { deliver(b, followers, true) })
	}
}

func deliver(b *testing.B, followers int, slow bool) {
	b.Helper()
	b.ReportAllocs()
	pages := make(chan struct{})
	fake := &fakeFeed{records: 1 << 40, size: 1, bytes: 2 << 10}
	fake.before = func(ctx context.Context, _ ask) error {
		select {
		case <-pages:
			return nil
		case <-ctx.Done():
			return ctx.Err()
		}
	}
	h := serve(b, fake)
	var reading, had, freed sync.WaitGroup
	ctx, cancel := context.WithCancel(b.Context())
	free := make(chan struct{}, followers)
	for range followers {
		g := h.join("a", "", nil)
		reading.Go(func() {
			var older *lease.Lease
			defer func() { older.Release() }()
			for {
				news, err := g.Next(ctx, longAgo)
				if err != nil {
					return
				}
				if slow {
					older, news.Page.Lease = news.Page.Lease, older
				} else {
					news.Page.Lease.Release()
				}
				had.Done()
				if slow {
					<-free
					news.Page.Lease.Release()
					freed.Done()
				}
			}
		})
	}
	b.ResetTimer()
	for n := 0; n < b.N; n += followers {
		had.Add(followers)
		pages <- struct{}{}
		had.Wait()
		if slow {
			freed.Add(followers)
			for range followers {
				free <- struct{}{}
			}
			freed.Wait()
		}
	}
	b.StopTimer()
	cancel()
	reading.Wait()
}
