package http1

import (
	"encoding/binary"
	"net"
	"syscall"
	"time"
)

// socket is a connection as the network has it, below TLS. Besides being read, which waits, it can
// be looked at, which does not. One goroutine reads it at a time.
type socket struct {
	net.Conn
	records *records // nil without TLS

	// looking makes Read take what is there, else return os.ErrDeadlineExceeded, the one error
	// after which a tls.Conn can be read again.
	looking bool
	kernel  syscall.RawConn // nil where the kernel cannot be asked
	take    func(fd uintptr) bool
	room    []byte // what take fills
	taken   int
	failed  error
}

func newSocket(c net.Conn) *socket {
	s := &socket{Conn: c}
	if under, ok := c.(syscall.Conn); ok && canAsk {
		s.kernel, _ = under.SyscallConn() // where it fails the connection is closed
	}
	s.take = func(fd uintptr) bool { // kept, because it would be an allocation each time
		s.taken, s.failed = readNow(fd, s.room)
		return true
	}
	return s
}

// Read implements io.Reader.
func (s *socket) Read(p []byte) (n int, err error) {
	switch {
	case !s.looking:
		n, err = s.Conn.Read(p)
	case s.kernel == nil:
		n, err = s.readDue(p)
	default:
		s.room, s.taken = p, 0
		if err = s.kernel.Read(s.take); err == nil {
			n, err = s.taken, s.failed
		}
		s.room = nil
	}
	if s.records != nil {
		s.records.pass(p[:n])
	}
	return n, err
}

// readDue reads a connection of which the kernel knows nothing: some tell that it has ended.
func (s *socket) readDue(p []byte) (int, error) {
	if err := s.SetReadDeadline(time.Unix(1, 0)); err != nil {
		return 0, err
	}
	n, err := s.Conn.Read(p)
	if undone := s.SetReadDeadline(time.Time{}); undone != nil {
		return n, undone
	}
	return n, err
}

// records follows the records of TLS, to tell whether the last one has come whole.
type records struct {
	header [5]byte // type, version, length
	have   int     // bytes of the header
	left   int     // bytes of the record
}

func (r *records) pass(p []byte) {
	for len(p) > 0 {
		if r.left > 0 {
			n := min(r.left, len(p))
			r.left -= n
			p = p[n:]
			continue
		}
		n := copy(r.header[r.have:], p)
		r.have += n
		p = p[n:]
		if r.have == len(r.header) {
			r.have, r.left = 0, int(binary.BigEndian.Uint16(r.header[3:]))
		}
	}
}

func (r *records) whole() bool { return r == nil || r.have == 0 && r.left == 0 }
