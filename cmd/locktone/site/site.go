package site

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/netip"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"time"

	"github.com/locktone/locktone/backup"
	"github.com/locktone/locktone/bus"
	"github.com/locktone/locktone/config"
	"github.com/locktone/locktone/directory"
	"github.com/locktone/locktone/directory/ldap"
	"github.com/locktone/locktone/directory/login"
	"github.com/locktone/locktone/element"
	"github.com/locktone/locktone/pki"
	"github.com/locktone/locktone/pki/capfprofile"
	"github.com/locktone/locktone/pki/custody"
	"github.com/locktone/locktone/pki/lists"
	"github.com/locktone/locktone/pki/rotation"
	"github.com/locktone/locktone/pki/truststore"
	"github.com/locktone/locktone/service/admin"
	"github.com/locktone/locktone/service/border"
	"github.com/locktone/locktone/service/callmanager"
	"github.com/locktone/locktone/service/callserver"
	"github.com/locktone/locktone/service/capf"
	"github.com/locktone/locktone/service/contactcenter"
	"github.com/locktone/locktone/service/contactcenter/phones"
	"github.com/locktone/locktone/service/ctimanager"
	"github.com/locktone/locktone/service/provisioning"
	"github.com/locktone/locktone/service/tvs"
	"github.com/locktone/locktone/service/voicebrowser"
	"github.com/locktone/locktone/store"
	"github.com/locktone/locktone/trace"
	"github.com/locktone/locktone/wire/trustlist"
	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"
)

// Options say where a site lives and what it starts with. Home must be set.
type Options struct {
	Home string
	Site *config.Site // for an empty store; nil: First, or config.Default
	// First makes the configuration of an empty store, for the node of that name.
	First    func(node string) (*config.Site, error)
	Node     config.NodeConfig
	Version  string
	Progress func(string)
	// CallManager is the address of the call manager; zero: where the site says, else the first of 127.0.1.10,
	// 127.0.2.10 ... that is free. Localhost adds 127.0.0.1 where it is free.
	CallManager netip.Addr
	Localhost   bool
	// Tune changes the call manager's configuration before it starts: for tests that need other timers or limits.
	Tune func(*callmanager.Config)
	// TuneCTI is the same for the CTI manager.
	TuneCTI    func(*ctimanager.Config)
	Laboratory Laboratory
	// Keys makes the key pairs; nil: new ones. Laboratories give many sites the same ready-made ones.
	Keys func(pki.Algorithm) (pki.PrivateKey, error)
	// Patience is how long a rotation waits for devices that are awake before it goes on without them; 0: 15 minutes.
	Patience time.Duration
	// ClusterKey is the cluster key; zero: that of the home folder, made by the first node of a record. Laboratories that start several
	// nodes without joining give all of them the same.
	ClusterKey custody.Key
	// NoPhones leaves out the softphone files of a new site.
	NoPhones bool
}

// Site is a running node.
type Site struct {
	opt     Options
	node    config.NodeConfig
	here    config.Node // what the site says of this node
	cluster string      // its name, as it was at the start
	nodes   int         // in the site, at the start
	shared  bool        // the record is PostgreSQL's
	key     custody.Key // opens what the record keeps sealed; zero with a record on a file
	keys    pki.Custody // where keys and passwords are
	Store   *store.Store
	Bus     *bus.Bus
	Trace   *trace.Recorder
	CA      *pki.CA
	Calls   *callmanager.Service

	Signers  *pki.Signers      // of the trust lists
	Anchors  *truststore.Store // authorities uploaded by purpose
	Lists    *lists.Reader
	Holdings *lists.Holdings // who fetched which list
	Profiles *capfprofile.Book
	Rotation *rotation.Runner
	// The services phones meet before they register; nil where they do not run here.
	Provisioning *provisioning.Service
	CAPF         *capf.Service
	TVS          *tvs.Service
	CTI          *ctimanager.Service // nil where it does not run here
	Logins       *login.Checker
	// Those with an address of their own, nil where they do not run here.
	Border        *border.Service
	ContactCenter *contactcenter.Service
	CallServer    *callserver.Service
	VoiceBrowser  *voicebrowser.Service

	Directories  *ldap.Set     // LDAP directories, as the configuration in force has them
	Syncer       *ldap.Syncer  // brings their users
	directoryTLS *pki.Identity // with which directories are verified

	beside      []beside
	elements    []*element.Element // of those among them that speak SIP
	agentPhones *phones.Phones     // nil where the contact centre does not run
	listen      []netip.Addr       // of the call manager
	identities  []served
	members     *lists.Members
	publisher   *lists.Publisher
	observed    chan pki.Observation   // what handshakes showed
	trusting    sync.Mutex             // held while the trust of the identities is replaced
	announcing  sync.Mutex             // held while members are announced and lists published
	advancing   sync.Mutex             // held while a rotation takes steps
	told        map[trustlist.Kind]int // the lists that phones were told of
	resolved    atomic.Pointer[directory.Directory]
	term        atomic.Pointer[context.Context] // of the lead; nil: never had it
	failed      chan error                      // why the site ends by itself
	admin       *admin.Server
	neighbours  neighbours // whose buses are let in
	metrics     *prometheus.Registry
	lock        *os.File
	ctx         context.Context
	cancel      context.CancelFunc
	workers     sync.WaitGroup
}

// Start starts a node. What it has started when something fails is stopped again.
func Start(ctx context.Context, opt Options) (*Site, error) {
	if opt.Progress == nil {
		opt.Progress = func(string) {}
	}
	s := &Site{opt: opt, node: opt.Node.WithDefaults(), metrics: prometheus.NewRegistry(), observed: make(chan pki.Observation, 256),
		told: make(map[trustlist.Kind]int), failed: make(chan error, 1)}
	s.ctx, s.cancel = context.WithCancel(context.Background())
	for _, step := range []func(context.Context) error{s.openHome, s.openRecord, s.loadSite, s.place, s.openPKI, s.openBus, s.openLists, s.openDirectories, s.startCalls, s.startEnrolment, s.startCTI, s.startBeside, s.writePhones, s.startAdmin} {
		if err := step(ctx); err != nil {
			return nil, errors.Join(err, s.Close(context.WithoutCancel(ctx)))
		}
	}
	for _, work := range []func(){s.renew, s.recheck, s.follow, s.followNodes, s.observe, s.tellNode, s.followDirectories, s.syncDirectories} {
		s.workers.Go(work)
	}
	if s.Calls != nil {
		s.workers.Go(s.ends)
	}
	return s, nil
}

// openHome makes the folder and takes its lock.
func (s *Site) openHome(context.Context) (err error) {
	if s.lock, err = LockHome(s.opt.Home); err != nil {
		return err
	}
	if backup.Unfinished(s.opt.Home) {
		return fmt.Errorf("a restore into %s was not finished: run locktone restore FILE --home %s again, which begins anew", s.opt.Home, s.opt.Home)
	}
	return nil
}

// LockHome makes a home folder, where there is none, and takes its lock: whoever has it is the only one that works there. Closing
// the file gives it back.
func LockHome(home string) (*os.File, error) {
	if err := os.MkdirAll(home, 0o700); err != nil {
		return nil, fmt.Errorf("home folder: %w", err)
	}
	lock, err := os.OpenFile(filepath.Join(home, "lock"), os.O_CREATE|os.O_RDWR, 0o600)
	if err != nil {
		return nil, fmt.Errorf("home folder: %w", err)
	}
	if err := syscall.Flock(int(lock.Fd()), syscall.LOCK_EX|syscall.LOCK_NB); err != nil {
		lock.Close()
		return nil, fmt.Errorf("a site is already running in %s: use it (locktone status --home %s), end it, or choose another folder with --home", home, home)
	}
	return lock, nil
}

func (s *Site) openRecord(ctx context.Context) (err error) {
	folder := s.node.Trace.Folder
	if !filepath.IsAbs(folder) {
		folder = filepath.Join(s.opt.Home, folder)
	}
	s.Trace, err = trace.Open(trace.Config{Dir: folder, Node: s.node.Node, TotalBytes: int64(s.node.Trace.MaxMiB) << 20})
	if err != nil {
		return err
	}
	dsn, err := s.node.DSN(s.opt.Home)
	if err != nil {
		return err
	}
	s.shared = strings.Contains(dsn, "://")
	s.Store, err = store.Open(ctx, dsn, store.Options{Copy: filepath.Join(s.opt.Home, "copy.db"), Outbox: filepath.Join(s.opt.Home, "outbox.db"),
		OutboxBytes: int64(s.node.Store.OutboxMiB) << 20})
	if err != nil {
		return err
	}
	if err := s.metrics.Register(s.Store); err != nil {
		return err
	}
	if known := s.Store.Known(); known.Stale {
		s.opt.Progress(fmt.Sprintf("the record cannot be reached, this node starts with its copy of revision %d: %v", known.Revision.Number, known.Reason))
		return nil
	}
	return s.Store.Restored(ctx)
}

func (s *Site) openBus(ctx context.Context) (err error) {
	c := bus.Config{URLs: s.node.Bus.URLs, Cluster: s.cluster, Node: s.node.Node}
	if s.node.Bus.CredentialsFile != "" {
		c.CredentialsFile = within(s.opt.Home, s.node.Bus.CredentialsFile)
	}
	if c.TLS, err = s.busTLS(); err != nil {
		return err
	}
	if c.Routes, err = s.busRoutes(ctx); err != nil {
		return err
	}
	s.Bus, err = bus.Open(ctx, c)
	return err
}

// loadSite writes the first configuration into an empty store.
func (s *Site) loadSite(ctx context.Context) error {
	now, err := s.Store.Site(ctx)
	if err != nil || now.Revision.Number > 0 {
		return err
	}
	first := s.opt.Site
	switch {
	case first != nil:
	case s.opt.First != nil:
		if first, err = s.opt.First(s.node.Node); err != nil {
			return err
		}
	default:
		first = config.Default(s.node.Node)
	}
	_, err = s.Store.Apply(ctx, store.ChangeSet{Author: "locktone up", Comment: "first configuration", Changes: config.Diff(now.Site, first)})
	return err
}

// startAdmin comes last: once administration answers, everything it can tell of is there.
func (s *Site) startAdmin(ctx context.Context) error {
	var err error
	s.admin, err = admin.Listen(ctx, s.adminConfig())
	if errors.Is(err, syscall.EADDRINUSE) && s.opt.Node.Admin.Address == "" && s.service(config.ServiceAdmin).Address == "" { // another site on this machine has the default
		s.node.Admin.Address = "127.0.0.1:0"
		s.admin, err = admin.Listen(ctx, s.adminConfig())
	}
	if err == nil {
		err = s.metrics.Register(s.admin)
	}
	return err
}

// startCalls starts the call manager, unless the site leaves it out on this node.
func (s *Site) startCalls(ctx context.Context) error {
	if !s.here.Runs(config.ServiceCallManager) {
		return nil
	}
	cm := callmanager.Config{Node: s.node.Node, Version: s.opt.Version, Addresses: s.listen, Folder: s.opt.Home, Store: s.Store, Bus: s.Bus, Trace: s.Trace,
		Identity: s.Identity(callmanager.Name)}
	cm.Media.Bind = s.opt.CallManager
	if s.opt.Localhost {
		cm.Optional = []netip.Addr{netip.AddrFrom4([4]byte{127, 0, 0, 1})}
	}
	if s.opt.Tune != nil {
		s.opt.Tune(&cm)
	}
	var err error
	if s.Calls, err = callmanager.Start(ctx, cm); err != nil {
		return err
	}
	s.metrics.MustRegister(s.Calls.Metrics(), s.Calls.Element().Metrics(), collectors.NewGoCollector(), collectors.NewProcessCollector(collectors.ProcessCollectorOpts{}))
	return nil
}

// running are the services of this node beside administration.
func (s *Site) running() []string {
	var names []string
	for _, x := range s.identities {
		if x.spec.Name != adminName && x.spec.Name != BusName {
			names = append(names, x.spec.Name)
		}
	}
	return names
}

func (s *Site) adminConfig() admin.Config {
	return admin.Config{Home: s.opt.Home, Node: s.node.Node, Services: s.running(), Version: s.opt.Version,
		Socket: within(s.opt.Home, s.node.Admin.Socket), Address: s.node.Admin.Address,
		TLS:   s.Identity(adminName).ServerConfig(pki.ServerPolicy{ClientAuth: pki.ClientAuthNone}),
		Store: s.Store, Health: s.Store.Health, Bus: s.Bus, Trace: s.Trace, CA: s.CA, Issued: s.Store.Certificates(), Metrics: s.metrics, Records: s.Store,
		Logins: s.logins(), Lists: s.Lists, Holdings: s.Holdings, Enrolment: s.enrolment(), TrustStores: admin.TrustStores{Store: s.Anchors, Credentials: s.credentials},
		Rotation: admin.Rotation{Runner: s.Rotation, Forecast: s.forecast}, Backup: s.backup, Cluster: cluster{s}, Live: s.live,
		Exceptions: s.exceptions, LDAP: admin.LDAP{Set: s.Directories, Syncer: s.Syncer}}
}

// backup writes the plain content of a backup of this node.
func (s *Site) backup(ctx context.Context, w io.Writer) error {
	source := BackupSource(s.opt.Home, s.node, s.opt.Version, s.Store.Dump)
	source.Skip = append(source.Skip, "outbox.db") // it is written into the record while that can be read
	_, err := source.Write(ctx, w)
	return err
}

// BackupSource is a node as something to take a backup of. The copy of the record is made again by whoever needs it; what waits in the
// outbox of a node that does not run is taken.
func BackupSource(home string, node config.NodeConfig, version string, dump func(context.Context) (*store.Dump, error)) backup.Source {
	skip := []string{admin.SocketName, "copy.db", callmanager.JournalFolder}
	if dsn, err := node.DSN(home); err == nil && !strings.Contains(dsn, "://") {
		skip = append(skip, dsn)
	}
	return backup.Source{Home: home, Node: node, Program: version, Skip: skip, Dump: dump}
}

func within(home, path string) string {
	if filepath.IsAbs(path) {
		return path
	}
	return filepath.Join(home, path)
}

// Home is the folder the site lives in.
func (s *Site) Home() string { return s.opt.Home }

// CallManager is the address its call manager listens on.
func (s *Site) CallManager() netip.Addr { return s.opt.CallManager }

// Leave hands the devices of the node over to the other nodes, and waits for its calls to end: until the limit of its configuration, or
// ctx. Where no other node runs there is nothing to wait for.
func (s *Site) Leave(ctx context.Context) {
	if s.Calls == nil || !s.Calls.Replaceable() {
		return
	}
	limit := s.node.DrainLimit.D()
	if _, err := s.Calls.Drain(ctx, bus.DrainRequest{On: true, Limit: limit, Actor: "the end of the program"}); err != nil {
		s.trouble("the node was not drained: " + err.Error())
		return
	}
	select {
	case <-s.Calls.Ended():
	case <-ctx.Done():
	}
}

// ends ends the site when its call manager was drained.
func (s *Site) ends() {
	select {
	case <-s.Calls.Ended():
		s.cancel()
	case <-s.ctx.Done():
	}
}

// Wait returns when the site was closed, or ends by itself, with the reason.
func (s *Site) Wait() error {
	select {
	case err := <-s.failed:
		return err
	case <-s.ctx.Done():
		return nil
	}
}

// Close stops everything in the reverse order of its start.
func (s *Site) Close(ctx context.Context) error { return s.close(ctx, (*callmanager.Service).Close) }

// Abandon releases everything without a word to phones and peers, as the end of the process would: for laboratories.
func (s *Site) Abandon(ctx context.Context) error {
	return s.close(ctx, (*callmanager.Service).Abandon)
}

func (s *Site) close(ctx context.Context, calls func(*callmanager.Service, context.Context) error) error {
	s.cancel()
	s.workers.Wait()
	if s.Directories != nil {
		s.Directories.Close()
	}
	var errs []error
	if s.admin != nil {
		errs = append(errs, s.admin.Close(ctx))
	}
	errs = append(errs, s.closeBeside(ctx), s.closeCTI(ctx))
	if s.Calls != nil {
		errs = append(errs, calls(s.Calls, ctx))
	}
	errs = append(errs, s.closeEnrolment(ctx))
	if s.Bus != nil {
		errs = append(errs, s.Bus.Close())
	}
	if s.Store != nil {
		errs = append(errs, s.Store.Close())
	}
	errs = append(errs, s.Trace.Close())
	if s.lock != nil {
		errs = append(errs, s.lock.Close())
	}
	return errors.Join(errs...)
}
