package tieleg

import (
	"reflect"
	"testing"

	"github.com/locktone/locktone/call"
	"github.com/locktone/locktone/leg/sipleg"
	"github.com/locktone/locktone/wire/sip"
)

// invite is an INVITE for a number with values of the header field.
func invite(called string, values ...string) *sip.Message {
	m := sip.NewRequest(sip.INVITE, sip.URI{Scheme: "sip", User: called, Host: "192.0.2.2"})
	for _, v := range values {
		m.Add(Name, v)
	}
	return m
}

// TestOrders: what one node's engine tells a driver is what the other's engine is told.
func TestOrders(t *testing.T) {
	line := call.LineID{Number: "7001", Partition: "internal"}
	n1, n2 := Dialect{Node: "n1", Peer: "n2", Life: "x", PeerLife: "y"}, Dialect{Node: "n2", Peer: "n1", Life: "y", PeerLife: "x"}
	for _, at := range []call.Target{
		{Device: "d2", Line: line, Called: "7001"},
		{Device: "d2", Line: line, Called: "7001", Hunt: "sales"},
		{Trunk: "pstn", Called: "+491234", Emergency: true},
		{Called: "7101", Ask: &call.Ask{Device: "bob", Line: line, Thing: call.ThingParked, Range: "park 1"}},
		{Called: "7101", Ask: &call.Ask{Trunk: "pstn", Thing: call.ThingRoom, Range: "rooms"}},
		{Called: "7001", Ask: &call.Ask{Device: "bob", Line: line, Thing: call.ThingHeld, Replaces: 17}},
		{Ask: &call.Ask{Join: 3}},
	} {
		ring := call.Ring{Target: at, GlobalID: anID, Inside: true, Lock: call.LockEncrypted}
		ring.Target.Node = "n2"
		s := call.Setup{Called: at.Called, Trust: call.TrustMutual, GlobalID: "from elsewhere"}
		if r := n2.Setup(invite(at.Called, n1.Ring(ring).Value), &s); r != nil {
			t.Errorf("%s: refused: %+v", at, r)
			continue
		}
		want := call.Setup{Called: at.Called, Trust: call.TrustMutual, GlobalID: anID, Node: "n1", At: &at, Inside: true, Lock: call.LockEncrypted}
		if !reflect.DeepEqual(s, want) {
			t.Errorf("%s\nset up %+v\nwant   %+v", at, s, want)
		}
	}
}

func TestOrdersRefused(t *testing.T) {
	n2 := Dialect{Node: "n2", Peer: "n1", Life: "y"}
	for _, c := range []struct {
		values []string
		status int
	}{
		{nil, 400},
		{[]string{"1;form=device;from=n1;to=n2;device=d", "1;form=device;from=n1;to=n2;device=e"}, 400},
		{[]string{"1;lock=encrypted"}, 400},
		{[]string{"2;form=device;from=n1;to=n2;device=d"}, 400},
		{[]string{"1;form=device;from=n3;to=n2;device=d"}, 403},
		{[]string{"1;form=device;from=n1;to=n3;device=d"}, 404},
		{[]string{"1;form=ask;from=n1;to=n2;life=before;replaces=17"}, 481},
	} {
		s := call.Setup{}
		if r := n2.Setup(invite("1", c.values...), &s); r == nil || r.Status != c.status || r.Warning == "" {
			t.Errorf("%v: %+v, want %d with a sentence", c.values, r, c.status)
		}
		if s.Node != "" || s.At != nil {
			t.Errorf("%v: refused, and the engine would be told %+v", c.values, s)
		}
	}
}

// TestSaid: what is told inside a call.
func TestSaid(t *testing.T) {
	d := Dialect{Node: "n1", Peer: "n2"}
	for _, s := range []sipleg.Said{{}, {Inside: true}, {Call: "0123456789abcdef0123456789abcdef"}, {Lock: call.LockNonSecure, Why: "the leg to trunk pstn carries plain RTP", Via: "n2/3f/c7 n3/a0/c12"}} {
		if got, ok := d.Heard(invite("", d.Tell(s).Value)); !ok || got != s {
			t.Errorf("told %+v, heard %+v %v", s, got, ok)
		}
	}
	for _, values := range [][]string{nil, {"3"}, {"1;lock=open"}} {
		if got, ok := d.Heard(invite("", values...)); ok || got != (sipleg.Said{}) {
			t.Errorf("%q: heard %+v %v", values, got, ok)
		}
	}
}
