package call

import (
	"fmt"
	"maps"
	"math/rand"
	"slices"
	"strings"
	"testing"
	"time"
)

// clusterWalk lives in a cluster at random: people do what phones let them do, messages between nodes take their time (in order within
// each leg and direction, in no order between them), nodes are killed and come back, or are cut off from each other and healed, phones move
// from node to node.
type clusterWalk struct {
	*cluster
	rnd  *rand.Rand
	w    *walker // for its numbers and requests
	cuts bool    // nodes are cut off from each other and healed
}

func newClusterWalk(t testing.TB, seed int64) *clusterWalk {
	w := &walker{rnd: rand.New(rand.NewSource(seed)), legal: true}
	site := walkSite(seed)
	names := []string{"n1", "n2", "n3"}[:2+seed%2]
	c := &clusterWalk{newCluster(t, site, names...), w.rnd, w, seed%3 != 0}
	c.seed = seed
	for _, p := range phones {
		c.register(c.phones[p], pick(c.rnd, c.nodes))
	}
	for _, tr := range []string{"north", "south", "copper", "eager"} {
		c.serve(tr, pick(c.rnd, c.nodes))
	}
	return c
}

// walk does n things and then ends everything; it says what was wrong.
func (c *clusterWalk) walk(n int) []string {
	for range n {
		c.one()
		c.said = nil
		if f := append(c.faults(), c.parkedTwice()...); len(f) > 0 {
			return f
		}
		if c.rnd.Intn(25) == 0 && len(c.apart) == 0 {
			c.settle()
			if f := c.agree(); len(f) > 0 {
				return f
			}
		}
	}
	for _, n := range c.nodes {
		if n.lost {
			n.begin(c.cluster)
			c.announce(n)
		}
	}
	return c.clear()
}

func (c *cluster) faults() (out []string) {
	for _, n := range c.nodes {
		for _, f := range n.k.faults {
			out = append(out, n.name+": "+f)
		}
	}
	return out
}

// one is one thing that happens.
func (c *clusterWalk) one() {
	keys := slices.DeleteFunc(c.next(), func(k string) bool { return strings.HasPrefix(k, "phone board") && c.rnd.Intn(10) > 0 }) // it takes seconds
	if len(keys) > 0 && c.rnd.Intn(3) > 0 {
		c.deliver(pick(c.rnd, keys))
		return
	}
	switch r := c.rnd.Intn(100); {
	case r < 6:
		c.wait(time.Duration(1+c.rnd.Intn(6000))*time.Millisecond, func() {})
	case r < 8:
		c.wait(time.Duration(1+c.rnd.Intn(90))*time.Second, func() {
			if keys := c.next(); len(keys) > 0 {
				c.deliver(keys[0])
			}
		})
	case r < 10:
		n := pick(c.rnd, c.nodes)
		if n.lost {
			n.begin(c.cluster)
			c.announce(n)
		} else if c.rnd.Intn(3) == 0 {
			c.lose(n)
		}
	case r < 12:
		p := c.phones[pick(c.rnd, phones)]
		if n := pick(c.rnd, c.nodes); !n.lost {
			c.register(p, n)
		}
	case r < 13:
		c.expire()
	case r < 16 && c.cuts:
		a, b := pick(c.rnd, c.nodes), pick(c.rnd, c.nodes)
		if c.heal(a, b); c.rnd.Intn(3) > 0 {
			c.part(a, b)
		}
	case r < 20:
		c.request()
	default:
		c.person(c.phones[pick(c.rnd, append([]string{"north", "south", "copper"}, phones...))])
	}
}

// request has an application ask something of a node.
func (c *clusterWalk) request() {
	n := pick(c.rnd, c.nodes)
	if n.lost {
		return
	}
	in := c.w.request(slices.Sorted(maps.Keys(n.legs)))
	if d, ok := in.Request.(Drop); ok && d.Leg == 0 && d.Party == 0 {
		return
	}
	c.step(n, in)
}

// person has somebody at a phone, or behind a trunk, do something.
func (c *clusterWalk) person(p *simPhone) {
	if p.node == nil || p.node.lost {
		return
	}
	if len(p.legs) == 0 || c.rnd.Intn(6) == 0 {
		s := Setup{Called: c.w.number()}
		o := c.phones[pick(c.rnd, phones)]
		if len(o.legs) > 0 && !p.trunk && c.rnd.Intn(4) == 0 {
			l := pick(c.rnd, o.legs)
			if s.Replaces = l.id; c.rnd.Intn(2) == 0 {
				s.Replaces, s.Join = 0, l.id
			}
			if l.node != p.node {
				s.Owner = l.node.name
			}
		}
		c.call(p, s)
		return
	}
	l := pick(c.rnd, p.legs)
	if l.node.lost || l.node.legs[l.id] != l {
		return
	}
	sig := func(s Signal) { c.step(l.node, Input{Driver: "sip", Signal: s}) }
	switch r := c.rnd.Intn(12); {
	case l.ringing && r < 7:
		c.answer(l)
	case l.ringing && r < 9:
		c.hangUp(l, Released{Cause: pick(c.rnd, []Cause{UserBusy, CallRejected, SubscriberAbsent, TemporaryFailure})})
	case l.ringing && r == 9:
		c.hangUp(l, Released{Cause: NormalClearing, ToNumber: pick(c.rnd, []string{"2001", "2003", "9999"})})
	case r == 0 || !l.active:
		if c.rnd.Intn(3) == 0 {
			c.hangUp(l, Released{Cause: NormalClearing})
		}
	case r < 5 && !l.ours && !l.theirs && l.settled():
		c.reoffer(l, !l.holding)
	case r < 8:
		sig(TransferAsked{Leg: l.id, To: pick(c.rnd, []string{"2001", "2002", "2003", "2100", "9999", "*11", "7050", "7002", "8001", "112"})})
	case r < 10 && len(p.legs) > 1:
		sig(TransferAsked{Leg: l.id, Replaces: pick(c.rnd, p.legs).id})
	case r == 10:
		sig(Digit{l.id, "5", 100})
	}
}

// settled says whether the phone's own exchange is over: it makes no offer before.
func (l *simLeg) settled() bool {
	w := l.node.k.wire[l.id]
	return w != nil && w.answered && !w.ours && !w.theirs && !w.ack && !w.confirm
}

// TestClusterWalk walks clusters of two and three nodes at random, every engine under all invariants, and with those between nodes: every tie
// has two ends in calls with one global id, a party has one answered leg, nobody is parked twice at one number, also while nodes are cut off
// from each other, all nodes believe the same when that is over, and when everybody has hung up all engines are empty.
func TestClusterWalk(t *testing.T) {
	first, last := int64(1), int64(walkCount(120))
	if *walkSeed != 0 {
		first, last = *walkSeed, *walkSeed
	}
	for seed := first; seed <= last; seed++ {
		c := newClusterWalk(t, seed)
		c.log = *walkSeed != 0
		if faults := c.walk(2 * *walkLen); len(faults) > 0 {
			t.Fatalf("seed %d (go test -run %s -seed %d -v): %s", seed, t.Name(), seed, strings.Join(faults[:min(len(faults), 8)], "\n"))
		}
	}
}

// TestClusterWalkReachesEverything sees that the walks come to what they are for.
func TestClusterWalkReachesEverything(t *testing.T) {
	seen := map[string]int{}
	for seed := int64(1); seed <= 60; seed++ {
		c := newClusterWalk(t, seed)
		c.walk(300)
		for what, n := range c.missed {
			seen["lost: "+what] += n
		}
		for _, n := range c.nodes {
			for _, r := range n.records {
				for line := range strings.Lines(string(r.Text)) {
					for _, what := range []string{"Ring target=node", "node/n1/device", "node/n2/trunk", "park/at", "parked/", "room/", "replaces/", "join/", "emergency=true", "hunt=",
						"* Parked", "* Retrieved", "* PickedUp", "* Barged", "* ConferenceStarted", "* Transferred", "* Forwarded", "to_number="} {
						if strings.Contains(line, what) || strings.HasPrefix(what, "Ring") && strings.Contains(line, "target=node") {
							seen[what]++
						}
					}
				}
				for _, what := range []string{"Identified", "LockShown", "NodeState", "Elsewhere"} {
					if strings.Contains(string(r.Input), `"signal":"`+what+`"`) {
						seen[what]++
					}
				}
			}
		}
	}
	for _, what := range []string{"Ring target=node", "node/n1/device", "node/n2/trunk", "park/at", "parked/", "room/", "replaces/", "join/", "emergency=true", "hunt=", "* Parked",
		"* Retrieved", "* PickedUp", "* Barged", "* ConferenceStarted", "* Transferred", "* Forwarded", "to_number=", "Identified", "LockShown", "NodeState", "Elsewhere", "lost: fact", "lost: a BYE that waits", "lost: Ring", "lost: Answer",
		"lost: Reoffer", "lost: Identify"} {
		if seen[what] == 0 {
			t.Errorf("no walk saw %s", what)
		}
	}
	t.Log(fmt.Sprint(seen))
}
