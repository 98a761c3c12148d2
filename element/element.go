package element

import (
	"cmp"
	"context"
	"crypto/rand"
	"encoding/hex"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"sync"
	"sync/atomic"
	"time"

	"github.com/locktone/locktone/bus"
	"github.com/locktone/locktone/call"
	"github.com/locktone/locktone/call/live"
	"github.com/locktone/locktone/leg/appleg"
	"github.com/locktone/locktone/leg/sipleg"
	"github.com/locktone/locktone/media"
	"github.com/locktone/locktone/wire/sip"
	"github.com/locktone/locktone/wire/sip/endpoint"
	"github.com/locktone/locktone/wire/sip/resolve"
	"github.com/locktone/locktone/wire/sip/transport"
)

// Names under which the drivers of an element are attached to its engine: those of call.Trunk.Driver and call.Applet.Driver.
const (
	DriverSIP    = "sip"
	DriverApplet = "applet"
)

// Element is a running SIP element. Its tables have locks of their own; everything about one call happens on the shard of its Call-ID and
// in the engine.
type Element struct {
	cfg     Config
	life    string // what global ids are made of
	now     func() time.Time
	ctx     context.Context // ends with Close
	cancel  context.CancelFunc
	workers sync.WaitGroup
	started time.Time

	peers   atomic.Pointer[peers]
	ep      *endpoint.Endpoint
	host    *live.Host
	driver  *live.Driver
	carrier carrier
	sip     *sipleg.Driver
	apps    *appleg.Driver
	plane   *media.Plane
	screen  sip.Capabilities

	destinations destinations
	owners       owners
	failures     failures
	clients      dialConfigs
	listening    listeners
	pingSeq      atomic.Uint32
	draining     atomic.Bool
	drain        atomic.Pointer[bus.DrainState] // that an operator asked for
}

// peers are those of the configuration in force, immutable and replaced whole.
type peers struct {
	generation int64
	list       []*peer
	byName     map[string]*peer
}

// peer is a configured Peer with its profile as the SIP driver shares it.
type peer struct {
	Peer
	leg *sipleg.Profile
}

func newPeers(generation int64, configured []Peer) *peers {
	out := &peers{generation: generation, byName: map[string]*peer{}}
	for _, p := range configured {
		x := &peer{Peer: p}
		profile := p.Leg
		profile.Name = p.Name
		x.leg = &profile
		out.list = append(out.list, x)
		out.byName[p.Name] = x
	}
	return out
}

// Start puts an element together. It listens and has peers from the first Configure on.
func Start(_ context.Context, cfg Config) (*Element, error) {
	if cfg.Service == "" || cfg.Node == "" || len(cfg.Addresses) == 0 || cfg.Identity == nil {
		return nil, errors.New("element: Config needs Service, Node, Addresses and Identity")
	}
	cfg.Domain = cmp.Or(cfg.Domain, cfg.Addresses[0].String())
	e := &Element{cfg: cfg, now: cfg.Now, screen: Capabilities(), life: Token()}
	if e.now == nil {
		e.now = time.Now
	}
	e.started = e.now()
	e.ctx, e.cancel = context.WithCancel(context.Background())
	e.peers.Store(newPeers(0, nil))
	if err := e.assemble(); err != nil {
		_ = e.Abandon(context.Background()) // what counts is why it could not start
		return nil, fmt.Errorf("%s: %w", cfg.Service, err)
	}
	e.run(e.leaveSockets)
	return e, nil
}

// dialler is how TCP connections are dialled; nil is the system's way.
func (e *Element) dialler() func(context.Context, transport.Dest) (net.Conn, error) {
	source := e.cfg.Source.Unmap()
	if e.cfg.Network.Dial != nil || !source.IsValid() || source.IsUnspecified() {
		return e.cfg.Network.Dial
	}
	return func(ctx context.Context, d transport.Dest) (net.Conn, error) {
		var dialer net.Dialer
		if to := d.Addr.Addr().Unmap(); to.Is4() == source.Is4() && to.IsLoopback() == source.IsLoopback() {
			dialer.LocalAddr = net.TCPAddrFromAddrPort(netip.AddrPortFrom(source, 0))
		}
		return dialer.DialContext(ctx, "tcp", d.Addr.String())
	}
}

// assemble puts engine, drivers, media and endpoint together.
func (e *Element) assemble() (err error) {
	e.host = live.Start(live.Options{Recorder: engineTrace{e}, Now: e.cfg.Now, RefuseAfter: refuseAfter, AcceptUnder: acceptUnder})
	e.cfg.Media.Watch, e.cfg.Media.Digits = e.heard, e.digit
	e.plane = media.NewPlane(e.cfg.Media)
	if e.driver, err = e.host.AttachCarrier(DriverSIP, &e.carrier); err != nil {
		return err
	}
	known := e.cfg.Hooks.Directory
	if known == nil {
		known = directory{e}
	}
	e.sip, err = sipleg.New(sipleg.Config{Directory: known, Engine: carried{e.driver}, Plane: e.plane, Outside: outside{e},
		Domain: e.cfg.Domain, Agent: e.Agent(), Observer: legTrace{e}, T1: e.cfg.Timers.T1})
	if err != nil {
		return err
	}
	dns, err := resolve.OpenClient("", "")
	if err != nil {
		return err
	}
	e.ep, err = endpoint.New(endpoint.Config{User: front{e}, Relay: front{e}, Resolver: endpoint.DNS(resolve.New(resolve.Config{DNS: dns})), Timers: e.cfg.Timers, Limits: e.cfg.Limits,
		Server: e.Agent(), Identity: e.cfg.Identity.Name(), Outgoing: e.sending(),
		Transport: transport.Config{Verify: e.verifyPeer, DialTLS: e.dialTLS, Observer: wireTrace{e}, Limits: e.cfg.Conns,
			Dial: e.dialler(), Listen: e.cfg.Network.Listen}})
	if err != nil {
		return err
	}
	e.sip.Use(e.ep)
	e.carrier.to.Store(e.sip)
	return e.startApplets()
}

// run starts a worker that Close waits for.
func (e *Element) run(work func()) {
	e.workers.Add(1)
	go func() {
		defer e.workers.Done()
		work()
	}()
}

// Configure takes a configuration into force: the engine's, with a trunk for each peer that site.Trunks does not name, then the peers', then
// the listeners'. Calls that exist keep what they have. An error leaves what could not be taken as it was.
func (e *Element) Configure(site call.Site, configured []Peer) error {
	have := map[string]bool{}
	for _, t := range site.Trunks {
		have[t.Name] = true
	}
	for _, p := range configured {
		if !have[p.Name] {
			site.Trunks = append(site.Trunks, p.trunk())
		}
	}
	if site.Incarnation == "" {
		site.Incarnation = e.life
	}
	compiled, err := site.Compile()
	if err != nil {
		return fmt.Errorf("the configuration cannot be compiled, the one before stays in force: %w", err)
	}
	if err := e.host.Configure(compiled); err != nil {
		return err
	}
	return e.Use(configured)
}

// Use takes the peers into force and opens the sockets that they and the service need, for a service that configures the engine itself.
func (e *Element) Use(configured []Peer, also ...Socket) error {
	next := newPeers(e.peers.Load().generation+1, configured)
	e.peers.Store(next)
	if err := e.listen(next.sockets(also)); err != nil {
		return err
	}
	e.startPings(next)
	for _, p := range next.list {
		e.tell(p.Name, e.destinations.inService(p.Name))
	}
	return nil
}

// tell tells the engine whether a peer can be called.
func (e *Element) tell(peer string, up bool) {
	if err := e.driver.Signal(call.TrunkState{Trunk: peer, Up: up}); err != nil {
		e.Note(peer, "the engine did not hear of the trunk's state: "+err.Error())
	}
}

// leaveSockets closes UDP sockets that waited for the end of calls: a moment later, when the last word of the call has been said.
func (e *Element) leaveSockets() {
	tick := time.NewTicker(leaveInterval)
	defer tick.Stop()
	for {
		select {
		case <-tick.C:
			if err := e.leave(); err != nil {
				e.Warn(err.Error())
			}
		case <-e.ctx.Done():
			return
		}
	}
}

// leaveInterval is how often is looked whether sockets can be left.
const leaveInterval = 2 * time.Second

// Host is the engine: requests to it, events from it.
func (e *Element) Host() *live.Host { return e.host }

// AttachDriver attaches a driver of the service's own: what call.Device and call.Applet name as their Driver. queue bounds its commands,
// zero is the host's default.
func (e *Element) AttachDriver(name string, queue int) (*live.Driver, error) {
	return e.host.Attach(name, queue)
}

// Endpoint is for requests outside of calls.
func (e *Element) Endpoint() *endpoint.Endpoint { return e.ep }

// SIP is the driver of the SIP legs.
func (e *Element) SIP() *sipleg.Driver { return e.sip }

// Driver is the engine's side of the SIP driver.
func (e *Element) Driver() *live.Driver { return e.driver }

// Plane is where media meets.
func (e *Element) Plane() *media.Plane { return e.plane }

// Screen is what the element understands.
func (e *Element) Screen() sip.Capabilities { return e.screen }

// Status is how the element is, and where it listens; the service completes it.
func (e *Element) Status() bus.ServiceStatus {
	open, _ := e.Listening()
	st := bus.ServiceStatus{Node: e.cfg.Node, Service: e.cfg.Service, State: "ready", Addresses: open, Since: e.started.UTC(), Version: e.cfg.Version}
	if e.draining.Load() {
		st.State = "draining"
	}
	return st
}

// Answers are what an operator's questions get of every element, to be completed by the service.
func (e *Element) Answers() bus.Answers {
	return bus.Answers{
		Status:      func(context.Context) bus.ServiceStatus { return e.Status() },
		Trunks:      func(ctx context.Context) ([]bus.TrunkState, error) { return e.Peers(ctx), nil },
		Connections: func(context.Context) ([]bus.Connection, error) { return e.Connections(), nil },
		Exceptions:  func(context.Context) ([]bus.Exception, error) { return e.Exceptions(), nil },
		Levels:      e.cfg.Trace,
		Drain:       e.DrainBy,
	}
}

// drainRetry is how long who is turned away while the element is drained should wait, in seconds.
const drainRetry = 10

// Drain refuses new calls and waits until those that are have ended, or ctx has; the calls go on either way.
func (e *Element) Drain(ctx context.Context) error {
	e.draining.Store(true)
	ended := e.host.Watch(0, call.CallEnded)
	defer ended.Close()
	for {
		views, err := e.host.Calls(ctx)
		if err != nil || len(views) == 0 {
			return err
		}
		select {
		case <-ended.Notes():
		case <-ctx.Done():
			return fmt.Errorf("%s: %d calls have not ended: %w", e.cfg.Service, len(views), ctx.Err())
		}
	}
}

// Undrain takes calls again.
func (e *Element) Undrain() {
	e.draining.Store(false)
	e.drain.Store(nil)
}

// Close ends every call and releases everything. ctx bounds how long it waits for transactions to end.
func (e *Element) Close(ctx context.Context) error {
	e.DropCalls(ctx)
	return e.Abandon(ctx)
}

// DropCalls tells both ends of every call that it is over: a phone would not notice before its session timer.
func (e *Element) DropCalls(ctx context.Context) {
	views, err := e.host.Calls(ctx)
	if err != nil {
		return // the engine has stopped; there is nobody to ask
	}
	for _, v := range views {
		if _, err := e.host.Request(ctx, "shutdown", call.Drop{Call: v.ID, Cause: call.TemporaryFailure}); err != nil {
			return
		}
	}
}

// Abandon releases everything without a word to anybody, as the end of the process would: for laboratories.
func (e *Element) Abandon(ctx context.Context) error {
	e.cancel()
	if e.host != nil {
		e.host.Close()
	}
	var err error
	if e.ep != nil {
		err = e.ep.Close(ctx)
	}
	if e.apps != nil {
		e.apps.Close()
	}
	e.workers.Wait()
	if e.plane != nil {
		e.plane.Close()
	}
	return err
}

// Agent is the Server and User-Agent header field.
func (e *Element) Agent() string { return "Locktone/" + e.cfg.Version }

// Token is a random word for tags and Call-IDs.
func Token() string {
	var b [8]byte
	rand.Read(b[:])
	return hex.EncodeToString(b[:])
}
