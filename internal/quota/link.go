package quota

import (
	"context"
	"log/slog"
	"math/rand/v2"
	"time"
)

const (
	// probeInterval is the least time between heartbeats while the store is away. A random time of
	// at most as much is added.
	probeInterval = 250 * time.Millisecond
	// retryJitter bounds the random time that is added to the store's wait, so that no process is the
	// first at every slot.
	retryJitter = time.Millisecond
)

// link asks the store, each time within timeout and without the limiter's lock. That lock guards what
// the link knows of the store.
type link struct {
	store   Store // nil if there is none
	timeout time.Duration
	least   int // of replicas
	logger  *slog.Logger

	share share
	err   error
	lost  uint64
}

// newLink returns a link that knows of this process and of those that are configured, and of no other.
func newLink(store Store, timeout time.Duration, replicas int, logger *slog.Logger) link {
	if store == nil {
		replicas = 1
	}
	return link{store: store, timeout: timeout, least: replicas, logger: logger, share: share{replicas: replicas, since: longPast}}
}

// take asks the store for an admission. A caller that gives up meanwhile is no fault of the store.
func (k *link) take(ctx context.Context, claims []Claim, instead Stamp) (Ruling, error) {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), k.timeout)
	defer cancel()
	return k.store.Take(ctx, claims, instead)
}

// pause tells the store of a 429.
func (k *link) pause(ctx context.Context, budget string, p Pause) error {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), k.timeout)
	defer cancel()
	return k.store.Pause(ctx, budget, p)
}

// beat tells the store that this process is there.
func (k *link) beat(ctx context.Context) (replicas int, err error) {
	ctx, cancel := context.WithTimeout(ctx, k.timeout)
	defer cancel()
	return k.store.Beat(ctx)
}

// foundLocked notes that the store answered a heartbeat.
func (k *link) foundLocked(now instant, replicas int) {
	if !k.share.up {
		k.share.up, k.share.since, k.err = true, now, nil
	}
	// A store that comes back empty has not heard of every process yet.
	if replicas > k.share.replicas || now >= k.share.since+recoverGrace {
		k.share.replicas = max(k.least, replicas)
	}
}

// loseLocked notes that the store did not answer.
func (k *link) loseLocked(err error) {
	if k.share.up {
		k.lost++
	}
	k.share.up, k.err = false, err
}

// stateLocked returns what Snapshot says of the store.
func (k *link) stateLocked() StoreState {
	if k.store == nil {
		return StoreState{}
	}
	return StoreState{Configured: true, Up: k.share.up, Replicas: k.share.replicas, Lost: k.lost, Err: k.err}
}

// keep calls beat again and again until ctx ends. It logs when the store is away and when it is back,
// at most once a heartbeat, however often the store is lost in between.
func (k *link) keep(ctx context.Context, beat func(context.Context), state func() StoreState) {
	logged := StoreState{Up: true}
	for {
		s := state()
		interval := BeatInterval
		if !s.Up {
			interval = probeInterval + rand.N(probeInterval) //nolint:gosec // jitter, not a secret
		}
		if s.Up != logged.Up || s.Lost != logged.Lost {
			logged = s
			k.log(ctx, s)
		}
		select {
		case <-ctx.Done():
			return
		case <-time.After(interval):
			beat(ctx)
		}
	}
}

func (k *link) log(ctx context.Context, s StoreState) {
	switch {
	case ctx.Err() != nil: // Nobody cares for the store of a limiter that closes.
	case s.Up:
		k.logger.InfoContext(ctx, "the store of the quota is back", "replicas", s.Replicas, "lost", s.Lost)
	default:
		k.logger.WarnContext(ctx, "the store of the quota is away: a local share is used", "replicas", s.Replicas, "lost", s.Lost, "error", s.Err)
	}
}
