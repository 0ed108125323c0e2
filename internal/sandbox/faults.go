package sandbox

import (
	"context"
	"fmt"
	"net"
	"net/http"
	"strconv"
	"sync"
	"time"
)

// maxFaultTexts is how many different texts of FaultHeader are counted. One more resets all counts.
const maxFaultTexts = 1024

// faults decides which requests go wrong. It is safe for concurrent use.
type faults struct {
	seed       uint64
	configured []Fault

	mu     sync.Mutex
	counts map[string]int // requests so far, by the fault's text
}

func newFaults(seed uint64, configured []Fault) *faults {
	return &faults{seed: seed, configured: configured, counts: map[string]int{}}
}

// due returns the fault to apply to a request: the one in its header, else the first configured one
// that is due. It returns the zero fault if none is.
func (f *faults) due(r *http.Request) (Fault, error) {
	attempt := 0
	if text := r.Header.Get(AttemptHeader); text != "" {
		n, err := strconv.Atoi(text)
		if err != nil || n < 1 {
			return Fault{}, fmt.Errorf("%s: must be a whole number of at least 1, is %s", AttemptHeader, quote(text))
		}
		attempt = n
	}
	candidates := f.configured
	if text := r.Header.Get(FaultHeader); text != "" {
		fault, err := ParseFault(text)
		if err != nil {
			return Fault{}, fmt.Errorf("%s: %w", FaultHeader, err)
		}
		candidates = append([]Fault{fault}, candidates...)
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	for _, fault := range candidates {
		if fault.matches(r.URL.EscapedPath()) && f.applies(fault, attempt) {
			return fault, nil
		}
	}
	return Fault{}, nil
}

// applies counts a request that matches a fault, and reports whether the fault happens to it. Each
// seed and fault has its own fixed sequence of decisions for a share.
func (f *faults) applies(fault Fault, attempt int) bool {
	if fault.First == 0 && fault.Nth == 0 && fault.Share == 0 {
		return true
	}
	text := fault.String()
	if _, known := f.counts[text]; !known && len(f.counts) >= maxFaultTexts {
		clear(f.counts)
	}
	f.counts[text]++
	count := f.counts[text]
	if fault.Nth != 0 && count != fault.Nth {
		return false
	}
	if fault.Share != 0 {
		draw := mixNumber(mix(f.seed, text), uint64(count)) >> 11
		if float64(draw)/(1<<53) >= fault.Share {
			return false
		}
	}
	if attempt > 0 {
		count = attempt
	}
	return fault.First == 0 || count <= fault.First
}

// wait waits. It reports whether the client is still there.
func wait(ctx context.Context, d time.Duration) bool {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
		return true
	case <-ctx.Done():
		return false
	}
}

// reset closes the connection. The peer sees a TCP reset if the transport is TCP.
func reset(w http.ResponseWriter) {
	conn, _, err := http.NewResponseController(w).Hijack()
	if err != nil {
		// HTTP/2 and httptest.ResponseRecorder cannot be hijacked.
		http.Error(w, "connection reset", http.StatusBadGateway)
		return
	}
	if tcp, ok := conn.(*net.TCPConn); ok {
		_ = tcp.SetLinger(0) // without it the peer sees an orderly close
	}
	_ = conn.Close() // nobody is left to tell
}
