package callmanager

import (
	"cmp"
	"errors"
	"fmt"
	"net/netip"
	"slices"
	"sync"
	"syscall"

	"github.com/locktone/locktone/call"
	"github.com/locktone/locktone/config"
	"github.com/locktone/locktone/wire/sip/transport"
)

// listeners are the open sockets by what they serve, guarded by a lock.
type listeners struct {
	mu   sync.Mutex
	open map[socket]*transport.Listener
	// leaving are UDP sockets that the configuration needs no more, with the calls that were up when it stopped: what they have
	// to say comes through them. Nobody new is let in there.
	leaving map[socket][]call.CallID
	// taken are optional addresses that somebody else has; the status tells.
	taken []string
}

type socket struct {
	network transport.Network
	addr    netip.AddrPort
}

// bySocket orders sockets as the status shows them: TLS first, then by address.
func bySocket(a, b socket) int {
	return cmp.Or(int(b.network)-int(a.network), a.addr.Compare(b.addr))
}

// sockets lists what the configuration needs: 5061 with TLS always, anything else only while a profile in use asks for it.
func (st *site) sockets() []socket {
	var out []socket
	add := func(t config.Transport, port int) {
		for _, n := range []transport.Network{transport.TLS, transport.TCP, transport.UDP} {
			if transportFits(t, n) {
				out = append(out, socket{n, netip.AddrPortFrom(netip.Addr{}, uint16(port))})
			}
		}
	}
	add(config.TransportTLS, 5061)
	for _, d := range st.Devices() {
		if d.Protocol.Terminal() {
			continue
		}
		add(d.Security.Transport, d.Security.IncomingPort)
	}
	for _, t := range st.Trunks() {
		add(t.Security.IncomingTransport, t.Security.IncomingPort)
	}
	slices.SortFunc(out, bySocket)
	return slices.Compact(out)
}

// listen opens what is missing and closes what is not needed any more. A socket that cannot be opened is an error that
// leaves the others as they are.
func (s *Service) listen(st *site) error {
	s.listening.mu.Lock()
	defer s.listening.mu.Unlock()
	if s.listening.open == nil {
		s.listening.open = map[socket]*transport.Listener{}
	}
	wanted := map[socket]bool{}
	s.listening.taken = nil
	for _, sock := range st.sockets() {
		for _, ip := range s.cfg.Addresses {
			sock.addr = netip.AddrPortFrom(ip, sock.addr.Port())
			wanted[sock] = true
			if err := s.openSocket(sock); err != nil {
				return err
			}
		}
		for _, ip := range s.cfg.Optional {
			sock.addr = netip.AddrPortFrom(ip, sock.addr.Port())
			wanted[sock] = true
			if err := s.openSocket(sock); errors.Is(err, syscall.EADDRINUSE) {
				s.listening.taken = append(s.listening.taken, sock.network.String()+" "+sock.addr.String())
			} else if err != nil {
				return err
			}
		}
	}
	return s.closeUnwanted(wanted)
}

// closeUnwanted closes what the configuration does not need: accepted connections outlive their listener, a UDP socket stays
// until the last call of now has ended.
func (s *Service) closeUnwanted(wanted map[socket]bool) error {
	for sock, l := range s.listening.open {
		if wanted[sock] {
			delete(s.listening.leaving, sock)
			continue
		}
		if sock.network == transport.UDP {
			calls, known := s.listening.leaving[sock]
			if !known {
				calls = s.callsThrough(l)
			}
			if calls = s.stillUp(calls); len(calls) > 0 {
				if s.listening.leaving == nil {
					s.listening.leaving = map[socket][]call.CallID{}
				}
				s.listening.leaving[sock] = calls
				continue
			}
			delete(s.listening.leaving, sock)
		}
		delete(s.listening.open, sock)
		if err := l.Close(); err != nil {
			return fmt.Errorf("closing %s %s: %w", sock.network, sock.addr, err)
		}
	}
	return nil
}

// callsThrough are the calls with a leg to a device or trunk that was let in through the socket.
func (s *Service) callsThrough(l *transport.Listener) (out []call.CallID) {
	views, err := s.host.Calls(s.ctx)
	if err != nil {
		return nil // the engine has stopped
	}
	names := map[string]bool{}
	for _, info := range s.ep.Flows() {
		if f := s.ep.Transport().Get(info.ID); f != nil && f.Listener() == l {
			names[s.owners.get(f)] = true
		}
	}
	delete(names, "")
	for _, v := range views {
		for _, p := range v.Parties {
			if slices.ContainsFunc(p.Legs, func(leg call.LegView) bool { return names[leg.Device] || names[leg.Trunk] }) {
				out = append(out, v.ID)
				break
			}
		}
	}
	return out
}

// stillUp are those of the calls that have not ended.
func (s *Service) stillUp(calls []call.CallID) (up []call.CallID) {
	if len(calls) == 0 {
		return nil
	}
	views, err := s.host.Calls(s.ctx)
	if err != nil {
		return nil
	}
	for _, v := range views {
		if slices.Contains(calls, v.ID) {
			up = append(up, v.ID)
		}
	}
	return up
}

// leave closes the sockets that were kept for calls which have ended since.
func (s *Service) leave() error {
	s.listening.mu.Lock()
	waiting := len(s.listening.leaving) > 0
	s.listening.mu.Unlock()
	if !waiting {
		return nil
	}
	return s.listen(s.site.Load())
}

func (s *Service) openSocket(sock socket) error {
	if s.listening.open[sock] != nil {
		return nil
	}
	lc := transport.ListenConfig{Network: sock.network, Addr: sock.addr, LocalIdentity: s.identity.Name()}
	if sock.network == transport.TLS {
		lc.TLS = s.serverTLS()
	}
	l, err := s.ep.Listen(lc)
	if err != nil {
		return fmt.Errorf("listening on %s %s: %w: end the program that has it, or give the service another address", sock.network, sock.addr, err)
	}
	s.listening.open[sock] = l
	return nil
}

// addresses are the open sockets as the status shows them, TLS first.
func (l *listeners) addresses() (open, taken []string) {
	l.mu.Lock()
	defer l.mu.Unlock()
	var socks []socket
	for s := range l.open {
		socks = append(socks, s)
	}
	slices.SortFunc(socks, bySocket)
	for _, s := range socks {
		open = append(open, s.network.String()+" "+s.addr.String())
	}
	return open, slices.Clone(l.taken)
}
