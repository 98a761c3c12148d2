package callmanager

import (
	"context"
	"fmt"
	"net/netip"
	"sync"
	"sync/atomic"
	"time"

	"github.com/locktone/locktone/bus"
	"github.com/locktone/locktone/call/live"
	"github.com/locktone/locktone/element"
	"github.com/locktone/locktone/leg/ctileg"
	"github.com/locktone/locktone/leg/sipleg"
	"github.com/locktone/locktone/media"
	"github.com/locktone/locktone/pki"
	"github.com/locktone/locktone/store"
	"github.com/locktone/locktone/trace"
	"github.com/locktone/locktone/wire/sip"
	"github.com/locktone/locktone/wire/sip/endpoint"
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
	Network  element.Network
	Now      func() time.Time // nil: time.Now
	// KeyLog receives the session secrets of every TLS connection, so that a capture can be read: for laboratories only,
	// listed by `show exceptions`. No site file can set it.
	KeyLog pki.KeyLogWriter
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

	site atomic.Pointer[site]
	el   *element.Element
	// The parts of the element.
	ep     *endpoint.Endpoint
	host   *live.Host
	driver *live.Driver
	sip    *sipleg.Driver
	plane  *media.Plane

	cti *ctileg.Driver

	bindings  bindings
	terminals terminals
	rejected  rejections
	ends      legEnds
	meters    *meters
	nonces    nonces
	sweeper   chan struct{} // capacity 1: the earliest expiry may have changed

	responders bus.Responders
	remote     *live.BusPort // by which other services and nodes reach the engine
	watches    legWatches    // of those below
	keys       keySessions   // of those who are given SRTP keys
	ears       mediaSessions // of those who are told where media goes
	troubles   troubles      // what the status shows
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

// assemble makes the element and what hangs on its engine.
func (s *Service) assemble() (err error) {
	s.cfg.Media.Music, s.cfg.Media.Agreed = s.music, s.watches.agreed
	s.el, err = element.Start(s.ctx, element.Config{Service: Name, Node: s.cfg.Node, Version: s.cfg.Version, Domain: s.site.Load().Cluster().Domain,
		Addresses: s.cfg.Addresses, Optional: s.cfg.Optional, Identity: s.identity, Trace: s.cfg.Trace, Media: s.cfg.Media, Timers: s.cfg.Timers,
		Limits: s.cfg.Limits, Conns: s.cfg.Conns, Network: s.cfg.Network, Now: s.cfg.Now, KeyLog: s.cfg.KeyLog, Hooks: s.hooks()})
	if err != nil {
		return err
	}
	s.ep, s.host, s.driver, s.sip, s.plane = s.el.Endpoint(), s.el.Host(), s.el.Driver(), s.el.SIP(), s.el.Plane()
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
	if err := s.el.Use(s.peersOf(next), next.sockets()...); err != nil {
		return err
	}
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
	if s.el != nil {
		s.el.DropCalls(ctx)
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
	if s.el != nil {
		err = s.el.Abandon(ctx)
	}
	s.workers.Wait()
	return err
}

// agent is the Server and User-Agent header field.
func (s *Service) agent() string { return s.el.Agent() }

// warner is the agent part of a Warning: the host that gives it.
func (s *Service) warner() string { return s.site.Load().Cluster().Domain }

// contact is our address on a flow.
func (s *Service) contact(f *transport.Flow) sip.URI {
	local := f.Local()
	return sip.URI{Scheme: "sip", Host: local.Addr().String(), Port: int(local.Port()), Params: sip.Params{{Name: "transport", Value: f.Network().String()}}}
}

// Recheck verifies the peers of all TLS connections again, and closes those of peers that would not be let in any more; see element.Element.
func (s *Service) Recheck() (closed int) { return s.el.Recheck() }

// token is a random word for tags and Call-IDs.
func (s *Service) token() string { return element.Token() }
