package site

import (
	"context"

	"github.com/locktone/locktone/config"
	"github.com/locktone/locktone/directory"
	"github.com/locktone/locktone/directory/login"
	"github.com/locktone/locktone/service/ctimanager"
)

// startCTI starts the CTI Manager and what checks its logins, unless the site leaves it out on this node.
func (s *Site) startCTI(ctx context.Context) (err error) {
	x := s.served(ctimanager.Name)
	if x == nil {
		return nil
	}
	s.Logins = login.New(login.Config{Site: s.directory, Accounts: s.Store.Documents(login.Collection), Verifiers: s.Store.Documents(login.VerifierCollection),
		Directory: s.loginDirectory, Node: s.node.Node, Warn: s.trouble})
	own := s.service(config.ServiceCTIManager)
	cfg := ctimanager.Config{Node: s.node.Node, Version: s.opt.Version, Addresses: x.addresses, Port: own.Port, Clear: own.Clear,
		Store: s.Store, Bus: s.Bus, Trace: s.Trace, Identity: x.identity, Profiles: s.Profiles, Login: s.Logins, Keys: s.opt.Keys}
	if s.opt.TuneCTI != nil {
		s.opt.TuneCTI(&cfg)
	}
	s.CTI, err = ctimanager.Start(ctx, cfg)
	if err == nil {
		s.metrics.MustRegister(s.CTI.Metrics())
	}
	return err
}

// directory is the configuration in force, resolved; a revision is resolved once.
func (s *Site) directory() *directory.Directory {
	now := s.Store.Known()
	if d := s.resolved.Load(); d != nil && d.Revision() == now.Revision.Number {
		return d
	}
	d := directory.Compile(now.Revision.Number, now.Site)
	s.resolved.Store(d)
	return d
}

// closeCTI stops them.
func (s *Site) closeCTI(ctx context.Context) (err error) {
	if s.CTI != nil {
		err = s.CTI.Close(ctx)
	}
	if s.Logins != nil {
		s.Logins.Close()
	}
	return err
}
