package upstream

import (
	"sync"
	"sync/atomic"
	"time"
)

const (
	// retryBudgetSeconds is how long a retry budget remembers requests.
	retryBudgetSeconds = 10
	// requestsPerRetry is how many requests allow one retry.
	requestsPerRetry = 10
)

// hostFloors is how many scopes can use up the floors of their retry budgets before the host's floor is
// used up.
const hostFloors = 10

// retryBudget bounds the retries of the last ten seconds, the present second included: there may be floor
// of them, and one more for every ten requests within that time. Requests before the first retry that was
// asked for within that time may be left out, so that counting a request is one atomic addition. It is
// safe for concurrent use.
//
// A scope has one with a floor of RetryPolicy.Budget. All scopes share one more, the host's, whose floor
// is hostFloors times that. However many callers, operations and names there are, N requests within ten
// seconds have at most N/10 + 10·Budget retries. A scope takes no more than a tenth of its own requests
// from the tenth of all, so that a scope whose requests all fail leaves the others their tenth, and nine
// tenths of the floor.
type retryBudget struct {
	floor int64
	began time.Time
	// requests is how many requests there have been.
	requests atomic.Int64

	mu sync.Mutex
	// second is the last second looked at, since began.
	second int64
	// before is what requests was when each second, or a later one, was first looked at.
	before [retryBudgetSeconds]int64
	// retries are remembered for one second more, because the present one is not over. Otherwise ten
	// seconds could have twice the floor.
	retries [retryBudgetSeconds + 1]int64
}

// newRetryBudget returns the retry budget of a scope. It has counted one request: the one that has just
// failed.
func newRetryBudget(floor int) *retryBudget {
	b := &retryBudget{floor: int64(floor), began: time.Now()}
	b.countRequest()
	return b
}

// newHostRetryBudget returns the host's retry budget. The floor is that of a scope's.
func newHostRetryBudget(floor int) *retryBudget {
	return &retryBudget{floor: hostFloors * int64(floor), began: time.Now()}
}

// countRequest counts a request, not its retries.
func (b *retryBudget) countRequest() { b.requests.Add(1) }

// take counts a retry. If there have been too many, it returns how long there is no other at least.
func (b *retryBudget) take() (wait time.Duration, ok bool) {
	b.mu.Lock()
	defer b.mu.Unlock()
	now := b.tickLocked()
	oldest := max(0, b.second-retryBudgetSeconds+1)
	requests := b.requests.Load() - b.before[oldest%retryBudgetSeconds]
	var retries int64
	for _, n := range b.retries {
		retries += n
	}
	if retries < b.floor+requests/requestsPerRetry {
		b.retries[b.second%(retryBudgetSeconds+1)]++
		return 0, true
	}
	first := max(0, b.second-retryBudgetSeconds)
	for b.retries[first%(retryBudgetSeconds+1)] == 0 {
		first++
	}
	return time.Duration(first+retryBudgetSeconds+1)*time.Second - now, false
}

// idle reports whether no retries are remembered.
func (b *retryBudget) idle() bool {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.tickLocked()
	return b.retries == [retryBudgetSeconds + 1]int64{}
}

// tickLocked forgets what is too old and returns the time since began.
func (b *retryBudget) tickLocked() time.Duration {
	now := time.Since(b.began)
	second, requests := int64(now/time.Second), b.requests.Load()
	for s := max(b.second+1, second-retryBudgetSeconds); s <= second; s++ {
		b.before[s%retryBudgetSeconds], b.retries[s%(retryBudgetSeconds+1)] = requests, 0
	}
	b.second = second
	return now
}
