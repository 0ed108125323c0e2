package reload

import (
	"context"
	"log/slog"
	"sync"
)

// Watched is a Value of any type.
type Watched interface {
	// State returns the results of the looks at the file.
	State() State

	poke()
	run(ctx context.Context, log *slog.Logger)
}

// Poller makes values follow their files. It is safe for concurrent use.
type Poller struct {
	log    *slog.Logger
	values []Watched
}

// NewPoller returns a poller for these values. A value must have only one poller.
func NewPoller(log *slog.Logger, values ...Watched) *Poller { return &Poller{log, values} }

// Run looks at every file, once an Interval and after each Poke, until ctx ends. Each file has a
// goroutine of its own, so that a file whose network is gone holds up no other one. Run waits for the
// goroutines to end, a second at most: nothing can end a read that hangs.
func (p *Poller) Run(ctx context.Context) {
	var running sync.WaitGroup
	for _, v := range p.values {
		running.Go(func() { v.run(ctx, p.log) })
	}
	<-ctx.Done()
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		running.Wait()
	}()
	wait(context.WithoutCancel(ctx), patience, ended)
}

// Poke makes Run look at every file now. It does not wait for that.
func (p *Poller) Poke() {
	for _, v := range p.values {
		v.poke()
	}
}

// States returns the state of every file, in the order of NewPoller.
func (p *Poller) States() []State {
	states := make([]State, len(p.values))
	for i, v := range p.values {
		states[i] = v.State()
	}
	return states
}
