package callmanager

import (
	"context"
	"crypto/rand"
	"crypto/tls"
	"encoding/hex"
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
	"github.com/locktone/locktone/leg/ctileg"
	"github.com/locktone/locktone/leg/sipleg"
	"github.com/locktone/locktone/media"
	"github.com/locktone/locktone/pki"
	"github.com/locktone/locktone/store"
	"github.com/locktone/locktone/trace"
	"github.com/locktone/locktone/wire/sip"
	"github.com/locktone/locktone/wire/sip/endpoint"
	"github.com/locktone/locktone/wire/sip/resolve"
	"github.com/locktone/locktone/wire/sip/transaction"
	"github.com/locktone/locktone/wire/sip/transport"
)

// Name is the service's name on the bus, in traces and in the register of certificates.
const Name = "callmanager"

// Config says where a call manager runs and what it stands on. Store, Bus, Identity and Addresses must be set.
type Config struct {
	Node    string // this node's name
	Version string // of the program
	// Addresses are bound one by one: 127.0.1.10 and, for softphones that match DNS names only, 127.0.0.1 (as localhost).
	Addresses []netip.Addr
	// Folder is where relative paths of the site's files begin, and where the journal of calls that live is kept; without it there is none.
	Folder string
	// Optional addresses are bound too; one that is taken is no failure, and the status says so.
	Optional []netip.Addr
	Store    Store
	Bus      *bus.Bus
	Trace    *trace.Recorder
	Identity *pki.Identity
	Media    media.PlaneConfig
	Timers   transaction.Timers
	Limits   endpoint.Limits
	Conns    transport.Limits
	Network  Network
	Now      func() time.Time // nil: time.Now
	// KeyLog receives the session secrets of every TLS connection, so that a capture can be read: for laboratories only,
	// listed by `show exceptions`. No site file can set it.
	KeyLog pki.KeyLogWriter
}

// Network replaces how TCP connections are dialled and listeners opened, in laboratories whose network fails; zero is the system's.
type Network struct {
	Dial   func(context.Context, transport.Dest) (net.Conn, error)
	Listen func(netip.AddrPort) (net.Listener, error)
}

// Store is what the call manager needs of the system of record; *store.Store is one.
type Store interface {
	Site(ctx context.Context) (store.Snapshot, error)
	Watch(ctx context.Context) <-chan store.Snapshot
	Documents(collection string) *store.Documents
	Records
}

// Records keeps what is known of calls that are over.
type Records interface {
	AppendCalls(ctx context.Context, records ...store.CallRecord) error
	AppendLegs(ctx context.Context, records ...store.LegRecord) error
	AppendMissing(ctx context.Context, calls []store.CallRecord, legs []store.LegRecord) error
	PruneCalls(ctx context.Context, before time.Time, limit int) (removed int64, err error)
	Lead(ctx context.Context, duty string) <-chan context.Context
}

// Service is a running call manager. Its tables have locks of their own; everything about one call happens on the shard
// of its Call-ID and in the engine.
type Service struct {
	cfg      Config
	now      func() time.Time
	identity *pki.Identity
	ctx      context.Context // ends with Close
	cancel   context.CancelFunc
	workers  sync.WaitGroup
	started  time.Time

	site    atomic.Pointer[site]
	ep      *endpoint.Endpoint
	host    *live.Host
	driver  *live.Driver
	carrier carrier
	sip     *sipleg.Driver
	apps    *appleg.Driver
	cti     *ctileg.Driver
	plane   *media.Plane
	screen  sip.Capabilities

	bindings  bindings
	terminals terminals
	trunks    trunks
	owners    owners
	rejected  rejections
	failures  failures
	ends      legEnds
	meters    *meters
	clients   dialConfigs
	nonces    nonces
	sweeper   chan struct{} // capacity 1: the earliest expiry may have changed

	listening  listeners
	responders bus.Responders
	remote     *live.BusPort // by which other services and nodes reach the engine
	watches    legWatches    // of those below
	keys       keySessions   // of those who are given SRTP keys
	ears       mediaSessions // of those who are told where media goes
	pingSeq    atomic.Uint32
	troubles   troubles // what the status shows
	news       news
	drain      drainage

	life       string // another text for every start
	peers      peers
	publishing sync.Once // of what calls have: only where another node can hear of it

	lamps         lamps
	subscriptions subscriptions
	mailboxes     mailboxes
	userSettings  userSettings
}

// Start starts a call manager with the configuration that is in the store. It returns when it listens.
func Start(ctx context.Context, cfg Config) (*Service, error) {
	s := &Service{cfg: cfg, now: cfg.Now, identity: cfg.Identity, sweeper: make(chan struct{}, 1), drain: drainage{ended: make(chan struct{})}, meters: newMeters()}
	if s.now == nil {
		s.now = time.Now
	}
	s.started = s.now()
	s.ctx, s.cancel = context.WithCancel(context.Background())
	s.life = s.token()
	s.screen = sip.Capabilities{Methods: allowed, Extensions: extensions, Bodies: bodies}
	if err := s.start(ctx); err != nil {
		s.Close(ctx)
		return nil, fmt.Errorf("call manager: %w", err)
	}
	return s, nil
}

func (s *Service) start(ctx context.Context) error {
	snapshot, err := s.cfg.Store.Site(ctx)
	if err != nil {
		return err
	}
	s.site.Store(newSite(snapshot.Revision.Number, snapshot.Site))
	if err := s.mailboxes.load(ctx, s.cfg.Store.Documents(mailboxCollection)); err != nil {
		return err
	}
	if err := s.assemble(); err != nil {
		return err
	}
	if err := s.use(snapshot); err != nil {
		return err
	}
	if err := s.serve(); err != nil {
		return err
	}
	changes := s.cfg.Store.Watch(s.ctx)
	s.run(func() { s.follow(changes) })
	s.run(s.sweep)
	s.run(s.sweepTerminals)
	s.run(s.recordCalls)
	s.run(s.recordLost)
	s.run(s.pruneRecords)
	s.run(s.followSettings)
	s.run(s.keepSettings)
	s.run(s.keepMailboxes)
	s.run(s.followBoard)
	s.announce()
	return nil
}

// assemble puts engine, drivers, media and endpoint together.
func (s *Service) assemble() (err error) {
	s.host = live.Start(live.Options{Recorder: engineTrace{s}, Now: s.cfg.Now, RefuseAfter: refuseAfter, AcceptUnder: acceptUnder})
	s.cfg.Media.Music, s.cfg.Media.Watch, s.cfg.Media.Digits, s.cfg.Media.Agreed = s.music, s.heard, s.digit, s.watches.agreed
	s.plane = media.NewPlane(s.cfg.Media)
	if s.driver, err = s.host.AttachCarrier(driverSIP, &s.carrier); err != nil {
		return err
	}
	s.sip, err = sipleg.New(sipleg.Config{Directory: s, Engine: carried{s.driver}, Plane: s.plane, Outside: outside{s},
		Domain: s.site.Load().Cluster().Domain, Agent: s.agent(), Observer: legTrace{s}, T1: s.cfg.Timers.T1})
	if err != nil {
		return err
	}
	dns, err := resolve.OpenClient("", "")
	if err != nil {
		return err
	}
	s.ep, err = endpoint.New(endpoint.Config{User: front{s}, Relay: front{s}, Resolver: endpoint.DNS(resolve.New(resolve.Config{DNS: dns})), Timers: s.cfg.Timers, Limits: s.cfg.Limits,
		Server: s.agent(), Identity: s.identity.Name(),
		Transport: transport.Config{Verify: s.verifyPeer, DialTLS: s.dialTLS, Observer: wireTrace{s}, Limits: s.cfg.Conns,
			Dial: s.cfg.Network.Dial, Listen: s.cfg.Network.Listen}})
	if err != nil {
		return err
	}
	s.sip.Use(s.ep)
	s.carrier.to.Store(s.sip)
	if err := s.startApplets(); err != nil {
		return err
	}
	return s.startTerminals()
}

// run starts a worker that Close waits for.
func (s *Service) run(work func()) {
	s.workers.Add(1)
	go func() {
		defer s.workers.Done()
		work()
	}()
}

// use takes a configuration into force: the engine's, the tables', the listeners', in that order. Calls that exist keep
// what they have.
func (s *Service) use(snapshot store.Snapshot) error {
	next := newSite(snapshot.Revision.Number, snapshot.Site)
	next.recordings = record(snapshot.Site, s.cfg.Folder, s.site.Load().recordings)
	if text := next.recordings.trouble(snapshot.Site); text != "" {
		s.warn(text)
	}
	model := compile(next)
	if next.clustered() {
		model.Node, model.Nodes, model.Incarnation = s.cfg.Node, callManagers(next.config), s.life
	}
	compiled, err := model.Compile()
	if err != nil {
		return fmt.Errorf("revision %d cannot be compiled, the one before stays in force: %w", snapshot.Revision.Number, err)
	}
	if err := s.host.Configure(compiled); err != nil {
		return err
	}
	next.take(compiled)
	before := s.site.Swap(next)
	if err := s.restoreSettings(s.ctx); err != nil {
		return err
	}
	for _, b := range moved(s.bindings.all(), before, next) {
		s.tell(b, bus.ActionApply) // while it can still be reached where it is
	}
	s.unreachable(s.bindings.drop(s.now(), func(b *binding) bool { return !next.still(b) }))
	s.reviewTerminals(next)
	s.mailboxes.forget(next)
	s.relampLines(before, next)
	s.reviewSubscriptions()
	if err := s.listen(next); err != nil {
		return err
	}
	s.startPings(next)
	s.publishTrunks(next)
	if next.clustered() {
		s.publishing.Do(func() { s.run(s.publishCalls) })
	}
	return nil
}

// still says whether a registration fits the configuration: the device exists, shows the number, and came the way its profile wants.
func (st *site) still(b *binding) bool {
	d := st.device(b.device)
	if d == nil || admits(d, b.flow) != nil {
		return false
	}
	return b.aor == d.Name || !lineOf(d, b.aor).IsZero()
}

// follow takes every change of the store into force until the store or the service ends. What could not be taken whole (a
// port that somebody else has) is tried again now and then.
func (s *Service) follow(changes <-chan store.Snapshot) {
	var failed *store.Snapshot
	again := time.NewTicker(configRetry)
	defer again.Stop()
	for {
		select {
		case snapshot, open := <-changes:
			if !open {
				return
			}
			if snapshot.Revision.Number > s.site.Load().Revision() {
				failed = s.take(snapshot)
			}
		case <-again.C:
			if failed != nil {
				failed = s.take(*failed)
			} else if err := s.leave(); err != nil {
				s.warn(err.Error())
			}
		}
	}
}

// configRetry is how often a configuration is tried again that could not be taken into force whole.
const configRetry = 2 * time.Second

// take takes a snapshot into force and tells how that went; it returns the snapshot when it must be tried again.
func (s *Service) take(snapshot store.Snapshot) (failed *store.Snapshot) {
	if err := s.use(snapshot); err != nil {
		s.problem(aboutConfiguration, err.Error())
		return &snapshot
	}
	s.troubles.set(aboutConfiguration, "")
	s.note("", fmt.Sprintf("configuration revision %d is in force", snapshot.Revision.Number))
	return nil
}

// Close ends every call and releases everything. ctx bounds how long it waits for transactions to end.
func (s *Service) Close(ctx context.Context) error {
	s.responders.Close()
	if s.ep != nil {
		s.dropCalls(ctx)
		s.deactivate(ctx)
	}
	return s.Abandon(ctx)
}

// Abandon releases everything without a word to anybody, as the end of the process would: for laboratories.
func (s *Service) Abandon(ctx context.Context) error {
	s.responders.Close()
	s.cancel()
	if s.host != nil {
		s.host.Close()
	}
	s.keys.close()
	s.ears.close()
	if s.remote != nil {
		s.remote.Close() // behind the engine: who follows it has heard of the last call's end
	}
	var err error
	if s.ep != nil {
		err = s.ep.Close(ctx)
	}
	s.workers.Wait()
	if s.plane != nil {
		s.plane.Close()
	}
	return err
}

// dropCalls tells both ends of every call that it is over: a phone would not notice before its session timer.
func (s *Service) dropCalls(ctx context.Context) {
	views, err := s.host.Calls(ctx)
	if err != nil {
		return // the engine has stopped; there is nobody to ask
	}
	for _, v := range views {
		if _, err := s.host.Request(ctx, "shutdown", call.Drop{Call: v.ID, Cause: call.TemporaryFailure}); err != nil {
			return
		}
	}
}

// agent is the Server and User-Agent header field.
func (s *Service) agent() string { return "Locktone/" + s.cfg.Version }

// warner is the agent part of a Warning: the host that gives it.
func (s *Service) warner() string { return s.site.Load().Cluster().Domain }

// contact is our address on a flow.
func (s *Service) contact(f *transport.Flow) sip.URI {
	local := f.Local()
	return sip.URI{Scheme: "sip", Host: local.Addr().String(), Port: int(local.Port()), Params: sip.Params{{Name: "transport", Value: f.Network().String()}}}
}

// token is a random word for tags and Call-IDs.
func (s *Service) token() string {
	var b [8]byte
	rand.Read(b[:])
	return hex.EncodeToString(b[:])
}

// dialConfigs keeps one TLS configuration for each peer that is dialled, so that sessions can be resumed.
type dialConfigs struct {
	mu     sync.Mutex
	byPeer map[dialKey]*tls.Config
}

type dialKey struct {
	policy, serverName string
	revision           int64
}

// maxDialConfigs bounds the table: a configuration in force has one entry a trunk destination.
const maxDialConfigs = 4096

func (c *dialConfigs) get(k dialKey, make_ func() *tls.Config) *tls.Config {
	c.mu.Lock()
	defer c.mu.Unlock()
	if cfg := c.byPeer[k]; cfg != nil {
		return cfg
	}
	if c.byPeer == nil || len(c.byPeer) >= maxDialConfigs {
		c.byPeer = map[dialKey]*tls.Config{}
	}
	cfg := make_()
	c.byPeer[k] = cfg
	return cfg
}

// Marks of the engine's overload control. A busy machine lets a goroutine wait for 20 ms now and then; a queue that is a
// tenth of a second old is overload.
const (
	refuseAfter = 100 * time.Millisecond
	acceptUnder = 40 * time.Millisecond
)
