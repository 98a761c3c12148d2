package transport

import (
	"context"
	"crypto/tls"
	"errors"
	"net"
	"net/netip"

	"github.com/locktone/locktone/wire/sip"
)

// Flow is one established (or connecting) way to a peer. All methods may be called from any goroutine.
type Flow struct{}

func (f *Flow) ID() FlowID                { panic("unfinished") }
func (f *Flow) Network() Network          { panic("unfinished") }
func (f *Flow) Inbound() bool             { panic("unfinished") }
func (f *Flow) Local() netip.AddrPort     { panic("unfinished") }
func (f *Flow) Remote() netip.AddrPort    { panic("unfinished") }
func (f *Flow) Listener() *Listener       { panic("unfinished") } // nil for dialled connections
func (f *Flow) LocalIdentity() string     { panic("unfinished") }
func (f *Flow) ServerName() string        { panic("unfinished") }
func (f *Flow) Peer() *PeerIdentity       { panic("unfinished") }
func (f *Flow) TLS() *tls.ConnectionState { panic("unfinished") }
func (f *Flow) Info() FlowInfo            { panic("unfinished") }
func (f *Flow) Send(m *sip.Message) error { panic("unfinished") }
func (f *Flow) Alive() bool               { panic("unfinished") }
func (f *Flow) Close(reason error)        { panic("unfinished") }
func (f *Flow) Sent() netip.AddrPort      { panic("unfinished") }

// Listener is one listening socket.
type Listener struct{}

func (l *Listener) Name() string         { panic("unfinished") }
func (l *Listener) Addr() netip.AddrPort { panic("unfinished") }
func (l *Listener) Info() ListenerInfo   { panic("unfinished") }
func (l *Listener) Close() error         { panic("unfinished") }

// Transport owns listeners and flows.
type Transport struct{}

// ErrQueueFull closes a flow whose peer does not read.
var ErrQueueFull = errors.New("the peer does not read: write queue is full")

func New(cfg Config, h Handler) *Transport                                     { panic("unfinished") }
func (t *Transport) Listen(lc ListenConfig) (*Listener, error)                 { panic("unfinished") }
func (t *Transport) Serve(ln net.Listener, lc ListenConfig) (*Listener, error) { panic("unfinished") }
func (t *Transport) Flow(d Dest) (*Flow, error)                                { panic("unfinished") }
func (t *Transport) Flows() []FlowInfo                                         { panic("unfinished") }
func (t *Transport) Listeners() []*Listener                                    { panic("unfinished") }
func (t *Transport) Close(ctx context.Context) error                           { panic("unfinished") }
