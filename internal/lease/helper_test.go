package lease

import (
	"context"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"go.uber.org/goleak"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

const mib = 1 << 20

// socket is a Conn that is closed by whoever says so.
type socket struct{ closed atomic.Bool }

func (s *socket) Closed() bool { return s.closed.Load() }

func (s *socket) Close() error {
	s.closed.Store(true)
	return nil
}

// within returns a context that ends after d.
func within(t *testing.T, d time.Duration) context.Context {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), d)
	t.Cleanup(cancel)
	return ctx
}

func mustTake(t *testing.T, h *Holder, n int64) *Lease {
	t.Helper()
	l, err := h.Take(within(t, time.Minute), n)
	if err != nil {
		t.Fatalf("take %d bytes: %v", n, err)
	}
	return l
}

func wantUsed(t *testing.T, p *Pool, want int64) {
	t.Helper()
	if got := p.Used(); got != want {
		t.Errorf("%d bytes are used, want %d", got, want)
	}
}

func wantHeld(t *testing.T, h *Holder, want int64) {
	t.Helper()
	h.pool.mu.Lock()
	defer h.pool.mu.Unlock()
	if h.held != want {
		t.Errorf("the holder has %d bytes, want %d", h.held, want)
	}
}

// events are what happened, in order.
type events struct {
	mu    sync.Mutex
	names []string
}

func (e *events) add(event string) {
	e.mu.Lock()
	defer e.mu.Unlock()
	e.names = append(e.names, event)
}

func (e *events) all() []string {
	e.mu.Lock()
	defer e.mu.Unlock()
	return append([]string(nil), e.names...)
}
