package service

import (
	"log/slog"
	"net"
	"slices"
	"sync"
	"syscall"
	"time"
)

// sweepInterval is the least time between two looks at which connections have been closed.
const sweepInterval = 100 * time.Millisecond

// accepted bounds the connections of a server. It leaves them as they are: see connections. A connection counts until
// grpc has closed it, which is noticed when the count matters. It is safe for concurrent use.
type accepted struct {
	limit  int
	logger *slog.Logger

	mu      sync.Mutex
	open    []syscall.RawConn
	swept   time.Time
	refused uint64
}

func newAccepted(limit int, logger *slog.Logger) *accepted {
	return &accepted{limit: limit, logger: logger}
}

// listen returns a listener whose connections are bounded.
func (a *accepted) listen(l net.Listener) net.Listener { return boundedListener{l, a} }

// count returns how many connections are open, how many may be, and how many have been refused.
func (a *accepted) count() (open, limit int64, refused uint64) {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.sweepLocked()
	return int64(len(a.open)), int64(a.limit), a.refused
}

// enter reports whether a connection may stay. One that is not the kernel's may.
func (a *accepted) enter(conn net.Conn) bool {
	socket, ok := conn.(syscall.Conn)
	if !ok {
		return true
	}
	raw, err := socket.SyscallConn()
	if err != nil {
		return true // It is closed already, which is noticed elsewhere.
	}
	a.mu.Lock()
	defer a.mu.Unlock()
	full := len(a.open) >= a.limit || len(a.open) == cap(a.open) // Those that were closed do not pile up.
	if full && time.Since(a.swept) >= sweepInterval {
		a.sweepLocked()
	}
	if len(a.open) >= a.limit {
		a.refused++
		return false
	}
	a.open = append(a.open, raw)
	return true
}

// sweepLocked forgets the connections that have been closed.
func (a *accepted) sweepLocked() {
	a.swept = time.Now()
	a.open = slices.DeleteFunc(a.open, func(raw syscall.RawConn) bool { return raw.Control(func(uintptr) {}) != nil })
}

// boundedListener closes connections beyond the limit as they come.
type boundedListener struct {
	net.Listener
	accepted *accepted
}

// Accept implements net.Listener.
func (l boundedListener) Accept() (net.Conn, error) {
	for {
		conn, err := l.Listener.Accept()
		if err != nil || l.accepted.enter(conn) {
			return conn, err
		}
		l.accepted.logger.Warn("connection closed: as many are open as may be", "peer", conn.RemoteAddr().String(), "limit", l.accepted.limit)
		_ = conn.Close() // Nothing was sent or read.
	}
}
