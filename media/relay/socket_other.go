//go:build !linux

package relay

import (
	"errors"
	"net"
	"net/netip"
	"sync"
	"time"
)

// socket is a UDP socket read by a goroutine of its own; only Linux has the faster way.
type socket struct {
	conn *net.UDPConn
}

// target is an address to send to.
type target struct{ addr netip.AddrPort }

func newTarget(to netip.AddrPort) *target { return &target{to} }

func listen(at netip.AddrPort, _ int) (*socket, error) {
	conn, err := net.ListenUDP("udp", net.UDPAddrFromAddrPort(at))
	if err != nil {
		return nil, err
	}
	return &socket{conn}, nil
}

func (s *socket) close() { _ = s.conn.Close() }

func (s *socket) send(b []byte, to *target) bool {
	_, err := s.conn.WriteToUDPAddrPort(b, to.addr)
	return err == nil
}

// worker waits for the goroutines of its sockets.
type worker struct {
	wg   sync.WaitGroup
	done chan struct{}
}

func newWorker() (*worker, error) { return &worker{done: make(chan struct{})}, nil }

func (w *worker) add(p *Port) error {
	w.wg.Go(func() { w.read(p, p.rtp, false) })
	w.wg.Go(func() { w.read(p, p.rtcp, true) })
	return nil
}

func (w *worker) read(p *Port, s *socket, control bool) {
	buf := make([]byte, bufferSize)
	for {
		n, from, err := s.conn.ReadFromUDPAddrPort(buf)
		if errors.Is(err, net.ErrClosed) {
			return
		}
		if err == nil {
			p.packet(time.Now(), buf[:n:bufferSize], from, control)
		}
	}
}

func (w *worker) remove(*Port) {}

func (w *worker) stop() { close(w.done) }

func (w *worker) run() {
	<-w.done
	w.wg.Wait()
}
