package latch

import (
	"net/netip"
	"testing"
)

func TestPolicies(t *testing.T) {
	a, a2, b := netip.MustParseAddrPort("192.0.2.1:4000"), netip.MustParseAddrPort("192.0.2.1:5000"), netip.MustParseAddrPort("198.51.100.1:4000")
	mapped := netip.MustParseAddrPort("[::ffff:192.0.2.1]:4000")
	for _, x := range []struct {
		policy Policy
		from   []netip.AddrPort
		want   []bool
		to     netip.AddrPort
	}{
		{Signalled, []netip.AddrPort{a, a2, b, mapped}, []bool{true, false, false, true}, a},
		{SameHost, []netip.AddrPort{b, a2, a, a2}, []bool{false, true, false, true}, a2},
		{SameHost, []netip.AddrPort{a, a}, []bool{true, true}, a},
		{FirstSeen, []netip.AddrPort{b, a, a2, b}, []bool{true, false, false, true}, b},
	} {
		p := New(x.policy)
		if p.Plain(a) || p.To().IsValid() {
			t.Errorf("%v: packets are taken before anything was signalled", x.policy)
		}
		p.Signal(a)
		for i, from := range x.from {
			if p.Plain(from) != x.want[i] {
				t.Errorf("%v: packet %d from %v: taken is %v", x.policy, i, from, !x.want[i])
			}
		}
		if p.To() != x.to {
			t.Errorf("%v: sends to %v, want %v", x.policy, p.To(), x.to)
		}
	}
}

func TestFollowsAuthenticatedOnly(t *testing.T) {
	a, b, c := netip.MustParseAddrPort("192.0.2.1:1"), netip.MustParseAddrPort("192.0.2.2:2"), netip.MustParseAddrPort("192.0.2.3:3")
	p := New(Signalled)
	p.Signal(a)
	p.Authenticated(b)
	if p.To() != b {
		t.Errorf("sends to %v", p.To())
	}
	p.Signal(a) // a re-offer that says the same
	if p.To() != b {
		t.Errorf("after a re-offer: sends to %v", p.To())
	}
	if p.Signal(c); p.To() != c {
		t.Errorf("after another address: sends to %v", p.To())
	}
}
