package provisioning_test

import (
	"context"
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"errors"
	"net/netip"
	"os"
	"path/filepath"
	"sync"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/locktone/locktone/bus"
	"github.com/locktone/locktone/config"
	"github.com/locktone/locktone/pki"
	"github.com/locktone/locktone/pki/capfprofile"
	"github.com/locktone/locktone/pki/lists"
	"github.com/locktone/locktone/service/provisioning"
	"github.com/locktone/locktone/store"
	"github.com/locktone/locktone/trace"
	"github.com/locktone/locktone/wire/trustlist"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// keys are made once for all sites of the tests: RSA keys take long.
var keys struct {
	sync.Mutex
	made map[pki.Algorithm][]pki.PrivateKey
	used map[pki.Algorithm]int
}

// madeKeys hands out ready-made keys, in turn, beginning anew for each site.
func madeKeys() func(pki.Algorithm) (pki.PrivateKey, error) {
	next := map[pki.Algorithm]int{}
	return func(a pki.Algorithm) (pki.PrivateKey, error) {
		keys.Lock()
		defer keys.Unlock()
		if keys.made == nil {
			keys.made = map[pki.Algorithm][]pki.PrivateKey{}
		}
		if next[a] == len(keys.made[a]) {
			k, err := pki.GenerateKey(a)
			if err != nil {
				return k, err
			}
			keys.made[a] = append(keys.made[a], k)
		}
		k := keys.made[a][next[a]]
		next[a]++
		return k, nil
	}
}

const (
	sep  = "SEP001122334455"
	sccp = "SEP00AABBCCDDEE"
)

// site is what provisioning stands on: all of it real.
type site struct {
	t         testing.TB
	dir       string
	store     *store.Store
	bus       *bus.Bus
	trace     *trace.Recorder
	ca        *pki.CA
	identity  *pki.Identity
	book      *capfprofile.Book
	holdings  *lists.Holdings
	reader    *lists.Reader
	members   *lists.Members
	publisher *lists.Publisher
	addr      netip.Addr
}

func must[T any](v T, err error) func(testing.TB) T {
	return func(t testing.TB) T {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
		return v
	}
}

// newSite has alice, a soft phone with line 1001, a SIP and an SCCP desk phone, and lists that are published.
func newSite(t testing.TB) *site {
	t.Helper()
	ctx := t.Context()
	s := &site{t: t, dir: t.TempDir(), addr: netip.MustParseAddr("127.0.7.1")}
	s.store = must(store.Open(ctx, filepath.Join(s.dir, "locktone.db"), store.Options{}))(t)
	t.Cleanup(func() { s.store.Close() })
	s.bus = must(bus.Open(ctx, bus.Config{Cluster: "test", Node: "node1"}))(t)
	t.Cleanup(func() { s.bus.Close() })
	s.trace = must(trace.Open(trace.Config{Dir: filepath.Join(s.dir, "trace"), Node: "node1"}))(t)
	t.Cleanup(func() { s.trace.Close() })
	s.apply(config.Default("node1"))
	s.change(func(c *config.Site) {
		c.DevicePools[0].TimeZone = "Europe/Berlin"
		c.Devices = append(c.Devices,
			config.Device{Name: sep, Description: "Reception desk", Model: "8845", DevicePool: "default", PhoneSecurityProfile: "encrypted", SIPProfile: "standard", Owner: "alice",
				Lines: []config.Appearance{{Number: "1001", Partition: "internal", Label: "Front"}, {Number: "1002", Partition: "internal", BusyTrigger: 1}}},
			config.Device{Name: sccp, Model: "7962", Protocol: config.ProtocolSCCP, DevicePool: "default", PhoneSecurityProfile: "encrypted",
				Lines: []config.Appearance{{Number: "1002", Partition: "internal"}}})
	})
	s.openTrust()
	s.book = capfprofile.New(s.store.Documents(capfprofile.Collection), capfprofile.Config{})
	return s
}

func (s *site) openTrust() {
	t, ctx := s.t, s.t.Context()
	custody := must(pki.OpenDir(filepath.Join(s.dir, "pki")))(t)
	cfg := pki.Config{Cluster: "test", Custody: custody, Register: s.store.Certificates(), Keys: madeKeys()}
	s.ca = must(pki.Open(ctx, cfg))(t)
	signers := must(pki.OpenSigners(ctx, cfg))(t)
	docs := s.store.Documents(lists.Collection)
	s.members = lists.NewMembers(docs)
	for service, role := range map[string]trustlist.Role{"callmanager": trustlist.RoleCCMTFTP, "provisioning": trustlist.RoleTFTP, "capf": trustlist.RoleCAPF, "tvs": trustlist.RoleTVS} {
		spec := pki.ServiceSpec{Name: service, Host: service + ".locktone.test", IPs: []netip.Addr{s.addr}, Listed: true}
		certificates := must(lists.Certificates(ctx, s.ca, spec))(t)
		member := lists.Member{Service: service, Node: "node1", Host: spec.Host, Addresses: []netip.Addr{s.addr}, Roles: []trustlist.Role{role}, Certificates: certificates}
		if service == "capf" { // 10.1.2.3 begins with a zero in hex
			member.Addresses = append(member.Addresses, netip.MustParseAddr("10.1.2.3"))
		}
		must(s.members.Announce(ctx, member))(t)
		if service == "provisioning" {
			own := must(s.ca.Service(ctx, spec))(t)
			trust := must(s.ca.Trust())(t)
			s.identity = must(pki.NewIdentity(service, pki.Snapshot{Certificates: own, Trust: trust}, nil))(t)
		}
	}
	s.holdings = lists.OpenHoldings(s.store.Documents(lists.HoldingsCollection), lists.HoldingsConfig{Delay: 10 * time.Millisecond})
	t.Cleanup(func() { s.holdings.Close(context.WithoutCancel(ctx)) })
	s.reader = lists.NewReader(docs, s.holdings)
	s.publisher = must(lists.NewPublisher(lists.PublisherConfig{Lists: docs, Signers: signers, Holdings: s.holdings, Mode: func(ctx context.Context) (config.SecurityMode, error) {
		now, err := s.store.Site(ctx)
		return now.Site.Cluster.SecurityMode, err
	}}))(t)
	s.publish()
}

func (s *site) publish() {
	s.t.Helper()
	must(s.publisher.Publish(s.t.Context()))(s.t)
}

func (s *site) apply(next *config.Site) {
	s.t.Helper()
	now := must(s.store.Site(s.t.Context()))(s.t)
	must(s.store.Apply(s.t.Context(), store.ChangeSet{Base: now.Revision.Number, Author: "test", Changes: config.Diff(now.Site, next)}))(s.t)
}

// change applies a change of the configuration.
func (s *site) change(f func(*config.Site)) {
	s.t.Helper()
	next := must(s.store.Site(s.t.Context()))(s.t).Site.Clone()
	f(next)
	s.apply(next)
}

// start starts provisioning on free ports.
func (s *site) start(tune ...func(*provisioning.Config)) *provisioning.Service {
	s.t.Helper()
	cfg := provisioning.Config{Node: "node1", Version: "test", Addresses: []netip.Addr{s.addr}, Ports: provisioning.Ports{TFTP: provisioning.Free, HTTP: provisioning.Free, HTTPS: provisioning.Free},
		Folder: filepath.Join(s.dir, "tftp"), Store: s.store, Lists: s.reader, Members: s.members, Holdings: s.holdings, Profiles: s.book, Register: s.store.Certificates(), Bus: s.bus, Trace: s.trace, Identity: s.identity}
	for _, f := range tune {
		f(&cfg)
	}
	p := must(provisioning.Start(s.t.Context(), cfg))(s.t)
	s.t.Cleanup(func() {
		ctx, cancel := context.WithTimeout(context.Background(), 5*time.Second)
		defer cancel()
		p.Close(ctx)
	})
	return p
}

// write puts a file into the folder.
func (s *site) write(name string, content []byte) string {
	s.t.Helper()
	path := filepath.Join(s.dir, "tftp", name)
	if err := errors.Join(os.MkdirAll(filepath.Dir(path), 0o755), os.WriteFile(path, content, 0o644)); err != nil {
		s.t.Fatal(err)
	}
	return path
}

// enrol gives a device an LSC with a key as CAPF would.
func (s *site) enrol(device string, key any) *x509.Certificate {
	s.t.Helper()
	ctx := s.t.Context()
	must(s.book.Create(ctx, capfprofile.Order{Owner: capfprofile.Owner{Device: device}, Operation: capfprofile.InstallUpgrade, Mode: capfprofile.ByNullString, Replace: true}))(s.t)
	grant := must(s.book.Begin(ctx, capfprofile.Knock{Name: device}))(s.t)
	issued := must(s.ca.Issue(ctx, pki.Request{Kind: pki.KindDevice, Name: device, PublicKey: key, KeyEncipherment: true}))(s.t)
	lsc := issued.Credential.Leaf()
	must(s.book.Issued(ctx, grant, lsc, time.Time{}))(s.t)
	must(s.book.Stored(ctx, grant))(s.t)
	return lsc
}

// phoneKey is the key of every phone of the tests.
var phoneKey = sync.OnceValue(func() *rsa.PrivateKey {
	k, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		panic(err)
	}
	return k
})
