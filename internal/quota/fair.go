package quota

import "math"

// class is interactive or batch, each with a fair queue of its own.
type class int

const (
	interactive class = iota
	batch
	classes
)

// caller is who waits, in a class.
type caller struct {
	name  string
	class class
}

// ledger is start-time fair queueing between the callers of a budget. Of those who wait, the
// one is next whose start is least; being admitted moves its next start on by 1/weight. Virtual
// time runs as if all who wait were served side by side. Who begins to wait starts no earlier,
// and who waits lags behind by one admission at most, so that nobody saves up for later.
// Callers that neither wait nor are ahead of virtual time are forgotten.
type ledger struct {
	// batchPercent of the admissions go to batch while it waits.
	batchPercent int
	virtual      [classes]float64
	accounts     map[caller]*account
	sweepAt      int
	waiting      [classes]int
	weight       [classes]float64 // of the accounts that wait
	// credit is what batch is owed, in percent of an admission.
	credit int
}

// account is one caller's in a ledger.
type account struct {
	class   class
	step    float64 // 1/weight
	finish  float64
	waiting int
	ready   int // of those waiting: not held by another budget; see schedule.aheadSharedLocked
}

// minSweep is how many accounts are kept before any is looked at.
const minSweep = 64

func newLedger(batchPercent int) ledger {
	return ledger{batchPercent: batchPercent, accounts: make(map[caller]*account), sweepAt: minSweep}
}

// accountLocked returns the caller's account.
func (g *ledger) accountLocked(c caller, weight float64) *account {
	a := g.accounts[c]
	if a == nil {
		g.sweepLocked()
		a = &account{class: c.class, step: 1 / weight}
		g.accounts[c] = a
	}
	return a
}

func (g *ledger) sweepLocked() {
	if len(g.accounts) < g.sweepAt {
		return
	}
	for c, a := range g.accounts {
		if a.waiting == 0 && a.finish <= g.virtual[a.class] {
			delete(g.accounts, c)
		}
	}
	g.sweepAt = max(minSweep, 2*len(g.accounts))
}

func (g *ledger) enterLocked(a *account) {
	if a.waiting == 0 {
		a.finish = max(a.finish, g.virtual[a.class])
		g.weight[a.class] += 1 / a.step
	}
	a.waiting++
	g.waiting[a.class]++
}

func (g *ledger) leaveLocked(a *account) {
	a.waiting--
	g.waiting[a.class]--
	if a.waiting == 0 {
		g.weight[a.class] -= 1 / a.step
	}
	if g.waiting[a.class] == 0 {
		g.weight[a.class] = 0 // what rounding left
	}
}

// startLocked is the virtual time at which the caller's next waiter would be admitted.
func (g *ledger) startLocked(a *account) float64 { return max(g.virtual[a.class]-a.step, a.finish) }

// chargeLocked takes note that one who waited for the account was admitted.
func (g *ledger) chargeLocked(a *account) {
	side := g.weight[a.class]
	if a.waiting == 0 {
		side += 1 / a.step // it was there until now
	}
	start := g.startLocked(a)
	g.virtual[a.class] = max(start, g.virtual[a.class]+1/side)
	a.finish = start + a.step
	switch {
	case a.class == batch:
		g.credit = max(0, g.credit-(100-g.batchPercent))
	case g.waiting[batch] > 0:
		// Bounded, because batch may be held up by something else for long.
		g.credit = min(100, g.credit+g.batchPercent)
	}
}

// batchFirstLocked says that batch is owed the next admission, if it can use it.
func (g *ledger) batchFirstLocked() bool { return g.credit >= 100-g.batchPercent }

// aheadLocked estimates how many are admitted before one more waiter of an account, where count says
// how many of each account wait.
func (g *ledger) aheadLocked(a *account, count func(*account) int) int {
	mine := count(a)
	start := g.startLocked(a) + float64(mine)*a.step
	ahead, others := mine, 0
	for _, o := range g.accounts {
		switch n := count(o); {
		case o == a || n == 0:
		case o.class != a.class:
			others += n
		default:
			rounds := math.Floor((start-g.startLocked(o))/o.step) + 1
			ahead += int(max(0, min(rounds, float64(n))))
		}
	}
	if a.class == interactive {
		return ahead + min(others, (ahead*g.batchPercent+g.credit)/(100-g.batchPercent)+1)
	}
	if g.batchPercent == 0 {
		return ahead + others
	}
	return ahead + min(others, (ahead+1)*(100-g.batchPercent)/g.batchPercent+1)
}
