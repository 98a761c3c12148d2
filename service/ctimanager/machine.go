package ctimanager

import (
	"context"

	"github.com/locktone/locktone/call"
	"github.com/locktone/locktone/call/live"
	"github.com/locktone/locktone/service/ctimanager/projection"
	"github.com/locktone/locktone/trace"
	"github.com/locktone/locktone/wire/ctiqbe"
)

// The values that go into a provider's machine and come out of it. All are values: nothing here is shared with another goroutine.

// An input is something that comes to a provider.
type input interface{ input() }

// received is a frame of the client; err says why it could not be read.
type received struct {
	message ctiqbe.Message
	header  ctiqbe.Header
	err     error
	// sequence is the number of what could not be read.
	sequence uint32
}

// asked is the answer to an errand.
type asked struct {
	id    uint64
	queue string
	// Reply is that of a call engine.
	Reply call.Reply
	// Value is what another errand brought: each has a type of its own.
	Value any
	// Err says that there was no answer.
	Err error
}

// happened is a CTI event of a device that the provider watches.
type happened struct{ event projection.Event }

// existing is what a line has at the moment from which its events are told: the answer to a snapshot.
type existing struct {
	device string
	line   call.LineID
	events []projection.Event
}

// registered says that a device has come, gone or moved; empty: any may have.
type registered struct{ device string }

// revised says that the site is another.
type revised struct{}

// ended says that the connection is over.
type ended struct {
	err   error
	quiet bool // nothing was ever sent: a probe
}

// ordered closes a provider for a reason that others know.
type ordered struct {
	reason ctiqbe.ProviderCloseReason
	why    string
}

// shutdown says that the service ends.
type shutdown struct{}

// tick is time going by.
type tick struct{}

// drained says that little waits to be written.
type drained struct{}

func (received) input()   {}
func (asked) input()      {}
func (happened) input()   {}
func (existing) input()   {}
func (registered) input() {}
func (revised) input()    {}
func (ended) input()      {}
func (ordered) input()    {}
func (shutdown) input()   {}
func (tick) input()       {}
func (drained) input()    {}

// An output is something the provider wants done, in order.
type output interface{ output() }

// frame is sent to the client.
type frame struct {
	version ctiqbe.Version
	message ctiqbe.Message
}

// run has an errand done; its answer comes back as asked with the id.
type run struct {
	id     uint64
	errand errand
}

// watch has the events of a device delivered, unwatch no more.
type watch struct{ device string }
type unwatch struct{ device string }

// snapshot asks for what a line has: existing comes between the events.
type snapshot struct {
	device string
	line   call.LineID
}

// opened says that the provider has logged in.
type opened struct{}

// remark is for the trace.
type remark struct {
	level  trace.Level
	text   string
	fields []trace.Field
}

// finish ends the connection, when what was said is written.
type finish struct{}

func (frame) output()    {}
func (run) output()      {}
func (watch) output()    {}
func (unwatch) output()  {}
func (snapshot) output() {}
func (opened) output()   {}
func (remark) output()   {}
func (finish) output()   {}

// An errand is work that has to wait for somebody: a call engine, a directory. It is a value; do runs on a goroutine of its own and
// touches nothing of the provider.
type errand interface {
	// queue names what the errand is about: errands of one queue are done one after the other, in the order they were asked for.
	queue() string
	do(ctx context.Context, s *Service, c *connection) asked
}

// A pending is what is done with the answer to an errand. It is a value that stays with the provider.
type pending interface {
	finish(p *provider, a asked)
}

// engineRequest asks the call engine of a node.
type engineRequest struct {
	by     string
	about  string // the device
	node   string
	engine call.Request
}

func (e engineRequest) queue() string { return "device " + e.about }

func (e engineRequest) do(ctx context.Context, s *Service, _ *connection) asked {
	ctx, cancel := context.WithTimeout(ctx, s.site().params.Request)
	defer cancel()
	reply, err := live.NewRemote(s.cfg.Bus, s.cfg.Engines).At(e.node).Request(ctx, e.by, e.engine)
	return asked{Reply: reply, Err: err}
}
