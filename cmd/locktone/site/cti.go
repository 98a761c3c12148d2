package site

import (
	"context"
	"errors"
	"fmt"
	"slices"

	"github.com/locktone/locktone/config"
	"github.com/locktone/locktone/directory"
	"github.com/locktone/locktone/directory/login"
	"github.com/locktone/locktone/service/admin"
	"github.com/locktone/locktone/service/ctimanager"
	"github.com/locktone/locktone/store"
)

// startCTI starts the CTI Manager and what checks its logins, unless the site leaves it out on this node.
func (s *Site) startCTI(ctx context.Context) (err error) {
	x := s.served(ctimanager.Name)
	if x == nil {
		return nil
	}
	s.Logins = login.New(login.Config{Site: s.directory, Accounts: s.Store.Documents(login.Collection), Verifiers: s.Store.Documents(login.VerifierCollection),
		Directory: s.loginDirectory, SetPassword: s.setPassword, Node: s.node.Node, Warn: s.trouble})
	s.workers.Go(s.meetPasswords)
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

// meetPasswords lets the age of passwords begin with the configuration that has them.
func (s *Site) meetPasswords() {
	changes := s.Store.Watch(s.ctx)
	s.Logins.Meet(s.ctx)
	for range changes {
		s.Logins.Meet(s.ctx)
	}
}

// setPassword gives a user another password in the configuration, as a revision of its own.
func (s *Site) setPassword(ctx context.Context, user string, v config.Verifier) error {
	for {
		now, err := s.Store.Site(ctx)
		if err != nil {
			return err
		}
		next := now.Site.Clone()
		at := slices.IndexFunc(next.Users, func(u config.User) bool { return u.Name == user })
		if at < 0 {
			return fmt.Errorf("there is no user %s any more", user)
		}
		next.Users[at].Password, next.Users[at].MustChangePassword = v, false
		_, err = s.Store.Apply(ctx, store.ChangeSet{Base: now.Revision.Number, Changes: config.Diff(now.Site, next), Author: user, Comment: "changed the password"})
		if !errors.Is(err, store.ErrConflict) {
			return err
		}
	}
}

// logins is what administration needs of users' logins.
func (s *Site) logins() admin.Logins {
	docs := s.Store.Documents(ctimanager.Collection)
	out := admin.Logins{Accounts: login.NewAccounts(s.Store.Documents(login.Collection), nil),
		Compromised: func(ctx context.Context) (out []admin.Compromised, err error) {
			all, err := ctimanager.Compromised(ctx, docs)
			for _, c := range all {
				out = append(out, admin.Compromised{Issuer: c.Issuer, Serial: c.Serial, Why: c.Why})
			}
			return out, err
		}}
	if s.CTI != nil {
		out.Pardon = s.CTI.Trust
	}
	if s.Logins != nil {
		out.Change = s.Logins.Change
	}
	return out
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
