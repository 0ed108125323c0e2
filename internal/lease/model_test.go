package lease

import (
	"context"
	"errors"
	"math/rand/v2"
	"slices"
	"sync"
	"testing"
	"time"
)

// TestPool_model has connections come and go. Calls on each take, share, hand and release leases while
// clients read, stall and hang up. At every moment the pool's sums must agree. In the end all memory must
// be back. Nobody may ever see bytes that were not written for it.
func TestPool_model(t *testing.T) {
	t.Parallel()
	const connections, calls, rounds = 8, 6, 20
	p := NewPool(4 * mib)
	reader := p.Holder(nil)
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	var all sync.WaitGroup
	for n := range connections {
		all.Go(func() {
			random := rand.New(rand.NewPCG(1, uint64(n)))
			s := new(socket)
			m := &model{t: t, p: p, reader: reader, h: p.Holder(s), s: s}
			for range rounds {
				var under sync.WaitGroup
				for range calls {
					seed := random.Uint64()
					under.Go(func() { m.call(ctx, rand.New(rand.NewPCG(seed, 2))) })
				}
				if random.IntN(4) == 0 {
					_ = m.s.Close()
				}
				under.Wait()
				if m.s.Closed() {
					s := new(socket)
					m = &model{t: t, p: p, reader: reader, h: p.Holder(s), s: s}
				}
				balanced(t, p)
			}
			_ = m.s.Close()
		})
	}
	all.Wait()
	for deadline := time.Now().Add(30 * time.Second); p.Used() != 0 && time.Now().Before(deadline); {
		<-time.After(sweepInterval)
	}
	balanced(t, p)
	wantUsed(t, p, 0)
}

// model is a connection.
type model struct {
	t         *testing.T
	p         *Pool
	reader, h *Holder
	s         *socket
}

// call is one call of the connection, and the other end of it.
func (m *model) call(ctx context.Context, random *rand.Rand) {
	if random.IntN(5) == 0 {
		if m.h.Room(ctx, 1<<10) == nil {
			m.h.Leave(1 << 10)
		}
	}
	size := 1 + random.IntN(100<<10)
	from := m.h
	shared := random.IntN(3) == 0
	if shared {
		from = m.reader
	}
	deadline, cancel := context.WithTimeout(ctx, time.Duration(100+random.IntN(200))*time.Millisecond)
	defer cancel()
	l, err := from.Take(deadline, int64(Capacity(size)))
	if err != nil {
		if !errors.Is(err, ErrNoRoom) && !errors.Is(err, context.DeadlineExceeded) {
			m.t.Error(err)
		}
		return
	}
	bytes := l.Buffer(size)
	mark := byte(random.IntN(256))
	for range size {
		bytes = append(bytes, mark)
	}
	if random.IntN(3) == 0 {
		translation := l.Buffer(size / 2)
		for range 1 + size/2 {
			translation = append(translation, mark)
		}
		l.Keep(translation)
		bytes = translation
	}
	leases := []*Lease{l}
	if shared {
		leases = append(leases[:0], l.Share(m.h), l.Share(m.h))
		l.Release()
	}
	var reading sync.WaitGroup
	for _, l := range leases {
		if random.IntN(6) == 0 {
			l.Release()
			continue
		}
		pieces := 1 + random.IntN(3)
		stalls := random.IntN(4) == 0
		l.Hand(pieces)
		reading.Go(func() {
			for range pieces {
				if stalls && m.s.Closed() {
					break // grpc forgets
				}
				intact(m.t, bytes, mark)
				l.Put(nil)
			}
		})
	}
	reading.Wait()
}

func intact(t *testing.T, bytes []byte, mark byte) {
	t.Helper()
	if slices.ContainsFunc(bytes, func(b byte) bool { return b != mark }) {
		t.Error("bytes were used again while they were being sent")
	}
}

// balanced checks that the sums of a pool agree.
func balanced(t *testing.T, p *Pool) {
	t.Helper()
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.used < 0 {
		t.Errorf("%d bytes are used", p.used)
	}
	small := 0
	for i, h := range p.active {
		if h.at != i || !h.activeLocked() {
			t.Errorf("active holder %d is at %d, and active: %t", i, h.at, h.activeLocked())
		}
		if h.held < 0 || h.rooms < 0 {
			t.Errorf("a holder holds %d bytes and has room %d times", h.held, h.rooms)
		}
		var counted int64
		ofOne := make(map[*common]bool)
		for l := h.handed; l != nil; l = l.next {
			if l.state != handed || l.pieces < 1 {
				t.Errorf("a lease with %d pieces in state %d is handed", l.pieces, l.state)
			}
			if l.common == nil || !ofOne[l.common] {
				counted += l.counted
			}
			ofOne[l.common] = true
		}
		if counted > h.held {
			t.Errorf("a holder holds %d bytes and has handed %d", h.held, counted)
		}
	}
	for _, h := range p.queue {
		if len(h.claims) == 0 {
			t.Error("a holder without claims is in the queue")
		}
		for _, c := range h.claims {
			if c.bytes <= smallBytes {
				small++
			}
		}
	}
	if small != p.small {
		t.Errorf("%d small ones wait, counted are %d", small, p.small)
	}
}
