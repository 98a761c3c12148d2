package media

import (
	"strings"
	"testing"
	"time"

	"github.com/locktone/locktone/media/desc"
	"github.com/locktone/locktone/media/flow"
	"github.com/locktone/locktone/media/rtpstat"
	"github.com/locktone/locktone/media/tone"
	"github.com/locktone/locktone/wire/sdp"
)

// watched collects the reports of a site.
func (s *site) watched() chan Report {
	reports := make(chan Report, 100)
	s.restart(PlaneConfig{Watch: func(r Report) { reports <- r }})
	return reports
}

// named waits for a proof of a leg and gives it with the time it took.
func named(t testing.TB, reports <-chan Report, leg LegID, want Proof) (Report, time.Duration) {
	t.Helper()
	began := time.Now()
	for {
		select {
		case r := <-reports:
			if r.Leg == leg && r.Proof == want {
				return r, time.Since(began)
			}
		case <-time.After(20 * time.Second):
			t.Fatalf("leg %d: no report of %v", leg, want)
		}
	}
}

// ruin makes a stream misbehave.
var ruin = map[string]func(*testing.T, *Stream){
	"nothing": func(*testing.T, *Stream) {},
	"another key": func(t *testing.T, s *Stream) {
		key, err := CryptoKeys{}.Key(sdp.AES_CM_128_HMAC_SHA1_80)
		if err != nil {
			t.Fatal(err)
		}
		s.mu.Lock()
		defer s.mu.Unlock()
		if err := s.core.out.SetKey(sdp.Crypto{Tag: 1, Suite: sdp.AES_CM_128_HMAC_SHA1_80, Key: key}); err != nil {
			t.Fatal(err)
		}
	},
	"plain": func(_ *testing.T, s *Stream) {
		s.mu.Lock()
		defer s.mu.Unlock()
		s.core.out = flow.Outbound{}
	},
	"silence": func(_ *testing.T, s *Stream) {
		s.mu.Lock()
		defer s.mu.Unlock()
		s.core.n.Direction &^= sdp.SendOnly
	},
}

type trouble struct {
	name     string
	security desc.Security
	what     string
	good     Proof
	proof    Proof
	why      string
}

// TestTroublesAreNamed: for a relay and a conference, SRTP and RTP: what goes wrong with a party's media is named within two
// seconds with its reason, once, and that it is well again too.
func TestTroublesAreNamed(t *testing.T) {
	for _, x := range []trouble{
		{"wrong key", desc.Required, "another key", ProofAuthenticated, ProofFailed, "none with a valid tag"},
		{"plain instead of SRTP", desc.Required, "plain", ProofAuthenticated, ProofFailed, "plain RTP though SRTP was agreed"},
		{"one way", desc.Required, "silence", ProofAuthenticated, ProofSilent, "nothing arrives from 127.0.0.1:"},
		{"one way in RTP", desc.Forbidden, "silence", ProofPlain, ProofSilent, "nothing arrives from 127.0.0.1:"},
	} {
		for _, how := range []string{"relay", "conference"} {
			t.Run(x.name+" in a "+how, func(t *testing.T) {
				t.Parallel()
				for sat := time.Duration(0); sat < lookEvery; sat += 3 * FrameTime {
					for at := time.Duration(0); at < lookEvery; at += 3 * FrameTime {
						x.named(t, how, sat, at)
					}
				}
			})
		}
	}
}

// named has a party sit down, and its trouble begin, at two points of the looks' period.
func (x trouble) named(t *testing.T, how string, sat, at time.Duration) {
	onClock(t, func(t *testing.T, s *site) {
		reports := s.watched()
		a, b := s.open(desc.Caps{Security: x.security}), s.open(desc.Caps{Security: x.security})
		s.p.AddLeg(1, Profile{Security: x.security})
		s.p.AddLeg(2, Profile{Security: x.security})
		time.Sleep(sat)
		if how == "relay" {
			s.call(a, b, Anchored)
		} else {
			s.sit(1, a, "mix:1", false)
			s.sit(2, b, "mix:1", true)
		}
		if r, _ := named(t, reports, 1, x.good); r.Why != "" {
			t.Errorf("a reason for what is well: %q", r.Why)
		}
		time.Sleep(at)
		ruin[x.what](t, a)
		r, took := named(t, reports, 1, x.proof)
		if took > 2*time.Second {
			t.Errorf("%v after the plane began, %v later: it took %v", sat, at, took)
		}
		if !strings.Contains(r.Why, x.why) {
			t.Errorf("why: %q", r.Why)
		}
		if e, ok := s.p.Evidence(1); !ok || e.Proof != x.proof || e.Why != r.Why {
			t.Errorf("evidence: %v %v %q", ok, e.Proof, e.Why)
		}
		time.Sleep(3 * lookEvery)
		if n := len(reports); n > 1 { // that of leg 2 may have come late
			t.Errorf("%d more reports", n)
		}
		a.mu.Lock() // as agreed again
		n := a.core.n
		n.Direction = sdp.SendRecv
		err := a.core.apply(time.Now(), n)
		a.mu.Unlock()
		if err != nil {
			t.Fatal(err)
		}
		named(t, reports, 1, x.good)
	})
}

// TestHoldIsNotSilence: who may be silent is: on hold, muted by its description, hearing music, with comfort noise.
func TestHoldIsNotSilence(t *testing.T) {
	t.Parallel()
	onClock(t, func(t *testing.T, s *site) {
		reports := s.watched()
		for i, dir := range []sdp.Direction{sdp.RecvOnly, sdp.Inactive, sdp.SendRecv} {
			caps := desc.Caps{}
			if dir == sdp.SendRecv {
				caps.Codecs = desc.Wideband() // and comfort noise
			}
			phone := s.open(caps)
			phone.SetDirection(dir)
			s.p.AddLeg(LegID(i+1), Profile{})
			s.sit(LegID(i+1), phone, "mix:1", false)
			ruin["silence"](t, phone)
		}
		music := s.open(desc.Caps{})
		s.p.AddLeg(4, Profile{})
		s.sit(4, music, "music", false)
		ruin["silence"](t, music)
		time.Sleep(silentAfter + 3*lookEvery)
		for len(reports) > 0 {
			if r := <-reports; r.Proof >= ProofFailed {
				t.Errorf("%+v", r)
			}
		}
	})
}

// TestStranger: packets from another address than the description's are not taken, and it is said so.
func TestStranger(t *testing.T) {
	t.Parallel()
	onClock(t, func(t *testing.T, s *site) {
		reports := s.watched()
		phone := s.open(desc.Caps{Security: desc.Forbidden})
		s.p.AddLeg(1, Profile{Security: desc.Forbidden})
		s.sit(1, phone, "mix:1", false)
		ruin["silence"](t, phone)
		n, _ := phone.Negotiated()
		conn := s.stranger()
		stop := make(chan struct{})
		defer close(stop)
		go func() {
			h := rtpstat.Header{SSRC: 5}
			for {
				select {
				case <-stop:
					return
				case <-time.After(FrameTime):
					_, _ = conn.WriteToUDPAddrPort(append(h.Append(nil), make([]byte, FrameSize)...), addrPort(n.Remote, n.RemotePort))
					h.Seq++
				}
			}
		}()
		r, _ := named(t, reports, 1, ProofSilent)
		if !strings.Contains(r.Why, conn.Addr().String()) || !strings.Contains(r.Why, "latching") {
			t.Errorf("why: %q", r.Why)
		}
	})
}

// TestDirectMediaHasNoProof: a leg that goes from a relay to direct media says so.
func TestDirectMediaHasNoProof(t *testing.T) {
	t.Parallel()
	onClock(t, func(t *testing.T, s *site) {
		reports := s.watched()
		a, b := s.open(desc.Caps{}), s.open(desc.Caps{})
		s.p.AddLeg(1, Profile{})
		s.p.AddLeg(2, Profile{})
		s.call(a, b, Anchored)
		a.Start(tone.NewSine(440, -10))
		named(t, reports, 1, ProofAuthenticated)
		s.call(a, b, Direct)
		named(t, reports, 1, ProofNone)
	})
}
