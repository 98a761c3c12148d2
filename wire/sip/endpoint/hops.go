package endpoint

import (
	"context"
	"net/netip"
	"time"

	"github.com/locktone/locktone/wire/sip"
	"github.com/locktone/locktone/wire/sip/transport"
)

// resolution is what the resolver found for a transaction.
type resolution struct {
	tx   *ClientTx
	hops []Hop
	err  error
}

// resolveTimeout bounds one question to the resolver.
const resolveTimeout = 10 * time.Second

// nextHop is the URI a request goes to. RFC 3261, 8.1.2: the topmost Route, else the Request-URI. A strict router's
// rewriting (12.2.1.1) is the dialog's work.
func nextHop(m *sip.Message) sip.URI {
	if routes := m.Routes(); len(routes) > 0 {
		return routes[0].URI
	}
	return m.RequestURI()
}

// resolve finds the hops of a transaction: at once for a literal address, else by the resolver on a goroutine of its own.
func (e *Endpoint) resolve(tx *ClientTx) {
	uri := nextHop(tx.req)
	if hop, ok := literal(uri); ok {
		tx.resolved([]Hop{hop}, nil)
		return
	}
	if e.cfg.Resolver == nil {
		tx.fail(ErrNoHop)
		return
	}
	select {
	case e.resolving <- struct{}{}:
	default:
		tx.fail(ErrResolving)
		return
	}
	e.wg.Add(1)
	go func(s *shard) {
		defer e.wg.Done()
		ctx, cancel := context.WithTimeout(e.base, resolveTimeout)
		defer cancel()
		hops, err := e.cfg.Resolver.ResolveSIP(ctx, uri)
		<-e.resolving
		s.put(item{kind: resolved, obj: &resolution{tx, hops, err}})
	}(tx.s)
}

// literal is the hop of a URI that names an address. RFC 3263, 4.1: transport by parameter or scheme, and 4.2: the port
// given or the transport's own. RFC 5630, 3.1.3: sips is TLS on the last hop too.
func literal(u sip.URI) (Hop, bool) {
	host := u.Host
	if maddr, ok := u.Params.Get("maddr"); ok {
		host = maddr
	}
	addr, err := netip.ParseAddr(host)
	if err != nil {
		return Hop{}, false
	}
	network := transport.UDP
	if name, ok := u.Params.Get("transport"); ok {
		if network = transport.ParseNetwork(name); network == transport.NoNetwork {
			return Hop{}, false
		}
	}
	if u.IsSecure() {
		network = transport.TLS
	}
	port := uint16(u.Port)
	if port == 0 {
		port = network.Port()
	}
	return Hop{network, netip.AddrPortFrom(addr.Unmap(), port)}, true
}

// hostOf is an address as the host of a Via.
func hostOf(a netip.Addr) string { return a.Unmap().WithZone("").String() }

func addrPort(a netip.Addr, port uint16) netip.AddrPort { return netip.AddrPortFrom(a, port) }
