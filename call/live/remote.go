package live

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"time"

	"github.com/locktone/locktone/bus"
	"github.com/locktone/locktone/call"
)

// FactRegistration is the kind of the facts that say on which node a device is registered; the key is the device.
const FactRegistration = "registration"

// A Remote reaches the engines of a service on every node of the cluster, its own included, by the bus: Requests to them and Events from
// them, as values. It is safe for concurrent use and holds nothing that must be closed.
//
// # Who may ask
//
// The engine believes BusRequest.By: who asks vouches for the user or application it asks for, and has authenticated it. That is right
// because only services of the cluster's own nodes are on the bus: its embedded servers let in nothing but certificates of the bus
// service of our nodes. Where an operator's NATS cluster is used, its accounts and permissions must keep the subjects
// locktone.<cluster>.> to the nodes' credentials: whoever may publish there can make and end calls.
type Remote struct {
	bus     *bus.Bus
	service string
}

// NewRemote makes a client for the engines of a service ("callmanager").
func NewRemote(b *bus.Bus, service string) *Remote { return &Remote{bus: b, service: service} }

// At is the engine of one node. It is asked as a Host is.
func (r *Remote) At(node string) RemoteEngine { return RemoteEngine{remote: r, node: node} }

// ErrNotRegistered says that no live node has the device.
var ErrNotRegistered = errors.New("live: the device is registered nowhere")

// Owner is the engine of the node where a device is registered: where its calls are, and where requests that name the device go. Of two
// nodes that both say so the one with the newer claim counts.
func (r *Remote) Owner(device string) (RemoteEngine, error) {
	facts := r.bus.Board().Of(FactRegistration, device)
	if len(facts) == 0 {
		return RemoteEngine{}, fmt.Errorf("%w: %s", ErrNotRegistered, device)
	}
	return r.At(facts[0].Owner), nil
}

// A RemoteEngine is the engine of one node.
type RemoteEngine struct {
	remote *Remote
	node   string
}

// Node is where it is.
func (e RemoteEngine) Node() string { return e.node }

const (
	requestWait = 10 * time.Second // a request whose context has no deadline
	tryWait     = 2 * time.Second  // for an answer, before it is asked again
	tryPause    = 100 * time.Millisecond
)

// Request hands a request to the engine and waits for the reply, at most until ctx ends (10 s when it has no deadline). by says for whom.
// When no answer comes it is asked again; the engine's node sees to it that it is done once. What is not taken comes back as a Reply with
// a Cause and Why. The error is a *bus.Error: with CodeNoResponder it was not done; with CodeTimeout nobody knows, and the engine's
// events tell.
//
// Requests of one caller that waits for each reply are done in their order; the order of requests asked at the same time is open.
func (e RemoteEngine) Request(ctx context.Context, by string, q call.Request) (call.Reply, error) {
	m, err := NewBusRequest(by, q)
	if err != nil {
		return call.Reply{}, &bus.Error{Code: bus.CodeInvalid, Message: err.Error()}
	}
	m.ID = rand.Text()
	if _, ok := ctx.Deadline(); !ok {
		var cancel context.CancelFunc
		ctx, cancel = context.WithTimeout(ctx, requestWait)
		defer cancel()
	}
	subject := e.remote.bus.Subject(e.remote.service, VerbRequests).To(e.node)
	lost := false // an attempt whose fate is unknown
	for {
		try, cancel := context.WithTimeout(ctx, tryWait)
		reply, err := bus.Ask[BusRequest, call.Reply](try, e.remote.bus, subject, m)
		cancel()
		var refused *bus.Error
		if err == nil || !errors.As(err, &refused) {
			return reply, err
		}
		switch refused.Code {
		case bus.CodeTimeout:
			lost = true
		case bus.CodeUnavailable: // many ask at once, or this node has no connection
		case bus.CodeNoResponder:
			if lost {
				return reply, &bus.Error{Code: bus.CodeTimeout, Message: "the call engine of " + e.node + " went away; whether it has done the request is not known"}
			}
			return reply, err
		default:
			return reply, err
		}
		select {
		case <-ctx.Done():
			return reply, err
		case <-time.After(tryPause):
		}
	}
}
