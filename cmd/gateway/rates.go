package main

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"log/slog"
	"sync/atomic"
	"time"

	"samsara.internal/gateway/internal/config"
	"samsara.internal/gateway/internal/identity"
	"samsara.internal/gateway/internal/policy"
	"samsara.internal/gateway/internal/quota"
	"samsara.internal/gateway/internal/quota/redisstore"
)

// ratesRest is how long the store of rates is left alone after it has failed.
const ratesRest = time.Second

// rates counts the calls that the policy bounds in the Redis that shares the quota. It is safe for concurrent use.
type rates struct {
	store   quota.Store
	timeout time.Duration
	log     *slog.Logger
	// rested is when the store may be asked again, in nanoseconds since 1970.
	rested atomic.Int64
}

// newRates returns the store of rates, and what closes it. Both do nothing if the configuration has no Redis.
func newRates(cfg config.Config, log *slog.Logger) (shared policy.SharedRates, stop func(), err error) {
	if cfg.QuotaRedis.Reveal() == "" {
		return nil, func() {}, nil
	}
	store, err := redisstore.New(redisstore.Config{URL: cfg.QuotaRedis.Reveal(), Organization: cfg.QuotaOrganization, Token: cfg.QuotaOrganization})
	if err != nil {
		return nil, nil, err
	}
	stop = func() { _ = store.Close() } // Nobody waits for it any more.
	return &rates{store: store, timeout: cfg.QuotaRedisTimeout, log: log}, stop, nil
}

// Take implements policy.SharedRates.
func (r *rates) Take(ctx context.Context, who identity.Principal, limits string, most int, window time.Duration) (wait time.Duration, ok bool) {
	if time.Now().UnixNano() < r.rested.Load() {
		return 0, false
	}
	bounded, cancel := context.WithTimeout(ctx, r.timeout)
	defer cancel()
	// A hash, because a name may be long, and is nobody's business who may look into Redis.
	name := sha256.Sum256([]byte(who.Means.String() + ":" + who.Name + "\n" + limits))
	claim := quota.Claim{Budget: "rate:" + hex.EncodeToString(name[:16]), Requests: most, Window: window, Configured: window}
	ruling, err := r.store.Take(bounded, []quota.Claim{claim}, 0)
	if err != nil && ctx.Err() == nil {
		r.rested.Store(time.Now().Add(ratesRest).UnixNano())
		r.log.WarnContext(ctx, "the policy's requests-per-second are counted by this replica alone", "error", err)
	}
	return ruling.Wait, err == nil
}
