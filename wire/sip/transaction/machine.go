package transaction

import (
	"strings"
	"time"
)

// Input is what happened to a transaction. The zero value is a look at the clock.
type Input uint8

// The inputs of Step. Responses are classed by status; what a server's own user answers goes to Respond.
const (
	Timer          Input = iota // the deadline has come
	Provisional                 // 1xx received
	Success                     // 2xx received
	Failure                     // 3xx to 6xx received
	Request                     // the request came again
	Acknowledge                 // ACK received
	CancelRequest               // the user wants to cancel
	TransportError              // sending failed, or the only way to the peer is gone
	FlowLost                    // the connection closed, but the peer can open another one to us
)

var inputNames = [...]string{
	"timer", "1xx", "2xx", "300-699", "request", "ack", "cancel", "transport-error", "flow-lost",
}

// String is the input's name in the tests.
func (i Input) String() string { return inputNames[i] }

// Action is a set of things to do, in the order of the constants.
type Action uint16

// The actions a machine asks for.
const (
	Send       Action = 1 << iota // send the request, or the latest response, (again)
	SendTrying                    // send a 100 Trying made by the transaction
	SendAck                       // send the ACK for the non-2xx final response. RFC 3261, 17.1.1.3
	SendCancel                    // send CANCEL in its own transaction. RFC 3261, 9.1
	Deliver                       // hand the message to the user
	TimedOut                      // tell the user: no answer, no ACK in time
	Failed                        // tell the user: transport error
	Done                          // the transaction has ended, forget it
)

var actionNames = [...]string{"send", "100", "ack", "cancel", "deliver", "timeout", "fail", "done"}

// String lists the actions, "-" for none.
func (a Action) String() string {
	var names []string
	for i, name := range actionNames {
		if a&(1<<i) != 0 {
			names = append(names, name)
		}
	}
	if names == nil {
		return "-"
	}
	return strings.Join(names, "+")
}

// Has says whether a contains all of b.
func (a Action) Has(b Action) bool { return a&b == b }

// State is a state of any of the machines. The zero value is a machine that was not started.
type State uint8

// The states of the figures.
const (
	Idle State = iota
	Calling
	Trying
	Proceeding
	Accepted // RFC 6026, 7
	Completed
	Confirmed
	Terminated
)

var stateNames = [...]string{
	"idle", "calling", "trying", "proceeding", "accepted", "completed", "confirmed", "terminated",
}

// String is the state's name as in the figures, in lower case.
func (s State) String() string { return stateNames[s] }

// Classify is the Input a response with this status is for a client transaction.
func Classify(status int) Input {
	switch {
	case status < 200:
		return Provisional
	case status < 300:
		return Success
	}
	return Failure
}

// core is what all machines share: the state, one retransmission timer and one timer that ends the state.
type core struct {
	timers   *Timers
	state    State
	reliable bool
	interval time.Duration // of the retransmission timer
	retry    Instant       // next retransmission, 0 = none
	until    Instant       // end of the state, 0 = none
}

// State is the current state.
func (c *core) State() State { return c.state }

// Deadline is when Step wants a Timer input; 0 is never.
func (c *core) Deadline() Instant {
	if c.retry != 0 && (c.until == 0 || c.retry < c.until) {
		return c.retry
	}
	return c.until
}

func (c *core) begin(now Instant, s State, t *Timers, reliable bool) {
	*c = core{timers: t, state: s, reliable: reliable}
}

func (c *core) enter(s State) {
	c.state, c.retry, c.until = s, 0, 0
}

// linger moves to an absorbing state for d; over a reliable transport, where nothing comes twice, it ends at once.
func (c *core) linger(now Instant, s State, d time.Duration) Action {
	c.enter(s)
	if c.reliable {
		return c.end(0)
	}
	c.until = now.Add(d)
	return 0
}

func (c *core) end(a Action) Action {
	c.enter(Terminated)
	return a | Done
}

func (c *core) retransmitEvery(now Instant, d time.Duration) {
	c.interval, c.retry = d, now.Add(d)
}

func (c *core) expired(now Instant) bool { return c.until != 0 && now >= c.until }

func (c *core) due(now Instant) bool { return c.retry != 0 && now >= c.retry }

// backOff doubles the retransmission interval up to limit (0 = none).
func (c *core) backOff(now Instant, limit time.Duration) {
	d := 2 * c.interval
	if limit > 0 && d > limit {
		d = limit
	}
	c.retransmitEvery(now, d)
}
