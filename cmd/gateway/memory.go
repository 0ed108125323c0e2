package main

import (
	"context"
	"fmt"
	"runtime/debug"
	"strings"
	"time"

	"github.com/KimMachineGun/automemlimit/memlimit"

	"samsara.internal/gateway/internal/config"
	"samsara.internal/gateway/internal/lease"
)

const (
	// heapGrowth is by how many percent the heap grows between two collections. Go's own 100 costs
	// a seventh more CPU; twice as much gains half of that, for half as much memory again.
	heapGrowth = 200
	// memoryShare is how much of the container's memory is for the Go runtime. The rest is for the
	// pages of the program itself, and for what is allocated while it collects.
	memoryShare = 0.8
	// memoryInterval is how often the container's memory is asked for again.
	memoryInterval = 30 * time.Second
)

// limitMemory makes Go collect garbage before the memory of the container is used up, until ctx
// ends. What the environment says by GOMEMLIMIT counts instead, and so does when to collect.
func limitMemory(ctx context.Context, environ []string) error {
	own := true
	for _, variable := range environ {
		if strings.HasPrefix(variable, "GOGC=") || strings.HasPrefix(variable, "GOMEMLIMIT=") {
			own = false
		}
	}
	if own {
		debug.SetGCPercent(heapGrowth)
	}
	if _, err := memlimit.Set(memlimit.WithRatio(memoryShare), memlimit.WithRefreshInterval(ctx, memoryInterval)); err != nil {
		return fmt.Errorf("memory limit: %w", err)
	}
	return nil
}

// memory is what clients may make the gateway hold.
type memory struct{ answers, requests *lease.Pool }

// newMemory returns memory of the sizes that cfg has and limit, that of the Go runtime, allows.
func newMemory(cfg config.Config, limit int64) memory {
	return memory{
		answers:  lease.NewPool(cfg.MaxInFlightBytes),
		requests: lease.NewPool(requestRoom(cfg.MaxRequestBytes, limit)),
	}
}

// requestRoom is the memory for requests that are being read, of at most so many bytes each: an
// eighth of the limit, for 4 of them at least, and 64 MiB at most unless 4 of them are more.
func requestRoom(each, limit int64) int64 { return max(4*each, min(64<<20, limit/8)) }
