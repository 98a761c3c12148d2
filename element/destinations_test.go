package element

import (
	"errors"
	"maps"
	"testing"
	"time"

	"github.com/locktone/locktone/config"
	"github.com/locktone/locktone/leg/sipleg"
	"github.com/locktone/locktone/media"
	"github.com/locktone/locktone/media/desc"
	"github.com/locktone/locktone/wire/sip/endpoint"
	"github.com/locktone/locktone/wire/sip/transaction"
	"github.com/locktone/locktone/wire/sip/transport"
)

// TestPingDrivesPeer walks a peer with two destinations through answers and silence.
func TestPingDrivesPeer(t *testing.T) {
	probe := config.SIPProfile{}.WithDefaults().OptionsPing
	probe.Retries = 2
	a := &destination{peer: "t", address: "a:5061", ping: probe}
	b := &destination{peer: "t", address: "b:5061", ping: probe}
	var tr destinations
	now := time.Unix(1000, 0)
	epoch := tr.configure(now, []*destination{a, b})
	steps := []struct {
		at          *destination
		status      int
		err         error
		next        time.Duration
		changed, up bool
		state       State
	}{
		{a, 200, nil, probe.IntervalInService.D(), false, true, StateInService},
		{b, 404, nil, probe.IntervalInService.D(), false, true, StateInService}, // somebody is there, whatever it thinks of the request
		{a, 0, endpoint.ErrTimeout, probe.RetryInterval.D(), false, true, StateInService},
		{a, 503, nil, probe.IntervalOutOfService.D(), false, true, StateOutOfService}, // b still carries the trunk
		{b, 408, nil, probe.RetryInterval.D(), false, true, StateInService},
		{b, 0, errors.New("refused"), probe.IntervalOutOfService.D(), true, false, StateOutOfService},
		{b, 0, errors.New("refused"), probe.IntervalOutOfService.D(), false, false, StateOutOfService},
		{b, 200, nil, probe.IntervalInService.D(), true, true, StateInService},
	}
	for i, s := range steps {
		now = now.Add(time.Second)
		next, changed, up := tr.heard(now, &ping{epoch: epoch, at: s.at, sent: now}, s.status, s.err)
		if next != s.next || changed != s.changed || up != s.up || s.at.state != s.state {
			t.Errorf("step %d: next %v changed %v up %v state %v, want %+v", i, next, changed, up, s.at.state, s)
		}
	}
	if order := tr.hops("t"); len(order) != 2 || order[0] != b || order[1] != a {
		t.Errorf("hops: %v, want b then a", order)
	}
	// A change of configuration keeps what is known of a destination that stays.
	b2 := &destination{peer: "t", address: "b:5061", ping: probe}
	if tr.configure(now, []*destination{b2}); b2.state != StateInService {
		t.Errorf("after a change b is %v", b2.state)
	}
	if tr.current(epoch) {
		t.Error("timers of the old configuration still count")
	}
}

// TestOrderOfDestinations: the lowest priority is tried first, within one each is first as often as its weight says and the others follow
// as configured, and what is out of service comes last.
func TestOrderOfDestinations(t *testing.T) {
	a, b := &destination{peer: "t", address: "a", weight: 3}, &destination{peer: "t", address: "b", weight: 1}
	c, d := &destination{peer: "t", address: "c", priority: 1}, &destination{peer: "t", address: "d", priority: 2}
	down := &destination{peer: "t", address: "down", weight: 9}
	var tr destinations
	tr.configure(time.Unix(1000, 0), []*destination{d, down, a, b, c})
	down.state = StateOutOfService
	first := map[string]int{}
	for range 400 {
		order := ""
		for _, x := range tr.hops("t") {
			order += x.address + " "
		}
		first[order]++
	}
	want := map[string]int{"a b c d down ": 300, "b a c d down ": 100}
	if !maps.Equal(first, want) {
		t.Errorf("got %v, want %v", first, want)
	}
}

// TestWhereAPeerIsReached: an address becomes a hop, a name is left to the resolver (RFC 3263), which is told a port only where one is
// configured; with TLS the secure port counts.
func TestWhereAPeerIsReached(t *testing.T) {
	timers := &transaction.Timers{T1: time.Second}
	for _, c := range []struct {
		p              Peer
		uri, row, mode string
		hop            bool
	}{
		{Peer{Destinations: []Destination{{Address: "192.0.2.1"}}}, "sip:192.0.2.1:5061;transport=tls", "192.0.2.1:5061", "encrypted", true},
		{Peer{Destinations: []Destination{{Address: "192.0.2.1", Port: 5060, SecurePort: 5071}}}, "sip:192.0.2.1:5071;transport=tls", "192.0.2.1:5071", "encrypted", true},
		{Peer{Destinations: []Destination{{Address: "b.example", Port: 5090, SecurePort: 5071}}, Network: transport.UDP}, "sip:b.example:5090;transport=udp", "b.example:5090", "non-secure", false},
		{Peer{Destinations: []Destination{{Address: "c.example"}}}, "sip:c.example;transport=tls", "c.example", "encrypted", false},
		{Peer{Destinations: []Destination{{Address: "2001:db8::1"}}, Leg: sipleg.Profile{Media: media.Profile{Security: desc.Forbidden}}}, "sip:[2001:db8::1]:5061;transport=tls",
			"[2001:db8::1]:5061", "authenticated", true},
	} {
		c.p.Name, c.p.Leg.Timers = "p", timers
		d := c.p.destinations("us.example")[0]
		if d.uri.String() != c.uri || d.row.Destination != c.row || d.row.Mode != c.mode || d.hop.Addr.IsValid() != c.hop {
			t.Errorf("%s %s %s %v, want %+v", d.uri, d.row.Destination, d.row.Mode, d.hop, c)
		}
		if to := d.target("id"); to.Timers != timers || to.Policy != "p" || to.ServerName != c.p.Destinations[0].Address || to.LocalIdentity != "id" {
			t.Errorf("target %+v", to)
		}
	}
}
