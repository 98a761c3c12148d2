package relay

import (
	"errors"
	"net"
	"net/netip"
	"time"

	"github.com/locktone/locktone/media/rtpport"
)

// listenOn opens a socket of a network that is not the host's.
func listenOn(n rtpport.Network, at netip.AddrPort) (*socket, error) {
	conn, err := n.ListenUDP(at)
	if err != nil {
		return nil, err
	}
	return &socket{given: true, conn: conn}, nil
}

func sendOn(conn rtpport.Conn, b []byte, to *target) bool {
	_, err := conn.WriteToUDPAddrPort(b, to.addr)
	return err == nil
}

// read is the goroutine of a socket that no thread watches. RTP and RTCP of a port take turns, as they do on a thread: what has been
// unprotected is in memory of the port until it is sent.
func (p *Port) read(conn rtpport.Conn, control bool) {
	buf := make([]byte, bufferSize)
	for {
		n, from, err := conn.ReadFromUDPAddrPort(buf)
		if errors.Is(err, net.ErrClosed) {
			return
		}
		if err == nil {
			p.turn.Lock()
			p.packet(time.Now(), buf[:n:bufferSize], from, control)
			p.turn.Unlock()
		}
	}
}
