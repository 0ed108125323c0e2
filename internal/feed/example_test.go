package feed_test

import (
	"context"
	"fmt"
	"time"

	"samsara.internal/gateway/internal/feed"
	"samsara.internal/gateway/internal/identity"
	"samsara.internal/gateway/internal/lease"
)

// positions is Pages whose first page comes when open is closed. The page says that no other follows.
type positions struct{ open chan struct{} }

func (p positions) Page(ctx context.Context, cursor string, as identity.Identity, by *lease.Holder) (*feed.Page, error) {
	select {
	case <-p.open:
	case <-ctx.Done():
		return nil, ctx.Err()
	}
	fmt.Printf("asked for what follows %q in the name of %s\n", cursor, as.Caller)
	content := "truck 1 is in Oslo"
	return &feed.Page{Cursor: "c1", Items: 1, Bytes: len(content), Lease: by.Add(int64(len(content))), Content: content}, nil
}

// Outlast lets every error end the feed.
func (positions) Outlast(error) (feed.Failure, bool) { return feed.Failure{}, false }

// Two followers of one feed get the page that was asked for once.
func ExampleHub() {
	ctx := context.Background()
	memory := lease.NewPool(1 << 20)
	hub := feed.New(feed.Config{
		Memory:   memory,
		Readers:  func(int) {},
		Panicked: func(_ context.Context, cause any) error { return fmt.Errorf("panicked: %v", cause) },
	})
	defer hub.Close()

	pages := positions{make(chan struct{})}
	var followers []*feed.Follower
	for _, caller := range []string{"dispatch", "map"} {
		f := hub.Follow(feed.Request{
			Key: feed.Key{Operation: "positions"}, As: identity.Identity{Caller: caller},
			PollInterval: time.Hour, MaxPages: 10, Memory: memory.Holder(nil), Pages: pages,
		})
		defer f.Leave()
		followers = append(followers, f)
	}
	for _, f := range followers {
		news, err := f.Next(ctx, 0) // It does not wait for a page.
		fmt.Println("nothing yet:", news.KeepAlive != nil, err)
	}
	close(pages.open)
	for _, f := range followers {
		news, err := f.Next(ctx, time.Minute)
		if err != nil {
			fmt.Println(err)
			return
		}
		fmt.Println(news.Page.Content, news.Page.Cursor)
		news.Page.Lease.Release()
	}
	// Output:
	// nothing yet: true <nil>
	// nothing yet: true <nil>
	// asked for what follows "" in the name of dispatch
	// truck 1 is in Oslo c1
	// truck 1 is in Oslo c1
}
