package phone_test

import (
	"context"
	"errors"
	"io"
	"net"
	"net/netip"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/locktone/locktone/config"
	"github.com/locktone/locktone/lab"
	"github.com/locktone/locktone/lab/phone"
	"github.com/locktone/locktone/media/desc"
	"github.com/locktone/locktone/pki"
	"github.com/locktone/locktone/wire/sip"
	"github.com/locktone/locktone/wire/sip/transport"
)

// Phones against a whole site, as `locktone up` makes one.

// whole starts a site with two more devices, carol 1003 and dave 1004 with the profile "special", and edits its configuration.
func whole(t *testing.T, edit func(*config.Site)) *lab.Site {
	t.Helper()
	c := config.Default("node1")
	for i, name := range []string{"carol", "dave"} {
		number := []string{"1003", "1004"}[i]
		c.Lines = append(c.Lines, config.Line{Number: number, Partition: "internal", CallingSearchSpace: "internal"})
		c.Devices = append(c.Devices, config.Device{Name: name, DevicePool: "default", PhoneSecurityProfile: "special", SIPProfile: "standard",
			Lines: []config.Appearance{{Number: number, Partition: "internal"}}})
	}
	edit(c)
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	t.Cleanup(cancel)
	s, err := lab.Start(ctx, lab.Options{Config: c.Canonical()})
	must(t, err)
	t.Cleanup(func() {
		end, stop := context.WithTimeout(context.Background(), 10*time.Second)
		defer stop()
		_ = s.Close(end)
	})
	return s
}

// at starts a phone of the site and waits until it is registered.
func at(t *testing.T, s *lab.Site, name, number string, edit func(*phone.Config)) *phone.Phone {
	t.Helper()
	ctx := wait(t)
	p, err := s.Phone(ctx, name, number, edit)
	must(t, err)
	t.Cleanup(func() {
		end, stop := context.WithTimeout(context.Background(), 100*time.Millisecond)
		defer stop()
		_ = p.Close(end)
	})
	must(t, p.WaitRegistered(ctx))
	return p
}

// plainly makes a phone without TLS and SRTP.
func plainly(n transport.Network) func(*phone.Config) {
	return func(c *phone.Config) {
		c.Network, c.Security = n, desc.Forbidden
		c.Server = strings.Replace(c.Server, ":5061", ":5060", 1)
	}
}

// both lets two phones of a call hear each other.
func both(ctx context.Context, t *testing.T, a, b *phone.Call) {
	t.Helper()
	a.Tone(1000)
	b.Tone(440)
	hears(ctx, t, b, 1000)
	hears(ctx, t, a, 440)
}

func TestCallBetweenUDPAndTCP(t *testing.T) {
	t.Parallel()
	s := whole(t, func(c *config.Site) {
		c.PhoneSecurityProfiles = append(c.PhoneSecurityProfiles, config.PhoneSecurityProfile{Name: "special", DeviceSecurityMode: config.NonSecure})
	})
	udp, tcp := at(t, s, "carol", "1003", plainly(transport.UDP)), at(t, s, "dave", "1004", plainly(transport.TCP))
	for _, p := range [][2]*phone.Phone{{udp, tcp}, {tcp, udp}} {
		ctx := wait(t)
		ca, cb := connect(ctx, t, p[0], p[1])
		both(ctx, t, ca, cb)
		for _, c := range []*phone.Call{ca, cb} {
			if e := c.Evidence(); e.TLS != "" || e.Suite != "" || e.RxAuth != 0 || e.Verified {
				t.Errorf("a call in clear claims protection: %+v", e)
			}
		}
		must(t, ca.Hold(ctx))
		must(t, cb.WaitHeld(ctx, true))
		must(t, ca.Resume(ctx))
		hears(ctx, t, cb, 1000)
		must(t, cb.Hangup(ctx))
		ended(ctx, t, ca, 200)
	}
}

// digested has carol and dave show credentials besides their certificates.
func digested(md5 bool) func(*config.Site) {
	return func(c *config.Site) {
		c.PhoneSecurityProfiles = append(c.PhoneSecurityProfiles, config.PhoneSecurityProfile{Name: "special", DigestAuthentication: true, DigestMD5: md5})
		for i := range c.Devices {
			if d := &c.Devices[i]; d.PhoneSecurityProfile == "special" {
				d.DigestUser = d.Name
				c.Users = append(c.Users, config.User{Name: d.Name, DigestCredential: config.NewDigestVerifier(d.Name, "locktone.test", "secret of "+d.Name)})
			}
		}
	}
}

func credentials(name string) func(*phone.Config) {
	return func(c *phone.Config) { c.DigestUser, c.Password = name, sip.NewSecret("secret of "+name) }
}

// challenges collects what a phone is asked for.
type challenges struct {
	transport.Observer
	mu  sync.Mutex
	got []string
}

func (c *challenges) Received(_ *transport.Flow, _ time.Time, _ []byte, m *sip.Message, _ *sip.ParseError) {
	if m != nil && m.Status() == 401 {
		c.mu.Lock()
		defer c.mu.Unlock()
		for _, v := range m.Headers("WWW-Authenticate") {
			parsed, err := sip.ParseChallenge(v)
			if err == nil {
				c.got = append(c.got, string(m.Method())+" "+string(parsed.Algorithm))
			}
		}
	}
}
func (c *challenges) Sent(*transport.Flow, time.Time, []byte, *sip.Message) {}
func (c *challenges) Opened(*transport.Flow, time.Time)                     {}
func (c *challenges) Closed(*transport.Flow, time.Time, error)              {}
func (c *challenges) Refused(transport.HandshakeFailure)                    {}

// RFC 8760: a device whose profile wants credentials registers and calls with them; MD5 is offered by named exception only.
func TestDigest(t *testing.T) {
	t.Parallel()
	for _, md5 := range []bool{false, true} {
		t.Run(map[bool]string{false: "SHA-256", true: "MD5 excepted"}[md5], func(t *testing.T) {
			t.Parallel()
			s := whole(t, digested(md5))
			seen := &challenges{}
			carol := at(t, s, "carol", "1003", func(c *phone.Config) { credentials("carol")(c); c.Observer = seen })
			dave := at(t, s, "dave", "1004", credentials("dave"))
			ctx := wait(t)
			ca, cb := connect(ctx, t, carol, dave)
			both(ctx, t, ca, cb)
			must(t, ca.Hold(ctx))
			must(t, ca.Resume(ctx))
			must(t, ca.Hangup(ctx))
			ended(ctx, t, cb, 200)
			want := []string{"REGISTER SHA-256"}
			if md5 {
				want = append(want, "REGISTER MD5")
			}
			seen.mu.Lock()
			defer seen.mu.Unlock()
			if !slices.Equal(seen.got, want) {
				t.Errorf("challenged: %v, want %v", seen.got, want)
			}
		})
	}
}

func TestDigestRefused(t *testing.T) {
	t.Parallel()
	s := whole(t, digested(false))
	for _, c := range []struct {
		name   string
		edit   func(*phone.Config)
		status int
	}{
		{"no credentials", nil, 401},
		{"wrong password", func(c *phone.Config) { credentials("carol")(c); c.Password = sip.NewSecret("guess") }, 403},
		{"somebody else's", credentials("dave"), 403},
	} {
		ctx := wait(t)
		p, err := s.Phone(ctx, "carol", "1003", c.edit)
		must(t, err)
		var r *phone.Refused
		if err := p.WaitRegistered(ctx); !errors.As(err, &r) || r.Status != c.status {
			t.Errorf("%s: %v, want %d", c.name, err, c.status)
		}
		_ = p.Close(ctx)
	}
	// A certificate alone opens no call either.
	dave := at(t, s, "dave", "1004", credentials("dave"))
	p, err := s.Phone(wait(t), "carol", "1003", func(c *phone.Config) { c.NoRegister = true })
	must(t, err)
	ctx := wait(t)
	call, err := p.Dial(ctx, "1004")
	must(t, err)
	ended(ctx, t, call, 401)
	_ = p.Close(ctx)
	select {
	case <-dave.Incoming():
		t.Error("the call was put through")
	default:
	}
}

// A phone that calls without having registered is challenged for the INVITE itself.
func TestDigestOfTheInvite(t *testing.T) {
	t.Parallel()
	s := whole(t, digested(false))
	dave := at(t, s, "dave", "1004", credentials("dave"))
	ctx := wait(t)
	carol, err := s.Phone(ctx, "carol", "1003", func(c *phone.Config) { credentials("carol")(c); c.NoRegister = true })
	must(t, err)
	defer carol.Close(ctx)
	ca, cb := connect(ctx, t, carol, dave)
	both(ctx, t, ca, cb)
	must(t, ca.Hangup(ctx))
	ended(ctx, t, cb, 200)
}

// A connection is cut in mid-call: the phone is back at once on a new one, the registrar has it there, and the call goes on by
// it in both directions: also under a renewed certificate, and where calls need credentials.
func TestCallSurvivesACutThroughTheSite(t *testing.T) {
	t.Parallel()
	s := whole(t, digested(false))
	for _, c := range []struct {
		name             string
		renew, siteFirst bool
	}{{"same certificate", false, false}, {"renewed certificate", true, false}, {"same, site first", false, true}, {"renewed, site first", true, true}} {
		t.Run(c.name, func(t *testing.T) {
			carol, dave := at(t, s, "carol", "1003", credentials("carol")), at(t, s, "dave", "1004", credentials("dave"))
			ctx := wait(t)
			ca, cb := connect(ctx, t, carol, dave)
			both(ctx, t, ca, cb)
			if c.renew {
				fresh, err := s.Issue(ctx, pki.KindDevice, "dave")
				must(t, err)
				dave.Renew(fresh.TLS())
			}
			before := dave.Registrations()
			dave.Cut()
			must(t, dave.WaitRegistrations(ctx, before+1)) // a refresh would be half an hour away
			steps := []func(){
				func() { // requests of the phone on its new connection
					must(t, cb.Hold(ctx))
					must(t, ca.WaitHeld(ctx, true))
					must(t, cb.Resume(ctx))
				},
				func() { // requests to the phone, which must find the new connection
					must(t, ca.Hold(ctx))
					must(t, cb.WaitHeld(ctx, true))
					must(t, ca.Resume(ctx))
				},
			}
			if c.siteFirst {
				slices.Reverse(steps)
			}
			for _, step := range steps {
				step()
			}
			hears(ctx, t, cb, 1000)
			hears(ctx, t, ca, 440)
			must(t, ca.Hangup(ctx))
			ended(ctx, t, cb, 200)
			for _, p := range []*phone.Phone{carol, dave} {
				must(t, p.Unregister(ctx))
				_ = p.Close(ctx)
			}
		})
	}
}

// hole is a way to the site that can be stopped up: connections stay open and nothing passes any more.
type hole struct {
	l      net.Listener
	to     string
	stuck  atomic.Bool
	opened atomic.Int64
	passed atomic.Int64 // pieces of data on the first connection
}

func dig(t *testing.T, to string) *hole {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	must(t, err)
	h := &hole{l: l, to: to}
	t.Cleanup(func() { _ = l.Close() })
	go func() {
		for {
			in, err := l.Accept()
			if err != nil {
				return
			}
			out, err := net.Dial("tcp", to)
			if err != nil {
				_ = in.Close()
				continue
			}
			first := h.opened.Add(1) == 1
			t.Cleanup(func() { _ = in.Close(); _ = out.Close() })
			go h.pass(out, in, first)
			go h.pass(in, out, first)
		}
	}()
	return h
}

// pass copies until the end, or for the first connection until the hole is stopped up.
func (h *hole) pass(to, from net.Conn, first bool) {
	buf := make([]byte, 4096)
	for {
		n, err := from.Read(buf)
		if first {
			h.passed.Add(1)
		}
		if n > 0 && !(first && h.stuck.Load()) {
			if _, err := to.Write(buf[:n]); err != nil {
				return
			}
		}
		if err != nil {
			if err == io.EOF && !(first && h.stuck.Load()) {
				_ = to.Close()
			}
			return
		}
	}
}

// RFC 5626, 4.4.1: a connection that is open and dead is found by its pings; the phone is reachable again on a new one.
func TestDeadConnectionIsFoundByItsPings(t *testing.T) {
	t.Parallel()
	s := whole(t, func(c *config.Site) {
		c.PhoneSecurityProfiles = append(c.PhoneSecurityProfiles, config.PhoneSecurityProfile{Name: "special"})
	})
	h := dig(t, netip.AddrPortFrom(s.CallManager(), 5061).String())
	alice := at(t, s, "alice", "1001", nil)
	bob := at(t, s, "bob", "1002", func(c *phone.Config) {
		c.ServerName = s.CallManager().String()
		c.Server = h.l.Addr().String()
		c.KeepAlive, c.PongWait = 20*time.Millisecond, 3*time.Second
	})
	ctx := wait(t)
	ca, cb := connect(ctx, t, alice, bob)
	both(ctx, t, ca, cb)
	pass := h.passed.Load() + 20 // pings and pongs: the connection stays
	until(ctx, t, "pongs", func() bool { return h.passed.Load() > pass })
	if n := h.opened.Load(); n != 1 || bob.Registrations() != 1 {
		t.Fatalf("%d connections, %d registrations while everything works", n, bob.Registrations())
	}
	h.stuck.Store(true)
	must(t, bob.WaitRegistrations(ctx, 2))
	must(t, ca.Hold(ctx))
	must(t, cb.WaitHeld(ctx, true))
	must(t, ca.Resume(ctx))
	must(t, ca.Hangup(ctx))
	ended(ctx, t, cb, 200)
}

// RFC 5621, 8.1: a site tells a caller which part of its body it would have to understand; what may be ignored is.
func TestMultipartThroughTheSite(t *testing.T) {
	t.Parallel()
	s := whole(t, func(c *config.Site) {
		c.PhoneSecurityProfiles = append(c.PhoneSecurityProfiles, config.PhoneSecurityProfile{Name: "special", DeviceSecurityMode: config.NonSecure})
	})
	dave := at(t, s, "dave", "1004", plainly(transport.UDP))
	carol := at(t, s, "carol", "1003", plainly(transport.UDP)) // who calls without having registered from there is refused
	defer carol.Close(wait(t))
	conn, err := net.Dial("udp", netip.AddrPortFrom(s.CallManager(), 5060).String())
	must(t, err)
	defer conn.Close()
	ask := func(id, handling string) *sip.Message {
		u := sip.URI{Scheme: "sip", User: "1003", Host: "locktone.test"}
		m := sip.NewRequest(sip.INVITE, sip.URI{Scheme: "sip", User: "1004", Host: "locktone.test"})
		m.PrependVia(sip.Via{Transport: "UDP", Host: "127.0.0.1", Port: 1, Params: sip.Params{{Name: "branch", Value: "z9hG4bK" + id}, {Name: "rport"}}})
		m.SetMaxForwards(70)
		m.SetFrom(sip.Address{URI: u, Params: sip.Params{{Name: "tag", Value: "f" + id}}})
		m.SetTo(sip.Address{URI: m.RequestURI()})
		m.SetCallID(id)
		m.SetCSeq(sip.CSeq{Seq: 1, Method: sip.INVITE})
		m.SetContact(sip.Address{URI: u})
		m.SetBody("multipart/mixed;boundary=b", []byte("--b\r\nContent-Type: application/isup\r\nContent-Disposition: signal;handling="+handling+
			"\r\n\r\nx\r\n--b\r\nContent-Type: application/sdp\r\n\r\nv=0\r\no=- 1 1 IN IP4 127.0.0.1\r\ns=-\r\nc=IN IP4 127.0.0.1\r\nt=0 0\r\nm=audio 40000 RTP/AVP 0\r\n\r\n--b--\r\n"))
		_, err := conn.Write(m.Append(nil))
		must(t, err)
		for buf := make([]byte, 4096); ; {
			must(t, conn.SetReadDeadline(time.Now().Add(time.Minute)))
			n, err := conn.Read(buf)
			must(t, err)
			res, err := sip.Parse(buf[:n])
			must(t, err)
			if res.CallID() == id && res.Status() > 100 {
				return res
			}
		}
	}
	if res := ask("required", "required"); res.Status() != 415 || !strings.Contains(res.Header("Accept"), "application/sdp") {
		t.Errorf("%s", res.Append(nil))
	}
	if res := ask("optional", "optional"); res.Status() != 180 {
		t.Errorf("%s", res.Append(nil))
	}
	incoming(wait(t), t, dave).Reject(486)
}
