package main

import (
	"context"
	"errors"
	"net"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"
)

// fakeServer serves until it is stopped or fails, and appends what happens to events.
type fakeServer struct {
	name string
	// fails is the time after which the server fails by itself; 0: never.
	fails time.Duration
	// lasts is how long the server takes to stop, if it has that long.
	lasts  time.Duration
	events *[]string
	done   chan struct{}
}

var errFake = errors.New("failed by itself")

func (f *fakeServer) server() server {
	f.done = make(chan struct{})
	return server{
		serve: func(net.Listener) error {
			var failure <-chan time.Time
			if f.fails > 0 {
				failure = time.After(f.fails)
			}
			select {
			case <-f.done:
				return nil
			case <-failure:
				return errFake
			}
		},
		stop: func(ctx context.Context) error {
			defer close(f.done)
			*f.events = append(*f.events, "stop "+f.name)
			select {
			case <-time.After(f.lasts):
				return nil
			case <-ctx.Done():
				return ctx.Err()
			}
		},
	}
}

func TestRunServers_stopInOrder(t *testing.T) {
	t.Parallel()
	const grace = 30 * time.Second
	for _, test := range []struct {
		name string
		// signal is when the context ends.
		signal        time.Duration
		first, second fakeServer
		want          error
		took          time.Duration
	}{
		{
			name: "all stop in time", signal: time.Minute,
			first: fakeServer{lasts: 5 * time.Second}, second: fakeServer{lasts: time.Second},
			took: time.Minute + 6*time.Second,
		},
		{
			name: "one takes all of it and the rest nothing more", signal: time.Minute,
			first: fakeServer{lasts: time.Hour}, second: fakeServer{lasts: time.Hour},
			want: context.DeadlineExceeded, took: time.Minute + grace,
		},
		{
			name: "one that fails stops the others", signal: time.Hour,
			first: fakeServer{}, second: fakeServer{fails: time.Second},
			want: errFake, took: time.Second,
		},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				var events []string
				test.first.name, test.first.events = "first", &events
				test.second.name, test.second.events = "second", &events
				ctx, cancel := context.WithTimeout(t.Context(), test.signal)
				defer cancel()
				began := time.Now()
				err := runServers(ctx, grace, func() { events = append(events, "drain") }, test.first.server(), test.second.server())
				if !errors.Is(err, test.want) {
					t.Errorf("got error %v, want %v", err, test.want)
				}
				if took := time.Since(began); took != test.took {
					t.Errorf("took %v, want %v", took, test.took)
				}
				if diff := cmp.Diff([]string{"drain", "stop first", "stop second"}, events); diff != "" {
					t.Errorf("events (-want +got):\n%s", diff)
				}
			})
		})
	}
}
