package call

import (
	"strings"
	"testing"
)

// tiedEngine is node n1 of two, with Alice here and Bob at n2.
func tiedEngine(t *testing.T) *checker {
	site := office()
	withConferences(&site)
	withParks(&site)
	site.Node, site.Nodes = "n1", []string{"n1", "n2"}
	k := newChecker(true)
	k.step(start, Input{Config: site.must(t)})
	for _, s := range []Signal{NodeState{"n2", true}, DeviceState{Device: "alice", Up: true}, DeviceState{Device: "bob", Up: true, Node: "n2"}} {
		k.step(start, Input{Driver: "sip", Signal: s})
	}
	return k
}

// Whatever another node asks, this one asks nobody else for it, and what it cannot do it refuses with a sentence.
func TestNoBounce(t *testing.T) {
	offer := Desc{Ref: 1, Kind: KindOffer, Dir: SendRecv, Security: SRTP}
	line := LineID{"2002", "phones"}
	for name, c := range map[string]struct {
		s     Setup
		cause Cause
		why   string
	}{
		"a device that is elsewhere":      {Setup{At: &Target{Device: "bob", Line: line, Called: "2002"}}, SubscriberAbsent, ""},
		"a device that is nowhere":        {Setup{At: &Target{Device: "carol", Line: LineID{"2003", "phones"}}}, SubscriberAbsent, ""},
		"a line the device does not have": {Setup{At: &Target{Device: "alice", Line: line}}, SubscriberAbsent, ""},
		"a trunk that is not known":       {Setup{At: &Target{Trunk: "moon", Called: "1"}}, NoRouteToDestination, ""},
		"hops used up":                    {Setup{At: &Target{Device: "alice", Line: LineID{"2001", "phones"}}, NoHops: true}, ExchangeRoutingError, ""},
		"nothing said":                    {Setup{}, ProtocolError, "does not say what it wants"},
		"a slot of the asker's own":       {Setup{At: &Target{Called: "7002", Ask: &Ask{Device: "bob", Line: line, Thing: ThingParked, Range: "some"}}}, UnallocatedNumber, "nobody is parked at 7002"},
		"to park at the asker's own":      {Setup{At: &Target{Called: "7002", Ask: &Ask{Device: "bob", Line: line, Thing: ThingParked, Range: "some", Park: true}}}, UnallocatedNumber, "does not keep"},
		"a conference that is elsewhere":  {Setup{At: &Target{Called: "8001", Ask: &Ask{Device: "bob", Line: line, Thing: ThingRoom, Range: "team"}}}, TemporaryFailure, "not kept at this node"},
		"a conference nobody configured":  {Setup{At: &Target{Called: "8001", Ask: &Ask{Device: "bob", Line: line, Thing: ThingRoom, Range: "moon"}}}, TemporaryFailure, "not kept at this node"},
		"a leg that is over":              {Setup{At: &Target{Ask: &Ask{Device: "bob", Line: line, Thing: ThingRinging, Replaces: 40}}}, NoSuchCall, ""},
		"a call to join that is over":     {Setup{At: &Target{Ask: &Ask{Device: "bob", Line: line, Thing: ThingActive, Join: 40}}}, NoSuchCall, "no call that is there"},
	} {
		k := tiedEngine(t)
		k.step(start, Input{Driver: "sip", Signal: Elsewhere{Node: "n2", Thing: ThingRoom, Range: "team", Number: "8001"}})
		c.s.Leg, c.s.Node, c.s.Desc, c.s.Trust = 1, "n2", offer, TrustMutual
		out := k.step(start, Input{Driver: "sip", Signal: c.s})
		if len(out.Commands) != 1 {
			t.Errorf("%s: %s", name, AppendOutput(nil, out))
			continue
		}
		r, ok := out.Commands[0].Command.(Release)
		if !ok || r.Cause != c.cause || !strings.Contains(r.Why, c.why) || (c.why == "") != (r.Why == "") {
			t.Errorf("%s: %s", name, AppendOutput(nil, out))
		}
		if n, _ := k.e.Load(); n != 0 || len(k.faults) > 0 {
			t.Errorf("%s: %d calls are left; %v", name, n, k.faults)
		}
	}
}

// What an application asks about a phone of another node is refused with the node's name.
func TestAskTheOtherNode(t *testing.T) {
	k := tiedEngine(t)
	for _, r := range []Request{MakeCall{Device: "bob", Called: "2001"}, Barge{Device: "bob"}, TakeOver{Device: "bob"}, Pickup{Device: "bob"}, Retrieve{Device: "bob", Slot: "7001"}} {
		out := k.step(start, Input{Request: r, RequestID: "r"})
		if out.Reply.Cause != SubscriberAbsent || !strings.Contains(out.Reply.Why, "registered at node n2, which is to be asked") {
			t.Errorf("%s: %s", Describe(r), Describe(out.Reply))
		}
	}
}

// A device is where it was said last to be; a node that no longer has it has no say in it.
func TestWhereDevicesAre(t *testing.T) {
	k := tiedEngine(t)
	at := func(want string) {
		t.Helper()
		if d := k.e.device("bob"); d.node != want || !d.up {
			t.Errorf("bob is at %q (up %v), want %q", d.node, d.up, want)
		}
	}
	at("n2")
	k.step(start, Input{Signal: DeviceState{Device: "bob", Up: true}})
	at("")
	k.step(start, Input{Signal: DeviceState{Device: "bob", Node: "n2"}})
	at("")
	if !k.e.device("bob").here() {
		t.Error("bob is not here")
	}
	k.step(start, Input{Signal: DeviceState{Device: "bob", Up: true, Node: "n2"}})
	k.step(start, Input{Signal: DeviceState{Device: "bob"}})
	at("n2")
	k.step(start, Input{Signal: NodeState{"n2", false}})
	if d := k.e.device("bob"); d.up {
		t.Error("bob is still reachable at a lost node")
	}
}

// Park numbers go round the configured nodes, and so do conferences, which the next node opens while theirs is lost.
func TestOwners(t *testing.T) {
	k := tiedEngine(t)
	c := k.e.config
	if a, b := c.slotOwner(slot{"some", "7001"}), c.slotOwner(slot{"some", "7002"}); a != "n1" || b != "n2" {
		t.Errorf("7001 is kept at %s, 7002 at %s", a, b)
	}
	owners := map[string]int{}
	for _, n := range []string{"8001", "8002", "8003", "8004", "8005", "8006", "8007", "8008"} {
		owners[k.e.roomOwner("team/"+n)]++
	}
	if owners["n1"] == 0 || owners["n2"] == 0 {
		t.Errorf("conferences are kept at %v", owners)
	}
	k.step(start, Input{Signal: NodeState{"n2", false}})
	for _, n := range []string{"8001", "8002", "8003", "8004"} {
		if o := k.e.roomOwner("team/" + n); o != "n1" {
			t.Errorf("%s would be opened at %s, which is lost", n, o)
		}
	}
}
