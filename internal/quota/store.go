package quota

import (
	"context"
	"time"
)

// Store shares budgets between processes. Its methods are called concurrently and return when
// ctx ends. After any error the limiter does without the store until Beat succeeds. Errors hold no
// credentials, because Snapshot shows them.
type Store interface {
	// Take takes from the budgets of all claims or of none, and returns what is known of each. In
	// either case it first gives back what was taken at instead, unless that is zero. If Take fails
	// it may have taken nonetheless, which wastes a slot but exceeds no limit.
	Take(ctx context.Context, claims []Claim, instead Stamp) (Ruling, error)
	// Pause tells all processes of a 429.
	Pause(ctx context.Context, budget string, p Pause) error
	// Beat tells the store that this process is there, and returns how many processes are.
	Beat(ctx context.Context) (replicas int, err error)
	Close() error
}

// Stamp is when something was taken, by the store's own clock.
type Stamp int64

// Claim is what one budget allows, for the store to decide by.
type Claim struct {
	Budget string
	// Requests is the most that may be admitted in any interval of Window; zero: only pauses
	// count. Window is Configured, lengthened by the margin and after 429s.
	Requests           int
	Window, Configured time.Duration
	// Pace is the time to the next admission while admissions are spread evenly, zero while they
	// are not.
	Pace time.Duration
}

// Ruling is a decision.
type Ruling struct {
	// Wait is how long from now the claims cannot be taken; zero if they were taken.
	Wait time.Duration
	// Held is the index of the claim that causes Wait.
	Held int
	// Stamp is when the claims were taken.
	Stamp Stamp
	// Pauses are the last pauses of the claims' budgets, in order.
	Pauses []Pause
}

// Pause is the last pause of a budget.
type Pause struct {
	// For is how long the pause lasts from now on; negative: how long ago it ended.
	For time.Duration
	// Scale is the fraction of the limit that is left when the pause ends; zero: there was none.
	Scale float64
}

// BeatInterval is the time between heartbeats.
const BeatInterval = time.Second
