// Package phones is the contact centre's view of its agents' phones, through CTI: it logs in to a CTI Manager as an application, opens the
// lines of those agents that are at work, says what each phone is doing, and presses its keys.
//
//	p := phones.Start(phones.Config{Login: site.Application...})
//	p.Follow("SEP001122334455", "2001")
//	for {
//		phone, err := p.Next(ctx)         // a phone that is doing something else than before
//		...
//		err = p.Do(ctx, phones.Command{Device: phone.Device, Key: phones.Answer})
//	}
//
// What is told is always the whole picture of a phone and never a change of it: whoever is late sees the newest picture alone, and
// nothing is missed by a gap in the events of CTI. A phone whose line is not open, not registered, or whose CTI Manager cannot be reached
// is out of service; that is a picture too. The login is tried again for ever, with growing pauses.
package phones

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/locktone/locktone/cti"
	"github.com/locktone/locktone/wire/ctiqbe"
)

// Config says how to log in.
type Config struct {
	// Login is the application's login; it is asked before each.
	Login func(context.Context) (cti.Config, error)
	// Warn is told of trouble with the login, in sentences; nil tells nobody.
	Warn func(string)
	// Pause is the wait before a login is tried again after it failed, doubled up to 30 times itself; zero is a second.
	Pause time.Duration
}

// A State is what a call does at a phone.
type State uint8

// The states.
const (
	Gone    State = iota
	Ringing       // it is offered, or rings
	Dialing       // the phone has called, nobody has answered
	Talking
	Held
)

var stateNames = [...]string{"gone", "ringing", "dialing", "talking", "held"}

func (s State) String() string { return stateNames[s] }

// MarshalText writes the name.
func (s State) MarshalText() ([]byte, error) { return []byte(s.String()), nil }

// UnmarshalText reads the name.
func (s *State) UnmarshalText(text []byte) error {
	i := slices.Index(stateNames[:], string(text))
	if i < 0 {
		return fmt.Errorf("%q is no state of a call at a phone: want one of %s", text, strings.Join(stateNames[:], ", "))
	}
	*s = State(i)
	return nil
}

// A Call is one call of a phone.
type Call struct {
	ID       cti.CallID `json:"id"`
	State    State      `json:"state"`
	Outgoing bool       `json:"outgoing,omitempty"` // the phone has called
	Number   string     `json:"number,omitempty"`   // of the other side
	Name     string     `json:"name,omitempty"`
	Secure   bool       `json:"secure,omitempty"` // every leg of it is encrypted and verified
}

// A Phone is a picture of a phone. Calls are in the order in which they came.
type Phone struct {
	Device    string `json:"device"`
	Number    string `json:"number"`
	InService bool   `json:"in_service,omitempty"`
	Calls     []Call `json:"calls,omitempty"`
}

// equal reports whether nothing has changed.
func (p Phone) equal(o Phone) bool {
	return p.Device == o.Device && p.Number == o.Number && p.InService == o.InService && slices.Equal(p.Calls, o.Calls)
}

// Phones follows the agents' phones. Its methods may be called from any goroutine; Next by one.
type Phones struct {
	cfg    Config
	ctx    context.Context
	cancel context.CancelFunc
	done   chan struct{}
	wake   chan struct{} // capacity 1: a picture has changed

	mu       sync.Mutex
	provider provider // nil while there is no login
	followed map[string]*followed
	order    []string // devices whose pictures Next has not told, first come first
	work     chan struct{}
}

// followed is a phone that an agent uses.
type followed struct {
	number string
	line   cti.LineID
	open   bool
	told   Phone // as Next said last
	now    Phone
}

// provider is what this package uses of *cti.Provider.
type provider interface {
	Next(ctx context.Context) (cti.Event, error)
	Find(device, number string) (cti.LineID, error)
	OpenLine(ctx context.Context, id cti.LineID) error
	CloseLine(ctx context.Context, id cti.LineID) error
	lines
	keys
}

// lines is what is known of lines.
type lines interface {
	Calls() []cti.Call
	InService(line cti.LineID) bool
	Close() error
}

// ErrAway says that there is no login at the moment.
var ErrAway = errors.New("the contact centre is not logged in to a CTI Manager at the moment: locktone show cti says who is, and the trace why not")

// Start logs in and goes on until Close.
func Start(cfg Config) *Phones { return start(cfg, open) }

func open(ctx context.Context, cfg cti.Config) (provider, error) {
	p, err := cti.Open(ctx, cfg)
	if err != nil {
		return nil, err
	}
	return p, nil
}

func start(cfg Config, open func(context.Context, cti.Config) (provider, error)) *Phones {
	cfg.Pause = cmp.Or(cfg.Pause, time.Second)
	if cfg.Warn == nil {
		cfg.Warn = func(string) {}
	}
	p := &Phones{cfg: cfg, done: make(chan struct{}), wake: make(chan struct{}, 1), work: make(chan struct{}, 1), followed: map[string]*followed{}}
	p.ctx, p.cancel = context.WithCancel(context.Background())
	go p.run(open)
	return p
}

// Close logs out.
func (p *Phones) Close() {
	p.cancel()
	<-p.done
}

// Follow begins to tell of a phone, by the line that the agent is reached at. The first picture comes soon, in service or not.
func (p *Phones) Follow(device, number string) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if f := p.followed[device]; f != nil && f.number == number {
		return
	}
	p.followed[device] = &followed{number: number, now: Phone{Device: device, Number: number}}
	p.order = append(p.order, device)
	p.poke(p.work)
	p.poke(p.wake)
}

// Leave ends it.
func (p *Phones) Leave(device string) {
	p.mu.Lock()
	f := p.followed[device]
	delete(p.followed, device)
	provider := p.provider
	p.mu.Unlock()
	if f != nil && f.open && provider != nil {
		ctx, cancel := context.WithTimeout(p.ctx, requestTime)
		defer cancel()
		_ = provider.CloseLine(ctx, f.line) // a line that is not open any more is as good
	}
}

// requestTime bounds what is asked of the CTI Manager.
const requestTime = 10 * time.Second

// Phone is the picture of a phone that is followed.
func (p *Phones) Phone(device string) (Phone, bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	f := p.followed[device]
	if f == nil {
		return Phone{}, false
	}
	return f.now, true
}

// Next is the next phone that is doing something else than Next said before.
func (p *Phones) Next(ctx context.Context) (Phone, error) {
	for {
		if next, ok := p.changed(); ok {
			return next, nil
		}
		select {
		case <-p.wake:
		case <-ctx.Done():
			return Phone{}, ctx.Err()
		case <-p.ctx.Done():
			return Phone{}, p.ctx.Err()
		}
	}
}

// changed takes the first of the pictures to be told. Told pictures have a device: the first one of a phone differs from none.
func (p *Phones) changed() (Phone, bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	for len(p.order) > 0 {
		f := p.followed[p.order[0]]
		p.order = p.order[1:]
		if f != nil && !f.now.equal(f.told) {
			f.told = f.now
			return f.now, true
		}
	}
	return Phone{}, false
}

func (p *Phones) poke(c chan struct{}) {
	select {
	case c <- struct{}{}:
	default:
	}
}

// run logs in, again and again.
func (p *Phones) run(open func(context.Context, cti.Config) (provider, error)) {
	defer close(p.done)
	for pause := p.cfg.Pause; p.ctx.Err() == nil; pause = min(2*pause, 30*p.cfg.Pause) {
		began := time.Now()
		if err := p.session(open); err != nil && p.ctx.Err() == nil {
			p.cfg.Warn("agents' phones: " + err.Error())
		}
		if time.Since(began) > time.Minute {
			pause = p.cfg.Pause
		}
		select {
		case <-time.After(pause):
		case <-p.ctx.Done():
		}
	}
}

// session is one login, from its begin to its end.
func (p *Phones) session(open func(context.Context, cti.Config) (provider, error)) error {
	cfg, err := p.cfg.Login(p.ctx)
	if err != nil {
		return err
	}
	at, err := open(p.ctx, cfg)
	if err != nil {
		return err
	}
	defer at.Close()
	p.use(at)
	defer p.use(nil)
	ctx, cancel := context.WithCancel(p.ctx)
	defer cancel()
	var opening sync.WaitGroup
	opening.Go(func() { p.openLines(ctx, at) })
	defer opening.Wait()
	defer cancel()
	for {
		e, err := at.Next(p.ctx)
		if err != nil {
			return err
		}
		switch e := e.(type) {
		case cti.Closed:
			return e.Err
		case cti.LinkLost:
			p.cfg.Warn(fmt.Sprintf("agents' phones: the CTI Manager %s is lost: %v", e.Manager, e.Err))
			p.refresh(nil)
		case cti.Gap:
			p.closed(e.Lost)
			p.refresh(at)
		case cti.DeviceChanged:
			p.poke(p.work)
			p.refresh(at)
		default:
			p.refresh(at)
		}
	}
}

// use makes a login the one in use; nil: there is none, and every phone is out of service.
func (p *Phones) use(at provider) {
	p.mu.Lock()
	p.provider = at
	for _, f := range p.followed {
		f.open = false
	}
	p.mu.Unlock()
	p.refresh(at)
}

// closed notes lines that could not be opened again; they are tried like new ones.
func (p *Phones) closed(lost []cti.LostLine) {
	p.mu.Lock()
	defer p.mu.Unlock()
	for _, l := range lost {
		if f := p.followed[l.Line.Device]; f != nil {
			f.open = false
		}
	}
	p.poke(p.work)
}

// reopen is how often lines that could not be opened are tried again.
const reopen = 5 * time.Second

// openLines opens the lines of the phones that are followed, as they come, and again those that could not be opened.
func (p *Phones) openLines(ctx context.Context, at provider) {
	again := time.NewTicker(reopen)
	defer again.Stop()
	complained := map[string]bool{}
	for {
		for _, device := range p.unopened() {
			if err := p.openLine(ctx, at, device); err != nil && !complained[device] && ctx.Err() == nil {
				complained[device] = true
				p.cfg.Warn("phone of an agent: " + err.Error())
			}
		}
		select {
		case <-p.work:
		case <-again.C:
		case <-ctx.Done():
			return
		}
	}
}

// unopened are the phones whose lines are to be opened.
func (p *Phones) unopened() (devices []string) {
	p.mu.Lock()
	defer p.mu.Unlock()
	for device, f := range p.followed {
		if !f.open {
			devices = append(devices, device)
		}
	}
	slices.Sort(devices)
	return devices
}

func (p *Phones) openLine(ctx context.Context, at provider, device string) error {
	p.mu.Lock()
	f := p.followed[device]
	p.mu.Unlock()
	if f == nil {
		return nil
	}
	line, err := at.Find(device, f.number)
	if err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(ctx, requestTime)
	defer cancel()
	if err := at.OpenLine(ctx, line); err != nil {
		return err
	}
	p.mu.Lock()
	f.line, f.open = line, true
	p.mu.Unlock()
	p.refresh(at)
	return nil
}

// refresh draws the pictures anew; without a login every phone is out of service.
func (p *Phones) refresh(at provider) {
	calls := map[cti.LineID][]Call{}
	if at != nil {
		for _, c := range at.Calls() {
			if state := stateOf(c); state != Gone {
				far := c.Peer()
				calls[c.Line] = append(calls[c.Line], Call{ID: c.ID, State: state, Outgoing: c.Outgoing(), Number: far.Number, Name: far.Name,
					Secure: c.Security == ctiqbe.CallSecurityStatusEncrypted})
			}
		}
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	for device, f := range p.followed {
		next := Phone{Device: device, Number: f.number}
		if at != nil && f.open {
			next.InService, next.Calls = at.InService(f.line), calls[f.line]
		}
		if !next.equal(f.now) {
			f.now = next
			p.order = append(p.order, device)
			p.poke(p.wake)
		}
	}
}

// stateOf is what a call does, in fewer words.
func stateOf(c cti.Call) State {
	if c.Remote {
		return Gone // another device of a shared line has it
	}
	switch c.State {
	case ctiqbe.CallStateOffering, ctiqbe.CallStateAccepted:
		return Ringing
	case ctiqbe.CallStateDialTone, ctiqbe.CallStateDialing, ctiqbe.CallStateRingback, ctiqbe.CallStateProceeding, ctiqbe.CallStateProgressing, ctiqbe.CallStateBusy:
		return Dialing
	case ctiqbe.CallStateConnected:
		return Talking
	case ctiqbe.CallStateOnHold, ctiqbe.CallStateOnHoldPending, ctiqbe.CallStateTransferOnHold, ctiqbe.CallStateTransferOnHoldPending:
		return Held
	}
	return Gone
}
