package desc

import (
	"crypto/sha256"
	"encoding/binary"
	"errors"
	"slices"
	"testing"

	"pgregory.net/rapid"

	"github.com/locktone/locktone/wire/sdp"
)

// counting makes keys that are all different.
type counting struct{ n uint64 }

func (c *counting) Key(s sdp.Suite) (sdp.Key, error) {
	c.n++
	a := sha256.Sum256(binary.BigEndian.AppendUint64([]byte("a"), c.n))
	b := sha256.Sum256(binary.BigEndian.AppendUint64([]byte("b"), c.n))
	return sdp.NewKey(s, append(a[:], b[:]...)[:s.KeyLen()+s.SaltLen()])
}

var keys = &counting{}

func endpoint(security Security, port uint16) *Endpoint {
	return NewEndpoint(Caps{Security: security, Conn: sdp.Conn{Type: "IP4", Addr: "192.0.2.1"}, Port: port}, 100, keys)
}

func exchange(t rapid.TB, a, b *Endpoint) {
	t.Helper()
	offer, err := a.Offer()
	if err != nil {
		t.Fatal(err)
	}
	answer, err := b.Answer(wire(t, offer))
	if err != nil {
		t.Fatal(err)
	}
	if err := a.Accept(wire(t, answer)); err != nil {
		t.Fatal(err)
	}
}

// wire sends a description through its text form.
func wire(t rapid.TB, s *sdp.Session) *sdp.Session {
	t.Helper()
	out, err := sdp.Parse(s.Bytes())
	if err != nil {
		t.Fatal(err)
	}
	return out
}

func TestUnchangedKeepsVersion(t *testing.T) {
	a, b := endpoint(Required, 1000), endpoint(Required, 2000)
	exchange(t, a, b)
	first, answer := string(a.Local().Bytes()), string(b.Local().Bytes())
	exchange(t, a, b)
	if string(a.Local().Bytes()) != first || string(b.Local().Bytes()) != answer {
		t.Error("a refresh changed the descriptions")
	}
	a.SetDirection(sdp.SendOnly)
	exchange(t, a, b)
	if v := a.Local().Origin.Version; v != 101 {
		t.Errorf("after hold: version %d", v)
	}
	a.SetDirection(sdp.SendRecv)
	exchange(t, a, b)
	before, _ := a.Stream()
	b.Rekey()
	exchange(t, b, a)
	after, _ := a.Stream()
	if a.Local().Origin.Version != 103 || b.Local().Origin.Version != 103 || after.Rx.SameKey(before.Rx) || !after.Tx.SameKey(before.Tx) {
		t.Errorf("after b's rekey: versions %d, %d", a.Local().Origin.Version, b.Local().Origin.Version)
	}
}

func TestGlareRollbackAndEarlyAnswers(t *testing.T) {
	a, b := endpoint(Required, 1000), endpoint(Required, 2000)
	if err := a.Accept(&sdp.Session{}); !errors.Is(err, ErrNoOffer) {
		t.Error(err)
	}
	exchange(t, a, b)
	before, _ := a.Stream()
	a.SetDirection(sdp.Inactive)
	if _, err := a.Offer(); err != nil {
		t.Fatal(err)
	}
	other, _ := b.Offer()
	if _, err := a.Answer(other); !errors.Is(err, ErrPending) || !a.Pending() {
		t.Error(err)
	}
	a.Rollback()
	b.Rollback()
	if after, ok := a.Stream(); !ok || after.Direction != before.Direction || after.Tx != before.Tx {
		t.Error("a refused offer changed the stream")
	}
	a.SetDirection(sdp.SendRecv)
	exchange(t, a, b)
	if v := a.Local().Origin.Version; v != 102 {
		t.Errorf("the version after a refused offer is %d", v)
	}
}

func TestRefusals(t *testing.T) {
	offer := func(m string) string {
		return "v=0\no=- 1 1 IN IP4 192.0.2.9\ns=-\nc=IN IP4 192.0.2.9\nt=0 0\n" + m
	}
	for _, x := range []struct {
		sec  Security
		text string
		code Code
	}{
		{Required, offer("m=audio 1 RTP/AVP 0"), IncompatibleTransport},
		{Required, offer("m=audio 1 RTP/SAVP 0"), IncompatibleTransport},
		{Forbidden, offer("m=audio 1 RTP/SAVP 0\na=crypto:1 AES_CM_128_HMAC_SHA1_80 inline:d0RmdmcmVCspeEc3QGZiNWpVLFJhQX1cfHAwJSoj"), IncompatibleTransport},
		{Forbidden, offer("m=audio 1 RTP/AVP 18 101\na=rtpmap:101 telephone-event/8000"), IncompatibleFormat},
		{Forbidden, offer("m=video 1 RTP/AVP 31"), MediaNotAvailable},
		{Forbidden, offer("m=audio 0 RTP/AVP 0"), MediaNotAvailable},
		{Forbidden, offer("m=audio 1 UDP/TLS/RTP/SAVPF 0"), IncompatibleTransport},
		{Forbidden, offer("m=audio 1 RTP/AVP 0\nc=IN IP6 ::1"), IncompatibleAddress},
		{Forbidden, offer("m=audio 1 RTP/AVP 0\nc=IN IP4 host.example.com"), IncompatibleAddress},
		{Forbidden, offer(""), MediaNotAvailable},
	} {
		s, err := sdp.Parse([]byte(x.text))
		if err != nil {
			t.Fatal(err)
		}
		var r *Refusal
		if _, err := endpoint(x.sec, 1).Answer(s); !errors.As(err, &r) || r.Code != x.code || r.Status() != 488 {
			t.Errorf("%q: %v", x.text, err)
		}
	}
}

// TestPrefersProtection: of two audio lines, one of each transport, the protected is taken, and the other refused.
func TestPrefersProtection(t *testing.T) {
	s, err := sdp.Parse([]byte("v=0\no=- 1 1 IN IP4 192.0.2.9\ns=-\nc=IN IP4 192.0.2.9\nt=0 0\nm=audio 1 RTP/AVP 0\nm=audio 2 RTP/SAVP 0\na=crypto:1 AES_CM_128_HMAC_SHA1_80 inline:d0RmdmcmVCspeEc3QGZiNWpVLFJhQX1cfHAwJSoj\n"))
	if err != nil {
		t.Fatal(err)
	}
	e := endpoint(Optional, 7)
	a, err := e.Answer(s)
	if err != nil || a.Media[0].Port != 0 || a.Media[1].Port != 7 {
		t.Errorf("%v %+v", err, a)
	}
	if n, ok := e.Stream(); !ok || !n.Secure() || n.Index != 1 {
		t.Errorf("%+v", n)
	}
}

func drawCaps(t *rapid.T, name string) Caps {
	all := append(G711(), sdp.Codec{PT: 9, Name: "G722", Rate: 8000}, sdp.Codec{PT: 18, Name: "G729", Rate: 8000})
	codecs := rapid.SliceOfNDistinct(rapid.SampledFrom(all), 0, 5, func(c sdp.Codec) uint8 { return c.PT }).Draw(t, name+" codecs")
	if i := slices.IndexFunc(codecs, sdp.Codec.IsEvent); i >= 0 {
		codecs[i].PT = uint8(rapid.IntRange(96, 127).Draw(t, name+" event"))
	}
	return Caps{
		Codecs:   codecs,
		Suites:   rapid.SliceOfNDistinct(rapid.SampledFrom(sdp.Suites()), 0, 4, rapid.ID[sdp.Suite]).Draw(t, name+" suites"),
		Security: rapid.SampledFrom([]Security{Required, Optional, Forbidden}).Draw(t, name+" security"),
		Conn:     sdp.Conn{Type: "IP4", Addr: "192.0.2.1"}, Port: rapid.Uint16Range(1, 60000).Draw(t, name+" port"),
	}
}

// TestAnyTwo: for any two capabilities, either the offer is refused for a reason, or the answer is acceptable to the
// offerer, both ends see the same stream from their own side, and neither has less security than its policy.
func TestAnyTwo(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		ca, cb := drawCaps(t, "a"), drawCaps(t, "b")
		a, b := NewEndpoint(ca, 1, keys), NewEndpoint(cb, 2, keys)
		for range rapid.IntRange(1, 4).Draw(t, "rounds") {
			if rapid.Bool().Draw(t, "rekey") {
				a.Rekey()
			}
			a.SetDirection(rapid.SampledFrom([]sdp.Direction{sdp.Inactive, sdp.SendOnly, sdp.RecvOnly, sdp.SendRecv}).Draw(t, "a wants"))
			offer, err := a.Offer()
			if err != nil {
				t.Fatal(err)
			}
			answer, err := b.Answer(wire(t, offer))
			var r *Refusal
			if errors.As(err, &r) {
				a.Rollback()
				if compatible(ca, cb) {
					t.Fatalf("refused: %v", err)
				}
				return
			}
			if err != nil {
				t.Fatal(err)
			}
			if len(answer.Media) != len(offer.Media) {
				t.Fatal("the answer has another number of lines")
			}
			if err := ValidateAnswer(offer, wire(t, answer), ca.Security); err != nil {
				t.Fatalf("not acceptable: %v\n%s\n%s", err, sdp.Redact(offer.Bytes()), sdp.Redact(answer.Bytes()))
			}
			if err := a.Accept(wire(t, answer)); err != nil {
				t.Fatal(err)
			}
			agreed(t, a, b)
			a, b, ca, cb = b, a, cb, ca
		}
	})
}

func compatible(a, b Caps) bool {
	codecs := hasVoice(common(a.codecs(), b.codecs()))
	suites := slices.ContainsFunc(a.suites(), func(s sdp.Suite) bool { return slices.Contains(b.suites(), s) })
	secure := a.Security != Forbidden && b.Security != Forbidden && suites
	plain := a.Security != Required && b.Security != Required
	return codecs && (secure || plain)
}

func agreed(t *rapid.T, a, b *Endpoint) {
	sa, oka := a.Stream()
	sb, okb := b.Stream()
	if !oka || !okb || sa.Direction != sb.Direction.Reverse() || sa.Secure() != sb.Secure() {
		t.Fatalf("the ends see different streams: %+v, %+v", sa, sb)
	}
	if sa.Secure() && (!sa.Tx.SameKey(sb.Rx) || !sa.Rx.SameKey(sb.Tx) || sa.Tx.SameKey(sa.Rx)) {
		t.Fatal("the keys do not belong together")
	}
	for _, x := range []struct {
		e *Endpoint
		s Stream
	}{{a, sa}, {b, sb}} {
		if x.e.caps.Security == Required && !x.s.Secure() || x.e.caps.Security == Forbidden && x.s.Secure() {
			t.Fatalf("policy %v, secure is %v", x.e.caps.Security, x.s.Secure())
		}
		if x.s.Send.Name == "" || !slices.ContainsFunc(x.s.Recv, func(c sdp.Codec) bool { return c.SameAs(x.s.Send) }) {
			t.Fatalf("no codec to send: %+v", x.s)
		}
	}
}

// TestPassNeverWeakens: whatever is passed from leg to leg, nothing that either policy wants protected goes in clear, and
// lines keep their number.
func TestPassNeverWeakens(t *testing.T) {
	policies := rapid.SampledFrom([]Security{Required, Optional, Forbidden})
	rapid.Check(t, func(t *rapid.T) {
		ca, cb := drawCaps(t, "a"), drawCaps(t, "b")
		ga, gb := Guard{Security: policies.Draw(t, "guard a")}, Guard{Security: policies.Draw(t, "guard b")}
		offer, err := NewEndpoint(ca, 1, keys).Offer()
		if err != nil {
			t.Fatal(err)
		}
		screened, err := ga.Screen(wire(t, offer))
		if err != nil {
			return
		}
		passed, why := Pass(screened, ga, gb)
		if why != "" {
			return
		}
		m := &passed.Media[0]
		if gb.Security == Required && (!m.IsSecure() || len(m.Crypto) == 0) || gb.Security == Forbidden && (m.IsSecure() || len(m.Crypto) > 0) ||
			ga.Security == Required && len(m.Crypto) == 0 {
			t.Fatalf("%v to %v:\n%s", ga.Security, gb.Security, sdp.Redact(passed.Bytes()))
		}
		answer, err := NewEndpoint(cb, 2, keys).Answer(wire(t, passed))
		if err != nil || ValidateAnswer(passed, answer, gb.Security) != nil {
			return
		}
		back, why, err := AnswerFrom(screened, wire(t, answer), []int{0}, ga)
		if err != nil || why != "" {
			return
		}
		if err := ValidateAnswer(wire(t, offer), back, ga.Security); err != nil {
			t.Fatalf("the caller could not accept: %v", err)
		}
		if secure := len(back.Media[0].Crypto) > 0; secure != (len(answer.Media[0].Crypto) > 0) {
			t.Fatal("one side thinks it is SRTP, the other RTP")
		}
	})
}
