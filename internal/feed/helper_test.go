package feed

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"go.uber.org/goleak"

	"samsara.internal/gateway/internal/identity"
	"samsara.internal/gateway/internal/lease"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// longAgo is a silence longer than any test.
const longAgo = 1000 * time.Hour

// errPasses is a failure that a feed outlasts, and errFinal is one that it does not.
var (
	errPasses = errors.New("passes")
	errFinal  = errors.New("final")
)

// fakeFeed is a feed with records 1, 2, 3 and so on, whose cursors are how many come before, and "" at
// the beginning.
type fakeFeed struct {
	mu      sync.Mutex
	records int
	// size is how many records are on a page, bytes how long a page is.
	size, bytes int
	// asks are the requests so far.
	asks []ask
	// before is called with each request, and may wait or fail; nil: it does not.
	before func(ctx context.Context, a ask) error
	// retryAfter and othersAfter are what a failure that passes asks for.
	retryAfter, othersAfter time.Duration
	// own is whether such a failure concerns only the name that was asked in.
	own bool
}

type ask struct {
	cursor string
	as     identity.Identity
	at     time.Time
}

// content is what is on a page: as many records as records says, beginning with from+1.
type content struct {
	from, records int
	as            identity.Identity
}

func (f *fakeFeed) Page(ctx context.Context, cursor string, as identity.Identity, by *lease.Holder) (*Page, error) {
	a := ask{cursor, as, time.Now()}
	f.mu.Lock()
	f.asks = append(f.asks, a)
	before := f.before
	f.mu.Unlock()
	if before != nil {
		if err := before(ctx, a); err != nil {
			return nil, err
		}
	}
	from, err := position(cursor)
	if err != nil {
		return nil, err
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	n := max(0, min(f.size, f.records-from))
	return &Page{
		Cursor: strconv.Itoa(from + n), More: from+n < f.records, Items: int64(n), Bytes: f.bytes,
		Lease: by.Add(int64(f.bytes)), Content: content{from, n, as},
	}, nil
}

func (f *fakeFeed) Outlast(err error) (Failure, bool) {
	return Failure{Message: err.Error(), Own: f.own, RetryAfter: f.retryAfter, OthersAfter: f.othersAfter}, errors.Is(err, errPasses)
}

// position returns how many records come before a cursor. What follows the cursor's first comma means
// nothing.
func position(cursor string) (int, error) {
	before, _, _ := strings.Cut(cursor, ",")
	return strconv.Atoi("0" + before)
}

func (f *fakeFeed) grow(n int) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.records += n
}

func (f *fakeFeed) asked() []ask {
	f.mu.Lock()
	defer f.mu.Unlock()
	return append([]ask(nil), f.asks...)
}

// names returns the names that the requests were made in, from the n-th on.
func (f *fakeFeed) names(n int) string {
	var names []string
	for _, a := range f.asked()[n:] {
		names = append(names, a.as.Caller)
	}
	return strings.Join(names, " ")
}

// bench is a hub with its memory and a feed.
type bench struct {
	*Hub
	t      testing.TB
	memory *lease.Pool
	fake   *fakeFeed

	mu      sync.Mutex
	readers int
}

// serve makes a hub for a feed. When the test ends nothing may be left of either.
func serve(t testing.TB, fake *fakeFeed) *bench {
	t.Helper()
	b := &bench{t: t, memory: lease.NewPool(1 << 30), fake: fake}
	b.Hub = New(Config{
		Memory: b.memory,
		Readers: func(delta int) {
			b.mu.Lock()
			defer b.mu.Unlock()
			b.readers += delta
		},
		Panicked: func(_ context.Context, cause any) error { return fmt.Errorf("panicked: %v", cause) },
	})
	t.Cleanup(func() {
		b.Close()
		if n := b.live(); n != 0 {
			t.Errorf("%d readers are left", n)
		}
		if n := b.memory.Used(); n != 0 {
			t.Errorf("%d bytes are left", n)
		}
	})
	return b
}

// live returns how many readers run.
func (b *bench) live() int {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.readers
}

// guest is a follower that checks what it is given.
type guest struct {
	*Follower
	t testing.TB
	// had is how many records come before the page that it is given next.
	had int
	// leases are the leases of the pages that it has not freed.
	leases []*lease.Lease
	// stop ends listen, if that runs.
	stop func()
}

// join begins to follow the feed at a cursor. also, if it is not nil, changes the request.
func (b *bench) join(caller, cursor string, also func(*Request)) *guest {
	b.t.Helper()
	req := Request{
		Key: Key{Operation: "feed"}, As: identity.Identity{Caller: caller, Batch: true}, Cursor: cursor,
		PollInterval: 5 * time.Second, MaxPages: 1 << 40, Memory: b.memory.Holder(nil), Pages: b.fake,
	}
	if also != nil {
		also(&req)
	}
	had, err := position(cursor)
	if err != nil {
		b.t.Fatal(err)
	}
	g := &guest{Follower: b.Follow(req), t: b.t, had: had}
	b.t.Cleanup(g.leave)
	return g
}

// page receives a page, which must have the records that come next, and keeps it.
func (g *guest) page(ctx context.Context, silence time.Duration) (News, error) {
	news, err := g.Next(ctx, silence)
	if err != nil || news.KeepAlive != nil {
		return news, err
	}
	g.leases = append(g.leases, news.Page.Lease)
	page, ok := news.Page.Content.(content)
	if !ok || page.from != g.had || page.records < 1 {
		g.t.Errorf("follower %s got %+v, want what follows record %d", g.subscription.As.Caller, news.Page.Content, g.had)
	}
	g.had += page.records
	return news, nil
}

// free frees the pages that it keeps.
func (g *guest) free() {
	for _, l := range g.leases {
		l.Release()
	}
	g.leases = nil
}

// read receives records, and frees them, until it has had as many as given.
func (g *guest) read(records int) {
	g.t.Helper()
	for g.had < records {
		if _, err := g.page(context.Background(), longAgo); err != nil {
			g.t.Errorf("follower %s: %v", g.subscription.As.Caller, err)
			return
		}
		g.free()
	}
}

// listen makes it read on a goroutine of its own until it leaves.
func (g *guest) listen() {
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan struct{})
	go func() {
		defer close(done)
		for ctx.Err() == nil {
			if _, err := g.page(ctx, longAgo); err != nil {
				return
			}
			g.free()
		}
	}()
	g.stop = func() {
		cancel()
		<-done
	}
}

// leave ends it.
func (g *guest) leave() {
	if g.stop != nil {
		g.stop()
	}
	g.Leave()
	g.free()
}
