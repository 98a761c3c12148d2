package element

import (
	"cmp"
	"errors"
	"fmt"
	"net/netip"
	"slices"
	"sync"
	"time"

	"github.com/locktone/locktone/bus"
	"github.com/locktone/locktone/config"
	"github.com/locktone/locktone/wire/sip"
	"github.com/locktone/locktone/wire/sip/endpoint"
	"github.com/locktone/locktone/wire/sip/transaction"
)

// destinations is what is known of the addresses of peers, guarded by its lock. A destination's state is driven by OPTIONS: one ping at a
// time, on a Call-ID of its own, so that all of it happens on one shard.
type destinations struct {
	mu    sync.Mutex
	all   map[string][]*destination // by peer, in configured order
	epoch int                       // counts configurations: a timer of an older one is ignored
	turn  uint64                    // of the choice by weight
}

// A destination is one address of a peer.
type destination struct {
	peer             string
	address          string // host:port as configured
	hop              endpoint.Hop
	uri              sip.URI
	domain           string // host of our addresses as the peer is told
	timers           *transaction.Timers
	ping             config.OptionsPing
	priority, weight int
	row              bus.TrunkState // of the table, what does not change

	state      State
	since      time.Time
	lastStatus int
	roundTrip  time.Duration
	missed     int
	lastPing   time.Time
	reason     string
}

// A State is where a destination stands. Unknown counts as usable: the first call need not wait for the first ping.
type State uint8

const (
	StateUnknown State = iota
	StateInService
	StateOutOfService
)

func (s State) String() string {
	return [...]string{"unknown", "in-service", "out-of-service"}[s]
}

// configure takes a new list of destinations into use; one that is as before keeps its state.
func (t *destinations) configure(now time.Time, list []*destination) (epoch int) {
	t.mu.Lock()
	defer t.mu.Unlock()
	before := t.all
	t.epoch++
	t.all = map[string][]*destination{}
	for _, d := range list {
		d.since = now
		if d.ping.Disabled {
			d.state = StateInService
		}
		for _, old := range before[d.peer] {
			if old.address == d.address && old.hop == d.hop && old.ping.Disabled == d.ping.Disabled {
				d.state, d.since, d.lastStatus, d.roundTrip = old.state, old.since, old.lastStatus, old.roundTrip
				d.missed, d.lastPing, d.reason = old.missed, old.lastPing, old.reason
			}
		}
		t.all[d.peer] = append(t.all[d.peer], d)
	}
	return t.epoch
}

// heard takes the outcome of a ping: a final response, or an error. It returns when the next one is due, and whether the
// peer as a whole changed between usable and not. A status other than 408 and 503 proves that somebody is there.
func (t *destinations) heard(now time.Time, p *ping, status int, err error) (next time.Duration, changed, up bool) {
	t.mu.Lock()
	defer t.mu.Unlock()
	d := p.at
	was := t.usable(d.peer)
	d.lastStatus, d.lastPing = status, now
	if err == nil && status != 408 && status != 503 {
		d.roundTrip, d.missed = now.Sub(p.sent), 0
		d.become(now, StateInService, "")
		next = d.ping.IntervalInService.D()
	} else {
		d.missed++
		next = d.ping.RetryInterval.D()
		if d.state == StateOutOfService || d.missed >= d.ping.Retries {
			d.become(now, StateOutOfService, whyDown(status, err))
			next = d.ping.IntervalOutOfService.D()
		}
	}
	up = t.usable(d.peer)
	return next, was != up, up
}

func (d *destination) become(now time.Time, s State, reason string) {
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

// usable says whether any destination of the peer may be tried. The lock is held.
func (t *destinations) usable(peer string) bool {
	for _, d := range t.all[peer] {
		if d.state != StateOutOfService {
			return true
		}
	}
	return false
}

// inService says whether the peer is usable and has a destination.
func (t *destinations) inService(peer string) bool {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.usable(peer)
}

// hops are the destinations of a peer in the order to try them: by priority, those of one priority in turns by weight; those that are out
// of service last, because a ping may be wrong and the alternative is no call at all.
func (t *destinations) hops(peer string) (order []*destination) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.turn++
	first := slices.Clone(t.all[peer])
	slices.SortStableFunc(first, func(a, b *destination) int {
		return cmp.Or(cmp.Compare(a.out(), b.out()), cmp.Compare(a.priority, b.priority))
	})
	for len(first) > 0 {
		n := 1
		for n < len(first) && first[n].priority == first[0].priority && first[n].out() == first[0].out() {
			n++
		}
		order = append(order, byWeight(first[:n], t.turn)...)
		first = first[n:]
	}
	return order
}

// out orders destinations that are out of service behind the others.
func (d *destination) out() int {
	if d.state == StateOutOfService {
		return 1
	}
	return 0
}

// byWeight puts at the head the one whose turn it is: of so many turns as all weights together each has as many as its weight, spread as
// evenly as they go. The others follow as configured. RFC 2782 draws lots; turns do the same to the load, and a test can tell.
func byWeight(list []*destination, turn uint64) []*destination {
	total := 0
	for _, d := range list {
		total += d.weight
	}
	if total == 0 {
		return list
	}
	// Smooth weighted round robin, from the beginning of the round: rounds are short, and nothing has to be remembered of a
	// destination that may be gone by the next configuration.
	current, at := make([]int, len(list)), 0
	for range turn%uint64(total) + 1 {
		at = 0
		for i, d := range list {
			if current[i] += d.weight; current[i] > current[at] {
				at = i
			}
		}
		current[at] -= total
	}
	return append([]*destination{list[at]}, slices.Delete(slices.Clone(list), at, at+1)...)
}

// rows are the lines of `show trunks`, in the order of the names given.
func (t *destinations) rows(node string, peers []string, calls map[string]int) (out []bus.TrunkState) {
	t.mu.Lock()
	defer t.mu.Unlock()
	for _, name := range peers {
		for _, d := range t.all[name] {
			row := d.row
			row.Node, row.State, row.Since, row.Calls, row.LastStatus = node, d.state.String(), d.since.UTC(), calls[d.peer], d.lastStatus
			row.RoundTripMS, row.Missed, row.LastPing, row.Reason = float64(d.roundTrip.Microseconds())/1000, d.missed, d.lastPing.UTC(), d.reason
			if d.hop.Addr.IsValid() {
				row.Remote = d.hop.Addr.String()
			}
			out = append(out, row)
		}
	}
	return out
}

// states counts destinations by state.
func (t *destinations) states() map[State]int {
	out := map[State]int{StateUnknown: 0, StateInService: 0, StateOutOfService: 0}
	t.mu.Lock()
	defer t.mu.Unlock()
	for _, list := range t.all {
		for _, d := range list {
			out[d.state]++
		}
	}
	return out
}

// current says whether a timer or answer belongs to the configuration in force.
func (t *destinations) current(epoch int) bool {
	t.mu.Lock()
	defer t.mu.Unlock()
	return epoch == t.epoch
}

// target is where requests to the destination go and whom they must reach there.
func (d *destination) target(identity string) endpoint.Target {
	t := endpoint.Target{LocalIdentity: identity, ServerName: d.uri.Host, Policy: d.peer, Timers: d.timers}
	if d.hop.Addr.IsValid() {
		t.Hops = []endpoint.Hop{d.hop}
	}
	return t
}

// from says whether the address is one of the peer's destinations.
func (t *destinations) from(peer string, addr netip.Addr) bool {
	t.mu.Lock()
	defer t.mu.Unlock()
	for _, d := range t.all[peer] {
		if d.hop.Addr.Addr() == addr {
			return true
		}
	}
	return false
}
