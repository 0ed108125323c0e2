package quota

import "time"

// Snapshot is the state of a limiter.
type Snapshot struct {
	// Waiting is how many wait, for budgets or before a further attempt.
	Waiting int
	// Budgets begin with the token's and the organization's; operations follow by name.
	Budgets []BudgetState
	// Waiters are those who wait, by caller, class and budget, the longest first; at most 20.
	Waiters []WaiterState
	// Store is the zero value where there is none.
	Store StoreState
}

// BudgetState is the state of one budget.
type BudgetState struct {
	Name string
	// Limit is the configured limit. Where there is none it is zero, and after a 429 the token's.
	Limit Limit
	// Effective is how many requests are admitted now in the limit's window, on average: fewer
	// than configured by the margin, after 429s, and without the store.
	Effective float64
	// Used is how many this process was admitted in the last window, Waiting how many wait that
	// will take from it.
	Used, Waiting int
	// Oldest is how long the first of those has waited whom this budget holds up.
	Oldest time.Duration
	// PausedUntil is zero where the budget is not paused.
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

// WaiterState is those of one caller and class who wait for one budget.
type WaiterState struct {
	Caller string
	Batch  bool
	// Budget is the name of the one that holds them up now, as far as known. It is empty where
	// they wait before a further attempt and no budget is paused: see Operation.Rest.
	Budget string
	// Count is how many they are.
	Count int
	// Oldest is how long the first of them has waited.
	Oldest time.Duration
}
