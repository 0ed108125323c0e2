package upstream

import (
	"sync"
	"time"
)

const (
	// budgetSeconds is how long a budget remembers.
	budgetSeconds = 10
	// callsPerRetry is how many calls allow one retry.
	callsPerRetry = 10
)

// budget bounds retries by the calls of the last ten seconds, that of the present one included:
// there may be floor of them, and one for every ten calls. It is safe for concurrent use.
type budget struct {
	floor int
	began time.Time

	mu             sync.Mutex
	second         int64 // the last one counted, since began
	calls, retries [budgetSeconds]int
}

func newBudget(floor int) *budget { return &budget{floor: floor, began: time.Now()} }

// countCall counts a call, not its retries.
func (b *budget) countCall() {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.calls[b.now()]++
}

// takeRetry counts a retry, unless there have been too many.
func (b *budget) takeRetry() bool {
	b.mu.Lock()
	defer b.mu.Unlock()
	now := b.now()
	var calls, retries int
	for i := range budgetSeconds {
		calls += b.calls[i]
		retries += b.retries[i]
	}
	if retries >= b.floor+calls/callsPerRetry {
		return false
	}
	b.retries[now]++
	return true
}

// now forgets what is too old and returns the index of the present second. mu is held.
func (b *budget) now() int64 {
	second := int64(time.Since(b.began) / time.Second)
	for s := max(b.second+1, second-budgetSeconds+1); s <= second; s++ {
		b.calls[s%budgetSeconds], b.retries[s%budgetSeconds] = 0, 0
	}
	b.second = second
	return second % budgetSeconds
}
