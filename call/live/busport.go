package live

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"github.com/locktone/locktone/bus"
	"github.com/locktone/locktone/call"
)

// Verbs of the bus subjects of a service's engine: locktone.<cluster>.<node>.<service>.<verb>.
const (
	VerbEvents   = "call.events"   // published: BusNote, in order
	VerbRequests = "call.requests" // asked: BusRequest, answered with a call.Reply
	VerbCalls    = "call.list"     // asked: struct{}, answered with []*call.View
)

// A BusRequest is a call.Request on its way over the bus.
type BusRequest struct {
	// By is the user or application that asks; the sender vouches for it.
	By string `json:"by"`
	// Request is the name of the request's type ("MakeCall"), Body the request.
	Request string          `json:"request"`
	Body    json.RawMessage `json:"body"`
}

// NewBusRequest packs a request.
func NewBusRequest(by string, r call.Request) (BusRequest, error) {
	line, err := call.MarshalInput(time.Time{}, call.Input{Request: r, By: by})
	if err != nil {
		return BusRequest{}, err
	}
	var b BusRequest
	return b, json.Unmarshal(line, &b)
}

// unpack is the request inside.
func (b BusRequest) unpack() (call.Request, error) {
	line, err := json.Marshal(b)
	if err != nil {
		return nil, err
	}
	_, in, err := call.UnmarshalInput(fmt.Appendf(nil, `{"at":"0001-01-01T00:00:00Z",%s`, line[1:]))
	if err == nil && in.Request == nil {
		err = errors.New("live: the message holds no request")
	}
	return in.Request, err
}

// A BusNote is a Note on its way over the bus.
type BusNote struct {
	Event    *call.Event  `json:"event,omitempty"`
	Snapshot bool         `json:"snapshot,omitempty"`
	Lagged   bool         `json:"lagged,omitempty"`
	AsOf     uint64       `json:"as_of,omitempty"`
	Calls    []*call.View `json:"calls,omitempty"`
}

// A BusPort connects a host with the bus until Close.
type BusPort struct {
	watcher  *Watcher
	done     chan struct{}
	requests *bus.Responder
	list     *bus.Responder
}

// Connect publishes the host's events on the bus under the service's name and serves requests from there.
func (h *Host) Connect(b *bus.Bus, service string) (*BusPort, error) {
	p := &BusPort{done: make(chan struct{})}
	var err error
	p.requests, err = bus.Serve(b, b.Subject(service, VerbRequests), h.serveRequest)
	if err != nil {
		return nil, fmt.Errorf("live: serve requests for %s: %w", service, err)
	}
	p.list, err = bus.Serve(b, b.Subject(service, VerbCalls), func(ctx context.Context, _ struct{}) ([]*call.View, error) { return h.Calls(ctx) })
	if err != nil {
		p.requests.Close()
		return nil, fmt.Errorf("live: serve the call list for %s: %w", service, err)
	}
	p.watcher = h.Watch(0)
	go p.publish(b, b.Subject(service, VerbEvents))
	return p, nil
}

// publish carries notes to the bus.
func (p *BusPort) publish(b *bus.Bus, s bus.Subject) {
	defer close(p.done)
	for n := range p.watcher.Notes() {
		out := BusNote{Snapshot: n.Snapshot, Lagged: n.Lagged, AsOf: n.AsOf, Calls: n.Calls}
		if !n.Snapshot {
			out.Event = &n.Event
		}
		// The bus carries what can be rebuilt: who missed a note sees the gap in Seq and asks for the list.
		_ = bus.Publish(b, s, out)
	}
}

func (h *Host) serveRequest(ctx context.Context, m BusRequest) (call.Reply, error) {
	r, err := m.unpack()
	if err != nil {
		return call.Reply{}, &bus.Error{Code: bus.CodeInvalid, Message: err.Error()}
	}
	reply, err := h.Request(ctx, m.By, r)
	var refused *RefusedError
	if errors.As(err, &refused) {
		return call.Reply{Cause: refused.Cause, Why: refused.Error()}, nil
	}
	return reply, err
}

// Close ends the connection and waits for it.
func (p *BusPort) Close() {
	p.requests.Close()
	p.list.Close()
	p.watcher.Close()
	<-p.done
}
