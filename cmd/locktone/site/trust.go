package site

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"net/netip"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/locktone/locktone/config"
	"github.com/locktone/locktone/pki"
	"github.com/locktone/locktone/pki/custody"
	"github.com/locktone/locktone/pki/truststore"
	"github.com/locktone/locktone/service/callmanager"
	"github.com/locktone/locktone/service/capf"
	"github.com/locktone/locktone/service/ctimanager"
	"github.com/locktone/locktone/service/provisioning"
	"github.com/locktone/locktone/service/tvs"
	"github.com/locktone/locktone/trace"
	"github.com/locktone/locktone/wire/trustlist"
)

// served is one service's identity, the specification it is renewed by, and what the trust lists say of it.
type served struct {
	spec      pki.ServiceSpec
	identity  *pki.Identity
	roles     []trustlist.Role // in the lists; none: they do not name it
	addresses []netip.Addr     // where it is reached
	host      string           // what devices and other products are configured with: a host name, or the first address
}

// openPKI opens the authority and the identities of the services that run here, made at the first start.
func (s *Site) openPKI(ctx context.Context) error {
	keys, err := s.custody(ctx)
	if err != nil {
		return err
	}
	s.keys = keys
	current, err := s.Store.Site(ctx)
	if err != nil {
		return err
	}
	cluster := current.Site.Cluster.WithDefaults()
	s.cluster = cluster.Name
	cfg := pki.Config{Cluster: s.cluster, Custody: keys, Register: s.Store.Certificates(), Progress: s.opt.Progress, Keys: s.opt.Keys}
	if s.CA, err = pki.Open(ctx, cfg); err != nil {
		return err
	}
	if s.Signers, err = pki.OpenSigners(ctx, cfg); err != nil {
		return err
	}
	s.Anchors = truststore.Open(truststore.Config{Documents: s.Store.Documents(truststore.Collection), Own: s.CA.Roots})
	trust, err := s.trust(ctx)
	if err != nil {
		return err
	}
	s.nodes = len(current.Site.Nodes)
	if s.identities, err = s.whoRuns(ctx, cluster); err != nil {
		return err
	}
	specs := make([]pki.ServiceSpec, len(s.identities))
	for i, x := range s.identities {
		specs[i] = x.spec
	}
	certificates, err := s.CA.Services(ctx, specs)
	if err != nil {
		return err
	}
	for i := range s.identities {
		x := &s.identities[i]
		if x.identity, err = pki.NewIdentity(x.spec.Name, pki.Snapshot{Certificates: certificates[i], Trust: trust}, nil); err != nil {
			return err
		}
		x.identity.Observe(s.observed)
	}
	return nil
}

// custody is where keys are: files of the home folder; where the record is PostgreSQL's, those that the cluster has in common are in it,
// and what a home folder has of them from the time before is moved there.
func (s *Site) custody(ctx context.Context) (pki.Custody, error) {
	own, err := pki.OpenDir(filepath.Join(s.opt.Home, "pki"))
	if err == nil && !s.shared {
		err = s.keysHome(ctx, own)
	}
	if err != nil || !s.shared {
		return own, err
	}
	docs := s.Store.Documents(custody.Collection)
	if s.key = s.opt.ClusterKey; s.key.IsZero() {
		if s.key, err = custody.OpenKey(ctx, own, docs); err != nil {
			return nil, err
		}
	}
	record, err := custody.NewRecord(docs, s.key)
	if err != nil {
		return nil, err
	}
	split := custody.Split{Shared: record, Own: own}
	moved, err := split.Adopt(ctx)
	if len(moved) > 0 {
		s.opt.Progress("moved into the record, sealed: " + strings.Join(moved, ", "))
	}
	return split, err
}

// keysHome brings the keys a cluster had in common from the record into the home folder: of a record that was PostgreSQL's, and became
// a file by a restore. The home folder has the cluster key then, which opens them.
func (s *Site) keysHome(ctx context.Context, own *pki.Dir) error {
	key, err := custody.LoadKey(ctx, own)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return err
	}
	record, err := custody.NewRecord(s.Store.Documents(custody.Collection), key)
	if err != nil {
		return err
	}
	names, err := record.List(ctx, "")
	for _, name := range names {
		if err != nil {
			break
		}
		var secret pki.Secret
		if secret, err = record.Load(ctx, name); err == nil {
			if err = own.Create(ctx, name, secret); errors.Is(err, fs.ErrExist) { // by a start that ended before it took it out of the record
				err = nil
			}
		}
		if err == nil {
			err = record.Delete(ctx, name)
		}
	}
	return err
}

// whoRuns are the services of this node with the names their certificates bear, administration last.
func (s *Site) whoRuns(ctx context.Context, cluster config.Cluster) ([]served, error) {
	local, err := s.placeAdmin(ctx)
	if err != nil {
		return nil, err
	}
	var out []served
	for _, x := range []struct {
		service    config.ServiceName
		name, host string
		roles      []trustlist.Role
	}{
		{config.ServiceCallManager, callmanager.Name, "cm.", []trustlist.Role{trustlist.RoleCCMTFTP}},
		{config.ServiceProvisioning, provisioning.Name, "tftp.", []trustlist.Role{trustlist.RoleTFTP}},
		{config.ServiceCAPF, capf.Name, "capf.", []trustlist.Role{trustlist.RoleCAPF}},
		{config.ServiceTVS, tvs.Name, "tvs.", []trustlist.Role{trustlist.RoleTVS}},
		{config.ServiceCTIManager, ctimanager.Name, "cti.", []trustlist.Role{trustlist.RoleCCM}}, // applications verify it as they do a call manager
		{config.ServiceCallServer, "callserver", "callserver.", nil},
		{config.ServiceVoiceBrowser, "voicebrowser", "voicebrowser.", nil},
		{config.ServiceBorder, "border", "border.", nil},
		{config.ServiceContactCenter, "contactcenter", "contactcenter.", nil},
	} {
		if !s.here.Runs(x.service) {
			continue
		}
		at, err := s.addressesOf(ctx, x.service)
		if err != nil {
			return nil, err
		}
		stem, err := s.stem(ctx, x.name, x.host, cluster.Domain)
		if err != nil {
			return nil, err
		}
		spec := pki.ServiceSpec{Name: x.name, Node: s.node.Node, Host: stem, DNSNames: []string{"localhost"}, IPs: slices.Clone(at), Listed: x.roles != nil}
		if x.service == config.ServiceCallManager {
			spec.DNSNames, spec.SIPDomain = append(spec.DNSNames, cluster.Domain), cluster.Domain
			spec.IPs = append([]netip.Addr{local[0]}, spec.IPs...) // softphones that match names only come by localhost
		}
		host := s.hostOf(x.service, at[0])
		if host != at[0].String() {
			spec.DNSNames = append(spec.DNSNames, host)
		}
		out = append(out, served{spec: spec, roles: x.roles, addresses: at, host: host})
	}
	if s.clustered() {
		stem, err := s.stem(ctx, BusName, "bus.", cluster.Domain)
		if err != nil {
			return nil, err
		}
		out = append(out, served{spec: pki.ServiceSpec{Name: BusName, Node: s.node.Node, Host: stem, IPs: s.listen}})
	}
	stem, err := s.stem(ctx, adminName, "admin.", cluster.Domain)
	return append(out, served{spec: pki.ServiceSpec{Name: adminName, Node: s.node.Node, Host: stem, DNSNames: []string{"localhost"}, IPs: local}}), err
}

// adminName is the name of administration's identity.
const adminName = "admin"

// BusName is the name of the identity with which the buses of the nodes know each other. A site on a file has none: it cannot have a
// second node.
const BusName = "bus"

// stem is what the names of a service's certificates are made from: cm.locktone.test on the only node of a site, cm.n2.locktone.test on one
// of several. A node keeps the short names it has when others join, since trust lists index by name.
func (s *Site) stem(ctx context.Context, service, prefix, domain string) (string, error) {
	if s.nodes <= 1 {
		return prefix + domain, nil
	}
	have, err := s.CA.Stem(ctx, service)
	if err != nil || have == prefix+domain {
		return have, err
	}
	return prefix + s.node.Node + "." + domain, nil
}

// clustered reports whether the record is one that several nodes can share.
func (s *Site) clustered() bool { return s.shared }

// trust is the cluster's own roots, the authorities uploaded for handshakes, and those of the home folder.
func (s *Site) trust(ctx context.Context) (*pki.Trust, error) {
	foreign, err := s.Anchors.Anchors(ctx, truststore.CallManagerTrust, truststore.CAPFTrust)
	if err != nil {
		return nil, err
	}
	err = s.trustFolder("*.pem", func(kind pki.Kind, b []byte) error {
		list, err := pki.ParseCertificates(b)
		for _, c := range list {
			foreign = append(foreign, pki.Anchor{Certificate: c, Kinds: pki.KindsOf(kind)})
		}
		return err
	})
	if err != nil {
		return nil, err
	}
	trust, err := s.CA.Trust(foreign...)
	if err != nil {
		return nil, err
	}
	// Revocation lists of foreign authorities, PEM or DER. Our own certificates need none: the register knows.
	err = s.trustFolder("*.crl", func(_ pki.Kind, b []byte) (err error) {
		trust, err = trust.WithCRL(b)
		return err
	})
	return trust, err
}

// trustFolder reads the files of the home folder about foreign authorities: those for devices, then those for peers.
func (s *Site) trustFolder(pattern string, each func(kind pki.Kind, content []byte) error) error {
	for _, x := range []struct {
		folder string
		kind   pki.Kind
	}{{"devices", pki.KindDevice}, {"peers", pki.KindPeer}} {
		files, err := filepath.Glob(filepath.Join(s.opt.Home, "trust", x.folder, pattern))
		if err != nil {
			return err
		}
		for _, f := range files {
			b, err := os.ReadFile(f)
			if err != nil {
				return err
			}
			if err := each(x.kind, b); err != nil {
				return fmt.Errorf("%s: %w", f, err)
			}
		}
	}
	return nil
}

// use takes the trust of now into use by every identity: by its next handshake in either direction. Connections of peers that
// would not be let in any more are closed.
func (s *Site) use(ctx context.Context) error {
	s.trusting.Lock()
	defer s.trusting.Unlock()
	trust, err := s.trust(ctx)
	if err != nil {
		return err
	}
	for _, x := range s.identities {
		if err := x.identity.SetTrust(trust); err != nil {
			return err
		}
	}
	s.recheckPeers()
	return s.trustDirectories(ctx)
}

// renew looks at the certificates now and then. What the trust lists do not name is issued anew when it is past two thirds of
// its life, and used by the next handshake; what they name is rotated, with overlap.
func (s *Site) renew() {
	tick := time.NewTicker(time.Hour)
	defer tick.Stop()
	for {
		if err := s.Renew(s.ctx); err != nil && s.ctx.Err() == nil {
			s.trouble("certificates could not be renewed: " + err.Error())
		}
		select {
		case <-tick.C:
		case <-s.ctx.Done():
			return
		}
	}
}

// Renew takes new certificates and the trust folder into use where something changed.
func (s *Site) Renew(ctx context.Context) error {
	if err := s.use(ctx); err != nil {
		return err
	}
	for _, x := range s.identities {
		if _, err := s.CA.Refresh(ctx, x.identity, x.spec); err != nil {
			return err
		}
	}
	if err := s.announce(ctx); err != nil {
		return err
	}
	if s.others() && !s.leads() {
		return s.advance(ctx)
	}
	_, refused := s.Rotation.Renew(ctx) // a plan that would strand somebody is the operator's matter; one under way goes on
	return errors.Join(refused, s.advance(ctx))
}

// recheckPeers closes the connections of those who would not be let in any more.
func (s *Site) recheckPeers() {
	if s.Calls != nil {
		s.Calls.Recheck()
	}
	if s.CTI != nil {
		s.CTI.Recheck()
	}
	for _, e := range s.elements {
		e.Recheck()
	}
}

// recheck closes the connections of those whose certificates are revoked, as soon as that is known, and takes uploads to the
// trust stores into use.
func (s *Site) recheck() {
	revoked, uploaded, keys := s.Store.Certificates().Watch(s.ctx), s.Anchors.Watch(s.ctx), s.Store.Documents(custody.Collection).Watch(s.ctx)
	for s.ctx.Err() == nil {
		select {
		case _, open := <-revoked:
			if open {
				s.recheckPeers()
			}
		case _, open := <-uploaded:
			if !open {
				return
			}
			if err := s.use(s.ctx); err != nil && s.ctx.Err() == nil {
				s.trouble("trust stores: " + err.Error())
			}
		case _, open := <-keys:
			if !open {
				return
			}
			if err := s.reload(s.ctx); err != nil && s.ctx.Err() == nil {
				s.trouble("keys of the cluster: " + err.Error())
			}
		case <-s.ctx.Done():
		}
	}
}

// reload takes into use what another node changed of the roots and of the signers.
func (s *Site) reload(ctx context.Context) error {
	if _, err := s.Signers.Reload(ctx); err != nil {
		return err
	}
	changed, err := s.CA.Reload(ctx)
	if err != nil || !changed {
		return err
	}
	return s.use(ctx)
}

func (s *Site) trouble(text string) {
	s.Trace.Record(trace.Record{Service: adminName, Kind: trace.KindNote, Level: trace.Error, Summary: text})
}

// Identity is the identity of a service, for tests that dial as it or replace its certificates; nil for an unknown name.
func (s *Site) Identity(service string) *pki.Identity {
	if x := s.served(service); x != nil {
		return x.identity
	}
	return nil
}

func (s *Site) served(service string) *served {
	i := slices.IndexFunc(s.identities, func(x served) bool { return x.spec.Name == service })
	if i < 0 {
		return nil
	}
	return &s.identities[i]
}
