package main

import (
	"context"
	"runtime/debug"
	"runtime/metrics"
	"strings"
	"time"
)

const (
	// leastMemory is what Go may use before it collects more often than growth demands. With the
	// program itself, about 20 MiB, the process stays below 100 MiB.
	leastMemory = 80 << 20
	// spareMemory is what there is always room for beside the heap that is live: stacks, and what
	// is allocated between two collections.
	spareMemory = 24 << 20
	// growth is by how many percent the heap grows between two collections where memory is no
	// concern.
	growth = 400
	// paceInterval is how often the limit follows the heap.
	paceInterval = time.Second
)

// paceCollector has garbage collected when memory demands it, until ctx ends. By default Go does
// so whenever the heap has doubled. The heap of small answers is small, so that this is often
// and takes a tenth of the CPU; that of large ones is mostly buffers, which cost a collection
// nothing, so that it may come sooner. Where the environment says when to collect, that counts
// instead.
func paceCollector(ctx context.Context, environ []string) {
	for _, variable := range environ {
		if strings.HasPrefix(variable, "GOGC=") || strings.HasPrefix(variable, "GOMEMLIMIT=") {
			return
		}
	}
	debug.SetGCPercent(growth)
	ticker := time.NewTicker(paceInterval)
	defer ticker.Stop()
	live := []metrics.Sample{{Name: "/gc/heap/live:bytes"}}
	limit := int64(0)
	for {
		metrics.Read(live)
		if next := memoryLimit(live[0].Value.Uint64()); next != limit {
			limit = next
			debug.SetMemoryLimit(limit)
		}
		select {
		case <-ctx.Done():
			return
		case <-ticker.C:
		}
	}
}

// memoryLimit returns the soft limit of Go's memory for a heap of which live bytes were live
// when it was last collected. A limit that did not follow would have a heap that is really
// needed collected without pause. It is in steps, for setting it stops the world.
func memoryLimit(live uint64) int64 {
	const step = 8 << 20
	return max(leastMemory, (int64(live)+spareMemory+step-1)/step*step)
}
