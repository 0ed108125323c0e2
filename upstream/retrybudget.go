package upstream

import (
	"sync"
	"time"
)

const (
	// budgetSeconds is how long a budget remembers calls. It remembers retries for a second more,
	// for the present second is not over: else there could be twice the floor within ten.
	budgetSeconds = 10
	// callsPerRetry is how many calls allow one retry.
	callsPerRetry = 10
)

// budget bounds retries by the calls of the last ten seconds, that of the present one included:
// there may be floor of them, and one for every ten calls. It is safe for concurrent use.
type budget struct {
	floor int
	began time.Time

	mu      sync.Mutex
	second  int64 // the last one counted, since began
	calls   [budgetSeconds]int
	retries [budgetSeconds + 1]int
}

func newBudget(floor int) *budget { return &budget{floor: floor, began: time.Now()} }

// countCall counts a call, not its retries.
func (b *budget) countCall() {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.calls[b.now()%budgetSeconds]++
}

// takeRetry counts a retry, unless there have been too many.
func (b *budget) takeRetry() bool {
	b.mu.Lock()
	defer b.mu.Unlock()
	now := b.now()
	var calls, retries int
	for _, n := range b.calls {
		calls += n
	}
	for _, n := range b.retries {
		retries += n
	}
	if retries >= b.floor+calls/callsPerRetry {
		return false
	}
	b.retries[now%(budgetSeconds+1)]++
	return true
}

// now forgets what is too old and returns the present second. mu is held.
func (b *budget) now() int64 {
	second := int64(time.Since(b.began) / time.Second)
	for s := max(b.second+1, second-budgetSeconds); s <= second; s++ {
		b.calls[s%budgetSeconds], b.retries[s%(budgetSeconds+1)] = 0, 0
	}
	b.second = second
	return second
}
