package http1

import (
	"encoding/binary"
	"net"
	"syscall"
	"time"
)

// socket is a network connection, below TLS. Read waits for bytes; look does not. One goroutine reads it
// at a time.
type socket struct {
	net.Conn
	records *records // nil without TLS

	// looking makes Read return what is there, or os.ErrDeadlineExceeded if nothing is: the only error
	// after which a tls.Conn can be read again.
	looking bool
	now     func(p []byte) (int, error) // how Read does that
	kernel  syscall.RawConn             // nil if the kernel cannot be asked
	take    func(fd uintptr) bool
	room    []byte // what take fills
	taken   int
	failed  error
}

func newSocket(c net.Conn) *socket {
	s := &socket{Conn: c}
	s.now = s.readDue
	switch under := c.(type) {
	case *secureTunnel:
		s.now = under.readNow
	case syscall.Conn:
		if !canAsk {
			break
		}
		var err error
		if s.kernel, err = under.SyscallConn(); err == nil { // it fails if the connection is closed
			s.now = s.readKernel
		}
	}
	s.take = func(fd uintptr) bool { // kept, because each look would allocate it
		s.taken, s.failed = readNow(fd, s.room)
		return true
	}
	return s
}

// look reads a stream without waiting. The stream is the socket or a TLS connection above it.
func (s *socket) look(stream net.Conn, p []byte) (int, error) {
	s.looking = true
	defer func() { s.looking = false }()
	return stream.Read(p)
}

// Read implements io.Reader.
func (s *socket) Read(p []byte) (n int, err error) {
	if s.looking {
		n, err = s.now(p)
	} else {
		n, err = s.Conn.Read(p)
	}
	if s.records != nil {
		s.records.pass(p[:n])
	}
	return n, err
}

func (s *socket) readKernel(p []byte) (int, error) {
	s.room, s.taken = p, 0
	err := s.kernel.Read(s.take)
	s.room = nil
	if err != nil {
		return 0, err
	}
	return s.taken, s.failed
}

// readDue reads a connection that the kernel cannot be asked about, with a deadline that has passed. Some
// connections say in this way that they have ended.
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

// records follows the records of TLS, to tell whether the last one is complete.
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
