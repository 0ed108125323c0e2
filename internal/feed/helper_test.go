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

// longAgo is a silence that no test lasts.
const longAgo = 1000 * time.Hour

// errPasses is a failure that a feed outlasts, errFinal one that it does not.
var (
	errPasses = errors.New("passes")
	errFinal  = errors.New("final")
)

// ledger is a Source with records 1, 2, 3 and so on, whose cursors are how many come before, and "" at
// the beginning.
type ledger struct {
	mu      sync.Mutex
	records int
	// size is how many records are on a page, bytes how long a page is.
	size, bytes int
	// asks are the requests so far.
	asks []ask
	// before is called with each request, and may wait or fail; nil: it does not.
	before func(ctx context.Context, a ask) error
	// retryAfter and othersAfter are what failures that pass ask for.
	retryAfter, othersAfter time.Duration
	// own is whether they are the name's own that was asked in.
	own bool
}

type ask struct {
	cursor string
	as     identity.Identity
	at     time.Time
}

// content is what is on a page: so many records, the first of which is from+1.
type content struct {
	from, records int
	as            identity.Identity
}

func (l *ledger) Page(ctx context.Context, cursor string, as identity.Identity, by *lease.Holder) (*Page, error) {
	a := ask{cursor, as, time.Now()}
	l.mu.Lock()
	l.asks = append(l.asks, a)
	before := l.before
	l.mu.Unlock()
	if before != nil {
		if err := before(ctx, a); err != nil {
			return nil, err
		}
	}
	from, err := position(cursor)
	if err != nil {
		return nil, err
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	n := max(0, min(l.size, l.records-from))
	return &Page{
		Cursor: strconv.Itoa(from + n), More: from+n < l.records, Items: int64(n), Bytes: l.bytes,
		Lease: by.Add(int64(l.bytes)), Content: content{from, n, as},
	}, nil
}

func (l *ledger) Outlast(err error) (Failure, bool) {
	return Failure{Message: err.Error(), Own: l.own, RetryAfter: l.retryAfter, OthersAfter: l.othersAfter}, errors.Is(err, errPasses)
}

// position is how many records come before a cursor. What follows its first comma means nothing.
func position(cursor string) (int, error) {
	before, _, _ := strings.Cut(cursor, ",")
	return strconv.Atoi("0" + before)
}

func (l *ledger) grow(n int) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.records += n
}

func (l *ledger) asked() []ask {
	l.mu.Lock()
	defer l.mu.Unlock()
	return append([]ask(nil), l.asks...)
}

// names are in whose name was asked, from the n-th request on.
func (l *ledger) names(n int) string {
	var names []string
	for _, a := range l.asked()[n:] {
		names = append(names, a.as.Caller)
	}
	return strings.Join(names, " ")
}

// bench is a hub with memory, and those that follow it.
type bench struct {
	*Hub
	t      testing.TB
	memory *lease.Pool
	source *ledger

	mu      sync.Mutex
	readers int
}

// serve makes a hub for a source. When the test ends nothing may be left of either.
func serve(t testing.TB, source *ledger) *bench {
	t.Helper()
	b := &bench{t: t, memory: lease.NewPool(1 << 30), source: source}
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
	// had is how many records come before what it is given next.
	had int
	// leases are of the pages that it has not freed.
	leases []*lease.Lease
	// stop ends its reading on its own, if it does.
	stop func()
}

// join begins to follow the source at a cursor. What else there is to say can be said of the request.
func (b *bench) join(caller, cursor string, also func(*Request)) *guest {
	b.t.Helper()
	req := Request{
		Key: Key{Operation: "feed"}, As: identity.Identity{Caller: caller, Batch: true}, Cursor: cursor,
		PollInterval: 5 * time.Second, MaxPages: 1 << 40, Memory: b.memory.Holder(nil), Source: b.source,
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
		g.t.Errorf("follower %s got %+v, want what follows record %d", g.place.As.Caller, news.Page.Content, g.had)
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

// read receives records, and frees them, until it has had so many.
func (g *guest) read(records int) {
	g.t.Helper()
	for g.had < records {
		if _, err := g.page(context.Background(), longAgo); err != nil {
			g.t.Errorf("follower %s: %v", g.place.As.Caller, err)
			return
		}
		g.free()
	}
}

// listen has it read on its own until it leaves.
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
