package feed

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"strconv"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"samsara.internal/gateway/internal/identity"
	"samsara.internal/gateway/internal/lease"
)

// maxSteps bounds a script.
const maxSteps = 120

// FuzzHub makes followers come, read, stall, leave and come back as a script says, while the feed grows,
// fails, answers late and names other cursors. Every follower must get exactly the records after its cursor,
// in order, once. A follower that is alone must get only what was asked for in its name, and nobody else may
// get that. After each step the hub must be in order.
func FuzzHub(f *testing.F) {
	for seed := range 40 {
		random := rand.New(rand.NewPCG(12, uint64(seed)))
		script := make([]byte, 2*maxSteps)
		for i := range script {
			script[i] = byte(random.Uint32())
		}
		f.Add(script)
	}
	f.Fuzz(func(t *testing.T, script []byte) {
		synctest.Test(t, func(t *testing.T) { runScript(t, script) })
	})
}

func runScript(t *testing.T, script []byte) {
	t.Helper()
	m := newModel(t)
	for i := 0; i+1 < len(script) && i < 2*maxSteps; i += 2 {
		m.step(script[i], int(script[i+1]))
		synctest.Wait()
		m.inOrder()
		if t.Failed() {
			t.Fatalf("after step %d", i/2)
		}
	}
	m.settle()
}

// model is a hub, its feed, and the followers that are there.
type model struct {
	*bench
	t      *testing.T
	guests []*guest
	// names are the names of all followers that may have been there when the last request was made.
	names map[string]bool
	// number makes the names of followers. The name of a follower that is alone begins with "alone".
	number int
	// fails is how often the feed fails next, with failure, takes how long it takes, and moves
	// whether its cursors change with every answer.
	fails   int
	failure error
	takes   time.Duration
	moves   bool
	answers int
}

func newModel(t *testing.T) *model {
	t.Helper()
	fake := &fakeFeed{size: 3, bytes: 1000}
	m := &model{bench: serve(t, fake), t: t, names: map[string]bool{}}
	fake.before = func(ctx context.Context, a ask) error {
		m.mu.Lock()
		takes, failure, known := m.takes, error(nil), m.names[a.as.Caller]
		if m.fails > 0 {
			m.fails--
			failure = m.failure
		}
		m.mu.Unlock()
		if !known {
			t.Errorf("the feed was asked in the name of %q, who is not there", a.as.Caller)
		}
		select {
		case <-time.After(takes):
			return failure
		case <-ctx.Done():
			return ctx.Err()
		}
	}
	return m
}

// Page implements Pages, with cursors that may mean the same as others.
func (m *model) Page(ctx context.Context, cursor string, as identity.Identity, by *lease.Holder) (*Page, error) {
	p, err := m.fake.Page(ctx, cursor, as, by)
	if err != nil {
		return nil, err
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.answers++; m.moves {
		p.Cursor += "," + strconv.Itoa(m.answers)
	}
	return p, nil
}

// Outlast implements Pages.
func (m *model) Outlast(err error) (Failure, bool) { return m.fake.Outlast(err) }

// step makes the step that an operation and its argument say.
func (m *model) step(operation byte, n int) {
	switch operation % 12 {
	case 0, 1:
		m.come(n)
	case 2:
		if g := m.pick(n); g != nil {
			m.farewell(g)
		}
	case 3, 4, 5:
		if g := m.pick(n); g != nil && len(g.leases) < heldPages {
			m.receive(g, time.Duration(n)*20*time.Millisecond)
		}
	case 6:
		if g := m.pick(n); g != nil {
			g.free()
		}
	case 7:
		m.fake.grow(n % 20)
	case 8:
		pass(time.Duration(n) * 50 * time.Millisecond)
	case 9:
		m.set(func() { m.fails, m.failure = n%5, errPasses })
	case 10:
		m.set(func() { m.fails, m.failure = n%2, errFinal })
	default:
		m.set(func() { m.takes, m.moves = time.Duration(n%4)*700*time.Millisecond, n%8 > 3 })
		m.fake.mu.Lock()
		m.fake.size, m.fake.bytes = 1+n%5, 1+(n%3)*maxKeptBytes/5
		m.fake.mu.Unlock()
	}
}

func (m *model) set(to func()) {
	m.mu.Lock()
	defer m.mu.Unlock()
	to()
}

// pick returns one of the followers that are there, nil if there is none.
func (m *model) pick(n int) *guest {
	if len(m.guests) == 0 {
		return nil
	}
	return m.guests[n%len(m.guests)]
}

// come adds a follower, somewhere in the feed or at the cursor of another.
func (m *model) come(n int) {
	cursor := strconv.Itoa(n % (1 + m.fake.records))
	if other := m.pick(n); other != nil && n%3 > 0 {
		m.Hub.mu.Lock()
		cursor = other.subscription.cursor
		m.Hub.mu.Unlock()
	}
	name := strconv.Itoa(m.number)
	if n%7 == 0 {
		name = "alone" + name
	}
	m.number++
	m.set(func() { m.names[name] = true })
	m.guests = append(m.guests, m.join(name, cursor, func(r *Request) {
		r.Alone = n%7 == 0
		r.As.Batch = n%2 == 0
		r.PollInterval += time.Duration(n%4) * time.Second
		r.Pages = m
		r.Key.Query = strconv.Itoa(n % 2)
	}))
}

// farewell makes a follower leave.
func (m *model) farewell(g *guest) {
	g.leave()
	m.set(func() { delete(m.names, g.subscription.As.Caller) })
	for i, other := range m.guests {
		if other == g {
			m.guests = append(m.guests[:i], m.guests[i+1:]...)
			return
		}
	}
}

// receive waits for a page for at most the given time. It reports whether the follower is still there.
func (m *model) receive(g *guest, patience time.Duration) bool {
	m.t.Helper()
	news, err := g.page(m.t.Context(), patience)
	switch {
	case errors.Is(err, errFinal):
		m.farewell(g)
		return false
	case err != nil:
		m.t.Errorf("follower %s: %v", g.subscription.As.Caller, err)
	case news.KeepAlive != nil:
		if had, err := position(news.KeepAlive.Cursor); err != nil || had != g.had {
			m.t.Errorf("follower %s is told that it is at %q, has %d", g.subscription.As.Caller, news.KeepAlive.Cursor, g.had)
		}
	default:
		page, _ := news.Page.Content.(content)
		if name := page.as.Caller; (g.subscription.Alone || strings.HasPrefix(name, "alone")) && name != g.subscription.As.Caller {
			m.t.Errorf("follower %s got what was asked for in the name of %s", g.subscription.As.Caller, name)
		}
	}
	return true
}

// settle makes every follower read what there is, and leave.
func (m *model) settle() {
	m.set(func() { m.fails, m.takes = 0, 0 })
	deadline := time.Now().Add(time.Hour)
	for len(m.guests) > 0 {
		g := m.guests[0]
		there := true
		for there && g.had < m.fake.records && time.Now().Before(deadline) {
			g.free()
			there = m.receive(g, time.Minute)
			m.inOrder()
		}
		if !there { // A failure had been under way.
			continue
		}
		if g.had != m.fake.records {
			m.t.Errorf("follower %s has %d of %d records an hour later", g.subscription.As.Caller, g.had, m.fake.records)
		}
		m.farewell(g)
	}
	synctest.Wait()
	if n := m.live(); n != 0 || m.memory.Used() != 0 {
		m.t.Errorf("%d readers and %d bytes are left when everybody has gone", n, m.memory.Used())
	}
}

// inOrder checks the invariants in the comment of Hub.
func (m *model) inOrder() {
	m.t.Helper()
	h := m.Hub
	h.mu.Lock()
	defer h.mu.Unlock()
	listed := make(map[*reader]bool)
	for key, readers := range h.readers {
		if len(readers) == 0 {
			m.t.Errorf("key %v has an empty list", key)
		}
		for _, r := range readers {
			listed[r] = true
			if r.ended || r.key != key || len(r.followers) == 0 {
				m.t.Errorf("reader %v with %d followers is in the list of %v, ended: %t", r.key, len(r.followers), key, r.ended)
			}
			m.readerInOrderLocked(r)
		}
	}
	for _, g := range m.guests {
		s := &g.subscription
		if s.held != len(g.leases) || s.held > heldPages {
			m.t.Errorf("follower %s holds %d pages, counted are %d", s.As.Caller, len(g.leases), s.held)
		}
		r := s.reader
		if r == nil {
			continue
		}
		if _, ok := r.followers[s]; !ok || !r.ended && !listed[r] {
			m.t.Errorf("follower %s is not one of its reader", s.As.Caller)
		}
		if s.next < r.kept.first || s.next > r.kept.nextLocked() {
			m.t.Errorf("follower %s is at page %d, kept are %d to %d", s.As.Caller, s.next, r.kept.first, r.kept.nextLocked())
		}
	}
}

func (m *model) readerInOrderLocked(r *reader) {
	m.t.Helper()
	bookedLocked(m.t, r)
	bytes := 0
	for i, k := range r.kept.pages {
		bytes += k.Bytes
		waiting := 0
		for s := range r.followers {
			if s.next <= r.kept.first+int64(i) {
				waiting++
			}
		}
		if k.waiting != waiting {
			m.t.Errorf("page %d has %d waiting for it, counted are %d", i, waiting, k.waiting)
		}
	}
	if bytes != r.kept.bytes {
		m.t.Errorf("%d bytes are kept, counted are %d", bytes, r.kept.bytes)
	}
	if n := len(r.kept.pages); n > maxKeptPages || n > 1 && bytes > maxKeptBytes {
		m.t.Errorf("%d pages with %d bytes are kept", n, bytes)
	}
}

// TestHub_crowd makes many goroutines follow at one time, each as slowly as it likes, leave and come back,
// while the feed grows and fails.
func TestHub_crowd(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		const clients, records = 50, 300
		m := newModel(t)
		m.fails, m.failure = 1<<30, errPasses
		before := m.fake.before
		m.fake.before = func(ctx context.Context, a ask) error {
			fails := rand.IntN(7) == 0
			m.set(func() { m.fails = 0 })
			if fails {
				m.set(func() { m.fails = 1 })
			}
			return before(ctx, a)
		}
		done := make(chan struct{})
		for client := range clients {
			go func() {
				defer func() { done <- struct{}{} }()
				random := rand.New(rand.NewPCG(1, uint64(client)))
				cursor := ""
				for had := 0; had < records; {
					name := fmt.Sprintf("%d at %d", client, had)
					m.set(func() { m.names[name] = true })
					g := m.join(name, cursor, func(r *Request) {
						r.As.Batch, r.Alone, r.Pages = client%3 > 0, client%10 == 9, m
					})
					g.had = had
					for left := random.IntN(40); left >= 0 && g.had < records; left-- {
						if random.IntN(3) > 0 || len(g.leases) == heldPages {
							g.free()
						}
						news, err := g.page(t.Context(), time.Minute)
						if err != nil {
							t.Error(err)
							break
						}
						if news.KeepAlive == nil {
							cursor = news.Page.Cursor
						}
						pass(time.Duration(random.IntN(3000)) * time.Millisecond)
					}
					had = g.had
					g.leave()
				}
			}()
		}
		go func() {
			for range records {
				pass(500 * time.Millisecond)
				m.fake.grow(1)
				m.inOrder()
			}
			done <- struct{}{}
		}()
		for range clients + 1 {
			<-done
		}
		if n := m.live(); n != 0 {
			t.Errorf("%d readers are left when everybody has gone", n)
		}
	})
}
