package transport

import (
	"net"
	"syscall"
)

// growBuffers asks for socket buffers that survive a burst: the kernel's default of 212 kB loses datagrams below one
// busy core, and every loss comes back as a retransmission. SO_RCVBUFFORCE needs CAP_NET_ADMIN; without it
// net.core.rmem_max is the limit.
func growBuffers(c *net.UDPConn, size int) {
	raw, err := c.SyscallConn()
	if err != nil {
		return
	}
	_ = raw.Control(func(fd uintptr) {
		if syscall.SetsockoptInt(int(fd), syscall.SOL_SOCKET, syscall.SO_RCVBUFFORCE, size) != nil {
			_ = syscall.SetsockoptInt(int(fd), syscall.SOL_SOCKET, syscall.SO_RCVBUF, size)
		}
		if syscall.SetsockoptInt(int(fd), syscall.SOL_SOCKET, syscall.SO_SNDBUFFORCE, size) != nil {
			_ = syscall.SetsockoptInt(int(fd), syscall.SOL_SOCKET, syscall.SO_SNDBUF, size)
		}
	})
}
