//go:build unix

package http1

import (
	"errors"
	"net"
	"syscall"
)

// alive reports whether an idle connection can still be used, as far as the kernel knows: the
// peer has neither closed it nor sent anything. Connections outside the kernel are taken to be
// alive.
func alive(c net.Conn) bool {
	under, ok := c.(syscall.Conn)
	if !ok {
		return true
	}
	socket, err := under.SyscallConn()
	if err != nil {
		return false
	}
	quiet := false
	err = socket.Read(func(fd uintptr) bool {
		var b [1]byte
		// Go's sockets do not block. Whatever can be read makes the connection useless.
		_, err := syscall.Read(int(fd), b[:])
		quiet = errors.Is(err, syscall.EAGAIN)
		return true
	})
	return err == nil && quiet
}
