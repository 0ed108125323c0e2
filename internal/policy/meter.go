package policy

import (
	"context"
	"math"
	"sync"
	"time"

	"golang.org/x/time/rate"

	"samsara.internal/gateway/internal/identity"
)

// maxMetered bounds the identities that are counted apart. When there are more, those are forgotten that have no
// stream open: their rates begin anew.
const maxMetered = 10_000

// SharedRates counts calls of several processes together. Its methods are called concurrently.
type SharedRates interface {
	// Take counts a call of an identity, which may make most of them in any window, for the limits of a name. If it is one
	// too many, wait is how long to wait until the next. ok is false if it cannot count now.
	Take(ctx context.Context, who identity.Principal, limits string, most int, window time.Duration) (wait time.Duration, ok bool)
}

// maxAtOnce bounds the calls of an identity that are let through at once of a shared rate.
const maxAtOnce = 100

// Meter counts what identities use of their Limits. It is safe for concurrent use.
type Meter struct {
	shared SharedRates

	mu   sync.Mutex
	used map[meterKey]*usage
}

type meterKey struct {
	who    identity.Principal
	limits Limits
}

type usage struct {
	rate    *rate.Limiter
	streams int
}

// NewMeter returns a meter that has counted nothing. It counts calls by shared, and by itself while that cannot count, or
// if it is nil.
func NewMeter(shared SharedRates) *Meter {
	return &Meter{shared: shared, used: make(map[meterKey]*usage)}
}

// Take counts a call. If it is one too many, ok is false, and wait is how long to wait until the next.
func (m *Meter) Take(ctx context.Context, who identity.Principal, limits *Limits) (wait time.Duration, ok bool) {
	if limits.RequestsPerSecond == 0 {
		return 0, true
	}
	if m.shared != nil {
		most := min(math.Ceil(limits.RequestsPerSecond), maxAtOnce)
		window := time.Duration(most / limits.RequestsPerSecond * float64(time.Second))
		if wait, counted := m.shared.Take(ctx, who, limits.Name, int(most), window); counted {
			return wait, wait == 0
		}
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	taken := m.usageLocked(who, limits).rate.Reserve()
	if wait = taken.Delay(); wait > 0 {
		taken.Cancel()
		return wait, false
	}
	return 0, true
}

// Enter counts a stream that begins, and reports whether it may. Leave must then be called when it has ended.
func (m *Meter) Enter(who identity.Principal, limits *Limits) bool {
	if limits.Streams == 0 {
		return true
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	u := m.usageLocked(who, limits)
	if u.streams >= limits.Streams {
		return false
	}
	u.streams++
	return true
}

// Leave counts a stream that has ended.
func (m *Meter) Leave(who identity.Principal, limits *Limits) {
	if limits.Streams == 0 {
		return
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	m.usageLocked(who, limits).streams--
}

func (m *Meter) usageLocked(who identity.Principal, limits *Limits) *usage {
	key := meterKey{who, *limits}
	u := m.used[key]
	if u == nil {
		if len(m.used) >= maxMetered {
			for key, u := range m.used {
				if u.streams == 0 {
					delete(m.used, key)
				}
			}
		}
		u = &usage{rate: rate.NewLimiter(rate.Limit(limits.RequestsPerSecond), int(math.Ceil(2*limits.RequestsPerSecond)))}
		m.used[key] = u
	}
	return u
}
