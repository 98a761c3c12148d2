// Package appleg is the driver that gives applets legs in the call engine: for every Ring it opens a media stream and runs
// the program of that name on a goroutine of its own; program and engine meet here.
//
//	engine --Ring, Confirm, Reoffer, SendDigit, Release--> driver goroutine --> program goroutine (applet.Session)
//	engine <--Alerting, Answered, ReofferAnswered, Released-- driver goroutine <-- asks: alert, answer, ended
//
// Descriptions go through the media plane as they do for a SIP phone: the stream is the far end of the leg, it gets the
// SDP the plane makes for it and its own SDP is put into the plane. So keys, hold and music work for applets as for everybody.
package appleg

import (
	"context"
	"fmt"
	"sync"

	"github.com/locktone/locktone/applet"
	"github.com/locktone/locktone/call"
	"github.com/locktone/locktone/leg/describe"
	"github.com/locktone/locktone/media"
	"github.com/locktone/locktone/media/desc"
)

// Engine is the driver's side of a call engine; *live.Driver is one.
type Engine interface {
	Signal(call.Signal) error
	Commands() <-chan call.Command
}

// Plane is the part of *media.Plane this driver uses.
type Plane interface {
	describe.Plane
	AddLeg(id media.LegID, prof media.Profile)
	RemoveLeg(id media.LegID)
}

// Config configures a Driver. Engine and Plane are needed.
type Config struct {
	Engine Engine
	Plane  Plane
	// Program finds an applet by name, nil where there is none; it is called by the driver's goroutine. nil means applet.Tests().
	Program func(name string) applet.Program
	// Stream is how media streams are opened; Caps.Security is set by the driver.
	Stream media.StreamConfig
	// MaxSessions bounds programs running at the same time; zero means 256. A call over it is refused with ResourceUnavailable.
	MaxSessions int
	// Ended is told how a program ended, for the trace; nil tells nobody. It is called by the driver's goroutine.
	Ended func(applet.Info, error)
}

// A Driver runs applets. Its goroutine owns all sessions.
type Driver struct {
	cfg      Config
	sessions map[call.LegID]*session
	asks     chan ask
	quit     chan struct{}
	once     sync.Once
	done     chan struct{}
}

// Start starts the driver. It ends with Close, or when the engine closes its command queue.
func Start(cfg Config) *Driver {
	if cfg.Program == nil {
		tests := applet.Tests()
		cfg.Program = func(name string) applet.Program { return tests[name] }
	}
	if cfg.MaxSessions <= 0 {
		cfg.MaxSessions = 256
	}
	// A stream of ours takes what it is offered, protected or not: what a call must have, its other leg decides.
	cfg.Stream.Caps.Security = desc.Optional
	d := &Driver{cfg: cfg, sessions: map[call.LegID]*session{}, asks: make(chan ask), quit: make(chan struct{}), done: make(chan struct{})}
	go d.run()
	return d
}

// Close ends all programs and waits for them.
func (d *Driver) Close() {
	d.once.Do(func() { close(d.quit) })
	<-d.done
}

// An askKind is what a program wants of the driver.
type askKind uint8

const (
	askNone askKind = iota
	askAlert
	askAnswer
	askTransfer
	askEnd
)

// An ask is a program's wish; reply gets one value when it is fulfilled.
type ask struct {
	kind  askKind
	s     *session
	reply chan error
	err   error  // askEnd: what the program returned
	to    string // askTransfer: the number
}

// session is one leg. The driver's goroutine owns it, but for the program's own part in port.
type session struct {
	info     applet.Info
	stream   *media.Stream
	cancel   context.CancelCauseFunc
	digits   chan string
	offer    []byte // the offer of Ring, to be answered
	answered bool
	answer   chan error // the program waits here for Confirm
	transfer chan error // and here for the outcome of a transfer
	over     bool       // released, on either side
}

func (d *Driver) run() {
	defer close(d.done)
	commands := d.cfg.Engine.Commands()
	for commands != nil {
		select {
		case c, ok := <-commands:
			if !ok {
				commands = nil
				break
			}
			d.command(c)
		case a := <-d.asks:
			d.ask(a)
		case <-d.quit:
			commands = nil
		}
	}
	d.endAll()
}

// endAll cancels every program and takes its last ask.
func (d *Driver) endAll() {
	for _, s := range d.sessions {
		s.cancel(applet.ErrHungUp)
	}
	for len(d.sessions) > 0 {
		if a := <-d.asks; a.kind == askEnd {
			d.ask(a)
		} else {
			a.reply <- applet.ErrHungUp
		}
	}
}

func (d *Driver) command(c call.Command) {
	if r, ok := c.(call.Ring); ok {
		d.ring(r)
		return
	}
	s := d.sessions[c.CommandLeg()]
	if s == nil || s.over {
		return // the program ended while the command was on its way
	}
	switch c := c.(type) {
	case call.Confirm:
		d.confirm(s, c)
	case call.Reoffer:
		d.reoffer(s, c)
	case call.SendDigit:
		select {
		case s.digits <- c.Digit:
		default: // nobody has read the last 64
		}
	case call.TransferResult:
		s.transferred(c)
	case call.Release:
		d.end(s)
		s.cancel(applet.ErrHungUp)
	}
	// Identify and the like have nobody to tell.
}

// end takes a leg out of the plane; nothing is signalled for it any more.
func (d *Driver) end(s *session) {
	s.over = true
	d.cfg.Plane.RemoveLeg(media.LegID(s.info.Leg))
	if s.answer != nil {
		s.answer <- applet.ErrHungUp
		s.answer = nil
	}
	if s.transfer != nil {
		s.transfer <- applet.ErrHungUp
		s.transfer = nil
	}
}

// transferred is how a transfer goes that the program has asked for.
func (s *session) transferred(c call.TransferResult) {
	if s.transfer == nil || !c.Final {
		return
	}
	var err error
	if c.Status < 200 || c.Status > 299 {
		err = &applet.NotTransferred{Status: c.Status, Why: c.Why}
	}
	s.transfer <- err
	s.transfer = nil
}

// sendOn begins a transfer.
func (d *Driver) sendOn(a ask) {
	switch {
	case a.s.over:
		a.reply <- applet.ErrHungUp
	case !a.s.answered || a.s.answer != nil || a.s.transfer != nil:
		a.reply <- &applet.NotTransferred{Status: call.WrongCallState.SIP(), Why: "the call is not answered yet, or another transfer is under way"}
	default:
		a.s.transfer = a.reply
		d.signal(call.TransferAsked{Leg: a.s.info.Leg, To: a.to})
	}
}

// signal tells the engine something about a leg. An engine that has disconnected us has closed the command queue too.
func (d *Driver) signal(s call.Signal) { _ = d.cfg.Engine.Signal(s) }

// ring starts a session.
func (d *Driver) ring(r call.Ring) {
	program := d.cfg.Program(r.Target.Applet)
	switch {
	case program == nil:
		d.signal(call.Released{Leg: r.Leg, Cause: call.UnallocatedNumber})
		return
	case len(d.sessions) >= d.cfg.MaxSessions:
		d.signal(call.Released{Leg: r.Leg, Cause: call.ResourceUnavailable})
		return
	}
	cfg := d.cfg.Stream
	cfg.Watch = func(p media.Report) {
		d.signal(call.Heard{Leg: r.Leg, Proof: call.Proof(p.Proof), Why: p.Why})
	}
	stream, err := media.OpenStream(cfg)
	if err != nil {
		d.signal(call.Released{Leg: r.Leg, Cause: call.ResourceUnavailable})
		return
	}
	s := &session{stream: stream, digits: make(chan string, 64), info: applet.Info{Leg: r.Leg, Call: r.Call, Applet: r.Target.Applet,
		Called: r.Target.Called, Calling: r.Calling, Redirecting: r.Redirecting, GlobalID: r.GlobalID, Parameters: r.Parameters}}
	d.cfg.Plane.AddLeg(media.LegID(r.Leg), media.Profile{Security: desc.Optional})
	if s.offer, err = describe.Make(d.cfg.Plane, r.Leg, r.Media); err != nil {
		d.cfg.Plane.RemoveLeg(media.LegID(r.Leg))
		_ = stream.Close()
		d.signal(call.Released{Leg: r.Leg, Cause: call.NotAcceptable})
		return
	}
	d.sessions[r.Leg] = s
	ctx, cancel := context.WithCancelCause(context.Background())
	s.cancel = cancel
	go d.play(ctx, s, program)
}

// play is the program's goroutine.
func (d *Driver) play(ctx context.Context, s *session, program applet.Program) {
	err := program(ctx, applet.NewSession(s.info, port{d, s}))
	_ = s.stream.Close() // the ports are given back; there is nobody to tell about a socket that closes badly
	d.asks <- ask{kind: askEnd, s: s, err: err}
}

// ask does what a program wants.
func (d *Driver) ask(a ask) {
	switch a.kind {
	case askAlert:
		if !a.s.over && !a.s.answered {
			d.signal(call.Alerting{Leg: a.s.info.Leg})
		}
		a.reply <- nil
	case askAnswer:
		d.answer(a)
	case askTransfer:
		d.sendOn(a)
	case askEnd:
		d.ended(a.s, a.err)
	}
}

// answer answers the call; without an offer the program waits for Confirm.
func (d *Driver) answer(a ask) {
	s := a.s
	if s.over {
		a.reply <- applet.ErrHungUp
		return
	}
	kind, text, err := call.KindAnswer, []byte(nil), error(nil)
	if s.offer != nil {
		text, err = s.stream.Answer(s.offer)
	} else {
		kind = call.KindOffer
		text, err = s.stream.Offer()
	}
	var dsc call.Desc
	if err == nil {
		dsc, err = describe.Put(d.cfg.Plane, s.info.Leg, kind, text)
	}
	if err != nil {
		a.reply <- fmt.Errorf("appleg: answer %s: %w", s.info.Applet, err)
		return
	}
	s.answered, s.offer = true, nil
	if kind == call.KindOffer {
		s.answer = a.reply
	} else {
		a.reply <- nil
	}
	d.signal(call.Answered{Leg: s.info.Leg, Desc: dsc})
}

// confirm takes the answer to an offer of the stream. One that cannot be taken ends the leg.
func (d *Driver) confirm(s *session, c call.Confirm) {
	text, err := describe.Make(d.cfg.Plane, s.info.Leg, c.Media)
	if err == nil {
		err = s.stream.Accept(text)
	}
	if s.answer != nil {
		s.answer <- err
		s.answer = nil
	}
	if err != nil {
		d.end(s)
		s.cancel(fmt.Errorf("appleg: the answer of the far end: %w", err))
		d.signal(call.Released{Leg: s.info.Leg, Cause: call.NotAcceptable})
	}
}

// reoffer answers a new offer, or makes one where it is asked for.
func (d *Driver) reoffer(s *session, c call.Reoffer) {
	kind, out := call.KindAnswer, []byte(nil)
	text, err := describe.Make(d.cfg.Plane, s.info.Leg, c.Media)
	switch {
	case err != nil:
	case text == nil:
		kind = call.KindOffer
		out, err = s.stream.Offer()
	default:
		out, err = s.stream.Answer(text)
	}
	var dsc call.Desc
	if err == nil {
		dsc, err = describe.Put(d.cfg.Plane, s.info.Leg, kind, out)
	}
	if err != nil {
		d.signal(call.ReofferRejected{Leg: s.info.Leg, Cause: call.NotAcceptable})
		return
	}
	d.signal(call.ReofferAnswered{Leg: s.info.Leg, Desc: dsc})
}

// ended: the program has returned.
func (d *Driver) ended(s *session, err error) {
	delete(d.sessions, s.info.Leg)
	s.cancel(nil)
	if !s.over {
		d.end(s)
		d.signal(call.Released{Leg: s.info.Leg, Cause: cause(err)})
	}
	if d.cfg.Ended != nil {
		d.cfg.Ended(s.info, err)
	}
}
