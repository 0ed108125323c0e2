package quota

import "math"

// priority is interactive or batch. Each has virtual time of its own.
type priority int

const (
	interactive priority = iota
	batch
	priorities
)

// caller is who waits, with which priority, and with which share by the policy, which is 0 if that does not say.
type caller struct {
	name     string
	priority priority
	weight   float64
}

// fairQueue is start-time fair queueing between the callers of a budget. The waiting caller with
// the least start is next. An admission moves its caller's next start on by 1/weight. Virtual time
// runs as if all waiting callers were served side by side. A caller that begins to wait starts no
// earlier than virtual time. One that waits lags behind it by one admission at most, so that nobody
// saves up for later. Callers that neither wait nor are ahead of virtual time are forgotten.
type fairQueue struct {
	// batchPercent is the percentage of the admissions that batch gets while it waits.
	batchPercent int
	virtual      [priorities]float64
	accounts     map[caller]*account
	sweepAt      int
	waiting      [priorities]int
	weight       [priorities]float64 // of the accounts that wait
	// credit is what batch is owed, in percent of an admission.
	credit int
}

// account is what a fair queue knows of one caller.
type account struct {
	priority priority
	step     float64 // 1/weight
	finish   float64
	waiting  int
	ready    int // waiting ones that no other budget holds; see schedule.aheadSharedLocked
}

// minSweep is how many accounts are kept before any is looked at.
const minSweep = 64

func newFairQueue(batchPercent int) fairQueue {
	return fairQueue{batchPercent: batchPercent, accounts: make(map[caller]*account), sweepAt: minSweep}
}

// accountLocked returns the caller's account.
func (q *fairQueue) accountLocked(c caller, weight float64) *account {
	a := q.accounts[c]
	if a == nil {
		q.sweepLocked()
		a = &account{priority: c.priority, step: 1 / weight}
		q.accounts[c] = a
	}
	return a
}

func (q *fairQueue) sweepLocked() {
	if len(q.accounts) < q.sweepAt {
		return
	}
	for c, a := range q.accounts {
		if a.waiting == 0 && a.finish <= q.virtual[a.priority] {
			delete(q.accounts, c)
		}
	}
	q.sweepAt = max(minSweep, 2*len(q.accounts))
}

func (q *fairQueue) enterLocked(a *account) {
	if a.waiting == 0 {
		a.finish = max(a.finish, q.virtual[a.priority])
		q.weight[a.priority] += 1 / a.step
	}
	a.waiting++
	q.waiting[a.priority]++
}

func (q *fairQueue) leaveLocked(a *account) {
	a.waiting--
	q.waiting[a.priority]--
	if a.waiting == 0 {
		q.weight[a.priority] -= 1 / a.step
	}
	if q.waiting[a.priority] == 0 {
		q.weight[a.priority] = 0 // what rounding left
	}
}

// startLocked returns the virtual time at which the caller's next waiter would be admitted.
func (q *fairQueue) startLocked(a *account) float64 {
	return max(q.virtual[a.priority]-a.step, a.finish)
}

// chargeLocked charges an account for the admission of one of its waiters.
func (q *fairQueue) chargeLocked(a *account) {
	side := q.weight[a.priority]
	if a.waiting == 0 {
		side += 1 / a.step // its waiter has just left
	}
	start := q.startLocked(a)
	q.virtual[a.priority] = max(start, q.virtual[a.priority]+1/side)
	a.finish = start + a.step
	switch {
	case a.priority == batch:
		q.credit = max(0, q.credit-(100-q.batchPercent))
	case q.waiting[batch] > 0:
		// Bounded, because batch may be held up by something else for long.
		q.credit = min(100, q.credit+q.batchPercent)
	}
}

// batchFirstLocked reports whether batch is owed the next admission, if it can use it.
func (q *fairQueue) batchFirstLocked() bool { return q.credit >= 100-q.batchPercent }

// aheadLocked estimates how many attempts are admitted before one more waiter of an account. count
// returns how many waiters of each account to reckon with.
func (q *fairQueue) aheadLocked(a *account, count func(*account) int) int {
	mine := count(a)
	start := q.startLocked(a) + float64(mine)*a.step
	ahead, others := mine, 0
	for _, o := range q.accounts {
		switch n := count(o); {
		case o == a || n == 0:
		case o.priority != a.priority:
			others += n
		default:
			rounds := math.Floor((start-q.startLocked(o))/o.step) + 1
			ahead += int(max(0, min(rounds, float64(n))))
		}
	}
	if a.priority == interactive {
		return ahead + min(others, (ahead*q.batchPercent+q.credit)/(100-q.batchPercent)+1)
	}
	if q.batchPercent == 0 {
		return ahead + others
	}
	return ahead + min(others, (ahead+1)*(100-q.batchPercent)/q.batchPercent+1)
}
