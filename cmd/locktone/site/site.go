package site

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"syscall"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"

	"github.com/locktone/locktone/bus"
	"github.com/locktone/locktone/config"
	"github.com/locktone/locktone/pki"
	"github.com/locktone/locktone/service/admin"
	"github.com/locktone/locktone/service/callmanager"
	"github.com/locktone/locktone/store"
	"github.com/locktone/locktone/trace"
)

// Options say where a site lives and what it starts with. Home must be set.
type Options struct {
	Home     string
	Site     *config.Site // for an empty store; nil: config.Default
	Node     config.NodeConfig
	Version  string
	Progress func(string)
	// CallManager is the address of the call manager; zero: where the site says, else the first of 127.0.1.10,
	// 127.0.2.10 ... that is free. Localhost adds 127.0.0.1 where it is free.
	CallManager netip.Addr
	Localhost   bool
	// Tune changes the call manager's configuration before it starts: for tests that need other timers or limits.
	Tune func(*callmanager.Config)
	// NoPhones leaves out the softphone files of a new site.
	NoPhones bool
}

// Site is a running node.
type Site struct {
	opt     Options
	node    config.NodeConfig
	here    config.Node // what the site says of this node
	cluster string      // its name, as it was at the start
	Store   *store.Store
	Bus     *bus.Bus
	Trace   *trace.Recorder
	CA      *pki.CA
	Calls   *callmanager.Service

	listen     []netip.Addr // of the call manager
	identities []served
	admin      *admin.Server
	metrics    *prometheus.Registry
	lock       *os.File
	ctx        context.Context
	cancel     context.CancelFunc
	workers    sync.WaitGroup
}

// served is one service's identity with the specification it is renewed by.
type served struct {
	spec     pki.ServiceSpec
	identity *pki.Identity
}

// Start starts a node. What it has started when something fails is stopped again.
func Start(ctx context.Context, opt Options) (*Site, error) {
	if opt.Progress == nil {
		opt.Progress = func(string) {}
	}
	s := &Site{opt: opt, node: opt.Node.WithDefaults(), metrics: prometheus.NewRegistry()}
	s.ctx, s.cancel = context.WithCancel(context.Background())
	for _, step := range []func(context.Context) error{s.openHome, s.openRecord, s.loadSite, s.place, s.openPKI, s.openBus, s.startCalls, s.writePhones, s.startAdmin} {
		if err := step(ctx); err != nil {
			return nil, errors.Join(err, s.Close(context.WithoutCancel(ctx)))
		}
	}
	s.workers.Go(s.renew)
	s.workers.Go(s.recheck)
	return s, nil
}

// openHome makes the folder and takes its lock.
func (s *Site) openHome(context.Context) error {
	if err := os.MkdirAll(s.opt.Home, 0o700); err != nil {
		return fmt.Errorf("home folder: %w", err)
	}
	lock, err := os.OpenFile(filepath.Join(s.opt.Home, "lock"), os.O_CREATE|os.O_RDWR, 0o600)
	if err != nil {
		return fmt.Errorf("home folder: %w", err)
	}
	if err := syscall.Flock(int(lock.Fd()), syscall.LOCK_EX|syscall.LOCK_NB); err != nil {
		lock.Close()
		return fmt.Errorf("a site is already running in %s: use it (locktone status --home %s), end it, or choose another folder with --home", s.opt.Home, s.opt.Home)
	}
	s.lock = lock
	return nil
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
	dsn, err := s.dsn()
	if err != nil {
		return err
	}
	s.Store, err = store.Open(ctx, dsn, store.Options{})
	return err
}

// dsn is where the system of record is.
func (s *Site) dsn() (string, error) {
	c := s.node.Store
	switch {
	case c.DSNFile != "":
		b, err := os.ReadFile(within(s.opt.Home, c.DSNFile))
		if err != nil {
			return "", fmt.Errorf("store.dsnFile: %w", err)
		}
		line, _, _ := cutLine(string(b))
		return s.database(line), nil
	case c.DSN != "":
		return s.database(c.DSN), nil
	}
	return filepath.Join(s.opt.Home, "locktone.db"), nil
}

// database is a DSN; the path of a file begins at the home folder.
func (s *Site) database(dsn string) string {
	if strings.Contains(dsn, "://") {
		return dsn
	}
	return within(s.opt.Home, dsn)
}

func (s *Site) openBus(ctx context.Context) (err error) {
	c := bus.Config{URLs: s.node.Bus.URLs, Cluster: s.cluster, Node: s.node.Node}
	if s.node.Bus.CredentialsFile != "" {
		c.CredentialsFile = within(s.opt.Home, s.node.Bus.CredentialsFile)
	}
	if c.TLS, err = s.busTLS(); err != nil {
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
	if first == nil {
		first = config.Default(s.node.Node)
	}
	_, err = s.Store.Apply(ctx, store.ChangeSet{Author: "locktone up", Comment: "first configuration", Changes: config.Diff(now.Site, first)})
	return err
}

// place decides what runs here and where the call manager listens: where the site says, else at the default of a one-machine
// site.
func (s *Site) place(ctx context.Context) error {
	now, err := s.Store.Site(ctx)
	if err != nil {
		return err
	}
	at := slices.IndexFunc(now.Site.Nodes, func(n config.Node) bool { return n.Name == s.node.Node })
	switch {
	case at < 0 && s.opt.Node.Node == "" && len(now.Site.Nodes) == 1:
		at = 0 // nobody gave this machine a name, and there is only one it can be
	case at < 0 && len(now.Site.Nodes) > 0:
		return fmt.Errorf("the site has no node %q: add it under nodes, or correct node in the node's own configuration", s.node.Node)
	}
	if at >= 0 {
		s.here = now.Site.Nodes[at]
	}
	if err := s.placeCallManager(ctx); err != nil || s.listen != nil {
		return err
	}
	if !s.opt.CallManager.IsValid() {
		if s.opt.CallManager, err = FreeAddress(1); err != nil {
			return err
		}
	}
	s.listen = []netip.Addr{s.opt.CallManager}
	return nil
}

// placeCallManager takes the addresses the site gives the call manager of this node, if it gives any.
func (s *Site) placeCallManager(ctx context.Context) error {
	svc := s.service(config.ServiceCallManager)
	texts := svc.AlsoAddresses
	if first := cmp.Or(svc.Address, s.here.Address); first != "" {
		texts = append([]string{first}, texts...)
	}
	for _, text := range texts {
		addr, err := ipOf(ctx, text)
		if err != nil {
			return fmt.Errorf("nodes[%s].services[callmanager]: address %q: %w", s.here.Name, text, err)
		}
		s.listen = append(s.listen, addr)
	}
	if s.listen != nil {
		s.opt.CallManager, s.opt.Localhost = s.listen[0], false
	}
	return nil
}

// service is what the site says about a service of this node; zero where it lists none.
func (s *Site) service(name config.ServiceName) config.NodeService {
	for _, svc := range s.here.Services {
		if svc.Service == name {
			return svc
		}
	}
	return config.NodeService{}
}

// ipOf is the IP address a listener needs: the one given, or that of the host.
func ipOf(ctx context.Context, text string) (netip.Addr, error) {
	if addr, err := netip.ParseAddr(text); err == nil {
		return addr, nil
	}
	all, err := net.DefaultResolver.LookupNetIP(ctx, "ip", text)
	if err != nil {
		return netip.Addr{}, fmt.Errorf("a listener needs an IP address, and the name has none: %w", err)
	}
	return all[0].Unmap(), nil
}

// placeAdmin is where the HTTPS API listens: as the node's own configuration says, else on the address the site gives the
// service.
func (s *Site) placeAdmin(ctx context.Context) ([]netip.Addr, error) {
	local := []netip.Addr{netip.AddrFrom4([4]byte{127, 0, 0, 1})}
	if own := s.service(config.ServiceAdmin).Address; own != "" && s.opt.Node.Admin.Address == "" {
		addr, err := ipOf(ctx, own)
		if err != nil {
			return nil, fmt.Errorf("nodes[%s].services[admin]: address %q: %w", s.here.Name, own, err)
		}
		_, port, _ := net.SplitHostPort(s.node.Admin.Address)
		s.node.Admin.Address = net.JoinHostPort(addr.String(), port)
	}
	if at, err := netip.ParseAddrPort(s.node.Admin.Address); err == nil && at.Addr() != local[0] && !at.Addr().IsUnspecified() {
		local = append(local, at.Addr())
	}
	return local, nil
}

// FreeAddress finds an address 127.0.N.10, from N = first on, on which nobody has port 5061: the default of a one-machine
// site, and the next one when another site runs on this machine.
func FreeAddress(first int) (netip.Addr, error) {
	for n := first; n < first+250; n++ {
		addr := netip.AddrFrom4([4]byte{127, 0, byte(1 + (n-1)%250), 10})
		l, err := net.Listen("tcp", netip.AddrPortFrom(addr, 5061).String())
		if err != nil {
			continue
		}
		return addr, l.Close()
	}
	return netip.Addr{}, errors.New("no free loopback address: port 5061 is taken on 127.0.1.10 to 127.0.250.10")
}

// openPKI opens the authority and the services' identities, made at the first start.
func (s *Site) openPKI(ctx context.Context) error {
	keys, err := pki.OpenDir(filepath.Join(s.opt.Home, "pki"))
	if err != nil {
		return err
	}
	current, err := s.Store.Site(ctx)
	if err != nil {
		return err
	}
	cluster := current.Site.Cluster.WithDefaults()
	s.cluster = cluster.Name
	s.CA, err = pki.Open(ctx, pki.Config{Cluster: s.cluster, Custody: keys, Register: s.Store.Certificates(), Progress: s.opt.Progress})
	if err != nil {
		return err
	}
	trust, err := s.trust()
	if err != nil {
		return err
	}
	local, err := s.placeAdmin(ctx)
	if err != nil {
		return err
	}
	specs := []pki.ServiceSpec{
		{Name: callmanager.Name, Host: "cm." + cluster.Domain, DNSNames: []string{"localhost", cluster.Domain}, IPs: append([]netip.Addr{local[0]}, s.listen...), SIPDomain: cluster.Domain},
		{Name: "admin", Host: "admin." + cluster.Domain, DNSNames: []string{"localhost"}, IPs: local},
	}
	certificates, err := s.CA.Services(ctx, specs)
	if err != nil {
		return err
	}
	for i, spec := range specs {
		id, err := pki.NewIdentity(spec.Name, pki.Snapshot{Certificates: certificates[i], Trust: trust}, nil)
		if err != nil {
			return err
		}
		s.identities = append(s.identities, served{spec, id})
	}
	return nil
}

// trust is the cluster's own roots and the foreign authorities of the home folder.
func (s *Site) trust() (*pki.Trust, error) {
	var foreign []pki.Anchor
	for folder, kind := range map[string]pki.Kind{"devices": pki.KindDevice, "peers": pki.KindPeer} {
		files, err := filepath.Glob(filepath.Join(s.opt.Home, "trust", folder, "*.pem"))
		if err != nil {
			return nil, err
		}
		for _, f := range files {
			b, err := os.ReadFile(f)
			if err != nil {
				return nil, err
			}
			list, err := pki.ParseCertificates(b)
			if err != nil {
				return nil, fmt.Errorf("%s: %w", f, err)
			}
			for _, c := range list {
				foreign = append(foreign, pki.Anchor{Certificate: c, Kinds: pki.KindsOf(kind)})
			}
		}
	}
	return s.revocations(s.CA.Trust(foreign...))
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
		Identity: s.identities[0].identity}
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
	s.metrics.MustRegister(s.Calls.Metrics(), collectors.NewGoCollector(), collectors.NewProcessCollector(collectors.ProcessCollectorOpts{}))
	return nil
}

// running are the services of this node beside administration.
func (s *Site) running() []string {
	if s.Calls == nil {
		return nil
	}
	return []string{callmanager.Name}
}

func (s *Site) adminConfig() admin.Config {
	return admin.Config{Home: s.opt.Home, Node: s.node.Node, Services: s.running(), Version: s.opt.Version,
		Socket: within(s.opt.Home, s.node.Admin.Socket), Address: s.node.Admin.Address,
		TLS:   s.identities[1].identity.ServerConfig(pki.ServerPolicy{ClientAuth: pki.ClientAuthNone}),
		Store: s.Store, Health: s.Store.Health, Bus: s.Bus, Trace: s.Trace, CA: s.CA, Issued: s.Store.Certificates(), Metrics: s.metrics}
}

func within(home, path string) string {
	if filepath.IsAbs(path) {
		return path
	}
	return filepath.Join(home, path)
}

// renew looks at the certificates now and then: what is past two thirds of its life is issued anew, and is used by the next
// handshake in either direction; no connection is closed.
func (s *Site) renew() {
	tick := time.NewTicker(time.Hour)
	defer tick.Stop()
	for {
		select {
		case <-tick.C:
			if err := s.Renew(s.ctx); err != nil {
				s.Trace.Record(trace.Record{Service: "admin", Kind: trace.KindNote, Level: trace.Error, Summary: "certificates could not be renewed: " + err.Error()})
			}
		case <-s.ctx.Done():
			return
		}
	}
}

// recheck closes the connections of those whose certificates are revoked, as soon as that is known.
func (s *Site) recheck() {
	for range s.Store.Certificates().Watch(s.ctx) {
		if s.Calls != nil {
			s.Calls.Recheck()
		}
	}
}

// Renew takes new certificates and the trust folder into use where something changed.
func (s *Site) Renew(ctx context.Context) error {
	trust, err := s.trust()
	if err != nil {
		return err
	}
	for _, x := range s.identities {
		now := x.identity.Snapshot()
		now.Trust = trust
		if err := x.identity.Replace(now); err != nil {
			return err
		}
		if _, err := s.CA.Refresh(ctx, x.identity, x.spec); err != nil {
			return err
		}
	}
	if s.Calls != nil {
		s.Calls.Recheck()
	}
	return nil
}

// Identity is the identity of a service, for tests that dial as it or replace its certificates; nil for an unknown name.
func (s *Site) Identity(service string) *pki.Identity {
	for _, x := range s.identities {
		if x.spec.Name == service {
			return x.identity
		}
	}
	return nil
}

// Home is the folder the site lives in.
func (s *Site) Home() string { return s.opt.Home }

// CallManager is the address its call manager listens on.
func (s *Site) CallManager() netip.Addr { return s.opt.CallManager }

// Wait returns when the site was closed.
func (s *Site) Wait() error {
	<-s.ctx.Done()
	return nil
}

// Close stops everything in the reverse order of its start.
func (s *Site) Close(ctx context.Context) error {
	s.cancel()
	s.workers.Wait()
	var errs []error
	if s.admin != nil {
		errs = append(errs, s.admin.Close(ctx))
	}
	if s.Calls != nil {
		errs = append(errs, s.Calls.Close(ctx))
	}
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
