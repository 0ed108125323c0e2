//go:build unix

package http1

import (
	"errors"
	"io"
	"os"
	"syscall"
)

// canAsk is whether readNow works.
const canAsk = true

// readNow reads what a socket has, without waiting: Go's sockets do not block.
func readNow(fd uintptr, p []byte) (int, error) {
	for {
		n, err := syscall.Read(int(fd), p)
		switch {
		case errors.Is(err, syscall.EINTR):
			continue
		case errors.Is(err, syscall.EAGAIN):
			return 0, os.ErrDeadlineExceeded
		case err != nil:
			return 0, err
		case n == 0:
			return 0, io.EOF
		default:
			return n, nil
		}
	}
}
