package ctileg

import (
	"net/netip"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/locktone/locktone/call"
	"github.com/locktone/locktone/media"
	"github.com/locktone/locktone/media/desc"
	"github.com/locktone/locktone/wire/ctiqbe"
	"github.com/locktone/locktone/wire/sdp"
)

// engine is what the driver is attached to.
type engine struct {
	commands chan call.Command
	signals  chan call.Signal
}

func (e *engine) Signal(s call.Signal) error    { e.signals <- s; return nil }
func (e *engine) Commands() <-chan call.Command { return e.commands }

// start starts a driver for a terminal, on an engine that does nothing.
func start(t *testing.T, terminal Terminal) (*Driver, *engine) {
	e := &engine{make(chan call.Command), make(chan call.Signal, 16)}
	d := Start(Config{Engine: e, Plane: media.NewPlane(media.PlaneConfig{}), AcceptTimer: func() time.Duration { return 4 * time.Second },
		Terminal: func(string) (Terminal, bool) { return terminal, true }})
	t.Cleanup(d.Close)
	return d, e
}

// said are the signals so far.
func (e *engine) said() (all []call.Signal) {
	synctest.Wait()
	for {
		select {
		case s := <-e.signals:
			all = append(all, s)
		default:
			return all
		}
	}
}

// TestAcceptTimer: a call that the application neither accepts nor answers goes on after the New Call Accept Timer; one that it has accepted
// rings, one that it has answered stays.
func TestAcceptTimer(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d, e := start(t, port())
		defer d.Close()
		for leg := range call.LegID(3) {
			e.commands <- call.Ring{Leg: 2 + 2*leg, Target: call.Target{Device: "port"}}
		}
		e.commands <- call.AcceptNow{Leg: 4}
		e.commands <- call.AcceptNow{Leg: 4}
		e.commands <- call.AnswerNow{Leg: 6}
		time.Sleep(3999 * time.Millisecond)
		got := e.said()
		if len(got) != 2 || got[0] != call.Signal(call.Alerting{Leg: 4}) || got[1].(call.Answered).Leg != 6 || got[1].(call.Answered).Desc.Kind != call.KindOffer {
			t.Fatalf("%+v", got)
		}
		time.Sleep(time.Hour)
		if got := e.said(); len(got) != 1 || got[0] != call.Signal(call.Released{Leg: 2, Cause: call.DestinationOutOfOrder}) {
			t.Fatalf("%+v", got)
		}
		d.End("port", call.DestinationOutOfOrder, call.NormalClearing)
		if got := e.said(); len(got) != 2 || got[0] != call.Signal(call.Released{Leg: 4, Cause: call.DestinationOutOfOrder}) || got[1] != call.Signal(call.Released{Leg: 6, Cause: call.NormalClearing}) {
			t.Fatalf("%+v", got)
		}
	})
}

// TestDynamic: the address of a call is asked for when it is answered, and not waited for without end.
func TestDynamic(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := port()
		p.Media, p.Address, p.Patience = Dynamic, netip.AddrPort{}, 2*time.Second
		d, e := start(t, p)
		defer d.Close()
		for leg := range call.LegID(2) {
			e.commands <- call.Ring{Leg: 2 + 2*leg, Target: call.Target{Device: "port"}}
			e.commands <- call.AcceptNow{Leg: 2 + 2*leg}
		}
		e.commands <- call.AnswerNow{Leg: 2}
		e.commands <- call.AnswerNow{Leg: 4}
		if got := e.said(); len(got) != 2 {
			t.Fatalf("%+v", got)
		}
		if w, ok := d.Wanted(2); !ok || w.Payload != ctiqbe.MediaPayloadG711MuLaw64K || w.Packet != 20 {
			t.Errorf("%+v %v", w, ok)
		}
		if d.Address("port", 8, netip.MustParseAddrPort("127.0.0.1:1")) || d.Address("port", 2, netip.AddrPort{}) || !d.Address("port", 2, netip.MustParseAddrPort("127.0.0.1:40004")) {
			t.Error("an address was taken where none is wanted, or is not one, or not where it is")
		}
		if _, still := d.Wanted(2); still || d.Address("port", 2, netip.MustParseAddrPort("127.0.0.1:1")) {
			t.Error("the address is wanted still")
		}
		time.Sleep(time.Minute)
		got := e.said()
		if len(got) != 2 || got[0].(call.Answered).Leg != 2 || got[1] != call.Signal(call.Released{Leg: 4, Cause: call.RecoveryOnTimerExpiry}) {
			t.Fatalf("%+v", got)
		}
	})
}

// TestNoMedia: at a route point without media calls ring and are not answered.
func TestNoMedia(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d, e := start(t, Terminal{})
		defer d.Close()
		e.commands <- call.Ring{Leg: 2, Target: call.Target{Device: "rp"}, Media: call.Media{Kind: call.KindOffer, Ref: 77}} // nobody looks at it
		e.commands <- call.AnswerNow{Leg: 2}
		e.commands <- call.AcceptNow{Leg: 2}
		time.Sleep(time.Minute)
		if got := e.said(); len(got) != 1 || got[0] != call.Signal(call.Alerting{Leg: 2}) {
			t.Fatalf("%+v", got)
		}
	})
}

// TestDescriptions: a terminal's description says what was registered: its address, its codecs, its suites.
func TestDescriptions(t *testing.T) {
	for _, c := range []struct {
		name    string
		change  func(*Terminal)
		offer   string // of the caller, behind m=
		want    string // in what the caller is answered; empty: refused
		without string
	}{
		{"srtp", func(*Terminal) {}, "audio 5000 RTP/SAVP 0 8\r\na=crypto:1 AES_CM_128_HMAC_SHA1_80 inline:" + strings.Repeat("A", 40) + "\r\n", "RTP/SAVP 0 8", ""},
		{"a suite that was not registered", func(p *Terminal) { p.Suites = []sdp.Suite{sdp.AEAD_AES_256_GCM} },
			"audio 5000 RTP/SAVP 0 8\r\na=crypto:1 AES_CM_128_HMAC_SHA1_80 inline:" + strings.Repeat("A", 40) + "\r\n", "", ""},
		{"without srtp", func(p *Terminal) { p.Suites = nil }, "audio 5000 RTP/AVP 0 8\r\n", "RTP/AVP 0 8", "crypto"},
		{"codecs", func(p *Terminal) { p.Suites, p.Codecs = nil, p.Codecs[1:] }, "audio 5000 RTP/AVP 0 8 101\r\na=rtpmap:101 telephone-event/8000\r\n", "RTP/AVP 8", "telephone-event"},
		{"no codec in common", func(p *Terminal) { p.Suites, p.Codecs = nil, []Codec{{Payload: ctiqbe.MediaPayloadG729}} }, "audio 5000 RTP/AVP 0 8\r\n", "", ""},
	} {
		t.Run(c.name, func(t *testing.T) {
			p := port()
			c.change(&p)
			end := desc.NewEndpoint(p.caps(), 1, media.CryptoKeys{})
			offer, err := sdp.Parse([]byte("v=0\r\no=- 1 1 IN IP4 127.0.0.1\r\ns=-\r\nc=IN IP4 127.0.0.1\r\nt=0 0\r\nm=" + c.offer))
			if err != nil {
				t.Fatal(err)
			}
			answer, err := end.Answer(offer)
			if err != nil {
				if c.want != "" {
					t.Error(err)
				}
				return
			}
			text := string(answer.Bytes())
			if c.want == "" || !strings.Contains(text, "m=audio 40000 "+c.want+"\r\n") || c.without != "" && strings.Contains(text, c.without) {
				t.Error(text)
			}
		})
	}
}

// TestProfile: the media plane lets a terminal have what was registered and nothing else.
func TestProfile(t *testing.T) {
	p := port()
	if got := p.profile(); got.Security != desc.Optional || !slices.Equal(got.Codecs, []string{"PCMU", "PCMA"}) {
		t.Errorf("%+v", got)
	}
	p.Suites = nil
	if got := p.profile(); got.Security != desc.Forbidden {
		t.Errorf("%+v", got)
	}
}

// TestNumbers: every payload code and every algorithm goes both ways, those without a description are refused.
func TestNumbers(t *testing.T) {
	for _, p := range payloads() {
		if back := PayloadOf(p.codec.Name, p.codec.Rate); back != p.code && p.code != ctiqbe.MediaPayloadG729 {
			t.Errorf("%v is %v is %v", p.code, p.codec, back)
		}
	}
	if _, ok := CodecOf(ctiqbe.MediaPayloadG711ALaw56K); ok || PayloadOf("opus", 48000) != 0 {
		t.Error("a code that has no codec, or a codec without a code")
	}
	for id, want := range map[ctiqbe.MediaEncryption]sdp.Suite{1: sdp.AES_CM_128_HMAC_SHA1_32, 2: sdp.AES_CM_128_HMAC_SHA1_80, 5: sdp.AEAD_AES_128_GCM, 6: sdp.AEAD_AES_256_GCM} {
		if got, ok := SuiteOf(id); !ok || got != want || AlgorithmOf(want) != id {
			t.Errorf("%d: %v", id, got)
		}
	}
	for _, id := range []ctiqbe.MediaEncryption{0, 3, 4, 7} {
		if _, ok := SuiteOf(id); ok {
			t.Errorf("algorithm %d was taken", id)
		}
	}
}
