//go:build unix

package transport

import (
	"errors"
	"syscall"
)

// canWriteNow says whether a socket can be written to without waiting; the runtime has made it non-blocking.
const canWriteNow = true

// writeNow writes what the kernel takes at once.
func writeNow(fd uintptr, p []byte) (int, error) {
	for {
		n, err := syscall.Write(int(fd), p)
		switch {
		case errors.Is(err, syscall.EINTR):
			continue
		case errors.Is(err, syscall.EAGAIN):
			return 0, nil
		}
		return max(n, 0), err
	}
}
