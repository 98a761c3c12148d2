package media

import (
	"math/rand/v2"
	"net/netip"
	"runtime"
	"testing"
	"testing/synctest"

	"github.com/locktone/locktone/media/desc"
	"github.com/locktone/locktone/media/memnet"
	"github.com/locktone/locktone/media/rtpport"
	"github.com/locktone/locktone/media/tone"
	"github.com/locktone/locktone/wire/sdp"
)

// site is a plane with phones that are Streams.
type site struct {
	t      testing.TB
	p      *Plane
	ports  *rtpport.Range
	phones *rtpport.Range
	lan    *memnet.Network // nil: the host's
}

// newSite is one with sockets of the host, onClock one without.
func newSite(t testing.TB) *site { return makeSite(t, nil) }

func makeSite(t testing.TB, lan *memnet.Network) *site {
	s := &site{t: t, lan: lan, ports: ports(t, 48000, lan), phones: testPorts()}
	if lan != nil {
		s.phones = ports(t, 42000, lan)
	}
	s.restart(PlaneConfig{})
	return s
}

func ports(t testing.TB, first uint16, lan *memnet.Network) *rtpport.Range {
	r, err := rtpport.New(first, first+1999)
	if err != nil {
		t.Fatal(err)
	}
	if lan != nil {
		r.On(lan)
	}
	return r
}

// restart gives the site another plane.
func (s *site) restart(cfg PlaneConfig) {
	cfg.Ports = s.ports
	if s.p != nil {
		s.p.Close()
	}
	s.p = NewPlane(cfg)
	s.t.Cleanup(s.p.Close)
}

// onClock runs a test with a network in memory on synctest's clock: what it says of time, of sounds and of numbers of packets holds on
// any machine. What the sockets of a host do is for tests that only wait for something to be so.
func onClock(t *testing.T, test func(*testing.T, *site)) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) { test(t, makeSite(t, new(memnet.Network))) })
}

// open is a phone.
func (s *site) open(caps desc.Caps) *Stream {
	s.t.Helper()
	return openOn(s.t, s.phones, caps)
}

// stranger is a socket of somebody else.
func (s *site) stranger() *memnet.Conn {
	s.t.Helper()
	c, err := s.lan.Listen(netip.MustParseAddrPort("127.0.0.1:9"))
	if err != nil {
		s.t.Fatal(err)
	}
	s.t.Cleanup(func() { _ = c.Close() })
	return c
}

func (s *site) put(id LegID, kind Kind, text []byte) Ref {
	s.t.Helper()
	ref, _, err := s.p.Put(id, kind, text)
	if err != nil {
		s.t.Fatal(err)
	}
	return ref
}

func (s *site) make(id LegID, o Order) []byte {
	s.t.Helper()
	if o.Dir == 0 {
		o.Dir = sdp.SendRecv
	}
	text, _, err := s.p.Make(id, o)
	if err != nil {
		s.t.Fatal(err)
	}
	return text
}

// call connects two phones through the plane: an offer of a, or a re-offer.
func (s *site) call(a, b *Stream, how Treatment) {
	s.t.Helper()
	offer, err := a.Offer()
	if err != nil {
		s.t.Fatal(err)
	}
	ref := s.put(1, Offer, offer)
	answer, err := b.Answer(s.make(2, Order{Treatment: how, Ref: ref}))
	if err != nil {
		s.t.Fatal(err)
	}
	back := s.put(2, Answer, answer)
	if err := a.Accept(s.make(1, Order{Treatment: how, Ref: back})); err != nil {
		s.t.Fatal(err)
	}
}

// handling is how a call between two phones is treated.
type handling struct {
	name   string
	a, b   desc.Security
	how    Treatment
	anchor bool
}

// TestCallHoldMusicResume: what a person would hear, through each treatment and mix of security; on sockets of the host as well.
func TestCallHoldMusicResume(t *testing.T) {
	for _, x := range []handling{
		{"direct SRTP", desc.Required, desc.Required, Auto, false},
		{"anchored SRTP to RTP", desc.Required, desc.Forbidden, Auto, true},
		{"anchored SRTP to SRTP", desc.Required, desc.Required, Anchored, true},
	} {
		t.Run(x.name, func(t *testing.T) {
			t.Parallel()
			onClock(t, x.holdAndResume)
		})
		t.Run(x.name+" on sockets", func(t *testing.T) {
			t.Parallel()
			x.holdAndResume(t, newSite(t))
		})
	}
}

func (x handling) holdAndResume(t *testing.T, s *site) {
	s.p.AddLeg(1, Profile{Security: x.a})
	s.p.AddLeg(2, Profile{Security: x.b})
	a, b := s.open(desc.Caps{Security: x.a}), s.open(desc.Caps{Security: x.b})
	s.call(a, b, x.how)
	a.Start(tone.NewSine(1000, -10))
	b.Start(tone.NewSine(440, -10))
	eventually(t, "tones heard", func() bool { return hears(a, 440) && hears(b, 1000) })
	if e, ok := s.p.Evidence(1); ok != x.anchor || ok && (e.Rx.Authenticated == 0 || e.Rx.Authenticated != e.Rx.Packets) {
		t.Errorf("evidence of A: %v %+v", ok, e)
	}

	a.SetDirection(sdp.SendOnly)
	hold, err := a.Offer()
	if err != nil {
		t.Fatal(err)
	}
	s.put(1, Offer, hold)
	local, err := s.p.AnswerLocal(1, true)
	if err != nil {
		t.Fatal(err)
	}
	if err := a.Accept(local); err != nil {
		t.Fatal(err)
	}
	music, err := b.Answer(s.make(2, Order{Treatment: Sourced, Source: "tone:700"}))
	if err != nil {
		t.Fatal(err)
	}
	s.put(2, Answer, music)
	eventually(t, "the held party hears the source", func() bool { return hears(b, 700) })

	a.SetDirection(sdp.SendRecv)
	s.call(a, b, x.how)
	eventually(t, "tones heard after resume", func() bool { return hears(a, 440) && hears(b, 1000) })
	for _, e := range []Evidence{a.Evidence(), b.Evidence()} {
		if s.lan != nil && e.Rx.Failed+e.Rx.PlainDropped+e.Rx.Malformed > 0 {
			t.Errorf("packets were dropped: %+v", e.Rx)
		}
	}
	s.p.RemoveLeg(1)
	s.p.RemoveLeg(2)
	if n := s.ports.InUse(); n != 0 {
		t.Errorf("%d pairs of ports leaked", n)
	}
}

// TestWalk does anything in any order with a few legs: nothing panics, blocks or leaks, whatever the order.
func TestWalk(t *testing.T) {
	before := runtime.NumGoroutine()
	for seed := range uint64(12) {
		s := newSite(t)
		rnd := rand.New(rand.NewPCG(seed, 1))
		phones := map[LegID]*desc.Endpoint{}
		var texts [][]byte
		for range 150 {
			id := LegID(rnd.IntN(4) + 1)
			if phones[id] == nil {
				sec := desc.Security(rnd.IntN(3))
				s.p.AddLeg(id, Profile{Security: sec, Anchor: rnd.IntN(5) == 0})
				phones[id] = desc.NewEndpoint(desc.Caps{Security: sec, Conn: sdp.Conn{Type: "IP4", Addr: "127.0.0.1"}, Port: 9}, uint64(id), CryptoKeys{})
			}
			step(s, rnd, id, phones, &texts)
		}
		s.p.Close()
		if n := s.ports.InUse(); n != 0 || len(s.p.refs) != 0 || len(s.p.legs) != 0 {
			t.Errorf("seed %d: %d pairs of ports, %d descriptions, %d legs leaked", seed, n, len(s.p.refs), len(s.p.legs))
		}
	}
	eventually(t, "goroutines ended", func() bool { return runtime.NumGoroutine() <= before })
}

func step(s *site, rnd *rand.Rand, id LegID, phones map[LegID]*desc.Endpoint, texts *[][]byte) {
	phone := phones[id]
	switch rnd.IntN(9) {
	case 0, 1:
		if offer, err := phone.Offer(); err == nil {
			*texts = append(*texts, offer.Bytes())
			if _, _, err := s.p.Put(id, Offer, offer.Bytes()); err != nil {
				phone.Rollback()
			}
		}
	case 2, 3, 4:
		o := Order{Treatment: Treatment(rnd.IntN(4)), Ref: Ref(rnd.IntN(int(s.p.next) + 2)), Peer: LegID(rnd.IntN(5)), Dir: sdp.Direction(rnd.IntN(4)), Security: Wish(rnd.IntN(4))}
		o.Source = []string{"", "music", "tone:400", "busy", "mix:1", "mix:2:warn", "mix:2"}[rnd.IntN(7)]
		text, kind, err := s.p.Make(id, o)
		if err != nil {
			return
		}
		d, err := sdp.Parse(text)
		if err != nil {
			s.t.Fatalf("what we make cannot be read: %v", err)
		}
		*texts = append(*texts, text)
		if kind == Answer {
			_ = phone.Accept(d)
		} else if answer, err := phone.Answer(d); err == nil {
			_, _, _ = s.p.Put(id, Answer, answer.Bytes())
		}
	case 5:
		_, _ = s.p.AnswerLocal(id, rnd.IntN(2) == 0)
	case 6:
		_, _ = s.p.OfferAgain(id)
	case 7:
		s.p.Rollback(id)
		phone.Rollback()
		s.p.Show(id)
		s.p.Evidence(id)
	case 8:
		if rnd.IntN(4) == 0 {
			s.p.RemoveLeg(id)
			delete(phones, id)
		} else if n := len(*texts); n > 0 {
			_, _, _ = s.p.Put(id, Kind(rnd.IntN(3)), (*texts)[rnd.IntN(n)])
		}
	}
}

// TestPlaneIsBounded: a call that is re-offered for ever keeps no more than a few descriptions.
func TestPlaneIsBounded(t *testing.T) {
	s := newSite(t)
	s.p.AddLeg(1, Profile{})
	phone := desc.NewEndpoint(desc.Caps{Conn: sdp.Conn{Type: "IP4", Addr: "127.0.0.1"}, Port: 9}, 1, CryptoKeys{})
	for range 200 {
		phone.Rekey()
		offer, err := phone.Offer()
		if err != nil {
			t.Fatal(err)
		}
		s.put(1, Offer, offer.Bytes())
		s.p.Rollback(1)
		phone.Rollback()
	}
	if n := len(s.p.refs); n > maxRefs {
		t.Errorf("%d descriptions are kept", n)
	}
}

// BenchmarkDirectCall is what the plane costs a call: two descriptions put, two made.
func BenchmarkDirectCall(b *testing.B) {
	s := newSite(b)
	a := desc.NewEndpoint(desc.Caps{Conn: sdp.Conn{Type: "IP4", Addr: "127.0.0.1"}, Port: 9}, 1, CryptoKeys{})
	o, _ := a.Offer()
	offer := o.Bytes()
	an, _ := desc.NewEndpoint(desc.Caps{Conn: sdp.Conn{Type: "IP4", Addr: "127.0.0.1"}, Port: 9}, 2, CryptoKeys{}).Answer(o)
	answer := an.Bytes()
	b.ReportAllocs()
	for b.Loop() {
		s.p.AddLeg(1, Profile{})
		s.p.AddLeg(2, Profile{})
		s.make(2, Order{Ref: s.put(1, Offer, offer)})
		s.make(1, Order{Ref: s.put(2, Answer, answer)})
		s.p.RemoveLeg(1)
		s.p.RemoveLeg(2)
	}
}
