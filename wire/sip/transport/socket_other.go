//go:build !linux

package transport

import "net"

// growBuffers asks for socket buffers that survive a burst.
func growBuffers(c *net.UDPConn, size int) {
	_ = c.SetReadBuffer(size)
	_ = c.SetWriteBuffer(size)
}
