// Package live runs a call.Engine: one goroutine, a bounded mailbox in front of it, a bounded queue behind it for every
// driver, and watchers on the side.
//
//	driver --Signal--> +---------+  Step   +--------+ --Order--> driver queue --> driver
//	app ---Request---> | mailbox | ------> | engine | --Event--> watchers (a slow one gets Lagged)
//	timer ---Tick----> +---------+         +--------+ --Record-> Recorder (every input with its sequence number)
//
// # Overload
//
// The mailbox has two lanes. Signals of legs that exist, releases, state changes, configuration and ticks take the first;
// Setup and MakeCall take the second, which is served when the first is empty or its turn has come. When the second lane's head
// has waited longer than 20 ms, new calls are refused at the door with call.Overloaded until it is under 8 ms again: a
// refused call costs next to nothing and calls that exist do not feel the flood.
//
// # Values only
//
// Nothing but values crosses a queue. A driver whose queue is full is disconnected (its legs end with call.DriverGone), it
// never blocks the engine. A watcher that lags gets one Lagged mark with a fresh picture of all calls.
package live

import (
	"context"
	"errors"
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
	// Now replaces the clock in tests.
	Now func() time.Time
}

// A Recorder keeps the trace. Record is called by the engine's goroutine, once per input, in order; it must not block.
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

// A Host runs one engine.
type Host struct{}

// Start starts a host. Close ends it.
func Start(o Options) *Host { return &Host{} }

// Close stops the engine and waits for its goroutine. Drivers see their Commands channel closed.
func (h *Host) Close() {}

// Configure gives the engine a new configuration; calls that exist keep what they have.
func (h *Host) Configure(c *call.Config) error { return nil }

// Request hands a request to the engine and waits for the reply. by says who asks.
func (h *Host) Request(ctx context.Context, by string, r call.Request) (call.Reply, error) {
	return call.Reply{}, nil
}

// Calls returns pictures of all calls as of now.
func (h *Host) Calls(ctx context.Context) ([]*call.View, error) { return nil, nil }

// Attach connects a driver under the name that call.Device.Driver and call.Trunk.Driver use. queue bounds its commands;
// zero means 4,096.
func (h *Host) Attach(name string, queue int) (*Driver, error) { return &Driver{}, nil }

// A Driver is one driver's connection to the engine. Its methods may be called from any goroutine; signals of one leg must
// come from one goroutine at a time, so that they have an order.
type Driver struct{}

// NewLeg gives the id for a leg that comes in.
func (d *Driver) NewLeg() call.LegID { return 0 }

// Signal hands a signal to the engine. It does not wait. A *RefusedError comes for Setup alone: the engine will not hear of that leg
// and the driver turns it away itself.
func (d *Driver) Signal(s call.Signal) error { return nil }

// Commands delivers the driver's commands in order; it is closed when the driver is detached, disconnected or the host stops.
func (d *Driver) Commands() <-chan call.Command { return nil }

// Detach ends the connection; all legs of the driver end with call.DriverGone.
func (d *Driver) Detach() {}

// Watch starts a watcher. buffer bounds what it may be behind; zero means 1,024 notes.
func (h *Host) Watch(buffer int) *Watcher { return &Watcher{} }

// A Watcher receives the engine's events.
type Watcher struct{}

// Notes delivers what happened, in order; it is closed by Close and when the host stops. The first note is a snapshot.
func (w *Watcher) Notes() <-chan Note { return nil }

// Close ends the watcher.
func (w *Watcher) Close() {}

// A Note is one event; or, at the start and after a lag, a picture of all calls: every event with Seq up to AsOf is in it.
type Note struct {
	Event  call.Event
	Lagged bool
	// Snapshot is set when AsOf counts, even if there are no calls.
	Snapshot bool
	AsOf     uint64
	Calls    []*call.View
}

// Stats are the host's counters.
type Stats struct {
	Inputs, Refused, Disconnected, Lagged uint64
	Calls, Legs                           int
	// Wait is how long the last input waited in the mailbox.
	Wait time.Duration
	// Busy is the time spent in Step so far.
	Busy time.Duration
}

// Stats returns the counters.
func (h *Host) Stats() Stats { return Stats{} }
