package relay

import (
	"encoding/binary"
	"net/netip"
	"os"
	"sync"
	"syscall"
	"time"
	"unsafe"

	"github.com/locktone/locktone/media/rtpport"
)

// socket is a UDP socket that the Go runtime knows nothing of: the runtime's poller would wake for every packet as well.
type socket struct {
	fd    int
	v6    bool
	slot  int // in its worker, counted from 1; 0 while it is not watched
	given bool
	conn  rtpport.Conn // in place of fd, when given
}

// target is an address as the kernel takes it, made once per change of address.
type target struct {
	addr netip.AddrPort
	v4   syscall.RawSockaddrInet4
	v6   syscall.RawSockaddrInet6
}

func newTarget(to netip.AddrPort) *target {
	t := &target{addr: to}
	t.v4.Family, t.v4.Addr = syscall.AF_INET, [4]byte{}
	if to.Addr().Is4() {
		t.v4.Addr = to.Addr().As4()
	}
	t.v6.Family, t.v6.Addr = syscall.AF_INET6, to.Addr().As16()
	putPort(&t.v4.Port, to.Port())
	putPort(&t.v6.Port, to.Port())
	return t
}

// putPort writes a port in network order, whatever the machine's.
func putPort(p *uint16, n uint16) {
	binary.BigEndian.PutUint16((*[2]byte)(unsafe.Pointer(p))[:], n)
}

func listen(at netip.AddrPort, dscp int) (*socket, error) {
	s := &socket{v6: !at.Addr().Unmap().Is4()}
	family := syscall.AF_INET
	if s.v6 {
		family = syscall.AF_INET6
	}
	fd, err := syscall.Socket(family, syscall.SOCK_DGRAM|syscall.SOCK_NONBLOCK|syscall.SOCK_CLOEXEC, 0)
	if err != nil {
		return nil, os.NewSyscallError("socket", err)
	}
	s.fd = fd
	var name syscall.Sockaddr
	if s.v6 {
		_ = syscall.SetsockoptInt(fd, syscall.IPPROTO_IPV6, syscall.IPV6_TCLASS, dscp<<2)
		name = &syscall.SockaddrInet6{Port: int(at.Port()), Addr: at.Addr().As16()}
	} else {
		_ = syscall.SetsockoptInt(fd, syscall.IPPROTO_IP, syscall.IP_TOS, dscp<<2)
		name = &syscall.SockaddrInet4{Port: int(at.Port()), Addr: at.Addr().Unmap().As4()}
	}
	if err := syscall.Bind(fd, name); err != nil {
		s.close()
		return nil, os.NewSyscallError("bind", err)
	}
	return s, nil
}

func (s *socket) close() {
	if s.given {
		_ = s.conn.Close()
		return
	}
	_ = syscall.Close(s.fd)
}

// send never blocks: what the kernel cannot take is lost, as on any network.
func (s *socket) send(b []byte, to *target) bool {
	if s.given {
		return sendOn(s.conn, b, to)
	}
	name, size := unsafe.Pointer(&to.v4), uintptr(syscall.SizeofSockaddrInet4)
	if s.v6 {
		name, size = unsafe.Pointer(&to.v6), syscall.SizeofSockaddrInet6
	}
	_, _, errno := syscall.RawSyscall6(syscall.SYS_SENDTO, uintptr(s.fd), uintptr(unsafe.Pointer(unsafe.SliceData(b))), uintptr(len(b)),
		syscall.MSG_DONTWAIT, uintptr(name), size)
	return errno == 0
}

// receive reads one datagram; it never blocks.
func (w *worker) receive(fd int) (n int, from netip.AddrPort, ok bool) {
	w.nameLen = uint32(unsafe.Sizeof(w.name))
	r, _, errno := syscall.RawSyscall6(syscall.SYS_RECVFROM, uintptr(fd), uintptr(unsafe.Pointer(&w.buf[0])), bufferSize,
		syscall.MSG_DONTWAIT, uintptr(unsafe.Pointer(&w.name)), uintptr(unsafe.Pointer(&w.nameLen)))
	if errno != 0 {
		return 0, from, false
	}
	port := binary.BigEndian.Uint16((*[2]byte)(unsafe.Pointer(&w.name.Port))[:])
	if w.name.Family == syscall.AF_INET {
		v4 := (*syscall.RawSockaddrInet4)(unsafe.Pointer(&w.name))
		return int(r), netip.AddrPortFrom(netip.AddrFrom4(v4.Addr), port), true
	}
	return int(r), netip.AddrPortFrom(netip.AddrFrom16(w.name.Addr).Unmap(), port), true
}

// worker is one thread: it waits for any of its sockets, reads one packet of each that has one, and passes it on.
type worker struct {
	epoll int
	wake  int // eventfd that ends the thread

	mu    sync.Mutex
	slots []slot
	free  []int

	// only of the thread
	buf     [bufferSize]byte
	name    syscall.RawSockaddrInet6
	nameLen uint32
	events  [128]syscall.EpollEvent
}

// slot is what an epoll event stands for. The generation tells an event of a socket that has been closed meanwhile from
// one of the socket that has its slot now.
type slot struct {
	port       *Port
	fd         int
	control    bool
	generation int32
}

// stopSlot is the number of the wake descriptor's event.
const stopSlot = -1

func newWorker() (*worker, error) {
	epoll, err := syscall.EpollCreate1(syscall.EPOLL_CLOEXEC)
	if err != nil {
		return nil, os.NewSyscallError("epoll_create1", err)
	}
	const nonblock, cloexec = 0x800, 0x80000
	wake, _, errno := syscall.Syscall(syscall.SYS_EVENTFD2, 0, nonblock|cloexec, 0)
	if errno != 0 {
		_ = syscall.Close(epoll)
		return nil, os.NewSyscallError("eventfd2", errno)
	}
	w := &worker{epoll: epoll, wake: int(wake)}
	event := syscall.EpollEvent{Events: syscall.EPOLLIN, Fd: stopSlot}
	if err := syscall.EpollCtl(epoll, syscall.EPOLL_CTL_ADD, w.wake, &event); err != nil {
		w.closeAll()
		return nil, os.NewSyscallError("epoll_ctl", err)
	}
	return w, nil
}

func (w *worker) closeAll() {
	_ = syscall.Close(w.epoll)
	_ = syscall.Close(w.wake)
}

func (w *worker) add(p *Port) error {
	w.mu.Lock()
	defer w.mu.Unlock()
	if err := w.watch(p, p.rtp, false); err != nil {
		return err
	}
	if err := w.watch(p, p.rtcp, true); err != nil {
		w.unwatch(p.rtp)
		return err
	}
	return nil
}

func (w *worker) watch(p *Port, sock *socket, control bool) error {
	n := len(w.slots)
	if k := len(w.free); k > 0 {
		n, w.free = w.free[k-1], w.free[:k-1]
	} else {
		w.slots = append(w.slots, slot{})
	}
	s := &w.slots[n]
	s.port, s.fd, s.control = p, sock.fd, control
	s.generation++
	event := syscall.EpollEvent{Events: syscall.EPOLLIN, Fd: int32(n), Pad: s.generation}
	if err := syscall.EpollCtl(w.epoll, syscall.EPOLL_CTL_ADD, sock.fd, &event); err != nil {
		s.port = nil
		w.free = append(w.free, n)
		return os.NewSyscallError("epoll_ctl", err)
	}
	sock.slot = n + 1
	return nil
}

func (w *worker) remove(p *Port) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.unwatch(p.rtp)
	w.unwatch(p.rtcp)
}

func (w *worker) unwatch(sock *socket) {
	if sock.slot == 0 {
		return
	}
	n := sock.slot - 1
	_ = syscall.EpollCtl(w.epoll, syscall.EPOLL_CTL_DEL, sock.fd, nil)
	w.slots[n].port, sock.slot = nil, 0
	w.free = append(w.free, n)
}

// stop ends the thread.
func (w *worker) stop() {
	one := [8]byte{1}
	_, _ = syscall.Write(w.wake, one[:])
}

// run is the thread.
func (w *worker) run() {
	defer w.closeAll()
	for {
		n, err := syscall.EpollWait(w.epoll, w.events[:], -1)
		if err != nil && err != syscall.EINTR {
			return
		}
		now := time.Now()
		for i := range max(n, 0) {
			if !w.event(now, &w.events[i]) {
				return
			}
		}
	}
}

// event reads one packet of the socket an event stands for. epoll is level triggered: if there are more, it says so
// again, and no socket keeps another waiting.
func (w *worker) event(now time.Time, e *syscall.EpollEvent) (goOn bool) {
	if e.Fd == stopSlot {
		return false
	}
	w.mu.Lock()
	s := w.slots[e.Fd]
	if s.port == nil || s.generation != e.Pad {
		w.mu.Unlock()
		return true
	}
	// The socket is read under the worker's lock: remove takes it before the descriptor is closed, so that the number
	// cannot stand for another socket.
	n, from, ok := w.receive(s.fd)
	w.mu.Unlock()
	if ok {
		s.port.packet(now, w.buf[:n:bufferSize], from, s.control)
	}
	return true
}
