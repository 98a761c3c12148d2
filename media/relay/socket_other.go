//go:build !linux

package relay

import (
	"net"
	"net/netip"
	"sync"

	"github.com/locktone/locktone/media/rtpport"
)

// socket is a UDP socket read by a goroutine of its own; only Linux has the faster way.
type socket struct {
	given bool // of a network of its own
	conn  rtpport.Conn
}

// target is an address to send to.
type target struct{ addr netip.AddrPort }

func newTarget(to netip.AddrPort) *target { return &target{to} }

func listen(at netip.AddrPort, _ int) (*socket, error) {
	conn, err := net.ListenUDP("udp", net.UDPAddrFromAddrPort(at))
	if err != nil {
		return nil, err
	}
	return &socket{conn: conn}, nil
}

func (s *socket) close() { _ = s.conn.Close() }

func (s *socket) send(b []byte, to *target) bool {
	return sendOn(s.conn, b, to)
}

// worker waits for the goroutines of its sockets.
type worker struct {
	wg   sync.WaitGroup
	done chan struct{}
}

func newWorker() (*worker, error) { return &worker{done: make(chan struct{})}, nil }

func (w *worker) add(p *Port) error {
	w.wg.Go(func() { p.read(p.rtp.conn, false) })
	w.wg.Go(func() { p.read(p.rtcp.conn, true) })
	return nil
}

func (w *worker) remove(*Port) {}

func (w *worker) stop() { close(w.done) }

func (w *worker) run() {
	<-w.done
	w.wg.Wait()
}
