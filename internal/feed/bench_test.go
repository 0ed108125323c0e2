package feed

import (
	"context"
	"fmt"
	"sync"
	"testing"
)

// BenchmarkFollower_Next delivers pages to many followers of one feed; an operation is one page to one
// follower.
func BenchmarkFollower_Next(b *testing.B) {
	for _, followers := range []int{1, 100, 2000} {
		b.Run(fmt.Sprint(followers), func(b *testing.B) {
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
			var reading, had sync.WaitGroup
			ctx, cancel := context.WithCancel(b.Context())
			for range followers {
				g := h.join("a", "", nil)
				reading.Go(func() {
					for {
						news, err := g.Next(ctx, longAgo)
						if err != nil {
							return
						}
						news.Page.Lease.Release()
						had.Done()
					}
				})
			}
			b.ResetTimer()
			for n := 0; n < b.N; n += followers {
				had.Add(followers)
				pages <- struct{}{}
				had.Wait()
			}
			b.StopTimer()
			cancel()
			reading.Wait()
		})
	}
}
