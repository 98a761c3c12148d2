package dialpeer

import (
	"cmp"
	"fmt"
	"slices"
	"strings"
)

// Why says why a call is refused.
type Why uint8

// The reasons; the zero value is none.
const (
	Accepted Why = iota
	// Untrusted: the sender is no peer, and no peer is open to it.
	Untrusted
	// NoPeer: no dial-peer leads to the number.
	NoPeer
	// Unavailable: peers lead there, and each is shut down, out of service or full.
	Unavailable
	// Full: the peer the call came in by carries as many calls as it may.
	Full
)

// A Leg is one outbound choice with the numbers it is sent.
type Leg struct {
	Tag             int
	Called, Calling string
	// Spelt is how many digits the pattern spelt out.
	Spelt int
}

// An Answer says what becomes of a call.
type Answer struct {
	// In is the inbound peer, zero when the call is refused before one was found; Rule the one that found it.
	In   int
	Rule string
	// Called and Calling are the numbers after the inbound peer's translation.
	Called, Calling string
	// Out are the outbound choices in the order of the hunt.
	Out []Leg
	Why Why
	// Steps explain it, a line each.
	Steps []string
}

// Text is the explanation for people.
func (a Answer) Text() string { return strings.Join(a.Steps, "\n") + "\n" }

// Choose decides a call. status may be nil: then every peer is well and idle.
func (t *Table) Choose(q Query, status func(tag int) Status) Answer {
	if status == nil {
		status = func(int) Status { return Status{} }
	}
	d := &decision{t: t, q: q, status: status}
	d.a.Called, d.a.Calling = q.Called, q.Calling
	if in, ok := d.inbound(); ok {
		d.a.Called, d.a.Calling = in.Incoming.apply(d.a.Called, d.a.Calling, d.say)
		d.outbound(in)
	}
	return d.a
}

type decision struct {
	t      *Table
	q      Query
	status func(int) Status
	a      Answer
}

func (d *decision) say(format string, args ...any) {
	d.a.Steps = append(d.a.Steps, fmt.Sprintf(format, args...))
}

// inbound finds the peer the call comes in by.
func (d *decision) inbound() (Peer, bool) {
	d.say("a call from %s to %s, sent by %s", shown(d.q.Calling), shown(d.q.Called), cmp.Or(d.q.Subject, "nobody known"))
	can := d.candidates()
	if len(d.q.Sender) == 0 || len(can) == 0 {
		d.a.Why = Untrusted
		d.say("refused: the sender is none of the dial-peers")
		return Peer{}, false
	}
	for _, r := range inboundRules {
		if p, why, ok := r.best(can, d.q); ok {
			d.a.In, d.a.Rule = p.Tag, r.name
			d.say("inbound: dial-peer %d by %s%s", p.Tag, r.name, why)
			return d.room(p)
		}
	}
	for _, p := range can {
		if slices.Contains(d.q.Sender, p.Tag) {
			d.a.In, d.a.Rule = p.Tag, "sender"
			d.say("inbound: dial-peer %d, because it is the sender", p.Tag)
			return d.room(p)
		}
	}
	d.a.Why = Untrusted
	d.say("refused: no dial-peer for calls from the sender matches")
	return Peer{}, false
}

// candidates are the peers that the sender can be.
func (d *decision) candidates() (can []Peer) {
	for _, p := range d.t.peers {
		if !p.Shutdown && !(p.Clear && d.q.TLS) && (!p.Own || slices.Contains(d.q.Sender, p.Tag)) {
			can = append(can, p)
		}
	}
	return can
}

func (d *decision) room(p Peer) (Peer, bool) {
	if n := d.status(p.Tag).Calls; p.MaxCalls > 0 && n >= p.MaxCalls {
		d.a.Why = Full
		d.say("refused: dial-peer %d carries %d of %d calls", p.Tag, n, p.MaxCalls)
		return p, false
	}
	return p, true
}

// inboundRule is one of the field's ways to find the inbound peer.
type inboundRule struct {
	name string
	uris func(Peer) []URI
	addr func(Query) Address
	pats func(Peer) []Pattern
	num  func(Query) string
}

// inboundRules are the ways in the field's order.
var inboundRules = []inboundRule{
	{name: "incoming uri via", uris: func(p Peer) []URI { return p.Via }, addr: func(q Query) Address { return q.Via }},
	{name: "incoming uri request", uris: func(p Peer) []URI { return p.Request }, addr: func(q Query) Address { return q.Request }},
	{name: "incoming uri to", uris: func(p Peer) []URI { return p.To }, addr: func(q Query) Address { return q.To }},
	{name: "incoming uri from", uris: func(p Peer) []URI { return p.From }, addr: func(q Query) Address { return q.From }},
	{name: "incoming called-number", pats: func(p Peer) []Pattern { return p.IncomingCalled }, num: func(q Query) string { return q.Called }},
	{name: "answer-address", pats: func(p Peer) []Pattern { return p.Answer }, num: func(q Query) string { return q.Calling }},
	{name: "destination-pattern", pats: func(p Peer) []Pattern { return p.Destination }, num: func(q Query) string { return q.Calling }},
}

// best is the peer that the rule chooses, and what matched.
func (r inboundRule) best(can []Peer, q Query) (best Peer, why string, found bool) {
	spelt := -1
	for _, p := range can {
		n, text := r.match(p, q)
		if n < 0 || found && (n < spelt || n == spelt && p.Preference >= best.Preference) {
			continue
		}
		best, why, found, spelt = p, text, true, n
	}
	return best, why, found
}

// match is how many digits are spelt out; below zero there is no match.
func (r inboundRule) match(p Peer, q Query) (int, string) {
	if r.uris == nil {
		n, pat, ok := longest(r.pats(p), r.num(q))
		if !ok {
			return -1, ""
		}
		return n, fmt.Sprintf(" %s (%d digits spelt out)", pat, n)
	}
	for _, u := range r.uris(p) {
		if u.match(r.addr(q)) {
			return 0, " " + cmp.Or(u.Name, r.addr(q).Text)
		}
	}
	return -1, ""
}

func longest(all []Pattern, number string) (best int, pat Pattern, ok bool) {
	for _, p := range all {
		if n, m := p.Match(number); m && (!ok || n > best) {
			best, pat, ok = n, p, true
		}
	}
	return best, pat, ok && number != ""
}

// found is an outbound peer before it is looked at whether it can take the call.
type found struct {
	p     Peer
	pref  int
	spelt int
	how   string
}

// outbound finds the peers the call goes to.
func (d *decision) outbound(in Peer) {
	all := d.matches(in)
	if len(all) == 0 {
		d.a.Why = NoPeer
		d.say("refused: no dial-peer leads to %s", shown(d.a.Called))
		return
	}
	slices.SortStableFunc(all, func(a, b found) int {
		return cmp.Or(cmp.Compare(b.spelt, a.spelt), cmp.Compare(a.pref, b.pref), cmp.Compare(a.p.Tag, b.p.Tag))
	})
	for _, f := range all {
		if why := d.cannot(f.p, in); why != "" {
			d.say("outbound: dial-peer %d %s: left out, %s", f.p.Tag, f.how, why)
		} else {
			d.take(f)
		}
		if f.p.Huntstop {
			d.say("dial-peer %d stops the hunt", f.p.Tag)
			break
		}
	}
	if len(d.a.Out) == 0 {
		d.a.Why = Unavailable
		d.say("refused: no dial-peer that leads to %s can take the call", shown(d.a.Called))
	}
}

func (d *decision) take(f found) {
	d.say("outbound: dial-peer %d %s", f.p.Tag, f.how)
	called, calling := f.p.Outgoing.apply(d.a.Called, d.a.Calling, d.say)
	d.a.Out = append(d.a.Out, Leg{Tag: f.p.Tag, Called: called, Calling: calling, Spelt: f.spelt})
}

// matches lists the peers that lead to the number, by the first of the three ways that finds any.
func (d *decision) matches(in Peer) []found {
	if len(in.Group) > 0 {
		return d.group(in)
	}
	var uri, num []found
	for _, p := range d.t.peers {
		if !p.Outbound {
			continue
		}
		if i := slices.IndexFunc(p.DestinationURI, func(u URI) bool { return u.match(d.q.Request) }); i >= 0 {
			uri = append(uri, found{p, p.Preference, 0, fmt.Sprintf("by destination uri %s, preference %d", p.DestinationURI[i].Name, p.Preference)})
		}
		if n, pat, ok := longest(p.Destination, d.a.Called); ok {
			num = append(num, found{p, p.Preference, n, fmt.Sprintf("by destination-pattern %s (%d digits spelt out), preference %d", pat, n, p.Preference)})
		}
	}
	if len(uri) > 0 {
		return uri
	}
	return num
}

func (d *decision) group(in Peer) (all []found) {
	for _, c := range in.Group {
		i := d.t.find(c.Tag)
		if i < 0 || !d.t.peers[i].Outbound {
			d.say("dial-peer %d of the group of dial-peer %d is none that calls can leave by", c.Tag, in.Tag)
			continue
		}
		all = append(all, found{d.t.peers[i], c.Preference, 0, fmt.Sprintf("by the group of dial-peer %d, preference %d", in.Tag, c.Preference)})
	}
	return all
}

// cannot says why a peer takes no call now.
func (d *decision) cannot(p, in Peer) string {
	st := d.status(p.Tag)
	switch {
	case p.Shutdown:
		return "it is shut down"
	case (p.Tag == in.Tag || slices.Contains(d.q.Sender, p.Tag)) && !p.Hairpin:
		return "the call came from there"
	case st.Down != "":
		return "it is busied out: " + st.Down
	case p.MaxCalls > 0 && st.Calls >= p.MaxCalls:
		return fmt.Sprintf("it carries %d of %d calls", st.Calls, p.MaxCalls)
	}
	return ""
}
