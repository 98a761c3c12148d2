package appleg

import (
	"context"
	"errors"
	"fmt"
	"math"
	"sync"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/locktone/locktone/applet"
	"github.com/locktone/locktone/call"
	"github.com/locktone/locktone/media"
	"github.com/locktone/locktone/media/desc"
	"github.com/locktone/locktone/media/tone"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// table is a plane that passes descriptions on as they are.
type table struct {
	mu   sync.Mutex
	text [][]byte
	legs map[media.LegID]bool
}

func (p *table) AddLeg(id media.LegID, _ media.Profile) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.legs[id] = true
}

func (p *table) RemoveLeg(id media.LegID) {
	p.mu.Lock()
	defer p.mu.Unlock()
	delete(p.legs, id)
}

func (p *table) Put(_ media.LegID, kind media.Kind, text []byte) (media.Ref, media.Summary, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.text = append(p.text, text)
	return media.Ref(len(p.text)), media.Summary{Kind: kind, Direction: 3, Security: media.Protected}, nil
}

func (p *table) Make(_ media.LegID, o media.Order) ([]byte, media.Kind, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if o.Ref == 0 || int(o.Ref) > len(p.text) {
		return nil, o.Kind, errors.New("no such description")
	}
	return p.text[o.Ref-1], o.Kind, nil
}

// rig plays the engine, and a phone that is at the other end of the leg.
type rig struct {
	t        *testing.T
	plane    *table
	commands chan call.Command
	signals  chan call.Signal
	proofs   chan call.Heard
	driver   *Driver
	phone    *media.Stream
	heard    *ear
}

// Signal keeps what was heard of packets apart: it comes when it comes.
func (r *rig) Signal(s call.Signal) error {
	if h, ok := s.(call.Heard); ok {
		r.proofs <- h
	} else {
		r.signals <- s
	}
	return nil
}

func (r *rig) Commands() <-chan call.Command { return r.commands }

func open(t *testing.T, cfg Config) *rig {
	t.Helper()
	r := &rig{t: t, plane: &table{legs: map[media.LegID]bool{}}, commands: make(chan call.Command, 16), signals: make(chan call.Signal, 64), proofs: make(chan call.Heard, 64)}
	cfg.Engine, cfg.Plane = r, r.plane
	r.driver = Start(cfg)
	t.Cleanup(r.driver.Close)
	var err error
	if r.phone, err = media.OpenStream(media.StreamConfig{Caps: desc.Caps{Security: desc.Required}}); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = r.phone.Close() })
	r.heard = &ear{}
	r.phone.Record(r.heard)
	return r
}

// ear is a sink that says which frequency it heard last. It owns its detector.
type ear struct {
	mu  sync.Mutex
	det tone.Detector
}

func (e *ear) WritePCM(src []int16) error {
	e.mu.Lock()
	defer e.mu.Unlock()
	return e.det.WritePCM(src)
}

func (e *ear) hz() float64 {
	e.mu.Lock()
	defer e.mu.Unlock()
	hz, level := e.det.Result()
	if level < -40 {
		return 0
	}
	return hz
}

// hears waits until the phone hears the tone.
func (r *rig) hears(hz float64) {
	r.t.Helper()
	hears(r.t, r.heard, hz)
}

// hears waits until an ear hears the tone. It does not ask often: to listen costs the ear time in which it is deaf.
func hears(t *testing.T, e *ear, hz float64) {
	t.Helper()
	deadline := time.After(15 * time.Second)
	tick := time.NewTicker(200 * time.Millisecond)
	defer tick.Stop()
	for math.Abs(e.hz()-hz) > 10 {
		select {
		case <-tick.C:
		case <-deadline:
			t.Fatalf("the phone hears %.0f Hz, not %.0f", e.hz(), hz)
		}
	}
}

func (r *rig) put(kind media.Kind, text []byte, err error) uint64 {
	r.t.Helper()
	if err != nil {
		r.t.Fatal(err)
	}
	ref, _, _ := r.plane.Put(1, kind, text)
	return uint64(ref)
}

// text is the description the driver has put into the plane.
func (r *rig) text(d call.Desc) []byte {
	r.t.Helper()
	b, _, err := r.plane.Make(1, media.Order{Ref: media.Ref(d.Ref)})
	if err != nil {
		r.t.Fatal(err)
	}
	return b
}

// ring calls an applet with the phone's offer.
func (r *rig) ring(leg call.LegID, name string) {
	r.t.Helper()
	text, err := r.phone.Offer()
	ref := r.put(media.Offer, text, err)
	r.commands <- call.Ring{Leg: leg, Call: 1, Target: call.Target{Applet: name, Called: "*1"}, Media: call.Media{Kind: call.KindOffer, Ref: ref, Peer: 1, Dir: call.SendRecv}}
}

// next is the next signal, which must be a T.
func next[T call.Signal](r *rig) T {
	r.t.Helper()
	select {
	case s := <-r.signals:
		if v, ok := s.(T); ok {
			return v
		}
		r.t.Fatalf("the driver signalled %T %+v", s, s)
	case <-time.After(5 * time.Second):
		r.t.Fatal("no signal")
	}
	panic("unreachable")
}

// up calls an applet and completes the exchange.
func (r *rig) up(leg call.LegID, name string) {
	r.t.Helper()
	r.ring(leg, name)
	a := next[call.Answered](r)
	if a.Leg != leg || a.Desc.Kind != call.KindAnswer || a.Desc.Security != call.SRTP {
		r.t.Fatalf("%+v", a)
	}
	if err := r.phone.Accept(r.text(a.Desc)); err != nil {
		r.t.Fatal(err)
	}
}

// The echo test sends back what the phone says, over SRTP, and # ends it.
func TestEcho(t *testing.T) {
	r := open(t, Config{})
	r.up(2, "echo")
	r.phone.Start(tone.NewSine(700, -10))
	r.hears(700)
	if h := <-r.proofs; h != (call.Heard{Leg: 2, Proof: call.ProofAuthenticated}) {
		t.Errorf("%+v", h)
	}
	r.phone.Start(nil)
	done, err := r.phone.SendDigits("5#")
	if err != nil {
		t.Fatal(err)
	}
	<-done
	if rel := next[call.Released](r); rel.Leg != 2 || rel.Cause != call.NormalClearing {
		t.Errorf("%+v", rel)
	}
	if r.plane.legs[2] {
		t.Error("the plane still has the leg")
	}
}

// The tone test plays 1004 Hz; a digit by signalling ends it; a new offer in the middle does not.
func TestTone(t *testing.T) {
	r := open(t, Config{})
	r.up(2, "tone")
	r.hears(1004)
	text, err := r.phone.Offer()
	r.commands <- call.Reoffer{Leg: 2, Media: call.Media{Kind: call.KindOffer, Ref: r.put(media.Offer, text, err), Peer: 1}}
	if a := next[call.ReofferAnswered](r); a.Desc.Kind != call.KindAnswer || r.phone.Accept(r.text(a.Desc)) != nil {
		t.Fatalf("%+v", a)
	}
	r.commands <- call.Reoffer{Leg: 2}
	a := next[call.ReofferAnswered](r)
	if a.Desc.Kind != call.KindOffer {
		t.Fatalf("%+v", a)
	}
	text, err = r.phone.Answer(r.text(a.Desc))
	r.commands <- call.Confirm{Leg: 2, Media: call.Media{Kind: call.KindAnswer, Ref: r.put(media.Answer, text, err)}}
	r.commands <- call.Reoffer{Leg: 2, Media: call.Media{Kind: call.KindOffer, Ref: 999}}
	if x := next[call.ReofferRejected](r); x.Cause != call.NotAcceptable {
		t.Errorf("%+v", x)
	}
	r.hears(1004)
	r.commands <- call.SendDigit{Leg: 2, Digit: "#"}
	if rel := next[call.Released](r); rel.Cause != call.NormalClearing {
		t.Errorf("%+v", rel)
	}
}

// Without an offer in Ring the stream offers, and the program goes on when the answer has come.
func TestLateOffer(t *testing.T) {
	r := open(t, Config{})
	r.commands <- call.Ring{Leg: 2, Target: call.Target{Applet: "music"}}
	a := next[call.Answered](r)
	if a.Desc.Kind != call.KindOffer {
		t.Fatalf("%+v", a)
	}
	text, err := r.phone.Answer(r.text(a.Desc))
	r.commands <- call.Confirm{Leg: 2, Media: call.Media{Kind: call.KindAnswer, Ref: r.put(media.Answer, text, err)}}
	deadline := time.After(5 * time.Second)
	for r.phone.Evidence().Rx.Authenticated == 0 {
		select {
		case <-time.After(10 * time.Millisecond):
		case <-deadline:
			t.Fatal("no music came")
		}
	}
	r.commands <- call.Release{Leg: 2, Cause: call.NormalClearing}

	// An answer that cannot be used ends the leg.
	r.commands <- call.Ring{Leg: 4, Target: call.Target{Applet: "music"}}
	next[call.Answered](r)
	r.commands <- call.Confirm{Leg: 4, Media: call.Media{Kind: call.KindAnswer, Ref: 999}}
	if rel := next[call.Released](r); rel.Leg != 4 || rel.Cause != call.NotAcceptable {
		t.Errorf("%+v", rel)
	}
}

// What does not work is refused with a cause, and nothing is left behind.
func TestRefusals(t *testing.T) {
	ended := make(chan error, 8)
	release := make(chan struct{})
	programs := map[string]applet.Program{
		"busy": func(context.Context, *applet.Session) error { return &applet.Refused{Cause: call.UserBusy} },
		"bad":  func(context.Context, *applet.Session) error { return fmt.Errorf("a fault") },
		"wait": func(ctx context.Context, s *applet.Session) error {
			if err := s.Ring(ctx); err != nil {
				return err
			}
			close(release)
			<-ctx.Done()
			return context.Cause(ctx)
		},
	}
	r := open(t, Config{MaxSessions: 1, Ended: func(_ applet.Info, err error) { ended <- err },
		Program: func(name string) applet.Program { return programs[name] }})
	expect := func(leg call.LegID, want call.Cause) {
		t.Helper()
		if rel := next[call.Released](r); rel.Leg != leg || rel.Cause != want {
			t.Errorf("%+v, want %v", rel, want)
		}
	}
	r.ring(2, "nobody")
	expect(2, call.UnallocatedNumber)
	r.ring(4, "busy")
	expect(4, call.UserBusy)
	<-ended
	r.commands <- call.Ring{Leg: 6, Target: call.Target{Applet: "bad"}}
	expect(6, call.TemporaryFailure)
	<-ended
	r.commands <- call.Ring{Leg: 8, Target: call.Target{Applet: "bad"}, Media: call.Media{Kind: call.KindOffer, Ref: 999}}
	expect(8, call.NotAcceptable)

	r.ring(10, "wait")
	next[call.Alerting](r)
	<-release
	r.commands <- call.Ring{Leg: 12, Target: call.Target{Applet: "wait"}}
	expect(12, call.ResourceUnavailable)
	r.commands <- call.Release{Leg: 10, Cause: call.CallerCancelled}
	if err := <-ended; !errors.Is(err, applet.ErrHungUp) {
		t.Errorf("the program ended with %v", err)
	}
	select {
	case s := <-r.signals:
		t.Errorf("after Release came %+v", s)
	default:
	}
}

// A driver whose engine goes away ends its programs.
func TestEngineGone(t *testing.T) {
	r := open(t, Config{})
	r.up(2, "music")
	close(r.commands)
	r.driver.Close()
	if len(r.plane.legs) != 0 {
		t.Errorf("the plane has %v", r.plane.legs)
	}
}
