package sipleg

import (
	"testing"

	"github.com/locktone/locktone/call"
	"github.com/locktone/locktone/wire/sip"
)

// RFC 3325, 5: P-Asserted-Identity counts where the peer is trusted to say it, and only there.
func TestAssertedIdentity(t *testing.T) {
	m := sip.NewRequest(sip.INVITE, sip.URI{Scheme: "sip", Host: "locktone.test"})
	m.SetFrom(sip.Address{URI: sip.URI{Scheme: "sip", User: "1000", Host: "locktone.test"}})
	m.Set("P-Asserted-Identity", `"The Boss" <sip:9999@elsewhere.test>`)
	m.Set("Privacy", "id")
	boss := call.Identity{Number: "9999", Display: "The Boss", Domain: "elsewhere.test"}
	for _, c := range []struct {
		trusted            bool
		connected, calling call.Identity
	}{
		{true, boss, call.Identity{Number: "9999", Display: "The Boss", Domain: "elsewhere.test", Restricted: true}},
		{false, call.Identity{}, call.Identity{Number: "1000", Restricted: true}},
	} {
		l := &leg{drv: &Driver{cfg: Config{Domain: "locktone.test"}}, profile: &Profile{TrustAsserts: c.trusted}}
		if got := l.connected(m); got != c.connected {
			t.Errorf("trusted %v: connected %+v", c.trusted, got)
		}
		if got := l.calling(m); got != c.calling {
			t.Errorf("trusted %v: calling %+v", c.trusted, got)
		}
	}
}

// RFC 3325, 9.1: a restricted identity is asserted to trusted peers only, with Privacy.
func TestAssertedToWhom(t *testing.T) {
	for _, c := range []struct {
		name    string
		profile Profile
		id      call.Identity
		want    int // header fields
	}{
		{"not wanted", Profile{}, call.Identity{Number: "1"}, 0},
		{"known", Profile{SendAsserts: true}, call.Identity{Number: "1"}, 1},
		{"unknown", Profile{SendAsserts: true}, call.Identity{}, 0},
		{"restricted, not trusted", Profile{SendAsserts: true}, call.Identity{Number: "1", Restricted: true}, 0},
		{"restricted, trusted", Profile{SendAsserts: true, TrustAsserts: true}, call.Identity{Number: "1", Restricted: true}, 2},
	} {
		l := &leg{drv: &Driver{cfg: Config{Domain: "locktone.test"}}, profile: &c.profile}
		if got := l.asserts(c.id); len(got) != c.want {
			t.Errorf("%s: %v", c.name, got)
		}
	}
}
