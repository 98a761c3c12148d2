package phone

import (
	"context"
	"fmt"
	"maps"
	"net"
	"net/netip"
	"slices"
	"time"

	"github.com/locktone/locktone/wire/sip"
	"github.com/locktone/locktone/wire/sip/endpoint"
	"github.com/locktone/locktone/wire/sip/transport"
)

// A phone that knows several servers registers with the first that takes it, and asks the others now and then whether they are there
// (the keep-alive of the backup), as desk phones do.
//
//	phone            primary            backup
//	  | REGISTER        |                  |
//	  |---------------->|                  |
//	  | OPTIONS         |                  |   every KeepAlive
//	  |----------------------------------->|
//	  |                 X                  |   refused, silent for PongWait, or 5xx:
//	  | REGISTER                           |   the next one in the list
//	  |----------------------------------->|
//	  | OPTIONS         |                  |   every KeepAlive, and when a call has ended
//	  |---------------->|                  |
//	  | 200 OK          |                  |   the primary is back, and the phone idle:
//	  | REGISTER        |                  |   there first,
//	  |---------------->|                  |
//	  | REGISTER, Expires: 0               |   and only then away from here
//	  |----------------------------------->|
//
// A call stays with the server it began at: what it has to say goes there. Its media is the far end's and the phone's own business.

// server is one call manager.
type server struct {
	hop  endpoint.Hop
	name string // its certificate must prove it
}

// round is one round of fail-over: the servers that have failed since the phone was last registered.
type round struct {
	failed []bool
	next   *endpoint.Timer // look
}

// The tags of requests that ask other servers than the one in use, and the time to look at them.
type (
	look     struct{ server int } // OPTIONS
	trial    struct{ server int } // REGISTER at a better server
	farewell struct{ server int } // REGISTER that removes the binding at the one before
	lookNow  struct{}
)

func (c *Config) servers() ([]server, error) {
	var out []server
	for _, text := range append([]string{c.Server}, c.Backups...) {
		addr, err := netip.ParseAddrPort(text)
		if err != nil {
			return nil, fmt.Errorf("phone %s: server %q: want an address and port such as 127.0.1.10:5061: %w", c.Name, text, err)
		}
		name := c.ServerName
		if name == "" {
			name, _, _ = net.SplitHostPort(text)
		}
		out = append(out, server{hop: endpoint.Hop{Network: c.Network, Addr: addr}, name: name})
	}
	return out, nil
}

// target is the server in use.
func (p *Phone) target() endpoint.Target { return p.targetOf(p.server()) }

func (p *Phone) targetOf(at int) endpoint.Target {
	s := p.servers[at]
	t := endpoint.Target{Hops: []endpoint.Hop{s.hop}, LocalIdentity: p.cfg.Name, ServerName: s.name}
	if len(p.servers) > 1 {
		t.Timeout = p.cfg.PongWait // there is another one to try
	}
	return t
}

func (p *Phone) server() int {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.at
}

func (p *Phone) use(at int) {
	p.mu.Lock()
	p.at = at
	p.mu.Unlock()
}

// failOver registers with the next server that has not failed in this round; after the last one it begins anew, a while later.
func (p *Phone) failOver() {
	if len(p.servers) == 1 {
		p.again(p.backoff())
		return
	}
	if p.round.failed == nil {
		p.round.failed = make([]bool, len(p.servers))
	}
	p.round.failed[p.server()] = true
	for i, failed := range p.round.failed {
		if !failed {
			p.use(i)
			p.register(p.cfg.Expires)
			return
		}
	}
	p.round.failed = nil
	p.use(0)
	p.again(p.backoff())
}

// settled is a registration that the server in use has accepted.
func (p *Phone) settled(f *transport.Flow) {
	p.round.failed = nil
	p.keep(f)
	p.again(refreshAfter(p.reg.expires))
	p.lookIn(p.cfg.KeepAlive)
}

func (p *Phone) lookIn(d time.Duration) {
	if len(p.servers) == 1 || p.cfg.KeepAlive <= 0 {
		return
	}
	if p.round.next != nil {
		p.round.next.Stop()
	}
	p.round.next = p.ep.After(p.reg.callID, d, lookNow{})
}

// look asks a better server, or the first backup, whether it is there.
func (p *Phone) look() {
	p.lookIn(p.cfg.KeepAlive)
	at := p.server()
	if !p.Registered() {
		return
	}
	for i := range max(at, 2) {
		if i != at && i < len(p.servers) {
			p.options(i)
		}
	}
}

func (p *Phone) options(at int) {
	m := sip.NewRequest(sip.OPTIONS, sip.URI{Scheme: "sip", Host: p.cfg.Domain})
	from := p.address()
	from.Params = sip.Params{{Name: "tag", Value: newCallID()}}
	m.SetMaxForwards(70)
	m.SetFrom(from)
	m.SetTo(sip.Address{URI: sip.URI{Scheme: "sip", Host: p.cfg.Domain}})
	m.SetCallID(newCallID())
	m.SetCSeq(sip.CSeq{Seq: 1, Method: sip.OPTIONS})
	m.Set("User-Agent", userAgent)
	_, _ = p.ep.RequestTag(m, p.targetOf(at), look{at}) // who cannot be reached is asked again
}

// looked takes an answer of a server that is not the one in use; status 0: there is none.
func (p *Phone) looked(tx *endpoint.ClientTx, status int, m *sip.Message) {
	switch t := tx.Tag.(type) {
	case look:
		if t.server < p.server() && status == 200 && p.idle() && p.Registered() {
			_, _ = p.ep.RequestTag(p.registerRequest(p.cfg.Expires), p.targetOf(t.server), trial(t))
		}
	case trial:
		if status/100 == 2 && t.server < p.server() {
			p.back(tx, t.server, m)
		}
	case farewell:
		if f := tx.Flow(); f != nil && p.idle() && f != p.kept {
			f.Close(errLeft)
		}
	}
}

// back uses a better server, which has accepted the phone, and leaves the one before.
func (p *Phone) back(tx *endpoint.ClientTx, at int, m *sip.Message) {
	before := p.server()
	p.mu.Lock()
	p.at, p.flow = at, tx.Flow()
	p.reg.up, p.reg.status, p.reg.err = true, m.Status(), nil
	p.reg.expires = granted(m, p.cfg.Expires)
	p.reg.count++
	p.mu.Unlock()
	p.settled(tx.Flow())
	p.notify()
	_, _ = p.ep.RequestTag(p.registerRequest(0), p.targetOf(before), farewell{before})
}

// idle says whether the phone has no call.
func (p *Phone) idle() bool {
	p.mu.Lock()
	calls := slices.Collect(maps.Values(p.calls))
	p.mu.Unlock()
	return !slices.ContainsFunc(calls, func(c *Call) bool { return c.State() != Ended })
}

// Server is the address of the server in use.
func (p *Phone) Server() string { return p.servers[p.server()].hop.Addr.String() }

// WaitServer waits until the phone is registered with the server of that address.
func (p *Phone) WaitServer(ctx context.Context, address string) error {
	return p.wait(ctx, "waiting to be registered with "+address, func() (bool, error) {
		return p.reg.up && p.servers[p.at].hop.Addr.String() == address, nil
	})
}
