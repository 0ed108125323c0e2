package quota

import (
	"errors"
	"fmt"
	"time"
)

// ErrClosed is returned by a limiter that was closed.
var ErrClosed = errors.New("quota: the limiter is closed")

// RefusedError says that an attempt was not admitted, because its wait would have been too long
// or the queue was full.
type RefusedError struct {
	// Budget is the name of the budget that would have held it longest.
	Budget string
	// Limit is the limit of that budget, zero if it has none and is only paused.
	Limit Limit
	// Wait is how long the attempt would have waited, as far as known. Attempts that come later
	// with a better claim, and other processes, may make it longer.
	Wait time.Duration
	// Queue is true if the queue was full.
	Queue bool
	// Paused is true if a 429 has paused the budget for longer than its window is used up.
	Paused bool
}

func (e *RefusedError) Error() string {
	if e.Queue {
		return fmt.Sprintf("quota: the queue is full; budget %s (%v) is free in %v", e.Budget, e.Limit, e.Wait)
	}
	return fmt.Sprintf("quota: budget %s (%v) is free in %v, which is too long to wait", e.Budget, e.Limit, e.Wait)
}
