package call

import (
	"fmt"
	"maps"
	"slices"
	"strings"
)

// A cut between two nodes that both live: facts are lost, requests inside ties fail, a BYE is tried until it arrives. Either side takes the
// other for lost, at its own time. When it is healed each tells the other anew what it has.

func pairOf(a, b string) [2]string { return [2]string{min(a, b), max(a, b)} }

// parted says whether two nodes do not reach each other.
func (c *cluster) parted(a, b *simNode) bool { return a != b && c.apart[pairOf(a.name, b.name)] }

// away says whether a queue leads over a cut.
func (c *cluster) away(queue string) bool {
	f := strings.Fields(queue)
	return between(queue) && len(f) > 2 && c.apart[pairOf(f[1], f[2])]
}

// part cuts two nodes off from each other.
func (c *cluster) part(a, b *simNode) {
	if a == b || a.lost || b.lost || c.parted(a, b) {
		return
	}
	if c.apart == nil {
		c.apart = map[[2]string]bool{}
	}
	c.apart[pairOf(a.name, b.name)] = true
	for _, queue := range slices.Sorted(maps.Keys(c.queues)) {
		if !c.away(queue) || strings.HasPrefix(queue, "settings") { // those wait in the record
			continue
		}
		posts := c.queues[queue]
		delete(c.queues, queue)
		for _, p := range posts {
			switch {
			case strings.HasPrefix(queue, "facts"):
				c.misses("fact")
			case p.lost != nil:
				c.send("phone failed "+queue, p.lost)
			default:
				c.misses("a BYE that waits")
				c.queues[queue] = append(c.queues[queue], p)
			}
		}
	}
	c.board(a, b, false)
	c.board(b, a, false)
}

// heal ends that.
func (c *cluster) heal(a, b *simNode) {
	if !c.parted(a, b) {
		return
	}
	delete(c.apart, pairOf(a.name, b.name))
	c.board(a, b, true)
	c.board(b, a, true)
}

// board has a node learn that another one is lost, or lives, and then what it has.
func (c *cluster) board(n, of *simNode, up bool) {
	life := n.life
	c.send("phone board "+n.name+" "+of.name, func() {
		if n.lost || n.life != life || up && (of.lost || c.parted(n, of)) {
			return
		}
		said := c.said
		c.step(n, Input{Driver: "sip", Signal: NodeState{of.name, up}})
		if up {
			for _, x := range of.offers.All() {
				x.Node = of.name
				c.step(n, Input{Driver: "sip", Signal: x})
			}
			for _, name := range slices.Sorted(maps.Keys(c.phones)) {
				if p := c.phones[name]; p.node == of && !p.trunk {
					c.step(n, Input{Driver: "sip", Signal: DeviceState{Device: name, Up: true, Node: of.name}})
				}
			}
			for _, name := range slices.Sorted(maps.Keys(c.trunks)) {
				if c.trunks[name] == of {
					c.step(n, Input{Driver: "trunk", Signal: TrunkState{Trunk: name, Up: true, Node: of.name}})
				}
			}
		}
		c.said = said
	})
}

// loss is what becomes of a message of a tie that cannot arrive; nil for a BYE, which waits.
func (c *cluster) loss(l *simLeg, cmd Command) func() {
	then := func() {}
	switch cmd := cmd.(type) {
	case Release:
		return nil
	case Answer:
		then = func() { c.breaks(l) } // no ACK comes
	case Confirm:
		then = func() { c.breaks(l.peer) }
	case Reoffer:
		then = func() { c.rejected(l) }
	case AnswerReoffer:
		then = func() { c.rejected(l.peer) }
		if cmd.Media.Kind == KindOffer || c.seq%2 == 0 { // RFC 3261, 13.3.1.4: no ACK ends the session; an UPDATE has none
			then = func() { c.breaks(l) }
		}
	case RejectReoffer:
		then = func() { c.rejected(l.peer) }
	}
	return func() {
		c.misses(fmt.Sprintf("%T", cmd))
		then()
	}
}

func (c *cluster) misses(what string) {
	if c.missed == nil {
		c.missed = map[string]int{}
	}
	c.missed[strings.TrimPrefix(what, "call.")]++
}

// fails has an end of a tie learn that it is over.
func (c *cluster) fails(l *simLeg, cause Cause) {
	if n := l.node; !n.lost && n.legs[l.id] == l {
		c.step(n, Input{Driver: "sip", Signal: Released{Leg: l.id, Cause: cause}})
		delete(n.legs, l.id)
	}
}

// breaks ends a tie at an end whose driver gives up, and with a BYE at the other.
func (c *cluster) breaks(l *simLeg) {
	if l.node.legs[l.id] != l || l.node.lost {
		return
	}
	c.fails(l, RecoveryOnTimerExpiry)
	c.send(tieQueue(l), func() { c.arrive(l.peer, l.life, Release{Leg: l.peer.id, Cause: NormalClearing}, KindNone, simDesc{}) })
}

// rejected has an end of a tie learn that its offer came to nothing.
func (c *cluster) rejected(l *simLeg) {
	if n := l.node; !n.lost && n.legs[l.id] == l && l.ours {
		l.ours = false
		c.step(n, Input{Driver: "sip", Signal: ReofferRejected{l.id, NetworkOutOfOrder}})
	}
}

// parkedTwice checks what holds at any time, cut or not: a park number has one node that keeps somebody there.
func (c *cluster) parkedTwice() (faults []string) {
	at := map[slot]string{}
	for _, n := range c.nodes {
		if n.lost {
			continue
		}
		for s := range n.k.e.slots {
			if other := at[s]; other != "" {
				faults = append(faults, fmt.Sprintf("17: somebody is parked at %v of %s and of %s", s, other, n.name))
			}
			at[s] = n.name
		}
	}
	return faults
}

// believe checks that nodes know of each other what is, when nothing is on its way: where every phone is, and what calls offer.
func (c *cluster) believe() (faults []string) {
	if len(c.apart) > 0 || c.cut {
		return nil
	}
	for _, n := range c.nodes {
		if n.lost {
			continue
		}
		var want, have []string
		for _, o := range c.nodes {
			if o == n || o.lost {
				continue
			}
			for _, x := range o.offers.All() {
				x.Node = o.name
				want = append(want, Describe(x))
			}
		}
		for _, list := range n.k.e.afar.lines {
			for _, x := range list {
				have = append(have, Describe(x.Elsewhere))
			}
		}
		for _, list := range n.k.e.afar.spots {
			for _, x := range list {
				have = append(have, Describe(x.Elsewhere))
			}
		}
		slices.Sort(want)
		slices.Sort(have)
		if !slices.Equal(want, have) {
			faults = append(faults, fmt.Sprintf("18: %s believes that others have %q, and they have %q", n.name, have, want))
		}
		for _, name := range slices.Sorted(maps.Keys(c.phones)) {
			p := c.phones[name]
			if p.trunk || p.node == nil || p.node.lost || c.lies {
				continue
			}
			at := n.k.e.device(name)
			if where := orDefault(at.node, n.name); !at.up || where != p.node.name {
				faults = append(faults, fmt.Sprintf("18: %s believes that %s is at %q (up %v), and it is at %s", n.name, name, where, at.up, p.node.name))
			}
		}
	}
	return faults
}
