package site

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"os"
	"path/filepath"

	"github.com/locktone/locktone/config"
	"github.com/locktone/locktone/pki"
	"github.com/locktone/locktone/pki/capfprofile"
	"github.com/locktone/locktone/service/capf"
	"github.com/locktone/locktone/service/provisioning"
	"github.com/locktone/locktone/service/tvs"
)

// book is the enrolment profiles.
func (s *Site) book() *capfprofile.Book {
	return capfprofile.New(s.Store.Documents(capfprofile.Collection), capfprofile.Config{})
}

// addressesOf are those a service of this node binds: its own, else the call manager's.
func (s *Site) addressesOf(ctx context.Context, name config.ServiceName) ([]netip.Addr, error) {
	own := s.service(name).Address
	switch {
	case own == "" && name.Apart():
		return s.apart(name)
	case own == "" || name == config.ServiceCallManager:
		return s.listen, nil
	}
	addr, err := ipOf(ctx, own)
	return []netip.Addr{addr}, err
}

// startEnrolment starts what phones and applications need before they can register: provisioning, CAPF and TVS.
func (s *Site) startEnrolment(ctx context.Context) error {
	for _, start := range []func(context.Context) error{s.startProvisioning, s.startCAPF, s.startTVS} {
		if err := start(ctx); err != nil {
			return err
		}
	}
	return nil
}

func (s *Site) startProvisioning(ctx context.Context) (err error) {
	x := s.served(provisioning.Name)
	if x == nil {
		return nil
	}
	own := s.service(config.ServiceProvisioning)
	s.Provisioning, err = provisioning.Start(ctx, provisioning.Config{Node: s.node.Node, Version: s.opt.Version, Addresses: x.addresses,
		Ports: provisioning.Ports{TFTP: own.Port, HTTP: own.HTTPPort, HTTPS: own.HTTPSPort}, Folder: filepath.Join(s.opt.Home, "tftp"),
		Store: s.Store, Lists: s.Lists, Members: s.members, Holdings: s.Holdings, Profiles: s.Profiles, Register: s.Store.Certificates(), Bus: s.Bus, Trace: s.Trace, Identity: x.identity})
	if err == nil {
		s.metrics.MustRegister(s.Provisioning.Metrics())
	}
	return err
}

func (s *Site) startCAPF(ctx context.Context) (err error) {
	x := s.served(capf.Name)
	if x == nil {
		return nil
	}
	own := s.service(config.ServiceCAPF)
	issuer, err := s.issuer(own, x.identity)
	if err != nil {
		return err
	}
	s.CAPF, err = capf.Start(ctx, capf.Config{Node: s.node.Node, Version: s.opt.Version, Addresses: x.addresses, Port: own.Port, LegacyRSA: own.LegacyRSA,
		Store: s.Store, Bus: s.Bus, Trace: s.Trace, Identity: x.identity, CA: s.CA, Authority: issuer})
	if err == nil {
		s.metrics.MustRegister(s.CAPF.Metrics())
	}
	return err
}

// issuer is the authority that CAPF asks; nil: the cluster's own.
func (s *Site) issuer(own config.NodeService, id *pki.Identity) (capf.Authority, error) {
	switch own.Issuer {
	case config.IssuerOffline:
		return capf.Offline(capfprofile.NewQueue(s.Store.Documents(capfprofile.RequestCollection), nil), id, s.CA), nil
	case config.IssuerOnline:
		b, err := os.ReadFile(within(s.opt.Home, own.IssuerCertificates))
		if err != nil {
			return nil, fmt.Errorf("issuerCertificates of service capf: %w", err)
		}
		list, err := pki.ParseCertificates(b)
		if err != nil {
			return nil, fmt.Errorf("issuerCertificates of service capf: %w", err)
		}
		return capf.Online(capf.OnlineConfig{URL: own.IssuerURL, CA: s.CA, Identity: id, Authorities: list})
	}
	return nil, nil
}

func (s *Site) startTVS(ctx context.Context) (err error) {
	x := s.served(tvs.Name)
	if x == nil {
		return nil
	}
	s.TVS, err = tvs.Start(ctx, tvs.Config{Node: s.node.Node, Version: s.opt.Version, Addresses: x.addresses, Port: s.service(config.ServiceTVS).Port,
		Sources: []tvs.Source{tvs.FromLists(s.Lists), tvs.FromTrustStore(s.Anchors)}, Bus: s.Bus, Trace: s.Trace, Identity: x.identity, Register: s.Store.Certificates()})
	if err == nil {
		s.metrics.MustRegister(s.TVS.Metrics())
	}
	return err
}

// closeEnrolment stops them, before the store and the bus they stand on.
func (s *Site) closeEnrolment(ctx context.Context) error {
	var errs []error
	if s.TVS != nil {
		errs = append(errs, s.TVS.Close(ctx))
	}
	if s.CAPF != nil {
		errs = append(errs, s.CAPF.Close(ctx))
	}
	if s.Provisioning != nil {
		errs = append(errs, s.Provisioning.Close(ctx))
	}
	if s.Holdings != nil {
		errs = append(errs, s.Holdings.Close(ctx))
	}
	return errors.Join(errs...)
}
