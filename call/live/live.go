// Package live runs a call.Engine: one goroutine at a time, a bounded mailbox in front of it, a bounded queue behind it for every
// driver, and watchers on the side.
//
//	driver --Signal--> +---------+  Step   +--------+ --Order--> driver queue --> driver
//	app ---Request---> | mailbox | ------> | engine | --Event--> watchers (a slow one gets Lagged)
//	timer ---Tick----> +---------+         +--------+ --Record-> Recorder (every input with its sequence number)
//
// Who runs the engine is the host's goroutine, or a driver's that has just left a signal and calls [Host.Carry]: the goroutine that
// read a message from the wire then takes it through the engine, and nobody has to be woken. Such a driver takes its commands as a
// [Carrier], without a queue. One flag under the mailbox's lock says whether somebody is at it.
//
// # Overload
//
// The mailbox has two lanes. Signals of legs that exist, releases, state changes, configuration and ticks take the first;
// Setup and MakeCall take the second, which is served when the first is empty or its turn has come (every eighth input). When
// the oldest input has waited longer than 20 ms, new calls are refused at the door with call.Overloaded until it is under
// 8 ms again: a refused call costs next to nothing and calls that exist do not feel the flood.
//
// # Values only
//
// Nothing but values crosses a queue. A driver whose queue is full is disconnected (its legs end with call.DriverGone), it
// never blocks the engine. A watcher that lags gets one Lagged mark with a fresh picture of all calls.
package live

import (
	"context"
	"errors"
	"sync"
	"sync/atomic"
	"time"

	"github.com/locktone/locktone/call"
)

// Options configure a Host. The zero value is a good value.
type Options struct {
	// Recorder gets every input and output; nil records nothing.
	Recorder Recorder
	// Mailbox bounds each lane of the mailbox; zero means 65,536 inputs.
	Mailbox int
	// RefuseAfter and AcceptUnder are the overload marks; zero means 20 ms and 8 ms.
	RefuseAfter time.Duration
	AcceptUnder time.Duration
	// Now replaces the clock; nil is time.Now. Timers run on the real one.
	Now func() time.Time
}

// A Recorder keeps the trace. Record is called by who runs the engine, once per input, in order; it must not block.
type Recorder interface {
	Record(Record)
}

// A Record is one input with what came of it. Input and Output can be written with call.MarshalInput and call.MarshalOutput.
type Record struct {
	Seq    uint64
	At     time.Time
	Driver string // the driver that sent the signal, empty for other inputs
	Input  call.Input
	Output call.Output
}

// Errors of a Host.
var (
	ErrClosed       = errors.New("live: the call engine has stopped")
	ErrDisconnected = errors.New("live: the driver was disconnected because it did not take its commands")
	ErrNameTaken    = errors.New("live: a driver with that name is attached already")
)

// A RefusedError says that a new call was refused at the door.
type RefusedError struct {
	Cause call.Cause
	// RetryAfter is when it is worth trying again.
	RetryAfter time.Duration
}

func (e *RefusedError) Error() string {
	return "live: new call refused: " + e.Cause.String() + "; calls that exist go on"
}

// Stats are the host's counters.
type Stats struct {
	Inputs, Refused, Disconnected, Lagged uint64
	Calls, Legs                           int
	// Wait is how long the last input waited in the mailbox.
	Wait time.Duration
	// Busy is the time spent in Step so far.
	Busy time.Duration
	// Refusing says whether new calls are being refused.
	Refusing bool
}

// A Host runs one engine.
type Host struct {
	opts Options
	box  *mailbox
	done chan struct{} // closed when the host's goroutine has ended
	legs atomic.Uint64 // ids given to legs that come in

	timer *time.Timer
	armed atomic.Int64 // when timer rings, ns since begun; 0: it does not
	begun time.Time    // the deadlines are measured from here, so that setting the machine's clock moves none of them

	config atomic.Pointer[call.Config] // the one that was handed in last

	// Only who runs the engine uses these.
	engine   *call.Engine
	drivers  map[string]*Driver
	watchers []*Watcher
	seq      uint64

	mu       sync.Mutex
	stats    Stats
	carriers []Carrier // of the drivers that have one; never written in place but by appending
}

// Start starts a host. Close ends it.
func Start(o Options) *Host {
	if o.Now == nil {
		o.Now = time.Now
	}
	h := &Host{opts: o, box: newMailbox(o), done: make(chan struct{}), engine: call.New(), drivers: map[string]*Driver{}, begun: o.Now()}
	h.timer = time.NewTimer(time.Hour)
	h.timer.Stop()
	go h.run()
	return h
}

// Close stops the engine and waits for its goroutine. Drivers see their Commands channel closed, watchers their Notes.
func (h *Host) Close() {
	h.box.close()
	<-h.done
}

// Configure gives the engine a new configuration; calls that exist keep what they have.
func (h *Host) Configure(c *call.Config) error {
	h.config.Store(c)
	return h.post(entry{in: call.Input{Config: c}})
}

// Request hands a request to the engine and waits for the reply. by says who asks. New calls can be refused with a *RefusedError.
func (h *Host) Request(ctx context.Context, by string, r call.Request) (call.Reply, error) {
	reply := make(chan call.Reply, 1)
	e := entry{in: call.Input{Request: r, By: by}, reply: reply}
	var err error
	if _, fresh := r.(call.MakeCall); fresh {
		err = h.postNew(e)
	} else {
		err = h.post(e)
	}
	if err != nil {
		return call.Reply{}, err
	}
	return await(ctx, h, reply)
}

// await waits for an answer of who runs the engine.
func await[T any](ctx context.Context, h *Host, c <-chan T) (T, error) {
	var none T
	select {
	case v := <-c:
		return v, nil
	case <-ctx.Done():
		return none, ctx.Err()
	case <-h.done:
		select {
		case v := <-c:
			return v, nil
		default:
			return none, ErrClosed
		}
	}
}

// Calls returns pictures of all calls as of now.
func (h *Host) Calls(ctx context.Context) ([]*call.View, error) {
	c := make(chan []*call.View, 1)
	if err := h.post(entry{calls: c}); err != nil {
		return nil, err
	}
	return await(ctx, h, c)
}

// Settings returns what users have set, as Engine.Settings says it.
func (h *Host) Settings(ctx context.Context) ([]call.Event, error) {
	c := make(chan []call.Event, 1)
	if err := h.post(entry{settings: c}); err != nil {
		return nil, err
	}
	return await(ctx, h, c)
}

// Stats returns the counters.
func (h *Host) Stats() Stats {
	h.mu.Lock()
	s := h.stats
	h.mu.Unlock()
	s.Refused, s.Refusing = h.box.refusals()
	return s
}

// post puts an entry into the first lane.
func (h *Host) post(e entry) error {
	err := h.leave(e)
	h.box.rouse()
	return err
}

// leave is post for somebody who calls Carry afterwards.
func (h *Host) leave(e entry) error {
	e.at = h.opts.Now()
	return h.box.push(e)
}

// postNew puts a new call into the second lane, unless the engine is behind.
func (h *Host) postNew(e entry) error {
	err := h.leaveNew(e)
	h.box.rouse()
	return err
}

// leaveNew is postNew for somebody who calls Carry afterwards.
func (h *Host) leaveNew(e entry) error {
	e.at = h.opts.Now()
	return h.box.pushNew(e, h.emergency)
}

// emergency says whether a new call is to an emergency number.
func (h *Host) emergency(e *entry) bool {
	s, ok := e.in.Signal.(call.Setup)
	c := h.config.Load()
	return ok && c != nil && c.Emergency(e.at, s)
}

// Attach connects a driver under the name that call.Device.Driver and call.Trunk.Driver use. queue bounds its commands;
// zero means 4,096.
func (h *Host) Attach(name string, queue int) (*Driver, error) {
	if queue <= 0 {
		queue = 4096
	}
	return h.connect(&Driver{host: h, name: name, commands: make(chan call.Command, queue)})
}

// A Carrier is the part of a driver that takes commands on the goroutine that runs the engine, and so needs none of its own. Command
// is called for one command after the other, while the engine is held: it notes it and returns. Wake is called by the host's
// goroutine when it has let go of the engine, and has others see to what was noted; who runs the engine by [Host.Carry] sees to it
// without being told.
type Carrier interface {
	Command(call.Command)
	Wake()
}

// AttachCarrier connects a driver that takes its commands by c. It has no queue: Commands delivers nothing and is closed at the end.
func (h *Host) AttachCarrier(name string, c Carrier) (*Driver, error) {
	return h.connect(&Driver{host: h, name: name, carrier: c, commands: make(chan call.Command)})
}

func (h *Host) connect(d *Driver) (*Driver, error) {
	ok := make(chan error, 1)
	if err := h.post(entry{attach: d, err: ok}); err != nil {
		return nil, err
	}
	err, closed := await(context.Background(), h, ok)
	if closed != nil {
		err = closed
	}
	if err != nil {
		return nil, err
	}
	return d, nil
}

// A Driver is one driver's connection to the engine. Its methods may be called from any goroutine; signals of one leg must
// come from one goroutine at a time, so that they have an order.
type Driver struct {
	host     *Host
	name     string
	commands chan call.Command // closed by who runs the engine
	carrier  Carrier           // nil: commands go into the channel
	gone     atomic.Bool
}

// NewLeg gives the id for a leg that comes in.
func (d *Driver) NewLeg() call.LegID { return call.LegID(2*d.host.legs.Add(1) - 1) }

// Signal hands a signal to the engine. It does not wait. A *RefusedError comes for Setup alone: the engine will not hear of that leg
// and the driver turns it away itself.
func (d *Driver) Signal(s call.Signal) error {
	if d.gone.Load() {
		return ErrDisconnected
	}
	err := d.Leave(s)
	d.host.box.rouse()
	return err
}

// Leave is Signal for a goroutine that calls [Host.Carry] afterwards: nobody is woken for it.
func (d *Driver) Leave(s call.Signal) error {
	if d.gone.Load() {
		return ErrDisconnected
	}
	e := entry{in: call.Input{Signal: s, Driver: d.name}, driver: d}
	if _, fresh := s.(call.Setup); fresh {
		return d.host.leaveNew(e)
	}
	return d.host.leave(e)
}

// Commands delivers the driver's commands in order; it is closed when the driver is detached, disconnected or the host stops.
func (d *Driver) Commands() <-chan call.Command { return d.commands }

// Detach ends the connection; all legs of the driver end with call.DriverGone.
func (d *Driver) Detach() {
	_ = d.host.post(entry{detach: d}) // a host that has stopped has detached it already
}
