package quota

import "time"

// Snapshot is the state of a limiter.
type Snapshot struct {
	// Waiting is how many attempts wait, for budgets or before a further attempt.
	Waiting int
	// Budgets begin with the token's and the organization's; operations follow by name.
	Budgets []BudgetState
	// Waiters are those who wait, by caller, priority and budget, the longest wait first; at most 20.
	Waiters []WaiterState
	// Store is the zero value if there is none.
	Store StoreState
}

// BudgetState is the state of one budget.
type BudgetState struct {
	Name string
	// Limit is the configured limit. If there is none it is zero, and after a 429 the token's.
	Limit Limit
	// Effective is how many requests are admitted now in the limit's window, on average: fewer
	// than configured by the margin, after 429s, and without the store.
	Effective float64
	// Used is how many requests of this process were admitted in the last window. Waiting is how
	// many wait that will take from the budget.
	Used, Waiting int
	// Oldest is the longest wait so far among those that this budget holds up.
	Oldest time.Duration
	// PausedUntil is zero if the budget is not paused.
	PausedUntil time.Time
	// Admitted and Throttled count admissions and 429s of this process.
	Admitted, Throttled uint64
}

// StoreState is the state of the store.
type StoreState struct {
	Configured bool
	// Up is false while the local share is used instead.
	Up bool
	// Replicas is how many processes share the budgets, as last seen, or as configured if that
	// is more.
	Replicas int
	// Lost counts how often the store was lost.
	Lost uint64
	// Err is why the store is not up.
	Err error
}

// WaiterState is about the attempts of one caller and priority that wait for one budget.
type WaiterState struct {
	Caller string
	Batch  bool
	// Budget is the name of the budget that holds them up now, as far as known. It is empty if
	// they wait before a further attempt and no budget is paused: see Operation.Rest.
	Budget string
	// Count is how many wait.
	Count int
	// Oldest is the longest wait so far.
	Oldest time.Duration
}
