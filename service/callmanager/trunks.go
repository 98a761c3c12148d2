package callmanager

import (
	"errors"
	"fmt"
	"net"
	"net/netip"
	"strconv"
	"sync"
	"time"

	"github.com/locktone/locktone/bus"
	"github.com/locktone/locktone/config"
	"github.com/locktone/locktone/directory"
	"github.com/locktone/locktone/wire/sip"
	"github.com/locktone/locktone/wire/sip/endpoint"
	"github.com/locktone/locktone/wire/sip/transaction"
	"github.com/locktone/locktone/wire/sip/transport"
)

// trunks is what this node knows of the destinations of its trunks, guarded by its lock. A destination's state is driven by
// OPTIONS: one ping at a time, on a Call-ID of its own, so that all of it happens on one shard.
type trunks struct {
	mu    sync.Mutex
	all   map[string][]*destination // by trunk, in configured order
	epoch int                       // counts configurations: a timer of an older one is ignored
}

// A destination is one address of a trunk.
type destination struct {
	trunk   string
	address string // host:port as configured
	hop     endpoint.Hop
	uri     sip.URI
	domain  string // host of our addresses as the peer is told
	timers  *transaction.Timers
	ping    config.OptionsPing
	mode    config.DeviceSecurityMode
	srtp    bool

	state      trunkState
	since      time.Time
	lastStatus int
	roundTrip  time.Duration
	missed     int
	lastPing   time.Time
	reason     string
}

// A trunkState is where a destination stands. Unknown counts as usable: the first call need not wait for the first ping.
type trunkState uint8

const (
	stateUnknown trunkState = iota
	stateInService
	stateOutOfService
)

func (s trunkState) String() string {
	return [...]string{"unknown", "in-service", "out-of-service"}[s]
}

// pingDue is posted when a destination's next OPTIONS is due.
type pingDue struct {
	epoch int
	at    *destination
}

// ping tags the client transaction of an OPTIONS.
type ping struct {
	epoch int
	at    *destination
	sent  time.Time
}

// pingCallID is the Call-ID under which everything about one destination happens.
func pingCallID(node string, d *destination) string {
	return "options-" + d.trunk + "-" + d.address + "@" + node
}

// configure takes a new list of destinations into use; one that is as before keeps its state. It returns the destinations to ping.
func (t *trunks) configure(now time.Time, list []*destination) (epoch int) {
	t.mu.Lock()
	defer t.mu.Unlock()
	before := t.all
	t.epoch++
	t.all = map[string][]*destination{}
	for _, d := range list {
		d.since = now
		if d.ping.Disabled {
			d.state = stateInService
		}
		for _, old := range before[d.trunk] {
			if old.address == d.address && old.hop == d.hop && old.ping.Disabled == d.ping.Disabled {
				d.state, d.since, d.lastStatus, d.roundTrip = old.state, old.since, old.lastStatus, old.roundTrip
				d.missed, d.lastPing, d.reason = old.missed, old.lastPing, old.reason
			}
		}
		t.all[d.trunk] = append(t.all[d.trunk], d)
	}
	return t.epoch
}

// heard takes the outcome of a ping: a final response, or an error. It returns when the next one is due, and whether the
// trunk as a whole changed between usable and not. A status other than 408 and 503 proves that somebody is there.
func (t *trunks) heard(now time.Time, p *ping, status int, err error) (next time.Duration, changed, up bool) {
	t.mu.Lock()
	defer t.mu.Unlock()
	d := p.at
	was := t.usable(d.trunk)
	d.lastStatus, d.lastPing = status, now
	if err == nil && status != 408 && status != 503 {
		d.roundTrip, d.missed = now.Sub(p.sent), 0
		d.become(now, stateInService, "")
		next = d.ping.IntervalInService.D()
	} else {
		d.missed++
		next = d.ping.RetryInterval.D()
		if d.state == stateOutOfService || d.missed >= d.ping.Retries {
			d.become(now, stateOutOfService, whyDown(status, err))
			next = d.ping.IntervalOutOfService.D()
		}
	}
	up = t.usable(d.trunk)
	return next, was != up, up
}

func (d *destination) become(now time.Time, s trunkState, reason string) {
	if d.state != s {
		d.since = now
	}
	d.state, d.reason = s, reason
}

// whyDown says in one sentence why a destination does not count.
func whyDown(status int, err error) string {
	var down *endpoint.TransportError
	switch {
	case errors.As(err, &down):
		return down.Error()
	case errors.Is(err, endpoint.ErrTimeout):
		return "OPTIONS got no answer: check that the peer is running, that a firewall lets the port through, and that it answers OPTIONS"
	case err != nil:
		return err.Error()
	}
	return fmt.Sprintf("OPTIONS was answered %d %s: the peer says it cannot take calls now", status, sip.ReasonPhrase(status))
}

// usable says whether any destination of the trunk may be tried. The lock is held.
func (t *trunks) usable(trunk string) bool {
	for _, d := range t.all[trunk] {
		if d.state != stateOutOfService {
			return true
		}
	}
	return false
}

// inService says whether the trunk is usable and has a destination.
func (t *trunks) inService(trunk string) bool {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.usable(trunk)
}

// hops are the destinations of a trunk in the order to try them: those that are out of service last, because a ping may be
// wrong and the alternative is no call at all.
func (t *trunks) hops(trunk string) (first, last []*destination) {
	t.mu.Lock()
	defer t.mu.Unlock()
	for _, d := range t.all[trunk] {
		if d.state == stateOutOfService {
			last = append(last, d)
		} else {
			first = append(first, d)
		}
	}
	return first, last
}

// rows are the lines of `show trunks`.
func (t *trunks) rows(node string, calls map[string]int) (out []bus.TrunkState) {
	t.mu.Lock()
	defer t.mu.Unlock()
	for _, list := range t.all {
		for _, d := range list {
			row := bus.TrunkState{Node: node, Trunk: d.trunk, Destination: d.address, State: d.state.String(), Since: d.since.UTC(),
				Mode: d.mode.String(), SRTP: d.srtp, Calls: calls[d.trunk], LastStatus: d.lastStatus, RoundTripMS: float64(d.roundTrip.Microseconds()) / 1000,
				Missed: d.missed, LastPing: d.lastPing.UTC(), Reason: d.reason}
			if d.hop.Addr.IsValid() {
				row.Remote = d.hop.Addr.String()
			}
			out = append(out, row)
		}
	}
	return out
}

// current says whether a timer or answer belongs to the configuration in force.
func (t *trunks) current(epoch int) bool {
	t.mu.Lock()
	defer t.mu.Unlock()
	return epoch == t.epoch
}

// destinationsOf lists the destinations of a trunk's configuration. A literal address becomes a hop; a name is left to the resolver.
func destinationsOf(t *directory.Trunk) []*destination {
	network := transport.TCP
	switch t.Security.OutgoingTransport {
	case config.TransportTLS:
		network = transport.TLS
	case config.TransportUDP:
		network = transport.UDP
	}
	var out []*destination
	for _, c := range t.Destinations {
		d := &destination{trunk: t.Name, address: c.Address, domain: t.LocalDomain, timers: timersOf(t.SIP), ping: t.SIP.OptionsPing, mode: t.Security.DeviceSecurityMode, srtp: t.SRTPAllowed}
		if c.Port != 0 {
			d.address = net.JoinHostPort(c.Address, strconv.Itoa(c.Port))
		}
		d.uri = sip.URI{Scheme: "sip", Host: c.Address, Port: c.Port, Params: sip.Params{{Name: "transport", Value: network.String()}}}
		if ip, err := netip.ParseAddr(c.Address); err == nil {
			d.hop = endpoint.Hop{Network: network, Addr: netip.AddrPortFrom(ip, uint16(c.Port))}
		}
		out = append(out, d)
	}
	return out
}

// target is where requests to the destination go and whom they must reach there.
func (d *destination) target(identity string) endpoint.Target {
	t := endpoint.Target{LocalIdentity: identity, ServerName: d.uri.Host, Policy: d.trunk, Timers: d.timers}
	if d.hop.Addr.IsValid() {
		t.Hops = []endpoint.Hop{d.hop}
	}
	return t
}

// from says whether the address is one of the trunk's destinations.
func (t *trunks) from(trunk string, addr netip.Addr) bool {
	t.mu.Lock()
	defer t.mu.Unlock()
	for _, d := range t.all[trunk] {
		if d.hop.Addr.Addr() == addr {
			return true
		}
	}
	return false
}

// pingTimeout is how long one OPTIONS waits: shorter than Timer F, so that a dead peer is known before the next call.
const pingTimeout = 5 * time.Second
