package endpoint

import (
	"context"
	"time"

	"github.com/locktone/locktone/wire/sip"
	"github.com/locktone/locktone/wire/sip/transport"
)

// Endpoint is a running SIP element: listeners, connections, transactions. It owns its goroutines until Close returns.
type Endpoint struct{}

// New starts an endpoint without listeners.
func New(cfg Config) (*Endpoint, error) { panic("unfinished") }

// Listen adds a listener.
func (e *Endpoint) Listen(lc transport.ListenConfig) (*transport.Listener, error) {
	panic("unfinished")
}

// Transport is the transport below, for its listeners, counters and flows.
func (e *Endpoint) Transport() *transport.Transport { panic("unfinished") }

// Request sends a request other than ACK in a new client transaction. The endpoint adds Via, and Max-Forwards when it is
// missing; it owns req from now on. Responses and failures come to the User under req's Call-ID. The error is ErrClosed
// or says what is missing in req.
func (e *Endpoint) Request(req *sip.Message, to Target) (*ClientTx, error) { panic("unfinished") }

// RequestTag is Request with a value of the caller's in ClientTx.Tag.
func (e *Endpoint) RequestTag(req *sip.Message, to Target, tag any) (*ClientTx, error) {
	panic("unfinished")
}

// Send sends a message outside of any transaction: the ACK for a 2xx, with its own Via branch (RFC 3261, 13.2.2.4).
func (e *Endpoint) Send(m *sip.Message, to Target) error { panic("unfinished") }

// Post hands v to User.Posted on the goroutine of callID, behind what is queued for it already.
func (e *Endpoint) Post(callID string, v any) { panic("unfinished") }

// After is Post, d from now, unless the timer is stopped before.
func (e *Endpoint) After(callID string, d time.Duration, v any) *Timer { panic("unfinished") }

// Flows are snapshots of all flows, for `show connections`.
func (e *Endpoint) Flows() []transport.FlowInfo { panic("unfinished") }

// Stats are the counters.
func (e *Endpoint) Stats() Stats { panic("unfinished") }

// Close stops accepting, answers new requests with 503, waits until ctx is done or the transactions have ended, then
// closes all flows. No goroutine is left when it returns.
func (e *Endpoint) Close(ctx context.Context) error { panic("unfinished") }

// Timer is a pending After.
type Timer struct{}

// Stop prevents the value from being posted, unless that has happened. Called in a User callback of the same Call-ID it
// is exact: after Stop nothing comes.
func (t *Timer) Stop() { panic("unfinished") }
