package telemetry

import (
	"maps"
	"sync"
)

// series finds one of a metric's series by a key of its own, because a search by labels costs more
// than counting does. It is safe for concurrent use and forgets only what it is told to: if the keys are not bounded,
// most must be set.
type series[K comparable, V any] struct {
	make func(K) V
	// most is how many keys have series of their own; 0: all. rest returns the series of the others.
	most int
	rest func(K) V

	mu   sync.RWMutex
	made map[K]V // guarded by mu
}

// of returns the series of a key. It makes them once.
func (s *series[K, V]) of(key K) V {
	s.mu.RLock()
	v, ok := s.made[key]
	s.mu.RUnlock()
	if ok {
		return v
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if v, ok = s.made[key]; ok {
		return v
	}
	if s.most > 0 && len(s.made) >= s.most {
		return s.rest(key)
	}
	if s.made == nil {
		s.made = make(map[K]V)
	}
	v = s.make(key)
	s.made[key] = v
	return v
}

// forget forgets the keys for which is returns true.
func (s *series[K, V]) forget(is func(K) bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	maps.DeleteFunc(s.made, func(k K, _ V) bool { return is(k) })
}
