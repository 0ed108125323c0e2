package upstream

import (
	"sync"
	"sync/atomic"
	"time"
)

const (
	// budgetSeconds is how long a budget remembers calls.
	budgetSeconds = 10
	// callsPerRetry is how many calls allow one retry.
	callsPerRetry = 10
)

// hostFloors is how many scopes can use up the floors of their budgets before the host's floor is.
const hostFloors = 10

// retryBudget bounds retries by the calls of the last ten seconds, that of the present one included:
// there may be floor of them, and one for every ten calls. Calls before the first retry that was asked
// for within that time may be left out, so that to count a call is one atomic addition. It is safe for
// concurrent use.
//
// A scope has one with a floor of RetryPolicy.Budget. All share one more, the host's, whose floor is
// hostFloors of that: however many callers, operations and names there are, N calls within ten seconds
// have at most N/10 + 10·Budget retries within them. Nobody takes more than a tenth of its own calls out
// of the tenth of all, so that one whose calls all fail leaves others theirs, and nine tenths of the
// floor.
type retryBudget struct {
	floor int64
	began time.Time
	// calls is how many there have been.
	calls atomic.Int64

	mu sync.Mutex
	// second is the last one looked at, since began.
	second int64
	// before is what calls was when each second was first looked at, or a later one was.
	before [budgetSeconds]int64
	// retries are remembered for a second more, for the present one is not over: else there could be
	// twice the floor within ten.
	retries [budgetSeconds + 1]int64
}

// newRetryBudget returns the budget of a scope, which knows of one call: that which has just failed.
func newRetryBudget(floor int) *retryBudget {
	b := &retryBudget{floor: int64(floor), began: time.Now()}
	b.countCall()
	return b
}

// newHostRetryBudget returns the host's budget, if that of a scope has such a floor.
func newHostRetryBudget(floor int) *retryBudget {
	return &retryBudget{floor: hostFloors * int64(floor), began: time.Now()}
}

// countCall counts a call, not its retries.
func (b *retryBudget) countCall() { b.calls.Add(1) }

// take counts a retry, or says how long there is none at least: there have been too many.
func (b *retryBudget) take() (wait time.Duration, ok bool) {
	b.mu.Lock()
	defer b.mu.Unlock()
	now := b.tickLocked()
	oldest := max(0, b.second-budgetSeconds+1)
	calls := b.calls.Load() - b.before[oldest%budgetSeconds]
	var retries int64
	for _, n := range b.retries {
		retries += n
	}
	if retries < b.floor+calls/callsPerRetry {
		b.retries[b.second%(budgetSeconds+1)]++
		return 0, true
	}
	first := max(0, b.second-budgetSeconds)
	for b.retries[first%(budgetSeconds+1)] == 0 {
		first++
	}
	return time.Duration(first+budgetSeconds+1)*time.Second - now, false
}

// idle reports whether no retries are remembered.
func (b *retryBudget) idle() bool {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.tickLocked()
	return b.retries == [budgetSeconds + 1]int64{}
}

// tickLocked forgets what is too old and returns the time since began.
func (b *retryBudget) tickLocked() time.Duration {
	now := time.Since(b.began)
	second, calls := int64(now/time.Second), b.calls.Load()
	for s := max(b.second+1, second-budgetSeconds); s <= second; s++ {
		b.before[s%budgetSeconds], b.retries[s%(budgetSeconds+1)] = calls, 0
	}
	b.second = second
	return now
}
