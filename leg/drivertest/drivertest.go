// Package drivertest is the contract between a driver and the call engine, as a test suite. Every driver (SIP, SCCP, CTI,
// applets) passes it: the suite plays the engine, the driver's own test supplies a far end, which is a device of that
// driver's protocol that can be told what to do.
//
//	suite (as the engine) --Command--> driver under test <--its protocol--> Far (a phone of the test)
//	                      <--Signal---
//
// What it holds a driver to is written at call.Signal and call.Command: Setup comes first, Released comes last and once,
// every Ring and Reoffer has an outcome, nothing follows the engine's Release, descriptions are offers and answers in the
// right places.
package drivertest

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"testing"
	"time"

	"github.com/locktone/locktone/call"
	"github.com/locktone/locktone/call/live"
	"github.com/locktone/locktone/media"
)

// Far is the far end: one device, which may have one call at a time.
type Far interface {
	// Do makes the device act and returns once it has done its part; number is what Dial dials. errors.ErrUnsupported says that devices of the
	// protocol cannot do that: the rule is not theirs then, and is skipped.
	Do(ctx context.Context, a Action, number string) error
	// Wait waits until the device has seen something.
	Wait(ctx context.Context, s Seen) error
}

// Action is what a far end can be told to do.
type Action uint8

// The actions.
const (
	Dial Action = iota
	Answer
	Reject // as busy
	Hangup
	Hold
	Resume
	Digit5 // in signalling, where the protocol has that
)

// Seen is what a far end can see.
type Seen uint8

// What is seen.
const (
	Rings    Seen = iota // a call comes in
	Alerted              // the called party rings
	Answered             // the call is up
	Over                 // the call has ended
	OnHold               // the far side holds
)

// Rig is what a driver's test supplies for one run.
type Rig struct {
	Far    Far
	Target call.Target // rings Far
	Nobody call.Target // a target of the same driver that is not reachable
}

// Suite runs the contract. open starts a driver on the engine and plane given, with a far end that is ready for calls,
// and ends both with the test.
func Suite(t *testing.T, open func(t *testing.T, e *Engine, p *media.Plane) Rig) {
	for _, c := range []struct {
		name string
		run  func(*script)
	}{
		{"incoming call answered, released by the engine", incomingAnswered},
		{"incoming call answered, ended by the far end", incomingEnded},
		{"incoming call given up before the answer", incomingCancelled},
		{"incoming call refused", incomingRefused},
		{"incoming call refused at the door", incomingOverload},
		{"outgoing call answered, ended by the far end", outgoingAnswered},
		{"outgoing call answered, released by the engine", outgoingReleased},
		{"outgoing call refused", outgoingRefused},
		{"outgoing call given up", outgoingCancelled},
		{"outgoing call to nobody", outgoingNobody},
		{"outgoing call without an offer", outgoingLateOffer},
		{"hold and resume by the far end", farHolds},
		{"new offer by the engine", engineReoffers},
		{"digit", digit},
	} {
		t.Run(c.name, func(t *testing.T) {
			plane := media.NewPlane(media.PlaneConfig{})
			t.Cleanup(plane.Close)
			e := NewEngine()
			ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
			t.Cleanup(cancel)
			s := &script{t: t, ctx: ctx, e: e, plane: plane}
			s.rig = open(t, e, plane)
			c.run(s)
			s.promises()
		})
	}
}

// Engine is the suite's engine: it hands out legs and commands and keeps every signal.
type Engine struct {
	commands chan call.Command

	mu      sync.Mutex
	next    call.LegID
	signals []call.Signal
	news    chan struct{}
	refuse  bool
}

// NewEngine makes an engine without legs.
func NewEngine() *Engine {
	return &Engine{commands: make(chan call.Command, 64), next: 1, news: make(chan struct{})}
}

// NewLeg gives an odd id, as the real engine does.
func (e *Engine) NewLeg() call.LegID {
	e.mu.Lock()
	defer e.mu.Unlock()
	e.next += 2
	return e.next - 2
}

// Signal keeps the signal.
func (e *Engine) Signal(s call.Signal) error {
	e.mu.Lock()
	defer e.mu.Unlock()
	if _, ok := s.(call.Setup); ok && e.refuse {
		return &live.RefusedError{Cause: call.Overloaded, RetryAfter: time.Second}
	}
	e.signals = append(e.signals, s)
	close(e.news)
	e.news = make(chan struct{})
	return nil
}

// Forget drops the signals so far: those of a registrar that shares the engine with the driver.
func (e *Engine) Forget() {
	e.mu.Lock()
	defer e.mu.Unlock()
	e.signals = nil
}

// Command gives the driver a command, as the engine does when an application asks for something.
func (e *Engine) Command(c call.Command) { e.commands <- c }

// Commands delivers what the suite commands.
func (e *Engine) Commands() <-chan call.Command { return e.commands }

// all are the signals so far.
func (e *Engine) all() ([]call.Signal, <-chan struct{}) {
	e.mu.Lock()
	defer e.mu.Unlock()
	return append([]call.Signal(nil), e.signals...), e.news
}

// script is one run of the suite.
type script struct {
	t     *testing.T
	ctx   context.Context
	e     *Engine
	plane *media.Plane
	rig   Rig
	seen  int // signals looked at
	even  call.LegID
}

func (s *script) do(a Action, number string) {
	s.t.Helper()
	err := s.rig.Far.Do(s.ctx, a, number)
	if errors.Is(err, errors.ErrUnsupported) {
		s.t.Skipf("devices of this protocol do not do this by themselves (action %d): an application asks the engine for it", a)
	}
	if err != nil {
		s.t.Fatalf("far end, action %d: %v", a, err)
	}
}

func (s *script) wait(x Seen) {
	s.t.Helper()
	if err := s.rig.Far.Wait(s.ctx, x); err != nil {
		s.t.Fatalf("far end, waiting for %d: %v", x, err)
	}
}

func (s *script) command(c call.Command) { s.e.commands <- c }

// expect returns the next signal that is a T; signals of other types before it must be in skip.
func expect[T call.Signal](s *script, skip ...string) T {
	s.t.Helper()
	for {
		all, news := s.e.all()
		for s.seen < len(all) {
			got := all[s.seen]
			s.seen++
			if want, ok := got.(T); ok {
				return want
			}
			if _, may := got.(call.Measured); may {
				continue // where packets came in time
			}
			if name := fmt.Sprintf("%T", got); !contains(skip, name) {
				var want T
				s.t.Fatalf("driver signalled %T %+v, want %T", got, got, want)
			}
		}
		select {
		case <-news:
		case <-s.ctx.Done():
			var want T
			s.t.Fatalf("no %T came; signals so far: %+v", want, all)
		}
	}
}

func contains(list []string, s string) bool {
	for _, x := range list {
		if x == s {
			return true
		}
	}
	return false
}

// The signals that may come between others.
const (
	alerting    = "call.Alerting"
	progressing = "call.Progressing"
)

// source is a description made by the plane itself: music.
func source(kind call.DescKind, ref uint64) call.Media {
	return call.Media{Kind: kind, Treatment: call.Source, Ref: ref, Source: call.SourceMusic, Dir: call.SendRecv}
}

// setup has the far end call, and answers it.
func (s *script) setup() call.Setup {
	s.t.Helper()
	s.do(Dial, "1002")
	in := expect[call.Setup](s)
	if in.Called != "1002" || in.Desc.Kind != call.KindOffer || in.Desc.Ref == 0 || in.Leg%2 != 1 {
		s.t.Fatalf("Setup %+v: want called 1002, an offer, an odd leg", in)
	}
	if (in.Device == "") == (in.Trunk == "") {
		s.t.Fatalf("Setup names device %q and trunk %q, want exactly one", in.Device, in.Trunk)
	}
	return in
}

func (s *script) answered() call.Setup {
	s.t.Helper()
	in := s.setup()
	s.command(call.Alert{Leg: in.Leg})
	s.wait(Alerted)
	s.command(call.Answer{Leg: in.Leg, Media: source(call.KindAnswer, in.Desc.Ref)})
	s.wait(Answered)
	return in
}

func incomingAnswered(s *script) {
	in := s.answered()
	s.command(call.Release{Leg: in.Leg, Cause: call.NormalClearing})
	s.wait(Over)
}

func incomingEnded(s *script) {
	in := s.answered()
	s.do(Hangup, "")
	if out := expect[call.Released](s); out.Leg != in.Leg || out.Cause != call.NormalClearing {
		s.t.Errorf("%+v, want normal clearing of %s", out, in.Leg)
	}
}

func incomingCancelled(s *script) {
	in := s.setup()
	s.command(call.Alert{Leg: in.Leg})
	s.wait(Alerted)
	s.do(Hangup, "")
	if out := expect[call.Released](s); out.Leg != in.Leg || out.Cause != call.CallerCancelled {
		s.t.Errorf("%+v, want caller cancelled", out)
	}
}

func incomingRefused(s *script) {
	in := s.setup()
	s.command(call.Release{Leg: in.Leg, Cause: call.UserBusy})
	s.wait(Over)
}

func incomingOverload(s *script) {
	s.e.mu.Lock()
	s.e.refuse = true
	s.e.mu.Unlock()
	s.do(Dial, "1002")
	s.wait(Over)
	if all, _ := s.e.all(); len(all) != 0 {
		s.t.Errorf("the engine refused the call and still got %+v", all)
	}
}

// ring has the engine ring the far end.
func (s *script) ring(m call.Media) call.LegID {
	s.even += 2
	s.command(call.Ring{Leg: s.even, Call: 1, Target: s.rig.Target, Calling: call.Identity{Number: "1002", Display: "Suite"}, Hops: 70, Media: m})
	return s.even
}

func (s *script) up() call.LegID {
	s.t.Helper()
	leg := s.ring(source(call.KindOffer, 0))
	s.wait(Rings)
	if a := expect[call.Alerting](s, progressing); a.Leg != leg {
		s.t.Fatalf("%+v", a)
	}
	s.do(Answer, "")
	got := expect[call.Answered](s, alerting, progressing)
	if got.Leg != leg || got.Desc.Kind != call.KindAnswer || got.Desc.Ref == 0 {
		s.t.Fatalf("%+v: want the answer to our offer", got)
	}
	return leg
}

func outgoingAnswered(s *script) {
	leg := s.up()
	s.do(Hangup, "")
	if out := expect[call.Released](s); out.Leg != leg || out.Cause != call.NormalClearing {
		s.t.Errorf("%+v, want normal clearing", out)
	}
}

func outgoingReleased(s *script) {
	leg := s.up()
	s.command(call.Release{Leg: leg, Cause: call.NormalClearing})
	s.wait(Over)
}

func outgoingRefused(s *script) {
	leg := s.ring(source(call.KindOffer, 0))
	s.wait(Rings)
	s.do(Reject, "")
	if out := expect[call.Released](s, alerting, progressing); out.Leg != leg || out.Cause != call.UserBusy {
		s.t.Errorf("%+v, want user busy", out)
	}
}

func outgoingCancelled(s *script) {
	leg := s.ring(source(call.KindOffer, 0))
	s.wait(Rings)
	expect[call.Alerting](s, progressing)
	s.command(call.Release{Leg: leg, Cause: call.CallerCancelled})
	s.wait(Over)
}

func outgoingNobody(s *script) {
	s.even += 2
	s.command(call.Ring{Leg: s.even, Call: 1, Target: s.rig.Nobody, Hops: 70, Media: source(call.KindOffer, 0)})
	if out := expect[call.Released](s); out.Leg != s.even || out.Cause == call.CauseNone || out.Cause == call.NormalClearing {
		s.t.Errorf("%+v, want a failure", out)
	}
}

func outgoingLateOffer(s *script) {
	leg := s.ring(call.Media{})
	s.wait(Rings)
	s.do(Answer, "")
	got := expect[call.Answered](s, alerting, progressing)
	if got.Leg != leg || got.Desc.Kind != call.KindOffer {
		s.t.Fatalf("%+v: want the far end's offer", got)
	}
	s.command(call.Confirm{Leg: leg, Media: source(call.KindAnswer, got.Desc.Ref)})
	s.wait(Answered)
	s.do(Hangup, "")
	expect[call.Released](s)
}

func farHolds(s *script) {
	in := s.answered()
	for _, c := range []struct {
		do  Action
		dir call.Direction
	}{{Hold, call.SendOnly}, {Resume, call.SendRecv}} {
		done := make(chan error, 1)
		go func() { done <- s.rig.Far.Do(s.ctx, c.do, "") }()
		got := expect[call.Reoffered](s)
		if got.Leg != in.Leg || got.Desc.Kind != call.KindOffer || got.Desc.Dir != c.dir {
			s.t.Fatalf("%+v: want an offer, %s", got, c.dir)
		}
		s.command(call.AnswerReoffer{Leg: in.Leg, Media: source(call.KindAnswer, got.Desc.Ref)})
		if err := <-done; err != nil {
			s.t.Fatal(err)
		}
	}
	s.command(call.Release{Leg: in.Leg, Cause: call.NormalClearing})
	s.wait(Over)
}

func engineReoffers(s *script) {
	leg := s.up()
	s.command(call.Reoffer{Leg: leg, Media: call.Media{Kind: call.KindOffer, Treatment: call.Source, Source: call.SourceMusic, Dir: call.SendOnly}})
	got := expect[call.ReofferAnswered](s)
	if got.Leg != leg || got.Desc.Kind != call.KindAnswer {
		s.t.Fatalf("%+v: want an answer", got)
	}
	s.wait(OnHold)
	s.command(call.Release{Leg: leg, Cause: call.NormalClearing})
	s.wait(Over)
}

func digit(s *script) {
	in := s.answered()
	err := s.rig.Far.Do(s.ctx, Digit5, "")
	if errors.Is(err, errors.ErrUnsupported) {
		s.t.Skip("the protocol has no digits in signalling")
	}
	if err != nil {
		s.t.Fatal(err)
	}
	if got := expect[call.Digit](s); got.Leg != in.Leg || got.Digit != "5" {
		s.t.Errorf("%+v, want 5", got)
	}
	s.command(call.Release{Leg: in.Leg, Cause: call.NormalClearing})
	s.wait(Over)
}

// promises checks what holds for every run: Setup is first, Released is last and comes once.
func (s *script) promises() {
	s.t.Helper()
	all, _ := s.e.all()
	known, over := map[call.LegID]bool{}, map[call.LegID]bool{}
	for i, sig := range all {
		leg := sig.SignalLeg()
		if leg == 0 {
			continue
		}
		if over[leg] {
			s.t.Errorf("signal %d, %T of %s, comes after its Released", i, sig, leg)
		}
		_, setup := sig.(call.Setup)
		if leg%2 == 1 && setup == known[leg] {
			s.t.Errorf("signal %d of %s is %T", i, leg, sig)
		}
		known[leg] = true
		if _, ok := sig.(call.Released); ok {
			over[leg] = true
		}
	}
}
