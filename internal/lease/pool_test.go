package lease

import (
	"context"
	"slices"
	"testing"
	"testing/synctest"
	"time"
)

// hand takes n leases of size bytes each for h and hands them.
func hand(t *testing.T, h *Holder, n int, size int64) []*Lease {
	t.Helper()
	var leases []*Lease
	for range n {
		l := mustTake(t, h, size)
		l.Hand(1)
		leases = append(leases, l)
	}
	return leases
}

func TestSweep_closedConnection(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		p := NewPool(64 * mib)
		lost, kept := new(socket), new(socket)
		gone, other := p.Holder(lost), p.Holder(kept)
		hand(t, gone, 15, mib)
		hand(t, other, 3, mib)
		mine := mustTake(t, gone, 1000) // is not grpc's yet
		lapse(t, time.Minute)
		wantUsed(t, p, 18*mib+1000)

		_ = lost.Close()
		lapse(t, sweepInterval)
		wantUsed(t, p, 3*mib+1000)
		wantHeld(t, gone, 1000)

		mine.Hand(1) // before its handler has noticed
		lapse(t, sweepInterval)
		wantHeld(t, gone, 0)
		wantUsed(t, p, 3*mib)

		_ = kept.Close()
		lapse(t, sweepInterval)
		wantUsed(t, p, 0)
		p.mu.Lock()
		defer p.mu.Unlock()
		if p.sweeping || len(p.active) > 0 {
			t.Error("it sweeps although nothing is handed")
		}
	})
}

func TestPressure_stalledConnections(t *testing.T) {
	t.Parallel()
	for _, test := range []struct {
		name string
		// hold is how many MiB of 64 each connection has handed.
		hold []int64
		// wants is what another waits for, in MiB; 0: nobody waits.
		wants int64
		// reads is whether the connections give a piece back every 4 s.
		reads bool
		// want is which of them lose their connection, took how long the other waits.
		want []int
		took time.Duration
	}{
		{name: "nobody waits", hold: []int64{20}},
		{name: "there is room", hold: []int64{20}, wants: 10},
		{name: "the one that holds most has to go", hold: []int64{10, 14, 12}, wants: 32, want: []int{1}, took: Stalled},
		{name: "as many as it takes, and no more", hold: []int64{12, 14, 10, 8}, wants: 36, want: []int{0, 1}, took: Stalled},
		{name: "whoever reads, slowly, may stay", hold: []int64{14, 14}, wants: 36, reads: true},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				p := NewPool(64 * mib)
				var lost []int64
				p.OnPressure(func(_ Conn, held int64) { lost = append(lost, held) })
				ctx, cancel := context.WithCancel(t.Context())
				defer cancel()
				var sockets []*socket
				for _, n := range test.hold {
					s := new(socket)
					sockets = append(sockets, s)
					h := p.Holder(s)
					l := mustTake(t, h, n*mib)
					l.Hand(1000)
					if test.reads {
						go func() {
							for ctx.Err() == nil {
								lapse := time.NewTimer(4 * time.Second)
								select {
								case <-lapse.C:
									l.Put(nil)
								case <-ctx.Done():
								}
							}
						}()
					}
				}
				began := time.Now()
				if test.wants > 0 {
					ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
					defer cancel()
					l, err := p.Holder(nil).Take(ctx, test.wants*mib)
					if (err == nil) == test.reads {
						t.Errorf("the other got %v", err)
					}
					if took := time.Since(began); err == nil && (took < test.took || took > test.took+2*sweepInterval) {
						t.Errorf("the other waited %v, want %v", took, test.took)
					}
					l.Release()
				}
				<-time.After(time.Minute)
				var got []int
				var want []int64
				for i, s := range sockets {
					if s.Closed() {
						got = append(got, i)
						want = append(want, test.hold[i]*mib)
					}
				}
				if !slices.Equal(got, test.want) || p.Closed() != uint64(len(test.want)) {
					t.Errorf("%v lost their connection, counted are %d, want %v", got, p.Closed(), test.want)
				}
				slices.Sort(lost)
				slices.Sort(want)
				if !slices.Equal(lost, want) {
					t.Errorf("told are %v, want %v", lost, want)
				}
			})
		})
	}
}

// Nobody loses the connection because a greedy one that does not read wants still more.
func TestPressure_greedyHolderCostsNobodyTheConnection(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		p := NewPool(64 * mib)
		slow := new(socket)
		hand(t, p.Holder(slow), 1, mib)
		ctx, cancel := context.WithCancel(t.Context())
		defer cancel()
		for range 30 {
			greedy := p.Holder(new(socket))
			for range 20 {
				go func() {
					if l, err := greedy.Take(ctx, 3*mib/2); err == nil {
						l.Hand(1)
					}
				}()
			}
		}
		lapse(t, time.Minute)
		if slow.Closed() {
			t.Error("a slow reader lost its connection to one that holds more")
		}
		began := time.Now()
		mustTake(t, p.Holder(new(socket)), 3*mib)
		if took := time.Since(began); took > time.Second {
			t.Errorf("who holds nothing waited %v beside connections that have stalled long ago, want a second at most", took)
		}
		if slow.Closed() {
			t.Error("a slow reader lost its connection, and others hold more")
		}
	})
}

// Room comes back when the handlers notice that their connection is closed, not before.
func TestPressure_room(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		p := NewPool(8 * mib)
		var sockets []*socket
		for range 4 {
			s := new(socket)
			sockets = append(sockets, s)
			h := p.Holder(s)
			if err := h.Room(t.Context(), 2*mib); err != nil {
				t.Fatal(err)
			}
			go func() {
				for !s.Closed() {
					<-time.After(time.Second)
				}
				h.Leave(2 * mib)
			}()
		}
		began := time.Now()
		h := p.Holder(new(socket))
		if err := h.Room(t.Context(), 2*mib); err != nil {
			t.Fatal(err)
		}
		if took := time.Since(began); took < Stalled || took > Stalled+2*time.Second {
			t.Errorf("it waited %v, want %v and until the handler noticed", took, Stalled)
		}
		h.Leave(2 * mib)
		lapse(t, time.Minute)
		closed := 0
		for _, s := range sockets {
			if s.Closed() {
				closed++
			}
			_ = s.Close()
		}
		if closed != 1 {
			t.Errorf("%d lost their connection, want 1", closed)
		}
		lapse(t, 2*time.Second)
		wantUsed(t, p, 0)
	})
}

func TestAbandon_onlyHoldersOfSomething(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		p := NewPool(8 * mib)
		waiting, idle := new(socket), new(socket)
		hand(t, p.Holder(waiting), 2, mib)
		mustTake(t, p.Holder(idle), mib).Release()
		p.Abandon()
		lapse(t, sweepInterval)
		wantUsed(t, p, 0)
		if !waiting.Closed() || idle.Closed() {
			t.Errorf("closed are %t and %t, want only the one that holds something", waiting.Closed(), idle.Closed())
		}
	})
}
