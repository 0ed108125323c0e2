package main

import (
	"samsara.internal/gateway/internal/config"
	"samsara.internal/gateway/internal/lease"
)

// memory is what clients may make the gateway hold.
type memory struct{ answers, requests *lease.Pool }

func newMemory(cfg config.Config) memory {
	return memory{
		answers:  lease.NewPool(cfg.MaxInFlightBytes),
		requests: lease.NewPool(max(64<<20, 4*cfg.MaxRequestBytes)),
	}
}
