package feed

import (
	"sync"
	"time"
)

// silence tells a follower that no page has come for some time. Its timer is not set for each page anew: it
// rings when an earlier silence would have been over, and is then set for what is left.
type silence struct {
	// rouse is called when it is over.
	rouse func()

	mu    sync.Mutex
	timer *time.Timer
	// until is when it is over. rings is when the timer rings, zero if it is not set.
	until, rings time.Time
	// rang is whether it is over, ended whether the follower has left.
	rang, ended bool
}

// begin begins a silence.
func (s *silence) begin(until time.Time) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.until, s.rang = until, false
	switch {
	case s.timer == nil:
		s.timer = time.AfterFunc(time.Until(until), s.ring)
	case s.rings.IsZero() || until.Before(s.rings):
		s.timer.Reset(time.Until(until))
	default:
		return
	}
	s.rings = until
}

// isOver reports whether the silence is over.
func (s *silence) isOver() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.rang
}

// ring is called when the timer rings.
func (s *silence) ring() {
	s.mu.Lock()
	defer s.mu.Unlock()
	left := time.Until(s.until)
	switch {
	case s.ended:
	case left > 0:
		s.rings = s.until
		s.timer.Reset(left)
	default:
		s.rings, s.rang = time.Time{}, true
		s.rouse()
	}
}

// end makes the timer ring no more.
func (s *silence) end() {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.ended = true; s.timer != nil {
		s.timer.Stop()
	}
}
