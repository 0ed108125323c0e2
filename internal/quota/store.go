package quota

import (
	"context"
	"time"
)

// Store shares budgets between processes. Its methods are called concurrently and return when
// ctx ends. Any error makes the limiter do without the store until Beat succeeds. Errors hold no
// credentials, because Snapshot shows them.
type Store interface {
	// Take takes from all claims or from none, and returns what is known of each. What was taken
	// at instead, if that is not zero, is given back before, in either case. Where it fails it may
	// have taken nonetheless, which wastes a place but exceeds nothing.
	Take(ctx context.Context, claims []Claim, instead Stamp) (Ruling, error)
	// Pause tells all processes of a 429.
	Pause(ctx context.Context, budget string, p Pause) error
	// Beat says that this process is there, and returns how many are.
	Beat(ctx context.Context) (replicas int, err error)
	Close() error
}

// Stamp is when something was taken, by the store's own clock.
type Stamp int64

// Claim is one budget's part in a decision.
type Claim struct {
	Budget string
	// Requests in any interval of Window at most; zero where only pauses count. Window is the
	// Configured one, longer by the margin and after 429s.
	Requests           int
	Window, Configured time.Duration
	// Pace is the time to the next admission while they are spread evenly, zero while they
	// are not.
	Pace time.Duration
}

// Ruling is a decision.
type Ruling struct {
	// Wait is until when the claims cannot be taken, from now; zero where they were.
	Wait time.Duration
	// Held is the index of the claim that Wait is of.
	Held int
	// Stamp is when the claims were taken.
	Stamp Stamp
	// Pauses are of each claim, in order.
	Pauses []Pause
}

// Pause is the last pause of a budget.
type Pause struct {
	// For is how long from now, negative for how long ago it ended.
	For time.Duration
	// Scale is the part of the limit that is left when it ends; zero where there was no pause.
	Scale float64
}

// BeatInterval is the time between heartbeats.
const BeatInterval = time.Second
