package a

import "sync"

type box struct {
	mu sync.Mutex
	rw sync.RWMutex
	n  int
}

func (b *box) addLocked(n int) { b.n += n }

func (b *box) twiceLocked(n int) {
	b.addLocked(n)
	func() { b.addLocked(n) }()
	each(func() { b.addLocked(n) })
	go b.addLocked(n)              // want `addLocked is called without a lock held`
	go func() { b.addLocked(n) }() // want `addLocked is called without a lock held`
	b.mu.Unlock()
	b.addLocked(n) // want `addLocked is called without a lock held`
	b.mu.Lock()
	b.addLocked(n)
}

func each(f func()) { f() }

func sumLocked(b *box) int { return b.n }

func without(b *box) {
	b.addLocked(1)                  // want `addLocked is called without a lock held`
	_ = sumLocked(b)                // want `sumLocked is called without a lock held`
	each(func() { b.addLocked(1) }) // want `addLocked is called without a lock held`
	f := b.addLocked                // want `addLocked is handed on without a lock held`
	f(1)
	b.rw.RLock()
	b.addLocked(1) // want `addLocked is called without a lock held`
	b.rw.RUnlock()
	b.rw.Lock()
	b.addLocked(1)
	b.rw.Unlock()
}

func deferred(b *box) {
	b.mu.Lock()
	defer b.mu.Unlock()
	defer b.addLocked(1)
	defer func() { b.addLocked(1) }()
	b.addLocked(sumLocked(b))
}

func tooLate(b *box) {
	defer b.addLocked(1) // want `addLocked is called without a lock held`
	b.mu.Lock()
	defer b.mu.Unlock()
}

func branches(b *box, stop bool) {
	b.mu.Lock()
	if stop {
		b.mu.Unlock()
		return
	}
	b.addLocked(1)
	if b.n > 1 {
		b.mu.Unlock()
	}
	b.addLocked(1) // want `addLocked is called without a lock held`
}

func loop(b *box) {
	for range 3 {
		b.addLocked(1) // want `addLocked is called without a lock held`
		b.mu.Lock()
		b.addLocked(1)
		b.mu.Unlock()
	}
	b.mu.Lock()
	for range 3 {
		b.addLocked(1)
	}
	b.mu.Unlock()
}

type other struct{}

func (other) Lock() {}

func otherLock(b *box, o other) {
	o.Lock()
	b.addLocked(1) // want `addLocked is called without a lock held`
}

type embedded struct {
	sync.Mutex
	box
}

func embeds(e *embedded) {
	e.Lock()
	defer e.Unlock()
	e.addLocked(1)
}
