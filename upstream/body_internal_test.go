package upstream

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"testing"
	"testing/iotest"
	"time"

	"samsara.internal/gateway/internal/lease"
)

// within returns a context that ends after d.
func within(t *testing.T, d time.Duration) context.Context {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), d)
	t.Cleanup(cancel)
	return ctx
}

func wantUsed(t *testing.T, p *lease.Pool, want int64) {
	t.Helper()
	if got := p.Used(); got != want {
		t.Errorf("%d bytes are in flight, want %d", got, want)
	}
}

// leastBuffer is the capacity of the smallest buffer.
func leastBuffer() int { return lease.Capacity(0) }

// newBody returns an empty body with room for n bytes, for which there is memory.
func newBody(t *testing.T, p *lease.Pool, n int) body {
	t.Helper()
	l, err := p.Holder(nil).Take(within(t, time.Minute), withTranslation(lease.Capacity(n)))
	if err != nil {
		t.Fatal(err)
	}
	return body{lease: l, bytes: l.Buffer(n)}
}

func TestBody_readsUpToItsLimit(t *testing.T) {
	t.Parallel()
	least := leastBuffer()
	limit := 3 * least
	for _, size := range []int{0, 1, least - 1, least, least + 1, 2 * least, limit - 1, limit, limit + 1, 2 * limit} {
		for name, reader := range map[string]func(io.Reader) io.Reader{
			"at once":              func(r io.Reader) io.Reader { return r },
			"byte by byte":         iotest.OneByteReader,
			"with the end at once": iotest.DataErrReader,
		} {
			t.Run(fmt.Sprintf("%d bytes %s", size, name), func(t *testing.T) {
				t.Parallel()
				p := lease.NewPool(1 << 20)
				b := newBody(t, p, 1)
				sent := bytes.Repeat([]byte("0123456"), size/7+1)[:size]
				err := b.read(within(t, time.Minute), reader(bytes.NewReader(sent)), int64(limit))
				if tooLarge := size > limit; errors.Is(err, errTooLarge) != tooLarge || (err != nil) != tooLarge {
					t.Errorf("got error %v, want one: %t", err, tooLarge)
				}
				if want := sent[:min(size, limit)]; !bytes.Equal(b.bytes, want) {
					t.Errorf("read %d bytes, want the first %d", len(b.bytes), len(want))
				}
				if used := p.Used(); used < withTranslation(cap(b.bytes)) || used > 2*int64(cap(b.bytes)) {
					t.Errorf("%d bytes are in flight, want %d or little more", used, withTranslation(cap(b.bytes)))
				}
				b.drop()
				wantUsed(t, p, 0)
			})
		}
	}
}

func TestBody_keepsWhatItReadBeforeAFault(t *testing.T) {
	t.Parallel()
	p := lease.NewPool(1 << 20)
	b := newErrorBody(p.Holder(nil))
	fault := errors.New("broke")
	if err := b.read(within(t, time.Minute), io.MultiReader(bytes.NewReader([]byte("abc")), iotest.ErrReader(fault)), 10); !errors.Is(err, fault) {
		t.Errorf("got error %v, want %v", err, fault)
	}
	if string(b.bytes) != "abc" {
		t.Errorf("got %q, want abc", b.bytes)
	}
	b.drop()
	wantUsed(t, p, 0)
}

func TestBody_isCountedAsItWasIfItCannotGrow(t *testing.T) {
	t.Parallel()
	p := lease.NewPool(5 * int64(leastBuffer()) / 2)
	b := newBody(t, p, 1)
	if err := b.read(within(t, time.Minute), bytes.NewReader(make([]byte, 2*leastBuffer())), 1<<20); !errors.Is(err, lease.ErrNoRoom) {
		t.Errorf("got error %v, want ErrNoRoom", err)
	}
	if len(b.bytes) != leastBuffer() {
		t.Errorf("%d bytes were read, want those that fitted", len(b.bytes))
	}
	wantUsed(t, p, withTranslation(leastBuffer()))
	b.drop()
	wantUsed(t, p, 0)
}

// An error body says why, and must not wait for those that hold the memory.
func TestErrorBody_doesNotWaitForMemory(t *testing.T) {
	t.Parallel()
	p := lease.NewPool(1 << 20)
	p.Holder(nil).Add(p.Limit())
	b := newErrorBody(p.Holder(nil))
	began := time.Now()
	if err := b.read(within(t, time.Minute), bytes.NewReader(make([]byte, maxErrorBodyBytes)), maxErrorBodyBytes); err != nil {
		t.Error(err)
	}
	if took := time.Since(began); took > 30*time.Second {
		t.Errorf("it took %v, want no time", took)
	}
	if used := p.Used() - p.Limit(); used < maxErrorBodyBytes {
		t.Errorf("%d bytes are counted, want those that were read", used)
	}
	b.drop()
	wantUsed(t, p, p.Limit())
}

// The largest body fits into 12/5 of what it may have, however it comes.
func TestBody_largestFits(t *testing.T) {
	t.Parallel()
	for limit := 10_000; limit < 5_000_000; limit += limit/7 + 1 {
		p := lease.NewPool(int64(limit)*12/5 + 16<<10)
		for name, length := range map[string]int64{"known": int64(limit), "unknown": -1} {
			var b body
			resp := &http.Response{ContentLength: length, Header: http.Header{}, Body: io.NopCloser(bytes.NewReader(make([]byte, limit)))}
			err := new(bodies).readWhole(within(t, time.Minute), &b, p.Holder(nil), resp, int64(limit))
			if err != nil || len(b.bytes) != limit {
				t.Errorf("of %d bytes, length %s: %d were read, %v", limit, name, len(b.bytes), err)
			}
			b.drop()
			wantUsed(t, p, 0)
		}
	}
}
