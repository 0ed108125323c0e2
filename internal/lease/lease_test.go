package lease

import (
	"bytes"
	"testing"
	"testing/synctest"
	"time"
)

func TestLease_overOnce(t *testing.T) {
	t.Parallel()
	for _, test := range []struct {
		name string
		end  func(l *Lease, s *socket)
	}{
		{"released twice", func(l *Lease, _ *socket) { l.Release(); l.Release() }},
		{"put", func(l *Lease, _ *socket) { l.Hand(3); l.Put(nil); l.Put(nil); l.Release(); l.Put(nil) }},
		{"swept, and then put", func(l *Lease, s *socket) {
			l.Hand(2)
			l.Put(nil)
			_ = s.Close()
			<-time.After(2 * sweepInterval)
			synctest.Wait()
			l.Put(nil)
			l.Release()
		}},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				p, s := NewPool(mib), new(socket)
				h := p.Holder(s)
				other := mustTake(t, p.Holder(nil), 7)
				l := mustTake(t, h, 100)
				overs := 0
				l.Then(func() { overs++ })
				wantUsed(t, p, 107)
				test.end(l, s)
				wantUsed(t, p, 7)
				wantHeld(t, h, 0)
				if overs != 1 {
					t.Errorf("it was over %d times, want once", overs)
				}
				other.Release()
				wantUsed(t, p, 0)
			})
		})
	}
	var none *Lease
	none.Release()
	if none.Share(nil) != nil {
		t.Error("sharing no lease makes one")
	}
}

// lapse lets virtual time pass.
func lapse(t *testing.T, d time.Duration) {
	t.Helper()
	<-time.After(d)
	synctest.Wait()
}

func TestLease_buffers(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		p := NewPool(mib)
		l := mustTake(t, p.Holder(nil), 8<<10)
		body := append(l.Buffer(10), "a body"...)
		body, err := l.Grow(t.Context(), body, 20<<10, 40<<10, 40<<10)
		if err != nil {
			t.Fatal(err)
		}
		if string(body) != "a body" || cap(body) != 20<<10 {
			t.Errorf("the buffer has %q and room for %d", body, cap(body))
		}
		wantUsed(t, p, 40<<10)
		message := append(l.Buffer(5), "short"...)
		l.Keep(message)
		wantUsed(t, p, 4<<10)
		if l.buffers[0] == nil || !same(l.buffers[0].room, message) || l.buffers[1] != nil {
			t.Error("other buffers are kept than that of the message")
		}
		l.Keep(append(message, make([]byte, 5000)...)) // outgrew its buffer
		if l.buffers != [2]*buffer{} {
			t.Error("a buffer is kept that nothing uses")
		}
		if used := p.Used(); used < 5000 || used > 8<<10 {
			t.Errorf("%d bytes are used, want 5000 or little more", used)
		}
		l.Release()
		wantUsed(t, p, 0)
	})
}

func TestGrow_countedAsItWasIfItFails(t *testing.T) {
	t.Parallel()
	p := NewPool(20 << 10)
	l := mustTake(t, p.Holder(nil), 8<<10)
	body := append(l.Buffer(10), "a body"...)
	got, err := l.Grow(within(t, time.Minute), body, 16<<10, 32<<10, 32<<10)
	if err == nil || !bytes.Equal(got, body) {
		t.Errorf("got %q and error %v", got, err)
	}
	wantUsed(t, p, 8<<10)
	l.Release()
	wantUsed(t, p, 0)
}

func TestShare_countsOncePerHolder(t *testing.T) {
	t.Parallel()
	p := NewPool(10 * mib)
	reader, a, b := p.Holder(nil), p.Holder(new(socket)), p.Holder(new(socket))
	l := mustTake(t, reader, mib)
	leases := []*Lease{l.Share(a), l.Share(a), l.Share(b)}
	wantUsed(t, p, mib)
	for _, h := range []*Holder{reader, a, b} {
		wantHeld(t, h, mib)
	}
	l.Release()
	wantHeld(t, reader, 0)
	leases[0].Hand(1)
	leases[0].Put(nil)
	wantHeld(t, a, mib)
	leases[1].Release()
	wantHeld(t, a, 0)
	wantUsed(t, p, mib)
	leases[2].Release()
	wantUsed(t, p, 0)
	wantHeld(t, b, 0)
}

// What grpc may still read is never lent again; what it has put is.
func TestLease_sweptBytesAreNeverUsedAgain(t *testing.T) {
	t.Parallel()
	for _, test := range []struct {
		name          string
		sweep, shared bool
		again         bool
	}{
		{name: "put", again: true},
		{name: "swept", sweep: true},
		{name: "shared, both put", shared: true, again: true},
		{name: "shared, and one of them swept", shared: true, sweep: true},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				p, s := NewPool(mib), new(socket)
				l := mustTake(t, p.Holder(s), 8<<10)
				bytes := l.Buffer(8 << 10)
				at := &bytes[:1][0]
				leases := []*Lease{l}
				if test.shared {
					leases = append(leases, l.Share(p.Holder(new(socket))))
				}
				for _, l := range leases {
					l.Hand(1)
				}
				if test.sweep {
					_ = s.Close()
					lapse(t, 2*sweepInterval)
				}
				for _, l := range leases {
					l.Put(nil)
				}
				wantUsed(t, p, 0)
				// A sync.Pool forgets what it has at any collection, and now and then under the race
				// detector. What must not be in it never is.
				again := false
				for range 20 {
					l := mustTake(t, p.Holder(nil), 8<<10)
					got := l.Buffer(8 << 10)
					again = again || &got[:1][0] == at
				}
				if again && !test.again {
					t.Error("bytes that grpc may still use were lent again")
				}
			})
		})
	}
}
