package main

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"runtime/debug"
	"strings"
	"syscall"
	"time"

	"github.com/KimMachineGun/automemlimit/memlimit"

	"samsara.internal/gateway/internal/config"
	"samsara.internal/gateway/internal/lease"
)

const (
	// heapGrowth is by how many percent the heap grows between two collections. Go's default of 100
	// costs a seventh more CPU. 400 would save half of that, for half as much memory again.
	heapGrowth = 200
	// memoryShare is the share of the container's memory for the Go runtime. The rest is for the
	// program's file in memory, and for what is allocated during a collection.
	memoryShare = 0.8
	// memoryInterval is how often the container's memory limit is read again.
	memoryInterval = 30 * time.Second
)

// limitMemory makes Go collect garbage before the memory of the container is used up, until ctx ends.
// GOMEMLIMIT and GOGC in the environment take precedence.
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
	_, err := memlimit.Set(memlimit.WithRatio(memoryShare), memlimit.WithRefreshInterval(ctx, memoryInterval))
	if err != nil && !errors.Is(err, fs.ErrNotExist) { // Without /proc, as in an empty root, no limit can be known.
		return fmt.Errorf("memory limit: %w", err)
	}
	return nil
}

// memory is the memory that clients may make the gateway hold.
type memory struct{ answers, requests *lease.Pool }

// newMemory returns memory of the sizes in cfg. limit is the memory limit of the Go runtime.
func newMemory(cfg config.Config, limit int64) memory {
	return memory{
		answers:  lease.NewPool(cfg.MaxInFlightBytes),
		requests: lease.NewPool(requestRoom(cfg.MaxRequestBytes, limit)),
	}
}

// requestRoom returns how much memory there is for requests that are being read, each of at most each
// bytes: an eighth of the limit, at most 64 MiB, but always enough for 4 of them.
func requestRoom(each, limit int64) int64 { return max(4*each, min(64<<20, limit/8)) }

// maxDescriptors returns how many descriptors the process may open. Go has raised that to as much as it may be.
func maxDescriptors() (uint64, error) {
	var limit syscall.Rlimit
	if err := syscall.Getrlimit(syscall.RLIMIT_NOFILE, &limit); err != nil {
		return 0, fmt.Errorf("file descriptors: %w", err)
	}
	return limit.Cur, nil
}

// connectionsWithin returns how many connections clients may have: as many as are configured, but at most half of the
// descriptors, at least one. The rest is for Samsara, the admin address and files.
func connectionsWithin(configured int, descriptors uint64) int {
	return int(min(uint64(configured), max(1, descriptors/2)))
}
