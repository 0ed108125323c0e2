package reload

import (
	"context"
	"log/slog"
	"slices"
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
	log     *slog.Logger
	running sync.WaitGroup

	mu     sync.Mutex
	values []Watched
	// stops end the goroutines of values.
	stops map[Watched]context.CancelFunc
	// ctx is that of Run while it runs, else nil.
	ctx context.Context //nolint:containedctx // that of the goroutines which Add begins
}

// NewPoller returns a poller for these values. A value must have only one poller.
func NewPoller(log *slog.Logger, values ...Watched) *Poller {
	return &Poller{log: log, values: values, stops: make(map[Watched]context.CancelFunc)}
}

// Add has a further value follow its file. It must not be one of the poller's.
func (p *Poller) Add(v Watched) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.values = append(p.values, v)
	if p.ctx != nil {
		p.beginLocked(v)
	}
}

// Remove has a value not follow its file any more. A look that is under way goes on, and Remove does not wait for it.
func (p *Poller) Remove(v Watched) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.values = slices.DeleteFunc(p.values, func(other Watched) bool { return other == v })
	if stop, ok := p.stops[v]; ok {
		stop()
		delete(p.stops, v)
	}
}

// beginLocked begins the goroutine of a value.
func (p *Poller) beginLocked(v Watched) {
	ctx, stop := context.WithCancel(p.ctx)
	p.stops[v] = stop
	p.running.Go(func() { v.run(ctx, p.log) })
}

// Run looks at every file, once an Interval and after each Poke, until ctx ends. Each file has a
// goroutine of its own, so that a file whose network is gone holds up no other one. Run waits for the
// goroutines to end, a second at most: nothing can end a read that hangs. It must be called once.
func (p *Poller) Run(ctx context.Context) {
	p.mu.Lock()
	p.ctx = ctx
	for _, v := range p.values {
		p.beginLocked(v) //nolint:contextcheck // ctx is the poller's now
	}
	p.mu.Unlock()
	<-ctx.Done()
	p.mu.Lock()
	p.ctx = nil
	for v, stop := range p.stops {
		stop()
		delete(p.stops, v)
	}
	p.mu.Unlock()
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		p.running.Wait()
	}()
	wait(context.WithoutCancel(ctx), patience, ended)
}

// Poke makes Run look at every file now. It does not wait for that.
func (p *Poller) Poke() {
	for _, v := range p.all() {
		v.poke()
	}
}

// States returns the state of every file, in the order of NewPoller and then of Add.
func (p *Poller) States() []State {
	all := p.all()
	states := make([]State, len(all))
	for i, v := range all {
		states[i] = v.State()
	}
	return states
}

func (p *Poller) all() []Watched {
	p.mu.Lock()
	defer p.mu.Unlock()
	return slices.Clone(p.values)
}
