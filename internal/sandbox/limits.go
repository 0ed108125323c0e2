package sandbox

import (
	"net/http"
	"sync"
	"time"
)

// The limits of all operations together, which Samsara publishes.
const (
	tokenRequests        = 150
	organizationRequests = 200
	sharedWindow         = time.Second
)

// limits refuses requests above Samsara's rate limits: those of the token, of which there is only
// one, those of the organization, and the one that an operation states. It is safe for concurrent
// use.
type limits struct {
	now func() time.Time

	mu         sync.Mutex
	shared     []*window
	operations map[*operation]*window
}

func newLimits(now func() time.Time) *limits {
	return &limits{
		now:        now,
		shared:     []*window{newWindow(tokenRequests, sharedWindow), newWindow(organizationRequests, sharedWindow)},
		operations: map[*operation]*window{},
	}
}

// wait counts a request to an operation and returns 0. If a limit is reached, it counts nothing and
// returns the time until the request may be sent. The operation is nil for a request to none.
func (l *limits) wait(op *operation) time.Duration {
	l.mu.Lock()
	defer l.mu.Unlock()
	windows := l.shared
	if op != nil && op.GetRateLimit().GetRequests() > 0 {
		own := l.operations[op]
		if own == nil {
			own = newWindow(int(op.GetRateLimit().GetRequests()), op.GetRateLimit().GetWindow().AsDuration())
			l.operations[op] = own
		}
		windows = append(windows[:len(windows):len(windows)], own)
	}
	now, longest := l.now(), time.Duration(0)
	for _, w := range windows {
		longest = max(longest, w.wait(now))
	}
	if longest > 0 {
		return longest
	}
	for _, w := range windows {
		w.count(now)
	}
	return 0
}

// tooMany is the answer to a request above a limit.
func tooMany(path, id string, wait time.Duration) reply {
	out := refused(path, id, refuse(http.StatusTooManyRequests, "%s", http.StatusText(http.StatusTooManyRequests)))
	out.retryAfter = wait
	return out
}

// window is a limit of requests in any interval of a length. It keeps the times of the last ones in a ring.
type window struct {
	length time.Duration
	times  []time.Time
	oldest int
}

func newWindow(requests int, length time.Duration) *window {
	return &window{length: length, times: make([]time.Time, requests)}
}

func (w *window) wait(now time.Time) time.Duration {
	return w.times[w.oldest].Add(w.length).Sub(now)
}

func (w *window) count(now time.Time) {
	w.times[w.oldest] = now
	w.oldest = (w.oldest + 1) % len(w.times)
}
