package element

import (
	"cmp"
	"errors"
	"fmt"
	"net/netip"
	"slices"
	"sync"
	"syscall"

	"github.com/locktone/locktone/call"
	"github.com/locktone/locktone/wire/sip/transport"
)

// A Socket is a transport and a port of ours.
type Socket struct {
	Network transport.Network
	Port    int
}

// listeners are the open sockets by what they serve, guarded by a lock.
type listeners struct {
	mu     sync.Mutex
	open   map[socket]*transport.Listener
	wanted []Socket
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

// sockets lists what the configuration needs: 5061 with TLS always, anything else only while a peer or the service asks for it.
func (p *peers) sockets(also []Socket) []Socket {
	out := append([]Socket{{transport.TLS, int(transport.TLS.Port())}}, also...)
	for _, x := range p.list {
		for _, n := range x.from() {
			out = append(out, Socket{n, x.port()})
		}
	}
	slices.SortFunc(out, func(a, b Socket) int { return cmp.Or(int(b.Network)-int(a.Network), cmp.Compare(a.Port, b.Port)) })
	return slices.Compact(out)
}

// listen opens what is missing and closes what is not needed any more. A socket that cannot be opened is an error that
// leaves the others as they are.
func (e *Element) listen(sockets []Socket) error {
	e.listening.mu.Lock()
	defer e.listening.mu.Unlock()
	if e.listening.open == nil {
		e.listening.open = map[socket]*transport.Listener{}
	}
	wanted := map[socket]bool{}
	e.listening.taken, e.listening.wanted = nil, sockets
	for _, want := range sockets {
		sock := socket{network: want.Network}
		for _, ip := range e.cfg.Addresses {
			sock.addr = netip.AddrPortFrom(ip, uint16(want.Port))
			wanted[sock] = true
			if err := e.openSocket(sock); err != nil {
				return err
			}
		}
		for _, ip := range e.cfg.Optional {
			sock.addr = netip.AddrPortFrom(ip, uint16(want.Port))
			wanted[sock] = true
			if err := e.openSocket(sock); errors.Is(err, syscall.EADDRINUSE) {
				e.listening.taken = append(e.listening.taken, sock.network.String()+" "+sock.addr.String())
			} else if err != nil {
				return err
			}
		}
	}
	return e.closeUnwanted(wanted)
}

// closeUnwanted closes what the configuration does not need: accepted connections outlive their listener, a UDP socket stays
// until the last call of now has ended.
func (e *Element) closeUnwanted(wanted map[socket]bool) error {
	for sock, l := range e.listening.open {
		if wanted[sock] {
			delete(e.listening.leaving, sock)
			continue
		}
		if sock.network == transport.UDP {
			calls, known := e.listening.leaving[sock]
			if !known {
				calls = e.callsThrough(l)
			}
			if calls = e.stillUp(calls); len(calls) > 0 {
				if e.listening.leaving == nil {
					e.listening.leaving = map[socket][]call.CallID{}
				}
				e.listening.leaving[sock] = calls
				continue
			}
			delete(e.listening.leaving, sock)
		}
		delete(e.listening.open, sock)
		if err := l.Close(); err != nil {
			return fmt.Errorf("closing %s %s: %w", sock.network, sock.addr, err)
		}
	}
	return nil
}

// callsThrough are the calls with a leg to a device or peer that was let in through the socket.
func (e *Element) callsThrough(l *transport.Listener) (out []call.CallID) {
	views, err := e.host.Calls(e.ctx)
	if err != nil {
		return nil // the engine has stopped
	}
	names := map[string]bool{}
	for _, info := range e.ep.Flows() {
		if f := e.ep.Transport().Get(info.ID); f != nil && f.Listener() == l {
			names[e.owners.get(f)] = true
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
func (e *Element) stillUp(calls []call.CallID) (up []call.CallID) {
	if len(calls) == 0 {
		return nil
	}
	views, err := e.host.Calls(e.ctx)
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
func (e *Element) leave() error {
	e.listening.mu.Lock()
	waiting, wanted := len(e.listening.leaving) > 0, e.listening.wanted
	e.listening.mu.Unlock()
	if !waiting {
		return nil
	}
	return e.listen(wanted)
}

func (e *Element) openSocket(sock socket) error {
	if e.listening.open[sock] != nil {
		return nil
	}
	lc := transport.ListenConfig{Network: sock.network, Addr: sock.addr, LocalIdentity: e.cfg.Identity.Name()}
	if sock.network == transport.TLS {
		lc.TLS = e.serverTLS()
	}
	l, err := e.ep.Listen(lc)
	if err != nil {
		return fmt.Errorf("listening on %s %s: %w: end the program that has it, or give the service another address", sock.network, sock.addr, err)
	}
	e.listening.open[sock] = l
	return nil
}

// Listening are the open sockets as the status shows them ("tls 127.0.1.10:5061"), TLS first, and the optional addresses that others have.
func (e *Element) Listening() (open, taken []string) {
	e.listening.mu.Lock()
	defer e.listening.mu.Unlock()
	var socks []socket
	for s := range e.listening.open {
		socks = append(socks, s)
	}
	slices.SortFunc(socks, bySocket)
	for _, s := range socks {
		open = append(open, s.network.String()+" "+s.addr.String())
	}
	return open, slices.Clone(e.listening.taken)
}
