package ctileg

import (
	"net/netip"
	"slices"
	"sync"
	"time"

	"github.com/locktone/locktone/call"
	"github.com/locktone/locktone/leg/describe"
	"github.com/locktone/locktone/media"
	"github.com/locktone/locktone/media/desc"
	"github.com/locktone/locktone/wire/ctiqbe"
	"github.com/locktone/locktone/wire/sdp"
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

// Media says whether a terminal has media, and where its address comes from.
type Media uint8

// The kinds of media. The zero value has none: calls can ring there and be redirected, and not be answered.
const (
	NoMedia Media = iota
	Static        // Terminal.Address, for every call
	Dynamic       // an address for each call, asked for when it is answered
)

// A Terminal is a CTI port or route point as its application has registered it.
type Terminal struct {
	Media   Media
	Address netip.AddrPort // of RTP, with Static
	Codecs  []Codec        // in order of preference
	// Suites are the crypto suites of the SRTP algorithms that were registered, in our order of preference; none: its media is plain RTP.
	Suites []sdp.Suite
	// Patience is how long is waited for the address of a call; zero is DefaultPatience.
	Patience time.Duration
}

// DefaultPatience is how long is waited for the address of a call of a terminal with dynamic media.
const DefaultPatience = 5 * time.Second

// Config configures a Driver. All but Keys and Changed are needed.
type Config struct {
	Engine Engine
	Plane  Plane
	// Terminal is a device as it is registered here; false when it is not. It is called by the driver's goroutine.
	Terminal func(device string) (Terminal, bool)
	// AcceptTimer is the New Call Accept Timer in force. It is called by the driver's goroutine.
	AcceptTimer func() time.Duration
	// Keys makes the SRTP keys of terminals; nil is the system's randomness.
	Keys desc.KeySource
	// Changed is told of a leg of which something has become different: it came, its address is wanted (Driver.Wanted), was agreed anew, is
	// over. It must not call the driver. Nil: nobody is told.
	Changed func(call.LegID)
}

// A Driver carries the legs of terminals. Its goroutine owns them.
type Driver struct {
	cfg      Config
	sessions map[call.LegID]*session
	asks     chan ask
	quit     chan struct{}
	once     sync.Once
	done     chan struct{}

	mu     sync.Mutex
	wanted map[call.LegID]Want
}

// A Want says that an application is to name the address of a call's media.
type Want struct {
	Payload ctiqbe.MediaPayload // what the caller would like to speak
	Packet  int                 // milliseconds
}

// An askKind is what is asked of the driver from outside.
type askKind uint8

const (
	askAddress askKind = iota
	askEnd
	askAcceptLate
	askAddressLate
)

type ask struct {
	kind    askKind
	leg     call.LegID
	device  string
	address netip.AddrPort
	waiting call.Cause
	active  call.Cause
	reply   chan bool // nil: nobody waits
}

// session is one leg. The driver's goroutine owns it.
type session struct {
	leg       call.LegID
	device    string
	terminal  Terminal
	offer     *sdp.Session // to be answered; nil: we make the offer
	end       *desc.Endpoint
	accepted  bool
	answering bool // an address is waited for
	answered  bool
	timer     *time.Timer
}

// Start starts the driver. It ends with Close, or when the engine closes its command queue.
func Start(cfg Config) *Driver {
	if cfg.Keys == nil {
		cfg.Keys = media.CryptoKeys{}
	}
	d := &Driver{cfg: cfg, sessions: map[call.LegID]*session{}, asks: make(chan ask), quit: make(chan struct{}), done: make(chan struct{}), wanted: map[call.LegID]Want{}}
	go d.run()
	return d
}

// Close ends the driver.
func (d *Driver) Close() {
	d.once.Do(func() { close(d.quit) })
	<-d.done
}

// Address names the address of a call's media; false when none is wanted there (any more), or it is another device's.
func (d *Driver) Address(device string, leg call.LegID, at netip.AddrPort) bool {
	return d.ask(ask{kind: askAddress, device: device, leg: leg, address: at})
}

// End ends the legs of a device: those that wait with one cause, those that were answered with the other.
func (d *Driver) End(device string, waiting, active call.Cause) {
	d.ask(ask{kind: askEnd, device: device, waiting: waiting, active: active})
}

// Wanted says whether, and for what, the address of a leg's media is waited for.
func (d *Driver) Wanted(leg call.LegID) (Want, bool) {
	d.mu.Lock()
	defer d.mu.Unlock()
	w, ok := d.wanted[leg]
	return w, ok
}

// ask hands something to the driver's goroutine and waits until it is done.
func (d *Driver) ask(a ask) bool {
	a.reply = make(chan bool, 1)
	select {
	case d.asks <- a:
		return <-a.reply
	case <-d.done:
		return false
	}
}

func (d *Driver) run() {
	defer close(d.done)
	commands := d.cfg.Engine.Commands()
	for {
		select {
		case c, ok := <-commands:
			if !ok {
				d.endAll()
				return
			}
			d.command(c)
		case a := <-d.asks:
			d.take(a)
		case <-d.quit:
			d.endAll()
			return
		}
	}
}

// endAll forgets all legs: there is no engine to tell any more, or it knows.
func (d *Driver) endAll() {
	for _, s := range d.sessions {
		d.forget(s)
	}
}

func (d *Driver) command(c call.Command) {
	if r, ok := c.(call.Ring); ok {
		d.ring(r)
		return
	}
	s := d.sessions[c.CommandLeg()]
	if s == nil {
		return // it ended while the command was on its way
	}
	switch c := c.(type) {
	case call.AnswerNow:
		d.answer(s)
	case call.AcceptNow:
		d.accept(s)
	case call.Confirm:
		d.confirm(s, c)
	case call.Reoffer:
		d.reoffer(s, c)
	case call.Release:
		d.forget(s)
	}
	// Digits, identities and locks its application hears of by the engine's events.
}

// take does what was asked from outside.
func (d *Driver) take(a ask) {
	done := false
	switch s := d.sessions[a.leg]; a.kind {
	case askAddress:
		if done = s != nil && s.device == a.device && s.answering && a.address.IsValid(); done {
			s.terminal.Address = a.address
			d.complete(s)
		}
	case askAcceptLate:
		if s != nil && !s.accepted && !s.answered {
			d.release(s, call.DestinationOutOfOrder)
		}
	case askAddressLate:
		if s != nil && s.answering {
			d.release(s, call.RecoveryOnTimerExpiry)
		}
	case askEnd:
		for _, id := range d.legsOf(a.device) {
			cause := a.waiting
			if d.sessions[id].answered {
				cause = a.active
			}
			d.release(d.sessions[id], cause)
		}
		done = true
	}
	if a.reply != nil {
		a.reply <- done
	}
}

// legsOf are the legs of a device, the oldest first.
func (d *Driver) legsOf(device string) (out []call.LegID) {
	for id, s := range d.sessions {
		if s.device == device {
			out = append(out, id)
		}
	}
	slices.Sort(out)
	return out
}

// signal tells the engine something about a leg. An engine that has disconnected us has closed the command queue too.
func (d *Driver) signal(s call.Signal) { _ = d.cfg.Engine.Signal(s) }

func (d *Driver) changed(leg call.LegID) {
	if d.cfg.Changed != nil {
		d.cfg.Changed(leg)
	}
}

// forget ends a leg, without a word to the engine.
func (d *Driver) forget(s *session) {
	d.stop(s)
	delete(d.sessions, s.leg)
	d.want(s, nil)
	d.cfg.Plane.RemoveLeg(media.LegID(s.leg))
	d.changed(s.leg)
}

// release ends a leg and tells the engine why.
func (d *Driver) release(s *session, cause call.Cause) {
	d.forget(s)
	d.signal(call.Released{Leg: s.leg, Cause: cause})
}

// after asks the driver something later, unless stop is called before.
func (d *Driver) after(s *session, t time.Duration, kind askKind) {
	d.stop(s)
	s.timer = time.AfterFunc(t, func() {
		select {
		case d.asks <- ask{kind: kind, leg: s.leg}:
		case <-d.done:
		}
	})
}

func (d *Driver) stop(s *session) {
	if s.timer != nil {
		s.timer.Stop()
		s.timer = nil
	}
}

// want notes that an address is waited for, or that it is not any more.
func (d *Driver) want(s *session, w *Want) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if w != nil {
		d.wanted[s.leg] = *w
	} else {
		delete(d.wanted, s.leg)
	}
}
