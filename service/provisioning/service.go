package provisioning

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/netip"
	"sync"
	"syscall"
	"time"

	"github.com/locktone/locktone/bus"
	"github.com/locktone/locktone/pki"
	"github.com/locktone/locktone/trace"
	"github.com/locktone/locktone/wire/tftp"
)

// Service is running provisioning. Its listeners share one library; what they count and remember has locks of its own.
type Service struct {
	cfg     Config
	now     func() time.Time
	started time.Time
	library *library
	ctx     context.Context // ends with Close
	cancel  context.CancelFunc

	tftp       *tftp.Server
	http       *http.Server
	gate       *gate
	listening  []listening
	fallen     []string // standard ports that were not to be had, as sentences
	workers    sync.WaitGroup
	responders bus.Responders

	counters counters
	problems problems
}

// listening is one socket.
type listening struct {
	protocol protocol
	addr     netip.AddrPort
}

// protocol is one of the three ways in.
type protocol uint8

const (
	overTFTP protocol = iota
	overHTTP
	overHTTPS
)

func (p protocol) String() string { return [...]string{"tftp", "http", "https"}[p] }

// standard is the port a phone asks when nobody told it another.
func (p protocol) standard() int { return [...]int{69, 6970, 6971}[p] }

// Start starts the service. It returns when it listens.
func Start(ctx context.Context, cfg Config) (*Service, error) {
	cfg.Limits = cfg.Limits.withDefaults()
	s := &Service{cfg: cfg, now: cfg.Now}
	if s.now == nil {
		s.now = time.Now
	}
	s.started = s.now()
	s.library = newLibrary(cfg, s.now)
	s.ctx, s.cancel = context.WithCancel(context.Background())
	if err := s.start(); err != nil {
		s.Close(ctx)
		return nil, fmt.Errorf("provisioning: %w", err)
	}
	return s, nil
}

func (s *Service) start() error {
	if len(s.cfg.Addresses) == 0 {
		return errors.New("no address to listen on")
	}
	if _, err := s.library.sign.current(); err != nil {
		return err
	}
	s.tftp = tftp.NewServer(tftp.Config{Files: front{s}, Observer: front{s}, Transfers: s.cfg.Limits.Transfers, PerAddress: s.cfg.Limits.PerAddress,
		Sender: tftp.SenderConfig{Total: s.cfg.Limits.TransferTime}, Now: s.cfg.Now})
	s.gate = newGate(s.cfg.Limits.Connections, s.cfg.Limits.PerAddress, s.now, s.useless)
	s.http = s.newHTTP()
	for p, port := range []int{s.cfg.Ports.TFTP, s.cfg.Ports.HTTP, s.cfg.Ports.HTTPS} {
		if err := s.listen(protocol(p), port); err != nil {
			return err
		}
	}
	return s.serve()
}

// listen opens a protocol's sockets on every address, all with the same port.
func (s *Service) listen(p protocol, port int) error {
	want := port
	switch port {
	case 0:
		want = p.standard()
	case Free:
		want = 0
	}
	err := s.bind(p, want)
	if port == 0 && (errors.Is(err, syscall.EACCES) || errors.Is(err, syscall.EPERM) || errors.Is(err, syscall.EADDRINUSE)) {
		why := "may not be bound without the right to (run as root, or setcap cap_net_bind_service=+ep on the program)"
		if errors.Is(err, syscall.EADDRINUSE) {
			why = "is taken by another program"
		}
		if err = s.bind(p, 0); err == nil {
			s.fallen = append(s.fallen, fmt.Sprintf("%s port %d %s: %s listens on port %d instead, and phones must be told so", p, want, why, p, s.port(p)))
		}
	}
	return err
}

// maxBind is how often a free port is looked for that is free on every address.
const maxBind = 16

// bind opens a port on every address, or none. Port 0 is one that is free on all of them.
func (s *Service) bind(p protocol, port int) (err error) {
	for try := 0; try == 0 || port == 0 && try < maxBind && errors.Is(err, syscall.EADDRINUSE); try++ {
		var open []socket
		at := port
		for _, a := range s.cfg.Addresses {
			var x socket
			if x, err = openSocket(p, netip.AddrPortFrom(a, uint16(at))); err != nil {
				break
			}
			open = append(open, x)
			at = int(x.addr.Port())
		}
		if err == nil {
			for _, x := range open {
				if err := s.use(p, x); err != nil {
					return err
				}
			}
			return nil
		}
		for _, x := range open {
			x.close()
		}
	}
	return err
}

// socket is open and not yet in use.
type socket struct {
	addr netip.AddrPort
	udp  *net.UDPConn
	tcp  net.Listener
}

func (x socket) close() {
	if x.udp != nil {
		x.udp.Close()
	} else {
		x.tcp.Close()
	}
}

func openSocket(p protocol, at netip.AddrPort) (x socket, err error) {
	if p == overTFTP {
		if x.udp, err = net.ListenUDP("udp", net.UDPAddrFromAddrPort(at)); err == nil {
			x.addr = netip.AddrPortFrom(at.Addr(), x.udp.LocalAddr().(*net.UDPAddr).AddrPort().Port())
		}
		return x, err
	}
	if x.tcp, err = net.ListenTCP("tcp", net.TCPAddrFromAddrPort(at)); err == nil {
		x.addr = netip.AddrPortFrom(at.Addr(), x.tcp.Addr().(*net.TCPAddr).AddrPort().Port())
	}
	return x, err
}

// use serves a socket.
func (s *Service) use(p protocol, x socket) error {
	s.listening = append(s.listening, listening{p, x.addr})
	if p == overTFTP {
		return s.tftp.Serve(x.udp)
	}
	l := s.gate.wrap(x.tcp, p)
	if p == overHTTPS {
		l = tls.NewListener(l, s.cfg.Identity.ServerConfig(s.tlsPolicy()))
	}
	s.workers.Add(1)
	go func() {
		defer s.workers.Done()
		if err := s.http.Serve(l); !errors.Is(err, http.ErrServerClosed) {
			s.problem(p.String(), fmt.Sprintf("%s stopped on %s: %v", p, x.addr, err))
		}
	}()
	return nil
}

// tlsPolicy asks for no certificate: a phone that boots has nothing it must prove, and nothing here is secret.
func (s *Service) tlsPolicy() pki.ServerPolicy {
	return pki.ServerPolicy{ClientAuth: pki.ClientAuthNone, TLSPolicy: pki.TLSPolicy{KeyLog: s.cfg.KeyLog, NextProtos: []string{"http/1.1"}}}
}

// port is where a protocol listens.
func (s *Service) port(p protocol) int {
	for _, l := range s.listening {
		if l.protocol == p {
			return int(l.addr.Port())
		}
	}
	return 0
}

// Addresses says where it listens: "tftp 127.0.1.10:69", "http 127.0.1.10:6970", "https 127.0.1.10:6971".
func (s *Service) Addresses() []string {
	out := make([]string, len(s.listening))
	for i, l := range s.listening {
		out[i] = l.protocol.String() + " " + l.addr.String()
	}
	return out
}

// TFTP, HTTP and HTTPS are the addresses of the first socket of each protocol.
func (s *Service) TFTP() netip.AddrPort  { return s.first(overTFTP) }
func (s *Service) HTTP() netip.AddrPort  { return s.first(overHTTP) }
func (s *Service) HTTPS() netip.AddrPort { return s.first(overHTTPS) }

func (s *Service) first(p protocol) netip.AddrPort {
	for _, l := range s.listening {
		if l.protocol == p {
			return l.addr
		}
	}
	return netip.AddrPort{}
}

// Close stops listening and ends what runs: HTTP answers have until ctx ends, TFTP transfers are told to ask again elsewhere.
func (s *Service) Close(ctx context.Context) error {
	s.responders.Close()
	var err error
	if s.http != nil {
		if err = s.http.Shutdown(ctx); err != nil {
			s.http.Close()
			err = nil // what was still being sent is cut off, as asked
		}
	}
	s.cancel()
	if s.tftp != nil {
		s.tftp.Close()
	}
	s.workers.Wait()
	return err
}

// note leaves a record.
func (s *Service) note(level trace.Level, text string) {
	s.cfg.Trace.Record(trace.Record{Service: Name, Kind: trace.KindNote, Level: level, Summary: text})
}

// problem tells the operator: in the trace when it is news, and in the status until it is mended.
func (s *Service) problem(about, text string) {
	if s.problems.set(about, text, s.now()) {
		s.note(trace.Error, text)
	}
}
