package resilience

import (
	"fmt"
	"net"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/locktone/locktone/bus"
	"github.com/locktone/locktone/config"
	"github.com/locktone/locktone/lab"
	"github.com/locktone/locktone/lab/phone"
	"github.com/locktone/locktone/media/desc"
	"github.com/locktone/locktone/pki"
	"github.com/locktone/locktone/store"
	"github.com/locktone/locktone/wire/sip/transport"
)

// modes is a site with phones of every security mode.
func modes() *config.Site {
	c := plainSite()
	c.PhoneSecurityProfiles = append(c.PhoneSecurityProfiles, config.PhoneSecurityProfile{Name: "signalling", DeviceSecurityMode: config.Authenticated},
		config.PhoneSecurityProfile{Name: "elsewhere", IncomingPort: 5071})
	addPhone(c, "erin", "1005", "signalling")
	addPhone(c, "frank", "1006", "signalling")
	addPhone(c, "SEP001122334455", "1007", "encrypted")
	addPhone(c, "grace", "1008", "elsewhere")
	return c.Canonical()
}

// as shows a certificate that was issued to somebody else.
func as(t testing.TB, s *lab.Site, kind pki.Kind, name string) func(*phone.Config) {
	t.Helper()
	c := must(s.Issue(t.Context(), kind, name))(t)
	return func(p *phone.Config) { p.Certificate = c.TLS() }
}

func plainRTP(c *phone.Config) { c.Security = desc.Forbidden }

// TestWhoMayRegister: a certificate must name the device, of the right kind, over the transport and port of its profile.
func TestWhoMayRegister(t *testing.T) {
	t.Parallel()
	s := start(t, lab.Options{Config: modes()})
	to := func(port string) func(*phone.Config) {
		return func(c *phone.Config) { c.Server = strings.Replace(c.Server, ":5061", ":"+port, 1) }
	}
	for _, c := range []struct {
		name, device, number string
		change               func(*phone.Config)
		says                 string // "": it is registered
	}{
		{"its own certificate", "alice", "1001", nil, ""},
		{"as its device name", "alice", "alice", nil, ""},
		{"another device's", "alice", "1001", as(t, s, pki.KindDevice, "bob"), "names bob and not the device alice"},
		{"a name that begins alike", "alice", "1001", as(t, s, pki.KindDevice, "alice2"), "names alice2 and not the device alice"},
		{"SEP", "SEP001122334455", "1007", nil, ""},
		{"CP-model-SEP", "SEP001122334455", "1007", as(t, s, pki.KindDevice, "CP-8845-SEP001122334455"), ""},
		{"CP-model-SEP of another", "SEP001122334455", "1007", as(t, s, pki.KindDevice, "CP-8845-SEP001122334456"), "CP-8845-SEP001122334456 and not the device"},
		{"CP- for a device that is no SEP", "alice", "1001", as(t, s, pki.KindDevice, "CP-8845-alice"), "CP-8845-alice and not the device alice"},
		{"a peer's", "alice", "1001", as(t, s, pki.KindPeer, "alice"), "another kind of holder (peer)"},
		{"non-secure over TLS", "carol", "1003", nil, "device carol must use tcp or udp on port 5060 (phone security profile plain, non-secure); it came over tls"},
		{"encrypted over UDP", "alice", "1001", plainly(transport.UDP), "device alice must use tls on port 5061 (phone security profile encrypted, encrypted); it came over udp"},
		{"encrypted over TCP", "alice", "1001", plainly(transport.TCP), "device alice must use tls on port 5061 (phone security profile encrypted, encrypted); it came over tcp"},
		{"authenticated over UDP", "erin", "1005", plainly(transport.UDP), "device erin must use tls on port 5061"},
		{"non-secure over UDP", "carol", "1003", plainly(transport.UDP), ""},
		{"authenticated", "erin", "1005", plainRTP, ""},
		{"another port's", "grace", "1008", nil, "device grace must use port 5071 (phone security profile elsewhere); it came to port 5061"},
		{"its port", "grace", "1008", to("5071"), ""},
		{"on a port that is not its own", "alice", "1001", to("5071"), "device alice must use port 5061"},
	} {
		t.Run(c.name, func(t *testing.T) {
			if c.says == "" {
				hangUp(telephone(t, s, c.device, c.number, c.change))
				return
			}
			status, warning := unaccepted(t, s, c.device, c.number, c.change)
			t.Log(status, warning)
			if status != 403 || !strings.Contains(warning, "399 ") || !strings.Contains(warning, c.says) {
				t.Errorf("%d %s; want 403 and %q", status, warning, c.says)
			}
			if row, there := registration(t, s, c.number, "rejected"); !there || !strings.Contains(row.Reason, c.says) {
				t.Errorf("show registrations: %+v", row)
			}
		})
	}
	t.Run("a CTI application's certificate registers nobody", func(t *testing.T) {
		p, err := s.Phone(within(t, step), "alice", "1001", as(t, s, pki.KindCTI, "alice"))
		ok(t, err)
		defer hangUp(p)
		if err := p.WaitRegistered(within(t, 3*time.Second)); err == nil {
			t.Fatal("registered")
		}
		rows := show[bus.Connection](t, s, bus.VerbConnections)
		if !slices.ContainsFunc(rows, func(r bus.Connection) bool {
			return strings.Contains(r.LastFailure, "presented a certificate issued to another kind of holder (cti-instance)")
		}) {
			t.Errorf("show connections does not tell: %+v", rows)
		}
	})
}

// TestMediaBetweenModes: what becomes of a call between devices of different security, with and without conversion.
func TestMediaBetweenModes(t *testing.T) {
	t.Parallel()
	s := start(t, lab.Options{Config: modes()})
	alice := telephone(t, s, "alice", "1001", nil)
	carol, dave := telephone(t, s, "carol", "1003", plainly(transport.UDP)), telephone(t, s, "dave", "1004", plainly(transport.TCP))
	erin, frank := telephone(t, s, "erin", "1005", plainRTP), telephone(t, s, "frank", "1006", plainRTP)
	talk := func(t *testing.T, from, to *phone.Phone) (caller, called phone.Evidence) {
		t.Helper()
		p := connect(t, from, to)
		p.hear(t)
		caller, called = p.caller.Evidence(), p.called.Evidence()
		p.end(t)
		return caller, called
	}
	refused := func(t *testing.T, from *phone.Phone, number string) {
		t.Helper()
		c, err := from.Dial(within(t, step), number)
		ok(t, err)
		status, byPeer, err := c.WaitEnded(within(t, step))
		t.Log(status, c.Reason(), c.Warning())
		if err != nil || !byPeer || status != 488 || !strings.Contains(c.Reason(), "Q.850") {
			t.Errorf("%s to %s: %d, %q %q, %v; want 488 with a cause", from.Name(), number, status, c.Reason(), c.Warning(), err)
		}
	}
	t.Run("refused by default", func(t *testing.T) {
		refused(t, alice, "1003")
		refused(t, carol, "1001")
		refused(t, alice, "1005")
	})
	t.Run("plain RTP among those who may", func(t *testing.T) {
		for _, p := range [][2]*phone.Phone{{carol, dave}, {erin, frank}, {erin, carol}} {
			if a, b := talk(t, p[0], p[1]); a.Suite != "" || b.Suite != "" {
				t.Errorf("%s and %s: %q, %q", p[0].Name(), p[1].Name(), a.Suite, b.Suite)
			}
		}
	})
	t.Run("converted where the cluster allows it", func(t *testing.T) {
		apply(t, s, func(c *config.Site) { c.Cluster.MixedCalls = config.MixedAnchor })
		for _, p := range [][2]*phone.Phone{{alice, carol}, {dave, alice}, {erin, alice}} {
			a, b := talk(t, p[0], p[1])
			secure, plain := a, b
			if p[1] == alice {
				secure, plain = b, a
			}
			if secure.Suite == "" || secure.RxAuth == 0 || secure.Failed != 0 || plain.Suite != "" {
				t.Errorf("%s to %s: SRTP end %+v, RTP end %+v", p[0].Name(), p[1].Name(), secure, plain)
			}
			if local := s.CallManager().String(); !strings.HasPrefix(a.Media.Remote, local+":") || !strings.HasPrefix(b.Media.Remote, local+":") {
				t.Errorf("media from %s and %s, want the relay at %s", a.Media.Remote, b.Media.Remote, local)
			}
		}
		rows := show[bus.Exception](t, s, bus.VerbExceptions)
		if !slices.ContainsFunc(rows, func(r bus.Exception) bool { return r.Setting == "mixedCalls" && r.Value == "anchor" }) {
			t.Errorf("show exceptions: %+v", rows)
		}
	})
	t.Run("anchored where the profile says so", func(t *testing.T) {
		bob := telephone(t, s, "bob", "1002", nil)
		a, b := talk(t, alice, bob)
		if local := s.CallManager().String(); strings.HasPrefix(a.Media.Remote, local+":") {
			t.Errorf("media goes through %s without need", local)
		}
		apply(t, s, func(c *config.Site) { c.SIPProfiles[0].MediaAnchor = config.AnchorAlways })
		p := connect(t, alice, bob)
		p.hear(t)
		a, b = p.caller.Evidence(), p.called.Evidence()
		if local := s.CallManager().String(); !strings.HasPrefix(a.Media.Remote, local+":") || !strings.HasPrefix(b.Media.Remote, local+":") {
			t.Errorf("media from %s and %s, want the relay at %s", a.Media.Remote, b.Media.Remote, local)
		}
		if a.Suite == "" || b.Suite == "" || a.RxAuth == 0 || b.RxAuth == 0 || a.Failed+b.Failed != 0 {
			t.Errorf("evidence %+v, %+v", a, b)
		}
		p.end(t)
	})
}

// listening says whether somebody accepts TCP connections there.
func listening(addr string) bool {
	c, err := net.DialTimeout("tcp", addr, time.Second)
	if err == nil {
		c.Close()
	}
	return err == nil
}

// TestApplyWhileCallsAreUp changes the configuration under a call: nothing drops, ports open and close, and who may not be
// here any more is told so.
func TestApplyWhileCallsAreUp(t *testing.T) {
	t.Parallel()
	s := start(t, lab.Options{Tune: impatient})
	alice, bob := telephone(t, s, "alice", "1001", nil), telephone(t, s, "bob", "1002", nil)
	up := connect(t, alice, bob)
	up.hear(t)
	port := addrOf(s, 5060)
	if listening(port) || len(show[bus.Exception](t, s, bus.VerbExceptions)) != 0 {
		t.Fatal("a new site has an open port 5060 or an exception")
	}

	apply(t, s, func(c *config.Site) {
		c.PhoneSecurityProfiles = append(c.PhoneSecurityProfiles, config.PhoneSecurityProfile{Name: "plain", DeviceSecurityMode: config.NonSecure},
			config.PhoneSecurityProfile{Name: "signalling", DeviceSecurityMode: config.Authenticated}, config.PhoneSecurityProfile{Name: "unused", DeviceSecurityMode: config.NonSecure})
		addPhone(c, "carol", "1003", "plain")
		addPhone(c, "erin", "1005", "signalling")
	})
	if !listening(port) {
		t.Error("5060 is closed although a non-secure phone is configured")
	}
	carol := telephone(t, s, "carol", "1003", plainly(transport.UDP))
	wantExceptions(t, s, "carol deviceSecurityMode non-secure", "erin deviceSecurityMode authenticated")

	apply(t, s, func(c *config.Site) {
		c.Devices = slices.DeleteFunc(c.Devices, func(d config.Device) bool { return d.Name == "carol" || d.Name == "erin" })
		c.Lines = slices.DeleteFunc(c.Lines, func(l config.Line) bool { return l.Number == "1003" || l.Number == "1005" })
	})
	if listening(port) {
		t.Error("5060 is open although no device may use it")
	}
	wantExceptions(t, s)
	hangUp(carol)
	up.hear(t)

	apply(t, s, func(c *config.Site) {
		c.PhoneSecurityProfiles = append(c.PhoneSecurityProfiles, config.PhoneSecurityProfile{Name: "elsewhere", IncomingPort: 5071})
		for i := range c.Devices {
			if c.Devices[i].Name == "bob" {
				c.Devices[i].PhoneSecurityProfile = "elsewhere"
			}
		}
	})
	if _, there := registration(t, s, "bob", "registered"); there {
		t.Error("bob is registered on a port that is not its profile's any more")
	}
	if status, says := unaccepted(t, s, "bob", "1002", nil); status != 403 || !strings.Contains(says, "device bob must use port 5071") {
		t.Errorf("bob on the old port: %d %s", status, says)
	}
	moved := telephone(t, s, "bob", "1002", func(c *phone.Config) { c.Server = strings.Replace(c.Server, ":5061", ":5071", 1) })
	up.hear(t) // the call still goes over bob's old connection

	apply(t, s, func(c *config.Site) {
		c.Devices = slices.DeleteFunc(c.Devices, func(d config.Device) bool { return d.Name == "bob" })
		c.Users = slices.DeleteFunc(c.Users, func(u config.User) bool { return u.Name == "bob" })
		c.Lines = slices.DeleteFunc(c.Lines, func(l config.Line) bool { return l.Number == "1002" })
		for i, g := range c.LineGroups {
			c.LineGroups[i].Members = slices.DeleteFunc(g.Members, func(m config.LineMember) bool { return m.Number == "1002" })
		}
	})
	if _, there := registration(t, s, "bob", "registered"); there {
		t.Error("a device that was removed is registered")
	}
	if status, says := unaccepted(t, s, "bob", "1002", nil); status != 404 && status != 403 || !strings.Contains(says, "1002\\\" is configured") {
		t.Errorf("a removed device: %d %s", status, says)
	}
	hangUp(moved)
	up.hear(t)
	up.end(t)
	nothingLeft(t, s)
}

func wantExceptions(t *testing.T, s *lab.Site, want ...string) {
	t.Helper()
	got := []string{}
	for _, r := range show[bus.Exception](t, s, bus.VerbExceptions) {
		got = append(got, fmt.Sprint(r.Name, " ", r.Setting, " ", r.Value))
		if r.Risk == "" || r.From == "" {
			t.Errorf("exception without risk or origin: %+v", r)
		}
	}
	slices.Sort(got)
	if !slices.Equal(got, append([]string{}, want...)) {
		t.Errorf("show exceptions: %q, want %q", got, want)
	}
}

// TestTakenPort: a port that another program has leaves the rest of the configuration in force; the operator is told, and
// needs to do nothing more than end that program.
func TestTakenPort(t *testing.T) {
	t.Parallel()
	s := start(t, lab.Options{})
	thief, err := net.Listen("tcp", addrOf(s, 5060))
	ok(t, err)
	alice, bob := telephone(t, s, "alice", "1001", nil), telephone(t, s, "bob", "1002", nil)
	up := connect(t, alice, bob)
	now := must(s.Store.Site(within(t, step)))(t)
	next := now.Site.Clone()
	next.PhoneSecurityProfiles = append(next.PhoneSecurityProfiles, config.PhoneSecurityProfile{Name: "plain", DeviceSecurityMode: config.NonSecure})
	addPhone(next, "carol", "1003", "plain")
	must(s.Store.Apply(within(t, step), store.ChangeSet{Base: now.Revision.Number, Author: "test", Changes: config.Diff(now.Site, next)}))(t)
	eventually(t, step, func() error {
		if st := s.Calls.Status(t.Context()); st.State != "degraded" || !strings.Contains(st.Problem, addrOf(s, 5060)) || !strings.Contains(st.Problem, "end the program that has it") {
			return fmt.Errorf("status %s: %q", st.State, st.Problem)
		}
		return nil
	})
	up.hear(t)
	ok(t, thief.Close())
	eventually(t, step, func() error {
		if st := s.Calls.Status(t.Context()); st.State != "ready" || st.Problem != "" {
			return fmt.Errorf("status %s: %q", st.State, st.Problem)
		}
		return nil
	})
	telephone(t, s, "carol", "1003", plainly(transport.TCP))
	up.end(t)
}
